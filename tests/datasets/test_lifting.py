"""Clips: a function of seed, step and place; true to the camera, the scale and the mirror."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.motions import some_motion
from torch.utils.data import DataLoader

from actionpose.config import CameraConfig, FinetuneDataConfig, NoiseConfig
from actionpose.datasets.augmentation import from_coco
from actionpose.datasets.corpus import Corpus, open_corpus, write_corpus
from actionpose.datasets.detector_noise import detector_noise
from actionpose.datasets.lifting import LiftingBatches
from actionpose.datasets.loading import open_corpora
from actionpose.datasets.projection import (
    IMAGE_SIZE,
    NOISE_PERSON_SIZE,
    perspective_clip,
    place_camera,
    subsample,
)
from actionpose.geometry.camera import Camera, box_frame, heading_rad, look_at, mirror
from actionpose.skeletons import COCO17, H36M17, convert
from actionpose.utils.errors import UserError

EVERYTHING = FinetuneDataConfig(
    frames=27,
    stride=9,
    normalization="box",
    bone_length_jitter=0.1,
    random_mask=(0.05, 0.1),
    camera=CameraConfig(focal_px=(900.0, 1500.0)),
    noise=NoiseConfig(coco_joint_convention=0.5),
)
PLAIN = FinetuneDataConfig(frames=27, stride=9, mirror=0.0)


def batches(
    corpus: Corpus, config: FinetuneDataConfig = EVERYTHING, **settings: Any
) -> LiftingBatches:
    return LiftingBatches([(corpus, 1.0)], config, **({"batch_size": 4, "seed": 7} | settings))


def equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    assert a.keys() == b.keys()
    for key, value in a.items():
        same = torch.equal(value, b[key]) if isinstance(value, torch.Tensor) else value == b[key]
        if not same:
            return False
    return True


def joined(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    return {
        key: torch.cat([value, b[key]]) if isinstance(value, torch.Tensor) else value + b[key]
        for key, value in a.items()
    }


@pytest.fixture(scope="module")
def walk_m(corpus: Corpus) -> np.ndarray:
    whole = corpus.motions()["m00"]
    return np.asarray(corpus.joints_m[whole.start : whole.stop], dtype=float)


def test_shapes_and_types(corpus: Corpus) -> None:
    batch = batches(corpus).batch(0)
    assert {
        key: (value.dtype, tuple(value.shape)) for key, value in batch.items() if key != "name"
    } == {
        "keypoints": (torch.float32, (4, 27, 17, 3)),
        "pose": (torch.float32, (4, 27, 17, 3)),
        "valid": (torch.bool, (4, 27)),
        "scale_m": (torch.float32, (4,)),
    }
    assert len(batch["name"]) == 4
    assert (batch["pose"][:, :, 0] == 0).all()


def test_a_batch_is_a_function_of_seed_and_step(corpus: Corpus) -> None:
    made = batches(corpus)
    later = made.batch(5)
    assert equal(made.batch(3), batches(corpus).batch(3))
    assert equal(made.batch(5), later)
    assert not equal(made.batch(3), made.batch(4))
    assert not equal(made.batch(3), batches(corpus, seed=8).batch(3))


def test_clips_of_a_batch_differ(corpus: Corpus) -> None:
    keypoints = batches(corpus).batch(0)["keypoints"]
    assert not any(torch.equal(keypoints[0], other) for other in keypoints[1:])


def test_processes_share_one_global_batch(corpus: Corpus) -> None:
    halves = [batches(corpus, rank=rank, world_size=2).batch(6) for rank in range(2)]
    assert equal(joined(*halves), batches(corpus).batch(6))


def test_iterating_starts_where_asked(corpus: Corpus) -> None:
    made = batches(corpus, first_step=2)
    for step, batch in enumerate(islice(made, 3), start=2):
        assert equal(batch, made.batch(step))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_change_nothing(corpus: Corpus) -> None:
    made = batches(corpus, first_step=3)
    for workers in (0, 2):
        loaded = islice(DataLoader(made, batch_size=None, num_workers=workers), 5)
        for step, batch in enumerate(loaded, start=3):
            assert equal(batch, made.batch(step)), (workers, step)


@pytest.mark.usefixtures("without_noise")
def test_clips_come_from_the_split_by_its_length(corpus: Corpus) -> None:
    """Motion by motion as often as it is long; only of the split."""
    made = batches(corpus, replace(PLAIN, frames=9))
    names = [made.clip(step, 0)["name"].split("[")[0] for step in range(600)]
    lengths = {name: len(motion) for name, motion in corpus.motions("train").items()}
    assert set(names) == set(lengths)
    for name, length in lengths.items():
        share = length / sum(lengths.values())
        assert abs(names.count(name) / 600 - share) < 5 * np.sqrt(share * (1 - share) / 600)
    of_val = batches(corpus, PLAIN, split="val")
    assert {of_val.clip(step, 0)["name"].split("[")[0] for step in range(40)} == {
        "m06",
        "m07",
        "m08",
    }


@pytest.mark.usefixtures("without_noise")
def test_corpora_come_by_their_weights(tmp_path: Path) -> None:
    corpora = []
    for name, weight, frames in (("a", 3.0, 30), ("b", 1.0, 300), ("c", 0.0, 30)):
        folder = write_corpus(tmp_path / name, [some_motion(name, frames)], source="", license="")
        corpora.append((open_corpus(folder), weight))
    made = LiftingBatches(corpora, PLAIN, batch_size=1, seed=0)
    names = [made.clip(step, 0)["name"][0] for step in range(400)]
    assert names.count("a") == pytest.approx(300, abs=44) and "c" not in names
    assert made.windows == (1 + (300 - 27) // 9 + 1 + 1)


@pytest.mark.usefixtures("without_noise")
def test_every_start_is_drawn(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "x", [some_motion("a", 29)], source="", license="")
    made = batches(open_corpus(folder), PLAIN)
    starts = {made.clip(step, 0)["name"] for step in range(60)}
    assert starts == {"a[0:27]", "a[1:28]", "a[2:29]"}


def test_what_cannot_be_batched_is_refused(corpus: Corpus) -> None:
    with pytest.raises(UserError, match=r"batch_size \(4\) must be a multiple of the 3 processes"):
        batches(corpus, world_size=3)
    with pytest.raises(UserError, match="no motion in the split 'test'"):
        batches(corpus, split="test")
    for weights in ({}, {str(corpus.folder): 0.0}):
        with pytest.raises(UserError, match=r"data\.corpora must name at least one"):
            open_corpora(weights)


@pytest.mark.parametrize("step", [2, 9])
def test_frames_that_lie_apart_are_those_of_the_longer_clip(corpus: Corpus, step: int) -> None:
    apart = LiftingBatches(
        [(corpus, 1.0)], FinetuneDataConfig(frames=9, temporal_stride=step), batch_size=8, seed=0
    ).batch(1)
    whole = LiftingBatches(
        [(corpus, 1.0)], FinetuneDataConfig(frames=9 * step), batch_size=8, seed=0
    ).batch(1)
    assert apart["name"] == whole["name"]
    for key in ("keypoints", "pose", "valid"):
        assert torch.equal(apart[key], whole[key][:, ::step])
    assert torch.equal(apart["scale_m"], whole["scale_m"])


def test_padding_is_marked(corpus: Corpus) -> None:
    made = batches(corpus)
    short = [made.clip(step, 0) for step in range(150)]
    short = [clip for clip in short if clip["name"].startswith("m01")]
    assert short
    for clip in short:
        assert clip["name"] == "m01[0:20]"
        assert clip["valid"].tolist() == [True] * 20 + [False] * 7
        assert (clip["keypoints"][20:] == 0).all() and (clip["pose"][20:] == 0).all()
        assert (clip["pose"][:20, 1:] != 0).any(axis=(1, 2)).all()


def test_padding_of_a_full_clip_is_nothing(walk_m: np.ndarray) -> None:
    camera = place_camera(walk_m, 0.3, 4.0, 1.5)
    clip = perspective_clip(walk_m, camera, "image", None)
    for key, value in subsample(clip, 1, len(walk_m)).items():
        np.testing.assert_array_equal(value, clip[key])


@pytest.mark.parametrize("azimuth", np.linspace(-3, 3, 7))
def test_camera_stands_where_it_should(walk_m: np.ndarray, azimuth: float) -> None:
    camera = place_camera(walk_m, azimuth, 4.0, 1.5)
    assert camera.position_m[2] == 1.5
    low, high = walk_m[:, 0].min(axis=0), walk_m[:, 0].max(axis=0)
    middle = (low + high) / 2
    seen = camera.project(camera.from_world(middle))
    np.testing.assert_allclose(seen, np.array(IMAGE_SIZE) / 2, atol=1e-6)
    away = (camera.position_m - middle)[:2]
    assert np.arctan2(away[1], away[0]) == pytest.approx(azimuth)
    ahead = walk_m @ [np.cos(azimuth), np.sin(azimuth), 0]
    along = camera.position_m @ [np.cos(azimuth), np.sin(azimuth), 0]
    assert (along - ahead).min() > 1 - 1e-9
    near = place_camera(walk_m, azimuth, 0.1, 1.5)
    assert (near.position_m @ [np.cos(azimuth), np.sin(azimuth), 0] - ahead).min() == pytest.approx(
        1
    )


@pytest.mark.parametrize("normalization", ["image", "box"])
def test_pose_and_keypoints_are_of_one_person(walk_m: np.ndarray, normalization: str) -> None:
    """Put back at the root, at true scale, the pose projects onto the noise-free keypoints."""
    camera = place_camera(walk_m, 0.8, 4.0, 1.7)
    clip = perspective_clip(walk_m, camera, normalization, None)
    root_m = camera.from_world(walk_m)[:, :1]
    pixels = camera.project(clip["pose"].astype(float) * clip["scale_m"] + root_m)
    keypoints_px = np.ones((*pixels.shape[:2], 3))
    keypoints_px[..., :2] = pixels
    expected = (pixels - 500) / 500
    if normalization == "box":
        frame = box_frame(keypoints_px)
        expected = (pixels - np.array(frame.origin_px)) / frame.unit_px
    np.testing.assert_allclose(clip["keypoints"][..., :2], expected, atol=1e-4)
    assert (clip["keypoints"][..., 2] == 1).all()


@pytest.mark.parametrize("normalization", ["image", "box"])
def test_from_far_away_the_pose_is_what_is_seen(walk_m: np.ndarray, normalization: str) -> None:
    """Without perspective, x and y of the pose are the keypoints' relative to the root's."""
    middle = walk_m[:, 0].mean(axis=0)
    position = middle + [4e4, 3e4, 100.0]
    camera = Camera(look_at(position, middle), position, 1.4e7, np.array([500.0, 500.0]))
    clip = perspective_clip(walk_m, camera, normalization, None)
    seen = clip["keypoints"][..., :2] - clip["keypoints"][:, :1, :2]
    np.testing.assert_allclose(clip["pose"][..., :2], seen, atol=1e-3)


def test_pose_points_down_and_away() -> None:
    """Heads are above pelvises (y down); of a person who faces the camera, the nose is nearer."""
    joints_m = some_motion("a", 27).joints_m.astype(float)
    pose = perspective_clip(joints_m, place_camera(joints_m, 0.0, 4.0, 1.5), "image", None)["pose"]
    head, nose, left = H36M17.indices("head", "nose", "left_shoulder")
    assert (pose[:, head, 1] < -0.1).all()
    assert (pose[:, nose, 2] < pose[:, head, 2]).all()
    assert (pose[:, left, 0] > 0).all()  # facing the camera, the person's left is on the right


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    children, parents = np.transpose(H36M17.bones)
    return np.linalg.norm(joints[..., children, :] - joints[..., parents, :], axis=-1)


def recorded(corpus: Corpus, clip: dict[str, Any]) -> np.ndarray:
    """The frames of the corpus that a clip says it shows."""
    name, _, span = clip["name"].rstrip("]").partition("[")
    start, stop = (corpus.motions()[name].start + int(frame) for frame in span.split(":"))
    return np.asarray(corpus.joints_m[start:stop], dtype=float)


@pytest.mark.parametrize("normalization", ["image", "box"])
def test_scale_is_true(corpus: Corpus, normalization: str) -> None:
    """Times `scale_m`, the pose has the recorded person's bones in meters."""
    made = batches(corpus, replace(EVERYTHING, normalization=normalization, bone_length_jitter=0.0))
    for step in range(20):
        clip = made.clip(step, 0)
        pose_m = clip["pose"][clip["valid"]] * clip["scale_m"]
        # sorted, because a mirrored clip has the sides swapped
        found, expected = (np.sort(bone_lengths(x)) for x in (pose_m, recorded(corpus, clip)))
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.usefixtures("without_noise")
def test_redrawn_bones_are_symmetric_and_fixed_over_a_clip(corpus: Corpus) -> None:
    made = batches(corpus, replace(PLAIN, bone_length_jitter=0.2))
    for step in range(10):
        clip = made.clip(step, 0)
        drawn = bone_lengths(clip["pose"][clip["valid"]] * clip["scale_m"])
        factors = drawn / bone_lengths(recorded(corpus, clip))
        assert np.ptp(factors, axis=0).max() < 1e-3
        assert 0.02 < np.log(factors[0]).std() < 0.4
        factor_of = {child: factors[0, i] for i, (child, _) in enumerate(H36M17.bones)}
        for child, factor in factor_of.items():
            assert factor == pytest.approx(factor_of[H36M17.mirror[child]], rel=1e-3)


