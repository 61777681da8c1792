"""Commands that score a model: `actionpose evaluate BENCHMARK`."""

import json
from pathlib import Path
from typing import Annotated, Any

from tqdm import tqdm
from tyro.conf import UseAppendAction, arg

from actionpose.commands.common import Checkpoint, Device, Quiet


def open_benchmark(
    data: Annotated[UseAppendAction[tuple[Path, ...]], arg(help="a corpus; may be repeated")],
    checkpoint: Checkpoint = "tiny",
    split: str = "val",
    json_out: Annotated[Path | None, arg(name="json", help="also write the scores here")] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Score a model on the open benchmark: subjects never seen in training."""
    from actionpose.corpus import open_corpus
    from actionpose.evaluate import METRICS
    from actionpose.evaluate import evaluate_open as score
    from actionpose.files import atomic_write
    from actionpose.lift import ActionPose

    model = ActionPose.from_pretrained(checkpoint, device)
    corpora = [open_corpus(folder) for folder in data]

    def predict(keypoints: Any) -> Any:
        return model.predict(keypoints, image_size=(2, 2))

    report = score(
        predict, corpora, split, lambda windows: tqdm(windows, disable=True if quiet else None)
    )
    for name, text in METRICS.items():
        print(f"{name:16} {report['scores'][name]!s:24} {text}")
    print(f"{report['num_windows']} windows, {report['num_frames']} frames, {report['protocol']}")
    if json_out:
        plain = {
            **report,
            "checkpoint": model.checkpoint,
            "scores": {name: vars(value) for name, value in report["scores"].items()},
        }
        with atomic_write(json_out) as path:
            path.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
