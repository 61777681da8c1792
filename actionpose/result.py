"""What lifting gives: 3D poses, the 2D they came from, and what the numbers mean.

Letters in shapes: P persons, T frames, J joints, W windows, E embedding.
"""

import json
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from actionpose.skeletons import SKELETONS, Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.utils.legacy import current_names

if TYPE_CHECKING:
    import pandas

FORMAT_VERSION = 1  # raised when code that reads the old format would misread the new one

# what the numbers cannot be understood without
REQUIRED_HEADER = ("units", "axes", "root", "skeleton", "scale_source")

# name: shape, dtype; P, T and J must agree between the arrays
ARRAYS: dict[str, tuple[str, type]] = {
    "pose_m": ("PTJ3", np.float32),
    "keypoints_px": ("PTJ3", np.float32),
    "valid": ("PT", np.bool_),
    "track_id": ("P", np.int64),
    "time_s": ("T", np.float64),
    "root_m": ("PT3", np.float32),
    "embeddings": ("PWE", np.float32),
}
OPTIONAL = ("root_m", "embeddings")

TABLE_COLUMNS = (
    *("person", "frame", "time_s", "joint"),
    *("x_m", "y_m", "z_m", "x_px", "y_px", "confidence", "valid"),
)


@dataclass(eq=False)
class Result:
    """3D motion of one or several persons.

    Args:
        pose_m: (P, T, J, 3) meters. `header` says which way the axes point and where the root is.
        keypoints_px: (P, T, J, 3) x, y in pixels and the confidence of the 2D input, in the order
            of the joints of `pose_m`. Confidence 0: the joint was not seen.
        valid: (P, T), False where the person was not there; the numbers then mean nothing.
        track_id: (P,) the tracker's number of each person.
        time_s: (T,) seconds, not decreasing.
        header: what a reader needs to know, as plain JSON: units, axes, root, skeleton and
            scale_source always; fps, image_size, detector, checkpoint, versions, actions as
            known. An action is {"start_s", "stop_s", "label", "score", "person"}; `person` counts
            along P and is absent where the action is everybody's. With `embeddings`,
            embedding_windows_s has begin and end of each window in seconds, from the first frame.
        root_m: (P, T, 3) where the root is in camera space, if a trajectory was asked for.
        embeddings: (P, W, E) unit vectors of the motion, one per window.

    Raises:
        UserError: shapes that do not fit each other, or a header that lacks something.
    """

    pose_m: NDArray[np.float32]
    keypoints_px: NDArray[np.float32]
    valid: NDArray[np.bool_]
    track_id: NDArray[np.int64]
    time_s: NDArray[np.float64]
    header: dict[str, Any]
    root_m: NDArray[np.float32] | None = None
    embeddings: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        self.header = _checked_header(self.header)
        sizes = {"J": len(self.skeleton), "3": 3}  # letter: size
        for name, (letters, dtype) in ARRAYS.items():
            if (value := getattr(self, name)) is None and name in OPTIONAL:
                continue
            try:
                array: NDArray[Any] = np.asarray(value, dtype=dtype)
            except (TypeError, ValueError):
                raise UserError(f"{name} is not an array of {np.dtype(dtype)} numbers") from None
            # the first array to use a letter fixes its size
            wanted = [
                sizes.setdefault(letter, size)
                for letter, size in zip(letters, array.shape, strict=False)
            ]
            if array.ndim != len(letters) or list(array.shape) != wanted:
                expected = ", ".join(f"{letter}={sizes.get(letter, '?')}" for letter in letters)
                raise UserError(f"{name} has shape {array.shape}, but must have ({expected})")
            setattr(self, name, array)
        if not np.isfinite(self.time_s).all() or (np.diff(self.time_s) < 0).any():
            raise UserError("time_s must hold finite seconds that do not decrease")

    @property
    def skeleton(self) -> Skeleton:
        return SKELETONS[self.header["skeleton"]]

    def save(self, path: str | os.PathLike[str]) -> list[Path]:
        """Write a file of the format that the suffix names, replacing one that is there.

        `.npz` has everything and is what `load` reads; `.json` the same as text, to 0.1 mm; `.csv`
        one row per person, frame and joint; `.png` a picture; `.html` a 3D viewer; `.mp4` a film;
        `.bvh`, `.trc`, `.c3d` and `.glb` for other tools, see docs/outputs.md.

        Returns:
            The files: of several persons, `.bvh` and `.trc` have one each.

        Raises:
            UserError: unknown suffix, the file cannot be written, or a package is missing.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in WRITERS:
            raise UserError(
                f"cannot write {path}: the suffix must be one of {', '.join(WRITERS)}, "
                f"not {suffix!r}"
            )
        return WRITERS[suffix](self, Path(path)) or [Path(path)]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a `.npz` file that `save` wrote. Nothing in it is unpickled.

        Raises:
            UserError: no such file, not a result, damaged, or of another format version.
        """
        arrays = _read_npz(Path(path))
        if "header" not in arrays:
            raise UserError(f"{path} is not a result of actionpose: it has no header")
        try:
            header = current_names(json.loads(str(arrays.pop("header"))))
        except json.JSONDecodeError as error:
            raise UserError(f"{path}: the header is not JSON ({error})") from None
        if missing := [name for name in ARRAYS if name not in arrays and name not in OPTIONAL]:
            raise UserError(f"{path} is not a result of actionpose: it lacks {', '.join(missing)}")
        try:
            known = {name: arrays[name] for name in ARRAYS if name in arrays}
            return cls(header=header, **known)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def to_dataframe(self) -> "pandas.DataFrame":
        """The tidy table of `.csv` files, unrounded: one row per person, frame and joint.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise UserError("to_dataframe needs pandas: pip install 'actionpose[export]'") from None
        persons, frames, joints, _ = self.pose_m.shape
        person, frame, joint = (index.ravel() for index in np.indices((persons, frames, joints)))
        names = pd.Categorical.from_codes(joint, categories=pd.Index(self.skeleton.joints))
        columns: list[Any] = [person, frame, self.time_s[frame], names]
        columns += [self.pose_m[..., axis].ravel() for axis in range(3)]
        columns += [self.keypoints_px[..., axis].ravel() for axis in range(3)]
        columns += [np.repeat(self.valid.ravel(), joints)]
        return pd.DataFrame(dict(zip(TABLE_COLUMNS, columns, strict=True)))


def is_result(path: Path) -> bool:
    """Whether a file is a result, and not keypoints, which may be in an npz as well."""
    if path.suffix.lower() != ".npz" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        return "pose_m.npy" in file.namelist()


def _checked_header(header: dict[str, Any]) -> dict[str, Any]:
    """The header with the format version, after making sure that it can be written and read."""
    if not isinstance(header, dict):
        raise UserError(f"the header must be a dict, not {type(header).__name__}")
    header = {"format_version": FORMAT_VERSION, **header}
    if header["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"the result is in format {header['format_version']!r}, but this version of actionpose "
            f"reads format {FORMAT_VERSION}: install the version that wrote it, or lift again"
        )
    if missing := [key for key in REQUIRED_HEADER if key not in header]:
        raise UserError(f"the header lacks {', '.join(missing)}")
    if header["skeleton"] not in SKELETONS:
        raise UserError(
            f"the header names an unknown skeleton {header['skeleton']!r}; "
            f"known are {', '.join(SKELETONS)}"
        )
    try:
        json.dumps(header, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"the header cannot be written as JSON: {error}") from None
    return header


def _read_npz(path: Path) -> dict[str, Any]:
    """All arrays of an .npz file by name."""
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise UserError(f"{path} is not an .npz file but a single array")
            with file:
                return {name: file[name] for name in file.files}
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError):
        raise UserError(
            f"{path} is not an .npz file that actionpose wrote, or it is damaged: lift again, "
            "or copy the file again"
        ) from None


def _write_npz(result: Result, path: Path) -> None:
    arrays = {name: getattr(result, name) for name in ARRAYS}
    arrays["header"] = np.array(json.dumps(result.header))
    with atomic_write(path) as unfinished, unfinished.open("wb") as file:
        # NumPy dates every member 1980, so the same result gives the same bytes
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})


_Writer = Callable[[Result, Path], list[Path] | None]
WRITERS: dict[str, _Writer] = {".npz": _write_npz}  # by suffix


def register_writer(suffix: str, writer: _Writer) -> None:
    """Let `Result.save` write files of a suffix.

    Args:
        suffix: in small letters, with its dot.
        writer: writes one result to a path; returns the files if they are others than that path.
    """
    WRITERS[suffix] = writer
