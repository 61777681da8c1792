"""Bones of constant length, and the poses nearest to others that have them."""

import numpy as np
import pytest
from helpers.results import Array, lengths_of_bones, make_result

from actionpose.postprocessing.bone_lengths import (
    _SUBTREES,
    bone_lengths,
    fit_bone_lengths,
    fix_bone_lengths,
)
from actionpose.skeletons import H36M17


@pytest.fixture(scope="module")
def noisy_walk(walk: Array) -> Array:
    return (walk - walk[:, :1]) + np.random.default_rng(0).normal(0, 0.015, walk.shape)


def test_fix_bone_lengths_gives_one_length_and_its_cost(noisy_walk: Array) -> None:
    result = make_result(noisy_walk)
    fixed = fix_bone_lengths(result)
    found = lengths_of_bones(fixed.pose_m[0])
    np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), atol=1e-6)
    step = fixed.header["processing"][-1]
    for (child, _), length in zip(H36M17.bones, found[0], strict=True):
        joint = H36M17.joints[child]
        assert step["bone_lengths_m"][0][joint] == pytest.approx(length, abs=1e-4)
        twin = H36M17.joints[H36M17.mirror[child]]
        assert step["bone_lengths_m"][0][twin] == step["bone_lengths_m"][0][joint]
    moved = 1000 * np.linalg.norm(fixed.pose_m - result.pose_m, axis=-1)
    assert step["residual_mm"] == pytest.approx(moved.mean(), abs=0.01)
    assert step["residual_p95_mm"] == pytest.approx(np.percentile(moved, 95), abs=0.01)
    np.testing.assert_allclose(fixed.pose_m[0, :, 0], result.pose_m[0, :, 0], atol=1e-6)
    hips = H36M17.indices("left_hip", "right_hip")
    np.testing.assert_allclose(
        fixed.pose_m[0][:, hips].mean(axis=1), fixed.pose_m[0, :, 0], atol=1e-6
    )


def test_fit_bone_lengths_is_optimal(noisy_walk: Array) -> None:
    lengths_m = bone_lengths(noisy_walk)
    fitted = fit_bone_lengths(noisy_walk, lengths_m)
    walked = np.repeat(noisy_walk[:, :1], 17, axis=1)
    for child, parent in H36M17.bones:
        bone = noisy_walk[:, child] - noisy_walk[:, parent]
        bone *= lengths_m[child] / np.linalg.norm(bone, axis=1, keepdims=True)
        walked[:, child] = walked[:, parent] + bone

    def cost(pose: Array) -> Array:
        return ((pose - noisy_walk) ** 2).sum(axis=(1, 2))

    assert cost(fitted).mean() < 0.8 * cost(walked).mean()
    rng = np.random.default_rng(2)
    for child in H36M17.indices("left_knee", "thorax", "right_elbow", "right_ankle"):
        parent = dict(H36M17.bones)[child]
        bone = fitted[:, child] - fitted[:, parent]
        turned = bone + rng.normal(0, 0.004, bone.shape)
        turned *= lengths_m[child] / np.linalg.norm(turned, axis=1, keepdims=True)
        other = fitted.copy()
        other[:, _SUBTREES[17][child]] += (turned - bone)[:, None]
        assert (cost(other) >= cost(fitted) - 1e-6).all()


def test_fix_bone_lengths_twice_is_once(noisy_walk: Array) -> None:
    once = fix_bone_lengths(make_result(noisy_walk))
    twice = fix_bone_lengths(once)
    np.testing.assert_allclose(twice.pose_m, once.pose_m, atol=1e-5)
    assert twice.header["processing"][-1]["residual_mm"] < 0.01
    assert len(twice.header["processing"]) == 2


def test_fix_bone_lengths_uses_valid_frames_only(noisy_walk: Array) -> None:
    pose = np.stack([noisy_walk, noisy_walk])
    valid = np.ones((2, len(noisy_walk)), bool)
    valid[0, 5:9] = False
    pose[0, 5:9] = np.nan
    valid[1] = False
    fixed = fix_bone_lengths(make_result(pose, valid=valid))
    assert np.isnan(fixed.pose_m[0, 5:9]).all()
    np.testing.assert_allclose(fixed.pose_m[1], pose[1], atol=1e-6)
    assert fixed.header["processing"][-1]["bone_lengths_m"][1] == {}


def test_fix_bone_lengths_takes_short_absences_that_were_filled(noisy_walk: Array) -> None:
    pose = noisy_walk.copy()
    pose[30:38] *= 1.1  # a guess, which does not count for the lengths
    pose[50:70] = 0  # too long to be filled
    valid = np.ones((1, len(pose)), bool)
    valid[0, 30:38] = valid[0, 50:70] = False
    fixed = fix_bone_lengths(make_result(pose, valid=valid, header={"max_gap_s": 0.5}))
    child, parent = H36M17.bones[1]
    seen = np.linalg.norm(pose[valid[0], child] - pose[valid[0], parent], axis=-1)
    twin = pose[valid[0]][:, H36M17.mirror]
    other = np.linalg.norm(twin[:, child] - twin[:, parent], axis=-1)
    expected = (np.median(seen) + np.median(other)) / 2
    lengths = lengths_of_bones(fixed.pose_m[0, fixed.present[0]])
    assert fixed.present.sum() == len(pose) - 20
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), atol=1e-6)
    assert lengths[0, 1] == pytest.approx(expected, abs=1e-6)
    assert not fixed.pose_m[0, 50:70].any()
