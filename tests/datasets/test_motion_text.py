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
from actionpose.datasets.corpus import Corpus, Motion, Segment, open_corpus, write_corpus
from actionpose.datasets.motion_text import MotionTextBatches
from actionpose.datasets.projection import orthographic_clip
from actionpose.datasets.spans import (
    AnnotatedSpan,
    draw_negatives,
    pair_transition,
    place_window,
    shuffled,
    spans_of,
)
from actionpose.datasets.synthetic.generate import dataset
from actionpose.geometry.camera import mirror
from actionpose.utils.errors import UserError

CONFIG = PretrainDataConfig(frames=20)
PLAIN = replace(CONFIG, mirror=0.0, masks={})
LABELS = [
    (0, 30, "Walk", "action"),
    (20, 60, "wave the left hand", "action"),
    (60, 70, "transition", "transition"),
    (70, 100, "sit", "action"),
    (70, 80, "look  right", "action"),
]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A motion with overlapping labels and a transition; others with one label, or none."""
    made = [np.concatenate([m.joints_m] * 3) for m in dataset(12, seed=1)]
    assert min(map(len, made)) >= 100
    motions = [Motion("rich", "s", "train", made[0][:100], "a walk, then a chair", LABELS)]
    motions += [Motion("short", "s", "train", made[1][:12], "hop", [(2, 9, "HOP.", "action")])]
    motions += [Motion("sequence", "s", "train", made[2][:50], "run")]
    motions += [Motion("silent", "s", "train", made[3][:50], "")]
    motions += [
        Motion(f"m{i}", "s", "train", made[4 + i][:40], f"act {i}", [(0, 40, f"act {i}", "action")])
        for i in range(8)
    ]
    motions += [Motion("val", "t", "val", made[0][:40], "run")]
    folder = tmp_path_factory.mktemp("told") / "told"
    return open_corpus(write_corpus(folder, motions, source="made up", license="ours"))


def batches(
    corpus: Corpus, config: PretrainDataConfig = CONFIG, **settings: Any
) -> MotionTextBatches:
    settings = {"batch_size": 4, "seed": 7, "negatives": 3} | settings
    return MotionTextBatches([(corpus, 1.0)], config, **settings)


def texts(corpus: Corpus, *kinds: Any) -> list[Any]:
    found = spans_of([corpus], kinds, "train")
    return [span.text for span in found if span.motion.motion in ("rich", "sequence", "silent")]


def test_frame_labels_with_the_sequence_where_there_are_none(told: Corpus) -> None:
    transit = "transit from wave the left hand to sit"
    frame = ["walk", "wave the left hand", transit, "sit", "look right"]
    assert texts(told, "action", "transition") == [*frame, "run"]
    assert texts(told, "sequence") == ["a walk, then a chair", "run"]
    every_kind = texts(told, "action", "transition", "sequence")
    assert every_kind == [*frame, "a walk, then a chair", "run"]
    assert texts(told, "action") == [*(t for t in frame if t != transit), "run"]


def segment(start: int, stop: int, text: str, kind: str = "action") -> Segment:
    return Segment("m", "s", "train", start, stop, text, kind)


def test_transitions_join_the_nearest_the_longest_of_ties() -> None:
    change = segment(50, 60, "transition", "transition")
    around = [
        segment(0, 50, "walk"),
        segment(30, 50, "look around"),  # ends as near, and is shorter
        segment(0, 40, "talk"),
        segment(59, 90, "sit"),  # seconds were rounded: it starts a frame early
        segment(59, 70, "nod"),
        segment(70, 80, "stand"),
    ]
    found = pair_transition(change, [*around, change])
    assert (found.text, found.start, found.stop) == ("transit from walk to sit", 0, 90)
    assert found.kind == "transition"
    for one_sided in (around[:3], around[3:], [change]):
        assert pair_transition(change, one_sided) is None
    # another transition is no action
    assert pair_transition(change, [segment(0, 50, "Transition"), around[3]]) is None


def span(
    start: int, stop: int, motion: tuple[Any, ...] = (0, 1000), center: int | None = None
) -> AnnotatedSpan:
    return AnnotatedSpan(0, segment(*motion, ""), start, stop, "walk", center)


def test_windows_of_long_spans_are_inside_and_uniform() -> None:
    rng = np.random.default_rng(0)
    starts = [place_window(span(100, 140), 20, rng) for _ in range(4200)]
    assert all(stop - start == 20 for start, stop in starts)
    counts = Counter(start for start, _ in starts)
    assert sorted(counts) == list(range(100, 121))
    assert max(abs(count - 200) for count in counts.values()) < 5 * np.sqrt(200)
    assert place_window(span(100, 140), 20) == (110, 130)
    assert place_window(span(100, 120), 20, rng) == (100, 120)


def test_windows_of_long_transitions_are_around_them() -> None:
    rng = np.random.default_rng(0)
    assert place_window(span(100, 200, center=160), 20, rng) == (150, 170)
    assert place_window(span(100, 200, center=195), 20, rng) == (180, 200)


def test_windows_of_short_spans_have_all_of_it_and_context() -> None:
    rng = np.random.default_rng(0)
    for motion in ((0, 1000), (95, 112), (104, 1000), (0, 111)):
        found = {place_window(span(104, 110, motion), 20, rng) for _ in range(500)}
        length = min(20, motion[1] - motion[0])
        expected = range(max(motion[0], 110 - length), min(104, motion[1] - length) + 1)
        assert found == {(start, start + length) for start in expected}


def test_a_batch_is_a_function_of_seed_step_and_place(told: Corpus) -> None:
    def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
        return all(
            torch.equal(a[key], b[key]) if isinstance(a[key], torch.Tensor) else a[key] == b[key]
            for key in a
        )

    assert same(batches(told).batch(3), batches(told).batch(3))
    assert same(batches(told).batch(3), next(iter(batches(told).starting_at(3))))
    assert not same(batches(told).batch(3), batches(told, seed=8).batch(3))
    whole = batches(told).batch(3)
    halves = [batches(told, rank=rank, world_size=2).batch(3) for rank in (0, 1)]
    for key, value in whole.items():
        parts = [half[key] for half in halves]
        joined = torch.cat(parts) if isinstance(value, torch.Tensor) else parts[0] + parts[1]
        assert same({key: value}, {key: joined})


def test_shapes(told: Corpus) -> None:
    batch = batches(told).batch(0)
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
def test_no_negative_is_true_anywhere_in_the_clip(told: Corpus, more: Any) -> None:
    config = replace(CONFIG, label_kinds=("action", "transition", *more))
    made = batches(told, config, negatives=6)
    swap = str.maketrans({"<": "left", ">": "right"})
    rich = 0
    for step in range(60):
        for index in range(4):
            clip = made.clip(step, index)
            found = [made.labels[row] for row in clip["candidates"]]
            assert len(set(found)) == 7
            true = overlapping(told, clip["name"])
            mirrored = {t.replace("left", ">").replace("right", "<").translate(swap) for t in true}
            rich += len(true) > 2
            assert not set(found[1:]) & true or not set(found[1:]) & mirrored
            named = {made.labels[row] for row in clip["positives"] if row >= 0}
            assert found[0] in named and not set(found[1:]) & named
            known = set(made.labels)
            transits = {t for t in named if t.startswith("transit from")}
            assert named - transits in (true & known - {"transition"}, mirrored & known)
    assert rich > 20


def test_negatives_are_drawn_alike(told: Corpus) -> None:
    rng = np.random.default_rng(0)
    true = np.array([2, 5])
    counts = np.zeros(10)
    for _ in range(4000):
        drawn = draw_negatives(10, true, 3, rng)
        assert len(set(drawn)) == 3
        counts[drawn] += 1
    assert counts[true].sum() == 0
    others = np.delete(counts, true)
    assert np.abs(others - 1500).max() < 5 * np.sqrt(1500)


@pytest.mark.usefixtures("without_noise")
def test_mirrored_clips_have_mirrored_texts(told: Corpus) -> None:
    plain = replace(PLAIN, masks={"random": 0.5, "part": 0.5})
    # the same vocabulary, so that the draws are the same
    never = batches(told, replace(plain, mirror=1e-9))
    always = batches(told, replace(plain, mirror=1.0))
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
def test_short_motions_are_padded(told: Corpus) -> None:
    made = batches(told, PLAIN)
    number = next(i for i, s in enumerate(made.spans) if s.motion.motion == "short")
    clip = made.clip_of(number, np.random.default_rng(0))
    assert clip["valid"].sum() == 12 and clip["hidden"].shape == (20, 17)
    assert (clip["keypoints"][12:] == 0).all()


@pytest.mark.usefixtures("without_noise")
def test_short_windows_are_padded_and_as_frequent_as_asked(told: Corpus) -> None:
    made = batches(told, replace(PLAIN, temporal_crop=0.25))
    assert PLAIN.frames == 20
    lengths = np.array([made.clip(step, 0)["valid"].sum() for step in range(600)])
    long = made.spans[0].motion  # longer than a window
    assert len(long) > 20 and set(lengths) == {*range(7, 21)}
    assert 0.2 < (lengths < 12).mean() / (5 / 13) < 0.3  # 7 to 11 of 7 to 19
    whole = [made.clip_of(0, np.random.default_rng(k), middle=True) for k in range(20)]
    assert all(clip["valid"].all() for clip in whole)


@pytest.mark.usefixtures("without_noise")
def test_what_detectors_do_reaches_the_input_alone(told: Corpus) -> None:
    config = replace(PLAIN, view="perspective")
    more = NoiseConfig(random_joint_convention=1.0, limb_occlusion=1.0, drop_confidence=1.0)
    moved = 0
    for step in range(10):
        clip = batches(told, replace(config, noise=more)).clip(step, 0)
        plain = batches(told, config).clip(step, 0)
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
def test_settings_of_cameras_are_refused_without_one(settings: Any) -> None:
    PretrainDataConfig(view="perspective", **settings)
    with pytest.raises(UserError, match="need data.view: perspective"):
        PretrainDataConfig(**settings)


@pytest.mark.usefixtures("without_noise")
def test_masks_hide_the_input_and_not_the_target(told: Corpus) -> None:
    config = replace(PLAIN, masks={"window": 1.0}, window_mask=(5, 9))
    for step in range(20):
        clip = batches(told, config).clip(step, 0)
        rows = clip["hidden"].all(axis=1)
        assert 1 <= rows.sum() <= 9
        assert (clip["keypoints"][rows] == 0).all()
        assert (clip["keypoints"][~rows & clip["valid"], :, 2] == 1).all()
        assert (np.abs(clip["pose"][rows]).sum(axis=(1, 2)) > 0).all()


@pytest.mark.usefixtures("without_noise")
def test_frames_that_lie_apart_and_their_masks(told: Corpus) -> None:
    config = replace(PLAIN, frames=10, temporal_stride=3, masks={"window": 1.0}, window_mask=(2, 3))
    whole = batches(told, replace(PLAIN, frames=30))
    for step in range(20):
        clip, long = batches(told, config).clip(step, 0), whole.clip(step, 0)
        assert clip["name"] == long["name"] and clip["valid"].shape == (10,)
        np.testing.assert_array_equal(clip["valid"], long["valid"][::3])
        np.testing.assert_array_equal(clip["positives"], long["positives"])
        rows = clip["hidden"].all(axis=1)
        assert 1 <= rows.sum() <= 3 and (clip["keypoints"][rows] == 0).all()
        assert (clip["keypoints"][~rows & clip["valid"], :, 2] == 1).all()


def test_an_orthographic_clip_is_the_view_of_its_motion() -> None:
    joints_m = next(iter(dataset(1, seed=3))).joints_m[:10]
    meters = []
    for yaw, across in ((0.0, joints_m[..., 0]), (np.pi / 2, joints_m[..., 1])):
        clip = orthographic_clip(joints_m, yaw, "image", None)
        assert clip["scale_m"] == pytest.approx(1 / 0.298)
        expected = (across - across[0, 0]) * 0.298
        np.testing.assert_allclose(clip["keypoints"][..., 0], expected, atol=1e-6)
        down = -(joints_m[..., 2] - joints_m[0, 0, 2]) * 0.298
        np.testing.assert_allclose(clip["keypoints"][..., 1], down, atol=1e-6)
        # x and y of the target are those of the input, from the root
        rooted = clip["keypoints"][..., :2] - clip["keypoints"][:, :1, :2]
        np.testing.assert_allclose(clip["pose"][..., :2], rooted, atol=1e-6)
        bones = np.linalg.norm(clip["pose"][:, 1] - clip["pose"][:, 2], axis=-1) * clip["scale_m"]
        true = np.linalg.norm(joints_m[:, 1] - joints_m[:, 2], axis=-1)
        np.testing.assert_allclose(bones, true, rtol=1e-5)
        meters.append(clip["pose"] * clip["scale_m"])
    box = orthographic_clip(joints_m, 0.0, "box", None)
    extent = np.ptp(box["keypoints"][..., :2], axis=1).max(axis=-1)
    assert np.median(extent) == pytest.approx(2)
    np.testing.assert_allclose(box["pose"] * box["scale_m"], meters[0], atol=1e-5)


@pytest.mark.usefixtures("without_noise")
def test_half_of_the_views_are_from_the_front(told: Corpus) -> None:
    """World-fixed: a motion is seen along +y or along -x, and nothing else."""
    made = batches(told, PLAIN)
    depths = Counter()
    for step in range(400):
        clip = made.clip_of(0, np.random.default_rng([1, step]), middle=True)
        depths[round(float(clip["pose"][0, 10, 2]), 4)] += 1
    assert len(depths) == 2
    assert all(abs(count - 200) < 5 * 10 for count in depths.values())


@pytest.mark.usefixtures("without_noise")
def test_a_heading_view_shows_the_face_or_the_side(told: Corpus) -> None:
    """From the front, the left hip is to the right in the image; from the side, in the middle."""
    made = batches(told, replace(PLAIN, view="heading", frames=1))
    kinds = Counter()
    for step in range(60):
        pose = made.clip_of(3, np.random.default_rng([1, step]), middle=True)["pose"][0]
        hips, width = pose[4, 0] - pose[1, 0], np.linalg.norm(pose[4] - pose[1])
        kinds["front" if hips > 0.8 * width else "side" if abs(hips) < 0.6 * width else "?"] += 1
    assert kinds["?"] == 0 and kinds["front"] > 15 and kinds["side"] > 15


@pytest.mark.usefixtures("without_noise")
def test_perspective_clips_are_those_of_stage_two(told: Corpus) -> None:
    made = batches(told, replace(PLAIN, view="perspective", normalization="box"))
    clip = made.clip(0, 0)
    assert np.isfinite(clip["keypoints"]).all() and 0.3 < clip["scale_m"] < 3


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize(
    "sampling, power", [("uniform", 0), ("square_root", -0.5), ("balanced", -1)]
)
def test_label_sampling(tmp_path: Path, sampling: Any, power: Any) -> None:
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
def test_weights_of_corpora(told: Corpus, tmp_path: Path) -> None:
    joints_m = next(iter(dataset(1, seed=3))).joints_m[:20]
    other = [Motion("other", "s", "train", joints_m, "fly")]
    corpus = open_corpus(write_corpus(tmp_path / "c", other, source="", license=""))
    made = MotionTextBatches([(told, 3.0), (corpus, 1.0)], PLAIN, batch_size=1, seed=0, negatives=2)
    names = [made.clip(step, 0)["name"].startswith("other") for step in range(800)]
    assert abs(np.mean(names) - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 800)


def test_the_control_has_every_text_elsewhere(told: Corpus) -> None:
    spans = spans_of([told], CONFIG.label_kinds, "train")
    mixed = shuffled(spans, seed=0)
    assert Counter(s.text for s in mixed) == Counter(s.text for s in spans)
    assert [s.start for s in mixed] == [s.start for s in spans]
    moved = sum(a.text != b.text for a, b in zip(spans, mixed, strict=True))
    assert moved > len(spans) / 2
    made = batches(told, replace(CONFIG, shuffle_texts=True))
    assert made.labels == batches(told).labels
    for step in range(30):
        clip = made.clip(step, 0)
        assert not set(clip["candidates"][1:]) & set(clip["positives"])


def test_too_few_labels_lower_k_or_are_refused(told: Corpus, tmp_path: Path) -> None:
    joints_m = next(iter(dataset(1, seed=3))).joints_m[:20]

    def corpus(name: Any, *motions: Any) -> Any:
        made = [Motion(f"m{i}", "s", "train", joints_m, *told) for i, told in enumerate(motions)]
        return open_corpus(write_corpus(tmp_path / name, made, source="", license=""))

    with pytest.warns(UserWarning, match=r"negatives is lowered from 16$"):
        made = batches(told, negatives=16)
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
        batches(told, split="test")
    with pytest.raises(UserError, match="multiple of the 3 processes"):
        batches(told, world_size=3)
