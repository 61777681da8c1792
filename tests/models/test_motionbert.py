"""The encoder against MotionBERT's outputs, and its official files."""

import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.parity_vectors import assert_close, on_meta
from torch import Tensor

from actionpose.checkpoint import load_motionbert
from actionpose.models.dstformer import PoseEncoder
from actionpose.utils.errors import UserError

REFERENCES = Path(__file__).parents[1] / "reference_outputs"
Weights = dict[str, Tensor]
LENGTHS = pytest.mark.parametrize("frames", [1, 9, 27])


def tiny_weights() -> Weights:
    with np.load(REFERENCES / "dstformer_tiny_weights.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def arrays(path: Path) -> Weights:
    with np.load(path) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def tiny_reference(frames: int) -> Weights:
    return arrays(REFERENCES / f"dstformer_tiny_T{frames}.npz")


@pytest.fixture(scope="module")
def tiny() -> PoseEncoder:
    heads = json.loads((REFERENCES / "config_tiny.json").read_text())["num_heads"]
    return load_motionbert(tiny_weights(), num_heads=heads)


@pytest.fixture
def tiny64(tiny: PoseEncoder) -> PoseEncoder:
    heads = tiny.blocks_st[0].attn_s.num_heads
    return load_motionbert(tiny_weights(), num_heads=heads).double()


@LENGTHS
def test_encoder_output_is_motionberts(tiny: PoseEncoder, tiny64: PoseEncoder, frames: int) -> None:
    reference = tiny_reference(frames)
    with torch.no_grad():
        assert_close(tiny(reference["x"]).pose, reference["y64"], 1e-5)
        assert_close(tiny64(reference["x"].double()).pose, reference["y64"], 1e-10)
    assert tiny(reference["x"]).embedding is None


def assert_states(encoder: PoseEncoder, reference: Weights) -> None:
    """Of clip 0: what enters the first pair, what leaves each, and the representation."""
    with torch.no_grad():
        state = encoder.embed(reference["x"][:1])
        assert_close(state, reference["e0"], 1e-5)
        for layer in range(len(encoder.ts_attn)):
            state = encoder.pair(layer, state, None)
            expected = reference[f"h{layer + 1}"]
            assert_close(state, expected, 1e-5 * expected.abs().max())
        assert_close(encoder.representation(state), reference["rep"], 1e-5)


@LENGTHS
def test_encoder_states_are_motionberts(tiny: PoseEncoder, frames: int) -> None:
    assert_states(tiny, tiny_reference(frames))


@LENGTHS
def test_encoder_gradients_are_motionberts(tiny64: PoseEncoder, frames: int) -> None:
    """The original's are float32; ours in float64 differ from them by its rounding."""
    reference = tiny_reference(frames)
    (tiny64(reference["x"].double()).pose * reference["g"].double()).sum().backward()
    parameters = dict(tiny64.named_parameters())
    assert len(parameters) == 110
    for key, parameter in parameters.items():
        expected = reference[f"grad/{key}"].double()
        scale = expected.abs().max().clamp(min=1e-3)
        assert_close(parameter.grad / scale, expected / scale, 2e-5)


def weights_by_recipe(shapes: dict[str, tuple[int, ...]]) -> Weights:
    """Random weights in the order of the original's state dict, as the parity files have them."""
    rng = np.random.default_rng(20240607)

    def draw(key: str) -> Tensor:
        z = rng.standard_normal(shapes[key])
        if key in ("temp_embed", "pos_embed"):
            return 0.2 * z
        if z.ndim == 1:
            return 1 + 0.1 * z if "norm" in key and key.endswith("weight") else 0.1 * z
        return z / np.sqrt(z.shape[1])

    linear = ("weight", "bias")
    parts = ["norm1_s", "norm1_t", "attn_s.proj", "attn_s.qkv", "attn_t.proj", "attn_t.qkv"]
    parts += ["norm2_s", "norm2_t", "mlp_s.fc1", "mlp_s.fc2", "mlp_t.fc1", "mlp_t.fc2"]
    order = ["joints_embed"]
    for blocks in ("blocks_st", "blocks_ts"):
        order += [f"{blocks}.{layer}.{part}" for layer in range(5) for part in parts]
    order += ["norm", "pre_logits.fc", "head", *(f"ts_attn.{layer}" for layer in range(5))]
    keys = ["temp_embed", "pos_embed", *(f"{name}.{kind}" for name in order for kind in linear)]
    assert sorted(keys) == sorted(shapes)
    return {key: torch.from_numpy(draw(key)).float() for key in keys}


FULL = {"dim": 512, "mlp_ratio": 2, "class_token": False}
LITE = {"dim": 256, "mlp_ratio": 4, "class_token": False}


@pytest.mark.parametrize(("name", "sizes"), [("lite", LITE), ("full", FULL)])
def test_encoder_of_full_size_is_motionberts(
    parity_data: Path, name: str, sizes: dict[str, int]
) -> None:
    reference = arrays(parity_data / f"dstformer_{name}_T27.npz")
    shapes = {
        key: tuple(value.shape) for key, value in on_meta(PoseEncoder, **sizes).state_dict().items()
    }
    encoder = load_motionbert(weights_by_recipe(shapes))
    assert_states(encoder, reference)
    with torch.no_grad():
        assert_close(encoder(reference["x"]).pose, reference["y64"], 1e-5)
        if name == "lite":  # the same code; of the full size it takes seconds
            one = reference["x"][:1].double()
            assert_close(encoder.double()(one).pose, reference["y64"][:1], 1e-10)


@pytest.mark.parametrize(("sizes", "parameters"), [(FULL, 42_466_317), (LITE, 16_001_549)])
def test_encoder_has_motionberts_parameters(sizes: dict[str, int], parameters: int) -> None:
    encoder = on_meta(PoseEncoder, **sizes)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert len(encoder.state_dict()) == 260


def test_class_token_adds_parameters() -> None:
    """17 x 512 of the token; of the pooling a norm, 512 to 512, a norm, and 17 to 1."""
    count = sum(parameter.numel() for parameter in on_meta(PoseEncoder).parameters())
    assert count - 42_466_317 == 8_704 + 1_024 + 262_656 + 1_024 + 18


def official_file(path: Path, weights: Weights, prefix: str = "module.", **extra: object) -> Path:
    """As MotionBERT writes it: a dict with a NumPy scalar beside the weights."""
    content = {"epoch": 89, "lr": 2e-4, "optimizer": None, "min_loss": np.float64(37.2)}
    content["model_pos"] = {prefix + key: value for key, value in weights.items()}
    torch.save(content | extra, path)
    return path


@pytest.mark.parametrize("prefix", ["module.", ""])
def test_load_motionbert_reads_official_files(tmp_path: Path, prefix: str) -> None:
    reference = tiny_reference(9)
    source = official_file(tmp_path / "best_epoch.bin", tiny_weights(), prefix)
    for argument in (source, str(source), {"model_pos": tiny_weights()}):
        encoder = load_motionbert(argument, num_heads=4)
        assert not encoder.training
        with torch.no_grad():
            assert_close(encoder(reference["x"]).pose, reference["y64"], 1e-5)


def test_load_motionbert_reads_scalars_of_numpy_1(tmp_path: Path) -> None:
    """NumPy 1 wrote its scalars under another module's name; the released files are of 2022."""
    source = official_file(tmp_path / "new.bin", tiny_weights())
    with zipfile.ZipFile(source) as new, zipfile.ZipFile(tmp_path / "old.bin", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            if name.endswith("data.pkl"):
                assert b"cnumpy._core.multiarray\n" in content
                content = content.replace(b"cnumpy._core.", b"cnumpy.core.")
            old.writestr(name, content)
    assert load_motionbert(tmp_path / "old.bin", num_heads=4).num_joints == 17


class Payload:
    """What a pickle runs when it is read, in earnest."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this must never run",)


def test_load_motionbert_refuses_a_pickle_with_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = official_file(tmp_path / "evil.bin", tiny_weights(), optimizer=Payload())
    with pytest.raises(UserError, match=r"evil\.bin.*print") as caught:
        load_motionbert(source)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    source.write_bytes(pickle.dumps(Payload(), protocol=2))
    with pytest.raises(UserError, match=r"evil\.bin"):
        load_motionbert(source)
    assert "never" not in capsys.readouterr().out


def test_load_motionbert_refuses_other_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file: .*nothing\.bin"):
        load_motionbert(tmp_path / "nothing.bin")
    for content in (b"", b"PK\x03\x04 not a zip", b"hello"):
        (tmp_path / "x.bin").write_bytes(content)
        with pytest.raises(UserError, match=r"x\.bin is not a file of MotionBERT's weights"):
            load_motionbert(tmp_path / "x.bin")
    source = official_file(tmp_path / "whole.bin", tiny_weights())
    source.write_bytes(source.read_bytes()[:-5000])
    with pytest.raises(UserError, match=r"whole\.bin"):
        load_motionbert(source)
    with pytest.raises(UserError, match=r"no weights: expected"):
        load_motionbert({})
    torch.save([1, 2], tmp_path / "list.bin")
    with pytest.raises(UserError, match=r"no weights: expected"):
        load_motionbert(tmp_path / "list.bin")


def test_load_motionbert_names_weights_that_do_not_fit() -> None:
    def changed(remove: Sequence[str] = (), **add: Tensor) -> Weights:
        return {k: v for k, v in tiny_weights().items() if k not in remove} | add

    with pytest.raises(UserError, match=r"not MotionBERT's DSTformer: temp_embed or head\.weight"):
        load_motionbert(changed(remove=["temp_embed"]), num_heads=4)
    with pytest.raises(UserError, match=r"norm\.bias is not in the file"):
        load_motionbert(changed(remove=["norm.bias"]), num_heads=4)
    with pytest.raises(UserError, match=r"blocks_st\.0\.mlp_s\.fc1\.bias"):
        load_motionbert(changed(remove=["blocks_st.0.mlp_s.fc1.bias"]), num_heads=4)
    with pytest.raises(UserError, match=r"extra is not in the model"):
        load_motionbert(changed(extra=torch.zeros(1)), num_heads=4)
    wrong = {"norm.weight": torch.zeros(31)}
    with pytest.raises(UserError, match=r"norm\.weight has shape \(31,\), not \(32,\)"):
        load_motionbert(changed() | wrong, num_heads=4)
    with pytest.raises(UserError, match=r"num_heads \(5\) must divide dim \(32\)"):
        load_motionbert(tiny_weights(), num_heads=5)


@pytest.mark.parametrize("value", [3, "text", torch.zeros(2), [torch.zeros(2)]])
def test_load_motionbert_refuses_values_that_are_no_weights(value: Any) -> None:
    for key in ("norm.weight", "temp_embed"):
        with pytest.raises(UserError):
            load_motionbert(tiny_weights() | {key: value}, num_heads=4)
