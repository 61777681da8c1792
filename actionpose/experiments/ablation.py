"""The ablation on open data: what masks and alignment give, with equal budgets and intervals.

Every row of the ablation and every seed is a job: stage one as the row says, stage two, which is
the same for all, and the scores of the open benchmark. Jobs lie in one folder and go on where they
stopped; the table is made of those that are done. A budget is a number of steps, so that neither
the machine nor its other work changes it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.config import FinetuneConfig, PretrainConfig, to_dict
from actionpose.datasets.corpus import Corpus, open_corpus
from actionpose.datasets.lifting import Batches
from actionpose.datasets.motion_text import TextBatches
from actionpose.evaluation import recognition, segmentation
from actionpose.evaluation.open_benchmark import METRICS, evaluate_open, model_predict
from actionpose.inference.predictor import ActionPose
from actionpose.metrics.bootstrap import Score, bootstrap
from actionpose.training.finetune import finetune
from actionpose.training.pretrain import pretrain
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write

Array = NDArray[np.floating]
Scores = dict[str, Any]

SCORES = "scores.json"


@dataclass(frozen=True)
class Row:
    """A row of the ablation.

    Args:
        stage_one: whether there is one.
        masks: of stage one: the random kind for all clips, or the recipe's mixture with masked
            body parts and windows.
        aligned: with text.
        shuffled: every span has the text of another: what alignment gives without the meaning.
        long: stage two has the budget of both stages.
    """

    text: str
    stage_one: bool = True
    masks: bool = False
    aligned: bool = False
    shuffled: bool = False
    long: bool = False


ROWS: dict[str, Row] = {
    "alone": Row("stage two alone", stage_one=False),
    "alone_long": Row("stage two alone, for the steps of both", stage_one=False, long=True),
    "baseline": Row("joint and frame masks, noise, no text"),
    "mmm": Row("+ masked parts and windows", masks=True),
    "map": Row("+ alignment with text", aligned=True),
    "mmm_map": Row("+ both", masks=True, aligned=True),
    "shuffled": Row("+ both, texts shuffled", masks=True, aligned=True, shuffled=True),
}
REFERENCES = ("alone_long", "baseline", "shuffled")  # that differences are taken to


@dataclass(frozen=True)
class Job:
    """One row with one seed."""

    row: str
    seed: int
    folder: Path
    stage_one: PretrainConfig | None
    stage_two: FinetuneConfig
    steps: tuple[int, int]  # of the stages

    @property
    def name(self) -> str:
        return f"{self.row}, seed {self.seed}"

    @property
    def done(self) -> bool:
        return (self.folder / SCORES).is_file()


def plan(
    folder: Path,
    stage_one: PretrainConfig,
    stage_two: FinetuneConfig,
    *,
    rows: Sequence[str],
    seeds: Sequence[int],
    steps: tuple[int, int],
) -> list[Job]:
    """The jobs, seed by seed, so that an early stop leaves whole comparisons.

    Raises:
        UserError: a row that is not known, no seed, or no step.
    """
    if unknown := [row for row in rows if row not in ROWS]:
        raise UserError(f"there is no row {unknown[0]!r}; there are {', '.join(ROWS)}")
    if not rows or not seeds or min(steps) < 1:
        raise UserError("name at least one row and one seed, and 1 step or more of each stage")
    per_epoch = (_steps_per_epoch_one(stage_one), _steps_per_epoch_two(stage_two))
    return [
        _job(folder, row, seed, stage_one, stage_two, steps, per_epoch)
        for seed in seeds
        for row in rows
    ]


def _job(
    folder: Path,
    name: str,
    seed: int,
    one: PretrainConfig,
    two: FinetuneConfig,
    steps: tuple[int, int],
    per_epoch: tuple[int, int],
) -> Job:
    row = ROWS[name]
    place = folder / name / f"seed_{seed}"
    own_steps = (steps[0] if row.stage_one else 0, sum(steps) if row.long else steps[1])
    two = replace(
        two,
        init=place / "stage_one" if row.stage_one else two.init,
        training=replace(two.training, seed=seed, epochs=own_steps[1] / per_epoch[1]),
    )
    if not row.stage_one:
        return Job(name, seed, place, None, two, own_steps)
    masks = one.data.masks
    if not row.masks:
        masks = replace(masks, random=1.0, part=0.0, window=0.0)
    one = replace(
        one,
        data=replace(one.data, masks=masks, shuffle_texts=row.shuffled),
        alignment_weight=one.alignment_weight if row.aligned else 0.0,
        training=replace(one.training, seed=seed, epochs=own_steps[0] / per_epoch[0]),
    )
    if row.masks and masks.part + masks.window == 0:
        raise UserError("the recipe of stage one has no masked parts or windows to ablate")
    if row.aligned and not one.alignment_weight:
        raise UserError("the recipe of stage one has alignment_weight 0: nothing to ablate")
    return Job(name, seed, place, one, two, own_steps)


def _steps_per_epoch_one(config: PretrainConfig) -> int:
    corpora = [(open_corpus(folder), weight) for folder, weight in config.data.corpora.items()]
    size = config.training.batch_size
    batches = TextBatches(
        corpora, config.data, batch_size=size, seed=0, negatives=0, need_texts=False
    )
    return max(1, len(batches.spans) // size)


def _steps_per_epoch_two(config: FinetuneConfig) -> int:
    corpora = [(open_corpus(folder), weight) for folder, weight in config.data.corpora.items()]
    size = config.training.batch_size
    return max(1, Batches(corpora, config.data, batch_size=size, seed=0).windows // size)


def run(job: Job, corpora: Sequence[Corpus], split: str, *, quiet: bool = False) -> Scores:
    """Train and score a job, or go on with it.

    Returns:
        What is stored in its folder as `scores.json`.

    Raises:
        KeyboardInterrupt: a training was asked to stop; it is saved.
        UserError: see `pretrain`, `finetune` and `evaluate_open`.
    """
    if job.done:
        return read_scores(job.folder / SCORES)
    if job.stage_one is not None:
        _finish(pretrain(job.stage_one, job.folder / "stage_one", quiet=quiet))
    _finish(finetune(job.stage_two, job.folder / "stage_two", quiet=quiet))
    scores: Scores = {"row": job.row, "seed": job.seed, "steps": list(job.steps)}
    scores |= {"split": split, "corpora": [corpus.name for corpus in corpora]}
    scores["windows"] = lifting_errors(job.folder / "stage_two", corpora, split)
    if job.stage_one is not None and job.stage_one.alignment_weight:
        scores["actions"] = action_scores(job.folder / "stage_one", corpora, split)
    scores["stage_two"] = to_dict(job.stage_two)
    with atomic_write(job.folder / SCORES) as path:
        path.write_text(json.dumps(scores) + "\n", encoding="utf-8")
    return scores


def _finish(outcome: Any) -> None:
    if outcome.status != "finished":
        raise KeyboardInterrupt


def lifting_errors(
    checkpoint: Path, corpora: Sequence[Corpus], split: str
) -> dict[str, dict[str, float]]:
    """The errors of every window of the open benchmark, by its id."""
    model = ActionPose.from_pretrained(checkpoint)
    report = evaluate_open(model_predict(model), corpora, split)
    windows: dict[str, dict[str, float]] = report["windows"]
    return windows


def action_scores(checkpoint: Path, corpora: Sequence[Corpus], split: str) -> dict[str, float]:
    """Recognition and segmentation, the means alone."""
    model = ActionPose.from_pretrained(checkpoint)
    about = recognition.recognize(model, corpora, split)["scores"]
    about |= segmentation.segment(model, corpora, split)["scores"]
    return {name: float(getattr(value, "mean", value)) for name, value in about.items()}


def read_scores(path: Path) -> Scores:
    """The scores of a job.

    Raises:
        UserError: the file is damaged.
    """
    try:
        scores: Scores = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(scores["windows"], dict):
            raise ValueError("no windows")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: remove it, and the job is scored again") from error
    return scores


def read_all(folder: Path) -> list[Scores]:
    """The scores of all jobs in a folder that are done, rows in the order of `ROWS`."""
    found = [read_scores(path) for path in sorted(folder.glob(f"*/seed_*/{SCORES}"))]
    known = [scores for scores in found if scores["row"] in ROWS]
    return sorted(known, key=lambda scores: (list(ROWS).index(scores["row"]), scores["seed"]))


@dataclass(frozen=True)
class Line:
    """A line of the table: a row's mean and its difference to others, each with an interval."""

    row: str
    seeds: tuple[int, ...]
    steps: tuple[int, int]
    score: Score
    deviation: float | None  # of the means of the seeds
    differences: Mapping[str, Score]  # to other rows
    actions: Mapping[str, float]


