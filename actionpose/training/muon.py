"""AdamW, and Muon for the matrices of the encoder's layers.

Muon (Jordan et al. 2024) replaces the momentum of a matrix's gradient by the nearest matrix whose
singular values are all about 1, so that a step changes every direction of the weights by the same
amount. A small encoder then needs a fraction of AdamW's steps (docs/experiments). Other parameters
(embeddings, norms, biases, the mix of the two blocks, the head) stay with AdamW. `torch.optim.Muon`
processes matrices one by one in bf16, which is slow on a CPU; here all matrices of a shape are
orthogonalized at once.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from actionpose.config import TrainingConfig

MUON_RATE_FACTOR = 20.0  # Muon's learning rate over AdamW's
_MOMENTUM = 0.95
_ITERATIONS = 5
# A quintic that moves singular values in (0, 1] towards 1 fast, and ends within 0.7 to 1.2.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_BETAS, _EPS = (0.9, 0.999), 1e-8


def make_optimizer(
    model: nn.Module,
    config: TrainingConfig,
    rate_factor: Callable[[str], float] = lambda name: 1.0,
) -> torch.optim.Optimizer:
    """The optimizer of a run; each of its groups carries its `factor` of the learning rate.

    Args:
        rate_factor: by the name of a parameter.
    """
    groups: dict[tuple[float, int], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parts = _matrices_in(name, parameter) if config.optimizer == "muon" else 0
            groups[rate_factor(name), parts].append(parameter)
    listed: list[dict[str, Any]] = [
        {
            "params": parameters,
            "factor": factor * (MUON_RATE_FACTOR if parts else 1),
            "parts": parts,
        }
        for (factor, parts), parameters in groups.items()
    ]
    kind = Muon if config.optimizer == "muon" else torch.optim.AdamW
    return kind(listed, lr=config.learning_rate, weight_decay=config.weight_decay)


def _matrices_in(name: str, parameter: nn.Parameter) -> int:
    """Matrices that a parameter of the encoder consists of for Muon; 0 leaves it to AdamW.

    Those of DSTformer's blocks, and of the numbered layers of another backbone; of its convolutions
    a matrix has a row for each output. Depthwise ones, mixes of two streams and heads are no such.
    """
    if not name.endswith("weight") or "norm" in name:
        return 0
    if "blocks_" not in name:
        numbered = "backbone." in name and re.search(r"\.\d+\.", name)
        if not numbered or any(part in name for part in (".fcn", ".emb.")):
            return 0
        if parameter.ndim < 2 or min(parameter.shape[:2]) < 4:
            return 0
    return 3 if "qkv" in name and "_att.qkv" not in name else 1  # STCFormer's are interleaved


class Muon(torch.optim.Optimizer):
    """Muon for groups whose `parts` is above 0, AdamW for those where it is 0.

    Args:
        groups: with `params`, `parts` (matrices stacked in each parameter) and what they override.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, weight_decay: float):
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "parts": 0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update the parameters that have a gradient."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            if group["parts"]:
                self._muon(parameters, group)
            else:
                self._adam(parameters, group)

    def _muon(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        by_shape: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
        for parameter in parameters:
            by_shape[len(parameter), parameter[0].numel()].append(parameter)
        for (rows, columns), same_shape in by_shape.items():
            gradients = torch.stack([p.grad.flatten(1) for p in same_shape if p.grad is not None])
            momenta = []
            for p, gradient in zip(same_shape, gradients, strict=True):
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(gradient))
                momenta.append(momentum.lerp_(gradient, 1 - _MOMENTUM))
            ahead = gradients.lerp(torch.stack(momenta), _MOMENTUM)  # Nesterov
            matrices = ahead.view(-1, rows // group["parts"], columns)
            scale = max(1.0, matrices.shape[1] / columns) ** 0.5
            updates = orthogonalize(matrices).reshape(ahead.shape)
            for p, update in zip(same_shape, updates, strict=True):
                p.add_(update.view_as(p), alpha=-group["lr"] * scale)

    def _adam(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        for p in parameters:
            state, gradient = self.state[p], p.grad
            if not state:
                state |= {"step": 0, "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
            assert gradient is not None
            state["step"] += 1
            state["mean"].lerp_(gradient, 1 - _BETAS[0])
            state["square"].mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
            unbias = [1 - beta ** state["step"] for beta in _BETAS]
            size = (state["square"] / unbias[1]).sqrt_().add_(_EPS)
            p.addcdiv_(state["mean"], size, value=-group["lr"] / unbias[0])


def orthogonalize(matrices: Tensor) -> Tensor:
    """Move all singular values of (N, rows, columns) near 1, by Newton-Schulz iterations."""
    a, b, c = _QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
