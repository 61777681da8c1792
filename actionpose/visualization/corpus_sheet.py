"""Contact sheet of a corpus: histograms of its poses, and motions with their texts.

All people are drawn at the same scale, unless a segment is taller than its cell. Left and right are
those of the person.
"""

import os
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from actionpose.datasets.corpus import Corpus, Segment
from actionpose.datasets.statistics import CorpusStatistics, corpus_statistics, counted
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array
from actionpose.visualization.drawing import (
    GRID,
    INK,
    MUTED,
    SIDE_COLORS,
    draw_body,
    new_figure,
    save_png,
    write,
    write_side_legend,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS, _CELL_IN, _MOST_POSES = 3, (4.1, 1.85), 5
_M_PER_IN = 1.5
_LIMB_M, _GAP_M, _BELOW_M = 0.055, 0.14, 0.12
_CAMERA_DEG = 35.0  # to the side of the direction that the person faces at the start of the segment


def write_corpus_sheet(
    corpus: Corpus,
    path: str | os.PathLike[str],
    *,
    split: str | None = None,
    num_segments: int = 18,
    seed: int = 0,
) -> None:
    """Write a PNG with histograms of the poses, and random segments with their texts.

    Texts are drawn first with equal probability, and then a segment of each text, so that frequent
    texts do not dominate the sheet. A segment is shown as up to five poses from left to right.

    Args:
        corpus: Corpus to show.
        path: File to write.
        split: Split to draw segments from. By default all.
        num_segments: Number of segments.
        seed: Seed of the random selection.

    Raises:
        UserError: If there is no segment, the file cannot be written, or matplotlib is not
            installed.
    """
    if num_segments < 1:
        raise UserError(f"a sheet shows 1 segment or more, not {num_segments}")
    chosen = choose_segments(corpus, split=split, num_segments=num_segments, seed=seed)
    sheet = corpus_statistics(corpus)
    rows = -(-len(chosen) // _COLUMNS)
    top_in, bottom_in, side_in = 2.55, 0.42, 0.3
    width = _COLUMNS * _CELL_IN[0] + 2 * side_in
    height = rows * _CELL_IN[1] + top_in + bottom_in
    figure = new_figure(width, height)
    _draw_head(figure, sheet, len(chosen), split, seed)
    _draw_histograms(figure, sheet)
    for number, segment in enumerate(chosen):
        row, column = divmod(number, _COLUMNS)
        x_in = side_in + column * _CELL_IN[0]
        y_in = height - top_in - (row + 1) * _CELL_IN[1]
        cell = [x_in / width, y_in / height, _CELL_IN[0] / width, _CELL_IN[1] / height]
        axes = figure.add_axes((cell[0], cell[1], cell[2], cell[3]), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        _draw_segment(axes, corpus, segment)
    note = (
        f"Viewed from {_CAMERA_DEG:g} degrees beside the front of the segment's first frame, at "
        "equal distances in time; the line is the level of the segment's lowest joint."
    )
    write(figure, side_in, 0.2, note, fontsize=8, color=MUTED)
    save_png(figure, path, dpi=120)


def choose_segments(
    corpus: Corpus, *, split: str | None, num_segments: int, seed: int
) -> list[Segment]:
    """Select segments for a contact sheet: one of each of randomly ordered texts, then more.

    Raises:
        UserError: If there is no segment.
    """
    by_text: dict[str, list[Segment]] = {}
    for segment in corpus.segments:
        # a whole motion is only used if no labeled segment has the same text
        if split in (None, segment.split) and (segment.text or segment.kind == "sequence"):
            by_text.setdefault(segment.text, []).append(segment)
    if len(by_text) > 1:
        by_text.pop("", None)
    if not by_text:
        known = ", ".join(dict.fromkeys(segment.split for segment in corpus.segments))
        raise UserError(f"{corpus.folder} has no segment of the split {split}; it has {known}")
    for text, segments in by_text.items():
        labels = [segment for segment in segments if segment.kind != "sequence"]
        by_text[text] = labels or segments
    random = np.random.default_rng(seed)
    chosen: list[Segment] = []
    pools = {text: list(random.permutation(len(found))) for text, found in by_text.items()}
    while len(chosen) < num_segments and any(pools.values()):
        left = [text for text, pool in pools.items() if pool]
        for index in random.permutation(len(left))[: num_segments - len(chosen)]:
            text = left[index]
            chosen.append(by_text[text][pools[text].pop()])
    return chosen


def _draw_head(
    figure: "Figure", sheet: CorpusStatistics, num_shown: int, split: str | None, seed: int
) -> None:
    width, height = figure.get_size_inches()
    motions = sum(each.motions for each in sheet.splits)
    transitions = sum(count for _, count, _ in sheet.transitions)
    facts = [
        f"{sheet.hours:.2f} hours at {sheet.fps:g} Hz, {counted(motions, 'motion')}",
        ", ".join(
            f"{each.name} {each.hours:.2f} h ({counted(each.subjects, 'subject')})"
            for each in sheet.splits
        ),
        f"{counted(len(sheet.labels), 'text')}, {counted(transitions, 'transition')}",
        *textwrap.wrap(sheet.source, 50, max_lines=3, placeholder=" ..."),
        *textwrap.wrap(f"license: {sheet.license}", 50, max_lines=2, placeholder=" ..."),
    ]
    write(figure, 0.35, height - 0.32, sheet.name, fontsize=16, fontweight="bold", color=INK)
    for line, text in enumerate(facts):
        color = INK if line < 3 else MUTED
        write(figure, 0.35, height - 0.66 - 0.2 * line, text, fontsize=8.5, color=color)
    where = f" of {split}" if split else ""
    shown = f"{counted(num_shown, 'segment')}{where}, drawn at random text by text (seed {seed})"
    write(figure, 0.35, height - 2.38, shown, fontsize=9, fontweight="bold", color=INK)
    write_side_legend(figure, width - 2.0, width - 1.1, height - 2.38)


def _draw_histograms(figure: "Figure", sheet: CorpusStatistics) -> None:
    width, height = figure.get_size_inches()
    left_in, panel_in, wide_in = 4.75, 0.55, 1.75
    for number, histogram in enumerate(sheet.poses):
        x_in = left_in + number * (wide_in + panel_in + 0.35)
        at = (x_in / width, 1 - 1.98 / height, wide_in / width, 1.5 / height)
        axes = figure.add_axes(at)
        places = np.arange(len(histogram.bins))[::-1]
        percent = 100 * np.array(histogram.fractions)
        axes.barh(places, percent, height=0.72, color=SIDE_COLORS["left"])
        for place, value in zip(places, percent, strict=True):
            text = f"{value:.1f} %" if value >= 0.05 or value == 0 else "< 0.1 %"
            axes.text(value + 2, place, text, fontsize=7.5, color=INK, va="center")
        axes.set(xlim=(0, 128), ylim=(-0.6, len(places) - 0.4), xticks=[])
        axes.set_yticks(places, histogram.bins, fontsize=7.5, color=INK)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.spines["left"].set_visible(True)
        axes.spines["left"].set_color(GRID)
        axes.set_title(histogram.title, fontsize=8.5, color=INK, loc="left", x=-0.3)


def _draw_segment(axes: "Axes", corpus: Corpus, segment: Segment) -> None:
    """Draw a cell: the text above, and poses in a row on the floor."""
    wide_m, high_m = (side_in * _M_PER_IN for side_in in _CELL_IN)
    axes.set(xlim=(0, wide_m), ylim=(-_BELOW_M, high_m - _BELOW_M), aspect="equal")
    seconds = len(segment) / corpus.fps
    text = textwrap.shorten(segment.text or "(no text)", 60, placeholder=" ...")
    top_m = high_m - _BELOW_M
    axes.text(0.08, top_m - 0.15, text, fontsize=9, color=INK, va="center", parse_math=False)
    about = f"{segment.motion}, {segment.split}, {segment.kind}, {seconds:.1f} s"
    about = textwrap.shorten(about, 80, placeholder=" ...")
    axes.text(0.08, top_m - 0.37, about, fontsize=7, color=MUTED, va="center", parse_math=False)
    joints_m = np.asarray(corpus.joints_m[segment.start : segment.stop], dtype=np.float64)
    points = _from_camera(joints_m)
    poses = _poses(points, wide_m - 0.2)
    axes.plot([0.05, wide_m - 0.05], [0, 0], color=GRID, linewidth=0.8, zorder=0)
    scale = min(1.0, (top_m - 0.5) / max(float(points[..., 1].max()), 1e-6))
    widths = [scale * float(np.ptp(pose[:, 0])) for pose in poses]
    free = (wide_m - 0.2 - sum(widths)) / len(poses)
    x_m = 0.1
    for pose, width_m in zip(poses, widths, strict=True):
        placed = scale * pose
        placed[:, 0] += x_m + free / 2 - placed[:, 0].min()
        placed[:, 2] -= placed[:, 2].mean()
        draw_body(axes, placed, H36M17, 72 / _M_PER_IN, limb_m=_LIMB_M * scale, head_m=0.15 * scale)
        x_m += width_m + free


def _from_camera(joints_m: Array) -> Array:
    """(T, 17, 3) right, up from the lowest joint of all frames, and toward the camera."""
    hips = joints_m[0, H36M17.indices("left_hip", "right_hip")]
    across = hips[1] - hips[0]  # to the right of the person
    facing = np.arctan2(across[0], -across[1])  # a quarter turn to the left of it, from above
    towards = facing + np.radians(_CAMERA_DEG)
    nearer = np.array([np.cos(towards), np.sin(towards), 0])
    right = np.array([-np.sin(towards), np.cos(towards), 0])
    points = joints_m @ np.stack([right, [0, 0, 1], nearer]).T
    points[..., 1] -= points[..., 1].min() - _LIMB_M / 2
    return points


def _poses(points: Array, room_m: float) -> list[Array]:
    """As many poses at equal time steps as fit side by side."""
    for count in range(min(_MOST_POSES, len(points)), 1, -1):
        frames = np.linspace(0, len(points) - 1, count).round().astype(int)
        if sum(np.ptp(pose[:, 0]) + _GAP_M for pose in points[frames]) <= room_m:
            return list(points[frames])
    return [points[len(points) // 2]]
