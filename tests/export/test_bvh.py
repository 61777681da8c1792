"""BVH files, read by bvhio."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from helpers.results import FOCAL_PX, FPS, Array, lifted_perfectly, made_up_walk, people
from scipy.spatial.transform import Rotation

from actionpose.export.bvh import _zxy_degrees
from actionpose.postprocessing.common import positions
from actionpose.postprocessing.root_trajectory import estimate_trajectory, set_up_axis
from actionpose.postprocessing.skeleton_fit import TREES
from actionpose.result import Result

TREE = TREES["h36m17"]


@pytest.mark.parametrize("up", [None, "z"])
def test_bvh_equals_the_result(fixed: Result, tmp_path: Path, up: Literal["z"] | None) -> None:
    bvhio = pytest.importorskip("bvhio")
    turned = fixed if up is None else set_up_axis(fixed, up)
    assert turned.save(tmp_path / "a.bvh", raw=True) == [tmp_path / "a.bvh"]
    root = bvhio.readAsHierarchy(str(tmp_path / "a.bvh"))
    expected = positions(fixed)[0]
    for frame in (0, 7, 23, 39):
        root.loadPose(frame)
        for name, joint in zip(TREE.names, TREE.joints, strict=True):
            (node,) = (found for found in root.filter(name) if found.Name == name)
            np.testing.assert_allclose(
                np.array(node.PositionWorld) / 100, expected[frame, joint], atol=5e-6
            )
    motion_part = (tmp_path / "a.bvh").read_text().split("MOTION\n")[1].splitlines()
    assert motion_part[0] == "Frames: 40"
    assert float(motion_part[1].split(":")[1]) == pytest.approx(1 / FPS)
    assert len(motion_part) == 42 and len(motion_part[2].split()) == 3 + 3 * len(TREE.names)


def test_bvh_fixes_bone_lengths(rubbery: Result, fixed: Result, tmp_path: Path) -> None:
    for one, name in ((rubbery, "a"), (fixed, "b")):
        one.save(tmp_path / f"{name}.bvh")
    a, b = (
        np.array([row.split() for row in (tmp_path / f"{n}.bvh").read_text().splitlines()[-40:]])
        for n in "ab"
    )
    np.testing.assert_allclose(a.astype(float), b.astype(float), atol=5e-3)  # degrees


def test_zxy_degrees_in_gimbal_lock() -> None:
    wanted = Rotation.from_euler("ZXY", [[20, 90, 0], [10, 90, 35], [0, -90, 5]], degrees=True)
    angles = _zxy_degrees(wanted.as_matrix())
    again = Rotation.from_euler("ZXY", angles, degrees=True)
    assert (again * wanted.inv()).magnitude().max() < 1e-7


def test_bvh_has_a_file_per_person(tmp_path: Path) -> None:
    files = people(2).save(tmp_path / "dance.bvh")
    assert files == [tmp_path / "dance_id3.bvh", tmp_path / "dance_id8.bvh"]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert files[0].read_bytes() != files[1].read_bytes()


def test_bvh_keeps_the_pose_of_filled_absences(fixed: Result, tmp_path: Path) -> None:
    valid = fixed.valid.copy()
    valid[0, 10:14] = False
    filled = replace(fixed, valid=valid, header={**fixed.header, "max_gap_s": 1.0})
    assert filled.present.all()
    fixed.save(tmp_path / "a.bvh", raw=True)
    filled.save(tmp_path / "b.bvh", raw=True)
    assert (tmp_path / "b.bvh").read_text() == (tmp_path / "a.bvh").read_text()


def test_bvh_fills_gaps_and_resamples_uneven_times(fixed: Result, tmp_path: Path) -> None:
    bvhio = pytest.importorskip("bvhio")
    valid = fixed.valid.copy()
    valid[0, 10:14] = False
    pose = fixed.pose_m.copy()
    pose[0, 10:14] = np.nan
    time_s = np.concatenate([np.arange(20), 19.5 + np.arange(20) / 2]) / FPS
    replace(fixed, valid=valid, pose_m=pose, time_s=time_s).save(tmp_path / "a.bvh", raw=True)
    bvh = bvhio.readAsBvh(str(tmp_path / "a.bvh"))
    duration_s = (bvh.FrameCount - 1) * bvh.FrameTime
    assert duration_s == pytest.approx(time_s[-1], abs=1e-4)
    root = bvhio.readAsHierarchy(str(tmp_path / "a.bvh"))
    root.loadPose(0)
    np.testing.assert_allclose(
        np.array(root.PositionWorld) / 100, positions(fixed)[0][0, 0], atol=5e-6
    )


def bvh_positions(path: Path, frames: Iterable[int]) -> Array:
    """(T, N, 3) meters, of the nodes in the order of `TREE`."""
    bvhio = pytest.importorskip("bvhio")
    root = bvhio.readAsHierarchy(str(path))
    nodes = {node.Name: node for node, *_ in root.layout()}
    places = []
    for frame in frames:
        root.loadPose(frame)
        places.append([np.array(nodes[name].PositionWorld) / 100 for name in TREE.names])
    return np.array(places)


@pytest.mark.parametrize("has_path", [True, False])
def test_bvh_stands_on_the_ground(tmp_path: Path, has_path: bool) -> None:
    walk = made_up_walk()
    result, _ = lifted_perfectly(walk, pitch_deg=8)
    if has_path:
        result = estimate_trajectory(result, focal_px=FOCAL_PX)
    result.save(tmp_path / "a.bvh")
    frames = range(0, len(walk), 7)
    places = bvh_positions(tmp_path / "a.bvh", frames)
    lower = places[:, [TREE.names.index("LeftFoot"), TREE.names.index("RightFoot")], 1].min(axis=1)
    stature = np.ptp(walk[..., 2], axis=1).max()
    np.testing.assert_allclose(lower, 0.039 * stature, atol=0.08 if has_path else 0.02)
    moved = np.linalg.norm(np.ptp(places[:, 0, [0, 2]], axis=0))
    walked = np.linalg.norm(np.ptp(walk[frames][:, 0, :2], axis=0))
    assert moved == pytest.approx(walked if has_path else 0, abs=0.15)
    up = places[:, TREE.names.index("Neck")] - places[:, 0]
    assert (up[:, 1] > 0.9 * np.linalg.norm(up, axis=1)).all()
