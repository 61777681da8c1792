"""What everything that draws shares: colors, figures, and skeletons of H36M17 as lines."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.floating]

# blue and vermilion of Okabe and Ito, told apart with any color vision; the trunk is neutral
COLORS = {"right": "#D55E00", "left": "#0072B2", "middle": "#5B6470"}
GRAY = "#9AA3AF"  # of the truth behind a prediction
TURN_RAD = 0.9  # of the second view about the vertical


def side(joint: str) -> str:
    """Which side of the person a joint is on: left, right or middle."""
    prefix = joint.partition("_")[0]
    return prefix if prefix in ("left", "right") else "middle"


def new_figure(width: float, height: float, **options: Any) -> "Figure":
    """A white figure that needs no display and leaves matplotlib's global state alone.

    Args:
        width, height: inches.
        options: of matplotlib's `Figure`.

    Raises:
        UserError: matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("a picture needs matplotlib: pip install 'actionpose[viz]'") from None
    figure = Figure(figsize=(width, height), facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure


def turned(pose: Array, angle_rad: float = TURN_RAD) -> Array:
    """(17, 3) camera axes, turned about the vertical (y) around the pelvis."""
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
    """Draw x and y of a pose (17, 2 or more), y down.

    Args:
        color: one for all; by default the sides have theirs.
        reach: half the width of the view around the pose's middle, in its units.
    """
    for child, parent in H36M17.bones:
        ends = points[[child, parent], :2]
        own = color or COLORS[side(H36M17.joints[child])]
        axes.plot(ends[:, 0], ends[:, 1], color=own, linewidth=width, solid_capstyle="round")
    if reach is not None:
        x, y = (points[:, :2].min(axis=0) + points[:, :2].max(axis=0)) / 2
        axes.set_xlim(x - reach, x + reach)
        axes.set_ylim(y + reach, y - reach)
    axes.set_aspect("equal")
    axes.set_axis_off()