@pytest.mark.parametrize("normalization", ["image", "box"])
def test_mirroring_a_clip_mirrors_input_and_truth(corpus: Corpus, normalization: str) -> None:
    config = replace(EVERYTHING, normalization=normalization)
    plain = batches(corpus, replace(config, mirror=0.0))
    mirrored = batches(corpus, replace(config, mirror=1.0))
    for step in range(5):
        a, b = plain.clip(step, 0), mirrored.clip(step, 0)
        for key in ("keypoints", "pose"):
            np.testing.assert_array_equal(mirror(a[key]), b[key])
        assert a["scale_m"] == b["scale_m"]


@pytest.mark.usefixtures("without_noise")
def test_a_share_of_the_clips_is_mirrored(corpus: Corpus) -> None:
    plain = batches(corpus, replace(PLAIN, frames=1))
    mixed = batches(corpus, replace(PLAIN, frames=1, mirror=0.25))
    same = [
        np.array_equal(plain.clip(step, 0)["pose"], mixed.clip(step, 0)["pose"])
        for step in range(300)
    ]
    assert np.mean(same) == pytest.approx(0.75, abs=0.13)


@pytest.mark.usefixtures("without_noise")
def test_detector_joints_move_only_trunk_and_head(corpus: Corpus) -> None:
    plain = batches(corpus, PLAIN)
    moved = batches(corpus, replace(PLAIN, noise=NoiseConfig(coco_joint_convention=1.0)))
    some = H36M17.indices("spine", "thorax", "nose", "head")
    others = [joint for joint in range(17) if joint not in some]
    for step in range(5):
        a, b = plain.clip(step, 0), moved.clip(step, 0)
        np.testing.assert_array_equal(a["pose"], b["pose"])
        np.testing.assert_array_equal(a["keypoints"][:, others], b["keypoints"][:, others])
        apart = np.linalg.norm(a["keypoints"] - b["keypoints"], axis=-1)[a["valid"]][:, some]
        assert (apart.max(axis=0) > 1e-3).all()
        assert apart.max() * a["scale_m"] < 0.3  # meters: still the same head


