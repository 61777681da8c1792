"""The comparison of backbones: equal budgets, what is measured once, and the table by hand."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import yaml
from helpers.command_line import call

from actionpose import config
from actionpose.config import FinetuneConfig, PretrainConfig
from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.open_benchmark import METRICS
from actionpose.experiments import backbones
from actionpose.experiments.backbones import costs, markdown, plan_trials, read_all, run_trial
from actionpose.training import validation
from actionpose.utils.errors import UserError
from actionpose.utils.yaml_config import to_dict

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipes(tmp_path: Path, tiny_pretraining: PretrainConfig, tiny_config: FinetuneConfig) -> Path:
    """Of DSTformer and MixSTE, tiny."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    first = replace(tiny_pretraining, model=replace(tiny_pretraining.model, max_frames=9))
    second = replace(tiny_config, model=first.model)
    stages = [
        {"name": name, "command": command}
        | {k: v for k, v in to_dict(stage).items() if k != "init"}
        for name, command, stage in (("text", "pretrain", first), ("lift", "finetune", second))
    ]
    for stage in stages:
        stage["model"].pop("backbone")
    (folder / "base.yaml").write_text(yaml.safe_dump({"stages": stages}))
    for name in ("dstformer", "mixste"):
        (folder / f"{name}.yaml").write_text(f"base: base.yaml\nmodel: {{backbone: {name}}}\n")
    return folder


def plan(recipes: Path, *names: str, minutes: float = 1.0) -> list[backbones.Trial]:
    out = recipes.parent / "out"
    return plan_trials(out, recipes, names=names, seeds=(0,), minutes=minutes)


def test_recipes_of_all_backbones_take_the_base(tmp_path: Path) -> None:
    trials = plan_trials(tmp_path, ROOT / "recipes" / "zoo", names=(), seeds=(0,), minutes=1)
    assert {trial.backbone for trial in trials} == {*get_args(config.Backbone)}
    assert [trial.backbone for trial in trials[:2]] == ["dstformer"] * 2
    plain = replace(config.ModelConfig())
    seen = set()
    for alone, pretrained in zip(trials[::2], trials[1::2], strict=True):
        (lifting,), (first, second) = alone.configs, pretrained.configs
        assert first.model == second.model and first.model.class_token
        assert lifting == replace(second, init=None, model=replace(second.model, class_token=False))
        seen.add(str([replace(c, model=plain, init=None) for c in (first, second, lifting)]))
    assert len(seen) == 1


def test_plan_trials_refuses_what_it_cannot_compare(recipes: Path) -> None:
    with pytest.raises(UserError, match="there is no recipe 'x'; there are dstformer, mixste"):
        plan(recipes, "x")
    with pytest.raises(UserError, match="minutes above 0"):
        plan(recipes, minutes=0)
    with pytest.raises(UserError, match="has no recipe dstformer"):
        plan(recipes.parent)
    (recipes / "mixste.yaml").write_text("base: base.yaml\nstages: 3\n")
    with pytest.raises(UserError, match="stages must be a list"):
        plan(recipes)


