"""What goes wrong where: errors by joint, action and occlusion, and the worst clips.

A score says how much, not why. The tables are CSV, the picture shows them beside the worst frames.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.paired import PairedDataset
from actionpose.evaluation.paired import Evaluation, Predict
from actionpose.evaluation.protocols import SYNTHETIC, group_means
from actionpose.skeletons import H36M17
from actionpose.utils.files import atomic_folder
from actionpose.utils.typing import Array, IntArray
from actionpose.visualization.drawing import TARGET_COLOR, draw_bones, new_figure, turned

# Half the thickness of what can hide a joint, millimeters
_LIMB_MM, _TRUNK_MM = 50.0, 110.0
_SAMPLE = 20_000  # frames are enough to tell how occlusion matters
_CONFIDENCE_EDGES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
_NUM_WORST = 10
_NUM_DRAWN = 4
_BAR = "#0072B2"


def self_occluded(pose_mm: Array) -> NDArray[np.bool_]:
    """Which joints (N, 17) lie behind the person's own body, seen along z.

    A joint is hidden where a bone that does not end in it passes nearer to the camera and within
    the thickness of a limb (or of the trunk) in the image.

    Args:
        pose_mm: (N, 17, 3), x right, y down, z away.
    """
    trunk = set(H36M17.indices("pelvis", "spine", "thorax", "left_hip", "right_hip"))
    hidden = np.zeros(pose_mm.shape[:2], dtype=bool)
    for child, parent in H36M17.bones:
        near, far = pose_mm[:, child], pose_mm[:, parent]
        bone = far - near
        length = np.maximum(np.square(bone[:, :2]).sum(axis=-1), 1e-9)
        thickness = _TRUNK_MM if {child, parent} <= trunk else _LIMB_MM
        offset = pose_mm - near[:, None]
        share = np.clip((offset[..., :2] * bone[:, None, :2]).sum(axis=-1) / length[:, None], 0, 1)
        gap = offset - share[..., None] * bone[:, None]  # from the bone's nearest point
        behind = (np.linalg.norm(gap[..., :2], axis=-1) < thickness) & (gap[..., 2] > thickness)
        behind[:, [child, parent]] = False
        hidden |= behind
    return hidden


def tables_of(evaluation: Evaluation, pairs: PairedDataset) -> dict[str, list[dict[str, Any]]]:
    """The tables by name; each is a list of rows."""
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
        "by_occlusion": _by_occlusion(evaluation, pairs),
        "worst_clips": worst_clips(evaluation, pairs),
    }


def _by_occlusion(evaluation: Evaluation, pairs: PairedDataset) -> list[dict[str, Any]]:
    """Errors of joints (pelvis left out) by what hides them."""
    errors = evaluation.errors
    places = np.arange(0, len(errors), max(1, len(errors) // _SAMPLE))
    rows, limbs = errors.rows[places], slice(1, None)
    error_mm = errors.joints_mm[places][:, limbs]
    hidden = self_occluded(np.asarray(pairs.truth_mm[rows], dtype=np.float64))[:, limbs]
    table = [
        _bin("behind the own body", error_mm[hidden]),
        _bin("not behind the own body", error_mm[~hidden]),
    ]
    confidence = np.asarray(pairs.keypoints_px[rows][:, limbs, 2], dtype=np.float64)
    if confidence.min() < confidence.max():
        for low, high in zip(_CONFIDENCE_EDGES, _CONFIDENCE_EDGES[1:], strict=False):
            last = high == _CONFIDENCE_EDGES[-1]
            inside = (confidence >= low) & ((confidence <= high) if last else (confidence < high))
            table.append(_bin(f"confidence {low:.2f} to {high:.2f}", error_mm[inside]))
    return [row for row in table if row["joints"]]


def _bin(what: str, values: Array) -> dict[str, Any]:
    mean = float(values.mean()) if values.size else float("nan")
    return {"what": what, "mean_mm": mean, "joints": int(values.size)}


def worst_clips(evaluation: Evaluation, pairs: PairedDataset) -> list[dict[str, Any]]:
    """The stretches of a window's length with the largest mean error, no two overlapping."""
    errors, length = evaluation.errors, evaluation.windows.rows.shape[1]
    video = pairs.video_of_rows()[errors.rows]
    starts = np.array([v.start for v in pairs.videos])[video]
    stretch = np.stack([video, (errors.rows - starts) // length], axis=1)
    _, first, which = np.unique(stretch, axis=0, return_index=True, return_inverse=True)
    which = which.reshape(-1)
    means = np.bincount(which, errors.mpjpe_mm) / np.bincount(which)
    table = []
    for place in np.argsort(-means, kind="stable")[:_NUM_WORST]:
        members = np.flatnonzero(which == place)
        worst = members[np.argmax(errors.mpjpe_mm[members])]
        own = pairs.videos[video[first[place]]]
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


def write_failures(
    folder: Path, evaluation: Evaluation, predict: Predict, pairs: PairedDataset
) -> Path:
    """Write `by_joint.csv`, `by_group.csv`, `by_occlusion.csv`, `worst_clips.csv`, and a picture.

    Raises:
        UserError: the folder exists, or matplotlib is missing.
    """
    tables = tables_of(evaluation, pairs)
    with atomic_folder(folder) as unfinished:
        for name, rows in tables.items():
            with (unfinished / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys())
                writer.writeheader()
                writer.writerows(rows)
        _draw(tables, evaluation, predict, pairs, unfinished / "failures.png")
    return folder


def _draw(
    tables: dict[str, list[dict[str, Any]]],
    evaluation: Evaluation,
    predict: Predict,
    pairs: PairedDataset,
    path: Path,
) -> None:
    figure = new_figure(13, 8.5, dpi=130, layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.2, 1))
    upper, lower = halves
    bars = upper.subplots(1, 3)
    _bars(bars[0], "by joint", tables["by_joint"], "joint")
    groups = "by sequence" if pairs.kind == "3dhp" else "by action"
    _bars(bars[1], groups, tables["by_group"][:16], "group")
    hiding = "by occlusion, without pelvis"
    _bars(bars[2], hiding, tables["by_occlusion"], "what")
    for number, clip in enumerate(tables["worst_clips"][:_NUM_DRAWN]):
        own = next(video for video in pairs.videos if video.name == clip["video"])
        row = own.start + clip["worst_frame"]
        truth = np.asarray(pairs.truth_mm[row], dtype=np.float64)
        pred = _predicted(row, evaluation, predict)
        truth, pred = truth - truth[:1], pred - pred[:1]
        reach = 0.55 * float(np.ptp(np.concatenate([truth, pred]), axis=0).max())
        for view, (behind, front) in enumerate(((truth, pred), (turned(truth), turned(pred)))):
            axes = lower.add_subplot(1, 2 * _NUM_DRAWN, 2 * number + view + 1)
            draw_bones(axes, behind, color=TARGET_COLOR, width=4)
            draw_bones(axes, front, width=1.8, reach=max(reach, 1.0))
            if view == 0:
                text = (
                    f"{clip['video']}\nframe {clip['worst_frame']}: {clip['worst_frame_mm']:.0f} mm"
                )
                axes.set_title(text, fontsize=7.5, loc="left")
    mark = f"{SYNTHETIC}. " if pairs.info.get("synthetic") else ""
    figure.suptitle(
        f"{mark}Mean errors in mm; below, the worst frames of the worst clips, from the camera and "
        "turned:\ngrey is the truth, orange the person's right, blue the left",
        fontsize=9,
    )
    figure.savefig(path)


def _bars(axes: Any, title: str, rows: Sequence[dict[str, Any]], key: str) -> None:
    names = [row[key] for row in rows]
    values = [row["mean_mm"] for row in rows]
    axes.barh(names, values, color=_BAR, height=0.7)
    axes.bar_label(axes.containers[0], fmt=" %.0f", fontsize=7)
    axes.set_ylim(max(len(rows), 8) - 0.5, -0.5)  # first on top; few bars are not fat ones
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(labelsize=7, length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])
    axes.margins(x=0.12)


def _predicted(row: int, evaluation: Evaluation, predict: Predict) -> Array:
    """The scored pose (17, 3) of one row, predicted again."""
    rows, scored = evaluation.windows.rows, evaluation.windows.scored
    window, frame = np.argwhere((rows == row) & scored)[0]
    places: IntArray = np.array([window])
    return predict(evaluation.windows, places)[0, frame]