def test_detector_joints_are_where_coco_keypoints_put_them(walk_m: np.ndarray) -> None:
    """Thorax and spine follow from limbs; they must agree with the conversion of keypoints."""
    coco = np.zeros((len(walk_m), 17, 3))
    for joint, name in enumerate(COCO17.joints):
        if name in H36M17.joints and name != "nose":
            coco[:, joint] = walk_m[:, H36M17.joints.index(name)]
    converted = convert(coco, COCO17, confidence=False)
    moved = from_coco(walk_m)
    shared = H36M17.indices("thorax", "spine", "pelvis", "left_wrist", "right_ankle")
    np.testing.assert_allclose(moved[:, shared], converted[:, shared], atol=5e-3)


def test_the_face_is_ahead_of_the_head() -> None:
    """Someone upright who faces +x: nose and eyes lie ahead, between neck and top of the head."""
    joints = some_motion("a", 3).joints_m.astype(float)
    moved = from_coco(joints) - joints[:, H36M17.indices("thorax")]
    nose, eyes = moved[:, H36M17.joints.index("nose")], moved[:, H36M17.joints.index("head")]
    for point in (nose, eyes):
        assert (point[:, 0] > 0.05).all() and (abs(point[:, 1]) < 1e-9).all()
        assert (point[:, 2] > 0.05).all() and (point[:, 2] < 0.22).all()
    assert (eyes[:, 2] > nose[:, 2]).all()


