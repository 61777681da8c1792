"""The paper's tables, from prepared data to rows: what has to run, how long, and running it.

A plan is a list of the very commands that a user would type, each with the file that it makes and
the arithmetic it costs. A step whose file is there, made from the same checkpoint and data with the
same settings, is not run again, so that a plan goes on where it stopped, and rows can be added one
by one.
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

# the arguments of `actionpose finetune` to its configuration
Settings = Callable[[list[str]], FinetuneConfig]

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
    """A command, its cost in operations, and whether what it writes is there.

    `is_done` raises `UserError` where the output has to be removed first.
    """

    command: list[str]  # after `actionpose`
    flop: float
    why: str
    is_done: Callable[[], bool]


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
    settings: Settings,
    options: Sequence[str] = (),
) -> Plan:
    """What a table needs.

    Args:
        work: folder of runs and scores.
        data: prepared folders of "h36m" and "3dhp".
        pretrained: weights to fine-tune from, by variant (`VARIANTS`).
        checkpoints: fine-tuned ones that are only scored, by the name of their row.
        recipes: folder of `h36m.yaml`, `3dhp.yaml` and their `_baseline`.
        settings: what arguments of `actionpose finetune` mean; finished runs are compared with it.
        options: passed on to every fine-tuning, such as `--training.device cuda`.

    Raises:
        UserError: an unknown variant, a recipe that cannot be read, or two rows whose scores would
            be one file.
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
    # who only scores has nothing to train; the ablation is about all four
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
            known = variant in pretrained  # else nothing can be compared with
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
        UserError: the run has another configuration, or was trained on other data.
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
    report = run / "report.json"  # a run that was interrupted has one, too
    return report.is_file() and read_json(report).get("status") == "finished"


def _is_scored(scores: Path, train: Step | None, given: str, folder: Path, window: int) -> bool:
    """Whether there are scores of this checkpoint, on these data, in windows of this length."""
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
    """The SHA-256 of a split's poses; None where nothing is prepared."""
    if not (folder / "data.json").exists():
        return None
    digest: str = open_paired(folder, split).info["sha256"][f"{split}/pose.npy"]
    return digest


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
    """Run what is not done yet, each step as a process of its own.

    Raises:
        UserError: a step failed, and has said why; or a run was made from something else.
        KeyboardInterrupt: a step was interrupted; the same command goes on.
    """
    for step in [step for step in plan.steps if not step.is_done()]:
        print(f"-- {step.why}", flush=True)
        status, interrupted = run_process([sys.executable, "-m", "actionpose", *step.command])
        if interrupted:
            raise KeyboardInterrupt
        if status or not step.is_done():
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
