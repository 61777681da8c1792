"""The paper's tables, from prepared data to rows: what has to run, how long, and running it.

A plan is a list of the very commands that a user would type, each with the file that it makes and
the arithmetic it costs. A step whose file is there is not run again, so that a plan goes on where
it stopped, and rows can be added one by one.
"""

import contextlib
import json
import math
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actionpose import checkpoint, model_hub
from actionpose.config import FinetuneConfig, ModelConfig
from actionpose.datasets.paired import clip_rows, open_paired
from actionpose.experiments.tables import OurRow
from actionpose.training.cost import TRAINING, macs
from actionpose.training.process import stop_requests
from actionpose.utils.errors import UserError
from actionpose.utils.legacy import current_names
from actionpose.utils.yaml_config import load_recipe

# the pretrained encoders that rows start from, by the name of the row's variant
VARIANTS = {
    "baseline": "Baseline (MotionBERT)",
    "mmm": "+ MMM",
    "map": "+ MAP",
    "full": "ActionPose",
}
_VARIANTS_OF = {"table1": ("full",), "table2": ("full",), "table3": tuple(VARIANTS)}
_DATA_OF = {"table1": ("h36m",), "table2": ("3dhp",), "table3": ("h36m", "3dhp")}
_LABELS, _PRETRAIN_EPOCHS = 63_000, 300  # of BABEL's frames; the paper's pretraining
_FLIPPED = 2  # a prediction and that of the mirror image


