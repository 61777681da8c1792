"""Bandai-Namco-Research-Motiondataset: both sets (dataset-N_CONTENT_STYLE_NUMBER.bvh)."""

import math
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionpose.prepare.mocap.bvh import read_bvh
from actionpose.prepare.mocap.common import Left, Take, at_30_hz, drop_duplicates, find, name_under
from actionpose.prepare.mocap.joint_map import load_rig

SOURCE = "Bandai-Namco-Research-Motiondataset"
LICENSE = "CC BY-NC 4.0"

NAME = re.compile(r"dataset-(\d+)_([a-z-]+)_([a-z-]+)_(\d+)", re.IGNORECASE)
# Val is the last 5 percent of the takes of a content and style, where there are 5 takes or more.
# The source names no subjects, so this val has the actors of train in it.
VAL_SHARE, VAL_FROM = 0.05, 5

TEXTS = {
    "bow": "bow",
    "bye": "wave goodbye with one hand",
    "byebye": "wave goodbye with both hands",
    "call": "call someone over",
    "dance-short": "dance briefly",
    "dance-long": "dance",
    "dash": "dash at full speed",
    "guide": "guide someone with the hand",
    "kick": "kick",
    "punch": "punch",
    "raise-up-both-hands": "raise both hands",
    "raise-up-left-hand": "raise the left hand",
    "raise-up-right-hand": "raise the right hand",
    "respond": "respond by raising a hand",
    "run": "run",
    "slash": "slash with a sword",
    "walk": "walk forward",
    "walk-back": "walk backward",
    "walk-left": "walk sideways to the left",
    "walk-right": "walk sideways to the right",
    "walk-turn-left": "walk and turn left",
    "walk-turn-right": "walk and turn right",
    "wave-both-hands": "wave both hands",
    "wave-left-hand": "wave the left hand",
    "wave-right-hand": "wave the right hand",
}


def text_of(content: str, style: str) -> str:
    """A content in words, and its style where it has one."""
    text = TEXTS.get(content, content.replace("-", " "))
    return text if style == "normal" else f"{text}, {style} style"


def takes(folder: Path, left: Left) -> list[Take]:
    """The takes under a folder.

    Raises:
        UserError: there is no BVH file.
    """
    groups: defaultdict[tuple[str, ...], list[tuple[int, Take]]] = defaultdict(list)
    found = []
    for path in find(folder, ".bvh"):
        match = NAME.fullmatch(path.stem)
        if match is None:
            left.out[name_under(folder, path)] = "its name is not dataset-N_CONTENT_STYLE_NUMBER"
            continue
        number, content, style, count = match.groups()
        id = f"bn{number}_{content}_{style}_{count}"
        text = text_of(content.lower(), style.lower())
        found.append(Take(path, id, f"bn{number}?", "train", text, _reader(path)))
    for take in drop_duplicates(found, folder, left):
        *group, count = take.id.split("_")
        groups[tuple(group)].append((int(count), take))
    return [take for group in groups.values() for take in _with_splits(group)]


def _with_splits(group: list[tuple[int, Take]]) -> list[Take]:
    ordered = [take for _, take in sorted(group, key=lambda each: each[0])]
    num_val = math.ceil(VAL_SHARE * len(ordered)) if len(ordered) >= VAL_FROM else 0
    first = len(ordered) - num_val
    return [*ordered[:first], *(replace(take, split="val") for take in ordered[first:])]


def _reader(path: Path) -> Callable[[], NDArray[np.floating]]:
    rig = load_rig("bandai")

    def read() -> NDArray[np.floating]:
        recording = read_bvh(path)
        assert recording.fps is not None  # a BVH always gives one
        return at_30_hz(rig.read(recording), recording.fps)

    return read
