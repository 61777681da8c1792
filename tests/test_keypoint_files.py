"""Every 2D container that a detector writes, with the defects that real files have."""

import json
import random

import numpy as np
import pytest
from keypoint_writers import SHAPE, alphapose, body, flat, instance, openpose, refused

from actionpose.errors import UserError
from actionpose.keypoints import Keypoints
from actionpose.skeletons import BODY25, COCO17, H36M17, HALPE26, MPII16, Skeleton


@pytest.fixture
def write(tmp_path):
    def write(data, name="clip.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return path

    return write


# AlphaPose


def test_alphapose_is_sorted_by_the_number_and_gaps_are_not_valid(write):
    truth = {n: body(10 * n, 5) for n in (2, 3, 4, 9, 10, 11, 100)}
    names = [alphapose(f"{n}.jpg", points) for n, points in truth.items()]
    random.Random(0).shuffle(names)
    keypoints = Keypoints.read(write(names))
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
def test_image_names(write, name):
    found = Keypoints.read(write([alphapose(name.format(n), body(n, 0)) for n in (10, 9, 12)]))
    assert found.valid.tolist() == [[True, True, False, True]]
    assert found.first_frame == 9


def test_alphapose_tracks_by_idx_in_each_of_its_forms(write):
    entries = []
    for n in range(4):  # the two stand at the same place: only idx tells them apart
        entries.append(alphapose(f"{n}.jpg", body(n, 0, confidence=0.9), idx=[[7.0], [9.0]]))
        entries.append(alphapose(f"{n}.jpg", body(n, 0, confidence=0.3), idx=(3, 3.0)[n % 2]))
    keypoints = Keypoints.read(write(entries))
    assert keypoints.track_id.tolist() == [3, 7]
    assert keypoints.valid.all()
    np.testing.assert_allclose(keypoints.keypoints_px[..., 2].mean((1, 2)), [0.3, 0.9], rtol=1e-6)


def test_alphapose_without_tracking_gives_all_the_same_idx(write):
    entries = [alphapose(f"{n}.jpg", body(x, 0), idx=[0.0]) for n in range(5) for x in (100, 900)]
    keypoints = Keypoints.read(write(entries))
    assert keypoints.num_persons == 2
    assert keypoints.valid.all()


def test_of_one_person_twice_in_a_frame_the_more_confident_stays(write):
    entries = [alphapose(f"{n}.jpg", body(0, 0), idx=n % 2) for n in range(4)]
    entries.insert(0, alphapose("0.jpg", body(50, 0, confidence=0.8), idx=0))
    entries.append(alphapose("2.jpg", body(50, 0, confidence=0.1), idx=0))
    keypoints = Keypoints.read(write(entries))
    x = keypoints.keypoints_px[0, :, 0, 0] - np.float32(SHAPE[26][0, 0])
    np.testing.assert_allclose(x[[0, 2]], [50, 0], atol=1e-4)


def test_confidence_above_one_is_one_and_missing_joints_are_zero(write):
    points = body(10, 10)
    points[0, 2], points[1, 2] = 1.7, 0
    keypoints = Keypoints.read(write([alphapose("0.jpg", points)]))
    assert keypoints.keypoints_px[0, 0, 0, 2] == 1
    assert keypoints.keypoints_px[0, 0, 1].tolist() == [0, 0, 0]


def test_alphapose_with_a_coco_model_is_coco(write):
    found = Keypoints.read(write([alphapose("0.jpg", body(0, 0, joints=17))]))
    assert found.skeleton is COCO17


@pytest.mark.parametrize(("joints", "skeleton"), [(133, COCO17), (136, HALPE26)])
def test_whole_body_gives_its_body(write, joints, skeleton):
    points = body(0, 0, joints=joints)
    found = Keypoints.read(write([alphapose("0.jpg", points)]))
    assert found.skeleton is skeleton
    np.testing.assert_array_equal(found.keypoints_px[0, 0], np.float32(points[: len(skeleton)]))


# OpenPose's COCO-18, in its published order
OPENPOSE18 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle "
    "right_eye left_eye right_ear left_ear"
).split()


