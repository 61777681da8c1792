"""The ablation: what its rows train, that it goes on where it stopped, and the table by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.command_line import call
from helpers.training_runs import changed

from actionpose.config import FinetuneConfig, PretrainConfig
from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.open_benchmark import METRICS
from actionpose.experiments import ablation
from actionpose.experiments.ablation import (
    ROWS,
    Trial,
    markdown,
    plan_trials,
    read_all,
    run_trial,
    summarize,
)
from actionpose.utils.errors import UserError
from actionpose.utils.yaml_config import to_dict


@pytest.fixture
def stages(
    tiny_pretraining: PretrainConfig, tiny_config: FinetuneConfig
) -> tuple[PretrainConfig, FinetuneConfig]:
    """Both of one model; clips of 27 frames, so that all of a window is seen."""
    data = replace(tiny_pretraining.data, frames=27)
    two = replace(tiny_config, model=tiny_pretraining.model)
    two = replace(two, data=replace(two.data, frames=27, stride=27, normalization="box"))
    return replace(tiny_pretraining, data=replace(data, normalization="box")), two


def trials(
    folder: Path,
    stages: tuple[PretrainConfig, FinetuneConfig],
    rows: tuple[str, ...] = tuple(ROWS),
    seeds: tuple[int, ...] = (0,),
    steps: tuple[int, int] = (3, 2),
) -> list[Trial]:
    return plan_trials(folder, *stages, rows=rows, seeds=seeds, steps=steps)


def test_plan_trials_varies_only_what_a_row_says(
    tmp_path: Path, stages: tuple[PretrainConfig, FinetuneConfig]
) -> None:
    made = {trial.row: trial for trial in trials(tmp_path, stages)}
    assert made["alone"].pretraining is None and made["alone"].finetuning.init is None
    assert made["alone"].steps == (0, 2) and made["alone_long"].steps == (0, 5)
    ones = {row: trial.pretraining for row, trial in made.items() if trial.pretraining}
    kinds = ("part", "window")
    masks = {row: tuple(one.data.masks.get(kind, 0) for kind in kinds) for row, one in ones.items()}
    assert masks["baseline"] == masks["map"] == (0, 0)
    assert masks["mmm"] == masks["mmm_map"] == masks["shuffled"] == (0.25, 0.25)
    aligned = {row for row, one in ones.items() if one.loss_weights["alignment"]}
    assert aligned == {"map", "mmm_map", "shuffled"}
    assert {row for row, one in ones.items() if one.data.shuffle_texts} == {"shuffled"}
    # and in nothing else
    plain = {
        row: replace(
            one,
            loss_weights={**one.loss_weights, "alignment": 0.0},
            data=replace(one.data, masks=stages[0].data.masks, shuffle_texts=False),
        )
        for row, one in ones.items()
    }
    assert all(one == plain["baseline"] for one in plain.values())
    for row in ones:
        assert made[row].finetuning.init == tmp_path / row / "seed_0" / "pretraining"
        assert made[row].steps == (3, 2)


def test_plan_trials_refuses_what_cannot_be_ablated(
    tmp_path: Path, stages: tuple[PretrainConfig, FinetuneConfig]
) -> None:
    with pytest.raises(UserError, match="no row 'b'"):
        trials(tmp_path, stages, rows=("mmm_map", "b"))
    with pytest.raises(UserError, match="one seed"):
        trials(tmp_path, stages, seeds=())
    silent = (replace(stages[0], loss_weights={"position": 1.0}), stages[1])
    with pytest.raises(UserError, match="no weight of alignment"):
        trials(tmp_path, silent, rows=("map",))


def test_run_trial_trains_scores_and_resumes(
    tmp_path: Path,
    stages: tuple[PretrainConfig, FinetuneConfig],
    corpus: Corpus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planned = trials(tmp_path, stages, rows=("alone_long", "mmm_map"))
    assert [trial.done for trial in planned] == [False, False]
    run_trial(planned[0], [corpus], "val", quiet=True)
    first = read_all(tmp_path, (3, 2))
    assert len(first) == 1 and first[0]["row"] == "alone_long" and "actions" not in first[0]
    for trial in planned:
        run_trial(trial, [corpus], "val", quiet=True)
    both = read_all(tmp_path, (3, 2))
    assert [scores["row"] for scores in both] == ["alone_long", "mmm_map"]
    assert both[0] == first[0]
    assert both[0]["windows"].keys() == both[1]["windows"].keys()
    assert {"top1", "frames", "f1_50"} <= both[1]["actions"].keys()
    for trial in planned:  # as many steps as planned
        (step,) = (trial.folder / "finetuning" / "checkpoints").iterdir()
        assert int(step.name) == trial.steps[1]
    # what is done is not trained again
    monkeypatch.setattr(ablation, "finetune", None)
    for trial in planned:
        run_trial(trial, [corpus], "val", quiet=True)
    # nor taken for a trial with other settings
    longer = trials(tmp_path, stages, rows=("mmm_map",), steps=(4, 2))[0]
    with pytest.raises(UserError, match=r"has steps \[3, 2\], not \[4, 2\]: give the same"):
        run_trial(longer, [corpus], "val", quiet=True)
    with pytest.raises(UserError, match="has split val, not train"):
        run_trial(planned[1], [corpus], "train", quiet=True)
    with pytest.raises(UserError, match=r"has corpora \['tiny'\], not \[\]"):
        run_trial(planned[1], [], "val", quiet=True)
    slower = changed(stages[1], learning_rate=1e-5)
    with pytest.raises(UserError, match="has other recipes"):
        run_trial(
            trials(tmp_path, (stages[0], slower), ("mmm_map",))[0], [corpus], "val", quiet=True
        )
    elsewhere = changed(stages[1], workers=2)  # which changes no weight
    run_trial(trials(tmp_path, (stages[0], elsewhere), ("mmm_map",))[0], [corpus], "val")


def fake(row: str, seed: int, values: np.ndarray, **actions: float) -> dict:
    """Scores as a job leaves them, with one metric's values by window."""
    windows = {f"w{i}": dict.fromkeys(METRICS, float(v)) for i, v in enumerate(values)}
    about = {"row": row, "seed": seed, "steps": [3, 2], "split": "val", "windows": windows}
    return about | ({"actions": actions} if actions else {})