@pytest.mark.usefixtures("without_noise")
def test_hidden_keypoints_are_zeros(corpus: Corpus) -> None:
    made = batches(corpus, replace(PLAIN, random_mask=(0.2, 0.1)))
    clips = [made.clip(step, 0) for step in range(60)]
    keypoints = np.concatenate([clip["keypoints"][clip["valid"]] for clip in clips])
    hidden = keypoints[..., 2] == 0
    assert (keypoints[hidden] == 0).all() and (keypoints[~hidden] != 0).any(axis=-1).all()
    assert hidden.mean() == pytest.approx(0.2 + 0.1 - 0.02, abs=0.02)
    assert hidden.all(axis=1).mean() == pytest.approx(0.1, abs=0.04)


def test_a_wholly_hidden_clip_is_zeros_and_finite(corpus: Corpus) -> None:
    clip = batches(corpus, replace(EVERYTHING, random_mask=(0.05, 1.0))).clip(0, 0)
    assert (clip["keypoints"] == 0).all()
    assert np.isfinite(clip["pose"]).all() and clip["scale_m"] > 0


@pytest.mark.parametrize("distance_m", [3.0, 12.0])
def test_noise_grows_with_the_person(walk_m: np.ndarray, distance_m: float) -> None:
    """In box units it is the table's, over the size of person for which that was measured."""
    camera = place_camera(walk_m, 0.5, distance_m, 1.5)
    clean = perspective_clip(walk_m, camera, "image", None)
    keypoints_px = np.ones((len(walk_m), 17, 3))
    keypoints_px[..., :2] = camera.project(camera.from_world(walk_m))
    noisy = perspective_clip(walk_m, camera, "image", np.random.default_rng(2))
    drawn, confidence = detector_noise(len(walk_m), np.random.default_rng(2))
    box = box_frame(keypoints_px).unit_px / 500  # in units of half the image
    moved = (noisy["keypoints"] - clean["keypoints"])[..., :2]
    seen = confidence > 0
    np.testing.assert_allclose(moved[seen], (drawn / NOISE_PERSON_SIZE * box)[seen], atol=1e-4)
    np.testing.assert_allclose(noisy["keypoints"][..., 2], confidence, rtol=1e-6)


@pytest.mark.usefixtures("without_noise")
def test_box_units_follow_the_person(corpus: Corpus) -> None:
    """Noise-free: the median box is two units long, around the origin, near or far."""
    made = batches(
        corpus, replace(PLAIN, normalization="box", camera=CameraConfig(distance_m=(2.0, 9.0)))
    )
    for step in range(10):
        clip = made.clip(step, 0)
        frame = box_frame(clip["keypoints"][clip["valid"]].astype(float))
        np.testing.assert_allclose([*frame.origin_px, frame.unit_px], [0, 0, 1], atol=1e-4)


def test_heading_of_the_figure_is_as_drawn() -> None:
    assert heading_rad(some_motion("a", 1).joints_m[0].astype(float)) == pytest.approx(0)
