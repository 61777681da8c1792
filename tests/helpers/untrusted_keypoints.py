"""Readers of keypoints, with small valid files for them; what is read is lifted."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from helpers import keypoint_tables, keypoint_writers
from helpers.pretrained import WIDTH, write_checkpoint
from helpers.untrusted_case import Reader

from actionpose.inference.predictor import ActionPose
from actionpose.keypoints import Keypoints
from actionpose.result import Result
from actionpose.skeletons import COCO17

RNG = np.random.default_rng(0)


@cache
def small_model(folder: Path) -> ActionPose:
    """A model of random weights, which is quick."""
    labels = {"walk": RNG.normal(size=WIDTH), "sit": RNG.normal(size=WIDTH)}
    write_checkpoint(folder.parent / "model", labels=labels, text=False)
    return ActionPose.from_pretrained(folder.parent / "model", "cpu")


def _lift(keypoints: Keypoints, folder: Path) -> None:
    """Lift it, unless that takes long, and look at the result."""
    model = small_model(folder)
    seconds = keypoints.times_s[-1] - keypoints.times_s[0]
    if keypoints.num_persons * max(keypoints.num_frames, seconds * 30) < 3000:
        check_finite(model.lift(keypoints))


def check_finite(result: Result) -> None:
    assert np.isfinite(result.pose_m).all() and np.isfinite(result.keypoints_px).all()
    assert np.abs(result.pose_m).max() < 1e3


def _keypoints(content: Any, name: str = "clip.json", **how: Any) -> Reader:
    """A reader of one file, or of a folder with the files of a dict."""

    def write(folder: Path) -> None:
        files = content if name == "" else {name: content}
        for file, value in files.items():
            text = value if isinstance(value, str) else json.dumps(value)
            (folder / file).write_text(text)

    def read(folder: Path) -> None:
        _lift(Keypoints.read(folder / name, **how), folder)

    return Reader(write, read)


def _saved(folder: Path) -> None:
    points = np.concatenate([RNG.uniform(50, 900, (2, 9, 17, 2)), np.ones((2, 9, 17, 1))], -1)
    Keypoints.from_array(points, skeleton=COCO17, fps=25, image_size=(1000, 900)).save(
        folder / "clip.npz"
    )


def _arrays(name: str) -> Reader:
    def write(folder: Path) -> None:
        points = RNG.uniform(50, 900, (9, 17, 3))
        points[..., 2] = 1
        np.save(folder / name, points) if name.endswith("npy") else np.savez(
            folder / name, keypoints=points
        )

    return Reader(write, lambda f: _lift(Keypoints.read(f / name, skeleton="coco17"), f))


def keypoint_readers() -> dict[str, Reader]:
    body, names = keypoint_writers.body, list(COCO17.joints)
    moving = [body(300 + 5 * i, 200) for i in range(6)]
    alphapose = [keypoint_writers.alphapose(f"{i}.jpg", p, idx=i % 2) for i, p in enumerate(moving)]
    coco = [body(300 + 5 * i, 200, 17) for i in range(6)]
    whole = [body(300, 200, 25), body(310, 200, 25)]
    instances = [
        {"frame_id": i, "instances": [keypoint_writers.instance(p)]} for i, p in enumerate(coco)
    ]
    marks = [
        {"x": x / 1000, "y": y / 1000, "z": 0.1, "visibility": 0.9}
        for x, y, _ in body(300, 200, 33).tolist()
    ]
    table = keypoint_tables.points(17)
    dataset_json = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": 900, "height": 800} for i in range(6)
        ],
        "annotations": [
            {"image_id": i, "category_id": 1, "keypoints": keypoint_writers.flat(p * (1, 1, 4))}
            for i, p in enumerate(coco)
        ],
        "categories": [{"id": 1, "keypoints": names}],
    }
    media = {"fps": 30, "width": 1000, "height": 1000, "frames": [{"landmarks": marks}] * 4}
    dlc = keypoint_tables.deeplabcut(names, {"a": table, "b": table + 3})
    return {
        "alphapose": _keypoints(alphapose),
        "coco_results": _keypoints(
            [
                {"image_id": i, "category_id": 1, "keypoints": keypoint_writers.flat(p), "score": 1}
                for i, p in enumerate(coco)
            ]
        ),
        "coco_dataset": _keypoints(dataset_json),
        "openpose": _keypoints(
            {f"a_{i:06d}_keypoints.json": keypoint_writers.openpose(*whole) for i in range(4)}, ""
        ),
        "mmpose": _keypoints({"meta_info": {"dataset_name": "coco"}, "instance_info": instances}),
        "mediapipe": _keypoints(media),
        "mediapipe_list": _keypoints([[marks]] * 4, image_size=(1000, 1000)),
        "deeplabcut": _keypoints(dlc, "clip.csv"),
        "trc": _keypoints(keypoint_tables.trc(names, table), "clip.trc"),
        "keypoints_npz": Reader(_saved, lambda f: _lift(Keypoints.read(f / "clip.npz"), f)),
        "bare_npz": _arrays("clip.npz"),
        "bare_npy": _arrays("clip.npy"),
    }