def test_run_trial_spends_the_minutes_and_resumes(
    recipes: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With steps of 10 s, a minute is 6 of one training or 3 of each of two."""
    monkeypatch.setattr(backbones, "seconds_per_step", lambda config, folder: 10.0)
    monkeypatch.setattr(validation, "VAL_STEPS", 1)
    monkeypatch.setattr(validation, "VAL_BATCH", 4)
    out = recipes.parent / "out"
    trials = plan(recipes, "mixste")
    for trial in trials:
        run_trial(trial, [corpus], quiet=True)
    found = {scores["condition"]: scores for scores in read_all(out, 1.0)}
    assert {name: scores["steps"] for name, scores in found.items()} == {
        "alone": [6],
        "pretrained": [3, 3],
    }
    assert found["alone"]["windows"].keys() == {"val"}  # the corpus has nothing unusual
    assert all(scores["cpu_minutes"] > 0 for scores in found.values())
    one, other = (scores["windows"]["val"] for scores in found.values())
    assert one.keys() == other.keys() and one != other
    for number, count in ((1, 3), (2, 3)):
        assert (trials[1].folder / str(number) / "checkpoints" / f"{count:07d}").is_dir()
    monkeypatch.setattr(backbones, "_train", None)  # what is done is not trained again
    for trial in trials:
        run_trial(trial, [corpus], quiet=True)
    with pytest.raises(UserError, match="is of 1.0 minutes, not 2"):
        read_all(out, 2.0)
    (trials[0].folder / "scores.json").unlink()
    with pytest.raises(UserError, match="was begun for 1 minutes"):
        run_trial(replace(trials[0], minutes=2.0), [corpus], quiet=True)


def test_seconds_per_step_are_those_of_the_log(
    recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a training whose first steps are slow."""
    trained: list[float] = []

    def train(config: Any, folder: Path, quiet: bool) -> SimpleNamespace:
        folder.mkdir(parents=True)
        per_epoch = backbones.finetune.clips_per_epoch(config) // config.training.batch_size
        trained.append(config.training.epochs * per_epoch)
        times = [*(20.0 * i for i in range(5)), *(100.0 + 2 * i for i in range(35))]
        rows = [{"step": i + 1, "cpu_s": time} for i, time in enumerate(times)]
        lines = [json.dumps(row) for row in (*rows, {"step": 40, "val_mpjpe_mm": 1.0})]
        (folder / "log.jsonl").write_text("\n".join(lines))
        return SimpleNamespace(status=status)

    status = "finished"
    monkeypatch.setattr(backbones, "_train", train)
    (config,) = plan(recipes, "mixste")[0].configs
    assert backbones.seconds_per_step(config, recipes.parent / "probe") == pytest.approx(2.0)
    assert trained == pytest.approx([40]) and not (recipes.parent / "probe").exists()
    status = "interrupted"
    with pytest.raises(KeyboardInterrupt):
        backbones.seconds_per_step(config, recipes.parent / "probe")
    assert not (recipes.parent / "probe").exists()


def test_costs_are_counted_and_measured_once(
    recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, trials = recipes.parent / "out", plan(recipes)
    monkeypatch.setattr(backbones, "ROUNDS", 1)
    with pytest.raises(UserError, match="measure dstformer first"):
        costs(out, plan(recipes, "mixste"))
    found = costs(out, trials)
    dim, depth, joints, frames = 16, 2, 17, 9
    # MixSTE: keypoints to tokens; per depth two of qkv, projection and MLP, and attention; the head
    blocks = depth * (2 * (4 + 4) * dim**2 + 2 * dim * (joints + frames))
    assert found["mixste"]["macs_per_frame"] == joints * (2 * dim + blocks + 3 * dim)
    assert found["dstformer"]["ratio"] == 1.0
    assert all(row["frames_per_s"] > 0 for row in found.values())
    assert costs(out, trials) == found
    stored = json.loads((out / "costs.json").read_text())
    assert {name: row.keys() - {"model"} for name, row in stored.items()} == {
        name: row.keys() for name, row in found.items()
    }


def test_costs_belong_to_a_model(recipes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New networks are added to what is measured; a changed one is measured again."""
    measured: list[tuple[str, ...]] = []

    def measure(settings: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
        measured.append(tuple(settings))
        return {name: {"parameters": float(own["depth"])} for name, own in settings.items()}

    monkeypatch.setattr(backbones, "_measured", measure)
    (recipes / "stcformer.yaml").write_text("base: base.yaml\nmodel: {backbone: stcformer}\n")
    out = recipes.parent / "out"
    costs(out, plan(recipes, "dstformer", "mixste"))
    found = costs(out, plan(recipes, "stcformer"))
    assert found.keys() == {"dstformer", "mixste", "stcformer"}
    assert costs(out, plan(recipes)) == found
    assert measured == [("dstformer", "mixste"), ("dstformer", "stcformer")]
    base = recipes / "base.yaml"
    base.write_text(base.read_text().replace("depth: 2", "depth: 1"))
    assert costs(out, plan(recipes, "mixste"))["mixste"] == {"parameters": 1.0}
    assert measured[2:] == [("dstformer", "mixste")]
    # every ratio is to DSTformer
    assert costs(out, plan(recipes, "dstformer")).keys() == {"dstformer"}
    assert measured[3:] == [("dstformer",)]


def fake(condition: str, errors: list[float], split: str = "val") -> dict[str, Any]:
    table = {f"w{i}": dict.fromkeys(METRICS, e) | {"p_mpjpe_mm": 1.0} for i, e in enumerate(errors)}
    steps = [6] if condition == "alone" else [3, 2]
    about = {"backbone": "mixste", "condition": condition, "seed": 0, "steps": steps}
    about |= {"cpu_minutes": 2.04}
    return about | {"windows": {split: table}}


def test_table_has_the_difference_window_by_window() -> None:
    cost = {"mixste": {"parameters": 3e5, "macs_per_frame": 5e6, "frames_per_s": 9.6, "ratio": 1.5}}
    found = [fake("alone", [50.0, 70.0, 90.0]), fake("pretrained", [48.0, 68.0, 88.0])]
    row = markdown(cost, found).splitlines()[2]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:5] == ["mixste", "0.30 M", "5.0", "10", "1.50"]
    assert cells[5:7] == ["6; 3 + 2", "2.0; 2.0"]
    del cells[5:7]
    assert cells[5:8] == ["70.0 / 1.0", "68.0 / 1.0", "-2.0 [-2.0, -2.0]"]
    assert cells[8:] == ["", "", ""]


def test_benchmark_zoo_prints_what_is_done(
    recipes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(backbones, "ROUNDS", 1)
    command = ("benchmark", "zoo", "--recipes", recipes, "--out-dir", recipes.parent / "out")
    assert call(monkeypatch, *command, "--costs-only") == 0
    assert "| mixste |" in capsys.readouterr().out
    assert call(monkeypatch, *command, "--table-only") == 0
    assert "| mixste |" in capsys.readouterr().out
    assert call(monkeypatch, *command, "--names", "nothing") == 2
    assert "there is no recipe 'nothing'" in capsys.readouterr().err
