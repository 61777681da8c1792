"""Labeled spans to batches of stage one: views, texts, masks, and texts that are not true.

As in `clips`, a clip is a function of (seed, step, place in the batch) and of nothing else. To
what a clip of stage two has, it adds

- hidden: (T, J) bool, True where the input is masked
- candidates: (K + 1,) int64, rows of the vocabulary; the first is the clip's label, no other is
  true anywhere in it
- truth: (M,) int64, every row of the vocabulary that is true somewhere in the clip, then -1
"""

import copy
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from actionpose.config import ClipConfig, TextClipConfig
from actionpose.datasets import augmentation
from actionpose.datasets.corpus import Corpus
from actionpose.datasets.loading import collate, worker_steps
from actionpose.datasets.masking import draw_mask
from actionpose.datasets.projection import (
    Clip,
    detected_clip,
    every,
    orthographic_clip,
    pad,
    place_camera,
)
from actionpose.datasets.spans import Span, draw_negatives, place_window, shuffled, spans_of
from actionpose.geometry.camera import heading_rad, mirror, redraw_bones
from actionpose.models.text_encoder import mirror_text, normalize_text
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError, UserNotice

Array = NDArray[np.floating]

_CAMERAS = ClipConfig()  # whose perspective cameras the "perspective" ones are