@pytest.mark.parametrize(("group", "key"), [("people", "pose_keypoints_2d"), ("bodies", "joints")])
def test_alphapose_in_openposes_form(write, group, key):
    points = body(0, 0, joints=18)
    data = {
        f"{n}.jpg": {"version": "AlphaPose v0.3", group: [{key: flat(points + (n, 0, 0))}]}
        for n in (3, 2)
    }
    found = Keypoints.read(write(data))
    assert found.skeleton is COCO17
    assert found.detector == "AlphaPose"
    for joint, position in zip(COCO17.joints, found.keypoints_px[0, 0], strict=True):
        expected = points[OPENPOSE18.index(joint)] + (2, 0, 0)
        np.testing.assert_array_equal(position, np.float32(expected))


# OpenPose


def test_openpose_folder(write):
    for n in range(12):
        people = [] if n in (0, 5, 11) else [body(10 * n, 0, joints=25)]
        path = write(openpose(*people), f"dance/dance_{n:012d}_keypoints.json")
    write("not json", "dance/._dance_000000000003_keypoints.json")  # macOS leaves these
    found = Keypoints.read(path.parent)
    assert found.skeleton is BODY25
    assert found.detector == "OpenPose"
    assert found.num_frames == 12  # empty frames at both ends count
    assert np.flatnonzero(~found.valid[0]).tolist() == [0, 5, 11]
    np.testing.assert_array_equal(found.keypoints_px[0, 7], np.float32(body(70, 0, joints=25)))


def test_openpose_single_file(write):
    person = body(0, 0, joints=25)
    person[10] = 0
    found = Keypoints.read(write(openpose(person), "dance_000000000012_keypoints.json"))
    assert found.keypoints_px.shape == (1, 1, 25, 3)
    assert not found.keypoints_px[0, 0, 10].any()
    assert found.first_frame == 12


def test_openpose_folder_faults(write):
    write(openpose(body(0, 0)), "two/a_0001_keypoints.json")
    folder = write(openpose(body(0, 0)), "two/b_0001_keypoints.json").parent
    refused(folder, "frame 1", "one video")
    write('{"people": [', "two/b_0001_keypoints.json")
    refused(folder, "b_0001_keypoints.json", "cut off")
    write(openpose(), "none/a_1.json")
    refused(write(openpose(), "none/a_2.json").parent, "nobody")
    empty = folder.parent / "empty"
    empty.mkdir()
    refused(empty, "no .json")


# MMPose


@pytest.mark.parametrize("wrapped", [False, True])
def test_mmpose_video(write, wrapped):
    frames = [
        {"frame_id": n, "instances": [instance(body(x, n, 17)) for x in (0, 700)[: n + 1]]}
        for n in (2, 1, 0)
    ]
    frames.append({"frame_id": 3, "instances": []})
    data = {"meta_info": {"dataset_name": "coco"}, "instance_info": frames} if wrapped else frames
    found = Keypoints.read(write(data))
    assert found.keypoints_px.shape == (2, 4, 17, 3)
    assert found.detector == "MMPose"
    assert found.valid.tolist() == [[True, True, True, False], [False, True, True, False]]
    np.testing.assert_array_equal(found.keypoints_px[1, 2], np.float32(body(700, 2, 17)))


def test_mmpose_tracks(write):
    frames = [
        {"instances": [instance(body(0, 0), track_id=t) for t in order]}
        for order in ((4, 2), (2, 4), (2,))
    ]
    found = Keypoints.read(write(frames))
    assert found.track_id.tolist() == [2, 4]
    assert found.valid.tolist() == [[True] * 3, [True, True, False]]


def test_mmpose_one_image(write):
    found = Keypoints.read(write([instance(body(0, 0)), instance(body(500, 0))]))
    assert found.keypoints_px.shape == (2, 1, 26, 3)


