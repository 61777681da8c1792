"""What the class token adds to the encoder, padding, and bf16."""

from typing import Any

import pytest
import torch
from helpers.parity_vectors import assert_close
from torch import Tensor

from actionpose.models.blocks import attend
from actionpose.models.dstformer import PoseEncoder
from actionpose.models.pose_embedding import FrameVelocity, PosePooling
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

SIZES = {"dim": 16, "depth": 3, "num_heads": 2, "dim_rep": 16, "max_frames": 27}
SIZES |= {"middle_layer": 2, "embedding_dim": 24}


def small(seed: int = 0, spread: float = 0.2, **changes: Any) -> PoseEncoder:
    """Drawn wider than for training, so that attention is far from uniform."""
    torch.manual_seed(seed)
    encoder = PoseEncoder(**(SIZES | changes)).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return encoder


def keypoints_of(clips: int, frames: int, seed: int = 1) -> Tensor:
    return torch.rand(clips, frames, 17, 3, generator=torch.Generator().manual_seed(seed))


DIRECTIONAL = {"embedding_depth": 1, "directional_embedding": True}
FORMS = {"paper": {}, "own_pair": {"embedding_depth": 1}, "directional": DIRECTIONAL}
FORMS |= {"no_token": {"class_token": False}, "bones": {"bone_features": True}}
EACH_FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@EACH_FORM
@pytest.mark.parametrize("frames", [1, 5, 27])
def test_encoder_output_shapes(form: dict[str, Any], frames: int) -> None:
    output = small(**form)(keypoints_of(3, frames))
    assert output.pose.shape == (3, frames, 17, 3)
    if "class_token" not in form:
        assert output.embedding.shape == (3, 24)
    else:
        assert output.embedding is None


@EACH_FORM
def test_encoder_ignores_padding(form: dict[str, Any]) -> None:
    """Whatever stands on padding: real frames come out as if they were alone."""
    encoder = small(**form)
    keypoints = keypoints_of(2, 12)
    valid = torch.ones(2, 12, dtype=torch.bool)
    valid[1, 7:] = False
    with torch.no_grad():
        alone = encoder(keypoints[1:, :7])
        other = keypoints.clone()
        other[1, 7:] = 1e3
        for batch in (keypoints, other):
            padded = encoder(batch, valid)
            assert_close(padded.pose[1:, :7], alone.pose, 1e-5)
            assert_close(padded.pose[:1], encoder(keypoints[:1]).pose, 1e-5)
            if alone.embedding is not None:
                assert_close(padded.embedding[1:], alone.embedding, 1e-5)
        # without the mask it would change something
        assert (encoder(other).pose[1, :7] - alone.pose).abs().max() > 1e-3


@EACH_FORM
def test_encoder_with_all_frames_valid_needs_no_mask(form: dict[str, Any]) -> None:
    encoder = small(**form)
    keypoints = keypoints_of(2, 9)
    with torch.no_grad():
        masked = encoder(keypoints, torch.ones(2, 9, dtype=torch.bool))
        assert_close(masked.pose, encoder(keypoints).pose, 1e-6)


@EACH_FORM
def test_encoder_keeps_clips_of_a_batch_apart(form: dict[str, Any]) -> None:
    encoder = small(**form)
    keypoints = keypoints_of(3, 6)
    with torch.no_grad():
        together = encoder(keypoints)
        for clip in range(3):
            alone = encoder(keypoints[clip : clip + 1])
            assert_close(together.pose[clip : clip + 1], alone.pose, 1e-5)


def test_pose_token_attends_to_frames_and_they_to_it() -> None:
    encoder = small()
    keypoints = keypoints_of(1, 6).requires_grad_()
    output = encoder(keypoints)
    output.embedding.sum().backward(retain_graph=True)
    assert (keypoints.grad.abs().sum(dim=(2, 3)) > 0).all()
    (gradient,) = torch.autograd.grad(output.pose.sum(), encoder.pose_token)
    assert (gradient != 0).any()


def test_embedding_is_taken_after_the_middle_layer() -> None:
    """Layers above it change the pose and not the embedding."""
    encoder = small(middle_layer=2)
    keypoints = keypoints_of(2, 6)
    with torch.no_grad():
        before = encoder(keypoints)
        encoder.blocks_st[2].mlp_s.fc2.weight.mul_(3)
        above = encoder(keypoints)
        encoder.blocks_st[1].mlp_s.fc2.weight.mul_(3)
        below = encoder(keypoints)
    assert torch.equal(above.embedding, before.embedding)
    assert not torch.allclose(above.pose, before.pose)
    assert not torch.allclose(below.embedding, before.embedding)


