"""Speed of training steps and of batches compared with a plain implementation of DSTformer.

    python benchmarks/training_speed.py    # about 5 minutes on one quiet core

The plain network is `encoder_speed.PlainDSTformer` in float32 with the defaults of PyTorch and the
C library. It is compared with `PoseEncoder` as in `actionpose pretrain` and `finetune`, which keep
freed memory: in float32, with training.precision bf16, with training.fused, and with both.
Attention heads have 32 channels, as in MotionBERT Lite. Each network runs in a separate process,
with one thread, the same weights and the same batches. Steps alternate, so that load on the machine
affects all networks. Times are CPU time, and ratios are the median over pairs of steps. The table
also has the largest relative differences of the loss curves of fused and fused bf16 from plain, and
the memory of a step.

The second table has the clips per second of batches by one worker, with the ratio to those of the
fastest training step.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import tyro
from encoder_speed import STEPS, make_pair

from actionpose.config import PretrainDataConfig
from actionpose.datasets.corpus import Motion, open_corpus, write_corpus
from actionpose.datasets.motion_text import MotionTextBatches
from actionpose.datasets.synthetic.generate import dataset
from actionpose.training.process import tune_malloc

RATE = 1e-3
HEAD_WIDTH = 32
FUSED = ["fused", "fused bf16"]
IN_BF16 = ["bf16", "fused bf16"]


class Stepper:
    """A process that trains one kind of model step by step."""

    def __init__(self, kind: str, width: int, frames: int, clips: int):
        command = [sys.executable, __file__, "--child", kind]
        command += ["--size", str(width), str(frames), str(clips)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1)

    def step(self) -> tuple[float, float, float]:
        """CPU seconds of a step, its loss, and the peak memory of steps so far in GiB."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("step\n")
        seconds, loss, memory = map(float, self.process.stdout.readline().split())
        return seconds, loss, memory

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def child(kind: str, width: int, frames: int, clips: int) -> None:
    """Run a training step for each line of the input."""
    torch.set_num_threads(1)
    if kind != "plain":
        tune_malloc()
    plain, ours = make_pair(dim=width, dim_rep=width, num_heads=width // HEAD_WIDTH)
    model = (plain if kind == "plain" else ours).train()
    if kind in FUSED:
        ours.fuse()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    generator = torch.Generator().manual_seed(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in sys.stdin:
        # the target is a function of the input, so that the losses decrease
        keypoints = torch.rand(clips, frames, 17, 3, generator=generator) - 0.5
        target = keypoints - keypoints.roll(1, dims=2)
        started = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=kind in IN_BF16):
            output = model(keypoints)
        pose = output if kind == "plain" else output.pose
        loss = (pose.float() - target).norm(dim=-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds = time.process_time() - started
        memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
        print(seconds, float(loss.detach()), memory, flush=True)


def row(width: int, frames: int, clips: int, seconds: float) -> tuple[str, float]:
    """A line of the first table, and the maximum of clips per second."""
    kinds = ["plain", "float32", "bf16", *FUSED]
    steppers = {kind: Stepper(kind, width, frames, clips) for kind in kinds}
    rounds: list[dict[str, tuple[float, float, float]]] = []
    spent = 0.0
    while len(rounds) < 6 or spent < seconds:
        rounds.append({kind: stepper.step() for kind, stepper in steppers.items()})
        spent += sum(time_s for time_s, _, _ in rounds[-1].values())
    for stepper in steppers.values():
        stepper.close()
    timed = rounds[2:]  # without warm-up
    rates = {kind: clips / median(each[kind][0] for each in timed) for kind in kinds}
    cells = [f"{rates['plain']:.2f}"]
    for kind in kinds[1:]:
        ratio = median(each["plain"][0] / each[kind][0] for each in timed)
        cells.append(f"{rates[kind]:.2f} (**{ratio:.2f}**)")
    apart = [max(abs(each[kind][1] / each["plain"][1] - 1) for each in rounds) for kind in FUSED]
    first, last = rounds[0]["plain"][1], rounds[-1]["plain"][1]
    differ = ", ".join(f"{share:.3%}" for share in apart)
    cells.append(f"{differ} in {len(rounds)} steps ({first:.3f} to {last:.3f})")
    cells.append(", ".join(f"{rounds[-1][kind][2]:.2f}" for kind in kinds))
    return f"| {width} | {frames} | {clips} | {' | '.join(cells)} |", max(rates.values())


def batch_rate(frames: int, config: dict[str, Any], seconds: float) -> float:
    """Clips per second of CPU time that one worker creates."""
    with tempfile.TemporaryDirectory() as folder:
        made = (m for m in dataset(60, seed=0))
        motions = (
            Motion(f"m{i}", "s", "train", np.concatenate([m.joints_m] * 3), m.text)
            for i, m in enumerate(made)
        )
        corpus = open_corpus(write_corpus(Path(folder) / "c", motions, source="", license=""))
        settings = PretrainDataConfig(frames=frames, **config)
        batches = MotionTextBatches([(corpus, 1.0)], settings, batch_size=16, seed=0, negatives=8)
        batches.batch(0)
        started, step = time.process_time(), 0
        while (spent := time.process_time() - started) < seconds:
            step += 1
            batches.batch(step)
        return 16 * step / spent


def main(
    quick: bool = False,
    seconds: float = 20,
) -> None:
    """Print both tables.

    Args:
        quick: Run only the smallest size, for a short time.
        seconds: Approximate CPU time per row.
    """
    torch.set_num_threads(1)
    seconds = 3 if quick else seconds
    print(f"torch {torch.__version__}, one thread; ratio to plain float32 in brackets\n")
    print("Training steps, clips a second\n")
    kinds = ["plain float32", "ours float32", "ours bf16", "ours fused", "ours fused bf16"]
    print(f"| width | frames | clips | {' | '.join(kinds)} | losses differ by | GiB of each |")
    print("|---" * (5 + len(kinds)) + "|")
    rates = {}
    for width, frames, clips in STEPS[:1] if quick else STEPS:
        line, rates[width, frames] = row(width, frames, clips, seconds)
        print(line, flush=True)
    print("\nBatches, clips a second of one worker; over those of our step in brackets\n")
    print("| frames | orthographic, as the paper | perspective, redrawn bones | \n|---|---|---|")
    for frames in (81,) if quick else (81, 243):
        step = max(rate for (_, length), rate in rates.items() if length == frames)
        wide = {"camera": "perspective", "normalization": "box", "bone_length_jitter": 0.1}
        made = [batch_rate(frames, config, seconds / 4) for config in ({}, wide)]
        cells = [f"{rate:.0f} (**{rate / step:.0f}**)" for rate in made]
        print(f"| {frames} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], *map(int, sys.argv[4:7]))
    else:
        tyro.cli(main)
