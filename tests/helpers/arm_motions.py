"""A person whose arms hang or are raised, and a checkpoint that tells these apart."""

import numpy as np

from actionpose import Keypoints
from actionpose.skeletons import H36M17


def arms(up: bool, frames: int, rng: np.random.Generator) -> np.ndarray:
    """(T, 17, 3) pixels of a person whose arms hang, or who holds them up and sways."""
    joints = {"pelvis": (500, 500), "spine": (500, 430), "thorax": (500, 360), "nose": (500, 320)}
    joints |= {"head": (500, 290)}
    for sign, side in ((1, "left"), (-1, "right")):
        joints |= {f"{side}_hip": (500 + 30 * sign, 500), f"{side}_knee": (500 + 30 * sign, 620)}
        joints |= {f"{side}_ankle": (500 + 30 * sign, 740)}
        joints |= {f"{side}_shoulder": (500 + 50 * sign, 365)}
        reach = -90 if up else 90
        joints |= {f"{side}_elbow": (500 + 60 * sign, 365 + reach)}
        joints |= {f"{side}_wrist": (500 + 60 * sign, 365 + 2 * reach)}
    points = np.array([[*joints[name], 1.0] for name in H36M17.joints])
    track = np.repeat(points[None], frames, axis=0)
    if up:
        track[..., 0] += 25 * np.sin(np.arange(frames) / 3)[:, None]
    track[..., :2] += rng.normal(0, 1, (frames, 17, 2))
    return track.astype(np.float32)


def one_person(track: np.ndarray, fps: float = 30.0) -> Keypoints:
    return Keypoints(
        keypoints_px=track[None],
        valid=(track[..., 2] > 0).any(axis=1)[None],
        track_id=np.array([1]),
        fps=fps,
        image_size=(1000, 1000),
        skeleton=H36M17,
    )
