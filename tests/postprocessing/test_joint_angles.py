"""Joint angles: poses whose angles are known by how they were made."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from actionpose.export.joint_angles import save
from actionpose.geometry.axes import view_axes
from actionpose.postprocessing.joint_angles import Angles, angles
from actionpose.postprocessing.root_trajectory import up_axis
from actionpose.result import Result
from actionpose.skeletons import H36M17, HALPE26
from actionpose.utils.errors import UserError

Y_UP = "x right, y up, z towards the camera"

# standing, facing the camera, arms down: x to the person's left, y up, z forward
STANDING = {
    **{"pelvis": (0, 0.95, 0), "spine": (0, 1.2, 0), "thorax": (0, 1.45, 0)},
    **{"nose": (0, 1.6, 0.06), "head": (0, 1.72, 0)},
    **{"left_hip": (0.12, 0.95, 0), "left_knee": (0.12, 0.5, 0), "left_ankle": (0.12, 0.08, 0)},
    **{"left_shoulder": (0.18, 1.45, 0), "left_elbow": (0.18, 1.15, 0)},
    "left_wrist": (0.18, 0.9, 0),
}


def standing() -> dict[str, np.ndarray]:
    pose = {name: np.array(place, dtype=float) for name, place in STANDING.items()}
    for name in list(pose):
        if name.startswith("left_"):
            pose[name.replace("left_", "right_")] = pose[name] * [-1, 1, 1]
    return pose


def turned(pose, joints, about, axis, degrees):
    """The pose with some joints turned about another, right-handed."""
    turn = Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis, dtype=float))
    pose = dict(pose)
    for name in joints:
        pose[name] = pose[about] + turn.apply(pose[name] - pose[about])
    return pose


def result_of(*poses, **changes) -> Result:
    """A frame for each pose."""
    joints = np.array([[pose[name] - pose["pelvis"] for name in H36M17.joints] for pose in poses])
    fields = {
        "pose_m": joints[None],
        "keypoints_px": np.ones((1, len(poses), 17, 3)),
        "valid": np.ones((1, len(poses)), bool),
        "track_id": [4],
        "time_s": np.arange(len(poses)) / 30,
        "header": {
            **{"units": "meters", "axes": Y_UP, "root": "pelvis", "skeleton": "h36m17"},
            "scale_source": "made up",
        },
    }
    return Result(**fields | changes)


def of(result: Result, name: str, frame: int = 0) -> float:
    table = angles(result)
    return float(table.degrees[0, frame, table.names.index(name)])


LEFT_LEG, LEFT_ARM = ("left_knee", "left_ankle"), ("left_elbow", "left_wrist")
RIGHT_ARM = ("right_elbow", "right_wrist")
TRUNK = [name for name in H36M17.joints if not name.endswith(("hip", "knee", "ankle", "pelvis"))]


def test_standing_straight_is_zero_everywhere():
    table = angles(result_of(standing()))
    np.testing.assert_allclose(table.degrees, 0, atol=1e-4)


# what is turned, about which joint, axis (x left, y up, z forward), degrees: name, angle
CASES = [
    (LEFT_LEG, "left_hip", (-1, 0, 0), 40, "left_hip_flexion", 40),
    (LEFT_LEG, "left_hip", (-1, 0, 0), -15, "left_hip_flexion", -15),
    (LEFT_LEG, "left_hip", (0, 0, 1), 25, "left_hip_abduction", 25),
    (("left_ankle",), "left_knee", (1, 0, 0), 70, "left_knee_flexion", 70),
    (("right_ankle",), "right_knee", (1, 0, 0), 130, "right_knee_flexion", 130),
    (("left_wrist",), "left_elbow", (-1, 0, 0), 95, "left_elbow_flexion", 95),
    (LEFT_ARM, "left_shoulder", (-1, 0, 0), 120, "left_shoulder_flexion", 120),
    (LEFT_ARM, "left_shoulder", (-1, 0, 0), 120, "left_shoulder_elevation", 120),
    (LEFT_ARM, "left_shoulder", (0, 0, 1), 90, "left_shoulder_abduction", 90),
    (RIGHT_ARM, "right_shoulder", (0, 0, -1), 60, "right_shoulder_abduction", 60),
    (RIGHT_ARM, "right_shoulder", (0, 0, -1), 60, "right_shoulder_elevation", 60),
    (TRUNK, "pelvis", (1, 0, 0), 35, "trunk_flexion", 35),
    (TRUNK, "pelvis", (0, 0, 1), 20, "trunk_lean_right", 20),
    (TRUNK, "pelvis", (0, 1, 0), 30, "trunk_rotation_left", 30),
]


@pytest.mark.parametrize(("joints", "about", "axis", "degrees", "name", "expected"), CASES)
@pytest.mark.parametrize("heading", [0, 130])
def test_what_is_turned_is_measured(joints, about, axis, degrees, name, expected, heading):
    pose = turned(standing(), joints, about, axis, degrees)
    pose = turned(pose, H36M17.joints, "pelvis", (0, 1, 0), heading)  # whichever way one faces
    assert of(result_of(pose), name) == pytest.approx(expected, abs=1e-3)


def test_axes_and_units_do_not_matter():
    pose = turned(standing(), LEFT_LEG, "left_hip", (-1, 0, 0), 40)
    result = result_of(pose)
    for up in ("y", "z"):
        other = up_axis(result, up)
        np.testing.assert_allclose(angles(other).degrees, angles(result).degrees, atol=1e-3)
    camera = "x right, y down, z away from the camera"
    header = {**result.header, "axes": camera}
    other = replace(result, pose_m=result.pose_m @ view_axes(camera), header=header)
    np.testing.assert_allclose(angles(other).degrees, angles(result).degrees, atol=1e-3)


def test_an_arm_to_the_side_has_no_flexion():
    pose = turned(standing(), LEFT_ARM, "left_shoulder", (0, 0, 1), 88)
    assert np.isnan(of(result_of(pose), "left_shoulder_flexion"))
    assert of(result_of(pose), "left_shoulder_abduction") == pytest.approx(88, abs=1e-3)


def test_where_nobody_is_there_is_no_angle():
    result = result_of(standing(), standing(), standing(), valid=np.array([[True, False, True]]))
    result.pose_m[0, 2, 3] = np.nan
    table = angles(result)
    assert np.isnan(table.degrees[0, 1:]).all() and np.isfinite(table.degrees[0, 0]).all()
    np.testing.assert_array_equal(table.valid, [[True, False, False]])


def test_what_cannot_be_known_is_said_and_toes_tell_the_ankle():
    table = angles(result_of(standing()))
    assert not any("ankle" in name for name in table.names)
    assert "ankles" in table.not_known and "pronation" in table.not_known
    feet = np.zeros((1, 1, 26, 3))
    pose = standing() | {"neck": np.array([0, 1.45, 0])}
    for side in ("left", "right"):
        pose[f"{side}_big_toe"] = pose[f"{side}_ankle"] + [0, 0.1, 0.17]  # toes up
    for name, place in pose.items():
        if name in HALPE26.joints:
            feet[0, 0, HALPE26.joints.index(name)] = place
    header = {**result_of(standing()).header, "skeleton": "halpe26"}
    whole = result_of(standing(), pose_m=feet, keypoints_px=np.ones((1, 1, 26, 3)), header=header)
    expected = np.degrees(np.arctan2(0.1, 0.17))
    assert of(whole, "left_ankle_dorsiflexion") == pytest.approx(expected, abs=1e-3)
    assert "ankles" not in angles(whole).not_known
    coco = {**header, "skeleton": "coco17"}
    with pytest.raises(UserError, match="the skeleton coco17 lacks pelvis, thorax"):
        angles(result_of(standing(), header=coco))


def test_vertical_is_named():
    result = result_of(standing())
    assert "camera" in angles(result).header["vertical"]
    on_floor = replace(result, header={**result.header, "processing": [{"step": "floor"}]})
    assert angles(on_floor).header["vertical"] == "normal of the floor"


def bending() -> Angles:
    poses = [turned(standing(), ("left_ankle",), "left_knee", (1, 0, 0), d) for d in range(30)]
    result = result_of(*poses)
    result.valid[0, 10] = False
    return angles(result)


def test_csv_equals_the_table(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = bending()
    save(table, tmp_path / "a.csv")
    read = pandas.read_csv(tmp_path / "a.csv")
    assert list(read.columns[:4]) == ["person", "track_id", "frame", "time_s"]
    assert read["track_id"].unique().tolist() == [4] and read["valid"].sum() == 29
    found = read[[f"{name}_deg" for name in table.names]].to_numpy()
    np.testing.assert_allclose(found, table.degrees[0], atol=0.0051)
    np.testing.assert_allclose(read["time_s"], table.time_s, atol=1e-6)


def test_plot_shows_both_sides(tmp_path):
    image = pytest.importorskip("matplotlib.image")
    save(bending(), tmp_path / "a.png")
    pixels = (image.imread(tmp_path / "a.png")[..., :3] * 255).round()
    for rgb in ([213, 94, 0], [0, 114, 178]):  # right, left
        assert (np.abs(pixels - rgb) < 12).all(axis=-1).sum() > 500
    save(bending(), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_mistakes(tmp_path):
    with pytest.raises(UserError, match=r"the suffix must be .csv or .png"):
        save(bending(), tmp_path / "a.xlsx")
    nobody = result_of(standing(), valid=np.zeros((1, 1), bool))
    with pytest.raises(UserError, match="nothing to draw"):
        save(angles(nobody), tmp_path / "a.png")
