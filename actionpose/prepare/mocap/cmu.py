"""The CMU Graphics Lab Motion Capture Database: ASF and AMC files, or their BVH conversions.

Neither format contains the frame rate of a trial (all available BVH files state 120 Hz, also for
trials at 60 Hz) or its description. Both are in the index of the database, which the user provides:
see `read_index`.
"""

import csv
import html
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from actionpose.prepare.mocap.asfamc import read_amc, read_asf
from actionpose.prepare.mocap.bvh import read_bvh
from actionpose.prepare.mocap.common import Joints, SourceFolder, SourceSequence, read_joints
from actionpose.utils.errors import UserError
from actionpose.utils.json_files import parse_json
from actionpose.utils.legacy import current_names

SOURCE = (
    "CMU Graphics Lab Motion Capture Database, mocap.cs.cmu.edu. The database was created "
    "with funding from NSF EIA-0196217."
)
LICENSE = "free for all uses; the data itself may not be resold"
# Splits of the open benchmark; other subjects are train. The motions of val-ood do not occur in
# train: salsa (60, 61), Indian dance (94), karate (135), flips and cartwheels (88, 90).
SPLITS = {
    **dict.fromkeys((13, 14, 86), "val"),
    **dict.fromkeys((2, 5, 49), "test"),
    **dict.fromkeys((60, 61, 88, 90, 94, 135), "val-ood"),
}
CLAIMED_FPS = 120.0  # in all BVH conversions, for any rate of the trial

TRIAL = re.compile(r"(\d{1,3})_(\d{1,3})")
HEADING = re.compile(r"Subject\s*#\s*(\d+)\s*\(([^)]*)\)")

Trial = tuple[int, int]  # subject, trial


@dataclass(frozen=True)
class Entry:
    """A trial in the index."""

    text: str
    fps: float | None = None  # None: not in the index


def list_sequences(
    source: SourceFolder, index: Path, fps: float | None = None
) -> list[SourceSequence]:
    """The trials in a folder that are in the index.

    Args:
        source: Folder of original files.
        index: Index of the database, see `read_index`.
        fps: Frame rate of trials without one in the index; with None they are omitted.

    Raises:
        UserError: If there are no trials, or the index cannot be read.
    """
    entries = read_index(index)
    # original skeletons take precedence over conversions
    paths = sorted(source.find(".amc", ".bvh"), key=lambda p: (p.suffix.lower() != ".amc", p))
    skeletons = source.find_skeletons()
    found = []
    for path in paths:
        match = TRIAL.fullmatch(path.stem)
        if match is None:
            source.exclude(path, "its name is not SUBJECT_TRIAL, such as 01_02")
            continue
        subject, trial = int(match[1]), int(match[2])
        entry = entries.get((subject, trial))
        if entry is None:
            source.exclude(path, f"{path.stem} is not in the index {index.name}")
            continue
        true_fps = entry.fps or fps
        if true_fps is None:
            source.exclude(path, f"the index {index.name} does not give its rate, nor does fps")
            continue
        if path.suffix.lower() == ".amc":
            asf = path.with_name(f"{match[1]}.asf")
            asf = asf if asf.exists() else skeletons.get(match[1], asf)
            read = partial(_read_amc, path, asf, true_fps)
        else:
            read = partial(_read_bvh, path, true_fps)
        split = SPLITS.get(subject, "train")
        id, person = f"cmu_{path.stem}", f"cmu_{match[1]}"
        found.append(SourceSequence(path, id, person, split, entry.text, read))
    return source.drop_duplicates(found)


def _read_amc(path: Path, asf: Path, fps: float) -> Joints:
    return read_joints(read_amc(path, read_asf(asf), fps), "cmu_asf")


def _read_bvh(path: Path, index_fps: float) -> Joints:
    file = read_bvh(path)
    # a rate other than that of all conversions was set by resampling or correction
    return read_joints(file, "cmu_bvh", index_fps if file.fps == CLAIMED_FPS else file.fps)


