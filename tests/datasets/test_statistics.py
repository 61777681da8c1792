"""Statistics of corpora: numbers of poses that are known, counts, and the picture."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import call
from matplotlib.image import imread

from actionpose.datasets import statistics
from actionpose.datasets.corpus import Corpus, Motion, open_corpus, write_corpus
from actionpose.datasets.statistics import corpus_statistics
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.visualization.corpus_sheet import (
    _from_camera,
    _poses,
    choose_segments,
    write_corpus_sheet,
)

# Standing, facing -y, its left at +x, arms hanging; meters, z up.
HALF = {
    **{"hip": (0.1, 0, 0.9), "knee": (0.1, 0, 0.5), "ankle": (0.1, 0, 0.1)},
    **{"shoulder": (0.2, 0, 1.4), "elbow": (0.2, 0, 1.1), "wrist": (0.2, -0.05, 0.85)},
}
MIDDLE = {"pelvis": 0.9, "spine": 1.15, "thorax": 1.4, "nose": 1.5, "head": 1.6}


def standing(**moved: tuple[float, float, float]) -> np.ndarray:
    """(17, 3) a person, with some joints elsewhere."""
    joints = []
    for joint in H36M17.joints:
        where, _, part = joint.partition("_")
        x, y, z = HALF[part] if part else (0, 0, MIDDLE[joint])
        joints.append(moved.get(joint, (-x if where == "right" else x, y, z)))
    return np.array(joints)


def turned(pose: np.ndarray, axis: int, degrees: float) -> np.ndarray:
    """The pose turned about a world axis."""
    a, (i, j) = np.radians(degrees), [k for k in range(3) if k != axis]
    result = pose.copy()
    result[..., i] = np.cos(a) * pose[..., i] - np.sin(a) * pose[..., j]
    result[..., j] = np.sin(a) * pose[..., i] + np.cos(a) * pose[..., j]
    return result


UP = {"left_wrist": (0.2, 0, 1.9), "right_wrist": (-0.2, 0, 1.9)}


@pytest.mark.parametrize(
    ("pose", "tilt_deg", "height_legs", "hands"),
    [
        (standing(), 0, 1, 0),
        (standing(left_wrist=(0.2, 0, 1.61)), 0, 1, 1),
        (standing(**UP), 0, 1, 2),
        (turned(standing(), 0, 90), 90, 0, 0),  # on the back
        (turned(standing(), 1, 40), 40, None, 0),
        (turned(standing(), 0, 180), 180, -1, 2),  # on the head: hands are above it
        (standing(left_ankle=(0.1, 0.4, 0.5), left_knee=(0.1, 0, 0.5)), 0, 1, 0),  # on one leg
        (standing(left_ankle=(0.1, 0, 0.5), right_ankle=(-0.1, 0, 0.5)), 0, None, 0),
    ],
)
def test_poses(pose: np.ndarray, tilt_deg: float, height_legs: float | None, hands: int) -> None:
    joints_m = pose[None]
    assert statistics.trunk_tilt_deg(joints_m)[0] == pytest.approx(tilt_deg, abs=1e-9)
    if height_legs is not None:
        height = statistics.pelvis_height_legs(joints_m)[0]
        assert height == pytest.approx(height_legs, abs=1e-9)
    assert statistics.hands_above_head(joints_m)[0] == hands


def motions() -> list[Motion]:
    """Three subjects: standing and then lying; hands up; without a text."""
    lying = turned(standing(), 0, 90)
    fall = np.concatenate([np.tile(standing(), (30, 1, 1)), np.tile(lying, (10, 1, 1))])
    labels = [
        (0, 30, "stand", "action"),
        (30, 40, "lie", "action"),
        (0, 40, "transit from stand to lie", "transition"),
    ]
    first = Motion("fall", "ann", "train", fall, "stand, then lie", labels)  # type: ignore[arg-type]
    up = np.tile(standing(**UP), (20, 1, 1))
    return [
        first,
        Motion("up", "bob", "train", up, "hands up", [(0, 20, "hands up", "action")]),
        Motion("up 2", "bob", "train", up, "", [(0, 20, "hands up", "action")]),
        Motion("still", "cleo", "val", np.tile(standing(), (60, 1, 1))),
    ]


@pytest.fixture
def small(tmp_path: Path) -> Corpus:
    folder = write_corpus(
        tmp_path / "small",
        motions(),
        source="made up",
        license="ours",
        skipped={"a.bvh": "line 3: broken"},
    )
    return open_corpus(folder)


def test_counts(small: Corpus) -> None:
    sheet = corpus_statistics(small)
    per_hour = 3600 * 30
    assert [(s.name, s.motions, s.subjects) for s in sheet.splits] == [
        ("train", 3, 2),
        ("val", 1, 1),
    ]
    assert sheet.hours == pytest.approx(140 / per_hour)
    # "hands up" is the motion's text and a label of the same span: once; in the other motion again
    assert sheet.labels == (
        ("hands up", 2, 40 / per_hour),
        ("lie", 1, 10 / per_hour),
        ("stand", 1, 30 / per_hour),
        ("stand, then lie", 1, 40 / per_hour),
    )
    assert sheet.transitions == (("transit from stand to lie", 1, 40 / per_hour),)
    assert sheet.unlabeled_hours == 60 / per_hour and sheet.skipped == 1
    tilt, height, hands = sheet.poses
    assert tilt.fractions == pytest.approx((130 / 140, 0, 0, 0, 0, 10 / 140))
    assert height.fractions == pytest.approx((10 / 140, 0, 0, 0, 0, 130 / 140))
    assert hands.fractions == pytest.approx((100 / 140, 0, 40 / 140))


def test_blocks_do_not_matter(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = corpus_statistics(corpus)
    for histogram in whole.poses:
        assert sum(histogram.fractions) == pytest.approx(1)
        assert len(histogram.fractions) == len(histogram.bins)
    monkeypatch.setattr(statistics, "BLOCK_FRAMES", 37)
    assert corpus_statistics(corpus) == whole


def test_info(
    small: Corpus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "corpus", "info", small.folder, "--labels", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:7] == [
        "corpus  small: 0.00 hours at 30 Hz",
        "source  made up",
        "license ours",
        "train   3 motions, 2 subjects, 0.00 hours",
        "val     1 motion, 1 subject, 0.00 hours",
        "skipped 1 file; corpus.json names what was left out, with the reason",
        "no text 0.00 hours, in motions without any label",
    ]
    assert "labels: 4 texts in 5 segments" in lines
    assert "        2      0.0 min  hands up" in lines
    assert "        2               in 2 other texts" in lines
    assert not any("stand, then lie" in line for line in lines)
    assert "transitions: 1 text in 1 segment" in lines
    assert "  none   71.4 %  #############################" in lines
    assert call(monkeypatch, "corpus", "info", small.folder.parent) == 2
    assert "is not a corpus: " in capsys.readouterr().err
    assert call(monkeypatch, "corpus", "info", small.folder, "--labels", -1) == 2


def test_choice(small: Corpus) -> None:
    def chosen(**options: object) -> list[tuple[str, str]]:
        settings = {"split": None, "num_segments": 5, "seed": 0} | options
        return [(s.text, s.kind) for s in choose_segments(small, **settings)]  # type: ignore[arg-type]

    texts = [text for text, _ in chosen()]
    assert sorted(texts) == [
        "hands up",
        "lie",
        "stand",
        "stand, then lie",
        "transit from stand to lie",
    ]
    assert chosen() == chosen() != chosen(seed=1)
    # every segment once; the motion's own text not beside the label of the same words
    everything = chosen(num_segments=99)
    assert len(everything) == 6 and everything[:5] == chosen()
    assert everything.count(("hands up", "action")) == 2
    assert len(chosen(num_segments=3)) == 3
    assert chosen(split="val") == [("", "sequence")]  # better than nothing
    with pytest.raises(UserError, match="no segment of the split test; it has train, val"):
        chosen(split="test")


def test_poses_are_spread_and_fit() -> None:
    wide = np.zeros((50, 17, 3))
    wide[:, 0, 0] = 1.7  # a person who lies
    wide[:, 0, 2] = np.arange(50)
    assert [pose[0, 2] for pose in _poses(wide, 9.5)] == [0, 12, 24, 37, 49]
    assert [pose[0, 2] for pose in _poses(wide, 5.9)] == [0, 24, 49]
    assert [pose[0, 2] for pose in _poses(wide, 1.0)] == [25]
    assert len(_poses(wide[:1], 9.5)) == 1


@pytest.mark.parametrize("heading_deg", [0, 75, 200])
def test_seen_from_the_front(heading_deg: float) -> None:
    """However the person stands: a wrist held out in front comes nearer, left is on our right."""
    pose = turned(standing(left_wrist=(0.2, -0.6, 1.3)), 2, heading_deg)[None]
    joint = dict(zip(H36M17.joints, _from_camera(pose)[0], strict=True))
    assert joint["left_hip"][0] > joint["right_hip"][0] + 0.1
    assert joint["left_wrist"][2] > joint["left_shoulder"][2] + 0.4
    assert joint["head"][1] - joint["left_ankle"][1] == pytest.approx(1.5)
    across = np.linalg.norm(joint["left_hip"] - joint["right_hip"])
    assert across == pytest.approx(0.2)  # a rotation: nothing is stretched


def columns(image: np.ndarray, more: int, less: int) -> np.ndarray:
    """Columns of the pixels with much more of one color than of another: pale limbs too."""
    return np.nonzero(image[..., more] - image[..., less] > 0.3)[1]


def test_picture(tmp_path: Path) -> None:
    """One segment of a person who faces us: blue, the left side, is right of orange."""
    text = r"wave $\frac{1}{2}$ “hi” " + "and so on " * 20
    made = replace(motions()[3], text=text)
    corpus = open_corpus(write_corpus(tmp_path / "one", [made], source="x" * 400, license="$"))
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    write_corpus_sheet(corpus, first)
    write_corpus_sheet(corpus, second)
    assert first.read_bytes() == second.read_bytes()
    image = imread(first)
    cells = image[-int(2.2 * 120) : -int(0.45 * 120)]  # without the head and the note
    left, right = columns(cells, 2, 0), columns(cells, 0, 2)
    assert len(left) > 100 and len(right) > 100
    assert 0 < left.mean() - right.mean() < 60
    assert not len(columns(cells[:, int(4.5 * 120) :], 2, 0))  # the other cells are empty


def test_show(
    small: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "sheet.png"
    command = ("corpus", "show", small.folder, "-o")
    assert call(monkeypatch, *command, out, "--segments", 4, "--split", "train") == 0
    assert capsys.readouterr().out == f"wrote   {out}\n"
    assert imread(out).shape[2] == 4
    assert call(monkeypatch, *command, tmp_path / "x.pdf") == 2
    assert "a contact sheet is a .png, not x.pdf" in capsys.readouterr().err
    assert call(monkeypatch, *command, tmp_path / "none" / "x.png") == 2
    assert "there is no folder" in capsys.readouterr().err
    assert call(monkeypatch, *command, out, "--split", "dev") == 2
    assert "no segment of the split dev" in capsys.readouterr().err
    assert call(monkeypatch, *command, out, "--segments", 0) == 2
    assert "shows 1 segment or more" in capsys.readouterr().err


def test_without_matplotlib(small: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(UserError, match=r"pip install 'actionpose\[viz\]'"):
        write_corpus_sheet(small, tmp_path / "x.png")
