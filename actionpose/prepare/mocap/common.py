"""What the readers of mocap files share: finding files, 30 Hz, a corpus that names what failed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.corpus import Kind, Motion, write_corpus
from actionpose.utils.errors import UserError

RATE_HZ = 30.0
MIN_SPAN_S = 0.1  # of a label, after it was cut to its motion

Span = tuple[float, float, str]  # start and stop in seconds, text


@dataclass(frozen=True)
class Take:
    """One file on its way into a corpus."""

    path: Path
    id: str
    subject: str
    split: str
    text: str  # empty: nobody says what is done
    read: Callable[[], NDArray[np.floating]]  # its joints (T, 17, 3) at 30 Hz: meters, z up
    spans: tuple[Span, ...] = ()  # labels of parts of it


@dataclass
class Left:
    """Files that are not in the corpus, with the reason, by their path under the source."""

    out: dict[str, str] = field(default_factory=dict)  # on purpose
    failed: dict[str, str] = field(default_factory=dict)  # they should have been


def find(folder: Path, *suffixes: str) -> list[Path]:
    """All files under a folder with one of the suffixes, in any case, sorted; hidden ones not.

    Raises:
        UserError: no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the one that holds the original files")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
    )
    if not found:
        raise UserError(f"there is no {' or '.join(suffixes)} file in {folder} or below")
    return found


def at_30_hz(joints_m: NDArray[np.floating], fps: float) -> NDArray[np.float32]:
    """Joints (T, 17, 3) at the times 0, 1/30, 2/30, ... s, up to the last frame.

    Where no frame has that time, the two beside it are mixed by distance: positions, not angles,
    so that a bone between two frames that turn it by an angle a is short by 1 - cos(a / 2) at most.
    Rates that 30 divides need no mixing.
    """
    step = fps / RATE_HZ
    tolerance = 1e-6  # of a frame: 120 / 30 may be 4.0000000001
    times = np.arange(int((len(joints_m) - 1) / step + tolerance) + 1) * step
    before = np.minimum((times + tolerance).astype(int), len(joints_m) - 1)
    after = np.minimum(before + 1, len(joints_m) - 1)
    share = np.clip(times - before, 0, 1)[:, None, None]
    share[share < 2 * tolerance] = 0
    mixed = joints_m[before] * (1 - share) + joints_m[after] * share
    return mixed.astype(np.float32)


def write(
    takes: list[Take],
    out: Path,
    *,
    root: Path,
    source: str,
    license: str,
    left: Left,
    progress: Callable[[], object] = lambda: None,
) -> Path:
    """Read all takes into a new corpus. A file that cannot be read is left out and named.

    Args:
        root: the folder of the originals, for the names of what is left out.
        left: what was left out so far; what fails is added.
        progress: called after each take.

    Raises:
        UserError: not one take can be read, or the corpus cannot be written.
    """
    skipped = dict(left.out)

    def motions() -> Iterator[Motion]:
        num_read = 0
        for take in takes:
            motion = _motion(take, root, left)
            progress()
            if motion is not None:
                num_read += 1
                yield motion
        skipped.update(left.failed)
        if not num_read:
            first = next(iter({**left.failed, **left.out}.items()), ("", "no file"))
            raise UserError(
                f"none of the {len(takes)} files of {root} can be used; {first[0]}: {first[1]}"
            )

    return write_corpus(out, motions(), source=source, license=license, skipped=skipped)


def _motion(take: Take, root: Path, left: Left) -> Motion | None:
    try:
        joints_m = take.read()
    except UserError as error:
        name = name_under(root, take.path)
        message = str(error)
        for said in (f"{take.path}, line", f"{take.path}: "):  # the name stands before it
            message = message.replace(said, "line" if said.endswith("line") else "")
        # names only: where somebody's files lie is not part of a corpus
        message = message.replace(str(take.path), take.path.name)
        left.failed[name] = message.replace(f"{root}/", "")
        return None
    length = len(joints_m)
    labels: list[tuple[int, int, str, Kind]] = []
    if take.text:
        labels.append((0, length, take.text, "action"))
    for start_s, stop_s, text in take.spans:
        start, stop = round(start_s * RATE_HZ), min(round(stop_s * RATE_HZ), length)
        if stop - start < MIN_SPAN_S * RATE_HZ:
            name = f"{name_under(root, take.path)}, {start_s:g} to {stop_s:g} s"
            left.failed[name] = (
                f"the label {text!r} lies outside the motion ({length / RATE_HZ:g} s)"
            )
        else:
            labels.append((start, stop, text, "action"))
    return Motion(take.id, take.subject, take.split, joints_m, take.text, labels)


def name_under(root: Path, path: Path) -> str:
    """The path below the folder of the originals, the same on every system."""
    return path.relative_to(root).as_posix()


def drop_duplicates(takes: Iterable[Take], root: Path, left: Left) -> list[Take]:
    """Takes of different ids: of copies of a file, the first in order stays."""
    kept: dict[str, Take] = {}
    for take in takes:
        if take.id in kept:
            first = name_under(root, kept[take.id].path)
            left.out[name_under(root, take.path)] = f"{first} is the same take and was read"
        else:
            kept[take.id] = take
    return list(kept.values())
