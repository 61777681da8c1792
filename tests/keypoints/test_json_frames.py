"""JSON forms of several tools: the same person is read from each."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.keypoint_writers import KeypointsWriter, body, check_read, flat, refused, standing

from actionpose.keypoints import Keypoints
from actionpose.keypoints.layout import OPENPOSE18
from actionpose.skeletons import COCO17

SIZE = (1768, 994)
COCO = COCO17.joints
CANVAS = {"canvas_width": SIZE[0], "canvas_height": SIZE[1]}


def coco18(points: np.ndarray) -> np.ndarray:
    """(17, 3) in the order of OpenPose's COCO-18, with a neck."""
    neck = points[[COCO.index("left_shoulder"), COCO.index("right_shoulder")]].mean(0)
    named = {**dict(zip(COCO, points, strict=True)), "neck": neck}
    return np.array([named[joint] for joint in OPENPOSE18])


def shares(points: np.ndarray) -> np.ndarray:
    return points / (*SIZE, 1)


def people(points: np.ndarray, key: str = "pose_keypoints_2d") -> dict[str, Any]:
    return {"people": [{key: flat(coco18(points))}]}


def lists(points: np.ndarray) -> dict[str, list[float]]:
    return dict(zip(("x", "y", "visible"), points.T.tolist(), strict=True))


def named(points: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"name": joint, "x": x, "y": y, "score": c}
        for joint, (x, y, c) in zip(COCO, points.tolist(), strict=True)
    ]


def placed(points: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"part": joint, "position": {"x": x, "y": y}, "score": c}
        for joint, (x, y, c) in zip(COCO, points.tolist(), strict=True)
    ]


def skeleton(points: np.ndarray) -> dict[str, Any]:
    order = coco18(shares(points))
    return {"pose": flat(order[:, :2]), "score": order[:, 2].tolist()}


