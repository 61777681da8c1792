"""Pretraining aligns motion and text; resumed, it is the same."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.training_runs import assert_same, changed, rows

from actionpose import checkpoint
from actionpose.cli import main as cli
from actionpose.config import AlignmentConfig, FinetuneConfig, PretrainConfig, TextConfig
from actionpose.datasets.corpus import Corpus, Motion, open_corpus, write_corpus
from actionpose.datasets.motion_text import MotionTextBatches
from actionpose.datasets.synthetic.generate import dataset
from actionpose.models import build_encoder
from actionpose.models.text_encoder import TextEncoder
from actionpose.training import loop
from actionpose.training import pretrain as module
from actionpose.training.finetune import finetune
from actionpose.training.initialization import initialize
from actionpose.training.motion_text_model import MotionTextModel
from actionpose.training.pretrain import compute_losses, pretrain
from actionpose.utils.errors import UserError
from actionpose.utils.yaml_config import load_recipe, to_dict

STEPS = 7  # of `tiny_pretraining`


# ---- training


def test_compute_losses_align_a_batch(
    tiny_pretraining: PretrainConfig, corpus: Corpus, small_bert: Path
) -> None:
    """Both sides learn: the batch's motions find their labels, and the error falls."""
    config = tiny_pretraining
    made = MotionTextBatches([(corpus, 1.0)], config.data, batch_size=6, seed=1, negatives=3)
    torch.manual_seed(0)
    settings = {"layers": 1, "pooling": "mean", "embedding_dim": 8, "dropout": 0.0}
    text = TextEncoder.from_pretrained(small_bert, **settings)
    model = MotionTextModel(build_encoder(**asdict(config.model)), text, made.labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    batch = made.batch(0)
    history = []
    for _ in range(60):
        losses = compute_losses(model, batch, config.alignment)
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
        optimizer.zero_grad()
        (losses["alignment"] + losses["position"]).backward()
        optimizer.step()
    assert history[-1]["alignment"] < 0.25 * history[0]["alignment"]
    assert history[-1]["position"] < 0.75 * history[0]["position"]
    for name in ("text.fc.weight", "text.bert.embeddings.word_embeddings.weight"):
        assert not torch.equal(model.get_parameter(name), before[name]), name


def test_pretrain_leaves_log_report_and_checkpoint(
    tiny_pretraining: PretrainConfig,
    tmp_path: Path,
    corpus: Corpus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "LOG_GRAD_NORMS_EVERY", 3)
    config = tiny_pretraining
    outcome = pretrain(config, tmp_path, quiet=True)
    assert (outcome.step, outcome.status) == (STEPS, "finished")
    row = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[1])
    total = row["position"] + 20 * row["velocity"] + row["alignment"]
    assert row["total"] == pytest.approx(total, rel=1e-5)
    assert row["minutes_left"] >= 0 and row["clips_per_s"] > 0
    norms = rows(tmp_path, "backbone_grad_alignment")
    assert [row["step"] for row in norms] == [1, 4, 7]
    names = {f"backbone_grad_{name}" for name in ("position", "velocity", "alignment")}
    assert names == set(norms[0]) - {"step"} and all(norms[0][name] > 0 for name in names)

    report = json.loads((tmp_path / "report.json").read_text())
    retrieval = {f"val_{a}_r{k}" for a in ("motion_to_text", "text_to_motion") for k in (1, 5)}
    assert set(report["chance"]) == retrieval
    assert set(report["scores"]) == retrieval | {"val_mpjpe_mm", "val_hidden_mpjpe_mm"}
    assert report["negatives"] == 3 and -1 <= report["label_cosine_mean"] <= 1
    assert report["scores"]["val_hidden_mpjpe_mm"] > 0

    encoder, meta = checkpoint.load_encoder(outcome.checkpoint)
    assert meta["stage"] == "pretrain" and meta["frames"] == 9 and meta["fps"] == 30.0
    assert meta["normalization"] == "image" and meta["skeleton"] == "h36m17"
    assert meta["data"][0]["sha256"] == corpus.info["sha256"]["joints.npy"]
    assert meta["config"] == to_dict(config)
    labels, table = checkpoint.load_labels(outcome.checkpoint)
    assert report["labels"] == len(labels) and table.shape == (len(labels), 8)
    text = TextEncoder.from_checkpoint(outcome.checkpoint / "text")
    torch.testing.assert_close(text.encode(labels), table, atol=1e-5, rtol=0)
    assert encoder(torch.rand(1, 9, 17, 3)).embedding.shape == (1, 8)


