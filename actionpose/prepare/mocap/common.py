"""Shared by the readers of motion capture files: finding, resampling and writing sequences."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.corpus import Kind, Motion, write_corpus
from actionpose.prepare import CORPUS_FPS
from actionpose.prepare.mocap.joint_map import JointMap, load_joint_map
from actionpose.prepare.mocap.tree import MocapFile
from actionpose.utils.errors import UserError

MIN_LABEL_S = 0.1  # after it was cut to its motion

Joints = NDArray[np.float32]  # (T, 17, 3) meters, z up
TimedLabel = tuple[float, float, str]  # start and stop in seconds, text


@dataclass(frozen=True)
class SourceSequence:
    """One file on its way into a corpus."""

    path: Path
    id: str
    subject: str
    split: str
    text: str  # empty: not annotated
    read: Callable[[], Joints]  # at 30 Hz
    labels: tuple[TimedLabel, ...] = ()  # of parts of it


@dataclass
class SourceFolder:
    """A folder of original files, and those left out of the corpus, by name, with the reason."""

    path: Path
    excluded: dict[str, str] = field(default_factory=dict)  # on purpose
    failed: dict[str, str] = field(default_factory=dict)  # files that cannot be used

    def find(self, *suffixes: str) -> list[Path]:
        """All files below with one of the suffixes, in any case, sorted; hidden ones not.

        Raises:
            UserError: no such folder, or no such file in it.
        """
        if not self.path.is_dir():
            raise UserError(f"{self.path} is not a folder: give the one of the original files")
        found = sorted(
            path
            for path in self.path.rglob("*")
            if path.suffix.lower() in suffixes
            and path.is_file()
            and not any(
                part.startswith((".", "__MACOSX")) for part in path.relative_to(self.path).parts
            )
        )
        if not found:
            raise UserError(f"there is no {' or '.join(suffixes)} file in {self.path} or below")
        return found

    def find_skeletons(self) -> dict[str, Path]:
        """ASF files by stem in lower case; of several the first."""
        paths = sorted(path for path in self.path.rglob("*") if path.suffix.lower() == ".asf")
        return {path.stem.lower(): path for path in reversed(paths)}

    def name(self, path: Path) -> str:
        """The path below the folder, the same on every system."""
        return path.relative_to(self.path).as_posix()

    def exclude(self, path: Path, reason: str) -> None:
        self.excluded[self.name(path)] = reason

    def drop_duplicates(self, sequences: Iterable[SourceSequence]) -> list[SourceSequence]:
        """Sequences of different ids: of copies of a file, the first in order stays."""
        kept: dict[str, SourceSequence] = {}
        for sequence in sequences:
            first = kept.setdefault(sequence.id, sequence)
            if first is not sequence:
                reason = f"{self.name(first.path)} is the same sequence and was read"
                self.exclude(sequence.path, reason)
        return list(kept.values())


def resample(joints_m: NDArray[np.floating], fps: float) -> Joints:
    """Joints (T, 17, 3) at the times 0, 1/30, 2/30, ... s, up to the last frame.

    Where no frame has that time, the two beside it are mixed by distance: positions, not angles,
    so that a bone between two frames that turn it by an angle a is short by 1 - cos(a / 2) at most.
    Rates that 30 divides need no mixing.
    """
    step = fps / CORPUS_FPS
    tolerance = 1e-6  # of a frame: 120 / 30 may be 4.0000000001
    times = np.arange(int((len(joints_m) - 1) / step + tolerance) + 1) * step
    before = np.minimum((times + tolerance).astype(int), len(joints_m) - 1)
    after = np.minimum(before + 1, len(joints_m) - 1)
    weight = np.clip(times - before, 0, 1)[:, None, None]
    weight[weight < 2 * tolerance] = 0
    mixed = joints_m[before] * (1 - weight) + joints_m[after] * weight
    return mixed.astype(np.float32)


def read_joints(file: MocapFile, joint_map: JointMap | str, fps: float | None = None) -> Joints:
    """The joints of a file at 30 Hz.

    Args:
        joint_map: itself, its name or its path.
        fps: of the file, if not what it claims.

    Raises:
        UserError: as for `JointMap.read`.
    """
    joint_map = load_joint_map(joint_map) if isinstance(joint_map, str) else joint_map
    return resample(joint_map.read(file), fps or file.fps)


def read_texts(name: str) -> dict[str, str]:
    """The words for each class of a source, from a table in the folder `texts/`."""
    table = resources.files("actionpose.prepare.mocap") / "texts" / f"{name}.csv"
    _, *rows = csv.reader(table.read_text("utf-8").splitlines())
    return dict(rows)


def write_sequences(
    sequences: list[SourceSequence],
    source: SourceFolder,
    out_dir: Path,
    *,
    title: str,
    license: str,
    progress: Callable[[], object] = lambda: None,
) -> Path:
    """Read all sequences into a new corpus. A file that cannot be read is left out and named.

    Args:
        source: where they are from; files that fail are added to it.
        title: the source, as the corpus names it.
        progress: called after each sequence.

    Raises:
        UserError: no sequence can be read, or the corpus cannot be written.
    """
    skipped = dict(source.excluded)

    def motions() -> Iterator[Motion]:
        num_read = 0
        for sequence in sequences:
            motion = _read_motion(sequence, source)
            progress()
            if motion is not None:
                num_read += 1
                yield motion
        skipped.update(source.failed)
        if not num_read:
            first = next(iter({**source.failed, **source.excluded}.items()), ("", "no file"))
            raise UserError(
                f"none of the {len(sequences)} files of {source.path} can be used; "
                f"{first[0]}: {first[1]}"
            )

    return write_corpus(out_dir, motions(), source=title, license=license, skipped=skipped)


def _read_motion(sequence: SourceSequence, source: SourceFolder) -> Motion | None:
    name = source.name(sequence.path)
    try:
        joints_m = sequence.read()
    except UserError as error:
        message = str(error).replace(f"{sequence.path}, line", "line")
        message = message.replace(f"{sequence.path}: ", "")  # the name stands before it
        # names only: where somebody's files lie is not part of a corpus
        message = message.replace(str(sequence.path), sequence.path.name)
        source.failed[name] = message.replace(f"{source.path}/", "")
        return None
    length = len(joints_m)
    labels: list[tuple[int, int, str, Kind]] = []
    if sequence.text:
        labels.append((0, length, sequence.text, "action"))
    for start_s, stop_s, text in sequence.labels:
        start, stop = round(start_s * CORPUS_FPS), min(round(stop_s * CORPUS_FPS), length)
        label: tuple[int, int, str, Kind] = (start, stop, text, "action")
        if stop - start < MIN_LABEL_S * CORPUS_FPS:
            source.failed[f"{name}, {start_s:g} to {stop_s:g} s"] = (
                f"the label {text!r} lies outside the motion ({length / CORPUS_FPS:g} s)"
            )
        elif label not in labels:
            labels.append(label)
    return Motion(sequence.id, sequence.subject, sequence.split, joints_m, sequence.text, labels)
