"""Effect of overlapping windows and of flip averaging on the lifting of long motions.

    python benchmarks/lifting_quality.py --data data/open/cmu --data data/open/hdm05

Whole motions of a split are lifted in two views each, as in `lift`: windows are scaled to the same
body height and blended, and the result is scaled to the person's height. The options of "mirrored"
are each window and its mirror image, the mirror image instead of every second window ("in turns"),
or none. Passes are the frames processed by the network per frame of motion. Errors are in mm, and
MPJVE and the acceleration of poses are per frame. The run takes about five minutes on one core.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from tyro.conf import UseAppendAction

from actionpose.datasets.corpus import open_corpus
from actionpose.datasets.projection import IMAGE_SIZE
from actionpose.evaluation.views import NUM_VIEWS, project_clip
from actionpose.geometry.camera import image_frame
from actionpose.geometry.stature import chain_length
from actionpose.inference.predictor import ActionPose
from actionpose.inference.windows import WindowLifter
from actionpose.metrics import mpjpe, mpjve, p_mpjpe
from actionpose.utils.errors import exit_codes
from actionpose.utils.sliding_windows import blend
from actionpose.utils.typing import Array

STRIDES = {"T/3": 1 / 3, "T/2": 1 / 2, "2T/3": 2 / 3, "T": 1.0}
MIRRORED = ("each", "in turns", "none")
LONGEST, SHORTEST = 1215, 40  # frames per motion
_BATCH = 8


class Windows:
    """Poses of the windows of a motion and of their mirror images, computed once."""

    def __init__(self, lifter: WindowLifter, points_px: Array):
        self.lifter, self.points_px = lifter, points_px
        self.length = min(lifter.frames, len(points_px))
        self.poses: dict[int, tuple[Array, Array]] = {}

    def starts(self, stride: float) -> list[int]:
        last = len(self.points_px) - self.length
        return [*range(0, last, int(stride * self.lifter.frames)), last]

    def lift(self, stride: float, kind: str) -> tuple[Array, int]:
        """The blended motion, and the number of processed frames."""
        starts = self.starts(stride)
        new = [start for start in starts if start not in self.poses]
        for first in range(0, len(new), _BATCH):
            part = new[first : first + _BATCH]
            windows = np.stack([self.points_px[s : s + self.length] for s in part])
            sides = (torch.full((len(part),), side) for side in (False, True))
            both = [self.lifter.predict(windows, IMAGE_SIZE, flip=flip)[0] for flip in sides]
            self.poses |= dict(zip(part, zip(*both, strict=True), strict=True))
        each = kind == "each" or (kind == "in turns" and len(starts) == 1)
        motion = []
        for i, start in enumerate(starts):
            plain, other = self.poses[start]
            pose = (plain + other) / 2 if each else other if kind == "in turns" and i % 2 else plain
            motion.append((start, pose / chain_length(pose)))
        frames = len(starts) * self.length * (2 if each else 1)
        return blend(motion, self.points_px.shape), frames


def main(
    data: Annotated[UseAppendAction[tuple[Path, ...]], tyro.conf.arg(help="a corpus")],
    checkpoint: str = "tiny",
    split: str = "val",
) -> None:
    """Print the table.

    Args:
        checkpoint: Checkpoint to evaluate.
        split: Split of the corpora.
    """
    model = ActionPose.from_pretrained(checkpoint, "cpu")
    lifter = WindowLifter(model.engine(10**6), model.frames, model.normalization, checkpoint)
    kinds = [(stride, kind) for stride in STRIDES for kind in MIRRORED]
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = {key: [] for key in kinds}
    for corpus in map(open_corpus, data):
        for number, motion in enumerate(corpus.motions(split).values()):
            stop = motion.start + min(len(motion), LONGEST)
            joints_m = np.asarray(corpus.joints_m[motion.start : stop], dtype=np.float64)
            if len(joints_m) < SHORTEST:
                continue
            for view in (number % NUM_VIEWS, (number + 2) % NUM_VIEWS):
                clip = project_clip(joints_m, motion.motion, view)
                target = clip["pose"].astype(np.float64) * clip["scale_m"] * 1000
                windows = Windows(lifter, image_frame(IMAGE_SIZE).denormalize(clip["keypoints"]))
                for key in kinds:
                    pose, frames = windows.lift(STRIDES[key[0]], key[1])
                    pose *= chain_length(target) / chain_length(pose)
                    errors = [metric(pose, target).mean() for metric in (mpjpe, p_mpjpe, mpjve)]
                    errors.append(np.linalg.norm(np.diff(pose, n=2, axis=0), axis=-1).mean())
                    rows[key].append((len(pose), frames / len(pose), *map(float, errors)))
    names = "stride | mirrored | passes | MPJPE | P-MPJPE | MPJVE | acceleration"
    print(f"| {names} |\n{'|---' * 7}|")
    for (stride, kind), found in rows.items():
        count, *values = np.array(found).T
        means = " | ".join(f"{np.average(value, weights=count):.2f}" for value in values)
        print(f"| {stride} | {kind} | {means} |")
    print(f"\n{len(found)} views, {count.sum():.0f} frames")


if __name__ == "__main__":
    with exit_codes("lifting_quality"):
        tyro.cli(main)
