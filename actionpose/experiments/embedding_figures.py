"""The figures of the embedding in the paper with scores: Figures 5 and 8.

Clips are held-out spans of corpora, projected as in the training of the checkpoint, without masks,
or windows of test videos of Human3.6M.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from actionpose import checkpoint
from actionpose.actions.label_bank import LabelBank
from actionpose.config import PretrainDataConfig
from actionpose.datasets.corpus import Corpus
from actionpose.datasets.loading import collate
from actionpose.datasets.motion_text import MotionTextBatches
from actionpose.datasets.paired import PairedDataset, clip_rows
from actionpose.datasets.paired_clips import input_of
from actionpose.datasets.projection import Clip
from actionpose.geometry.camera import box_frame
from actionpose.models import PoseEncoder
from actionpose.models.text_encoder import normalize_text
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.utils.legacy import with_person_size
from actionpose.utils.yaml_config import from_dict
from actionpose.visualization.drawing import LABEL_COLORS, SIDE_COLORS, draw_bones, new_figure

NEIGHBORS = 5
LabelKind = Literal["action", "transition", "sequence"]  # of `PretrainDataConfig.label_kinds`
TEMPERATURE = 0.1  # tau of Eq. 1, for the probabilities in Figure 8
POSES = 6  # number of poses per clip in Figure 8
_BATCH = 32


@dataclass(frozen=True)
class Embedded:
    """Clips of labeled spans with their features by one encoder."""

    labels: list[str]  # text of each clip, or its action in Human3.6M
    verbs: list[str]  # BABEL category of each clip, else the first word of its text
    names: list[str]  # motion[first frame:one past the last frame]
    keypoints: NDArray[np.float32]  # (N, T, 17, 3)
    embedding: Tensor | None  # (N, E) unit vectors; None without a <POSE> token
    pooled: Tensor  # (N, D) unit vectors: backbone features, averaged over frames and joints
    label_kinds: tuple[LabelKind, ...] = ()  # of the spans; empty for Human3.6M


def embed_spans(
    folder: Path,
    corpora: list[Corpus],
    split: str,
    *,
    label_kinds: tuple[LabelKind, ...] | None = None,
) -> Embedded:
    """Embed all labeled spans of a split with the encoder of a checkpoint.

    Pretrained checkpoints use clips as in their training, without masks. Official weights of
    MotionBERT use the orthographic views of the paper. Fine-tuned checkpoints, and those of version
    0.1, use perspective views.

    Args:
        folder: Checkpoint.
        corpora: Corpora.
        split: Split of the corpora.
        label_kinds: Kinds of labels whose spans are embedded; by default those of the training of
            the checkpoint.

    Raises:
        UserError: If a corpus has no texts in the split, or the checkpoint does not exist or has
            another backbone.
    """
    encoder, meta = checkpoint.load_encoder(folder)
    if not isinstance(encoder, PoseEncoder):
        raise UserError(f"{folder} has another backbone than dstformer, whose features are drawn")
    pretrained = meta.get("stage") == "MotionBERT"
    config = PretrainDataConfig(view="front_side" if pretrained else "perspective")
    data = with_person_size(meta["config"])["data"] if meta.get("stage") == "pretrain" else {}
    if isinstance(data.get("camera"), dict):  # version 0.1 had other settings
        config = from_dict(PretrainDataConfig, data, f"{folder}/meta.json")
    config = replace(
        config,
        frames=meta["frames"],
        normalization=meta["normalization"],
        masks={},
        mirror=0.0,
        bone_length_jitter=0.0,
        noise=replace(config.noise, coco_joint_convention=0.0),
        shuffle_texts=False,
        label_kinds=config.label_kinds if label_kinds is None else label_kinds,
    )
    weighted = [(corpus, 1.0) for corpus in corpora]
    batches = MotionTextBatches(weighted, config, batch_size=1, seed=0, split=split)
    clips = [
        batches.clip_of(number, np.random.default_rng([0, number]), middle=True)
        for number in range(len(batches.spans))
    ]
    spans = batches.spans
    labels = [span.text for span in spans]
    verbs = [span.categories[0] if span.categories else span.text.split()[0] for span in spans]
    found = _embed_clips(encoder, clips, labels, verbs)
    return replace(found, label_kinds=config.label_kinds)


def embed_videos(folder: Path, dataset: PairedDataset) -> Embedded:
    """Embed the videos of a paired dataset in windows of the length of the checkpoint.

    Raises:
        UserError: If the checkpoint does not exist or has another backbone.
    """
    encoder, meta = checkpoint.load_encoder(folder)
    if not isinstance(encoder, PoseEncoder):
        raise UserError(f"{folder} has another backbone than dstformer, whose features are drawn")
    rows = clip_rows(dataset.videos, meta["frames"], meta["frames"])
    videos = [dataset.videos[video] for video in dataset.video_of_rows()[rows[:, 0]]]
    clips = []
    for row, video in zip(rows, videos, strict=True):
        keypoints = input_of(dataset, row, video, "detected")
        if meta["normalization"] == "box" and (box := box_frame(keypoints)):
            keypoints = box.normalize(keypoints)
        name = f"{video.name}[{row[0] - video.start}:{row[-1] + 1 - video.start}]"
        clips.append({"keypoints": keypoints, "valid": np.ones(len(row), bool), "name": name})
    actions = [video.action for video in videos]
    return _embed_clips(encoder, clips, actions, actions)


def _embed_clips(
    encoder: PoseEncoder, clips: list[Clip], labels: list[str], verbs: list[str]
) -> Embedded:
    parts = (collate(clips[first : first + _BATCH]) for first in range(0, len(clips), _BATCH))
    embeddings, pooled = zip(*(_embed(encoder, part) for part in parts), strict=True)
    return Embedded(
        labels=labels,
        verbs=verbs,
        names=[clip["name"] for clip in clips],
        keypoints=np.stack([clip["keypoints"] for clip in clips]),
        embedding=None if embeddings[0] is None else torch.cat(embeddings),
        pooled=torch.cat(pooled),
    )


@torch.no_grad()
def _embed(encoder: PoseEncoder, batch: dict[str, Any]) -> tuple[Tensor | None, Tensor]:
    """Unit embeddings, and unit means of the last features over valid frames and joints."""
    valid = batch["valid"]
    features: list[Tensor] = []
    hook = encoder.norm.register_forward_hook(lambda module, args, out: features.append(out))
    try:
        embedding = encoder(batch["keypoints"], valid).embedding
    finally:
        hook.remove()
    weight = valid[:, :, None, None].float()
    pooled = (features[0] * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)) / features[0].shape[2]
    unit = None if embedding is None else F.normalize(embedding, dim=-1)
    return unit, F.normalize(pooled, dim=-1)


def separation(features: Tensor, labels: list[str]) -> dict[str, float]:
    """Separation of labels in normalized features (N, D), by cosine distance.

    Returns:
        `silhouette`, -1 to 1; `knn`, the fraction of clips whose label is the most frequent one of
        their five nearest neighbors; and `knn_chance`, the fraction of the most frequent label.

    Raises:
        UserError: If scikit-learn is not installed.
    """
    try:
        from sklearn.metrics import silhouette_score
    except ModuleNotFoundError as error:
        raise UserError("Figure 5 needs: pip install 'actionpose[train]'") from error
    numbers = np.unique(labels, return_inverse=True)[1]
    similarity = (features @ features.T).fill_diagonal_(-torch.inf)
    nearest = similarity.topk(min(NEIGHBORS, len(labels) - 1)).indices.numpy()
    votes = np.array([Counter(numbers[row]).most_common(1)[0][0] for row in nearest])
    return {
        "silhouette": float(silhouette_score(features.numpy(), numbers, metric="cosine")),
        "knn": float((votes == numbers).mean()),
        "knn_chance": float(np.bincount(numbers).max() / len(numbers)),
    }


def draw_figure5(
    ours: Path,
    baseline: Path,
    corpora: list[Corpus],
    picture: Path,
    *,
    split: str = "val",
    num_labels: int = 12,
    by: Literal["verb", "label"] = "verb",
    seed: int = 0,
) -> dict[str, Any]:
    """Draw t-SNE maps of two embeddings, colored by action, and score their separation of actions.

    As in the paper, the left map is for a checkpoint trained without text, whose features are
    averaged over frames and joints. The right map is for the <POSE> embedding of `ours`.

    Args:
        ours: Checkpoint with a motion embedding.
        baseline: Checkpoint trained without text.
        corpora: Corpora.
        picture: Image file to write.
        split: Split of the corpora.
        num_labels: Number of the most frequent verbs or labels of the split to include.
        by: Definition of an action: a verb (BABEL category, else the first word of the text), or
            the whole text.
        seed: Seed of t-SNE.

    Returns:
        The scores of both in the original feature space, and the numbers of clips and labels.

    Raises:
        UserError: See `embed_spans`; or if `ours` has no embedding, or there are too few labels or
            clips.
    """
    found = embed_spans(ours, corpora, split)
    if found.embedding is None:
        raise UserError(f"{ours} has no motion embedding: it was made without a class token")
    # the same spans in the same order, independent of the training labels of the baseline
    other = embed_spans(baseline, corpora, split, label_kinds=found.label_kinds)
    actions = found.verbs if by == "verb" else found.labels
    kept = [action for action, count in Counter(actions).most_common(num_labels) if count > 1]
    rows = [row for row, action in enumerate(actions) if action in kept]
    if len(kept) < 2 or len(rows) < 8:
        raise UserError(
            f"the split {split!r} has {len(kept)} {by}s with two clips or more: Figure 5 needs "
            f"two {by}s and eight clips"
        )
    labels = [actions[row] for row in rows]
    features = {"without text": other.pooled[rows], "with text": found.embedding[rows]}
    scores = {name: separation(values, labels) for name, values in features.items()}
    figure = new_figure(11, 5.6, layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, (name, values) in zip(axes, features.items(), strict=True):
        _scatter(axis, _tsne(values, seed), labels, kept)
        score = scores[name]
        title = f"{name}: {NEIGHBORS}-NN {score['knn']:.0%}, silhouette {score['silhouette']:.2f}"
        axis.set_title(title, fontsize=10)
    handles, names = axes[1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=7, frameon=False)
    _write(figure, picture)
    return {"split": split, "by": by, "clips": len(rows), "labels": len(kept), "scores": scores}


def _tsne(features: Tensor, seed: int) -> NDArray[np.floating]:
    from sklearn.manifold import TSNE

    perplexity = min(30, (len(features) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="random", metric="cosine", random_state=seed)
    return np.asarray(tsne.fit_transform(features.numpy()))


def _scatter(axis: Any, at: NDArray[np.floating], labels: list[str], kept: list[str]) -> None:
    for number, label in enumerate(kept):
        xy = at[[own == label for own in labels]]
        color = LABEL_COLORS[number % len(LABEL_COLORS)]
        face = color if number < len(LABEL_COLORS) else "none"
        axis.scatter(xy[:, 0], xy[:, 1], s=22, label=label, edgecolors=color, facecolors=face)
    axis.set_xticks([])
    axis.set_yticks([])


def draw_figure8(
    folder: Path,
    found: Embedded,
    labels: list[str],
    picture: Path,
    *,
    motions: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Draw clips with the probabilities of chosen labels: softmax of cosine similarity over tau.

    Args:
        folder: Checkpoint with which the clips were embedded.
        found: Clips of corpora (`embed_spans`) or of Human3.6M (`embed_videos`).
        labels: Two or more labels; any texts if the checkpoint has its text encoder.
        picture: Image file to write.
        motions: Names of clips or of their motions. By default one clip per label or, if no clip
            has one of the labels, the most similar clip for each label.

    Returns:
        Name and label of each clip, with the probability and cosine similarity of each chosen
        label.

    Raises:
        UserError: If there are fewer than two labels, a clip does not exist, or a label requires a
            text encoder that the checkpoint does not have.
    """
    labels = [normalize_text(label) for label in labels]
    if len(set(labels)) < 2:
        raise UserError("Figure 8 compares labels: give two or more that differ")
    if found.embedding is None:
        raise UserError(f"{folder} has no motion embedding: it was made without a class token")
    texts = torch.from_numpy(LabelBank(folder).embed(labels))
    if motions is None:
        rows = [found.labels.index(label) for label in labels if label in found.labels]
        rows = rows or list(dict.fromkeys((found.embedding @ texts.T).argmax(dim=0).tolist()))
    else:
        places = {name.partition("[")[0]: row for row, name in reversed([*enumerate(found.names)])}
        places |= {name: row for row, name in enumerate(found.names)}
        if missing := [motion for motion in motions if motion not in places]:
            raise UserError(f"no labeled motion {missing[0]} among the {len(found.names)} clips")
        rows = [places[motion] for motion in motions]
    cosines = found.embedding[rows] @ texts.T
    probabilities = (cosines / TEMPERATURE).softmax(dim=-1)
    height = 1.5 * len(rows) + 0.4
    figure = new_figure(1.3 * POSES + 4, height)
    axes = figure.subplots(len(rows), POSES + 1, squeeze=False)
    report = []
    for line, row in enumerate(rows):
        _draw_clip(axes[line][:POSES], found.keypoints[row])
        axes[line][0].set_title(f"{found.names[row]}: {found.labels[row]}", fontsize=8, loc="left")
        bars = axes[line][POSES]
        bars.barh(range(len(labels)), probabilities[line].numpy(), color=SIDE_COLORS["left"])
        bars.set_yticks(range(len(labels)), labels, fontsize=7)
        bars.set_xlim(0, 1)
        bars.invert_yaxis()
        bars.yaxis.tick_right()
        bars.tick_params(axis="x", labelsize=6)
        report.append(
            {
                "clip": found.names[row],
                "label": found.labels[row],
                "probabilities": dict(zip(labels, probabilities[line].tolist(), strict=True)),
                "cosines": dict(zip(labels, cosines[line].tolist(), strict=True)),
            }
        )
    top, bottom = 1 - 0.35 / height, 0.3 / height
    figure.subplots_adjust(0.01, bottom, 0.76, top, wspace=0.02, hspace=0.35)
    _write(figure, picture)
    return report


def _draw_clip(axes: list[Any], keypoints: NDArray[np.float32]) -> None:
    """Draw some frames of the 2D input of a clip with the same scale."""
    visible = keypoints[keypoints[..., 2].any(axis=1)]
    low, high = np.quantile(visible[..., :2], [0.01, 0.99], axis=(0, 1))
    middle, reach = (low + high) / 2, float((high - low).max()) / 2 + 0.1
    for axis, frame in zip(axes, np.linspace(0, len(visible) - 1, len(axes)), strict=True):
        draw_bones(axis, visible[round(frame)], color=SIDE_COLORS["middle"], width=1)
        axis.set_xlim(middle[0] - reach, middle[0] + reach)
        axis.set_ylim(middle[1] + reach, middle[1] - reach)


def _write(figure: Any, picture: Path) -> None:
    with atomic_write(picture) as path:
        figure.savefig(path, dpi=110, format=picture.suffix.lstrip(".") or "png")
