"""Joint maps: where the 17 joints are in a motion capture file."""

from pathlib import Path

import numpy as np
import pytest
from helpers.mocap_files import NAMES, body_bvh, z_up

from actionpose.prepare.mocap.bvh import read_bvh
from actionpose.prepare.mocap.joint_map import (
    load_joint_map,
    parse_joint_map,
    shipped,
    shipped_text,
)
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

FREE = {"spine", "nose", "head"}  # whose place is a choice
COMPARED = [joint for joint in H36M17.joints if joint not in FREE | {"pelvis"}]


def test_shipped_joint_maps_are_complete() -> None:
    assert {"bandai", "cmu_asf", "cmu_bvh", "example", "hdm05", "mixamo"} == set(shipped())
    for name in shipped():
        joint_map = load_joint_map(name)
        assert tuple(joint_map.joints) == H36M17.joints and joint_map.about
        for joint, points in joint_map.joints.items():
            names = " ".join(point.joint for point in points).lower()
            opposite = {"left": "right", "right": "left"}.get(joint.partition("_")[0], "none")
            assert opposite not in names, f"{name}: {joint}"


@pytest.mark.parametrize("name", NAMES)
def test_read_finds_the_body(tmp_path: Path, name: str) -> None:
    """17 joints where they are, up is up, left is left; CMU's dropped bones are put back."""
    unit_m = 0.0564444 if name == "cmu_bvh" else 0.01
    path = tmp_path / "x.bvh"
    truth = body_bvh(name, path, unit_m=unit_m, positions=name == "bandai")
    joints_m = load_joint_map(name).read(read_bvh(path))
    assert joints_m.shape == (9, 17, 3)  # CMU's T-pose is gone
    start = z_up((truth["left_hip"][0] + truth["right_hip"][0]) / 2) * (1, 1, 0)
    for joint in COMPARED:
        found = joints_m[:, H36M17.joints.index(joint)]
        np.testing.assert_allclose(found, z_up(truth[joint]) - start, atol=1e-4, err_msg=joint)


def test_example_strip_and_offsets_hold(tmp_path: Path) -> None:
    """What it says of strip and of offsets holds for a file."""
    text = (tmp_path / "x.bvh", "mixamo")
    body_bvh(text[1], text[0])
    renamed = text[0].read_text().replace("mixamorig:", "character1_")
    text[0].write_text(renamed)
    plain = load_joint_map("example").read(read_bvh(text[0]))
    longer = shipped_text("example").replace("LeftHand: {times: 1.0}", "LeftHand: {times: 2.0}")
    changed = parse_joint_map(longer, "mine").read(read_bvh(text[0]))
    arm = H36M17.indices("left_elbow", "left_wrist")
    lengths = [np.linalg.norm(np.diff(each[:, arm], axis=1), axis=-1) for each in (plain, changed)]
    np.testing.assert_allclose(lengths[1], 2 * lengths[0], rtol=1e-6)


BAD_FILES = {
    "is not YAML": "joints: [",
    "names and values are expected, not None": "",
    "there is no unit; there are about, joints": "unit: 1\njoints: {}",
    "does not locate: pelvis, right_hip": "joints: {}",
    "joints: there is no neck": "joints: {neck: Neck}",
}
BAD_VALUES = {
    "up is y or z, not 'x'": ("\nup: y", "\nup: x"),
    "up is y or z, not ..y..": ("\nup: y", "\nup: [y]"),
    "unit_m is the meters in a unit of the file, not -1": ("unit_m: 0.01", "unit_m: -1"),
    "unit_m is the meters .*'cm'": ("unit_m: 0.01", "unit_m: cm"),
    "skip_frames is a number of frames, not 0.5": ("skip_frames: 0", "skip_frames: 0.5"),
    "strip is no pattern": ("character1[:_]", "character1[:_"),
    "thorax: an empty list names no joint": ("thorax: Neck", "thorax: []"),
    "thorax: names and values are expected, not 7": ("thorax: Neck", "thorax: 7"),
    "thorax: there is no by; there are at, offset_m": ("thorax: Neck", "thorax: {at: Neck, by: 2}"),
    "a point beside a joint is": ("thorax: Neck", "thorax: {at: Neck}"),
    "offset_m is three numbers": ("[0, 0, 0.1]", "[0, 0, up]"),
    "LeftHand: times is a number other than 0": ("{times: 1.0}", "{times: 0}"),
    "LeftHand: there is no like": ("{times: 1.0}", "{like: RightHand}"),
}


@pytest.mark.parametrize("message", [*BAD_FILES, *BAD_VALUES])
def test_parse_joint_map_names_the_wrong_key(message: str) -> None:
    text = BAD_FILES.get(message)
    if text is None:
        assert BAD_VALUES[message][0] in shipped_text("example")
        text = shipped_text("example").replace(*BAD_VALUES[message], 1)
    with pytest.raises(UserError, match=f"joint map mine.*{message}"):
        parse_joint_map(text, "mine")


def test_load_joint_map_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no joint map nobody: .*bandai, cmu_asf"):
        load_joint_map("nobody")
    with pytest.raises(UserError, match="cannot read the joint map"):
        load_joint_map(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="cannot read the joint map"):
        load_joint_map(tmp_path / "x.yaml")


def test_read_refuses_a_file_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "x.bvh"
    body_bvh("mixamo", path)
    with pytest.raises(
        UserError, match="x.bvh does not fit the joint map bandai: it has no Foot_L, Foot"
    ):
        load_joint_map("bandai").read(read_bvh(path))
    body_bvh("mixamo", path, unit_m=1.0)
    with pytest.raises(
        UserError, match="the legs are 0.0082. m long by the joint map mixamo; set its unit"
    ):
        load_joint_map("mixamo").read(read_bvh(path))
    body_bvh("cmu_bvh", path, unit_m=0.0564444, frames=1)
    longer = shipped_text("cmu_bvh").replace("skip_frames: 1 ", "skip_frames: 2 ")
    with pytest.raises(UserError, match="has no frame after the 2 skipped"):
        parse_joint_map(longer, "mine").read(read_bvh(path))
    body_bvh("cmu_bvh", path, unit_m=0.0564444, positions=True)
    with pytest.raises(UserError, match="changes the offset of Neck, but position channels"):
        load_joint_map("cmu_bvh").read(read_bvh(path))
    without = shipped_text("mixamo").replace("unit_m: 0.01\n", "")
    body_bvh("mixamo", path)
    with pytest.raises(UserError, match="x.bvh has no unit: the joint map mine needs unit_m"):
        parse_joint_map(without, "mine").read(read_bvh(path))


def test_read_file_with_z_up(tmp_path: Path) -> None:
    """A file with z up, facing -y, is the same body as one with y up, facing z."""
    path = tmp_path / "x.bvh"
    body_bvh("mixamo", path)
    upright = load_joint_map("mixamo").read(read_bvh(path))
    about_z = parse_joint_map(
        shipped_text("mixamo").replace("unit_m: 0.01", "unit_m: 0.01\nup: z"), "z"
    )
    lying = about_z.read(read_bvh(path))
    # read as if z were up, the person lies on the back with the head to +y
    turned = lying @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]).T
    np.testing.assert_allclose(turned - turned[:1, :1], upright - upright[:1, :1], atol=1e-9)
