"""The two networks of MediaPipe Pose, in the same way as in MediaPipe for videos.

The first network detects people in an image, and the second the joints of one person in a square
crop. Pre- and post-processing follow the graphs `pose_detection` and `pose_landmark` of
MediaPipe (https://github.com/google/mediapipe, version 0.10.14). The networks are files of this
package.
"""

import contextlib
import os
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from math import atan2, cos, hypot, pi, sin
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256
from actionpose.utils.typing import Array, BoolArray

Image = NDArray[np.uint8]  # (height, width, 3) RGB, upright

ASSETS = Path(__file__).parents[1] / "assets"
DETECTOR, LANDMARKS = (ASSETS / f"pose_{name}.tflite" for name in ("detection", "landmark_full"))
NUM_JOINTS = 33  # joints of MediaPipe; the following two points define the region of the person

_DETECTOR_SIDE, _LANDMARKS_SIDE = 224, 256  # input size of the networks in pixels
_SAME_BOX = 0.3  # minimum intersection over union of boxes of the same person
_REACH = 4  # radius of the heat map window for the refinement of a joint, in cells
_MARGIN = 1.25  # margin factor of the square around a person
_NEAR, _ALIKE = 0.15, 1.4  # maximum distance and size ratio of the regions of the same person
_STEP_S = 1 / 30  # time step; MediaPipe uses it regardless of the frame rate of the video
# filter of the region: Hz, Hz per (person size per second), Hz
_MIN_CUTOFF, _BETA, _SPEED_CUTOFF = 0.01, 10.0, 1.0


