"""Shared drawing code: color palette, figures, and skeletons as lines."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from actionpose.skeletons import H36M17, Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.utils.typing import Array, BoolArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# blue and vermilion of Okabe and Ito, distinguishable with color blindness; gray for the trunk
SIDE_COLORS = {"right": "#D55E00", "left": "#0072B2", "middle": "#5B6470"}
TARGET_COLOR = "#9AA3AF"  # color of the target behind a prediction
INK, MUTED, GRID, PAPER = "#1d2430", "#667085", "#d5dae2", "#f5f7f9"
# colors of labels in turn, dark enough for white text
LABEL_COLORS = ("#00796b", "#6a3d9a", "#b8456b", "#3f6fb5", "#8a6100", "#4d7c0f", "#a0432c")
_OTHER_COLOR = "#64748b"  # color of "other" and "unknown"

TURN_RAD = 0.9  # rotation of the second view about the vertical


def side_of(joint: str) -> str:
    """The side of a joint: left, right or middle."""
    prefix = joint.partition("_")[0]
    return prefix if prefix in ("left", "right") else "middle"


def side_color(joint: str) -> str:
    """The color of the side of a joint."""
    return SIDE_COLORS[side_of(joint)]


def label_colors(labels: Sequence[str], *others: str) -> dict[str, str]:
    """A color for each label in the order of first use, and one color for all of `others`."""
    named = [label for label in dict.fromkeys(labels) if label not in others]
    colors = {label: LABEL_COLORS[i % len(LABEL_COLORS)] for i, label in enumerate(named)}
    return {**colors, **dict.fromkeys(others, _OTHER_COLOR)}


def rgb(color: str) -> Array:
    """Red, green and blue (3,) from 0 to 1 of a color such as "#0072B2"."""
    return np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def new_figure(width: float, height: float, **options: Any) -> "Figure":
    """Create a white figure without a display or changes of matplotlib's global state.

    Args:
        width: Width in inches.
        height: Height in inches.
        options: Options of matplotlib's `Figure`.

    Raises:
        UserError: If matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("a picture needs matplotlib: pip install 'actionpose[viz]'") from None
    figure = Figure(figsize=(width, height), facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: "Figure", path: str | os.PathLike[str], *, dpi: float = 150) -> None:
    """Write a PNG. Equal figures give equal bytes, because no version is stored.

    Raises:
        UserError: If the file cannot be written.
    """
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished, dpi=dpi, format="png", metadata={"Software": None})


def write(figure: "Figure", x_in: float, y_in: float, text: str, **style: Any) -> None:
    """Write a line of text, vertically centered, at inches from the lower left corner.

    A dollar sign is drawn as a character and does not start a formula.
    """
    width, height = figure.get_size_inches()
    figure.text(x_in / width, y_in / height, text, va="center", parse_math=False, **style)


def write_side_legend(
    figure: "Figure", right_in: float, left_in: float, y_in: float, *, fontsize: float = 8.5
) -> None:
    """Write a legend with the colors of the right and left side, at two positions in inches."""
    for x_in, name in ((right_in, "right"), (left_in, "left")):
        text = f"\N{BLACK CIRCLE} {name} side"
        write(figure, x_in, y_in, text, fontsize=fontsize, color=SIDE_COLORS[name])


def turned(pose: Array, angle_rad: float = TURN_RAD) -> Array:
    """Rotate a pose (17, 3) in camera axes about the vertical axis (y) through the pelvis."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    rotation = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
    return (pose - pose[:1]) @ rotation.T


def draw_bones(
    axes: "Axes",
    points: Array,
    *,
    color: str | None = None,
    width: float = 2.2,
    reach: float | None = None,
) -> None:
    """Draw x and y of a pose (17, 2 or more), with y down.

    Args:
        axes: Axes to draw to.
        points: Pose.
        color: Color of all bones. By default that of each side.
        width: Line width in points.
        reach: Half the width of the view around the center of the pose, in its unit.
    """
    for child, parent in H36M17.bones:
        ends = points[[child, parent], :2]
        own = color or side_color(H36M17.joints[child])
        axes.plot(ends[:, 0], ends[:, 1], color=own, linewidth=width, solid_capstyle="round")
    if reach is not None:
        x, y = (points[:, :2].min(axis=0) + points[:, :2].max(axis=0)) / 2
        axes.set_xlim(x - reach, x + reach)
        axes.set_ylim(y + reach, y - reach)
    axes.set_aspect("equal")
    axes.set_axis_off()


def is_head(joints: Sequence[str], child: int, parent: int) -> bool:
    """Whether a bone is the upper part of the head, which is drawn as a disc."""
    return (joints[child], joints[parent]) == ("head", "nose")


def draw_body(
    axes: "Axes",
    points: Array,
    skeleton: Skeleton,
    points_per_m: float,
    *,
    limb_m: float,
    head_m: float,
    measured: BoolArray | None = None,
) -> None:
    """Draw a pose (J, 3), with coordinates right, up and toward the viewer, with thick limbs.

    Limbs hide farther ones, with a white outline at crossings, and are paler with distance.

    Args:
        axes: Axes to draw to.
        points: Pose.
        skeleton: Joint layout of the pose.
        points_per_m: Scale in points per meter.
        limb_m: Thickness of limbs in meters.
        head_m: Diameter of the head in meters.
        measured: (J,) True for visible joints. Bones of other joints are thin, pale and dashed.
    """
    for child, parent in skeleton.bones:
        ends = points[[child, parent]]
        if not np.isfinite(ends).all():
            continue
        color = rgb(side_color(skeleton.joints[child]))
        if measured is not None and not measured[[child, parent]].all():
            pale = color + 0.6 * (1 - color)
            axes.plot(*ends[:, :2].T, color=pale, lw=0.3 * limb_m * points_per_m, ls=(0, (3, 2)))
            continue
        _draw_limb(axes, ends, limb_m, points_per_m, color)
        if is_head(skeleton.joints, child, parent):
            middle = ends.mean(axis=0)
            _draw_limb(axes, middle + 0.2 * (ends - middle), head_m, points_per_m, color)


def _draw_limb(
    axes: "Axes", ends: Array, thick_m: float, points_per_m: float, color: Array
) -> None:
    """Draw a line (2, 3) with round ends."""
    nearness = ends[:, 2].mean()
    zorder, points = 10 + nearness, thick_m * points_per_m
    length = np.linalg.norm(ends[1, :2] - ends[0, :2])
    if length > 2.5 * thick_m:
        # a white outline where the limb crosses others, but not at its ends, where bones meet
        trim = 1.1 * thick_m / length * (ends[1, :2] - ends[0, :2])
        rim = np.array([ends[0, :2] + trim, ends[1, :2] - trim])
        axes.plot(*rim.T, "-w", lw=points + 1.8, zorder=zorder, solid_capstyle="butt")
    pale = color + (1 - color) * np.clip(-0.7 * nearness, 0, 0.4)
    axes.plot(*ends[:, :2].T, "-", color=pale, lw=points, zorder=zorder, solid_capstyle="round")
