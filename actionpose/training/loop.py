"""Training loop of pretraining and fine-tuning.

The model, the batches and `compute_losses` are arguments. `run_folder` documents the files of a
run. The same command resumes a run. Training with several processes under torchrun uses the same
code, because accelerate wraps the model.
"""

import contextlib
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from actionpose import checkpoint
from actionpose.config import TrainingConfig
from actionpose.models import Encoder
from actionpose.training import run_folder
from actionpose.training.losses import weighted_sum
from actionpose.training.muon import make_optimizer
from actionpose.training.process import leave_stop_requests_to_the_trainer, stop_requests
from actionpose.utils.errors import UserError
from actionpose.utils.files import write_json

EPOCH_DECAY = 0.99  # per epoch, of the exponential schedule (MotionBERT)
KEPT_CHECKPOINTS = 2  # number of checkpoints to resume from; the oldest is deleted first
LOG_EVERY = 50  # steps between log rows; each of the first 50 steps has a row
LOG_GRAD_NORMS_EVERY = 500  # steps between logs of the gradient norms of each loss

Batch = dict[str, Any]
Losses = dict[str, Tensor]


@dataclass
class Outcome:
    """The outcome of a call of `fit`."""

    step: int
    status: str  # "finished", "out of time" or "interrupted"
    checkpoint: Path


