"""Joints as markers: TRC (y up, meters) and C3D (z up, millimeters). See docs/outputs.md."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.export.common import person_paths, rate_hz
from actionpose.geometry.axes import UP, view_axes
from actionpose.postprocessing.common import known
from actionpose.postprocessing.skeleton_fit import person_joints
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write

Array = NDArray[np.floating]

# Halpe-26 as Pose2Sim and Sports2D call it, so that their OpenSim models find the markers. The
# spine has no name there.
MARKERS = {
    **{"pelvis": "Hip", "thorax": "Neck", "nose": "Nose", "head": "Head", "spine": "Spine"},
    **{
        f"{side}_{part}": f"{side[0].upper()}{part.capitalize()}"
        for side in ("left", "right")
        for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    },
}


def trc(result: Result, path: str | os.PathLike[str]) -> list[Path]:
    """Write a TRC file for each person: meters, y up, joints as Halpe-26 markers.

    Cells of frames where the person is not there are NaN, as OpenSim and pandas read them.

    Returns:
        The files: `path`, or with several persons one for each (`person_paths`).

    Raises:
        UserError: nobody to write, another skeleton, or a file cannot be written.
    """
    paths = person_paths(result, path)
    if not paths:
        raise UserError("there is nothing to write: the result has no person")
    names = marker_names(result)
    for person, one in enumerate(paths):
        joints, time_s, there = _markers(result, person)
        rate = f"{rate_hz(time_s):.6g}"
        count = len(time_s)
        head = [
            f"PathFileType\t4\t(X/Y/Z)\t{one.name}",
            "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\t"
            "OrigDataStartFrame\tOrigNumFrames",
            f"{rate}\t{rate}\t{count}\t{len(names)}\tm\t{rate}\t1\t{count}",
            "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
            "\t\t" + "\t".join(f"{axis}{i + 1}" for i in range(len(names)) for axis in "XYZ"),
            "",
        ]
        filled = "%d\t%.6f" + "\t%.6f" * (3 * len(names)) + "\n"
        # OpenSim counts empty cells at the end of a line as missing columns
        empty = "%d\t%.6f" + "\tNaN" * (3 * len(names)) + "\n"
        with (
            atomic_write(one) as unfinished,
            unfinished.open("w", encoding="utf-8", newline="\n") as file,
        ):
            file.write("\n".join(head) + "\n")
            for t in range(count):
                if there[t]:
                    row = (joints[t].ravel() + 0.0).tolist()
                    file.write(filled % (t + 1, time_s[t], *row))
                else:
                    file.write(empty % (t + 1, time_s[t]))
    return paths


def marker_names(result: Result) -> list[str]:
    if result.skeleton is not H36M17:
        raise UserError(f"markers: needs the skeleton h36m17, not {result.skeleton.name}")
    return [MARKERS[joint] for joint in H36M17.joints]


def _markers(result: Result, person: int) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Joints (T, 17, 3) in view axes at even times (T,), and where they are there (T,)."""
    joints, time_s = person_joints(result, person, even=True)
    there = known(result)[person]
    if len(time_s) != len(result.time_s) or (time_s != result.time_s).any():
        nearest = np.abs(result.time_s[:, None] - time_s).argmin(axis=0)
        there = there[nearest]
    return joints, time_s, there


def c3d(result: Result, path: str | os.PathLike[str]) -> list[Path]:
    """Write a C3D file with all persons: millimeters, z up, joints as Halpe-26 markers.

    With several persons labels begin with the track, as "id3:LKnee". A marker that is not there
    has residual -1, as the format wants. The group ACTIONPOSE says what the numbers mean.

    Raises:
        UserError: nobody to write, another skeleton, the file cannot be written, or ezc3d is not
            installed.
    """
    try:
        import ezc3d
    except ImportError:
        raise UserError("C3D files need ezc3d: pip install 'actionpose[export]'") from None
    persons = range(len(result.track_id))
    if not persons:
        raise UserError("there is nothing to write: the result has no person")
    names = marker_names(result)
    z_up = view_axes(UP["z"]).T
    points, labels, fps = [], [], 0.0
    for person in persons:
        joints, time_s, there = _markers(result, person)
        fps = rate_hz(time_s)
        points.append(np.where(there[:, None, None], 1000 * joints @ z_up.T, np.nan))
        prefix = f"id{result.track_id[person]}:" if len(persons) > 1 else ""
        labels += [prefix + name for name in names]
    markers = np.concatenate(points, axis=1)  # (T, P * 17, 3)
    file = ezc3d.c3d()
    _set_parameters(file, result, labels, fps)
    homogeneous = np.ones((4, markers.shape[1], len(markers)))
    homogeneous[:3] = markers.transpose(2, 1, 0)
    missing = np.isnan(homogeneous[:3]).any(axis=0)
    file["data"]["points"] = homogeneous
    file["data"]["meta_points"]["residuals"] = np.where(missing, -1.0, 0.0)[None]
    with atomic_write(path) as unfinished:
        file.write(str(unfinished))
    return [Path(path)]


def _set_parameters(file: Any, result: Result, labels: list[str], fps: float) -> None:
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [fps]
    point["UNITS"]["value"] = ["mm"]
    point["LABELS"]["value"] = labels
    point["DESCRIPTIONS"]["value"] = [f"joint center, {label}" for label in labels]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    for name, words in {
        "AXES": UP["z"],
        "ROOT": result.header["root"],
        "SCALE": result.header["scale_source"],
    }.items():
        file.add_parameter("ACTIONPOSE", name, [str(words)[:120]])
