"""BVH: joint angles of a skeleton with constant bone lengths, y up, centimeters."""

import os
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from actionpose.export.common import fps_of, person_paths, standing
from actionpose.geometry.stature import ANKLE_HEIGHT
from actionpose.postprocessing.skeleton_fit import NodeTree, fit_skeleton
from actionpose.result import Result
from actionpose.utils.files import atomic_text
from actionpose.utils.typing import Array

_BLOCK = 2000  # frames per block
_TIP = 0.3  # assumed length of hands and head top, relative to the bone above
_SOLE = ANKLE_HEIGHT / 0.246  # ankle to sole, relative to the shank (Drillis and Contini 1966)


def write_bvh(result: Result, path: str | os.PathLike[str], *, raw: bool = False) -> list[Path]:
    """Write a BVH file for each person, in centimeters, with y up and constant bone lengths.

    Frames are evenly spaced, as required by BVH; frames without a pose are interpolated.

    Args:
        result: Result to write.
        path: File to write.
        raw: Whether to keep the positions of the result. By default people stand on the ground
            (`standing`).

    Returns:
        The written files: `path`, or one file per person (`person_paths`).

    Raises:
        UserError: If the result has no person, the skeleton is not supported, or a file cannot be
            written.
    """
    paths = person_paths(result, path)
    result = result if raw else standing(result)
    for person, person_path in enumerate(paths):
        motion = fit_skeleton(result, person, even=True)
        rotations = Rotation.from_quat(motion.rotations.reshape(-1, 4)).as_matrix()
        degrees = _zxy_degrees(rotations).reshape(len(motion.time_s), -1, 3)
        degrees = np.unwrap(degrees, axis=0, period=360)
        rows = np.concatenate([100 * motion.root_m, degrees.reshape(len(degrees), -1)], axis=1)
        template = " ".join(["%.6f"] * rows.shape[1]) + "\n"
        with atomic_text(person_path) as file:
            file.write("HIERARCHY\n" + "".join(_node(motion.tree, 0, 100 * motion.offsets_m, "")))
            step_s = 1 / fps_of(motion.time_s)
            file.write(f"MOTION\nFrames: {len(rows)}\nFrame Time: {step_s:.8f}\n")
            for start in range(0, len(rows), _BLOCK):
                block = rows[start : start + _BLOCK] + 0.0
                file.write(template * len(block) % tuple(block.ravel().tolist()))
    return paths


def _node(tree: NodeTree, index: int, offsets_cm: Array, indent: str) -> list[str]:
    children = [child for child, parent in enumerate(tree.parents) if parent == index]
    kind = "JOINT" if index else "ROOT"
    channels = "Zrotation Xrotation Yrotation"
    channels = f"3 {channels}" if index else f"6 Xposition Yposition Zposition {channels}"
    lines = [f"{indent}{kind} {tree.names[index]}\n{indent}{{\n"]
    lines += [_offset(offsets_cm[index], indent), f"{indent}  CHANNELS {channels}\n"]
    for child in children:
        lines += _node(tree, child, offsets_cm, indent + "  ")
    if not children:
        reach = _SOLE if tree.names[index].endswith("Foot") else _TIP
        tip = _offset(reach * offsets_cm[index], indent + "  ")
        lines += [f"{indent}  End Site\n{indent}  {{\n", tip, f"{indent}  }}\n"]
    return [*lines, f"{indent}}}\n"]


def _offset(offset_cm: Array, indent: str) -> str:
    return "{}  OFFSET {:.6f} {:.6f} {:.6f}\n".format(indent, *(offset_cm + 0.0))


def _zxy_degrees(rotations: Array) -> Array:
    """Intrinsic angles (N, 3) about z, x and y of rotation matrices (N, 3, 3).

    This is the order of most BVH files. SciPy's `as_euler` warns if x is 90 degrees.
    """
    sin_x = np.clip(rotations[:, 2, 1], -1, 1)
    cos_x = np.hypot(rotations[:, 0, 1], rotations[:, 1, 1])
    x = np.arctan2(sin_x, cos_x)  # accurate near 90 degrees, unlike the arcsine
    is_locked = cos_x < 1e-9  # gimbal lock: only the sum of the others is known, z gets all
    z = np.where(
        is_locked,
        np.arctan2(rotations[:, 1, 0], rotations[:, 0, 0]),
        np.arctan2(-rotations[:, 0, 1], rotations[:, 1, 1]),
    )
    y = np.where(is_locked, 0, np.arctan2(-rotations[:, 2, 0], rotations[:, 2, 2]))
    return np.degrees(np.stack([z, x, y], axis=-1))
