"""Reproduction of the tables of the paper from prepared data: steps, their cost, and execution.

A plan is a list of actionpose commands, each with its output file and its number of operations. A
step is not repeated if its output exists and was created from the same checkpoint and data with the
same settings. Plans can therefore be resumed, and rows can be added one by one.
"""

import contextlib
import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from actionpose import checkpoint, model_hub
from actionpose.config import FinetuneConfig, ModelConfig
from actionpose.datasets.paired import clip_rows, open_paired
from actionpose.experiments.tables import OurRow
from actionpose.training import run_folder
from actionpose.training.cost import TRAINING, macs
from actionpose.training.process import stop_requests
from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256
from actionpose.utils.json_files import read_json
from actionpose.utils.legacy import current_names
from actionpose.utils.yaml_config import load_recipe, to_dict

# converts arguments of `actionpose finetune` to its configuration
Settings = Callable[[list[str]], FinetuneConfig]

# rows of pretrained encoders by the name of their variant
VARIANTS = {
    "baseline": "Baseline (MotionBERT)",
    "mmm": "+ MMM",
    "map": "+ MAP",
    "full": "ActionPose",
}
_VARIANTS_OF = {"table1": ("full",), "table2": ("full",), "table3": tuple(VARIANTS)}
_DATA_OF = {"table1": ("h36m",), "table2": ("3dhp",), "table3": ("h36m", "3dhp")}
_LABELS, _PRETRAIN_EPOCHS = 63_000, 300  # number of BABEL labels; epochs in the paper
_FLIPPED = 2  # predictions of the input and of its mirror image


@dataclass(frozen=True)
class Step:
    """A command, its number of operations, and a check of whether its output exists.

    `is_done` raises `UserError` if the output must be removed first.
    """

    command: list[str]  # without `actionpose`
    flop: float
    why: str
    is_done: Callable[[], bool]


@dataclass(frozen=True)
class Plan:
    """The steps of a table, and its rows: name, dataset, file of scores."""

    steps: list[Step]
    rows: list[tuple[str, str, Path]]
    missing: list[str]  # missing inputs, as sentences


def make_plan(
    table: str,
    work: Path,
    *,
    data: dict[str, Path],
    pretrained: dict[str, Path],
    checkpoints: dict[str, str],
    recipes: Path,
    settings: Settings,
    options: Sequence[str] = (),
) -> Plan:
    """Plan the steps of a table.

    Args:
        table: Name of the table.
        work: Folder of runs and scores.
        data: Prepared folders of "h36m" and "3dhp".
        pretrained: Initial weights of fine-tuning, by variant (`VARIANTS`).
        checkpoints: Fine-tuned checkpoints that are only evaluated, by the name of their row.
        recipes: Folder of `h36m.yaml`, `3dhp.yaml` and their `_baseline`.
        settings: Function that converts arguments of `actionpose finetune` to its configuration,
            for comparison with finished runs.
        options: Further arguments for all fine-tuning steps, such as `--training.device cuda`.

    Raises:
        UserError: If a variant is unknown, a recipe cannot be read, or two rows would have the same
            file of scores.
    """
    if unknown := sorted(pretrained.keys() - VARIANTS.keys()):
        raise UserError(f"no variant {unknown[0]}; there are {', '.join(VARIANTS)}")
    rows = {_slug(name): name for name in VARIANTS.values()}
    for name in checkpoints:
        if _slug(name) in rows:
            raise UserError(
                f"the checkpoint {name!r} would share its scores with the row "
                f"{rows[_slug(name)]!r}: give it another name"
            )
        rows[_slug(name)] = name
    plan = Plan([], [], [])
    for kind in _DATA_OF[table]:
        if kind not in data:
            plan.missing.append(f"--{kind} FOLDER: make it with actionpose prepare {kind}")
    # with given checkpoints, nothing needs to be trained; the ablation requires all four variants
    needed = () if checkpoints else _VARIANTS_OF[table]
    variants = dict.fromkeys((*needed, *pretrained))
    for variant in variants:
        if variant not in pretrained:
            plan.missing.append(f"--pretrained {variant}=FILE: {_how_to_pretrain(variant)}")

    def add_score(
        name: str, kind: str, given: str, config: FinetuneConfig, window: int, train: Step | None
    ) -> None:
        scores = work / f"{kind}_{_slug(name)}.json"
        command = ["evaluate", kind, "--data", str(folder), "--checkpoint", given]
        command += ["--frames", str(window), "--json", str(scores)]
        clips = _clips(folder, "test", window, window if kind == "h36m" else 1)
        cost = 2 * macs(config.model, window) * _FLIPPED * clips
        done = partial(_is_scored, scores, train, given, folder, window)
        plan.steps.append(Step(command, cost, f"score {name} on {kind}", done))
        plan.rows.append((name, kind, scores))

    for kind in _DATA_OF[table]:
        folder = data.get(kind, Path(f"data/{kind}"))
        for variant in variants:
            recipe = recipes / f"{kind}{'_baseline' if variant == 'baseline' else ''}.yaml"
            config = load_recipe(FinetuneConfig, recipe)
            run = work / f"{kind}_{variant}"
            start = pretrained.get(variant, Path(f"PRETRAINED_{variant}"))
            train = ["finetune", "--config", str(recipe), "--run", str(run), "--init", str(start)]
            train += ["--data.paired", str(folder), *options]
            clips = _clips(folder, "train", config.data.frames, config.data.stride)
            cost = 2 * macs(config.model, config.data.frames) * TRAINING
            why = f"fine-tune {VARIANTS[variant]} on {kind}"
            done = partial(_is_trained, run, train[1:], folder, settings)
            known = variant in pretrained  # else there is nothing to compare with
            step = Step(
                train, cost * clips * config.training.epochs, why, done if known else lambda: False
            )
            plan.steps.append(step)
            add_score(VARIANTS[variant], kind, str(run), config, config.data.frames, step)
        for name, given in checkpoints.items():
            config = load_recipe(FinetuneConfig, recipes / f"{kind}.yaml")
            add_score(name, kind, given, config, _window_of(given, config.data.frames), None)
    return plan


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.lower()).strip("_")


