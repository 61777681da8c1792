"""Common functions of motion capture readers: search, resampling and writing of sequences."""

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

MIN_LABEL_S = 0.1  # after cropping to the motion

Joints = NDArray[np.float32]  # (T, 17, 3) in meters, z up
TimedLabel = tuple[float, float, str]  # start and stop in seconds, text


@dataclass(frozen=True)
class SourceSequence:
    """A source file to add to a corpus."""

    path: Path
    id: str
    subject: str
    split: str
    text: str  # empty if not annotated
    read: Callable[[], Joints]  # at 30 Hz
    labels: tuple[TimedLabel, ...] = ()  # of parts of the sequence


@dataclass
class SourceFolder:
    """A folder of original files, with the files omitted from the corpus and the reasons."""

    path: Path
    excluded: dict[str, str] = field(default_factory=dict)  # intentionally
    failed: dict[str, str] = field(default_factory=dict)  # files that cannot be used

    def find(self, *suffixes: str) -> list[Path]:
        """All files in the folder tree with one of the suffixes, sorted; hidden files are ignored.

        Raises:
            UserError: If the folder does not exist, or contains no such files.
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
        """ASF files by lower-case stem; the first of several."""
        paths = sorted(path for path in self.path.rglob("*") if path.suffix.lower() == ".asf")
        return {path.stem.lower(): path for path in reversed(paths)}

    def name(self, path: Path) -> str:
        """The path relative to the folder, which is the same on all systems."""
        return path.relative_to(self.path).as_posix()

    def exclude(self, path: Path, reason: str) -> None:
        self.excluded[self.name(path)] = reason

    def drop_duplicates(self, sequences: Iterable[SourceSequence]) -> list[SourceSequence]:
        """Remove sequences with duplicate ids; the first copy of a file is kept."""
        kept: dict[str, SourceSequence] = {}
        for sequence in sequences:
            first = kept.setdefault(sequence.id, sequence)
            if first is not sequence:
                reason = f"{self.name(first.path)} is the same sequence and was read"
                self.exclude(sequence.path, reason)
        return list(kept.values())


def resample(joints_m: NDArray[np.floating], fps: float) -> Joints:
    """Resample joints (T, 17, 3) to the times 0, 1/30, 2/30, ... s, up to the last frame.

    Positions are interpolated linearly between the two neighboring frames. A bone that rotates by
    an angle a between these is therefore shortened by a fraction of at most 1 - cos(a / 2).
    Multiples of 30 Hz require no interpolation.
    """
    step = fps / CORPUS_FPS
    tolerance = 1e-6  # in frames: 120 / 30 may be 4.0000000001
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
        file: Motion file.
        joint_map: Joint map, its name or its path.
        fps: Frame rate of the file, if it differs from the stated one.

    Raises:
        UserError: See `JointMap.read`.
    """
    joint_map = load_joint_map(joint_map) if isinstance(joint_map, str) else joint_map
    return resample(joint_map.read(file), fps or file.fps)


def read_texts(name: str) -> dict[str, str]:
    """The text of each class of a source, from a table in the folder `texts/`."""
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
    """Write all sequences to a new corpus. A file that cannot be read is omitted and listed.

    Args:
        sequences: Sequences to write.
        source: Folder of the files, to which failed files are added.
        out_dir: Folder to create.
        title: Source in the metadata of the corpus.
        license: License of the data.
        progress: Function that is called after each sequence.

    Raises:
        UserError: If no sequence can be read, or the corpus cannot be written.
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
        message = message.replace(f"{sequence.path}: ", "")  # the name precedes the message
        # names only: local paths should not be stored in a corpus
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
