"""Commands that compare training runs: `actionpose benchmark open` and `benchmark zoo`."""

from pathlib import Path
from typing import Any

from tyro.conf import UseAppendAction

from actionpose.cli.options import Quiet


def open_ablation(
    out_dir: Path = Path("runs/benchmark_open"),
    pretraining: Path = Path("recipes/open_pretrain_mmm_map.yaml"),
    finetuning: Path = Path("recipes/open_finetune.yaml"),
    rows: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (0, 1, 2),
    steps: tuple[int, int] = (3000, 1500),
    data: UseAppendAction[tuple[Path, ...]] = (),
    split: str = "val",
    metric: str = "mpjpe_mm",
    dry_run: bool = False,
    table_only: bool = False,
    quiet: Quiet = False,
) -> None:
    """Run the ablation on open data: train and evaluate each row, or resume an earlier run.

    Args:
        out_dir: Folder of the runs.
        pretraining: Recipe of `actionpose pretrain` with all components enabled.
        finetuning: Recipe of `actionpose finetune`, which starts from the pretraining of the row.
        rows: Rows of the ablation to run. By default all.
        seeds: Seeds; every row is trained once with each.
        steps: Training steps of pretraining and of fine-tuning, the same for all runs of a folder.
        data: Folder of a corpus to evaluate on. May be repeated. By default data/open/cmu and
            data/open/hdm05.
        split: Split of the corpora to evaluate on.
        metric: Metric that the table shows.
        dry_run: Only print the plan.
        table_only: Only print the table of the finished runs.
    """
    from actionpose.config import FinetuneConfig, PretrainConfig
    from actionpose.datasets.corpus import open_corpus
    from actionpose.experiments.ablation import (
        ROWS,
        check_metric,
        markdown,
        plan_trials,
        read_all,
        recipes_of,
        run_trial,
        summarize,
    )
    from actionpose.utils.errors import UserError
    from actionpose.utils.files import atomic_write
    from actionpose.utils.yaml_config import load_recipe

    check_metric(metric)
    planned: dict[str, Any] = {"split": split}
    if not table_only:
        recipes = load_recipe(PretrainConfig, pretraining), load_recipe(FinetuneConfig, finetuning)
        trials = plan_trials(out_dir, *recipes, rows=rows or tuple(ROWS), seeds=seeds, steps=steps)
        planned["recipes"] = recipes_of(*recipes)
        if dry_run:
            read_all(out_dir, steps, planned)
            for trial in trials:
                state = "done" if trial.done else "to do"
                print(f"{state:6} {trial.name:24} {trial.steps[0]:6} + {trial.steps[1]:6} steps")
            total = sum(sum(trial.steps) for trial in trials if not trial.done)
            print(f"{len(trials)} trials, {total} steps to do")
            return
        folders = data or (Path("data/open/cmu"), Path("data/open/hdm05"))
        corpora = [open_corpus(folder) for folder in folders]
        for corpus in corpora:
            if not corpus.motions(split):
                raise UserError(f"{corpus.folder} has no motion in the split {split!r}")
        planned["corpora"] = [corpus.name for corpus in corpora]
        read_all(out_dir, steps, planned)
        for trial in trials:
            print(f"{trial.name}: {'done' if trial.done else 'training'}")
            run_trial(trial, corpora, split, quiet=quiet)
    text = markdown(summarize(read_all(out_dir, steps, planned), metric), metric)
    print(text)
    if not table_only:
        with atomic_write(out_dir / "table.md") as path:
            path.write_text(text + "\n", encoding="utf-8")
        print(f"wrote   {out_dir / 'table.md'}")


def backbones(
    out_dir: Path = Path("runs/zoo"),
    minutes: float = 30.0,
    recipes: Path = Path("recipes/zoo"),
    names: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (0,),
    data: UseAppendAction[tuple[Path, ...]] = (),
    costs_only: bool = False,
    table_only: bool = False,
    quiet: Quiet = False,
) -> None:
    """Compare backbones trained with equal CPU time, with and without action pretraining.

    The same command resumes an interrupted benchmark; finished measurements are not repeated.

    Args:
        out_dir: Folder of the runs.
        minutes: CPU minutes of training per network. Pretraining takes half of them.
        recipes: Folder with a recipe of two stages for each backbone.
        names: Backbones to compare. By default all, dstformer first.
        seeds: Seeds; every network is trained once with each.
        data: Folder of a corpus to evaluate on. May be repeated. By default data/open/cmu and
            data/open/hdm05.
        costs_only: Only measure and print parameters, multiply-adds and speed.
        table_only: Only print the table of the finished runs.
    """
    from actionpose.datasets.corpus import open_corpus
    from actionpose.experiments.backbones import costs, markdown, plan_trials, read_all, run_trial
    from actionpose.utils.files import atomic_write

    trials = plan_trials(out_dir, recipes, names=names, seeds=seeds, minutes=minutes)
    if not table_only and not costs_only:
        folders = data or (Path("data/open/cmu"), Path("data/open/hdm05"))
        corpora = [open_corpus(folder) for folder in folders]
        costs(out_dir, trials)
        for trial in trials:
            print(f"{trial.name}: {'done' if trial.done else 'training'}", flush=True)
            run_trial(trial, corpora, quiet=quiet)
    text = markdown(costs(out_dir, trials), read_all(out_dir, minutes))
    print(text)
    if not table_only:
        with atomic_write(out_dir / "table.md") as path:
            path.write_text(text + "\n", encoding="utf-8")
        print(f"wrote   {out_dir / 'table.md'}")
