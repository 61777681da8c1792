"""Axes of poses, and the rotations between them."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

_DIRECTIONS = {  # by letter: vector with x right, y up and z toward the camera, and word
    "R": ((1, 0, 0), "right"),
    "L": ((-1, 0, 0), "left"),
    "U": ((0, 1, 0), "up"),
    "D": ((0, -1, 0), "down"),
    "B": ((0, 0, 1), "towards the camera"),
    "F": ((0, 0, -1), "away from the camera"),
}


class Axes(StrEnum):
    """Directions of x, y and z as letters: right, left, up, down, forward or back.

    Directions are relative to the camera, and forward is away from it. All visualizations use
    `Y_UP`. A person who faces the camera then looks along +z, with the left side at +x, as
    animation tools expect.
    """

    CAMERA = "RDF"  # as in OpenCV
    Y_UP = "RUB"  # as in OpenGL, glTF and BVH
    Z_UP = "RFU"

    @property
    def words(self) -> str:
        """Description as text, such as "x right, y down, z away from the camera"."""
        return ", ".join(
            f"{axis} {_DIRECTIONS[to][1]}" for axis, to in zip("xyz", self, strict=True)
        )

    def rotation_to(self, other: "Axes") -> NDArray[np.float64]:
        """The rotation (3, 3) of points (..., 3) to other axes: `points @ rotation.T`."""
        here, there = (
            np.array([_DIRECTIONS[letter][0] for letter in axes]) for axes in (self, other)
        )
        return (there @ here.T).astype(np.float64)
