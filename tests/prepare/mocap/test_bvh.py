"""Mocap files: the readers against independent ones, and their rates."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.mocap_files import SMALL, Bone, body_amc, body_asf, bones, bvh, z_up
from scipy.spatial.transform import Rotation

from actionpose.prepare.mocap import tree
from actionpose.prepare.mocap.asfamc import read_amc, read_asf
from actionpose.prepare.mocap.bvh import read_bvh
from actionpose.prepare.mocap.common import resample
from actionpose.prepare.mocap.joint_map import load_joint_map
from actionpose.prepare.mocap.tree import axis_rotation, forward_kinematics
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # how it imports PyGLM is to be deprecated
    import bvhio

FREE = {"spine", "nose", "head"}  # whose place is a choice
COMPARED = [joint for joint in H36M17.joints if joint not in FREE | {"pelvis"}]


def places(path: Path) -> dict[str, np.ndarray]:
    """Where each joint of a BVH is, (T, 3), by our reader."""
    file = read_bvh(path)
    values = np.concatenate(list(file.blocks()))
    placed = forward_kinematics(file.tree, values, range(len(file.tree.joints)))
    return {file.tree.joints[i].name: origin for i, (origin, _) in placed.items()}


# BVH


def random_bvh(seed: int) -> tuple[Bone, np.ndarray]:
    """A tree of seven joints whose channels come in random orders, some with positions."""
    random = np.random.default_rng(seed)

    def channels(first: bool) -> str:
        turns = [f"{axis}rotation" for axis in random.permutation(list("XYZ"))]
        moves = [f"{axis}position" for axis in random.permutation(list("XYZ"))]
        kept = moves[: 3 if first else int(random.integers(0, 4))]
        return " ".join(random.permutation([*kept, *turns])) if seed % 2 else " ".join(kept + turns)

    def bone(name: str, first: bool = False) -> Bone:
        return Bone(name, tuple(random.normal(0, 1, 3)), channels(first))

    root, end = bone("root", first=True), (0.0, 1.0, 0.0)
    root.children = [bone("a"), bone("b")]
    root.children[0].children = [bone("c")]
    root.children[0].children[0].children = [bone("d"), bone("e")]
    root.children[1].children = [bone("f")]
    for leaf in bones(root):
        leaf.end = None if leaf.children else end
    count = sum(len(each.channels.split()) for each in bones(root))
    return root, random.uniform(-170, 170, (4, count))


@pytest.mark.parametrize("seed", range(6))
def test_bvh_agrees_with_bvhio(tmp_path: Path, seed: int) -> None:
    """Any order of channels, positions on any joint; bvhio computes in float32."""
    path = tmp_path / "x.bvh"
    path.write_text(bvh(*random_bvh(seed)))
    ours = places(path)
    theirs = bvhio.readAsHierarchy(str(path))
    for frame in range(4):
        theirs.loadPose(frame)
        for joint, _, _ in theirs.layout():
            expected = np.array(list(joint.PositionWorld))
            np.testing.assert_allclose(ours[joint.Name][frame], expected, atol=2e-3, rtol=1e-5)


def test_blocks_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, _ = random_bvh(1)
    values = np.random.default_rng(0).normal(0, 9, (11, 7 * 6))
    values = values[:, : sum(len(each.channels.split()) for each in bones(root))]
    path, amc = tmp_path / "x.bvh", tmp_path / "x.amc"
    path.write_text(bvh(root, values))
    body_asf(tmp_path / "x.asf")
    body_amc(amc, frames=11)
    skeleton = read_asf(tmp_path / "x.asf")
    whole = next(read_amc(amc, skeleton, 120.0).blocks())
    for size in (1, 4, 11, 12):
        monkeypatch.setattr(tree, "BLOCK_FRAMES", size)
        blocks = list(read_bvh(path).blocks())
        assert max(map(len, blocks)) == min(size, 11)
        np.testing.assert_allclose(np.concatenate(blocks), values, atol=1e-5)
        np.testing.assert_array_equal(
            np.concatenate(list(read_amc(amc, skeleton, 120.0).blocks())), whole
        )


def test_bvh_dialects(tmp_path: Path) -> None:
    """Line ends, tabs, braces on a line, a byte order mark, spaces in names, lower case, blanks."""
    root, values = random_bvh(0)
    root.children[0].name = "mixamorig:Left Leg"
    plain = bvh(root, values)
    path = tmp_path / "x.bvh"
    path.write_text(plain)
    expected = places(path)
    assert "mixamorig:Left Leg" in expected
    head, motion = plain.split("MOTION")
    cuddled = head.replace("\n{", " {").replace("\n\t{", " {").replace("\n\t\t{", "\t{")
    dialects = [
        plain.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + plain.encode(),
        (cuddled + "MOTION" + motion).encode(),
        (head + "\n\nMOTION\n" + motion + "\n \n\n").encode(),
        (head.replace("OFFSET", "offset").replace("rotation", "ROTATION") + "MOTION" + motion)
        .replace("Frames: ", "Frames:\t")
        .encode(),
        (head + "MOTION" + motion.replace("\n", " \n")).encode(),
    ]
    for dialect in dialects:
        path.write_bytes(dialect)
        found = places(path)
        assert found.keys() == expected.keys()
        for name, origin in found.items():
            np.testing.assert_array_equal(origin, expected[name])


@pytest.mark.parametrize(
    ("written", "fps"),
    [(".0083333", 120), ("0.008333", 120), ("0.0333333", 30), ("0.0333667", 29.97), ("0.04", 25)]
    + [("0.016667", 60), ("1.0", 1)],
)
def test_rate(tmp_path: Path, written: str, fps: float) -> None:
    path = tmp_path / "x.bvh"
    path.write_text(bvh(*random_bvh(0), frame_time=written))
    assert read_bvh(path).fps == pytest.approx(fps, rel=1e-5)
    if fps in (120, 30, 25, 60):
        assert read_bvh(path).fps == fps


BROKEN = {
    "is no BVH: line 1 is not HIERARCHY": ("HIERARCHY", "Content-Type: text/html"),
    "line 8: a brace closes that was not opened": ("  {\n    OFFSET 0 1 0", "  }\n } }\n{"),
    "line 4: it has 2 numbers, not 3": ("OFFSET 0 0 0", "OFFSET 0 0"),
    "line 4: could not convert string to float: '0,0'": ("OFFSET 0 0 0", "OFFSET 0,0 0 0"),
    "line 4: a number is not finite": ("OFFSET 0 0 0", "OFFSET nan 0 0"),
    "line 5: 'CHANNELS 4 .*' does not name as many": ("CHANNELS 3", "CHANNELS 4"),
    "line 9: no channel is called 'Wrotation'": ("1 Xrotation", "1 Wrotation"),
    "line 6: a second joint is called 'hips'": ("JOINT knee", "JOINT hips"),
    "line 2: 'JOINT hips' is in the wrong place": ("ROOT hips", "JOINT hips"),
    "line 6: 'ROOT knee' is in the wrong place": ("JOINT knee", "ROOT knee"),
    "line 16: MOTION comes before the hierarchy is complete": ("  }\n}\nMOTION", "  }\n\nMOTION"),
    "ends in its hierarchy, at line 15": (SMALL[SMALL.index("MOTION") :], ""),
    "line 6: 'JIONT knee' is no part of a hierarchy": ("JOINT knee", "JIONT knee"),
    "line 17: 'Frames:' is missing": ("Frames: 2\n", "Frame: 2\n"),
    "line 17: could not convert string to float: ' two'": ("Frames: 2", "Frames: two"),
    "it has 0 frames": ("Frames: 2", "Frames: 0"),
    "line 18: a frame cannot last 0 s": ("Time: 0.1", "Time: 0"),
    "line 20: it has 3 numbers, not 4": ("5 6 7 8", "5 6 7"),
    "line 20: it has 5 numbers, not 4": ("5 6 7 8", "5 6 7 8 9"),
    "line 19: could not convert string to float: '2,5'": ("1 2 3 4", "1 2,5 3 4"),
    "line 20: a number is not finite": ("5 6 7 8", "5 6 nan 8"),
    "has 2 frames up to line 20, but claims 3": ("Frames: 2", "Frames: 3"),
    "has 2 frames up to line 20, but claims 1": ("Frames: 2", "Frames: 1"),
}


@pytest.mark.parametrize("message", BROKEN)
def test_broken_bvh(tmp_path: Path, message: str) -> None:
    path = tmp_path / "x.bvh"
    path.write_text(SMALL)
    assert np.concatenate(list(read_bvh(path).blocks())).shape == (2, 4)
    path.write_text(SMALL.replace(*BROKEN[message], 1))
    with pytest.raises(UserError, match=message):
        list(read_bvh(path).blocks())


def test_bvh_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read .*none.bvh: No such file"):
        read_bvh(tmp_path / "none.bvh")
    (tmp_path / "x.bvh").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(UserError, match="is no BVH"):
        read_bvh(tmp_path / "x.bvh")


# ASF and AMC

ASF = """:version 1.10
:units
  length 1.0
  angle deg
