"""Validation of keypoints, frame rate, times and image size, with messages that suggest a fix."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from actionpose.keypoints.detections import NORMALIZED, Detections
from actionpose.skeletons import Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.typing import IntArray

MIN_RATE_HZ, MAX_RATE_HZ = 1.0, 1000.0
MAX_PX = 1e5  # maximum of coordinates and image sizes
MAX_DURATION_S = 86400.0


def cleaned(
    keypoints: NDArray[np.float64], frame: IntArray, skeleton: Skeleton
) -> NDArray[np.float32]:
    """Convert keypoints (N, J, 3) of a file to those of `Keypoints`; `frame` (N,) is for errors."""
    with np.errstate(over="ignore"):  # overflows become infinite, which is an error
        points = keypoints.astype(np.float32)
    points[points[..., 2] == 0] = 0  # regardless of x and y
    confidence = points[..., 2]
    np.minimum(confidence, 1, out=confidence, where=np.isfinite(confidence))
    check_values(points, frame, skeleton)
    check_pixels(points)
    return points


def check_values(points: NDArray[np.float32], frame: IntArray, skeleton: Skeleton) -> None:
    """Check that keypoints (N, J, 3) are finite, within `MAX_PX`, with confidence from 0 to 1."""
    finite = np.asarray(np.isfinite(points).all(-1) & (np.abs(points[..., :2]) <= MAX_PX).all(-1))
    good = finite & (points[..., 2] >= 0) & (points[..., 2] <= 1)
    if good.all():
        return
    row, joint = np.argwhere(~good)[0]
    x, y, confidence = points[row, joint]
    where = f"frame {frame[row]}, {skeleton.joints[joint]}"
    if finite[row, joint]:
        raise UserError(f"{where}: the confidence is {confidence:g}, not within 0 and 1")
    raise UserError(
        f"{where}: x, y, confidence are {x:g}, {y:g}, {confidence:g}, and no pixels beyond "
        f"{MAX_PX:,.0f} are read: write a joint that was not found as 0, 0, 0"
    )


def in_pixels(found: Detections) -> Detections:
    """Convert coordinates that are fractions of the image to pixels.

    OpenPose also writes fractions from -1 to 1, with no joints outside of the image.

    Raises:
        UserError: If coordinates are fractions and the image size is unknown.
    """
    xy, confidence = found.keypoints[..., :2], found.keypoints[..., 2]
    given = xy[confidence > 0]
    if not given.size or not np.abs(given).max() <= found.largest_fraction:
        return found
    centered = given.min() < 0 and found.largest_fraction == NORMALIZED
    if found.image_size is None or (centered and found.detector != "OpenPose"):
        way = "x by the image's width and y by its height"
        if centered:
            way = "x + 1 by half of the image's width and y + 1 by half of its height"
        raise UserError(
            f"no coordinate is beyond {found.largest_fraction:g}, so they look normalized, as "
            + (
                f"fractions of the image: multiply {way}, for pixels"
                if found.image_size
                else "fractions of the image: give image_size, its width and height in pixels, "
                f"or multiply {way}"
            )
        )
    if centered:
        xy = (xy + 1) / 2
    pixels = np.concatenate([xy * found.image_size, confidence[..., None]], axis=-1)
    return replace(found, keypoints=pixels)


def check_pixels(points: NDArray[np.float32]) -> None:
    if points.any() and np.abs(points[..., :2]).max() <= NORMALIZED:
        raise UserError(
            f"no coordinate is beyond {NORMALIZED:g}, so they look normalized: "
            "multiply x by the image's width and y by its height, for pixels"
        )


def checked_rate(fps: object) -> float:
    number = isinstance(fps, int | float | np.number) and not isinstance(fps, bool)
    if not number or not MIN_RATE_HZ <= fps <= MAX_RATE_HZ:  # type: ignore[operator]  # also NaN
        raise UserError(f"fps must be from {MIN_RATE_HZ:g} to {MAX_RATE_HZ:g}, not {fps}")
    return float(fps)  # type: ignore[arg-type]


def checked_times(time_s: object, num_frames: int) -> NDArray[np.float64]:
    times = np.asarray(time_s, dtype=np.float64)
    if times.shape != (num_frames,) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise UserError(f"time_s must be {num_frames} finite seconds that increase")
    if np.ptp(times) > MAX_DURATION_S:
        raise UserError(f"time_s spans {np.ptp(times):,.0f} s: split the recording into days")
    return times


def checked_size(size: object) -> tuple[int, int] | None:
    if size is None:
        return None
    if isinstance(size, tuple | list) and len(size) == 2:
        if all(isinstance(side, int | np.integer) and 0 < int(side) <= MAX_PX for side in size):
            return int(size[0]), int(size[1])
    raise UserError(
        f"image_size must be width and height in whole pixels from 1 to 100,000, not {size}"
    )
