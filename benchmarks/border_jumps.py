"""Does the motion jump where windows meet? Accelerations at their borders against elsewhere.

    python benchmarks/border_jumps.py

The long val motions of the open sets (100 frames and more, their first 200) are filmed by one
camera each, with detector-like noise, and lifted by the bundled model: with overlapping windows
that are blended, as `actionpose lift` does it, and with windows that only touch, as demos of
lifting code do it.

Windows that overlap by two thirds begin or end somewhere at every third of a window; windows that
touch meet at every whole one. A border is the two frames on both sides of such a place. For each
joint the acceleration is the second difference over frames; a frame has that of its fastest
changing joint. The table gives the mean and the largest of frames at borders and elsewhere, and
their ratios: 1.00 where a border is a frame like any other. The motion capture itself, at the same
frames, shows what the choice of frames alone does to the ratio.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from actionpose.datasets.corpus import open_corpus
from actionpose.datasets.lifting import IMAGE_SIZE, make_clip, place_camera
from actionpose.geometry.camera import heading_rad, image_frame
from actionpose.inference.predictor import (
    AVERAGE_ADULT_M,
    STATURE_PER_CHAIN,
    ActionPose,
    chain_length,
)
from actionpose.keypoints.core import Keypoints
from actionpose.skeletons import H36M17
from actionpose.utils.errors import exit_codes

Array = NDArray[np.floating]
RATE_HZ = 30.0


def motions(
    folders: tuple[Path, ...], shortest: int, longest: int
) -> Iterator[tuple[Array, Array]]:
    """Keypoints (T, 17, 3) in pixels with noise, and the true poses in meters of a 1.70 m adult."""
    for folder in folders:
        corpus = open_corpus(folder)
        for motion in corpus.motions("val").values():
            if len(motion) < shortest:
                continue
            stop = min(motion.stop, motion.start + longest)
            joints_m = np.asarray(corpus.joints_m[motion.start : stop], dtype=np.float64)
            rng = np.random.default_rng([*motion.motion.encode()])
            azimuth = heading_rad(joints_m[0]) + rng.uniform(-np.pi, np.pi)
            camera = place_camera(joints_m, azimuth, rng.uniform(3, 6), rng.uniform(1.2, 2.2))
            clip = make_clip(joints_m, camera, "image", rng)
            truth = camera.from_world(joints_m)
            truth = truth - truth[:, :1]
            truth *= AVERAGE_ADULT_M / (chain_length(truth) * STATURE_PER_CHAIN)
            points = image_frame(IMAGE_SIZE).denormalize(clip["keypoints"])
            yield points * (points[..., 2:] > 0), truth


def blended(model: ActionPose, points: Array) -> Array:
    """As the command does it."""
    keypoints = Keypoints(
        keypoints_px=points[None].astype(np.float32),
        valid=np.ones((1, len(points)), dtype=bool),
        track_id=np.zeros(1, dtype=np.int64),
        skeleton=H36M17,
        fps=RATE_HZ,
        image_size=IMAGE_SIZE,
    )
    return model.lift(keypoints).pose_m[0].astype(np.float64)


def touching(model: ActionPose, points: Array) -> Array:
    """Windows one after the other, each brought to one stature; the last may be short."""
    poses = []
    for start in range(0, len(points), model.frames):
        (pose,) = model.predict(points[None, start : start + model.frames], IMAGE_SIZE)
        poses.append(pose * AVERAGE_ADULT_M / (chain_length(pose) * STATURE_PER_CHAIN))
    return np.concatenate(poses)


def acceleration(pose: Array) -> Array:
    """(T - 2,) m/s^2 of the joint that changes fastest, at frames 1 to T - 2."""
    second = np.diff(pose, n=2, axis=0) * RATE_HZ**2
    return np.linalg.norm(second, axis=-1).max(axis=-1)


def at_border(num_frames: int, every: int) -> NDArray[np.bool_]:
    """(T - 2,) whether a frame is on either side of a multiple of `every`."""
    frame = np.arange(1, num_frames - 1)
    inside = (frame >= every - 1) & (frame < num_frames - 1)
    return inside & ((frame % every == 0) | (frame % every == every - 1))


def main(
    folders: tuple[Path, ...] = (Path("data/open/cmu"), Path("data/open/hdm05")),
    shortest: int = 100,
    longest: int = 200,
) -> None:
    model = ActionPose.from_pretrained("tiny", "cpu")
    rows: dict[str, list[tuple[Array, Array]]] = {}
    count = frames = 0
    for points, truth in motions(folders, shortest, longest):
        count, frames = count + 1, frames + len(points)
        overlap, seam = model.frames // 3, model.frames
        poses = {
            ("blended windows", overlap): blended(model, points),
            ("motion capture, same frames", overlap): truth,
            ("touching windows", seam): touching(model, points),
            ("motion capture, same frames ", seam): truth,
        }
        for (name, every), pose in poses.items():
            border = at_border(len(pose), every)
            values = acceleration(pose)
            rows.setdefault(name, []).append((values[border], values[~border]))
    print(f"{count} motions, {frames} frames; windows of {model.frames} frames; m/s^2\n")
    print("| | mean at borders | elsewhere | ratio | largest at borders | elsewhere | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, parts in rows.items():
        border, other = (np.concatenate([part[i] for part in parts]) for i in range(2))
        cells = []
        for one, two in ((border.mean(), other.mean()), (border.max(), other.max())):
            cells += [f"{one:.1f}", f"{two:.1f}", f"{one / two:.2f}"]
        print(f"| {name.strip()} | {' | '.join(cells)} |")


if __name__ == "__main__":
    with exit_codes("border_jumps.py"):
        tyro.cli(main)
