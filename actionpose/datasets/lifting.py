"""Corpora to batches. A clip is a function of (seed, step, place in the batch) and of nothing else.

So training resumes exactly, a failure can be made again, and any number of processes sees the
same global batch. One clip is a dict:

- keypoints: (T, J, 3) float32 normalized x, y, confidence; (0, 0, 0) where hidden or padding
- pose: (T, J, 3) float32, root-relative, camera axes, in the same units
- valid: (T,) bool, False on padding
- scale_m: float32, meters per unit of `pose`
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from actionpose.config import ClipConfig
from actionpose.datasets import augmentation
from actionpose.datasets.corpus import Corpus, Segment
from actionpose.datasets.loading import collate, worker_steps
from actionpose.datasets.masking import random_mask
from actionpose.datasets.projection import Clip, detected_clip, every, pad, place_camera
from actionpose.geometry.camera import mirror, redraw_bones
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

Array = NDArray[np.floating]


@dataclass
class Batches(IterableDataset[dict[str, Any]]):
    """Training batches of stage two, from `first_step` on, without end.

    Args:
        corpora: with the weights of their clips, in the order of `config.corpora`.
        batch_size: of the global batch, over all processes.
        rank, world_size: which part of each global batch this process makes.
    """

    corpora: list[tuple[Corpus, float]]
    config: ClipConfig
    batch_size: int
    seed: int
    first_step: int = 0
    rank: int = 0
    world_size: int = 1
    split: str = "train"

    def __post_init__(self) -> None:
        if self.batch_size % self.world_size:
            raise UserError(
                f"batch_size ({self.batch_size}) must be a multiple of the {self.world_size} "
                "processes"
            )
        if not self.corpora or sum(weight for _, weight in self.corpora) <= 0:
            raise UserError("data.corpora must name at least one corpus with a weight above 0")
        self._motions: list[list[Segment]] = []
        self._odds: list[NDArray[np.float64]] = []
        for corpus, _ in self.corpora:
            motions = list(corpus.motions(self.split).values())
            if not motions:
                raise UserError(f"{corpus.folder} has no motion in the split {self.split!r}")
            lengths = np.array([len(motion) for motion in motions], dtype=np.float64)
            self._motions.append(motions)
            self._odds.append(np.cumsum(lengths) / lengths.sum())
        weights = np.array([weight for _, weight in self.corpora], dtype=np.float64)
        self._corpus_odds = np.cumsum(weights) / weights.sum()

    @property
    def _span(self) -> int:
        """Frames of the corpora that a clip is taken from."""
        return self.config.frames * self.config.temporal_stride

    @property
    def windows(self) -> int:
        """Windows at the configured stride: what an epoch counts."""
        return sum(
            max(1, (len(motion) - self._span) // self.config.stride + 1)
            for motions in self._motions
            for motion in motions
        )

    def clip(self, step: int, index: int) -> Clip:
        """The clip at one place of one global batch."""
        rng = np.random.default_rng([self.seed, step, index])
        which = int(np.searchsorted(self._corpus_odds, rng.random(), side="right"))
        motions, odds = self._motions[which], self._odds[which]
        motion = motions[int(np.searchsorted(odds, rng.random(), side="right"))]
        frames = min(len(motion), self._span)
        start = motion.start + int(rng.integers(len(motion) - frames + 1))
        joints_m: Array = np.asarray(
            self.corpora[which][0].joints_m[start : start + frames], dtype=np.float64
        )
        recombine = self.config.augmentation.recombine
        if recombine and rng.random() < recombine:
            joints_m = augmentation.recombine(joints_m, self._other(which, frames, rng))
        if perturb_deg := self.config.augmentation.perturb_deg:
            joints_m = augmentation.perturb(joints_m, perturb_deg, rng)
        clip = pad(
            every(self._augment(joints_m, rng), self.config.temporal_stride), self.config.frames
        )
        clip["name"] = f"{motion.motion}[{start - motion.start}:{start - motion.start + frames}]"
        return clip

    def _other(self, which: int, frames: int, rng: Generator) -> Array:
        """Frames of another motion of a corpus; a shorter one stands still at its end."""
        motions, odds = self._motions[which], self._odds[which]
        motion = motions[int(np.searchsorted(odds, rng.random(), side="right"))]
        start = int(rng.integers(max(1, len(motion) - frames + 1)))
        rows = motion.start + np.minimum(np.arange(start, start + frames), len(motion) - 1)
        return np.asarray(self.corpora[which][0].joints_m[rows], dtype=np.float64)

    def _augment(self, joints_m: Array, rng: Generator) -> Clip:
        config = self.config
        joints_m = augmentation.with_body(joints_m, config.augmentation, rng)
        if config.bone_length_jitter:
            scale = np.exp(rng.normal(0, config.bone_length_jitter, len(H36M17)))
            joints_m = redraw_bones(joints_m, (scale + scale[H36M17.mirror]) / 2)
        camera = place_camera(
            joints_m,
            rng.uniform(-np.pi, np.pi),
            rng.uniform(*config.distance_m),
            rng.uniform(*config.camera_height_m),
            rng.uniform(*config.focal_px),
        )
        seen_m = (
            augmentation.as_from_coco(joints_m)
            if rng.random() < config.coco_joint_convention
            else None
        )
        hidden = random_mask(
            len(joints_m), len(H36M17), config.hidden_joints, config.hidden_frames, rng
        )
        clip, _ = detected_clip(joints_m, camera, config, rng, seen_m=seen_m, hidden=hidden)
        if rng.random() < config.mirror:
            clip["keypoints"] = mirror(clip["keypoints"])
            clip["pose"] = mirror(clip["pose"])
        return clip

    def batch(self, step: int) -> dict[str, Any]:
        """This process's part of the global batch of a step, as tensors (B, ...)."""
        share = self.batch_size // self.world_size
        rows = range(self.rank * share, (self.rank + 1) * share)
        return collate([self.clip(step, row) for row in rows])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self.batch(step) for step in worker_steps(self.first_step))
