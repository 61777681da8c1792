"""Time to label and to lift one minute of motion of one person.

    python benchmarks/timeline_speed.py

The input is the keypoints of the demo, played forward and backward, 1,800 frames. Times are the
median wall time of three runs, with one thread and with two. "Other labels" are computed from the
same result, with a loaded text encoder.
"""

import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import tyro

from actionpose import ActionPose, Keypoints
from actionpose.utils.errors import exit_codes

LABELS = ("walk", "run", "wave with both hands", "squat")


def minute() -> Keypoints:
    """One minute of the person in the demo, played forward and backward."""
    demo = Keypoints.read(Path(str(resources.files("actionpose"))) / "assets/demo_keypoints.npz")
    frames = demo.keypoints_px.shape[1]
    there_and_back = np.concatenate([np.arange(frames), np.arange(frames)[::-1]])
    order = np.resize(there_and_back, round(60 * demo.fps))
    return Keypoints(
        keypoints_px=demo.keypoints_px[:, order],
        valid=demo.valid[:, order],
        track_id=demo.track_id,
        fps=demo.fps,
        image_size=demo.image_size,
        skeleton=demo.skeleton,
    )


def seconds(call: Callable[[], Any]) -> float:
    """Median wall time of three runs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times)


def main(checkpoint: str = "tiny") -> None:
    """Print a row for each number of threads.

    Args:
        checkpoint: Checkpoint to time.
    """
    model, keypoints = ActionPose.from_pretrained(checkpoint, "cpu"), minute()
    model.embed_text(["a text"])  # loads the text encoder
    result = model.lift(keypoints)
    print("| threads | label, s | other labels, s | lift, s |\n|---|---|---|---|")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        label = seconds(lambda: model.actions(keypoints, LABELS))
        again = seconds(lambda: model.actions(result, ["jump", "sit"]))
        lift = seconds(lambda: model.lift(keypoints))
        print(f"| {threads} | {label:.2f} | {again:.2f} | {lift:.2f} |", flush=True)


if __name__ == "__main__":
    with exit_codes("timeline_speed.py"):
        tyro.cli(main)
