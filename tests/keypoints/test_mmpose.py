"""MMPose: videos, tracks, single images, joint names."""

from typing import Any

import numpy as np
import pytest
from helpers.keypoint_writers import KeypointsWriter, body, instance, refused

from actionpose.keypoints import Keypoints
from actionpose.skeletons import COCO17


@pytest.mark.parametrize("wrapped", [False, True])
def test_mmpose_video(write_keypoints: KeypointsWriter, wrapped: bool) -> None:
    frames = [
        {"frame_id": n, "instances": [instance(body(x, n, 17)) for x in (0, 700)[: n + 1]]}
        for n in (2, 1, 0)
    ]
    frames.append({"frame_id": 3, "instances": []})
    data = {"meta_info": {"dataset_name": "coco"}, "instance_info": frames} if wrapped else frames
    found = Keypoints.read(write_keypoints(data))
    assert found.keypoints_px.shape == (2, 4, 17, 3)
    assert found.detector == "MMPose"
    assert found.valid.tolist() == [[True, True, True, False], [False, True, True, False]]
    np.testing.assert_array_equal(found.keypoints_px[1, 2], np.float32(body(700, 2, 17)))


def test_mmpose_tracks(write_keypoints: KeypointsWriter) -> None:
    frames = [
        {"instances": [instance(body(0, 0), track_id=t) for t in order]}
        for order in ((4, 2), (2, 4), (2,))
    ]
    found = Keypoints.read(write_keypoints(frames))
    assert found.track_id.tolist() == [2, 4]
    assert found.valid.tolist() == [[True] * 3, [True, True, False]]


def test_mmpose_one_image(write_keypoints: KeypointsWriter) -> None:
    found = Keypoints.read(write_keypoints([instance(body(0, 0)), instance(body(500, 0))]))
    assert found.keypoints_px.shape == (2, 1, 26, 3)


def test_mmpose_names_its_joints(write_keypoints: KeypointsWriter) -> None:
    def file(joints: Any) -> Any:
        names = {str(i): joint for i, joint in enumerate(joints)}
        return write_keypoints(
            {
                "meta_info": {"keypoint_id2name": names},
                "instance_info": [{"frame_id": 1, "instances": [instance(body(0, 0, 17))]}],
            }
        )

    assert Keypoints.read(file(COCO17.joints)).skeleton is COCO17
    other = file(["head_bottom", *COCO17.joints[1:]])  # PoseTrack has 17 joints of its own
    refused(other, "coco17", "h36m17", "skeleton=NAME")
    assert Keypoints.read(other, skeleton=COCO17).skeleton is COCO17
    for name in (["nose"], 3, None):
        refused(file([name, *COCO17.joints[1:]]), "keypoint_id2name", "not a text")


def test_mmpose_faults(write_keypoints: KeypointsWriter) -> None:
    wrong = instance(body(0, 0))
    wrong["keypoint_scores"].pop()
    refused(write_keypoints([{"frame_id": 31, "instances": [wrong]}]), "frame 31", "score")
    refused(write_keypoints([{"frame_id": 3}]), "instances", format="mmpose")
    twice = [{"frame_id": 3, "instances": [instance(body(0, 0))]}] * 2
    refused(write_keypoints(twice), "frame 3")
