"""The loop, through stage two: it learns; however it is stopped, it goes on as if it had not."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from helpers.training_runs import (
    STEPS_OF_AN_EPOCH,
    assert_same,
    assert_same_end,
    changed,
    rows,
)

from actionpose import checkpoint, model_hub
from actionpose.config import FinetuneConfig, NoiseConfig, TrainingConfig
from actionpose.datasets.corpus import Corpus
from actionpose.training.finetune import finetune
from actionpose.training.loop import learning_rate, stop_requests
from actionpose.utils.errors import UserError
from actionpose.utils.yaml_config import to_dict


def test_it_learns(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    config = changed(tiny_config, epochs=5)
    outcome = finetune(config, tmp_path, quiet=True)
    assert (outcome.step, outcome.status) == (5 * STEPS_OF_AN_EPOCH, "finished")
    losses = [row["total"] for row in rows(tmp_path)]
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:3])


def test_what_a_run_leaves(tiny_config: FinetuneConfig, tmp_path: Path, corpus: Corpus) -> None:
    config = changed(tiny_config, save_every=3, keep_checkpoints=2)
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
def test_interrupted_and_resumed_is_uninterrupted(
    tiny_config: FinetuneConfig, tmp_path: Path, class_token: bool
) -> None:
    """Stopped twice in the middle of an epoch; the second one resumes from a resumed one."""
    model = replace(tiny_config.model, class_token=class_token, middle_layer=1)
    config = changed(replace(tiny_config, model=model), epochs=1.5)
    total = round(1.5 * STEPS_OF_AN_EPOCH)
    assert finetune(config, tmp_path / "whole", quiet=True).step == total
    parts = tmp_path / "parts"
    for step in (1, 2, 3):
        outcome = finetune(changed(config, max_minutes=0.0), parts, quiet=True)
        assert (outcome.step, outcome.status) == (step, "out of time")
    outcome = finetune(config, parts, quiet=True)
    assert (outcome.step, outcome.status) == (total, "finished")
    assert_same_end(tmp_path / "whole", parts)
    # and once more: there is nothing left to do
    again = finetune(config, parts, quiet=True)
    assert (again.step, again.status, again.checkpoint) == (total, "finished", outcome.checkpoint)
    assert_same_end(tmp_path / "whole", parts)


def test_what_was_logged_after_the_checkpoint_is_not_logged_twice(
    tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
    finetune(tiny_config, tmp_path / "whole", quiet=True)
    finetune(changed(tiny_config, max_minutes=0.0), tmp_path / "run", quiet=True)
    with (tmp_path / "run" / "log.jsonl").open("a") as log:
        log.write('{"step": 2, "total": 0.5}\n{"step": 3, "tot')  # killed while writing
    finetune(tiny_config, tmp_path / "run", quiet=True)
    assert_same_end(tmp_path / "whole", tmp_path / "run")


def test_a_loss_that_is_not_finite_names_its_clips(
    tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
    config = changed(tiny_config, learning_rate=1e20, save_every=1)
    with pytest.raises(
        UserError, match=r"not finite at step \d+ \(.*m0\d\[\d+:\d+\].*rate"
    ) as caught:
        finetune(config, tmp_path, quiet=True)
    assert len([name for name in str(caught.value).split() if name.startswith("m0")]) == 4
    # no weights that are not finite were saved
    for folder in checkpoint.saved_steps(tmp_path):
        assert all(torch.isfinite(value).all() for value in checkpoint.load(folder)[0].values())


def test_another_configuration_is_refused(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    finetune(changed(tiny_config, max_minutes=0.0), tmp_path, quiet=True)
    data = replace(tiny_config.data, mirror=0.25)
    other = changed(replace(tiny_config, data=data), learning_rate=1e-5)
    with pytest.raises(
        UserError, match=r"another configuration \(data\.mirror, training\.learning_rate\)"
    ):
        finetune(other, tmp_path, quiet=True)
    # what does not change the result may change
    free = changed(tiny_config, max_minutes=0.0, save_every=7, keep_checkpoints=5)
    assert finetune(free, tmp_path, quiet=True).step == 2


def test_a_run_of_an_older_version_goes_on(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    """Settings that it did not know are off in it."""
    finetune(changed(tiny_config, max_minutes=0.0), tmp_path, quiet=True)
    saved = tmp_path / "config.yaml"
    before = yaml.safe_load(saved.read_text())
    del before["data"]["noise"], before["data"]["perturb_deg"]
    saved.write_text(yaml.safe_dump(before))
    assert finetune(changed(tiny_config, max_minutes=0.0), tmp_path, quiet=True).step == 2
    more = replace(tiny_config.data, noise=NoiseConfig(truncation=0.5))
    saved.write_text(yaml.safe_dump(before))
    with pytest.raises(UserError, match=r"another configuration \(data\.noise\.truncation"):
        finetune(replace(tiny_config, data=more), tmp_path, quiet=True)


def test_other_data_in_the_same_folder_is_another_configuration(
    tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
    (corpora,) = tiny_config.data.corpora
    finetune(changed(tiny_config, max_minutes=0.0), tmp_path, quiet=True)
    data = replace(tiny_config.data, corpora={corpora: 1.0, corpora + "/": 2.0})
    with pytest.raises(UserError, match=r"another configuration \(data\.corpora"):
        finetune(replace(tiny_config, data=data), tmp_path, quiet=True)


def test_accumulated_steps_are_whole_steps(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    short = changed(tiny_config, epochs=5 / STEPS_OF_AN_EPOCH)
    for parts in (1, 2):
        finetune(
            changed(short, gradient_accumulation_steps=parts), tmp_path / str(parts), quiet=True
        )
    for a, b in zip(rows(tmp_path / "1"), rows(tmp_path / "2"), strict=True):
        assert a == pytest.approx(b, rel=1e-3)
    with pytest.raises(
        UserError, match=r"training\.gradient_accumulation_steps \(3\) must divide the 4 clips"
    ):
        finetune(changed(short, gradient_accumulation_steps=3), tmp_path / "3", quiet=True)


def test_two_precisions_in_one_process(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    """As in a notebook."""
    short = changed(tiny_config, epochs=3 / STEPS_OF_AN_EPOCH)
    losses = {}
    for precision in ("float32", "bf16"):
        run = tmp_path / precision
        finetune(changed(short, precision=precision), run, quiet=True)
        losses[precision] = [row["total"] for row in rows(run)]
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["bf16"] != losses["float32"]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_change_nothing(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    short = changed(tiny_config, epochs=4 / STEPS_OF_AN_EPOCH)
    for workers in (0, 1):
        finetune(changed(short, workers=workers), tmp_path / str(workers), quiet=True)
    assert_same_end_but_config(tmp_path / "0", tmp_path / "1")


def assert_same_end_but_config(run: Path, other: Path) -> None:
    ends = [checkpoint.saved_steps(folder)[-1] for folder in (run, other)]
    assert_same(*(checkpoint.load(end)[0] for end in ends))
    assert rows(run) == rows(other)


def test_clips_of_every_length_train(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    """One motion is shorter than 27 frames; its clips are padded."""
    data = replace(tiny_config.data, frames=27, stride=3)
    config = changed(replace(tiny_config, data=data), epochs=0.1)
    assert finetune(config, tmp_path, quiet=True).status == "finished"
    assert all(np.isfinite(row["total"]) for row in rows(tmp_path))


CONFIG = TrainingConfig(learning_rate=1e-3)


def rate(step: int, **changes: Any) -> float:
    return learning_rate(step, replace(CONFIG, **changes), total=100, steps_per_epoch=10)


def test_exponential_schedule() -> None:
    assert rate(0) == rate(9) == 1e-3
    assert rate(10) == pytest.approx(0.99e-3) and rate(99) == pytest.approx(1e-3 * 0.99**9)


def test_cosine_schedule() -> None:
    assert rate(0, schedule="cosine") == 1e-3
    assert rate(25, schedule="cosine") == pytest.approx(1e-3 * (1 + np.sqrt(0.5)) / 2)
    assert rate(50, schedule="cosine") == pytest.approx(0.5e-3)
    assert 0 < rate(99, schedule="cosine") < 1e-6


@pytest.mark.parametrize("schedule", ["exponential", "cosine"])
def test_warm_up(schedule: str) -> None:
    rates = [rate(step, schedule=schedule, warmup_steps=4) for step in range(5)]
    assert rates == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3])
    rates = [rate(step, schedule=schedule, warmup_steps=200) for step in range(100)]
    assert rates == pytest.approx([1e-3 * (step + 1) / 200 for step in range(100)])


def test_the_rates_are_those_of_the_schedule(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    config = changed(tiny_config, epochs=2, warmup_steps=2)
    finetune(config, tmp_path, quiet=True)
    found = [row["learning_rate"] for row in rows(tmp_path)]
    expected = [1e-3, *[2e-3] * (STEPS_OF_AN_EPOCH - 1), *[0.99 * 2e-3] * STEPS_OF_AN_EPOCH]
    assert found == pytest.approx(expected)


def test_requests_to_stop_are_heard_only_inside() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
    assert signal.getsignal(signal.SIGTERM) is before
    with stop_requests() as asked:
        assert not asked()


def test_settings_that_do_not_fit_are_refused(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
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
def test_a_gpu_that_is_not_there(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="device is cuda, but torch finds no GPU"):
        finetune(changed(tiny_config, device="cuda"), tmp_path, quiet=True)


def test_a_run_may_start_from_another(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    """The first loss is then not that of a model as drawn."""
    first = tmp_path / "first"
    finetune(changed(tiny_config, epochs=3), first, quiet=True)
    config: FinetuneConfig = replace(tiny_config, init=first)
    finetune(config, tmp_path / "second", quiet=True)
    fresh, warm = rows(first)[0]["total"], rows(tmp_path / "second")[0]["total"]
    assert warm < 0.95 * fresh  # of the same batch
    assert checkpoint.load(model_hub.find(tmp_path / "second"))[1]["config"]["init"] == str(first)
