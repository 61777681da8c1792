"""BABEL's annotations, with their defects."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.amass import annotation, label

from actionpose.prepare.amass.babel import read_babel
from actionpose.prepare.amass.build import read_annotations
from actionpose.utils.errors import UserError

Span = tuple[float, float]


def write_babel(folder: Path, **entries: dict[str, Any]) -> Path:
    made = {"babel_sid": 1, "url": "", "feat_p": "CMU/CMU/01/01_01_poses.npz", "dur": 5.0,
            "seq_ann": None, "frame_ann": None}  # fmt: skip
    content = {str(i): made | entry for i, entry in enumerate(entries.values())}
    (folder / "train.json").write_text(json.dumps(content))
    return folder


def test_read_babel_keeps_annotators_apart(tmp_path: Path) -> None:
    one = annotation(label("walk", 0, 1), label("transition", 1, 2))
    two = annotation(label("sit", 2, 3))
    texts = read_babel(write_babel(tmp_path, a={"frame_anns": [one, two]}))
    assert [each.text for each in texts.sequences[0].labels] == ["walk", "sit"]
    assert texts.left_out["transitions: no action within 1 s after"] == 1


@pytest.mark.parametrize(
    ("a", "between", "b", "span"),
    [
        ((0, 4), (4, 5), (5, 8), (0, 8)),
        ((0, 20), (20, 21), (21, 40), (16.45, 24.55)),
        ((0, 20), (20, 21), (21, 22), (13.9, 22)),
        ((19, 20), (20, 21), (21, 40), (19, 27.1)),
        ((0, 10), (10, 30), (30, 40), (10, 30)),
    ],
)
def test_read_babel_cuts_long_transitions_to_a_clip(
    tmp_path: Path, a: Span, between: Span, b: Span, span: Span
) -> None:
    labels = annotation(label("walk", *a), label("transition", *between), label("sit", *b))
    texts = read_babel(write_babel(tmp_path, a={"frame_ann": labels}))
    made = texts.sequences[0].labels[-1]
    assert (made.start_s, made.stop_s) == pytest.approx(span)
    assert (made.text, made.kind) == ("transit from walk to sit", "transition")


def test_read_babel_raw_label(tmp_path: Path) -> None:
    folder = write_babel(tmp_path, a={"frame_ann": annotation(label("walk", 0, 1))})
    assert read_babel(folder, "raw_label").sequences[0].labels[0].text == "walk (as typed)"


@pytest.mark.parametrize("entry", [{"seq_ann": []}, {"frame_ann": {"labels": [3]}}])
def test_read_babel_names_the_sequence_of_another_form(
    tmp_path: Path, entry: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=r"train\.json: sequence 0 is not as BABEL writes it"):
        read_babel(write_babel(tmp_path, a=entry))


@pytest.mark.parametrize("content", ["{", "[]", '{"1": {}}', '{"1": 2}', "[" * 100_000, "\xff"])
def test_read_babel_refuses_other_files(tmp_path: Path, content: str) -> None:
    (tmp_path / "train.json").write_bytes(content.encode("latin1"))
    with pytest.raises(UserError, match=r"train\.json"):
        read_babel(tmp_path)


def test_read_annotations_refuses_an_empty_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(UserError, match="BABEL"):
            read_annotations(path)
