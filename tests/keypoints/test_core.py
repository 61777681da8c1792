"""`Keypoints`: saved, read, and converted to other joints."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.keypoint_writers import body, flat, refused

from actionpose.keypoints import Keypoints
from actionpose.skeletons import COCO17, H36M17, SKELETONS, Skeleton
from actionpose.utils.errors import UserError


@pytest.fixture
def keypoints() -> Keypoints:
    points = np.stack([[body(x, n, 17) for n in range(6)] for x in (50, 600)])
    points[1, 2:4] = 0
    points[0, :, COCO17.joints.index("left_hip")] = 0
    found = Keypoints.from_array(
        points, skeleton="coco17", fps=29.97, image_size=(1280, 720), detector="made"
    )
    return found


def test_from_array(keypoints: Keypoints) -> None:
    assert (keypoints.num_persons, keypoints.num_frames) == (2, 6)
    assert keypoints.valid.tolist() == [[True] * 6, [True, True, False, False, True, True]]
    with pytest.raises(UserError, match="numbers"):
        Keypoints.from_array([[["a"]]], skeleton=None, fps=30)


def test_save_and_read_are_inverse(keypoints: Keypoints, tmp_path: Path) -> None:
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    keypoints.save(first)
    found = Keypoints.read(first)
    for name in ("keypoints_px", "valid", "track_id"):
        before, after = getattr(keypoints, name), getattr(found, name)
        assert before.dtype == after.dtype
        assert before.tobytes() == after.tobytes()
    for name in ("fps", "image_size", "skeleton", "detector", "source", "rate_source"):
        assert getattr(found, name) == getattr(keypoints, name)
    found.save(second)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.npz", "second.npz"]
    with np.load(first, allow_pickle=False) as file:
        header = json.loads(str(file["header"]))
    assert header["skeleton"] == "coco17"
    assert header["format_version"] == 1


def test_save_refuses_other_suffixes_and_missing_folders(
    keypoints: Keypoints, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"\.npz"):
        keypoints.save(tmp_path / "a.json")
    with pytest.raises(UserError, match="folder"):
        keypoints.save(tmp_path / "none" / "a.npz")


def saved_arrays(keypoints: Keypoints, path: Path) -> dict[str, Any]:
    keypoints.save(path)
    with np.load(path) as file:
        return dict(file)


def test_read_of_a_result_leaves_out_frames_that_are_not_valid(
    keypoints: Keypoints, tmp_path: Path
) -> None:
    """A result keeps what the detector said, also where nobody was: that reads as missing."""
    path = tmp_path / "result.npz"
    arrays = saved_arrays(keypoints.to_skeleton(), path)
    arrays["keypoints_px"][1, 2] = 77
    header = {"format_version": 1, "skeleton": "h36m17", "units": "m", "fps": 25.0}
    arrays |= {"header": np.array(json.dumps(header)), "pose_m": np.zeros((2, 6, 17, 3))}
    np.savez(path, **arrays)
    found = Keypoints.read(path)
    assert (found.fps, found.rate_source, found.image_size) == (25, "file", None)
    np.testing.assert_array_equal(found.keypoints_px, keypoints.to_skeleton().keypoints_px)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format_version": 2}, "format 2"),
        ({"skeleton": "dog20"}, "dog20"),
        ({"skeleton": "halpe26"}, "26"),
        ({"fps": -1}, "fps"),
        ({"fps": "fast"}, "fps"),
        ({"image_size": [1]}, "image_size"),
        ({"first_frame": "a"}, "damaged"),
    ],
)
def test_read_refuses_a_faulty_header(
    keypoints: Keypoints, tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    path = tmp_path / "a.npz"
    arrays = saved_arrays(keypoints, path)
    header = json.loads(str(arrays["header"])) | change
    np.savez(path, **arrays | {"header": np.array(json.dumps(header))})
    refused(path, word)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"header": np.array("[]")}, "damaged"),
        ({"header": np.array("{")}, "cut off"),
        ({"valid": np.ones((2, 6))}, "damaged"),
        ({"valid": np.ones((2, 5), dtype=bool)}, "damaged"),
        ({"track_id": np.array([1, 1])}, "twice"),
        ({"track_id": np.array([1.0, 2.0])}, "track_id"),
        ({"keypoints_px": np.full((2, 6, 17, 3), np.nan, dtype=np.float32)}, "nose"),
        ({"keypoints_px": np.full((2, 6, 17, 3), 0.5, dtype=np.float32)}, "normalized"),
        ({"keypoints_px": np.full((2, 6, 17, 3), 7, dtype=np.float32)}, "confidence is 7"),
        ({"keypoints_px": np.zeros((2, 6, 17, 2), dtype=np.float32)}, "(2, 6, 17, 2)"),
    ],
)
def test_read_refuses_faulty_arrays(
    keypoints: Keypoints, tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **saved_arrays(keypoints, path) | change)
    refused(path, word)


def test_read_refuses_numbers_that_leave_nearly_all_frames_empty(tmp_path: Path) -> None:
    rows = [
        {"image_id": frame, "keypoints": flat(body(100, 100, 17)), "category_id": 1}
        for frame in (*range(1, 6), 2_000_000)
    ]
    (tmp_path / "far.json").write_text(json.dumps(rows))
    refused(tmp_path / "far.json", "2000000 frames (1 to 2000000) are too much for memory")


def test_keypoints_refuse_values_of_missing_joints(keypoints: Keypoints) -> None:
    points = keypoints.keypoints_px.copy()
    points[1, 2, 0] = (1, 1, 1)  # that frame is not valid
    with pytest.raises(UserError, match="0, 0, 0"):
        replace(keypoints, keypoints_px=points)


def test_to_skeleton_needs_all_parts_of_a_joint(keypoints: Keypoints) -> None:
    found = keypoints.to_skeleton()
    assert found.skeleton is H36M17
    assert (found.fps, found.detector) == (keypoints.fps, keypoints.detector)
    coco, ours = keypoints.keypoints_px[1, 0], found.keypoints_px[1, 0]
    [left, right, pelvis] = (*COCO17.indices("left_hip", "right_hip"), *H36M17.indices("pelvis"))
    np.testing.assert_allclose(ours[pelvis], (coco[left] + coco[right]) / 2, rtol=1e-6)
    # the first person has no left hip, hence no pelvis and no spine, but a right hip
    unseen = H36M17.indices("left_hip", "pelvis", "spine")
    assert not found.keypoints_px[0, :, unseen].any()
    assert found.keypoints_px[0, :, H36M17.indices("right_hip")].all()
    assert not found.keypoints_px[~found.valid].any()
    assert found.to_skeleton() is found


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=list(SKELETONS))
def test_to_skeleton_from_every_skeleton(skeleton: Skeleton) -> None:
    points = body(10, 10, len(skeleton))[None]
    found = Keypoints.from_array(points, skeleton=skeleton, fps=30).to_skeleton()
    assert (found.keypoints_px[..., 2] > 0).all()