def learning_rate(step: int, config: TrainingConfig, *, total: int, steps_per_epoch: int) -> float:
    """The learning rate of a step: linear warm-up, then the schedule.

    The exponential schedule multiplies by 0.99 after each epoch (MotionBERT). The cosine schedule
    decays to zero.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "exponential":
        return config.learning_rate * EPOCH_DECAY ** (step // steps_per_epoch)
    progress = (step - config.warmup_steps) / max(1, total - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Task:
    """The parts of the training loop that differ between pretraining and fine-tuning.

    Args:
        model: Model to train, which `fit` moves to the device and wraps.
        encoder: Part of the model whose weights are stored in the checkpoint and resumed.
        batches: Batches of this process, with a method `starting_at` a step.
        steps_per_epoch: Number of optimizer steps per epoch.
        compute_losses: Function that returns the losses of a batch by name. Their weighted sum is
            minimized (Equation 5).
        loss_weights: Weights of the losses by name.
        metadata: Metadata of the checkpoints; see `run_folder.metadata`.
        kept: Entries of the metadata that are copied from the initial checkpoint.
        validate: Function that returns validation scores by name, called at every checkpoint.
            `RUN/best` is the checkpoint with the lowest first score.
        write_extras: Function that writes the other parts of the model to the folder of a
            checkpoint. The caller loads them on resuming.
        rate_factor: Factor of the learning rate by the name of a parameter.
        shared_parameters: Parameters that all losses train; the norms of their gradients are
            logged.
        report: Further entries of `report.json`.
    """

    model: nn.Module
    encoder: Encoder
    batches: Any
    steps_per_epoch: int
    compute_losses: Callable[[nn.Module, Batch], Losses]
    loss_weights: dict[str, float]
    metadata: dict[str, Any]
    validate: Callable[[], dict[str, float]] | None = None
    kept: Mapping[str, Any] = field(default_factory=dict)
    write_extras: Callable[[Path], None] | None = None
    rate_factor: Callable[[str], float] = lambda name: 1.0
    shared_parameters: Sequence[nn.Parameter] = ()
    report: Mapping[str, Any] = field(default_factory=dict)


def fit(
    task: Task,
    config: TrainingConfig,
    accelerator: Any,
    run: Path,
    *,
    resume: Path | None,
    quiet: bool = False,
) -> Outcome:
    """Train until the epochs or the time limit end, or a signal requests a stop.

    Args:
        task: Model, batches and losses.
        config: Training settings.
        accelerator: Accelerator of this process.
        run: Folder of the run.
        resume: Checkpoint to resume from. The result is bitwise identical to that of an
            uninterrupted run.
        quiet: Whether to hide the progress bar.

    Raises:
        UserError: If the run cannot be written, or a loss or gradient is not finite (names the
            clips of the batch).
    """
    total = max(1, round(config.epochs * task.steps_per_epoch))
    optimizer = make_optimizer(task.model, config, task.rate_factor)
    step = 0
    if resume:
        weights, saved = checkpoint.load(resume)
        task.encoder.load_state_dict(weights)
        step = saved["step"]
    model, optimizer = accelerator.prepare(task.model, optimizer)
    if resume:
        optimizer.load_state_dict(checkpoint.load_training(resume)["optimizer"])
    main = accelerator.is_main_process
    if main and task.validate is None:
        print(
            'no corpus has motion of the split "val": this training has no held-out scores',
            file=sys.stderr,
        )
    clock = _Clock(step, total, config)
    status, scores, folder = "finished", dict[str, float](), resume
    best: dict[str, Any] = {}
    with (
        tqdm(
            total=total, initial=step, unit="step", disable=True if quiet or not main else None
        ) as bar,
        run_folder.open_run(run, task.metadata["config"], accelerator, step) as log,
        stop_requests() as stop_asked,
    ):
        drawn = _drawn(task.batches.starting_at(step), config.workers)
        while step < total:
            rate = learning_rate(step, config, total=total, steps_per_epoch=task.steps_per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            batch = next(drawn)
            # dropout is also a function of seed, step and rank
            torch.manual_seed(config.seed + 1_000_003 * step + 7919 * accelerator.process_index)
            losses, norm, shared = _step(task, model, optimizer, batch, config, accelerator, step)
            step += 1
            bar.update()
            if log and shared:
                log.write(step, shared)
            if step <= LOG_EVERY or step % LOG_EVERY == 0:
                row = _global_mean(losses, accelerator) | {"grad_norm": norm, "learning_rate": rate}
                bar.set_postfix(loss=f"{row['total']:.4f}")
                if log:
                    log.write(step, row | clock.row(step))
            stopping = _any_process(stop_asked() or clock.is_late(), accelerator)
            if stopping or step == total or step % config.save_every == 0:
                if log:
                    scores = task.validate() if task.validate else {}
                    if scores:
                        log.write(step, scores)
                    folder = checkpoint.save(
                        run,
                        step,
                        task.encoder,
                        {**task.metadata, **task.kept, **_stride_of(task.encoder), **scores},
                        {"optimizer": optimizer.state_dict()},
                        write_extras=task.write_extras,
                    )
                    if scores:
                        best = checkpoint.keep_best(folder, run, next(iter(scores)))
                    for old in checkpoint.saved_steps(run)[:-KEPT_CHECKPOINTS]:
                        shutil.rmtree(old)
                accelerator.wait_for_everyone()
            if stopping:
                status = "interrupted" if stop_asked() else "out of time"
                break
    if main:
        if task.validate and not scores:  # the run was already complete
            scores = task.validate()
            best = checkpoint.keep_best(folder or run, run, next(iter(scores)))
        end = {"status": status, "step": step, "of": total}
        end["minutes_of_this_call"] = round(clock.minutes(), 2)
        write_json(run / "report.json", {**end, **task.report, "scores": scores, "best": best})
    return Outcome(step, status, folder or run / "checkpoints" / f"{step:07d}")


def _drawn(batches: Any, workers: int) -> Iterator[Batch]:
    """Iterate over the batches, created by this number of worker processes or by this process."""
    if workers:
        batches = DataLoader(
            batches,
            batch_size=None,
            num_workers=workers,
            worker_init_fn=leave_stop_requests_to_the_trainer,
        )
    return iter(batches)


def _stride_of(encoder: Encoder) -> dict[str, int]:
    """The stride of the embedding as metadata, empty if it is 1."""
    stride = encoder.embedding_stride
    return {"embedding_stride": stride} if stride > 1 else {}


class _Clock:
    """The elapsed time, speed and remaining time of a call of `fit`."""

    def __init__(self, step: int, total: int, config: TrainingConfig):
        self._first_step, self._total, self._config = step, total, config
        self._last_step = step
        self._started = self._last = time.monotonic()

    def minutes(self) -> float:
        return (time.monotonic() - self._started) / 60

    def is_late(self) -> bool:
        limit = self._config.max_minutes
        return limit is not None and self.minutes() >= limit

    def row(self, step: int) -> dict[str, float]:
        """Clips per second since the last row, minutes until the end or limit, and CPU time."""
        seconds, self._last = time.monotonic() - self._last, time.monotonic()
        minutes = self.minutes()
        left = minutes / (step - self._first_step) * (self._total - step)
        if self._config.max_minutes is not None:
            left = min(left, max(0.0, self._config.max_minutes - minutes))
        clips = self._config.batch_size * (step - self._last_step)
        self._last_step = step
        cpu_s = time.process_time()
        return {"clips_per_s": clips / seconds, "minutes_left": round(left, 2), "cpu_s": cpu_s}


def _step(
    task: Task,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    config: TrainingConfig,
    accelerator: Any,
    step: int,
) -> tuple[Losses, float, dict[str, float]]:
    """Run one optimizer step, unless the loss or the gradient is not finite.

    Returns:
        The losses, the norm of the gradient and, every `LOG_GRAD_NORMS_EVERY` steps, the norms of
        `_shared_norms`.
    """
    model.train()
    optimizer.zero_grad(set_to_none=True)
    parts = _split(batch, config.gradient_accumulation_steps)
    sums: Losses = {}
    shared: dict[str, float] = {}
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        names = part.pop("name")
        part = {key: value.to(accelerator.device) for key, value in part.items()}
        with contextlib.nullcontext() if last else accelerator.no_sync(model):
            with accelerator.autocast():
                losses = task.compute_losses(model, part)
            losses["total"] = weighted_sum(losses, task.loss_weights)
            if not torch.isfinite(losses["total"]):
                raise UserError(_not_finite("loss", losses, step, names))
            if last and task.shared_parameters and step % LOG_GRAD_NORMS_EVERY == 0:
                shared = _shared_norms(task, losses, accelerator)
            accelerator.backward(losses["total"] / len(parts))
        for key, loss in losses.items():
            sums[key] = sums.get(key, torch.zeros(())) + loss.detach().float().cpu() / len(parts)
    norm = accelerator.clip_grad_norm_(model.parameters(), config.max_grad_norm)
    if not torch.isfinite(norm):
        raise UserError(_not_finite("gradient", sums, step, names))
    optimizer.step()
    return sums, float(norm), shared


def _shared_norms(task: Task, losses: Losses, accelerator: Any) -> dict[str, float]:
    """Gradient norm of each weighted loss with respect to the shared parameters.

    With gradient accumulation, the last part of the batch is used.
    """
    norms = {}
    for name, weight in task.loss_weights.items():
        if weight:
            gradients = torch.autograd.grad(
                weight * losses[name], task.shared_parameters, retain_graph=True, allow_unused=True
            )
            flat = torch.cat([g.flatten().float() for g in gradients if g is not None])
            mean = accelerator.reduce(flat, reduction="mean")
            norms[f"backbone_grad_{name}"] = float(mean.norm())
    return norms


def _split(batch: Batch, parts: int) -> list[Batch]:
    """Split a batch into equal parts, which are batches."""
    size = len(batch["name"])
    if size % parts:
        raise UserError(
            f"training.gradient_accumulation_steps ({parts}) must divide the {size} clips "
            "of a process"
        )
    length = size // parts
    return [
        {key: value[first : first + length] for key, value in batch.items()}
        for first in range(0, size, length)
    ]


def _not_finite(what: str, losses: Losses, step: int, names: list[str]) -> str:
    values = ", ".join(f"{name} {float(loss.detach()):.3g}" for name, loss in losses.items())
    return (
        f"the {what} is not finite at step {step} ({values}); its batch has the clips "
        f"{', '.join(names)}: check these, or lower training.learning_rate; "
        "the last checkpoint is complete"
    )


def _global_mean(losses: Losses, accelerator: Any) -> dict[str, float]:
    """The mean losses of the global batch, from those of each process."""
    stacked = torch.stack(list(losses.values())).to(accelerator.device)
    mean = accelerator.reduce(stacked, reduction="mean")
    return dict(zip(losses, mean.tolist(), strict=True))


def _any_process(flag: bool, accelerator: Any) -> bool:
    """Whether the flag is set in any process, so that all processes stop after the same step."""
    votes = accelerator.reduce(torch.tensor(float(flag), device=accelerator.device))
    return bool(votes > 0)
