"""Prepared pairs to batches of stage two: windows of each video, in an order drawn per epoch.

A clip is a function of (seed, step, place in the batch) and of nothing else, as in `clips`. Its
keypoints, pose and valid are those of `clips`: the model cannot tell the two kinds apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from actionpose.datasets.paired import Pairs, Rows, Video, clip_rows, normalize
from actionpose.geometry.camera import mirror
from actionpose.utils.errors import UserError

Array = NDArray[np.floating]
Keypoints2D = Literal["detected", "truth"]


def input_of(pairs: Pairs, rows: Rows, video: Video, keypoints: Keypoints2D) -> Array:
    """The model's input for rows (...,) of one video: (..., 17, 3) float32, normalized.

    Args:
        keypoints: "detected", or "truth": x and y of the pose, confidence 1.

    Raises:
        UserError: the truth is wanted of poses whose pixels are not known.
    """
    if keypoints == "detected" or pairs.info["keypoints"] == "ground truth":
        return normalize(pairs.keypoints_px[rows], video).astype(np.float32)
    if pairs.info["pose_unit"] != "px":
        raise UserError(
            f"{pairs.folder} has no pixels of its poses: prepare it with the ground-truth 2D file "
            "(data_2d_h36m_gt.npz) as --keypoints"
        )
    points = np.array(pairs.pose[rows], dtype=np.float64)
    points[..., 2] = 1
    return normalize(points, video).astype(np.float32)


def target_of(pairs: Pairs, rows: Rows, video: Video) -> Array:
    """Root-relative poses (..., 17, 3) float32 in the model's units."""
    pose = np.asarray(pairs.pose[rows], dtype=np.float64)
    return ((pose - pose[..., :1, :]) / pairs.unit(video)).astype(np.float32)


@dataclass
class PairBatches(IterableDataset[dict[str, Any]]):
    """Training batches from `first_step` on, without end. Every clip comes once an epoch.

    Args:
        batch_size: of the global batch, over all processes.
        mirror: probability of mirroring a clip.
        rank, world_size: which part of each global batch this process makes.
    """

    pairs: Pairs
    frames: int
    stride: int
    batch_size: int
    seed: int
    keypoints: Keypoints2D = "detected"
    mirror: float = 0.5
    first_step: int = 0
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % self.world_size:
            raise UserError(
                f"batch_size ({self.batch_size}) must be a multiple of the {self.world_size} "
                "processes"
            )
        self._clips = clip_rows(self.pairs.videos, self.frames, self.stride, self.seed)
        self._video = self.pairs.video_of_rows()[self._clips[:, 0]]
        self._epoch, self._order = -1, np.empty(0, np.int64)
        if len(self._clips) < self.batch_size:
            raise UserError(
                f"{self.pairs.folder} has {len(self._clips)} clips of {self.frames} frames, fewer "
                f"than a batch of {self.batch_size}: lower training.batch_size"
            )

    @property
    def windows(self) -> int:
        """Clips of an epoch."""
        return len(self._clips)

    def clip(self, step: int, index: int) -> dict[str, Any]:
        """The clip at one place of one global batch; the rest of an epoch is left out."""
        epoch, place = divmod(step, self.windows // self.batch_size)
        if epoch != self._epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.windows)
            self._epoch, self._order = epoch, order
        which = int(self._order[place * self.batch_size + index])
        rows, video = self._clips[which], self.pairs.videos[self._video[which]]
        clip: dict[str, Any] = {
            "keypoints": input_of(self.pairs, rows, video, self.keypoints),
            "pose": target_of(self.pairs, rows, video),
            "valid": np.ones(self.frames, dtype=bool),
        }
        if np.random.default_rng([self.seed, step, index]).random() < self.mirror:
            clip["keypoints"] = mirror(clip["keypoints"])
            clip["pose"] = mirror(clip["pose"])
        clip["name"] = f"{video.name}[{rows[0] - video.start}:{rows[-1] + 1 - video.start}]"
        return clip

    def batch(self, step: int) -> dict[str, Any]:
        """This process's part of the global batch of a step, as tensors (B, ...)."""
        share = self.batch_size // self.world_size
        clips = [self.clip(step, self.rank * share + row) for row in range(share)]
        names = [clip.pop("name") for clip in clips]
        batch: dict[str, Any] = {
            key: torch.from_numpy(np.stack([clip[key] for clip in clips])) for key in clips[0]
        }
        batch["name"] = names
        return batch

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = torch.utils.data.get_worker_info()
        offset, every = (worker.id, worker.num_workers) if worker else (0, 1)
        step = self.first_step + offset
        while True:
            yield self.batch(step)
            step += every
