"""The encoder against the original DSTformer's outputs, and what we added to it."""

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from actionpose.checkpoint import load_motionbert
from actionpose.models.dstformer import PoseEncoder, attend
from actionpose.utils.errors import UserError

GOLDENS = Path(__file__).parents[1] / "reference_outputs"
LENGTHS = pytest.mark.parametrize("frames", [1, 9, 27])


def tiny_weights():
    with np.load(GOLDENS / "dstformer_tiny_weights.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def arrays(path):
    with np.load(path) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def tiny_golden(frames):
    return arrays(GOLDENS / f"dstformer_tiny_T{frames}.npz")


@pytest.fixture(scope="module")
def tiny():
    heads = json.loads((GOLDENS / "config_tiny.json").read_text())["num_heads"]
    return load_motionbert(tiny_weights(), num_heads=heads)


@pytest.fixture
def tiny64(tiny):
    heads = tiny.blocks_st[0].attn_s.num_heads
    return load_motionbert(tiny_weights(), num_heads=heads).double()


def assert_close(found, expected, tolerance):
    assert found.shape == expected.shape
    assert (found.double() - expected.double()).abs().max() <= tolerance


@LENGTHS
def test_output_is_the_originals(tiny, tiny64, frames):
    golden = tiny_golden(frames)
    with torch.no_grad():
        assert_close(tiny(golden["x"]).pose, golden["y64"], 1e-5)
        assert_close(tiny64(golden["x"].double()).pose, golden["y64"], 1e-10)
    assert tiny(golden["x"]).embedding is None


def assert_states(encoder, golden):
    """Of clip 0: what enters the first pair, what leaves each, and the representation."""
    with torch.no_grad():
        state = encoder.embed(golden["x"][:1])
        assert_close(state, golden["e0"], 1e-5)
        for layer in range(len(encoder.ts_attn)):
            state = encoder.pair(layer, state, None)
            expected = golden[f"h{layer + 1}"]
            assert_close(state, expected, 1e-5 * expected.abs().max())
        assert_close(encoder.representation(state), golden["rep"], 1e-5)


@LENGTHS
def test_states_are_the_originals(tiny, frames):
    assert_states(tiny, tiny_golden(frames))


@LENGTHS
def test_gradients_are_the_originals(tiny64, frames):
    """The original's are float32; ours in float64 differ from them by its rounding."""
    golden = tiny_golden(frames)
    (tiny64(golden["x"].double()).pose * golden["g"].double()).sum().backward()
    parameters = dict(tiny64.named_parameters())
    assert len(parameters) == 110
    for key, parameter in parameters.items():
        expected = golden[f"grad/{key}"].double()
        scale = expected.abs().max().clamp(min=1e-3)
        assert_close(parameter.grad / scale, expected / scale, 2e-5)


def weights_by_recipe(shapes):
    """Random weights in the order of the original's state dict, as the parity files have them."""
    rng = np.random.default_rng(20240607)

    def draw(key):
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


def on_meta(**sizes):
    with torch.device("meta"):
        return PoseEncoder(**sizes)


@pytest.mark.parametrize(("name", "sizes"), [("lite", LITE), ("full", FULL)])
def test_full_sizes_are_the_originals(parity_data, name, sizes):
    golden = arrays(parity_data / f"dstformer_{name}_T27.npz")
    shapes = {key: tuple(value.shape) for key, value in on_meta(**sizes).state_dict().items()}
    encoder = load_motionbert(weights_by_recipe(shapes))
    assert_states(encoder, golden)
    with torch.no_grad():
        assert_close(encoder(golden["x"]).pose, golden["y64"], 1e-5)
        one = golden["x"][:1].double()
        assert_close(encoder.double()(one).pose, golden["y64"][:1], 1e-10)


@pytest.mark.parametrize(("sizes", "parameters"), [(FULL, 42_466_317), (LITE, 16_001_549)])
def test_sizes_are_the_originals(sizes, parameters):
    encoder = on_meta(**sizes)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert len(encoder.state_dict()) == 260


def test_what_the_class_token_adds():
    """17 x 512 of the token; of the pooling a norm, 512 to 512, a norm, and 17 to 1."""
    count = sum(parameter.numel() for parameter in on_meta().parameters())
    assert count - 42_466_317 == 8_704 + 1_024 + 262_656 + 1_024 + 18


def official_file(path, weights, prefix="module.", **extra):
    """As MotionBERT writes it: a dict with a NumPy scalar beside the weights."""
    content = {"epoch": 89, "lr": 2e-4, "optimizer": None, "min_loss": np.float64(37.2)}
    content["model_pos"] = {prefix + key: value for key, value in weights.items()}
    torch.save(content | extra, path)
    return path


@pytest.mark.parametrize("prefix", ["module.", ""])
def test_official_files_load(tmp_path, prefix):
    golden = tiny_golden(9)
    source = official_file(tmp_path / "best_epoch.bin", tiny_weights(), prefix)
    for argument in (source, str(source), {"model_pos": tiny_weights()}):
        encoder = load_motionbert(argument, num_heads=4)
        assert not encoder.training
        with torch.no_grad():
            assert_close(encoder(golden["x"]).pose, golden["y64"], 1e-5)


def test_official_files_of_their_time_load(tmp_path):
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

    def __reduce__(self):
        return print, ("this must never run",)


def test_a_pickle_with_code_is_refused(tmp_path, capsys):
    source = official_file(tmp_path / "evil.bin", tiny_weights(), optimizer=Payload())
    with pytest.raises(UserError, match=r"evil\.bin.*print") as caught:
        load_motionbert(source)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    source.write_bytes(pickle.dumps(Payload(), protocol=2))
    with pytest.raises(UserError, match=r"evil\.bin"):
        load_motionbert(source)
    assert "never" not in capsys.readouterr().out


def test_what_is_not_a_file_of_weights_is_refused(tmp_path):
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


def test_weights_that_do_not_fit_are_named():
    def changed(remove=(), **add):
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
def test_strange_values_among_the_weights_are_refused(value):
    for key in ("norm.weight", "temp_embed"):
        with pytest.raises(UserError):
            load_motionbert(tiny_weights() | {key: value}, num_heads=4)


SIZES = {"dim": 16, "depth": 3, "num_heads": 2, "dim_rep": 16, "max_frames": 27}
SIZES |= {"middle_layer": 2, "embedding_dim": 24}


def small(seed=0, spread=0.2, **changes):
    """Drawn wider than for training, so that attention is far from uniform."""
    torch.manual_seed(seed)
    encoder = PoseEncoder(**(SIZES | changes)).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return encoder


def keypoints_of(clips, frames, seed=1):
    return torch.rand(clips, frames, 17, 3, generator=torch.Generator().manual_seed(seed))


FORMS = {"paper": {}, "own_pair": {"embedding_depth": 1}, "no_token": {"class_token": False}}
EACH_FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@EACH_FORM
@pytest.mark.parametrize("frames", [1, 5, 27])
def test_shapes(form, frames):
    output = small(**form)(keypoints_of(3, frames))
    assert output.pose.shape == (3, frames, 17, 3)
    if "class_token" not in form:
        assert output.embedding.shape == (3, 24)
    else:
        assert output.embedding is None


@EACH_FORM
def test_padding_changes_nothing(form):
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
def test_all_frames_valid_is_no_mask(form):
    encoder = small(**form)
    keypoints = keypoints_of(2, 9)
    with torch.no_grad():
        masked = encoder(keypoints, torch.ones(2, 9, dtype=torch.bool))
        assert_close(masked.pose, encoder(keypoints).pose, 1e-6)


@EACH_FORM
def test_clips_of_a_batch_do_not_see_each_other(form):
    encoder = small(**form)
    keypoints = keypoints_of(3, 6)
    with torch.no_grad():
        together = encoder(keypoints)
        for clip in range(3):
            alone = encoder(keypoints[clip : clip + 1])
            assert_close(together.pose[clip : clip + 1], alone.pose, 1e-5)


def test_the_token_is_read_by_the_frames_and_reads_them():
    encoder = small()
    keypoints = keypoints_of(1, 6).requires_grad_()
    output = encoder(keypoints)
    output.embedding.sum().backward(retain_graph=True)
    assert (keypoints.grad.abs().sum(dim=(2, 3)) > 0).all()
    (gradient,) = torch.autograd.grad(output.pose.sum(), encoder.pose_token)
    assert (gradient != 0).any()


def test_the_embedding_is_taken_after_the_middle_layer():
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


def test_an_embedding_with_pairs_of_its_own_leaves_lifting_alone():
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
        encoder.blocks_st[2].mlp_s.fc2.weight.mul_(3)  # the last pair of the trunk
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
def test_poses_alone_are_those_with_the_embedding(form):
    encoder = small(**form)
    with torch.no_grad():
        alone = encoder(keypoints_of(2, 6), embed=False)
        assert alone.embedding is None
        assert torch.equal(alone.pose, encoder(keypoints_of(2, 6)).pose)


@EACH_FORM
def test_a_frozen_embedding_leaves_what_lifting_trains(form):
    """Every parameter that is not frozen has a gradient from the poses, and no other."""
    encoder = small(**form).train()
    encoder.freeze_embedding()
    encoder(keypoints_of(2, 6)).pose.sum().backward()
    for name, parameter in encoder.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_the_encoder_that_starts_mixes_its_streams_equally():
    encoder = PoseEncoder(**SIZES).eval()
    x = torch.randn(1, 4, 17, 16)
    first, second = encoder.blocks_st[0], encoder.blocks_ts[0]
    st = first.over_frames(first.over_joints(x), None)
    ts = second.over_joints(second.over_frames(x, None))
    assert_close(encoder.pair(0, x, None), (st + ts) / 2, 1e-6)


def test_sizes_that_do_not_fit_are_refused():
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
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(UserError, match=r"this encoder takes \(B, T <= 27, 17, 3\)"):
        small()(torch.zeros(shape))


@pytest.mark.parametrize("masked", [False, True])
def test_attention_written_out_agrees_with_the_fused(masked):
    generator = torch.Generator().manual_seed(0)
    q, k, v, g = (torch.randn(6, 2, 9, 8, generator=generator) for _ in range(4))
    mask = None
    if masked:
        mask = torch.rand(6, 1, 1, 9, generator=generator) < 0.7
        mask[..., 0] = True

    def run(dtype):
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
def test_training_in_bf16_agrees_with_float32(form, masked):
    encoder = small(**form, pooling_dropout=0.0, spread=0.1).train()
    keypoints = keypoints_of(2, 9)
    valid = None
    if masked:
        valid = torch.ones(2, 9, dtype=torch.bool)
        valid[1, 6:] = False

    def run(enabled):
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


def test_gradients_stay_finite_when_a_clip_is_nearly_all_padding():
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
