"""BVH: joint angles of a skeleton with constant bone lengths, y up, centimeters."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from actionpose.export.common import person_paths, rate_hz
from actionpose.postprocessing.skeleton_fit import NAMES, PARENTS, fit
from actionpose.result import Result
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write

Array = NDArray[np.floating]

_BLOCK = 2000  # frames written at a time
_TIP = 0.3  # of the bone above: how far hands, feet and head reach, which nobody measured


def bvh(result: Result, path: str | os.PathLike[str]) -> list[Path]:
    """Write a BVH file for each person: centimeters, y up, bones of constant length.

    Frames are equally far apart (BVH knows nothing else), and gaps are filled linearly.

    Returns:
        The files: `path`, or with several persons one for each (`person_paths`).

    Raises:
        UserError: nobody to write, or a file cannot be written.
    """
    paths = person_paths(result, path)
    if not paths:
        raise UserError("there is nothing to write: the result has no person")
    for person, one in enumerate(paths):
        motion = fit(result, person, even=True)
        # intrinsic z, x, y: the order of most BVH files
        turns = Rotation.from_quat(motion.turns.reshape(-1, 4)).as_matrix()
        degrees = _zxy_degrees(turns).reshape(len(motion.time_s), -1, 3)
        degrees = np.unwrap(degrees, axis=0, period=360)
        rows = np.concatenate([100 * motion.root_m, degrees.reshape(len(degrees), -1)], axis=1)
        template = " ".join(["%.6f"] * rows.shape[1]) + "\n"
        with atomic_write(one) as unfinished, unfinished.open("w", encoding="ascii") as file:
            file.write("HIERARCHY\n" + "".join(_bvh_node(0, 100 * motion.offsets_m, "")))
            step_s = 1 / rate_hz(motion.time_s)
            file.write(f"MOTION\nFrames: {len(rows)}\nFrame Time: {step_s:.8f}\n")
            for start in range(0, len(rows), _BLOCK):
                block = rows[start : start + _BLOCK] + 0.0
                file.write(template * len(block) % tuple(block.ravel().tolist()))
    return paths


def _bvh_node(index: int, offsets_cm: Array, indent: str) -> list[str]:
    children = [child for child, parent in enumerate(PARENTS) if parent == index]
    kind = "JOINT" if index else "ROOT"
    channels = "Zrotation Xrotation Yrotation"
    channels = f"3 {channels}" if index else f"6 Xposition Yposition Zposition {channels}"
    lines = [f"{indent}{kind} {NAMES[index]}\n{indent}{{\n"]
    lines += [_offset(offsets_cm[index], indent), f"{indent}  CHANNELS {channels}\n"]
    for child in children:
        lines += _bvh_node(child, offsets_cm, indent + "  ")
    if not children:
        tip = _offset(_TIP * offsets_cm[index], indent + "  ")
        lines += [f"{indent}  End Site\n{indent}  {{\n", tip, f"{indent}  }}\n"]
    return [*lines, f"{indent}}}\n"]


def _offset(offset_cm: Array, indent: str) -> str:
    return "{}  OFFSET {:.6f} {:.6f} {:.6f}\n".format(indent, *(offset_cm + 0.0))


def _zxy_degrees(turns: Array) -> Array:
    """(N, 3) angles about z, then x, then y, of rotation matrices (N, 3, 3)."""
    sin_x = np.clip(turns[:, 2, 1], -1, 1)
    cos_x = np.hypot(turns[:, 0, 1], turns[:, 1, 1])
    x = np.arctan2(sin_x, cos_x)  # exact near 90 degrees, too, where the arcsine is not
    is_locked = cos_x < 1e-9  # then only the sum of the other two is known: all of it goes to z
    z = np.where(
        is_locked,
        np.arctan2(turns[:, 1, 0], turns[:, 0, 0]),
        np.arctan2(-turns[:, 0, 1], turns[:, 1, 1]),
    )
    y = np.where(is_locked, 0, np.arctan2(-turns[:, 2, 0], turns[:, 2, 2]))
    return np.degrees(np.stack([z, x, y], axis=-1))
