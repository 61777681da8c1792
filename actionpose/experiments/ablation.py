"""Ablation of masks and alignment on open data, with equal budgets and confidence intervals.

A trial is a row of the ablation with a seed: pretraining with the settings of the row, the same
fine-tuning for all rows, and the scores of the open benchmark. The trials are stored in one folder
and can be resumed; the table contains the finished trials. The budget is a number of steps, so that
it does not depend on the machine or its load.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from actionpose.config import FinetuneConfig, PretrainConfig
from actionpose.datasets.corpus import Corpus
from actionpose.datasets.lifting import LiftingBatches
from actionpose.datasets.loading import open_corpora
from actionpose.datasets.motion_text import MotionTextBatches
from actionpose.evaluation.open_benchmark import METRICS, evaluate_open, model_predict
from actionpose.evaluation.recognition import recognize
from actionpose.evaluation.segmentation import segment
from actionpose.inference.predictor import ActionPose
from actionpose.metrics.bootstrap import Score, bootstrap
from actionpose.training.finetune import finetune
from actionpose.training.pretrain import pretrain
from actionpose.utils.errors import UserError
from actionpose.utils.files import write_json
from actionpose.utils.typing import Array
from actionpose.utils.yaml_config import to_dict

Scores = dict[str, Any]

SCORES = "scores.json"


@dataclass(frozen=True)
class Row:
    """A row of the ablation.

    Args:
        title: Title in the table.
        pretrained: Whether there is pretraining.
        masks: Whether pretraining uses the mixture of masks of the recipe, with masked body parts
            and windows, instead of random masks for all clips.
        aligned: Whether pretraining is aligned with text.
        shuffled: Whether each span has the text of another span, as a control without the meaning
            of texts.
        long: Whether fine-tuning has the budget of both stages.
    """

    title: str
    pretrained: bool = True
    masks: bool = False
    aligned: bool = False
    shuffled: bool = False
    long: bool = False


ROWS: dict[str, Row] = {
    "alone": Row("fine-tuning alone", pretrained=False),
    "alone_long": Row("fine-tuning alone, for the steps of both", pretrained=False, long=True),
    "baseline": Row("joint and frame masks, noise, no text"),
    "mmm": Row("+ masked parts and windows", masks=True),
    "map": Row("+ alignment with text", aligned=True),
    "mmm_map": Row("+ both", masks=True, aligned=True),
    "shuffled": Row("+ both, texts shuffled", masks=True, aligned=True, shuffled=True),
}
REFERENCES = ("alone_long", "baseline", "shuffled")  # baselines of the differences


@dataclass(frozen=True)
class Trial:
    """One row with one seed."""

    row: str
    seed: int
    folder: Path
    pretraining: PretrainConfig | None
    finetuning: FinetuneConfig
    steps: tuple[int, int]  # of pretraining and of fine-tuning
    recipes: Mapping[str, Any]  # see `recipes_of`

    @property
    def name(self) -> str:
        return f"{self.row}, seed {self.seed}"

    @property
    def done(self) -> bool:
        return (self.folder / SCORES).is_file()


def plan_trials(
    folder: Path,
    pretraining: PretrainConfig,
    finetuning: FinetuneConfig,
    *,
    rows: Sequence[str],
    seeds: Sequence[int],
    steps: tuple[int, int],
) -> list[Trial]:
    """The trials, seed by seed, so that an early stop leaves complete comparisons.

    Args:
        folder: Folder of the trials.
        pretraining: Recipe of pretraining.
        finetuning: Recipe of fine-tuning.
        rows: Keys of `ROWS`.
        seeds: Random seeds.
        steps: Number of steps of pretraining and of fine-tuning.

    Raises:
        UserError: If a row is unknown, or there are no seeds or steps.
    """
    if unknown := [row for row in rows if row not in ROWS]:
        raise UserError(f"there is no row {unknown[0]!r}; there are {', '.join(ROWS)}")
    if not rows or not seeds or min(steps) < 1:
        raise UserError("name at least one row and one seed, and 1 step or more of each training")
    per_epoch = (_steps_per_epoch(pretraining), _steps_per_epoch(finetuning))
    recipes = recipes_of(pretraining, finetuning)
    trials = []
    for seed in seeds:
        for name in rows:
            row, place = ROWS[name], folder / name / f"seed_{seed}"
            own_steps = _steps_of(row, steps)
            epochs = (own_steps[0] / per_epoch[0], own_steps[1] / per_epoch[1])
            second = replace(
                finetuning,
                init=place / "pretraining" if row.pretrained else finetuning.init,
                training=replace(finetuning.training, seed=seed, epochs=epochs[1]),
            )
            first = _pretraining_of(row, pretraining, seed, epochs[0]) if row.pretrained else None
            trials.append(Trial(name, seed, place, first, second, own_steps, recipes))
    return trials


def _steps_of(row: Row, steps: tuple[int, int]) -> tuple[int, int]:
    return (steps[0] if row.pretrained else 0, sum(steps) if row.long else steps[1])


def recipes_of(pretraining: PretrainConfig, finetuning: FinetuneConfig) -> dict[str, Any]:
    """The settings that all trials of a folder share, as plain values.

    The seed and the epochs, which differ between trials, and the settings of the machine are
    omitted.
    """
    own = {"seed", "epochs", "max_minutes", "save_every", "workers", "device"}
    recipes = {"pretraining": to_dict(pretraining), "finetuning": to_dict(finetuning)}
    for recipe in recipes.values():
        training = recipe["training"].items()
        recipe["training"] = {key: value for key, value in training if key not in own}
    return recipes


def _pretraining_of(row: Row, config: PretrainConfig, seed: int, epochs: float) -> PretrainConfig:
    masks, weights = config.data.masks, config.loss_weights
    if row.masks and not masks.get("part", 0.0) + masks.get("window", 0.0):
        raise UserError("the recipe of pretraining has no masked parts or windows to ablate")
    if row.aligned and not weights.get("alignment"):
        raise UserError("the recipe of pretraining has no weight of alignment: nothing to ablate")
    masks = masks if row.masks else {"random": 1.0}
    return replace(
        config,
        data=replace(config.data, masks=masks, shuffle_texts=row.shuffled),
        loss_weights=weights if row.aligned else {**weights, "alignment": 0.0},
        training=replace(config.training, seed=seed, epochs=epochs),
    )


def _steps_per_epoch(config: PretrainConfig | FinetuneConfig) -> int:
    corpora, size = open_corpora(config.data.corpora), config.training.batch_size
    if isinstance(config, FinetuneConfig):
        clips = LiftingBatches(corpora, config.data, batch_size=size, seed=0).windows
    else:
        batches = MotionTextBatches(
            corpora, config.data, batch_size=size, seed=0, negatives=0, need_texts=False
        )
        clips = len(batches.spans)
    return max(1, clips // size)


def run_trial(
    trial: Trial, corpora: Sequence[Corpus], split: str, *, quiet: bool = False
) -> Scores:
    """Train and score a trial, or resume it. The scores of a finished trial are read.

    Args:
        trial: Trial to run.
        corpora: Corpora for the evaluation.
        split: Split of the corpora.
        quiet: Whether to hide progress bars.

    Returns:
        The content of `scores.json` in its folder.

    Raises:
        KeyboardInterrupt: If a training was requested to stop; it is saved.
        UserError: If the trial was run with other steps, recipes, corpora or another split; or see
            `pretrain`, `finetune` and `evaluate_open`.
    """
    planned = {
        "steps": list(trial.steps),
        "split": split,
        "corpora": [corpus.name for corpus in corpora],
        "recipes": trial.recipes,
    }
    if trial.done:
        return _read_planned(trial.folder / SCORES, planned)
    first, second = trial.folder / "pretraining", trial.folder / "finetuning"
    if trial.pretraining is not None:
        _require_finished(pretrain(trial.pretraining, first, quiet=quiet))
    _require_finished(finetune(trial.finetuning, second, quiet=quiet))
    predict = model_predict(ActionPose.from_pretrained(second, engine="torch"))
    scores: Scores = {
        "row": trial.row,
        "seed": trial.seed,
        **planned,
        "windows": evaluate_open(predict, corpora, split)["windows"],
    }
    if trial.pretraining is not None and trial.pretraining.loss_weights.get("alignment"):
        scores["actions"] = action_scores(
            ActionPose.from_pretrained(first, engine="torch"), corpora, split
        )
    write_json(trial.folder / SCORES, {**scores, "finetuning": to_dict(trial.finetuning)})
    return scores


def _require_finished(outcome: Any) -> None:
    if outcome.status != "finished":
        raise KeyboardInterrupt


def action_scores(model: ActionPose, corpora: Sequence[Corpus], split: str) -> dict[str, float]:
    """Mean scores of recognition and segmentation."""
    scores = recognize(model, corpora, split)["scores"] | segment(model, corpora, split)["scores"]
    return {name: float(getattr(value, "mean", value)) for name, value in scores.items()}


def read_scores(path: Path) -> Scores:
    """Read the scores of a trial.

    Raises:
        UserError: If the file is damaged.
    """
    try:
        scores: Scores = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(scores["windows"], dict):
            raise ValueError("no windows")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: remove it, and the trial is scored again") from error
    return scores


def _read_planned(path: Path, planned: Mapping[str, Any]) -> Scores:
    """Read the scores of a trial, and check that the given entries do not differ."""
    scores = read_scores(path)
    for key, value in planned.items():
        if scores.get(key) != value:
            what = "other recipes" if key == "recipes" else f"{key} {scores.get(key)}, not {value}"
            raise UserError(
                f"{path} has {what}: give the same, use another --out-dir, or remove the file to "
                "score the trial again"
            )
    return scores


def read_all(
    folder: Path, steps: tuple[int, int], planned: Mapping[str, Any] = MappingProxyType({})
) -> list[Scores]:
    """Read the scores of all finished trials in a folder, with rows in the order of `ROWS`.

    Args:
        folder: Folder of the trials.
        steps: Number of steps of pretraining and of fine-tuning.
        planned: Further entries that all scores must have, such as the split.

    Raises:
        UserError: If a file is damaged, or has other steps or another plan.
    """
    found = []
    for name, row in ROWS.items():
        own = {"steps": list(_steps_of(row, steps)), **planned}
        paths = folder.glob(f"{name}/seed_*/{SCORES}")
        scores = [_read_planned(path, own) for path in paths]
        found += sorted(scores, key=lambda one: one["seed"])
    return found


def check_metric(metric: str) -> None:
    """Check that a metric is in `open_benchmark.METRICS`."""
    if metric not in METRICS:
        raise UserError(f"there is no metric {metric!r}; there are {', '.join(METRICS)}")


@dataclass(frozen=True)
class Line:
    """A line of the table: mean of a row and differences to others, with confidence intervals."""

    row: str
    seeds: tuple[int, ...]
    steps: tuple[int, int]
    score: Score
    deviation: float | None  # standard deviation of the means of the seeds
    differences: Mapping[str, Score]  # to other rows
    actions: Mapping[str, float]


def summarize(found: Sequence[Scores], metric: str = "mpjpe_mm") -> list[Line]:
    """Summarize the finished trials in a table.

    Intervals are 95 % bootstrap intervals over windows and seeds, which are resampled together.
    Differences are computed per window between trials of the same seed, for seeds that both rows
    have.

    Args:
        found: Scores of trials.
        metric: One of `open_benchmark.METRICS`.

    Raises:
        UserError: If the metric does not exist, trials have other windows or recipes, or the seeds
            of a row have other steps.
    """
    check_metric(metric)
    tables: dict[str, dict[int, Array]] = {}
    steps: dict[str, list[int]] = {}
    for scores in found:
        same = [scores.get(key) == found[0].get(key) for key in ("split", "corpora", "recipes")]
        if scores["steps"] != steps.setdefault(scores["row"], scores["steps"]) or not all(same):
            raise UserError(
                f"{scores['row']}, seed {scores['seed']} has other steps, recipes, corpora or "
                "another split than the rest: use an --out-dir for each"
            )
        if list(scores["windows"]) != list(found[0]["windows"]):
            raise UserError(
                f"{scores['row']}, seed {scores['seed']} was scored on other windows than the rest:"
                " give all trials the same corpora and split"
            )
        values = np.array([errors[metric] for errors in scores["windows"].values()])
        tables.setdefault(scores["row"], {})[scores["seed"]] = values
    lines = []
    for row, by_seed in tables.items():
        values = np.stack(list(by_seed.values()))
        own = [scores for scores in found if scores["row"] == row]
        differences = {}
        for other in REFERENCES:
            both = sorted(by_seed.keys() & tables.get(other, {}).keys())
            if other != row and both:
                pairs = np.stack([by_seed[seed] - tables[other][seed] for seed in both])
                differences[other] = bootstrap(pairs)
        actions = [scores["actions"] for scores in own if "actions" in scores]
        terms = actions[0] if actions else ()
        lines.append(
            Line(
                row=row,
                seeds=tuple(by_seed),
                steps=(steps[row][0], steps[row][1]),
                score=bootstrap(values),
                deviation=float(values.mean(axis=1).std(ddof=1)) if len(values) > 1 else None,
                differences=differences,
                actions={
                    term: float(np.mean([a[term] for a in actions if term in a])) for term in terms
                },
            )
        )
    return lines


def markdown(lines: Sequence[Line], metric: str = "mpjpe_mm") -> str:
    """Format the lines as a Markdown table."""
    terms = ("top1", "per_class", "top1_unseen", "knn_top1", "chance", "frames", "f1_50")
    shown = [term for term in terms if any(term in line.actions for line in lines)]
    head = ["row", "steps", "seeds", metric, "sd of seeds"]
    head += [f"minus {name}" for name in REFERENCES] + shown
    rows = [head, ["---"] * len(head)]
    for line in lines:
        cells = [ROWS[line.row].title, f"{line.steps[0]} + {line.steps[1]}", str(len(line.seeds))]
        cells += [str(line.score), "" if line.deviation is None else f"{line.deviation:.2f}"]
        for name in REFERENCES:
            cells.append(f"{line.differences[name]:+}" if name in line.differences else "")
        cells += [f"{line.actions[term]:.1f}" if term in line.actions else "" for term in shown]
        rows.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
