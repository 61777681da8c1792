"""Transitions pair with the actions around them, overlapping labels included."""

import json
from pathlib import Path

import numpy as np

from actionpose.datasets.corpus import Motion, Segment, open_corpus, write_corpus
from actionpose.datasets.spans import pair_transition
from actionpose.datasets.transitions import transition_neighbors
from actionpose.prepare.amass.babel import read_babel


def pair(transition: tuple[float, float], *spans: tuple[float, float]) -> tuple[int | None, ...]:
    return transition_neighbors(transition, [(a, b, "act") for a, b in spans], max_gap=1.0)


def test_the_nearest_counts_and_of_equals_the_longest() -> None:
    near, long, far, after, touching = (2, 4), (1, 4), (0, 3.5), (6, 9), (4.99, 7)
    assert pair((4, 5), far, near, long, after) == (2, 3)
    assert pair((4, 5), far, near, after, touching) == (1, 3)


def test_labels_may_overlap_the_transition() -> None:
    # stand, walk, sit, stand up: walk and sit reach into the transition
    assert pair((2.8, 3.4), (0, 1), (1, 2.85), (3.35, 6), (6, 8)) == (1, 2)
    assert pair((2.0, 4.0), (0, 3.0), (2.5, 6)) == (0, 1)


def test_a_label_around_the_transition_is_neither_before_nor_after() -> None:
    assert pair((4, 5), (0, 10)) == (None, None)
    assert pair((4, 5), (4, 5), (4.2, 4.8)) == (None, None)


def test_a_label_too_far_away_does_not_count() -> None:
    assert pair((4, 5), (0, 2.9), (6.1, 8)) == (None, None)
    assert pair((4, 5), (0, 3.0), (6.0, 8)) == (0, 1)


def test_another_transition_is_no_action() -> None:
    around = [(2.0, 4.0, "walk"), (4.0, 4.5, "transition"), (5.0, 6.0, "sit")]
    assert transition_neighbors((4.5, 5.0), around, max_gap=1.0) == (0, 2)


def test_corpora_and_clips_pair_alike(tmp_path: Path) -> None:
    """Random overlapping labels, paired as BABEL is read and as a clip is drawn."""
    rng = np.random.default_rng(0)
    for number in range(40):
        start, length = rng.uniform(0, 20, 6).round(2), rng.uniform(0.3, 4, 6).round(2)
        spans = [
            (f"act {i}", float(a), float(a + b))
            for i, (a, b) in enumerate(zip(start, length, strict=True))
        ]
        change = ("transition", 8.0, 9.0)
        (tmp_path / str(number)).mkdir()
        folder = babel(tmp_path / str(number), seq_ann=None, frame_ann=labels(change, *spans))
        (sequence,) = read_babel(folder).sequences
        made = [label for label in sequence.labels if label.kind == "transition"]
        segments = [
            Segment("m", "s", "train", round(100 * a), round(100 * b), text, "action")
            for text, a, b in spans
        ]
        transition = Segment("m", "s", "train", 800, 900, "transition", "transition")
        found = pair_transition(transition, segments, fps=100.0)
        assert [label.text for label in made] == ([found.text] if found else [])


def babel(folder: Path, **annotations: object) -> Path:
    entry = {"babel_sid": 1, "feat_p": "A/A/s1/x_poses.npz", "dur": 8.0, **annotations}
    (folder / "train.json").write_text(json.dumps({"1": entry}))
    return folder


def labels(*spans: tuple[str, float, float]) -> dict[str, object]:
    rows = [
        {"raw_label": text, "proc_label": text, "act_cat": [text], "start_t": a, "end_t": b}
        for text, a, b in spans
    ]
    return {"labels": rows}


OVERLAPPING = labels(
    ("stand", 0, 1), ("walk", 1, 2.85), ("transition", 2.8, 3.4), ("sit", 3.35, 6), ("rise", 6, 8)
)


def test_babel_pairs_overlapping_labels(tmp_path: Path) -> None:
    found = read_babel(babel(tmp_path, seq_ann=None, frame_ann=OVERLAPPING))
    (sequence,) = found.sequences
    (change,) = [label for label in sequence.labels if label.kind == "transition"]
    assert (change.text, change.start_s, change.stop_s) == ("transit from walk to sit", 1, 6)
    assert found.left_out == {} and found.read["transitions paired"] == 1


def test_babel_pairs_within_each_annotator(tmp_path: Path) -> None:
    nested = labels(("dance", 0, 8), ("turn", 1, 2), ("transition", 2, 3), ("bow", 3, 4))
    alone = labels(("jump", 0, 4), ("transition", 4, 5))
    folder = babel(tmp_path, seq_anns=[], frame_anns=[OVERLAPPING, nested, alone])
    found = read_babel(folder)
    texts = [label.text for each in found.sequences for label in each.labels]
    assert [text for text in texts if text.startswith("transit ")] == [
        "transit from walk to sit",
        "transit from turn to bow",
    ]
    assert found.left_out == {"transitions: no action within 1 s after": 1}
    assert found.read["transitions paired"] == 2


def test_babel_keeps_categories_of_texts(tmp_path: Path) -> None:
    found = read_babel(babel(tmp_path, seq_ann=None, frame_ann=OVERLAPPING))
    assert found.sequences[0].categories["walk"] == ("walk",)
    motion = Motion(
        *("m", "s", "train", np.zeros((300, 17, 3)), ""),
        [(0, 90, "walk", "action"), (60, 90, "transit from walk to sit", "transition")],
        categories={"walk": ("walk", "move")},
    )
    corpus = open_corpus(write_corpus(tmp_path / "corpus", [motion], source="", license=""))
    assert [segment.categories for segment in corpus.segments] == [(), ("walk", "move"), ()]