:root
  order RX RY RZ TX TY TZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    name thigh
    direction 0 -2 0
    length 3
    axis 0 0 90 XYZ
    dof rx rz
    limits (-1 1)
           (-1 1)
  end
  begin
    name shin
    direction 0 -1 0
    length 2
    axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root thigh
    thigh shin
  end
"""
AMC = """# a comment
:FULLY-SPECIFIED
:DEGREES
1
root 0 0 0 1 2 3
thigh 0 0
2
root 0 90 0 1 2 3
thigh 90 0
"""


def asf_places(folder: Path, asf: str = ASF, amc: str = AMC) -> dict[str, np.ndarray]:
    """Where the bones end, (T, 3)."""
    (folder / "x.asf").write_text(asf)
    (folder / "x.amc").write_text(amc)
    file = read_amc(folder / "x.amc", read_asf(folder / "x.asf"), 120.0)
    joints = file.tree.joints
    placed = forward_kinematics(file.tree, np.concatenate(list(file.blocks())), range(len(joints)))
    return {
        joints[i].name: origin + axes @ np.array(joints[i].end or (0, 0, 0))
        for i, (origin, axes) in placed.items()
    }


def test_asf_by_hand(tmp_path: Path) -> None:
    """The thigh's own x is the world's y. In frame 2 it turns by 90 degrees about it: no change of
    a bone along y. Then the root turns by 90 degrees about y. Limits of 1 degree do not matter.
    """
    found = asf_places(tmp_path)
    np.testing.assert_allclose(found["root"], [[1, 2, 3], [1, 2, 3]], atol=1e-12)
    np.testing.assert_allclose(found["thigh"], [[1, -1, 3], [1, -1, 3]], atol=1e-12)
    np.testing.assert_allclose(found["shin"], [[1, -3, 3], [1, -3, 3]], atol=1e-12)
    bent = asf_places(tmp_path, amc=AMC.replace("thigh 90 0", "thigh 0 90"))
    # about its z, the world's z: down becomes +x, which the root then turns to -z
    np.testing.assert_allclose(bent["thigh"][1], [1, 2, 0], atol=1e-12)
    np.testing.assert_allclose(bent["shin"][1], [1, 2, -2], atol=1e-12)
    first = asf_places(tmp_path, amc=AMC.replace("thigh 90 0", "thigh 90 90"))
    # x first, as listed: turning about its own bone's axis before the bend changes nothing
    np.testing.assert_allclose(first["shin"][1], [1, 2, -2], atol=1e-12)


def test_units_of_angles(tmp_path: Path) -> None:
    """The motion's flag counts for the motion, the skeleton's unit for its axes."""
    turned = AMC.replace("thigh 90 0", "thigh 20 70").replace("root 0 90 0", "root 10 90 30")
    expected = asf_places(tmp_path, amc=turned)
    pi = np.pi
    radians = ASF.replace("angle deg", "angle rad").replace("0 0 90", f"0 0 {pi / 2}")
    in_radians = turned.replace("DEGREES", "RADIANS")
    for degrees in (10, 20, 30, 70, 90):
        in_radians = in_radians.replace(f" {degrees}", f" {np.radians(degrees):.12f}")
    same = [
        asf_places(tmp_path, radians, turned),
        asf_places(tmp_path, ASF, in_radians),
        asf_places(tmp_path, radians, in_radians.replace(":RADIANS\n", "")),
    ]
    for found in same:
        for name, end in found.items():
            np.testing.assert_allclose(end, expected[name], atol=1e-9)


@pytest.mark.parametrize("angle", ["deg", "rad"])
def test_asf_of_a_body(tmp_path: Path, angle: str) -> None:
    """Against SciPy's rotations; the file has CMU's line ends, letters and unit."""
    body_asf(tmp_path / "x.asf", angle=angle)
    flag = "DEGREES" if angle == "deg" else "RADIANS"
    truth = body_amc(tmp_path / "x.amc", angle=flag)
    file = read_amc(tmp_path / "x.amc", read_asf(tmp_path / "x.asf"), 120.0)
    joints_m = load_joint_map("cmu_asf").read(file)
    start = z_up((truth["left_hip"][0] + truth["right_hip"][0]) / 2) * (1, 1, 0)
    for joint in [*COMPARED, "spine"]:
        expected = z_up(truth[joint]) - start
        found = joints_m[:, H36M17.joints.index(joint)]
        np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=joint)
    np.testing.assert_array_equal(joints_m[0, 0, :2], 0)


def test_bone_without_values_stays_at_rest(tmp_path: Path) -> None:
    without = "\n".join(line for line in AMC.splitlines() if not line.startswith("thigh")) + "\n"
    found = asf_places(tmp_path, amc=without)
    np.testing.assert_allclose(found["shin"], [[1, -3, 3], [1, -3, 3]], atol=1e-12)


BROKEN_AMC = {
    "x.amc, line 6: it has 1 numbers, not 2": ("thigh 0 0", "thigh 0"),
    "x.amc, line 6: .*could not convert string to float: '-1.#IND'": (
        "thigh 0 0",
        "thigh 0 -1.#IND",
    ),
    "x.amc, line 6: a number is not finite": ("thigh 0 0", "thigh 0 inf"),
    "line 6: 'tail' is not a moving bone of x.asf": ("thigh 0 0", "tail 0 0"),
    "line 6: 'shin' is not a moving bone": ("thigh 0 0", "shin 0 0"),
    "line 6: 'root' is not .*comes twice": ("thigh 0 0", "root 0 0 0 0 0 0"),
    "line 7: frame 3 follows frame 1": ("\n2\n", "\n3\n"),
    "line 8: frame 2 does not have the bones of the first: thigh": ("thigh 90 0\n", ""),
    "line 4: 'root' is not .*before the first frame": ("1\nroot 0 0 0 1", "root 0 0 0 1"),
    "x.amc has no frame": (AMC, "\n# empty\n"),
}


@pytest.mark.parametrize("message", BROKEN_AMC)
def test_broken_amc(tmp_path: Path, message: str) -> None:
    assert BROKEN_AMC[message][0] in AMC
    with pytest.raises(UserError, match=message):
        asf_places(tmp_path, amc=AMC.replace(*BROKEN_AMC[message], 1))


BROKEN_ASF = {
    "is no ASF: it has no section bonedata": (":bonedata", ":bones"),
    "its unit of length is 0": ("length 1.0", "length 0"),
    "line 6: the root cannot have the order": ("RX RY", "RX RW"),
    "line 9: a root that is turned at rest is not supported": (
        "orientation 0 0",
        "orientation 0 9",
    ),
    "line 13: it has 2 numbers, not 3": ("0 -2 0", "0 -2"),
    "line 15: 'XY' is no order of axes": ("90 XYZ", "90 XY"),
    "line 16: of degrees of freedom, only rx, ry, rz": ("dof rx rz", "dof rx l"),
    "line 19: bone thigh has a length but no direction": ("0 -2 0", "0 0 0"),
    "line 25: a bone ends that has no name": ("name shin", "name thigh"),
    "line 29: foot is no bone": ("thigh shin", "thigh foot"),
    "line 29: thigh is no bone, or has two parents": ("thigh shin", "shin thigh"),
    "no bone is connected to the root": ("root thigh", "hips thigh"),
}


@pytest.mark.parametrize("message", BROKEN_ASF)
def test_broken_asf(tmp_path: Path, message: str) -> None:
    assert BROKEN_ASF[message][0] in ASF
    with pytest.raises(UserError, match=message):
        asf_places(tmp_path, asf=ASF.replace(*BROKEN_ASF[message], 1))


def test_hierarchy_in_any_order(tmp_path: Path) -> None:
    swapped = ASF.replace("    root thigh\n    thigh shin\n", "    thigh shin\n    root thigh\n")
    assert swapped != ASF
    for name, end in asf_places(tmp_path, swapped).items():
        np.testing.assert_array_equal(end, asf_places(tmp_path)[name])


def test_elementary_turns() -> None:
    angles = np.array([-200.0, -30, 0, 90, 400])
    for axis, name in enumerate("xyz"):
        expected = Rotation.from_euler(name, angles[:, None], degrees=True).as_matrix()
        np.testing.assert_allclose(axis_rotation(axis, angles), expected, atol=1e-12)


# time


@pytest.mark.parametrize("step", [1, 2, 4, 8])
def test_whole_steps_take_frames_as_they_are(step: int) -> None:
    joints = np.random.default_rng(0).normal(0, 1, (41, 17, 3))
    made = resample(joints, 30.0 * step)
    np.testing.assert_array_equal(made, joints[::step].astype(np.float32))


@pytest.mark.parametrize("fps", [24.0, 25.0, 29.97, 50.0, 100.0, 119.88, 250.0])
@pytest.mark.parametrize("frames", [1, 2, 60])
def test_other_rates_are_resampled_by_time(fps: float, frames: int) -> None:
    joints = np.random.default_rng(0).normal(0, 1, (frames, 17, 3))
    made = resample(joints, fps)
    times = np.arange(len(made)) / 30
    duration = (frames - 1) / fps
    assert times[-1] <= duration + 1e-6 < times[-1] + 1 / 30 + 1e-6
    own = np.arange(frames) / fps
    for joint in (0, 16):
        expected = np.interp(times, own, joints[:, joint, 1])
        np.testing.assert_allclose(made[:, joint, 1], expected, atol=1e-5)
