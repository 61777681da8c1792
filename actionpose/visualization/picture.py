"""Picture of selected frames of a person: the 2D input, and the 3D pose from two sides."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from actionpose.postprocessing.visibility import measured_joints
from actionpose.result import Result
from actionpose.skeletons import Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array, BoolArray
from actionpose.visualization.drawing import (
    GRID,
    INK,
    MUTED,
    PAPER,
    draw_body,
    new_figure,
    save_png,
    side_color,
    write,
    write_side_legend,
)
from actionpose.visualization.scene import GRID_M, scene_positions, view_rotation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SMALL: dict[str, Any] = {"fontsize": 9, "color": INK}
_PANEL_IN = 2.15  # side of a panel in inches


def write_picture(
    result: Result, path: str | os.PathLike[str], *, person: int = 0, num_frames: int = 6
) -> None:
    """Write a PNG of one person with the 2D input, and the 3D pose from two other directions.

    Frames are evenly selected from those in which the person is visible, one per column (a single
    frame is drawn as a row). All panels of a kind have the same scale.

    Args:
        result: Result to show.
        path: File to write.
        person: Index of the person.
        num_frames: Number of frames.

    Raises:
        UserError: If the person does not exist, there is no frame to draw, the file cannot be
            written, or matplotlib is not installed.
    """
    persons = len(result.track_id)
    if not 0 <= person < persons:
        raise UserError(f"there is no person {person}: the result has {persons}, counted from 0")
    if num_frames < 1:
        raise UserError(f"num_frames must be at least 1, not {num_frames}")
    is_known = np.isfinite(result.pose_m[person]).all(axis=-1).any(axis=-1)
    valid = np.flatnonzero(result.valid[person] & is_known)
    if not valid.size:
        raise UserError(f"there is nothing to draw: person {person} has no valid frame")
    frames = valid[np.unique(np.linspace(0, len(valid) - 1, num_frames).round().astype(int))]
    measured = measured_joints(result)[person]
    pose = _centered(scene_positions(result)[0][person, frames], result.skeleton)
    views = {
        "2D input": None,
        "3D, oblique": view_rotation(azimuth_deg=40, elevation_deg=14),
        "3D, from the side": view_rotation(azimuth_deg=90, elevation_deg=5),
    }
    reach = _reach([pose @ view.T for view in views.values() if view is not None])
    single = len(frames) == 1
    shape = (1, len(views)) if single else (len(views), len(frames))
    width, height = _PANEL_IN * max(shape[1], 3) + 0.46, _PANEL_IN * shape[0] + 1.24
    figure = new_figure(width, height)
    margins: dict[str, Any] = {"left": 0.36 / width, "right": 1 - 0.1 / width}
    margins |= {"bottom": 0.6 / height, "top": 1 - 0.64 / height}
    grid = figure.add_gridspec(*shape, wspace=0.04, hspace=0.04, **margins)
    for row, (name, view) in enumerate(views.items()):
        for column, frame in enumerate(frames):
            cell = grid[0, row] if single else grid[row, column]
            axes = figure.add_subplot(cell, xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if view is None:
                _draw_keypoints(axes, result.keypoints_px[person, frames], result.skeleton, column)
            else:
                _draw_pose(axes, pose[column], view, result.skeleton, reach, measured)
            if single or row == 0:
                time = f"{result.time_s[frame]:.2f} s"
                axes.set_title(f"{name}, {time}" if single else time, **_SMALL)
        if not single:
            middle = (axes.get_position().y0 + axes.get_position().y1) / 2
            figure.text(0.18 / width, middle, name, rotation=90, ha="center", va="center", **_SMALL)
    _write_around(figure, result, person)
    save_png(figure, path)


def _centered(pose: Array, skeleton: Skeleton) -> Array:
    """Move the root (T, J, 3) above the origin in every frame. Heights are not changed."""
    root = pose[:, skeleton.parents.index(None)]
    middle = np.where(np.isfinite(root), root, np.nanmean(pose, axis=1)) * (1, 0, 1)
    return pose - middle[:, None]


def _reach(poses: list[Array]) -> tuple[Array, float]:
    """Center (x, y) and half the side of a square that contains all poses, in meters."""
    points = np.concatenate([pose[..., :2].reshape(-1, 2) for pose in poses])
    floor_m = -0.25  # lowest corner of the floor in the oblique view
    lowest, highest = min(np.nanmin(points[:, 1]), floor_m), np.nanmax(points[:, 1])
    half = max(np.nanmax(np.abs(points[:, 0])), (highest - lowest) / 2) + 0.08
    return np.array([0, (lowest + highest) / 2]), float(half)


def _draw_pose(
    axes: "Axes",
    pose: Array,
    view: Array,
    skeleton: Skeleton,
    reach: tuple[Array, float],
    measured: BoolArray,
) -> None:
    """Draw a pose (J, 3) on the floor in orthographic projection."""
    (x_m, y_m), half_m = reach
    axes.set(xlim=(x_m - half_m, x_m + half_m), ylim=(y_m - half_m, y_m + half_m), aspect="equal")
    at = np.array([-1.5, -0.5, 0.5, 1.5]) * GRID_M
    along, across = np.meshgrid(at, at[[0, -1]])
    for x, z in ((along, across), (across, along)):
        ends = np.stack([x, 0 * x, z], axis=-1) @ view.T  # (2, lines, 3)
        axes.plot(ends[..., 0], ends[..., 1], color=GRID, linewidth=0.6, zorder=0)
    shadow = (pose * (1, 0, 1)) @ view.T
    for bone in map(list, skeleton.bones):
        axes.plot(*shadow[bone, :2].T, "-", color=GRID, lw=3, zorder=1, solid_capstyle="round")
    points_per_m = 72 * _PANEL_IN / (2 * half_m)
    draw_body(
        *(axes, pose @ view.T, skeleton, points_per_m), limb_m=0.06, head_m=0.16, measured=measured
    )


def _draw_keypoints(axes: "Axes", keypoints_px: Array, skeleton: Skeleton, frame: int) -> None:
    """Draw the 2D input (T, J, 3) at a frame, in a view with the same size for all frames."""
    axes.set_facecolor(PAPER)
    keypoints = keypoints_px.astype(np.float64)
    visible = (keypoints[..., 2] > 0) & np.isfinite(keypoints).all(axis=-1)
    xy_px = np.where(visible[..., None], keypoints[..., :2], np.nan)
    if not visible[frame].any():
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.text(0.5, 0.5, "no detection", ha="center", va="center", fontsize=8, color=MUTED)
        return
    some = xy_px[visible.any(axis=1)]
    low, high = np.nanmin(some, axis=1), np.nanmax(some, axis=1)
    half = 0.58 * max(float((high - low).max()), 1.0)
    own = xy_px[frame][visible[frame]]
    x_px, y_px = (own.min(axis=0) + own.max(axis=0)) / 2
    axes.set(xlim=(x_px - half, x_px + half), ylim=(y_px + half, y_px - half), aspect="equal")
    for child, parent in skeleton.bones:
        if visible[frame, [child, parent]].all():
            ends = xy_px[frame, [child, parent]].T
            color = side_color(skeleton.joints[child])
            axes.plot(*ends, color=color, linewidth=1.8, solid_capstyle="round", zorder=1)
    for (x, y), joint in zip(xy_px[frame], skeleton.joints, strict=True):
        axes.plot(x, y, "o", color=side_color(joint), ms=3.2, mec="white", mew=0.5, zorder=2)


def _write_around(figure: "Figure", result: Result, person: int) -> None:
    """Write the person and a legend of the sides above, and the axes and units below."""
    width, height = figure.get_size_inches()
    several = len(result.track_id) > 1
    who = f"Person {person}, track {result.track_id[person]}" if several else "3D pose"
    write(figure, 0.34, height - 0.22, who, fontsize=11, fontweight="bold", color=INK)
    write_side_legend(figure, width - 1.75, width - 0.85, height - 0.22)
    facts = result.facts
    axes = f"{facts['axes']}; root: {facts['root']}"
    write(figure, 0.34, 0.38, axes, fontsize=8, color=MUTED)
    scale = f"units: {facts['units']}; scale: {facts['scale_source']}; floor grid: {GRID_M} m"
    write(figure, 0.34, 0.18, scale, fontsize=8, color=MUTED)
