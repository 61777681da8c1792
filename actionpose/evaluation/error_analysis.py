"""Error analysis: errors by joint, action and occlusion, and the worst clips.

The tables are CSV files; a figure shows them together with the worst frames.
"""

import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from actionpose.datasets.paired import PairedDataset
from actionpose.evaluation.paired import Evaluation, Predict, predict_row
from actionpose.evaluation.protocols import SYNTHETIC, group_means
from actionpose.skeletons import H36M17
from actionpose.utils.files import atomic_folder, plain_cell
from actionpose.utils.typing import Array, BoolArray
from actionpose.visualization.drawing import (
    SIDE_COLORS,
    TARGET_COLOR,
    TURN_RAD,
    draw_bones,
    new_figure,
    turned,
)

# half the thickness of body parts that can occlude a joint, millimeters
_LIMB_MM, _TORSO_MM = 50.0, 110.0
_SAMPLE = 20_000  # number of frames sufficient for the effect of occlusion
_CONFIDENCE_EDGES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
_NUM_WORST = 10
_NUM_DRAWN = 4


def self_occluded(pose_mm: Array) -> BoolArray:
    """Joints (N, 17) that are occluded by the person's own body, along z.

    A joint is occluded if a bone that does not end in it is closer to the camera and within the
    thickness of a limb (or of the trunk) in the image.

    Args:
        pose_mm: (N, 17, 3) Poses, x right, y down, z away from the camera.
    """
    torso = set(H36M17.indices("pelvis", "spine", "thorax", "left_hip", "right_hip"))
    hidden = np.zeros(pose_mm.shape[:2], dtype=bool)
    for child, parent in H36M17.bones:
        near, far = pose_mm[:, child], pose_mm[:, parent]
        bone = far - near
        length = np.maximum(np.square(bone[:, :2]).sum(axis=-1), 1e-9)
        thickness = _TORSO_MM if {child, parent} <= torso else _LIMB_MM
        offset = pose_mm - near[:, None]
        along = np.clip((offset[..., :2] * bone[:, None, :2]).sum(axis=-1) / length[:, None], 0, 1)
        gap = offset - along[..., None] * bone[:, None]  # from the nearest point of the bone
        behind = (np.linalg.norm(gap[..., :2], axis=-1) < thickness) & (gap[..., 2] > thickness)
        behind[:, [child, parent]] = False
        hidden |= behind
    return hidden


def tables_of(evaluation: Evaluation, dataset: PairedDataset) -> dict[str, list[dict[str, Any]]]:
    """The tables by name, each a list of rows."""
    errors, groups = evaluation.errors, evaluation.groups
    joints = [
        {
            "joint": joint,
            "mean_mm": float(errors.joints_mm[:, j].mean()),
            "p90_mm": float(np.percentile(errors.joints_mm[:, j], 90)),
        }
        for j, joint in enumerate(H36M17.joints)
    ]
    actions = [
        {
            "group": group,
            "mean_mm": mean,
            "p90_mm": float(np.percentile(errors.mpjpe_mm[groups == group], 90)),
            "p_mpjpe_mm": float(errors.p_mpjpe_mm[groups == group].mean()),
            "frames": int((groups == group).sum()),
        }
        for group, mean in group_means(errors.mpjpe_mm, groups).items()
    ]
    return {
        "by_joint": sorted(joints, key=lambda row: -row["mean_mm"]),
        "by_group": sorted(actions, key=lambda row: -row["mean_mm"]),
        "by_occlusion": _by_occlusion(evaluation, dataset),
        "worst_clips": worst_clips(evaluation, dataset),
    }