FORMS: dict[str, tuple[str, Callable[[np.ndarray], Any]]] = {
    "list of OpenPose frames": ("openpose", lambda b: [people(p) for p in b]),
    "ControlNet, fractions": ("openpose", lambda b: [people(shares(p)) | CANVAS for p in b]),
    "OpenPose 1.0": ("openpose", lambda b: [people(p, "pose_keypoints") for p in b]),
    "frames under a name": ("openpose", lambda b: {"frames": [people(p) for p in b], **CANVAS}),
    "OpenPose by image": ("openpose", lambda b: {f"{n}.jpg": people(p) for n, p in enumerate(b)}),
    "PoseFlow": (
        "alphapose",
        lambda b: {
            f"{n:05d}.png": [{"keypoints": flat(p), "scores": 2.5, "idx": 1}]
            for n, p in enumerate(b)
        },
    ),
    "OpenPifPaf video": (
        "openpifpaf",
        lambda b: "\n".join(
            json.dumps({"frame": n + 1, "predictions": [{"keypoints": flat(p), "category_id": 1}]})
            for n, p in enumerate(b)
        ),
    ),
    "a person a line": (
        "openpifpaf",
        lambda b: [{"frame": n, "keypoints": p.tolist()} for n, p in enumerate(b)],
    ),
    "Ultralytics": (
        "ultralytics",
        lambda b: [[{"name": "person", "track_id": 4, "keypoints": lists(p)}] for p in b],
    ),
    "MoveNet": ("movenet", lambda b: [[{"keypoints": named(p), "score": 0.9}] for p in b]),
    "MoveNet's output": ("movenet", lambda b: [[[shares(p)[:, [1, 0, 2]].tolist()]] for p in b]),
    "PoseNet": ("movenet", lambda b: [{"score": 0.9, "keypoints": placed(p)} for p in b]),
    "ml5": ("movenet", lambda b: [[{"pose": {"keypoints": placed(p)}}] for p in b]),
    "Kinetics": (
        "kinetics",
        lambda b: {
            "data": [{"frame_index": n + 1, "skeleton": [skeleton(p)]} for n, p in enumerate(b)],
            "label": "waving",
        },
    ),
    "texts of JSON": (
        "ultralytics",
        lambda b: [json.dumps([{"name": "person", "keypoints": lists(p)}]) for p in b],
    ),
    "lists by person": (
        "tracked_people",
        lambda b: {
            "7": [{"frame": n, "keypoints": flat(p), "score": 1.5} for n, p in enumerate(b)]
        },
    ),
    "tracks by person": (
        "tracked_people",
        lambda b: {"ann": {f"{n:04d}": {"keypoints": flat(p)} for n, p in enumerate(b)}},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(write_keypoints: KeypointsWriter, form: str) -> None:
    expected = standing()
    format, write = FORMS[form]
    path = write_keypoints(write(expected))
    found = Keypoints.read(path, image_size=SIZE)
    check_read(found, expected)
    assert found.num_frames == len(expected) and found.valid.all()
    check_read(Keypoints.read(path, image_size=SIZE, format=format), expected)


FOLDERS: dict[str, Callable[[np.ndarray], Any]] = {
    "{:06d}_pose2d.json": people,
    "clip_{:012d}_keypoints.json": lambda p: people(p, "pose_keypoints"),
    "{:06d}.jpg.predictions.json": lambda p: [{"keypoints": flat(p), "category_id": 1}],
    "frame_{:05d}.json": lambda p: [{"name": "person", "keypoints": lists(p)}],
    "f{:d}.json": lambda p: {"poses": [{"keypoints": named(p)}]},
    "clip_{}.txt": lambda p: " ".join(map(str, [0, 0.4, 0.3, 0.2, 0.4, *flat(shares(p)), 7])),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders(write_keypoints: KeypointsWriter, name: str) -> None:
    expected = standing()
    for n, points in enumerate(expected):
        path = write_keypoints(FOLDERS[name](points), f"a/{name.format(n + 3)}")
    nobody = {"people": []} if "keypoints" in name or "pose2d" in name else []
    write_keypoints("" if name.endswith(".txt") else nobody, f"a/{name.format(2)}")
    found = Keypoints.read(path.parent, image_size=SIZE)
    assert found.valid[0].tolist() == [False, *[True] * 12]
    assert found.first_frame == 2
    check_read(found, np.concatenate([np.zeros((1, 17, 3)), expected]))


def test_null_people_and_null_keypoints_are_nobody(write_keypoints: KeypointsWriter) -> None:
    frames = [people(points) for points in standing(8)]
    frames[2] = {"people": None}
    frames[3] = {"people": [None]}
    frames[4] = {"people": [{"pose_keypoints_2d": None}]}
    found = Keypoints.read(write_keypoints(frames))
    assert np.flatnonzero(~found.valid[0]).tolist() == [2, 3, 4]


def test_names_of_people_are_identities(write_keypoints: KeypointsWriter) -> None:
    """Two who change places: only the names tell them apart."""
    left, right = standing(12), standing(12, x=1200)
    left[6:], right[6:] = right[6:].copy(), left[6:].copy()
    data = {"ben": left, "ann": right}
    frames = [
        [{"track_id": name, "keypoints": lists(b[n])} for name, b in data.items()]
        for n in range(12)
    ]
    found = Keypoints.read(write_keypoints(frames))
    np.testing.assert_allclose(found.keypoints_px, list(data.values()), atol=0.01)
    again = Keypoints.read(write_keypoints(frames), retrack=True)
    assert np.ptp(again.keypoints_px[..., 0, 0], axis=1).max() == 0


def test_confidences_may_be_missing(write_keypoints: KeypointsWriter) -> None:
    expected = standing()
    frames = [{"people": [{"pose_keypoints_2d": flat(coco18(p)[:, :2])}]} for p in expected]
    found = Keypoints.read(write_keypoints(frames))
    assert any("no confidences" in note for note in found.notes)
    expected[..., 2] = 1
    check_read(found, expected)


def test_openpose_scale_from_minus_one_to_one(write_keypoints: KeypointsWriter) -> None:
    expected = standing()
    frames = [people(points * (2 / SIZE[0], 2 / SIZE[1], 1) - (1, 1, 0)) for points in expected]
    path = write_keypoints(frames)
    check_read(Keypoints.read(path, image_size=SIZE), expected)
    refused(path, "image_size", "half of the image's width")


def test_many_people_without_frames_are_said(write_keypoints: KeypointsWriter) -> None:
    crowd = [{"keypoints": flat(body(300 * n, 0, 17))} for n in range(9)]
    found = Keypoints.read(write_keypoints(crowd))
    assert found.num_frames == 1 and "9 people" in found.notes[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            [{"image": "1.jpg", "keypoint": [1, 2, 3], "idx": 1}],
            ("alphapose", '"keypoints"', '"keypoint"'),
        ),
        ({"persons": [{"pose_keypoints_2d": [1, 2, 3]}]}, ("openpose", '"people"')),
        ([{"landmark": [{"x": 1, "y": 2}]}], ("mediapipe", '"visibility"')),
        ("name,value\nfoo,3\nbar,4\n", ("bodyparts", "nose_x", "name, value")),
    ],
)
def test_the_nearest_form_is_named(
    write_keypoints: KeypointsWriter, data: Any, words: tuple[str, ...]
) -> None:
    name = "clip.csv" if isinstance(data, str) else "clip.json"
    refused(write_keypoints(data, name), *words)
