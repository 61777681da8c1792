"""Noise model of a 2D detector: errors and confidences."""

import numpy as np
from numpy.random import Generator

from actionpose.utils.typing import Array

# Errors of Stacked Hourglass detections on Human3.6M, measured by MotionBERT: mean of x and y and
# standard deviation of x and y in thousandths of half the image width, and the fraction of ordinary
# errors (the others are gross). One row per joint of H36M17, then four rows for joints of the feet,
# for which there are no such data: those of the ankles without their mean.
_ERRORS = np.array([
    [0.81, 0.21, 3.66, 3.57, 0.9988],
    [-0.15, 2.00, 7.13, 5.11, 0.9670],
    [2.04, -1.51, 6.08, 5.00, 0.8896],
    [0.94, 0.91, 8.95, 5.29, 0.8938],
    [1.87, -0.70, 6.72, 5.33, 0.9746],
    [1.93, -5.20, 7.01, 4.92, 0.8767],
    [0.89, -1.87, 9.51, 5.63, 0.8210],
    [2.47, 2.33, 6.59, 4.97, 0.9578],
    [2.14, -6.51, 5.49, 5.31, 0.9183],
    [1.66, 1.66, 5.34, 4.88, 0.9679],
    [0.84, 1.59, 3.42, 3.49, 0.9841],
    [0.79, -4.62, 8.01, 6.09, 0.8910],
    [1.50, 0.30, 5.17, 4.75, 0.8016],
    [1.16, 1.63, 4.99, 5.09, 0.7028],
    [2.10, -3.17, 7.82, 7.93, 0.8809],
    [1.68, -0.33, 6.01, 5.72, 0.8246],
    [1.66, 1.32, 5.37, 5.68, 0.7287],
    *4 * [[0.00, 0.00, 9.23, 5.46, 0.8574]],
])  # fmt: skip
_MEAN, _STD, _ORDINARY = _ERRORS[:, :2] / 1000, _ERRORS[:, 2:4] / 1000, _ERRORS[:, 4]
_KEY_SPACING = 9  # frames between key errors: MotionBERT has 27 for 243 frames
_GROSS_RANGE = 0.06
_JITTER_STD = 0.002  # between frames
# confidence for a displacement d: a / (d + a) + b d + N(m, s)
_CONFIDENCE_A, _CONFIDENCE_B = 0.028, 1.1
_CONFIDENCE_MEAN, _CONFIDENCE_STD = -0.0045857, 0.1431057


def detector_noise(num_frames: int, rng: Generator, *, num_joints: int = 17) -> tuple[Array, Array]:
    """Errors and confidences like those of a 2D detector (MotionBERT's noise model).

    Errors vary smoothly: each joint has an ordinary or gross error at every ninth frame, which is
    interpolated in between. MotionBERT uses 27 key frames for any clip length, so that the errors
    of a short clip jump between frames, and the same jitter for a whole batch.

    Returns:
        (T, J, 2) displacements in units of half the image width, for a person as large as in
        Human3.6M, and (T, J) confidences in [0, 1].
    """
    num_keys = max(2, round(num_frames / _KEY_SPACING))
    mean, std, probability = (values[:num_joints] for values in (_MEAN, _STD, _ORDINARY))
    shape = (num_keys, *mean.shape)
    ordinary = rng.random(shape[:2]) < probability
    gross = (rng.random(shape) - 0.5) * _GROSS_RANGE
    keys = np.where(ordinary[..., None], mean + std * rng.standard_normal(shape), gross)
    at = np.linspace(0, num_keys - 1, num_frames)
    before = np.minimum(at.astype(int), num_keys - 2)
    weight = (at - before)[:, None, None]
    noise = keys[before] * (1 - weight) + keys[before + 1] * weight
    noise += rng.normal(0, _JITTER_STD, noise.shape)
    distance = np.linalg.norm(noise, axis=-1)
    confidence = _CONFIDENCE_A / (distance + _CONFIDENCE_A) + _CONFIDENCE_B * distance
    confidence += rng.normal(_CONFIDENCE_MEAN, _CONFIDENCE_STD, distance.shape)
    return noise, confidence.clip(0, 1)
