"""Labeled spans of motion, and their views by the cameras of the open benchmark."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.corpus import Corpus, Segment
from actionpose.datasets.projection import IMAGE_SIZE, make_clip, place_camera
from actionpose.geometry.camera import heading_rad, image_frame
from actionpose.keypoints.core import Keypoints
from actionpose.models.text_encoder import normalize_text
from actionpose.skeletons import H36M17

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Span:
    """A labeled span of a motion, on its way through the cameras."""

    id: str
    text: str  # normalized
    joints_m: Array  # (T, 17, 3)
    fps: float


def labeled_spans(corpora: Iterable[Corpus], split: str) -> list[Span]:
    """All spans of a split that have a text: actions and transitions, else whole motions."""
    spans = []
    for corpus in corpora:
        own = [s for s in corpus.segments if s.split == split and normalize_text(s.text)]
        labeled = {segment.motion for segment in own if segment.kind != "sequence"}

        def counts(segment: Segment, labeled: set[str] = labeled) -> bool:
            return segment.kind != "sequence" or segment.motion not in labeled

        for segment in filter(counts, own):
            joints_m = np.asarray(corpus.joints_m[segment.start : segment.stop], np.float64)
            name = f"{corpus.name}/{segment.motion}[{segment.start}:{segment.stop}]"
            spans.append(Span(name, normalize_text(segment.text), joints_m, corpus.fps))
    return spans


def see(joints_m: Array, name: str, view: int) -> Array:
    """(T, 17, 3) pixels of a motion in one of the benchmark's four cameras, with its noise."""
    rng = np.random.default_rng([*name.encode(), view])
    azimuth = heading_rad(joints_m[0]) + view * np.pi / 2 + rng.normal(0, 0.2)
    camera = place_camera(joints_m, azimuth, rng.uniform(3.0, 6.0), rng.uniform(1.2, 2.2))
    clip = make_clip(joints_m, camera, "image", rng)
    return image_frame(IMAGE_SIZE).denormalize(clip["keypoints"])


def as_keypoints(points_px: Array, fps: float) -> Keypoints:
    """One person who is always there."""
    seen: NDArray[np.bool_] = np.greater(points_px[..., 2:], 0)
    return Keypoints(
        keypoints_px=np.where(seen, points_px, 0).astype(np.float32)[None],
        valid=np.any(seen, axis=(1, 2))[None],
        track_id=np.zeros(1, dtype=np.int64),
        fps=fps,
        image_size=IMAGE_SIZE,
        skeleton=H36M17,
    )
