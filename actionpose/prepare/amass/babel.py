"""BABEL's annotations: labels of recordings and of parts of them, and what lies between two.

`train.json`, `val.json` and `test.json` have one annotator a recording (`seq_ann`, `frame_ann`);
`extra_train.json` and `extra_val.json` several (`seq_anns`, `frame_anns`). All are merged, by the
recording. Where nobody labeled parts, the labels of the whole are its actions.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actionpose.prepare.amass.labels import SPLITS, Key, Label, Recording, Texts, clean_text
from actionpose.utils.errors import UserError

FILES = {
    "train.json": "train",
    "extra_train.json": "train",
    "val.json": "val",
    "extra_val.json": "val",
    "test.json": "test",
}
_MAX_BYTES = 1 << 30
_CLIP_S = 243 / 30  # of the paper; a crop of a longer span could miss the change of action
_TOUCHES_S = 1 / 30  # labels that overlap by a frame of the video still follow each other
WHERE = (
    "get BABEL from its web site, after registering: a folder with train.json and val.json "
    "(extra_train.json and extra_val.json are optional)"
)


@dataclass
class _Merged:
    """A recording over all files and annotators."""

    path: str
    duration_s: float
    splits: set[str] = field(default_factory=set)
    wholes: list[str] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)


def read_babel(folder: Path, text: str = "proc_label") -> Texts:
    """Read all of BABEL's files that are there.

    Args:
        text: "proc_label" (cleaned by BABEL) or "raw_label" (as typed).

    Raises:
        UserError: no file of BABEL there, or one that is something else.
    """
    there = [name for name in FILES if (folder / name).is_file()]
    if not there:
        raise UserError(f"{folder} holds none of {', '.join(FILES)}: {WHERE}")
    left_out: Counter[str] = Counter()
    read: Counter[str] = Counter()
    merged: dict[Key, _Merged] = {}
    for name in there:
        entries = _read_json(folder / name)
        read[name] = len(entries)
        for sid, entry in entries.items():
            _add(entry, f"{folder / name}: sequence {sid}", FILES[name], text, merged, left_out)
    return Texts("BABEL", list(_recordings(merged, left_out)), read, left_out)


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path} is larger than any file of BABEL: {WHERE}")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as json: {error}") from error
    if not isinstance(entries, dict) or not all(
        isinstance(entry, dict) and isinstance(entry.get("feat_p"), str)
        for entry in entries.values()
    ):
        raise UserError(f"{path} is not a file of BABEL: its entries have no feat_p; {WHERE}")
    return entries


def _add(
    entry: dict[str, Any],
    where: str,
    split: str,
    text: str,
    merged: dict[Key, _Merged],
    left_out: Counter[str],
) -> None:
    duration_s = _seconds(entry.get("dur"))
    if duration_s is None or duration_s <= 0:
        left_out["recordings: no duration"] += 1
        return
    # the first part is the archive it was downloaded in
    path = "/".join(entry["feat_p"].replace("\\", "/").split("/")[-3:])
    found = Recording("", path, split).key
    record = merged.setdefault(found, _Merged(path.removesuffix(".npz"), duration_s))
    record.splits.add(split)
    try:
        for whole in _annotations(entry, "seq_ann"):
            for label in _labels(whole):
                found_text = _text(label, text)
                if found_text:
                    record.wholes.append(found_text)
                else:
                    left_out["labels: without text (hidden in the test set)"] += 1
        for parts in _annotations(entry, "frame_ann"):
            record.labels += _timeline(_labels(parts), text, left_out)
    except (TypeError, AttributeError, KeyError) as error:
        raise UserError(f"{where} is not as BABEL writes it: {error!r}") from error


def _annotations(entry: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Those of all annotators; null where there is none."""
    one, several = entry.get(name), entry.get(f"{name}s")
    return [annotation for annotation in [one, *(several or [])] if annotation is not None]


def _labels(annotation: dict[str, Any]) -> list[dict[str, Any]]:
    return list(annotation["labels"] or [])


def _text(label: dict[str, Any], name: str) -> str:
    return clean_text(label.get(name)) or clean_text(label.get("raw_label"))


def _seconds(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None


def _timeline(labels: list[dict[str, Any]], text: str, left_out: Counter[str]) -> Iterator[Label]:
    """What one annotator says of the parts: actions, and transitions from one to the next."""
    actions, transitions = [], []
    for label in labels:
        start_s, stop_s = _seconds(label.get("start_t")), _seconds(label.get("end_t"))
        found = _text(label, text)
        if not found:
            left_out["labels: without text (hidden in the test set)"] += 1
        elif start_s is None or stop_s is None:
            left_out["labels: without times"] += 1
        elif found == "transition":
            transitions.append(Label(start_s, stop_s, found))
        else:
            actions.append(Label(start_s, stop_s, found))
    yield from actions
    for between in transitions:
        before, after = neighbors(between, [*actions, *transitions])
        if before is None or after is None:
            left_out["transitions: no action before or after"] += 1
        elif "transition" in (before.text, after.text):
            left_out["transitions: beside another transition"] += 1
        else:
            yield _joined(before, between, after)


def _joined(before: Label, between: Label, after: Label) -> Label:
    """From the start of A to the end of B; what is longer than a clip, a clip around the change."""
    start_s, stop_s = before.start_s, after.stop_s
    longest_s = max(_CLIP_S, between.stop_s - between.start_s)
    if stop_s - start_s > longest_s:
        middle_s = (between.start_s + between.stop_s) / 2
        start_s = min(max(start_s, middle_s - longest_s / 2), stop_s - longest_s)
        stop_s = start_s + longest_s
    text = f"transit from {before.text} to {after.text}"
    return Label(start_s, stop_s, text, "transition")


def neighbors(between: Label, others: list[Label]) -> tuple[Label | None, Label | None]:
    """The nearest label that ends before one, and that starts after it; of equals the longest."""

    def nearest(candidates: list[tuple[float, Label]]) -> Label | None:
        if not candidates:
            return None
        return min(
            candidates,
            key=lambda found: (found[0], found[1].start_s - found[1].stop_s, found[1].text),
        )[1]

    rest = [label for label in others if label is not between]
    before = [(between.start_s - label.stop_s, label) for label in rest]
    after = [(label.start_s - between.stop_s, label) for label in rest]
    return (
        nearest([(max(gap, 0.0), label) for gap, label in before if gap >= -_TOUCHES_S]),
        nearest([(max(gap, 0.0), label) for gap, label in after if gap >= -_TOUCHES_S]),
    )


def _recordings(merged: dict[Key, _Merged], left_out: Counter[str]) -> Iterator[Recording]:
    for record in merged.values():
        split = max(record.splits, key=SPLITS.index)
        if len(record.splits) > 1:  # what is scored is not trained on
            left_out[f"recordings: in several splits, kept in {split}"] += 1
        wholes = list(dict.fromkeys(record.wholes))
        labels = record.labels or [Label(0, math.inf, whole) for whole in wholes]
        if not labels:
            left_out["recordings: without any label (as in the test set)"] += 1
            continue
        yield Recording(
            id=record.path,
            path=record.path,
            split=split,
            text=wholes[0] if wholes else "",
            duration_s=record.duration_s,
            labels=tuple(labels),
        )
