"""Channels over time, as required by `body.py`, from the movements of `movements.py`.

Speed, amplitude, side and timing are drawn for each motion. T frames.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from actionpose.datasets.synthetic.body import SIDES, Body
from actionpose.datasets.synthetic.key_poses import ARM, POSES, STAND, KeyPose
from actionpose.datasets.synthetic.movements import Gait, Gesture, Keyed, Movement
from actionpose.skeletons import mirror_name
from actionpose.utils.typing import Array

MIRRORED_SIGN = ("y", "yaw", "roll", "side", "twist", "tilt", "turn")

Posture = dict[str, Array]  # (T,) for each channel


def play(
    move: Movement,
    mirrored: bool,
    body: Body,
    rng: np.random.Generator,
    fps: float,
    duration_s: float | None,
) -> Posture:
    """The channels of a movement, each (T,).

    Args:
        move: Movement.
        mirrored: Whether the movement is for the right side.
        body: Body, whose sizes affect gaits.
        rng: Random generator.
        fps: Frame rate in Hz.
        duration_s: Exact duration in seconds, or None for that of the movement.
    """
    if isinstance(move, Keyed):
        return _play_keyed(move, mirrored, rng, fps, duration_s)
    if isinstance(move, Gait):
        return _play_gait(move, mirrored, body, rng, fps, duration_s)
    return _play_gesture(move, rng, fps, duration_s)


def _mirror(key: KeyPose) -> KeyPose:
    return {
        mirror_name(name): -value if name in MIRRORED_SIGN else value for name, value in key.items()
    }


def _frames(duration_s: float, fps: float) -> Array:
    """(T,) Times of frames in seconds."""
    return np.arange(max(2, round(duration_s * fps))) / fps


def _ease(x: Array) -> Array:
    """Ease from 0 to 1 with zero velocity at both ends."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def interpolate(key_times_s: Array, keys: list[KeyPose], time_s: Array) -> Posture:
    """Interpolate key poses smoothly. A foot that moves between two of them makes a step."""
    names = list(STAND)
    values = np.array([[key[name] for name in names] for key in keys])
    tracks = dict(zip(names, PchipInterpolator(key_times_s, values)(time_s).T, strict=True))
    fps = 1 / (time_s[1] - time_s[0])
    for name in names:
        if not any(part in name for part in ("foot", "toe", "heel", "free")):
            tracks[name] = gaussian_filter1d(tracks[name], 0.05 * fps, mode="nearest")
    segment = np.clip(np.searchsorted(key_times_s, time_s, "right") - 1, 0, len(keys) - 2)
    phase = (time_s - key_times_s[segment]) / np.diff(key_times_s)[segment]
    bump = np.sin(np.pi * np.clip(phase, 0, 1)) ** 2
    columns = {name: values[:, i] for i, name in enumerate(names)}
    for side in SIDES:
        path = [columns[f"{side}_{part}"] for part in ("foot_x", "foot_out")]
        moved = np.hypot(*np.diff(path, axis=1))
        lifted = columns[f"{side}_foot_lift"]
        step = (moved > 0.01) & (lifted[1:] + lifted[:-1] == 0)
        for name in (f"{side}_foot_x", f"{side}_foot_out"):  # at rest before and after the step
            stepped = columns[name][segment] + _ease(phase) * np.diff(columns[name])[segment]
            tracks[name] = np.where(step[segment], stepped, tracks[name])
        tracks[f"{side}_foot_lift"] = tracks[f"{side}_foot_lift"] + 0.05 * (step[segment] * bump)
        tracks[f"{side}_free"] = np.maximum(tracks[f"{side}_free"], step[segment] * bump)
    return tracks


def _script(keys: str) -> list[tuple[str, float]]:
    """Names of key poses, with the seconds before each."""
    return [(name, float(seconds)) for name, seconds in (key.split(":") for key in keys.split())]


