"""A picture of chosen frames of a person: the 2D input, and the 3D pose from two sides."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actionpose.result import Result
from actionpose.skeletons import Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.visualization.drawing import COLORS, new_figure, side
from actionpose.visualization.scene import GRID_M, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def picture(
    result: Result, path: str | os.PathLike[str], *, person: int = 0, num_frames: int = 6
) -> None:
    """Write a PNG of one person: the 2D input, and the 3D pose from two other sides.

    Frames are spread evenly over those where the person is there, a column each (a single frame
    lies in a row). All panels of a kind have the same scale.

    Args:
        person: counts along P.

    Raises:
        UserError: no such person or no frame to draw, the file cannot be written, or matplotlib is
            not installed.
    """
    persons = len(result.track_id)
    if not 0 <= person < persons:
        raise UserError(f"there is no person {person}: the result has {persons}, counted from 0")
    if num_frames < 1:
        raise UserError(f"num_frames must be at least 1, not {num_frames}")
    is_known = np.isfinite(result.pose_m[person]).all(axis=-1).any(axis=-1)
    there = np.flatnonzero(result.valid[person] & is_known)
    if not there.size:
        raise UserError(f"there is nothing to draw: person {person} has no valid frame")
    chosen = there[np.unique(np.linspace(0, len(there) - 1, num_frames).round().astype(int))]

    placed, _ = place(result)
    pose = _centered(placed[person, chosen], result.skeleton)
    turns = {
        "2D input": None,
        "3D, oblique": _turned(azimuth_deg=40, elevation_deg=14),
        "3D, from the side": _turned(azimuth_deg=90, elevation_deg=5),
    }
    reach = _reach([pose @ turn.T for turn in turns.values() if turn is not None])
    single = len(chosen) == 1
    shape = (1, len(turns)) if single else (len(turns), len(chosen))
    width, height = _PANEL_IN * max(shape[1], 3) + 0.46, _PANEL_IN * shape[0] + 1.24
    figure = new_figure(width, height)
    margins: dict[str, Any] = {"left": 0.36 / width, "right": 1 - 0.1 / width}
    margins |= {"bottom": 0.6 / height, "top": 1 - 0.64 / height}
    grid = figure.add_gridspec(*shape, wspace=0.04, hspace=0.04, **margins)
    for row, (name, turn) in enumerate(turns.items()):
        for column, frame in enumerate(chosen):
            cell = grid[0, row] if single else grid[row, column]
            axes = figure.add_subplot(cell, xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if turn is None:
                _draw_keypoints(axes, result, person, chosen, column)
            else:
                _draw_pose(axes, pose[column], turn, result.skeleton, reach)
            if single or row == 0:
                time = f"{result.time_s[frame]:.2f} s"
                axes.set_title(f"{name}, {time}" if single else time, **_SMALL)
        if not single:
            middle = (axes.get_position().y0 + axes.get_position().y1) / 2
            figure.text(0.18 / width, middle, name, rotation=90, ha="center", va="center", **_SMALL)
    _write_around(figure, result, person)
    with atomic_write(path) as unfinished:
        # no version in the file: the same result gives the same bytes
        figure.savefig(unfinished, dpi=150, format="png", metadata={"Software": None})


_INK, _QUIET, _GRID, _PAPER = "#1d2430", "#667085", "#d5dae2", "#f5f7f9"
_SMALL: dict[str, Any] = {"fontsize": 9, "color": _INK}
_PANEL_IN = 2.15  # side of a panel, inches
_LIMB_M, _HEAD_M = 0.06, 0.16  # thickness


def _turned(*, azimuth_deg: float, elevation_deg: float) -> NDArray[np.float64]:
    """The (3, 3) rotation from view axes to what is seen from there: right, up, nearer."""
    (sin_a, sin_e) = np.sin(np.radians([azimuth_deg, elevation_deg]))
    (cos_a, cos_e) = np.cos(np.radians([azimuth_deg, elevation_deg]))
    about_up = np.array([[cos_a, 0, -sin_a], [0, 1, 0], [sin_a, 0, cos_a]])
    downwards = np.array([[1, 0, 0], [0, cos_e, -sin_e], [0, sin_e, cos_e]])
    return downwards @ about_up


def _centered(pose: NDArray[np.float64], skeleton: Skeleton) -> NDArray[np.float64]:
    """(T, J, 3) with the root above the origin in every frame; heights stay."""
    root = pose[:, skeleton.parents.index(None)]
    middle = np.where(np.isfinite(root), root, np.nanmean(pose, axis=1)) * (1, 0, 1)
    return pose - middle[:, None]


def _reach(poses: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], float]:
    """The middle (x, y) and half the side of a square that holds all that is seen, in meters."""
    points = np.concatenate([pose[..., :2].reshape(-1, 2) for pose in poses])
    floor_m = -0.25  # how far the nearest corner of the floor reaches down in the oblique view
    lowest, highest = min(np.nanmin(points[:, 1]), floor_m), np.nanmax(points[:, 1])
    half = max(np.nanmax(np.abs(points[:, 0])), (highest - lowest) / 2) + 0.08
    return np.array([0, (lowest + highest) / 2]), float(half)


def _draw_pose(
    axes: "Axes",
    pose: NDArray[np.float64],
    turn: NDArray[np.float64],
    skeleton: Skeleton,
    reach: tuple[NDArray[np.float64], float],
) -> None:
    """One pose (J, 3) on the floor, in orthographic projection."""
    (x_m, y_m), half_m = reach
    axes.set(xlim=(x_m - half_m, x_m + half_m), ylim=(y_m - half_m, y_m + half_m), aspect="equal")
    at = np.array([-1.5, -0.5, 0.5, 1.5]) * GRID_M
    along, across = np.meshgrid(at, at[[0, -1]])
    for x, z in ((along, across), (across, along)):
        ends = np.stack([x, 0 * x, z], axis=-1) @ turn.T  # (2, lines, 3)
        axes.plot(ends[..., 0], ends[..., 1], color=_GRID, linewidth=0.6, zorder=0)
    seen = pose @ turn.T
    shadow = (pose * (1, 0, 1)) @ turn.T
    points_per_m = 72 * _PANEL_IN / (2 * half_m)
    for child, parent in skeleton.bones:
        if np.isfinite(pose[[child, parent]]).all():
            bone = [child, parent]
            axes.plot(*shadow[bone, :2].T, "-", color=_GRID, lw=3, zorder=1, solid_capstyle="round")
            _draw_limb(axes, seen[bone], _LIMB_M, points_per_m, side(skeleton.joints[child]))
            if (skeleton.joints[child], skeleton.joints[parent]) == ("head", "nose"):
                head = seen[bone].mean(axis=0) + 0.2 * (seen[bone] - seen[bone].mean(axis=0))
                _draw_limb(axes, head, _HEAD_M, points_per_m, "middle")


def _draw_limb(
    axes: "Axes", ends: NDArray[np.float64], thick_m: float, points_per_m: float, which: str
) -> None:
    """A line with round ends (2, 3) that covers what is farther away, and is paler if far."""
    nearness = ends[:, 2].mean()
    zorder, points = 10 + nearness, thick_m * points_per_m
    length = np.linalg.norm(ends[1, :2] - ends[0, :2])
    if length > 2.5 * thick_m:
        # a white rim where the limb passes others, but not at its ends, where it meets its own
        trim = 1.1 * thick_m / length * (ends[1, :2] - ends[0, :2])
        rim = np.array([ends[0, :2] + trim, ends[1, :2] - trim])
        axes.plot(*rim.T, "-w", lw=points + 1.8, zorder=zorder, solid_capstyle="butt")
    rgb = np.array([int(COLORS[which][i : i + 2], 16) / 255 for i in (1, 3, 5)])
    rgb += (1 - rgb) * np.clip(-0.7 * nearness, 0, 0.4)
    axes.plot(*ends[:, :2].T, "-", color=rgb, lw=points, zorder=zorder, solid_capstyle="round")


def _draw_keypoints(
    axes: "Axes", result: Result, person: int, chosen: NDArray[np.intp], column: int
) -> None:
    """The 2D input at one of the chosen frames, in a window of the same size at all of them."""
    axes.set_facecolor(_PAPER)
    keypoints = result.keypoints_px[person, chosen].astype(np.float64)
    seen = (keypoints[..., 2] > 0) & np.isfinite(keypoints).all(axis=-1)
    xy_px = np.where(seen[..., None], keypoints[..., :2], np.nan)
    if not seen[column].any():
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.text(0.5, 0.5, "nothing seen", ha="center", va="center", fontsize=8, color=_QUIET)
        return
    some = xy_px[seen.any(axis=1)]
    low, high = np.nanmin(some, axis=1), np.nanmax(some, axis=1)
    half = 0.58 * max(float((high - low).max()), 1.0)
    own = xy_px[column][seen[column]]
    x_px, y_px = (own.min(axis=0) + own.max(axis=0)) / 2
    axes.set(xlim=(x_px - half, x_px + half), ylim=(y_px + half, y_px - half), aspect="equal")
    skeleton = result.skeleton
    for child, parent in skeleton.bones:
        if seen[column, [child, parent]].all():
            ends = xy_px[column, [child, parent]].T
            color = COLORS[side(skeleton.joints[child])]
            axes.plot(*ends, color=color, linewidth=1.8, solid_capstyle="round", zorder=1)
    for (x, y), joint in zip(xy_px[column], skeleton.joints, strict=True):
        axes.plot(x, y, "o", color=COLORS[side(joint)], ms=3.2, mec="white", mew=0.5, zorder=2)


def _write_around(figure: "Figure", result: Result, person: int) -> None:
    """Who this is and which side is which, above; what the numbers mean, below."""
    header = result.header
    width, height = figure.get_size_inches()

    def write(x_in: float, y_in: float, text: str, **style: Any) -> None:
        # parse_math=False: a dollar sign is a dollar sign
        figure.text(x_in / width, y_in / height, text, va="center", parse_math=False, **style)

    several = len(result.track_id) > 1
    who = f"Person {person}, track {result.track_id[person]}" if several else "3D pose"
    write(0.34, height - 0.22, who, fontsize=11, fontweight="bold", color=_INK)
    for x_in, name in ((width - 1.75, "right"), (width - 0.85, "left")):
        label = f"\N{BLACK CIRCLE} {name} side"
        write(x_in, height - 0.22, label, fontsize=8.5, color=COLORS[name])
    write(0.34, 0.38, f"{header['axes']}; root: {header['root']}", fontsize=8, color=_QUIET)
    scale = f"units: {header['units']}; scale: {header['scale_source']}; floor grid: {GRID_M} m"
    write(0.34, 0.18, scale, fontsize=8, color=_QUIET)