def summarize(found: Sequence[Scores], metric: str = "mpjpe_mm") -> list[Line]:
    """The table of what is done.

    Intervals are 95 % bootstrap intervals over windows and seeds, drawn anew together. A difference
    is taken window by window between runs of the same seed; it counts the seeds that both have.

    Args:
        metric: one of `evaluate.METRICS`.

    Raises:
        UserError: no such metric, or jobs that were scored on other windows.
    """
    if metric not in METRICS:
        raise UserError(f"there is no metric {metric!r}; there are {', '.join(METRICS)}")
    tables: dict[str, dict[int, Array]] = {}
    windows: list[str] | None = None
    for scores in found:
        names = list(scores["windows"])
        if windows is not None and names != windows:
            raise UserError(
                f"{scores['row']}, seed {scores['seed']} was scored on other windows than the rest:"
                " give all jobs the same --data and --split"
            )
        windows = names
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
        about = [scores["actions"] for scores in own if "actions" in scores]
        terms = about[0].keys() if about else ()
        lines.append(
            Line(
                row=row,
                seeds=tuple(by_seed),
                steps=(own[0]["steps"][0], own[0]["steps"][1]),
                score=bootstrap(values),
                deviation=float(values.mean(axis=1).std(ddof=1)) if len(values) > 1 else None,
                differences=differences,
                actions={
                    term: float(np.mean([a[term] for a in about if term in a])) for term in terms
                },
            )
        )
    return lines