def read_index(path: Path) -> dict[Trial, Entry]:
    """Read the index of the database, in one of these formats, by suffix.

    - `.html`, `.htm`: a saved page of the search of the database, with frame rates.
    - `.txt`: the list distributed with the BVH conversions: trial, tab, description; without rates.
    - `.csv`: a table with the columns trial, description and fps.
    - `.json`: `{"01_02": ["playground - climb", 120]}`.

    A trial without a description has that of its subject, if a heading contains it.

    Raises:
        UserError: If the file cannot be read, or contains no trials.
    """
    readers: dict[str, Callable[[str], dict[Trial, Entry]]] = {
        ".html": _html_index,
        ".htm": _html_index,
        ".txt": _text_index,
        ".csv": _csv_index,
        ".json": _json_index,
    }
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: an index is one of {', '.join(readers)}")
    try:
        entries = readers[path.suffix.lower()](path.read_bytes().decode("utf-8-sig", "replace"))
    except OSError as error:
        raise UserError(f"cannot read the index {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, IndexError, csv.Error) as error:
        raise UserError(f"cannot read the index {path}: {error}") from error
    if not entries:
        raise UserError(f"the index {path} has no trial, such as 01_02, in it")
    return entries


def _trial(text: str) -> Trial:
    match = TRIAL.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no trial such as 01_02")
    return int(match[1]), int(match[2])


def _entry(description: str | None, fps: object = None) -> Entry:
    text = str(description or "").strip()
    if fps is None or fps == "":
        return Entry(text)
    number = float(fps)  # type: ignore[arg-type]  # raises ValueError if not a number
    if not 1 <= number <= 1000:
        raise ValueError(f"{fps!r} is no rate in Hz")
    return Entry(text, number)


def _json_index(text: str) -> dict[Trial, Entry]:
    rows = parse_json(text, "the index")
    if not isinstance(rows, dict):
        raise ValueError("it is not a mapping from trials to [description, rate]")
    return {_trial(trial): _entry(*row[:2]) for trial, row in rows.items()}


def _csv_index(text: str) -> dict[Trial, Entry]:
    rows = csv.DictReader(io.StringIO(text))
    missing = {"trial", "description"} - set(rows.fieldnames or ())
    if missing:
        raise ValueError(f"it has no column {', '.join(sorted(missing))}")
    return {
        _trial(row["trial"]): _entry(row["description"], row.get("fps"))
        for row in map(current_names, rows)
    }


def _text_index(text: str) -> dict[Trial, Entry]:
    subjects = _subjects(text)
    entries = {}
    for line in text.splitlines():
        name, _, description = line.strip().partition("\t")
        if TRIAL.fullmatch(name):
            trial, description = _trial(name), description.strip()
            is_known = description.lower() not in ("", "unknown")
            entries[trial] = _entry(description if is_known else subjects.get(trial[0]))
    return entries


def _html_index(text: str) -> dict[Trial, Entry]:
    subjects = _subjects(re.sub(r"<[^>]*>", " ", text))
    entries = {}
    for row in re.split(r"(?i)<tr\b", text)[1:]:
        cells = re.split(r"(?i)<t[dh]\b", row)[1:]
        texts = [re.sub(r"<[^>]*>", "", cell.partition(">")[2]) for cell in cells]
        texts = [" ".join(html.unescape(text).split()) for text in texts]
        links = [re.search(r"""(?i)<a\b[^>]*href=["']?([^"'\s>]+)""", cell) for cell in cells]
        names = [Path(link[1]).stem for link in links if link]
        # columns: ..., number of the trial, description, links, rate, link
        found = next((name for name in names if TRIAL.fullmatch(name)), None)
        number = next((i for i, text in enumerate(texts) if text.isdigit()), len(texts))
        if found is None or number + 1 >= len(texts):
            continue
        trial = _trial(found)
        after = zip(texts[number + 2 :], links[number + 2 :], strict=True)
        rates = [text for text, link in after if text.isdigit() and not link]
        description = texts[number + 1] or subjects.get(trial[0])
        entries[trial] = _entry(description, rates[-1] if rates else None)
    return entries


def _subjects(text: str) -> dict[int, str]:
    """The description in the heading of each subject."""
    return {int(number): about.strip() for number, about in HEADING.findall(text)}
