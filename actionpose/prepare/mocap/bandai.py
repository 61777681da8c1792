"""Bandai-Namco-Research-Motiondataset: both sets (dataset-N_CONTENT_STYLE_NUMBER.bvh)."""

import math
import re
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path

from actionpose.prepare.mocap.bvh import read_bvh
from actionpose.prepare.mocap.common import (
    Joints,
    SourceFolder,
    SourceSequence,
    read_joints,
    read_texts,
)

SOURCE = "Bandai-Namco-Research-Motiondataset"
LICENSE = "CC BY-NC 4.0"

NAME = re.compile(r"dataset-(\d+)_([a-z-]+)_([a-z-]+)_(\d+)", re.IGNORECASE)
# Val contains the last 5 percent of the sequences of a content and style, if there are 5 or more.
# The source does not identify subjects, so that val and train have the same actors.
VAL_FRACTION, VAL_FROM = 0.05, 5

TEXTS = read_texts("bandai")


def text_of(content: str, style: str) -> str:
    """Describe a content, with its style if it is not normal."""
    text = TEXTS.get(content, content.replace("-", " "))
    return text if style == "normal" else f"{text}, {style} style"


def list_sequences(source: SourceFolder) -> list[SourceSequence]:
    """The sequences in a folder.

    Raises:
        UserError: If there are no BVH files.
    """
    found = []
    for path in source.find(".bvh"):
        match = NAME.fullmatch(path.stem)
        if match is None:
            source.exclude(path, "its name is not dataset-N_CONTENT_STYLE_NUMBER")
            continue
        number, content, style, count = match.groups()
        id = f"bn{number}_{content}_{style}_{count}"
        text = text_of(content.lower(), style.lower())
        read = partial(_read, path)
        found.append(SourceSequence(path, id, f"bn{number}?", "train", text, read))
    groups: defaultdict[str, list[SourceSequence]] = defaultdict(list)
    for sequence in source.drop_duplicates(found):
        groups[sequence.id.rpartition("_")[0]].append(sequence)
    return [sequence for group in groups.values() for sequence in _with_splits(group)]


def _read(path: Path) -> Joints:
    return read_joints(read_bvh(path), "bandai")


def _with_splits(group: list[SourceSequence]) -> list[SourceSequence]:
    ordered = sorted(group, key=lambda sequence: int(sequence.id.rpartition("_")[2]))
    num_val = math.ceil(VAL_FRACTION * len(ordered)) if len(ordered) >= VAL_FROM else 0
    first = len(ordered) - num_val
    return ordered[:first] + [replace(sequence, split="val") for sequence in ordered[first:]]
