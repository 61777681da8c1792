"""Detections in the order of a file: the flat table to which every format is converted.

Values are not validated here: `Keypoints.from_detections` checks them, selects the layout and
assigns detections to people. Error messages do not contain the path, which the caller adds.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.keypoints.frame_numbers import frame_numbers
from actionpose.keypoints.frame_times import ASSUMED_FPS, epoch_times, rate_and_times
from actionpose.keypoints.layout import NUMBERS_OF_JOINTS
from actionpose.utils.errors import UserError
from actionpose.utils.typing import IntArray

Identity = int | str | None  # identity of a person, if the file has identities
Person = tuple[Any, Identity]  # keypoints: flat x, y, confidence, x, ..., or a row per joint

NO_CONFIDENCE = "the file has no confidences: joints at (0, 0) are taken as missing, others as sure"
NORMALIZED = 2.0  # coordinates up to this value are not in pixels


@dataclass(frozen=True)
class Detections:
    """The detections of a file in its order: one row per detected person and frame."""

    frame: IntArray  # (N,) frame numbers of the file
    keypoints: NDArray[np.float64]  # (N, K, 3): x, y and confidence as in the file
    person: IntArray | None  # (N,), or None if the file has no identities
    span: tuple[int, int]  # smallest and largest frame number, including frames without people
    detector: str = ""
    image_size: tuple[int, int] | None = None
    joints: tuple[str, ...] | None = None  # names of the K joints in the file
    source: str = ""
    fps: float | None = None
    time_s: NDArray[np.float64] | None = None  # (span,) times of all frames, if uneven
    largest_fraction: float = NORMALIZED  # coordinates are fractions if none exceeds this value
    notes: tuple[str, ...] = ()

    @classmethod
    def from_frames(
        cls, frames: Sequence[tuple[object, Sequence[Person]]], **about: Any
    ) -> "Detections":
        """Create detections from (number or image name, people) of each frame; see `from_rows`.

        Raises:
            UserError: If a frame number is not unique.
        """
        numbers = frame_numbers([name for name, _ in frames])
        for number, times in Counter(numbers).most_common(1):
            if times > 1:
                raise UserError(f"{times} entries are for frame {number}: one video at a time")
        rows = [
            (number, *person)
            for number, (_, people) in zip(numbers, frames, strict=True)
            for person in people
        ]
        return cls.from_rows(rows, numbers, **about)

    @classmethod
    def from_rows(
        cls,
        rows: Sequence[tuple[int, Any, Identity]],
        all_frames: Sequence[int],
        times: Sequence[float] | None = None,
        **about: Any,
    ) -> "Detections":
        """Create detections from (frame, keypoints, identity) of each detection.

        Args:
            rows: Detections. Keypoints are flat lists x, y, confidence, x, ..., or lists with a row
                per joint. The confidence may be missing in all rows.
            all_frames: Numbers of all frames, including those without people.
            times: Times of `all_frames` in seconds, if the file contains them.
            about: Further fields.

        Raises:
            UserError: If no person is detected, or the keypoints are not numbers or not of the same
                joints.
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
        keypoints = _rows_of_joints(points, frames[0])
        if keypoints.shape[-1] == 2:
            found = (keypoints != 0).any(-1, keepdims=True)
            keypoints = np.concatenate([keypoints, found], axis=-1)
            about["notes"] = (*about.get("notes", ()), NO_CONFIDENCE)
        if max(map(abs, all_frames)) >= 2**62:
            raise UserError(f"frame number {max(all_frames, key=abs)} is too large")
        frame = np.array(frames, dtype=np.int64)
        if times is None and (times := epoch_times(all_frames)) is not None:
            # the frame numbers are time stamps: enumerate the frames
            counted = np.unique(np.array(all_frames, dtype=np.int64))
            frame = np.searchsorted(counted, frame)
            all_frames = np.searchsorted(counted, all_frames).tolist()
        found = cls(
            frame=frame,
            keypoints=keypoints,
            person=_identities(ids),
            span=(min(all_frames), max(all_frames)),
            **about,
        )
        return found if times is None else found.with_times(all_frames, times)

    @property
    def has_identities(self) -> bool:
        """Whether the file has identities. AlphaPose without tracking writes 0 for all people."""
        if self.person is None:
            return False
        several = len(np.unique(self.frame)) < len(self.frame)
        return not several or len(np.unique(self.person)) > 1

    def seconds(self) -> NDArray[np.float64]:
        """(N,) Times of the detections in seconds from the first frame."""
        frame = self.frame - self.span[0]
        return frame / (self.fps or ASSUMED_FPS) if self.time_s is None else self.time_s[frame]

    def with_times(self, numbers: Sequence[int], times: Sequence[float]) -> "Detections":
        """Add the rate and times of the frames; see `frame_times.rate_and_times`."""
        if (known := rate_and_times(numbers, times, self.fps)) is None:
            note = "the times in the file do not increase from frame to frame: they are not used"
            return self if len(set(numbers)) < 2 else replace(self, notes=(*self.notes, note))
        return replace(self, fps=known[0], time_s=known[1])