def table(lines: Sequence[Line], metric: str = "mpjpe_mm") -> str:
    """The lines as Markdown."""
    terms = ("top1", "per_class", "top1_unseen", "knn_top1", "chance", "frames", "f1_50")
    shown = [term for term in terms if any(term in line.actions for line in lines)]
    head = ["row", "steps", "seeds", metric, "sd of seeds"]
    head += [f"minus {name}" for name in REFERENCES] + list(shown)
    rows = [head, ["---"] * len(head)]
    for line in lines:
        cells = [ROWS[line.row].text, f"{line.steps[0]} + {line.steps[1]}", str(len(line.seeds))]
        cells += [str(line.score)]
        cells += ["" if line.deviation is None else f"{line.deviation:.2f}"]
        for name in REFERENCES:
            cells.append(f"{line.differences[name]:+}" if name in line.differences else "")
        cells += [f"{line.actions[term]:.1f}" if term in line.actions else "" for term in shown]
        rows.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def run_all(
    jobs: Sequence[Job],
    corpora: Sequence[Corpus],
    split: str,
    *,
    quiet: bool = False,
    report: Callable[[str], object] = lambda line: None,
) -> list[Scores]:
    """All jobs, one after another; those that are done are read."""
    found = []
    for job in jobs:
        report(f"{job.name}: {'done' if job.done else 'training'}")
        found.append(run(job, corpora, split, quiet=quiet))
    return found
