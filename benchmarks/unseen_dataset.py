"""Recognition on datasets that are not in the training data, with their own labels.

    python benchmarks/unseen_dataset.py tiny --data data/open/bandai --data data/open/utd \
        --train data/open/cmu --train data/open/hdm05 --train data/open/synthetic

The part of a label after a comma is removed; for Bandai-Namco, this is the style ("run, elderly
style"). Spans of both splits are used, with a maximum number per label, each in the four views of
the open benchmark. A span is classified as the most similar label of its dataset. Intervals are
95 % intervals over spans. Labels in training are those with the same spelling as in the training of
the checkpoint; the others are zero-shot. The last rows combine the spans of all datasets;
differences are to the first checkpoint.

The baseline has no motion encoder: a span is represented by its five nearest neighbors among the
`--train` spans by joint statistics, as the mean of the text embeddings of their labels in the last
checkpoint.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

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
    """Actions of the splits as one split "all", with labels up to a comma, a few per label."""
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
    model: ActionPose, train: list[Corpus], corpus: Corpus, labels: list[str]
) -> NDArray[np.int64]:
    """(N, 4) Indices of `labels` predicted by the baseline."""
    examples, spans = labeled_spans(train, "all"), labeled_spans([corpus], "all")
    near = nearest(span_statistics(examples), span_statistics(spans)) // NUM_VIEWS
    texts = model.embed_text([span.label for span in examples])
    found = (texts[near].mean(axis=1) @ model.embed_text(labels).T).argmax(axis=1)
    return found.reshape(len(spans), NUM_VIEWS)


def percent_correct(found: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) Percentage of correct views of each span."""
    return 100.0 * (found == target[:, None]).mean(axis=1)


def row(name: str, dataset: str, correct: NDArray[Any], seen: NDArray[Any], *others: object) -> str:
    """A row of the table: top-1 of all spans, of labels in training, and of other labels."""
    parts = [bootstrap(part) if len(part) else "" for part in (correct[seen], correct[~seen])]
    cells = [name, dataset, len(correct), int(seen.sum()), bootstrap(correct), *parts, *others]
    return f"| {' | '.join(map(str, cells))} |"


def main(
    checkpoints: Positional[tuple[str, ...]],
    data: Annotated[UseAppendAction[tuple[Path, ...]], arg(help="a corpus; may be repeated")],
    train: Annotated[UseAppendAction[tuple[Path, ...]], arg(help="for the baseline")] = (),
    per_label: int = 16,
    picture: Path | None = None,
) -> None:
    """Print a Markdown table.

    Args:
        checkpoints: Checkpoints to evaluate.
        per_label: Maximum number of spans per label.
        picture: File (png) of the confusion matrix of the last checkpoint on the last corpus.
    """
    torch.set_num_threads(1)
    corpora = [subsample(open_corpus(folder), per_label, ("train", "val")) for folder in data]
    if not corpora or not all(corpus.segments for corpus in corpora):
        raise UserError("name corpora with labeled spans by --data")
    examples = [subsample(open_corpus(folder), per_label, ("train",)) for folder in train]
    columns = ("checkpoint", "dataset", "spans", "with labels in training", "top-1 %")
    columns += ("labels in training %", "other labels %", "mean per class %", "chance %")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    pooled: list[NDArray[np.float64]] = []
    for name in checkpoints:
        model = ActionPose.from_pretrained(name)
        results, known = [], []
        for corpus in corpora:
            report = recognize(model, [corpus], "all")
            trained = np.array([model.labels.knows(label) for label in report["labels"]])
            known.append(trained[report["target"]])
            results.append(percent_correct(report["predicted"], report["target"]))
            scores = report["scores"]
            others = scores["per_class"], f"{scores['chance']:.1f}"
            print(row(name, corpus.name, results[-1], known[-1], *others), flush=True)
            if examples and name == checkpoints[-1]:
                found = by_neighbors(model, examples, corpus, report["labels"])
                correct = percent_correct(found, report["target"])
                print(row("neighbors and text", corpus.name, correct, known[-1], "", ""))
        pooled.append(np.concatenate(results))
        print(row(name, "all", pooled[-1], np.concatenate(known), "", ""), flush=True)
    for name, correct in zip(checkpoints[1:], pooled[1:], strict=True):
        print(f"\n{name} - {checkpoints[0]}: {bootstrap(correct - pooled[0]):+}")
    if picture:
        draw_confusion(report, picture)


if __name__ == "__main__":
    with exit_codes("unseen_dataset.py"):
        tyro.cli(main)
