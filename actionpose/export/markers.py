"""Joints as markers: TRC (y up, meters) and C3D (z up, millimeters). See docs/outputs.md."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np

from actionpose.export.common import fps_of, person_paths, require_persons
from actionpose.geometry.axes import Axes
from actionpose.postprocessing.common import require_h36m17
from actionpose.postprocessing.foot_axes import surface_points
from actionpose.postprocessing.skeleton_fit import person_joints
from actionpose.postprocessing.visibility import measured_joints
from actionpose.result import Result
from actionpose.skeletons import H36M17_FEET
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_text, atomic_write
from actionpose.utils.typing import Array, BoolArray

MAX_C3D_FRAMES = 65_535  # C3D stores the number of frames in 16 bits

# Marker names of Halpe-26 in Pose2Sim and Sports2D, so that their OpenSim models find the markers.
# Spine, toe base and toe are not in Halpe-26.
_TRUNK = {"pelvis": "Hip", "thorax": "Neck", "nose": "Nose", "head": "Head", "spine": "Spine"}
MARKERS = {
    joint: _TRUNK.get(joint) or joint[0].upper() + joint.partition("_")[2].title().replace("_", "")
    for joint in H36M17_FEET.joints
}
# foot markers of Halpe-26, computed by `foot_axes.surface_points`
PLACED = tuple(f"{side}{name}" for side in "LR" for name in ("BigToe", "SmallToe", "Heel"))


def write_trc(result: Result, path: str | os.PathLike[str]) -> list[Path]:
    """Write a TRC file for each person, in meters with y up, with joints as Halpe-26 markers.

    There is a row for each frame in which the person is visible or a gap was filled. Rows in longer
    gaps are left out, because OpenSim's inverse kinematics stops at empty rows. Joints that are not
    measured (`visibility.measured_joints`) are NaN in all rows.

    Returns:
        The written files: `path`, or one file per person (`person_paths`).

    Raises:
        UserError: If the result has no person, the skeleton is not supported, or a file cannot be
            written.
    """
    paths = person_paths(result, path)
    for person, person_path in enumerate(paths):
        joints, time_s, present = _markers(result, person)
        rate, names = f"{fps_of(time_s):.6g}", marker_names(result)
        rows = np.flatnonzero(present)
        head = [
            f"PathFileType\t4\t(X/Y/Z)\t{person_path.name}",
            "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\t"
            "OrigDataStartFrame\tOrigNumFrames",
            f"{rate}\t{rate}\t{len(rows)}\t{len(names)}\tm\t{rate}\t1\t{len(rows)}",
            "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
            "\t\t" + "\t".join(f"{axis}{i + 1}" for i in range(len(names)) for axis in "XYZ"),
            "",
        ]
        row = "%d\t%.6f" + "\t%.6f" * (3 * len(names)) + "\n"
        with atomic_text(person_path) as file:
            file.write("\n".join(head) + "\n")
            for t in rows.tolist():
                cells = row % (t + 1, time_s[t], *(joints[t].ravel() + 0.0).tolist())
                file.write(cells.replace("nan", "NaN"))
    return paths


def marker_names(result: Result) -> list[str]:
    """Marker names of the joints of a result and, with feet, of the markers derived from them."""
    names = [MARKERS[joint] for joint in result.skeleton.joints]
    return [*names, *PLACED] if result.skeleton is H36M17_FEET else names


def _markers(result: Result, person: int) -> tuple[Array, Array, BoolArray]:
    """Markers (T, M, 3), y up, at even times (T,), and where the person has a pose (T,).

    Markers of joints that are not measured are NaN.
    """
    require_h36m17(result, "markers")
    joints, time_s = person_joints(result, person, even=True)
    joints[:, ~measured_joints(result)[person]] = np.nan
    if result.skeleton is H36M17_FEET:
        placed = []
        for side in ("left", "right"):
            names = (f"{side}_{part}" for part in ("knee", "ankle", "toe_base", "toe"))
            leg = joints[:, H36M17_FEET.indices(*names)].swapaxes(0, 1)
            placed.append(surface_points(*leg, left=side == "left"))
        joints = np.concatenate([joints, *placed], axis=1)
    present = result.present[person]
    if not np.array_equal(time_s, result.time_s):
        present = present[np.searchsorted((result.time_s[1:] + result.time_s[:-1]) / 2, time_s)]
    return joints, time_s, present


def write_c3d(result: Result, path: str | os.PathLike[str]) -> None:
    """Write a C3D file with all persons, in millimeters with z up, with joints as Halpe-26 markers.

    With several persons, labels start with the track id, such as "id3:LKnee". A missing marker has
    residual -1, as required by the format. The parameter group ACTIONPOSE contains the metadata.

    Raises:
        UserError: If the result has no person, the skeleton is not supported, there are more than
            `MAX_C3D_FRAMES` frames, the file cannot be written, or ezc3d is not installed.
    """
    try:
        import ezc3d
    except ImportError:
        raise UserError("C3D files need ezc3d: pip install 'actionpose[export]'") from None
    require_persons(result)
    to_z_up = Axes.Y_UP.rotation_to(Axes.Z_UP)
    points, labels, fps = [], [], 0.0
    for person, track in enumerate(result.track_id):
        joints, time_s, present = _markers(result, person)
        fps = fps_of(time_s)
        points.append(np.where(present[:, None, None], 1000 * joints @ to_z_up.T, np.nan))
        prefix = f"id{track}:" if len(result.track_id) > 1 else ""
        labels += [prefix + name for name in marker_names(result)]
    markers = np.concatenate(points, axis=1)  # (T, P * M, 3)
    if len(markers) > MAX_C3D_FRAMES:
        raise UserError(
            f"cannot write {path}: C3D counts up to {MAX_C3D_FRAMES} frames, and the result has "
            f"{len(markers)}; write TRC or CSV, or lift a part of the video"
        )
    file = ezc3d.c3d()
    _set_parameters(file, result, labels, fps)
    homogeneous = np.ones((4, markers.shape[1], len(markers)))
    homogeneous[:3] = markers.transpose(2, 1, 0)
    missing = np.isnan(homogeneous[:3]).any(axis=0)
    file["data"]["points"] = homogeneous
    file["data"]["meta_points"]["residuals"] = np.where(missing, -1.0, 0.0)[None]
    with atomic_write(path) as unfinished:
        file.write(str(unfinished))  # ezc3d does not report a full disk
        if unfinished.stat().st_size < 4 * homogeneous.size:
            raise OSError(errno.ENOSPC, "not all of it could be written; is the disk full?")


def _set_parameters(file: Any, result: Result, labels: list[str], fps: float) -> None:
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [fps]
    point["UNITS"]["value"] = ["mm"]
    point["LABELS"]["value"] = labels
    point["DESCRIPTIONS"]["value"] = [
        f"{'placed' if label.endswith(PLACED) else 'joint center'}, {label}" for label in labels
    ]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    facts = {
        "AXES": Axes.Z_UP.words,
        "ROOT": result.facts["root"],
        "SCALE": result.facts["scale_source"],
    }
    for name, words in facts.items():
        file.add_parameter("ACTIONPOSE", name, [words[:120]])
