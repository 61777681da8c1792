"""Results made here, for the tests of what is done with results."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from actionpose.datasets.synthetic.generate import dataset
from actionpose.geometry.axes import Axes
from actionpose.geometry.camera import Camera, look_at
from actionpose.postprocessing.skeleton_fit import SkeletonMotion
from actionpose.result import Result, RootOrigin
from actionpose.skeletons import H36M17, H36M17_FEET, Skeleton

Array = NDArray[np.floating]

HEADER: dict[str, Any] = {
    "units": "meters",
    "axes": Axes.CAMERA,
    "root": RootOrigin.PELVIS,
    "skeleton": "h36m17",
    "scale_source": "made up",
}
ACTION = {"start_s": 0.0, "stop_s": 0.1, "label": "wave, “hello”", "score": 0.5}
IMAGE_SIZE = (1000, 800)
FOCAL_PX = 900.0

# standing, facing z, arms down: x to the person's left, y up
_STANDING = {
    **{"pelvis": (0, 0.95, 0), "spine": (0, 1.2, 0), "thorax": (0, 1.45, 0)},
    **{"nose": (0, 1.6, 0.06), "head": (0, 1.72, 0)},
    **{"hip": (0.12, 0.95, 0), "knee": (0.12, 0.5, 0), "ankle": (0.12, 0.08, 0)},
    **{"shoulder": (0.18, 1.45, 0), "elbow": (0.18, 1.15, 0), "wrist": (0.18, 0.9, 0)},
    # 13 cm, falling by 25 degrees
    **{"toe_base": (0.12, 0.08 - 0.05494, 0.11782), "toe": (0.12, 0.02, 0.18)},
}


def standing_pose(skeleton: Skeleton = H36M17) -> dict[str, Array]:
    """Somebody who stands on y = 0: (3,) of each joint, x to the person's left, y up, z ahead."""
    mirrored = {"left": (1, 1, 1), "right": (-1, 1, 1)}
    pose = {}
    for joint in skeleton.joints:
        side, _, part = joint.partition("_")
        place = _STANDING[part or joint]
        pose[joint] = np.multiply(place, mirrored.get(side, (1, 1, 1))).astype(float)
    return pose


def turned(
    pose: dict[str, Array],
    joints: Iterable[str],
    about: str,
    axis: tuple[float, float, float],
    degrees: float,
) -> dict[str, Array]:
    """The pose with some joints turned about another, right-handed."""
    turn = Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis, dtype=float))
    moved = {name: pose[about] + turn.apply(pose[name] - pose[about]) for name in joints}
    return pose | moved


def result_of(*poses: dict[str, Array], **changes: Any) -> Result:
    """A result with a frame for each pose, y up, the pelvis at the origin."""
    skeleton = H36M17_FEET if "left_toe" in poses[0] else H36M17
    joints = [[pose[name] - pose["pelvis"] for name in skeleton.joints] for pose in poses]
    header = {"axes": Axes.Y_UP, "skeleton": skeleton.name} | changes.pop("header", {})
    return make_result(changes.pop("pose_m", joints), header=header, **changes)


def make_result(pose_m: Any, *, header: dict[str, Any] | None = None, **changes: Any) -> Result:
    """A result of poses (T, J, 3) or (P, T, J, 3), at 30 frames a second, everybody visible.

    Args:
        header: changes of `HEADER`.
        changes: other fields of the result.
    """
    pose = np.asarray(pose_m, dtype=np.float64)
    pose = pose[None] if pose.ndim == 3 else pose
    persons, frames = pose.shape[:2]
    fields = {
        "pose_m": pose,
        "keypoints_px": np.ones(pose.shape),
        "valid": np.ones((persons, frames), bool),
        "track_id": np.arange(persons),
        "time_s": np.arange(frames) / 30,
        "header": {**HEADER, **(header or {})},
    }
    return Result(**fields | changes)  # type: ignore[arg-type]