def test_embedding_branch_leaves_lifting_alone() -> None:
    """Poses are MotionBERT's; the embedding reads the middle layer and is read by nobody."""
    encoder = small(embedding_depth=2)
    keypoints = keypoints_of(2, 6)
    valid = torch.ones(2, 6, dtype=torch.bool)
    valid[1, 4:] = False
    plain = PoseEncoder(**(SIZES | {"class_token": False})).eval()
    plain.load_state_dict(
        {name: encoder.state_dict()[name] for name in plain.state_dict()}, strict=True
    )
    with torch.no_grad():
        before = encoder(keypoints, valid)
        assert torch.equal(plain(keypoints, valid).pose[valid], before.pose[valid])
        encoder.blocks_st[2].mlp_s.fc2.weight.mul_(3)  # the last pair of the backbone
        above = encoder(keypoints, valid)
        assert torch.equal(above.embedding, before.embedding)
        assert not torch.allclose(above.pose, before.pose)
        for change in (encoder.blocks_ts[3].mlp_s.fc2.weight, encoder.blocks_st[4].attn_t.qkv.bias):
            change.mul_(3)
            after = encoder(keypoints, valid)
            assert torch.equal(after.pose, above.pose)
            assert not torch.allclose(after.embedding, above.embedding)
            above = after
        assert torch.equal(encoder.embed_motion(keypoints, valid), above.embedding)


def test_embedding_stride_reads_some_frames_at_their_rows() -> None:
    encoder = small(embedding_depth=2)
    keypoints = keypoints_of(2, 8)
    valid = torch.ones(2, 8, dtype=torch.bool)
    valid[1, 6:] = False
    with torch.no_grad():
        every = encoder(keypoints, valid)
        encoder.embedding_stride = 3
        found = encoder(keypoints, valid)
        assert torch.equal(found.pose, every.pose)
        assert not torch.allclose(found.embedding, every.embedding)
        assert torch.equal(encoder.embed_motion(keypoints, valid), found.embedding)
        unread = keypoints.clone()
        unread[:, [1, 2, 4, 5, 7]] = 9.0
        assert torch.equal(encoder.embed_motion(unread, valid), found.embedding)
        subsampled = encoder.embed_subsampled(keypoints[:, ::3], valid[:, ::3])
        assert torch.equal(subsampled, found.embedding)
        encoder.temp_embed[:, 3] += 1  # of the second frame that is read
        assert not torch.allclose(encoder.embed_motion(keypoints, valid), found.embedding)


def test_directional_pooling_tells_joints_apart() -> None:
    """A sum with equal weights is the same for a token whose joints have changed places."""
    token = torch.randn(2, 17, 16, generator=torch.Generator().manual_seed(0))
    exchanged = token[:, list(H36M17.mirror)]
    torch.manual_seed(0)
    for directional in (False, True):
        pooling = PosePooling(16, 17, 8, 0.1, directional).eval()
        torch.nn.init.constant_(pooling.joint_weight.weight, 1 / 17)
        same = torch.allclose(pooling(token), pooling(exchanged), atol=1e-5)
        assert same != directional


def test_directional_embedding_knows_the_order_of_frames() -> None:
    """Without a temporal embedding, only the velocity does."""
    keypoints = keypoints_of(2, 6)
    for directional in (False, True):
        encoder = small(embedding_depth=1, directional_embedding=directional)
        with torch.no_grad():
            encoder.temp_embed.zero_()
            forward, backward = (encoder.embed_motion(k) for k in (keypoints, keypoints.flip(1)))
        assert torch.allclose(forward, backward, atol=1e-5) != directional


def test_velocity_leaves_the_first_frame_and_takes_single_ones() -> None:
    velocity = FrameVelocity(8)
    frames = torch.randn(2, 5, 17, 8)
    found = velocity(frames)
    assert torch.equal(found[:, 0], frames[:, 0])
    expected = frames[:, 3] + velocity.linear(frames[:, 3] - frames[:, 2])
    assert_close(found[:, 3], expected, 1e-5)
    assert torch.equal(velocity(frames[:, :1]), frames[:, :1])


@EACH_FORM
def test_encoder_poses_are_the_same_without_embedding(form: dict[str, Any]) -> None:
    encoder = small(**form)
    with torch.no_grad():
        alone = encoder(keypoints_of(2, 6), embed=False)
        assert alone.embedding is None
        assert torch.equal(alone.pose, encoder(keypoints_of(2, 6)).pose)


@EACH_FORM
def test_freeze_embedding_leaves_what_lifting_trains(form: dict[str, Any]) -> None:
    """Every parameter that is not frozen has a gradient from the poses, and no other."""
    encoder = small(**form).train()
    encoder.freeze_embedding()
    encoder(keypoints_of(2, 6)).pose.sum().backward()
    for name, parameter in encoder.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize("own_pairs", [0, 1])
