"""Procedural motion: bodies that hold together, feet that stand, labels that are true."""

import numpy as np
import pytest

from actionpose.datasets.synthetic.body import KNEE_DEG, LIMITS_DEG, sample_body, two_bone
from actionpose.datasets.synthetic.generate import (
    ACTIONS,
    TRANSITION,
    SyntheticMotion,
    dataset,
    motion,
    transition,
)
from actionpose.datasets.synthetic.movements import MOVEMENTS
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

RATE_HZ = 30.0


def track(made: SyntheticMotion, joint: str) -> np.ndarray:
    return made.joints_m[:, H36M17.joints.index(joint)].astype(float)


def speed(positions_m: np.ndarray) -> np.ndarray:
    """Of positions (T, ..., 3): (T - 1, ...) meters per second."""
    return np.linalg.norm(np.diff(positions_m, axis=0), axis=-1) * RATE_HZ


def flexion_deg(made: SyntheticMotion, upper: str, middle: str, lower: str) -> np.ndarray:
    """(T,) how far a limb is from straight, 0 to 180."""
    above = track(made, middle) - track(made, upper)
    below = track(made, lower) - track(made, middle)
    cos = (above * below).sum(-1)
    cos /= np.linalg.norm(above, axis=-1) * np.linalg.norm(below, axis=-1)
    return np.rad2deg(np.arccos(np.clip(cos, -1, 1)))


def labeled(action: str, text: str, count: int) -> list[SyntheticMotion]:
    """Motions of an action whose text contains the given one."""
    made = (motion(action, np.random.default_rng(seed)) for seed in range(60 * count))
    found = [m for m, _ in zip((m for m in made if text in m.text), range(count), strict=False)]
    assert len(found) == count
    return found


@pytest.fixture(scope="module")
def motions() -> list[SyntheticMotion]:
    return list(dataset(210, seed=3))


def test_dataset_follows_from_the_seed(motions: list[SyntheticMotion]) -> None:
    again = list(dataset(40, seed=3))
    for a, b in zip(motions, again, strict=False):
        assert (a.text, a.subject) == (b.text, b.subject)
        assert np.array_equal(a.joints_m, b.joints_m)
    other = next(dataset(1, seed=4))
    assert not np.array_equal(other.joints_m, motions[0].joints_m)


def test_dataset_has_the_actions_asked_for() -> None:
    made = list(dataset(4, seed=3, actions=["turn", "transition"]))
    assert [one.action for one in made] == ["turn", "transition"] * 2
    with pytest.raises(UserError, match="no synthetic action 'turns'; there are walk, "):
        next(dataset(1, seed=3, actions=["turns"]))


@pytest.mark.parametrize("action", ACTIONS)
def test_motion_of_every_action_is_sane(action: str) -> None:
    for seed in range(8):
        made = motion(action, np.random.default_rng(seed))
        assert made.joints_m.dtype == np.float32
        assert made.joints_m.shape[1:] == (17, 3)
        assert 0.8 < len(made.joints_m) / RATE_HZ < 15
        assert np.isfinite(made.joints_m).all()
        assert speed(made.joints_m).max() < 12, made.text
        assert made.action == action and "{" not in made.text and made.text
        assert made.joints_m[..., 2].min() > 0, made.text


def test_movements_have_distinct_texts() -> None:
    texts = [move.text for moves in MOVEMENTS.values() for move in moves]
    assert len(set(texts)) == len(texts)


def test_motion_keeps_bone_lengths(motions: list[SyntheticMotion]) -> None:
    for made in motions:
        for child, parent in (*H36M17.bones, (1, 4), (11, 8)):
            lengths = np.linalg.norm(made.joints_m[:, child] - made.joints_m[:, parent], axis=-1)
            assert np.ptp(lengths) < 1e-4