def test_summarize_by_hand() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(60, 20, size=50)
    found = [fake("baseline", s, base + s) for s in range(3)]
    found += [
        fake("mmm_map", s, base + s - 2 + rng.normal(0, 0.5, 50), top1=50.0 + s) for s in (0, 1)
    ]
    lines = {line.row: line for line in summarize(found)}
    score = lines["baseline"].score
    assert score.mean == pytest.approx(base.mean() + 1)
    assert lines["baseline"].deviation == pytest.approx(1)
    assert score.low < score.mean < score.high and score.high - score.low > 5  # windows differ
    change = lines["mmm_map"].differences["baseline"]
    # pairs of the same window and seed: what differs between windows is not in the interval
    assert change.low < -2 < change.high and change.high - change.low < 0.6
    assert change.mean == pytest.approx(-2, abs=0.2)
    assert lines["mmm_map"].actions == {"top1": 50.5}
    text = markdown(list(lines.values()))
    assert len(text.splitlines()) == 4 and "top1" in text and "-2.0 [" in text
    widths = {line.count(" | ") for line in text.splitlines()}
    assert len(widths) == 1


def test_summarize_refuses_scores_of_other_windows() -> None:
    with pytest.raises(UserError, match="other windows"):
        summarize([fake("mmm_map", 0, np.ones(3)), fake("baseline", 0, np.ones(4))])
    with pytest.raises(UserError, match="no metric"):
        summarize([], "mpjpe")


def test_summarize_refuses_other_budgets_and_recipes() -> None:
    one, other = (fake("mmm_map", seed, np.ones(3)) for seed in (0, 1))
    for change in ({"steps": [500, 250]}, {"split": "test"}, {"recipes": {"finetuning": {}}}):
        with pytest.raises(UserError, match="mmm_map, seed 1 has other steps, recipes"):
            summarize([one, other | change])


def test_read_all_refuses_other_plans(tmp_path: Path) -> None:
    for row, steps in (("alone", [0, 2]), ("alone_long", [0, 5]), ("baseline", [3, 2])):
        folder = tmp_path / row / "seed_0"
        folder.mkdir(parents=True)
        scores = fake(row, 0, np.ones(3)) | {"steps": steps}
        (folder / "scores.json").write_text(json.dumps(scores))
    assert len(read_all(tmp_path, (3, 2), {"split": "val"})) == 3
    with pytest.raises(UserError, match=r"alone_long.*has steps \[0, 5\], not \[0, 6\]"):
        read_all(tmp_path, (4, 2))
    with pytest.raises(UserError, match="has split val, not test"):
        read_all(tmp_path, (3, 2), {"split": "test"})


def test_read_all_refuses_damaged_scores(tmp_path: Path) -> None:
    (tmp_path / "mmm_map" / "seed_0").mkdir(parents=True)
    (tmp_path / "mmm_map" / "seed_0" / "scores.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        read_all(tmp_path, (3, 2))


def test_benchmark_open_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stages: tuple[PretrainConfig, FinetuneConfig],
    tmp_path: Path,
) -> None:
    for name, config in zip(("one", "two"), stages, strict=True):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(to_dict(config)))
    base = ["--out-dir", tmp_path / "out", "--pretraining", tmp_path / "one.yaml"]
    base += ["--finetuning", tmp_path / "two.yaml", "--seeds", "0", "1", "--steps", "3", "2"]
    assert call(monkeypatch, "benchmark", "open", *base, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "14 trials" in shown and "mmm_map, seed 1" in shown and not (tmp_path / "out").exists()
    for seed in (0, 1):
        folder = tmp_path / "out" / "baseline" / f"seed_{seed}"
        folder.mkdir(parents=True)
        (folder / "scores.json").write_text(json.dumps(fake("baseline", seed, np.ones(3))))
    assert call(monkeypatch, "benchmark", "open", *base, "--table-only") == 0
    assert "1.0 [1.0, 1.0]" in capsys.readouterr().out
    assert call(monkeypatch, "benchmark", "open", *base, "--rows", "all") == 2
    assert "no row 'all'" in capsys.readouterr().err
    # what is there was made with other settings: told before a training
    data = ["--data", next(iter(stages[1].data.corpora))]
    monkeypatch.setattr(ablation, "pretrain", None)
    for arguments, message in (
        (["--dry-run"], "has other recipes"),
        (data, "has other recipes"),
        (["--table-only", "--steps", "3", "1"], "has steps [3, 2], not [3, 1]"),
        ([*data, "--metric", "mpjpe"], "there is no metric 'mpjpe'"),
        ([*data, "--split", "vall"], "has no motion in the split 'vall'"),
    ):
        assert call(monkeypatch, "benchmark", "open", *base, *arguments) == 2
        assert message in capsys.readouterr().err
