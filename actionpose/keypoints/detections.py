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

Person = tuple[Any, int | None]  # flat list x, y, confidence, x, ...; track number if known


@dataclass(frozen=True)
class Detections:
    """What a detector's file says: one row per detected person and frame, in the file's order."""

    frame: NDArray[np.int64]  # (N,) the file's own numbers
    keypoints: NDArray[np.float64]  # (N, K, 3): x, y, confidence, as written
    person: NDArray[np.int64] | None  # (N,), or None where the file knows no identities
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
        """From (frame number, the people of that frame) in any order.

        Args:
            about: further fields.

        Raises:
            UserError: a frame number comes twice, or see `from_lists`.
        """
        numbers = [number for number, _ in frames]
        number, times = Counter(numbers).most_common(1)[0]
        if times > 1:
            raise UserError(f"{times} entries are for frame {number}: one video at a time")
        rows = [(number, *person) for number, people in frames for person in people]
        columns = zip(*rows, strict=True) if rows else ((), (), ())
        return cls.from_lists(*columns, all_frames=numbers, **about)

    @classmethod
    def from_entries(cls, entries: Sequence[Any], **about: Any) -> "Detections":
        """From a list with image_id, keypoints and maybe a track number for each detection.

        Raises:
            UserError: an entry lacks one of them, or see `from_lists`.
        """
        frames = [
            frame_number(field(entry, "image_id", f"detection {i}"))
            for i, entry in enumerate(entries)
        ]
        points = [
            field(entry, "keypoints", f"frame {n}")
            for n, entry in zip(frames, entries, strict=True)
        ]
        ids = [track_number(entry.get("idx", entry.get("track_id"))) for entry in entries]
        return cls.from_lists(frames, points, ids, all_frames=frames, **about)

    @classmethod
    def from_lists(
        cls,
        frames: Sequence[int],
        points: Sequence[Any],
        ids: Sequence[int | None],
        *,
        all_frames: Iterable[int],
        **about: Any,
    ) -> "Detections":
        """From lists with an item per detection.

        Args:
            points: flat lists x, y, confidence, x, ...
            all_frames: numbers of all frames, those without people included.

        Raises:
            UserError: nobody is detected, or the points are not numbers of the same joints.
        """
        if not points:
            raise UserError("nobody is detected in any frame")
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
    """The last number in an image's name, its suffix aside: "frame_000012.png" is 12.

    Raises:
        UserError: there is none.
    """
    if isinstance(image_id, int | float) and not isinstance(image_id, bool):
        if image_id == image_id // 1:  # not a fraction, NaN or infinity
            return int(image_id)
    elif isinstance(image_id, str):
        digits = re.findall(r"\d+", Path(image_id).stem) or re.findall(r"\d+", image_id)
        if digits and len(digits[-1]) <= 18:  # more would not fit an int64
            return int(digits[-1])
    raise UserError(f"no frame number in the image name {image_id!r}")


def track_number(value: object) -> int | None:
    """A track number. AlphaPose writes 3, 3.0, [3.0] or [[3.0], [5.0]]; -1 and none are unknown.

    Raises:
        UserError: something else.
    """
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
    """A value of a JSON object.

    Raises:
        UserError: it is no object, or lacks the key.
    """
    if not isinstance(item, dict) or key not in item:
        raise UserError(f'{where}: "{key}" is missing')
    return item[key]


def checked_list(item: Any, where: str) -> list[Any]:
    """A JSON list.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(item, list):
        raise UserError(f"{where}: a list is expected, not {type(item).__name__}")
    return item