def test_mmpose_names_its_joints(write):
    def file(joints):
        names = {str(i): joint for i, joint in enumerate(joints)}
        return write(
            {
                "meta_info": {"keypoint_id2name": names},
                "instance_info": [{"frame_id": 1, "instances": [instance(body(0, 0, 17))]}],
            }
        )

    assert Keypoints.read(file(COCO17.joints)).skeleton is COCO17
    other = file(["head_bottom", *COCO17.joints[1:]])  # PoseTrack has 17 joints of its own
    refused(other, "coco17", "h36m17", "--skeleton")
    assert Keypoints.read(other, skeleton=COCO17).skeleton is COCO17


def test_mmpose_faults(write):
    wrong = instance(body(0, 0))
    wrong["keypoint_scores"].pop()
    refused(write([{"frame_id": 31, "instances": [wrong]}]), "frame 31", "score")
    refused(write([{"frame_id": 3}]), "instances", format="mmpose")
    twice = [{"frame_id": 3, "instances": [instance(body(0, 0))]}] * 2
    refused(write(twice), "frame 3")


# COCO


def test_coco_results(write):
    rows = [
        {"image_id": n, "category_id": 1, "keypoints": flat(body(n, 0, 17)), "score": 0.8}
        for n in (102, 100)
    ]
    found = Keypoints.read(write(rows))
    assert found.skeleton is COCO17
    assert (found.first_frame, found.valid.tolist()) == (100, [[True, False, True]])
    assert found.detector == ""


def test_coco_dataset(write):
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
    found = Keypoints.read(write(data))
    assert found.image_size == (640, 480)
    assert found.source == "my set"
    assert found.track_id.tolist() == [5]
    assert found.valid.tolist() == [[False, True, True, False]]
    assert found.keypoints_px[0, 1, :4, 2].tolist() == [0, 0.5, 1, 0]
    assert not found.keypoints_px[0, 1, 0].any()
    assert Keypoints.read(write(data), image_size=(100, 50)).image_size == (100, 50)

    annotations[0]["keypoints"][5] = 3
    refused(write(data), "visibility", "joint 1", "frame 3")
    annotations[0]["image_id"] = 1000
    refused(write(data), "1000", "images")
    images[0]["file_name"] = images[1]["file_name"]
    refused(write(data), "one video")


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
    refused(path, "coco17", "h36m17", "mpi_inf_3dhp17", "--skeleton")
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


# what every container has in common


@pytest.mark.parametrize("joints", [5, 21, 68])
def test_unknown_number_of_joints(write, joints):
    refused(write([alphapose("0.jpg", body(0, 0, joints))]), str(joints), "halpe26")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("[]", "nobody"),
        ("{}", "not of a form"),
        ("3", "not of a form"),
        ("[1, 2]", "not of a form"),
        ('[{"image_id": "0.jpg", "keypoints": [1, 2', "cut off"),
        ("[" * 100_000, "cut off"),
        ("1" * 5000, "cut off"),
        ('[{"image_id": "0.jpg", "keypoints": []}]', "0 numbers"),
        ('[{"image_id": "0.jpg", "keypoints": [1, 2]}]', "2 numbers"),
        ('[{"image_id": "0.jpg", "keypoints": 3}]', "list"),
        ('[{"image_id": "0.jpg", "keypoints": ["a", 1, 2]}]', "numbers"),
        ('[{"image_id": "0.jpg", "keypoints": [[1], 1, 2]}]', "numbers"),
        ('[{"image_id": "a.jpg", "keypoints": [1, 2, 3]}]', "a.jpg"),
        ('[{"image_id": "0.jpg"}]', "keypoints"),
        ('[{"image_id": "0.jpg", "keypoints": [1, 2, 3]}, 4]', "image_id"),
        ('{"people": [{}]}', "pose_keypoints_2d"),
        ('{"people": []}', "nobody"),
        ('{"instance_info": []}', "no frame"),
        ('{"annotations": []}', "images"),
        ('{"images": [], "annotations": []}', "nobody"),
    ],
)
def test_faulty_json(write, content, word):
    refused(write(content), word)


