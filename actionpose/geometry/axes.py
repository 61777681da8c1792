"""What the words of a header's `axes` mean, as rotations between sets of axes.

Everything that draws or writes files goes through view axes: x right, y up, z towards the viewer.
A person who faces the camera then looks along +z, with the left side at +x, as rigs expect.
"""

import re

import numpy as np
from numpy.typing import NDArray

from actionpose.utils.errors import UserError

CAMERA = "x right, y down, z away from the camera"
UP = {
    "y": "x right, y up, z towards the camera",
    "z": "x right, y away from the camera, z up",
}

_DIRECTIONS = {
    **{"right": (1, 0, 0), "left": (-1, 0, 0), "up": (0, 1, 0), "down": (0, -1, 0)},
    **{"towards": (0, 0, 1), "toward": (0, 0, 1), "backward": (0, 0, 1)},
    **{"away": (0, 0, -1), "forward": (0, 0, -1)},
}


def view_axes(axes: str) -> NDArray[np.float64]:
    """The (3, 3) rotation from axes described in words to view axes: `pose_m @ rotation.T`.

    Args:
        axes: such as "x right, y down, z away from the camera".

    Raises:
        UserError: the words do not say where x, y and z point, or not to three different sides.
    """
    words = dict(re.findall(r"\b([xyz]) (\w+)", axes))
    columns = [_DIRECTIONS.get(words.get(axis, "")) for axis in "xyz"]
    if None in columns or abs(np.linalg.det(rotation := np.array(columns).T)) != 1:
        raise UserError(
            f"cannot draw a result whose axes are {axes!r}: write them in the header like "
            "'x right, y down, z away from the camera'"
        )
    return rotation.astype(np.float64)


def rotation_between(source: str, target: str) -> NDArray[np.float64]:
    """The (3, 3) rotation from one description to another: `pose_m @ rotation.T`."""
    return view_axes(target).T @ view_axes(source)