def with_dropout(config: PretrainConfig) -> PretrainConfig:
    """With dropout in both sides, as in earnest."""
    return replace(config, model=replace(config.model, pooling_dropout=0.1))


def test_pretrain_refuses_negatives_from_a_part_of_one_clip(
    tiny_pretraining: PretrainConfig, tmp_path: Path
) -> None:
    """A clip alone would be compared with nothing, and learn nothing."""
    for negatives in ("batch", "ranks"):
        config = replace(tiny_pretraining, alignment=AlignmentConfig(negatives=negatives))
        parts = config.training.batch_size
        with pytest.raises(UserError, match=f"{negatives} compares .* raise training.batch_size"):
            pretrain(changed(config, gradient_accumulation_steps=parts), tmp_path, quiet=True)


@pytest.mark.parametrize("frozen", [False, True])
def test_pretrain_resumes_as_if_uninterrupted(
    tiny_pretraining: PretrainConfig, tmp_path: Path, frozen: bool
) -> None:
    config = with_dropout(tiny_pretraining)
    config = replace(config, text=replace(config.text, frozen=frozen))
    pretrain(config, tmp_path / "whole", quiet=True)
    for step in (1, 2):
        outcome = pretrain(changed(config, max_minutes=0.0), tmp_path / "parts", quiet=True)
        assert outcome.step == step
    pretrain(config, tmp_path / "parts", quiet=True)
    ends = [checkpoint.saved_steps(tmp_path / name)[-1] for name in ("whole", "parts")]
    for name in ("weights.safetensors", "labels.safetensors", "text/weights.safetensors"):
        first, second = ((end / name).read_bytes() for end in ends)
        assert first == second, name
    assert_same(*(checkpoint.load_training(end) for end in ends))
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")


