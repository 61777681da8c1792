"""Labeled clips: which spans, which window, what is true in it, and what is not."""

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actionpose.config import CameraConfig, NoiseConfig, PretrainDataConfig
from actionpose.datasets.corpus import Corpus, Motion, open_corpus, write_corpus
from actionpose.datasets.motion_text import MotionTextBatches
from actionpose.datasets.synthetic.generate import dataset
from actionpose.geometry.camera import mirror
from actionpose.utils.errors import UserError

CONFIG = PretrainDataConfig(frames=20)
PLAIN = replace(CONFIG, mirror=0.0, masks={})


def batches(
    corpus: Corpus, config: PretrainDataConfig = CONFIG, **settings: Any
) -> MotionTextBatches:
    settings = {"batch_size": 4, "seed": 7, "negatives": 3} | settings
    return MotionTextBatches([(corpus, 1.0)], config, **settings)


def test_batch_is_a_function_of_seed_and_step(annotated: Corpus) -> None:
    def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
        return all(
            torch.equal(a[key], b[key]) if isinstance(a[key], torch.Tensor) else a[key] == b[key]
            for key in a
        )

    assert same(batches(annotated).batch(3), batches(annotated).batch(3))
    assert same(batches(annotated).batch(3), next(iter(batches(annotated).starting_at(3))))
    assert not same(batches(annotated).batch(3), batches(annotated, seed=8).batch(3))
    whole = batches(annotated).batch(3)
    halves = [batches(annotated, rank=rank, world_size=2).batch(3) for rank in (0, 1)]
    for key, value in whole.items():
        parts = [half[key] for half in halves]
        joined = torch.cat(parts) if isinstance(value, torch.Tensor) else parts[0] + parts[1]
        assert same({key: value}, {key: joined})


def test_batch_has_shapes(annotated: Corpus) -> None:
    batch = batches(annotated).batch(0)
    shapes = {key: tuple(v.shape) for key, v in batch.items() if isinstance(v, torch.Tensor)}
    most = batch["positives"].shape[1]
    assert shapes == {
        "keypoints": (4, 20, 17, 3),
        "pose": (4, 20, 17, 3),
        "valid": (4, 20),
        "scale_m": (4,),
        "hidden": (4, 20, 17),
        "candidates": (4, 4),
        "positives": (4, most),
    }
    assert batch["candidates"].dtype == batch["positives"].dtype == torch.int64


def overlapping(corpus: Corpus, name: str) -> set[Any]:
    """What is true of a clip by its name, straight from the corpus."""
    motion, _, rows = name.partition("[")
    first, last = map(int, rows.rstrip("]").split(":"))
    whole = corpus.motions()[motion]
    start, stop = whole.start + first, whole.start + last
    return {
        " ".join(s.text.lower().strip(".").split())
        for s in corpus.segments
        if s.motion == motion and s.start < stop and s.stop > start and s.text
    }


@pytest.mark.parametrize("more", [(), ("sequence",)])
def test_clip_negatives_are_nowhere_true(annotated: Corpus, more: Any) -> None:
    config = replace(CONFIG, label_kinds=("action", "transition", *more))
    made = batches(annotated, config, negatives=6)
    swap = str.maketrans({"<": "left", ">": "right"})
    rich = 0
    for step in range(60):
        for index in range(4):
            clip = made.clip(step, index)
            found = [made.labels[row] for row in clip["candidates"]]
            assert len(set(found)) == 7
            true = overlapping(annotated, clip["name"])
            mirrored = {t.replace("left", ">").replace("right", "<").translate(swap) for t in true}
            rich += len(true) > 2
            assert not set(found[1:]) & true or not set(found[1:]) & mirrored
            named = {made.labels[row] for row in clip["positives"] if row >= 0}
            assert found[0] in named and not set(found[1:]) & named
            known = set(made.labels)
            transits = {t for t in named if t.startswith("transit from")}
            assert named - transits in (true & known - {"transition"}, mirrored & known)
    assert rich > 20


