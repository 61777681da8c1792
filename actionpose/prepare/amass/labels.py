"""Annotations of sequences: labels in seconds, independent of the source format."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from actionpose.datasets.corpus import Kind

SPLITS = ("train", "val", "test")
MAX_JSON_BYTES = 1 << 30  # above the size of all annotation files
_SLACK_S = 1e-4  # seconds are rounded to milliseconds: 0.1 * 30 must not become frame 2

# reasons for omission
NO_TEXT = "labels: without text (hidden in the test set)"
NO_LABEL = "recordings: without any label (as in the test set)"
NO_SPLIT = "recordings: in no split file"

# Alternative names of AMASS datasets, in archives, folders and the newer release.
_ALIASES = {
    "BMLrub": ("BioMotionLab_NTroje",),
    "DFaust": ("DFaust67", "DFaust_67"),
    "EyesJapanDataset": ("Eyes_Japan_Dataset",),
    "HDM05": ("MPIHDM05", "MPI_HDM05"),
    "PosePrior": ("MPILimits", "MPI_Limits"),
    "MoSh": ("MPImosh", "MPI_mosh"),
    "SSM": ("SSMsynced", "SSM_synced"),
    "TCDHands": ("TCDhandMocap", "TCD_handMocap"),
    "Transitions": ("Transitionsmocap", "Transitions_mocap"),
}
_CANONICAL = {
    alias.lower(): name.lower() for name, aliases in _ALIASES.items() for alias in (name, *aliases)
}

SequenceKey = tuple[str, str, str]  # dataset, subject, sequence


@dataclass(frozen=True)
class Label:
    """A text for a time span of a sequence, in seconds."""

    start_s: float
    stop_s: float
    text: str
    kind: Kind = "action"


@dataclass(frozen=True)
class AnnotatedSequence:
    """A sequence of AMASS, or a segment of one, with its labels."""

    id: str
    path: str  # dataset/subject/sequence, as in the source
    split: str
    text: str = ""  # of the whole sequence
    duration_s: float | None = None  # in the source
    labels: tuple[Label, ...] = ()
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by text
    # HumanML3D uses frames of sequences subsampled to about 20 Hz: first and last frame, and the
    # number of seconds removed before them
    cut: tuple[int, int, float] | None = None

    @property
    def key(self) -> SequenceKey:
        return sequence_key(self.path)


@dataclass
class Annotations:
    """Content of a source of labels."""

    name: str
    sequences: list[AnnotatedSequence]
    read: Counter[str] = field(default_factory=Counter)  # files and entries
    left_out: Counter[str] = field(default_factory=Counter)  # labels and sequences, by reason


def sequence_key(path: str) -> SequenceKey:
    """A key that is the same for all spellings of the path of a sequence.

    The last three parts of the path are used. Datasets have aliases, spaces may be underscores, and
    `_poses` is `_stageii` in the newer release.
    """
    parts = PurePosixPath(path.replace("\\", "/")).parts
    dataset, subject, name = ("", "", *parts)[-3:]
    name = re.sub(r"(_poses|_stageii)?(\.np[yz])?$", "", name)
    dataset = _CANONICAL.get(_plain(dataset), _plain(dataset))
    return dataset, _plain(subject), _plain(name)


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "_", name.strip().lower())


def clean_text(text: object) -> str:
    """Lower case, single spaces, and no surrounding punctuation; empty if there is no text."""
    if not isinstance(text, str):
        return ""
    plain = unicodedata.normalize("NFKC", text).replace("_", " ").lower()
    plain = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
    return plain.strip(" .,;:!?\"'`-/")


def frame_spans(
    labels: Iterable[Label], num_frames: int, fps: float, left_out: Counter[str]
) -> list[tuple[int, int, str, Kind]]:
    """Labels in frames of the motion in temporal order; unusable labels are counted.

    A label that ends after the motion, by rounding or at infinity, is clipped.
    """
    spans: set[tuple[int, int, str, Kind]] = set()
    for label in labels:
        start, stop = int((label.start_s + _SLACK_S) * fps), num_frames
        if label.stop_s < num_frames / fps:  # it may be infinite: the end of the motion
            stop = min(int((label.stop_s + _SLACK_S) * fps), num_frames)
        span = (start, stop, label.text, label.kind)
        if label.start_s < 0 or label.stop_s < label.start_s:
            left_out["labels: end before they start"] += 1
        elif start >= num_frames:
            left_out["labels: start after the recording ends"] += 1
        elif stop <= start:
            left_out["labels: shorter than a frame"] += 1
        elif span in spans:
            left_out["labels: said twice of the same frames"] += 1
        else:
            spans.add(span)
    return sorted(spans, key=lambda span: (span[0], span[1], span[3], span[2]))
