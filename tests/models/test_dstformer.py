"""The encoder against MotionBERT's outputs, and what the class token adds to it."""

import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from actionpose.checkpoint import load_motionbert
from actionpose.models.blocks import attend
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


def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    assert found.shape == expected.shape
    assert (found.double() - expected.double()).abs().max() <= tolerance


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


def on_meta(**sizes: int) -> PoseEncoder:
    with torch.device("meta"):
        return PoseEncoder(**sizes)


@pytest.mark.parametrize(("name", "sizes"), [("lite", LITE), ("full", FULL)])
def test_encoder_of_full_size_is_motionberts(
    parity_data: Path, name: str, sizes: dict[str, int]
) -> None:
    reference = arrays(parity_data / f"dstformer_{name}_T27.npz")
    shapes = {key: tuple(value.shape) for key, value in on_meta(**sizes).state_dict().items()}
    encoder = load_motionbert(weights_by_recipe(shapes))
    assert_states(encoder, reference)
    with torch.no_grad():
        assert_close(encoder(reference["x"]).pose, reference["y64"], 1e-5)
        one = reference["x"][:1].double()
        assert_close(encoder.double()(one).pose, reference["y64"][:1], 1e-10)


@pytest.mark.parametrize(("sizes", "parameters"), [(FULL, 42_466_317), (LITE, 16_001_549)])
def test_encoder_has_motionberts_parameters(sizes: dict[str, int], parameters: int) -> None:
    encoder = on_meta(**sizes)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert len(encoder.state_dict()) == 260


def test_class_token_adds_parameters() -> None:
    """17 x 512 of the token; of the pooling a norm, 512 to 512, a norm, and 17 to 1."""
    count = sum(parameter.numel() for parameter in on_meta().parameters())
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


SIZES = {"dim": 16, "depth": 3, "num_heads": 2, "dim_rep": 16, "max_frames": 27}
SIZES |= {"middle_layer": 2, "embedding_dim": 24}


def small(seed: int = 0, spread: float = 0.2, **changes: Any) -> PoseEncoder:
    """Drawn wider than for training, so that attention is far from uniform."""
    torch.manual_seed(seed)
    encoder = PoseEncoder(**(SIZES | changes)).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return encoder


def keypoints_of(clips: int, frames: int, seed: int = 1) -> Tensor:
    return torch.rand(clips, frames, 17, 3, generator=torch.Generator().manual_seed(seed))


FORMS = {"paper": {}, "own_pair": {"embedding_depth": 1}, "no_token": {"class_token": False}}
EACH_FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@EACH_FORM
@pytest.mark.parametrize("frames", [1, 5, 27])
def test_encoder_output_shapes(form: dict[str, Any], frames: int) -> None:
    output = small(**form)(keypoints_of(3, frames))
    assert output.pose.shape == (3, frames, 17, 3)
    if "class_token" not in form:
        assert output.embedding.shape == (3, 24)
    else:
        assert output.embedding is None


@EACH_FORM
def test_encoder_ignores_padding(form: dict[str, Any]) -> None:
    """Whatever stands on padding: real frames come out as if they were alone."""
    encoder = small(**form)
    keypoints = keypoints_of(2, 12)
    valid = torch.ones(2, 12, dtype=torch.bool)
    valid[1, 7:] = False
    with torch.no_grad():
        alone = encoder(keypoints[1:, :7])
        other = keypoints.clone()
        other[1, 7:] = 1e3
        for batch in (keypoints, other):
            padded = encoder(batch, valid)
            assert_close(padded.pose[1:, :7], alone.pose, 1e-5)
            assert_close(padded.pose[:1], encoder(keypoints[:1]).pose, 1e-5)
            if alone.embedding is not None:
                assert_close(padded.embedding[1:], alone.embedding, 1e-5)
        # without the mask it would change something
        assert (encoder(other).pose[1, :7] - alone.pose).abs().max() > 1e-3


@EACH_FORM
def test_encoder_with_all_frames_valid_needs_no_mask(form: dict[str, Any]) -> None:
    encoder = small(**form)
    keypoints = keypoints_of(2, 9)
    with torch.no_grad():
        masked = encoder(keypoints, torch.ones(2, 9, dtype=torch.bool))
        assert_close(masked.pose, encoder(keypoints).pose, 1e-6)


@EACH_FORM
def test_encoder_keeps_clips_of_a_batch_apart(form: dict[str, Any]) -> None:
    encoder = small(**form)
    keypoints = keypoints_of(3, 6)
    with torch.no_grad():
        together = encoder(keypoints)
        for clip in range(3):
            alone = encoder(keypoints[clip : clip + 1])
            assert_close(together.pose[clip : clip + 1], alone.pose, 1e-5)


