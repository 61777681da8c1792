"""The loop, through fine-tuning: schedules, logs, resuming, and what it refuses."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
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

from actionpose import checkpoint
from actionpose.config import FinetuneConfig, NoiseConfig, TrainingConfig
from actionpose.training.finetune import finetune
from actionpose.training.loop import learning_rate
from actionpose.training.process import stop_requests
from actionpose.utils.errors import UserError
from actionpose.utils.locks import one_at_a_time


def test_log_drops_rows_after_the_checkpoint(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    short = changed(tiny_config, epochs=4 / STEPS_OF_AN_EPOCH)
    finetune(short, tmp_path / "whole", quiet=True)
    finetune(changed(short, max_minutes=0.0), tmp_path / "run", quiet=True)
    with (tmp_path / "run" / "log.jsonl").open("a") as log:
        log.write('{"step": 2, "total": 0.5}\n{"step": 3, "tot')  # killed while writing
    finetune(short, tmp_path / "run", quiet=True)
    assert_same_end(tmp_path / "whole", tmp_path / "run")


def test_two_trainings_in_one_folder(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with one_at_a_time(run), pytest.raises(UserError, match="another process is writing to"):
        finetune(tiny_config, run, quiet=True)
    assert [path.name for path in run.iterdir()] == [".lock"]


def test_loss_that_is_not_finite_names_its_clips(
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


def test_resume_refuses_another_configuration(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    finetune(changed(tiny_config, max_minutes=0.0), tmp_path, quiet=True)
    data = replace(tiny_config.data, mirror=0.25)
    other = changed(replace(tiny_config, data=data), learning_rate=1e-5)
    with pytest.raises(
        UserError, match=r"another configuration \(data\.mirror, training\.learning_rate\)"
    ):
        finetune(other, tmp_path, quiet=True)
    # what does not change the result may change
    free = changed(tiny_config, max_minutes=0.0, save_every=7)
    assert finetune(free, tmp_path, quiet=True).step == 2


def test_resume_takes_runs_that_lack_new_settings(
    tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
    """Settings that it did not know are off in it."""
    finetune(changed(tiny_config, max_minutes=0.0), tmp_path, quiet=True)
    saved = tmp_path / "config.yaml"
    before = yaml.safe_load(saved.read_text())
    del before["data"]["noise"], before["data"]["straighten_knees"]
    saved.write_text(yaml.safe_dump(before))
    assert finetune(changed(tiny_config, max_minutes=0.0), tmp_path, quiet=True).step == 2
    more = replace(tiny_config.data, noise=NoiseConfig(truncation=0.5))
    saved.write_text(yaml.safe_dump(before))
    with pytest.raises(UserError, match=r"another configuration \(data\.noise\.truncation"):
        finetune(replace(tiny_config, data=more), tmp_path, quiet=True)


def test_resume_refuses_other_data(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    (corpora,) = tiny_config.data.corpora
    finetune(changed(tiny_config, max_minutes=0.0), tmp_path, quiet=True)
    data = replace(tiny_config.data, corpora={corpora: 1.0, corpora + "/": 2.0})
    with pytest.raises(UserError, match=r"another configuration \(data\.corpora"):
        finetune(replace(tiny_config, data=data), tmp_path, quiet=True)


def test_gradient_accumulation_equals_whole_steps(
    tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
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


def test_precision_is_that_of_each_run_in_a_process(
    tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
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
def test_workers_give_the_same_batches(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    short = changed(tiny_config, epochs=4 / STEPS_OF_AN_EPOCH)
    for workers in (0, 1):
        finetune(changed(short, workers=workers), tmp_path / str(workers), quiet=True)
    assert_same_end_but_config(tmp_path / "0", tmp_path / "1")


def assert_same_end_but_config(run: Path, other: Path) -> None:
    ends = [checkpoint.saved_steps(folder)[-1] for folder in (run, other)]
    assert_same(*(checkpoint.load(end)[0] for end in ends))
    assert rows(run) == rows(other)


CONFIG = TrainingConfig(learning_rate=1e-3)


def rate(step: int, **changes: Any) -> float:
    return learning_rate(step, replace(CONFIG, **changes), total=100, steps_per_epoch=10)


def test_learning_rate_falls_exponentially() -> None:
    assert rate(0) == rate(9) == 1e-3
    assert rate(10) == pytest.approx(0.99e-3) and rate(99) == pytest.approx(1e-3 * 0.99**9)


def test_learning_rate_falls_by_a_cosine() -> None:
    assert rate(0, schedule="cosine") == 1e-3
    assert rate(25, schedule="cosine") == pytest.approx(1e-3 * (1 + np.sqrt(0.5)) / 2)
    assert rate(50, schedule="cosine") == pytest.approx(0.5e-3)
    assert 0 < rate(99, schedule="cosine") < 1e-6


@pytest.mark.parametrize("schedule", ["exponential", "cosine"])
def test_learning_rate_warms_up(schedule: str) -> None:
    rates = [rate(step, schedule=schedule, warmup_steps=4) for step in range(5)]
    assert rates == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3])
    rates = [rate(step, schedule=schedule, warmup_steps=200) for step in range(100)]
    assert rates == pytest.approx([1e-3 * (step + 1) / 200 for step in range(100)])


def test_log_has_the_learning_rates_of_the_schedule(
    tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
    config = changed(tiny_config, epochs=2, warmup_steps=2)
    finetune(config, tmp_path, quiet=True)
    found = [row["learning_rate"] for row in rows(tmp_path)]
    expected = [1e-3, *[2e-3] * (STEPS_OF_AN_EPOCH - 1), *[0.99 * 2e-3] * STEPS_OF_AN_EPOCH]
    assert found == pytest.approx(expected)


def test_stop_requests_are_heard_only_inside() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
    assert signal.getsignal(signal.SIGTERM) is before
    with stop_requests() as asked:
        assert not asked()


def test_stop_requests_are_left_out_in_other_threads() -> None:
    """Where Python lets nobody listen to signals."""

    def asked() -> bool:
        with stop_requests() as stop_asked:
            return stop_asked()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(asked).result() is False
