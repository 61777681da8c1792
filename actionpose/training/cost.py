"""Estimated cost of a training run: multiply-adds, steps, hours and memory."""

from collections.abc import Iterator
from dataclasses import asdict

import torch
from torch import Tensor

from actionpose.config import FinetuneConfig, ModelConfig, PretrainConfig
from actionpose.models import Encoder, build_encoder
from actionpose.skeletons import H36M17

TRAINING = 3  # forward and backward pass cost three forward passes
TERAFLOPS = 50.0  # teraFLOP per second assumed in the estimate of hours
_GIB = 2**30


def macs(model: ModelConfig, frames: int) -> float:
    """Multiply-adds of one clip, including the attention products.

    The embedding branch is counted as if it processed all frames.
    """
    dim, rep = model.dim, model.dim_rep
    length = frames + (model.class_token and not model.embedding_depth)
    tokens, attended = length * len(H36M17), length + len(H36M17)
    block = 4 * (4 + 2 * model.mlp_ratio) * dim**2 + 4 * dim * attended + 4 * dim
    pairs = model.depth + (model.embedding_depth if model.class_token else 0)
    return tokens * (pairs * block + 3 * dim + dim * rep + 3 * rep)


def activation_bytes(model: ModelConfig, frames: int, *, bf16: bool = False) -> int:
    """Approximate bytes of activations that are stored per clip for the backward pass.

    They are measured on two short clips and extrapolated linearly to the number of frames, which is
    valid if the attention matrices are not stored.
    """
    encoder = build_encoder(**asdict(model))
    short, long = (_kept(encoder, length, bf16) for length in (3, 6))
    return short + (long - short) // 3 * (frames - 3)


def _kept(encoder: Encoder, frames: int, bf16: bool) -> int:
    own = {value.untyped_storage().data_ptr() for value in encoder.parameters()}
    kept: dict[int, int] = {}  # by storage, which views share

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=bf16),
    ):
        output = encoder(torch.zeros(1, frames, encoder.num_joints, 3))
    del output
    return sum(kept.values())


def estimate(config: FinetuneConfig | PretrainConfig, clips: int) -> Iterator[str]:
    """Describe the number of steps, and the hours and memory to train a DSTformer on one GPU.

    Args:
        config: Configuration of the training.
        clips: Number of clips per epoch.
    """
    training = config.training
    steps = max(1, round(training.epochs * max(1, clips // training.batch_size)))
    yield f"{clips:,} clips an epoch, {steps:,} steps of {training.batch_size} clips"
    frozen = isinstance(config, PretrainConfig) and config.freezes_lifting
    on_cpu = training.device in ("cpu", "cpu_fused")
    if config.model.backbone != "dstformer" or config.model.heads or frozen or on_cpu:
        return
    flop = 2 * macs(config.model, config.data.frames) * TRAINING * training.batch_size * steps
    hours = flop / (TERAFLOPS * 1e12) / 3600
    bf16 = training.precision == "bf16"
    at_once = training.batch_size / training.gradient_accumulation_steps
    kept = activation_bytes(config.model, config.data.frames, bf16=bf16)
    count = sum(value.numel() for value in build_encoder(**asdict(config.model)).parameters())
    state = 4 * 4 * count  # weights, gradients, and two moments of AdamW
    yield f"{flop / 1e18:.3g} EFLOP: {hours:.1f} h at {TERAFLOPS:g} TFLOP/s"
    yield (
        f"{(at_once * kept + state) / _GIB:.1f} GiB on one device: {at_once:g} clips at once, "
        f"{kept / _GIB:.2f} GiB each in {training.precision}, and {state / _GIB:.2f} GiB of state"
    )
    if isinstance(config, PretrainConfig) and config.loss_weights.get("alignment"):
        yield "the text encoder comes on top: about 1 GiB for three layers of BERT-base"
