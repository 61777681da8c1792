"""Bones as features: which they are, missing ends, and mirrored people."""

import pytest
import torch
from helpers.parity_vectors import assert_close

from actionpose.models.bone_features import bone_features
from actionpose.models.encoder import build_encoder
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError


def keypoints_of(frames: int = 5) -> torch.Tensor:
    keypoints = torch.rand(2, frames, 17, 3, generator=torch.Generator().manual_seed(0))
    keypoints[..., 2] += 0.1
    return keypoints


@pytest.mark.parametrize(
    ("joint", "parent", "child"),
    [
        ("left_knee", "left_hip", "left_ankle"),
        ("pelvis", None, "spine"),
        ("thorax", "spine", "nose"),
        ("right_wrist", "right_elbow", None),
    ],
)
def test_features_are_vectors_and_lengths_of_the_bones_at_a_joint(
    joint: str, parent: str | None, child: str | None
) -> None:
    keypoints = keypoints_of()
    joint_at = H36M17.joints.index(joint)
    found = bone_features(keypoints)[:, :, joint_at].split(3, dim=-1)
    for features, end in zip(found, (parent, child), strict=True):
        end_at = joint_at if end is None else H36M17.joints.index(end)
        vector = (keypoints[:, :, joint_at] - keypoints[:, :, end_at])[..., :2]
        assert_close(features[..., :2], vector, 1e-6)
        assert_close(features[..., 2], vector.square().sum(-1).sqrt(), 1e-6)


def test_bones_with_a_missing_end_are_zero() -> None:
    keypoints = keypoints_of()
    knee, hip, ankle = H36M17.indices("left_knee", "left_hip", "left_ankle")
    expected = bone_features(keypoints)
    keypoints[0, 2, knee] = 0
    found = bone_features(keypoints)
    expected[0, 2, knee] = 0
    expected[0, 2, hip, 3:] = 0
    expected[0, 2, ankle, :3] = 0
    assert torch.equal(found, expected)


def test_features_of_a_mirrored_person_are_mirrored() -> None:
    mirror = torch.tensor([-1.0, 1, 1])
    keypoints = keypoints_of()
    found = bone_features(keypoints[..., list(H36M17.mirror), :] * mirror)
    expected = bone_features(keypoints)[..., list(H36M17.mirror), :] * mirror.repeat(2)
    assert_close(found, expected, 1e-6)


def test_other_backbones_refuse_bone_features() -> None:
    message = r"model\.bone_features needs model\.backbone dstformer, not mixste"
    with pytest.raises(UserError, match=message):
        build_encoder("mixste", bone_features=True)
