"""Figures 5 and 8: their scores at the extremes, and the whole path on a tiny model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.training_runs import changed

from actionpose import checkpoint, model_hub
from actionpose.actions.label_bank import LabelBank
from actionpose.config import PretrainConfig
from actionpose.datasets.corpus import Corpus, Motion, open_corpus, write_corpus
from actionpose.datasets.synthetic.generate import dataset
from actionpose.experiments import embedding_figures
from actionpose.experiments.embedding_figures import (
    draw_figure5,
    draw_figure8,
    embed_spans,
    separation,
)
from actionpose.training.pretrain import pretrain
from actionpose.utils.errors import UserError

pytest.importorskip("sklearn")


def test_separation_at_its_extremes() -> None:
    axes = F.normalize(torch.eye(3).repeat_interleave(8, dim=0) + 0.01 * torch.rand(24, 3), dim=-1)
    labels = [label for label in "abc" for _ in range(8)]
    apart = separation(axes, labels)
    assert apart["knn"] == 1 and apart["silhouette"] > 0.95
    assert apart["knn_chance"] == pytest.approx(1 / 3)
    mixed = separation(axes, [*"abc"] * 8)
    assert mixed["silhouette"] < 0.1 and mixed["knn"] < 0.6


def test_separation_leaves_a_clip_out_of_its_neighbors() -> None:
    """Two clips in the same place with two labels: each one's neighbor is the other."""
    features = F.normalize(torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]]), dim=-1)
    assert separation(features, ["a", "b", "a", "b"])["knn"] <= 0.5


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Sixteen held-out motions of two labels."""
    motions = [
        Motion(f"m{i:02d}", "s", "val", made.joints_m[:30], "walk" if i % 2 else "sit down")
        for i, made in enumerate(dataset(16, seed=2))
    ]
    folder = tmp_path_factory.mktemp("held") / "out"
    return open_corpus(write_corpus(folder, motions, source="", license=""))


@pytest.fixture
def trained(tiny_pretraining: PretrainConfig, tmp_path: Path) -> Path:
    pretrain(changed(tiny_pretraining, max_minutes=0.0), tmp_path / "run", quiet=True)
    return model_hub.find(tmp_path / "run")


def test_embed_spans_sees_whole_clips(
    trained: Path, held_out: Corpus, tiny_pretraining: PretrainConfig
) -> None:
    found = embed_spans(trained, [held_out], "val")
    assert found.labels == ["sit down", "walk"] * 8 and found.names[0] == "m00[10:19]"
    torch.testing.assert_close(found.embedding.norm(dim=1), torch.ones(16))
    torch.testing.assert_close(found.pooled.norm(dim=1), torch.ones(16))
    assert found.keypoints.shape == (16, 9, 17, 3)
    # nothing is hidden, though training hides
    assert tiny_pretraining.data.masks
    assert (found.keypoints[..., 2] > 0).all()
    # the mean of the backbone's features, over frames and joints
    encoder, _ = checkpoint.load_encoder(trained)
    with torch.no_grad():
        x = encoder.embed(torch.from_numpy(found.keypoints[:1]))
        for layer in range(2):
            x = encoder.pair(layer, x, None)
        expected = F.normalize(encoder.norm(x[:, 1:]).mean(dim=(1, 2)), dim=-1)
    torch.testing.assert_close(found.pooled[:1], expected, atol=1e-4, rtol=0)


def test_draw_figure5_scores_both_embeddings(
    trained: Path, held_out: Corpus, tmp_path: Path
) -> None:
    report = draw_figure5(trained, trained, [held_out], tmp_path / "five.png")
    assert (report["by"], report["clips"], report["labels"]) == ("verb", 16, 2)
    assert set(report["scores"]) == {"without text", "with text"}
    assert all(0 <= score["knn"] <= 1 for score in report["scores"].values())
    assert (tmp_path / "five.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="needs two verbs and eight clips"):
        draw_figure5(trained, trained, [held_out], tmp_path / "no.png", num_labels=1)
    assert not (tmp_path / "no.png").exists()


def test_draw_figure5_compares_the_same_spans(
    tiny_pretraining: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A baseline that was trained with labels of another kind has clips of ours' labels."""
    parts = [(0, 12, "walk", "action"), (12, 30, "sit", "action"), (0, 30, "rise", "transition")]
    motions = [
        Motion(f"m{i}", "s", "val", made.joints_m[:30], "", labels=parts)
        for i, made in enumerate(dataset(4, seed=2))
    ]
    corpus = open_corpus(write_corpus(tmp_path / "parts", motions, source="", license=""))
    folders = []
    for kinds in (("action",), ("action", "transition")):
        data = replace(tiny_pretraining.data, label_kinds=kinds)
        config = changed(replace(tiny_pretraining, data=data), max_minutes=0.0)
        run = tmp_path / "_".join(kinds)
        pretrain(config, run, quiet=True)
        folders.append(model_hub.find(run))
    ours, baseline = folders
    assert len(embed_spans(baseline, [corpus], "val").labels) == 12
    expected = embed_spans(baseline, [corpus], "val", label_kinds=("action",))
    assert expected.labels == embed_spans(ours, [corpus], "val").labels == ["walk", "sit"] * 4
    seen = []

    def note(features: torch.Tensor, labels: list[str]) -> dict[str, float]:
        seen.append((features, labels))
        return separation(features, labels)

    monkeypatch.setattr(embedding_figures, "separation", note)
    draw_figure5(ours, baseline, [corpus], tmp_path / "five.png")
    features, labels = seen[0]
    assert labels == expected.labels
    torch.testing.assert_close(features, expected.pooled)


