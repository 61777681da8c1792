"""Folders of BVH files: joint maps locate the joints, and a table contains the labels."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from actionpose.prepare.mocap.bvh import read_bvh
from actionpose.prepare.mocap.common import (
    Joints,
    SourceFolder,
    SourceSequence,
    TimedLabel,
    read_joints,
)
from actionpose.prepare.mocap.joint_map import JointMap, load_joint_map, shipped
from actionpose.utils.errors import UserError

SPLITS = ("train", "val", "test")
COLUMNS = ("file", "text", "subject", "split", "start_s", "stop_s")


@dataclass
class FileLabels:
    """The labels of a file in the table."""

    text: str = ""  # of the whole file
    subject: str = ""
    split: str = "train"
    parts: list[TimedLabel] = field(default_factory=list)


def list_sequences(
    source: SourceFolder, joint_maps: Sequence[str], labels: Path | None = None
) -> list[SourceSequence]:
    """All BVH files in a folder. The id of a motion is its path without the suffix.

    Args:
        source: Folder of the files. Missing files of the table are added to its failures.
        joint_maps: Names or paths of joint maps; a file is read with the first that fits.
        labels: Table of labels, see `read_labels`. A file that is not in it has no text and is in
            the split train.

    Raises:
        UserError: If there is no joint map or no BVH file, or the table cannot be read.
    """
    if not joint_maps:
        raise UserError(
            f"joint_map is missing: give {' | '.join(shipped())}, or a YAML file of your own "
            "(actionpose prepare joint-maps example prints one to start from)"
        )
    loaded = [load_joint_map(name) for name in joint_maps]
    paths = source.find(".bvh")
    table = {} if labels is None else read_labels(labels)
    used, found = set(), []
    for path in paths:
        name = source.name(path)
        key = next((key for key in (name, path.name, path.stem) if key in table), name)
        used.add(key)
        row = table.get(key, FileLabels())
        id = name[: -len(path.suffix)]
        subject = row.subject or id  # two files may be of two people
        read, parts = partial(_read, path, loaded), tuple(row.parts)
        found.append(SourceSequence(path, id, subject, row.split, row.text, read, parts))
    for key in sorted(table.keys() - used):
        source.failed[key] = "the table of labels has it, but there is no such file"
    return source.drop_duplicates(found)


def _read(path: Path, joint_maps: list[JointMap]) -> Joints:
    file = read_bvh(path)
    missing = {joint_map.name: joint_map.missing(file.tree) for joint_map in joint_maps}
    fitting = [joint_map for joint_map in joint_maps if not missing[joint_map.name]]
    if not fitting:
        nearest = min(missing, key=lambda name: len(missing[name]))
        names = missing[nearest]
        others = [name for name in shipped() if not load_joint_map(name).missing(file.tree)]
        raise UserError(
            f"{path} fits no given joint map; nearest is {nearest}, which needs "
            f"{', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
            f"{f'; it fits the joint map {others[0]}' if others else ''}"
        )
    return read_joints(file, fitting[0])


def read_labels(path: Path) -> dict[str, FileLabels]:
    """Read a table of labels (CSV), by file.

    The columns are file (its name or path in the folder), text, and optionally subject, split, and
    start_s with stop_s. A row with start_s and stop_s labels a part of the file; a file may have
    several such rows. A row without them labels the whole file.

    Raises:
        UserError: If the table is invalid; names the line.
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
            table: dict[str, FileLabels] = {}
            for row in rows:
                _add_row(table, row, f"{path}, line {rows.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    return table


def _add_row(table: dict[str, FileLabels], row: dict[str, str], where: str) -> None:
    if None in row:
        raise UserError(f"{where} has too many values: put a text with commas in quotes")
    name, text, subject, split, *span = ((row.get(column) or "").strip() for column in COLUMNS)
    name, split = name.replace("\\", "/"), split or "train"
    if not name:
        raise UserError(f"{where} names no file")
    if split not in SPLITS:
        raise UserError(f"{where}: a split is {', '.join(SPLITS)}, not {split!r}")
    file = table.setdefault(name, FileLabels(subject=subject, split=split))
    if (subject, split) != (file.subject, file.split):
        raise UserError(f"{where}: {name} has another subject or split in a row above")
    if not any(span):
        if file.text:
            raise UserError(f"{where}: {name} has a text for the whole file in a row above")
        file.text = text
        return
    try:
        start_s, stop_s = map(float, span)
    except ValueError:
        raise UserError(f"{where}: 'start_s' and 'stop_s' are seconds, not {span}") from None
    if not 0 <= start_s < stop_s or not text:
        raise UserError(f"{where}: a span has a text, and 0 <= 'start_s' < 'stop_s'")
    file.parts.append((start_s, stop_s, text))
