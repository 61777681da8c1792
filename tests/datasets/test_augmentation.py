"""Augmentation: off by default, true to the body, and each setting does what it says."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from helpers.motions import some_motion

from actionpose.config import CameraConfig, FinetuneConfig, FinetuneDataConfig, NoiseConfig
from actionpose.datasets import augmentation, projection
from actionpose.datasets.augmentation import (
    JOINT_CONVENTIONS,
    from_coco,
    occluded,
    random_body,
    random_joint_convention,
    straighten,
)
from actionpose.datasets.corpus import Corpus
from actionpose.datasets.lifting import LiftingBatches
from actionpose.datasets.projection import place_camera
from actionpose.datasets.synthetic.generate import motion
from actionpose.geometry.joint_conventions import LIMB_JOINTS, OFFSETS, trunk_axes
from actionpose.postprocessing.joint_angles import angle_between
from actionpose.skeletons import (
    BODY25,
    BODY_PARTS,
    COCO17,
    H36M17,
    HALPE26,
    MPII16,
    Skeleton,
    convert,
)
from actionpose.utils.yaml_config import from_dict

PLAIN = FinetuneDataConfig(frames=27, stride=9, normalization="box", mirror=0.0)
EVERYTHING = replace(
    PLAIN,
    mirror=0.5,
    random_mask=(0.1, 0.0),
    straighten_knees=0.5,
    camera=CameraConfig(tilt=0.5, rotation=0.5),
    noise=NoiseConfig(
        random_joint_convention=0.5, limb_occlusion=0.5, truncation=0.5, drop_confidence=0.5
    ),
)


def made(action: str, seed: int = 0) -> np.ndarray:
    """(60, 17, 3) meters."""
    clip = motion(action, np.random.default_rng(seed), duration_s=2.0).joints_m
    return clip.astype(np.float64)


def batches(corpus: Corpus, **settings: object) -> LiftingBatches:
    config = replace(PLAIN, **settings)  # type: ignore[arg-type]
    return LiftingBatches([(corpus, 1.0)], config, batch_size=4, seed=7)


def bones_m(joints_m: np.ndarray) -> np.ndarray:
    return np.stack(
        [np.linalg.norm(joints_m[:, a] - joints_m[:, b], axis=-1) for a, b in H36M17.bones], axis=1
    )


def test_augmentation_off_draws_nothing(corpus: Corpus) -> None:
    """Settings that are off leave the random stream as it is."""
    rng = np.random.default_rng(0)
    joints_m = made("walk")
    camera = place_camera(joints_m, 0.3, 4.0, 1.5)
    off = NoiseConfig()
    assert random_body(joints_m, PLAIN, rng) is joints_m
    assert not occluded(joints_m, camera, off, rng).any()
    assert rng.random() == np.random.default_rng(0).random()
    assert all(not getattr(off, field.name) for field in fields(off))


def test_clip_with_everything_is_repeatable_and_finite(corpus: Corpus) -> None:
    for step in range(20):
        a, b = (
            LiftingBatches([(corpus, 1.0)], EVERYTHING, batch_size=4, seed=1).batch(step)
            for _ in range(2)
        )
        for key in ("keypoints", "pose", "valid", "scale_m"):
            assert (a[key] == b[key]).all() and np.isfinite(a[key].numpy()).all()


def test_from_dict_reads_noise_and_camera() -> None:
    values = {"data": {"noise": {"truncation": 0.2}, "camera": {"height_m": [0, 3]}}}
    config = from_dict(FinetuneConfig, values, "recipe")
    assert config.data.camera.height_m == (0.0, 3.0) and config.data.noise.truncation == 0.2


@pytest.mark.parametrize("layout", JOINT_CONVENTIONS)
def test_joint_conventions_move_trunk_and_head_by_centimeters(layout: Callable[..., Any]) -> None:
    joints_m = made("walk")
    moved_m = np.linalg.norm(layout(joints_m) - joints_m, axis=-1)
    limbs = H36M17.indices(*BODY_PARTS["arms"], *BODY_PARTS["legs"], *BODY_PARTS["hips"])
    assert (moved_m[:, limbs] == 0).all()
    assert 0.01 < moved_m.max() < 0.25
    # turning the body turns what is seen of it
    turn = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(layout(joints_m @ turn), layout(joints_m) @ turn, atol=1e-9)


@pytest.mark.parametrize(
    ("skeleton", "layout"),
    [
        (COCO17, augmentation.from_coco),
        (BODY25, augmentation.from_coco),
        (HALPE26, augmentation.from_halpe),
        (MPII16, augmentation.from_mpii),
    ],
)
def test_joint_conventions_agree_with_convert(
    skeleton: Skeleton, layout: Callable[..., Any]
) -> None:
    """A made-up detector's joints, converted, are what the layout says: trunk and, MPII, neck."""
    joints_m = made("walk")
    seen = dict(zip(H36M17.joints, layout(joints_m).swapaxes(0, 1), strict=True))
    true = dict(zip(H36M17.joints, joints_m.swapaxes(0, 1), strict=True))
    given = {**true, "neck": true["thorax"], "nose": seen["nose"]}
    given |= {f"{side}_eye": seen["head"] for side in ("left", "right")}
    if skeleton is BODY25:  # its neck is between the shoulders
        given["neck"] = (true["left_shoulder"] + true["right_shoulder"]) / 2
    if skeleton is MPII16:
        given["neck"] = seen["nose"]
    zero = np.zeros_like(true["head"])
    points = np.stack([given.get(joint, zero) for joint in skeleton.joints], axis=1)
    converted = convert(points, skeleton, confidence=False)
    np.testing.assert_allclose(converted, layout(joints_m), atol=1e-9)


