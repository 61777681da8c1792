"""The corpus format: flat arrays, a readable table, a version, and hashes.

A corpus is a folder of three files, and of a fourth if it has feet:

- `joints.npy`: (F, 17, 3) float32, the joints of all motions in sequence, in meters in world
  coordinates with z up, in the order of H36M17. It is memory-mapped.
- `segments.jsonl`: a line per labeled segment of a motion. `start` and `stop` are rows of
  `joints.npy`. Every motion has at least one line of kind "sequence" for the whole motion; its
  text is empty if the motion has no text of its own. Segments may overlap. `categories`, if a line
  has them, are the action classes of the source (`act_cat` of BABEL).
- `corpus.json`: format version, skeleton, frame rate, source, license, skipped files with reasons,
  and the hashes of the other files.
- `feet.npy`: (F, 4, 3) float32, the joints of H36M17_FEET that are not in H36M17, of the same
  frames. Joints that a motion does not have are NaN. The line of kind "sequence" lists under
  `derived` the joints that were computed from other joints.

The same input gives the same bytes.
"""

import json
import operator
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Interval
from numpy.typing import NDArray

from actionpose.datasets.storage import (
    FORMAT,
    GrowingArray,
    check_format,
    check_hashes,
    opening,
)
from actionpose.skeletons import H36M17, H36M17_FEET
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_folder, atomic_text, sha256, write_json
from actionpose.utils.json_files import Checked, read_json, read_json_lines, typed
from actionpose.utils.legacy import current_names
from actionpose.utils.numpy_files import load_npy
from actionpose.utils.typing import Array

Kind = Literal["action", "transition", "sequence"]
FEET = H36M17_FEET.joints[len(H36M17) :]


@dataclass(frozen=True)
class _Info(Checked):
    """The required content of `corpus.json`."""

    fps: Annotated[float, Interval(ge=1, le=1000)]
    frames: Annotated[int, Ge(1)]
    source: str
    license: str
    sha256: dict[str, str]
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Segment(Checked):
    """A labeled span of a motion."""

    motion: str
    subject: str
    split: str
    start: int  # first row of joints.npy
    stop: int  # one past the last row
    text: str
    kind: Kind
    derived: tuple[str, ...] = ()  # joints of the feet, for a "sequence"
    categories: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def is_whole(self) -> bool:
        """Whether the segment is the whole motion."""
        return self.kind == "sequence"


@dataclass(frozen=True)
class Motion:
    """A motion to write to a corpus."""

    id: str
    subject: str
    split: str
    joints_m: Array  # (T, 17, 3) world, z up
    text: str = ""  # of the whole motion
    labels: list[tuple[int, int, str, Kind]] = field(default_factory=list)  # start, stop in frames
    feet_m: Array | None = None  # (T, 4, 3) as `FEET`; all NaN for a missing joint
    derived: tuple[str, ...] = ()  # joints of `FEET` that were computed from others
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by text


@dataclass(frozen=True)
class Corpus:
    """An opened corpus."""

    folder: Path
    info: dict[str, Any]
    joints_m: NDArray[np.float32]  # (F, 17, 3), memory-mapped
    segments: list[Segment]
    feet_m: NDArray[np.float32] | None = None  # (F, 4, 3), memory-mapped

    def __reduce__(self) -> tuple[Any, ...]:
        return open_corpus, (self.folder,)  # other processes open the files again

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def fps(self) -> float:
        return float(self.info["fps"])

    def motions(self, split: str | None = None) -> dict[str, Segment]:
        """The segment of each whole motion by id, in the order of the file."""
        return {
            segment.motion: segment
            for segment in self.segments
            if segment.is_whole and split in (None, segment.split)
        }


