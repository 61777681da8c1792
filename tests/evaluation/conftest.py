"""A corpus of four actions, and a checkpoint that knows them."""

from pathlib import Path

import numpy as np
import pytest
from helpers.pretrained import write_checkpoint

from actionpose import ActionPose
from actionpose.datasets.corpus import Corpus, Motion, open_corpus, write_corpus
from actionpose.datasets.synthetic.generate import motion
from actionpose.evaluation.recognition import embed_spans
from actionpose.evaluation.views import labeled_spans

ACTIONS = ("lie down", "punch", "walk", "sit")


@pytest.fixture(scope="session")
def action_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Four actions, three times each in train, and twice in val."""
    motions = []
    for i, action in enumerate(ACTIONS * 5):
        made = motion(action, np.random.default_rng(i), duration_s=2.0)
        split = "train" if i < 12 else "val"
        motions.append(Motion(f"m{i:02d}", made.subject, split, made.joints_m, text=action))
    folder = tmp_path_factory.mktemp("corpora") / "four"
    return open_corpus(write_corpus(folder, motions, source="made up", license="ours"))


@pytest.fixture(scope="session")
def action_model(action_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> ActionPose:
    """Labels lie where a random encoder puts the train spans of their action."""
    folder = tmp_path_factory.mktemp("checkpoints")
    plain = ActionPose.from_pretrained(write_checkpoint(folder / "plain"), "cpu")
    spans = labeled_spans([action_corpus], "train")
    embeddings = embed_spans(plain, spans).mean(axis=1)
    embeddings -= embeddings.mean(axis=0)
    labels = {
        action: np.mean([e for e, s in zip(embeddings, spans, strict=True) if s.label == action], 0)
        for action in ACTIONS
    }
    return ActionPose.from_pretrained(write_checkpoint(folder / "knows", labels=labels), "cpu")


@pytest.fixture
def action_checkpoint(tmp_path: Path) -> Path:
    """A checkpoint whose labels lie anywhere, to be written to."""
    return write_checkpoint(
        tmp_path / "c", labels=dict(zip(ACTIONS, np.eye(16)[: len(ACTIONS)], strict=True))
    )
