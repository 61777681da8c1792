"""A small checkpoint with labels and a text encoder, as after pretraining, with random weights."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from actionpose.config import ModelConfig
from actionpose.models import build_encoder

WIDTH = 16
WORDS = "walk run sit down stand up on a the chair person someone is doing this wave hand".split()


def write_checkpoint(
    folder: Path,
    *,
    seed: int = 0,
    labels: dict[str, np.ndarray] | None = None,
    text: bool = False,
    class_token: bool = True,
    **meta: object,
) -> Path:
    """Write a checkpoint of an encoder that sees 27 frames at 30 Hz by the person's box."""
    folder.mkdir(parents=True)
    config = ModelConfig(
        dim=16,
        depth=2,
        num_heads=2,
        dim_rep=16,
        max_frames=27,
        middle_layer=1,
        embedding_dim=WIDTH,
        class_token=class_token,
    )
    torch.manual_seed(seed)
    encoder = build_encoder(**asdict(config))
    if class_token:
        with torch.no_grad():  # larger than training starts with, so that motions differ clearly
            for name, parameter in encoder.named_parameters():
                if parameter.ndim > 1 and "pooling.joint" not in name:
                    parameter.mul_(8)
    save_file(encoder.state_dict(), folder / "weights.safetensors")
    about = {"format": 1, "step": 1, "model": asdict(config), "frames": 27, "fps": 30.0}
    about |= {"normalization": "box", **meta}
    (folder / "meta.json").write_text(json.dumps(about))
    if labels:
        rows = torch.tensor(np.stack(list(labels.values())), dtype=torch.float32)
        names = {"labels": json.dumps(list(labels))}
        save_file({"embeddings": rows.contiguous()}, folder / "labels.safetensors", names)
    if text:
        write_text_side(folder / "text")
    return folder


def write_text_side(folder: Path) -> None:
    """A BERT of one narrow layer that knows a few words."""
    import transformers

    from actionpose.models.text_encoder import TextEncoder

    folder.mkdir(parents=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ":", *WORDS]))
    tokenizer = transformers.BertTokenizerFast(str(vocabulary))
    config = transformers.BertConfig(
        vocab_size=6 + len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        initializer_range=1.0,
    )
    torch.manual_seed(0)
    bert = transformers.BertModel(config, add_pooling_layer=False)
    TextEncoder(bert, tokenizer, pooling="mean", embedding_dim=WIDTH).save(folder)


def write_bert(folder: Path) -> Path:
    """A BERT of three layers as drawn, whose words are those of the made-up motions and letters."""
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    words = "walk run sit down on a the chair with left right leg kick jump and move".split()
    letters = [mark + chr(code) for mark in ("", "##") for code in range(ord("a"), ord("z") + 1)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters]
    vocabulary = list(dict.fromkeys(vocabulary))
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    tokenizer = transformers.BertTokenizerFast.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.2,  # texts as different as trained ones
    )
    transformers.BertModel(sizes).save_pretrained(folder)
    return folder
