"""The open benchmark: errors on subjects never seen in training, on openly licensed motion.

The clips are those of `benchmark_clips`. Every number is a mean over the frames of a window's four
views and then over windows, with a bootstrap interval over windows.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.corpus import Corpus
from actionpose.datasets.projection import Clip, make_clip, place_camera
from actionpose.geometry.camera import heading_rad
from actionpose.geometry.stature import chain_length
from actionpose.metrics.bootstrap import bootstrap
from actionpose.metrics.pose import auc, mpjpe, mpjve, p_mpjpe, pck
from actionpose.utils.errors import UserError

Array = NDArray[np.floating]

# (V, T, 17, 3) keypoints in image units -> (V, T, 17, 3) poses in the same units
Predict = Callable[[Array], Array]

OPEN_FRAMES = 81


METRICS = {
    "mpjpe_mm": "MPJPE at true scale: meters per image unit of the clip are given",
    "mpjpe_height_mm": "MPJPE at height scale: the pose is scaled to the person's height",
    "p_mpjpe_mm": "P-MPJPE: rotation, scale and translation aligned per frame",
    "mpjve_mm": "MPJVE at true scale: error of the frame-to-frame velocity, mm per frame",
    "pck": "joints but the pelvis nearer than 150 mm at true scale, percent",
    "auc": "mean PCK over 0 to 150 mm in steps of 5, percent",
}


VIEWS_OF_A_WINDOW = 4  # azimuths of the open benchmark


def benchmark_clips(corpus: Corpus, split: str, frames: int = 81) -> Iterator[tuple[str, Clip]]:
    """The fixed clips of the open benchmark, with the id of their window.

    Every motion of the split is cut into windows of `frames`; a rest shorter than a third of one
    is dropped, unless it is the whole motion. Each is seen by four cameras like Human3.6M's: 0,
    90, 180 and 270 degrees from the heading of the first frame plus a jitter, 3 to 6 m away, 1.2
    to 2.2 m high, with detector-like noise. All draws are seeded by the clip's id. Units are
    those of the image.
    """
    for motion in corpus.motions(split).values():
        for start in range(0, len(motion), frames):
            length = min(frames, len(motion) - start)
            if length < frames / 3 and start > 0:
                continue
            first = motion.start + start
            joints_m = np.asarray(corpus.joints_m[first : first + length], dtype=np.float64)
            window = f"{motion.motion}[{start}:{start + length}]"
            for view in range(VIEWS_OF_A_WINDOW):
                rng = np.random.default_rng([*window.encode(), view])
                azimuth = heading_rad(joints_m[0]) + view * np.pi / 2 + rng.normal(0, 0.2)
                camera = place_camera(
                    joints_m, azimuth, rng.uniform(3.0, 6.0), rng.uniform(1.2, 2.2)
                )
                yield window, make_clip(joints_m, camera, "image", rng)


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
