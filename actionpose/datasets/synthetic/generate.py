"""Procedural human motion with labels: 17 joints, any amount, under no license but ours.

The movements are tables in `synthetic_actions`, the body is `synthetic_body`; here the one moves
the other. Speed, amplitude, side, posture, body and a slow noise on every joint are drawn anew for
each motion, so that no two are alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.corpus import Kind
from actionpose.datasets.synthetic.animation import OTHER, interpolate, play
from actionpose.datasets.synthetic.body import SIDES, Array, pose_body, sample_body
from actionpose.datasets.synthetic.movements import MOVEMENTS, Gait, Gesture, Keyed
from actionpose.utils.errors import UserError

ACTIONS: tuple[str, ...] = tuple(MOVEMENTS)
NUM_SUBJECTS = 1000
TRANSITION = "transition"  # the `action` of two movements one after the other

_SUBJECT_SEED = 17  # a subject's number alone decides the body
# A data set has more of what real motion has most of, and of what is most varied.
_COMMON = ("walk", "run", "dance", "free", "walk", "run", "jump", "dance", "walk", "sit")
_SCHEDULE = (*ACTIONS, *_COMMON, *[TRANSITION] * 8)

# Standard deviations, in degrees or leg lengths: slow random drift of a channel, which comes with a
# constant offset 1.5 times that (the person's posture), and how the feet are put once and for all.
_DRIFT = {
    **{"x": 0.010, "y": 0.010, "z": 0.005, "pitch": 1.5, "roll": 1.0, "yaw": 1.5},
    **{"bend": 2.5, "side": 1.5, "twist": 2.0, "nod": 4.5, "tilt": 2.5, "turn": 6.0},
    **{"arm_fwd": 3.5, "arm_out": 3.0, "arm_twist": 8.0, "elbow": 5.0},
}
_STANCE = {"foot_x": 0.02, "foot_out": 0.012, "toe_out": 6.0, "knee_out": 4.0}


@dataclass(frozen=True)
class Motion:
    """What one synthetic person does, and what to call it."""

    joints_m: NDArray[np.float32]  # (T, 17, 3) meters, world, z up, floor at z = 0
    text: str
    action: str
    subject: str
    labels: tuple[tuple[int, int, str, Kind], ...] = ()  # first frame, one past the last, text


def _add_style(posture: dict[str, Array], rng: np.random.Generator, fps: float) -> None:
    """The person's own posture and restlessness. Where the feet are put stays as it is."""
    time_s = np.arange(len(posture["z"]))[:, None] / fps
    liveliness = rng.uniform(0.4, 1.6)
    for name in posture:
        part = name.removeprefix("left_").removeprefix("right_")
        if part in _DRIFT:
            waves = np.sin(2 * np.pi * (rng.uniform(0.1, 1.2, 3) * time_s + rng.random(3)))
            drift = liveliness * waves @ rng.normal(0, 0.8, 3) + rng.normal(0, 1.5)
            posture[name] = posture[name] + _DRIFT[part] * drift
        elif part in _STANCE:
            posture[name] = posture[name] + rng.normal(0, _STANCE[part])


def motion(
    action: str,
    rng: np.random.Generator,
    *,
    fps: float = 30.0,
    duration_s: float | None = None,
) -> Motion:
    """A random motion of an action, by a random person, somewhere, in a random direction.

    Args:
        action: one of `ACTIONS`.
        rng: where all randomness comes from.
        duration_s: as long as that, to the frame; by default as long as the movement takes, 1.5 to
            6 s mostly. What is much too long for it is cut off at the end.

    Raises:
        UserError: there is no such action.
    """
    if action not in MOVEMENTS:
        raise UserError(f"there is no synthetic action {action!r}; there are {', '.join(ACTIONS)}")
    subject = int(rng.integers(NUM_SUBJECTS))
    body = sample_body(np.random.default_rng([_SUBJECT_SEED, subject]))
    move = MOVEMENTS[action][rng.integers(len(MOVEMENTS[action]))]
    mirrored = bool(rng.integers(2))
    posture = play(move, mirrored, body, rng, fps, duration_s)
    _add_style(posture, rng, fps)
    text = _text(move, mirrored)
    frames = len(posture["z"])
    return Motion(
        joints_m=_somewhere(pose_body(body, posture), rng),
        text=text,
        action=action,
        subject=f"synthetic_{subject:03d}",
        labels=((0, frames, text, "action"),),
    )


def _text(move: Keyed | Gait | Gesture, mirrored: bool) -> str:
    side = "right" if mirrored else "left"
    return move.text.format(side=side, other=OTHER[side])


def _somewhere(joints_m: Array, rng: np.random.Generator) -> NDArray[np.float32]:
    """The motion in a random direction, at a random place."""
    heading = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(heading), np.sin(heading)
    joints_m = joints_m @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    joints_m[..., :2] += rng.uniform(-2, 2, size=2)
    return joints_m.astype(np.float32)


