"""Joint angles as a table (CSV) or a plot (PNG)."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from actionpose.postprocessing.joint_angles import JointAngles
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_text
from actionpose.visualization.drawing import (
    INK,
    MUTED,
    TARGET_COLOR,
    new_figure,
    save_png,
    side_color,
    side_of,
    write,
    write_side_legend,
)

_COLUMNS = 3  # columns of the plot
_WIDTH_IN = 12
_LEAST_RANGE_DEG = 40  # minimum range of a panel, so that small movements look small
_VERTICAL = {"floor": "normal of the floor", "camera": "the camera's own up direction"}


def notes(table: JointAngles) -> tuple[str, str]:
    """The vertical of the angles of the trunk, and the angles that the joints do not determine."""
    unknown = (
        "not known from these joints: rotations of limbs about their own axis (hip and shoulder "
        "rotation, pronation), wrists, pelvic tilt"
    )
    has_feet = any("ankle" in name for name in table.names)
    return f"vertical: {_VERTICAL[table.vertical]}", unknown + ("" if has_feet else ", ankles")


def save(table: JointAngles, path: str | os.PathLike[str]) -> None:
    """Write angles as `.csv` with one row per person and frame, or as a plot (`.png`).

    Raises:
        UserError: If the suffix is unknown, there is no one to draw, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise UserError(f"cannot write angles to {path}: the suffix must be {' or '.join(WRITERS)}")
    WRITERS[suffix](table, Path(path))


def _write_csv(table: JointAngles, path: Path) -> None:
    columns = ("person", "track_id", "frame", "time_s", *(f"{n}_deg" for n in table.names), "valid")
    row = "%d,%d,%d,%.6f" + ",%.2f" * len(table.names) + ",%s\n"
    with atomic_text(path) as file:
        file.write(",".join(columns) + "\n")
        for person, t in np.ndindex(table.valid.shape):
            head = (person, table.track_id[person], t, table.time_s[t])
            values = (table.degrees[person, t].round(2) + 0.0).tolist()
            file.write((row % (*head, *values, table.valid[person, t])).replace(",nan", ","))


def _write_png(table: JointAngles, path: Path) -> None:
    persons = np.flatnonzero(table.valid.any(axis=1))
    if not persons.size:
        raise UserError("there is nothing to draw: the result has no valid frame")
    panels: dict[str, list[str]] = {}  # left and right share a panel
    for name in table.names:
        title = name.removeprefix(f"{side_of(name)}_").replace("_", " ")
        panels.setdefault(title, []).append(name)
    rows = -(-len(panels) // _COLUMNS)
    height = 1.9 * rows * len(persons) + 1.3
    figure = new_figure(_WIDTH_IN, height)
    margins = {"left": 0.055, "right": 0.99, "top": 1 - 0.62 / height, "bottom": 0.95 / height}
    grid = figure.add_gridspec(rows * len(persons), _COLUMNS, hspace=0.55, wspace=0.16, **margins)
    for block, person in enumerate(persons):
        for number, (title, names) in enumerate(panels.items()):
            row, column = divmod(number, _COLUMNS)
            axes = figure.add_subplot(grid[block * rows + row, column])
            axes.axhline(0, color=TARGET_COLOR, linewidth=0.7, zorder=0)
            for name in names:
                values = table.degrees[person, :, table.names.index(name)]
                axes.plot(table.time_s, values, color=side_color(name), linewidth=1.5)
            who = f"id {table.track_id[person]}: " if len(persons) > 1 else ""
            axes.set_title(who + title, fontsize=9.5, color=INK, loc="left", pad=4)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8, colors=MUTED)
            axes.yaxis.set_major_formatter("{x:.0f}\N{DEGREE SIGN}")
            axes.margins(x=0.01)
            low, high = axes.get_ylim()
            missing = max(_LEAST_RANGE_DEG - (high - low), 0)
            axes.set_ylim(low - missing / 2, high + missing / 2)
            if block == len(persons) - 1 and number >= len(panels) - _COLUMNS:
                axes.set_xlabel("time (s)", fontsize=8.5, color=MUTED)
    left_in = 0.055 * _WIDTH_IN
    write(figure, left_in, height - 0.28, "Joint angles", fontsize=12, fontweight="bold", color=INK)
    write_side_legend(figure, _WIDTH_IN - 1.7, _WIDTH_IN - 0.85, height - 0.28, fontsize=9)
    vertical, unknown = notes(table)
    gaps = f"{vertical}; gaps: not visible, or not defined"
    write(figure, left_in, 0.3, gaps, fontsize=8, color=MUTED)
    write(figure, left_in, 0.14, unknown, fontsize=8, color=MUTED)
    save_png(figure, path, dpi=130)


WRITERS: dict[str, Callable[[JointAngles, Path], None]] = {".csv": _write_csv, ".png": _write_png}