def test_motion_keeps_joint_limits(motions: list[SyntheticMotion]) -> None:
    for made in motions:
        for side in ("left", "right"):
            leg = [f"{side}_{joint}" for joint in ("hip", "knee", "ankle")]
            arm = [f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist")]
            knee, elbow = flexion_deg(made, *leg), flexion_deg(made, *arm)
            assert KNEE_DEG[0] - 0.1 < knee.min() and knee.max() < KNEE_DEG[1] + 0.1
            low, high = LIMITS_DEG["elbow"]
            assert low - 0.1 < elbow.min() and elbow.max() < high + 0.1


def test_motion_knees_bend_forward(motions: list[SyntheticMotion]) -> None:
    """Seen from the pelvis' own frame, a bent knee lies before the line from hip to ankle."""
    for made in motions:
        left = track(made, "left_hip") - track(made, "right_hip")
        up = track(made, "spine") - track(made, "pelvis")
        forward = np.cross(left, up)
        forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
        pole = forward + 0.3 * up / np.linalg.norm(up, axis=-1, keepdims=True)
        for side in ("left", "right"):
            hip, knee, ankle = (track(made, f"{side}_{j}") for j in ("hip", "knee", "ankle"))
            before = ((knee - (hip + ankle) / 2) * pole).sum(-1)
            bent_deg = flexion_deg(made, f"{side}_hip", f"{side}_knee", f"{side}_ankle")
            clear = (bent_deg > 25) & (
                bent_deg < 125
            )  # straighter or tighter, it is a matter of mm
            assert (before[clear] > 0).all(), made.text


def test_gait_arms_bend_forward() -> None:
    """With the arms down, the forearm lies before the upper arm's line."""
    for made in labeled("march", "march", 5):
        forward = np.cross(
            track(made, "left_hip") - track(made, "right_hip"),
            track(made, "thorax") - track(made, "pelvis"),
        )
        for side in ("left", "right"):
            upper = track(made, f"{side}_elbow") - track(made, f"{side}_shoulder")
            forearm = track(made, f"{side}_wrist") - track(made, f"{side}_elbow")
            along = (forearm * upper).sum(-1, keepdims=True) / (upper**2).sum(-1, keepdims=True)
            assert (((forearm - along * upper) * forward).sum(-1) > 0).all()


def test_motion_standing_feet_do_not_slide(motions: list[SyntheticMotion]) -> None:
    """While an ankle stays at the height of a flat foot, it stays where it is."""
    stances = 0
    for made in motions:
        for side in ("left", "right"):
            ankle = track(made, f"{side}_ankle")
            flat = ankle[:, 2] < ankle[:, 2].min() + 0.002
            edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
            for start, stop in edges.reshape(-1, 2):
                # the frames at the edges may be those where the foot is about to land or has left
                stance = ankle[start + 1 : stop - 1, :2]
                if len(stance) >= 3:
                    stances += 1
                    assert np.ptp(stance, axis=0).max() < 0.01, made.text
    assert stances > 400


def test_gait_foot_stands_for_most_of_a_stride() -> None:
    for made in labeled("walk", "walk forward", 8):
        moving = speed(track(made, "left_ankle")) > 0.3
        assert 0.25 < moving.mean() < 0.75 or speed(track(made, "pelvis")).mean() < 0.5


@pytest.mark.parametrize(
    ("action", "text", "low", "high"),
    [
        ("walk", "walk forward slowly", 0.3, 0.95),
        ("walk", "walk forward quickly", 1.2, 2.4),
        ("run", "run forward", 2.2, 4.9),
    ],
)
def test_gait_speed(action: str, text: str, low: float, high: float) -> None:
    for made in labeled(action, text, 6):
        assert low < np.percentile(speed(track(made, "pelvis")[:, :2]), 80) < high


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("action", "text", "joint"),
    [
        ("wave", "wave with the {} hand", "wrist"),
        ("kick", "with the {} leg", "ankle"),
        ("kick", "with the {} foot", "ankle"),
        ("punch", "with the {} fist", "wrist"),
        ("reach", "with the {} hand", "wrist"),
        ("throw", "with the {} hand", "wrist"),
    ],
)
def test_text_names_the_side_that_moves(action: str, text: str, joint: str, side: str) -> None:
    other = {"left": "right", "right": "left"}[side]
    for made in labeled(action, text.format(side), 5):
        travelled = {s: speed(track(made, f"{s}_{joint}")).sum() for s in (side, other)}
        assert travelled[side] > travelled[other], made.text


