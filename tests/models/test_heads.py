"""Heads for feet and error bars: what they read, and that the body stays as it was."""

import pytest
import torch
from torch import Tensor

from actionpose.models.dstformer import PoseEncoder
from actionpose.models.heads import ANKLES, BODY
from actionpose.skeletons import H36M17_FEET
from actionpose.utils.errors import UserError

SIZES = {"dim": 8, "depth": 1, "num_heads": 1, "dim_rep": 8, "max_frames": 12, "middle_layer": 1}


def encoder_with_heads() -> PoseEncoder:
    """Weights that are large enough for every input to matter."""
    torch.manual_seed(0)
    encoder = PoseEncoder(**SIZES, heads=True).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return encoder.requires_grad_(False)


def keypoints_of(frames: int = 10) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    keypoints = torch.randn(2, frames, len(H36M17_FEET), 3, generator=generator)
    keypoints[..., 2] = 0.9
    return keypoints


@torch.no_grad()
def test_heads_change_nothing_of_the_body() -> None:
    encoder, keypoints = encoder_with_heads(), keypoints_of()
    plain = PoseEncoder(**SIZES).eval().requires_grad_(False)
    weights = encoder.state_dict()
    plain.load_state_dict({k: v for k, v in weights.items() if not k.startswith("heads.")})
    body = plain(keypoints[:, :, :BODY])
    assert body.log_error is None
    for joints in (BODY, len(H36M17_FEET)):
        output = encoder(keypoints[:, :, :joints])
        assert output.pose.shape == (2, 10, joints, 3) and output.log_error.shape == (2, 10, joints)
        assert torch.equal(output.pose[:, :, :BODY], body.pose)
        assert torch.equal(output.embedding, body.embedding)
    with pytest.raises(UserError, match="18"):
        encoder(torch.zeros(1, 5, 18, 3))


def test_feet_follow_their_place_in_the_image() -> None:
    """A foot that is detected elsewhere is lifted elsewhere; without its ankle it says nothing."""
    encoder, keypoints = encoder_with_heads(), keypoints_of()
    for part in encoder.heads.feet.children():  # only what is added to the detected offset
        torch.nn.init.zeros_(part.weight)
        torch.nn.init.zeros_(part.bias)
    pose = encoder(keypoints).pose
    offsets = pose[:, :, BODY:] - pose[:, :, ANKLES]
    seen = keypoints[:, :, BODY:, :2] - keypoints[:, :, ANKLES, :2]
    torch.testing.assert_close(offsets[..., :2], seen)
    assert (offsets[..., 2].abs() < 1e-5).all()
    keypoints[:, 3, H36M17_FEET.joints.index("left_ankle")] = 0
    pose = encoder(keypoints).pose
    offsets = (pose[:, :, BODY:] - pose[:, :, ANKLES]).abs().amax(dim=(0, 3))
    assert (offsets[3] < 1e-5).tolist() == [True, True, False, False]


def test_feet_see_some_frames_around() -> None:
    encoder, keypoints = encoder_with_heads(), keypoints_of(12)
    changed = keypoints.clone()
    changed[:, 11, BODY:, 0] += 1
    moved = (encoder(changed).pose - encoder(keypoints).pose)[:, :, BODY:].abs().amax(dim=(0, 2, 3))
    assert (moved > 0).tolist() == [False] * 7 + [True] * 5


def test_padding_changes_no_feet() -> None:
    encoder, keypoints = encoder_with_heads(), keypoints_of(8)
    padded = torch.cat([keypoints, torch.zeros_like(keypoints[:, :4])], dim=1)
    padded[1, 6:] = 0
    valid = torch.tensor([[True] * 8 + [False] * 4, [True] * 6 + [False] * 6])
    pose, short = encoder(padded, valid).pose, encoder(keypoints[1:, :6]).pose
    torch.testing.assert_close(pose[0, :8], encoder(keypoints[:1]).pose[0])
    torch.testing.assert_close(pose[1, :6], short[0])


def test_error_reads_confidence() -> None:
    encoder, keypoints = encoder_with_heads(), keypoints_of()
    keypoints[0, :, 20, 2] = 0.1
    log_error = encoder(keypoints).log_error
    changed = keypoints.clone()
    changed[0, :, 20, 2] = 0.9
    differs = (encoder(changed).log_error != log_error).flatten(0, 1).any(dim=0)
    assert differs.tolist() == [False] * 20 + [True]


def test_freeze_body_leaves_the_heads() -> None:
    encoder = encoder_with_heads()
    encoder.freeze_body()
    trained = {name for name, value in encoder.named_parameters() if value.requires_grad}
    assert trained and trained == {n for n in encoder.state_dict() if n.startswith("heads.")}
