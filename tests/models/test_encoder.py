"""Backbones as encoders: missing joints, padding, short clips and the embedding."""

import math
from typing import Any, get_args

import pytest
import torch
from helpers.parity_vectors import tiny, weights
from torch import Tensor

from actionpose import config
from actionpose.models import Encoder, PoseEncoder, build_encoder
from actionpose.models.blocks import attend
from actionpose.models.peers import PEERS
from actionpose.utils.errors import UserError

SIZES = {"dim": 16, "depth": 2, "num_heads": 2, "dim_rep": 16, "max_frames": 9}
EMBEDDING = {"class_token": True, "middle_layer": 1, "embedding_dim": 8}
BACKBONES = [name for name in get_args(config.Backbone) if name != "dstformer"]
READER = ("readers", "velocity")  # names of parameters of the embedding alone
CARRIES = ("mixste", "stcformer", "ktpformer", "tcpformer", "pstmo")
EVERY = pytest.mark.parametrize("name", BACKBONES)


def build(name: str, **changes: Any) -> Encoder:
    torch.manual_seed(0)
    return build_encoder(name, **SIZES | changes).eval()


def clip(frames: int = 9, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, frames, 17, 3, generator=generator) * torch.tensor(
        [1, 1, 0]
    ) + torch.tensor([0, 0, 1.0])


def test_configuration_has_the_backbones_of_h36m17() -> None:
    variants = ("-3dhp", "-coco", "-refiner")
    assert {*BACKBONES} == {name for name in PEERS if not name.endswith(variants)}
    assert isinstance(build_encoder(**SIZES, middle_layer=1), PoseEncoder)


@EVERY
@pytest.mark.parametrize("frames", [1, 4, 9])
def test_encoder_lifts_and_embeds_any_clip(name: str, frames: int) -> None:
    encoder = build(name, **EMBEDDING)
    with torch.no_grad():
        pose, embedding, _ = encoder(clip(frames))
        assert pose.shape == (2, frames, 17, 3) and embedding.shape == (2, 8)
        assert torch.equal(encoder.embed_motion(clip(frames)), embedding)
        assert torch.equal(encoder(clip(frames), embed=False).pose, pose)


@EVERY
def test_embedding_stride_reads_some_frames(name: str) -> None:
    encoder = build(name, **EMBEDDING)
    valid = torch.ones(2, 9, dtype=torch.bool)
    valid[1, 6:] = False
    with torch.no_grad():
        pose, _, _ = encoder(clip(), valid)
        short = encoder.embed_motion(clip()[:, ::3], valid[:, ::3])
        encoder.embedding_stride = 3
        found = encoder(clip(), valid)
        assert torch.equal(found.pose, pose) and torch.equal(found.embedding, short)
        assert torch.equal(encoder.embed_motion(clip(), valid), short)


@EVERY
def test_padding_changes_nothing(name: str) -> None:
    encoder = build(name, **EMBEDDING)
    valid = torch.ones(2, 9, dtype=torch.bool)
    valid[1, 6:] = False
    padded, other = clip(), clip()
    other[1, 6:] = 7.0
    with torch.no_grad():
        first, second = encoder(padded, valid), encoder(other, valid)
    torch.testing.assert_close(first.pose[valid], second.pose[valid], rtol=0, atol=1e-6)
    torch.testing.assert_close(first.embedding, second.embedding, rtol=0, atol=1e-6)


@EVERY
def test_missing_joints_are_learned_and_official_weights_exact(name: str) -> None:
    """A joint of confidence 0 moves the pose only once its vector has been trained."""
    encoder = build(name)
    if not hasattr(encoder, "mask_token"):
        assert PEERS[name].cls.channels == "xyc"
        return
    seen, missing = clip(), clip()
    missing[:, 4, 3, 2] = 0
    with torch.no_grad():
        assert torch.equal(encoder(seen).pose, encoder(missing).pose)
        encoder.mask_token += 1
        assert not torch.equal(encoder(seen).pose, encoder(missing).pose)
    encoder(missing).pose.sum().backward()
    assert encoder.mask_token.grad.abs().sum() > 0


