"""Weights to start from: a run, a checkpoint, or an official MotionBERT file."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from helpers.training_runs import changed

from actionpose import checkpoint, model_hub
from actionpose.config import FinetuneConfig
from actionpose.models import PoseEncoder, build_encoder
from actionpose.training.finetune import finetune
from actionpose.training.initialization import initialize, stretch
from actionpose.utils.errors import UserError


def test_stretch_spreads_the_known_rows_over_more_frames() -> None:
    table = torch.zeros(1, 9, 1, 2)
    table[0, :3, 0, 0] = torch.tensor([1.0, 3.0, 5.0])
    table[0, 5:, 0, 1] = 7.0
    stretched = stretch(table, 3, 5)
    assert stretched.shape == table.shape
    assert stretched[0, :5, 0, 0].tolist() == [1, 2, 3, 4, 5]
    assert torch.equal(stretched[:, 5:], table[:, 5:])


def test_initialize_stretches_the_table_of_shorter_clips(tmp_path: Path) -> None:
    sizes = {"dim": 8, "depth": 1, "num_heads": 1, "dim_rep": 8, "max_frames": 6}
    source, target = (PoseEncoder(**sizes, class_token=False) for _ in range(2))
    meta = {"model": {**sizes, "class_token": False}, "frames": 3}
    folder = checkpoint.save(tmp_path, 1, source, meta, {})
    initialize(target, folder, frames=3)
    assert torch.equal(target.temp_embed, source.temp_embed)
    initialize(target, folder, frames=5)
    assert torch.equal(target.temp_embed[:, [0, 2, 4, 5]], source.temp_embed[:, [0, 1, 2, 5]])


def encoder_of(config: FinetuneConfig, **changes: object) -> PoseEncoder:
    return build_encoder(**asdict(replace(config.model, **changes)))


def test_initialize_takes_runs_checkpoints_and_official_files(
    tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
    """A run, its checkpoint or a file of MotionBERT's layout, which have no embedding."""
    run = tmp_path / "run"
    finetune(changed(tiny_config, max_minutes=0.0), run, quiet=True)
    weights, _ = checkpoint.load(model_hub.find(run))
    official = tmp_path / "official.bin"
    torch.save({"model_pos": {f"module.{key}": value for key, value in weights.items()}}, official)
    for source, own in ((run, 0), (model_hub.find(run), 1), (official, 0), (official, 2)):
        sizes = {"class_token": True, "middle_layer": 1, "embedding_depth": own}
        encoder = encoder_of(tiny_config, **sizes)
        drawn = {name: value.clone() for name, value in encoder.state_dict().items()}
        initialize(encoder, source)
        state = encoder.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in weights.items())
        for name in set(state) - set(weights):
            # pair 2 is the embedding's, above pair 0; lifting has pair 1 there, and none above
            copied = name.replace(".2.", ".1.") if ".2." in name else None
            assert torch.equal(state[name], weights[copied] if copied else drawn[name]), name
    with pytest.raises(UserError, match="does not fit"):
        initialize(encoder_of(tiny_config, dim=8), run)
    with pytest.raises(UserError, match="no checkpoint"):
        initialize(encoder_of(tiny_config), tmp_path / "none")
    with pytest.raises(UserError, match="no checkpoint"):
        finetune(replace(tiny_config, init=tmp_path / "none"), tmp_path / "new", quiet=True)
    assert not (tmp_path / "new").exists()
