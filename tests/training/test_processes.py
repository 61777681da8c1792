"""Trainings in processes of their own: asked to stop, killed, and several as one."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from helpers.command_line import PATIENCE_S
from helpers.training_runs import (
    STEPS_OF_AN_EPOCH,
    TORCHRUN,
    StartTraining,
    assert_same_end,
    changed,
    rows,
)
from torch.distributed.run import parse_args

from actionpose import checkpoint
from actionpose.config import AlignmentConfig, FinetuneConfig, PretrainConfig
from actionpose.training.finetune import finetune
from actionpose.training.pretrain import pretrain
from actionpose.training.run_folder import open_run


def test_open_run_replaces_the_configuration_at_once(tmp_path: Path) -> None:
    """The main process writes it anew when it goes on, while others read it."""
    main = SimpleNamespace(is_main_process=True, device="cpu", num_processes=1)
    config = {"model": {"dim": 16}}
    with open_run(tmp_path / "run", config, main, 0):
        pass
    with (tmp_path / "run" / "config.yaml").open() as opened:
        with open_run(tmp_path / "run", config, main, 0):
            pass
        after = os.stat(opened.name)
        assert os.fstat(opened.fileno()).st_ino != after.st_ino  # replaced, not written over
        assert yaml.safe_load(opened) == config


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)


def logged_steps(run: Path) -> int:
    log = run / "log.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


def test_finetune_resumes_when_stopped_or_killed(
    tiny_config: FinetuneConfig, tmp_path: Path, start_training: StartTraining
) -> None:
    """Asked to stop, it saves and stops; killed, it goes on from the last whole checkpoint.

    A terminal and torchrun send the signal to the process that makes batches, too.
    """
    config = changed(tiny_config, epochs=10_000)
    helped = changed(config, workers=1)
    saving = changed(config, save_every=3)
    # one process for all three: it takes seconds to import PyTorch
    process = start_training(("SIGTERM", helped), ("SIGINT", helped), ("SIGKILL", saving))
    for number in (signal.SIGTERM, signal.SIGINT):
        wait_for(lambda run=tmp_path / number.name: logged_steps(run) >= 5, process)
        os.killpg(process.pid, number)
    killed = tmp_path / "SIGKILL"
    wait_for(lambda: len(checkpoint.saved_steps(killed)) >= 2, process)
    time.sleep(0.05)  # somewhere between two checkpoints, or in one
    process.kill()
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL

    for line, number in zip(output.splitlines(), (signal.SIGTERM, signal.SIGINT), strict=True):
        run, (step, status) = tmp_path / number.name, line.split()
        assert status == "interrupted" and int(step) >= 5
        assert [path.name for path in (run / "checkpoints").iterdir()] == [f"{int(step):07d}"]
        assert json.loads((run / "report.json").read_text())["status"] == "interrupted"
        outcome = finetune(changed(config, max_minutes=0.0), run, quiet=True)
        assert outcome.step == int(step) + 1

    saved = int(checkpoint.saved_steps(killed)[-1].name)
    outcome = finetune(changed(saving, max_minutes=0.0), killed, quiet=True)
    assert outcome.step == saved + 1
    # the same steps in one go; the exponential schedule does not look at the end
    whole = changed(saving, epochs=outcome.step / STEPS_OF_AN_EPOCH)
    assert finetune(whole, tmp_path / "whole", quiet=True).step == saved + 1
    assert_same_end(killed, tmp_path / "whole")


@pytest.mark.parametrize("path", ["docs/training.md", "recipes/paper_pretrain.slurm"])
def test_torchrun_understands_documented_commands(path: str) -> None:
    """It takes `--run` for its own `--run-path` unless `--` stands before the module."""
    text = (Path(__file__).parents[2] / path).read_text().replace("\\\n", " ")
    commands = re.findall(r"^\s*(?:srun )?torchrun (.+)", text, re.MULTILINE)
    assert commands
    for command in commands:
        words = shlex.split(re.sub(r'"\$\w+"', "1", command))
        parsed = parse_args(words)
        assert parsed.module and parsed.training_script == "actionpose"
        assert parsed.training_script_args[0] in ("train", "pretrain")
        assert "--run" in parsed.training_script_args


def test_training_in_two_processes_equals_that_in_one(
    tiny_pretraining: PretrainConfig,
    tiny_config: FinetuneConfig,
    tmp_path: Path,
    start_training: StartTraining,
) -> None:
    """The same global batches, so the same losses, whatever each process sees of them.

    Pretraining has negatives of all processes, and is stopped after each of the first two steps.
    Fine-tuning has the <POSE> token's pooling, as by default, which no loss of that stage sees.
    """
    aligned = replace(tiny_pretraining, alignment=AlignmentConfig(negatives="ranks"))
    first = changed(aligned, epochs=8 / 3)
    model = replace(tiny_config.model, class_token=True, middle_layer=1)
    second = changed(replace(tiny_config, model=model), epochs=7 / STEPS_OF_AN_EPOCH)
    stopped = ("pretrain", changed(first, max_minutes=0.0))
    # one launch for both: it takes seconds to import PyTorch
    process = start_training(
        *(stopped, stopped, ("pretrain", first), ("finetune", second)), launcher=TORCHRUN
    )
    assert pretrain(first, tmp_path / "pretrain_one", quiet=True).step == 8
    assert finetune(second, tmp_path / "finetune_one", quiet=True).step == 7
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors[-3000:]
    assert output.count("out of time") == output.count("finished") == 4
    pairs = {}
    for stage, steps in (("pretrain", 8), ("finetune", 7)):
        one, two = rows(tmp_path / f"{stage}_one"), rows(tmp_path / stage)
        assert [row["step"] for row in two] == list(range(1, steps + 1))
        pairs[stage] = list(zip(one, two, strict=True))
    for a, b in pairs["finetune"]:
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)
    for a, b in pairs["pretrain"]:
        # cosines over a temperature of 0.1 make more of rounding than distances do
        for name, off in (("position", 1e-6), ("velocity", 1e-6), ("alignment", 3e-5)):
            assert a[name] == pytest.approx(b[name], abs=off), (a["step"], name)
