"""Fine-tuning batches from paired datasets: windows of each video in a random order per epoch.

The keypoints, pose and valid mask of a clip are in the format of `lifting`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from actionpose.config import FinetuneDataConfig
from actionpose.datasets.loading import Batches
from actionpose.datasets.paired import PairedDataset, VideoInfo, clip_rows, normalize
from actionpose.datasets.projection import Clip
from actionpose.geometry.camera import mirror
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array, IntArray

KeypointSource = Literal["detected", "truth"]


def input_of(
    dataset: PairedDataset, rows: IntArray, video: VideoInfo, source: KeypointSource
) -> Array:
    """The input of the model (..., 17, 3), float32 and normalized, for rows (...,) of one video.

    Args:
        dataset: Split of a paired dataset.
        rows: Rows of its arrays.
        video: Video of these rows.
        source: Source of the keypoints. "truth" is x and y of the pose with confidence 1, or the
            keypoints of the dataset if these are the ground truth.

    Raises:
        UserError: If the ground truth is requested, but the pixels of the poses are unknown.
    """
    if source == "detected" or dataset.has_true_keypoints:
        return normalize(dataset.keypoints_px[rows], video).astype(np.float32)
    if dataset.info["pose_unit"] != "px":
        raise UserError(
            f"{dataset.folder} has no pixels of its poses: prepare it with the ground-truth 2D "
            "file (data_2d_h36m_gt.npz) as keypoints"
        )
    points = np.array(dataset.pose[rows], dtype=np.float64)
    points[..., 2] = 1
    return normalize(points, video).astype(np.float32)


def target_of(dataset: PairedDataset, rows: IntArray, video: VideoInfo) -> Array:
    """Root-relative poses (..., 17, 3), float32, in units of the model."""
    pose = np.asarray(dataset.pose[rows], dtype=np.float64)
    return ((pose - pose[..., :1, :]) / dataset.unit(video)).astype(np.float32)


@dataclass
class PairedBatches(Batches):
    """Batches of detected keypoints and their poses, with each clip once per epoch."""

    dataset: PairedDataset
    config: FinetuneDataConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        frames = self.config.frames
        self._clips = clip_rows(self.dataset.videos, frames, self.config.stride, self.seed)
        self._video = self.dataset.video_of_rows()[self._clips[:, 0]]
        self._epoch, self._order = -1, np.empty(0, np.int64)
        if len(self._clips) < self.batch_size:
            raise UserError(
                f"{self.dataset.folder} has {len(self._clips)} clips of {frames} frames, fewer "
                f"than a batch of {self.batch_size}: lower training.batch_size"
            )

    @property
    def windows(self) -> int:
        """Number of clips per epoch."""
        return len(self._clips)

    def clip(self, step: int, index: int) -> Clip:
        """The clip at an index of the global batch; incomplete batches of an epoch are omitted."""
        epoch, place = divmod(step, self.windows // self.batch_size)
        if epoch != self._epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.windows)
            self._epoch, self._order = epoch, order
        which = int(self._order[place * self.batch_size + index])
        rows, video = self._clips[which], self.dataset.videos[self._video[which]]
        points = input_of(self.dataset, rows, video, "detected")
        pose = target_of(self.dataset, rows, video)
        if np.random.default_rng([self.seed, step, index]).random() < self.config.mirror:
            points, pose = mirror(points), mirror(pose)
        return {
            "keypoints": points,
            "pose": pose,
            "valid": np.ones(self.config.frames, dtype=bool),
            "name": f"{video.name}[{rows[0] - video.start}:{rows[-1] + 1 - video.start}]",
        }
