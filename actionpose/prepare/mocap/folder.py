"""Any folder of BVH files: rigs say where the joints are, a table what is done."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionpose.prepare.mocap.bvh import read_bvh
from actionpose.prepare.mocap.common import (
    Left,
    Span,
    Take,
    at_30_hz,
    drop_duplicates,
    find,
    name_under,
)
from actionpose.prepare.mocap.joint_map import Rig, load_rig, shipped
from actionpose.utils.errors import UserError

SPLITS = ("train", "val", "test")
COLUMNS = ("file", "text", "subject", "split", "start_s", "stop_s")


@dataclass
class File:
    """What the table says of a file."""

    text: str = ""  # of the whole file
    subject: str = ""
    split: str = "train"
    spans: list[Span] = field(default_factory=list)


def takes(folder: Path, rigs: list[str], labels: Path | None, left: Left) -> list[Take]:
    """All BVH files under a folder. The id of a motion is its path without the suffix.

    Args:
        rigs: names or paths; the first that fits a file reads it.
        labels: see `read_labels`. A file that it lacks has no text and the split train.
        left: files that the table names and the folder lacks are added.

    Raises:
        UserError: no rig, no BVH, or a table that cannot be read.
    """
    if not rigs:
        raise UserError(
            f"say which rig the files have: --rig {' | '.join(shipped())}, or a YAML file of "
            "your own (actionpose prepare rigs example prints one to start from)"
        )
    loaded = [load_rig(rig) for rig in rigs]
    paths = find(folder, ".bvh")
    table = {} if labels is None else read_labels(labels)
    used, found = set(), []
    for path in paths:
        name = name_under(folder, path)
        key = next((each for each in (name, path.name, path.stem) if each in table), name)
        used.add(key)
        row = table.get(key, File())
        id = name[: -len(path.suffix)]
        found.append(
            Take(
                path,
                id,
                subject=row.subject or id,  # nobody says that two files are of one person
                split=row.split,
                text=row.text,
                read=_reader(path, loaded),
                spans=tuple(row.spans),
            )
        )
    for key in sorted(table.keys() - used):
        left.failed[key] = "the table of labels has it, but there is no such file"
    return drop_duplicates(found, folder, left)


def read_labels(path: Path) -> dict[str, File]:
    """A table of labels (CSV), by file.

    Columns: file (its path under the folder, or its name), text, and perhaps subject, split, and
    start_s with stop_s. A row with the latter two labels that part of the file, and a file may
    have many of them; a row without them labels the whole.

    Raises:
        UserError: naming the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            names = rows.fieldnames or ()
            if not {"file", "text"} <= set(names) or not set(names) <= set(COLUMNS):
                raise UserError(
                    f"{path}: its columns are {', '.join(names) or 'missing'}; it needs file and "
                    f"text, and may have {', '.join(COLUMNS[2:])}"
                )
            table: dict[str, File] = {}
            for row in rows:
                _add(table, row, f"{path}, line {rows.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    return table


def _add(table: dict[str, File], row: dict[str, str], where: str) -> None:
    if None in row:
        raise UserError(f"{where} has too many values: put a text with commas in quotes")
    value = {name: (row.get(name) or "").strip() for name in COLUMNS}
    name = value["file"].replace("\\", "/")
    if not name:
        raise UserError(f"{where} names no file")
    split = value["split"] or "train"
    if split not in SPLITS:
        raise UserError(f"{where}: a split is {', '.join(SPLITS)}, not {split!r}")
    span = (value["start_s"], value["stop_s"])
    known = table.get(name)
    if known is not None and (value["subject"], split) != (known.subject, known.split):
        raise UserError(f"{where}: {name} has another subject or split in a row above")
    file = table.setdefault(name, File(subject=value["subject"], split=split))
    if not any(span):
        if file.text:
            raise UserError(f"{where}: {name} has a text for the whole file in a row above")
        file.text = value["text"]
        return
    try:
        start_s, stop_s = map(float, span)
    except ValueError:
        raise UserError(f"{where}: start_s and stop_s are seconds, not {span}") from None
    if not 0 <= start_s < stop_s or not value["text"]:
        raise UserError(f"{where}: a span has a text, and 0 <= start_s < stop_s")
    file.spans.append((start_s, stop_s, value["text"]))


def _reader(path: Path, rigs: list[Rig]) -> Callable[[], NDArray[np.floating]]:
    def read() -> NDArray[np.floating]:
        recording = read_bvh(path)
        lacks = {rig.name: rig.missing(recording.tree) for rig in rigs}
        fitting = [rig for rig in rigs if not lacks[rig.name]]
        if not fitting:
            nearest = min(lacks, key=lambda name: len(lacks[name]))
            missing = lacks[nearest]
            others = [name for name in shipped() if not load_rig(name).missing(recording.tree)]
            raise UserError(
                f"{path} fits no given rig; nearest is {nearest}, which needs "
                f"{', '.join(missing[:4])}{' ...' if len(missing) > 4 else ''}"
                f"{f'; it fits the rig {others[0]}' if others else ''}"
            )
        assert recording.fps is not None  # a BVH always gives one
        return at_30_hz(fitting[0].read(recording), recording.fps)

    return read
