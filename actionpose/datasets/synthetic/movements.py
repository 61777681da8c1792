"""Movements of procedural motions, from the table `movements.yaml`; a new action is rows there.

Three kinds of movement: `Keyed` plays key poses by name, `Gait` steps along a path, `Gesture` moves
the arms freely.
"""

from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True)
class Keyed:
    """Key poses one after another. Of one side: written for the left, mirrored for the right."""

    text: str  # {side} is the side that moves, {other} the other one
    # "pose:seconds from the pose before" each, with "(...)" around what is repeated; the first one
    # follows on standing, unless its 0 seconds say that it is where the motion begins
    keys: str
    cycles: tuple[int, int] = (1, 1)  # how often the repeated part is played
    amplitude: tuple[float, float] = (0.85, 1.1)  # of the way from standing to a key pose
    tempo: tuple[float, float] = (0.75, 1.3)  # factor on the seconds
    rest: str = "stand"


@dataclass(frozen=True)
class Gesture:
    """The arms go from one random posture to the next, the torso goes along."""

    text: str
    low: tuple[float, float, float, float] = (10, 0, -40, 40)  # arm_fwd, arm_out, arm_twist, elbow
    high: tuple[float, float, float, float] = (65, 40, 30, 115)
    seconds: tuple[float, float] = (0.35, 1.0)  # from one posture to the next
    torso_deg: float = 6.0
    moving: float = 0.75  # probability of an arm to move on, rather than hold
    rest: str = "stand"
    step: float = 0.0  # probability of the feet to step, too
    sink: float = 0.01  # how far the pelvis comes down, leg lengths


@dataclass(frozen=True)
class Gait:
    """Steps along a path. Speeds are ranges, in m/s and degrees/s; {side} is left for positive."""

    text: str
    speed: tuple[float, float] = (0.0, 0.0)  # forward
    sideways: tuple[float, float] = (0.0, 0.0)
    turn: tuple[float, float] = (-4.0, 4.0)
    strides_hz: tuple[float, float] | None = None  # None: from the speed, as people walk
    duty: float = 0.62  # the fraction of a stride for which a foot is on the floor
    lift: float = 0.09  # of the foot in the air, leg lengths
    heel: float = 60.0  # when the toes leave the floor, degrees
    height: float = 0.955  # of the pelvis, leg lengths
    bob: float = 0.018  # of the pelvis, leg lengths; positive is highest over the foot
    pitch: float = 3.0
    bend: float = 3.0
    arm_swing: float = 20.0
    elbow: float = 22.0
    in_place: bool = False  # steps even if it gets nowhere
    ramp: float = 0.35  # probability of starting, and of ending, at rest
    arms: Gesture | None = None  # what the arms and the torso do instead of swinging
    carry: str = ""  # a pose whose arms, where they differ from standing, stay like that


Movement = Keyed | Gait | Gesture
_KINDS = {"keyed": Keyed, "gait": Gait, "gesture": Gesture}


def _movement(row: dict[str, Any]) -> Movement:
    """A row: its kind with its text, then its settings."""
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