def test_pose_token_attends_to_frames_and_they_to_it() -> None:
    encoder = small()
    keypoints = keypoints_of(1, 6).requires_grad_()
    output = encoder(keypoints)
    output.embedding.sum().backward(retain_graph=True)
    assert (keypoints.grad.abs().sum(dim=(2, 3)) > 0).all()
    (gradient,) = torch.autograd.grad(output.pose.sum(), encoder.pose_token)
    assert (gradient != 0).any()


def test_embedding_is_taken_after_the_middle_layer() -> None:
    """Layers above it change the pose and not the embedding."""
    encoder = small(middle_layer=2)
    keypoints = keypoints_of(2, 6)
    with torch.no_grad():
        before = encoder(keypoints)
        encoder.blocks_st[2].mlp_s.fc2.weight.mul_(3)
        above = encoder(keypoints)
        encoder.blocks_st[1].mlp_s.fc2.weight.mul_(3)
        below = encoder(keypoints)
    assert torch.equal(above.embedding, before.embedding)
    assert not torch.allclose(above.pose, before.pose)
    assert not torch.allclose(below.embedding, before.embedding)


def test_embedding_branch_leaves_lifting_alone() -> None:
    """Poses are MotionBERT's; the embedding reads the middle layer and is read by nobody."""
    encoder = small(embedding_depth=2)
    keypoints = keypoints_of(2, 6)
    valid = torch.ones(2, 6, dtype=torch.bool)
    valid[1, 4:] = False
    plain = PoseEncoder(**(SIZES | {"class_token": False})).eval()
    plain.load_state_dict(
        {name: encoder.state_dict()[name] for name in plain.state_dict()}, strict=True
    )
    with torch.no_grad():
        before = encoder(keypoints, valid)
        assert torch.equal(plain(keypoints, valid).pose[valid], before.pose[valid])
        encoder.blocks_st[2].mlp_s.fc2.weight.mul_(3)  # the last pair of the backbone
        above = encoder(keypoints, valid)
        assert torch.equal(above.embedding, before.embedding)
        assert not torch.allclose(above.pose, before.pose)
        for change in (encoder.blocks_ts[3].mlp_s.fc2.weight, encoder.blocks_st[4].attn_t.qkv.bias):
            change.mul_(3)
            after = encoder(keypoints, valid)
            assert torch.equal(after.pose, above.pose)
            assert not torch.allclose(after.embedding, above.embedding)
            above = after
        assert torch.equal(encoder.embed_motion(keypoints, valid), above.embedding)


@EACH_FORM
def test_encoder_poses_are_the_same_without_embedding(form: dict[str, Any]) -> None:
    encoder = small(**form)
    with torch.no_grad():
        alone = encoder(keypoints_of(2, 6), embed=False)
        assert alone.embedding is None
        assert torch.equal(alone.pose, encoder(keypoints_of(2, 6)).pose)


@EACH_FORM
def test_freeze_embedding_leaves_what_lifting_trains(form: dict[str, Any]) -> None:
    """Every parameter that is not frozen has a gradient from the poses, and no other."""
    encoder = small(**form).train()
    encoder.freeze_embedding()
    encoder(keypoints_of(2, 6)).pose.sum().backward()
    for name, parameter in encoder.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize("own_pairs", [0, 1])
def test_shared_parameters_are_those_that_both_losses_train(own_pairs: int) -> None:
    encoder = PoseEncoder(**(SIZES | {"embedding_depth": own_pairs}))
    out = encoder(keypoints_of(1, 9))
    shared = encoder.shared_parameters()
    for loss in (out.pose.sum(), out.embedding.sum()):
        grads = torch.autograd.grad(loss, shared, retain_graph=True)
        assert all(grad is not None for grad in grads)
    rest = [p for p in encoder.parameters() if all(p is not t for t in shared)]
    for p in rest:
        grads = [
            torch.autograd.grad(loss, p, retain_graph=True, allow_unused=True)[0]
            for loss in (out.pose.sum(), out.embedding.sum())
        ]
        assert any(grad is None for grad in grads)


def test_new_encoder_mixes_both_blocks_equally() -> None:
    encoder = PoseEncoder(**SIZES).eval()
    x = torch.randn(1, 4, 17, 16)
    first, second = encoder.blocks_st[0], encoder.blocks_ts[0]
    st = first.over_frames(first.over_joints(x), None)
    ts = second.over_joints(second.over_frames(x, None))
    assert_close(encoder.pair(0, x, None), (st + ts) / 2, 1e-6)


