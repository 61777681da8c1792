"""How well the checkpoints' motion embeddings find the labels of held-out spans, and back.

    python benchmarks/retrieval.py CHECKPOINT... --data data/open/hdm05 --data data/open/bandai

One line a checkpoint: recall at 1 and 5 of the true label among all labels of the split, by cosine;
and of a clip for each label. Clips are whole, with a detector's noise, seen alike by every
checkpoint: as the first was trained. Labels are encoded by the checkpoint's own table or text side.
"""

from pathlib import Path
from typing import Annotated

import torch
import tyro
from tyro.conf import Positional, UseAppendAction, arg

from actionpose.actions.label_bank import Labels
from actionpose.datasets.corpus import open_corpus
from actionpose.experiments.embedding_figures import embed_spans
from actionpose.metrics.retrieval import both_ways, chance_both_ways
from actionpose.model_hub import find
from actionpose.utils.errors import UserError, exit_codes


def main(
    checkpoints: Positional[tuple[str, ...]],
    data: Annotated[UseAppendAction[tuple[Path, ...]], arg(help="a corpus; may be repeated")],
    split: str = "val",
) -> None:
    """Print a Markdown table of recalls."""
    torch.set_num_threads(1)
    corpora = [open_corpus(folder) for folder in data]
    folders = {name: find(name) for name in checkpoints}
    first = next(iter(folders.values()))
    for name, folder in folders.items():
        found = embed_spans(folder, corpora, split, seen_as=first)
        if found.embedding is None:
            raise UserError(f"the checkpoint {name} was trained without text: it embeds no motions")
        labels = sorted(set(found.labels))
        true = torch.tensor([[own == label for label in labels] for own in found.labels])
        texts = torch.from_numpy(Labels(folder).embed(labels))
        scores = both_ways(found.embedding @ texts.T, true)
        if folder == first:
            print(f"{len(true)} clips, {len(labels)} labels, split {split}\n")
            print(f"| checkpoint | {' | '.join(scores)} |\n" + "|---" * (len(scores) + 1) + "|")
            print(_row("chance", chance_both_ways(true)))
        print(_row(name, scores), flush=True)


def _row(name: str, scores: dict[str, float]) -> str:
    return f"| {name} | {' | '.join(f'{score:.3f}' for score in scores.values())} |"


if __name__ == "__main__":
    with exit_codes("retrieval.py"):
        tyro.cli(main)