def test_draw_figure8_gives_softmax_of_cosines(
    trained: Path, held_out: Corpus, tmp_path: Path
) -> None:
    found = embed_spans(trained, [held_out], "val")
    assert set(found.verbs) == {"walk", "sit"}
    report = draw_figure8(trained, found, ["Walk", "sit down"], tmp_path / "eight.png")
    assert [clip["label"] for clip in report] == ["walk", "sit down"]
    texts = torch.from_numpy(LabelBank(trained).embed(["walk"]))
    for clip in report:
        assert sum(clip["probabilities"].values()) == pytest.approx(1)
        row = found.names.index(clip["clip"])
        assert clip["cosines"]["walk"] == pytest.approx(float(found.embedding[row] @ texts[0]))
        ratio = clip["probabilities"]["walk"] / clip["probabilities"]["sit down"]
        difference = clip["cosines"]["walk"] - clip["cosines"]["sit down"]
        assert np.log(ratio) == pytest.approx(difference / 0.1, rel=1e-3)
    named = draw_figure8(trained, found, ["walk", "fly"], tmp_path / "named.pdf", motions=["m03"])
    assert named[0]["label"] == "walk" and (tmp_path / "named.pdf").stat().st_size > 1000
    for match, labels, motions in (
        ("two or more that differ", ["walk", "Walk."], None),
        ("no labeled motion nobody", ["fly", "swim"], ["nobody"]),
    ):
        with pytest.raises(UserError, match=match):
            draw_figure8(trained, found, labels, tmp_path / "no.png", motions=motions)
    # where no clip has one of the labels, the clips most like each
    likest = draw_figure8(trained, found, ["fly", "swim"], tmp_path / "likest.png")
    cosines = found.embedding @ torch.from_numpy(LabelBank(trained).embed(["fly", "swim"])).T
    rows = [found.names.index(clip["clip"]) for clip in likest]
    assert rows == list(dict.fromkeys(cosines.argmax(dim=0).tolist()))


def test_figures_refuse_models_without_text_or_token(
    tiny_pretraining: PretrainConfig, held_out: Corpus, tmp_path: Path
) -> None:
    config = replace(changed(tiny_pretraining, max_minutes=0.0), loss_weights={"position": 1.0})
    pretrain(config, tmp_path / "silent", quiet=True)
    silent = model_hub.find(tmp_path / "silent")
    with pytest.raises(UserError, match="knows no text"):
        found = embed_spans(silent, [held_out], "val")
        draw_figure8(silent, found, ["walk", "run"], tmp_path / "no.png")
    bare = replace(config, model=replace(config.model, class_token=False))
    pretrain(bare, tmp_path / "bare", quiet=True)
    with pytest.raises(UserError, match="has no motion embedding"):
        draw_figure5(model_hub.find(tmp_path / "bare"), silent, [held_out], tmp_path / "no.png")
