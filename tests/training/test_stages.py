"""Recipes with stages: what they may state, and that a stopped training resumes where it was."""

import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.command_line import PATIENCE_S, call, start_python
from helpers.training_runs import assert_same_end

from actionpose import checkpoint, model_hub
from actionpose.config import FinetuneConfig, PretrainConfig
from actionpose.datasets.corpus import Corpus
from actionpose.training import stages
from actionpose.utils.errors import UserError

Recipe = dict[str, Any]


@pytest.fixture
def recipe(corpus: Corpus, small_bert: Path, short_validation: None) -> Recipe:
    """Lifting in eleven steps, then alignment with text in three, then in three more."""
    return {
        "model": {"dim": 16, "depth": 2, "num_heads": 2, "dim_rep": 16, "max_frames": 27}
        | {"middle_layer": 1, "embedding_dim": 8},
        "training": {"batch_size": 4, "device": "cpu"},
        "data": {"corpora": {str(corpus.folder): 1.0}, "frames": 9},
        "stages": [
            {
                "name": "lifting",
                "command": "finetune",
                "expected_minutes": 0.5,
                "model": {"class_token": False},
                "data": {"stride": 9},
                "training": {"epochs": 1},
            },
            {
                "name": "text",
                "command": "pretrain",
                "expected_minutes": 2,
                "expected_score": {"val_mpjpe_mm": 300, "mpjpe_mm": 40.5},
                "text": {"source": str(small_bert), "pooling": "mean"},
                "data": {
                    "label_kinds": ["action", "transition", "sequence"],
                    "window_mask": [2, 4],
                    "masks": {"window": 1},
                },
                "alignment": {"negatives": 3},
                "training": {"epochs": 1},
            },
            {
                "name": "long",
                "command": "pretrain",
                "based_on": "text",
                "data": {"frames": 12, "masks": {"random": 1}},
            },
        ],
    }


def write(recipe: Any, path: Path) -> Path:
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def changed(recipe: Recipe, stage: int, **training: float) -> Recipe:
    """The recipe with other `training` settings of one stage."""
    listed = [dict(values) for values in recipe["stages"]]
    listed[stage]["training"] = listed[stage].get("training", {}) | training
    return {**recipe, "stages": listed}


def test_stages_merge_the_settings_they_are_based_on(recipe: Recipe, tmp_path: Path) -> None:
    recipe["stages"][2]["data"]["corpora"] = {"elsewhere": 2.0}
    lifting, text, long = stages.read_stages(write(recipe, tmp_path / "r.yaml"), tmp_path / "run")
    assert isinstance(lifting.config, FinetuneConfig) and isinstance(text.config, PretrainConfig)
    assert [stage.folder.name for stage in (lifting, text, long)] == [
        "1-lifting",
        "2-text",
        "3-long",
    ]
    assert not lifting.config.model.class_token and text.config.model.class_token
    assert lifting.config.training.batch_size == text.config.training.batch_size == 4
    assert lifting.config.init is None and text.config.init == tmp_path / "run" / "1-lifting"
    assert long.config.init == tmp_path / "run" / "2-text"
    assert isinstance(long.config, PretrainConfig)
    assert long.config.data.corpora == {"elsewhere": 2.0} and long.config.data.frames == 12
    assert long.config.data.window_mask == (2, 4) and long.config.data.masks == {"random": 1}
    assert long.config.alignment == text.config.alignment


def test_train_resumes_in_every_stage_as_if_uninterrupted(recipe: Recipe, tmp_path: Path) -> None:
    path = write(recipe, tmp_path / "whole.yaml")
    outcome = stages.train(path, tmp_path / "whole", quiet=True)
    assert outcome.status == "finished"
    run = tmp_path / "parts"
    for stopped, folder in enumerate(("1-lifting", "2-text", "3-long")):
        part = write(changed(recipe, stopped, max_minutes=0.0), tmp_path / "part.yaml")
        outcome = stages.train(part, run, quiet=True)
        assert (outcome.step, outcome.status) == (1, "out of time")
        assert outcome.checkpoint.parents[1] == run / folder
        assert len(list(run.iterdir())) == stopped + 1
    ended = (run / "1-lifting" / "report.json").stat().st_mtime_ns
    lines: list[str] = []
    outcome = stages.train(path, run, quiet=True, report=lines.append)
    assert outcome.status == "finished" and outcome.checkpoint == model_hub.find(run)
    assert (run / "1-lifting" / "report.json").stat().st_mtime_ns == ended, "trained again"
    assert lines[:2] == ["stage 1 of 3, 1-lifting: finished", "stage 2 of 3, 2-text: finished"]
    for folder in ("1-lifting", "2-text", "3-long"):
        assert_same_end(tmp_path / "whole" / folder, run / folder)
    # once more: there is nothing left to do, in whatever folder it lies by now
    run.rename(tmp_path / "moved")
    again = stages.train(path, tmp_path / "moved", quiet=True)
    assert (again.step, again.status) == (outcome.step, "finished")
    assert_same_end(tmp_path / "whole" / "3-long", tmp_path / "moved" / "3-long")


