"""Fine-tuning batches from corpora: perspective views without text.

A clip is a dict:

- keypoints: (T, J, 3) float32 normalized x, y and confidence; (0, 0, 0) if hidden or padding
- pose: (T, J, 3) float32, root-relative in camera axes, in the same units
- valid: (T,) bool, False for padding
- scale_m: float32, meters per unit of `pose`
- present: (T, J) bool, True for joints with a target; only with feet
"""

from dataclasses import dataclass

import numpy as np

from actionpose.config import FinetuneDataConfig
from actionpose.datasets import augmentation, feet
from actionpose.datasets.loading import Batches, WeightedCorpora, cumulative, draw, motions_of
from actionpose.datasets.masking import random_mask
from actionpose.datasets.projection import (
    Clip,
    detected_clip,
    mirrored,
    random_camera,
    subsample,
)
from actionpose.utils.typing import Array, IntArray


@dataclass
class LiftingBatches(Batches):
    """Batches of random windows of the motions of a split.

    Args:
        corpora: Corpora with weights.
        config: Data settings.
        split: Split of the corpora.
        feet: Whether clips have the joints of H36M17_FEET.
    """

    corpora: WeightedCorpora
    config: FinetuneDataConfig
    split: str = "train"
    feet: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._motions = [motions_of(corpus, self.split) for corpus, _ in self.corpora]
        self._by_length = [cumulative(list(map(len, motions))) for motions in self._motions]
        self._by_weight = cumulative([weight for _, weight in self.corpora])
        # number of corpus frames per clip
        self._length = self.config.frames * self.config.temporal_stride

    @property
    def windows(self) -> int:
        """Number of windows at the configured stride, which defines an epoch."""
        return sum(
            max(1, (len(motion) - self._length) // self.config.stride + 1)
            for motions in self._motions
            for motion in motions
        )

    def clip(self, step: int, index: int) -> Clip:
        config, rng = self.config, np.random.default_rng([self.seed, step, index])
        corpus = draw(self._by_weight, rng)
        motion = self._motions[corpus][draw(self._by_length[corpus], rng)]
        frames = min(len(motion), self._length)
        start = int(rng.integers(len(motion) - frames + 1))
        rows = motion.start + start + np.arange(frames)
        joints_m = self._joints_m(corpus, rows)
        feet_m, is_training = None, self.split == "train"
        if self.feet:
            feet_m = feet.feet_of(self.corpora[corpus][0], motion, rows, derived=is_training)
        body_m = augmentation.random_body(joints_m, config, rng)
        if feet_m is not None:
            feet_m = feet.resized_feet(feet_m, joints_m, body_m)
        joints_m = body_m
        camera = random_camera(joints_m, rng.uniform(-np.pi, np.pi), config.camera, rng)
        as_coco = rng.random() < config.noise.coco_joint_convention
        clip, _ = detected_clip(
            joints_m,
            camera,
            config,
            rng,
            detected_m=augmentation.from_coco(joints_m) if as_coco else None,
            hidden=random_mask(frames, *config.random_mask, rng),
            feet_m=feet_m,
            hide_feet=self.feet and is_training and rng.random() < feet.HIDDEN,
        )
        if rng.random() < config.mirror:
            clip = mirrored(clip)
        name = f"{motion.motion}[{start}:{start + frames}]"
        return subsample(clip, config.temporal_stride, config.frames) | {"name": name}

    def _joints_m(self, corpus: int, rows: IntArray) -> Array:
        return np.asarray(self.corpora[corpus][0].joints_m[rows], dtype=np.float64)
