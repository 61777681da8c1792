"""Predictions of other methods, read from an npz file and scored with the same protocols.

One of these arrays is required:

- `pose`: root-relative predictions of a network in its units: half the width of the image, or the
  `unit_mm` of the prepared dataset;
- `pose_mm`: the same in millimeters; for both, the protocol defines how the predicted pelvis is
  used;
- `pose_absolute_mm`: positions in camera axes, from which the pelvis is subtracted.

The shape determines the meaning of the rows:

- (F, 17, 3): all frames of the test split, in the order of the original file;
- (S, 17, 3): the frames that the protocol scores, in this order (the valid frames of MPI-INF-3DHP);
- (C, T, 17, 3): the windows of the protocol.

`skeleton` (a string) is the joint layout, if it is not that of the dataset.
"""

from pathlib import Path
from typing import Any

import numpy as np

from actionpose.datasets.paired import PairedDataset
from actionpose.evaluation.paired import Predict, Windows, to_mm
from actionpose.skeletons import H36M17, MPI_INF_3DHP17, SKELETONS, convert
from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256
from actionpose.utils.numpy_files import NpzReader
from actionpose.utils.typing import Array, IntArray

_ARRAYS = ("pose_mm", "pose_absolute_mm", "pose")
_FARTHEST_ROOT_MM = 500.0  # of root-relative predictions
_LARGEST_POSE = 20.0  # in units of a model; people are below 2
_SMALLEST_MM, _LARGEST_MM = 300.0, 5000.0  # extent of a person


def load_predictions(
    path: Path, dataset: PairedDataset, windows: Windows, root: str = "zero"
) -> tuple[Predict, dict[str, Any]]:
    """Read a file as a prediction function, and return it with its identification.

    Args:
        path: File to read.
        dataset: Paired dataset.
        windows: Windows of the protocol.
        root: `root` of the protocol.

    Raises:
        UserError: If the file does not exist or is not such a file, or length, units or sides are
            wrong.
    """
    poses, key = _read(path, dataset)
    scored = np.unique(windows.rows[windows.scored])
    if poses.ndim == 4 and poses.shape[:2] != windows.rows.shape:
        raise UserError(
            f"{path}: {key} has {poses.shape[0]} windows of {poses.shape[1]} frames, but the "
            f"protocol has {windows.rows.shape[0]} of {windows.rows.shape[1]}"
        )
    if poses.ndim == 3 and len(poses) not in (len(dataset.pose), len(scored)):
        raise UserError(
            f"{path}: {key} has {len(poses)} poses, but expected are {len(dataset.pose)} (every "
            f"test frame) or {len(scored)} (the scored frames)"
        )
    if poses.ndim == 3 and len(poses) != len(dataset.pose):
        by_row = np.full((len(dataset.pose), *poses.shape[1:]), np.nan)
        by_row[scored] = poses
        poses = by_row
    video_of_rows = dataset.video_of_rows()

    def predict(windows: Windows, places: IntArray) -> Array:
        rows = windows.rows[places]
        chosen = np.array(poses[places] if poses.ndim == 4 else poses[rows], dtype=np.float64)
        if key == "pose_absolute_mm":
            return chosen - chosen[:, :, :1]
        if root == "zero":
            chosen[:, :, 0] = 0
        if key == "pose_mm":
            return chosen
        videos = [dataset.videos[video] for video in video_of_rows[rows[:, 0]]]
        return to_mm(chosen, dataset, rows, videos)

    _check_sides(predict, dataset, windows, path)
    return predict, {"name": str(path), "sha256": sha256(path), "array": key}


def _read(path: Path, dataset: PairedDataset) -> tuple[Array, str]:
    """The poses in the order of H36M17, and the name of their array."""
    with NpzReader(path) as file:
        keys = [key for key in _ARRAYS if key in file.names]
        if len(keys) != 1:
            raise UserError(
                f"{path} needs one of {', '.join(_ARRAYS)}; it has {', '.join(file.names)}"
            )
        poses = file.read(keys[0])
        own = MPI_INF_3DHP17 if dataset.kind == "3dhp" else H36M17
        name = str(file.read("skeleton")) if "skeleton" in file.names else own.name
    if name not in SKELETONS:
        raise UserError(f"{path}: unknown skeleton {name}; known are {', '.join(SKELETONS)}")
    if poses.ndim not in (3, 4) or poses.shape[-1] != 3 or poses.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: {keys[0]} has shape {poses.shape}, not (frames, 17, 3) or "
            "(windows, frames, 17, 3)"
        )
    poses = convert(poses, SKELETONS[name], H36M17, confidence=False)
    _check_unit(poses, keys[0], path)
    return poses, keys[0]


def _check_unit(poses: Array, key: str, path: Path) -> None:
    flat = poses.reshape(-1, *poses.shape[-2:])
    known = flat[np.isfinite(flat).all(axis=(1, 2))]
    if not len(known):
        raise UserError(f"{path}: no pose of {key} is finite")
    extent = float(np.median(np.ptp(known[:: max(1, len(known) // 2000)], axis=1).max(axis=-1)))
    if key != "pose" and not _SMALLEST_MM < extent < _LARGEST_MM:
        raise UserError(f"{path}: people in {key} are {extent:.3g} tall: not millimeters")
    root_mm = float(np.median(np.linalg.norm(known[:, 0], axis=-1)))
    if key == "pose_mm" and root_mm > _FARTHEST_ROOT_MM:
        raise UserError(
            f"{path}: the pelvis in pose_mm is {root_mm:.0f} mm from the origin: save places in "
            "camera axes as pose_absolute_mm"
        )
    if key == "pose" and extent > _LARGEST_POSE:
        raise UserError(
            f"{path}: people in pose are {extent:.3g} tall: pixels or millimeters, where units of "
            "half the image's width are expected; save millimeters as pose_mm"
        )


def _check_sides(predict: Predict, dataset: PairedDataset, windows: Windows, path: Path) -> None:
    """Check that the error is not much smaller with left and right exchanged."""
    places = np.unique(np.linspace(0, len(windows.rows) - 1, 64).astype(np.int64))
    chosen = windows.scored[places]
    pred_mm = predict(windows, places)[chosen]
    target_mm = np.asarray(dataset.truth_mm[windows.rows[places][chosen]], dtype=np.float64)
    pred_mm, target_mm = (mm - mm[:, :1] for mm in (pred_mm, target_mm))
    as_is, swapped = (
        np.linalg.norm(mm - target_mm, axis=-1).mean()
        for mm in (pred_mm, pred_mm[:, H36M17.mirror])
    )
    if swapped < 0.5 * as_is:
        raise UserError(
            f"{path}: left and right are swapped: the error is {as_is:.0f} mm, with the sides "
            f"exchanged {swapped:.0f} mm"
        )
