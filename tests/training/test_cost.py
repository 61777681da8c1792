"""Multiply-adds of the literature, and the memory that a training step was measured to take."""

from dataclasses import replace

import pytest

from actionpose.config import FinetuneConfig, ModelConfig, TrainingConfig
from actionpose.training.cost import activation_bytes, estimate, macs

FULL = ModelConfig(class_token=False)


def test_macs_are_those_of_the_literature() -> None:
    lite = ModelConfig(class_token=False, dim=256, mlp_ratio=4)
    for config, frames, giga in ((FULL, 27, 19.59), (FULL, 243, 185.40), (lite, 81, 22.54)):
        assert macs(config, frames) / 1e9 == pytest.approx(giga, abs=0.006)
    assert macs(ModelConfig(), 243) / 1e9 == pytest.approx(186.21, abs=0.006)


def test_activations_of_the_full_model_are_those_that_were_measured() -> None:
    """2.1 GB a clip of 243 frames in float32; bf16 keeps the residual stream in float32."""
    whole = activation_bytes(FULL, 243)
    assert whole == pytest.approx(2.1e9, rel=0.02)
    assert 0.5 * whole < activation_bytes(FULL, 243, bf16=True) < 0.75 * whole


def test_macs_count_the_embedding_branch() -> None:
    branch = replace(FULL, class_token=True, embedding_depth=FULL.depth)
    assert macs(branch, 81) == pytest.approx(2 * macs(FULL, 81), rel=0.01)


def test_estimate_counts_steps_and_divides_memory() -> None:
    config = FinetuneConfig(
        model=replace(FULL, dim=64, num_heads=2, depth=1),
        training=TrainingConfig(epochs=60, batch_size=32, gradient_accumulation_steps=4),
    )
    lines = list(estimate(config, 19_256))
    assert lines[0] == "19,256 clips an epoch, 36,060 steps of 32 clips"
    assert "8 clips at once" in lines[2]
    on_cpu = replace(config, training=replace(config.training, device="cpu_fused"))
    assert list(estimate(on_cpu, 19_256)) == lines[:1]