def test_damaged_numpy_files_are_never_a_crash(tmp_path):
    """Cut off or with a bit flipped, it is read or refused in a sentence."""
    whole = Keypoints.from_array(body(0, 0, 16)[None], skeleton=None, rate_hz=30)
    whole.save(tmp_path / "a.npz")
    np.save(tmp_path / "a.npy", whole.keypoints_px)
    for path in (tmp_path / "a.npz", tmp_path / "a.npy"):
        good = path.read_bytes()
        for i in range(0, len(good), 11):
            flipped = bytes([good[i] ^ (1 << i % 8)])
            path.write_bytes(good[:i] + flipped + good[i + 1 :])
            try:
                Keypoints.read(path)
            except UserError as error:
                assert path.name in str(error)
            path.write_bytes(good[:i])
            refused(path)


def test_binary_and_absent_files(tmp_path):
    video = tmp_path / "dance.mp4"
    video.write_bytes(b"\x00\x00\x00\x20ftypisom\xff\xfe")
    refused(video, "neither")
    with pytest.raises(UserError, match="no such file: .*gone.json"):
        Keypoints.read(tmp_path / "gone.json")


def test_people_with_different_numbers_of_joints(write):
    entries = [alphapose("0.jpg", body(0, 0)), alphapose("8.jpg", body(0, 0, 17))]
    refused(write(entries), "frame 8", "51", "78")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, 1e300])
@pytest.mark.parametrize("column", [0, 1, 2])
def test_values_that_are_not_finite(write, value, column):
    entries = [alphapose(f"{n}.jpg", body(0, 0)) for n in range(12)]
    entries[7]["keypoints"][3 * HALPE26.joints.index("left_hip") + column] = value
    refused(write(entries), "frame 7", "left_hip", "0, 0, 0")


def test_coordinates_of_a_missing_joint_do_not_matter(write):
    points = body(0, 0)
    points[3] = (np.nan, np.inf, 0)
    found = Keypoints.read(write([alphapose("0.jpg", points)]))
    assert not found.keypoints_px[0, 0, 3].any()


def test_negative_confidence(write):
    points = body(0, 0)
    points[0, 2] = -0.5
    refused(write([alphapose("4.jpg", points)]), "frame 4", "nose", "-0.5")


def test_normalised_coordinates(write, tmp_path):
    points = body(0, 0) / (200, 200, 1)
    points[4] = (50, 50, 0)  # not detected, so it does not count
    refused(write([alphapose("4.jpg", points)]), "normalised", "width")
    np.save(tmp_path / "a.npy", points[None])
    refused(tmp_path / "a.npy", "normalised")


def test_detections_without_a_joint_are_nobody(write):
    nothing = np.zeros((26, 3))
    entries = [alphapose("0.jpg", nothing), alphapose("1.jpg", body(0, 0))]
    assert Keypoints.read(write(entries)).valid.tolist() == [[False, True]]
    refused(write([alphapose("0.jpg", nothing)]), "every confidence is 0")


def test_image_names_that_do_not_count_frames(write):
    entries = [alphapose(f"{n}.jpg", body(0, 0)) for n in (1, 1_700_000_000_000)]
    refused(write(entries), "1700000000000", "memory")


@pytest.mark.parametrize("rate_hz", [0, -1, float("nan"), float("inf"), 1001, True, "30"])
def test_impossible_rates(write, rate_hz):
    refused(write([alphapose("0.jpg", body(0, 0))]), "rate_hz", rate_hz=rate_hz)


@pytest.mark.parametrize("size", [(0, 1), (-5, 5), (1920,), (1.5, 2), 1920, "hd", (1, 2, 3)])
def test_impossible_image_sizes(write, size):
    refused(write([alphapose("0.jpg", body(0, 0))]), "image_size", image_size=size)