def _play_keyed(
    move: Keyed, mirrored: bool, rng: np.random.Generator, fps: float, duration_s: float | None
) -> Posture:
    first, _, rest = move.keys.partition("(")
    repeated, _, last = rest.partition(")")
    tempo = rng.uniform(*move.tempo)
    cycles = int(rng.integers(move.cycles[0], move.cycles[1] + 1))
    hold_s = rng.uniform(0.1, 0.5, size=2)  # before and after
    if duration_s is not None and repeated:
        once_s = tempo * sum(s for _, s in _script(repeated))
        spare_s = duration_s - hold_s.sum() - tempo * sum(s for _, s in _script(first + last))
        cycles = max(1, round(spare_s / once_s))
    script = _script(first) + _script(repeated) * cycles + _script(last)

    amplitude = rng.uniform(*move.amplitude)
    rest_pose = POSES[move.rest]
    keys: list[KeyPose] = []
    travelled = 0.0
    for name, _ in script:
        pose = POSES[name]
        travelled += amplitude * pose.get("advance", 0.0)
        key = {c: rest_pose[c] + amplitude * (pose[c] - rest_pose[c]) for c in STAND}
        key |= {
            channel: key[channel] + travelled for channel in ("x", "left_foot_x", "right_foot_x")
        }
        key |= {f"{side}_free": pose[f"{side}_free"] for side in SIDES}
        keys.append(_mirror(key) if mirrored else key)
    if script[0][1] == 0:
        script = script[1:]
    else:
        keys.insert(0, rest_pose)

    seconds = np.array([s for _, s in script]) * tempo * rng.uniform(0.85, 1.15, size=len(script))
    if duration_s is not None:
        # motions that are too long are accelerated within limits and then cut; short ones are held
        seconds *= np.clip((duration_s - 0.1) / seconds.sum(), 0.75, 1.0)
        hold_s *= max(0.0, duration_s - seconds.sum()) / hold_s.sum()
    key_times_s = hold_s[0] + np.concatenate([[0], np.cumsum(seconds)])
    total_s = duration_s or key_times_s[-1] + hold_s[1]
    # additional keys beyond both ends, to hold the pose
    key_times_s = np.concatenate([[-1.0], key_times_s, [max(total_s, key_times_s[-1]) + 1.0]])
    return interpolate(key_times_s, [keys[0], *keys, keys[-1]], _frames(total_s, fps))


def _play_gesture(
    move: Gesture, rng: np.random.Generator, fps: float, duration_s: float | None
) -> Posture:
    duration_s = duration_s or rng.uniform(2.0, 6.0)
    rest = POSES[move.rest]
    key_times_s, keys = [-1.0], [rest]
    torso = {"bend": 0.8, "side": 0.6, "twist": 1.0, "turn": 1.0, "nod": 0.7, "pitch": 0.4}
    while key_times_s[-1] < duration_s + 1:
        key_times_s.append(key_times_s[-1] + rng.uniform(*move.seconds))
        before, key = keys[-1], dict(keys[-1])
        arms_alike = rng.random() < 0.3
        arm = rng.uniform(move.low, move.high)
        for side, other in (("left", "right"), ("right", "left")):
            if rng.random() < move.moving:
                arm = arm if arms_alike else rng.uniform(move.low, move.high)
                key |= {f"{side}_{c}": v for c, v in zip(ARM, arm, strict=True)}
            # a foot moves only while the other foot stands
            stands = key[f"{other}_foot_x"] == before[f"{other}_foot_x"]
            if stands and rng.random() < move.step:
                key[f"{side}_foot_x"] = rest[f"{side}_foot_x"] + rng.uniform(-0.16, 0.16)
                key[f"{side}_foot_out"] = rest[f"{side}_foot_out"] + rng.uniform(-0.03, 0.14)
        for channel, factor in torso.items():
            key[channel] = rest[channel] + factor * rng.normal(0, move.torso_deg)
        key["z"] = rest["z"] - move.sink * abs(rng.normal())
        if move.rest == "stand":  # approximately between the feet
            key["y"] = 0.25 * (key["left_foot_out"] - key["right_foot_out"]) + rng.normal(0, 0.025)
        keys.append(key)
    return interpolate(np.array(key_times_s), keys, _frames(duration_s, fps))


