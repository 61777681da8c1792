"""Corpora to batches. A clip is a function of (seed, step, place in the batch) and of nothing else.

So training resumes exactly, a failure can be made again, and any number of processes sees the
same global batch. One clip is a dict:

- keypoints: (T, J, 3) float32 normalized x, y, confidence; (0, 0, 0) where hidden or padding
- pose: (T, J, 3) float32, root-relative, camera axes, in the same units
- valid: (T,) bool, False on padding
- scale_m: float32, meters per unit of `pose`
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from actionpose.config import ClipConfig, TextClipConfig
from actionpose.datasets import augmentation
from actionpose.datasets.corpus import Corpus, Segment, open_corpus
from actionpose.datasets.masking import detector_noise, random_mask
from actionpose.geometry.camera import (
    Camera,
    Frame2D,
    box_frame,
    image_frame,
    look_at,
    mirror,
    redraw_bones,
)
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

Array = NDArray[np.floating]
Clip = dict[str, Any]

IMAGE_SIZE = (1000, 1000)
# Half the box of a 1.7 m person in Human3.6M, about 4 mm a pixel, in units of half the image
# width: the size of person for which the noise was measured. It grows with the person.
NOISE_PERSON_SIZE = 0.42
_NEAREST_M = 1.0  # no joint comes nearer to the camera


def place_camera(
    joints_m: Array,
    azimuth_rad: float,
    distance_m: float,
    height_m: float,
    focal_px: float = 1145.0,
) -> Camera:
    """A camera that looks at the middle of the person's path.

    It stands in direction `azimuth_rad` (from +x, about z) and moves back if the person would
    come nearer than a meter.
    """
    low, high = joints_m[:, 0].min(axis=0), joints_m[:, 0].max(axis=0)
    target = (low + high) / 2
    direction = np.array([np.cos(azimuth_rad), np.sin(azimuth_rad), 0.0])
    # the nearest joint, seen along the ground
    reach = float(((joints_m - target) @ direction).max()) + _NEAREST_M
    position = target + direction * max(distance_m, reach)
    position[2] = height_m
    center = np.array(IMAGE_SIZE) / 2
    return Camera(look_at(position, target), position, focal_px, center)


def make_clip(
    joints_m: Array,
    camera: Camera,
    normalization: str,
    rng: Generator | None,
    *,
    seen_joints_m: Array | None = None,
    hidden: NDArray[np.bool_] | None = None,
) -> Clip:
    """See a motion through a camera, as a detector would.

    Args:
        joints_m: (T, 17, 3) world.
        normalization: "image" or "box", as in `ClipConfig`.
        rng: draws the detector's errors; None means none, and confidence 1.
        seen_joints_m: what the detector looks for, where that is not `joints_m`.
        hidden: (T, 17) True where the input is missing.
    """
    in_camera_m = camera.from_world(joints_m)
    seen_m = in_camera_m if seen_joints_m is None else camera.from_world(seen_joints_m)
    keypoints_px = np.ones((*joints_m.shape[:2], 3))
    keypoints_px[..., :2] = camera.project(seen_m)
    if rng is not None:
        box = box_frame(keypoints_px)
        assert box is not None
        noise, keypoints_px[..., 2] = detector_noise(len(joints_m), rng)
        keypoints_px[..., :2] += noise / NOISE_PERSON_SIZE * box.unit_px
    if hidden is not None:
        keypoints_px[hidden] = 0
    frame: Frame2D | None = image_frame(IMAGE_SIZE)
    if normalization == "box":
        frame = box_frame(keypoints_px) or frame
    assert frame is not None
    root_m = in_camera_m[:, :1]
    # one scale for the clip, as bones keep their length: that of the mean depth
    scale_m = frame.unit_px * float(root_m[..., 2].mean()) / camera.focal_px
    return {
        "keypoints": frame.normalize(keypoints_px),
        "pose": ((in_camera_m - root_m) / scale_m).astype(np.float32),
        "valid": np.ones(len(joints_m), dtype=bool),
        "scale_m": np.float32(scale_m),
    }


def pad(clip: Clip, frames: int) -> Clip:
    """Lengthen a clip with invalid zero frames at its end."""
    missing = frames - len(clip["valid"])
    if missing == 0:
        return clip
    return {
        key: np.concatenate([value, np.zeros((missing, *value.shape[1:]), value.dtype)])
        if isinstance(value, np.ndarray)
        else value
        for key, value in clip.items()
    }


def every(clip: Clip, step: int) -> Clip:
    """Every so many frames of a clip."""
    return {
        key: value[::step] if isinstance(value, np.ndarray) else value
        for key, value in clip.items()
    }


def open_corpora(shares: Mapping[str, float]) -> list[tuple[Corpus, float]]:
    """Open the corpora of a configuration, each with its share of the clips.

    Raises:
        UserError: not a corpus, or corpora of different rates.
    """
    corpora = [(open_corpus(folder), share) for folder, share in shares.items()]
    if len(rates := {corpus.fps for corpus, _ in corpora}) > 1:
        raise UserError(f"the corpora have different rates ({rates} Hz): prepare them at one rate")
    return corpora


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


def detected_clip(
    joints_m: Array,
    camera: Camera,
    config: ClipConfig | TextClipConfig,
    rng: Generator,
    *,
    seen_m: Array | None,
    hidden: NDArray[np.bool_],
) -> tuple[Clip, NDArray[np.bool_]]:
    """`make_clip` with what `config.augmentation` says that detectors and cameras do.

    Args:
        seen_m: what the detector looks for, as in `augmentation.as_detected`.

    Returns:
        The clip, and which of its keypoints are hidden now.
    """
    more = config.augmentation
    level = more.level_camera and rng.random() < more.level_camera
    if more.camera_pitch_deg is not None and not level:
        pitch_rad = np.deg2rad(rng.uniform(*more.camera_pitch_deg))
        camera = augmentation.pitched(camera, joints_m, pitch_rad)
    seen_m = augmentation.as_detected(joints_m, seen_m, more, rng)
    hidden = hidden | augmentation.unseen(joints_m if seen_m is None else seen_m, camera, more, rng)
    clip = make_clip(
        joints_m,
        camera,
        config.normalization,
        rng if config.noise else None,
        seen_joints_m=seen_m,
        hidden=hidden,
    )
    if more.drop_confidence and rng.random() < more.drop_confidence:
        clip["keypoints"][..., 2] = clip["keypoints"][..., 2] > 0
    return clip, hidden


def collate(clips: list[Clip]) -> dict[str, Any]:
    """Clips of one length as tensors (B, ...); names stay a list."""
    batch: dict[str, Any] = {
        key: torch.from_numpy(np.stack([clip[key] for clip in clips]))
        for key in clips[0]
        if key != "name"
    }
    batch["name"] = [clip["name"] for clip in clips]
    return batch


def worker_steps(first: int) -> Iterator[int]:
    """The steps whose batches this data worker makes, from `first` on, without end."""
    worker = torch.utils.data.get_worker_info()
    return itertools.count(
        first + (worker.id if worker else 0), worker.num_workers if worker else 1
    )