@pytest.mark.usefixtures("without_noise")
def test_clip_mirror_mirrors_texts(annotated: Corpus) -> None:
    plain = replace(PLAIN, masks={"random": 0.5, "part": 0.5})
    # the same vocabulary, so that the draws are the same
    never = batches(annotated, replace(plain, mirror=1e-9))
    always = batches(annotated, replace(plain, mirror=1.0))
    assert never.labels == always.labels and "wave the right hand" in never.labels
    sides = 0
    for step in range(120):
        a, b = never.clip(step, 0), always.clip(step, 0)
        np.testing.assert_array_equal(mirror(a["keypoints"]), b["keypoints"])
        np.testing.assert_array_equal(mirror(a["pose"]), b["pose"])
        hidden = (b["keypoints"][..., 2] == 0) & b["valid"][:, None]
        np.testing.assert_array_equal(hidden, b["hidden"])
        before, after = (never.labels[clip["candidates"][0]] for clip in (a, b))
        if "left hand" in before and "transit" not in before:
            assert after == "wave the right hand"
            sides += 1
    assert sides > 2


@pytest.mark.usefixtures("without_noise")
def test_clip_of_a_short_motion_is_padded(annotated: Corpus) -> None:
    made = batches(annotated, PLAIN)
    number = next(i for i, s in enumerate(made.spans) if s.motion.motion == "short")
    clip = made.clip_of(number, np.random.default_rng(0))
    assert clip["valid"].sum() == 12 and clip["hidden"].shape == (20, 17)
    assert (clip["keypoints"][12:] == 0).all()


@pytest.mark.usefixtures("without_noise")
def test_clip_temporal_crop_has_its_probability(annotated: Corpus) -> None:
    made = batches(annotated, replace(PLAIN, temporal_crop=0.25))
    assert PLAIN.frames == 20
    lengths = np.array([made.clip(step, 0)["valid"].sum() for step in range(600)])
    long = made.spans[0].motion  # longer than a window
    assert len(long) > 20 and set(lengths) == {*range(7, 21)}
    assert 0.2 < (lengths < 12).mean() / (5 / 13) < 0.3  # 7 to 11 of 7 to 19
    whole = [made.clip_of(0, np.random.default_rng(k), middle=True) for k in range(20)]
    assert all(clip["valid"].all() for clip in whole)


@pytest.mark.usefixtures("without_noise")
def test_clip_noise_changes_keypoints_only(annotated: Corpus) -> None:
    config = replace(PLAIN, view="perspective")
    more = NoiseConfig(random_joint_convention=1.0, limb_occlusion=1.0, drop_confidence=1.0)
    moved = 0
    for step in range(10):
        clip = batches(annotated, replace(config, noise=more)).clip(step, 0)
        plain = batches(annotated, config).clip(step, 0)
        assert clip["name"] == plain["name"]
        assert clip["hidden"].any() and (clip["keypoints"][clip["hidden"]] == 0).all()
        assert set(np.unique(clip["keypoints"][..., 2])) == {0, 1}
        both = ~clip["hidden"] & ~plain["hidden"]
        moved += int(np.abs(clip["keypoints"] - plain["keypoints"])[both].max() > 0.01)
    assert moved > 5


@pytest.mark.parametrize(
    "settings",
    [{"noise": NoiseConfig(random_joint_convention=0.1)}, {"camera": CameraConfig(tilt=0.1)}],
)
def test_config_refuses_cameras_in_orthographic_views(settings: Any) -> None:
    PretrainDataConfig(view="perspective", **settings)
    with pytest.raises(UserError, match="need data.view: perspective"):
        PretrainDataConfig(**settings)


@pytest.mark.usefixtures("without_noise")
def test_clip_mask_hides_keypoints_only(annotated: Corpus) -> None:
    config = replace(PLAIN, masks={"window": 1.0}, window_mask=(5, 9))
    for step in range(20):
        clip = batches(annotated, config).clip(step, 0)
        rows = clip["hidden"].all(axis=1)
        assert 1 <= rows.sum() <= 9
        assert (clip["keypoints"][rows] == 0).all()
        assert (clip["keypoints"][~rows & clip["valid"], :, 2] == 1).all()
        assert (np.abs(clip["pose"][rows]).sum(axis=(1, 2)) > 0).all()


