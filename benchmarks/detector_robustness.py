"""Effect of detector and camera variations on the 3D error, one at a time, for held-out people.

    python benchmarks/detector_robustness.py --checkpoint tiny --checkpoint runs/other

All checkpoints use the same clips of 81 frames of held-out motion, seen from random azimuths by
cameras at the distances and heights of the open benchmark, with its detector noise. A row adds one
corruption to every clip. Scores are MPJPE / P-MPJPE in mm, with the 95 % bootstrap interval of
MPJPE over clips.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from tyro.conf import UseAppendAction

from actionpose.config import CameraConfig, FinetuneDataConfig, NoiseConfig
from actionpose.datasets.corpus import Corpus, open_corpus
from actionpose.datasets.lifting import LiftingBatches
from actionpose.datasets.projection import IMAGE_SIZE
from actionpose.evaluation.open_benchmark import window_errors
from actionpose.geometry.camera import image_frame
from actionpose.inference.predictor import ActionPose
from actionpose.metrics.bootstrap import bootstrap
from actionpose.utils.errors import exit_codes

PLAIN = FinetuneDataConfig(frames=81, mirror=0.0)


def with_noise(**noise: float) -> FinetuneDataConfig:
    return replace(PLAIN, noise=NoiseConfig(**noise))


CORRUPTIONS = {
    "none": PLAIN,
    "joints as another detector places them": with_noise(random_joint_convention=1.0),
    "a limb or the head occluded": with_noise(limb_occlusion=1.0),
    "cut by the edge of the image": with_noise(truncation=1.0),
    "no confidences": with_noise(drop_confidence=1.0),
    "camera tilted, 20 degrees up to 30 down": replace(PLAIN, camera=CameraConfig(tilt=1.0)),
    "camera anywhere, with any roll": replace(PLAIN, camera=CameraConfig(rotation=1.0)),
    "a phone's lens, near": replace(
        PLAIN, camera=CameraConfig(focal_px=(700.0, 800.0), distance_m=(2.0, 3.0))
    ),
}


def errors_mm(
    model: ActionPose, corpora: list[Corpus], config: FinetuneDataConfig, split: str, clips: int
) -> list[dict[str, float]]:
    """The errors of each clip. For a model with a lower frame rate, clips are subsampled."""
    step = round(corpora[0].fps / model.fps)
    config = replace(config, frames=config.frames // step, temporal_stride=step)
    batches = LiftingBatches(
        [(corpus, 1.0) for corpus in corpora], config, batch_size=1, seed=0, split=split
    )
    frame = image_frame(IMAGE_SIZE)
    errors = []
    for number in range(clips):
        clip = batches.clip(number, 0)
        real = clip["valid"]
        keypoints = frame.denormalize(clip["keypoints"][None, real])
        pose = model.predict(keypoints, image_size=IMAGE_SIZE) / frame.unit_px
        scale_m = np.array([clip["scale_m"]])
        errors.append(window_errors(pose, clip["pose"][None, real].astype(float), scale_m))
    return [{name: float(np.mean(value)) for name, value in each.items()} for each in errors]


def score(
    model: ActionPose, corpora: list[Corpus], config: FinetuneDataConfig, split: str, clips: int
) -> str:
    errors = errors_mm(model, corpora, config, split, clips)
    first = bootstrap(np.array([error["mpjpe_mm"] for error in errors]))
    aligned = np.mean([error["p_mpjpe_mm"] for error in errors])
    return f"{first.mean:.1f} / {aligned:.1f} [{first.low:.1f}, {first.high:.1f}]"


def main(
    checkpoint: UseAppendAction[tuple[str, ...]] = (),
    data: UseAppendAction[tuple[Path, ...]] = (),
    split: str = "val",
    clips: Annotated[int, tyro.conf.arg(help="of each row")] = 200,
) -> None:
    """Print the table.

    Args:
        checkpoint: One or more checkpoints; by default tiny.
        data: Corpora; by default CMU and HDM05 in data/open.
        split: Split of the corpora, val or val-ood.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    names = checkpoint or ("tiny",)
    corpora = [open_corpus(folder) for folder in data or ("data/open/cmu", "data/open/hdm05")]
    models = [ActionPose.from_pretrained(name) for name in names]
    print(f"| corruption | {' | '.join(names)} |\n{'|---' * (1 + len(names))}|")
    for name, config in CORRUPTIONS.items():
        cells = [score(model, corpora, config, split, clips) for model in models]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    with exit_codes("detector_robustness.py"):
        tyro.cli(main)
