"""Fixtures of several files: a small corpus, a small model, and data that not everyone has."""

import os
from pathlib import Path

import pytest
import torch

from actionpose.config import ClipConfig, FinetuneConfig, ModelConfig, TrainingConfig
from actionpose.corpus import Corpus, Motion, open_corpus, write_corpus
from actionpose.synthetic import dataset

torch.set_num_threads(1)  # tiny models; more threads only wait for each other


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
    return open_corpus(write_corpus(folder, motions, source="made up", licence="ours"))


@pytest.fixture
def tiny_config(corpus: Corpus) -> FinetuneConfig:
    """Stage two in twelve steps of four clips; dropout only in the pooling that it does not use."""
    return FinetuneConfig(
        model=ModelConfig(
            width=16, depth=2, num_heads=2, rep_width=16, max_frames=27, class_token=False
        ),
        data=ClipConfig(corpora={str(corpus.folder): 1.0}, frames=9, stride=9),
        training=TrainingConfig(
            epochs=1, batch_size=4, learning_rate=2e-3, log_every=1, save_every=1000, device="cpu"
        ),
    )


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
