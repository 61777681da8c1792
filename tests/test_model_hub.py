"""Checkpoints found by bundled name, folder, run, or Hub id."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from helpers.pretrained import write_checkpoint
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from actionpose import checkpoint, model_hub
from actionpose.utils.errors import UserError


def test_find_takes_runs_folders_and_bundled_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path / "run" / "checkpoints" / "0000004")
    newest = write_checkpoint(tmp_path / "run" / "checkpoints" / "0000030")
    assert model_hub.find(tmp_path / "run") == newest
    assert model_hub.find(str(newest)) == newest
    published = checkpoint.publish(newest, tmp_path / "package" / "weights" / "pocket")
    monkeypatch.setattr(model_hub.resources, "files", lambda _: tmp_path / "package")
    assert model_hub.bundled() == {"pocket": published}
    assert model_hub.find("pocket") == published


def test_find_refuses_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint nowhere: give a folder, a Hub id, or a"):
        model_hub.find("nowhere")
    with pytest.raises(UserError, match="no checkpoint"):
        model_hub.find(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no checkpoint"):
        model_hub.find("./some/where")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (LocalEntryNotFoundError("offline"), "cannot be reached:"),
        (RepositoryNotFoundError.__new__(RepositoryNotFoundError), "has no such model, or does"),
        (PermissionError("the cache"), r"failed \(PermissionError\):"),
    ],
)
def test_find_says_why_the_hub_failed(
    monkeypatch: pytest.MonkeyPatch, error: OSError, why: str
) -> None:
    def fail(name: str, **_: Any) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(UserError, match=f"no folder some/model here, and the .* Hub {why}"):
        model_hub.find("some/model")


def test_find_downloads_only_published_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def give(name: str, **settings: Any) -> str:
        asked[name] = settings
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", give)
    assert model_hub.find("someone/model") == Path(tmp_path)
    files = ["weights.safetensors", "meta.json", "labels.safetensors", "text/*"]
    assert asked == {"someone/model": {"allow_patterns": files}}
