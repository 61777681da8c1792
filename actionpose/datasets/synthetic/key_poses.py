"""Key poses of procedural motions, from the table `key_poses.txt`, one per line."""

from importlib import resources

KeyPose = dict[str, float]  # values of all or some channels

ARM = ("arm_fwd", "arm_out", "arm_twist", "elbow")
_SIDES = ("left", "right")
_FOOT = ("foot_x", "foot_lift", "heel")
_FOOT_OUT = 0.12  # of a standing foot
_STAND: KeyPose = dict.fromkeys(
    ("x", "y", "yaw", "pitch", "roll", "bend", "side", "twist", "nod", "tilt", "turn"), 0.0
) | {"z": 0.998}
_STANDING_SIDE: KeyPose = {
    **{"arm_fwd": -2.0, "arm_out": 9.0, "arm_twist": -8.0, "elbow": 25.0},
    **{"foot_x": 0.0, "foot_out": _FOOT_OUT, "foot_lift": 0.0, "toe_out": 8.0, "heel": 0.0},
    **{"knee_out": 6.0, "free": 0.0},
}
for _side in _SIDES:
    _STAND |= {f"{_side}_{part}": value for part, value in _STANDING_SIDE.items()}


def _read_poses() -> dict[str, KeyPose]:
    table = resources.files("actionpose.datasets.synthetic") / "key_poses.txt"
    poses: dict[str, KeyPose] = {}
    for line in table.read_text("utf-8").replace("\n   ", " ").splitlines():
        if line.startswith("#"):
            continue
        head, _, fields = line.partition(":")
        name, *like = head.replace(" like ", " ").split()
        pose = dict(poses[like[0]] if like else _STAND)
        words = fields.split()
        for field, text in zip(words[::2], words[1::2], strict=True):
            values = [float(value) for value in text.split(",")]
            side, _, part = field.partition("_")
            if len(values) > 1:
                channels = ARM if field in ("arms", "left_arm", "right_arm") else _FOOT
                sides = (side,) if part else _SIDES
                pose |= {
                    f"{s}_{c}": v for s in sides for c, v in zip(channels, values, strict=True)
                }
            elif field == "wide":
                pose |= {f"{s}_foot_out": _FOOT_OUT + values[0] for s in _SIDES}
            else:
                assert field in pose or field == "advance", f"no channel {field}"
                pose[field] = values[0]
        for s in _SIDES:
            pose[f"{s}_free"] = float(pose[f"{s}_foot_lift"] > 0)
        poses[name] = pose
    return poses


POSES = _read_poses()
STAND = POSES["stand"]
