"""The result of lifting: 3D poses, the 2D keypoints of the input, and a header with metadata.

The package `export` registers the writers of all formats.

Letters in shapes: P persons, T frames, J joints, W windows, E embedding dimension.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal, NotRequired, Required, Self, cast

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict  # required by pydantic below Python 3.12

from actionpose.geometry.axes import Axes
from actionpose.skeletons import SKELETONS, Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.utils.json_files import parse_json, typed
from actionpose.utils.legacy import current_header
from actionpose.utils.numpy_files import NpzReader, load_npz
from actionpose.utils.resampling import true_runs
from actionpose.utils.writers import WRITERS, register_writer  # noqa: F401  (public from here)

if TYPE_CHECKING:
    import pandas

FORMAT_VERSION = 1  # increased if code for the old format would misread the new one


class RootOrigin(StrEnum):
    """Origin of `root_m`. The pelvis is at the origin of `pose_m` in every frame."""

    PELVIS = "pelvis"
    CAMERA = "camera"
    FLOOR = "floor"
    HEIGHT = "height"

    @property
    def words(self) -> str:
        """Description as text."""
        path = {
            "pelvis": "",
            "camera": "; root_m is its place, the camera at the origin",
            "floor": "; root_m is its place, the origin on the floor below the camera",
            "height": "; root_m is its height above the floor; its place on the floor is not known",
        }
        return f"pelvis at the origin of every frame{path[self]}"


class Header(TypedDict, total=False):
    """Metadata of a result, stored as JSON in files.

    Actions have the keys of `_Action`, processing steps those of `_Step`. Further keys are allowed.
    """

    format_version: int
    units: Required[Literal["meters"]]
    axes: Required[Axes]
    root: Required[RootOrigin]
    skeleton: Required[str]  # a key of `SKELETONS`
    joint_convention: str  # a key of `geometry.joint_conventions.OFFSETS`, if known
    scale_source: Required[str]  # "given_height", "average_adult", or another source
    stature_m: float  # body height of `scale_source`
    fps: float
    rate_source: str
    first_frame: int
    image_size: Sequence[int] | None  # width, height
    detector: str
    source: str
    video: dict[str, Any] | None  # absolute path, bytes, duration_s and sha256
    input_skeleton: str
    notes: list[str]
    complete: bool
    max_gap_s: float  # longest gap that was filled by interpolation
    checkpoint: dict[str, str]  # name, sha256
    engine: str  # inference engine, one of `inference.engines.ENGINES`
    quality: str  # a key of `inference.windows.QUALITIES`
    versions: dict[str, str]
    uncertainty: dict[str, Any]  # of `uncertainty_mm`: coverage, factor_to_95, calibrated_on
    actions: list[dict[str, Any]]
    embedding_windows_s: list[list[float]]  # (W, 2) start and stop times
    processing: list[dict[str, Any]]
    foot_contacts: list[dict[str, Any]]


class _Action(TypedDict):
    start_s: float
    stop_s: float
    label: str
    score: float
    person: NotRequired[int]  # index along P; missing if the action applies to all persons


class _Step(TypedDict):
    step: str


_ALLOWED: dict[str, Iterable[str]] = {
    "units": ("meters",),
    "axes": Axes,
    "root": RootOrigin,
    "skeleton": SKELETONS,
}

# name: shape, dtype; P, T and J must be equal for all arrays
ARRAYS: dict[str, tuple[str, type]] = {
    "pose_m": ("PTJ3", np.float32),
    "keypoints_px": ("PTJ3", np.float32),
    "valid": ("PT", np.bool_),
    "track_id": ("P", np.int64),
    "time_s": ("T", np.float64),
    "root_m": ("PT3", np.float32),
    "embeddings": ("PWE", np.float32),
    "uncertainty_mm": ("PTJ", np.float32),
}
OPTIONAL = ("root_m", "embeddings", "uncertainty_mm")

TABLE_COLUMNS = (
    *("person", "track_id", "frame", "time_s", "joint"),
    *("x_m", "y_m", "z_m", "x_px", "y_px", "confidence", "valid", "seen", "uncertainty_mm"),
)


@dataclass(eq=False, repr=False)
class Result:
    """3D motion of one or several persons.

    Args:
        pose_m: (P, T, J, 3) Poses in meters, in the axes `header["axes"]`, with the pelvis at the
            origin.
        keypoints_px: (P, T, J, 3) x and y in pixels and confidence of the 2D input, for the joints
            of `pose_m`. The confidence is 0 for joints that were not detected.
        valid: (P, T) True where the person is visible. Other frames have no meaningful values,
            except for filled gaps (`present`).
        track_id: (P,) Identity of each person.
        time_s: (T,) Times of the frames in seconds, not decreasing.
        header: Metadata, see `Header`.
        root_m: (P, T, 3) Positions of the pelvis in meters, if known, relative to the origin
            `header["root"]`.
        embeddings: (P, W, E) Unit vectors of the motion, one per window.
        uncertainty_mm: (P, T, J) Radius around each joint that contains the true position in 68 %
            of cases, relative to the pelvis and for a person of the given height; 0 for the pelvis,
            NaN in frames without a pose. Multiplied by `header["uncertainty"]["factor_to_95"]`, it
            is the radius for 95 %. Post-processing does not change it.

    Raises:
        UserError: If shapes do not match, or the header is incomplete or inconsistent.
    """

    pose_m: NDArray[np.float32]
    keypoints_px: NDArray[np.float32]
    valid: NDArray[np.bool_]
    track_id: NDArray[np.int64]
    time_s: NDArray[np.float64]
    header: Header
    root_m: NDArray[np.float32] | None = None
    embeddings: NDArray[np.float32] | None = None
    uncertainty_mm: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        self.header = _checked_header(self.header)
        sizes = {"J": len(self.skeleton), "3": 3}  # size of each letter
        for name, (letters, dtype) in ARRAYS.items():
            if (value := getattr(self, name)) is None and name in OPTIONAL:
                continue
            try:
                array: NDArray[Any] = np.asarray(value, dtype=dtype)
            except (TypeError, ValueError):
                raise UserError(f"{name} is not an array of {np.dtype(dtype)} numbers") from None
            # the size of a letter is that of the first array with it
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

    def __repr__(self) -> str:
        persons, frames = self.valid.shape
        facts, header = self.facts, self.header
        span = f", {self.time_s[0]:.2f} to {self.time_s[-1]:.2f} s" if frames else ""
        lines = (
            f"Result: {persons} {'person' if persons == 1 else 'people'}, {frames} frames{span}, "
            f"{header['skeleton']}",
            f"{facts['units']}; {facts['axes']}; {facts['root']}",
            f"scale: {facts['scale_source']}; source: {header.get('source') or 'not known'}",
        )
        return "\n  ".join(lines)

    def _repr_html_(self) -> str:
        """Representation in notebooks: the metadata, and the 3D viewer if a person is visible."""
        text = f"<pre>{escape(repr(self))}</pre>"
        if not self.valid.any():
            return text
        page: str = resolve_name("actionpose.visualization.html_viewer:page")(self, "")
        style = 'width="100%" height="520" style="border: 0"'
        return f'{text}<iframe srcdoc="{escape(page)}" {style}></iframe>'

    @property
    def skeleton(self) -> Skeleton:
        return SKELETONS[self.header["skeleton"]]

    @property
    def present(self) -> NDArray[np.bool_]:
        """(P, T) True in frames with a pose: the person is visible, or the gap was filled.

        Filled gaps last up to `header["max_gap_s"]` between the frames before and after them.
        """
        present, longest_s = self.valid.copy(), self.header.get("max_gap_s", 0)
        for person, valid in enumerate(self.valid):
            for gap in true_runs(~valid):
                if 0 < gap.start and gap.stop < len(valid):
                    gap_s = self.time_s[gap.stop] - self.time_s[gap.start - 1]
                    present[person, gap] = gap_s <= longest_s
        is_finite = np.isfinite(self.pose_m).all(axis=(2, 3))
        return present & is_finite & (self.valid | self.pose_m.any(axis=(2, 3)))

    @property
    def facts(self) -> dict[str, str]:
        """Description of units, axes, root and scale source of the header as text."""
        header = self.header
        source = header["scale_source"]
        scale = {"average_adult": "average adult", "given_height": "height given"}.get(
            source, source
        )
        stature_m = header.get("stature_m")
        return {
            "units": header["units"],
            "axes": header["axes"].words,
            "root": header["root"].words,
            "scale_source": scale if stature_m is None else f"{scale}, {stature_m:.2f} m",
        }

    def save(self, path: str | os.PathLike[str], **options: Any) -> list[Path]:
        """Write the result to a file in the format of the suffix, replacing an existing file.

        `.npz` contains all data and is read by `load`; `.json` contains the same as text, rounded
        to 0.1 mm; `.csv` has one row per person, frame and joint; `.png` is a picture, `.html` a 3D
        viewer, `.mp4` a video; `.bvh`, `.trc`, `.c3d` and `.glb` are for other programs, see
        docs/outputs.md.

        Args:
            path: File to write.
            options: Options of the writer: `raw` for `.bvh` and `.glb`, `video` for `.mp4` and
                `.html`.

        Returns:
            The written files; `.bvh` and `.trc` have one file per person.

        Raises:
            UserError: If the suffix is unknown, the file cannot be written, or a package is
                missing.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in WRITERS:
            raise UserError(
                f"cannot write {path}: the suffix must be one of {', '.join(WRITERS)}, "
                f"not {suffix!r}"
            )
        return WRITERS[suffix](self, Path(path), **options) or [Path(path)]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a `.npz` file written by `save`, without unpickling.

        Raises:
            UserError: If the file does not exist, is not a result, is damaged, or has another
                format version.
        """
        if not os.path.exists(path):
            raise UserError(f"there is no file {path}")
        try:
            arrays = load_npz(Path(path), (*ARRAYS, "header"))
        except UserError as error:
            raise UserError(
                f"{error}; it is not an .npz file that actionpose wrote, or it is damaged: lift "
                "again, or copy the file again"
            ) from None
        if "header" not in arrays:
            raise UserError(f"{path} is not a result of actionpose: it has no header")
        header = parse_json(str(arrays.pop("header")), f"{path}: the header")
        if missing := [name for name in ARRAYS if name not in arrays and name not in OPTIONAL]:
            raise UserError(f"{path} is not a result of actionpose: it lacks {', '.join(missing)}")
        try:
            known = {name: arrays[name] for name in ARRAYS if name in arrays}
            return cls(header=header, **known)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def to_dataframe(self) -> "pandas.DataFrame":
        """Convert the result to a data frame with one row per person, frame and joint.

        The columns are those of `.csv` files, without rounding. Meters are NaN in frames without a
        pose and for joints that are hardly ever visible, pixels where the joint was not `seen`, and
        the confidence where the person is not visible.

        Raises:
            UserError: If pandas is not installed.
        """
        table: pandas.DataFrame = resolve_name("actionpose.export.tabular:dataframe")(self)
        return table


def is_result(path: Path) -> bool:
    """Whether a file is a result; an npz file may also contain keypoints."""
    if path.suffix.lower() != ".npz":
        return False
    try:
        with NpzReader(path) as archive:
            return "pose_m" in archive.names
    except UserError:
        return False


def _checked_header(header: Any) -> Header:
    """The header with the format version and typed values, which can be written and read."""
    if not isinstance(header, dict):
        raise UserError(f"the header must be a dict, not {type(header).__name__}")
    header = {"format_version": FORMAT_VERSION, **current_header(header)}
    if header["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"the result is in format {header['format_version']!r}, but this version of actionpose "
            f"reads format {FORMAT_VERSION}: install the version that wrote it, or lift again"
        )
    if missing := [key for key in (*_ALLOWED, "scale_source") if key not in header]:
        raise UserError(f"the header lacks {', '.join(missing)}")
    for key, allowed in _ALLOWED.items():
        if not isinstance(header[key], str) or header[key] not in list(allowed):
            known = ", ".join(allowed)
            raise UserError(f"the header's {key} is one of {known}, but not {header[key]!r}")
    header |= {"axes": Axes(header["axes"]), "root": RootOrigin(header["root"])}
    try:
        json.dumps(header, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"the header cannot be written as JSON: {error}") from None
    typed(Header, header, "the header")
    typed(list[_Action], header.get("actions", []), "the header's actions")
    typed(list[_Step], header.get("processing", []), "the header's processing")
    return cast(Header, header)


def write_npz(result: Result, path: Path) -> None:
    """Write all arrays and the header, as `Result.load` reads them."""
    arrays = {name: getattr(result, name) for name in ARRAYS}
    arrays["header"] = np.array(json.dumps(result.header))
    with atomic_write(path) as unfinished, unfinished.open("wb") as file:
        # NumPy sets the date of all members to 1980, so equal results give equal bytes
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
