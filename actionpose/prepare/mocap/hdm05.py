"""HDM05: the cut sequences (HDM_SUBJECT_CLASS_NUMBER_RATE.amc), with one motion class each."""

import re
from functools import partial
from pathlib import Path

from actionpose.prepare.mocap.asfamc import read_amc, read_asf
from actionpose.prepare.mocap.common import (
    Joints,
    SourceFolder,
    SourceSequence,
    read_joints,
    read_texts,
)
from actionpose.utils.errors import UserError

SOURCE = "HDM05, M. Mueller et al., Universitaet Bonn, 2007"
LICENSE = "CC BY-SA 3.0"
SPLITS = {"bd": "val", "tr": "test"}  # of the open benchmark; other subjects are train

NAME = re.compile(r"HDM_([a-z]+)_([A-Za-z]\w*?)_(\d+)_(\d+)", re.IGNORECASE)
UNCUT = re.compile(r"HDM_[a-z]+_\d+-\d+.*", re.IGNORECASE)

# Descriptions of the classes, without counts and the starting side.
TEXTS = read_texts("hdm05")


def text_of(class_name: str) -> str:
    """Describe a motion class; a class that is not in the table is described by its name."""
    stem = re.sub(r"([LR]HandStart|StartAir|StartFloor)?\d.*$", "", class_name)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", stem).lower()
    return TEXTS.get(stem, words)


def list_sequences(source: SourceFolder) -> list[SourceSequence]:
    """The cut sequences in a folder, which may contain skeletons (HDM_SUBJECT.asf) anywhere.

    Raises:
        UserError: If there are no AMC files.
    """
    paths, skeletons = source.find(".amc"), source.find_skeletons()
    found = []
    for path in paths:
        match = NAME.fullmatch(path.stem)
        if match is None:
            is_uncut = UNCUT.fullmatch(path.stem)
            reason = "its name is not HDM_SUBJECT_CLASS_NUMBER_RATE"
            source.exclude(path, "a whole scene, which has no single text" if is_uncut else reason)
            continue
        subject, class_name, number, fps = match.groups()
        asf = skeletons.get(f"hdm_{subject}".lower())
        sequence = SourceSequence(
            path,
            id=f"hdm_{subject}_{class_name}_{number}",
            subject=f"hdm_{subject}",
            split=SPLITS.get(subject.lower(), "train"),
            text=text_of(class_name),
            read=partial(_read, path, asf, float(fps)),
        )
        found.append(sequence)
    return source.drop_duplicates(found)


def _read(path: Path, asf: Path | None, fps: float) -> Joints:
    if asf is None:
        subject = "_".join(path.stem.split("_")[:2])
        raise UserError(f"{path}: its skeleton {subject}.asf is not there")
    if fps <= 0:
        raise UserError(f"{path}: its name ends in the rate {fps:g}")
    return read_joints(read_amc(path, read_asf(asf), fps), "hdm05")
