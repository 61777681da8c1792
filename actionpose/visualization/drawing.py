"""Skeletons of H36M17 as lines on matplotlib axes: what figures and failure pictures share."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from actionpose.skeletons import H36M17
from actionpose.visualization.html_viewer import COLORS, side

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.floating]

GRAY = "#9AA3AF"  # of the truth behind a prediction
TURN_RAD = 0.9  # of the second view about the vertical


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
