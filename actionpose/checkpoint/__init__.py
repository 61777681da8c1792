"""Checkpoints: folders of weights and metadata, and official weights of other authors."""

from actionpose.checkpoint.conversion import convert_peer, export_motionbert
from actionpose.checkpoint.folder import (
    LABELS,
    META,
    TEXT,
    WEIGHTS,
    copy_text,
    keep_best,
    load,
    load_encoder,
    load_labels,
    load_training,
    publish,
    save,
    save_labels,
    saved_steps,
    weights_file,
)
from actionpose.checkpoint.official import (
    load_by_name,
    load_motionbert,
    load_peer,
    motionbert_weights,
)

__all__ = [
    "LABELS",
    "META",
    "TEXT",
    "WEIGHTS",
    "convert_peer",
    "copy_text",
    "export_motionbert",
    "keep_best",
    "load",
    "load_by_name",
    "load_encoder",
    "load_labels",
    "load_motionbert",
    "load_peer",
    "load_training",
    "motionbert_weights",
    "publish",
    "save",
    "save_labels",
    "saved_steps",
    "weights_file",
]
