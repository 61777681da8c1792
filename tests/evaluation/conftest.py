"""A corpus of four actions, a checkpoint that knows them, and test splits of paired datasets."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.pretrained import write_checkpoint
from helpers.synthetic_fixtures import h36m_sh, h36m_videopose3d, mpi_inf_3dhp, save_npz

from actionpose import ActionPose
from actionpose.datasets.corpus import Corpus, Motion, open_corpus, write_corpus
from actionpose.datasets.paired import PairedDataset, open_paired
from actionpose.datasets.synthetic.generate import motion
from actionpose.evaluation.recognition import embed_spans
from actionpose.evaluation.views import labeled_spans
from actionpose.prepare.paired.h36m import prepare_h36m
from actionpose.prepare.paired.mpi_inf_3dhp import prepare_3dhp

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


@pytest.fixture(scope="session")
def sh_tables() -> dict[str, Any]:
    """Human3.6M in MotionBERT's form, as loaded."""
    return h36m_sh(frames=50, actions={2: "Directions", 5: "Greeting"})


@pytest.fixture(scope="session")
def sh(sh_tables: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> PairedDataset:
    """Its test split, prepared."""
    folder = tmp_path_factory.mktemp("h36m")
    with (folder / "raw.pkl").open("wb") as file:
        pickle.dump(sh_tables, file)
    return open_paired(prepare_h36m(folder / "raw.pkl", folder / "sh"), "test")


@pytest.fixture(scope="session")
def cpn(tmp_path_factory: pytest.TempPathFactory) -> tuple[PairedDataset, Any, Any]:
    """And in VideoPose3D's form, with the positions in meters and the cameras."""
    folder = tmp_path_factory.mktemp("cpn")
    positions_m, positions_px, cameras = h36m_videopose3d(frames=40)
    save_npz(folder / "data_3d_h36m.npz", positions_3d=positions_m)
    save_npz(folder / "cpn.npz", positions_2d=positions_px)
    (folder / "cameras.json").write_text(json.dumps(cameras))
    prepared = prepare_h36m(
        folder / "data_3d_h36m.npz",
        folder / "cpn",
        keypoints=folder / "cpn.npz",
        cameras=folder / "cameras.json",
    )
    return open_paired(prepared, "test"), positions_m, cameras


@pytest.fixture(scope="session")
def dhp_tables() -> dict[str, Any]:
    """MPI-INF-3DHP's test file, as loaded."""
    return mpi_inf_3dhp(frames=30, test_frames=50)[1]


@pytest.fixture(scope="session")
def dhp(dhp_tables: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> PairedDataset:
    """Its test split, prepared."""
    folder = tmp_path_factory.mktemp("3dhp")
    save_npz(folder / "data_test_3dhp.npz", data=dhp_tables)
    return open_paired(prepare_3dhp(folder, folder / "out", splits=("test",)), "test")
