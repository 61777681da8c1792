"""Every exported file is read back by an independent reader and equals the result."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from actionpose.datasets.synthetic.generate import dataset
from actionpose.export.markers import MARKERS
from actionpose.geometry.axes import CAMERA, UP, rotation_between, view_axes
from actionpose.postprocessing import skeleton_fit as rig
from actionpose.postprocessing.bone_lengths import rigid as rigid_bones
from actionpose.postprocessing.root_trajectory import up_axis
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

RATE_HZ = 25.0


def made_up(persons: int = 1, frames: int = 40, **changes) -> Result:
    """Rubbery people who move, with a path, in camera axes."""
    rng = np.random.default_rng(7)
    made = [one.joints_m for one in dataset(12, seed=11) if len(one.joints_m) >= frames]
    world = np.stack([made[person][:frames] for person in range(persons)])
    world = world + rng.normal(0, 0.01, world.shape)
    seen = world @ rotation_between(UP["z"], CAMERA).T
    root = seen[:, :, 0] + [0, 0.5, 5]
    keypoints = np.ones((persons, frames, 17, 3))
    keypoints[..., :2] = [320, 240] + 100 * (seen[..., :2] - seen[:, :, :1, :2])
    fields = {
        "pose_m": seen - seen[:, :, :1],
        "keypoints_px": keypoints,
        "valid": np.ones((persons, frames), bool),
        "track_id": 3 + 5 * np.arange(persons),
        "time_s": np.arange(frames) / RATE_HZ,
        "root_m": root,
        "header": {
            **{"units": "meters", "axes": CAMERA, "skeleton": "h36m17"},
            **{"root": "pelvis at the origin of every frame", "scale_source": "made up"},
        },
    }
    return Result(**fields | changes)


def in_view(result: Result, person: int = 0) -> np.ndarray:
    """(T, 17, 3) placed joints, y up."""
    placed = result.pose_m[person] + result.root_m[person][:, None]
    return placed @ view_axes(result.header["axes"]).T


@pytest.fixture(scope="module")
def result() -> Result:
    return made_up()


@pytest.fixture(scope="module")
def rigid(result) -> Result:
    return rigid_bones(result)


# ---------------------------------------------------------------- the rig


def test_turns_give_back_the_joints(rigid):
    fitted = rig.fit(rigid, 0, even=True)
    nodes = rig.node_positions(fitted)
    np.testing.assert_allclose(nodes, fitted.joints_m[:, rig.JOINTS], atol=1e-12)
    np.testing.assert_allclose(fitted.joints_m, in_view(rigid), atol=2e-5)  # root_m is float32
    assert fitted.residual_mm < 0.01


def test_the_rig_stands_in_a_t_when_nothing_turns(rigid):
    fitted = rig.fit(rigid, 0, even=True)
    rest = rig.node_positions(replace(fitted, turns=np.tile([0.0, 0, 0, 1], (1, 23, 1))))
    rest = dict(zip(rig.NAMES, (rest - fitted.root_m[:, None])[0], strict=True))
    assert rest["LeftHand"][0] > 0.5 and rest["RightHand"][0] < -0.5
    assert abs(rest["LeftHand"][1] - rest["Spine2"][1]) < 1e-9
    assert rest["LeftFoot"][1] < -0.6 and rest["HeadTop"][1] > 0.5
    for name, node in rest.items():
        if name.startswith("Left"):
            mirrored = rest[name.replace("Left", "Right")] * [-1, 1, 1]
            np.testing.assert_allclose(node, mirrored, atol=1e-9)


def test_opposite_directions_are_half_a_turn():
    source = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    turned = rig._shortest(source, -source).apply(source)
    np.testing.assert_allclose(turned, -source, atol=1e-12)


def test_neighboring_turns_are_near(rigid):
    turns = rig.fit(rigid, 0, even=True).turns
    assert (turns[1:] * turns[:-1]).sum(axis=-1).min() > 0.7


# ---------------------------------------------------------------- BVH


@pytest.mark.parametrize("up", [None, "z"])
def test_bvh_read_by_bvhio_equals_the_rigid_result(rigid, tmp_path, up):
    bvhio = pytest.importorskip("bvhio")
    turned = rigid if up is None else up_axis(rigid, up)
    assert turned.save(tmp_path / "a.bvh") == [tmp_path / "a.bvh"]
    root = bvhio.readAsHierarchy(str(tmp_path / "a.bvh"))
    expected = in_view(rigid)
    for frame in (0, 7, 23, 39):
        root.loadPose(frame)
        for name, joint in zip(rig.NAMES, rig.JOINTS, strict=True):
            (node,) = (found for found in root.filter(name) if found.Name == name)
            np.testing.assert_allclose(
                np.array(node.PositionWorld) / 100, expected[frame, joint], atol=5e-6
            )
    motion_part = (tmp_path / "a.bvh").read_text().split("MOTION\n")[1].splitlines()
    assert motion_part[0] == "Frames: 40"
    assert float(motion_part[1].split(":")[1]) == pytest.approx(1 / RATE_HZ)
    assert len(motion_part) == 42 and len(motion_part[2].split()) == 3 + 3 * len(rig.NAMES)


def test_bvh_of_rubber_is_the_rigid_fit(result, rigid, tmp_path):
    for one, name in ((result, "a"), (rigid, "b")):
        one.save(tmp_path / f"{name}.bvh")
    a, b = (
        np.array([row.split() for row in (tmp_path / f"{n}.bvh").read_text().splitlines()[-40:]])
        for n in "ab"
    )
    np.testing.assert_allclose(a.astype(float), b.astype(float), atol=5e-3)  # degrees


def test_gimbal_lock_is_no_trouble():
    from scipy.spatial.transform import Rotation

    from actionpose.export.bvh import _zxy_degrees

    wanted = Rotation.from_euler("ZXY", [[20, 90, 0], [10, 90, 35], [0, -90, 5]], degrees=True)
    angles = _zxy_degrees(wanted.as_matrix())
    again = Rotation.from_euler("ZXY", angles, degrees=True)
    assert (again * wanted.inv()).magnitude().max() < 1e-7


def test_every_person_has_a_file(tmp_path):
    files = made_up(2).save(tmp_path / "dance.bvh")
    assert files == [tmp_path / "dance_id3.bvh", tmp_path / "dance_id8.bvh"]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert files[0].read_bytes() != files[1].read_bytes()


def test_gaps_are_filled_and_uneven_times_made_even(rigid, tmp_path):
    bvhio = pytest.importorskip("bvhio")
    valid = rigid.valid.copy()
    valid[0, 10:14] = False
    pose = rigid.pose_m.copy()
    pose[0, 10:14] = np.nan
    time_s = np.concatenate([np.arange(20), 19.5 + np.arange(20) / 2]) / RATE_HZ
    replace(rigid, valid=valid, pose_m=pose, time_s=time_s).save(tmp_path / "a.bvh")
    bvh = bvhio.readAsBvh(str(tmp_path / "a.bvh"))
    duration_s = (bvh.FrameCount - 1) * bvh.FrameTime
    assert duration_s == pytest.approx(time_s[-1], abs=1e-4)
    root = bvhio.readAsHierarchy(str(tmp_path / "a.bvh"))
    root.loadPose(0)
    np.testing.assert_allclose(np.array(root.PositionWorld) / 100, in_view(rigid)[0, 0], atol=5e-6)


# ---------------------------------------------------------------- markers


def test_trc_read_by_pandas_equals_the_result(result, tmp_path):
    pandas = pytest.importorskip("pandas")
    valid = result.valid.copy()
    valid[0, 5:8] = False
    replace(result, valid=valid).save(tmp_path / "a.trc")
    lines = (tmp_path / "a.trc").read_text().splitlines()
    head = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert head["Units"] == "m" and head["NumFrames"] == "40" and head["NumMarkers"] == "17"
    assert float(head["DataRate"]) == RATE_HZ
    names = [name for name in lines[3].split("\t")[2:] if name]
    assert names == [MARKERS[joint] for joint in H36M17.joints]
    assert {"Hip", "Neck", "RHip", "LAnkle", "RWrist", "Nose", "Head"} <= set(names)
    table = pandas.read_csv(tmp_path / "a.trc", sep="\t", skiprows=6, header=None)
    assert table[0].tolist() == list(range(1, 41))
    np.testing.assert_allclose(table[1], result.time_s, atol=1e-6)
    found = table.iloc[:, 2 : 2 + 51].to_numpy().reshape(40, 17, 3)
    np.testing.assert_array_equal(np.isnan(found).all(axis=(1, 2)), ~valid[0])
    np.testing.assert_allclose(found[valid[0]], in_view(result)[valid[0]], atol=1e-6)


def test_c3d_read_by_ezc3d_equals_the_result(tmp_path):
    ezc3d = pytest.importorskip("ezc3d")
    result = made_up(2)
    result.valid[1, 5:8] = False
    result.save(tmp_path / "a.c3d")
    file = ezc3d.c3d(str(tmp_path / "a.c3d"))
    point = file["parameters"]["POINT"]
    assert point["UNITS"]["value"] == ["mm"] and point["RATE"]["value"][0] == RATE_HZ
    assert point["LABELS"]["value"][0] == "id3:Hip" and point["LABELS"]["value"][17] == "id8:Hip"
    assert point["Y_SCREEN"]["value"] == ["+Z"]
    found = file["data"]["points"][:3].transpose(2, 1, 0).reshape(40, 2, 17, 3)
    for person in range(2):
        there = result.valid[person]
        expected = 1000 * in_view(result, person) @ view_axes(UP["z"])
        np.testing.assert_allclose(found[there, person], expected[there], atol=2e-3)
        assert np.isnan(found[~there, person]).all()
    residual = file["data"]["meta_points"]["residuals"][0].reshape(2, 17, 40)
    np.testing.assert_array_equal(residual[1, 0] < 0, ~result.valid[1])
    about = file["parameters"]["ACTIONPOSE"]
    assert about["AXES"]["value"] == [UP["z"]] and about["SCALE"]["value"] == ["made up"]


def test_a_single_frame_and_one_person_have_plain_names(tmp_path):
    ezc3d = pytest.importorskip("ezc3d")
    one = made_up(frames=1)
    for suffix in ("bvh", "trc", "c3d", "glb"):
        assert one.save(tmp_path / f"a.{suffix}") == [tmp_path / f"a.{suffix}"]
    file = ezc3d.c3d(str(tmp_path / "a.c3d"))
    assert file["parameters"]["POINT"]["LABELS"]["value"][0] == "Hip"
    assert file["data"]["points"].shape == (4, 17, 1)


# ---------------------------------------------------------------- GLB


class Glb:
    """A reader of its own: the JSON and arrays of a GLB, by the letter of the format."""

    def __init__(self, path: Path):
        gltf = pytest.importorskip("pygltflib").GLTF2().load(str(path))
        self.json = json.loads(gltf.to_json())
        self.blob = gltf.binary_blob()

    def array(self, number: int) -> np.ndarray:
        accessor = self.json["accessors"][number]
        kinds = {5126: "<f4", 5125: "<u4", 5121: "u1"}
        widths = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
        view = self.json["bufferViews"][accessor["bufferView"]]
        kind, width = np.dtype(kinds[accessor["componentType"]]), widths[accessor["type"]]
        count = accessor["count"] * width
        start = view.get("byteOffset", 0)
        assert start % 4 == 0 and view["byteLength"] == count * kind.itemsize
        found = np.frombuffer(self.blob, kind, count, start).reshape(-1, width)
        np.testing.assert_allclose(found.min(axis=0), accessor["min"], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(found.max(axis=0), accessor["max"], rtol=1e-6, atol=1e-9)
        return found

    def channels(self) -> dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]]:
        (animation,) = self.json["animations"]
        found = {}
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            times, values = self.array(sampler["input"])[:, 0], self.array(sampler["output"])
            key = (channel["target"]["node"], channel["target"]["path"])
            found[key] = (times, values, sampler["interpolation"])
        return found


def world_places(glb: Glb, frame: int) -> dict[int, np.ndarray]:
    """Where the nodes are at a frame, walking down the tree with matrices."""
    from scipy.spatial.transform import Rotation

    channels, nodes = glb.channels(), glb.json["nodes"]
    places = {}

    def walk(number: int, above: np.ndarray) -> None:
        own = np.eye(4)
        own[:3, 3] = nodes[number].get("translation", [0, 0, 0])
        if (number, "translation") in channels:
            own[:3, 3] = channels[number, "translation"][1][frame]
        if (number, "rotation") in channels:
            own[:3, :3] = Rotation.from_quat(channels[number, "rotation"][1][frame]).as_matrix()
        places[number] = (above @ own)[:3, 3]
        for child in nodes[number].get("children") or []:
            walk(child, above @ own)

    for number in glb.json["scenes"][0]["nodes"]:
        walk(number, np.eye(4))
    return places


def test_glb_equals_the_result_in_meters_and_seconds(tmp_path):
    result = rigid_bones(made_up(2))
    time_s = np.sort(result.time_s + np.random.default_rng(0).uniform(0, 0.02, 40)) + 1
    result.valid[1, 30:] = False
    result = replace(result, time_s=time_s)
    result.save(tmp_path / "a.glb")
    glb = Glb(tmp_path / "a.glb")
    names = [node["name"] for node in glb.json["nodes"]]
    for person, prefix in ((0, ""), (1, "id8_")):
        hips = names.index(prefix + "Hips")
        times, _, _ = glb.channels()[hips, "translation"]
        np.testing.assert_allclose(times, time_s - time_s[0], atol=1e-6)
        for frame in (0, 11, 29):
            places = world_places(glb, frame)
            for name, joint in zip(rig.NAMES, rig.JOINTS, strict=True):
                found = places[names.index(prefix + name)]
                expected = in_view(result, person)[frame, joint]
                np.testing.assert_allclose(found, expected, atol=2e-5)
    _, scale, kind = glb.channels()[names.index("id8_Hips"), "scale"]
    assert kind == "STEP"
    np.testing.assert_array_equal(scale[:, 0] > 0, result.valid[1])
    assert (0, "scale") not in glb.channels()
    about = glb.json["asset"]["extras"]
    assert about["track_id"] == [3, 8] and about["scale_source"] == "made up"


def test_the_figure_of_a_glb_is_a_closed_body_on_the_rig(rigid, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    rigid.save(tmp_path / "a.glb")
    scene = trimesh.load(tmp_path / "a.glb")
    (mesh,) = scene.geometry.values()
    assert np.isfinite(mesh.vertices).all() and len(mesh.faces) > 1000
    fitted = rig.fit(rigid, 0, even=False)
    rest = rig.node_positions(replace(fitted, turns=np.tile([0.0, 0, 0, 1], (1, 23, 1))))[0]
    rest -= fitted.root_m[0]
    np.testing.assert_allclose(mesh.bounds[:, 0], [rest[:, 0].min(), rest[:, 0].max()], atol=0.1)
    np.testing.assert_allclose(mesh.bounds[:, 1], [rest[:, 1].min(), rest[:, 1].max()], atol=0.1)
    glb = Glb(tmp_path / "a.glb")
    (primitive,) = glb.json["meshes"][0]["primitives"]
    points, normals = (glb.array(primitive["attributes"][name]) for name in ("POSITION", "NORMAL"))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    # outward: normals agree with the turn of the triangles
    faces = glb.array(primitive["indices"]).reshape(-1, 3)
    first, second, third = points[faces].swapaxes(0, 1)
    turn = np.cross(second - first, third - first)
    is_real = np.linalg.norm(turn, axis=1) > 1e-9  # the poles of balls are points
    assert ((turn * normals[faces].mean(axis=1)).sum(axis=1)[is_real] > 0).all()
    (skin,) = glb.json["skins"]
    inverse = glb.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4)
    np.testing.assert_allclose(-inverse[:, 3, :3], rest, atol=1e-6)


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize("suffix", ["bvh", "trc", "c3d", "glb"])
def test_nobody_to_write_is_said(tmp_path, suffix):
    nobody = made_up(valid=np.zeros((1, 40), bool))
    with pytest.raises(UserError, match="nothing to write: person 3 has no valid frame"):
        nobody.save(tmp_path / f"a.{suffix}")
    empty = Result(
        pose_m=np.zeros((0, 4, 17, 3)),
        keypoints_px=np.zeros((0, 4, 17, 3)),
        valid=np.zeros((0, 4), bool),
        track_id=np.zeros(0),
        time_s=np.arange(4) / 30,
        header=nobody.header,
    )
    with pytest.raises(UserError, match="the result has no person"):
        empty.save(tmp_path / f"a.{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["bvh", "trc", "c3d", "glb"])
def test_the_same_result_gives_the_same_bytes(result, tmp_path, suffix):
    contents = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        result.save(tmp_path / folder / f"a.{suffix}")
        contents.append((tmp_path / folder / f"a.{suffix}").read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize(("suffix", "module"), [("c3d", "ezc3d"), ("glb", "pygltflib")])
def test_a_missing_package_is_named(result, tmp_path, monkeypatch, suffix, module):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(UserError, match=rf"need {module}: pip install 'actionpose\[export\]'"):
        result.save(tmp_path / f"a.{suffix}")


def test_other_skeletons_are_refused(tmp_path):
    other = Result(
        pose_m=np.zeros((1, 2, 26, 3)),
        keypoints_px=np.ones((1, 2, 26, 3)),
        valid=np.ones((1, 2), bool),
        track_id=[0],
        time_s=[0, 0.1],
        header={**made_up().header, "skeleton": "halpe26"},
    )
    for suffix in ("bvh", "trc", "c3d", "glb"):
        with pytest.raises(UserError, match="needs the skeleton h36m17, not halpe26"):
            other.save(tmp_path / f"a.{suffix}")
