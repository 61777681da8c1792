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
from actionpose.datasets.corpus import Corpus, open_corpus, write_corpus
from actionpose.datasets.lifting import LiftingBatches
from actionpose.datasets.loading import open_corpora
from actionpose.geometry.camera import box_frame, mirror
from actionpose.skeletons import H36M17
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


def test_batch_has_shapes_and_types(corpus: Corpus) -> None:
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


def test_batch_is_a_function_of_seed_and_step(corpus: Corpus) -> None:
    made = batches(corpus)
    later = made.batch(5)
    assert equal(made.batch(3), batches(corpus).batch(3))
    assert equal(made.batch(5), later)
    assert not equal(made.batch(3), made.batch(4))
    assert not equal(made.batch(3), batches(corpus, seed=8).batch(3))


def test_batch_has_different_clips(corpus: Corpus) -> None:
    keypoints = batches(corpus).batch(0)["keypoints"]
    assert not any(torch.equal(keypoints[0], other) for other in keypoints[1:])


def test_batch_parts_of_processes_join(corpus: Corpus) -> None:
    halves = [batches(corpus, rank=rank, world_size=2).batch(6) for rank in range(2)]
    assert equal(joined(*halves), batches(corpus).batch(6))


def test_batches_start_at_first_step(corpus: Corpus) -> None:
    made = batches(corpus, first_step=2)
    for step, batch in enumerate(islice(made, 3), start=2):
        assert equal(batch, made.batch(step))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_batches_of_workers_are_equal(corpus: Corpus) -> None:
    made = batches(corpus, first_step=3)
    for workers in (0, 2):
        loaded = islice(DataLoader(made, batch_size=None, num_workers=workers), 5)
        for step, batch in enumerate(loaded, start=3):
            assert equal(batch, made.batch(step)), (workers, step)


@pytest.mark.usefixtures("without_noise")
def test_clip_motions_are_drawn_by_length(corpus: Corpus) -> None:
    """Motion by motion as often as it is long; only of the split."""
    made = batches(corpus, replace(PLAIN, frames=9))
    names = [made.clip(step, 0)["name"].split("[")[0] for step in range(600)]
    lengths = {name: len(motion) for name, motion in corpus.motions("train").items()}
    assert set(names) == set(lengths)
    for name, length in lengths.items():
        fraction = length / sum(lengths.values())
        assert abs(names.count(name) / 600 - fraction) < 5 * np.sqrt(
            fraction * (1 - fraction) / 600
        )
    of_val = batches(corpus, PLAIN, split="val")
    assert {of_val.clip(step, 0)["name"].split("[")[0] for step in range(40)} == {
        "m06",
        "m07",
        "m08",
    }


