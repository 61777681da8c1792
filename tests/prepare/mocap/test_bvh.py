"""BVH files against an independent reader, their dialects and defects."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.mocap_files import SMALL, Bone, body_amc, body_asf, bones, bvh

from actionpose.prepare.mocap import tree
from actionpose.prepare.mocap.asfamc import read_amc, read_asf
from actionpose.prepare.mocap.bvh import read_bvh
from actionpose.prepare.mocap.tree import forward_kinematics
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
def test_read_bvh_agrees_with_bvhio(tmp_path: Path, seed: int) -> None:
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


def test_blocks_join_for_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_read_bvh_dialects(tmp_path: Path) -> None:
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
def test_read_bvh_rate(tmp_path: Path, written: str, fps: float) -> None:
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
def test_read_bvh_names_the_line(tmp_path: Path, message: str) -> None:
    path = tmp_path / "x.bvh"
    path.write_text(SMALL)
    assert np.concatenate(list(read_bvh(path).blocks())).shape == (2, 4)
    path.write_text(SMALL.replace(*BROKEN[message], 1))
    with pytest.raises(UserError, match=message):
        list(read_bvh(path).blocks())


def test_read_bvh_refuses_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read .*none.bvh: No such file"):
        read_bvh(tmp_path / "none.bvh")
    (tmp_path / "x.bvh").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(UserError, match="is no BVH"):
        read_bvh(tmp_path / "x.bvh")
