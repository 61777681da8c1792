"""Movements of procedural motions, from the table `movements.yaml`; rows define an action.

There are three kinds of movements: `Keyed` plays key poses by name, `Gait` steps along a path, and
`Gesture` moves the arms at random.
"""

from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True)
class Keyed:
    """A sequence of key poses, for the left side if one-sided, and mirrored for the right side."""

    text: str  # {side} is the moving side, {other} the other side
    # items "pose:seconds from the previous pose", with "(...)" around the repeated part; the first
    # pose follows standing, unless it has 0 seconds, in which case the motion starts with it
    keys: str
    cycles: tuple[int, int] = (1, 1)  # number of repetitions
    amplitude: tuple[float, float] = (0.85, 1.1)  # fraction of the way from standing to a key pose
    tempo: tuple[float, float] = (0.75, 1.3)  # factor of the seconds
    rest: str = "stand"


@dataclass(frozen=True)
class Gesture:
    """Arms that move between random postures, with an accompanying torso."""

    text: str
    low: tuple[float, float, float, float] = (10, 0, -40, 40)  # arm_fwd, arm_out, arm_twist, elbow
    high: tuple[float, float, float, float] = (65, 40, 30, 115)
    seconds: tuple[float, float] = (0.35, 1.0)  # from one posture to the next
    torso_deg: float = 6.0
    moving: float = 0.75  # probability that an arm moves instead of holding
    rest: str = "stand"
    step: float = 0.0  # probability that the feet also step
    sink: float = 0.01  # lowering of the pelvis in leg lengths


@dataclass(frozen=True)
class Gait:
    """Steps along a path. Speeds are ranges in m/s and degrees/s; {side} is left if positive."""

    text: str
    speed: tuple[float, float] = (0.0, 0.0)  # forward
    sideways: tuple[float, float] = (0.0, 0.0)
    turn: tuple[float, float] = (-4.0, 4.0)
    strides_hz: tuple[float, float] | None = None  # None: derived from the speed, as in human gait
    duty: float = 0.62  # fraction of a stride in which a foot is on the floor
    lift: float = 0.09  # of the swing foot, leg lengths
    heel: float = 60.0  # at toe-off, degrees
    height: float = 0.955  # of the pelvis, leg lengths
    bob: float = 0.018  # of the pelvis, leg lengths; positive if highest over the foot
    pitch: float = 3.0
    bend: float = 3.0
    arm_swing: float = 20.0
    elbow: float = 22.0
    in_place: bool = False  # whether steps are made without moving forward
    ramp: float = 0.35  # probability of starting, and of ending, at rest
    arms: Gesture | None = None  # gesture of arms and torso instead of the arm swing
    carry: str = ""  # key pose whose arms are kept where they differ from standing


Movement = Keyed | Gait | Gesture
_KINDS = {"keyed": Keyed, "gait": Gait, "gesture": Gesture}


def _movement(row: dict[str, Any]) -> Movement:
    """A row with the kind and its text, followed by settings."""
    (kind, text), *settings = row.items()
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in settings
    }
    if "arms" in values:
        values["arms"] = _movement(values["arms"])
    return _KINDS[kind](text, **values)


def _read_movements() -> dict[str, tuple[Movement, ...]]:
    table = resources.files("actionpose.datasets.synthetic") / "movements.yaml"
    actions = yaml.safe_load(table.read_text("utf-8"))
    return {action: tuple(map(_movement, rows)) for action, rows in actions.items()}


MOVEMENTS = _read_movements()
"""The movements of each action."""
