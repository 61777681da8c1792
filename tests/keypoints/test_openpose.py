"""OpenPose: folders with a file per frame, and single files."""

import numpy as np
from helpers.keypoint_writers import KeypointsWriter, body, openpose, refused

from actionpose.keypoints import Keypoints
from actionpose.skeletons import BODY25


def test_openpose_folder(write_keypoints: KeypointsWriter) -> None:
    for n in range(12):
        people = [] if n in (0, 5, 11) else [body(10 * n, 0, joints=25)]
        path = write_keypoints(openpose(*people), f"dance/dance_{n:012d}_keypoints.json")
    write_keypoints("not json", "dance/._dance_000000000003_keypoints.json")  # macOS leaves these
    found = Keypoints.read(path.parent)
    assert found.skeleton is BODY25
    assert found.detector == "OpenPose"
    assert found.num_frames == 12  # empty frames at both ends count
    assert np.flatnonzero(~found.valid[0]).tolist() == [0, 5, 11]
    np.testing.assert_array_equal(found.keypoints_px[0, 7], np.float32(body(70, 0, joints=25)))


def test_openpose_single_file(write_keypoints: KeypointsWriter) -> None:
    person = body(0, 0, joints=25)
    person[10] = 0
    found = Keypoints.read(write_keypoints(openpose(person), "dance_000000000012_keypoints.json"))
    assert found.keypoints_px.shape == (1, 1, 25, 3)
    assert not found.keypoints_px[0, 0, 10].any()
    assert found.first_frame == 12


def test_openpose_folder_faults(write_keypoints: KeypointsWriter) -> None:
    write_keypoints(openpose(body(0, 0)), "two/a_0001_keypoints.json")
    folder = write_keypoints(openpose(body(0, 0)), "two/b_0001_keypoints.json").parent
    refused(folder, "a_0001", "b_0001", "one video")
    write_keypoints('{"people": [', "two/b_0001_keypoints.json")
    refused(folder, "b_0001_keypoints.json", "cut off")
    write_keypoints(openpose(), "none/a_1.json")
    refused(write_keypoints(openpose(), "none/a_2.json").parent, "nobody")
    empty = folder.parent / "empty"
    empty.mkdir()
    refused(empty, "no .json")