@pytest.mark.parametrize(("side", "other"), [("left", "right"), ("right", "left")])
def test_text_names_the_hand_at_the_floor(side: str, other: str) -> None:
    for made in labeled("pick up", f"with the {side} hand", 6):
        lowest = {s: track(made, f"{s}_wrist")[:, 2].min() for s in (side, other)}
        assert lowest[side] < lowest[other] and lowest[side] < 0.45, made.text


@pytest.mark.parametrize(("side", "sign"), [("left", 1), ("right", -1)])
def test_text_names_the_direction_of_turns(side: str, sign: int) -> None:
    for made in labeled("turn", f"turn to the {side}", 6):
        across = (track(made, "left_hip") - track(made, "right_hip"))[:, :2]
        angle = np.unwrap(np.arctan2(across[:, 1], across[:, 0]))
        assert sign * (angle[-1] - angle[0]) > np.deg2rad(20)


def test_motion_changes_the_height() -> None:
    for action, sign in (("sit down", -1), ("stand up", 1), ("lie down", -1), ("get up", 1)):
        for seed in range(4):
            head = track(motion(action, np.random.default_rng(seed)), "head")[:, 2]
            assert sign * (head[-1] - head[0]) > 0.2, action


def test_motion_jumps_leave_the_floor() -> None:
    for made in labeled("jump", "jump", 6):
        lowest = np.minimum(track(made, "left_ankle")[:, 2], track(made, "right_ankle")[:, 2])
        assert lowest.max() > lowest.min() + 0.08, made.text


def test_sample_body_varies(motions: list[SyntheticMotion]) -> None:
    assert len({made.subject for made in motions}) > 150
    rng = np.random.default_rng(0)
    bodies = [sample_body(rng) for _ in range(300)]
    statures = np.array([body.stature_m for body in bodies])
    assert statures.min() >= 1.45 and statures.max() <= 2.0 and statures.std() > 0.07
    hips = np.array([2 * body.hip_half_width_m for body in bodies])
    assert 0.18 < np.median(hips) < 0.25


def test_dataset_subject_has_one_body(motions: list[SyntheticMotion]) -> None:
    lengths: dict[str, float] = {}
    for made in motions:
        thigh = np.linalg.norm(track(made, "left_hip")[0] - track(made, "left_knee")[0])
        assert abs(lengths.setdefault(made.subject, thigh) - thigh) < 1e-4
    assert len(lengths) < len(motions)  # some came twice


def test_dataset_varies_heading_and_place(motions: list[SyntheticMotion]) -> None:
    across = np.array([track(m, "left_hip")[0] - track(m, "right_hip")[0] for m in motions])
    heading = across[:, :2] / np.linalg.norm(across[:, :2], axis=-1, keepdims=True)
    assert np.linalg.norm(heading.mean(0)) < 0.2  # all around
    assert np.std([track(m, "pelvis")[0, :2] for m in motions], axis=0).min() > 0.5


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("duration_s", [0.5, 2.0, 9.0])
def test_motion_keeps_duration_and_rate(action: str, duration_s: float) -> None:
    made = motion(action, np.random.default_rng(1), fps=50, duration_s=duration_s)
    assert len(made.joints_m) == round(50 * duration_s)
    assert np.isfinite(made.joints_m).all()


def test_motion_does_not_depend_on_the_rate() -> None:
    slow = motion("kick", np.random.default_rng(5), fps=30).joints_m
    fast = motion("kick", np.random.default_rng(5), fps=60).joints_m[::2]
    frames = min(len(slow), len(fast))
    assert np.abs(slow[:frames] - fast[:frames]).max() < 0.03


def test_two_bone_reaches_its_target() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(200, 3))
    target *= rng.uniform(0.3, 0.8, size=(200, 1)) / np.linalg.norm(target, axis=-1, keepdims=True)
    middle, end = two_bone(np.zeros((200, 3)), target, rng.normal(size=(200, 3)), 0.45, 0.42)
    np.testing.assert_allclose(end, target, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(middle, axis=-1), 0.45, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(end - middle, axis=-1), 0.42, atol=1e-9)


def test_motion_refuses_an_unknown_action() -> None:
    with pytest.raises(UserError, match="no synthetic action 'fly'.*walk"):
        motion("fly", np.random.default_rng(0))


