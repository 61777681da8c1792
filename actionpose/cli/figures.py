"""Commands that draw the paper's figures of the embedding: `actionpose reproduce figure5`, `8`."""

from pathlib import Path
from typing import Annotated, Any

from tyro.conf import UseAppendAction, arg

from actionpose.cli.options import Checkpoint

Data = Annotated[UseAppendAction[tuple[Path, ...]], arg(help="a corpus; may be repeated")]
Out = Annotated[Path, arg(aliases=["-o"], help="the picture (png, pdf, svg)")]
Json = Annotated[Path | None, arg(name="json", help="also write the scores here")]


def figure5(
    data: Data,
    checkpoint: Checkpoint,
    baseline: Annotated[str, arg(help="a checkpoint trained without text (average pooling)")],
    out: Out = Path("figure5.png"),
    split: str = "val",
    num_labels: Annotated[int, arg(help="the most frequent labels")] = 12,
    json_out: Json = None,
    seed: int = 0,
) -> None:
    """Draw motions as t-SNE maps, with and without text, and score how actions separate."""
    from actionpose.checkpoint import find
    from actionpose.datasets.corpus import open_corpus
    from actionpose.experiments.embedding_figures import figure5 as draw

    corpora = [open_corpus(folder) for folder in data]
    report = draw(
        *(find(checkpoint), find(baseline), corpora, out),
        split=split,
        num_labels=num_labels,
        seed=seed,
    )
    print(f"{report['clips']} clips, {report['labels']} labels, split {report['split']}")
    for name, score in report["scores"].items():
        print(
            f"{name:14} 5-NN {score['knn']:.3f} (most frequent label {score['knn_chance']:.3f}), "
            f"silhouette {score['silhouette']:.3f}"
        )
    _finish(report, out, json_out)


def figure8(
    data: Data,
    labels: Annotated[str, arg(help="two or more, with commas between")],
    checkpoint: Checkpoint,
    out: Out = Path("figure8.png"),
    motion: Annotated[UseAppendAction[tuple[str, ...]], arg(help="an id; may be repeated")] = (),
    split: str = "val",
    json_out: Json = None,
) -> None:
    """Draw clips with the share that each of some labels gets."""
    from actionpose.checkpoint import find
    from actionpose.datasets.corpus import open_corpus
    from actionpose.experiments.embedding_figures import figure8 as draw

    corpora = [open_corpus(folder) for folder in data]
    chosen = [label for label in map(str.strip, labels.split(",")) if label]
    report = draw(find(checkpoint), corpora, chosen, out, motions=list(motion) or None, split=split)
    for clip in report:
        shares = ", ".join(f"{label} {share:.2f}" for label, share in clip["shares"].items())
        print(f"{clip['clip']} ({clip['label']}): {shares}")
    _finish(report, out, json_out)


def _finish(report: Any, out: Path, json_out: Path | None) -> None:
    from actionpose.utils.files import write_json

    print(f"wrote   {out}")
    if json_out:
        write_json(json_out, report)
        print(f"wrote   {json_out}")
