"""Every backbone trains in both stages, resumes exactly, and lifts part of the bundled clip."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from helpers.training_runs import assert_same_end, changed

from actionpose import ActionPose, Keypoints, checkpoint, config
from actionpose.config import FinetuneConfig, PretrainConfig
from actionpose.training.finetune import finetune
from actionpose.training.pretrain import pretrain

DEMO = Path(__file__).parents[2] / "actionpose" / "assets" / "demo_keypoints.npz"


@pytest.mark.parametrize("name", get_args(config.Backbone)[1:])
def test_backbone_trains_resumes_and_lifts(
    tiny_pretraining: PretrainConfig,
    tiny_config: FinetuneConfig,
    tmp_path: Path,
    name: str,
) -> None:
    """Three steps of each stage, the second stage from the first one's checkpoint."""
    model = replace(tiny_pretraining.model, backbone=name, depth=1, max_frames=9)
    first = changed(replace(tiny_pretraining, model=model), epochs=1, optimizer="muon")
    start = pretrain(first, tmp_path / "pretrain", quiet=True)
    second = changed(replace(tiny_config, model=model, init=start.checkpoint), epochs=3 / 11)
    stopped = finetune(changed(second, max_minutes=0.0), tmp_path / "parts", quiet=True)
    ends = [finetune(second, tmp_path / folder, quiet=True) for folder in ("whole", "parts")]
    assert [start.step, stopped.step, *(end.step for end in ends)] == [3, 1, 3, 3]
    assert_same_end(tmp_path / "whole", tmp_path / "parts")
    (before, _), (after, _) = (checkpoint.load(run.checkpoint) for run in (start, ends[0]))
    assert all((after[key] == before[key]).all() for key in after if "pooling" in key)
    assert any((after[key] != before[key]).any() for key in after if "backbone" in key)

    lifter = ActionPose.from_pretrained(ends[0].checkpoint, "cpu")
    assert lifter.knows_actions
    clip = Keypoints.read(DEMO)
    clip = replace(clip, keypoints_px=clip.keypoints_px[:, :20], valid=clip.valid[:, :20])
    result = lifter.lift(clip)
    assert result.pose_m.shape[1:] == (clip.num_frames, 17, 3)
    assert np.isfinite(result.pose_m).all()
    assert np.ptp(result.pose_m, axis=1).max() > 0
