"""What writers share."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionpose.result import Result

Array = NDArray[np.floating]

_SINGLE_RATE_HZ = 30.0  # of a file with one frame


def person_paths(result: Result, path: str | os.PathLike[str]) -> list[Path]:
    """The files of a format that holds one person: `path`, or with several `NAME_idTRACK`."""
    path = Path(path)
    if len(result.track_id) == 1:
        return [path]
    return [path.with_stem(f"{path.stem}_id{track}") for track in result.track_id]


def rate_hz(time_s: Array) -> float:
    return (len(time_s) - 1) / (time_s[-1] - time_s[0]) if len(time_s) > 1 else _SINGLE_RATE_HZ
