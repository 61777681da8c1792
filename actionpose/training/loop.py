"""The one training loop. Stages differ in the model, the batches and the `losses_of` they pass in.

`run_folder` says what a run leaves. The same command goes on where a run stopped. Several processes
under torchrun need no other code: accelerate wraps the model.
"""

import contextlib
import ctypes
import functools
import math
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from actionpose import checkpoint
from actionpose.config import TrainingConfig
from actionpose.models.dstformer import PoseEncoder
from actionpose.models.ops.fused_block import has_bf16
from actionpose.training import run_folder
from actionpose.training.losses import weighted_sum
from actionpose.training.muon import make_optimizer
from actionpose.utils.device import choose_device
from actionpose.utils.errors import UserError
from actionpose.utils.files import write_json

Batch = dict[str, Any]
Losses = dict[str, Tensor]


@dataclass
class Outcome:
    """How a call of `fit` ended."""

    step: int
    status: str  # "finished", "out of time" or "interrupted"
    checkpoint: Path


def learning_rate(step: int, config: TrainingConfig, *, total: int, steps_per_epoch: int) -> float:
    """The rate of one step: linear warm-up, then the schedule.

    Exponential multiplies by `epoch_decay` after each epoch (MotionBERT); cosine falls to zero.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "exponential":
        return config.learning_rate * config.epoch_decay ** (step // steps_per_epoch)
    progress = (step - config.warmup_steps) / max(1, total - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def tune_malloc() -> None:
    """Tell glibc to keep freed memory: activations come and go in every step.

    Returning them to the system and faulting them in again costs up to two fifths of a step on
    CPU. Does nothing with another C library.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, 1 << 30)


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """While inside, Ctrl-C and SIGTERM ask to stop after the step instead of ending the process."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, ask) for number in signals}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start_accelerator(config: TrainingConfig) -> Any:
    """The accelerator of this process; knows rank, device and precision.

    Raises:
        UserError: the extra is missing, or there is no GPU where one was asked for.
    """
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
    except ModuleNotFoundError as error:
        raise UserError("training needs: pip install 'actionpose[train]'") from error
    choose_device(config.device)
    tune_malloc()
    torch.set_flush_denormal(True)  # attention that has decided is full of them; CPUs crawl there
    AcceleratorState._reset_state()  # else a process keeps the precision of its first run
    return Accelerator(
        cpu=config.device == "cpu",
        mixed_precision="bf16" if config.precision == "bf16" else "no",
    )


def apply_compile_and_fusion(
    encoder: PoseEncoder, config: TrainingConfig, accelerator: Any
) -> None:
    """Apply `training.fused` and `training.compile`.

    Raises:
        UserError: they do not fit each other, the device or the precision; see `PoseEncoder.fuse`.
    """
    if config.fused:
        if config.compile or accelerator.device.type != "cpu":
            raise UserError(
                "training.fused needs training.device cpu and training.compile false: change "
                "these, or leave it false"
            )
        encoder.fuse()
        if config.precision == "bf16" and not has_bf16():
            warnings.warn(
                "this processor multiplies no bf16 (avx512_bf16): training.fused computes the "
                "encoder's blocks in float32",
                stacklevel=2,
            )
    if config.compile:
        encoder.compile()


def fit(
    model: nn.Module,
    batches_from: Callable[[int], Iterable[Batch]],
    losses_of: Callable[[nn.Module, Batch], Losses],
    loss_weights: dict[str, float],
    config: TrainingConfig,
    *,
    accelerator: Any,
    run: Path,
    resume: Path | None,
    meta: dict[str, Any],
    steps_per_epoch: int,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    encoder_of: Callable[[nn.Module], nn.Module] = lambda model: model,
    write_beside: Callable[[nn.Module, Path], None] | None = None,
    rate_factor: Callable[[str], float] = lambda name: 1.0,
    trunk_of: Callable[[nn.Module], list[nn.Parameter]] | None = None,
    report: Mapping[str, Any] = MappingProxyType({}),
    quiet: bool = False,
) -> Outcome:
    """Train until the epochs or the minutes are over, or a signal asks to stop.

    Args:
        model: moved to the device and wrapped here.
        batches_from: this process's batches from a step on.
        losses_of: the named losses of a batch; their weighted sum is minimized (Equation 5).
        resume: the checkpoint to go on from; bit for bit as if it had never stopped.
        meta: what `meta.json` says of the model; see `run_folder.meta_of`.
        validate: named scores of the model, taken with every checkpoint.
        encoder_of: the part of the model that is the checkpoint's weights, and resumes from them.
        write_beside: writes the other parts into a checkpoint; who calls reads them again.
        rate_factor: of the learning rate, by the name of a parameter.
        trunk_of: parameters that all losses share; their gradients are compared in the log.
        report: what else `report.json` tells.

    Raises:
        UserError: the run cannot be written; a loss or gradient is not finite (the message names
            the batch).
    """
    total = max(1, round(config.epochs * steps_per_epoch))
    optimizer = make_optimizer(model, config, rate_factor)
    step = 0
    if resume:
        weights, saved = checkpoint.load(resume)
        encoder_of(model).load_state_dict(weights)
        step = saved["step"]
    model, optimizer = accelerator.prepare(model, optimizer)
    if resume:
        optimizer.load_state_dict(checkpoint.load_training(resume)["optimizer"])
    main = accelerator.is_main_process
    if main:
        run_folder.open_run(run, meta["config"], accelerator)
    log = run_folder.Log(run, step) if main else None
    started = clock = time.monotonic()
    first_step, status, scores = step, "finished", dict[str, float]()
    batches = iter(batches_from(step))
    folder = resume
    with (
        tqdm(
            total=total, initial=step, unit="step", disable=True if quiet or not main else None
        ) as bar,
        contextlib.closing(log) if log else contextlib.nullcontext(),
        stop_requests() as stop_asked,
    ):
        while step < total:
            rate = learning_rate(step, config, total=total, steps_per_epoch=steps_per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            batch = next(batches)
            # dropout, too, is a function of seed, step and rank
            torch.manual_seed(config.seed + 1_000_003 * step + 7919 * accelerator.process_index)
            every = config.log_grad_norms_every
            look = trunk_of is not None and every > 0 and step % every == 0
            trunk = trunk_of(accelerator.unwrap_model(model)) if trunk_of and look else []
            losses, norm, trunk_norms = _step(
                model, optimizer, batch, losses_of, loss_weights, config, accelerator, step, trunk
            )
            step += 1
            bar.update()
            if log and trunk_norms:
                log.write(step, trunk_norms)
            if step % config.log_every == 0:
                row = {key: float(loss) for key, loss in _global_mean(losses, accelerator).items()}
                seconds = (time.monotonic() - clock) / config.log_every
                clock = time.monotonic()
                row |= {"grad_norm": float(norm), "learning_rate": rate}
                row |= {"clips_per_s": config.batch_size / seconds}
                row |= {"minutes_left": _minutes_left(step, first_step, total, started, config)}
                bar.set_postfix(loss=f"{row['total']:.4f}")
                if log:
                    log.write(step, row)
            minutes = (time.monotonic() - started) / 60
            late = config.max_minutes is not None and minutes >= config.max_minutes
            stopping = _any_rank(stop_asked() or late, accelerator)
            if stopping or step == total or step % config.save_every == 0:
                scores = validate(accelerator.unwrap_model(model)) if validate and main else {}
                if log and scores:
                    log.write(step, scores)
                if main:
                    state = {"optimizer": optimizer.state_dict()}
                    inner = accelerator.unwrap_model(model)
                    folder = checkpoint.save(
                        run,
                        step,
                        encoder_of(inner),
                        {**meta, **scores},
                        state,
                        beside=functools.partial(write_beside, inner) if write_beside else None,
                    )
                    for old in checkpoint.saved_steps(run)[: -config.keep]:
                        shutil.rmtree(old)
                accelerator.wait_for_everyone()
            if stopping:
                status = "interrupted" if stop_asked() else "out of time"
                break
    folder = folder or run / "checkpoints" / f"{step:07d}"
    if main:
        minutes = round((time.monotonic() - started) / 60, 2)
        end = {"status": status, "step": step, "of": total, "minutes_of_this_call": minutes}
        write_json(run / "report.json", {**end, **report, "scores": scores})
    return Outcome(step, status, folder)


def _minutes_left(
    step: int, first: int, total: int, started: float, config: TrainingConfig
) -> float:
    """Until the last step, or until the minutes of this call are over."""
    minutes = (time.monotonic() - started) / 60
    left = minutes / (step - first) * (total - step)
    if config.max_minutes is not None:
        left = min(left, max(0.0, config.max_minutes - minutes))
    return round(left, 2)


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    losses_of: Callable[[nn.Module, Batch], Losses],
    loss_weights: dict[str, float],
    config: TrainingConfig,
    accelerator: Any,
    step: int,
    trunk: list[nn.Parameter],
) -> tuple[Losses, Tensor, dict[str, float]]:
    """One step of the optimizer; refuses to take it on what is not finite."""
    model.train()
    optimizer.zero_grad(set_to_none=True)
    parts = _split(batch, config.accumulate)
    sums: Losses = {}
    trunk_norms: dict[str, float] = {}
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        names = part.pop("name")
        part = {key: value.to(accelerator.device) for key, value in part.items()}
        with contextlib.nullcontext() if last else accelerator.no_sync(model):
            with accelerator.autocast():
                losses = losses_of(model, part)
            losses["total"] = weighted_sum(losses, loss_weights)
            if not torch.isfinite(losses["total"]):
                raise UserError(_not_finite("loss", losses, step, names))
            if last and trunk:
                trunk_norms = _trunk_norms(losses, loss_weights, trunk, accelerator)
            accelerator.backward(losses["total"] / len(parts))
        for key, loss in losses.items():
            sums[key] = sums.get(key, torch.zeros(())) + loss.detach().float().cpu() / len(parts)
    norm = accelerator.clip_grad_norm_(model.parameters(), config.max_grad_norm)
    if not torch.isfinite(norm):
        raise UserError(_not_finite("gradient", sums, step, names))
    optimizer.step()
    return sums, norm, trunk_norms


def _trunk_norms(
    losses: Losses, loss_weights: dict[str, float], trunk: list[nn.Parameter], accelerator: Any
) -> dict[str, float]:
    """Length of each weighted loss's gradient on the parameters that all of them share.

    With gradient accumulation, of the last part of the batch.
    """
    norms = {}
    for name, weight in loss_weights.items():
        if weight:
            loss = weight * losses[name]
            found = torch.autograd.grad(loss, trunk, retain_graph=True, allow_unused=True)
            flat = torch.cat([g.flatten().float() for g in found if g is not None])
            norms[f"trunk_grad_{name}"] = float(accelerator.reduce(flat, reduction="mean").norm())
    return norms


def _split(batch: Batch, parts: int) -> list[Batch]:
    """A batch in equal parts, each a batch."""
    size = len(batch["name"])
    if size % parts:
        raise UserError(f"training.accumulate ({parts}) must divide the {size} clips of a process")
    width = size // parts
    return [
        {key: value[first : first + width] for key, value in batch.items()}
        for first in range(0, size, width)
    ]


def _not_finite(what: str, losses: Losses, step: int, names: list[str]) -> str:
    values = ", ".join(f"{name} {float(loss.detach()):.3g}" for name, loss in losses.items())
    return (
        f"the {what} is not finite at step {step} ({values}); its batch has the clips "
        f"{', '.join(names)}: look at these, or lower training.learning_rate; "
        "the last checkpoint is whole"
    )


def _global_mean(losses: Losses, accelerator: Any) -> Losses:
    """The losses of the global batch: each process has those of its part."""
    if accelerator.num_processes == 1:
        return losses
    stacked = torch.stack(list(losses.values())).to(accelerator.device)
    mean = accelerator.reduce(stacked, reduction="mean")
    return dict(zip(losses, mean, strict=True))


def _any_rank(flag: bool, accelerator: Any) -> bool:
    """Whether any process says so: all stop after the same step."""
    if accelerator.num_processes == 1:
        return flag
    votes = accelerator.reduce(torch.tensor(float(flag), device=accelerator.device))
    return bool(votes > 0)


def in_workers(batches: IterableDataset[Batch], workers: int) -> Iterable[Batch]:
    """The same batches, made in `workers` processes beside this one."""
    return DataLoader(batches, batch_size=None, num_workers=workers) if workers else batches