def _is_trained(run: Path, arguments: list[str], folder: Path, settings: Settings) -> bool:
    """Whether a fine-tuning is finished.

    Raises:
        UserError: If the run has another configuration, or was trained on other data.
    """
    steps = checkpoint.saved_steps(run)
    if not steps:
        return False
    try:
        run_folder.last_checkpoint(run, to_dict(settings(arguments)))
    except UserError as error:
        raise UserError(str(error).replace("another --run", "another --out-dir")) from error
    data = read_json(steps[-1] / checkpoint.META).get("data", [])
    if _digest(folder, "train") not in (None, *(entry.get("sha256") for entry in data)):
        raise UserError(
            f"{run} was trained on other data than {folder}: remove it, or use another --out-dir"
        )
    report = run / "report.json"  # interrupted runs also have one
    return report.is_file() and read_json(report).get("status") == "finished"


def _is_scored(scores: Path, train: Step | None, given: str, folder: Path, window: int) -> bool:
    """Whether there are scores of this checkpoint on these data in windows of this length."""
    if not scores.exists() or (train and not train.is_done()):
        return False
    report = read_json(scores)
    try:
        weights, data = report["checkpoint"]["sha256"], report["data"]["sha256"]
        frames = report["protocol_details"]["frames"]
    except (KeyError, TypeError):
        return False
    same = _digest(folder, "test") in (None, data) and frames == window
    return same and weights == sha256(checkpoint.weights_file(model_hub.find(given)))


def _digest(folder: Path, split: str) -> str | None:
    """The SHA-256 of the poses of a split, or None if the data are not prepared."""
    if not (folder / "data.json").exists():
        return None
    digest: str = open_paired(folder, split).info["sha256"][f"{split}/pose.npy"]
    return digest


def _window_of(given: str, otherwise: int) -> int:
    """Number of frames of the training clips of a checkpoint; official files do not state it."""
    if Path(given).is_file():
        return otherwise
    _, meta = checkpoint.load(model_hub.find(given))
    return int(meta.get("frames") or otherwise)