def test_random_joint_convention_displaces_limbs_as_mediapipe_does() -> None:
    """In half of the draws: the mean displacement is half of the measured one."""
    joints_m, rng = made("walk"), np.random.default_rng(0)
    axes, length = trunk_axes(joints_m[::20])
    draws = np.stack([random_joint_convention(joints_m, rng)[::20] for _ in range(400)])
    moved_m = np.einsum("ntja,tab->ntjb", draws - joints_m[::20], axes) / length[:, None, None]
    wider = np.subtract(*moved_m[:, :, H36M17.indices("left_shoulder", "right_shoulder"), 0].T)
    expected = OFFSETS["mediapipe33"][LIMB_JOINTS.index("shoulder"), 0]  # 2 sides, half of draws
    assert expected < -0.03
    np.testing.assert_allclose(wider.mean(axis=1), expected, atol=0.006)
    # constant in the body's axes for a whole motion, and another for each draw
    shoulder = moved_m[:, :, H36M17.joints.index("left_shoulder")]
    assert np.ptp(shoulder, axis=1).max() < 1e-9 < 0.01 < shoulder[:, 0, 1].std()


def test_occluded_hides_a_limb_in_consecutive_frames() -> None:
    joints_m = made("walk")
    camera = place_camera(joints_m, 0.3, 4.0, 1.5)
    kinds = set()
    for seed in range(60):
        config = NoiseConfig(limb_occlusion=1.0)
        hidden = occluded(joints_m, camera, config, np.random.default_rng(seed))
        joints = tuple(np.flatnonzero(hidden.any(axis=0)))
        kinds.add(joints)
        frames = np.flatnonzero(hidden.any(axis=1))
        assert len(frames) == frames[-1] - frames[0] + 1 >= 12
        assert (hidden[frames][:, list(joints)]).all()
    assert len(kinds) > 6 and (0,) not in kinds


def test_occluded_hides_what_lies_beyond_an_edge() -> None:
    joints_m = made("wave")
    camera = place_camera(joints_m, 0.3, 4.0, 1.5)
    xy = camera.project(camera.from_world(joints_m))
    cut = 0
    for seed in range(40):
        config = NoiseConfig(truncation=1.0)
        hidden = occluded(joints_m, camera, config, np.random.default_rng(seed))
        if not hidden.any():
            continue
        cut += 1
        assert np.median((~hidden).sum(axis=1)) >= 4
        gaps = [  # on one axis, all that is hidden lies beyond all that is not
            max(
                sign * xy[..., axis][hidden].min() - sign * xy[..., axis][~hidden].max()
                if sign > 0
                else xy[..., axis][~hidden].min() - xy[..., axis][hidden].max()
                for sign in (1, -1)
            )
            for axis in (0, 1)
        ]
        assert max(gaps) > 0
    assert cut > 30


