"""Search: what is found, when an index is made anew, and what the command refuses."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import call
from helpers.pretrained import write_checkpoint
from helpers.results import HEADER

from actionpose import ActionPose, Result
from actionpose.datasets.corpus import Corpus, open_corpus
from actionpose.inference import search
from actionpose.inference.search import (
    Index,
    best_hits,
    embed_motions,
    embed_span,
    find_sources,
    open_index,
    unit,
)
from actionpose.models import build_encoder
from actionpose.postprocessing.selection import select
from actionpose.utils.errors import UserError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "a"
    return write_checkpoint(folder, labels={"walk": np.arange(16.0), "run": -np.arange(16.0)})


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> ActionPose:
    return ActionPose.from_pretrained(checkpoint, "cpu")


def as_result(corpus: Corpus, motion: str) -> Result:
    """A motion of a corpus as if it had been lifted from its front view, without embeddings."""
    from actionpose.datasets.projection import IMAGE_SIZE, place_camera
    from actionpose.geometry.camera import heading_rad

    span = corpus.motions()[motion]
    joints_m = np.asarray(corpus.joints_m[span.start : span.stop], np.float64)
    camera = place_camera(joints_m, heading_rad(joints_m[0]), 4.5, 1.5)
    in_camera_m = camera.from_world(joints_m)
    points = np.ones((1, len(joints_m), 17, 3))
    points[0, ..., :2] = camera.project(in_camera_m)
    return Result(
        pose_m=(in_camera_m - in_camera_m[:, :1])[None],
        keypoints_px=points,
        valid=np.ones((1, len(joints_m)), bool),
        track_id=np.array([0]),
        time_s=np.arange(len(joints_m)) / 30,
        header={**HEADER, "fps": 30.0, "image_size": IMAGE_SIZE},
    )


def test_search_finds_a_motion_by_itself(corpus: Corpus, model: ActionPose, tmp_path: Path) -> None:
    motions = [motion for motion, span in corpus.motions().items() if len(span) > 30]
    for motion in motions:
        as_result(corpus, motion).save(tmp_path / f"{motion}.npz")
    sources = find_sources([tmp_path])
    assert len(sources) == len(motions) == 8
    indices = [open_index(path, model, folder=tmp_path / "index") for path in sources]
    for path in sources:
        hits = best_hits(indices, embed_span(path, model, 0.0, 0.9), top=5)  # one window
        assert (hits[0].source, hits[0].start_s, hits[0].stop_s) == (path, 0.0, 0.9)
        assert hits[0].score == pytest.approx(1, abs=1e-3)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_best_hits_of_a_motion_do_not_overlap() -> None:
    spans_s = np.array([[0.0, 2], [1, 3], [2, 4], [0, 2]])
    embeddings = unit(np.array([[1.0, 0], [1, 0.1], [1, 0.5], [1, 1]]))
    index = Index(Path("x"), embeddings, spans_s, np.array([0, 0, 0, 1]), [("a", ""), ("b", "t")])
    hits = best_hits([index], np.array([1.0, 0]), top=10)
    assert [(hit.motion, hit.start_s) for hit in hits] == [("a", 0), ("a", 2), ("b", 0)]
    assert best_hits([index], np.array([1.0, 0]), top=1) == hits[:1]


def test_open_index_renews_what_has_changed(
    corpus: Corpus, model: ActionPose, tmp_path: Path
) -> None:
    made: list[int] = []
    first = open_index(corpus.folder, model, folder=tmp_path, progress=made.append)
    assert sum(made) == len(first.embeddings) > 9
    made.clear()
    again = open_index(corpus.folder, model, folder=tmp_path, progress=made.append)
    assert not made and again.motions == first.motions
    np.testing.assert_allclose(again.embeddings, first.embeddings, atol=1e-3)
    np.testing.assert_array_equal(again.spans_s, first.spans_s)

    other = ActionPose.from_pretrained(write_checkpoint(tmp_path / "b", seed=3), "cpu")
    changed = open_index(corpus.folder, other, folder=tmp_path, progress=made.append)
    assert made and not np.allclose(changed.embeddings, first.embeddings, atol=0.01)

    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])  # damaged
    made.clear()
    open_index(corpus.folder, model, folder=tmp_path, progress=made.append)
    assert made


def test_open_index_is_made_anew_by_models_without_a_hash(corpus: Corpus, tmp_path: Path) -> None:
    meta = {"frames": 27, "fps": 30.0, "normalization": "box"}
    sizes = {"dim": 16, "depth": 1, "num_heads": 2, "middle_layer": 1, "embedding_dim": 16}
    for name in ("a", "b"):
        own = ActionPose(build_encoder(**sizes).eval(), meta, name=name)
        found = open_index(corpus.folder, own, folder=tmp_path)
        again = search._make_index(corpus.folder, own, lambda windows: None)
        np.testing.assert_array_equal(found.embeddings, again.embeddings)
    assert not list(tmp_path.iterdir())


def test_open_index_renews_a_changed_result(
    corpus: Corpus, model: ActionPose, tmp_path: Path
) -> None:
    path = tmp_path / "r.npz"
    as_result(corpus, "m00").save(path)
    first = open_index(path, model, folder=tmp_path / "index")
    as_result(corpus, "m04").save(path)
    os.utime(path, ns=(0, 123456789))
    second = open_index(path, model, folder=tmp_path / "index")
    assert not np.allclose(first.embeddings[0], second.embeddings[0], atol=1e-3)


def test_embed_motions_ignores_heading(corpus: Corpus, model: ActionPose) -> None:
    joints_m = np.asarray(corpus.joints_m[:27], np.float64)
    turned = joints_m @ np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]) + [3, -5, 0]
    a, b = embed_motions([joints_m, turned], 30.0, model)
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_query_is_what_is_between_its_times(
    corpus: Corpus, model: ActionPose, tmp_path: Path
) -> None:
    path = tmp_path / "r.npz"
    result = as_result(corpus, "m00")
    result.save(path)
    middles_s = open_index(path, model, folder=tmp_path).spans_s.mean(axis=1)
    start_s, stop_s = middles_s[0] + 0.05, middles_s[1] - 0.05  # no window has its middle there
    part = select(result, start_s=start_s, stop_s=stop_s)
    expected, spans_s = model.embed_windows(part)
    assert len(spans_s) == 1
    found = embed_span(path, model, start_s, stop_s)
    np.testing.assert_allclose(found, expected[0, 0], atol=1e-6)
    nobody = replace(result, valid=np.zeros_like(result.valid))
    nobody.save(path)
    with pytest.raises(UserError, match="in any frame"):
        embed_span(path, model)


def test_find_sources(corpus: Corpus, tmp_path: Path) -> None:
    as_result(corpus, "m00").save(tmp_path / "r.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "notes.txt").write_text("no motion")
    assert find_sources([tmp_path, tmp_path / "r.npz"]) == [tmp_path / "r.npz"]
    assert find_sources([corpus.folder.parent]) == [corpus.folder]
    with pytest.raises(UserError, match="nothing to search in"):
        find_sources([tmp_path / "other.npz"])
    with pytest.raises(UserError, match="there is no"):
        find_sources([tmp_path / "nowhere"])


def test_actions_command_writes_timelines(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    corpus: Corpus,
    checkpoint: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    as_result(corpus, "m00").save(tmp_path / "r.npz")
    places = (corpus.folder, tmp_path / "r.npz")
    base = ("--checkpoint", checkpoint, "--device", "cpu", "-q")
    json_out = tmp_path / "hits.json"
    flags = ("--top", 4, "--json", json_out, *base)
    assert call(monkeypatch, "search", "Walk", *places, *flags) == 0
    shown = capsys.readouterr().out
    assert "4 hits among" in shown and "of 2 sources" in shown
    hits = json.loads(json_out.read_text())
    assert len(hits) == 4 and {"score", "source", "start_s"} <= hits[0].keys()
    assert len(list(search.index_folder().glob("*.npz"))) == 2

    query = tmp_path / "r.npz"
    assert call(monkeypatch, "search", query, query, "--start", 0.2, "--top", 1, *base) == 0
    assert "id 0\n" in capsys.readouterr().out

    for arguments, message in [
        (("walk", tmp_path / "gone"), "there is no"),
        (("fly", *places), "no text encoder"),
        (("walk",), "where to search"),
        ((" ", *places), "no label"),
        (("walk", *places, "--start", 1), "belong to a query"),
        ((query, query, "--start", 99), "there is no frame from 99"),
        ((query, query, "--start", 0.5, "--stop", 0.2), "--start must be less than"),
        (("walk", *places, "--top", 0), "--top"),
        ((tmp_path / "gone.npz", query), "there is no file"),
    ]:
        assert call(monkeypatch, "search", *arguments, *base) == 2
        assert message in capsys.readouterr().err


def test_embed_motions_at_another_frame_rate(model: ActionPose, corpus: Corpus) -> None:
    """Twice the frames a second, the same motion: nearly the same embedding."""
    span = open_corpus(corpus.folder).motions()["m00"]
    joints_m = np.asarray(corpus.joints_m[span.start : span.start + 27], np.float64)
    middle = (joints_m[1:] + joints_m[:-1]) / 2
    fast = np.empty((53, 17, 3))
    fast[::2], fast[1::2] = joints_m, middle
    a, b = embed_motions([joints_m], 30.0, model)[0], embed_motions([fast], 60.0, model)[0]
    assert a @ b > 0.98


def test_open_index_makes_a_damaged_index_anew(
    corpus: Corpus, model: ActionPose, tmp_path: Path
) -> None:
    first = open_index(corpus.folder, model, folder=tmp_path)
    (path,) = tmp_path.glob("*.npz")
    with np.load(path) as file:
        arrays = dict(file)
    for name, change in (
        ("embeddings", arrays["embeddings"][:, :3]),
        ("embeddings", np.full_like(arrays["embeddings"], np.nan)),
        ("motion", arrays["motion"] + 1000),
        ("spans_s", arrays["spans_s"][:1]),
        ("header", np.array("{")),
    ):
        np.savez(path, **arrays | {name: change})
        again = open_index(corpus.folder, model, folder=tmp_path)
        np.testing.assert_allclose(again.embeddings, first.embeddings, atol=1e-3)
        np.testing.assert_array_equal(again.motion, first.motion)


def test_open_index_without_a_place_for_it(
    corpus: Corpus, model: ActionPose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = open_index(corpus.folder, model, folder=tmp_path / "index").embeddings
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    np.testing.assert_allclose(open_index(corpus.folder, model).embeddings, expected, atol=1e-3)
    with pytest.raises(UserError, match="cannot make the folder"):
        open_index(corpus.folder, model, folder=tmp_path / "file" / "index")
