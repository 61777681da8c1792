"""NumPy arrays: files of `Keypoints.save`, or single arrays (npz, npy), read without pickle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.keypoints.frame_times import ASSUMED, ASSUMED_FPS, uneven_times
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.skeletons import SKELETONS, Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.utils.json_files import parse_json
from actionpose.utils.legacy import current_names
from actionpose.utils.numpy_files import NpzReader, load_npy

NAME = "npz"
TITLE = "NumPy: npz of this project, other npz and npy files"
FORM = (
    "arrays and `header` ([below](#the-npz-of-this-project)); or an array `keypoints` or "
    "`keypoints_px`, or an unnamed one: (T, J, 2 or 3) or (P, T, J, 2 or 3)"
)
NOTE = "in pixels. With two channels, (0, 0) is a missing joint. 17 joints need `--skeleton`"
FORMAT = 1  # increased if code for the old format would misread the new one
# header fields besides skeleton and format_version
HEADER = (
    *("fps", "image_size", "detector", "source", "rate_source", "first_frame"),
    *("notes", "complete", "video"),
)
_ARRAYS = ("header", "keypoints_px", "keypoints", "valid", "track_id", "time_s")


def matches(file: KeypointFile) -> bool:
    return file.start.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY"))


def load_arrays(file: KeypointFile) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file by name. The array of an npy file is named `keypoints`.

    Raises:
        UserError: If the file is damaged, has no keypoints, or contains pickled objects.
    """
    if file.start.startswith(b"\x93"):
        return {"keypoints": load_npy(file.path)}
    with NpzReader(file.path) as archive:
        if "positions_2d" in archive.names:
            raise UserError(
                "VideoPose3D's positions_2d are pickled objects, which are not opened as they "
                "could run code: save each clip's (frames, joints, 2) array with "
                "np.savez(path, keypoints=array)"
            )
        if not {"keypoints", "keypoints_px"} & set(archive.names):
            raise UserError(
                "no array named keypoints or keypoints_px among "
                f"{', '.join(archive.names) or 'no arrays at all'}"
            )
        return {name: archive.read(name) for name in _ARRAYS if name in archive.names}


def fields(arrays: dict[str, NDArray[Any]], skeleton: Skeleton | None) -> dict[str, Any]:
    """The fields of `Keypoints` from the arrays of a file with a header.

    Args:
        skeleton: Joint layout instead of that in the header.

    Raises:
        UserError: If an array is missing, or the format version is not supported.
        AttributeError, LookupError, OverflowError, TypeError, ValueError: If the file is damaged.
    """
    if missing := {"valid", "track_id"} - arrays.keys():
        raise UserError(f"has a header, but no array {' or '.join(sorted(missing))}")
    header = current_names(parse_json(str(arrays["header"]), "the header"))
    if header["format_version"] != FORMAT:
        raise UserError(f"is in format {header['format_version']}; this version reads {FORMAT}")
    points, valid = arrays["keypoints_px"], arrays["valid"]
    points[~valid] = 0  # invalid frames of a Result contain arbitrary numbers
    points[points[..., -1] == 0] = 0
    known = {name: header[name] for name in HEADER if header.get(name) is not None}
    return {
        "keypoints_px": points,
        "valid": valid,
        "track_id": arrays["track_id"],
        "fps": known.get("fps", ASSUMED_FPS),
        "rate_source": known.get("rate_source", "file" if "fps" in known else ASSUMED),
        "image_size": known.get("image_size"),
        "skeleton": skeleton or SKELETONS[header["skeleton"]],
        "detector": str(known.get("detector", "")),
        "source": str(known.get("source", "")),
        "first_frame": int(known.get("first_frame", 0)),
        "video": known.get("video"),
        "time_s": uneven_times(arrays.get("time_s"), known.get("fps")),
        "notes": tuple(known.get("notes", ())),
        "complete": bool(known.get("complete", True)),
    }


def write(path: Path, arrays: dict[str, Any], header: dict[str, Any]) -> None:
    """Write the arrays and a header with `HEADER` and the skeleton, atomically."""
    text = json.dumps({**header, "format_version": FORMAT}, sort_keys=True)
    with atomic_write(path) as unfinished, unfinished.open("wb") as file:
        # NumPy sets the date of all members to 1980, so the bytes depend only on the content
        np.savez(file, **arrays, header=np.array(text))
