"""NumPy arrays: what `Keypoints.save` writes, or a bare one (npz, npy). Nothing is unpickled."""

import tokenize
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError

NAME = "npz"
TITLE = "NumPy: npz of this project, npz and npy of others"
FORM = (
    "arrays and `header` ([below](#the-npz-of-this-project)); or an array `keypoints` or "
    "`keypoints_px`, or a bare one: (T, J, 2 or 3) or (P, T, J, 2 or 3)"
)
NOTE = "pixels. With two channels (0, 0) is a missing joint. 17 joints need `--skeleton`"
_ARRAYS = ("header", "keypoints_px", "keypoints", "valid", "track_id", "time_s")
# what NumPy raises for a damaged file, or one with an unknown compression or an absurd size
_DAMAGED = (
    *(ValueError, EOFError, KeyError, MemoryError, RuntimeError, SyntaxError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


def matches(file: KeypointFile) -> bool:
    return file.start.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY"))


def load_arrays(file: KeypointFile) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name; the one of an npy is `keypoints`.

    Raises:
        UserError: the file is damaged, has no keypoints, or needs pickle to be read.
    """
    try:
        with file.path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"keypoints": loaded}
            return _named_arrays(loaded)
    except UserError:
        raise
    except _DAMAGED as error:
        if "allow_pickle" in str(error):
            raise UserError(
                "holds pickled objects, which are not opened as they could run code: "
                "save a plain array of numbers (frames, joints, 3)"
            ) from None
        raise UserError(f"a damaged or cut-off NumPy file ({error})") from None


def _named_arrays(loaded: np.lib.npyio.NpzFile) -> dict[str, NDArray[Any]]:
    if "positions_2d" in loaded.files:
        raise UserError(
            "VideoPose3D's positions_2d are pickled objects, which are not opened as they could "
            "run code: save each clip's (frames, joints, 2) array with "
            "np.savez(path, keypoints=array)"
        )
    if not {"keypoints", "keypoints_px"} & set(loaded.files):
        raise UserError(
            "no array named keypoints or keypoints_px among "
            f"{', '.join(loaded.files) or 'no arrays at all'}"
        )
    return {name: loaded[name] for name in _ARRAYS if name in loaded.files}
