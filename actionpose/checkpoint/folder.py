"""Checkpoints: a folder with `weights.safetensors`, `meta.json`, and `training.pt` for resuming.

After pretraining with text, the folder also has `labels.safetensors` with the embeddings of the
training labels. It may have the text encoder in `text/` (`models.text_encoder`) for other labels.

All files except `training.pt` are published. Loading them uses no pickle, and the model is built
from the configuration in `meta.json` without further settings. Official files of MotionBERT are
accepted instead of a folder: they are loaded by name with `weights_only`, and their metadata is
inferred.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors
import torch
from annotated_types import Ge, Interval
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes  # `save_file` restricts files to their owner
from torch import Tensor, nn

from actionpose.checkpoint.official import (
    load_by_name,
    motionbert_sizes,
    motionbert_weights,
)
from actionpose.models import Encoder, build_encoder
from actionpose.models.heads import ErrorBars
from actionpose.models.peers import (
    UNREADABLE,
    refusal,
)
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_folder
from actionpose.utils.json_files import Checked, parse_json, read_json, typed
from actionpose.utils.legacy import RENAMED, RENAMED_MODEL, current_names, without_feet

FORMAT = 1  # increased if older code would misread a new format
WEIGHTS, META = "weights.safetensors", "meta.json"
PEER_FPS = 50.0  # of Human3.6M, and of the evaluated frames of MPI-INF-3DHP
LABELS, TEXT = "labels.safetensors", "text"
_MAX_WEIGHT = 1e6  # trained weights are below 100


@dataclass(frozen=True)
class _Data(Checked):
    temporal_crop: float = 0.0


@dataclass(frozen=True)
class _Config(Checked):
    data: _Data = _Data()


@dataclass(frozen=True)
class _Embedding(Checked):
    config: _Config = _Config()


@dataclass(frozen=True)
class _Meta(Checked):
    """The entries of `meta.json` that affect the use of a model, with their defaults."""

    model: dict[str, Any] = field(default_factory=dict)
    step: Annotated[int, Ge(0)] = 0
    frames: Annotated[int, Interval(ge=1, le=100_000)] = 1
    fps: Annotated[float, Interval(ge=1, le=1000)] | None = None
    normalization: Literal["image", "box"] = "image"
    embedding_stride: Annotated[int, Interval(ge=1, le=1000)] = 1
    rejection_threshold: Annotated[float, Interval(ge=-1, le=1)] = 0.0
    confidence_weights: tuple[float, float, float] | None = None
    error_bars: ErrorBars = ErrorBars()
    config: _Config = _Config()
    embedding: _Embedding = _Embedding()


def save(
    run: Path,
    step: int,
    model: nn.Module,
    meta: dict[str, Any],
    training: dict[str, Any],
    *,
    write_extras: Callable[[Path], None] | None = None,
) -> Path:
    """Write `run/checkpoints/STEP`. The folder is created atomically.

    Args:
        run: Folder of the run.
        step: Training step.
        model: Model whose weights are stored.
        meta: Metadata.
        training: State for resuming.
        write_extras: Function that writes further content to the folder: labels, a text encoder.

    Raises:
        UserError: If the disk is full or not writable. Earlier checkpoints are not changed.
    """
    folder = run / "checkpoints" / f"{step:07d}"
    try:
        with atomic_folder(folder, replace=True) as unfinished:
            write_checkpoint(unfinished, model.state_dict(), {"step": step, **meta})
            torch.save(training, unfinished / "training.pt")
            if write_extras:
                write_extras(unfinished)
    except (UserError, RuntimeError, safetensors.SafetensorError) as error:  # RuntimeError of torch
        raise UserError(
            f"cannot save {folder}: {error.__cause__ or error}; "
            "free some space and run the same command again"
        ) from error
    return folder


def write_checkpoint(folder: Path, weights: Mapping[str, Tensor], meta: dict[str, Any]) -> None:
    whole = {key: value.contiguous() for key, value in weights.items()}
    (folder / WEIGHTS).write_bytes(as_bytes(whole))
    meta = {"format": FORMAT, **meta}
    (folder / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def publish(checkpoint: Path, folder: Path, *, text: bool = False) -> Path:
    """Write a checkpoint for publication: half-precision weights, metadata and labels.

    Args:
        checkpoint: Checkpoint to publish.
        folder: Folder to create.
        text: Whether to include the trained text encoder for other labels, which is much larger.

    Raises:
        UserError: If the folder exists, or the checkpoint has no text encoder.
    """
    weights, meta = load(checkpoint)
    labels = load_labels(checkpoint)
    if text and not (checkpoint / TEXT).is_dir():
        raise UserError(f"{checkpoint} has no text encoder to publish")
    with atomic_folder(folder) as unfinished:
        write_checkpoint(unfinished, _half(weights), meta)
        if labels:
            save_labels(unfinished, labels[0], labels[1].half())
        if text:
            shutil.copytree(checkpoint / TEXT, unfinished / TEXT)
            halves = as_bytes(_half(load_file(checkpoint / TEXT / WEIGHTS)))
            (unfinished / TEXT / WEIGHTS).write_bytes(halves)
    return folder


def _half(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: v.half() if v.is_floating_point() else v for key, v in weights.items()}


def save_labels(folder: Path, labels: list[str], embeddings: Tensor) -> None:
    """Write the label table: normalized texts and their embeddings (L, E), unit vectors."""
    assert embeddings.ndim == 2 and len(labels) == len(embeddings), embeddings.shape
    table = {"embeddings": embeddings.detach().cpu().contiguous()}
    metadata = {"labels": json.dumps(labels, ensure_ascii=False)}
    (folder / LABELS).write_bytes(as_bytes(table, metadata))


def load_labels(folder: Path) -> tuple[list[str], Tensor] | None:
    """The labels of a checkpoint and their embeddings (L, E), float32 unit vectors, or None.

    Raises:
        UserError: If the table is damaged.
    """
    path = Path(folder) / LABELS
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            labels = typed(list[str], parse_json(file.metadata()["labels"], "labels"), "labels")
            embeddings: Tensor = file.get_tensor("embeddings")
        _check_weights({"embeddings": embeddings}, path)
        embeddings = embeddings.float()
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise UserError(f"the label table {path} is damaged: {error}") from error
    if embeddings.ndim != 2 or len(labels) != len(embeddings):
        raise UserError(
            f"the label table {path} is damaged: it has {len(labels)} labels for rows "
            f"of shape {tuple(embeddings.shape)}"
        )
    # half precision changes the norm of a unit vector by up to a thousandth
    return labels, nn.functional.normalize(embeddings, dim=-1)


def copy_text(source: Path, folder: Path) -> None:
    """Copy the labels and the text encoder of a checkpoint, if it has them."""
    if (source / LABELS).is_file():
        shutil.copy(source / LABELS, folder / LABELS)
    if (source / TEXT).is_dir():
        shutil.copytree(source / TEXT, folder / TEXT)


def keep_best(checkpoint: Path, run: Path, score: str) -> dict[str, Any]:
    """Copy a checkpoint to `run/best`, unless the checkpoint there has a lower score.

    Returns:
        Step and score of the best checkpoint.

    Raises:
        UserError: If the disk is full or not writable.
    """
    best = run / "best"
    _, meta = load(checkpoint)
    if best.is_dir():
        _, known = load(best)
        if known[score] <= meta[score]:
            meta = known
    if not best.is_dir() or known is not meta:
        with atomic_folder(best, replace=True) as unfinished:
            for path in checkpoint.iterdir():
                if path.is_dir():
                    shutil.copytree(path, unfinished / path.name)
                elif path.name != "training.pt":
                    shutil.copy(path, unfinished)
    return {"step": meta["step"], score: meta[score]}


def saved_steps(run: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    return sorted((run / "checkpoints").glob("[0-9]" * 7))


def weights_file(folder: Path) -> Path:
    """The weights file of a checkpoint, whose hash identifies it."""
    return folder if folder.is_file() else folder / WEIGHTS


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Load the weights, in float32, and the metadata.

    Args:
        folder: Checkpoint, or an official file of MotionBERT.

    Raises:
        UserError: If this is not a checkpoint, or it is damaged or has another format.
    """
    if folder.is_file():
        weights = motionbert_weights(folder)
        model = motionbert_sizes(weights, num_heads=8)
        return weights, {
            "stage": "MotionBERT",
            "model": model,
            "skeleton": "h36m17",
            "frames": model["max_frames"],
            "fps": PEER_FPS,
            "normalization": "image",
            "data": [
                {
                    "name": "MotionBERT",
                    "source": "weights of its authors",
                    "license": "research only, as the data it was trained on",
                }
            ],
        }
    try:
        weights = load_file(folder / WEIGHTS)
        meta = current_names(read_json(folder / META), RENAMED | RENAMED_MODEL)
    except FileNotFoundError as error:
        raise UserError(f"{folder} is not a checkpoint: it needs {WEIGHTS} and {META}") from error
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(f"the checkpoint {folder} is damaged: {error}") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        found = meta.get("format") if isinstance(meta, dict) else None
        raise UserError(f"{folder} is of format {found}; this version reads {FORMAT}")
    typed(_Meta, meta, str(folder / META))
    if "model" in meta:
        meta["model"] = without_feet(meta["model"])
    _check_weights(weights, folder / WEIGHTS)
    return {key: v.float() if v.is_floating_point() else v for key, v in weights.items()}, meta


