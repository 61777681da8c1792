"""Pretraining batches from annotated spans: views, masks, texts and negative texts.

In addition to the entries of `lifting`, a clip has
- hidden: (T, J) bool, True where the input is masked
- candidates: (K + 1,) int64, indices of labels in the vocabulary; the first is the label of the
  clip, and the others are negatives, which are not true in the clip and do not share the categories
  of a true label
- positives: (M,) int64, indices of all labels that are true for some part of the clip, padded
  with -1
"""

import copy
import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from actionpose.config import PretrainDataConfig
from actionpose.datasets import augmentation
from actionpose.datasets.loading import Batches, WeightedCorpora, cumulative, draw, motions_of
from actionpose.datasets.masking import draw_mask
from actionpose.datasets.projection import (
    Clip,
    detected_clip,
    mirrored,
    orthographic_clip,
    random_camera,
    subsample,
)
from actionpose.datasets.spans import (
    AnnotatedSpan,
    draw_negatives,
    place_window,
    shuffled,
    spans_of,
)
from actionpose.geometry.camera import heading_rad
from actionpose.models.text_encoder import mirror_text, normalize_text
from actionpose.utils.errors import UserError, UserNotice
from actionpose.utils.typing import Array, IntArray

_FILLERS = {"a", "an", "do", "the"}
_SAMPLING_POWER = {"uniform": 0.0, "square_root": -0.5, "balanced": -1.0}


