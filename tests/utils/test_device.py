"""The choice of a device."""

import pytest
import torch

from actionpose.utils.device import choose_device
from actionpose.utils.errors import UserError


@pytest.mark.parametrize("gpu", [False, True])
def test_choose_device(monkeypatch: pytest.MonkeyPatch, gpu: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") == ("cuda" if gpu else "cpu")
    with pytest.raises(UserError, match="auto, cpu, cuda, not 'gpu'"):
        choose_device("gpu")
    if not gpu:
        with pytest.raises(UserError, match="torch finds no GPU"):
            choose_device("cuda")