@pytest.mark.usefixtures("without_noise")
def test_clip_temporal_stride_keeps_masks_whole(annotated: Corpus) -> None:
    config = replace(PLAIN, frames=10, temporal_stride=3, masks={"window": 1.0}, window_mask=(2, 3))
    whole = batches(annotated, replace(PLAIN, frames=30))
    for step in range(20):
        clip, long = batches(annotated, config).clip(step, 0), whole.clip(step, 0)
        assert clip["name"] == long["name"] and clip["valid"].shape == (10,)
        np.testing.assert_array_equal(clip["valid"], long["valid"][::3])
        np.testing.assert_array_equal(clip["positives"], long["positives"])
        rows = clip["hidden"].all(axis=1)
        assert 1 <= rows.sum() <= 3 and (clip["keypoints"][rows] == 0).all()
        assert (clip["keypoints"][~rows & clip["valid"], :, 2] == 1).all()


@pytest.mark.usefixtures("without_noise")
def test_clip_views_are_front_or_side(annotated: Corpus) -> None:
    """World-fixed: a motion is seen along +y or along -x, and nothing else."""
    made = batches(annotated, PLAIN)
    depths = Counter()
    for step in range(400):
        clip = made.clip_of(0, np.random.default_rng([1, step]), middle=True)
        depths[round(float(clip["pose"][0, 10, 2]), 4)] += 1
    assert len(depths) == 2
    assert all(abs(count - 200) < 5 * 10 for count in depths.values())


@pytest.mark.usefixtures("without_noise")
def test_clip_heading_view_shows_face_or_side(annotated: Corpus) -> None:
    """From the front, the left hip is to the right in the image; from the side, in the middle."""
    made = batches(annotated, replace(PLAIN, view="heading", frames=1))
    kinds = Counter()
    for step in range(60):
        pose = made.clip_of(3, np.random.default_rng([1, step]), middle=True)["pose"][0]
        hips, width = pose[4, 0] - pose[1, 0], np.linalg.norm(pose[4] - pose[1])
        kinds["front" if hips > 0.8 * width else "side" if abs(hips) < 0.6 * width else "?"] += 1
    assert kinds["?"] == 0 and kinds["front"] > 15 and kinds["side"] > 15


@pytest.mark.usefixtures("without_noise")
def test_clip_perspective_view_is_finite(annotated: Corpus) -> None:
    made = batches(annotated, replace(PLAIN, view="perspective", normalization="box"))
    clip = made.clip(0, 0)
    assert np.isfinite(clip["keypoints"]).all() and 0.3 < clip["scale_m"] < 3


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize(
    "sampling, power", [("uniform", 0), ("square_root", -0.5), ("balanced", -1)]
)
def test_label_sampling_draws_by_counts(tmp_path: Path, sampling: Any, power: Any) -> None:
    joints_m = next(iter(dataset(1, seed=3))).joints_m[:5]
    motions = [
        Motion(f"m{i}", "s", "train", joints_m, "walk" if i < 9 else "sit") for i in range(10)
    ]
    corpus = open_corpus(write_corpus(tmp_path / "c", motions, source="", license=""))
    made = batches(corpus, replace(PLAIN, frames=5, label_sampling=sampling), negatives=1)
    sit = 1.0 * 1.0**power
    walk = 9 * 9.0**power
    draws = [made.labels[made.clip(step, 0)["candidates"][0]] for step in range(1500)]
    expected = sit / (sit + walk)
    deviation = np.sqrt(expected * (1 - expected) / 1500)
    assert abs(draws.count("sit") / 1500 - expected) < 5 * deviation


@pytest.mark.usefixtures("without_noise")
def test_clip_corpora_are_drawn_by_weight(annotated: Corpus, tmp_path: Path) -> None:
    joints_m = next(iter(dataset(1, seed=3))).joints_m[:20]
    other = [Motion("other", "s", "train", joints_m, "fly")]
    corpus = open_corpus(write_corpus(tmp_path / "c", other, source="", license=""))
    made = MotionTextBatches(
        [(annotated, 3.0), (corpus, 1.0)], PLAIN, batch_size=1, seed=0, negatives=2
    )
    names = [made.clip(step, 0)["name"].startswith("other") for step in range(800)]
    assert abs(np.mean(names) - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 800)


