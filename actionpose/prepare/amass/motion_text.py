"""Annotations of AMASS in other formats: HumanML3D and KIT-ML, AMASS-Annotation-Unifier.

HumanML3D: `index.csv` contains for each clip the sequence and its first and last frame.
`texts/CLIP.txt` has a line per caption: `caption#words and their kinds#from#to`, in seconds of the
clip, where 0 and 0 (or nan) mean the whole clip. KIT-ML texts have the same format. The json of the
unifier has seconds of the sequence. `train.txt`, `val.txt` and `test.txt` in the same folder define
the splits; other clips are omitted.
"""

import csv
import math
from collections import Counter
from pathlib import Path
from typing import Any

from actionpose.prepare.amass.labels import (
    MAX_JSON_BYTES,
    NO_LABEL,
    NO_SPLIT,
    NO_TEXT,
    SPLITS,
    AnnotatedSequence,
    Annotations,
    Label,
    clean_text,
    sequence_key,
)
from actionpose.utils.errors import UserError
from actionpose.utils.json_files import read_json

# seconds that HumanML3D removes from the start of some datasets (calibration poses)
_CUT_OFF_S = {
    **{"eyesjapandataset": 3.0, "hdm05": 3.0, "totalcapture": 1.0, "poseprior": 1.0},
    "transitions": 0.5,
}


def read_humanml3d(index: Path) -> Annotations:
    """Read an `index.csv` with the texts in the same folder; each clip becomes a sequence.

    Raises:
        UserError: If texts or split files are missing, or the columns differ.
    """
    folders = (index.parent / "texts", index.parent / "HumanML3D" / "texts")
    texts = next((path for path in folders if path.is_dir()), None)
    if texts is None:
        raise UserError(f"there is no folder texts beside {index}: unpack texts.zip there")
    splits = _read_splits(index.parent, texts.parent)
    left_out: Counter[str] = Counter()
    try:
        with index.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, restval="")  # of a truncated line
            clips = [_clip(row, texts, splits, left_out) for row in rows]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(
            f"{index} is not an index of HumanML3D (source_path, start_frame, end_frame, "
            f"new_name): {error!r}"
        ) from error
    sequences = [clip for clip in clips if clip is not None]
    return Annotations(
        "HumanML3D", sequences, Counter({"clips with text": len(sequences)}), left_out
    )


def _clip(
    row: dict[str, str], texts: Path, splits: dict[str, str], left_out: Counter[str]
) -> AnnotatedSequence | None:
    name = row["new_name"].removesuffix(".npy")
    source = row["source_path"].replace("\\", "/").removeprefix("./pose_data/").removesuffix(".npy")
    if "humanact12" in source:
        left_out["recordings: of HumanAct12, not in AMASS"] += 1
        return None
    if not (texts / f"{name}.txt").is_file():
        left_out["recordings: without a file of texts"] += 1
        return None
    start, stop = int(row["start_frame"]), int(row["end_frame"])
    lines = (texts / f"{name}.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    labels = tuple(label for line in lines if (label := _caption(line, left_out)))
    if not labels:
        left_out[NO_LABEL] += 1
        return None
    if name not in splits:
        left_out[NO_SPLIT] += 1
        return None
    cut = (start, stop, _CUT_OFF_S.get(sequence_key(source)[0], 0.0))
    return AnnotatedSequence(name, source, splits[name], labels=labels, cut=cut)


def _caption(line: str, left_out: Counter[str]) -> Label | None:
    """Parse a line; a stop at infinity is the end of the clip."""
    fields = line.split("#")
    text = clean_text(fields[0])
    if not text:
        left_out[NO_TEXT] += 1
        return None
    try:
        start_s, stop_s = sorted(float(value) for value in fields[2:4])
    except ValueError:
        start_s = stop_s = 0.0
    if not (math.isfinite(start_s) and math.isfinite(stop_s)) or start_s == stop_s:
        start_s, stop_s = 0.0, math.inf
    return Label(start_s, stop_s, text)


def _read_splits(*folders: Path) -> dict[str, str]:
    """The split of each name, from split files in some folders.

    Raises:
        UserError: If there is no such file.
    """
    splits, found = {}, False
    for split in SPLITS:  # no training on test data: later splits override
        for path in (folder / f"{split}.txt" for folder in folders):
            if path.is_file():
                found = True
                names = path.read_text(encoding="utf-8", errors="replace").split()
                splits.update(dict.fromkeys(names, split))
    if not found:
        raise UserError(
            f"there is no train.txt, val.txt or test.txt in {folders[-1]}: put the split files of "
            "the annotations there, so that nothing of test is trained on"
        )
    return splits


def read_unified(path: Path) -> Annotations:
    """Read a json of AMASS-Annotation-Unifier, of one source or merged.

    Raises:
        UserError: If the format is wrong, or split files are missing.
    """
    splits = _read_splits(path.parent)
    left_out: Counter[str] = Counter()
    try:
        entries = read_json(path, MAX_JSON_BYTES)
        made = [_unified(key, entry, splits, left_out) for key, entry in entries.items()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not a json of AMASS-Annotation-Unifier "
            f"(id: path, duration, annotations): {error!r}"
        ) from error
    sequences = [sequence for sequence in made if sequence is not None]
    read = Counter({path.name: len(made)})
    return Annotations("AMASS-Annotation-Unifier", sequences, read, left_out)


def _unified(
    key: str, entry: dict[str, Any], splits: dict[str, str], left_out: Counter[str]
) -> AnnotatedSequence | None:
    labels = []
    for annotation in entry["annotations"]:
        text = clean_text(annotation["text"])
        if text:
            labels.append(Label(float(annotation["start"]), float(annotation["end"]), text))
        else:
            left_out[NO_TEXT] += 1
    if not labels:
        left_out[NO_LABEL] += 1
        return None
    if key not in splits:
        left_out[NO_SPLIT] += 1
        return None
    return AnnotatedSequence(
        id=key,
        path=str(entry.get("path", key)),
        split=splits[key],
        duration_s=float(entry["duration"]),
        labels=tuple(labels),
    )