def _check_weights(
    weights: Mapping[str, Tensor], path: Path, largest: float = torch.finfo(torch.float32).max
) -> None:
    for name, value in weights.items():
        real = value.is_floating_point() and (value.abs() <= largest).all()  # False for NaN
        if not real and (value.is_floating_point() or value.is_complex()):
            raise UserError(f"{path} is damaged: {name} has numbers that are no weights")


def load_training(folder: Path) -> dict[str, Any]:
    """Load the state of the optimizer for resuming, on the CPU.

    Raises:
        UserError: If there is none, it is damaged, or it contains code.
    """
    path = folder / "training.pt"
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise UserError(f"cannot resume from {folder}: training.pt: {refusal(error)}") from error
    return state


def load_encoder(folder: Path) -> tuple[Encoder, dict[str, Any]]:
    """Build the encoder of a checkpoint in eval mode, and return it with the metadata."""
    weights, meta = load(folder)
    _check_weights(weights, folder, _MAX_WEIGHT)
    settings: dict[str, Any] = meta.get("model", {})
    try:
        if settings.get("depth", 0) + settings.get("embedding_depth", 0) > len(weights):
            raise ValueError(f"its depth needs more than {len(weights)} weights")
        with torch.device("meta"):  # needs no memory for any sizes
            load_by_name(build_encoder(**settings), weights, str(folder), only_check=True)
        encoder = build_encoder(**settings)
    except UserError:
        raise
    except (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{folder / META} has no settings of a model: {error}") from error
    load_by_name(encoder, weights, str(folder))
    encoder.embedding_stride = meta.get("embedding_stride", 1)
    return encoder.eval(), meta