class TextBatches(IterableDataset[dict[str, Any]]):
    """Training batches of stage one, from `first_step` on, without end.

    Args:
        corpora: with the weights of their clips.
        negatives: K; lowered with a warning if the vocabulary is too small.
        batch_size: of the global batch, over all processes.
        rank, world_size: which part of each global batch this process makes.
        need_texts: without, motions that have none are taken whole, with the empty text.

    Attributes:
        spans: what clips are drawn from.
        labels: the vocabulary: every text a clip may have, mirrored ones included.
        negatives: K that the vocabulary allows.

    Raises:
        UserError: no corpus, no motion in the split, no text, or a single label.
    """

    def __init__(
        self,
        corpora: list[tuple[Corpus, float]],
        config: TextClipConfig,
        *,
        batch_size: int,
        seed: int,
        negatives: int = 0,
        first_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
        split: str = "train",
        need_texts: bool = True,
    ):
        if batch_size % world_size:
            raise UserError(
                f"batch_size ({batch_size}) must be a multiple of the {world_size} processes"
            )
        if not corpora or sum(weight for _, weight in corpora) <= 0:
            raise UserError("data.corpora must name at least one corpus with a weight above 0")
        self.corpora = [corpus for corpus, _ in corpora]
        self.config, self.seed, self.split = config, seed, split
        self.batch_size, self.first_step = batch_size, first_step
        self.rank, self.world_size = rank, world_size
        self.spans = spans_of(self.corpora, config, split)
        for number, corpus in enumerate(self.corpora):
            if not any(span.corpus == number for span in self.spans):
                self.spans += self._untold(number, corpus, need_texts)
        if config.shuffle_texts:
            self.spans = shuffled(self.spans, seed)
        self._index_labels(config.mirror > 0, shuffled=config.shuffle_texts)
        if need_texts and len(self.labels) < 2:
            raise UserError(
                f"all spans have the label {self.labels[0]!r}: alignment needs a second one"
            )
        self.negatives = self._possible_negatives(negatives) if need_texts else 0
        self._index_odds([weight for _, weight in corpora])

    def _untold(self, number: int, corpus: Corpus, need_texts: bool) -> list[Span]:
        motions = corpus.motions(self.split).values()
        if not motions:
            raise UserError(f"{corpus.folder} has no motion in the split {self.split!r}")
        if need_texts:
            raise UserError(
                f"{corpus.folder} has no texts in the split {self.split!r}: prepare it with "
                "labels, leave it out, or set alignment_weight to 0"
            )
        return [Span(number, motion, motion.start, motion.stop, "") for motion in motions]

    def _index_labels(self, mirrored: bool, *, shuffled: bool) -> None:
        """The vocabulary, its mirror, and what is true when in each motion."""
        texts = {span.text for span in self.spans}
        if mirrored:
            texts |= {mirror_text(text) for text in texts}
        self.labels = sorted(texts)
        row = {text: number for number, text in enumerate(self.labels)}
        self._mirrored = np.array([row.get(mirror_text(text), -1) for text in self.labels])
        self._row = np.array([row[span.text] for span in self.spans])
        told: dict[tuple[int, str], set[tuple[int, int, int]]] = {}
        for span in self.spans:
            key = (span.corpus, span.motion.motion)
            told.setdefault(key, set()).add((span.start, span.stop, row[span.text]))
        if not shuffled:  # what the spans leave out: say, the text of the whole motion
            for number, corpus in enumerate(self.corpora):
                for segment in corpus.segments:
                    text = normalize_text(segment.text)
                    if (number, segment.motion) in told and text in row:
                        whole = (segment.start, segment.stop, row[text])
                        told[number, segment.motion].add(whole)
        self._told = {key: np.array(sorted(spans)) for key, spans in told.items()}
        self._most_true = max(len(np.unique(told[:, 2])) for told in self._told.values())

    def _possible_negatives(self, wanted: int) -> int:
        """K, unless the vocabulary is too small for a motion that has many of its labels."""
        possible = len(self.labels) - self._most_true
        if wanted == 0 or possible >= wanted:
            return wanted
        if possible < 1:
            raise UserError(
                f"there are {len(self.labels)} labels and one motion has all of them: alignment "
                "needs texts that are not true; add data, or set alignment_weight to 0"
            )
        warnings.warn(
            f"{len(self.labels)} labels, of which a motion has up to {self._most_true}, leave "
            f"{possible} negatives at least: alignment.negatives is lowered from {wanted}",
            UserNotice,
            stacklevel=3,
        )
        return possible

    def _index_odds(self, weights: list[float]) -> None:
        counts = Counter(span.text for span in self.spans)
        power = {"uniform": 0.0, "sqrt": -0.5, "label": -1.0}[self.config.label_frequency]
        odds = np.array([float(counts[span.text]) ** power for span in self.spans])
        corpus = np.array([span.corpus for span in self.spans])
        for number, weight in enumerate(weights):
            odds[corpus == number] *= weight / odds[corpus == number].sum()
        self._odds = np.cumsum(odds) / odds.sum()

    def starting_at(self, step: int) -> "TextBatches":
        """The same batches from another step on."""
        other = copy.copy(self)
        other.first_step = step
        return other

    def with_config(self, config: TextClipConfig) -> "TextBatches":
        """The same spans and labels, seen otherwise; the corpora, labels and texts must be kept."""
        other = copy.copy(self)
        other.config = config
        return other

    def clip(self, step: int, index: int) -> Clip:
        """The clip at one place of one global batch."""
        rng = np.random.default_rng([self.seed, step, index])
        return self.clip_of(int(np.searchsorted(self._odds, rng.random(), side="right")), rng)

    def clip_of(self, number: int, rng: Generator, *, middle: bool = False) -> Clip:
        """A clip of one span; in its middle, or at random."""
        config, span = self.config, self.spans[number]
        longest = config.frames * config.temporal_stride
        shorter = 0.0 if middle or longest == 1 else config.short_windows
        if shorter and rng.random() < shorter:
            longest = int(rng.integers(-(-longest // 3), longest))
        start, stop = place_window(span, longest, config.short, None if middle else rng)
        corpus = self.corpora[span.corpus]
        joints_m = np.asarray(corpus.joints_m[start:stop], dtype=np.float64)
        clip = self._seen(joints_m, rng)
        told = self._told[span.corpus, span.motion.motion]
        true = np.unique(told[(told[:, 0] < stop) & (told[:, 1] > start), 2])
        label = self._row[number]
        if rng.random() < config.mirror:
            for key in ("keypoints", "pose"):
                clip[key] = mirror(clip[key])
            clip["hidden"] = clip["hidden"][:, H36M17.mirror]
            label, true = self._mirrored[label], self._mirrored[true]
        others = draw_negatives(len(self.labels), true, self.negatives, rng)
        clip = pad(every(clip, config.temporal_stride), config.frames)
        clip["candidates"] = np.concatenate([[label], others]).astype(np.int64)
        clip["truth"] = np.full(self._most_true, -1)
        clip["truth"][: len(true)] = true
        first = start - span.motion.start
        clip["name"] = f"{span.motion.motion}[{first}:{first + stop - start}]"
        return clip

    def _seen(self, joints_m: Array, rng: Generator) -> Clip:
        config = self.config
        joints_m = augmentation.with_body(joints_m, config.augmentation, rng)
        if config.bone_length_jitter:
            scale = np.exp(rng.normal(0, config.bone_length_jitter, len(H36M17)))
            joints_m = redraw_bones(joints_m, (scale + scale[H36M17.mirror]) / 2)
        as_coco = rng.random() < config.coco_joint_convention
        seen_m = augmentation.as_from_coco(joints_m) if as_coco else None
        hidden = draw_mask(-(-len(joints_m) // config.temporal_stride), config.masks, rng)
        hidden = hidden.repeat(config.temporal_stride, axis=0)[: len(joints_m)]
        yaw_rad = rng.uniform(-np.pi, np.pi)
        if config.camera == "perspective":
            camera = place_camera(
                joints_m,
                yaw_rad,
                rng.uniform(*_CAMERAS.distance_m),
                rng.uniform(*_CAMERAS.camera_height_m),
                rng.uniform(*_CAMERAS.focal_px),
            )
            clip, hidden = detected_clip(
                joints_m, camera, config, rng, seen_m=seen_m, hidden=hidden
            )
        else:
            if config.view != "any":
                yaw_rad = np.pi / 2 * rng.integers(2)
            if config.view == "heading":  # at yaw 0 the camera looks at a person who faces -y
                yaw_rad += heading_rad(joints_m[0]) + np.pi / 2
            units_per_m = config.units_per_m * np.exp(rng.normal(0, config.scale_jitter))
            clip = orthographic_clip(
                joints_m,
                yaw_rad,
                units_per_m,
                config,
                rng if config.noise else None,
                seen_joints_m=seen_m,
                hidden=hidden,
            )
        clip["hidden"] = hidden
        return clip

    def batch(self, step: int) -> dict[str, Any]:
        """This process's part of the global batch of a step, as tensors (B, ...)."""
        share = self.batch_size // self.world_size
        rows = range(self.rank * share, (self.rank + 1) * share)
        return collate([self.clip(step, row) for row in rows])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self.batch(step) for step in worker_steps(self.first_step))
