"""Low-pass filters over time.

Like all steps of this package, `smooth` takes a result and returns a new one, whose header lists
the steps in order under `processing`. Frames without a pose (see `Result.present`) are neither used
nor changed.
"""

from typing import Any, Literal

import numpy as np

from actionpose.postprocessing.common import processed
from actionpose.result import Result
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import frame_rate, interpolate, is_even, true_runs
from actionpose.utils.typing import Array

CUTOFF_HZ = {"butterworth": 6.0, "one-euro": 1.5}
# Two passes of a second-order filter have their half-power frequency at 0.802 of the cutoff
# (Winter, Biomechanics and Motor Control of Human Movement). The cutoff is corrected accordingly.
_TWO_PASSES = (2**0.5 - 1) ** 0.25
# Casiez et al. 2012: increase of the cutoff in Hz per m/s; speeds are smoothed at 1 Hz.
ONE_EURO_BETA, _ONE_EURO_SPEED_HZ = 3.0, 1.0


def butterworth(values: Array, time_s: Array, cutoff_hz: float) -> Array:
    """Zero-phase low-pass filter: a Butterworth filter of order 2, applied forward and backward.

    Unevenly spaced frames are resampled to even times for filtering, and back afterward.

    Args:
        values: (T, ...) Values without gaps.
        time_s: (T,) Times in seconds.
        cutoff_hz: Half-power frequency in Hz.

    Raises:
        UserError: If the cutoff is too high for the frame rate.
    """
    if len(values) < 3:
        return values
    fps = frame_rate(time_s)
    _check_fits(cutoff_hz, fps)
    if not is_even(time_s):
        count = round((time_s[-1] - time_s[0]) * fps) + 1
        grid = np.linspace(time_s[0], time_s[-1], max(count, 3))
        even = butterworth(interpolate(values, time_s, grid), grid, cutoff_hz)
        return interpolate(even, grid, time_s)
    from scipy import signal  # slow import

    warped = np.tan(np.pi * cutoff_hz / fps) / _TWO_PASSES
    design_hz = np.arctan(warped) * fps / np.pi
    sections = signal.butter(2, design_hz, fs=fps, output="sos")
    pad = min(len(values) - 1, int(np.ceil(2 * fps / cutoff_hz)))
    return signal.sosfiltfilt(sections, values, axis=0, padlen=pad)


def _check_fits(cutoff_hz: float, fps: float) -> None:
    if not 0 < cutoff_hz < fps / 2:
        raise UserError(
            f"a cutoff of {cutoff_hz:g} Hz does not fit {fps:.3g} frames a second: "
            f"give more than 0 and less than {fps / 2:.3g}"
        )


def one_euro(values: Array, time_s: Array, cutoff_hz: float) -> Array:
    """The 1 Euro filter (Casiez et al. 2012), a causal filter that smooths slow motion most.

    Args:
        values: (T, ..., 3) Points in meters, without gaps. The cutoff increases with their speed.
        time_s: (T,) Times in seconds.
        cutoff_hz: Cutoff frequency in Hz at rest.
    """
    smoothed = np.array(values, dtype=np.float64)
    speed = np.zeros_like(smoothed[0])
    for t in range(1, len(smoothed)):
        step_s = max(time_s[t] - time_s[t - 1], 1e-6)
        alpha = 1 / (1 + 1 / (2 * np.pi * _ONE_EURO_SPEED_HZ * step_s))
        speed += alpha * ((values[t] - values[t - 1]) / step_s - speed)
        meters_per_s = np.linalg.norm(speed, axis=-1, keepdims=True)
        cutoff = cutoff_hz + ONE_EURO_BETA * meters_per_s
        alpha = 1 / (1 + 1 / (2 * np.pi * cutoff * step_s))
        smoothed[t] = alpha * values[t] + (1 - alpha) * smoothed[t - 1]
    return smoothed


def checked_cutoff(method: str, cutoff_hz: float | None, fps: float | None = None) -> float:
    """The cutoff of a method, by default that of `CUTOFF_HZ`.

    Args:
        method: "butterworth" or "one-euro".
        cutoff_hz: Cutoff frequency in Hz, or None for the default.
        fps: Frame rate in Hz, if known.

    Raises:
        UserError: If the method is unknown, or the cutoff is not above 0 or too high for the frame
            rate.
    """
    if method not in CUTOFF_HZ:
        raise UserError(f"the smoothing method is {' or '.join(CUTOFF_HZ)}, not {method}")
    cutoff_hz = CUTOFF_HZ[method] if cutoff_hz is None else cutoff_hz
    if not cutoff_hz > 0:
        raise UserError(f"cutoff_hz is above 0, not {cutoff_hz:g}")
    if method == "butterworth" and fps is not None:
        _check_fits(cutoff_hz, fps)
    return cutoff_hz


def smooth(
    result: Result,
    method: Literal["butterworth", "one-euro"] = "butterworth",
    cutoff_hz: float | None = None,
) -> Result:
    """Smooth poses, and the trajectory of the root if there is one.

    The filter does not smooth across gaps; filled gaps have poses and are smoothed.

    Args:
        result: Result to smooth.
        method: "butterworth" (zero phase, no lag) or "one-euro" (causal, with lag).
        cutoff_hz: Cutoff frequency in Hz. By default that of `CUTOFF_HZ`.

    Returns:
        A new, smoothed result.

    Raises:
        UserError: If the method is unknown, or the cutoff is too high for the frame rate.
    """
    filters = {"butterworth": butterworth, "one-euro": one_euro}
    cutoff_hz = checked_cutoff(method, cutoff_hz)
    pose = result.pose_m.astype(np.float64)
    root = None if result.root_m is None else result.root_m.astype(np.float64)
    for person, present in enumerate(result.present):
        for run in true_runs(present):
            time_s = result.time_s[run]
            pose[person, run] = filters[method](pose[person, run], time_s, cutoff_hz)
            if root is not None and np.isfinite(root[person, run]).all():
                root[person, run] = filters[method](root[person, run], time_s, cutoff_hz)
    facts: dict[str, Any] = {"method": method, "cutoff_hz": cutoff_hz}
    facts |= {"beta_hz_per_m_s": ONE_EURO_BETA} if method == "one-euro" else {"lag_s": 0}
    return processed(result, "smooth", facts, pose_m=pose, root_m=root)
