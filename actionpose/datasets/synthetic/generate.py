"""Procedural human motion with labels: 17 joints, in any amount, without third-party licenses.

The movements are tables in `movements.py`, and the body is `body.py`. Speed, amplitude, side,
posture, body and a slow noise of all joints are drawn for each motion, so that all motions differ.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.corpus import Kind
from actionpose.datasets.synthetic.animation import Posture, interpolate, play
from actionpose.datasets.synthetic.body import SIDES, Body, pose_body, sample_body
from actionpose.datasets.synthetic.movements import MOVEMENTS, Gait, Gesture, Movement
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array

ACTIONS: tuple[str, ...] = tuple(MOVEMENTS)
NUM_SUBJECTS = 1000
TRANSITION = "transition"  # the `action` of two movements in sequence

_SUBJECT_SEED = 17  # the number of a subject determines the body
# Common and varied actions are more frequent in a dataset.
_COMMON = ("walk", "run", "dance", "free", "walk", "run", "jump", "dance", "walk", "sit")
_SCHEDULE = (*ACTIONS, *_COMMON, *[TRANSITION] * 8)

# Standard deviations in degrees or leg lengths: of the slow random drift of a channel, which has a
# constant offset of 1.5 times this value (the person's posture), and of the foot placement, which
# is constant.
_DRIFT = {
    **{"x": 0.010, "y": 0.010, "z": 0.005, "pitch": 1.5, "roll": 1.0, "yaw": 1.5},
    **{"bend": 2.5, "side": 1.5, "twist": 2.0, "nod": 4.5, "tilt": 2.5, "turn": 6.0},
    **{"arm_fwd": 3.5, "arm_out": 3.0, "arm_twist": 8.0, "elbow": 5.0},
}
_STANCE = {"foot_x": 0.02, "foot_out": 0.012, "toe_out": 6.0, "knee_out": 4.0}


# The support of a key pose: changing it requires a separate movement. Other poses named sit are on
# a chair, and all others are standing.
_STATIONS = {
    "stand": ("sit_back",),  # squatting down to the floor
    "floor": ("floor_sit", "floor_knees", "floor_long", "side_sit"),
    "supine": ("supine", "supine_knees"),
    "kneel": ("kneel", "kneel_sit", "all_fours"),
    "prone": ("prone",),
    "apart": ("side_lying", "plank", "half_kneel", "squat"),
}
_STATION_OF = {pose: station for station, poses in _STATIONS.items() for pose in poses}
_STATION_PROBABILITY = {
    **{"stand": 0.4, "chair": 0.26, "floor": 0.1},
    **{"supine": 0.08, "kneel": 0.12, "prone": 0.04},
}


@dataclass(frozen=True)
class SyntheticMotion:
    """The motion of one synthetic person, with its labels."""

    joints_m: NDArray[np.float32]  # (T, 17, 3) meters, world, z up, floor at z = 0
    text: str
    action: str
    subject: str
    labels: tuple[tuple[int, int, str, Kind], ...] = ()  # first frame, one past the last, text


def motion(
    action: str,
    rng: np.random.Generator,
    *,
    fps: float = 30.0,
    duration_s: float | None = None,
) -> SyntheticMotion:
    """A random motion of an action, by a random person at a random place in a random direction.

    Args:
        action: One of `ACTIONS`.
        rng: Random generator.
        fps: Frame rate in Hz.
        duration_s: Exact duration in seconds. By default that of the movement, mostly 1.5 to 6 s.
            Movements that are much longer are cut at the end.

    Raises:
        UserError: If the action does not exist.
    """
    if action not in MOVEMENTS:
        raise UserError(f"there is no synthetic action {action!r}; there are {', '.join(ACTIONS)}")
    subject, body = _draw_person(rng)
    move = MOVEMENTS[action][rng.integers(len(MOVEMENTS[action]))]
    mirrored = bool(rng.integers(2))
    posture = play(move, mirrored, body, rng, fps, duration_s)
    text = _text(move, mirrored)
    joints_m = _pose_somewhere(body, posture, rng, fps)
    return SyntheticMotion(
        joints_m, text, action, subject, labels=((0, len(joints_m), text, "action"),)
    )


def transition(rng: np.random.Generator, *, fps: float = 30.0) -> SyntheticMotion:
    """Two movements of one person in sequence, with the transition between them.

    The second movement begins with the support (standing, chair, floor, ...) with which the first
    ends. The labels are both actions, and the whole motion as "transit from A to B".

    Args:
        rng: Random generator.
        fps: Frame rate in Hz.
    """
    subject, body = _draw_person(rng)
    movements = [(move, *_ends(move)) for moves in MOVEMENTS.values() for move in moves]
    stations, probabilities = zip(*_STATION_PROBABILITY.items(), strict=True)
    station = stations[int(rng.choice(len(stations), p=probabilities))]
    first = [move for move, _, end in movements if end == station]
    second = [move for move, begin, _ in movements if begin == station]
    a, b = first[rng.integers(len(first))], second[rng.integers(len(second))]
    while b is a:
        b = second[rng.integers(len(second))]
    postures, texts = [], []
    for move in (a, b):
        mirrored = bool(rng.integers(2))
        if isinstance(move, Gait):
            move = replace(move, ramp=1.0)  # at rest at the transition
        postures.append(play(move, mirrored, body, rng, fps, None))
        texts.append(_text(move, mirrored))
    joined, frames_a, frames_between = join(postures[0], postures[1], rng, fps)
    joints_m = _pose_somewhere(body, joined, rng, fps)
    total = len(joints_m)
    return SyntheticMotion(
        joints_m,
        text=f"{texts[0]}, then {texts[1]}",
        action=TRANSITION,
        subject=subject,
        labels=(
            (0, frames_a, texts[0], "action"),
            (frames_a + frames_between, total, texts[1], "action"),
            (0, total, f"transit from {texts[0]} to {texts[1]}", "transition"),
        ),
    )


def _draw_person(rng: np.random.Generator) -> tuple[str, Body]:
    """The id and body of a random subject."""
    subject = int(rng.integers(NUM_SUBJECTS))
    return f"synthetic_{subject:03d}", sample_body(np.random.default_rng([_SUBJECT_SEED, subject]))


def _text(move: Movement, mirrored: bool) -> str:
    side, other = ("right", "left") if mirrored else ("left", "right")
    return move.text.format(side=side, other=other)


def _ends(move: Movement) -> tuple[str, str]:
    """The supports with which a movement begins and ends."""
    if isinstance(move, Gait):
        return "stand", "stand"
    if isinstance(move, Gesture):
        return _station(move.rest), _station(move.rest)
    keys = move.keys.replace("(", "").replace(")", "").split()
    name, _, seconds = keys[0].partition(":")
    first = name if float(seconds) == 0 else move.rest
    return _station(first), _station(keys[-1].partition(":")[0])


def _station(pose: str) -> str:
    return _STATION_OF.get(pose) or ("chair" if pose.startswith("sit") else "stand")


def _pose_somewhere(
    body: Body, posture: Posture, rng: np.random.Generator, fps: float
) -> NDArray[np.float32]:
    """Joints with a random style, direction and place."""
    joints_m = pose_body(body, _with_style(posture, rng, fps))
    heading = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(heading), np.sin(heading)
    joints_m = joints_m @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    joints_m[..., :2] += rng.uniform(-2, 2, size=2)
    return joints_m.astype(np.float32)


def _with_style(posture: Posture, rng: np.random.Generator, fps: float) -> Posture:
    """Add the posture and the movement noise of a person, with a constant foot placement."""
    time_s = np.arange(len(posture["z"]))[:, None] / fps
    liveliness = rng.uniform(0.4, 1.6)
    styled = dict(posture)
    for name in posture:
        part = name.removeprefix("left_").removeprefix("right_")
        if part in _DRIFT:
            waves = np.sin(2 * np.pi * (rng.uniform(0.1, 1.2, 3) * time_s + rng.random(3)))
            drift = liveliness * waves @ rng.normal(0, 0.8, 3) + rng.normal(0, 1.5)
            styled[name] = posture[name] + _DRIFT[part] * drift
        elif part in _STANCE:
            styled[name] = posture[name] + rng.normal(0, _STANCE[part])
    return styled


def join(
    first: Posture, second: Posture, rng: np.random.Generator, fps: float
) -> tuple[Posture, int, int]:
    """Join two posture tracks, aligned in foot position and direction.

    Returns:
        The channels, and the number of frames of the first track and of the transition.
    """
    turn = np.deg2rad(first["yaw"][-1] - second["yaw"][0])
    ends = [_feet(first)[:, -1].mean(axis=0), _feet(second)[:, 0].mean(axis=0)]
    moved = _placed(second, turn, ends)
    last = {name: float(values[-1]) for name, values in first.items()}
    next_ = {name: float(values[0]) for name, values in moved.items()}
    seconds = rng.uniform(0.35, 0.9)
    time_s = np.arange(1, max(3, round(seconds * fps)) + 1) / fps
    key_times_s = np.array([-1.0, 0.0, seconds, seconds + 1])
    between = interpolate(key_times_s, [last, last, next_, next_], time_s)
    joined = {name: np.concatenate([first[name], between[name], moved[name]]) for name in first}
    return joined, len(first["z"]), len(time_s)


def _feet(posture: Posture) -> Array:
    """(2, T, 2) Feet positions x and y in leg lengths."""
    feet = [
        np.stack([posture[f"{side}_foot_x"], sign * posture[f"{side}_foot_out"]], axis=-1)
        for side, sign in SIDES.items()
    ]
    return np.stack(feet)


def _placed(posture: Posture, turn: float, ends: list[Array]) -> Posture:
    """Rotate a track by an angle, and move the point `ends[1]` to `ends[0]`."""
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])

    def at(points: Array) -> Array:
        return (points - ends[1]) @ rotation + ends[0]

    pelvis = at(np.stack([posture["x"], posture["y"]], axis=-1))
    moved = {**posture, "x": pelvis[:, 0], "y": pelvis[:, 1]}
    moved["yaw"] = posture["yaw"] + np.rad2deg(turn)
    for (side, sign), foot in zip(SIDES.items(), at(_feet(posture)), strict=True):
        moved[f"{side}_foot_x"], moved[f"{side}_foot_out"] = foot[:, 0], sign * foot[:, 1]
        moved[f"{side}_toe_out"] = posture[f"{side}_toe_out"] + sign * np.rad2deg(turn)
    return moved


def dataset(
    num_motions: int, seed: int, fps: float = 30.0, *, actions: Sequence[str] = ()
) -> Iterator[SyntheticMotion]:
    """Generate motions of the actions in turn. Motion i is a function of seed, i and the actions.

    Args:
        num_motions: Number of motions.
        seed: Random seed.
        fps: Frame rate in Hz.
        actions: Elements of `ACTIONS`, and `TRANSITION` for transitions between any of them. By
            default all, with common ones more often.

    Raises:
        UserError: If an action does not exist.
    """
    schedule = actions or _SCHEDULE
    for i in range(num_motions):
        action = schedule[i % len(schedule)]
        rng = np.random.default_rng([seed, i])
        yield transition(rng, fps=fps) if action == TRANSITION else motion(action, rng, fps=fps)