def test_train_starts_a_stage_from_the_one_before(recipe: Recipe, tmp_path: Path) -> None:
    path = write(changed(recipe, 1, learning_rate=0.0), tmp_path / "r.yaml")
    lines: list[str] = []
    stages.train(path, tmp_path / "run", quiet=True, report=lines.append)
    lifting, text = (
        checkpoint.load(model_hub.find(tmp_path / "run" / folder))[0]
        for folder in ("1-lifting", "2-text")
    )
    assert all((text[name] == value).all() for name, value in lifting.items())
    assert "val_mpjpe_mm" in lines[3] and "(expected 300)" in lines[3]
    assert "40.5" not in lines[3], "training does not measure it"


def test_train_stops_on_ctrl_c_and_resumes(recipe: Recipe, tmp_path: Path) -> None:
    path = write(changed(recipe, 1, epochs=2000), tmp_path / "r.yaml")
    process = start_python(
        *("-m", "actionpose", "train", path, "--run", "run", "--quiet"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        log, deadline = tmp_path / "run" / "2-text" / "log.jsonl", time.monotonic() + PATIENCE_S
        while not (log.exists() and log.read_text().count("\n") >= 3):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and errors.strip().endswith("actionpose: interrupted")
    assert "stage 1 of 3, 1-lifting: finished at step 11" in output
    assert "stage 2 of 3, 2-text: interrupted at step" in output
    step = int(model_hub.find(tmp_path / "run").name)
    more = write(changed(recipe, 1, epochs=2000, max_minutes=0.0), tmp_path / "more.yaml")
    outcome = stages.train(more, tmp_path / "run", quiet=True)
    assert (outcome.step, outcome.status) == (step + 1, "out of time")


def test_train_refuses_another_recipe_in_the_same_folder(recipe: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    stages.train(write(changed(recipe, 0, max_minutes=0.0), tmp_path / "r.yaml"), run, quiet=True)
    other = write(changed(recipe, 0, learning_rate=1e-3), tmp_path / "other.yaml")
    with pytest.raises(UserError, match=r"1-lifting was made with another .*learning_rate"):
        stages.train(other, run, quiet=True)
    recipe["stages"][0]["name"] = "poses"
    with pytest.raises(UserError, match="has 1-lifting, which is no stage of .*renamed.yaml"):
        stages.train(write(recipe, tmp_path / "renamed.yaml"), run, quiet=True)
    with pytest.raises(UserError, match="has checkpoints, which is no stage of"):
        stages.train(tmp_path / "renamed.yaml", run / "1-lifting", quiet=True)


def bad(stage: int = 1, **changes: Any) -> Any:
    def change(recipe: Recipe) -> Recipe:
        recipe["stages"][stage] = recipe["stages"][stage] | changes
        return recipe

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda recipe: [1], "has no list of stages: .*actionpose pretrain"),
        (lambda recipe: {}, "has no list of stages"),
        (lambda recipe: {"stages": []}, "has no list of stages"),
        (lambda recipe: {"stages": {"a": {}}}, "has no list of stages"),
        (lambda recipe: {"stages": ["a"]}, "stage 1 is not a mapping of settings"),
        (lambda recipe: {**recipe, "modle": {}}, r"stage 1 \(lifting\).*modle.*model"),
        (bad(name=""), "stage 2: name must be of a-z"),
        (bad(name="../x"), "stage 2: name must be of a-z"),
        (bad(name="lifting"), "stage 2: name must be .*not that of another stage"),
        (bad(command="tune"), "stage 2: command must be pretrain or finetune, not 'tune'"),
        (bad(based_on="lifting"), "stage 2: based_on must name an earlier stage with the command"),
        (bad(based_on="long"), "stage 2: based_on must name an earlier stage with the command"),
        (bad(init="tiny"), "stage 2: only the first stage has init"),
        (bad(expected_minutes="long"), "stage 2.*expected_minutes"),
        (bad(training={"epoch": 3}), r"stage 2 \(text\).*epoch.*epochs"),
        (bad(0, text={"pooling": "mean"}), r"stage 1 \(lifting\).*text"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_train_refuses_bad_recipes_in_one_sentence(
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Any,
    message: str,
    options: tuple[str, ...],
) -> None:
    path = write(change(recipe), tmp_path / "r.yaml")
    assert call(monkeypatch, "train", path, "--run", tmp_path / "run", *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("actionpose: ") and error.count("\n") == 1
    with pytest.raises(UserError, match=message):
        stages.read_stages(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_recipe_takes_what_it_lacks_from_its_base(recipe: Recipe, tmp_path: Path) -> None:
    write(recipe, tmp_path / "base.yaml")
    write({"stages": 3}, tmp_path / "no_stages.yaml")
    own = write({"base": "base.yaml", "model": {"dim": 32}}, tmp_path / "own.yaml")
    model = {**recipe["model"], "dim": 32}
    whole = write({**recipe, "model": model}, tmp_path / "whole.yaml")
    found = stages.read_stages(own, tmp_path / "run")
    expected = stages.read_stages(whole, tmp_path / "run")
    assert [stage.config for stage in found] == [stage.config for stage in expected]
    assert [stage.config.model.dim for stage in found] == [32, 32, 32]
    # what the base takes and reaches says nothing of other settings
    assert not any(stage.info.expected_score or stage.info.expected_minutes for stage in found)
    for base, message in (
        ("own.yaml", "own.yaml must be a recipe of its own, with no base"),
        ("nothing.yaml", "cannot read the recipe .*nothing.yaml"),
        (3, "base must be the name of a recipe, not 3"),
        ("no_stages.yaml", "no_stages.yaml has no list of stages"),
    ):
        with pytest.raises(UserError, match=message):
            stages.read_stages(write({"base": base}, tmp_path / "b.yaml"), tmp_path / "run")


def test_recipe_changes_stages_of_its_base(recipe: Recipe, tmp_path: Path) -> None:
    write(recipe, tmp_path / "base.yaml")
    corpora = {"elsewhere": 2.0}
    change = {"name": "text", "expected_minutes": 7, "data": {"corpora": corpora}}
    own = write({"base": "base.yaml", "stages": [change]}, tmp_path / "own.yaml")
    before = stages.read_stages(tmp_path / "base.yaml", tmp_path / "run")
    lifting, text, long = stages.read_stages(own, tmp_path / "run")
    assert lifting.config == before[0].config
    assert text.config.data == replace(before[1].config.data, corpora=corpora)
    assert replace(text.config, data=before[1].config.data) == before[1].config
    assert long.config.data.corpora == corpora  # it is based on that stage
    assert [each.info.expected_minutes for each in (lifting, text, long)] == [0, 7, 0]
    with pytest.raises(UserError, match="b.yaml: stages must be a list"):
        stages.read_stages(write({"base": "base.yaml", "stages": 3}, tmp_path / "b.yaml"), tmp_path)
    for name in ("txt", None, ["text"]):
        change = {"name": name}
        path = write({"base": "base.yaml", "stages": [change]}, tmp_path / "b.yaml")
        message = re.escape(f"base.yaml has no stage {name!r} to change; it has lifting, ")
        with pytest.raises(UserError, match=message):
            stages.read_stages(path, tmp_path / "run")


def test_dry_run_lists_stages_with_minutes_and_state(
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(recipe, tmp_path / "r.yaml")
    run = tmp_path / "run"
    assert call(monkeypatch, "train", path, "--run", run, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert not run.exists() and lines[-1] == "3 stages, 2.5 minutes"
    assert lines[1].split() == (
        "2-text pretrain 2 minutes to do val_mpjpe_mm 300, mpjpe_mm 40.5".split()
    )
    stages.train(write(changed(recipe, 1, max_minutes=0.0), tmp_path / "p.yaml"), run, quiet=True)
    assert call(monkeypatch, "train", path, "--run", run, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "finished" in lines[0] and "resumes at step 1" in lines[1] and "to do" in lines[2]


def test_convert_takes_the_folder_of_a_training_with_stages(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    stages.train(write(changed(recipe, 1, max_minutes=0.0), tmp_path / "r.yaml"), run, quiet=True)
    assert model_hub.find(run) == run / "2-text" / "checkpoints" / "0000001"
    assert call(monkeypatch, "models", "convert", run, tmp_path / "published") == 0
    assert checkpoint.load(tmp_path / "published")[1]["stage"] == "pretrain"
