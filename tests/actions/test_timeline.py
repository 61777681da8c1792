"""Timelines: the path through scores, the windows, the labels, the files, the command."""

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.command_line import call
from helpers.pretrained import write_checkpoint

from actionpose import ActionPose, Keypoints, Result
from actionpose.actions.timeline import (
    OTHER,
    STEP_S,
    Action,
    best_path,
    clean_labels,
    decode,
    drop_short,
    scores_over_time,
    timeline,
)
from actionpose.export import timelines
from actionpose.models import PoseEncoder
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

# --- the path ---


def test_best_path_is_the_best_of_all() -> None:
    """Against every path there is."""
    rng = np.random.default_rng(0)
    for cost in (0.0, 0.3, 1.0, 5.0):
        scores = rng.normal(size=(6, 3))

        def gain(path: tuple[int, ...], scores: np.ndarray = scores, cost: float = cost) -> float:
            changes = sum(a != b for a, b in itertools.pairwise(path))
            return sum(scores[row, column] for row, column in enumerate(path)) - cost * changes

        best = max(itertools.product(range(3), repeat=6), key=gain)
        found = best_path(scores, cost)
        assert gain(tuple(found)) == pytest.approx(gain(best))


def test_a_switch_has_to_pay() -> None:
    scores = np.zeros((10, 2))
    scores[:, 0] = 0.1
    scores[4:6, 1] = 0.4  # two rows gain 0.6 over column 0
    assert best_path(scores, cost=0.2).tolist() == [0] * 4 + [1] * 2 + [0] * 4
    assert set(best_path(scores, cost=0.4)) == {0}


def test_short_stretches_go_to_the_better_neighbor() -> None:
    path = np.array([0, 0, 0, 1, 2, 2, 2])
    scores = np.zeros((7, 3))
    scores[3, 2] = 1
    assert drop_short(path, scores, 2).tolist() == [0, 0, 0, 2, 2, 2, 2]
    assert drop_short(np.array([1]), scores, 5).tolist() == [1]  # nothing to give it to


def test_decode_leaves_out_what_is_not_there() -> None:
    scores = np.full((30, 1), 0.9)
    scores[20:] = 0.1
    valid = np.ones(30, bool)
    valid[10:15] = False
    assert decode(scores, valid, threshold=0.5) == [(0, 10, 0), (15, 20, 0), (20, 30, 1)]
    assert decode(scores, ~(valid | True), threshold=0.5) == []


def test_other_can_be_left_out() -> None:
    embeddings, spans_s = np.eye(4)[:3], np.array([[0.0, 1], [1, 2], [2, 3]])
    found = timeline(embeddings, spans_s, np.eye(4)[3:], ["fly"], threshold=-1)
    assert [a.label for a in found] == ["fly"]
    assert timeline(embeddings, spans_s, np.eye(4)[3:], ["fly"])[0].label == OTHER


# --- windows ---


@pytest.mark.parametrize(("short", "frames"), [(0.5, 27), (0.0, 81), (None, 81)])
def test_timelines_look_through_windows_that_were_trained(short: float | None, frames: int) -> None:
    data = {} if short is None else {"temporal_crop": short}
    meta = {"frames": 81, "fps": 30.0, "normalization": "box", "config": {"data": data}}
    sizes = {"dim": 16, "depth": 1, "num_heads": 1, "dim_rep": 16, "middle_layer": 1}
    encoder = PoseEncoder(**sizes, max_frames=81)
    model = ActionPose(encoder.eval(), meta, name="random")
    rng = np.random.default_rng(0)
    seen = Keypoints(
        keypoints_px=rng.random((1, 100, 17, 3), dtype=np.float32),
        valid=np.ones((1, 100), bool),
        track_id=np.zeros(1, np.int64),
        fps=30.0,
        image_size=None,
        skeleton=H36M17,
    )
    _, spans_s = model.embed_windows(seen)
    assert set(np.rint(np.diff(spans_s).ravel() * 30)) == {frames}
    _, spans_s = model.embed_windows(seen, length=81)
    assert set(np.rint(np.diff(spans_s).ravel() * 30)) == {81}


def test_scores_over_time_weigh_windows_by_their_middle() -> None:
    spans_s = np.array([[0.0, 1.0], [0.5, 1.5], [9, 10]])
    embeddings = np.array([[1.0, 0], [0, 1], [0, 0]])  # in the last one nobody is visible
    edges_s, scores, valid = scores_over_time(embeddings, spans_s, np.array([[1.0, 0]]))
    steps_s = (edges_s[:-1] + edges_s[1:]) / 2
    np.testing.assert_array_equal(valid, steps_s < 1.5)
    at = [int(np.argmin(np.abs(steps_s - time_s))) for time_s in (0.15, 0.65, 0.75, 0.95)]
    first, early, middle, late = scores[at, 0]
    assert first == 1 and middle == pytest.approx(0.5)
    assert early > 0.5 > late