def _how_to_pretrain(variant: str) -> str:
    if variant == "baseline":
        return "MotionBERT's MB_release/latest_epoch.bin"
    exaflop = 2 * macs(ModelConfig(), 243) * TRAINING * _LABELS * _PRETRAIN_EPOCHS / 1e18
    return (
        f"the encoder pretrained as {VARIANTS[variant]!r} (actionpose pretrain; about "
        f"{exaflop:.0f} EFLOP with the paper's settings)"
    )


# number of frames of the files, for plans before the data exist; that of 3DHP is approximate
_FRAMES = {("h36m", "train"): 1_559_752, ("h36m", "test"): 566_920, ("3dhp", "test"): 3_000}


def _clips(folder: Path, split: str, frames: int, stride: int) -> float:
    """Number of windows of a split, counted or estimated from the size of the original files."""
    if (folder / "data.json").exists():
        pairs = open_paired(folder, split)
        if pairs.scored is not None:
            return float(pairs.scored.sum())
        return float(len(clip_rows(pairs.videos, frames, stride)))
    kind = "3dhp" if "3dhp" in folder.name else "h36m"
    return _FRAMES.get((kind, split), float("nan")) / stride


def describe(plan: Plan, teraflops: float) -> str:
    """Describe the plan: finished and remaining steps, with hours at a given speed."""
    lines, total = [], 0.0
    for step in plan.steps:
        done = step.is_done()
        hours = 0.0 if done else step.flop / (teraflops * 1e12) / 3600
        total += 0.0 if math.isnan(hours) else hours
        lines.append(f"{'done' if done else _duration(hours):>10}  {step.why}")
        lines.append(f"{'':10}  actionpose {' '.join(step.command)}")
    lines.append(f"{_duration(total):>10}  in all, at {teraflops:g} TFLOP/s (--teraflops)")
    return "\n".join([*lines, *(f"   missing  {text}" for text in plan.missing)])


def _duration(hours: float) -> str:
    if math.isnan(hours):
        return "?"
    return f"{hours:.1f} h" if hours >= 0.1 else f"{hours * 60:.1f} min"


def run_plan(plan: Plan) -> None:
    """Run the remaining steps of a plan, each in a separate process.

    Raises:
        UserError: If a step fails, or a run was created from other inputs.
        KeyboardInterrupt: If a step is interrupted; the same command resumes it.
    """
    for step in [step for step in plan.steps if not step.is_done()]:
        print(f"-- {step.why}", flush=True)
        status, interrupted = run_process([sys.executable, "-m", "actionpose", *step.command])
        if interrupted:
            raise KeyboardInterrupt
        if status or not step.is_done():
            raise UserError(f"stopped at: actionpose {' '.join(step.command)}")


def run_process(command: list[str]) -> tuple[int, bool]:
    """Run a process. Stop signals are forwarded, so that it can save before it ends."""
    with stop_requests() as requested:
        process = subprocess.Popen(command)
        forwarded = False
        while (status := process.poll()) is None:
            if requested() and not forwarded:
                process.send_signal(signal.SIGINT)  # like Ctrl-C; SIGTERM only reaches this process
                forwarded = True
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.5)
        return status, requested() or status == 130


def collect(plan: Plan, *, both_scales: bool = False) -> list[OurRow]:
    """The rows of this project, from existing scores.

    Args:
        plan: Plan of a table.
        both_scales: Whether to list rows of MPI-INF-3DHP again in the other scale
            (`Protocol.scale`).
    """
    rows: dict[str, OurRow] = {}
    for name, kind, path in plan.rows:
        if path.exists():
            report: dict[str, Any] = current_names(json.loads(path.read_text("utf-8")))
            rows.setdefault(name, OurRow(name)).reports[kind] = report
            other = report.get("scales", {}).get("image_width")
            if both_scales and other:
                named = f"{name}, MotionAGFormer's scale"
                rows.setdefault(named, OurRow(named)).reports[kind] = report | other
    return list(rows.values())


def check_plan(plan: Plan, pretrained: dict[str, Path]) -> None:
    """Check that all inputs exist before the computation.

    Raises:
        UserError: If an input is not given or does not exist.
    """
    if plan.missing:
        raise UserError(f"this needs {'; '.join(plan.missing)}; --dry-run shows the whole plan")
    for path in pretrained.values():
        model_hub.find(path)
