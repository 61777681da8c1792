"""What each augmentation gives alone: the same short stage two, with and without it.

    python benchmarks/augmentations.py --init runs/open_tiny_1

Every row trains the same lifter further, for the same steps with the same clips, and adds one
setting of `data.augmentation`, or what the name says. Columns are the conditions of
`detector_robustness.py` on held-out people: MPJPE in mm, and its difference to the first row, clip
by clip, with 95 % bootstrap intervals. Two and a half minutes of one core a row, and half a minute
to score it; goes on where it stopped.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import tyro
from detector_robustness import TROUBLES, errors_mm

from actionpose.config import AugmentationConfig, ClipConfig, FinetuneConfig, load_recipe
from actionpose.datasets.corpus import open_corpus
from actionpose.experiments.ablation import interval
from actionpose.inference.predictor import ActionPose
from actionpose.training.finetune import finetune
from actionpose.utils.errors import exit_codes
from actionpose.utils.files import atomic_write

ROWS: dict[str, AugmentationConfig | dict[str, object]] = {
    "none": AugmentationConfig(),
    "recombine": AugmentationConfig(recombine=0.3),
    "perturb_deg": AugmentationConfig(perturb_deg=10.0),
    "random_joint_convention": AugmentationConfig(random_joint_convention=0.3),
    "joint_offset_m": AugmentationConfig(joint_offset_m=0.015),
    "limb_occlusion": AugmentationConfig(limb_occlusion=0.2),
    "cropped": AugmentationConfig(cropped=0.2),
    "drop_confidence": AugmentationConfig(drop_confidence=0.2),
    "camera_pitch_deg": AugmentationConfig(camera_pitch_deg=(0.0, 45.0)),
    "near, wide lenses": {"distance_m": (1.8, 7.0), "focal_px": (650.0, 1500.0)},
    "bones as recorded": {"bone_length_jitter": 0.0},
    "joints as H36M's": {"coco_joint_convention": 0.0},
}


def clips(config: ClipConfig, name: str) -> ClipConfig:
    """The recipe's clips with one row's change."""
    row = ROWS[name]
    if isinstance(row, AugmentationConfig):
        return replace(config, augmentation=row)
    return replace(config, augmentation=AugmentationConfig(), **row)  # type: ignore[arg-type]


def main(
    init: Path,
    out: Path = Path("runs/augmentations"),
    recipe: Path = Path("recipes/open_tiny_2.yaml"),
    rows: tuple[str, ...] = tuple(ROWS),
    epochs: float = 1.0,
    count: int = 200,
) -> None:
    """Train what is not done, score, print the table.

    Args:
        init: The lifter that all rows start from.
        count: Clips of each condition.
    """
    torch.set_num_threads(1)
    base = load_recipe(FinetuneConfig, recipe)
    corpora = [open_corpus(folder) for folder in ("data/open/cmu", "data/open/hdm05")]
    plain: dict[str, list[float]] = {}
    print(f"| trained with | {' | '.join(TROUBLES)} |\n{'|---' * (1 + len(TROUBLES))}|")
    for name in ("none", *(row for row in rows if row != "none")):
        run = out / name.replace(" ", "_").replace(",", "").replace("'", "")
        file = run / "errors.json"
        if not file.exists():
            training = replace(base.training, epochs=epochs)
            config = replace(base, init=init, data=clips(base.data, name), training=training)
            if finetune(config, run).status != "finished":
                raise KeyboardInterrupt
            model = ActionPose.from_pretrained(run)
            found = {
                condition: [e["mpjpe_mm"] for e in errors_mm(model, corpora, config, count)]
                for condition, config in TROUBLES.items()
            }
            with atomic_write(file) as path:
                path.write_text(json.dumps(found), encoding="utf-8")
        errors = json.loads(file.read_text(encoding="utf-8"))
        plain = plain or errors
        cells = []
        for condition in TROUBLES:
            values = np.array(errors[condition])
            cells.append(f"{values.mean():.1f}")
            if name != "none":
                change = (values - plain[condition])[None]
                low, high = interval(change)
                cells[-1] += f" ({change.mean():+.1f} [{low:+.1f}, {high:+.1f}])"
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    with exit_codes("augmentations.py"):
        tyro.cli(main)