def knees_deg(joints_m: np.ndarray) -> np.ndarray:
    """(2, T) angles between thigh and shin."""
    angles = []
    for side in ("left", "right"):
        hip, knee, ankle = H36M17.indices(f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        angles.append(
            angle_between(
                joints_m[:, hip] - joints_m[:, knee], joints_m[:, ankle] - joints_m[:, knee]
            )
        )
    return np.stack(angles)


@pytest.mark.parametrize("action", ["walk", "wave", "jump", "turn"])
def test_straighten_shortens_legs_until_people_stand(action: str) -> None:
    motion_m, knees = made(action), H36M17.indices("left_knee", "right_knee")
    assert knees_deg(motion_m).max() < 178
    found = straighten(motion_m, 178.5)
    assert np.array_equal(np.delete(found, knees, 1), np.delete(motion_m, knees, 1))
    assert abs(knees_deg(found).max() - 178.5) < 1.5
    assert (knees_deg(found) > knees_deg(motion_m)).all()
    ratio = bones_m(found) / bones_m(motion_m)
    legs = [i for i, bone in enumerate(H36M17.bones) if set(bone) & set(knees)]
    assert 0.95 < ratio[:, legs].min()
    np.testing.assert_allclose(ratio[:, legs], ratio[:, legs].mean(), atol=1e-9)
    np.testing.assert_allclose(np.delete(ratio, legs, 1), 1)


def test_straighten_keeps_sitting_people() -> None:
    sitting = made("sit")
    sitting = sitting[knees_deg(sitting).max(axis=0) < 120]
    assert len(sitting) > 20 and np.array_equal(straighten(sitting, 176), sitting)
    assert np.array_equal(straighten(made("walk"), 120), made("walk"))  # never bends them


@pytest.mark.usefixtures("without_noise")
def test_tilt_has_its_probability(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen from far above, people are short."""

    def tall(**settings: object) -> np.ndarray:
        made = batches(corpus, **settings)
        clips = [made.clip(step, 0)["keypoints"][..., :2] for step in range(60)]
        high, wide = np.transpose([np.ptp(xy[0], axis=0)[::-1] for xy in clips])
        return high / (high + wide)

    monkeypatch.setattr(projection, "TILT_DEG", (85.0, 90.0))
    level, down, some = (tall(camera=CameraConfig(tilt=tilt)) for tilt in (0.0, 1.0, 0.5))
    fraction = (some.mean() - down.mean()) / (level.mean() - down.mean())
    assert 0.25 < fraction < 0.75


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize("rotation", [0.0, 0.5, 1.0])
def test_rotation_has_its_probability(corpus: Corpus, rotation: float) -> None:
    """The head of a person who stands is above the pelvis, unless the camera is rotated."""
    made = batches(corpus, camera=CameraConfig(rotation=rotation))
    clips = [made.clip(step, 0)["pose"][0] for step in range(200)]
    below = np.mean([pose[H36M17.joints.index("head"), 1] > 0 for pose in clips])
    assert below == pytest.approx(rotation / 2, abs=0.1)


def test_drop_confidence_leaves_zero_and_one(corpus: Corpus) -> None:
    config = replace(PLAIN, noise=NoiseConfig(drop_confidence=1.0))
    keypoints = LiftingBatches([(corpus, 1.0)], config, batch_size=8, seed=0).batch(0)["keypoints"]
    assert set(keypoints[..., 2].unique().tolist()) <= {0.0, 1.0}


def test_from_coco_agrees_with_convert(walk_m: np.ndarray) -> None:
    """Thorax and spine follow from limbs; they must agree with the conversion of keypoints."""
    coco = np.zeros((len(walk_m), 17, 3))
    for joint, name in enumerate(COCO17.joints):
        if name in H36M17.joints and name != "nose":
            coco[:, joint] = walk_m[:, H36M17.joints.index(name)]
    converted = convert(coco, COCO17, confidence=False)
    moved = from_coco(walk_m)
    fractiond = H36M17.indices("thorax", "spine", "pelvis", "left_wrist", "right_ankle")
    np.testing.assert_allclose(moved[:, fractiond], converted[:, fractiond], atol=5e-3)


def test_from_coco_places_the_face_ahead() -> None:
    """Someone upright who faces +x: nose and eyes lie ahead, between neck and top of the head."""
    joints = some_motion("a", 3).joints_m.astype(float)
    moved = from_coco(joints) - joints[:, H36M17.indices("thorax")]
    nose, eyes = moved[:, H36M17.joints.index("nose")], moved[:, H36M17.joints.index("head")]
    for point in (nose, eyes):
        assert (point[:, 0] > 0.05).all() and (abs(point[:, 1]) < 1e-9).all()
        assert (point[:, 2] > 0.05).all() and (point[:, 2] < 0.22).all()
    assert (eyes[:, 2] > nose[:, 2]).all()
