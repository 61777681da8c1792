"""Outputs of other authors' networks, with the weights from a seed (see the README of the files).

Weights, gradients and statistics follow the recipe by which the outputs were made.
"""

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

FILES = Path(__file__).parents[1] / "reference_outputs" / "backbones"
SEED, GRADIENT_SEED = 20241128, 99
Spec = dict[str, Any]


def tiny(name: str) -> tuple[Spec, dict[str, Tensor]]:
    """The spec and the arrays of a tiny network."""
    with np.load(FILES / f"{name}.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files}
    return json.loads(arrays.pop("spec").numpy().tobytes()), arrays


def official(folder: Path, name: str, variant: str) -> tuple[Spec, dict[str, Tensor]]:
    """The same of a size with official weights; no arrays where there are none."""
    folder = folder / "zoo"
    spec = json.loads((folder / f"{name}_spec.json").read_text())["variants"][variant]
    if not spec["file"]:
        return spec, {}
    with np.load(folder / spec["file"]) as file:
        return spec, {key: torch.from_numpy(file[key]) for key in file.files}


def weights(spec: Spec) -> dict[str, Tensor]:
    """The state dict of a spec, in float32."""
    rng = np.random.default_rng(SEED)
    return {name: _draw(rng, *how) for name, *how in spec["tensors"]}


def _draw(rng: np.random.Generator, shape: list[int], rule: str, fan_in: int | None) -> Tensor:
    if rule == "count":
        return torch.zeros(shape, dtype=torch.int64)
    z = rng.standard_normal(shape)
    value = {
        "matrix": lambda: z / np.sqrt(fan_in or 1),
        "norm": lambda: 1 + 0.1 * z,
        "small": lambda: 0.1 * z,
        "var": lambda: 0.5 + np.abs(z),
        "adj": lambda: 0.05 * z,
        "eye": lambda: np.eye(shape[0]) + 0.05 * np.abs(z),
        "big": lambda: 1000 * z,
    }[rule]()
    return torch.from_numpy(np.asarray(value, np.float32))


def gradient_sums(network: nn.Module, spec: Spec, outputs: list[Tensor], used: int) -> Tensor:
    """A random projection of each parameter's gradient; NaN where there is none.

    Args:
        outputs: all that the peer returns; the first `used` are differentiated.
    """
    rng = np.random.default_rng(GRADIENT_SEED)
    weighted = [(y * torch.from_numpy(rng.standard_normal(y.shape))).sum() for y in outputs]
    torch.stack(weighted[:used]).sum().backward()
    parameters = dict(network.named_parameters())
    sums = []
    for name in spec["trainable"]:
        gradient = parameters[name].grad
        if gradient is None:
            sums.append(torch.tensor(torch.nan, dtype=torch.float64))
        else:
            sums.append((gradient * torch.from_numpy(rng.standard_normal(gradient.shape))).sum())
    return torch.stack(sums)


def buffer_sums(network: nn.Module, spec: Spec) -> Tensor:
    """Sums of the running statistics."""
    buffers = dict(network.named_buffers())
    names = [name for name in spec["buffers"] if "running" in name]
    return torch.stack([buffers[name].sum() for name in names])


def on_meta(cls: type[nn.Module], **sizes: Any) -> nn.Module:
    """A network without memory; random numbers there would take seconds to prepare."""
    undrawn = dict.fromkeys(("normal_", "trunc_normal_", "kaiming_uniform_"), lambda x, *_, **__: x)
    with torch.device("meta"), patch.multiple(nn.init, **undrawn):
        return cls(**sizes)


def without_dropout(network: nn.Module) -> nn.Module:
    """In train mode, with nothing dropped."""
    for module in network.modules():
        for name in ("dropout", "drop_path"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return network.train()


def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Of one shape, and nowhere farther apart than the tolerance."""
    assert found.shape == expected.shape
    assert (found.double() - expected.double()).abs().max() <= tolerance