def write_corpus(
    folder: Path | str,
    motions: Iterable[Motion],
    *,
    source: str,
    license: str,
    fps: float = 30.0,
    skipped: dict[str, str] | None = None,
    report: dict[str, Any] | None = None,
) -> Path:
    """Write motions to a new corpus. The folder is created atomically.

    Args:
        folder: Folder to create.
        motions: Motions, which are consumed one by one, so that memory is bounded.
        source: Source of the data.
        license: License of the data.
        fps: Frame rate in Hz.
        skipped: Files that were left out, with reasons. It may be filled while `motions` is
            consumed.
        report: Further information to store. It may be filled while `motions` is consumed.

    Raises:
        UserError: If the folder exists, a motion is not finite or has a wrong shape, an id is used
            twice, a label is outside its motion, a value is invalid, or there are no motions.
    """
    num_frames, ids, has_feet = 0, set(), False
    files = ["joints.npy", "segments.jsonl"]
    with atomic_folder(folder) as unfinished:
        with (
            closing(GrowingArray(unfinished / "joints.npy", (len(H36M17), 3), "<f4")) as joints,
            closing(GrowingArray(unfinished / "feet.npy", (len(FEET), 3), "<f4")) as feet,
            atomic_text(unfinished / "segments.jsonl") as table,
        ):
            for motion in motions:
                length = _check(motion)
                if motion.id in ids:
                    raise UserError(f"motion {motion.id} comes twice")
                ids.add(motion.id)
                joints.append(motion.joints_m)
                has_feet |= motion.feet_m is not None
                absent = np.full((length, len(FEET), 3), np.nan)
                feet.append(absent if motion.feet_m is None else motion.feet_m)
                for start, stop, text, kind in _spans(motion, length):
                    rows = (num_frames + start, num_frames + stop)
                    row = Segment(motion.id, motion.subject, motion.split, *rows, text, kind)
                    derived = motion.derived if row.is_whole else ()
                    known = motion.categories.get(text, ()) if kind != "transition" else ()
                    values = asdict(replace(row, derived=derived, categories=known))
                    typed(Segment, values, f"motion {motion.id}")
                    for name in ("derived", "categories"):  # most lines do not have them
                        if not values[name]:
                            del values[name]
                    table.write(json.dumps(values, ensure_ascii=False) + "\n")
                num_frames += length
        if not ids:
            raise UserError("there is no motion to write")
        if has_feet:
            files.append("feet.npy")
        else:
            (unfinished / "feet.npy").unlink()
        info = {
            "format": FORMAT,
            "skeleton": H36M17.name,
            "fps": float(fps),
            "motions": len(ids),
            "frames": num_frames,
            "source": source,
            "license": license,
            "skipped": dict(sorted((skipped or {}).items())),
            **({} if report is None else {"report": report}),
            "sha256": {name: sha256(unfinished / name) for name in files},
        }
        typed(_Info, info, "corpus.json")
        write_json(unfinished / "corpus.json", info)
    return Path(folder)


def _check(motion: Motion) -> int:
    """Check that a motion is valid for training, and return its number of frames."""
    shape = motion.joints_m.shape
    if len(shape) != 3 or shape[0] == 0 or shape[1:] != (len(H36M17), 3):
        raise UserError(f"motion {motion.id} has shape {shape}, not (T >= 1, {len(H36M17)}, 3)")
    finite = np.isfinite(motion.joints_m).all(axis=(1, 2))
    if not finite.all():
        raise UserError(f"motion {motion.id} is not finite at frame {int(finite.argmin())}")
    if motion.feet_m is not None:
        if motion.feet_m.shape != (shape[0], len(FEET), 3):
            raise UserError(f"motion {motion.id} has feet of shape {motion.feet_m.shape}")
        known = np.isfinite(motion.feet_m).all(axis=2)
        if (known.any(axis=0) != known.all(axis=0)).any():
            raise UserError(f"motion {motion.id} has a joint of the feet in only some frames")
    return shape[0]


def _spans(motion: Motion, length: int) -> Iterator[tuple[int, int, str, Kind]]:
    """The whole motion and its labels, with frames as Python integers."""
    yield 0, length, motion.text, "sequence"
    for start, stop, text, kind in motion.labels:
        where = f'motion {motion.id}: label "{text}" spans frames {start} to {stop}'
        try:
            first, last = operator.index(start), operator.index(stop)
        except TypeError:
            raise UserError(f"{where}, which are not integers") from None
        if not 0 <= first < last <= length:
            raise UserError(f"{where}, but the motion has {length}")
        yield first, last, text, kind


def open_corpus(folder: Path | str) -> Corpus:
    """Open a corpus without reading its joints.

    Raises:
        UserError: If the folder is not a corpus, has another format version, or is inconsistent.
    """
    folder = Path(folder)
    with opening(folder, "a corpus", "name a folder that `prepare` wrote (docs/datasets.md)"):
        info = current_names(read_json(folder / "corpus.json"))
        check_format(folder, info)
        typed(_Info, info, f"{folder / 'corpus.json'}")
        joints_m = load_npy(folder / "joints.npy", mapped=True)
        segments = list(read_json_lines(folder / "segments.jsonl", Segment))
        feet_m = None
        if "feet.npy" in info["sha256"]:
            feet_m = load_npy(folder / "feet.npy", mapped=True)
            if feet_m.dtype.kind != "f" or feet_m.shape != (len(joints_m), len(FEET), 3):
                raise UserError(f"{folder}: feet.npy does not fit joints.npy")
        if joints_m.dtype.kind != "f" or joints_m.shape != (info["frames"], len(H36M17), 3):
            raise UserError(
                f"{folder}: joints.npy has shape {joints_m.shape}, not what corpus.json says"
            )
        for segment in segments:
            if not 0 <= segment.start < segment.stop <= len(joints_m):
                raise UserError(f"{folder}: a segment of {segment.motion} lies outside the data")
    return Corpus(folder, info, joints_m, segments, feet_m)


def verify_corpus(folder: Path | str) -> Corpus:
    """Open a corpus, and verify its hashes and spans.

    Raises:
        UserError: If a check fails; names the first failure.
    """
    corpus = open_corpus(folder)
    check_hashes(corpus.folder, corpus.info["sha256"])
    return corpus