@EVERY
@pytest.mark.parametrize("depth", [0, 1])
def test_embedding_reads_all_frames_and_leaves_poses_alone(name: str, depth: int) -> None:
    """A token of the backbone's own, too, until its gates are trained."""
    sizes = EMBEDDING | {"embedding_depth": depth, "directional_embedding": depth > 0}
    encoder, plain = build(name, **sizes), build(name)
    plain.load_state_dict(encoder.state_dict(), strict=False)
    changed = clip()
    changed[:, 8] += 0.5
    with torch.no_grad():
        before = encoder(clip())
        torch.testing.assert_close(before.pose, plain(clip()).pose, rtol=0, atol=2e-6)
        assert not torch.allclose(before.embedding, encoder(changed).embedding, atol=1e-7)
    encoder(clip()).embedding.sum().backward()
    assert all(
        p.grad is not None for key, p in encoder.named_parameters() if key.startswith(READER)
    )
    assert encoder.token_in_backbone == (name in CARRIES and not depth)
    if encoder.token_in_backbone:
        with torch.no_grad():
            for key, gate in encoder.named_parameters():
                gate += 0.5 * key.endswith("token_gate")
            assert not torch.equal(encoder(clip()).pose, before.pose)


def test_token_attends_to_all_frames_and_they_to_each_other() -> None:
    """Against attention written out, with a gate of 0.3 for one head and 0 for the other."""
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, 2, 5, 4, dtype=torch.float64)
    mask = torch.tensor([True, True, False, True, True])
    gate = torch.tensor([0.3, 0.0], dtype=torch.float64)[:, None, None]
    found = attend(q, k, v, mask[None, None, None], gate)[0]
    for head in range(2):
        for i in range(5):
            keys = [j for j in range(5) if mask[j] and (i == 0 or j > 0)]
            logits = [float(q[0, head, i] @ k[0, head, j]) / 2 for j in keys]
            total = sum(math.exp(value) for value in logits)
            expected = sum(
                math.exp(value) / total * v[0, head, j]
                for value, j in zip(logits, keys, strict=True)
            )
            if i:
                expected = expected + gate[head, 0, 0] * v[0, head, 0]
            torch.testing.assert_close(found[head, i], expected)


@EVERY
def test_every_trained_parameter_has_a_gradient(name: str) -> None:
    """Else several processes would wait for it."""
    encoder = build(name, **EMBEDDING).train()
    pose, embedding, _ = encoder(clip())
    (pose.sum() + embedding.sum()).backward()
    trained = {key for key, p in encoder.named_parameters() if p.requires_grad}
    assert trained == {key for key, p in encoder.named_parameters() if p.grad is not None}
    assert len(trained) > 20


def test_encoder_computes_official_weights() -> None:
    spec, arrays = tiny("MixSTE")
    encoder = build("mixste", dim=16, depth=3, num_heads=4)
    encoder.backbone.load_state_dict(weights(spec))
    confidence = torch.rand(arrays["x"].shape[:-1])[..., None]
    with torch.no_grad():
        found = encoder.double()(torch.cat([arrays["x"], confidence], dim=-1).double()).pose
    torch.testing.assert_close(found, arrays["y"], rtol=0, atol=1e-9)


def test_causal_convolutions_see_no_later_frame() -> None:
    encoder = build("videopose3d")
    encoder.backbone.causal = True
    changed = clip()
    changed[:, 5:] += 1
    with torch.no_grad():
        first, second = encoder(clip()).pose, encoder(changed).pose
    assert torch.equal(first[:, :5], second[:, :5])
    assert not torch.equal(first[:, 5], second[:, 5])


def test_build_encoder_refuses_what_does_not_fit() -> None:
    with pytest.raises(UserError, match=r"no backbone mixst: choose from dstformer, mixste"):
        build("mixst")
    with pytest.raises(UserError, match=r"model\.heads needs model\.backbone dstformer, not mix"):
        build("mixste", heads=True)
    with pytest.raises(UserError, match=r"num_heads \(3\) must divide dim \(16\)"):
        build("mixste", num_heads=3)
    with pytest.raises(UserError, match=r"middle_layer \(3\) must be from 1 to the 2 stages"):
        build("mixste", class_token=True)
    with pytest.raises(UserError, match=r"from 1 to the 2 stages that carry the token"):
        build("pstmo", class_token=True)
    with pytest.raises(UserError, match="fused kernels are DSTformer's"):
        build("mixste").fuse()
    with pytest.raises(UserError, match="takes exactly 9"):
        build("mixste")(clip(10))
