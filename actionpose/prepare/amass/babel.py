"""BABEL annotations: labels of sequences and of segments, and transitions between them.

`train.json`, `val.json` and `test.json` have one annotator per sequence (`seq_ann`, `frame_ann`);
`extra_train.json` and `extra_val.json` have several (`seq_anns`, `frame_anns`). All are merged by
sequence. If no segments are labeled, the labels of the sequence are its actions.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actionpose.datasets.transitions import (
    MAX_GAP_S,
    TRANSITION,
    transition_neighbors,
    transition_text,
)
from actionpose.prepare.amass.labels import (
    MAX_JSON_BYTES,
    NO_LABEL,
    NO_TEXT,
    SPLITS,
    AnnotatedSequence,
    Annotations,
    Label,
    SequenceKey,
    clean_text,
    sequence_key,
)
from actionpose.utils.errors import UserError
from actionpose.utils.json_files import read_json

FILES = {
    "train.json": "train",
    "extra_train.json": "train",
    "val.json": "val",
    "extra_val.json": "val",
    "test.json": "test",
}
_CLIP_S = 243 / 30  # of the paper; a crop of a longer span could miss the transition
WHERE = (
    "get BABEL from its web site, after registering: a folder with train.json and val.json "
    "(extra_train.json and extra_val.json are optional)"
)


@dataclass
class _Merged:
    """A sequence merged over all files and annotators."""

    path: str
    duration_s: float
    splits: set[str] = field(default_factory=set)
    wholes: list[str] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by text


def read_babel(folder: Path, text: str = "proc_label") -> Annotations:
    """Read all existing files of BABEL.

    Args:
        folder: Folder of BABEL.
        text: "proc_label" (processed by BABEL) or "raw_label" (as entered by annotators).

    Raises:
        UserError: If there are no files of BABEL, or a file has another format.
    """
    names = [name for name in FILES if (folder / name).is_file()]
    if not names:
        raise UserError(f"{folder} holds none of {', '.join(FILES)}: {WHERE}")
    left_out: Counter[str] = Counter()
    read: Counter[str] = Counter()
    merged: dict[SequenceKey, _Merged] = {}
    for name in names:
        entries = read_json(folder / name, MAX_JSON_BYTES)
        if not isinstance(entries, dict) or not all(
            isinstance(entry, dict) and isinstance(entry.get("feat_p"), str)
            for entry in entries.values()
        ):
            raise UserError(
                f"{folder / name} is not a file of BABEL: its entries have no feat_p; {WHERE}"
            )
        read[name] = len(entries)
        for sid, entry in entries.items():
            try:
                _merge(entry, FILES[name], text, merged, read, left_out)
            except (TypeError, AttributeError, KeyError) as error:
                raise UserError(
                    f"{folder / name}: sequence {sid} is not as BABEL writes it: {error!r}"
                ) from error
    return Annotations("BABEL", list(_sequences(merged, left_out)), read, left_out)


def _merge(
    entry: dict[str, Any],
    split: str,
    text: str,
    merged: dict[SequenceKey, _Merged],
    read: Counter[str],
    left_out: Counter[str],
) -> None:
    duration_s = _seconds(entry.get("dur"))
    if duration_s is None or duration_s <= 0:
        left_out["recordings: no duration"] += 1
        return
    # the first part is the name of the downloaded archive
    path = "/".join(entry["feat_p"].replace("\\", "/").split("/")[-3:])
    new = _Merged(path.removesuffix(".npz"), duration_s)
    sequence = merged.setdefault(sequence_key(path), new)
    sequence.splits.add(split)
    for label in _label_lists(entry, "seq_ann"):
        sequence.wholes += [found for each in label if (found := _text(each, text, left_out))]
        _add_categories(sequence.categories, label, text)
    for labels in _label_lists(entry, "frame_ann"):
        sequence.labels += _timeline(labels, text, read, left_out)
        _add_categories(sequence.categories, labels, text)


def _label_lists(entry: dict[str, Any], name: str) -> list[list[dict[str, Any]]]:
    """The labels of each annotator."""
    annotations = [entry.get(name), *(entry.get(f"{name}s") or [])]
    return [each["labels"] or [] for each in annotations if each is not None]


def _text(label: dict[str, Any], name: str, left_out: Counter[str]) -> str:
    text = clean_text(label.get(name)) or clean_text(label.get("raw_label"))
    if not text:
        left_out[NO_TEXT] += 1
    return text


def _add_categories(
    known: dict[str, tuple[str, ...]], labels: list[dict[str, Any]], name: str
) -> None:
    """Store `act_cat` of each text, by the first annotator if there are several."""
    for label in labels:
        text = clean_text(label.get(name)) or clean_text(label.get("raw_label"))
        if text and (categories := tuple(filter(None, map(clean_text, label["act_cat"] or ())))):
            known.setdefault(text, categories)


def _seconds(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _timeline(
    labels: list[dict[str, Any]], name: str, read: Counter[str], left_out: Counter[str]
) -> Iterator[Label]:
    """The segment labels of one annotator: actions, and transitions between them."""
    actions: list[Label] = []
    transitions: list[Label] = []
    for label in labels:
        start_s, stop_s = _seconds(label.get("start_t")), _seconds(label.get("end_t"))
        if not (text := _text(label, name, left_out)):
            continue
        if start_s is None or stop_s is None:
            left_out["labels: without times"] += 1
        else:
            same = transitions if text == TRANSITION else actions
            same.append(Label(start_s, stop_s, text))
    yield from actions
    spans = [(label.start_s, label.stop_s, label.text) for label in actions]
    for between in transitions:
        before, after = transition_neighbors(
            (between.start_s, between.stop_s), spans, max_gap=MAX_GAP_S
        )
        if before is None or after is None:
            sides = (
                "before or after" if before is after else "before" if before is None else "after"
            )
            left_out[f"transitions: no action within {MAX_GAP_S:g} s {sides}"] += 1
        else:
            read["transitions paired"] += 1
            yield _joined(actions[before], between, actions[after])


def _joined(before: Label, between: Label, after: Label) -> Label:
    """Span from the start of A to the end of B, cropped around the transition to a clip length."""
    start_s, stop_s = before.start_s, after.stop_s
    longest_s = max(_CLIP_S, between.stop_s - between.start_s)
    if stop_s - start_s > longest_s:
        middle_s = (between.start_s + between.stop_s) / 2
        start_s = min(max(start_s, middle_s - longest_s / 2), stop_s - longest_s)
        stop_s = start_s + longest_s
    return Label(start_s, stop_s, transition_text(before.text, after.text), "transition")


def _sequences(
    merged: dict[SequenceKey, _Merged], left_out: Counter[str]
) -> Iterator[AnnotatedSequence]:
    for sequence in merged.values():
        split = max(sequence.splits, key=SPLITS.index)
        if len(sequence.splits) > 1:  # no training on test data
            left_out[f"recordings: in several splits, kept in {split}"] += 1
        wholes = list(dict.fromkeys(sequence.wholes))
        labels = sequence.labels or [Label(0, math.inf, whole) for whole in wholes]
        if not labels:
            left_out[NO_LABEL] += 1
            continue
        yield AnnotatedSequence(
            id=sequence.path,
            path=sequence.path,
            split=split,
            text=wholes[0] if wholes else "",
            duration_s=sequence.duration_s,
            labels=tuple(labels),
            categories=sequence.categories,
        )
