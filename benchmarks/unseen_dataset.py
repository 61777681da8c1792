"""Recognition on a dataset that a checkpoint never saw, under labels of its own.

    python benchmarks/unseen_dataset.py tiny --data data/open/bandai --train data/open/cmu \
        --train data/open/hdm05 --train data/open/synthetic

What follows a comma in a label is dropped: with Bandai-Namco the style ("run, elderly style").
Spans of both splits count, at most so many of a label, each in the open benchmark's four views.
Spans get the most similar label of the dataset; intervals are over spans, 95 %. `trained` counts
the labels that the checkpoint was trained with, letter by letter: the rest is zero-shot.

The baseline has no motion encoder: a span's five nearest neighbors by joint statistics among the
`--train` spans stand for it, by the mean of their labels' embeddings in the last checkpoint's text
space.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from tyro.conf import Positional, UseAppendAction, arg

from actionpose.datasets.corpus import Corpus, open_corpus
from actionpose.evaluation.recognition import (
    draw_confusion,
    nearest,
    recognize,
    span_statistics,
)
from actionpose.evaluation.views import NUM_VIEWS, labeled_spans
from actionpose.inference.predictor import ActionPose
from actionpose.metrics.bootstrap import bootstrap
from actionpose.models.text_encoder import normalize_text
from actionpose.utils.errors import UserError, exit_codes


def subsample(corpus: Corpus, per_label: int, splits: tuple[str, ...], seed: int = 0) -> Corpus:
    """Actions of the splits as one split "all", labels up to a comma, a few of each."""
    spans = [
        s
        for s in corpus.segments
        if s.kind == "action" and s.split in splits and normalize_text(s.text)
    ]
    chosen = []
    taken: dict[str, int] = {}
    for i in np.random.default_rng(seed).permutation(len(spans)):
        text = normalize_text(spans[i].text.split(",")[0])
        if taken.setdefault(text, 0) < per_label:
            taken[text] += 1
            chosen.append(replace(spans[i], text=text, split="all"))
    return replace(corpus, segments=chosen)


def by_neighbors(
    model: ActionPose, train: list[Corpus], corpora: list[Corpus], labels: list[str]
) -> NDArray[np.int64]:
    """(N, 4) rows of `labels` that the baseline finds."""
    examples, spans = labeled_spans(train, "all"), labeled_spans(corpora, "all")
    near = nearest(span_statistics(examples), span_statistics(spans)) // NUM_VIEWS
    texts = model.embed_text([span.label for span in examples])
    found = (texts[near].mean(axis=1) @ model.embed_text(labels).T).argmax(axis=1)
    return found.reshape(len(spans), NUM_VIEWS)


def main(
    checkpoints: Positional[tuple[str, ...]],
    data: Annotated[UseAppendAction[tuple[Path, ...]], arg(help="a corpus; may be repeated")],
    train: Annotated[UseAppendAction[tuple[Path, ...]], arg(help="for the baseline")] = (),
    per_label: int = 16,
    picture: Path | None = None,
) -> None:
    """Print a Markdown table.

    Args:
        per_label: Spans of a label at most.
        picture: Where the confusion of the last checkpoint goes, a png.
    """
    torch.set_num_threads(1)
    corpora = [subsample(open_corpus(folder), per_label, ("train", "val")) for folder in data]
    if not any(corpus.segments for corpus in corpora):
        raise UserError("these corpora have no labeled spans")
    examples = [subsample(open_corpus(folder), per_label, ("train",)) for folder in train]
    print("| checkpoint | spans | labels | trained | top-1 % | mean per class % | chance % |")
    print("|---|---|---|---|---|---|---|")
    for name in checkpoints:
        model = ActionPose.from_pretrained(name)
        report = recognize(model, corpora, "all")
        trained = sum(model.labels.knows(label) for label in report["labels"])
        top1, per_class = (report["scores"][key] for key in ("top1", "per_class"))
        print(
            f"| {name} | {report['num_spans']} | {len(report['labels'])} | {trained} | {top1}"
            f" | {per_class} | {report['scores']['chance']:.1f} |",
            flush=True,
        )
    if examples:
        found = by_neighbors(model, examples, corpora, report["labels"])
        correct = 100.0 * (found == report["target"][:, None]).mean(axis=1)
        print(f"| neighbors and text | | | | {bootstrap(correct)} | | |")
    if picture:
        draw_confusion(report, picture)


if __name__ == "__main__":
    with exit_codes("unseen_dataset.py"):
        tyro.cli(main)