def test_timeline_of_known_embeddings() -> None:
    """Ten seconds: four of one direction, six of another."""
    spans_s = np.array([[t, t + 1] for t in np.arange(0, 9.01, 0.25)])
    first = spans_s.mean(axis=1) < 4
    embeddings = np.where(first[:, None], [1.0, 0, 0], [0, 1.0, 0])
    found = timeline(embeddings, spans_s, np.eye(3), ["a", "b", "c"], person=2)
    assert [a.label for a in found] == ["a", "b"]
    assert (
        found[0].stop_s == pytest.approx(4, abs=2 * STEP_S) and found[0].stop_s == found[1].start_s
    )
    assert (found[0].start_s, found[1].stop_s) == (0, 10)
    assert all(a.person == 2 and a.score > 0.8 and len(a.top) == 3 for a in found)
    assert found[1].top[0] == ("b", found[1].score)


# --- labels ---


def test_labels_are_cleaned() -> None:
    assert clean_labels([" walk", "Walk", "sit  down", "", "other"]) == ["walk", "sit down"]
    for empty in ([], ["", " "], ["other"]):
        with pytest.raises(UserError, match="no label"):
            clean_labels(empty)
    with pytest.raises(UserError, match="300 words"):
        clean_labels(["walk", "very " * 299 + "slowly"])
    with pytest.raises(UserError, match="not one text"):
        clean_labels("walk, run")


def arms(up: bool, frames: int, rng: np.random.Generator) -> np.ndarray:
    """(T, 17, 3) pixels of a person whose arms hang, or who holds them up and sways."""
    joints = {"pelvis": (500, 500), "spine": (500, 430), "thorax": (500, 360), "nose": (500, 320)}
    joints |= {"head": (500, 290)}
    for sign, side in ((1, "left"), (-1, "right")):
        joints |= {f"{side}_hip": (500 + 30 * sign, 500), f"{side}_knee": (500 + 30 * sign, 620)}
        joints |= {f"{side}_ankle": (500 + 30 * sign, 740)}
        joints |= {f"{side}_shoulder": (500 + 50 * sign, 365)}
        reach = -90 if up else 90
        joints |= {f"{side}_elbow": (500 + 60 * sign, 365 + reach)}
        joints |= {f"{side}_wrist": (500 + 60 * sign, 365 + 2 * reach)}
    points = np.array([[*joints[name], 1.0] for name in H36M17.joints])
    track = np.repeat(points[None], frames, axis=0)
    if up:
        track[..., 0] += 25 * np.sin(np.arange(frames) / 3)[:, None]
    track[..., :2] += rng.normal(0, 1, (frames, 17, 2))
    return track.astype(np.float32)


