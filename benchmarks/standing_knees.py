"""Are the knees of people who stand upright straight?

    python benchmarks/standing_knees.py tiny

Held-out people who stand still, seen from each of four sides and from 15 degrees below,
with a detector's noise: as they were recorded, and with legs shortened until they stand straight
(`augmentation.straighten`), as most people do. Medians over clips of the straighter knee, degrees.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from tyro.conf import Positional, UseAppendAction, arg

from actionpose.datasets.augmentation import pitched, straighten
from actionpose.datasets.corpus import Corpus, open_corpus
from actionpose.datasets.lifting import IMAGE_SIZE, make_clip, place_camera
from actionpose.geometry.camera import heading_rad, image_frame
from actionpose.inference.predictor import ActionPose
from actionpose.postprocessing.joint_angles import between
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError, exit_codes

Array = NDArray[np.floating]

FRAMES = 27
STRAIGHT_DEG = 176.0
SIDES = {"front": 0.0, "left": np.pi / 2, "back": np.pi, "right": -np.pi / 2}
BELOW_DEG = -15.0


def knee_deg(joints_m: Array) -> float:
    """The straighter knee of a clip (T, 17, 3), the median over its frames."""
    angles = []
    for side in ("left", "right"):
        hip, knee, ankle = H36M17.indices(f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        angles.append(
            between(joints_m[:, hip] - joints_m[:, knee], joints_m[:, ankle] - joints_m[:, knee])
        )
    return float(np.median(np.max(angles, axis=0)))


def standing(corpus: Corpus) -> list[Array]:
    """At most one clip of each val motion in which somebody stands upright and still."""
    clips = []
    thorax, *ankles = H36M17.indices("thorax", "left_ankle", "right_ankle")
    for motion in corpus.motions("val").values():
        for start in range(motion.start, motion.stop - FRAMES + 1, FRAMES):
            clip = np.asarray(corpus.joints_m[start : start + FRAMES], dtype=float)
            trunk = clip[:, thorax] - clip[:, 0]
            upright = trunk[:, 2] / np.linalg.norm(trunk, axis=-1)
            feet = clip[:, ankles]
            speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * corpus.fps
            apart = np.linalg.norm(feet[:, 0] - feet[:, 1], axis=-1)
            if upright.min() > 0.96 and speed.max() < 0.2 and apart.max() < 0.45:
                if not np.array_equal(straighten(clip, STRAIGHT_DEG), clip):
                    clips.append(clip)
                break
    return clips


def lifted_deg(model: ActionPose, joints_m: Array, turn: float, pitch_deg: float) -> float:
    camera = place_camera(joints_m, heading_rad(joints_m[0]) + turn, 4.0, 1.5)
    if pitch_deg:
        camera = pitched(camera, joints_m, np.deg2rad(pitch_deg))
    clip = make_clip(joints_m, camera, "image", np.random.default_rng(0))
    seen = image_frame(IMAGE_SIZE).denormalize(clip["keypoints"])
    return knee_deg(model.predict(seen[None], image_size=IMAGE_SIZE)[0])


def main(
    checkpoints: Positional[tuple[str, ...]],
    data: Annotated[
        UseAppendAction[tuple[Path, ...]], arg(help="corpora; else CMU and HDM05")
    ] = (),
) -> None:
    """Print a Markdown table."""
    torch.set_num_threads(1)
    corpora = [open_corpus(folder) for folder in data or ("data/open/cmu", "data/open/hdm05")]
    recorded = [clip for corpus in corpora for clip in standing(corpus)]
    if not recorded:
        raise UserError("nobody stands still in the val split of these corpora")
    bodies = {"recorded": recorded, "straight": [straighten(c, STRAIGHT_DEG) for c in recorded]}
    views = {side: (turn, 0.0) for side, turn in SIDES.items()}
    views["front, from below"] = (0.0, BELOW_DEG)
    models = [ActionPose.from_pretrained(name) for name in checkpoints]
    print(f"| {len(recorded)} clips | truth | {' | '.join(checkpoints)} |")
    print(f"|---|---{'|---' * len(models)}|")
    for body, clips in bodies.items():
        truth = np.median([knee_deg(clip) for clip in clips])
        for view, (turn, pitch_deg) in views.items():
            found = [[lifted_deg(m, clip, turn, pitch_deg) for clip in clips] for m in models]
            cells = [f"{np.median(angles):.0f}" for angles in found]
            print(f"| {body}, {view} | {truth:.0f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    with exit_codes("standing_knees.py"):
        tyro.cli(main)
