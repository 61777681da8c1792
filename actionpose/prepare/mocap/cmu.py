"""The CMU Graphics Lab Motion Capture Database: ASF and AMC files, or their BVH conversions.

Neither format says how fast a trial was recorded (every BVH in circulation claims 120 Hz, also of
the trials at 60), nor what is done in it. Both stand in the database's index, which the user
brings: see `read_index`.
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
# The open benchmark's; all other subjects are train. Those of val-ood move as nobody in train does:
# salsa (60, 61), Indian dance (94), karate (135), flips and cartwheels (88, 90).
SPLITS = {
    **dict.fromkeys((13, 14, 86), "val"),
    **dict.fromkeys((2, 5, 49), "test"),
    **dict.fromkeys((60, 61, 88, 90, 94, 135), "val-ood"),
}
CLAIMED_FPS = 120.0  # by every BVH of the conversions, whatever the trial's rate

TRIAL = re.compile(r"(\d{1,3})_(\d{1,3})")
HEADING = re.compile(r"Subject\s*#\s*(\d+)\s*\(([^)]*)\)")

Trial = tuple[int, int]  # subject, trial


@dataclass(frozen=True)
class Entry:
    """A trial in the index."""

    text: str
    fps: float | None = None  # None: not in this index


def list_sequences(
    source: SourceFolder, index: Path, fps: float | None = None
) -> list[SourceSequence]:
    """The trials in a folder that the index has.

    Args:
        index: see `read_index`.
        fps: of trials whose rate the index does not give; None leaves them out.

    Raises:
        UserError: no trial, or an index that cannot be read.
    """
    entries = read_index(index)
    # the subject's own skeleton before a conversion of it
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
    # a rate that not all conversions claim was set by someone who resampled or corrected it
    return read_joints(file, "cmu_bvh", index_fps if file.fps == CLAIMED_FPS else file.fps)


def read_index(path: Path) -> dict[Trial, Entry]:
    """The database's index, in one of the forms in which people have it, by its suffix.

    - `.html`, `.htm`: a saved page of the database's own search. Its rows have rates.
    - `.txt`: the list that circulates with the BVH conversions: trial, tab, description. No rates.
    - `.csv`: a table with the columns trial, description and fps.
    - `.json`: `{"01_02": ["playground - climb", 120]}`.

    A trial without a description has the subject's, where a heading gives it.

    Raises:
        UserError: the file cannot be read, or no trial is found in it.
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
    number = float(fps)  # type: ignore[arg-type]  # what is no number raises ValueError
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
        # ..., number of the trial, description, links, rate, link
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