@pytest.mark.usefixtures("without_noise")
def test_clip_corpora_are_drawn_by_weight(tmp_path: Path) -> None:
    corpora = []
    for name, weight, frames in (("a", 3.0, 30), ("b", 1.0, 300), ("c", 0.0, 30)):
        folder = write_corpus(tmp_path / name, [some_motion(name, frames)], source="", license="")
        corpora.append((open_corpus(folder), weight))
    made = LiftingBatches(corpora, PLAIN, batch_size=1, seed=0)
    names = [made.clip(step, 0)["name"][0] for step in range(400)]
    assert names.count("a") == pytest.approx(300, abs=44) and "c" not in names
    assert made.windows == (1 + (300 - 27) // 9 + 1 + 1)


@pytest.mark.usefixtures("without_noise")
def test_clip_starts_are_all_drawn(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "x", [some_motion("a", 29)], source="", license="")
    made = batches(open_corpus(folder), PLAIN)
    starts = {made.clip(step, 0)["name"] for step in range(60)}
    assert starts == {"a[0:27]", "a[1:28]", "a[2:29]"}


def test_batches_refuse_processes_splits_and_weights(corpus: Corpus) -> None:
    with pytest.raises(UserError, match=r"batch_size \(4\) must be a multiple of the 3 processes"):
        batches(corpus, world_size=3)
    with pytest.raises(UserError, match="no motion in the split 'test'"):
        batches(corpus, split="test")
    for weights in ({}, {str(corpus.folder): 0.0}):
        with pytest.raises(UserError, match=r"data\.corpora must name at least one"):
            open_corpora(weights)


@pytest.mark.parametrize("step", [2, 9])
def test_clip_temporal_stride_subsamples_the_longer_clip(corpus: Corpus, step: int) -> None:
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


def test_clip_padding_is_invalid(corpus: Corpus) -> None:
    made = batches(corpus)
    short = [made.clip(step, 0) for step in range(150)]
    short = [clip for clip in short if clip["name"].startswith("m01")]
    assert short
    for clip in short:
        assert clip["name"] == "m01[0:20]"
        assert clip["valid"].tolist() == [True] * 20 + [False] * 7
        assert (clip["keypoints"][20:] == 0).all() and (clip["pose"][20:] == 0).all()
        assert (clip["pose"][:20, 1:] != 0).any(axis=(1, 2)).all()


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    children, parents = np.transpose(H36M17.bones)
    return np.linalg.norm(joints[..., children, :] - joints[..., parents, :], axis=-1)


def recorded(corpus: Corpus, clip: dict[str, Any]) -> np.ndarray:
    """The frames of the corpus that a clip says it shows."""
    name, _, span = clip["name"].rstrip("]").partition("[")
    start, stop = (corpus.motions()[name].start + int(frame) for frame in span.split(":"))
    return np.asarray(corpus.joints_m[start:stop], dtype=float)


@pytest.mark.parametrize("normalization", ["image", "box"])
def test_clip_scale_is_metric(corpus: Corpus, normalization: str) -> None:
    """Times `scale_m`, the pose has the recorded person's bones in meters."""
    made = batches(corpus, replace(EVERYTHING, normalization=normalization, bone_length_jitter=0.0))
    for step in range(20):
        clip = made.clip(step, 0)
        pose_m = clip["pose"][clip["valid"]] * clip["scale_m"]
        # sorted, because a mirrored clip has the sides swapped
        found, expected = (np.sort(bone_lengths(x)) for x in (pose_m, recorded(corpus, clip)))
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.usefixtures("without_noise")
def test_clip_bone_length_jitter_is_symmetric_and_constant(corpus: Corpus) -> None:
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
def test_clip_mirror_mirrors_keypoints_and_pose(corpus: Corpus, normalization: str) -> None:
    config = replace(EVERYTHING, normalization=normalization)
    plain = batches(corpus, replace(config, mirror=0.0))
    mirrored = batches(corpus, replace(config, mirror=1.0))
    for step in range(5):
        a, b = plain.clip(step, 0), mirrored.clip(step, 0)
        for key in ("keypoints", "pose"):
            np.testing.assert_array_equal(mirror(a[key]), b[key])
        assert a["scale_m"] == b["scale_m"]


@pytest.mark.usefixtures("without_noise")
def test_clip_mirror_has_its_probability(corpus: Corpus) -> None:
    plain = batches(corpus, replace(PLAIN, frames=1))
    mixed = batches(corpus, replace(PLAIN, frames=1, mirror=0.25))
    same = [
        np.array_equal(plain.clip(step, 0)["pose"], mixed.clip(step, 0)["pose"])
        for step in range(300)
    ]
    assert np.mean(same) == pytest.approx(0.75, abs=0.13)


@pytest.mark.usefixtures("without_noise")
def test_clip_coco_convention_moves_only_trunk_and_head(corpus: Corpus) -> None:
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


@pytest.mark.usefixtures("without_noise")
def test_clip_random_mask_zeros_keypoints(corpus: Corpus) -> None:
    made = batches(corpus, replace(PLAIN, random_mask=(0.2, 0.1)))
    clips = [made.clip(step, 0) for step in range(60)]
    keypoints = np.concatenate([clip["keypoints"][clip["valid"]] for clip in clips])
    hidden = keypoints[..., 2] == 0
    assert (keypoints[hidden] == 0).all() and (keypoints[~hidden] != 0).any(axis=-1).all()
    assert hidden.mean() == pytest.approx(0.2 + 0.1 - 0.02, abs=0.02)
    assert hidden.all(axis=1).mean() == pytest.approx(0.1, abs=0.04)


def test_clip_without_visible_keypoints_is_finite(corpus: Corpus) -> None:
    clip = batches(corpus, replace(EVERYTHING, random_mask=(0.05, 1.0))).clip(0, 0)
    assert (clip["keypoints"] == 0).all()
    assert np.isfinite(clip["pose"]).all() and clip["scale_m"] > 0


@pytest.mark.usefixtures("without_noise")
def test_clip_box_normalization_follows_the_person(corpus: Corpus) -> None:
    """Noise-free: the median box is two units long, around the origin, near or far."""
    made = batches(
        corpus, replace(PLAIN, normalization="box", camera=CameraConfig(distance_m=(2.0, 9.0)))
    )
    for step in range(10):
        clip = made.clip(step, 0)
        frame = box_frame(clip["keypoints"][clip["valid"]].astype(float))
        np.testing.assert_allclose([*frame.origin_px, frame.unit_px], [0, 0, 1], atol=1e-4)
