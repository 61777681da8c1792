"""Speed of the metrics of Human3.6M and MPI-INF-3DHP compared with a loop over single frames.

    python benchmarks/metric_speed.py

Poses are random, with the size of a person, in float32, and the same for both implementations,
whose results must agree. The loop is a common implementation: NumPy, one frame at a time, with an
SVD for Procrustes alignment. It processes a part of the frames and alternates with the suite,
because the speed of a machine varies; a ratio is the median over repetitions.
"""

import resource
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import tyro

from actionpose.evaluation.protocols import ALL17, PAPER14, frame_errors, h36m_indices
from actionpose.utils.errors import exit_codes

WINDOW = 243


def loop(pred, truth, with_pck):
    """Sums of all metrics over frames, computed frame by frame."""
    counted = h36m_indices(PAPER14)
    sums = np.zeros(6)
    before = None
    for x, y in zip(pred, truth, strict=True):
        x, y = x - x[:1], y - y[:1]
        sums[0] += np.linalg.norm(x - y, axis=-1).mean()
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        x0, y0 = x - mean_x, y - mean_y
        u, s, vt = np.linalg.svd(x0.T @ y0)
        mend = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        aligned = (s * mend).sum() / (x0**2).sum() * x0 @ (u * mend) @ vt
        sums[1] += np.linalg.norm(aligned - y0, axis=-1).mean()
        sums[2] += np.linalg.norm((x * y).sum() / (x * x).sum() * x - y, axis=-1).mean()
        if before is not None:
            step = (x - before[0]) - (y - before[1])
            sums[3] += np.linalg.norm(step, axis=-1).mean()
        before = x, y
        if with_pck:
            distances = np.linalg.norm(x[counted] - y[counted], axis=-1)
            sums[4] += (distances < 150).mean()
            sums[5] += np.mean([(distances < limit).mean() for limit in range(0, 151, 5)])
    return sums


def suite(pred, truth, with_pck):
    """The same sums computed by the library, with windows as in an evaluation."""
    rows = np.arange(len(pred))
    chunks = ((rows[i : i + 16 * WINDOW], pred[i : i + 16 * WINDOW])
              for i in range(0, len(pred), 16 * WINDOW))  # fmt: skip
    video = np.zeros(len(pred), dtype=np.int64)
    joints = PAPER14 if with_pck else ALL17
    errors = frame_errors(chunks, truth, video, joints=joints, with_pck=with_pck)
    names = ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm", "pck", "auc")
    return np.array([np.nansum(getattr(errors, name)) for name in names])


def seconds(function: Callable[..., object], *arguments: object) -> float:
    started = time.process_time()
    function(*arguments)
    return time.process_time() - started


def main(frames: int = 500_000, loop_frames: int = 4_000, turns: int = 3) -> None:
    """Print speeds, their ratio and the memory.

    Args:
        frames: Number of frames per repetition of the suite.
        loop_frames: Number of frames per repetition of the loop.
        turns: Number of repetitions of both.
    """
    rng = np.random.default_rng(0)
    truth = (rng.normal(size=(frames, 17, 3)) * [150, 450, 80]).astype(np.float32)
    pred = truth + rng.normal(0, 40, size=truth.shape).astype(np.float32)
    for name, with_pck in (("Human3.6M", False), ("MPI-INF-3DHP", True)):
        few = slice(0, loop_frames)
        both = [
            f(pred[few].astype(float), truth[few].astype(float), with_pck) for f in (loop, suite)
        ]
        np.testing.assert_allclose(*both, rtol=1e-9)
        ratios, speeds = [], []
        for _ in range(turns):
            plain = seconds(loop, pred[few], truth[few], with_pck) / loop_frames
            ours = seconds(suite, pred, truth, with_pck) / frames
            ratios.append(plain / ours)
            speeds.append((1 / plain, 1 / ours))
        plain, ours = np.median(speeds, axis=0)
        print(
            f"{name:13} loop {plain:9,.0f} frames/s   suite {ours:9,.0f} frames/s   "
            f"ratio {np.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        )
    tracemalloc.start()
    suite(pred, truth, True)
    peak = tracemalloc.get_traced_memory()[1]
    print(
        f"memory of the suite beyond its input: {peak / 2**20:.0f} MiB for {frames:,} "
        f"frames, {peak / frames:.0f} bytes a frame; of the process at most "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB"
    )


if __name__ == "__main__":
    with exit_codes("metric_speed.py"):
        tyro.cli(main)