def _station(pose: str) -> str:
    """What a pose rests on: who changes it, needs a movement of its own."""
    for name in ("sit_back", "sit"):  # sit_back is squatting down to the floor
        if pose.startswith(name):
            return (
                {"sit_back": "stand", "sit": "chair"}[name] if pose != "sit_back_lean" else "chair"
            )
    stations = {
        "floor": ("floor_sit", "floor_knees", "floor_long", "side_sit"),
        "supine": ("supine", "supine_knees"),
        "kneel": ("kneel", "kneel_sit", "all_fours"),
        "prone": ("prone",),
        "apart": ("side_lying", "plank", "half_kneel", "squat"),
    }
    return next((name for name, poses in stations.items() if pose in poses), "stand")


def _ends(move: Keyed | Gait | Gesture) -> tuple[str, str]:
    """Where a movement begins and ends."""
    if isinstance(move, Gait):
        return "stand", "stand"
    if isinstance(move, Gesture):
        return _station(move.rest), _station(move.rest)
    keys = move.keys.replace("(", "").replace(")", "").split()
    name, _, seconds = keys[0].partition(":")
    first = name if float(seconds) == 0 else move.rest
    return _station(first), _station(keys[-1].partition(":")[0])


def transition(rng: np.random.Generator, *, fps: float = 30.0) -> Motion:
    """Two movements of one person, one after the other, and the change between them.

    The second begins in the station (standing, on a chair, on the floor, ...) in which the first
    ends. Its labels are both actions, and the whole as "transit from A to B".

    Args:
        rng: where all randomness comes from.
    """
    subject = int(rng.integers(NUM_SUBJECTS))
    body = sample_body(np.random.default_rng([_SUBJECT_SEED, subject]))
    everything = [(move, *_ends(move)) for moves in MOVEMENTS.values() for move in moves]
    stations = [s for s in ("stand", "chair", "floor", "supine", "kneel", "prone")]
    station = stations[int(rng.choice(len(stations), p=(0.4, 0.26, 0.1, 0.08, 0.12, 0.04)))]
    first = [move for move, _, end in everything if end == station]
    second = [move for move, begin, _ in everything if begin == station]
    a, b = first[rng.integers(len(first))], second[rng.integers(len(second))]
    while b is a:
        b = second[rng.integers(len(second))]
    postures, texts = [], []
    for move in (a, b):
        mirrored = bool(rng.integers(2))
        if isinstance(move, Gait):
            move = replace(move, ramp=1.0)  # at rest where it meets the other
        postures.append(play(move, mirrored, body, rng, fps, None))
        texts.append(_text(move, mirrored))
    joined, frames_a, frames_between = join(postures[0], postures[1], rng, fps)
    _add_style(joined, rng, fps)
    total = len(joined["z"])
    whole = f"transit from {texts[0]} to {texts[1]}"
    return Motion(
        joints_m=_somewhere(pose_body(body, joined), rng),
        text=f"{texts[0]}, then {texts[1]}",
        action=TRANSITION,
        subject=f"synthetic_{subject:03d}",
        labels=(
            (0, frames_a, texts[0], "action"),
            (frames_a + frames_between, total, texts[1], "action"),
            (0, total, whole, "transition"),
        ),
    )


def join(
    first: dict[str, Array], second: dict[str, Array], rng: np.random.Generator, fps: float
) -> tuple[dict[str, Array], int, int]:
    """Let one posture track go over into another, at the feet and in the direction it ends with.

    Returns:
        The channels, and the frames of the first and of the change.
    """
    turn = np.deg2rad(first["yaw"][-1] - second["yaw"][0])
    ends = [_feet(first)[:, -1].mean(axis=0), _feet(second)[:, 0].mean(axis=0)]
    moved = _placed(second, turn, ends)
    keys = [{name: float(values[-1]) for name, values in first.items()}]
    keys += [{name: float(values[0]) for name, values in moved.items()}]
    seconds = rng.uniform(0.35, 0.9)
    time_s = np.arange(1, max(3, round(seconds * fps)) + 1) / fps
    key_times_s = np.array([-1.0, 0.0, seconds, seconds + 1])
    between = interpolate(key_times_s, [keys[0], *keys, keys[1]], time_s)
    joined = {name: np.concatenate([first[name], between[name], moved[name]]) for name in first}
    return joined, len(first["z"]), len(time_s)


def _feet(posture: dict[str, Array]) -> Array:
    """(2, T, 2) where the feet are, x and y in leg lengths."""
    feet = [
        np.stack([posture[f"{side}_foot_x"], sign * posture[f"{side}_foot_out"]], axis=-1)
        for side, sign in SIDES.items()
    ]
    return np.stack(feet)


def _placed(posture: dict[str, Array], turn: float, ends: list[Array]) -> dict[str, Array]:
    """A track turned by an angle, with what was at `ends[1]` at `ends[0]`."""
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


def dataset(num_motions: int, seed: int, fps: float = 30.0) -> Iterator[Motion]:
    """Motions of all actions in turn, common ones more often, and transitions between them.

    Motion i follows from seed and i.
    """
    for i in range(num_motions):
        action = _SCHEDULE[i % len(_SCHEDULE)]
        rng = np.random.default_rng([seed, i])
        yield (transition(rng, fps=fps) if action == TRANSITION else motion(action, rng, fps=fps))
