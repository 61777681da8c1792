"""The open benchmark: errors on subjects never seen in training, on openly licensed motion.

The clips are `clips.benchmark_clips`. Every number is a mean over the frames of a window's four
views and then over windows, with a bootstrap interval over windows.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.corpus import Corpus
from actionpose.datasets.lifting import benchmark_clips
from actionpose.inference.predictor import chain_length
from actionpose.metrics.pose import auc, mpjpe, mpjve, p_mpjpe, pck
from actionpose.utils.errors import UserError

Array = NDArray[np.floating]

# (V, T, 17, 3) keypoints in image units -> (V, T, 17, 3) poses in the same units
Predict = Callable[[Array], Array]

OPEN_FRAMES = 81
BOOTSTRAP_DRAWS = 2000


@dataclass(frozen=True)
class Score:
    """A mean over windows and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"


METRICS = {
    "mpjpe_mm": "MPJPE at true scale: meters per image unit of the clip are given",
    "mpjpe_height_mm": "MPJPE at height scale: the pose is scaled to the person's height",
    "p_mpjpe_mm": "P-MPJPE: rotation, scale and translation aligned per frame",
    "mpjve_mm": "MPJVE at true scale: error of the frame-to-frame velocity, mm per frame",
    "pck": "joints but the pelvis nearer than 150 mm at true scale, percent",
    "auc": "mean PCK over 0 to 150 mm in steps of 5, percent",
}


def window_errors(pose: Array, truth: Array, scale_m: Array) -> dict[str, float]:
    """The metrics of one window's views.

    Args:
        pose: (V, T, 17, 3) predicted, image units, root-relative.
        truth: (V, T, 17, 3) the same of the ground truth.
        scale_m: (V,) meters per image unit.
    """
    to_mm = scale_m[:, None, None, None] * 1000
    pose_mm, truth_mm = pose * to_mm, truth * to_mm
    height = [chain_length(t) / chain_length(p) for p, t in zip(pose_mm, truth_mm, strict=True)]
    by_height_mm = pose_mm * np.array(height)[:, None, None, None]
    limbs, true_limbs = pose_mm[:, :, 1:], truth_mm[:, :, 1:]  # without the pelvis
    velocity = mpjve(pose_mm, truth_mm) if pose.shape[1] > 1 else np.zeros(1)
    return {
        "mpjpe_mm": float(mpjpe(pose_mm, truth_mm).mean()),
        "mpjpe_height_mm": float(mpjpe(by_height_mm, truth_mm).mean()),
        "p_mpjpe_mm": float(p_mpjpe(pose_mm, truth_mm).mean()),
        "mpjve_mm": float(velocity.mean()),
        "pck": 100 * float(pck(limbs, true_limbs).mean()),
        "auc": 100 * float(auc(limbs, true_limbs).mean()),
    }


def bootstrap(values: Array, seed: int = 0) -> Score:
    """Mean and 95 % interval of the mean of `values` (N,)."""
    rng = np.random.default_rng(seed)
    draws = values[rng.integers(len(values), size=(BOOTSTRAP_DRAWS, len(values)))].mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return Score(float(values.mean()), float(low), float(high))


def evaluate_open(
    predict: Predict,
    corpora: Iterable[Corpus],
    split: str = "val",
    progress: Callable[[Iterable[Any]], Iterable[Any]] = lambda windows: windows,
) -> dict[str, Any]:
    """Score a predictor on the open benchmark.

    Returns:
        `scores`, a `Score` by metric; `windows`, the errors of each by id; and the counts.

    Raises:
        UserError: no corpus was given, or one has not that split.
    """
    windows: dict[str, dict[str, float]] = {}
    frames = 0
    for corpus in corpora:
        if not corpus.motions(split):
            raise UserError(f"{corpus.folder} has no motion in the split {split!r}")
        clips = benchmark_clips(corpus, split, OPEN_FRAMES)
        for name, views in progress(groupby(clips, key=lambda clip: clip[0])):
            batch = [clip for _, clip in views]
            keypoints = np.stack([clip["keypoints"] for clip in batch])
            truth = np.stack([clip["pose"] for clip in batch]).astype(np.float64)
            scale_m = np.array([clip["scale_m"] for clip in batch])
            windows[name] = window_errors(predict(keypoints), truth, scale_m)
            frames += keypoints.shape[0] * keypoints.shape[1]
    if not windows:
        raise UserError("there is nothing to score: name a corpus, with --data FOLDER")
    table = {name: np.array([errors[name] for errors in windows.values()]) for name in METRICS}
    return {
        "protocol": f"open benchmark, {split}",
        "scores": {name: bootstrap(values) for name, values in table.items()},
        "windows": windows,
        "num_windows": len(windows),
        "num_frames": frames,
    }
