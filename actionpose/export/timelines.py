"""Writers of action timelines: text table, CSV, JSON, ELAN text, picture."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from actionpose.actions.timeline import OTHER, UNKNOWN, Action
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_text, plain_cell, write_json
from actionpose.visualization.drawing import GRID, label_colors, new_figure, save_png


def table(actions: Sequence[Action]) -> str:
    """Text table of segments with score, margin, confidence and the three best labels."""
    rows = [["id", "start", "stop", "label", "score", "margin", "confidence", "top 3"]]
    for action in actions:
        top = ", ".join(f"{label} {score:.2f}" for label, score in action.top)
        span = (f"{action.start_s:.1f}", f"{action.stop_s:.1f}")
        known = ("" if v is None else f"{v:.2f}" for v in (action.margin, action.confidence))
        rows.append([str(action.track_id), *span, action.label, f"{action.score:.2f}", *known, top])
    widths = [max(len(row[column]) for row in rows) for column in range(7)]
    lines = []
    for row in rows:
        cells = [
            text.ljust(width) if column == 3 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row[:7], widths, strict=True))
        ]
        lines.append("  ".join([*cells, row[7]]).rstrip())
    return "\n".join(lines)


def _write_csv(actions: Sequence[Action], path: Path) -> None:
    ranks = range(max((len(action.top) for action in actions), default=0))
    header = ["person", "track_id", "start_s", "stop_s", "label", "score", "margin", "confidence"]
    header += [f"{name}_{rank + 1}" for rank in ranks for name in ("label", "score")]
    with atomic_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for action in actions:
            span = [action.person, action.track_id, f"{action.start_s:.3f}", f"{action.stop_s:.3f}"]
            top = [value for pair in action.top for value in pair]
            words = (action.label, action.score, action.margin, action.confidence, *top)
            writer.writerow([*span, *map(plain_cell, words)])


def _write_json(actions: Sequence[Action], path: Path) -> None:
    document = {"units": "seconds", "actions": [action.to_dict() for action in actions]}
    write_json(path, document)


def _write_elan(actions: Sequence[Action], path: Path) -> None:
    """Write tab-delimited text for ELAN: tier, begin and end in milliseconds, annotation.

    In ELAN: File, Import, CSV / Tab-delimited Text File. There is one tier per person.
    """
    with atomic_text(path) as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["Tier", "Begin Time", "End Time", "Annotation"])
        for action in actions:
            begin_ms, end_ms = round(1000 * action.start_s), round(1000 * action.stop_s)
            writer.writerow([f"id {action.track_id}", begin_ms, end_ms, action.label])


def _write_png(actions: Sequence[Action], path: Path) -> None:
    """Draw bars over time, with a row for each label of each person."""
    if not actions:
        raise UserError("there is nothing to draw: the timeline is empty")
    rows = list(dict.fromkeys((action.track_id, action.label) for action in actions))
    rows.sort(key=lambda row: (row[0], row[1] in (OTHER, UNKNOWN)))
    colors = label_colors([action.label for action in actions], OTHER, UNKNOWN)
    figure = new_figure(9, 1.0 + 0.28 * len(rows), layout="constrained")
    axes = figure.add_subplot()
    begin_s = min(action.start_s for action in actions)
    end_s = max(action.stop_s for action in actions)
    for action in actions:
        y = rows.index((action.track_id, action.label))
        length = action.stop_s - action.start_s
        axes.barh(y, length, left=action.start_s, height=0.72, color=colors[action.label])
        if length > 0.06 * (end_s - begin_s) and action.label not in (OTHER, UNKNOWN):
            middle = action.start_s + length / 2
            text = f"{action.score:.2f}"
            axes.text(middle, y, text, ha="center", va="center", fontsize=7, color="white")
    names = [label if len(label) <= 46 else f"{label[:45]}…" for _, label in rows]
    if rows[0][0] != rows[-1][0]:  # several persons
        names = [f"id {track}: {name}" for (track, _), name in zip(rows, names, strict=True)]
    axes.set_yticks(range(len(rows)), names, fontsize=8, parse_math=False)
    axes.set(xlim=(begin_s, end_s), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xlabel("seconds; numbers are cosines of motion and label", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    save_png(figure, path)


WRITERS: dict[str, Callable[[Sequence[Action], Path], None]] = {
    ".csv": _write_csv,
    ".json": _write_json,
    ".txt": _write_elan,
    ".png": _write_png,
}