@dataclass(frozen=True)
class _Path:
    """Position and heading of a walker over time, in leg lengths and radians."""

    time_s: Array
    x: Array
    y: Array
    yaw: Array
    pace: Array  # 0 at rest, 1 at full speed

    def at(self, time_s: Array) -> tuple[Array, Array, Array]:
        tracks = (self.x, self.y, self.yaw)
        x, y, yaw = (np.interp(time_s, self.time_s, track) for track in tracks)
        return x, y, yaw


def _plan_path(
    move: Gait,
    forward: float,
    sideways: float,
    turn: float,
    duration_s: float,
    rng: np.random.Generator,
) -> _Path:
    """A path at a speed in leg lengths (degrees) per second that may begin and end at rest."""
    step_s = 0.01
    time_s = np.arange(-2, duration_s + 2, step_s)  # beyond both ends, to plan steps ahead
    pace = np.ones_like(time_s)
    ramp_s = min(0.9, 0.35 * duration_s)
    if rng.random() < move.ramp:
        pace *= _ease((time_s - 0.1) / ramp_s)
    if rng.random() < move.ramp:
        pace *= _ease((duration_s - 0.1 - time_s) / ramp_s)
    yaw = np.cumsum(np.deg2rad(turn) * pace) * step_s
    x = np.cumsum(pace * (forward * np.cos(yaw) - sideways * np.sin(yaw))) * step_s
    y = np.cumsum(pace * (forward * np.sin(yaw) + sideways * np.cos(yaw))) * step_s
    return _Path(time_s, x, y, yaw, pace)


def _step_foot(
    move: Gait, path: _Path, phase: Array, hz: float, out: float, sign: float
) -> Posture:
    """The channels of a foot that moves along a path.

    Args:
        move: Gait.
        path: Path of the walker.
        phase: (T,) Strides since a touch-down; the fraction is 0 at touch-down and `duty` at
            toe-off.
        hz: Strides per second; the first frame is at 0 s.
        out: Lateral distance of the foot from the path in leg lengths.
        sign: 1 for the left foot, -1 for the right foot.
    """
    stride = np.floor(phase)
    plants = []
    for count in (0, 1):
        # the body is over the foot before mid-stance: a leg trails farther than it reached ahead
        x, y, yaw = path.at((stride + count + 0.37 * move.duty - phase[0]) / hz)
        plants.append(np.stack([x - sign * out * np.sin(yaw), y + sign * out * np.cos(yaw), yaw]))
    step = plants[1] - plants[0]
    swing = np.clip((phase - stride - move.duty) / (1 - move.duty), 0, 1)
    # the foot leaves the floor with a velocity, and comes to rest on it
    x, y, yaw = plants[0] + (_ease(swing) + swing * (1 - swing) ** 2) * step
    push = np.clip((phase - stride - 0.45 * move.duty) / (0.55 * move.duty), 0, 1) ** 2
    # shorter steps lift the foot less, and a step of length 0 does not lift it
    effort = np.clip(np.hypot(step[0], step[1]) / 0.3 + np.abs(step[2]) / 0.5, 0, 1)
    effort = np.ones_like(effort) if move.in_place else effort
    return {
        "foot_x": x,
        "foot_out": sign * y,
        "toe_out": sign * np.rad2deg(yaw) + STAND["left_toe_out"],
        "foot_lift": effort * move.lift * np.sin(np.pi * swing**0.7) ** 2,
        "heel": effort * move.heel * push * (1 - _ease(swing / 0.7)),
        "free": effort * np.sin(np.pi * swing),
    }


