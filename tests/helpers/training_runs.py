"""What tests of training share: short settings, what a run left, processes that train."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from actionpose import checkpoint
from actionpose.config import FinetuneConfig, PretrainConfig

Config = TypeVar("Config", FinetuneConfig, PretrainConfig)
StartTraining = Callable[..., subprocess.Popen[str]]  # the fixture `start_training`
STEPS_OF_AN_EPOCH = 11  # of `tiny_config`
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
SCRIPT = """
import sys
import torch
from importlib import import_module
from pathlib import Path
from actionpose import config
from actionpose.utils.yaml_config import load_recipe
torch.set_num_threads(1)
for stage, recipe, run in zip(sys.argv[1::3], sys.argv[2::3], sys.argv[3::3]):
    train = getattr(import_module(f"actionpose.training.{stage}"), stage)
    kind = getattr(config, f"{stage.title()}Config")
    outcome = train(load_recipe(kind, recipe), Path(run), quiet=True)
    print(outcome.step, outcome.status, flush=True)
"""


def changed(config: Config, **training: Any) -> Config:
    """With other settings of `training`."""
    return replace(config, training=replace(config.training, **training))


def rows(run: Path, key: str = "total") -> list[dict[str, float]]:
    """The lines of the log that have a value, without what the clock says."""
    lines = (json.loads(line) for line in (run / "log.jsonl").read_text().splitlines())
    clock = ("clips_per_s", "minutes_left", "cpu_s")
    return [{k: v for k, v in row.items() if k not in clock} for row in lines if key in row]


def assert_same(a: Any, b: Any) -> None:
    """Nested dicts and lists of tensors and numbers are equal to the bit."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key, value in a.items():
            assert_same(value, b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def assert_same_end(run: Path, other: Path) -> None:
    """Weights, optimizer and log are the same."""
    ends = [checkpoint.saved_steps(folder)[-1] for folder in (run, other)]
    assert ends[0].name == ends[1].name
    first, second = ((end / "weights.safetensors").read_bytes() for end in ends)
    assert first == second
    assert_same(*(checkpoint.load_training(end) for end in ends))
    assert rows(run) == rows(other)
    metas = [checkpoint.load(end)[1] for end in ends]
    assert metas[0]["val_mpjpe_mm"] == metas[1]["val_mpjpe_mm"]
