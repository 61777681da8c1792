"""Commands that evaluate a model: `actionpose evaluate BENCHMARK`."""

import sys
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import UseAppendAction, arg

from actionpose.cli.options import Checkpoint, Device, Quiet, progress_bar
from actionpose.utils.errors import UserError


def open_benchmark(
    data: Annotated[
        UseAppendAction[tuple[Path, ...]], arg(help="Folder of a corpus. May be repeated.")
    ],
    checkpoint: Checkpoint = "tiny",
    split: Annotated[
        str | None,
        arg(help="Split to score. By default val, and val-ood of corpora that have it."),
    ] = None,
    actions: Annotated[
        bool, arg(help="Whether to score action recognition, if the model has a text embedding.")
    ] = True,
    confusion: Annotated[
        Path | None, arg(help="PNG file to write the confusion matrix of the labels to.")
    ] = None,
    json_out: Annotated[
        Path | None, arg(name="json", help="Also write the scores to this JSON file.")
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Evaluate a model on the open benchmark, whose subjects are not in the training data."""
    from actionpose.datasets.corpus import open_corpus
    from actionpose.evaluation import error_bars, recognition, segmentation
    from actionpose.evaluation.open_benchmark import (
        METRICS,
        UNUSUAL,
        evaluate_open,
        model_predict,
    )
    from actionpose.inference.predictor import ActionPose
    from actionpose.utils.files import write_json

    if confusion and confusion.suffix.lower() != ".png":
        raise UserError(f"--confusion is a picture, such as confusion.png, not {confusion}")
    if not data:
        raise UserError("name the corpora to score on, with --data FOLDER")
    model = ActionPose.from_pretrained(checkpoint, device, engine="torch")
    if confusion and not (actions and model.knows_actions):
        raise UserError(f"there is no --confusion to draw: {checkpoint} knows no actions")
    corpora = [open_corpus(folder) for folder in data]

    def progress(items: Any) -> Any:
        return progress_bar(items, quiet=quiet)

    def score_lifting(corpora: list[Any], split: str) -> dict[str, Any]:
        report = evaluate_open(model_predict(model), corpora, split, progress)
        for name, text in METRICS.items():
            print(f"{name:16} {report['scores'][name]!s:24} {text}")
        if model.encoder.heads is not None:
            people = error_bars.heads_errors(model, corpora, split, progress)
            report["heads"] = error_bars.report(people, model.error_bars)
            for name, value in report["heads"].items():
                print(f"{name:16} {value:<24.1f} {error_bars.TERMS[name]}")
        counts = f"{report['num_windows']} windows, {report['num_frames']} frames"
        print(f"{counts}, {report['protocol']}")
        return report

    unusual = [corpus for corpus in corpora if corpus.motions(UNUSUAL)] if split is None else []
    if split is None:
        split = "val"
        corpora = [corpus for corpus in corpora if corpus.motions(split)] or corpora
    report = score_lifting(corpora, split)
    if unusual:
        beside = score_lifting(unusual, UNUSUAL)
        report["val_ood"] = beside | {"scores": {k: vars(v) for k, v in beside["scores"].items()}}
    scores: dict[str, Any] = dict(report["scores"])
    known = joined = None
    if actions and model.knows_actions:
        try:
            known = recognition.recognize(model, corpora, split, progress)
            joined = segmentation.segment(model, corpora, split, progress)
        except UserError as error:  # there are no labels, or none that the model can embed
            if confusion:
                raise
            print(f"actions are not scored: {error}", file=sys.stderr)
    if known and joined:
        terms = {**recognition.TERMS, **segmentation.TERMS}
        about = {**known["scores"], **joined["scores"]}
        for name, text in terms.items():
            if name in about:
                value = about[name]
                shown = f"{value:.1f}" if isinstance(value, float) else str(value)
                print(f"{name:16} {shown:24} {text}")
        print(
            f"{known['num_spans']} spans of {len(known['labels'])} labels, "
            f"{known['num_unseen']} of labels not in training; {len(joined['tracks'])} tracks"
        )
        scores |= about
        if confusion:
            recognition.draw_confusion(known, confusion)
            print(f"wrote   {confusion}")
    if json_out:
        plain = {
            **report,
            "checkpoint": model.checkpoint,
            "scores": {
                name: value if isinstance(value, float) else vars(value)
                for name, value in scores.items()
            },
        }
        write_json(json_out, plain)
