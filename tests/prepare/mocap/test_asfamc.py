"""ASF and AMC files by hand and against SciPy, and their defects."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.mocap_files import body_amc, body_asf, z_up

from actionpose.prepare.mocap.asfamc import read_amc, read_asf
from actionpose.prepare.mocap.joint_map import load_joint_map
from actionpose.prepare.mocap.tree import forward_kinematics
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # how it imports PyGLM is to be deprecated


FREE = {"spine", "nose", "head"}  # whose place is a choice


COMPARED = [joint for joint in H36M17.joints if joint not in FREE | {"pelvis"}]


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


def test_forward_kinematics_by_hand(tmp_path: Path) -> None:
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


def test_read_amc_units_of_angles(tmp_path: Path) -> None:
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
def test_read_amc_agrees_with_scipy(tmp_path: Path, angle: str) -> None:
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


def test_read_amc_bone_without_values_stays_at_rest(tmp_path: Path) -> None:
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
def test_read_amc_names_the_line(tmp_path: Path, message: str) -> None:
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
def test_read_asf_names_the_line(tmp_path: Path, message: str) -> None:
    assert BROKEN_ASF[message][0] in ASF
    with pytest.raises(UserError, match=message):
        asf_places(tmp_path, asf=ASF.replace(*BROKEN_ASF[message], 1))


def test_read_asf_hierarchy_in_any_order(tmp_path: Path) -> None:
    swapped = ASF.replace("    root thigh\n    thigh shin\n", "    thigh shin\n    root thigh\n")
    assert swapped != ASF
    for name, end in asf_places(tmp_path, swapped).items():
        np.testing.assert_array_equal(end, asf_places(tmp_path)[name])