def _by_occlusion(evaluation: Evaluation, dataset: PairedDataset) -> list[dict[str, Any]]:
    """Errors of joints (except the pelvis) by occlusion."""
    errors = evaluation.errors
    places = np.arange(0, len(errors), max(1, len(errors) // _SAMPLE))
    rows, limbs = errors.rows[places], slice(1, None)
    error_mm = errors.joints_mm[places][:, limbs]
    hidden = self_occluded(np.asarray(dataset.truth_mm[rows], dtype=np.float64))[:, limbs]
    bins = {"behind the own body": hidden, "not behind the own body": ~hidden}
    confidence = np.asarray(dataset.keypoints_px[rows][:, limbs, 2], dtype=np.float64)
    if confidence.min() < confidence.max():
        which = np.digitize(confidence, _CONFIDENCE_EDGES[1:-1])
        for number, (low, high) in enumerate(pairwise(_CONFIDENCE_EDGES)):
            bins[f"confidence {low:.2f} to {high:.2f}"] = which == number
    return [
        {"what": what, "mean_mm": float(error_mm[inside].mean()), "joints": int(inside.sum())}
        for what, inside in bins.items()
        if inside.any()
    ]


def worst_clips(evaluation: Evaluation, dataset: PairedDataset) -> list[dict[str, Any]]:
    """The non-overlapping intervals of the length of a window with the largest mean errors."""
    errors, length = evaluation.errors, evaluation.windows.rows.shape[1]
    video = dataset.video_of_rows()[errors.rows]
    starts = np.array([v.start for v in dataset.videos])[video]
    stretch = np.stack([video, (errors.rows - starts) // length], axis=1)
    _, first, which = np.unique(stretch, axis=0, return_index=True, return_inverse=True)
    which = which.reshape(-1)
    means = np.bincount(which, errors.mpjpe_mm) / np.bincount(which)
    table = []
    for place in np.argsort(-means, kind="stable")[:_NUM_WORST]:
        members = np.flatnonzero(which == place)
        worst = members[np.argmax(errors.mpjpe_mm[members])]
        own = dataset.videos[video[first[place]]]
        joint = int(errors.joints_mm[members].mean(axis=0).argmax())
        table.append(
            {
                "video": own.name,
                "first_frame": int(errors.rows[members[0]] - own.start),
                "last_frame": int(errors.rows[members[-1]] - own.start),
                "mean_mm": float(means[place]),
                "worst_frame": int(errors.rows[worst] - own.start),
                "worst_frame_mm": float(errors.mpjpe_mm[worst]),
                "worst_joint": H36M17.joints[joint],
            }
        )
    return table


def write_error_analysis(
    folder: Path, evaluation: Evaluation, predict: Predict, dataset: PairedDataset
) -> Path:
    """Write `by_joint.csv`, `by_group.csv`, `by_occlusion.csv`, `worst_clips.csv`, and a figure.

    Raises:
        UserError: If the folder exists, or matplotlib is not installed.
    """
    tables = tables_of(evaluation, dataset)
    with atomic_folder(folder) as unfinished:
        for name, rows in tables.items():
            with (unfinished / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys())
                writer.writeheader()
                writer.writerows({k: plain_cell(v) for k, v in row.items()} for row in rows)
        _draw(tables, evaluation, predict, dataset, unfinished / "failures.png")
    return folder


def _draw(
    tables: dict[str, list[dict[str, Any]]],
    evaluation: Evaluation,
    predict: Predict,
    dataset: PairedDataset,
    path: Path,
) -> None:
    figure = new_figure(13, 8.5, dpi=130, layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.2, 1))
    bars = halves[0].subplots(1, 3)
    _draw_bars(bars[0], "by joint", tables["by_joint"], "joint")
    groups = "by sequence" if dataset.kind == "3dhp" else "by action"
    _draw_bars(bars[1], groups, tables["by_group"][:16], "group")
    _draw_bars(bars[2], "by occlusion, without pelvis", tables["by_occlusion"], "what")
    views = halves[1].subplots(1, 2 * _NUM_DRAWN).reshape(_NUM_DRAWN, 2)
    for axes in views.flat:
        axes.set_axis_off()
    for axes, clip in zip(views, tables["worst_clips"], strict=False):
        own = next(video for video in dataset.videos if video.name == clip["video"])
        row = own.start + clip["worst_frame"]
        target = np.asarray(dataset.truth_mm[row], dtype=np.float64)
        target = target - target[:1]
        pred = predict_row(predict, evaluation.windows, row)
        reach = 0.55 * float(np.ptp(np.concatenate([target, pred]), axis=0).max())
        draw_against_target(axes, pred, target, max(reach, 1.0))
        text = f"{clip['video']}\nframe {clip['worst_frame']}: {clip['worst_frame_mm']:.0f} mm"
        axes[0].set_title(text, fontsize=7.5, loc="left")
    mark = f"{SYNTHETIC}. " if dataset.info.get("synthetic") else ""
    figure.suptitle(
        f"{mark}Mean errors in mm; below, the worst frames of the worst clips, from the camera and "
        "turned:\ngray is the ground truth, orange the person's right, blue the left",
        fontsize=9,
    )
    figure.savefig(path)


def _draw_bars(axes: Any, title: str, rows: Sequence[dict[str, Any]], key: str) -> None:
    names = [row[key] for row in rows]
    values = [row["mean_mm"] for row in rows]
    axes.barh(names, values, color=SIDE_COLORS["left"], height=0.7)
    axes.bar_label(axes.containers[0], fmt=" %.0f", fontsize=7)
    axes.set_ylim(max(len(rows), 8) - 0.5, -0.5)  # first on top; limits the thickness of bars
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(labelsize=7, length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])
    axes.margins(x=0.12)


def draw_against_target(axes: Sequence[Any], pred: Array, target: Array, reach: float) -> None:
    """Draw a pose (17, 3) over its target, from the camera and rotated, in two axes."""
    for view, angle_rad in zip(axes, (0.0, TURN_RAD), strict=True):
        draw_bones(view, turned(target, angle_rad), color=TARGET_COLOR, width=4)
        draw_bones(view, turned(pred, angle_rad), width=2, reach=reach)
