"""Small synthetic motion capture files, with the names and the defects of the real ones."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

# A body at rest, y up, facing z, in meters: joint -> (parent, place). Its left is +x.
BODY: dict[str, tuple[str | None, tuple[float, float, float]]] = {
    "pelvis": (None, (0, 0.95, 0)),
    "left_hip": ("pelvis", (0.09, 0.9, 0)),
    "left_knee": ("left_hip", (0.1, 0.48, 0.02)),
    "left_ankle": ("left_knee", (0.1, 0.08, 0)),
    "left_toe": ("left_ankle", (0.1, 0.02, 0.15)),
    "right_hip": ("pelvis", (-0.09, 0.9, 0)),
    "right_knee": ("right_hip", (-0.1, 0.48, 0.02)),
    "right_ankle": ("right_knee", (-0.1, 0.08, 0)),
    "right_toe": ("right_ankle", (-0.1, 0.02, 0.15)),
    "spine": ("pelvis", (0, 1.06, 0)),
    "chest": ("spine", (0, 1.18, 0)),
    "thorax": ("chest", (0, 1.3, 0)),
    "neck": ("thorax", (0, 1.4, 0.01)),
    "head": ("neck", (0, 1.5, 0.02)),
    "top": ("head", (0, 1.6, 0.02)),
    "left_collar": ("chest", (0, 1.3, 0)),
    "left_shoulder": ("left_collar", (0.18, 1.36, 0)),
    "left_elbow": ("left_shoulder", (0.47, 1.36, 0)),
    "left_wrist": ("left_elbow", (0.72, 1.36, 0)),
    "left_hand": ("left_wrist", (0.8, 1.36, 0)),
    "right_collar": ("chest", (0, 1.3, 0)),
    "right_shoulder": ("right_collar", (-0.18, 1.36, 0)),
    "right_elbow": ("right_shoulder", (-0.47, 1.36, 0)),
    "right_wrist": ("right_elbow", (-0.72, 1.36, 0)),
    "right_hand": ("right_wrist", (-0.8, 1.36, 0)),
}

HINGES = {"left_knee": 40, "right_knee": 25, "left_elbow": -30, "right_shoulder": 35, "chest": 15}


@dataclass
class Bone:
    """A joint of a BVH that is being written."""

    name: str
    offset: tuple[float, float, float]
    channels: str = "Zrotation Yrotation Xrotation"
    children: list["Bone"] = field(default_factory=list)
    end: tuple[float, float, float] | None = None


def bvh(root: Bone, frames: np.ndarray, frame_time: str = ".0083333") -> str:
    """The text of a BVH."""
    lines = ["HIERARCHY"]

    def write(bone: Bone, word: str, depth: int) -> None:
        indent = "\t" * depth
        names = bone.channels.split()
        lines.append(f"{indent}{word} {bone.name}")
        lines.append(indent + "{")
        lines.append(f"{indent}\tOFFSET {' '.join(f'{value:.6f}' for value in bone.offset)}")
        lines.append(f"{indent}\tCHANNELS {len(names)} {' '.join(names)} ")
        for child in bone.children:
            write(child, "JOINT", depth + 1)
        if bone.end is not None:
            end = " ".join(f"{value:.6f}" for value in bone.end)
            lines.extend([f"{indent}\tEnd Site", indent + "\t{", f"{indent}\t\tOFFSET {end}"])
            lines.append(indent + "\t}")
        lines.append(indent + "}")

    write(root, "ROOT", 0)
    lines += ["MOTION", f"Frames: {len(frames)}", f"Frame Time: {frame_time}"]
    lines += [" ".join(f"{value:.5f}" for value in row) for row in frames]
    return "\n".join([*lines, ""])


def bones(root: Bone) -> list[Bone]:
    """A bone and all below it, in the order of a BVH."""
    return [root, *(below for child in root.children for below in bones(child))]


# What the joints of BODY are called in files; what a rig does not have is left out.
NAMES = {
    "cmu_bvh": {
        **{"pelvis": "Hips", "spine": "Spine", "chest": "Spine1", "neck": "Neck1", "head": "Head"},
        **{"left_hip": "LeftUpLeg", "left_knee": "LeftLeg", "left_ankle": "LeftFoot"},
        **{"right_hip": "RightUpLeg", "right_knee": "RightLeg", "right_ankle": "RightFoot"},
        **{"left_shoulder": "LeftArm", "left_elbow": "LeftForeArm", "left_wrist": "LeftHand"},
        **{"right_shoulder": "RightArm", "right_elbow": "RightForeArm"},
        **{"right_wrist": "RightHand", "thorax": "Neck"},
        **{"left_collar": "LeftShoulder", "right_collar": "RightShoulder"},
    },
    "bandai": {
        **{"pelvis": "Hips", "spine": "Spine", "chest": "Chest", "thorax": "Neck", "head": "Head"},
        **{"left_hip": "UpperLeg_L", "left_knee": "LowerLeg_L", "left_ankle": "Foot_L"},
        **{"right_hip": "UpperLeg_R", "right_knee": "LowerLeg_R", "right_ankle": "Foot_R"},
        **{"left_shoulder": "UpperArm_L", "left_elbow": "LowerArm_L", "left_wrist": "Hand_L"},
        **{"right_shoulder": "UpperArm_R", "right_elbow": "LowerArm_R", "right_wrist": "Hand_R"},
    },
}
# The conversions of CMU: bones that they dropped have no length, hands begin too early.
DROPPED = {"Neck": 0, "LeftShoulder": 0, "RightShoulder": 0, "LeftHand": 2 / 3, "RightHand": 2 / 3}
NAMES["mixamo"] = {
    key: f"mixamorig:{name}" for key, name in NAMES["cmu_bvh"].items() if key != "neck"
}
ASF_NAMES = {
    **{"left_hip": "lhipjoint", "left_knee": "lfemur", "left_ankle": "ltibia"},
    **{"right_hip": "rhipjoint", "right_knee": "rfemur", "right_ankle": "rtibia"},
    **{"spine": "lowerback", "chest": "upperback", "thorax": "thorax", "neck": "lowerneck"},
    **{"head": "upperneck", "top": "head", "left_shoulder": "lclavicle", "left_elbow": "lhumerus"},
    **{"left_wrist": "lwrist", "right_shoulder": "rclavicle", "right_elbow": "rhumerus"},
    **{"right_wrist": "rwrist"},
}


def body_bvh(
    rig: str,
    path: Path,
    *,
    frames: int = 9,
    unit_m: float = 0.01,
    frame_time: str = ".0333333",
    positions: bool = False,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Write BODY in motion with a rig's names, and with the rig's defects if it is CMU's.

    Args:
        positions: all joints have position channels, and OFFSETs that are not true.

    Returns:
        Where each joint is, (frames, 3) meters, y up.
    """
    names = NAMES[rig]
    parents = {key: parent_in(names, key) for key in BODY if key in names}
    truth, angles, root_m = posed(parents, frames, seed)
    made: dict[str, Bone] = {}
    order = "Zrotation Xrotation Yrotation"
    moves = "Xposition Yposition Zposition "
    for key in parents:
        parent = parents[key]
        offset = np.array(BODY[key][1]) - (0 if parent is None else np.array(BODY[parent][1]))
        offset = offset / unit_m
        channels = (moves if positions or parent is None else "") + order
        shrink = DROPPED.get(names[key], 1) if rig == "cmu_bvh" else 1
        wrong = (0.0, 0.0, 7.0) if positions else tuple(shrink * offset)
        made[key] = Bone(names[key], wrong if parent else (0, 0, 0), channels)
        made[key].true = offset  # type: ignore[attr-defined]
        if parent is not None:
            made[parent].children.append(made[key])
    for bone in made.values():
        if not bone.children:
            bone.end = (0.0, 0.1 / unit_m, 0.0)
    root = made["pelvis"]
    key_of = {bone.name: key for key, bone in made.items()}
    rows = []
    for frame in range(frames):
        row: list[float] = []
        for bone in bones(root):
            key = key_of[bone.name]
            if key == "pelvis":
                row += list(root_m[frame] / unit_m)
            elif positions:
                row += list(bone.true)  # type: ignore[attr-defined]
            row += list(angles[key][frame].as_euler("ZXY", degrees=True))
        rows.append(row)
    if rig == "cmu_bvh":  # a T-pose
        rows.insert(0, rows[0][:3] + [0.0] * (len(rows[0]) - 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(bvh(root, np.array(rows), frame_time), encoding="latin-1")
    return truth


def parent_in(names: dict[str, str], key: str) -> str | None:
    """The nearest joint above that a rig has."""
    parent = BODY[key][0]
    while parent is not None and parent not in names:
        parent = BODY[parent][0]
    return parent


def posed(
    parents: dict[str, str | None], frames: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Rotation], np.ndarray]:
    """Where the joints of BODY are in each frame, and the local rotations that put them there."""
    random = np.random.default_rng(seed)
    swing = np.sin(np.linspace(0, 3, frames))
    angles, axes, truth = {}, {}, {}
    root_m = np.stack([0.3 * swing, 0.95 + 0.02 * swing, np.linspace(0, 1, frames)], axis=1)
    for key, parent in parents.items():
        turn = np.zeros((frames, 3))
        turn[:, 0] = HINGES.get(key, 0) * swing
        turn += random.normal(0, 3, 3)
        angles[key] = Rotation.from_euler("xyz", turn, degrees=True)
        if parent is None:
            axes[key], truth[key] = angles[key], root_m
            continue
        axes[key] = axes[parent] * angles[key]
        offset = np.array(BODY[key][1]) - np.array(BODY[parent][1])
        truth[key] = truth[parent] + axes[parent].apply(offset)
    return truth, angles, root_m


ASF_AXES = {"left_knee": (0, 0, 20), "right_elbow": (180, 30, 90), "left_wrist": (0, 90, 90)}


def body_asf(path: Path, *, angle: str = "deg") -> None:
    """Write the skeleton of BODY as an ASF of CMU: inches over 0.45, a bone to each joint."""
    unit_m = 0.0254 / 0.45
    lines = ["# made for a test", ":version 1.10", ":name VICON", ":units", "  mass 1.0"]
    lines += ["  length 0.45", f"  angle {angle}", ":documentation", "   .asf made by a test"]
    lines += [":root", "   order TX TY TZ RX RY RZ", "   axis XYZ", "   position 0 0 0  "]
    lines += ["   orientation 0 0 0 ", ":bonedata"]
    above = {key: parent_in(ASF_NAMES | {"pelvis": "root"}, key) for key in ASF_NAMES}
    for number, (key, name) in enumerate(ASF_NAMES.items(), 1):
        offset = np.array(BODY[key][1]) - np.array(BODY[above[key] or ""][1])
        length = np.linalg.norm(offset)
        axis = np.array(ASF_AXES.get(key, (0, 0, 0)), dtype=float)
        axis = np.radians(axis) if angle == "rad" else axis
        lines += ["  begin", f"     id {number} ", f"     name {name}"]
        lines += [f"     direction {' '.join(f'{v:.9f}' for v in offset / length)} "]
        lines += [f"     length {length / unit_m:.9f} "]
        lines += [f"     axis {' '.join(f'{v:.9f}' for v in axis)}  XYZ"]
        lines += ["    dof rx ry rz", "    limits (-1.0 1.0)", "           (-1.0 1.0)"]
        lines += ["           (-1.0 1.0)", "  end"]
    lines += [":hierarchy", "  begin"]
    children: dict[str, list[str]] = {}
    for key, name in ASF_NAMES.items():
        children.setdefault(ASF_NAMES.get(above[key] or "", "root"), []).append(name)
    lines += [f"    {' '.join([parent, *names])}" for parent, names in children.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\r\n".join([*lines, "  end", ""]).encode("latin-1"))


def body_amc(
    path: Path, *, frames: int = 9, angle: str = "DEGREES", seed: int = 0
) -> dict[str, np.ndarray]:
    """Write a motion of `body_asf`; returns where each joint is, (frames, 3) meters, y up."""
    unit_m = 0.0254 / 0.45
    # a bone of an ASF turns at its start: the angles of a joint of BODY are those of its bone
    names = ASF_NAMES | {"pelvis": "root"}
    parents = {key: parent_in(names, key) for key in BODY if key in names}
    random = np.random.default_rng(seed)
    swing = np.sin(np.linspace(0, 3, frames))
    root_m = np.stack([0.3 * swing, 0.95 + 0.02 * swing, np.linspace(0, 1, frames)], axis=1)
    turns = {}
    for key in parents:
        turns[key] = random.normal(0, 3, (frames, 3))
        turns[key][:, 0] += HINGES.get(key, 0) * swing
    axes, truth = {}, {"pelvis": root_m}
    for key, parent in parents.items():
        turn = Rotation.from_euler("xyz", turns[key], degrees=True)
        if parent is None:
            axes[key] = turn
            continue
        own = Rotation.from_euler("xyz", ASF_AXES.get(key, (0, 0, 0)), degrees=True)
        axes[key] = axes[parent] * own * turn * own.inv()
        offset = np.array(BODY[key][1]) - np.array(BODY[parent][1])
        truth[key] = truth[parent] + axes[key].apply(offset)
    lines = [r"#!OML:ASF X:\f" + "\xfcr\\Bonn.ASF", ":FULLY-SPECIFIED", f":{angle}"]
    for frame in range(frames):
        lines.append(str(frame + 1))
        for key in parents:
            values = turns[key][frame]
            values = np.radians(values) if angle == "RADIANS" else values
            words = [f"{value:.9f}" for value in values]
            if key == "pelvis":
                words = [f"{value:.9f}" for value in root_m[frame] / unit_m] + words
            lines.append(" ".join([names[key], *words]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\r\n".join([*lines, ""]).encode("latin-1"))
    return truth


def z_up(points: np.ndarray) -> np.ndarray:
    """(..., 3) from y up to z up, left staying left."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


# A BVH of two joints, of no human rig.
SMALL = """HIERARCHY
ROOT hips
{
  OFFSET 0 0 0
  CHANNELS 3 Zrotation Yrotation Xrotation
  JOINT knee
  {
    OFFSET 0 1 0
    CHANNELS 1 Xrotation
    End Site
    {
      OFFSET 0 1 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.1
1 2 3 4
5 6 7 8
"""