@dataclass
class MotionTextBatches(Batches):
    """Batches of windows of annotated spans.

    Args:
        corpora: Corpora with weights.
        config: Data settings.
        negatives: Number of negatives (K), reduced with a warning if the vocabulary is too small.
        split: Split of the corpora.
        need_texts: Whether texts are required; if not, unlabeled motions are used as a whole with
            an empty text.

    Attributes:
        spans: Spans from which clips are drawn.
        labels: Vocabulary of all possible texts, including mirrored ones.

    Raises:
        UserError: If the split has no motions or no texts, or there is only one label.
    """

    corpora: WeightedCorpora
    config: PretrainDataConfig
    negatives: int = 0
    split: str = "train"
    need_texts: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        corpora = [corpus for corpus, _ in self.corpora]
        self.spans = spans_of(corpora, self.config.label_kinds, self.split)
        for number in sorted(set(range(len(corpora))) - {span.corpus for span in self.spans}):
            self.spans += self._unlabeled(number)
        if self.config.shuffle_texts:
            self.spans = shuffled(self.spans, self.seed)
        self._index_labels()
        if self.need_texts and len(self.labels) < 2:
            raise UserError(
                f"all spans have the label {self.labels[0]!r}: alignment needs a second one"
            )
        self.negatives = self._possible_negatives() if self.need_texts else 0
        counts = Counter(span.text for span in self.spans)
        power = _SAMPLING_POWER[self.config.label_sampling]
        weights = np.array([float(counts[span.text]) ** power for span in self.spans])
        corpus = np.array([span.corpus for span in self.spans])
        for number, (_, weight) in enumerate(self.corpora):
            weights[corpus == number] *= weight / weights[corpus == number].sum()
        self._by_weight = cumulative(weights)

    def _unlabeled(self, number: int) -> list[AnnotatedSpan]:
        corpus = self.corpora[number][0]
        motions = motions_of(corpus, self.split)
        if self.need_texts:
            raise UserError(
                f"{corpus.folder} has no texts in the split {self.split!r}: prepare it with "
                "labels, leave it out, or set loss_weights without alignment"
            )
        return [AnnotatedSpan(number, motion, motion.start, motion.stop, "") for motion in motions]

    def _index_labels(self) -> None:
        """Index the vocabulary, its mirrored labels, and the labels of each motion over time."""
        texts = {span.text for span in self.spans}
        if self.config.mirror > 0:
            texts |= {mirror_text(text) for text in texts}
        self.labels = sorted(texts)
        row = {text: number for number, text in enumerate(self.labels)}
        self._mirrored = np.array([row.get(mirror_text(text), -1) for text in self.labels])
        self._same_categories = self._rows_of_one_category(row)
        self._row = np.array([row[span.text] for span in self.spans])
        annotations: dict[tuple[int, str], set[tuple[int, int, int]]] = {}
        for span in self.spans:
            key = (span.corpus, span.motion.motion)
            annotations.setdefault(key, set()).add((span.start, span.stop, row[span.text]))
        if not self.config.shuffle_texts:  # texts of whole motions that are not spans
            for number, (corpus, _) in enumerate(self.corpora):
                for segment in corpus.segments:
                    text, key = normalize_text(segment.text), (number, segment.motion)
                    if key in annotations and text in row:
                        annotations[key].add((segment.start, segment.stop, row[text]))
        self._annotations = {key: np.array(sorted(spans)) for key, spans in annotations.items()}
        self._most_positives = max(
            len(np.unique(rows[:, 2])) for rows in self._annotations.values()
        )

    def _rows_of_one_category(self, row: dict[str, int]) -> dict[int, IntArray]:
        """For indices of the vocabulary, all indices with the same categories of the source.

        A text and its mirrored text have the same categories, as do texts that differ only in
        function words: two sources may name an action "jumping jacks" and "do jumping jacks".
        """
        rows_of: dict[frozenset[str] | str, set[int]] = {}
        for text, at in row.items():
            words = (word for word in text.split() if word not in _FILLERS)
            rows_of.setdefault(" ".join(words), set()).add(at)
        for span in self.spans:
            if span.categories and not self.config.shuffle_texts:
                own = {row[span.text], row.get(mirror_text(span.text), row[span.text])}
                rows_of.setdefault(frozenset(span.categories), set()).update(own)
        alike: dict[int, set[int]] = {}
        for rows in rows_of.values():
            for number in rows if len(rows) > 1 else ():
                alike.setdefault(number, set()).update(rows)
        return {number: np.array(sorted(rows)) for number, rows in alike.items()}

    def _no_negatives(self, positives: IntArray) -> IntArray:
        """The true labels of a clip, and those that share the categories of one of them."""
        alike = [self._same_categories[own] for own in positives if own in self._same_categories]
        return np.unique(np.concatenate([positives, *alike]))

    def _possible_negatives(self) -> int:
        """K, or less if the vocabulary is too small for a motion with many labels."""
        most = max(len(self._no_negatives(spans[:, 2])) for spans in self._annotations.values())
        wanted, possible = self.negatives, len(self.labels) - most
        if wanted == 0 or possible >= wanted:
            return wanted
        if possible < 1:
            raise UserError(
                f"there are {len(self.labels)} labels and one motion has all of them: alignment "
                "needs texts that are not true; add data, or set loss_weights without alignment"
            )
        warnings.warn(
            f"{len(self.labels)} labels, of which a motion excludes up to {most}, leave "
            f"{possible} negatives at least: alignment.negatives is lowered from {wanted}",
            UserNotice,
            stacklevel=4,
        )
        return possible

    def with_config(self, config: PretrainDataConfig) -> "MotionTextBatches":
        """The same spans and labels in other clips; keep corpora, label kinds and texts."""
        other = copy.copy(self)
        other.config = config
        return other

    def clip(self, step: int, index: int) -> Clip:
        rng = np.random.default_rng([self.seed, step, index])
        return self.clip_of(draw(self._by_weight, rng), rng)

    def clip_of(self, number: int, rng: Generator, *, middle: bool = False) -> Clip:
        """A clip of a span, from its middle or at random."""
        config, span = self.config, self.spans[number]
        longest = config.frames * config.temporal_stride
        crop = 0.0 if middle or longest == 1 else config.temporal_crop
        if crop and rng.random() < crop:
            longest = int(rng.integers(-(-longest // 3), longest))
        start, stop = place_window(span, longest, None if middle else rng)
        corpus = self.corpora[span.corpus][0]
        joints_m = np.asarray(corpus.joints_m[start:stop], dtype=np.float64)
        clip = self._view(joints_m, rng)
        known = self._annotations[span.corpus, span.motion.motion]
        positives = np.unique(known[(known[:, 0] < stop) & (known[:, 1] > start), 2])
        label = self._row[number]
        if rng.random() < config.mirror:
            clip = mirrored(clip)
            label, positives = self._mirrored[label], self._mirrored[positives]
        excluded = self._no_negatives(positives)
        negatives = draw_negatives(len(self.labels), excluded, self.negatives, rng)
        clip = subsample(clip, config.temporal_stride, config.frames)
        clip["candidates"] = np.concatenate([[label], negatives]).astype(np.int64)
        clip["positives"] = np.full(self._most_positives, -1)
        clip["positives"][: len(positives)] = positives
        first = start - span.motion.start
        clip["name"] = f"{span.motion.motion}[{first}:{first + stop - start}]"
        return clip

    def _view(self, recorded_m: Array, rng: Generator) -> Clip:
        """A clip of all frames with its mask."""
        config = self.config
        joints_m = augmentation.random_body(recorded_m, config, rng)
        as_coco = rng.random() < config.noise.coco_joint_convention
        detected_m = augmentation.from_coco(joints_m) if as_coco else None
        hidden = draw_mask(-(-len(joints_m) // config.temporal_stride), config, rng)
        hidden = hidden.repeat(config.temporal_stride, axis=0)[: len(joints_m)]
        yaw_rad = rng.uniform(-np.pi, np.pi)
        if config.view == "perspective":
            camera = random_camera(joints_m, yaw_rad, config.camera, rng)
            clip, hidden = detected_clip(
                *(joints_m, camera, config, rng), detected_m=detected_m, hidden=hidden
            )
        else:
            yaw_rad = np.pi / 2 * rng.integers(2)
            if config.view == "heading":  # at yaw 0, the camera looks at a person who faces -y
                yaw_rad += heading_rad(joints_m[0]) + np.pi / 2
            rng.normal()  # version 0.1 drew a scale here; this keeps its clips
            clip = orthographic_clip(
                *(joints_m, yaw_rad, config.normalization, rng),
                detected_m=detected_m,
                hidden=hidden,
                person_size=config.noise.person_size,
            )
        return clip | {"hidden": hidden}
