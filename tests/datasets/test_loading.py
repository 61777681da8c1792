"""Batches in processes that start anew: what is pickled, and what comes out of it."""

import pickle
from pathlib import Path

import numpy as np
import torch

from actionpose.config import FinetuneDataConfig, PretrainDataConfig
from actionpose.datasets.corpus import Corpus, Motion, open_corpus, write_corpus
from actionpose.datasets.lifting import LiftingBatches
from actionpose.datasets.loading import Batches
from actionpose.datasets.motion_text import MotionTextBatches
from actionpose.datasets.paired import VideoData, open_paired, write_paired
from actionpose.datasets.paired_clips import PairedBatches

LARGEST = 1_000_000  # bytes


def large_corpus(folder: Path) -> Corpus:
    """Twenty thousand frames (4 MB) and ten thousand labels."""
    pose = np.random.default_rng(0).random((2_000, 17, 3)).astype(np.float32)
    motions = []
    for name in "abcdefghij":
        labels = [(at, at + 9, f"act {name} {at}", "action") for at in range(0, 1_990, 2)]
        motions.append(Motion(name, "s", "train", pose, "", labels))
    return open_corpus(write_corpus(folder, motions, source="", license=""))


def test_batches_are_pickled_small_and_come_back_the_same(tmp_path: Path) -> None:
    corpora = [(large_corpus(tmp_path / "corpus"), 1.0)]
    settings = {"batch_size": 2, "seed": 3}
    pretrain, finetune = PretrainDataConfig(frames=9), FinetuneDataConfig(frames=9)
    pose = np.random.default_rng(0).normal(0, 400, (9_000, 17, 3))
    video = VideoData(*("v", "S1", "a", "0", (1000, 1000), 50.0), np.abs(pose), pose)
    about = {"kind": "h36m-cpn", "pose_unit": "mm", "unit_mm": 1000.0, "keypoints": "CPN"}
    paired = open_paired(write_paired(tmp_path / "paired", {"train": [video]}, about), "train")
    made: list[Batches] = [
        MotionTextBatches(corpora, pretrain, negatives=4, **settings),
        LiftingBatches(corpora, finetune, **settings),
        PairedBatches(paired, finetune, **settings),
    ]
    for batches in made:
        batches = batches.starting_at(5)
        content = pickle.dumps(batches)
        assert len(content) < LARGEST, type(batches)
        again = pickle.loads(content)
        first, second = next(iter(batches)), next(iter(again))
        assert first.keys() == second.keys() and first["name"] == second["name"]
        for key in first.keys() - {"name"}:
            assert torch.equal(first[key], second[key]), key