def test_shared_parameters_are_those_that_both_losses_train(own_pairs: int) -> None:
    encoder = PoseEncoder(**(SIZES | {"embedding_depth": own_pairs}))
    out = encoder(keypoints_of(1, 9))
    shared = encoder.shared_parameters()
    for loss in (out.pose.sum(), out.embedding.sum()):
        grads = torch.autograd.grad(loss, shared, retain_graph=True)
        assert all(grad is not None for grad in grads)
    rest = [p for p in encoder.parameters() if all(p is not t for t in shared)]
    for p in rest:
        grads = [
            torch.autograd.grad(loss, p, retain_graph=True, allow_unused=True)[0]
            for loss in (out.pose.sum(), out.embedding.sum())
        ]
        assert any(grad is None for grad in grads)


def test_new_encoder_mixes_both_blocks_equally() -> None:
    encoder = PoseEncoder(**SIZES).eval()
    x = torch.randn(1, 4, 17, 16)
    first, second = encoder.blocks_st[0], encoder.blocks_ts[0]
    st = first.over_frames(first.over_joints(x), None)
    ts = second.over_joints(second.over_frames(x, None))
    assert_close(encoder.pair(0, x, None), (st + ts) / 2, 1e-6)


def test_encoder_refuses_sizes_that_do_not_fit() -> None:
    with pytest.raises(UserError, match=r"num_heads \(3\) must divide dim \(16\)"):
        PoseEncoder(**(SIZES | {"num_heads": 3}))
    for layer in (0, 4):
        with pytest.raises(UserError, match=rf"middle_layer \({layer}\) must be from 1 to depth"):
            PoseEncoder(**(SIZES | {"middle_layer": layer}))
    PoseEncoder(**(SIZES | {"middle_layer": 9, "class_token": False}))
    with pytest.raises(UserError, match=r"embedding_depth \(-1\) must be 0 or more"):
        PoseEncoder(**(SIZES | {"embedding_depth": -1}))


@pytest.mark.parametrize(
    "shape",
    [(2, 28, 17, 3), (2, 9, 16, 3), (2, 9, 17, 2), (9, 17, 3), (2, 9, 51), (1, 2, 9, 17, 3)],
)
def test_encoder_refuses_wrong_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"this encoder takes \(B, T <= 27, 17, 3\)"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize("masked", [False, True])
def test_attend_in_bf16_agrees_with_float32(masked: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v, g = (torch.randn(6, 2, 9, 8, generator=generator) for _ in range(4))
    mask = None
    if masked:
        mask = torch.rand(6, 1, 1, 9, generator=generator) < 0.7
        mask[..., 0] = True

    def run(dtype: torch.dtype) -> list[Tensor]:
        inputs = [x.detach().to(dtype).requires_grad_() for x in (q, k, v)]
        output = attend(*inputs, mask)
        assert output.dtype == dtype
        (output.float() * g).sum().backward()
        return [output, *(x.grad for x in inputs)]

    for found, expected in zip(run(torch.bfloat16), run(torch.float32), strict=True):
        assert_close(found, expected, 0.05 * expected.abs().max().item())
        assert (found.float() - expected).norm() < 0.02 * expected.norm()


@EACH_FORM
@pytest.mark.parametrize("masked", [False, True])
def test_encoder_gradients_in_bf16_agree_with_float32(form: dict[str, Any], masked: bool) -> None:
    encoder = small(**form, pooling_dropout=0.0, spread=0.1).train()
    keypoints = keypoints_of(2, 9)
    valid = None
    if masked:
        valid = torch.ones(2, 9, dtype=torch.bool)
        valid[1, 6:] = False

    def run(enabled: bool) -> list[Tensor]:
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output = encoder(keypoints, valid)
        pose = output.pose.float()
        assert torch.isfinite(pose).all()
        (pose if valid is None else pose[valid]).square().sum().backward()
        keys = ("joints_embed.weight", "blocks_st.1.attn_t.qkv.weight", "ts_attn.0.weight")
        parameters = dict(encoder.named_parameters())
        return [pose.detach(), *(parameters[key].grad.clone() for key in keys)]

    for found, expected in zip(run(True), run(False), strict=True):
        assert (found - expected).norm() < 0.05 * expected.norm()


def test_encoder_gradients_are_finite_with_mostly_padding() -> None:
    encoder = small(class_token=False).train()
    valid = torch.zeros(2, 9, dtype=torch.bool)
    valid[:, 0] = True
    for enabled in (False, True):
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            pose = encoder(keypoints_of(2, 9), valid).pose
        pose.float()[valid].sum().backward()
        for parameter in encoder.parameters():
            assert torch.isfinite(parameter.grad).all()
