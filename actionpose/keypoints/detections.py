"""Detections as a file lists them: the flat table that every format is read into.

Values are taken as they stand: `Keypoints.from_detections` checks them, finds the layout and sorts
the people. Messages leave the path to the caller, who knows what the user typed.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.utils.errors import UserError
from actionpose.utils.typing import IntArray

Person = tuple[Any, int | None]  # flat list x, y, confidence, x, ...; track number if known


@dataclass(frozen=True)
class Detections:
    """What a detector's file says: one row per detected person and frame, in the file's order."""

    frame: IntArray  # (N,) the file's own numbers
    keypoints: NDArray[np.float64]  # (N, K, 3): x, y, confidence, as written
    person: IntArray | None  # (N,), or None where the file knows no identities
    span: tuple[int, int]  # least and greatest frame number, frames without people included
    detector: str = ""
    image_size: tuple[int, int] | None = None
    joints: tuple[str, ...] | None = None  # the names that the file gives to the K joints
    source: str = ""
    fps: float | None = None
    time_s: NDArray[np.float64] | None = None  # (span,) of all frames, where they are uneven

    @classmethod
    def from_frames(
        cls, frames: Sequence[tuple[int, Sequence[Person]]], **about: Any
    ) -> "Detections":
        """From the number of each frame and the people in it, as `from_rows`.

        Raises:
            UserError: a frame number comes twice.
        """
        numbers = [number for number, _ in frames]
        for number, times in Counter(numbers).most_common(1):
            if times > 1:
                raise UserError(f"{times} entries are for frame {number}: one video at a time")
        rows = [(number, *person) for number, people in frames for person in people]
        return cls.from_rows(rows, numbers, **about)

    @classmethod
    def from_rows(
        cls, rows: Sequence[tuple[int, Any, int | None]], all_frames: Iterable[int], **about: Any
    ) -> "Detections":
        """From frame, keypoints and track number of each detection.

        Args:
            rows: keypoints are flat lists x, y, confidence, x, ...; unknown track numbers are None.
            all_frames: numbers of all frames, those without people included.
            about: further fields.

        Raises:
            UserError: nobody is detected, or the keypoints are not numbers of the same joints.
        """
        if not rows:
            raise UserError("nobody is detected in any frame")
        frames, points, ids = zip(*rows, strict=True)
        for number, flat in zip(frames, points, strict=True):
            if len(checked_list(flat, f"keypoints of frame {number}")) != len(points[0]):
                raise UserError(
                    f"frame {number} has {len(flat)} numbers for a person, "
                    f"but frame {frames[0]} has {len(points[0])}"
                )
        if len(points[0]) % 3 or not points[0]:
            raise UserError(
                f"frame {frames[0]}: keypoints has {len(points[0])} numbers, "
                "not x, y and confidence of each joint"
            )
        try:
            values = np.array(points, dtype=np.float64)  # null becomes NaN
        except (TypeError, ValueError, OverflowError):
            values = np.empty(0)
        if values.ndim != 2:
            raise UserError("keypoints must be flat lists of numbers x, y, confidence, x, ...")
        numbers = list(all_frames)
        if max(map(abs, numbers)) >= 2**62:
            raise UserError(f"frame number {max(numbers, key=abs)} is too large")
        return cls(
            frame=np.array(frames, dtype=np.int64),
            keypoints=values.reshape(len(points), -1, 3),
            person=None if None in ids else np.array(ids, dtype=np.int64),
            span=(min(numbers), max(numbers)),
            **about,
        )


def frame_number(image_id: object) -> int:
    """The last number in an image's name, its suffix aside: "frame_000012.png" is 12."""
    if isinstance(image_id, int | float) and not isinstance(image_id, bool):
        if image_id == image_id // 1:  # not a fraction, NaN or infinity
            return int(image_id)
    elif isinstance(image_id, str):
        digits = re.findall(r"\d+", Path(image_id).stem) or re.findall(r"\d+", image_id)
        if digits and len(digits[-1]) <= 18:  # more would not fit an int64
            return int(digits[-1])
    raise UserError(f"no frame number in the image name {image_id!r}")


def track_number(value: object) -> int | None:
    """A track number. AlphaPose writes 3, 3.0, [3.0] or [[3.0], [5.0]]; -1 and none are unknown."""
    while isinstance(value, list):
        value = value[0] if value else None
    try:
        number = -1 if value is None else int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{value!r} is no track number") from None
    if number >= 2**63:
        raise UserError(f"track number {number} is too large")
    return number if number >= 0 else None


def field(item: Any, key: str, where: str) -> Any:
    """A value of a JSON object that must have it."""
    if not isinstance(item, dict) or key not in item:
        raise UserError(f'{where}: "{key}" is missing')
    return item[key]


def checked_list(item: Any, where: str) -> list[Any]:
    """What must be a JSON list."""
    if not isinstance(item, list):
        raise UserError(f"{where}: a list is expected, not {type(item).__name__}")
    return item


def first_entry(data: Any) -> dict[str, Any]:
    """The first object of a JSON list of objects; empty for anything else."""
    return data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
