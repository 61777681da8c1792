"""Texts of AMASS recordings in other formats: HumanML3D and KIT-ML, AMASS-Annotation-Unifier.

HumanML3D: `index.csv` names for each clip the recording and its first and last frame, and
`texts/CLIP.txt` has a line per caption: `caption#words and their kinds#from#to`, in seconds of the
clip, 0 and 0 (or nan) for the whole. KIT-ML texts have the same lines. The unifier's json has
seconds of the recording. `train.txt`, `val.txt` and `test.txt` beside them name the splits.
"""

import csv
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from actionpose.prepare.amass.labels import SPLITS, Label, Recording, Texts, clean_text
from actionpose.utils.errors import UserError

_MAX_BYTES = 1 << 30
# HumanML3D cuts these seconds off the start of some data sets (calibration poses)
_CUT_OFF_S = {"eyesjapandataset": 3.0, "hdm05": 3.0, "totalcapture": 1.0, "poseprior": 1.0}
_CUT_OFF_S["transitions"] = 0.5


def read_humanml3d(index: Path) -> Texts:
    """Read an `index.csv` with the texts beside it; each clip becomes a recording of its own.

    Raises:
        UserError: no texts beside it, or other columns.
    """
    texts = next(
        (path for path in (index.parent / "texts", index.parent / "HumanML3D" / "texts")
         if path.is_dir()),
        None,
    )  # fmt: skip
    if texts is None:
        raise UserError(f"there is no folder texts beside {index}: unpack texts.zip there")
    splits = _read_splits([index.parent, texts.parent])
    left_out: Counter[str] = Counter()
    recordings = []
    try:
        with index.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                recording = _clip(row, texts, splits, left_out)
                if recording is not None:
                    recordings.append(recording)
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{index} is not an index of HumanML3D (source_path, start_frame, end_frame, "
            f"new_name): {error!r}"
        ) from error
    return Texts("HumanML3D", recordings, Counter({"clips with text": len(recordings)}), left_out)


def _clip(
    row: dict[str, str], texts: Path, splits: dict[str, str], left_out: Counter[str]
) -> Recording | None:
    name = row["new_name"].removesuffix(".npy")
    source = row["source_path"].replace("\\", "/").removeprefix("./pose_data/").removesuffix(".npy")
    if "humanact12" in source:
        left_out["recordings: of HumanAct12, not in AMASS"] += 1
        return None
    if not (texts / f"{name}.txt").is_file():
        left_out["recordings: without a file of texts"] += 1
        return None
    start, stop = int(row["start_frame"]), int(row["end_frame"])
    labels = []
    for line in (texts / f"{name}.txt").read_text(encoding="utf-8", errors="replace").splitlines():
        label = _caption(line, left_out)
        if label is not None:
            labels.append(label)
    if not labels:
        left_out["recordings: without any label (as in the test set)"] += 1
        return None
    cut_off_s = _CUT_OFF_S.get(Recording("", source, "").key[0], 0.0)
    split = splits.get(name, "train")
    return Recording(name, source, split, labels=tuple(labels), cut=(start, stop, cut_off_s))


def _caption(line: str, left_out: Counter[str]) -> Label | None:
    """A line; a stop at infinity is the end of the clip."""
    fields = line.split("#")
    text = clean_text(fields[0])
    if not text:
        left_out["labels: without text (hidden in the test set)"] += 1
        return None
    try:
        start_s, stop_s = sorted(float(value) for value in fields[2:4])
    except ValueError:
        start_s = stop_s = 0.0
    if not (math.isfinite(start_s) and math.isfinite(stop_s)) or start_s == stop_s:
        start_s, stop_s = 0.0, math.inf
    return Label(start_s, stop_s, text)


def _read_splits(folders: list[Path]) -> dict[str, str]:
    splits = {}
    for folder in folders:
        for split in SPLITS:  # what is scored is not trained on: later ones win
            if (folder / f"{split}.txt").is_file():
                names = (folder / f"{split}.txt").read_text(encoding="utf-8").split()
                splits.update(dict.fromkeys(names, split))
    return splits


def read_unified(path: Path) -> Texts:
    """Read a json of AMASS-Annotation-Unifier, of one source or merged.

    Raises:
        UserError: it is something else.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path} is too large for annotations")
    splits = _read_splits([path.parent])
    left_out: Counter[str] = Counter()
    recordings = []
    try:
        entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for key, entry in entries.items():
            labels = []
            for annotation in entry["annotations"]:
                text = clean_text(annotation["text"])
                if text:
                    span = float(annotation["start"]), float(annotation["end"])
                    labels.append(Label(*span, text))
                else:
                    left_out["labels: without text (hidden in the test set)"] += 1
            if not labels:
                left_out["recordings: without any label (as in the test set)"] += 1
                continue
            recordings.append(
                Recording(
                    id=key,
                    path=str(entry.get("path", key)),
                    split=splits.get(key, "train"),
                    duration_s=float(entry["duration"]),
                    labels=tuple(labels),
                )
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is not a json of AMASS-Annotation-Unifier "
            f"(id: path, duration, annotations): {error!r}"
        ) from error
    read = Counter({path.name: len(entries)})
    return Texts("AMASS-Annotation-Unifier", recordings, read, left_out)
