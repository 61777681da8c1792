"""`actionpose finetune`: the model of a pretraining run, new corpora, and no held-out motion."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.command_line import call

from actionpose import checkpoint
from actionpose.config import PretrainConfig
from actionpose.datasets.corpus import Corpus
from actionpose.model_hub import bundled
from actionpose.training.pretrain import pretrain

OPTIONS: dict[str, Any] = {
    "--data.frames": 9,
    "--data.stride": 9,
    "--training.epochs": 0.1,
    "--training.batch-size": 4,
    "--training.device": "cpu",
}


def options(**more: Any) -> list[Any]:
    return [word for pair in (OPTIONS | more).items() for word in pair]


def test_finetune_takes_the_model_of_the_checkpoint_it_starts_from(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    corpus: Corpus,
    tiny_pretraining: PretrainConfig,
) -> None:
    pretrained = tmp_path / "pretrained"
    pretrain(tiny_pretraining, pretrained, quiet=True)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"init: {pretrained}\ndata: {{corpora: {{nowhere: 2}}}}\n")
    run = tmp_path / "run"
    given = ["--config", recipe, "--run", run, "-q", "--data.corpora", corpus.folder, 1]
    assert call(monkeypatch, "finetune", *given, *options()) == 0
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["corpora"] == {str(corpus.folder): 1.0}
    (meta,) = (pretrained / "checkpoints").glob("*/meta.json")
    assert config["model"]["dim"] == tiny_pretraining.model.dim == 16
    assert json.loads(meta.read_text())["model"] == config["model"]


def test_recipe_with_stages_is_for_train(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("stages: []\n")
    assert call(monkeypatch, "pretrain", "--config", recipe, "--run", tmp_path / "run") == 2
    assert f"has stages: train it by actionpose train {recipe}" in capsys.readouterr().err


@pytest.mark.parametrize("token", [True, False])
def test_flags_have_both_forms_whatever_the_recipe_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, corpus: Corpus, token: bool
) -> None:
    for default in (True, False):
        recipe = tmp_path / f"{default}.yaml"
        recipe.write_text(f"model: {{dim: 8, num_heads: 1, class_token: {str(default).lower()}}}\n")
        run = tmp_path / f"run_{default}"
        flag = "--model.class-token" if token else "--model.no-class-token"
        given = ["--config", recipe, "--run", run, "-q", "--data.corpora", corpus.folder, 1, flag]
        assert call(monkeypatch, "finetune", *given, *options(), "--training.max-minutes", 0) == 0
        assert yaml.safe_load((run / "config.yaml").read_text())["model"]["class_token"] is token


def test_pretrain_of_the_embedding_alone_keeps_heads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, corpus: Corpus, small_bert: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    settings = {
        "init": "tiny",
        "init_ignore": ["pooling."],
        "loss_weights": {"alignment": 1},
        "text": {"source": str(small_bert), "pooling": "mean"},
        "alignment": {"negatives": "batch"},
        "data": {"corpora": {str(corpus.folder): 1.0}, "normalization": "box"},
    }
    recipe.write_text(yaml.safe_dump(settings))
    run = tmp_path / "run"
    small = ["--data.frames", 9, "--training.epochs", 0.1, "--training.batch-size", 4]
    given = ["--config", recipe, "--run", run, "-q", *small, "--training.device", "cpu"]
    assert call(monkeypatch, "pretrain", *given) == 0
    (file,) = (run / "checkpoints").glob("*/meta.json")
    meta, old = json.loads(file.read_text()), checkpoint.load(bundled()["tiny"])[1]
    assert meta["model"]["heads"]
    for key in ("skeleton", "error_bars", "frames", "heads"):
        assert meta[key] == old[key]
    assert "rejection_threshold" not in meta


def test_training_without_held_out_motion_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    made = tmp_path / "made"
    assert call(monkeypatch, "prepare", "synthetic", made, "--num-motions", 12, "-q") == 0
    segments = made / "segments.jsonl"
    if '"val"' in segments.read_text():
        segments.write_text(segments.read_text().replace('"val"', '"train"'))
    given = ["--run", tmp_path / "run", "-q", "--data.corpora", made, 1, "--model.dim", 16]
    more = ["--model.depth", 3, "--model.num-heads", 2, "--model.dim-rep", 16]
    capsys.readouterr()
    assert call(monkeypatch, "finetune", *given, *more, *options()) == 0
    assert 'no corpus has motion of the split "val"' in capsys.readouterr().err
