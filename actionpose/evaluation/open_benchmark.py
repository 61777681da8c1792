"""The open benchmark: errors on unseen subjects, on motion with open licenses.

Every score is a mean over the frames of the four views of a window and then over windows, with a
bootstrap interval over windows.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from actionpose.datasets.corpus import Corpus, Segment
from actionpose.datasets.projection import IMAGE_SIZE
from actionpose.evaluation.views import NUM_VIEWS, project_clip
from actionpose.geometry.camera import image_frame
from actionpose.geometry.stature import chain_length
from actionpose.inference.predictor import ActionPose
from actionpose.metrics import auc, mpjpe, mpjve, p_mpjpe, pck
from actionpose.metrics.bootstrap import bootstrap
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array, IntArray

# (V, T, 17, 3) keypoints in image units -> (V, T, 17, 3) poses in the same units
Predict = Callable[[Array], Array]

WINDOW_FRAMES = 81
FPS = 30.0  # of all corpora
UNUSUAL = "val-ood"  # split of motions that differ from those of train
METRICS = {
    "mpjpe_mm": "MPJPE at true scale: meters per image unit of the clip are given",
    "mpjpe_height_mm": "MPJPE at height scale: the pose is scaled to the person's height",
    "p_mpjpe_mm": "P-MPJPE: rotation, scale and translation aligned per frame",
    "mpjve_mm": "MPJVE at true scale: error of the frame-to-frame velocity, mm per frame",
    "pck": "joints but the pelvis nearer than 150 mm at true scale, percent",
    "auc": "mean PCK over 0 to 150 mm in steps of 5, percent",
}


def benchmark_windows(
    corpus: Corpus, split: str, frames: int = WINDOW_FRAMES
) -> Iterator[tuple[str, Array]]:
    """The ids and joints (T, 17, 3) of the windows of `benchmark_rows`."""
    for _, name, rows in benchmark_rows(corpus, split, frames):
        yield name, np.asarray(corpus.joints_m[rows], dtype=np.float64)


def benchmark_rows(
    corpus: Corpus, split: str, frames: int = WINDOW_FRAMES
) -> Iterator[tuple[Segment, str, IntArray]]:
    """Motion, id and rows (T,) of the windows into which the motions of a split are divided.

    A remainder shorter than a third of `frames` is dropped, unless it is the whole motion.
    """
    for motion in corpus.motions(split).values():
        for start in range(0, len(motion), frames):
            length = min(frames, len(motion) - start)
            if length < frames / 3 and start > 0:
                continue
            rows = motion.start + start + np.arange(length)
            yield motion, f"{motion.motion}[{start}:{start + length}]", rows


def check_rates(corpora: Iterable[Corpus]) -> None:
    """Check that corpora are at 30 Hz.

    Raises:
        UserError: If a corpus is not; names the first one.
    """
    for corpus in corpora:
        if corpus.fps != FPS:
            raise UserError(
                f"{corpus.folder} has {corpus.fps:g} Hz, but the open benchmark has {FPS:g}: "
                f"resample its motions to {FPS:g} Hz, as actionpose prepare does"
            )


def window_errors(pose: Array, target: Array, scale_m: Array) -> dict[str, float]:
    """The metrics of the views of one window.

    Args:
        pose: (V, T, 17, 3) Predicted root-relative poses in image units.
        target: (V, T, 17, 3) True root-relative poses in image units.
        scale_m: (V,) Meters per image unit.
    """
    to_mm = scale_m[:, None, None, None] * 1000
    pose_mm, target_mm = pose * to_mm, target * to_mm
    height = [chain_length(t) / chain_length(p) for p, t in zip(pose_mm, target_mm, strict=True)]
    by_height_mm = pose_mm * np.array(height)[:, None, None, None]
    limbs, target_limbs = pose_mm[:, :, 1:], target_mm[:, :, 1:]  # without the pelvis
    velocity = mpjve(pose_mm, target_mm) if pose.shape[1] > 1 else np.zeros(1)
    return {
        "mpjpe_mm": float(mpjpe(pose_mm, target_mm).mean()),
        "mpjpe_height_mm": float(mpjpe(by_height_mm, target_mm).mean()),
        "p_mpjpe_mm": float(p_mpjpe(pose_mm, target_mm).mean()),
        "mpjve_mm": float(velocity.mean()),
        "pck": 100 * float(pck(limbs, target_limbs).mean()),
        "auc": 100 * float(auc(limbs, target_limbs).mean()),
    }


def model_predict(model: ActionPose) -> Predict:
    """The prediction function of a model, for `evaluate_open`."""
    image = image_frame(IMAGE_SIZE)
    return lambda keypoints: model.predict(image.denormalize(keypoints), IMAGE_SIZE) / image.unit_px


def evaluate_open(
    predict: Predict,
    corpora: Iterable[Corpus],
    split: str = "val",
    progress: Callable[[Iterable[Any]], Iterable[Any]] = lambda windows: windows,
    *,
    every: int = 1,
) -> dict[str, Any]:
    """Score a predictor on the open benchmark.

    Args:
        predict: Prediction function.
        corpora: Corpora at 30 Hz with different names.
        split: Split of the corpora.
        progress: Function that wraps the iterable of windows.
        every: Use only every n-th window of a corpus, for a faster evaluation.

    Returns:
        `scores`, a `Score` by metric; `windows`, the errors of each window by corpus and id; and
        the counts.

    Raises:
        UserError: If there are no corpora, two have the same name, or one does not have the split
            or is not at 30 Hz.
    """
    corpora = list(corpora)
    check_rates(corpora)
    windows: dict[str, dict[str, float]] = {}
    frames = 0
    for corpus in corpora:
        if not corpus.motions(split):
            raise UserError(f"{corpus.folder} has no motion in the split {split!r}")
        chosen = islice(benchmark_windows(corpus, split), 0, None, every)
        for name, joints_m in progress(chosen):
            clips = [project_clip(joints_m, name, view) for view in range(NUM_VIEWS)]
            target = np.stack([clip["pose"] for clip in clips]).astype(np.float64)
            scale_m = np.array([clip["scale_m"] for clip in clips])
            pose = predict(np.stack([clip["keypoints"] for clip in clips]))
            key = f"{corpus.name}/{name}"
            if key in windows:
                raise UserError(f"two corpora are named {corpus.name}: rename the folder of one")
            windows[key] = window_errors(pose, target, scale_m)
            frames += NUM_VIEWS * len(joints_m)
    if not windows:
        raise UserError("there is nothing to score: give at least one corpus")
    table = {name: np.array([errors[name] for errors in windows.values()]) for name in METRICS}
    return {
        "protocol": f"open benchmark, {split}",
        "scores": {name: bootstrap(values) for name, values in table.items()},
        "windows": windows,
        "num_windows": len(windows),
        "num_frames": frames,
    }
