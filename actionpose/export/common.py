"""Functions shared by writers."""

import os
from pathlib import Path

from actionpose.postprocessing.bone_lengths import fix_bone_lengths
from actionpose.postprocessing.common import steps, valid_frames
from actionpose.postprocessing.floor_alignment import align_to_floor
from actionpose.result import Result
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import frame_rate
from actionpose.utils.typing import Array

_SINGLE_FRAME_FPS = 30.0  # frame rate of a file with one frame


def fps_of(time_s: Array) -> float:
    """The frame rate that a file states for frames at evenly spaced times (T,)."""
    return frame_rate(time_s) or _SINGLE_FRAME_FPS


def require_persons(result: Result) -> None:
    """Raise a UserError if the result has no person."""
    if not len(result.track_id):
        raise UserError("there is nothing to write: the result has no person")


def person_paths(result: Result, path: str | os.PathLike[str]) -> list[Path]:
    """The paths of a format with one person per file: `path`, or `NAME_idTRACK` for several.

    Raises:
        UserError: If the result has no person.
    """
    require_persons(result)
    path = Path(path)
    if len(result.track_id) == 1:
        return [path]
    return [path.with_stem(f"{path.stem}_id{track}") for track in result.track_id]


def standing(result: Result) -> Result:
    """The result with constant bone lengths and feet on the ground, for animation tools.

    Steps that were already applied are not repeated. The trajectory of the root is kept if it is
    known; otherwise, see `align_to_floor`.

    Raises:
        UserError: If the result has no person, or the skeleton is not supported.
    """
    require_persons(result)
    if not valid_frames(result).any():
        return result  # the writer raises the error
    if "fix bone lengths" not in steps(result):
        result = fix_bone_lengths(result)
    return result if "floor" in steps(result) else align_to_floor(result)
