"""The pose encoder with a text encoder and its vocabulary."""

from pathlib import Path

import pytest
import torch

from actionpose.models import PoseEncoder
from actionpose.models.text_encoder import TextEncoder
from actionpose.training.motion_text_model import MotionTextModel


def test_encode_encodes_each_label_once(small_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TextEncoder.from_pretrained(small_bert, layers=1, embedding_dim=8, dropout=0.0)
    labels = ["walk", "run", "sit down on the chair", "kick"]
    model = MotionTextModel(PoseEncoder(dim=8, depth=1, num_heads=1, middle_layer=1), text, labels)
    seen = []
    features = text.features
    monkeypatch.setattr(text, "features", lambda i, v: seen.append(i) or features(i, v))
    found = model.encode(torch.tensor([[0, 3], [3, 0]]))
    assert len(seen) == 1 and seen[0].shape == (2, 3 + 0)  # two texts of one word
    torch.testing.assert_close(found[0, 1], found[1, 0])
    torch.testing.assert_close(found[0, 0], text.encode(["walk"])[0], atol=1e-5, rtol=0)
    # frozen: the same, from features that were computed once
    model.freeze_text()
    seen.clear()
    torch.testing.assert_close(model.encode(torch.tensor([[0, 3], [3, 0]])), found)
    assert not seen and not any(p.requires_grad for p in text.bert.parameters())


def test_freeze_text_on_the_device_of_the_model(
    small_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TextEncoder.from_pretrained(small_bert, layers=1, embedding_dim=8)
    pose = PoseEncoder(dim=8, depth=1, num_heads=1, middle_layer=1)
    model = MotionTextModel(pose, text, ["walk", "run"]).to("meta")
    devices = []
    monkeypatch.setattr(
        text, "features", lambda ids, valid: devices.append(ids.device.type) or torch.zeros(2, 8)
    )
    model.freeze_text()
    assert devices == ["meta"]
