"""Transitions pair with the actions around them, overlapping labels included."""

import json
from pathlib import Path

from actionpose.datasets.transitions import transition_neighbors
from actionpose.prepare.amass.babel import read_babel


def pair(transition: tuple[float, float], *spans: tuple[float, float]) -> tuple[int | None, ...]:
    return transition_neighbors(transition, spans, max_gap=1.0)


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
    assert found.left_out == {"transitions: no action before or after": 1}
