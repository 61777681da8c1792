"""Fixtures of the tests of datasets."""

import numpy as np
import pytest
from numpy.random import Generator

from actionpose.datasets import projection
from actionpose.datasets.corpus import Corpus, Motion, open_corpus, write_corpus
from actionpose.datasets.synthetic.generate import dataset
from actionpose.utils.typing import Array


@pytest.fixture
def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector without errors, whose confidences are 1; it draws nothing."""

    def exact(num_frames: int, rng: Generator, num_joints: int = 17) -> tuple[Array, Array]:
        return np.zeros((num_frames, num_joints, 2)), np.ones((num_frames, num_joints))

    monkeypatch.setattr(projection, "detector_noise", exact)


ANNOTATIONS = [
    (0, 30, "Walk", "action"),
    (20, 60, "wave the left hand", "action"),
    (60, 70, "transition", "transition"),
    (70, 100, "sit", "action"),
    (70, 80, "look  right", "action"),
]


@pytest.fixture(scope="session")
def walk_m(corpus: Corpus) -> np.ndarray:
    """(T, 17, 3) a motion of the small corpus."""
    whole = corpus.motions()["m00"]
    return np.asarray(corpus.joints_m[whole.start : whole.stop], dtype=float)


@pytest.fixture(scope="session")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A motion with overlapping labels and a transition; others with one label, or none."""
    made = [np.concatenate([m.joints_m] * 3) for m in dataset(12, seed=1)]
    assert min(map(len, made)) >= 100
    motions = [Motion("rich", "s", "train", made[0][:100], "a walk, then a chair", ANNOTATIONS)]
    motions += [Motion("short", "s", "train", made[1][:12], "hop", [(2, 9, "HOP.", "action")])]
    motions += [Motion("sequence", "s", "train", made[2][:50], "run")]
    motions += [Motion("silent", "s", "train", made[3][:50], "")]
    motions += [
        Motion(f"m{i}", "s", "train", made[4 + i][:40], f"act {i}", [(0, 40, f"act {i}", "action")])
        for i in range(8)
    ]
    motions += [Motion("val", "t", "val", made[0][:40], "run")]
    folder = tmp_path_factory.mktemp("annotated") / "annotated"
    return open_corpus(write_corpus(folder, motions, source="made up", license="ours"))
