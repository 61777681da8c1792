"""Every 2D container that a detector writes, with its own defects."""

import random

import numpy as np
import pytest
from helpers.keypoint_writers import SHAPE, alphapose, body, flat, instance, openpose, refused

from actionpose.keypoints.core import Keypoints
from actionpose.skeletons import BODY25, COCO17, H36M17, HALPE26, MPII16

# AlphaPose


def test_alphapose_is_sorted_by_the_number_and_gaps_are_not_valid(write_keypoints):
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
def test_image_names(write_keypoints, name):
    frames = [alphapose(name.format(n), body(n, 0)) for n in (10, 9, 12)]
    found = Keypoints.read(write_keypoints(frames))
    assert found.valid.tolist() == [[True, True, False, True]]
    assert found.first_frame == 9


def test_alphapose_tracks_by_idx_in_each_of_its_forms(write_keypoints):
    entries = []
    for n in range(4):  # the two stand at the same place: only idx tells them apart
        entries.append(alphapose(f"{n}.jpg", body(n, 0, confidence=0.9), idx=[[7.0], [9.0]]))
        entries.append(alphapose(f"{n}.jpg", body(n, 0, confidence=0.3), idx=(3, 3.0)[n % 2]))
    keypoints = Keypoints.read(write_keypoints(entries))
    assert keypoints.track_id.tolist() == [3, 7]
    assert keypoints.valid.all()
    np.testing.assert_allclose(keypoints.keypoints_px[..., 2].mean((1, 2)), [0.3, 0.9], rtol=1e-6)


def test_alphapose_without_tracking_gives_all_the_same_idx(write_keypoints):
    entries = [alphapose(f"{n}.jpg", body(x, 0), idx=[0.0]) for n in range(5) for x in (100, 900)]
    keypoints = Keypoints.read(write_keypoints(entries))
    assert keypoints.num_persons == 2
    assert keypoints.valid.all()


def test_of_one_person_twice_in_a_frame_the_more_confident_stays(write_keypoints):
    entries = [alphapose(f"{n}.jpg", body(0, 0), idx=n % 2) for n in range(4)]
    entries.insert(0, alphapose("0.jpg", body(50, 0, confidence=0.8), idx=0))
    entries.append(alphapose("2.jpg", body(50, 0, confidence=0.1), idx=0))
    keypoints = Keypoints.read(write_keypoints(entries))
    x = keypoints.keypoints_px[0, :, 0, 0] - np.float32(SHAPE[26][0, 0])
    np.testing.assert_allclose(x[[0, 2]], [50, 0], atol=1e-4)


def test_confidence_above_one_is_one_and_missing_joints_are_zero(write_keypoints):
    points = body(10, 10)
    points[0, 2], points[1, 2] = 1.7, 0
    keypoints = Keypoints.read(write_keypoints([alphapose("0.jpg", points)]))
    assert keypoints.keypoints_px[0, 0, 0, 2] == 1
    assert keypoints.keypoints_px[0, 0, 1].tolist() == [0, 0, 0]


def test_alphapose_with_a_coco_model_is_coco(write_keypoints):
    found = Keypoints.read(write_keypoints([alphapose("0.jpg", body(0, 0, joints=17))]))
    assert found.skeleton is COCO17


@pytest.mark.parametrize(("joints", "skeleton"), [(133, COCO17), (136, HALPE26)])
def test_whole_body_gives_its_body(write_keypoints, joints, skeleton):
    points = body(0, 0, joints=joints)
    found = Keypoints.read(write_keypoints([alphapose("0.jpg", points)]))
    assert found.skeleton is skeleton
    np.testing.assert_array_equal(found.keypoints_px[0, 0], np.float32(points[: len(skeleton)]))


# OpenPose's COCO-18, in its published order
OPENPOSE18 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle "
    "right_eye left_eye right_ear left_ear"
).split()


@pytest.mark.parametrize(("group", "key"), [("people", "pose_keypoints_2d"), ("bodies", "joints")])
def test_alphapose_in_openposes_form(write_keypoints, group, key):
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


# OpenPose


def test_openpose_folder(write_keypoints):
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


def test_openpose_single_file(write_keypoints):
    person = body(0, 0, joints=25)
    person[10] = 0
    found = Keypoints.read(write_keypoints(openpose(person), "dance_000000000012_keypoints.json"))
    assert found.keypoints_px.shape == (1, 1, 25, 3)
    assert not found.keypoints_px[0, 0, 10].any()
    assert found.first_frame == 12


