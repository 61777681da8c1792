"""The prepared form of Human3.6M and MPI-INF-3DHP: 2D keypoints and the 3D pose of each frame.

These data depend on the cameras of the dataset, whereas the motions of a corpus (`corpus.py`) are
in world coordinates. A folder contains:

- `data.json`: format version, kind, units, results of the preparation, license, hashes.
- `train/` and `test/`, each with
    - `keypoints_px.npy`: (F, 17, 3) float32; x and y in pixels, and confidence.
    - `pose.npy`: (F, 17, 3) in the precision of the source, camera axes, in `pose_unit` (px or mm).
    - `videos.jsonl`: a line per video; `start` and `stop` are rows of the arrays.
    - `truth_mm.npy` (F, 17, 3) and `mm_per_px.npy` (F,), if `pose_unit` is px and the source has
      them: the ground truth for predictions in pixels, and the factor that converts these to mm.
    - `scored.npy`: (F,) bool, True for frames that are evaluated, if the source has it.

Arrays are memory-mapped. The same input gives the same bytes.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Interval

from actionpose.datasets.storage import (
    FORMAT,
    GrowingArray,
    check_format,
    check_hashes,
    opening,
)
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_folder, atomic_text, sha256, write_json
from actionpose.utils.json_files import Checked, read_json, read_json_lines, typed
from actionpose.utils.legacy import current_names
from actionpose.utils.numpy_files import load_npy
from actionpose.utils.typing import Array, BoolArray, IntArray

_ARRAYS = ("keypoints_px", "pose", "truth_mm", "mm_per_px", "scored")
_OPTIONAL = _ARRAYS[2:]


@dataclass(frozen=True)
class _Info(Checked):
    """The required content of `data.json`."""

    kind: Literal["h36m-sh", "h36m-cpn", "3dhp"]
    pose_unit: Literal["px", "mm"]
    unit_mm: Annotated[float, Gt(0)] | None
    splits: dict[str, dict[str, int]]
    keypoints: str
    sha256: dict[str, str]
    synthetic: bool = False
    forced: tuple[str, ...] = ()  # failed checks


@dataclass(frozen=True)
class VideoInfo(Checked):
    """A video of one camera; `start` and `stop` are rows of the arrays of the split."""

    name: str
    subject: str
    action: str
    camera: str
    width: Annotated[int, Ge(1)]  # of the image in pixels
    height: Annotated[int, Ge(1)]
    fps: Annotated[float, Interval(ge=1, le=1000)]
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class VideoData:
    """A video to write to a dataset, with joints in the order of H36M17."""

    name: str
    subject: str
    action: str
    camera: str
    image_size: tuple[int, int]
    fps: float
    keypoints_px: Array  # (T, 17, 3)
    pose: Array  # (T, 17, 3), camera axes, px or mm
    truth_mm: Array | None = None  # (T, 17, 3)
    mm_per_px: Array | None = None  # (T,)
    scored: BoolArray | None = None  # (T,)


@dataclass(frozen=True)
class PairedDataset:
    """An opened split, with the arrays of the module docstring; missing arrays are None."""

    folder: Path
    split: str
    info: dict[str, Any]
    videos: list[VideoInfo]
    keypoints_px: Array
    pose: Array
    truth_mm: Array
    mm_per_px: Array | None
    scored: BoolArray | None

    def __reduce__(self) -> tuple[Any, ...]:
        return open_paired, (self.folder, self.split)  # other processes open the files again

    @property
    def kind(self) -> str:
        return str(self.info["kind"])

    @property
    def fps(self) -> float:
        return self.videos[0].fps

    @property
    def has_true_keypoints(self) -> bool:
        """Whether `keypoints_px` are projections of the poses instead of detections."""
        name = self.info["keypoints"]
        return name == "ground truth" or (self.kind == "h36m-cpn" and "_gt" in name)

    @property
    def unit_mm(self) -> float | None:
        """Millimeters per unit of the model; None if the unit is half the width of the image."""
        return self.info["unit_mm"]

    def unit(self, video: VideoInfo) -> float:
        """The unit of the model, in the unit of `pose`."""
        return video.width / 2 if self.unit_mm is None else self.unit_mm

    def video_of_rows(self) -> IntArray:
        """(F,) Index in `videos` of each row."""
        return np.repeat(np.arange(len(self.videos)), [len(video) for video in self.videos])


def normalize(keypoints_px: Array, video: VideoInfo) -> Array:
    """Convert pixels (..., 3) to units of the model: half the image width, origin at its center.

    Unlike `geometry.Frame2D`, keypoints without confidence are also converted, as in other methods.
    """
    half = video.width / 2
    result = np.array(keypoints_px, dtype=np.float64)
    result[..., 0] = result[..., 0] / half - 1
    result[..., 1] = result[..., 1] / half - video.height / video.width
    return result


# ---- selection of the frames of clips


def clip_rows(videos: Iterable[VideoInfo], frames: int, stride: int, seed: int = 0) -> IntArray:
    """Rows (C, frames) of the full windows of each video, every `stride` frames (MotionBERT).

    Remaining frames at the end of a video are not used. A shorter video is stretched to one window:
    evenly spaced positions, rounded up or down at random.
    """
    rng = np.random.default_rng(seed)
    clips = [np.empty((0, frames), np.int64)]
    for video in videos:
        if len(video) < frames:
            even = np.arange(frames) * len(video) / frames
            chosen = np.where(rng.random(frames) < 0.5, np.floor(even), np.ceil(even))
            within = np.sort(np.minimum(chosen, len(video) - 1)).astype(np.int64)[None]
        else:
            starts = np.arange(0, len(video) - frames + 1, stride)
            within = starts[:, None] + np.arange(frames)
        clips.append(video.start + within)
    return np.concatenate(clips)


def covering_rows(videos: Iterable[VideoInfo], frames: int) -> tuple[IntArray, BoolArray]:
    """Rows (C, frames) that cover each frame, and a mask in which each frame is scored once.

    The last window of a video ends at its last frame, and only its new frames are scored. A shorter
    video is padded with its last frame, which is not scored again.
    """
    clips, fresh = [], []
    for video in videos:
        for start in range(0, len(video), frames):
            first = max(0, min(start, len(video) - frames))
            within = first + np.arange(frames)
            clips.append(video.start + np.minimum(within, len(video) - 1))
            fresh.append((within >= start) & (within < len(video)))
    return np.array(clips, dtype=np.int64), np.array(fresh)


def surrounding_rows(videos: list[VideoInfo], rows: IntArray, offsets: IntArray) -> IntArray:
    """Rows at offsets from each row (len(rows), len(offsets)), clamped to the ends of its video."""
    starts, stops = np.array([(video.start, video.stop) for video in videos], dtype=np.int32).T
    video = np.searchsorted(stops, rows, side="right")
    window = rows[:, None].astype(np.int32) + offsets.astype(np.int32)  # halves the memory
    return np.clip(window, starts[video, None], stops[video, None] - 1)


# ---- writing


def write_paired(
    folder: Path | str, splits: Mapping[str, Iterable[VideoData]], info: dict[str, Any]
) -> Path:
    """Write a paired dataset. The folder is created atomically.

    Args:
        folder: Folder to create.
        splits: Videos of each split, which are consumed one by one.
        info: Content of `data.json`, with `kind`, `pose_unit` and `unit_mm`.

    Raises:
        UserError: If the folder exists, or a video has a wrong shape or values that are not finite.
    """
    with atomic_folder(folder) as unfinished:
        counts = {split: _write_split(unfinished / split, data) for split, data in splits.items()}
        files = sorted(path for path in unfinished.rglob("*") if path.is_file())
        hashes = {path.relative_to(unfinished).as_posix(): sha256(path) for path in files}
        head = {"format": FORMAT, "skeleton": H36M17.name}
        write_json(unfinished / "data.json", head | info | {"splits": counts, "sha256": hashes})
    return Path(folder)


def _write_split(folder: Path, videos: Iterable[VideoData]) -> dict[str, int]:
    folder.mkdir()
    arrays: dict[str, GrowingArray] = {}
    row = count = 0
    with ExitStack() as stack, atomic_text(folder / "videos.jsonl") as table:
        for video in videos:
            length = _check(video)
            for name in _ARRAYS:
                if (values := getattr(video, name)) is not None:
                    dtype = np.float32 if name == "keypoints_px" else values.dtype
                    if name not in arrays:
                        file = GrowingArray(folder / f"{name}.npy", values.shape[1:], dtype)
                        arrays[name] = stack.enter_context(closing(file))
                    arrays[name].append(values)
            names = (video.name, video.subject, video.action, video.camera)
            info = VideoInfo(*names, *video.image_size, video.fps, row, row + length)
            table.write(json.dumps(asdict(info)) + "\n")
            row, count = row + length, count + 1
    if not count:
        raise UserError(f"there is no video for the split {folder.name!r}")
    return {"videos": count, "frames": row}


def _check(video: VideoData) -> int:
    """Check that a video is valid for training and evaluation, and return its number of frames."""
    length = len(video.pose)
    shapes: dict[str, tuple[int, ...]] = {name: (length, len(H36M17), 3) for name in _ARRAYS[:3]}
    shapes |= {"mm_per_px": (length,), "scored": (length,)}
    for name, shape in shapes.items():
        values = getattr(video, name)
        if values is None:
            continue
        if length == 0 or values.shape != shape:
            raise UserError(f"{video.name}: {name} has shape {values.shape}, not {shape}")
        finite = np.isfinite(values).reshape(length, -1).all(axis=1)
        if name in ("pose", "truth_mm") and video.scored is not None:
            finite |= ~video.scored
        if not finite.all():
            what = "3D pose" if name in ("pose", "truth_mm") else name
            raise UserError(
                f"{video.name}: the {what} is not finite at frame {int(finite.argmin())}: "
                "the file is damaged; take it from its source again"
            )
    return length


# ---- reading


def open_paired(folder: Path | str, split: str) -> PairedDataset:
    """Open a split without reading its arrays.

    Raises:
        UserError: If the folder is not a paired dataset, has another format version, does not have
            the split, or is inconsistent.
    """
    folder = Path(folder)
    advice = "make one with actionpose prepare h36m, or prepare 3dhp"
    with opening(folder, "a prepared dataset", advice):
        info = current_names(read_json(folder / "data.json"))
        check_format(folder, info)
        about = typed(_Info, info, f"{folder / 'data.json'}")
        if split not in info["splits"]:
            raise UserError(f"{folder} has no split {split!r}; it has {', '.join(info['splits'])}")
        videos = list(read_json_lines(folder / split / "videos.jsonl", VideoInfo))
        arrays: dict[str, Any] = {
            name: load_npy(path, mapped=True)
            if (path := folder / split / f"{name}.npy").exists() or name not in _OPTIONAL
            else None
            for name in _ARRAYS
        }
        frames = about.splits[split]["frames"]
    for name, array in arrays.items():
        if array is None:
            continue
        frame = () if name in ("mm_per_px", "scored") else (len(H36M17), 3)
        if len(array.shape) == 0 or len(array) != frames:
            raise UserError(
                f"{folder}/{split}/{name}.npy has shape {array.shape}, but data.json says "
                f"{frames} frames"
            )
        if array.shape[1:] != frame or array.dtype.kind != ("b" if name == "scored" else "f"):
            raise UserError(f"{folder}/{split}/{name}.npy is {array.dtype} {array.shape[1:]}")
    stops = [0, *(video.stop for video in videos)]
    if [video.start for video in videos] != stops[:-1] or stops[-1] != frames:
        raise UserError(f"{folder}/{split}/videos.jsonl does not list all {frames} frames in order")
    if info["pose_unit"] == "mm":
        arrays["truth_mm"] = arrays["pose"]
    elif arrays["truth_mm"] is None or arrays["mm_per_px"] is None:
        arrays["truth_mm"] = np.empty((0, len(H36M17), 3))  # a split that is used only for training
    return PairedDataset(folder, split, info, videos, **arrays)


def verify_paired(folder: Path | str) -> dict[str, Any]:
    """Verify all hashes of `data.json`, and return its content.

    Raises:
        UserError: See `open_paired`; or if a file was changed, which is named.
    """
    folder = Path(folder)
    info: dict[str, Any] = {}
    for split in ("train", "test"):
        if (folder / split).is_dir():
            info = open_paired(folder, split).info
    check_hashes(folder, info.get("sha256", {}))
    return info
