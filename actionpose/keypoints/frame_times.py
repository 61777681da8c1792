"""Frame times in files: detection of the field and its unit, and of even time steps."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

ASSUMED_FPS = 30.0  # for files without rate and times
ASSUMED = f"assumed {ASSUMED_FPS:g} Hz"  # value of `Keypoints.rate_source`
_KEY = re.compile(
    r"(?:frame|video)?(?:timestamp|datetime|time|ts|t|epoch|pts)(?:in)?"
    r"(s|sec|secs|seconds|ms|msec|millis|milliseconds|us|usec|microseconds|ns|nanoseconds)?"
    r"|(seconds|secs|sec|milliseconds|millis|msec|ms)"
)
_SECONDS = {"s": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}  # by the first letter of the unit
_EPOCH_S = (9.4e8, 4.2e9)  # years 2000 to 2100 in seconds since 1970
_PLAUSIBLE_FPS = (2.0, 500.0)  # at most one unit gives a rate in this range
_EVEN_S = 1e-3  # tolerance of even time steps: many files round to milliseconds


def time_unit(key: object) -> float | None:
    """The unit in seconds if a field contains times, 0 if the unit is unknown; otherwise None."""
    if not isinstance(key, str) or key != key.strip():
        return None
    name = "micro" if key == "µs" else re.sub(r"[^a-z]", "", key.lower())
    match = _KEY.fullmatch(name)
    if match is None:
        return None
    unit = match[1] or match[2] or ""
    return _SECONDS["u" if unit.startswith("micro") else unit[0]] if unit else 0.0


def times_of(entries: Sequence[Any]) -> list[float] | None:
    """Times in seconds of frames that are objects with a time field; None if there is no field.

    The unit of numbers without a unit is s, ms, us or ns: the one that gives 2 to 500 frames per
    second, or for times since 1970, a date between 2000 and 2100. Strings are ISO 8601 dates.
    """
    first = next((entry for entry in entries if isinstance(entry, Mapping)), {})
    for key in first:
        unit = time_unit(key)
        if unit is None:
            continue
        values = [_number(entry.get(key)) for entry in entries if isinstance(entry, Mapping)]
        if len(values) == len(entries):
            times = in_seconds([value for value in values if value is not None], unit)
            if times is not None and len(times) == len(entries):
                return times
    return None


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e20:
        return float(value) if value == value else None
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
        try:
            if re.fullmatch(r"\d+:\d\d:\d\d(\.\d+)?", value):
                hours, minutes, seconds = value.split(":")
                return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
            return datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError):
            pass
    return None


def in_seconds(values: Sequence[float], unit: float = 0.0) -> list[float] | None:
    """Convert times to seconds from the first; None if no unit is plausible.

    Args:
        unit: Unit in seconds, or 0 if unknown.
    """
    times = np.array(values, dtype=np.float64)
    if len(times) == 0 or not np.isfinite(times).all():
        return None
    times -= times.min()
    steps = np.diff(np.unique(times))
    if not unit:
        fitting = [seconds for seconds in _SECONDS.values() if is_epoch(min(values) * seconds)]
        if not fitting and len(steps):
            rates = {s: 1 / (float(np.median(steps)) * s) for s in _SECONDS.values()}
            low, high = _PLAUSIBLE_FPS
            fitting = [seconds for seconds, rate in rates.items() if low <= rate <= high]
        if not fitting:
            return None
        unit = fitting[0]
    return (times * unit).tolist()


def is_epoch(seconds: float) -> bool:
    """Whether a time in seconds since 1970 is between 2000 and 2100."""
    return _EPOCH_S[0] <= seconds <= _EPOCH_S[1]


def epoch_times(numbers: Sequence[int]) -> list[float] | None:
    """Seconds from the first frame if frame numbers are times since 1970; otherwise None."""
    if len(set(numbers)) < 2:
        return None
    units = [s for s in _SECONDS.values() if is_epoch(min(numbers) * s)]
    times = in_seconds(numbers, units[0]) if units and is_epoch(max(numbers) * units[0]) else None
    if times is None:
        return None
    step_s = float(np.median(np.diff(np.unique(times))))
    low, high = _PLAUSIBLE_FPS
    return times if step_s and low <= 1 / step_s <= high else None


def rate_and_times(
    numbers: Sequence[int], times: Sequence[float], fps: float | None = None
) -> tuple[float, NDArray[np.float64] | None] | None:
    """Frame rate in Hz, and the times of all frames if they are uneven.

    Args:
        numbers: Frame numbers with a time, in any order.
        times: Times of these frames in seconds.
        fps: Frame rate in the file, which is used if it agrees with the times.

    Returns:
        The rate and the times (T,) from the first frame, for all numbers from the smallest to the
        largest, interpolated where missing. None if times do not increase.
    """
    known, first = np.unique(np.array(numbers), return_index=True)
    time_s = np.array(times, dtype=np.float64)[first]
    if len(known) < 2 or (np.diff(time_s) <= 0).any():
        return None
    span = known - known[0]
    time_s -= time_s[0]
    own = float(span[-1] / time_s[-1])
    for rate in (fps, round(own), round(own, 2), own):
        if rate and np.abs(time_s - span / rate).max() <= _EVEN_S:
            return float(rate), None
    steps = np.diff(time_s) / np.diff(span)
    return float(1 / np.median(steps)), np.interp(np.arange(span[-1] + 1), span, time_s)


def uneven_times(time_s: Any, fps: float | None) -> Any:
    """The times of a file, or None if the rate defines them. Result files contain both."""
    if time_s is None or not fps:
        return time_s
    even = np.arange(len(time_s)) / fps
    return None if np.allclose(time_s, even, rtol=0, atol=1e-6) else time_s
