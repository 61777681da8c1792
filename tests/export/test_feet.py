"""Feet in files of other tools, read back by other programs."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.results import people_with_feet

from actionpose.export.markers import PLACED
from actionpose.postprocessing.bone_lengths import fix_bone_lengths
from actionpose.postprocessing.common import positions
from actionpose.postprocessing.skeleton_fit import TREES
from actionpose.result import Result
from actionpose.skeletons import H36M17_FEET

TREE = TREES["h36m17_feet"]


@pytest.fixture(scope="module")
def feet() -> Result:
    return fix_bone_lengths(people_with_feet())


def test_bvh_has_the_feet(feet: Result, tmp_path: Path) -> None:
    bvhio = pytest.importorskip("bvhio")
    feet.save(tmp_path / "a.bvh", raw=True)
    root = bvhio.readAsHierarchy(str(tmp_path / "a.bvh"))
    for frame in (0, 17, 39):
        root.loadPose(frame)
        for name in ("LeftFoot", "LeftToeBase", "LeftToeEnd", "RightToeBase", "RightToeEnd"):
            (node,) = (found for found in root.filter(name) if found.Name == name)
            joint = TREE.joints[TREE.names.index(name)]
            np.testing.assert_allclose(
                np.array(node.PositionWorld) / 100, positions(feet)[0, frame, joint], atol=5e-6
            )


def test_bvh_channels_give_the_ankle_bend(feet: Result, tmp_path: Path) -> None:
    """Read here without a library: the bend of the ankle, from offsets and channels alone."""
    from scipy.spatial.transform import Rotation

    feet.save(tmp_path / "a.bvh", raw=True)
    header, motion = (tmp_path / "a.bvh").read_text().split("MOTION\n")
    names, offsets = [], {}
    for line in header.splitlines():
        words = line.split()
        if words[:1] in (["ROOT"], ["JOINT"]):
            names.append(words[1])
        elif words[:1] == ["OFFSET"] and names[-1] not in offsets:
            offsets[names[-1]] = np.array(words[1:], dtype=float)
    assert tuple(names) == TREE.names
    rows = np.array([line.split() for line in motion.splitlines()[2:]], dtype=float)
    angles = rows[:, 3:].reshape(40, len(names), 3)
    turn = Rotation.from_euler("ZXY", angles[:, names.index("LeftFoot")], degrees=True)
    foot, shin = turn.apply(offsets["LeftToeBase"]), offsets["LeftFoot"]
    bend = np.degrees(np.arccos(foot @ shin / np.linalg.norm(shin) / np.linalg.norm(foot, axis=1)))
    knee, ankle, base = (
        positions(feet)[0][:, H36M17_FEET.joints.index(f"left_{part}")]
        for part in ("knee", "ankle", "toe_base")
    )
    cosine = ((ankle - knee) * (base - ankle)).sum(-1)
    cosine /= np.linalg.norm(ankle - knee, axis=-1) * np.linalg.norm(base - ankle, axis=-1)
    np.testing.assert_allclose(bend, np.degrees(np.arccos(cosine)), atol=0.01)


def test_glb_has_nodes_and_skin_of_the_feet(feet: Result, tmp_path: Path) -> None:
    pygltflib = pytest.importorskip("pygltflib")
    feet.save(tmp_path / "a.glb")
    document = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    names = [node.name for node in document.nodes]
    assert set(TREE.names) <= set(names) and len(document.skins[0].joints) == len(TREE.names)
    ankle = document.nodes[names.index("LeftFoot")]
    assert [names[child] for child in ankle.children] == ["LeftToeBase"]
    animated = {channel.target.node for channel in document.animations[0].channels}
    assert names.index("LeftFoot") in animated and names.index("LeftToeBase") in animated


def test_trc_and_c3d_name_measured_and_placed_markers(feet: Result, tmp_path: Path) -> None:
    pandas, ezc3d = pytest.importorskip("pandas"), pytest.importorskip("ezc3d")
    feet.save(tmp_path / "a.trc")
    feet.save(tmp_path / "a.c3d")
    names = [name for name in (tmp_path / "a.trc").read_text().splitlines()[3].split("\t") if name]
    names = names[2:]
    assert names[17:21] == ["LToeBase", "LToe", "RToeBase", "RToe"]
    assert tuple(names[21:]) == PLACED
    assert PLACED == ("LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel")
    table = pandas.read_csv(tmp_path / "a.trc", sep="\t", skiprows=6, header=None)
    markers = table.iloc[:, 2:].to_numpy().reshape(40, 27, 3)
    np.testing.assert_allclose(markers[:, :21], positions(feet)[0], atol=1e-6)
    at = dict(zip(names, markers.swapaxes(0, 1), strict=True))
    foot = np.linalg.norm(at["LToe"] - at["LHeel"], axis=-1)
    assert ((foot > 0.2) & (foot < 0.3)).all()
    # the heel is behind the ankle, the big toes are nearer to each other than the small ones
    ahead = at["LToeBase"] - at["LAnkle"]
    assert (((at["LHeel"] - at["LAnkle"]) * ahead).sum(-1) < 0).all()
    file = ezc3d.c3d(str(tmp_path / "a.c3d"))
    point = file["parameters"]["POINT"]
    assert point["LABELS"]["value"] == names
    about = dict(zip(names, point["DESCRIPTIONS"]["value"], strict=True))
    assert about["LHeel"] == "placed, LHeel" and about["LToe"] == "joint center, LToe"
    c3d = file["data"]["points"][:3].transpose(2, 1, 0)[..., [0, 2, 1]] * [0.001, 0.001, -0.001]
    np.testing.assert_allclose(c3d, markers, atol=1e-5)


def test_csv_json_and_npz_have_twenty_one_joints(feet: Result, tmp_path: Path) -> None:
    for suffix in ("csv", "json", "npz"):
        feet.save(tmp_path / f"a.{suffix}")
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40 * 21
    toe = next(row for row in rows if row["frame"] == "7" and row["joint"] == "right_toe")
    found = [float(toe[f"{axis}_m"]) for axis in "xyz"]
    np.testing.assert_allclose(found, feet.pose_m[0, 7, 20], atol=6e-5)
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["joints"] == list(H36M17_FEET.joints)
    assert document["parents"][17:] == [
        "left_ankle",
        "left_toe_base",
        "right_ankle",
        "right_toe_base",
    ]
    np.testing.assert_array_equal(Result.load(tmp_path / "a.npz").pose_m, feet.pose_m)


def test_page_shows_the_feet(feet: Result, tmp_path: Path) -> None:
    feet.save(tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    data = json.loads(found)
    assert data["joints"][17:] == list(H36M17_FEET.joints[17:])
    assert [17, 6] in data["bones"] and [20, 19] in data["bones"]
