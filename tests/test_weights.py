"""The bundled models: their scores on a fixed sample have not moved.

To renew the numbers after new weights: print `scores` below, and say in the card what changed.
"""

from pathlib import Path

import numpy as np
import pytest

from actionpose import ActionPose
from actionpose.checkpoint import load
from actionpose.datasets.corpus import Motion, open_corpus, write_corpus
from actionpose.datasets.synthetic.generate import motion
from actionpose.evaluation.error_bars import heads_errors, report
from actionpose.evaluation.open_benchmark import evaluate_open
from actionpose.evaluation.views import NUM_VIEWS, project
from actionpose.model_hub import bundled

ACTIONS = ("walk", "squat", "punch", "bow", "jump", "wave")
SCORES = {
    "tiny": {"mpjpe_mm": 33.65, "p_mpjpe_mm": 26.98, "mpjve_mm": 4.06},
    "small": {"mpjpe_mm": 32.40, "p_mpjpe_mm": 25.76, "mpjve_mm": 3.64},
    "tiny-research": {"mpjpe_mm": 35.68, "p_mpjpe_mm": 28.25, "mpjve_mm": 3.99},
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One motion of each of six actions, as people that nobody trained on."""
    made = [motion(action, np.random.default_rng([99, n])) for n, action in enumerate(ACTIONS)]
    motions = [
        Motion(f"m{n}", m.subject, "val", m.joints_m[:81], m.text) for n, m in enumerate(made)
    ]
    folder = tmp_path_factory.mktemp("sample") / "made"
    return write_corpus(folder, motions, source="made up", license="ours")


@pytest.mark.parametrize("name", sorted(SCORES))
def test_bundled_models_keep_their_scores(name: str, sample: Path) -> None:
    model = ActionPose.from_pretrained(name, "cpu")
    report = evaluate_open(lambda clips: model.predict(clips, (2, 2)), [open_corpus(sample)], "val")
    scores = {metric: report["scores"][metric].mean for metric in SCORES[name]}
    assert scores == pytest.approx(SCORES[name], abs=0.2)


def test_tiny_knows_which_way_people_turn() -> None:
    """Six people who turn, some to either side, in four views each."""
    model = ActionPose.from_pretrained("tiny", "cpu")
    labels = ["turn to the left", "turn to the right"]
    texts = model.embed_text(labels)
    made = [motion("turn", np.random.default_rng([99, n])) for n in range(6)]
    assert {m.text for m in made} == set(labels)
    for n, m in enumerate(made):
        for view in range(NUM_VIEWS):
            embedding = model.embed_motion(project(m.joints_m.astype(float), f"{n}", view, 30.0))[0]
            assert labels[(texts @ embedding).argmax()] == m.text


def test_bars_of_tiny_cover_what_they_state(sample: Path) -> None:
    """On motion unlike that which they are calibrated on, within some percent."""
    model = ActionPose.from_pretrained("tiny", "cpu")
    scores = report(heads_errors(model, [open_corpus(sample)], "val"), model.error_bars)
    assert 55 < scores["coverage_68"] < 85 and 88 < scores["coverage_95"] < 100


@pytest.mark.parametrize("name", sorted(SCORES))
def test_bundled_models_make_timelines_of_short_windows(name: str) -> None:
    """Of 0.9 s; the last frame is one that the embedding reads."""
    model = ActionPose.from_pretrained(name, "cpu")
    assert model.timeline_frames == (28 if model.encoder.embedding_stride == 3 else 27)


def test_bundled_models_have_cards_with_license_and_recipe() -> None:
    assert bundled().keys() == SCORES.keys()
    for folder in bundled().values():
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert "license" in card and "recipes/" in card
        _, meta = load(folder)
        assert all(data["license"] for data in meta["data"])
        if any("NC" in data["license"] for data in meta["data"]):
            assert folder.name == "tiny-research", "the others are for everyone"
            assert "CC BY-NC" in card and "Not for commercial use" in card