def random_result(persons: int = 2, frames: int = 5, **changes: Any) -> Result:
    """Random numbers in every array, some frames invalid."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 1000, (persons, frames, 17, 3))
    keypoints[..., 2] = rng.uniform(0, 1, (persons, frames, 17))
    fields = {
        "pose_m": rng.normal(size=(persons, frames, 17, 3)),
        "keypoints_px": keypoints,
        "valid": rng.uniform(size=(persons, frames)) > 0.3,
        "track_id": np.arange(persons) * 4 + 1,
        "header": {"actions": [ACTION], "fps": 30.0, "image_size": [1920, 1080]},
    }
    return make_result(**fields | changes)


FPS = 25.0  # of `people`


def people(persons: int = 1, frames: int = 40, **changes: Any) -> Result:
    """People of unequal bones who move, with a path, in camera axes."""
    rng = np.random.default_rng(7)
    made = [one.joints_m for one in dataset(12, seed=11) if len(one.joints_m) >= frames]
    world = np.stack([made[person][:frames] for person in range(persons)])
    world = world + rng.normal(0, 0.01, world.shape)
    joints = world @ Axes.Z_UP.rotation_to(Axes.CAMERA).T
    keypoints = np.ones((persons, frames, 17, 3))
    keypoints[..., :2] = [320, 240] + 100 * (joints[..., :2] - joints[:, :, :1, :2])
    fields = {
        "keypoints_px": keypoints,
        "track_id": 3 + 5 * np.arange(persons),
        "time_s": np.arange(frames) / FPS,
        "root_m": joints[:, :, 0] + [0, 0.5, 5],
    }
    return make_result(joints - joints[:, :, :1], **fields | changes)


def people_with_feet(frames: int = 40) -> Result:
    """One of `people` with feet that point ahead of the hips, and rise and fall."""
    result = people(1, frames)
    hips = result.pose_m[0, :, H36M17.indices("left_hip", "right_hip")]
    down = np.array([0.0, 1, 0])
    ahead = np.cross(down, hips[0] - hips[1])
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    feet = []
    for phase, side in enumerate(("left", "right")):
        rise = 0.4 * np.sin(np.arange(frames) / 6 + phase)[:, None]
        ankle = result.pose_m[0, :, H36M17.joints.index(f"{side}_ankle")]
        base = ankle + 0.13 * ahead + (0.05 - 0.06 * rise) * down
        feet += [base, base + 0.06 * (ahead + 0.1 * down)]
    pose = np.concatenate([result.pose_m[0], np.stack(feet, axis=1)], axis=1)
    return make_result(
        pose, time_s=result.time_s, root_m=result.root_m, track_id=result.track_id,
        header={**result.header, "skeleton": "h36m17_feet"},
    )  # fmt: skip


def made_up_walk() -> Array:
    """Somebody made up who walks: (T, 17, 3) meters, world, z up, feet on z = 0."""
    walks = (made for made in dataset(60, seed=3) if made.action == "walk")
    joints = next(made.joints_m for made in walks if len(made.joints_m) >= 80)[:90]
    # obliquely away from the camera, which looks along y
    x, y = joints[-1, 0, :2] - joints[0, 0, :2]
    turn = np.pi / 3 - np.arctan2(y, x)
    cos, sin = np.cos(turn), np.sin(turn)
    return joints @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


def lifted_perfectly(joints_m: Array, pitch_deg: float = 0.0) -> tuple[Result, Camera]:
    """Joints (T, 17, 3) of the world as a perfect lifter gives them, from 6 m and 1.5 m high."""
    middle = joints_m[:, 0].mean(axis=0)
    position = np.array([middle[0], middle[1] - 6, 1.5])
    target = position + [0, 6, -6 * np.tan(np.radians(pitch_deg))]
    camera = Camera(look_at(position, target), position, FOCAL_PX, np.array(IMAGE_SIZE) / 2)
    joints = camera.from_world(joints_m)
    keypoints = np.concatenate([camera.project(joints), np.ones((*joints.shape[:2], 1))], axis=-1)
    header = {"image_size": list(IMAGE_SIZE)}
    pose = joints - joints[:, :1]
    return make_result(pose, keypoints_px=keypoints[None], header=header), camera


def lengths_of_bones(pose: Array) -> Array:
    """(..., 16) of poses (..., 17, 3)."""
    child, parent = np.array(H36M17.bones).T
    return np.linalg.norm(pose[..., child, :] - pose[..., parent, :], axis=-1)


def node_positions(motion: SkeletonMotion) -> Array:
    """Where the nodes are, (T, N, 3), by forward kinematics: from the rotations."""
    world: list[Rotation] = []
    places: list[Array] = []
    for index, parent in enumerate(motion.tree.parents):
        own = Rotation.from_quat(motion.rotations[:, index])
        if parent < 0:
            world.append(own)
            places.append(motion.root_m)
        else:
            places.append(places[parent] + world[parent].apply(motion.offsets_m[index]))
            world.append(world[parent] * own)
    return np.stack(places, axis=1)