def test_pretrain_on_a_full_disk_leaves_the_earlier_checkpoint(
    tiny_pretraining: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = changed(tiny_pretraining, max_minutes=0.0)
    whole = pretrain(first, tmp_path, quiet=True).checkpoint
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}

    def full(*_: Any) -> None:
        raise Exception("No space left on device (os error 28)")  # as the tokenizer's library does

    kind = type(TextEncoder.from_checkpoint(whole / "text").tokenizer)
    monkeypatch.setattr(kind, "save_pretrained", full)
    with pytest.raises(UserError, match="cannot save .*0000002: No space left.*free some space"):
        pretrain(first, tmp_path, quiet=True)
    assert before == {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["0000001"]
    monkeypatch.undo()
    assert pretrain(first, tmp_path, quiet=True).step == 2


def test_pretrain_without_alignment_needs_no_text_model(
    tiny_pretraining: PretrainConfig, tmp_path: Path
) -> None:
    config = replace(
        tiny_pretraining, loss_weights={"position": 1.0}, text=TextConfig(source="none")
    )
    outcome = pretrain(config, tmp_path, quiet=True)
    assert "alignment" not in rows(tmp_path)[0]
    assert checkpoint.load_labels(outcome.checkpoint) is None
    assert not (outcome.checkpoint / "text").exists()
    with pytest.raises(UserError, match="has no text encoder"):
        TextEncoder.from_checkpoint(outcome.checkpoint / "text")


def test_pretrain_warns_of_labels_that_are_all_alike(
    tiny_pretraining: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COLLAPSED", -1.0)
    config = changed(tiny_pretraining, max_minutes=0.0)
    with pytest.warns(UserWarning, match="labels' embeddings are all alike.*text.pooling mean"):
        pretrain(config, tmp_path, quiet=True)


def test_pretrain_takes_texts_of_any_language(
    tiny_pretraining: PretrainConfig, tmp_path: Path
) -> None:
    joints_m = next(iter(dataset(1, seed=3))).joints_m[:20]
    texts = ["走る", "schöner Sprung", "بنشین", "🙂", "walk " * 300, ""]
    motions = [Motion(f"m{i}", "s", "train", joints_m, text) for i, text in enumerate(texts)]
    folder = write_corpus(tmp_path / "corpus", motions, source="", license="")
    data = replace(tiny_pretraining.data, corpora={str(folder): 1.0})
    config = changed(replace(tiny_pretraining, data=data), max_minutes=0.0)
    with pytest.warns(UserWarning, match="1 of 5 labels are longer than"):
        assert pretrain(config, tmp_path / "run", quiet=True).step == 1
    assert json.loads((tmp_path / "run" / "report.json").read_text())["labels_cut"] == 1
    assert open_corpus(folder).motions("val") == {}


def test_pretrain_refuses_settings_that_do_not_fit(
    tiny_pretraining: PretrainConfig, tmp_path: Path
) -> None:
    def refused(match: str, **settings: Any) -> None:
        with pytest.raises(UserError, match=match):
            pretrain(replace(tiny_pretraining, **settings), tmp_path / "run", quiet=True)
        assert not (tmp_path / "run").exists()

    model, text = tiny_pretraining.model, tiny_pretraining.text
    refused("alignment needs model.class_token", model=replace(model, class_token=False))
    refused(r"data\.frames \(9\) is more than", model=replace(model, max_frames=8))
    refused("no text model", text=replace(text, source=str(tmp_path / "none")))
    refused("negatives is 0", alignment=AlignmentConfig(negatives=0))
    refused("no checkpoint", init=tmp_path / "none")


def test_init_ignore_must_name_weights_that_do_not_fit(
    tiny_pretraining: PretrainConfig, tmp_path: Path
) -> None:
    first = changed(tiny_pretraining, max_minutes=0.0)
    pretrain(first, tmp_path / "first", quiet=True)
    wider = replace(first.model, embedding_dim=12)
    config = replace(first, init=tmp_path / "first", model=wider)
    with pytest.raises(UserError, match=r"pooling\.fc\.bias has shape"):
        pretrain(config, tmp_path / "second", quiet=True)
    named = replace(config, init_ignore=("pooling.",))
    assert pretrain(named, tmp_path / "third", quiet=True).step == 1


def test_publish_writes_labels_and_text_encoder(
    tiny_pretraining: PretrainConfig, tmp_path: Path
) -> None:
    outcome = pretrain(changed(tiny_pretraining, max_minutes=0.0), tmp_path / "run", quiet=True)
    small = checkpoint.publish(outcome.checkpoint, tmp_path / "small")
    assert {path.name for path in small.iterdir()} == {
        "weights.safetensors",
        "meta.json",
        "labels.safetensors",
    }
    large = checkpoint.publish(outcome.checkpoint, tmp_path / "large", text=True)
    as_usual = tmp_path / "usual"
    as_usual.touch()
    for folder in (outcome.checkpoint, large):  # whoever may read the folder may read its files
        modes = {path.stat().st_mode for path in folder.rglob("*") if path.is_file()}
        assert modes == {as_usual.stat().st_mode}
    labels, table = checkpoint.load_labels(large)
    torch.testing.assert_close(table.norm(dim=1), torch.ones(len(labels)))
    text = TextEncoder.from_checkpoint(large / "text")
    torch.testing.assert_close(text.encode(labels), table, atol=5e-3, rtol=0)
    size = sum(path.stat().st_size for path in (large / "text").glob("*.safetensors"))
    whole = (outcome.checkpoint / "text" / "weights.safetensors").stat().st_size
    assert size < 0.6 * whole
    with pytest.raises(UserError, match="has no text encoder to publish"):
        checkpoint.publish(small, tmp_path / "again", text=True)
    (small / "labels.safetensors").write_bytes(b"cut")
    with pytest.raises(UserError, match="label table .* is damaged"):
        checkpoint.load_labels(small)


def test_train_commands_take_recipes_and_settings(
    tiny_pretraining: PretrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(to_dict(tiny_pretraining)))  # YAML reads JSON
    run = tmp_path / "run"
    settings = ["--training.epochs", "0.3", "--alignment.negatives", "99", "-q"]
    cli.run(["pretrain", "--config", str(recipe), "--run", str(run), *settings])
    shown = capsys.readouterr()
    assert shown.out == f"finished at step 1: {run}/checkpoints/0000001\n"
    (line,) = shown.err.splitlines()
    assert line.startswith("actionpose: ") and line.endswith("is lowered from 99")
    cli.run(["models", "convert", str(run), str(tmp_path / "out"), "--text"])
    assert (tmp_path / "out" / "text" / "weights.safetensors").exists()
    assert capsys.readouterr().out == f"wrote   {tmp_path / 'out'}\n"


def test_embedding_branch_learns_in_pretraining_alone(
    tiny_pretraining: PretrainConfig, tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
    """From a lifter, which has none."""
    sizes = replace(tiny_pretraining.model, class_token=False)
    lifter = replace(tiny_pretraining, model=sizes, loss_weights={"position": 1.0})
    begun = pretrain(lifter, tmp_path / "lifter", quiet=True).checkpoint
    sizes = replace(tiny_pretraining.model, embedding_depth=1)
    config = replace(tiny_pretraining, model=sizes, init=begun)
    text = pretrain(config, tmp_path / "text", quiet=True).checkpoint
    lifting = finetune(replace(tiny_config, model=sizes, init=text), tmp_path / "two", quiet=True)
    torch.manual_seed(config.training.seed)
    encoder = build_encoder(**asdict(sizes))
    initialize(encoder, begun)
    before = encoder.state_dict()
    learned, kept = (checkpoint.load(path)[0] for path in (text, lifting.checkpoint))
    own = [name for name in before if name.startswith(encoder.embedding_parameter_prefixes())]
    assert {"pose_token", "blocks_ts.2.attn_s.qkv.weight", "pooling.fc.weight"} < set(own)
    for name in own:
        assert not torch.equal(learned[name], before[name]), name
        assert torch.equal(kept[name], learned[name]), name
    assert not torch.equal(kept["head.weight"], learned["head.weight"])


def test_pretrain_continues_with_the_text_encoder_of_init(
    tiny_pretraining: PretrainConfig, tmp_path: Path
) -> None:
    first = pretrain(tiny_pretraining, tmp_path / "first", quiet=True).checkpoint
    trained = TextEncoder.from_checkpoint(first / checkpoint.TEXT).encode(["walk", "sit"])
    goes_on = replace(tiny_pretraining, init=first)
    assert torch.equal(module._text_encoder(goes_on, None).encode(["walk", "sit"]), trained)
    torch.manual_seed(1)
    drawn = module._text_encoder(tiny_pretraining, None).encode(["walk", "sit"])
    assert not torch.allclose(drawn, trained, atol=0.1)


def test_alignment_alone_trains_the_embedding_of_subsampled_clips(
    tiny_pretraining: PretrainConfig, tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
    """Of a model with heads that was trained without a stride; resumed, it is the same."""
    sizes = replace(tiny_pretraining.model, embedding_depth=1)
    text = pretrain(replace(tiny_pretraining, model=sizes), tmp_path / "text", quiet=True)
    sizes = replace(sizes, heads=True)
    lifting = finetune(
        replace(tiny_config, model=sizes, init=text.checkpoint), tmp_path / "heads", quiet=True
    )
    config = replace(
        changed(tiny_pretraining, save_every=3),
        model=sizes,
        init=lifting.checkpoint,
        loss_weights={"alignment": 1.0},
        data=replace(tiny_pretraining.data, frames=3, temporal_stride=4),
    )
    with pytest.raises(UserError, match=r"data\.temporal_stride, which make 29$"):
        longer = replace(config.data, temporal_stride=14)
        pretrain(replace(config, data=longer), tmp_path / "whole", quiet=True)
    with pytest.raises(UserError, match=r"^model\.heads must be true"):
        plain = replace(sizes, heads=False)
        pretrain(replace(config, model=plain), tmp_path / "whole", quiet=True)
    whole = pretrain(config, tmp_path / "whole", quiet=True)
    parted = tmp_path / "parted"
    assert pretrain(changed(config, max_minutes=0.0), parted, quiet=True).step == 1
    resumed = pretrain(config, parted, quiet=True)
    before, old = checkpoint.load(lifting.checkpoint)
    after, meta = checkpoint.load(whole.checkpoint)
    assert_same(checkpoint.load(resumed.checkpoint)[0], after)
    assert all(meta[key] == old[key] for key in ("frames", "fps", "skeleton", "config", "heads"))
    assert meta["embedding"]["config"]["data"]["frames"] == 3
    assert meta["data"] == old["data"] == meta["embedding"]["data"]
    assert meta["val_alignment"] > 0 and meta["val_mpjpe_mm"] == old["val_mpjpe_mm"]
    own = build_encoder(**asdict(sizes)).embedding_parameter_prefixes()
    for name, value in after.items():
        assert torch.equal(value, before[name]) != name.startswith(own), name
    assert checkpoint.load_encoder(whole.checkpoint)[0].embedding_stride == 4
    goes_on = replace(config, init=whole.checkpoint, loss_weights={"position": 1.0})
    goes_on = replace(goes_on, model=replace(sizes, heads=False))
    again = pretrain(changed(goes_on, max_minutes=0.0), tmp_path / "again", quiet=True).checkpoint
    assert checkpoint.load_encoder(again)[0].embedding_stride == 4


# ---- recipes

RECIPES = Path(__file__).parents[2] / "recipes"
ABLATION = ("baseline", "mmm", "map", "mmm_map", "shuffled")


def test_ablation_recipes_differ_in_named_settings() -> None:
    found = {n: load_recipe(PretrainConfig, RECIPES / f"open_pretrain_{n}.yaml") for n in ABLATION}
    method = found["mmm_map"]

    def switched(masks: dict[str, float], weight: float, shuffle: bool = False) -> PretrainConfig:
        data = replace(method.data, masks=masks, shuffle_texts=shuffle)
        weights = {"position": 1.0, "velocity": 2.0} | ({"alignment": weight} if weight else {})
        return replace(method, data=data, loss_weights=weights)

    mixture = method.data.masks
    assert mixture == {"random": 0.5, "part": 0.25, "window": 0.25}
    random = {"random": 1.0}
    assert found == {
        "baseline": switched(random, 0.0),
        "mmm": switched(mixture, 0.0),
        "map": switched(random, 0.2),
        "mmm_map": switched(mixture, 0.2),
        "shuffled": switched(mixture, 0.2, shuffle=True),
    }


def test_paper_recipe_has_the_papers_numbers() -> None:
    """Every number that the paper gives, after the recipe and the defaults."""
    config = load_recipe(PretrainConfig, RECIPES / "paper_pretrain.yaml")
    training = config.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (300, 16, 5e-4)
    assert (config.data.frames, config.model.depth) == (243, 5)
    assert (config.alignment.negatives, config.alignment.temperature) == (16, 0.1)
    assert config.data.masks == {"random": 0.5, "part": 0.25, "window": 0.25}
    assert (config.data.random_mask, config.data.window_mask) == ((0.05, 0.15), (30, 80))
    assert config.data.view == "front_side"
    assert (config.text.pooling, config.text.frozen) == ("cls", False)
