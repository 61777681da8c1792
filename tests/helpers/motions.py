"""Motion in closed form."""

import numpy as np

from actionpose.datasets.corpus import Motion
from actionpose.skeletons import H36M17


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
