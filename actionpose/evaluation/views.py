"""Fixed views of motions: four cameras and detector noise, seeded by the name of the motion.

The open benchmark and the evaluation of actions use these views for all motions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from actionpose.datasets.corpus import Corpus
from actionpose.datasets.projection import IMAGE_SIZE, Clip, perspective_clip, place_camera
from actionpose.geometry.camera import heading_rad, image_frame
from actionpose.keypoints import Keypoints
from actionpose.models.text_encoder import normalize_text
from actionpose.skeletons import H36M17
from actionpose.utils.typing import Array

NUM_VIEWS = 4


def project_clip(joints_m: Array, name: str, view: int) -> Clip:
    """Project a motion to one of its views, in units of the image.

    The cameras are similar to those of Human3.6M: 0, 90, 180 and 270 degrees from the heading of
    the first frame with a jitter, at a distance of 3 to 6 m and a height of 1.2 to 2.2 m.

    Args:
        joints_m: (T, 17, 3) Joints in world coordinates.
        name: Seed of the camera and the noise, together with `view`.
        view: Index of the view, below `NUM_VIEWS`.
    """
    rng = np.random.default_rng([*name.encode(), view])
    azimuth = heading_rad(joints_m[0]) + view * np.pi / 2 + rng.normal(0, 0.2)
    camera = place_camera(joints_m, azimuth, rng.uniform(3.0, 6.0), rng.uniform(1.2, 2.2))
    return perspective_clip(joints_m, camera, "image", rng)


def project_points(joints_m: Array, name: str, view: int) -> Array:
    """(T, 17, 3) x and y in pixels, and confidence, of `project_clip`."""
    return image_frame(IMAGE_SIZE).denormalize(project_clip(joints_m, name, view)["keypoints"])


def project(joints_m: Array, name: str, view: int, fps: float) -> Keypoints:
    """The keypoints of `project_clip`, with one person who is visible in all frames."""
    points_px = project_points(joints_m, name, view)
    visible = np.greater(points_px[..., 2:], 0)
    return Keypoints(
        keypoints_px=np.where(visible, points_px, 0).astype(np.float32)[None],
        valid=np.any(visible, axis=(1, 2))[None],
        track_id=np.zeros(1, dtype=np.int64),
        fps=fps,
        image_size=IMAGE_SIZE,
        skeleton=H36M17,
    )


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class LabeledSpan:
    """A labeled span of a motion of a corpus."""

    id: str
    label: str  # normalized
    joints_m: Array  # (T, 17, 3)
    fps: float


def labeled_spans(corpora: Iterable[Corpus], split: str) -> list[LabeledSpan]:
    """All spans of a split with a text: actions and transitions, else whole motions."""
    spans = []
    for corpus in corpora:
        own = [s for s in corpus.segments if s.split == split and normalize_text(s.text)]
        annotated = {segment.motion for segment in own if segment.kind != "sequence"}
        for segment in own:
            if segment.kind == "sequence" and segment.motion in annotated:
                continue
            joints_m = np.asarray(corpus.joints_m[segment.start : segment.stop], np.float64)
            name = f"{corpus.name}/{segment.motion}[{segment.start}:{segment.stop}]"
            spans.append(LabeledSpan(name, normalize_text(segment.text), joints_m, corpus.fps))
    return spans
