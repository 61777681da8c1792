"""The CMU Graphics Lab Motion Capture Database: ASF and AMC files, or their BVH conversions.

Neither format says how fast a trial was recorded (every BVH in circulation claims 120 Hz, also of
the trials at 60), nor what is done in it. Both stand in the database's index, which the user
brings: see `read_index`.
"""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionpose.prepare.mocap.asfamc import Skeleton, read_amc, read_asf
from actionpose.prepare.mocap.bvh import read_bvh
from actionpose.prepare.mocap.common import Left, Take, at_30_hz, drop_duplicates, find, name_under
from actionpose.prepare.mocap.joint_map import load_rig
from actionpose.utils.errors import UserError

SOURCE = (
    "CMU Graphics Lab Motion Capture Database, mocap.cs.cmu.edu. The database was created "
    "with funding from NSF EIA-0196217."
)
LICENSE = "free for all uses; the data itself may not be resold"
# the open benchmark's; all other subjects are train
VAL, TEST = frozenset({13, 14, 86}), frozenset({2, 5, 49})
CLAIMED_HZ = 120.0  # by every BVH of the conversions, whatever the trial's rate

TRIAL = re.compile(r"(\d{1,3})_(\d{1,3})")
HEADING = re.compile(r"Subject\s*#\s*(\d+)\s*\(([^)]*)\)")

Key = tuple[int, int]  # subject, trial


@dataclass(frozen=True)
class Entry:
    """What the index says of a trial."""

    text: str
    fps: float | None = None  # None: this index has no rates


def takes(folder: Path, index: Path, fps: float | None, left: Left) -> list[Take]:
    """The trials under a folder that the index knows.

    Args:
        index: see `read_index`.
        fps: of trials whose rate the index does not give; None leaves them out.
        left: what is left out is added, with the reason.

    Raises:
        UserError: no trial, or an index that cannot be read.
    """
    entries = read_index(index)
    paths = find(folder, ".amc", ".bvh")
    # the subject's own skeleton before a conversion of it
    paths.sort(key=lambda path: (path.suffix.lower() != ".amc", path))
    skeletons = {path.stem: path for path in folder.rglob("*") if path.suffix.lower() == ".asf"}
    skeleton_of = cache(read_asf)
    found = []
    for path in paths:
        name = name_under(folder, path)
        match = TRIAL.fullmatch(path.stem)
        key = (int(match[1]), int(match[2])) if match else None
        entry = entries.get(key) if key else None
        if match is None or key is None:
            left.out[name] = "its name is not SUBJECT_TRIAL, such as 01_02"
            continue
        if entry is None:
            left.out[name] = f"{path.stem} is not in the index {index.name}"
            continue
        true_hz = entry.fps or fps
        if true_hz is None:
            left.out[name] = f"the index {index.name} does not give its rate (see --fps)"
            continue
        if path.suffix.lower() == ".amc":
            asf = path.with_name(f"{match[1]}.asf")
            asf = asf if asf.exists() else skeletons.get(match[1], asf)
            read = _amc_reader(path, asf, skeleton_of, true_hz)
        else:
            read = _bvh_reader(path, true_hz)
        split = "val" if key[0] in VAL else "test" if key[0] in TEST else "train"
        found.append(Take(path, f"cmu_{path.stem}", f"cmu_{match[1]}", split, entry.text, read))
    return drop_duplicates(found, folder, left)


def _amc_reader(
    path: Path, asf: Path, skeleton_of: Callable[[Path], Skeleton], fps: float
) -> Callable[[], NDArray[np.floating]]:
    rig = load_rig("cmu_asf")
    return lambda: at_30_hz(rig.read(read_amc(path, skeleton_of(asf), fps)), fps)


def _bvh_reader(path: Path, index_hz: float) -> Callable[[], NDArray[np.floating]]:
    rig = load_rig("cmu_bvh")

    def read() -> NDArray[np.floating]:
        recording = read_bvh(path)
        assert recording.fps is not None  # a BVH always gives one
        # another claim than the one that all make was set by someone who resampled or mended it
        is_common = recording.fps == CLAIMED_HZ
        return at_30_hz(rig.read(recording), index_hz if is_common else recording.fps)

    return read


