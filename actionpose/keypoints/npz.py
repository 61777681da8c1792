"""NumPy arrays: what `Keypoints.save` writes, or a bare one (npz, npy). Nothing is unpickled."""

from typing import Any

from numpy.typing import NDArray

from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError
from actionpose.utils.numpy_files import NpzReader, load_npy

NAME = "npz"
TITLE = "NumPy: npz of this project, npz and npy of others"
FORM = (
    "arrays and `header` ([below](#the-npz-of-this-project)); or an array `keypoints` or "
    "`keypoints_px`, or a bare one: (T, J, 2 or 3) or (P, T, J, 2 or 3)"
)
NOTE = "pixels. With two channels (0, 0) is a missing joint. 17 joints need `--skeleton`"
_ARRAYS = ("header", "keypoints_px", "keypoints", "valid", "track_id", "time_s")


def matches(file: KeypointFile) -> bool:
    return file.start.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY"))


def load_arrays(file: KeypointFile) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name; the one of an npy is `keypoints`.

    Raises:
        UserError: the file is damaged, has no keypoints, or needs pickle to be read.
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
