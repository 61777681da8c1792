"""Body height of a person, from the lengths of the bones between ankles and head."""

import numpy as np

from actionpose.skeletons import H36M17
from actionpose.utils.typing import Array

AVERAGE_ADULT_M = 1.70  # default if the height is unknown
ANKLE_HEIGHT = 0.039  # relative to the body height (Drillis and Contini 1966)
# Body height divided by the length of the chain ankle, knee, hip, pelvis, spine, thorax, head top
STATURE_PER_CHAIN = 1 / (1 - ANKLE_HEIGHT)


def chain_length(pose: Array) -> float:
    """Length from the ankles to the top of the head along the bones, in the unit of the pose.

    Args:
        pose: (T, 17, 3) Poses. The median length of each bone over time is used, and the mean of
            both legs.
    """

    def bone(a: str, b: str) -> float:
        ends = pose[:, H36M17.indices(a, b)]
        return float(np.median(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1)))

    trunk = bone("pelvis", "spine") + bone("spine", "thorax") + bone("thorax", "head")
    legs = [
        bone(f"{s}_hip", f"{s}_knee") + bone(f"{s}_knee", f"{s}_ankle") for s in ("left", "right")
    ]
    return trunk + sum(legs) / 2
