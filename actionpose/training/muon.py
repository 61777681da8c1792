"""AdamW, and Muon for the weight matrices of the encoder layers.

Muon (Jordan et al. 2024) replaces the momentum of the gradient of a matrix by the nearest matrix
whose singular values are all about 1, so that a step changes all directions of the weights by the
same amount. A small encoder then needs a fraction of the steps of AdamW (docs/experiments). Other
parameters (embeddings, norms, biases, the fusion of the two blocks, the head) use AdamW.
`torch.optim.Muon` processes matrices one by one in bf16, which is slow on a CPU; this module
orthogonalizes all matrices of the same shape at once.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from actionpose.config import TrainingConfig

MUON_RATE_FACTOR = 20.0  # learning rate of Muon relative to that of AdamW
_MOMENTUM = 0.95
_ITERATIONS = 5
# quintic polynomial that quickly maps singular values in (0, 1] to between 0.7 and 1.2
_QUINTIC = (3.4445, -4.7750, 2.0315)
_BETAS, _EPS = (0.9, 0.999), 1e-8


def make_optimizer(
    model: nn.Module,
    config: TrainingConfig,
    rate_factor: Callable[[str], float] = lambda name: 1.0,
) -> torch.optim.Optimizer:
    """Create the optimizer of a run, whose groups have a `factor` of the learning rate.

    Args:
        model: Model to train.
        config: Training settings.
        rate_factor: Factor of the learning rate by the name of a parameter.
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
    """Number of matrices in a parameter of the encoder that Muon trains; 0 for AdamW.

    Muon trains the matrices of DSTformer's blocks and of the numbered layers of other backbones. A
    convolution is a matrix with one row per output channel. Depthwise convolutions, fusions of two
    streams, and heads are excluded.
    """
    if not name.endswith("weight") or "norm" in name:
        return 0
    if "blocks_" not in name:
        numbered = "backbone." in name and re.search(r"\.\d+\.", name)
        if not numbered or any(part in name for part in (".fcn", ".emb.")):
            return 0
        if parameter.ndim < 2 or min(parameter.shape[:2]) < 4:
            return 0
    return 3 if "qkv" in name and "_att.qkv" not in name else 1  # STCFormer interleaves them


class Muon(torch.optim.Optimizer):
    """Muon for parameter groups with `parts` above 0, and AdamW for others.

    Args:
        groups: Parameter groups with `params`, `parts` (number of matrices stacked in each
            parameter) and overridden settings.
        lr: Learning rate.
        weight_decay: Weight decay.
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
    """Map all singular values of (N, rows, columns) to about 1 by Newton-Schulz iterations."""
    a, b, c = _QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
