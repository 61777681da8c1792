"""COCO: results and datasets."""

from helpers.keypoint_writers import KeypointsWriter, body, flat, refused

from actionpose.keypoints import Keypoints
from actionpose.skeletons import COCO17


def test_coco_results(write_keypoints: KeypointsWriter) -> None:
    rows = [
        {"image_id": n, "category_id": 1, "keypoints": flat(body(n, 0, 17)), "score": 0.8}
        for n in (102, 100)
    ]
    found = Keypoints.read(write_keypoints(rows))
    assert found.skeleton is COCO17
    assert (found.first_frame, found.valid.tolist()) == (100, [[True, False, True]])
    assert found.detector == ""


def test_coco_dataset(write_keypoints: KeypointsWriter) -> None:
    points = body(30, 40, 17)
    points[:, 2] = [0, 1, 2] * 5 + [2, 2]
    images = [
        {"id": 90 + n, "file_name": f"a/{n:04d}.jpg", "width": 640, "height": 480}
        for n in (4, 3, 2, 1)
    ]
    annotations = [
        {"id": 1, "image_id": 93, "keypoints": flat(points), "num_keypoints": 12, "track_id": 5},
        {"id": 2, "image_id": 92, "keypoints": flat(points), "num_keypoints": 12, "track_id": 5},
        {"id": 3, "image_id": 92, "keypoints": [0] * 51, "num_keypoints": 0, "iscrowd": 1},
    ]
    data = {"info": {"description": "my set"}, "images": images, "annotations": annotations}
    found = Keypoints.read(write_keypoints(data))
    assert found.image_size == (640, 480)
    assert found.source == "my set"
    assert found.track_id.tolist() == [5]
    assert found.valid.tolist() == [[False, True, True, False]]
    assert found.keypoints_px[0, 1, :4, 2].tolist() == [0, 0.5, 1, 0]
    assert not found.keypoints_px[0, 1, 0].any()
    assert Keypoints.read(write_keypoints(data), image_size=(100, 50)).image_size == (100, 50)

    annotations[0]["keypoints"][5] = 3
    refused(write_keypoints(data), "visibility", "joint 1", "frame 3")
    annotations[0]["image_id"] = 1000
    refused(write_keypoints(data), "1000", "images")
    images[0]["file_name"] = images[1]["file_name"]
    refused(write_keypoints(data), "one video")
