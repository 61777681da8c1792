"""Commands that describe a corpus: `actionpose corpus`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


def info(corpus: Positional[Path], labels: int = 20) -> None:
    """Print the statistics of a corpus: hours, subjects, labels and distributions of the poses.

    Args:
        corpus: Folder of a corpus, written by `actionpose prepare`.
        labels: Number of labels to list, the most frequent first.
    """
    from actionpose.datasets.corpus import open_corpus
    from actionpose.datasets.statistics import corpus_statistics, format_statistics
    from actionpose.utils.errors import UserError

    if labels < 0:
        raise UserError(f"--labels is 0 or more, not {labels}")
    print(format_statistics(corpus_statistics(open_corpus(corpus)), num_labels=labels))


def show(
    corpus: Positional[Path],
    out: Annotated[Path, arg(aliases=["-o"], help="PNG file to write.")],
    split: str | None = None,
    segments: int = 18,
    seed: int = 0,
) -> None:
    """Draw random segments of a corpus with their texts, and histograms of its poses.

    Args:
        corpus: Folder of a corpus, written by `actionpose prepare`.
        split: Draw only segments of this split, such as train.
        segments: Number of segments.
        seed: Seed of the random selection.
    """
    from actionpose.datasets.corpus import open_corpus
    from actionpose.utils.errors import UserError
    from actionpose.visualization.corpus_sheet import write_corpus_sheet

    if out.suffix.lower() != ".png":
        raise UserError(f"a contact sheet is a .png, not {out.name}")
    if seed < 0:
        raise UserError(f"--seed must be 0 or more, not {seed}")
    opened = open_corpus(corpus)
    write_corpus_sheet(opened, out, split=split, num_segments=segments, seed=seed)
    print(f"wrote   {out}")