def test_encoder_refuses_sizes_that_do_not_fit() -> None:
    with pytest.raises(UserError, match=r"num_heads \(3\) must divide dim \(16\)"):
        PoseEncoder(**(SIZES | {"num_heads": 3}))
    for layer in (0, 4):
        with pytest.raises(UserError, match=rf"middle_layer \({layer}\) must be from 1 to depth"):
            PoseEncoder(**(SIZES | {"middle_layer": layer}))
    PoseEncoder(**(SIZES | {"middle_layer": 9, "class_token": False}))
    with pytest.raises(UserError, match=r"embedding_depth \(-1\) must be 0 or more"):
        PoseEncoder(**(SIZES | {"embedding_depth": -1}))


@pytest.mark.parametrize(
    "shape",
    [(2, 28, 17, 3), (2, 9, 16, 3), (2, 9, 17, 2), (9, 17, 3), (2, 9, 51), (1, 2, 9, 17, 3)],
)
def test_encoder_refuses_wrong_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"this encoder takes \(B, T <= 27, 17, 3\)"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize("masked", [False, True])
def test_attend_in_bf16_agrees_with_float32(masked: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v, g = (torch.randn(6, 2, 9, 8, generator=generator) for _ in range(4))
    mask = None
    if masked:
        mask = torch.rand(6, 1, 1, 9, generator=generator) < 0.7
        mask[..., 0] = True

    def run(dtype: torch.dtype) -> list[Tensor]:
        inputs = [x.detach().to(dtype).requires_grad_() for x in (q, k, v)]
        output = attend(*inputs, mask)
        assert output.dtype == dtype
        (output.float() * g).sum().backward()
        return [output, *(x.grad for x in inputs)]

    for found, expected in zip(run(torch.bfloat16), run(torch.float32), strict=True):
        assert_close(found, expected, 0.05 * expected.abs().max().item())
        assert (found.float() - expected).norm() < 0.02 * expected.norm()


@EACH_FORM
@pytest.mark.parametrize("masked", [False, True])
def test_encoder_gradients_in_bf16_agree_with_float32(form: dict[str, Any], masked: bool) -> None:
    encoder = small(**form, pooling_dropout=0.0, spread=0.1).train()
    keypoints = keypoints_of(2, 9)
    valid = None
    if masked:
        valid = torch.ones(2, 9, dtype=torch.bool)
        valid[1, 6:] = False

    def run(enabled: bool) -> list[Tensor]:
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output = encoder(keypoints, valid)
        pose = output.pose.float()
        assert torch.isfinite(pose).all()
        (pose if valid is None else pose[valid]).square().sum().backward()
        keys = ("joints_embed.weight", "blocks_st.1.attn_t.qkv.weight", "ts_attn.0.weight")
        parameters = dict(encoder.named_parameters())
        return [pose.detach(), *(parameters[key].grad.clone() for key in keys)]

    for found, expected in zip(run(True), run(False), strict=True):
        assert (found - expected).norm() < 0.05 * expected.norm()


def test_encoder_gradients_are_finite_with_mostly_padding() -> None:
    encoder = small(class_token=False).train()
    valid = torch.zeros(2, 9, dtype=torch.bool)
    valid[:, 0] = True
    for enabled in (False, True):
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            pose = encoder(keypoints_of(2, 9), valid).pose
        pose.float()[valid].sum().backward()
        for parameter in encoder.parameters():
            assert torch.isfinite(parameter.grad).all()


def test_encoder_with_feet_takes_clips_without_them() -> None:
    """They are missing keypoints; the pose then has the joints of the clip."""
    torch.manual_seed(0)
    sizes = {"dim": 8, "depth": 1, "num_heads": 1, "dim_rep": 8, "max_frames": 6, "middle_layer": 1}
    encoder = PoseEncoder(**sizes, feet=True).eval()
    keypoints = torch.randn(2, 5, 17, 3)
    padded = torch.cat([keypoints, torch.zeros(2, 5, 4, 3)], dim=2)
    with torch.no_grad():
        short, whole = encoder(keypoints), encoder(padded)
    assert whole.pose.shape == (2, 5, 21, 3)
    torch.testing.assert_close(short.pose, whole.pose[:, :, :17])
    torch.testing.assert_close(short.embedding, whole.embedding)
    with pytest.raises(UserError, match="21"):
        encoder(torch.zeros(1, 5, 18, 3))