def test_clip_shuffled_texts_have_no_true_negatives(annotated: Corpus) -> None:
    made = batches(annotated, replace(CONFIG, shuffle_texts=True))
    assert made.labels == batches(annotated).labels
    for step in range(30):
        clip = made.clip(step, 0)
        assert not set(clip["candidates"][1:]) & set(clip["positives"])


def test_too_few_labels_lower_k_or_are_refused(annotated: Corpus, tmp_path: Path) -> None:
    joints_m = next(iter(dataset(1, seed=3))).joints_m[:20]

    def corpus(name: Any, *motions: Any) -> Any:
        made = [Motion(f"m{i}", "s", "train", joints_m, *texts) for i, texts in enumerate(motions)]
        return open_corpus(write_corpus(tmp_path / name, made, source="", license=""))

    with pytest.warns(UserWarning, match=r"negatives is lowered from 16$"):
        made = batches(annotated, negatives=16)
    assert made.clip(0, 0)["candidates"].shape == (made.negatives + 1,)
    with pytest.raises(UserError, match=r"one has no texts in the split 'train'"):
        batches(corpus("one", ("", [])))
    with pytest.raises(UserError, match="all spans have the label 'walk'"):
        batches(corpus("two", ("walk", []), ("Walk.", [])))
    both = [(0, 20, "walk", "action"), (0, 20, "talk", "action")]
    with pytest.raises(UserError, match="one motion has all of them"):
        batches(corpus("three", ("", both)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        silent = batches(corpus("four", ("", [])), need_texts=False)
    assert silent.clip(0, 0)["candidates"].shape == (1,)
    with pytest.raises(UserError, match="no motion in the split 'test'"):
        batches(annotated, split="test")
    with pytest.raises(UserError, match="multiple of the 3 processes"):
        batches(annotated, world_size=3)


def test_clip_negatives_differ_in_words_that_mean_something(tmp_path: Path) -> None:
    pose = np.random.default_rng(0).random((30, 17, 3))
    texts = ("do jumping jacks", "jumping jacks", "raise the hand", "raise a hand", "sit")
    motions = [Motion(text, "s", "train", pose, text, [(0, 30, text, "action")]) for text in texts]
    corpus = open_corpus(write_corpus(tmp_path / "corpus", motions, source="", license=""))
    made = batches(corpus, PLAIN)
    same = ({texts[0], texts[1]}, {texts[2], texts[3]})
    for number, span in enumerate(made.spans):
        rows = made.clip_of(number, np.random.default_rng(0))["candidates"][1:]
        others = {made.labels[row] for row in rows}
        assert others <= set(texts) - {span.text} and len(others) == len(rows) > 1
        assert all(not (span.text in pair and pair & others) for pair in same)


def test_clip_negatives_have_other_categories(tmp_path: Path) -> None:
    """Of "stroll" with the categories of "walk", neither is a negative of the other."""
    categories = {"walk": ("walk",), "stroll": ("walk",), "sit": ("sit",), "hop": ("jump",)}
    pose = np.random.default_rng(0).random((30, 17, 3))
    spans = {text: [(0, 30, text, "action")] for text in categories}
    motions = [
        Motion(text, "s", "train", pose, text, spans[text], categories={text: known})
        for text, known in categories.items()
    ]
    corpus = open_corpus(write_corpus(tmp_path / "corpus", motions, source="", license=""))
    with pytest.warns(UserWarning, match="excludes up to 2, leave 2 negatives"):
        made = batches(corpus, PLAIN)
    for number, span in enumerate(made.spans):
        others = made.clip_of(number, np.random.default_rng(0))["candidates"][1:]
        alike = {text for text, own in categories.items() if own == categories[span.text]}
        assert len(others) == 2
        assert {made.labels[row] for row in others} <= categories.keys() - alike
