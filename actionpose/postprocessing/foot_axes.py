"""Direction of a foot from its ankle, its toe base and the shin, and points on its surface.

The ankle joint is higher than the toe base: for a flat foot, the slope of the line between them is
`FLAT_FOOT_DEG`. This slope differs by 10 degrees and more between datasets and detectors (6 to 41
degrees in the open corpora, mostly about 25), so that angles of feet have an unknown offset of that
size; their changes do not.
"""

from typing import NamedTuple

import numpy as np

from actionpose.utils.typing import Array

FLAT_FOOT_DEG = 25.0
TOE_BASE_HEIGHT = 0.015  # of the toe base of a flat foot, relative to the body height

# Surface points of an adult foot relative to the distance from ankle to toe base: forward, up and
# toward the other foot. The heel is relative to the ankle, the tips of the toes to the toe joint.
_HEEL = (-0.45, -0.36, 0.0)
_BIG_TOE, _SMALL_TOE = (0.08, 0.0, 0.18), (-0.08, 0.0, -0.18)


class FootAxes(NamedTuple):
    """Unit vectors (..., 3) of a foot, and the length (..., 1) from ankle to toe base."""

    ahead: Array  # along the sole
    up: Array  # perpendicular to the sole, in the plane of shin and foot
    length: Array


def foot_axes(knee: Array, ankle: Array, toe_base: Array) -> FootAxes:
    """Compute the axes of feet from joints (..., 3) in any coordinate system.

    The result is NaN if shin and foot are collinear.
    """
    foot = toe_base - ankle
    length = np.linalg.norm(foot, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        along = foot / length
        across = knee - ankle - ((knee - ankle) * along).sum(axis=-1, keepdims=True) * along
        across = across / np.linalg.norm(across, axis=-1, keepdims=True)
    cos, sin = np.cos(np.radians(FLAT_FOOT_DEG)), np.sin(np.radians(FLAT_FOOT_DEG))
    return FootAxes(cos * along + sin * across, cos * across - sin * along, length)


def surface_points(knee: Array, ankle: Array, toe_base: Array, toe: Array, *, left: bool) -> Array:
    """Tip of the big toe, tip of the small toe and heel (..., 3, 3), with adult proportions.

    The points are not measured but derived from joints (..., 3), in right-handed axes.
    """
    ahead, up, length = foot_axes(knee, ankle, toe_base)
    inwards = np.cross(ahead, up) if left else np.cross(up, ahead)

    def placed(start: Array, place: tuple[float, float, float]) -> Array:
        x, y, z = place
        return start + length * (x * ahead + y * up + z * inwards)

    starts = ((toe, _BIG_TOE), (toe, _SMALL_TOE), (ankle, _HEEL))
    return np.stack([placed(start, place) for start, place in starts], axis=-2)