@dataclass(frozen=True)
class Step:
    """A command, the files that it writes, and its cost in operations."""

    command: list[str]  # after `actionpose`
    output: Path
    flop: float
    why: str

    @property
    def done(self) -> bool:
        if self.command[0] != "finetune":
            return self.output.exists()
        try:  # a run that was interrupted has a report, too
            report = json.loads((self.output / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(report.get("status") == "finished")


@dataclass(frozen=True)
class Plan:
    """The steps of a table, and the rows that come out: name, data set, file of scores."""

    steps: list[Step]
    rows: list[tuple[str, str, Path]]
    missing: list[str]  # what nobody gave, in sentences


def make_plan(
    table: str,
    work: Path,
    *,
    data: dict[str, Path],
    pretrained: dict[str, Path],
    checkpoints: dict[str, str],
    recipes: Path,
    options: Sequence[str] = (),
) -> Plan:
    """What a table needs.

    Args:
        work: folder of runs and scores.
        data: prepared folders of "h36m" and "3dhp".
        pretrained: weights to fine-tune from, by variant (`VARIANTS`).
        checkpoints: fine-tuned ones that are only scored, by the name of their row.
        recipes: folder of `h36m.yaml`, `3dhp.yaml` and their `_baseline`.
        options: passed on to every fine-tuning, such as `--training.device cuda`.

    Raises:
        UserError: an unknown variant, or a recipe that cannot be read.
    """
    if unknown := sorted(pretrained.keys() - VARIANTS.keys()):
        raise UserError(f"no variant {unknown[0]}; there are {', '.join(VARIANTS)}")
    plan = Plan([], [], [])
    for kind in _DATA_OF[table]:
        if kind not in data:
            plan.missing.append(f"--{kind} FOLDER: make it with actionpose prepare {kind}")
    # who only scores has nothing to train; the ablation is about all four
    needed = () if checkpoints else _VARIANTS_OF[table]
    variants = dict.fromkeys((*needed, *pretrained))
    for variant in variants:
        if variant not in pretrained:
            plan.missing.append(f"--pretrained {variant}=FILE: {_how_to_pretrain(variant)}")

    def add_score(name: str, kind: str, given: str, config: FinetuneConfig, window: int) -> None:
        slug = "".join(c if c.isalnum() else "_" for c in name.lower()).strip("_")
        scores = work / f"{kind}_{slug}.json"
        command = ["evaluate", kind, "--data", str(folder), "--checkpoint", given]
        command += ["--frames", str(window), "--json", str(scores)]
        clips = _clips(folder, "test", window, window if kind == "h36m" else 1)
        cost = 2 * macs(config.model, window) * _FLIPPED * clips
        plan.steps.append(Step(command, scores, cost, f"score {name} on {kind}"))
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
            plan.steps.append(Step(train, run, cost * clips * config.training.epochs, why))
            add_score(VARIANTS[variant], kind, str(run), config, config.data.frames)
        for name, given in checkpoints.items():
            config = load_recipe(FinetuneConfig, recipes / f"{kind}.yaml")
            add_score(name, kind, given, config, _window_of(given, config.data.frames))
    return plan


def _window_of(given: str, otherwise: int) -> int:
    """Frames of the clips that a checkpoint was trained with; official files do not say."""
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


# Frames of the files, for plans made before the data are there; 3DHP's is a rough figure
_FRAMES = {("h36m", "train"): 1_559_752, ("h36m", "test"): 566_920, ("3dhp", "test"): 3_000}


def _clips(folder: Path, split: str, frames: int, stride: int) -> float:
    """Windows of a split: counted, or from the size of the original files."""
    if (folder / "data.json").exists():
        pairs = open_paired(folder, split)
        if pairs.scored is not None:
            return float(pairs.scored.sum())
        return float(len(clip_rows(pairs.videos, frames, stride)))
    kind = "3dhp" if "3dhp" in folder.name else "h36m"
    return _FRAMES.get((kind, split), float("nan")) / stride


def describe(plan: Plan, teraflops: float) -> str:
    """The plan as text: what is done, what is to do, with hours at a given speed."""
    lines, total = [], 0.0
    for step in plan.steps:
        hours = 0.0 if step.done else step.flop / (teraflops * 1e12) / 3600
        total += 0.0 if math.isnan(hours) else hours
        lines.append(f"{'done' if step.done else _duration(hours):>10}  {step.why}")
        lines.append(f"{'':10}  actionpose {' '.join(step.command)}")
    lines.append(f"{_duration(total):>10}  in all, at {teraflops:g} TFLOP/s (--teraflops)")
    return "\n".join([*lines, *(f"   missing  {text}" for text in plan.missing)])


def _duration(hours: float) -> str:
    if math.isnan(hours):
        return "?"
    return f"{hours:.1f} h" if hours >= 0.1 else f"{hours * 60:.1f} min"


def run_plan(plan: Plan) -> None:
    """Run what is not done yet, each step as a process of its own.

    Raises:
        UserError: a step failed; it has said why.
        KeyboardInterrupt: a step was interrupted; the same command goes on.
    """
    for step in plan.steps:
        if step.done:
            continue
        print(f"-- {step.why}", flush=True)
        status, interrupted = run_process([sys.executable, "-m", "actionpose", *step.command])
        if interrupted:
            raise KeyboardInterrupt
        if status or not step.done:
            raise UserError(f"stopped at: actionpose {' '.join(step.command)}")


def run_process(command: list[str]) -> tuple[int, bool]:
    """Run a process; a signal goes to it, and it may save before it ends."""
    with stop_requests() as requested:
        process = subprocess.Popen(command)
        forwarded = False
        while (status := process.poll()) is None:
            if requested() and not forwarded:
                process.send_signal(signal.SIGINT)  # as Ctrl-C did; a SIGTERM reached only us
                forwarded = True
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.5)
        return status, requested() or status == 130


def collect(plan: Plan, *, both_scales: bool = False) -> list[OurRow]:
    """Our rows, from the scores that are there.

    Args:
        both_scales: rows of MPI-INF-3DHP a second time, in the other scale (`Protocol.scale`).
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
    """Look for everything that is needed before hours are spent.

    Raises:
        UserError: something was not given, or is not there.
    """
    if plan.missing:
        raise UserError(f"this needs {'; '.join(plan.missing)}; --dry-run shows the whole plan")
    for path in pretrained.values():
        model_hub.find(path)
