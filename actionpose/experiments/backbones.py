"""Comparison of backbones: their cost, and their errors after training with equal CPU time.

Each backbone is trained twice with the same budget: by fine-tuning only, and with action
pretraining for half of the budget. The budget is converted to a number of steps by timing short
trainings in CPU time, so that the load of the machine has no effect and the learning rate schedule
is completed. Finished trials are stored in a folder and not repeated.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from actionpose.config import FinetuneConfig, PretrainConfig
from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.open_benchmark import UNUSUAL, evaluate_open, model_predict
from actionpose.inference.predictor import ActionPose
from actionpose.metrics.bootstrap import bootstrap
from actionpose.models import build_encoder
from actionpose.training import finetune, pretrain
from actionpose.training.stages import read_stages
from actionpose.utils.errors import UserError
from actionpose.utils.files import write_json
from actionpose.utils.json_files import read_json, typed

REFERENCE = "dstformer"
SCORES, PLAN, COSTS = "scores.json", "plan.json", "costs.json"
SPLITS = ("val", UNUSUAL)
CONDITIONS = {"alone": "fine-tuning alone", "pretrained": "half of the time action pretraining"}
PROBE_STEPS, WARM_STEPS = 40, 5  # of the training that times a step; its first steps are slower
TIMED_FRAMES, ROUNDS = 81, 7
SCORED_OF = 8  # every 8th window is scored, because there are as many networks as trainings

Config = PretrainConfig | FinetuneConfig


@dataclass(frozen=True)
class Trial:
    """A backbone in one condition with one seed; `configs` are its trainings in order."""

    backbone: str
    condition: str
    seed: int
    minutes: float
    folder: Path
    configs: tuple[Config, ...]

    @property
    def name(self) -> str:
        return f"{self.backbone}, {CONDITIONS[self.condition]}, seed {self.seed}"

    @property
    def done(self) -> bool:
        return (self.folder / SCORES).is_file()


def plan_trials(
    out: Path, recipes: Path, *, names: Sequence[str], seeds: Sequence[int], minutes: float
) -> list[Trial]:
    """The trials with both conditions of a backbone and seed in sequence, DSTformer first.

    Args:
        out: Folder of the trials.
        recipes: Folder of the recipes.
        names: Names of the backbones; by default those of all recipes.
        seeds: Random seeds.
        minutes: CPU minutes per trial.

    Raises:
        UserError: If a recipe does not exist or is not pretraining followed by fine-tuning, there
            are no seeds, or `minutes` is not above 0.
    """
    known = sorted(path.stem for path in recipes.glob("*.yaml") if path.stem != "base")
    if not known or REFERENCE not in known:
        raise UserError(f"{recipes} has no recipe {REFERENCE}.yaml to compare with")
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"there is no recipe {unknown[0]!r}; there are {', '.join(known)}")
    if minutes <= 0 or not seeds:
        raise UserError("give minutes above 0, and at least one seed")
    trials = []
    chosen = list(dict.fromkeys(names or (REFERENCE, *known)))
    for seed in seeds:
        for name in chosen:
            stages = [stage.config for stage in read_stages(recipes / f"{name}.yaml", out / name)]
            if [type(config) for config in stages] != [PretrainConfig, FinetuneConfig]:
                raise UserError(
                    f"{recipes / name}.yaml must have two stages, pretrain and finetune"
                )
            first, second = (_seeded(config, seed) for config in stages)
            alone = replace(second, init=None, model=replace(second.model, class_token=False))
            for condition, configs in (("alone", (alone,)), ("pretrained", (first, second))):
                folder = out / name / condition / f"seed_{seed}"
                trials.append(Trial(name, condition, seed, minutes, folder, configs))
    return trials


def _seeded(config: Any, seed: int) -> Any:
    return replace(config, training=replace(config.training, seed=seed))


# ---- cost


def costs(out: Path, trials: Sequence[Trial]) -> dict[str, dict[str, float]]:
    """Parameters, multiply-adds per frame and frames per second of each backbone and of DSTformer.

    They are measured once per model configuration, for lifting only, on one thread, with clips of
    81 frames divided into as many pieces as the network requires. Speeds are in CPU time, measured
    alternately; `ratio` is the median over rounds of DSTformer's time divided by that of the
    network.

    Raises:
        UserError: If DSTformer is neither measured nor in the trials.
    """
    path = out / COSTS
    models = {trial.backbone: asdict(trial.configs[0].model) for trial in trials}
    known = typed(dict[str, dict[str, Any]], read_json(path), str(path)) if path.is_file() else {}
    reference = models.get(REFERENCE, known.get(REFERENCE, {}).get("model"))
    if reference is None:
        raise UserError(f"measure {REFERENCE} first, or leave out names")
    if known.get(REFERENCE, {}).get("model") != reference:
        known = {}  # all ratios refer to another network
    new = {name: own for name, own in models.items() if known.get(name, {}).get("model") != own}
    if new:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            found = _measured({REFERENCE: reference, **new})
        finally:
            torch.set_num_threads(threads)
        known |= {name: {"model": own, **found[name]} for name, own in new.items()}
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, known)
    return {
        name: {key: value for key, value in row.items() if key != "model"}
        for name, row in known.items()
    }


def _measured(settings: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    runs, found = {}, {}
    for name, own in settings.items():
        encoder = build_encoder(**own | {"class_token": False}).eval()
        pieces = -(-TIMED_FRAMES // own["max_frames"])
        clips = torch.rand(pieces, own["max_frames"], encoder.num_joints, 3)
        runs[name] = _lifting(encoder, clips)
        # attention products are only counted if they are computed explicitly
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            runs[name]()
        frames = clips.shape[0] * clips.shape[1]
        found[name] = {
            "parameters": sum(p.numel() for p in encoder.parameters() if p.requires_grad),
            "macs_per_frame": counter.get_total_flops() / 2 / frames,
            "frames": frames,
        }
    rounds = [{name: _cpu_seconds(run) for name, run in runs.items()} for _ in range(ROUNDS)]
    for name, row in found.items():
        row["frames_per_s"] = row.pop("frames") / median(seconds[name] for seconds in rounds)
        row["ratio"] = median(seconds[REFERENCE] / seconds[name] for seconds in rounds)
    return found


def _lifting(encoder: Any, clips: torch.Tensor) -> Callable[[], object]:
    @torch.inference_mode()
    def lift() -> object:
        return encoder(clips, embed=False).pose

    return lift


def _cpu_seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


# ---- errors after training


def run_trial(trial: Trial, corpora: Sequence[Corpus], *, quiet: bool = False) -> None:
    """Train and score a trial, or resume it. A finished trial is not changed.

    Raises:
        KeyboardInterrupt: If a training was requested to stop; it is saved.
        UserError: See `pretrain`, `finetune` and `evaluate_open`.
    """
    if trial.done:
        return
    steps = _steps(trial)
    folder = trial.folder
    for number, (config, count) in enumerate(zip(trial.configs, steps, strict=True), 1):
        init = folder / str(number - 1) if number > 1 else config.init
        last = folder / str(number)
        _require_finished(_train(_of_steps(replace(config, init=init), count), last, quiet))
    predict = model_predict(ActionPose.from_pretrained(last, engine="torch"))
    windows = {}
    for split in SPLITS:
        if own := [corpus for corpus in corpora if corpus.motions(split)]:
            windows[split] = evaluate_open(predict, own, split, every=SCORED_OF)["windows"]
    about = {key: getattr(trial, key) for key in ("backbone", "condition", "seed", "minutes")}
    write_json(folder / SCORES, {**about, "steps": steps, "windows": windows})


def _steps(trial: Trial) -> list[int]:
    """Steps of each training for the total time; those of the first call are stored."""
    path = trial.folder / PLAN
    if not path.is_file():
        share = 60 * trial.minutes / len(trial.configs)
        seconds = [seconds_per_step(config, trial.folder / "probe") for config in trial.configs]
        steps = [max(1, round(share / each)) for each in seconds]
        trial.folder.mkdir(parents=True, exist_ok=True)
        write_json(path, {"steps": steps, "seconds_per_step": seconds, "minutes": trial.minutes})
    plan = typed(dict[str, Any], read_json(path), str(path))
    if plan["minutes"] != trial.minutes:
        raise UserError(
            f"{trial.folder} was begun for {plan['minutes']:g} minutes: use another out_dir"
        )
    return [int(count) for count in plan["steps"]]


def seconds_per_step(config: Config, folder: Path) -> float:
    """CPU seconds per training step, from a short training in a temporary folder.

    Raises:
        KeyboardInterrupt: If the training was requested to stop.
    """
    try:
        _require_finished(_train(_of_steps(replace(config, init=None), PROBE_STEPS), folder, True))
        return _logged_seconds_per_step(folder, WARM_STEPS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _require_finished(outcome: Any) -> None:
    if outcome.status != "finished":
        raise KeyboardInterrupt


def _logged_seconds_per_step(run: Path, after: int = 0) -> float:
    """CPU seconds per step in the log of a training, whose CPU time restarts on resuming."""
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    times = np.array([[row["step"], row["cpu_s"]] for row in rows if "cpu_s" in row])[after:]
    steps, seconds = np.diff(times, axis=0).T
    return float(seconds[seconds > 0].sum() / steps[seconds > 0].sum())


def _of_steps(config: Any, steps: int) -> Any:
    stage = pretrain if isinstance(config, PretrainConfig) else finetune
    per_epoch = max(1, stage.clips_per_epoch(config) // config.training.batch_size)
    return replace(config, training=replace(config.training, epochs=steps / per_epoch))


def _train(config: Config, folder: Path, quiet: bool) -> Any:
    if isinstance(config, PretrainConfig):
        return pretrain.pretrain(config, folder, quiet=quiet)
    return finetune.finetune(config, folder, quiet=quiet)


# ---- table


def read_all(out: Path, minutes: float) -> list[dict[str, Any]]:
    """Read the scores of all finished trials in a folder, which must have the same budget.

    `cpu_minutes` is the CPU time of the trainings from their logs, which differs from the budget by
    the load of the machine and by the accuracy of the timing.

    Raises:
        UserError: If a file is damaged or has another budget.
    """
    found = []
    for path in sorted(out.glob(f"*/*/seed_*/{SCORES}")):
        scores = typed(dict[str, Any], read_json(path), str(path))
        if scores.get("minutes") != minutes:
            raise UserError(f"{path} is of {scores.get('minutes')} minutes, not {minutes:g}")
        runs = [path.parent / str(number) for number in range(1, len(scores["steps"]) + 1)]
        seconds = [_logged_seconds_per_step(run) for run in runs]
        scores["cpu_minutes"] = float(np.dot(seconds, scores["steps"])) / 60
        found.append(scores)
    return found


def markdown(cost: Mapping[str, Mapping[str, float]], found: Sequence[dict[str, Any]]) -> str:
    """Format a line per backbone with MPJPE / P-MPJPE in millimeters; the effect of pretraining on
    MPJPE is computed per window for the same seed, with a 95 % bootstrap interval."""
    head = ["backbone", "parameters", "M MACs a frame", "frames/s", "× DSTformer"]
    head += ["steps", "CPU minutes"]
    for split in SPLITS:
        head += [f"{split}, alone", f"{split}, pretrained", "difference"]
    rows = [head, ["---"] * len(head)]
    for name, row in cost.items():
        cells = [name, f"{row['parameters'] / 1e6:.2f} M", f"{row['macs_per_frame'] / 1e6:.1f}"]
        cells += [f"{row['frames_per_s']:.0f}", f"{row['ratio']:.2f}"]
        own = [one for one in found if one["backbone"] == name]
        last = {one["condition"]: one for one in own}
        both = [last[key] for key in CONDITIONS if key in last]
        cells.append("; ".join(" + ".join(map(str, one["steps"])) for one in both))
        cells.append("; ".join(f"{one['cpu_minutes']:.1f}" for one in both))
        for split in SPLITS:
            cells += _cells(own, split)
        rows.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _cells(own: Sequence[dict[str, Any]], split: str) -> list[str]:
    """Cells of both conditions of a backbone, and of their difference."""
    values: dict[str, dict[int, Any]] = {name: {} for name in CONDITIONS}
    for scores in own:
        if split in scores["windows"]:
            table = [[w["mpjpe_mm"], w["p_mpjpe_mm"]] for w in scores["windows"][split].values()]
            values[scores["condition"]][scores["seed"]] = np.array(table)
    cells = []
    for by_seed in values.values():
        means = [table.mean(axis=0) for table in by_seed.values()]
        cells.append(" / ".join(f"{mean:.1f}" for mean in np.mean(means, axis=0)) if means else "")
    alone, pretrained = values.values()
    pairs = [pretrained[seed][:, 0] - alone[seed][:, 0] for seed in alone.keys() & pretrained]
    return [*cells, f"{bootstrap(np.stack(pairs)):+}" if pairs else ""]
