"""Accuracy of live lifting as a function of its delay, and its time per frame.

    python benchmarks/live_lifting.py data/open/cmu data/open/hdm05
    python benchmarks/live_lifting.py

With corpora, the errors of windows of the val split in one of the four views are printed, for the
pose at each delay before the end of the window, without and with flip averaging. Without corpora,
the time of `push` at 30 frames per second is printed, for a process on one core.
"""

import os
import time
from pathlib import Path

import numpy as np
import torch
import tyro
from tyro.conf import Positional

from actionpose import ActionPose, Keypoints
from actionpose.datasets.corpus import open_corpus
from actionpose.datasets.projection import IMAGE_SIZE
from actionpose.evaluation.open_benchmark import benchmark_windows, window_errors
from actionpose.evaluation.views import NUM_VIEWS, project_clip
from actionpose.geometry.camera import image_frame
from actionpose.inference import flip_averaging
from actionpose.keypoints.model_input import normalize_windows
from actionpose.live import LiveLifter
from actionpose.utils.errors import exit_codes
from actionpose.utils.typing import Array

DELAYS = (0, 3, 5, 9, 20, 40)
METRICS = ("mpjpe_mm", "p_mpjpe_mm", "mpjve_mm")


def main(
    data: Positional[tuple[Path, ...]] = (),
    checkpoint: str = "tiny",
    engine: str = "auto",
    seconds: int = 30,
) -> None:
    """Print the errors for each delay, or the times for each interval.

    Args:
        data: Corpora with a split val; if none, times are measured.
        checkpoint: Checkpoint to evaluate.
        engine: Inference engine for the times; errors are computed with PyTorch.
        seconds: Measured duration for each interval.
    """
    torch.set_num_threads(1)
    model = ActionPose.from_pretrained(checkpoint, "cpu", engine)
    if data:
        errors(model, data)
    else:
        times(model, seconds)


def errors(model: ActionPose, data: tuple[Path, ...]) -> None:
    """Print the errors for each delay."""
    image, length = image_frame(IMAGE_SIZE), model.frames
    windows = [w for d in data for w in benchmark_windows(open_corpus(d), "val", length + 1)]
    windows = [(name, joints) for name, joints in windows if len(joints) == length + 1]
    table: dict[tuple[bool, int], list[list[float]]] = {}
    for number, (name, joints_m) in enumerate(windows):
        clip = project_clip(joints_m, name, number % NUM_VIEWS)
        points, scale_m = image.denormalize(clip["keypoints"]), np.array([clip["scale_m"]])
        for flip in (False, True):
            # the two windows that end at the last two frames
            before, now = (_predict(model, points[i:][:length], flip) for i in (0, 1))
            for delay in DELAYS:
                pose = np.stack([before[-1 - delay], now[-1 - delay]]) / image.unit_px
                target = clip["pose"][length - 1 - delay :][:2].astype(np.float64)
                found = window_errors(pose[None], target[None], scale_m)
                table.setdefault((flip, delay), []).append([found[name] for name in METRICS])
    print(f"{len(windows)} windows\n")
    print("| delay, frames | " + " | ".join(("MPJPE", "P-MPJPE", "MPJVE", "mirrored too")) + " |")
    print("|---|---|---|---|---|")
    for delay in DELAYS:
        alone, both = (np.mean(table[flip, delay], axis=0) for flip in (False, True))
        cells = [*(f"{value:.1f}" for value in alone), " / ".join(f"{v:.1f}" for v in both)]
        print(f"| {delay} | {' | '.join(cells)} |")


def _predict(model: ActionPose, points: Array, flip: bool) -> Array:
    clips, unit_px = normalize_windows(points[None], model.normalization, IMAGE_SIZE)
    pose = flip_averaging.predict(model.encoder, torch.from_numpy(clips), flip=flip)
    return pose[0].numpy().astype(np.float64) * unit_px[0]


def times(model: ActionPose, seconds: int) -> None:
    """Print the time of `push` for each interval."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    demo = Keypoints.read(Path(__file__).parents[1] / "actionpose/assets/demo_keypoints.npz")
    there_and_back = np.concatenate([demo.keypoints_px[0], demo.keypoints_px[0, ::-1]])
    print("| interval | p50, ms | p99, ms | most, ms | core used |\n|---|---|---|---|---|")
    for interval in (1, 3, 4, 5, 6):
        with LiveLifter(
            model, skeleton=demo.skeleton, image_size=demo.image_size, interval=interval
        ) as lifter:
            first = 2 * model.frames  # windows grow until this frame
            took, started, cpu = [], 0.0, 0.0
            for number in range(first + 30 * seconds):
                if number == first:
                    took, started, cpu = [], time.perf_counter(), time.process_time()
                time.sleep(max(0.0, started + (number - first) / 30 - time.perf_counter()))
                own = there_and_back[number % len(there_and_back)]
                begun = time.perf_counter()
                lifter.push(own[None], number / 30)
                took.append(time.perf_counter() - begun)
            share = (time.process_time() - cpu) / (time.perf_counter() - started)
        p50, p99, most = np.percentile(took, [50, 99, 100]) * 1000
        print(f"| {interval} | {p50:.1f} | {p99:.1f} | {most:.1f} | {share:.0%} |")


if __name__ == "__main__":
    with exit_codes("live_lifting"):
        tyro.cli(main)