def _play_gait(
    move: Gait,
    mirrored: bool,
    body: Body,
    rng: np.random.Generator,
    fps: float,
    duration_s: float | None,
) -> Posture:
    duration_s = duration_s or rng.uniform(2.0, 3.5 if move.ramp == 1 else 6.0)
    leg = body.leg_m
    size = np.sqrt(leg / 0.84)  # for similar gaits, taller people are faster (Froude number)
    speed, sideways = size * rng.uniform(*move.speed), size * rng.uniform(*move.sideways)
    turn = rng.uniform(*move.turn)
    if mirrored:
        sideways, turn = -sideways, -turn
    # step length divided by steps per minute is 0.0065 m in adults (Sekiya et al. 1996)
    walking_hz = np.sqrt(60 * max(abs(speed), 0.3) / 0.0065) / 120 * rng.uniform(0.92, 1.08)
    hz = (rng.uniform(*move.strides_hz) if move.strides_hz else walking_hz) / size
    path = _plan_path(move, speed / leg, sideways / leg, turn, duration_s, rng)
    time_s = _frames(duration_s, fps)
    x, y, yaw = path.at(time_s)
    pace = np.interp(time_s, path.time_s, path.pace)

    posture = {name: np.full_like(time_s, value) for name, value in STAND.items()}
    strides = hz * time_s + rng.random()  # since a touch-down of the left foot
    out = (0.03 + 0.7 * body.hip_half_width_m) / leg * rng.uniform(0.8, 1.2)
    out += 0.5 * abs(sideways) / hz / leg  # avoids collisions of the feet in side steps
    for side, sign in SIDES.items():
        phase = strides if side == "left" else strides + 0.5
        foot = _step_foot(move, path, phase, hz, out, sign)
        posture |= {f"{side}_{part}": values for part, values in foot.items()}
        # arms swing opposite to the legs; the elbow flexes in the forward swing
        swing = pace * move.arm_swing * np.cos(2 * np.pi * (phase - 0.04)) * rng.uniform(0.7, 1.3)
        posture[f"{side}_arm_fwd"] = 4 - swing * (1 if speed >= 0 else -1)
        posture[f"{side}_elbow"] = move.elbow * rng.uniform(0.8, 1.2) - 0.35 * swing

    cycle = 2 * np.pi * strides
    on_left = pace * np.cos(cycle - np.pi * move.duty)  # 1 in the middle of the left foot's stance
    left_ahead = pace * np.cos(cycle) * np.clip(speed, -1.5, 1.5)  # maximum at its touch-down
    sway = (0.010 if move.bob < 0 else 0.022) * rng.uniform(0.6, 1.4) * on_left
    bob = move.bob * rng.uniform(0.7, 1.3) * pace * np.cos(2 * cycle - 2 * np.pi * move.duty)
    hip_deg, chest_deg = rng.uniform(2.5, 5.5), rng.uniform(6, 12)
    posture |= {
        "x": x - sway * np.sin(yaw),
        "y": y + sway * np.cos(yaw),
        "z": move.height + bob,
        "yaw": np.rad2deg(yaw) - hip_deg * left_ahead,
        "twist": chest_deg * left_ahead,
        "turn": 0.6 * (hip_deg - chest_deg) * left_ahead + 0.2 * turn * pace,
        # the pelvis drops on the swing side; runners lean into curves
        "roll": rng.uniform(2, 5) * on_left - 0.004 * turn * speed * pace,
        "pitch": posture["pitch"] + move.pitch * rng.uniform(0.5, 1.5),
        "bend": posture["bend"] + move.bend * rng.uniform(0.5, 1.5),
        "nod": posture["nod"] - 0.5 * (move.pitch + move.bend),
    }
    posture["side"] = -0.8 * posture["roll"]
    if move.carry:
        pose = _mirror(POSES[move.carry]) if mirrored else POSES[move.carry]
        held = [
            side for side in SIDES if any(pose[f"{side}_{p}"] != STAND[f"{side}_{p}"] for p in ARM)
        ]
        for name in (*(f"{side}_{part}" for side in held for part in ARM), "nod", "tilt"):
            posture[name] = pose[name] + 0.1 * (posture[name] - STAND[name])
    if move.arms:
        gesture = _play_gesture(move.arms, rng, fps, duration_s)
        posture |= {f"{side}_{part}": gesture[f"{side}_{part}"] for side in SIDES for part in ARM}
        for name in ("bend", "side", "twist", "nod", "turn"):
            posture[name] = posture[name] + gesture[name]
    return posture