def test_given_rate_and_size(write):
    path = write([alphapose("0.jpg", body(0, 0))])
    found = Keypoints.read(path)
    assert (found.rate_hz, found.rate_source, found.image_size) == (30, "assumed 30 Hz", None)
    found = Keypoints.read(path, rate_hz=50, image_size=(1920, 1080))
    assert (found.rate_hz, found.rate_source, found.image_size) == (50, "given", (1920, 1080))


def test_the_format_may_be_said(write, tmp_path):
    path = write([alphapose("0.jpg", body(0, 0))])
    assert Keypoints.read(path, format="alphapose").num_frames == 1
    refused(path, "openpose", format="openpose")
    refused(path, "npz", format="npz")
    refused(path, "'csv'", "alphapose", format="csv")
    np.save(tmp_path / "a.npy", body(0, 0)[None])
    refused(tmp_path / "a.npy", "coco", format="coco")
    assert Keypoints.read(tmp_path / "a.npy", format="npz").num_frames == 1


def test_other_joints_of_the_same_number(write):
    own = Skeleton("own", tuple(f"j{i}" for i in range(26)), (None,) * 26)
    path = write([alphapose("0.jpg", body(0, 0))])
    assert Keypoints.read(path, skeleton=own).skeleton is own
    refused(path, "halpe26", "coco17 has 17", skeleton=COCO17)


def test_a_broken_file_is_never_a_crash(write):
    """Whatever replaces a value of a good file, it is read or refused in a sentence."""
    good = [
        [alphapose("0.jpg", body(0, 0, 16), idx=[1.0])] * 2,
        openpose(body(0, 0, 25)),
        [{"frame_id": 0, "instances": [instance(body(0, 0, 16), track_id=1)]}],
        {
            "info": {"description": ""},
            "images": [{"id": 1, "file_name": "1.jpg", "width": 5, "height": 5}],
            "annotations": [
                {"image_id": 1, "keypoints": [9, 9, 2] * 17, "num_keypoints": 17, "track_id": 1}
            ],
        },
    ]

    def mutants(value):
        yield from (None, [], {}, "a", 1.5, -1, 10**400, True, [[]], {"a": 1})
        if isinstance(value, dict | list):
            keys = list(value) if isinstance(value, dict) else range(min(2, len(value)))
            for key in keys:
                copy = value.copy()
                for mutant in mutants(value[key]):
                    copy[key] = mutant
                    yield copy
                del copy[key]
                yield copy

    outcomes = {"read": 0, "refused": 0}
    for data in good:
        for mutant in mutants(data):
            try:
                Keypoints.read(write(mutant))
                outcomes["read"] += 1
            except UserError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 50


# who is who


def test_a_stray_detection_takes_nobodys_identity(write):
    people = [
        [body(0, 0), body(400, 0)],
        [body(5000, 0), body(3, 0), body(403, 0)],
        [body(406, 0), body(6, 0)],
    ]
    entries = [alphapose(f"{n}.jpg", points) for n, some in enumerate(people) for points in some]
    found = Keypoints.read(write(entries))
    assert found.valid.sum(1).tolist() == [3, 3, 1]
    x = found.keypoints_px[:2, :, 0, 0] - np.float32(SHAPE[26][0, 0])
    np.testing.assert_allclose(x, [[0, 3, 6], [400, 403, 406]], atol=1e-3)


def test_one_detection_in_each_frame_is_one_person(write):
    entries = [alphapose(f"{n}.jpg", body(900 * n, 0)) for n in range(4)]
    assert Keypoints.read(write(entries)).num_persons == 1


def test_an_assumed_rate_stays_assumed(write, tmp_path):
    Keypoints.read(write([alphapose("3.jpg", body(0, 0))])).save(tmp_path / "a.npz")
    found = Keypoints.read(tmp_path / "a.npz")
    assert (found.rate_source, found.first_frame) == ("assumed 30 Hz", 3)


def test_a_long_recording(write):
    entries = [alphapose(f"{n}.jpg", body(n % 100, 0, 17)) for n in range(5000)]
    found = Keypoints.read(write(entries))
    assert found.keypoints_px.shape == (1, 5000, 17, 3)
    assert found.valid.all()
