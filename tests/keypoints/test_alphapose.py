"""AlphaPose: lists, tracks, and the form of OpenPose."""

import random

import numpy as np
import pytest
from helpers.keypoint_writers import (
    SHAPE,
    KeypointsWriter,
    alphapose,
    body,
    flat,
)

from actionpose.keypoints import Keypoints
from actionpose.skeletons import (
    COCO17,
    HALPE26,
)


def test_alphapose_frames_are_sorted_and_gaps_are_not_valid(
    write_keypoints: KeypointsWriter,
) -> None:
    truth = {n: body(10 * n, 5) for n in (2, 3, 4, 9, 10, 11, 100)}
    names = [alphapose(f"{n}.jpg", points) for n, points in truth.items()]
    random.Random(0).shuffle(names)
    keypoints = Keypoints.read(write_keypoints(names))
    assert keypoints.keypoints_px.shape == (1, 99, 26, 3)
    assert keypoints.skeleton is HALPE26
    assert (keypoints.detector, keypoints.first_frame) == ("AlphaPose", 2)
    assert np.flatnonzero(keypoints.valid[0]).tolist() == [n - 2 for n in truth]
    for n, points in truth.items():
        np.testing.assert_array_equal(keypoints.keypoints_px[0, n - 2], np.float32(points))
    assert not keypoints.keypoints_px[~keypoints.valid].any()


@pytest.mark.parametrize(
    "name", ["{}.jpg", "frame_{:06d}.png", "take2_clip_{:03d}.jp2", "dance.{:05d}", "{}"]
)
def test_alphapose_image_names_number_frames(write_keypoints: KeypointsWriter, name: str) -> None:
    frames = [alphapose(name.format(n), body(n, 0)) for n in (10, 9, 12)]
    found = Keypoints.read(write_keypoints(frames))
    assert found.valid.tolist() == [[True, True, False, True]]
    assert found.first_frame == 9


def test_alphapose_tracks_by_idx_in_each_of_its_forms(write_keypoints: KeypointsWriter) -> None:
    entries = []
    for n in range(4):  # the two stand at the same place: only idx tells them apart
        entries.append(alphapose(f"{n}.jpg", body(n, 0, confidence=0.9), idx=[[7.0], [9.0]]))
        entries.append(alphapose(f"{n}.jpg", body(n, 0, confidence=0.3), idx=(3, 3.0)[n % 2]))
    keypoints = Keypoints.read(write_keypoints(entries))
    assert keypoints.track_id.tolist() == [3, 7]
    assert keypoints.valid.all()
    np.testing.assert_allclose(keypoints.keypoints_px[..., 2].mean((1, 2)), [0.3, 0.9], rtol=1e-6)


def test_alphapose_without_tracking_gives_all_the_same_idx(
    write_keypoints: KeypointsWriter,
) -> None:
    entries = [alphapose(f"{n}.jpg", body(x, 0), idx=[0.0]) for n in range(5) for x in (100, 900)]
    keypoints = Keypoints.read(write_keypoints(entries))
    assert keypoints.num_persons == 2
    assert keypoints.valid.all()


def test_alphapose_duplicate_person_keeps_the_more_confident(
    write_keypoints: KeypointsWriter,
) -> None:
    entries = [alphapose(f"{n}.jpg", body(0, 0), idx=n % 2) for n in range(4)]
    entries.insert(0, alphapose("0.jpg", body(50, 0, confidence=0.8), idx=0))
    entries.append(alphapose("2.jpg", body(50, 0, confidence=0.1), idx=0))
    keypoints = Keypoints.read(write_keypoints(entries))
    x = keypoints.keypoints_px[0, :, 0, 0] - np.float32(SHAPE[26][0, 0])
    np.testing.assert_allclose(x[[0, 2]], [50, 0], atol=1e-4)


def test_alphapose_confidence_is_clipped_and_missing_joints_are_zero(
    write_keypoints: KeypointsWriter,
) -> None:
    points = body(10, 10)
    points[0, 2], points[1, 2] = 1.7, 0
    keypoints = Keypoints.read(write_keypoints([alphapose("0.jpg", points)]))
    assert keypoints.keypoints_px[0, 0, 0, 2] == 1
    assert keypoints.keypoints_px[0, 0, 1].tolist() == [0, 0, 0]


def test_alphapose_with_a_coco_model_is_coco(write_keypoints: KeypointsWriter) -> None:
    found = Keypoints.read(write_keypoints([alphapose("0.jpg", body(0, 0, joints=17))]))
    assert found.skeleton is COCO17


# OpenPose's COCO-18, in its published order
OPENPOSE18 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle "
    "right_eye left_eye right_ear left_ear"
).split()


@pytest.mark.parametrize(("group", "key"), [("people", "pose_keypoints_2d"), ("bodies", "joints")])
def test_alphapose_in_openposes_form(
    write_keypoints: KeypointsWriter, group: str, key: str
) -> None:
    points = body(0, 0, joints=18)
    data = {
        f"{n}.jpg": {"version": "AlphaPose v0.3", group: [{key: flat(points + (n, 0, 0))}]}
        for n in (3, 2)
    }
    found = Keypoints.read(write_keypoints(data))
    assert found.skeleton is COCO17
    assert found.detector == "AlphaPose"
    for joint, position in zip(COCO17.joints, found.keypoints_px[0, 0], strict=True):
        expected = points[OPENPOSE18.index(joint)] + (2, 0, 0)
        np.testing.assert_array_equal(position, np.float32(expected))
