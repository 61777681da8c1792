"""Motion in closed form."""

from dataclasses import replace

import numpy as np

from actionpose.datasets.corpus import FEET, Motion
from actionpose.skeletons import H36M17

ANKLES = H36M17.indices("left_ankle", "left_ankle", "right_ankle", "right_ankle")
# of the joints of the feet from the ankles, of feet that point along x
FEET_M = np.array([[0.13, 0, -0.07], [0.19, 0.01, -0.08], [0.13, 0, -0.07], [0.19, -0.01, -0.08]])


def some_motion(name: str, frames: int, split: str = "train") -> Motion:
    """A figure in closed form: arms that swing, a path along x."""
    pose = np.array([
        *([0, 0, 0.9], [0, -0.13, 0.9], [0, -0.13, 0.5], [0, -0.13, 0.1]),
        *([0, 0.13, 0.9], [0, 0.13, 0.5], [0, 0.13, 0.1]),
        *([0, 0, 1.15], [0, 0, 1.4], [0.08, 0, 1.5], [0, 0, 1.62]),
        *([0, 0.15, 1.38], [0, 0.18, 1.1], [0, 0.2, 0.85]),
        *([0, -0.15, 1.38], [0, -0.18, 1.1], [0, -0.2, 0.85]),
    ])  # fmt: skip
    time = np.arange(frames)[:, None] / 30
    joints = np.repeat(pose[None], frames, axis=0)
    swing = 0.3 * np.sin(2 * np.pi * time)
    joints[:, H36M17.indices("left_wrist", "right_ankle"), 0] += swing
    joints[:, H36M17.indices("right_wrist", "left_ankle"), 0] -= swing
    joints[..., 0] += 0.8 * time
    return Motion(name, "s", split, joints.astype(np.float32))


def with_feet(motion: Motion, *absent: str, **changes: object) -> Motion:
    """Feet that point along x, without some of their joints."""
    feet_m = motion.joints_m[:, ANKLES] + FEET_M
    feet_m[:, [FEET.index(joint) for joint in absent]] = np.nan
    return replace(motion, feet_m=feet_m.astype(np.float32), **changes)