def read_index(path: Path) -> dict[Key, Entry]:
    """The database's index, in one of the forms in which people have it, told by the suffix.

    - `.html`, `.htm`: a saved page of the database's own search. Its rows have rates.
    - `.txt`: the list that circulates with the BVH conversions: trial, tab, description. No rates.
    - `.csv`: a table with the columns trial, description and fps.
    - `.json`: `{"01_02": ["playground - climb", 120]}`.

    A trial without a description has the subject's, where a heading gives it.

    Raises:
        UserError: the file cannot be read, or no trial is found in it.
    """
    readers: dict[str, Callable[[str], dict[Key, Entry]]] = {
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


def _key(text: str) -> Key:
    match = TRIAL.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no trial such as 01_02")
    return int(match[1]), int(match[2])


def _rate(value: object) -> float | None:
    if value is None or value == "":
        return None
    fps = float(value)  # type: ignore[arg-type]  # what is no number raises ValueError
    if not 1 <= fps <= 1000:
        raise ValueError(f"{value!r} is no rate in Hz")
    return fps


def _json_index(text: str) -> dict[Key, Entry]:
    rows = json.loads(text)
    if not isinstance(rows, dict):
        raise ValueError("it is not a mapping from trials to [description, rate]")
    return {
        _key(trial): Entry(str(row[0] or "").strip(), _rate(row[1] if len(row) > 1 else None))
        for trial, row in rows.items()
    }


def _csv_index(text: str) -> dict[Key, Entry]:
    rows = csv.DictReader(io.StringIO(text))
    missing = {"trial", "description"} - set(rows.fieldnames or ())
    if missing:
        raise ValueError(f"it has no column {', '.join(sorted(missing))}")
    return {
        _key(row["trial"]): Entry((row["description"] or "").strip(), _rate(row.get("fps")))
        for row in rows
    }


def _text_index(text: str) -> dict[Key, Entry]:
    subjects = {int(number): about.strip() for number, about in HEADING.findall(text)}
    entries = {}
    for line in text.splitlines():
        trial, _, description = line.strip().partition("\t")
        if TRIAL.fullmatch(trial):
            key, description = _key(trial), description.strip()
            known = description if description.lower() != "unknown" else ""
            entries[key] = Entry(known or subjects.get(key[0], ""))
    return entries


def _html_index(text: str) -> dict[Key, Entry]:
    page = _Rows()
    page.feed(text)
    plain = re.sub(r"<[^>]*>", " ", text)
    subjects = {int(number): about.strip() for number, about in HEADING.findall(plain)}
    entries = {}
    for cells in page.rows:  # ..., number of the trial, description, links, rate, link
        links = [link for _, link in cells]
        found = next(filter(None, map(TRIAL.fullmatch, (Path(link).stem for link in links))), None)
        number = next((i for i, (words, _) in enumerate(cells) if words.isdigit()), len(cells))
        if found is None or number + 1 >= len(cells):
            continue
        description = " ".join(cells[number + 1][0].split())
        rates = [words for words, link in cells[number + 2 :] if words.isdigit() and not link]
        key = (int(found[1]), int(found[2]))
        text = description or subjects.get(key[0], "")
        entries[key] = Entry(text, _rate(rates[-1] if rates else None))
    return entries


class _Rows(HTMLParser):
    """The rows of all tables of a page: for each cell its text and the first link in it."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, str]]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "tr" or (tag in ("td", "th") and not self.rows):
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append(("", ""))
        elif tag == "a" and self.rows and self.rows[-1]:
            words, link = self.rows[-1][-1]
            self.rows[-1][-1] = (words, link or dict(attributes).get("href") or "")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            words, link = self.rows[-1][-1]
            self.rows[-1][-1] = ((words + data).strip(), link)
