"""Fixtures of several files: a small corpus, a small model, and data that not everyone has."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.arm_motions import arms, one_person
from helpers.command_line import environment
from helpers.pretrained import write_bert, write_checkpoint
from helpers.training_runs import SCRIPT

from actionpose import ActionPose, Keypoints
from actionpose.config import (
    AlignmentConfig,
    FinetuneConfig,
    FinetuneDataConfig,
    ModelConfig,
    PretrainConfig,
    PretrainDataConfig,
    PretrainTrainingConfig,
    TextConfig,
    TrainingConfig,
)
from actionpose.datasets.corpus import Corpus, Motion, open_corpus, write_corpus
from actionpose.datasets.synthetic.generate import dataset
from actionpose.utils.yaml_config import to_dict

# Tiny models: more threads only wait for each other
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start, and of xdist's workers


def pytest_configure(config: pytest.Config) -> None:
    """Caches are written to a folder of the session: a home may be read-only, or hold old ones."""
    if not hasattr(config, "workerinput"):  # workers of xdist share the folder of their parent
        folder = tempfile.TemporaryDirectory(prefix="actionpose-tests-")
        os.environ |= {"XDG_CACHE_HOME": folder.name, "MPLCONFIGDIR": folder.name}
        config.add_cleanup(folder.cleanup)


def pytest_xdist_auto_num_workers() -> int:
    """One worker for each core that this process may use; eight at most, as each imports torch."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, 8)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Nine made-up motions; the last three are the split "val". One is shorter than 27 frames."""
    motions = [
        Motion(
            id=f"m{i:02d}",
            subject=made.subject,
            split="train" if i < 6 else "val",
            joints_m=made.joints_m[:20] if i == 1 else made.joints_m[:90],
            text=made.text,
            labels=[(0, 10, made.action, "action")],
        )
        for i, made in enumerate(dataset(9, seed=5))
    ]
    folder = tmp_path_factory.mktemp("corpora") / "tiny"
    return open_corpus(write_corpus(folder, motions, source="made up", license="ours"))


@pytest.fixture(scope="session")
def small_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of three layers as drawn, whose words are those of the made-up motions and letters."""
    pytest.importorskip("transformers")
    return write_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def short_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few held-out clips, which are scored with every checkpoint."""
    for name, value in (("STEPS", 1), ("BATCH", 8), ("CLIPS", 16)):
        monkeypatch.setattr(f"actionpose.training.validation.VAL_{name}", value)


@pytest.fixture
def tiny_pretraining(corpus: Corpus, small_bert: Path, short_validation: None) -> PretrainConfig:
    """Pretraining in seven steps of four clips, without dropout: the same on several processes."""
    return PretrainConfig(
        model=ModelConfig(
            dim=16,
            depth=2,
            num_heads=2,
            dim_rep=16,
            max_frames=27,
            middle_layer=1,
            embedding_dim=8,
            pooling_dropout=0.0,
        ),
        text=TextConfig(source=str(small_bert), pooling="mean"),
        data=PretrainDataConfig(
            corpora={str(corpus.folder): 1.0},
            frames=9,
            label_kinds=("action", "transition", "sequence"),
            window_mask=(2, 4),
        ),
        alignment=AlignmentConfig(negatives=3),
        training=PretrainTrainingConfig(
            epochs=7 / 3, batch_size=4, learning_rate=2e-3, device="cpu"
        ),
    )


@pytest.fixture
def tiny_config(corpus: Corpus, short_validation: None) -> FinetuneConfig:
    """Fine-tuning in twelve steps of four clips; dropout only in the pooling, which is unused."""
    return FinetuneConfig(
        model=ModelConfig(
            dim=16, depth=2, num_heads=2, dim_rep=16, max_frames=27, class_token=False
        ),
        data=FinetuneDataConfig(corpora={str(corpus.folder): 1.0}, frames=9, stride=9),
        training=TrainingConfig(
            epochs=1, batch_size=4, learning_rate=2e-3, save_every=1000, device="cpu"
        ),
    )


@pytest.fixture
def start_training(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes that train in `tmp_path`; none outlives the test."""
    started = []

    def start(*runs: tuple[str, Any], launcher: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Train in each folder with its configuration, one after another."""
        (tmp_path / "script.py").write_text(SCRIPT)
        arguments = []
        for number, (run, config) in enumerate(runs):
            (tmp_path / f"{number}.yaml").write_text(json.dumps(to_dict(config)))
            stage = type(config).__name__.removesuffix("Config").lower()
            arguments += [stage, f"{number}.yaml", run]
        process = subprocess.Popen(
            [sys.executable, *launcher, "script.py", *arguments],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # with its children it is one group
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _folder_of(variable: str, what: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"set {variable} to the folder of {what}")
    return Path(folder)


@pytest.fixture(scope="session")
def open_data() -> Path:
    return _folder_of("ACTIONPOSE_OPEN_DATA", "the converted open motion sets")


@pytest.fixture(scope="session")
def parity_data() -> Path:
    return _folder_of("ACTIONPOSE_PARITY", "the outputs of MotionBERT's DSTformer at full size")


@pytest.fixture(scope="session")
def video_data() -> Path:
    return _folder_of("ACTIONPOSE_VIDEO", "the demo video of Sports2D, sports2d_demo.mp4")


@pytest.fixture
def write_keypoints(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of keypoints, as JSON if it is no text, and returns its path."""

    def write(data: Any, name: str = "clip.json") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return path

    return write


@pytest.fixture(scope="session")
def arms_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Knows "arms down" and "arms up" as the two ends of what tells these motions apart."""
    folder = tmp_path_factory.mktemp("checkpoints")
    plain = ActionPose.from_pretrained(write_checkpoint(folder / "plain"), "cpu")
    rng = np.random.default_rng(0)
    down, up = (plain.embed_motion(one_person(arms(u, 60, rng)))[0] for u in (False, True))
    labels = {"arms down": down - up, "arms up": up - down}
    return write_checkpoint(folder / "knows", labels=labels, text=True, rejection_threshold=-0.9)


@pytest.fixture
def arms_track() -> Keypoints:
    """Arms down for 3 s, up for 3 s."""
    rng = np.random.default_rng(1)
    return one_person(np.concatenate([arms(False, 90, rng), arms(True, 90, rng)]))