class Region(NamedTuple):
    """A square in an image, in pixels, with an angle in radians that is 0 for an upright person."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    @classmethod
    def around(cls, middle: Array, end: Array) -> "Region":
        """Region of a person from the hip center and a point on the circle around the person."""
        across, down = end - middle
        angle = atan2(down, across) + pi / 2
        return cls(middle[0], middle[1], 2 * _MARGIN * hypot(across, down), angle)

    def is_near(self, other: "Region") -> bool:
        """Whether the other region is probably of the same person."""
        distance = hypot(self.x - other.x, self.y - other.y)
        smaller, larger = sorted((self.side, other.side))
        return distance < _NEAR * smaller and larger < _ALIKE * smaller

    def place(self, points: Array) -> Array:
        """Convert points (..., 2) of the square, from 0 to 1, to image pixels."""
        across, along = np.cos(self.angle) * self.side, np.sin(self.angle) * self.side
        turn = np.array([[across, along], [-along, across]])
        return np.asarray((points - 0.5) @ turn + (self.x, self.y))


class PoseNetworks:
    """The MediaPipe models "pose_detection" and "pose_landmark_full" on the CPU.

    Raises:
        UserError: If the package that runs them is missing.
    """

    def __init__(self) -> None:
        check_runtime()
        with quiet():
            self._detector = _Network(DETECTOR, (12, 1))
            self._landmarks = _Network(LANDMARKS, (1, 195, 39))
        self.fingerprint = (
            f"MediaPipe Pose full, ai-edge-litert {version('ai-edge-litert')}, "
            f"sha256 {sha256(LANDMARKS)[:16]}"
        )

    def find(self, image: Image, least: float) -> list[Region]:
        """The regions of people in descending order of probability.

        Args:
            least: Minimum probability.
        """
        height, width = image.shape[:2]
        whole = Region(width / 2, height / 2, max(width, height))
        pixels = cut(image, whole, _DETECTOR_SIDE) / np.float32(127.5) - 1
        boxes, logits = self._detector(pixels)
        score = _sigmoid(logits[:, 0].astype(np.float64))
        sure = score >= least
        points = boxes[sure].reshape(-1, 6, 2).astype(np.float64) / _DETECTOR_SIDE
        score, middle, extent = score[sure], points[:, 0] + _ANCHORS[sure], points[:, 1]
        points[:, 2:] += _ANCHORS[sure][:, None]
        low, high, regions = middle - extent / 2, middle + extent / 2, []
        left = np.argsort(-score, kind="stable")
        while len(left):
            same = left[_overlap(low[left], high[left], low[left[0]], high[left[0]]) > _SAME_BOX]
            middle_and_end = np.average(points[same, 2:4], axis=0, weights=score[same])
            regions.append(Region.around(*whole.place(middle_and_end)))
            left = left[~np.isin(left, same)]
        return regions

    def joints(self, image: Image, region: Region) -> tuple[float, Array]:
        """The probability that there is a person in a region, and the joints.

        Returns:
            The probability, and (35, 3) x and y in pixels and visibility from 0 to 1: the joints of
            `MEDIAPIPE33`, and the two points for `Region.around`.
        """
        pixels = cut(image, region, _LANDMARKS_SIDE, replicate=True) / np.float32(255)
        presence, values, heat = self._landmarks(pixels)
        points = values.reshape(39, 5)[: NUM_JOINTS + 2].astype(np.float64)
        places = _refined(points[:, :2] / _LANDMARKS_SIDE, heat)
        return float(presence[0]), np.column_stack([region.place(places), _sigmoid(points[:, 3])])


class SteadyPoints:
    """One-euro filter [1] of the points that define the region of a person.

    [1] Casiez, Roussel, Vogel. 1 Euro Filter: a simple speed-based low-pass filter for noisy input
    in interactive systems. CHI 2012.
    """

    def __init__(self) -> None:
        self._before: tuple[Array, Array, Array] | None = None

    def __call__(self, points: Array, size: float) -> Array:
        """Filter the points (N, 2) of the next frame.

        Args:
            size: Size of the person in pixels.
        """
        if self._before is None:
            self._before = points, points, np.zeros_like(points)
            return points
        raw, filtered, speed = self._before
        now = (points - raw) / size / _STEP_S
        speed = speed + _alpha(_SPEED_CUTOFF) * (now - speed)
        filtered = filtered + _alpha(_MIN_CUTOFF + _BETA * np.abs(speed)) * (points - filtered)
        self._before = points, filtered, speed
        return filtered


class _Network:
    """A network in a TFLite file.

    Args:
        channels: Number of channels of each output to return, without the batch dimension.
    """

    def __init__(self, path: Path, channels: tuple[int, ...]):
        from ai_edge_litert.interpreter import Interpreter

        self._network = Interpreter(os.fspath(path), num_threads=1)
        self._network.allocate_tensors()
        self._input = self._network.get_input_details()[0]["index"]
        outputs = {d["shape"][-1]: d["index"] for d in reversed(self._network.get_output_details())}
        self._outputs = [outputs[count] for count in channels]

    def __call__(self, pixels: Array) -> list[Array]:
        self._network.set_tensor(self._input, pixels[None])
        self._network.invoke()
        return [self._network.get_tensor(index)[0] for index in self._outputs]


def _alpha(cutoff: Any) -> Any:
    return 1 / (1 + 1 / (2 * pi * cutoff * _STEP_S))


def _anchors() -> Array:
    """(2254, 2) Centers of the cells of 8, 16 and 32 pixels of the detector, one for each box."""
    places = []
    for cell, boxes in ((8, 2), (16, 2), (32, 6)):
        count = _DETECTOR_SIDE // cell
        x, y = np.meshgrid(np.arange(count), np.arange(count))
        middles = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / count
        places.append(np.repeat(middles, boxes, axis=0))
    return np.concatenate(places)


_ANCHORS = _anchors()


def _overlap(low: Array, high: Array, other_low: Array, other_high: Array) -> Array:
    """Intersection over union (N,) of N boxes with another box."""
    inside = np.minimum(high, other_high) - np.maximum(low, other_low)
    shared = np.maximum(inside, 0).prod(-1)
    union = (high - low).prod(-1) + (other_high - other_low).prod(-1) - shared
    return np.asarray(shared / np.maximum(union, 1e-12))


def _sigmoid(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    return 0.5 + 0.5 * np.tanh(0.5 * logits)  # the import of SciPy's function takes 0.2 s


def _refined(places: Array, heat: Array) -> Array:
    """Refine points (N, 2), from 0 to 1, to the centroid of the heat (H, W, >= N) around them."""
    side = heat.shape[0]
    cell = (places * side).astype(int)
    reach = np.arange(-_REACH, _REACH + 1)
    around = cell[:, None] + reach[:, None]  # (N, 9, 2)
    inside = (around >= 0) & (around < side)
    columns, rows = np.clip(around, 0, side - 1).transpose(2, 0, 1)
    near = _sigmoid(heat[rows[:, :, None], columns[:, None], np.arange(len(cell))[:, None, None]])
    near = near * inside[:, None, :, 0] * inside[:, :, None, 1]
    total = np.maximum(near.sum((1, 2)), 1e-12)
    middle = np.stack([(near.sum(axis) * around[..., i]).sum(1) for i, axis in ((0, 1), (1, 2))])
    use: BoolArray = (near.max((1, 2)) >= 0.5) & ((cell >= 0) & (cell < side)).all(1)
    return np.where(use[:, None], (middle / total).T / side, places)


def cut(image: Image, region: Region, side: int, *, replicate: bool = False) -> Array:
    """Crop a region to (side, side, 3) float32 pixels.

    Args:
        replicate: Whether to pad with the edge of the image, instead of black.
    """
    from PIL import Image as Pillow

    reach = region.side / 2 * (abs(cos(region.angle)) + abs(sin(region.angle))) + 2
    size = np.array(image.shape[1::-1])
    middle = np.array([region.x, region.y])
    low, high = np.floor(middle - reach).astype(int), np.ceil(middle + reach).astype(int)
    left, top = start = np.clip(low, 0, size - 1)
    right, bottom = stop = np.clip(high, start + 1, size)
    part = image[top:bottom, left:right]
    outside = np.maximum(np.stack([start - low, high - stop], axis=-1), 0)
    if replicate and outside.any():
        part = np.pad(part, [*outside[::-1], (0, 0)], mode="edge")
        start = start - outside[:, 0]
    # Pillow coordinates start at the corner of a pixel, those of MediaPipe at its center
    corners = region._replace(x=region.x - start[0] + 0.5, y=region.y - start[1] + 0.5).place(
        (np.array([[0.0, 0], [1, 0], [0, 1]]) * side - 0.5) / side
    )
    along_x, along_y = (corners[1:] - corners[0]) / side
    matrix = (along_x[0], along_y[0], corners[0, 0], along_x[1], along_y[1], corners[0, 1])
    picture = Pillow.fromarray(np.ascontiguousarray(part)).transform(
        (side, side), Pillow.Transform.AFFINE, matrix, Pillow.Resampling.BILINEAR
    )
    return np.asarray(picture, dtype=np.float32)


def check_runtime() -> None:
    """Raise a `UserError` if the package that runs the networks is missing."""
    if find_spec("ai_edge_litert") is None:
        raise UserError("the detector mediapipe needs: pip install 'actionpose[video]'")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress messages of C++ code on stderr.

    Errors are raised as Python exceptions and are not suppressed.
    """
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(nowhere)
        os.close(saved)