def keypoints(track: np.ndarray, fps: float = 30.0) -> Keypoints:
    return Keypoints(
        keypoints_px=track[None],
        valid=(track[..., 2] > 0).any(axis=1)[None],
        track_id=np.array([1]),
        fps=fps,
        image_size=(1000, 1000),
        skeleton=H36M17,
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Knows "arms down" and "arms up" as the two ends of what tells these motions apart."""
    folder = tmp_path_factory.mktemp("checkpoints")
    plain = ActionPose.from_pretrained(write_checkpoint(folder / "plain"), "cpu")
    rng = np.random.default_rng(0)
    down, up = (plain.embed_motion(keypoints(arms(u, 60, rng)))[0] for u in (False, True))
    labels = {"arms down": down - up, "arms up": up - down}
    return write_checkpoint(folder / "knows", labels=labels, text=True, rejection_threshold=-0.9)


@pytest.fixture
def track() -> Keypoints:
    """Arms down for 3 s, up for 3 s."""
    rng = np.random.default_rng(1)
    return keypoints(np.concatenate([arms(False, 90, rng), arms(True, 90, rng)]))


def test_from_keypoints_to_timeline(checkpoint: Path, track: Keypoints) -> None:
    model = ActionPose.from_pretrained(checkpoint, "cpu")
    found = model.actions(track, ["Arms up", "arms down"])
    assert [a.label for a in found] == ["arms down", "Arms up"]
    assert found[0].stop_s == pytest.approx(3, abs=0.5)
    assert found[-1].stop_s == pytest.approx(6, abs=0.05)
    # the same at another rate of frames
    slow = keypoints(track.keypoints_px[0, ::2], fps=15)
    assert [a.label for a in model.actions(slow, ["arms up", "arms down"])] == [
        "arms down",
        "arms up",
    ]


def test_embeddings_are_unit_vectors_of_one_space(checkpoint: Path, track: Keypoints) -> None:
    model = ActionPose.from_pretrained(checkpoint, "cpu")
    motion, text = model.embed_motion(track), model.embed_text(["arms up", "walk on a chair"])
    assert motion.shape == (1, 16) and text.shape == (2, 16)
    np.testing.assert_allclose(np.linalg.norm([*motion, *text], axis=1), 1, atol=1e-5)
    windows, spans_s = model.embed_windows(track)
    assert windows.shape == (1, len(spans_s), 16)
    # one label at a time gives what all at once give
    one = np.stack([model.embed_text([label])[0] for label in ("arms up", "walk on a chair")])
    np.testing.assert_allclose(text, one, atol=1e-6)


def test_embeddings_do_without_the_layers_above(checkpoint: Path, track: Keypoints) -> None:
    encoder = ActionPose.from_pretrained(checkpoint, "cpu").encoder
    clips = torch.from_numpy(track.keypoints_px[:, :20] / 1000)
    with torch.no_grad():
        torch.testing.assert_close(encoder.embed_motion(clips), encoder(clips).embedding)
        valid = torch.arange(20)[None] < 12
        torch.testing.assert_close(
            encoder.embed_motion(clips, valid), encoder(clips, valid).embedding
        )


def test_a_person_who_is_not_there_does_nothing(checkpoint: Path, track: Keypoints) -> None:
    points = track.keypoints_px[0].copy()
    points[60:120] = 0
    model = ActionPose.from_pretrained(checkpoint, "cpu")
    found = model.actions(keypoints(points), ["arms up", "arms down"])
    assert {a.label for a in found} == {"arms up", "arms down"}
    gap = [(a.stop_s, b.start_s) for a, b in itertools.pairwise(found) if a.stop_s < b.start_s]
    assert len(gap) == 1 and gap[0][0] < 2.7 and gap[0][1] > 3.3


def test_results_carry_embeddings(checkpoint: Path, track: Keypoints, tmp_path: Path) -> None:
    model = ActionPose.from_pretrained(checkpoint, "cpu")
    model.lift(track).save(tmp_path / "r.npz")
    result = Result.load(tmp_path / "r.npz")
    assert result.embeddings is not None and result.embeddings.dtype == np.float32
    assert result.header["checkpoint"]["name"] == str(checkpoint)
    found = model.actions(result, ["arms up", "arms down"])
    assert [a.label for a in found] == ["arms down", "arms up"]
    assert found == model.actions(track, ["arms up", "arms down"])


def test_result_of_another_model_is_embedded_anew(
    checkpoint: Path, track: Keypoints, tmp_path: Path
) -> None:
    other = ActionPose.from_pretrained(
        write_checkpoint(tmp_path / "other", seed=1, text=True), "cpu"
    )
    result = other.lift(track)
    model = ActionPose.from_pretrained(checkpoint, "cpu")
    expected = model.actions(track, ["arms up", "arms down"])
    assert model.actions(result, ["arms up", "arms down"]) == expected
    del result.header["checkpoint"]  # of a model that nobody knows
    assert model.actions(result, ["arms up", "arms down"]) == expected


def test_shorter_than_a_window(checkpoint: Path) -> None:
    model = ActionPose.from_pretrained(checkpoint, "cpu")
    for frames in (1, 2, 10):
        short = keypoints(arms(True, frames, np.random.default_rng(0)))
        found = model.actions(short, ["arms up", "arms down"])
        assert len(found) == 1 and found[0].stop_s == pytest.approx(frames / 30, abs=1e-3)


def test_one_label_and_five_thousand(checkpoint: Path, track: Keypoints) -> None:
    model = ActionPose.from_pretrained(checkpoint, "cpu")
    cosines = model.embed_windows(track)[0][0] @ model.embed_text(["arms up"])[0]
    between = float(cosines.min() + cosines.max()) / 2
    found = model.actions(track, ["arms up"], threshold=between, transition_penalty=0)
    assert [a.label for a in found] == [OTHER, "arms up"]
    words = ["walk", "run", "sit", "stand", "up", "down", "chair", "hand", "wave", "person"]
    many = [" ".join(p) for p in itertools.product(words, repeat=4)][:5000]
    found = model.actions(track, [*many, "arms up", "arms down"], threshold=-1)
    assert found and found[-1].stop_s == pytest.approx(6, abs=0.05)
    assert all(len(a.top) == 3 for a in found)


def test_checkpoints_without_text(checkpoint: Path, track: Keypoints, tmp_path: Path) -> None:
    known = {"arms up": np.ones(16), "walk": -np.ones(16)}
    model = ActionPose.from_pretrained(write_checkpoint(tmp_path / "known", labels=known), "cpu")
    assert model.actions(track, ["ARMS  up"])  # known labels need no text encoder
    with pytest.raises(UserError, match="no text encoder, and 'fly' is none of its 2 labels"):
        model.actions(track, ["arms up", "fly"])
    silent = ActionPose.from_pretrained(write_checkpoint(tmp_path / "silent"), "cpu")
    assert silent.lift(track).embeddings is None
    with pytest.raises(UserError, match="knows no text"):
        silent.actions(track, ["walk"])
    folder = write_checkpoint(tmp_path / "no_token", class_token=False, labels=known)
    with pytest.raises(UserError, match="no <POSE> token"):
        ActionPose.from_pretrained(folder, "cpu").actions(track, ["walk"])


def test_damaged_labels(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "c")
    (folder / "labels.safetensors").write_bytes(b"not a table")
    with pytest.raises(UserError, match="damaged"):
        ActionPose.from_pretrained(folder, "cpu")


# --- files ---

ACTIONS = [
    Action(0.0, 1.25, "walk, then run", 0.81, 0, (("walk, then run", 0.81), ("sit", 0.1))),
    Action(1.25, 2.0, OTHER, 0.05, 0, (("sit", 0.05), ("walk, then run", 0.01))),
    Action(0.5, 2.0, "sit $1", 0.5, 1, (("sit $1", 0.5),)),
]


def test_files(tmp_path: Path) -> None:
    for suffix, write in timelines.WRITERS.items():
        write(ACTIONS, tmp_path / f"t{suffix}")
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [a.label for a in ACTIONS]
    assert rows[0]["label_2"] == "sit" and rows[2]["label_2"] is None
    document = json.loads((tmp_path / "t.json").read_text())
    assert document["actions"][0]["stop_s"] == 1.25 and document["units"] == "seconds"
    elan = (tmp_path / "t.txt").read_text().splitlines()
    assert elan[1].split("\t") == ["person 0", "0", "1250", "walk, then run"]
    assert (tmp_path / "t.png").stat().st_size > 5000
    assert (
        timelines.table(ACTIONS).splitlines()[1].startswith("     0    0.0   1.2  walk, then run")
    )


def test_an_empty_timeline(tmp_path: Path) -> None:
    assert len(timelines.table([]).splitlines()) == 1
    for suffix in (".csv", ".json", ".txt"):
        timelines.WRITERS[suffix]([], tmp_path / f"t{suffix}")
    with pytest.raises(UserError, match="nothing to draw"):
        timelines.WRITERS[".png"]([], tmp_path / "t.png")


# --- the command ---


def test_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    checkpoint: Path,
    track: Keypoints,
    tmp_path: Path,
) -> None:
    track.save(tmp_path / "k.npz")
    outs = [tmp_path / name for name in ("o.csv", "o.json", "o.txt", "o.png", "o.npz", "o.html")]
    flags = [word for path in outs for word in ("-o", path)]
    base = ("--checkpoint", checkpoint, "--device", "cpu", "-q")
    code = call(
        monkeypatch, "actions", tmp_path / "k.npz", "--labels", "arms up,arms down", *flags, *base
    )
    shown = capsys.readouterr()
    assert code == 0, shown.err
    assert "arms down" in shown.out and "2 segments of 2 labels" in shown.out
    assert all(path.stat().st_size > 60 for path in outs)
    saved = Result.load(tmp_path / "o.npz").header["actions"]
    assert [a["label"] for a in saved] == ["arms down", "arms up"]
    assert '"arms down"' in (tmp_path / "o.html").read_text(encoding="utf-8")

    # a result as input, and no labels: all that the checkpoint knows
    assert call(monkeypatch, "actions", tmp_path / "o.npz", *base) == 0
    assert "2 segments of 2 labels" in capsys.readouterr().out

    file = tmp_path / "labels.txt"
    file.write_text("arms up\n\narms up\narms down, slowly\n")
    assert call(monkeypatch, "actions", tmp_path / "o.npz", "--labels-file", file, *base) == 0
    assert "of 2 labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--labels", ""], "no label"),
        (["--labels", "very " * 300], "300 words"),
        (["--labels", "a", "--labels-file", "b"], "not both"),
        (["--labels-file", "nowhere.txt"], "nowhere.txt"),
        (["--labels", "walk", "-o", "x.avi"], "suffix"),
        (["--labels", "walk", "--checkpoint", "TEXTLESS"], "knows no text"),
    ],
)
def test_what_the_command_refuses(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    checkpoint: Path,
    track: Keypoints,
    tmp_path: Path,
    flags: list[str],
    message: str,
) -> None:
    track.save(tmp_path / "k.npz")
    if "TEXTLESS" in flags:
        textless = write_checkpoint(tmp_path / "textless")
        flags = [*flags[:-1], str(textless)]
    if "--checkpoint" not in flags:
        flags = [*flags, "--checkpoint", str(checkpoint)]
    assert call(monkeypatch, "actions", tmp_path / "k.npz", *flags, "-q") == 2
    shown = capsys.readouterr().err
    assert message in shown and len(shown.splitlines()) == 1