def test_motion_has_its_label() -> None:
    made = motion("wave", np.random.default_rng(2))
    assert made.labels == ((0, len(made.joints_m), made.text, "action"),)


@pytest.fixture(scope="module")
def transitions() -> list[SyntheticMotion]:
    return [transition(np.random.default_rng(seed)) for seed in range(40)]


def test_transition_names_both_actions(transitions: list[SyntheticMotion]) -> None:
    assert len({made.text for made in transitions}) > 35
    for made in transitions:
        (a0, a1, first, kind), (b0, b1, second, _), whole = made.labels
        assert (a0, b1, kind) == (0, len(made.joints_m), "action") and a0 < a1 < b0 < b1
        assert whole == (0, b1, f"transit from {first} to {second}", "transition")
        assert made.text == f"{first}, then {second}" and "{" not in made.text
        assert 0.2 < (b0 - a1) / RATE_HZ < 1.2


def test_transition_does_not_jump(transitions: list[SyntheticMotion]) -> None:
    """Neither the place nor the direction nor a limb: where the parts meet, all joints move on."""
    for made in transitions:
        assert np.isfinite(made.joints_m).all() and made.joints_m[..., 2].min() > 0
        (_, a1, _, _), (b0, _, _, _), _ = made.labels
        for edge in (a1, b0):
            near = speed(made.joints_m[edge - 2 : edge + 2])
            assert near.max() < 4.5, (made.text, near.max())


def test_transition_is_repeatable_and_in_the_data_set() -> None:
    one, two = (transition(np.random.default_rng(3)) for _ in range(2))
    assert one.text == two.text and np.array_equal(one.joints_m, two.joints_m)
    kinds = [made.action for made in dataset(60, seed=9)]
    assert 6 <= kinds.count(TRANSITION) <= 14 and kinds.count("crawl") >= 1


@pytest.mark.parametrize(
    ("action", "text", "lowest", "highest"),
    [
        ("sit", "high stool", 0.6, 1.0),
        ("sit", "low seat", 0.2, 0.55),
        ("eat and drink", "at a table", 0.35, 0.75),
        ("crawl", "hands and knees", 0.2, 0.65),
        ("on the floor", "lie on the stomach", 0.03, 0.3),
        ("on the floor", "lie on the side", 0.05, 0.4),
        ("on the floor", "push ups", 0.1, 0.7),
    ],
)
def test_motion_pelvis_height(action: str, text: str, lowest: float, highest: float) -> None:
    for made in labeled(action, text, 3):
        height = np.median(track(made, "pelvis")[:, 2])
        assert lowest < height < highest, (made.text, height)


def test_motion_crawls_on_hands_and_knees() -> None:
    for made in labeled("crawl", "crawl on hands and knees", 4):
        moved = np.linalg.norm(np.ptp(track(made, "pelvis")[:, :2], axis=0))
        assert moved > 0.4
        wrists = np.stack([track(made, f"{side}_wrist")[:, 2] for side in ("left", "right")])
        knees = np.stack([track(made, f"{side}_knee")[:, 2] for side in ("left", "right")])
        # both carry, within some centimeters: the arms have no inverse kinematics
        assert np.median(wrists.min(axis=0)) < 0.14 and np.median(knees.min(axis=0)) < 0.14


@pytest.mark.parametrize(
    ("action", "text"),
    [("eat and drink", "eat with the"), ("use the phone", "at the ear"), ("gesture", "drink from")],
)
def test_motion_hand_comes_to_the_face(action: str, text: str) -> None:
    for made in labeled(action, text, 4):
        side = "left" if "left" in made.text else "right"
        gap = np.linalg.norm(track(made, f"{side}_wrist") - track(made, "nose"), axis=1)
        assert gap.min() < 0.3, (made.text, gap.min())


def test_gait_carrying_does_not_swing_the_arms() -> None:
    for made in labeled("carry", "carry a box", 4):
        relative = track(made, "left_wrist") - track(made, "thorax")
        assert np.ptp(np.linalg.norm(relative, axis=1)) < 0.15
        assert np.median(relative[:, 2]) > -0.45  # held up, not hanging