def test_openpose_folder_faults(write_keypoints):
    write_keypoints(openpose(body(0, 0)), "two/a_0001_keypoints.json")
    folder = write_keypoints(openpose(body(0, 0)), "two/b_0001_keypoints.json").parent
    refused(folder, "frame 1", "one video")
    write_keypoints('{"people": [', "two/b_0001_keypoints.json")
    refused(folder, "b_0001_keypoints.json", "cut off")
    write_keypoints(openpose(), "none/a_1.json")
    refused(write_keypoints(openpose(), "none/a_2.json").parent, "nobody")
    empty = folder.parent / "empty"
    empty.mkdir()
    refused(empty, "no .json")


# MMPose


@pytest.mark.parametrize("wrapped", [False, True])
def test_mmpose_video(write_keypoints, wrapped):
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


def test_mmpose_tracks(write_keypoints):
    frames = [
        {"instances": [instance(body(0, 0), track_id=t) for t in order]}
        for order in ((4, 2), (2, 4), (2,))
    ]
    found = Keypoints.read(write_keypoints(frames))
    assert found.track_id.tolist() == [2, 4]
    assert found.valid.tolist() == [[True] * 3, [True, True, False]]


def test_mmpose_one_image(write_keypoints):
    found = Keypoints.read(write_keypoints([instance(body(0, 0)), instance(body(500, 0))]))
    assert found.keypoints_px.shape == (2, 1, 26, 3)


def test_mmpose_names_its_joints(write_keypoints):
    def file(joints):
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


def test_mmpose_faults(write_keypoints):
    wrong = instance(body(0, 0))
    wrong["keypoint_scores"].pop()
    refused(write_keypoints([{"frame_id": 31, "instances": [wrong]}]), "frame 31", "score")
    refused(write_keypoints([{"frame_id": 3}]), "instances", format="mmpose")
    twice = [{"frame_id": 3, "instances": [instance(body(0, 0))]}] * 2
    refused(write_keypoints(twice), "frame 3")


# COCO


def test_coco_results(write_keypoints):
    rows = [
        {"image_id": n, "category_id": 1, "keypoints": flat(body(n, 0, 17)), "score": 0.8}
        for n in (102, 100)
    ]
    found = Keypoints.read(write_keypoints(rows))
    assert found.skeleton is COCO17
    assert (found.first_frame, found.valid.tolist()) == (100, [[True, False, True]])
    assert found.detector == ""


def test_coco_dataset(write_keypoints):
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


# NumPy


def test_bare_arrays(tmp_path):
    points = np.stack([body(n, 0, 16) for n in range(3)])
    for name, array in {"t.npy": points, "p.npy": np.stack([points, points + 1])}.items():
        np.save(tmp_path / name, array)
        found = Keypoints.read(tmp_path / name)
        assert found.skeleton is MPII16
        assert found.keypoints_px.shape == (array.ndim - 2 or 1, 3, 16, 3)
        assert found.rate_source == "assumed 30 Hz"
    points[1, 2, :2] = 0
    points[2] = 0
    np.savez(tmp_path / "xy.npz", keypoints=points[..., :2])
    found = Keypoints.read(tmp_path / "xy.npz")
    assert found.valid.tolist() == [[True, True, False]]
    assert found.keypoints_px[0, 1, :4, 2].tolist() == [1, 1, 0, 1]


def test_seventeen_joints_in_a_bare_array_are_ambiguous(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, keypoints=body(0, 0, 17)[None])
    refused(path, "coco17", "h36m17", "mpi_inf_3dhp17", "skeleton=NAME")
    assert Keypoints.read(path, skeleton="h36m17").skeleton is H36M17
    refused(path, "halpe26", "17", skeleton="halpe26")
    refused(path, "'coco18'", "coco17", skeleton="coco18")


def test_numpy_files_that_are_refused(tmp_path):
    path = tmp_path / "videopose3d.npz"
    objects = np.array({"S1": {"walk": [np.zeros((3, 17, 2))]}}, dtype=object)
    np.savez(path, positions_2d=objects, metadata=np.array({"layout": "coco"}, dtype=object))
    refused(path, "VideoPose3D", "pickle", "np.savez")
    np.savez(path, keypoints=objects)
    refused(path, "pickle")
    np.savez(path, poses=np.zeros(3))
    refused(path, "keypoints", "poses")
    np.savez(path, keypoints=np.zeros((3, 17)))
    refused(path, "(3, 17)")
    np.savez(path, keypoints=np.zeros((3, 26, 3)))
    refused(path, "no joint")
    np.savez(path, keypoints=np.array(["a"]))
    refused(path, "numbers")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "damaged")
