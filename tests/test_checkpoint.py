"""Checkpoints: whole or not at all, found by name, and refused with a reason."""

import contextlib
import errno
import json
import resource
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from actionpose import ActionPose, checkpoint, model_hub
from actionpose.config import ModelConfig
from actionpose.models import PoseEncoder, build_encoder
from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256
from actionpose.utils.yaml_config import to_dict

SIZES = ModelConfig(
    dim=8, depth=2, num_heads=2, dim_rep=8, max_frames=9, middle_layer=1, embedding_dim=8
)


def encoder(seed: int = 0) -> PoseEncoder:
    torch.manual_seed(seed)
    return build_encoder(**asdict(SIZES))


def save(run: Path, step: int, model: PoseEncoder | None = None) -> Path:
    model = model or encoder(step)
    optimizer = torch.optim.AdamW(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    meta = {"stage": "finetune", "model": to_dict(SIZES)}
    return checkpoint.save(run, step, model, meta, {"optimizer": optimizer.state_dict()})


def contents(folder: Path) -> dict[str, Any]:
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def assert_same(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[key]), key


def test_save_and_load_round_trip(tmp_path: Path) -> None:
    model = encoder()
    folder = save(tmp_path, 12, model)
    assert folder == tmp_path / "checkpoints" / "0000012"
    assert {path.name for path in folder.iterdir()} == {
        *("weights.safetensors", "meta.json", "training.pt")
    }
    weights, meta = checkpoint.load(folder)
    assert_same(weights, model.state_dict())
    assert meta == {"format": 1, "step": 12, "stage": "finetune", "model": to_dict(SIZES)}
    loaded, meta = checkpoint.load_encoder(folder)
    assert_same(loaded.state_dict(), model.state_dict())
    assert not loaded.training and meta["step"] == 12
    state = checkpoint.load_training(folder)["optimizer"]
    assert len(state["state"]) == len(list(model.parameters()))
    assert all(value["step"] == 1 for value in state["state"].values())


def test_load_encoder_needs_no_settings(tmp_path: Path) -> None:
    model = encoder().eval()
    loaded, _ = checkpoint.load_encoder(save(tmp_path, 1, model))
    keypoints = torch.rand(2, 9, 17, 3)
    with torch.no_grad():
        for found, expected in zip(loaded(keypoints)[:2], model(keypoints)[:2], strict=True):
            assert torch.equal(found, expected)


def test_load_encoder_takes_settings_from_before_heads(tmp_path: Path) -> None:
    model = to_dict(SIZES)
    before = {key: value for key, value in model.items() if key != "heads"} | {"feet": False}
    folder = checkpoint.save(tmp_path, 1, encoder(), {"model": before}, {})
    loaded, meta = checkpoint.load_encoder(folder)
    assert loaded.heads is None and "feet" not in meta["model"]


def test_saved_steps_are_complete_and_in_order(tmp_path: Path) -> None:
    assert checkpoint.saved_steps(tmp_path) == []
    for step in (900, 1000, 20):
        save(tmp_path, step)
    (tmp_path / "checkpoints" / ".unfinished-0123456789ab").mkdir()  # of a killed process
    steps = [folder.name for folder in checkpoint.saved_steps(tmp_path)]
    assert steps == ["0000020", "0000900", "0001000"]


def test_save_replaces_the_same_step(tmp_path: Path) -> None:
    left = tmp_path / "checkpoints" / ".unfinished-0123456789ab"  # of a killed process
    left.mkdir(parents=True)
    (left / "rubbish").write_text("")
    save(tmp_path, 3, encoder(1))
    again = encoder(2)
    folder = save(tmp_path, 3, again)
    assert_same(checkpoint.load(folder)[0], again.state_dict())
    assert [path.name for path in folder.parent.iterdir()] == ["0000003"]


@contextlib.contextmanager
def full_disk(after: int) -> Any:
    """No file grows beyond so many bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("after", [0, 5_000, 40_000], ids=["at once", "weights", "optimizer"])
def test_save_on_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path, after: int) -> None:
    first = save(tmp_path, 1)
    if after == 40_000:
        assert (first / "weights.safetensors").stat().st_size < after
        assert (first / "training.pt").stat().st_size > after
    before = contents(tmp_path)
    with pytest.raises(UserError, match="cannot save .*0000002.*free some space") as caught:
        with full_disk(after):
            save(tmp_path, 2)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["0000001"]
    assert model_hub.find(tmp_path) == first


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), RuntimeError("torch")])
def test_save_that_fails_leaves_the_same_step_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    save(tmp_path, 1)
    before = contents(tmp_path)

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(UserError, match="cannot save"):
        save(tmp_path, 1, encoder(5))
    assert contents(tmp_path) == before


def test_publish_halves_weights_without_the_training_state(tmp_path: Path) -> None:
    source = save(tmp_path / "run", 4)
    folder = checkpoint.publish(source, tmp_path / "out" / "tiny")
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "meta.json"}
    sizes = [(path / "weights.safetensors").stat().st_size for path in (source, folder)]
    assert sizes[1] < 0.7 * sizes[0]  # the names weigh, too
    (whole, meta), (half, published) = checkpoint.load(source), checkpoint.load(folder)
    assert published == meta
    for key, value in half.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, whole[key].half().float())
    checkpoint.load_encoder(folder)
    as_usual = tmp_path / "usual"
    as_usual.touch()
    assert {path.stat().st_mode for path in folder.iterdir()} == {as_usual.stat().st_mode}
    with pytest.raises(UserError, match="exists already"):
        checkpoint.publish(source, folder)


def test_publish_that_fails_leaves_nothing(tmp_path: Path) -> None:
    source = save(tmp_path / "run", 4)
    with pytest.raises(Exception):  # noqa: B017 - whatever it is, nothing half-written stays
        with full_disk(1000):
            checkpoint.publish(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def cut(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


DAMAGES = {
    "empty weights": lambda folder: cut(folder / "weights.safetensors", 0),
    "cut header": lambda folder: cut(folder / "weights.safetensors", 100),
    "cut weights": lambda folder: cut(folder / "weights.safetensors", -100),
    "no weights": lambda folder: (folder / "weights.safetensors").unlink(),
    "no meta": lambda folder: (folder / "meta.json").unlink(),
    "empty meta": lambda folder: cut(folder / "meta.json", 0),
    "cut meta": lambda folder: cut(folder / "meta.json", 30),
    "binary meta": lambda folder: (folder / "meta.json").write_bytes(b"\xff\xfe\x00"),
    "list": lambda folder: (folder / "meta.json").write_text("[1]"),
    "other format": lambda folder: (folder / "meta.json").write_text('{"format": 2}'),
    "no format": lambda folder: (folder / "meta.json").write_text("{}"),
    "model is no dict": lambda folder: (folder / "meta.json").write_text(
        '{"format": 1, "model": 3}'
    ),
    "unknown size": lambda folder: (folder / "meta.json").write_text(
        '{"format": 1, "model": {"heigth": 3}}'
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_load_encoder_refuses_damaged_checkpoints(tmp_path: Path, damage: str) -> None:
    folder = save(tmp_path, 7)
    DAMAGES[damage](folder)
    with pytest.raises(UserError, match="0000007") as caught:
        checkpoint.load_encoder(folder)
    assert "\n" not in str(caught.value)


def test_load_names_what_is_wrong(tmp_path: Path) -> None:
    folder = save(tmp_path, 7)
    with pytest.raises(UserError, match="is not a checkpoint: it needs weights"):
        checkpoint.load(tmp_path)
    (folder / "meta.json").write_text('{"format": 2}')
    with pytest.raises(UserError, match="is of format 2; this version reads 1"):
        checkpoint.load(folder)
    cut(folder / "weights.safetensors", 50)
    with pytest.raises(UserError, match="is damaged"):
        checkpoint.load(folder)


@pytest.mark.parametrize("keep", [0, 10, -50])
def test_load_training_refuses_a_damaged_file(tmp_path: Path, keep: int) -> None:
    folder = save(tmp_path, 7)
    cut(folder / "training.pt", keep)
    with pytest.raises(UserError, match=r"cannot resume from .*0000007: training\.pt") as caught:
        checkpoint.load_training(folder)
    assert "\n" not in str(caught.value)


class Payload:
    def __reduce__(self) -> Any:
        return print, ("this must never run",)


def test_load_training_of_another_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run may be resumed on a machine without the GPU that it was begun on."""
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:7")
    folder = save(tmp_path, 1)
    state = checkpoint.load_training(folder)["optimizer"]["state"]
    assert {value.device.type for value in state[0].values()} == {"cpu"}


def test_load_training_refuses_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save(tmp_path, 7)
    torch.save({"optimizer": Payload()}, folder / "training.pt")
    with pytest.raises(UserError, match="cannot resume from") as caught:
        checkpoint.load_training(folder)
    assert "never" not in capsys.readouterr().out
    assert "\n" not in str(caught.value)


def test_load_by_name_lists_every_name_that_does_not_fit() -> None:
    model = encoder()
    weights = dict(encoder(1).state_dict())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    del weights["norm.bias"], weights["head.weight"]
    weights["stranger"] = torch.zeros(1)
    weights["norm.weight"] = torch.zeros(3)
    with pytest.raises(UserError) as caught:
        checkpoint.load_by_name(model, weights, "some file")
    assert str(caught.value) == (
        "some file does not fit: head.weight is not in the file; norm.bias is not in the file; "
        "norm.weight has shape (3,), not (8,); stranger is not in the model"
    )
    assert_same(model.state_dict(), before)


def test_load_by_name_cuts_a_long_list() -> None:
    with pytest.raises(UserError, match=f"and {len(encoder().state_dict()) - 8} more$"):
        checkpoint.load_by_name(encoder(), {}, "x")


def test_load_by_name_lets_some_names_be_missing() -> None:
    model, source = encoder(0), encoder(1).state_dict()
    parts = ("pose_token", "pooling.")
    weights = {key: value for key, value in source.items() if not key.startswith(parts)}
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(UserError, match=r"pooling\.fc\.bias is not in the file"):
        checkpoint.load_by_name(model, weights, "x")
    checkpoint.load_by_name(model, weights, "x", may_miss=parts)
    expected = {key: before[key] if key.startswith(parts) else source[key] for key in source}
    assert_same(model.state_dict(), expected)


def test_save_writes_readable_metadata(tmp_path: Path) -> None:
    text = (save(tmp_path, 7) / "meta.json").read_text(encoding="utf-8")
    assert json.loads(text)["model"]["dim"] == 8 and text.endswith("}\n")


def official_file(path: Path) -> PoseEncoder:
    torch.manual_seed(1)
    sizes = {"dim": 16, "depth": 2, "dim_rep": 8, "max_frames": 9, "class_token": False}
    model = PoseEncoder(num_heads=8, **sizes)
    torch.save({"model_pos": {f"module.{k}": v for k, v in model.state_dict().items()}}, path)
    return model.eval()


def test_official_files_take_the_place_of_a_checkpoint(tmp_path: Path) -> None:
    model = official_file(tmp_path / "official.bin")
    path = model_hub.find(tmp_path / "official.bin")
    loaded, meta = checkpoint.load_encoder(path)
    assert_same(loaded.state_dict(), model.state_dict())
    assert (meta["frames"], meta["normalization"], meta["model"]["depth"]) == (9, "image", 2)
    lifter = ActionPose.from_pretrained(path, "cpu")
    assert not lifter.knows_actions and lifter.checkpoint["sha256"] == sha256(path)
    published = checkpoint.publish(path, tmp_path / "published")
    clip = torch.rand(1, 9, 17, 3)
    again, _ = checkpoint.load_encoder(published)
    torch.testing.assert_close(again(clip).pose, model(clip).pose, atol=1e-3, rtol=0)


def test_export_motionbert_is_the_same_function(tmp_path: Path) -> None:
    """With an embedding branch, lifting is DSTformer's; with the token in its layers it is not."""
    sizes = replace(SIZES, dim=16, num_heads=8, embedding_depth=1)
    branched = build_encoder(**asdict(sizes)).eval()
    folder = checkpoint.save(tmp_path, 1, branched, {"model": to_dict(sizes)}, {})
    checkpoint.export_motionbert(folder, tmp_path / "mine.bin")
    plain = checkpoint.load_motionbert(tmp_path / "mine.bin")
    assert not plain.class_token
    clip = torch.rand(2, 9, 17, 3)
    torch.testing.assert_close(plain(clip).pose, branched(clip).pose, atol=1e-6, rtol=0)
    with pytest.raises(UserError, match="exists already"):
        checkpoint.export_motionbert(folder, tmp_path / "mine.bin")
    with pytest.raises(UserError, match="its frames attend to a <POSE> token"):
        checkpoint.export_motionbert(save(tmp_path, 2), tmp_path / "other.bin")
    sizes = replace(sizes, bone_features=True)
    other = build_encoder(**asdict(sizes))
    folder = checkpoint.save(tmp_path / "bones", 1, other, {"model": to_dict(sizes)}, {})
    with pytest.raises(UserError, match=r"it also reads bones; train with model\.bone_features"):
        checkpoint.export_motionbert(folder, tmp_path / "other.bin")
    assert not (tmp_path / "other.bin").exists()
