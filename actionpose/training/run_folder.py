"""The folder of a training run, with its configuration, environment, logs and scores.

It contains `config.yaml`, `environment.json`, `log.jsonl`, TensorBoard events, `checkpoints/STEP/`,
`best/` if there are validation scores, and, at the end, `report.json`.
"""

import json
import platform
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from actionpose import checkpoint
from actionpose.config import FinetuneConfig, PretrainConfig
from actionpose.datasets.corpus import Corpus
from actionpose.skeletons import H36M17, H36M17_FEET
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_text, atomic_write, make_folder, write_json
from actionpose.utils.json_files import Checked, parse_json, typed
from actionpose.utils.legacy import with_person_size
from actionpose.utils.locks import one_at_a_time
from actionpose.utils.yaml_config import read_yaml, to_dict


def last_checkpoint(run: Path, config: dict[str, Any]) -> Path | None:
    """The checkpoint to resume a run from, or None.

    Raises:
        UserError: If the run has another configuration.
    """
    saved = run / "config.yaml"
    steps = checkpoint.saved_steps(run)
    if steps and saved.exists():
        before = with_person_size(read_yaml(saved))
        changed = sorted(_differences(before, config))
        if changed:
            raise UserError(
                f"{run} was made with another configuration ({', '.join(changed)}): "
                "use the same one to resume it, or another --run"
            )
    return steps[-1] if steps else None


@contextmanager
def open_run(
    run: Path, config: dict[str, Any], accelerator: Any, step: int
) -> Iterator["Log | None"]:
    """Create the folder of a run, write its configuration and environment, and open its log.

    Yields:
        The log from `step` on, or None in processes other than the main one.

    Raises:
        UserError: If another training is writing to the folder.
    """
    if not accelerator.is_main_process:
        yield None
        return
    make_folder(run)
    with one_at_a_time(run):
        with atomic_write(run / "config.yaml") as path:  # other processes may be reading it
            path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        write_json(run / "environment.json", environment(accelerator))
        with closing(Log(run, step)) as log:
            yield log


# Settings that may change when a run is resumed.
_FREE = {
    f"training.{name}"
    for name in ("max_minutes", "save_every", "keep_checkpoints", "workers", "device")
}


def _differences(a: Any, b: Any, prefix: str = "") -> set[str]:
    if isinstance(b, dict) and (a is None or isinstance(a, dict)):
        a = a or {}
        return {
            name
            for key in a.keys() | b.keys()
            for name in _differences(a.get(key), b.get(key), f"{prefix}.{key}".lstrip("."))
        }
    # a setting that exists in only one of two versions is off in the other
    return set() if a == b or prefix in _FREE or (None in (a, b) and not (a or b)) else {prefix}


def metadata(
    stage: str, config: FinetuneConfig | PretrainConfig, corpora: list[tuple[Corpus, float]]
) -> dict[str, Any]:
    """The content of `meta.json` in the checkpoints of a run, without step and scores."""
    return {
        "stage": stage,
        "model": to_dict(config.model),
        "skeleton": (H36M17_FEET if config.model.heads else H36M17).name,
        "joint_convention": "mocap",
        "frames": config.data.frames,
        "fps": corpora[0][0].fps / config.data.temporal_stride if corpora else None,
        "normalization": config.data.normalization,
        "config": to_dict(config),
        "data": [
            {
                "name": corpus.name,
                "source": corpus.info["source"],
                "license": corpus.info["license"],
                "sha256": corpus.info["sha256"]["joints.npy"],
            }
            for corpus, _ in corpora
        ],
    }


def kept_metadata(source: Path, changed: Collection[str]) -> dict[str, Any]:
    """The metadata of a checkpoint about the parts that training does not change.

    Args:
        source: Checkpoint.
        changed: Entries of the metadata that the training changes.
    """
    _, meta = checkpoint.load(source)
    changed = {"format", "step", "model", *changed}
    return {key: value for key, value in meta.items() if key not in changed}


def with_data_of(source: Path | None, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The training data of the weights: that of the initial checkpoint, and `data`."""
    known: list[dict[str, Any]] = checkpoint.load(source)[1].get("data", []) if source else []
    return known + [corpus for corpus in data if corpus not in known]


def environment(accelerator: Any) -> dict[str, Any]:
    """Versions, device and commit, for `environment.json`."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:  # git is not installed
        commit = ""
    return {
        "command": sys.argv,
        "commit": commit or None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": str(accelerator.device),
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "float32_products": torch.get_float32_matmul_precision(),  # "high" is TF32
    }


@dataclass(frozen=True)
class _Row(Checked):
    step: int


def _step_of(row: str, log: Path) -> int:
    return typed(_Row, parse_json(row, str(log)), str(log)).step


class Log:
    """`log.jsonl` and TensorBoard; rows of steps after the resumed one are removed."""

    def __init__(self, run: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        path = run / "log.jsonl"
        rows = path.read_text().splitlines(keepends=True) if path.exists() else []
        rows = [row for row in rows if row.endswith("\n") and _step_of(row, path) <= step]
        with atomic_text(path) as file:
            file.writelines(rows)
        self._file = path.open("a")
        self._board = SummaryWriter(str(run), purge_step=step + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        self._file.close()
        self._board.close()
