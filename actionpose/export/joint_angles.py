"""Joint angles as a table (CSV) and as curves (PNG)."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actionpose.postprocessing.joint_angles import Angles
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.visualization.drawing import COLORS, new_figure, side

_CSV_FRAMES = 2000  # written at a time


def save(table: Angles, path: str | os.PathLike[str]) -> None:
    """Write angles as `.csv`, a row per person and frame, or as `.png`, a plot.

    Raises:
        UserError: another suffix, nobody to draw, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise UserError(f"cannot write angles to {path}: the suffix must be {' or '.join(WRITERS)}")
    WRITERS[suffix](table, Path(path))


def write_csv(table: Angles, path: Path) -> None:
    columns = ("person", "track_id", "frame", "time_s", *(f"{n}_deg" for n in table.names), "valid")
    row = "%d,%d,%d,%.6f" + ",%.2f" * len(table.names) + ",%s\n"
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write(",".join(columns) + "\n")
        for person, track in enumerate(table.track_id.tolist()):
            for start in range(0, len(table.time_s), _CSV_FRAMES):
                rows = []
                for t in range(start, min(start + _CSV_FRAMES, len(table.time_s))):
                    values = (table.degrees[person, t].round(2) + 0.0).tolist()
                    head = (person, track, t, table.time_s[t])
                    rows.append(row % (*head, *values, bool(table.valid[person, t])))
                file.write("".join(rows).replace(",nan", ","))


def _panels(names: tuple[str, ...]) -> dict[str, list[str]]:
    """Names of columns by panel: left and right share one."""
    panels: dict[str, list[str]] = {}
    for name in names:
        title = name.removeprefix(f"{side(name)}_").replace("_", " ")
        panels.setdefault(title, []).append(name)
    return panels


def write_png(table: Angles, path: Path) -> None:
    persons = [person for person, there in enumerate(table.valid) if there.any()]
    if not persons:
        raise UserError("there is nothing to draw: the result has no valid frame")
    panels = _panels(table.names)
    per_row = 3
    rows = -(-len(panels) // per_row)
    height = 1.9 * rows * len(persons) + 1.3
    figure = new_figure(12, height)
    margins = {"left": 0.055, "right": 0.99, "top": 1 - 0.62 / height, "bottom": 0.95 / height}
    grid = figure.add_gridspec(rows * len(persons), per_row, hspace=0.55, wspace=0.16, **margins)
    for block, person in enumerate(persons):
        for number, (title, names) in enumerate(panels.items()):
            row, column = divmod(number, per_row)
            axes = figure.add_subplot(grid[block * rows + row, column])
            axes.axhline(0, color="#98a2b3", linewidth=0.7, zorder=0)
            for name in names:
                values = table.degrees[person, :, table.names.index(name)]
                axes.plot(table.time_s, values, color=COLORS[side(name)], linewidth=1.5)
            who = f"id {table.track_id[person]}: " if len(persons) > 1 else ""
            axes.set_title(who + title, fontsize=9.5, color="#1d2430", loc="left", pad=4)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8, colors="#475467")
            axes.yaxis.set_major_formatter("{x:.0f}\N{DEGREE SIGN}")
            axes.margins(x=0.01)
            _keep_quiet_curves_quiet(axes)
            if block == len(persons) - 1 and number >= len(panels) - per_row:
                axes.set_xlabel("time (s)", fontsize=8.5, color="#475467")

    def write(x: float, y_in: float, text: str, **style: Any) -> None:
        figure.text(x, y_in / height, text, parse_math=False, **style)

    write(0.055, height - 0.28, "Joint angles", fontsize=12, fontweight="bold", color="#1d2430")
    for x, which in ((0.86, "right"), (0.93, "left")):
        label = f"\N{BLACK CIRCLE} {which} side"
        write(x, height - 0.28, label, fontsize=9, color=COLORS[which])
    notes = f"vertical: {table.header['vertical']}; gaps: not there, or not defined"
    write(0.055, 0.26, notes, fontsize=8, color="#667085")
    write(0.055, 0.1, table.not_known, fontsize=8, color="#667085")
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished, dpi=130, format="png", metadata={"Software": None})


def _keep_quiet_curves_quiet(axes: Any) -> None:
    """At least 40 degrees high, so that what hardly moves looks like it."""
    low, high = axes.get_ylim()
    missing = 40 - (high - low)
    if missing > 0:
        axes.set_ylim(low - missing / 2, high + missing / 2)


WRITERS: dict[str, Callable[[Angles, Path], None]] = {".csv": write_csv, ".png": write_png}
