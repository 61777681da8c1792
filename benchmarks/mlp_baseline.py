"""Two baselines for the open benchmark: a per-frame MLP and the mean training pose.

    python benchmarks/mlp_baseline.py --cpu-minutes 40

The MLP is the "simple yet effective baseline" of Martinez et al. 2017 (4.3 M parameters; x and y as
input, without confidence; max-norm omitted). It is trained with the motions, cameras, noise and
augmentation of the first stage of recipes/tiny.yaml, in clips of 27 consecutive frames, and is
evaluated in the same units. Its budget and learning rate are based on the CPU time of training
steps, so that load on the machine does not change the result.

If the settings of the paper (1e-3, dropout 0.5, squared error) are worse for this budget, the
defaults differ. MPJPE / P-MPJPE in mm on the printed motions after one minute:

    rate 1e-3, distance: dropout 0.5 110 / 84, 0.25 96 / 75, 0 93 / 73
    dropout 0: squared error 122 / 99; rate 3e-3 and distance 88 / 69

Prints MPJPE and P-MPJPE on every eighth val motion during training, then both baselines on all of
val.
Writes OUT/mlp/{weights.pt,open_val.json,open_val_no_flip.json} and OUT/mean_pose/open_val.json.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn

from actionpose.config import FinetuneConfig
from actionpose.datasets.corpus import open_corpus
from actionpose.datasets.lifting import LiftingBatches
from actionpose.evaluation.open_benchmark import Predict, evaluate_open
from actionpose.geometry.camera import box_frame, mirror
from actionpose.skeletons import H36M17
from actionpose.training.process import tune_malloc
from actionpose.training.stages import read_stages
from actionpose.utils.errors import exit_codes
from actionpose.utils.files import make_folder, write_json

RECIPE = Path("recipes/tiny.yaml")
VAL = [Path("data/open/cmu"), Path("data/open/hdm05")]
CLIPS = 40  # new clips per step
POOL = 400  # number of clips that frames are drawn from, because the frames of a clip are similar
FRAMES = 1024  # frames per step
MEAN_POSE_BATCHES = 50

Array = NDArray[np.floating]


class Residual(nn.Module):
    """Two layers with a residual connection."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(*(layer(width, width, dropout) for _ in range(2)))

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.layers(x)
        return x + change


def layer(width_in: int, width: int, dropout: float) -> nn.Sequential:
    linear = nn.Linear(width_in, width)
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    return nn.Sequential(linear, nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout))


def make_mlp(width: int, dropout: float) -> nn.Sequential:
    """Network from x and y of the joints (N, 34) to x, y and z (N, 51)."""
    joints = len(H36M17)
    return nn.Sequential(
        layer(2 * joints, width, dropout),
        Residual(width, dropout),
        Residual(width, dropout),
        nn.Linear(width, 3 * joints),
    )


def lift(mlp: nn.Module, xy: Tensor) -> Tensor:
    """Lift keypoints (N, 17, 2) in box units to root-relative poses (N, 17, 3)."""
    pose: Tensor = mlp(xy.flatten(1)).float().unflatten(1, (-1, 3))
    return pose - pose[:, :1]


