"""Muon: what it does to matrices, and that the rest is AdamW."""

import copy as copy_module

import pytest
import torch
from torch import nn

from actionpose.config import TrainingConfig
from actionpose.models import PoseEncoder, build_encoder
from actionpose.training.muon import MUON_RATE_FACTOR, Muon, make_optimizer, orthogonalize


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 16, 8), (2, 8, 24)])
def test_orthogonalize_moves_singular_values_near_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape, dtype=torch.float64)
    turned = orthogonalize(matrices)
    values = torch.linalg.svdvals(turned)
    assert ((values > 0.5) & (values < 1.4)).all()
    # the singular vectors stay: the polar factor is what the iteration tends to
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    polar = u @ vt
    similarity = (turned * polar).sum((1, 2)) / turned.norm(dim=(1, 2)) / polar.norm(dim=(1, 2))
    assert (similarity > 0.95).all()


def test_muon_equals_adamw_where_it_has_no_matrices() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Parameter(torch.randn(5)), nn.Parameter(torch.zeros(5))
    theirs.data.copy_(ours.data)
    a = Muon([{"params": [ours]}], lr=0.1, weight_decay=0.02)
    b = torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.02)
    for step in range(20):
        gradient = torch.randn(5, generator=torch.Generator().manual_seed(step))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        a.step()
        b.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_muon_treats_qkv_as_three_matrices() -> None:
    """One large gradient among the three must not silence the others."""
    p = nn.Parameter(torch.zeros(24, 8))
    p.grad = torch.randn(24, 8, generator=torch.Generator().manual_seed(0))
    p.grad[:8] *= 1e4
    Muon([{"params": [p], "parts": 3}], lr=1.0, weight_decay=0).step()
    sizes = [part.norm() for part in p.detach().chunk(3)]
    assert max(sizes) < 1.5 * min(sizes)


def test_make_optimizer_gives_muon_the_matrices_of_blocks() -> None:
    encoder = PoseEncoder(dim=16, depth=1, num_heads=2, dim_rep=16, middle_layer=1)
    optimizer = make_optimizer(encoder, TrainingConfig(optimizer="muon"))
    names = {id(p): name for name, p in encoder.named_parameters()}
    taken = {names[id(p)] for g in optimizer.param_groups if g["parts"] for p in g["params"]}
    assert taken == {
        f"blocks_{b}.0.{part}.weight"
        for b in ("st", "ts")
        for s in ("s", "t")
        for part in (f"attn_{s}.qkv", f"attn_{s}.proj", f"mlp_{s}.fc1", f"mlp_{s}.fc2")
    }
    assert {g["factor"] for g in optimizer.param_groups} == {1.0, MUON_RATE_FACTOR}
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(names)


TAKEN = {  # of each numbered layer, without what stays with AdamW
    "mixste": {"attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"},
    "stcformer": {"stc_att.qkv", "stc_att.proj", "mlp.fc1", "mlp.fc2"},
    "pstmo": {f"self_attn.linears.{i}" for i in range(4)}
    | {f"feed_forward.{name}" for name in ("w_1", "w_2")}
    | {"w1", "w2"},
    "videopose3d": {"layers_conv.0", "layers_conv.1"},
    "glagcn": {f"gcn1.conv_{x}.{i}" for x in "abd" for i in range(3)} | {"tcn1.conv"},
}


@pytest.mark.parametrize("name", TAKEN)
def test_make_optimizer_gives_muon_the_matrices_of_backbones(name: str) -> None:
    sizes = {"dim": 16, "depth": 1, "num_heads": 2, "max_frames": 9}
    encoder = build_encoder(name, **sizes, class_token=True, middle_layer=1, embedding_dim=8)
    optimizer = make_optimizer(encoder, TrainingConfig(optimizer="muon"))
    names = {id(p): name for name, p in encoder.named_parameters()}
    taken = {
        names[id(p)]: g["parts"] for g in optimizer.param_groups if g["parts"] for p in g["params"]
    }
    assert all(key.startswith("backbone.") for key in taken)
    for key, parts in taken.items():
        assert any(key.endswith(f"{end}.weight") for end in TAKEN[name]), key
        assert parts == (3 if key.endswith("attn.qkv.weight") else 1)
    for end in TAKEN[name]:
        assert any(key.endswith(f"{end}.weight") for key in taken), end


def test_muon_takes_a_convolution_as_a_matrix() -> None:
    kernel = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(0))
    gradient = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(1))
    found = []
    for shape in ((6, 4, 3), (6, 12)):
        p = nn.Parameter(kernel.reshape(shape).clone())
        p.grad = gradient.reshape(shape).clone()
        Muon([{"params": [p], "parts": 1}], lr=0.1, weight_decay=0.02).step()
        found.append(p.detach().flatten(1))
    assert torch.equal(*found) and not torch.equal(found[0], kernel.flatten(1))


def test_muon_state_survives_saving() -> None:
    encoder = PoseEncoder(dim=16, depth=1, num_heads=2, dim_rep=16, middle_layer=1)
    keypoints = torch.randn(2, 5, 17, 3, generator=torch.Generator().manual_seed(0))

    def step(model: PoseEncoder, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        model(keypoints).pose.square().mean().backward()
        optimizer.step()

    first = make_optimizer(encoder, TrainingConfig(optimizer="muon"))
    step(encoder, first)
    copy = PoseEncoder(dim=16, depth=1, num_heads=2, dim_rep=16, middle_layer=1)
    copy.load_state_dict(encoder.state_dict())
    second = make_optimizer(copy, TrainingConfig(optimizer="muon"))
    second.load_state_dict(copy_module.deepcopy(first.state_dict()))
    step(encoder, first)
    step(copy, second)
    for a, b in zip(encoder.parameters(), copy.parameters(), strict=True):
        assert torch.equal(a, b)
