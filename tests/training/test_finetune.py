"""Fine-tuning: it learns; however it is stopped, it resumes as if it had not been."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.motions import some_motion, with_feet
from helpers.training_runs import (
    STEPS_OF_AN_EPOCH,
    assert_same_end,
    changed,
    rows,
)

from actionpose import checkpoint, model_hub
from actionpose.config import FinetuneConfig, PretrainConfig
from actionpose.datasets.corpus import Corpus, write_corpus
from actionpose.models import build_encoder
from actionpose.models.text_encoder import TextEncoder
from actionpose.training.finetune import finetune
from actionpose.training.pretrain import pretrain
from actionpose.utils.errors import UserError
from actionpose.utils.yaml_config import to_dict


def test_finetune_lowers_the_loss(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    config = changed(tiny_config, epochs=3, learning_rate=4e-3)
    outcome = finetune(config, tmp_path, quiet=True)
    assert (outcome.step, outcome.status) == (3 * STEPS_OF_AN_EPOCH, "finished")
    losses = [row["total"] for row in rows(tmp_path)]
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:3])


def test_finetune_leaves_log_report_and_checkpoints(
    tiny_config: FinetuneConfig, tmp_path: Path, corpus: Corpus
) -> None:
    config = changed(tiny_config, save_every=3)
    outcome = finetune(config, tmp_path / "run", quiet=True)
    run = tmp_path / "run"
    steps = [path.name for path in checkpoint.saved_steps(run)]
    assert steps == ["0000009", "0000011"]
    assert outcome.checkpoint == run / "checkpoints" / "0000011"
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == steps
    report = json.loads((run / "report.json").read_text())
    assert report["status"] == "finished" and report["step"] == report["of"] == 11
    assert json.loads((run / "environment.json").read_text())["torch"] == torch.__version__
    assert [row["step"] for row in rows(run)] == list(range(1, 12))
    assert [row["step"] for row in rows(run, "val_mpjpe_mm")] == [3, 6, 9, 11]
    row = rows(run)[0]
    weighted = row["position"] + 20 * row["velocity"]
    assert row["total"] == pytest.approx(weighted, rel=1e-5)
    assert list(run.glob("events.out.tfevents.*"))
    encoder, meta = checkpoint.load_encoder(outcome.checkpoint)
    assert meta["config"] == to_dict(config) and meta["normalization"] == "image"
    assert meta["data"][0]["sha256"] == corpus.info["sha256"]["joints.npy"]
    assert meta["data"][0]["license"] == "ours" and meta["fps"] == 30.0
    assert 0 < meta["val_p_mpjpe_mm"] < meta["val_mpjpe_mm"] < 2000
    with torch.no_grad():
        assert torch.isfinite(encoder(torch.rand(1, 9, 17, 3)).pose).all()


@pytest.mark.parametrize("class_token", [False, True])
def test_finetune_resumes_as_if_uninterrupted(
    tiny_config: FinetuneConfig, tmp_path: Path, class_token: bool
) -> None:
    """Stopped twice in the middle of an epoch; the second one resumes from a resumed one."""
    model = replace(tiny_config.model, class_token=class_token, middle_layer=1)
    total = STEPS_OF_AN_EPOCH + 2
    config = changed(replace(tiny_config, model=model), epochs=total / STEPS_OF_AN_EPOCH)
    assert finetune(config, tmp_path / "whole", quiet=True).step == total
    parts = tmp_path / "parts"
    for step in (1, 2):
        outcome = finetune(changed(config, max_minutes=0.0), parts, quiet=True)
        assert (outcome.step, outcome.status) == (step, "out of time")
    outcome = finetune(config, parts, quiet=True)
    assert (outcome.step, outcome.status) == (total, "finished")
    assert_same_end(tmp_path / "whole", parts)
    # and once more: there is nothing left to do
    before = json.loads((parts / "report.json").read_text())
    again = finetune(config, parts, quiet=True)
    report = json.loads((parts / "report.json").read_text())
    assert report["scores"] == pytest.approx(before["scores"]) and report["best"] == before["best"]
    assert (again.step, again.status, again.checkpoint) == (total, "finished", outcome.checkpoint)
    assert_same_end(tmp_path / "whole", parts)


def test_finetune_takes_clips_of_every_length(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    """One motion is shorter than 27 frames; its clips are padded."""
    data = replace(tiny_config.data, frames=27, stride=3)
    config = changed(replace(tiny_config, data=data), epochs=0.1)
    assert finetune(config, tmp_path, quiet=True).status == "finished"
    assert all(np.isfinite(row["total"]) for row in rows(tmp_path))


def test_finetune_refuses_settings_that_do_not_fit(
    tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
    data = replace(tiny_config.data, frames=81)
    with pytest.raises(UserError, match=r"data\.frames \(81\) is more than model\.max_frames"):
        finetune(replace(tiny_config, data=data), tmp_path, quiet=True)
    data = replace(tiny_config.data, corpora={})
    with pytest.raises(UserError, match=r"data\.corpora must name at least one corpus"):
        finetune(replace(tiny_config, data=data), tmp_path, quiet=True)
    data = replace(tiny_config.data, corpora={str(tmp_path / "none"): 1.0})
    with pytest.raises(UserError, match=r"none is not a corpus"):
        finetune(replace(tiny_config, data=data), tmp_path, quiet=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the folder"):
        finetune(tiny_config, tmp_path / "file", quiet=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_finetune_refuses_a_missing_gpu(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="device is cuda, but torch finds no GPU"):
        finetune(changed(tiny_config, device="cuda"), tmp_path, quiet=True)


def test_finetune_starts_from_another_run(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    """The first loss is then not that of a model as drawn."""
    first = tmp_path / "first"
    finetune(changed(tiny_config, epochs=2), first, quiet=True)
    config: FinetuneConfig = changed(replace(tiny_config, init=first), max_minutes=0.0)
    finetune(config, tmp_path / "second", quiet=True)
    fresh, warm = rows(first)[0]["total"], rows(tmp_path / "second")[0]["total"]
    assert warm < 0.95 * fresh  # of the same batch
    assert checkpoint.load(model_hub.find(tmp_path / "second"))[1]["config"]["init"] == str(first)


def test_metadata_name_the_data_of_earlier_stages(
    tiny_config: FinetuneConfig, tmp_path: Path, corpus: Corpus
) -> None:
    """Weights may not lose the licenses of what they were trained on."""
    finetune(changed(tiny_config, max_minutes=0.0), tmp_path / "first", quiet=True)
    motions = [some_motion("a", 40), some_motion("b", 40)]
    other = write_corpus(tmp_path / "other", motions, source="made up", license="CC0")
    data = replace(tiny_config.data, corpora={str(other): 1.0})
    config: FinetuneConfig = replace(tiny_config, init=tmp_path / "first", data=data)
    config = changed(config, epochs=0.2)
    for limit in (0.0, None):  # resumed, too
        outcome = finetune(changed(config, max_minutes=limit), tmp_path / "second", quiet=True)
        trained_on = checkpoint.load(outcome.checkpoint)[1]["data"]
        assert [each["license"] for each in trained_on] == ["ours", "CC0"]
    assert trained_on[0]["sha256"] == corpus.info["sha256"]["joints.npy"]


def test_finetune_keeps_labels_and_text_encoder(
    tiny_pretraining: PretrainConfig, tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
    pretrain(changed(tiny_pretraining, max_minutes=0.0), tmp_path / "first", quiet=True)
    start_from = model_hub.find(tmp_path / "first")
    config = replace(tiny_config, model=tiny_pretraining.model, init=start_from)
    config = changed(config, save_every=4)
    finetune(changed(config, max_minutes=0.0), tmp_path / "second", quiet=True)
    for path in sorted(start_from.rglob("*"), reverse=True):  # what it started from may go
        path.unlink() if path.is_file() else path.rmdir()
    outcome = finetune(config, tmp_path / "second", quiet=True)
    assert outcome.status == "finished"
    _, meta = checkpoint.load(outcome.checkpoint)
    assert meta["stage"] == "finetune" and meta["text_from"]["checkpoint"] == str(start_from)
    labels, _ = checkpoint.load_labels(outcome.checkpoint)
    assert TextEncoder.from_checkpoint(outcome.checkpoint / "text").encode(labels[:1]).shape == (
        1,
        8,
    )


def test_finetune_adds_heads_and_leaves_all_else(
    tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
    """Weights of the body stay to the bit, and what the metadata say of them; it resumes."""
    motions = [
        with_feet(some_motion("a", 40)), some_motion("b", 40),
        with_feet(some_motion("c", 40, split="val"), "left_toe", "right_toe"),
    ]  # fmt: skip
    corpus = write_corpus(tmp_path / "corpus", motions, source="made up", license="ours")
    body = to_dict(tiny_config.model)
    meta = {"model": body, "frames": 5, "normalization": "image", "rejection_threshold": 0.4}
    meta["config"] = {"data": {"temporal_crop": 0.5}}
    start = checkpoint.save(tmp_path / "body", 7, build_encoder(**body), meta, {})
    config = replace(
        tiny_config, init=start, model=replace(tiny_config.model, heads=True),
        data=replace(tiny_config.data, corpora={str(corpus): 1.0}),
    )  # fmt: skip
    config = changed(config, epochs=2)
    stopped = finetune(changed(config, max_minutes=0.0), tmp_path / "heads", quiet=True)
    outcome = finetune(config, tmp_path / "heads", quiet=True)
    assert (stopped.status, outcome.status) == ("out of time", "finished")
    (first, _), (last, found), (before, _) = map(
        checkpoint.load, (stopped.checkpoint, outcome.checkpoint, start)
    )
    assert all(torch.equal(last[name], value) for name, value in before.items())
    assert last.keys() - before.keys() == {name for name in last if name.startswith("heads.")}
    moved = {name.split(".")[1] for name in last if not torch.equal(last[name], first[name])}
    assert moved == {"feet", "error"}
    assert found["model"]["heads"] and found["skeleton"] == "h36m17_feet"
    assert found["val_feet_mm"] > 0 and np.isfinite(found["val_error_nll"])
    kept = ("frames", "normalization", "rejection_threshold", "config")
    assert {key: found[key] for key in kept} == {key: meta[key] for key in kept}
    assert found["heads"]["data"][0]["name"] == "corpus"
    assert found["step"] == outcome.step and len(checkpoint.load_encoder(outcome.checkpoint)) == 2


def test_heads_need_a_trained_model(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    config = replace(tiny_config, model=replace(tiny_config.model, heads=True))
    with pytest.raises(UserError, match="--init"):
        finetune(config, tmp_path / "run", quiet=True)