def frames_of(batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Valid frames with detected keypoints of a batch: x, y (N, 17, 2) and pose (N, 17, 3)."""
    seen = batch["valid"] & (batch["keypoints"][..., 2] > 0).any(dim=-1)
    return batch["keypoints"][..., :2][seen], batch["pose"][seen]


def shuffled(batches: LiftingBatches) -> Iterator[tuple[Tensor, Tensor]]:
    """Random frames from a pool, in which new clips replace the oldest at each step."""
    size = POOL // CLIPS
    pool = [frames_of(batches.batch(step)) for step in range(size)]
    for step in itertools.count():
        pool[step % size] = frames_of(batches.batch(size + step))
        xy, pose = (torch.cat(parts) for parts in zip(*pool, strict=True))
        chosen = torch.randperm(len(xy))[:FRAMES]
        yield xy[chosen], pose[chosen]


Poses = Callable[[Tensor], Tensor]  # (N, 17, 2) in box units to root-relative (N, 17, 3)


def predictor(poses: Poses, flip: bool) -> Predict:
    """Prediction as in `ActionPose.predict`, with each window normalized by its box.

    Args:
        poses: Function that lifts keypoints.
        flip: Whether to average with the mirrored poses of the mirrored window.
    """

    @torch.inference_mode()
    def predict(windows: Array) -> Array:
        result = np.empty(windows.shape)
        for window, pose in zip(windows, result, strict=True):
            box = box_frame(window)
            assert box is not None
            xy = box.normalize(window)[..., :2]
            pose[:] = poses(torch.from_numpy(xy)).numpy()
            if flip:
                pose[:] = (pose + mirror(poses(torch.from_numpy(mirror(xy))).numpy())) / 2
            pose *= box.unit_px
        return result

    return predict


def mean_pose(batches: LiftingBatches) -> Tensor:
    """The mean training pose (17, 3) in box units."""
    parts = [frames_of(batches.batch(step))[1] for step in range(MEAN_POSE_BATCHES)]
    return torch.cat(parts).mean(dim=0)


def write(path: Path, report: dict[str, Any], **about: Any) -> None:
    """Write a report like `actionpose evaluate open --json`."""
    scores = {name: vars(score) for name, score in report["scores"].items()}
    for name, score in report["scores"].items():
        print(f"  {name:16} {score}")
    make_folder(path.parent)
    write_json(path, {**report, "scores": scores, **about})


def main(
    cpu_minutes: float = 40,
    learning_rate: float = 2e-3,
    dropout: float = 0.0,
    width: int = 1024,
    loss: Literal["distance", "squared"] = "distance",
    evaluate_every: float = 4,
    seed: int = 0,
    out: Path = Path("runs"),
) -> None:
    """Train, evaluate, and write the results.

    Args:
        cpu_minutes: CPU time of training steps including data, without evaluation.
        learning_rate: Initial learning rate.
        dropout: Dropout rate.
        width: Number of hidden units.
        loss: Mean joint distance, as for our models, or the squared error of the paper.
        evaluate_every: Interval between evaluations in CPU minutes.
        seed: Random seed.
        out: Folder of the results.
    """
    make_folder(out)  # before an hour of training
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    settings = {key: str(value) for key, value in locals().items()}
    lifting = read_stages(RECIPE, out)[0].config
    assert isinstance(lifting, FinetuneConfig)
    config = replace(lifting.data, frames=27, temporal_stride=1)
    corpora = [(open_corpus(folder), weight) for folder, weight in config.corpora.items()]
    batches = LiftingBatches(corpora, config, batch_size=CLIPS, seed=seed)
    val = [open_corpus(folder) for folder in VAL]
    few = [replace(c, segments=list(c.motions("val").values())[::8]) for c in val]

    mlp = make_mlp(width, dropout)
    optimizer = torch.optim.Adam(mlp.parameters(), lr=learning_rate, fused=True)
    print(f"{sum(p.numel() for p in mlp.parameters()):,} parameters; {settings}", flush=True)
    frames = shuffled(batches)
    used, next_evaluation = 0.0, evaluate_every  # CPU minutes
    step = 0
    while used < cpu_minutes:
        started = time.process_time()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 + math.cos(math.pi * used / cpu_minutes)) / 2
        xy, target = next(frames)
        with torch.autocast("cpu", torch.bfloat16):
            pose = lift(mlp, xy)
        error = (pose - target).norm(dim=-1)
        optimizer.zero_grad()
        (error if loss == "distance" else error**2).mean().backward()
        optimizer.step()
        step += 1
        used += (time.process_time() - started) / 60
        if used >= min(next_evaluation, cpu_minutes):
            next_evaluation += evaluate_every
            mlp.eval()
            scores = evaluate_open(predictor(partial(lift, mlp), flip=True), few)["scores"]
            mlp.train()
            mpjpe, p_mpjpe = scores["mpjpe_mm"].mean, scores["p_mpjpe_mm"].mean
            print(f"{used:5.1f} min, step {step}: {mpjpe:.1f} / {p_mpjpe:.1f} mm", flush=True)

    mlp.eval()
    for flip in (False, True):
        print(f"MLP, flip {flip}")
        report = evaluate_open(predictor(partial(lift, mlp), flip), val)
        write(out / "mlp" / f"open_val{'' if flip else '_no_flip'}.json", report, settings=settings)
    torch.save(mlp.state_dict(), out / "mlp" / "weights.pt")
    print("mean training pose")
    mean = mean_pose(batches)
    report = evaluate_open(predictor(lambda xy: mean.expand(len(xy), -1, -1), False), val)
    write(out / "mean_pose" / "open_val.json", report)


if __name__ == "__main__":
    tune_malloc()
    with exit_codes("mlp_baseline.py"):
        tyro.cli(main)