def _rows_of_joints(points: Sequence[Any], first_frame: int) -> NDArray[np.float64]:
    """Convert flat lists, or lists with a row per joint, to (N, K, 2 or 3)."""
    try:
        values = np.array(points, dtype=np.float64)  # null becomes NaN
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.ndim == 3 and values.shape[2] in (2, 3) and values.size:
        return values
    if values.ndim != 2:
        raise UserError("keypoints must be flat lists of numbers x, y, confidence, x, ...")
    count = values.shape[1]
    channels = 3
    if count % 2 == 0 and count // 2 in NUMBERS_OF_JOINTS:
        joints = count // 3 if count % 3 == 0 else 0
        # 66 numbers are 22 joints, which no layout has, if every third can be a confidence
        sure = joints and (values[:, 2::3] <= 1).all() and np.abs(values).max() > NORMALIZED
        channels = 3 if joints in NUMBERS_OF_JOINTS or sure else 2
    if count % channels or not count:
        raise UserError(
            f"frame {first_frame}: keypoints has {count} numbers, "
            "not x, y and confidence of each joint"
        )
    return values.reshape(len(points), -1, channels)


def _identities(ids: Sequence[Identity]) -> IntArray | None:
    """Identities (N,) as numbers, for names by first appearance. None if an identity is unknown."""
    if None in ids:
        return None
    if any(isinstance(name, str) for name in ids):
        number_of = {name: number for number, name in enumerate(dict.fromkeys(ids))}
        return np.array([number_of[name] for name in ids], dtype=np.int64)
    return np.array(ids, dtype=np.int64)


def track_number(value: object) -> Identity:
    """Parse a track number or name. AlphaPose writes 3, 3.0, [3.0] or [[3.0], [5.0]].

    -1, "" and none are unknown.
    """
    while isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, str) and not value.strip().lstrip("-").isdecimal():
        return value.strip() or None
    try:
        number = -1 if value is None else int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{value!r} is no track number") from None
    if number >= 2**63:
        raise UserError(f"track number {number} is too large")
    return number if number >= 0 else None


def field(item: Any, key: str, where: str) -> Any:
    """The value of a required key of a JSON object."""
    if not isinstance(item, dict) or key not in item:
        raise UserError(f'{where}: "{key}" is missing')
    return item[key]


def checked_list(item: Any, where: str) -> list[Any]:
    """Check that a JSON value is a list."""
    if not isinstance(item, list):
        raise UserError(f"{where}: a list is expected, not {type(item).__name__}")
    return item


def first_entry(data: Any) -> dict[str, Any]:
    """The first object of a JSON list of objects, or an empty one for other values."""
    return data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
