"""What lifting gives: 3D poses, the 2D they came from, and what the numbers mean.

Letters in shapes: P persons, T frames, J joints, W windows, E embedding.
"""

import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
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

    from actionpose.actions.timeline import Action
    from actionpose.inference.predictor import ActionPose

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
_METERS, _PIXELS, _CONFIDENCE, _SECONDS = (4, 2, 3, 6)  # decimals in text files: 0.1 mm, ...
_CSV_FRAMES = 2000  # written at a time


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

    def actions(
        self, labels: "Iterable[str]", *, model: "ActionPose | None" = None
    ) -> "list[Action]":
        """What each person does when: segments with start_s, stop_s, label, score and person.

        The embeddings are in the result; the texts are embedded by the model that the header
        names, or by `model`. To keep the timeline: `result.header["actions"] = [action.to_dict()
        for action in actions]`; viewers then show it.

        Raises:
            UserError: that model is not to be found, is no longer the one that made the result, or
                cannot name actions (`lift.ActionPose.actions`, which has more settings).
        """
        from actionpose.inference.predictor import ActionPose

        if model is None:
            made_by = self.header.get("checkpoint")
            if not made_by:
                raise UserError("the result does not say which model made it: give model=...")
            model = ActionPose.from_pretrained(made_by["name"])
            if model.checkpoint["sha256"] != made_by["sha256"]:
                raise UserError(
                    f"the checkpoint {made_by['name']} has changed since it made this result: "
                    "lift again, or give model=... to embed the keypoints anew"
                )
        return model.actions(self, labels)

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


def _rounded(array: NDArray[Any], decimals: int) -> list[Any]:
    """Nested lists for JSON, None for what is not finite."""
    values = np.round(array.astype(np.float64), decimals) + 0.0  # + 0.0 turns -0.0 into 0.0
    if not np.isfinite(values).all():
        unknown = ~np.isfinite(values)
        values = values.astype(object)
        values[unknown] = None
    return values.tolist()


def _write_json(result: Result, path: Path) -> None:
    skeleton = result.skeleton
    persons = []
    for i, track_id in enumerate(result.track_id):
        person = {
            "track_id": int(track_id),
            "valid": result.valid[i].tolist(),
            "pose_m": _rounded(result.pose_m[i], _METERS),
            "keypoints_px": _rounded(result.keypoints_px[i], _CONFIDENCE),
        }
        if result.root_m is not None:
            person["root_m"] = _rounded(result.root_m[i], _METERS)
        if result.embeddings is not None:
            person["embeddings"] = _rounded(result.embeddings[i], 6)
        persons.append(person)
    document = {
        "header": result.header,
        "joints": skeleton.joints,
        "parents": skeleton.parents,
        "layout": {
            "pose_m": "frame, joint, (x, y, z) in meters",
            "keypoints_px": "frame, joint, (x px, y px, confidence)",
            "root_m": "frame, (x, y, z) in meters",
            "valid": "frame",
        },
        "time_s": _rounded(result.time_s, _SECONDS),
        "persons": persons,
    }
    with atomic_write(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


def _csv_blocks(result: Result) -> Iterator[str]:
    """The rows of `TABLE_COLUMNS`, some frames at a time so that memory stays bounded."""
    number = f",%.{_METERS}f" * 3 + f",%.{_PIXELS}f" * 2 + f",%.{_CONFIDENCE}f"
    decimals = np.array([_METERS] * 3 + [_PIXELS] * 2 + [_CONFIDENCE])
    smallest = 0.5 * 10.0**-decimals
    for person, start in np.ndindex(len(result.track_id), -(-len(result.time_s) // _CSV_FRAMES)):
        frames = slice(start * _CSV_FRAMES, (start + 1) * _CSV_FRAMES)
        both = (result.pose_m[person, frames], result.keypoints_px[person, frames])
        values = np.concatenate(both, axis=-1).astype(np.float64)  # (frames, J, 6)
        values[np.abs(values) < smallest] = 0.0  # no "-0.0000"
        heads = zip(
            range(frames.start, frames.stop),
            result.time_s[frames].tolist(),
            result.valid[person, frames].tolist(),
            strict=False,  # the last block is shorter
        )
        # one formatting of a whole block is several times faster than one per row
        template = "".join(
            f"{person},{frame},{time_s:.{_SECONDS}f},{joint}{number},{valid}\n"
            for frame, time_s, valid in heads
            for joint in result.skeleton.joints
        )
        yield (template % tuple(values.ravel().tolist())).replace(",nan", ",")


def _write_csv(result: Result, path: Path) -> None:
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write(",".join(TABLE_COLUMNS) + "\n")
        file.writelines(_csv_blocks(result))


# The imports upwards: a result can be asked for any of its formats, and needs none of them.


def _write_png(result: Result, path: Path) -> None:
    from actionpose.visualization import html_viewer as view

    view.picture(result, path)


def _write_html(result: Result, path: Path) -> None:
    from actionpose.visualization import html_viewer as view

    view.html(result, path)


def _write_bvh(result: Result, path: Path) -> list[Path]:
    from actionpose.export import bvh as export

    return export.bvh(result, path)


def _write_trc(result: Result, path: Path) -> list[Path]:
    from actionpose.export import bvh as export

    return export.trc(result, path)


def _write_c3d(result: Result, path: Path) -> list[Path]:
    from actionpose.export import bvh as export

    return export.c3d(result, path)


def _write_glb(result: Result, path: Path) -> list[Path]:
    from actionpose.export import gltf

    return gltf.glb(result, path)


def _write_mp4(result: Result, path: Path) -> None:
    from actionpose.visualization import video_overlay as overlay

    overlay.video(result, path)


WRITERS: dict[str, Callable[[Result, Path], list[Path] | None]] = {
    ".npz": _write_npz,
    ".json": _write_json,
    ".csv": _write_csv,
    ".png": _write_png,
    ".html": _write_html,
    ".mp4": _write_mp4,
    ".bvh": _write_bvh,
    ".trc": _write_trc,
    ".c3d": _write_c3d,
    ".glb": _write_glb,
}
