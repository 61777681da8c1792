"""Joints that are rarely visible, whose positions are guessed by the model."""

import numpy as np

from actionpose.result import Result
from actionpose.skeletons import Skeleton
from actionpose.utils.typing import Array, BoolArray

_LEAST_FRACTION = 0.1  # minimum fraction of a person's frames for a measured joint
_LEAST_CONFIDENCE = 0.1  # minimum confidence, relative to the person's best joints
_BEST_PERCENTILE = 90


def measured_joints(result: Result) -> BoolArray:
    """(P, J) True for joints that are visible in at least a tenth of a person's frames.

    A joint is visible if its confidence is at least a tenth of that of the person's best joints,
    and it is inside the image, if its size is known: detectors guess joints outside.
    """
    return visible_fractions(result) >= _LEAST_FRACTION


def visible_fractions(result: Result) -> Array:
    """(P, J) Fraction of the frames of a person in which a joint is visible."""
    x, y, confidence = np.moveaxis(result.keypoints_px, -1, 0)
    valid = result.valid[..., None]
    inside = np.ones(confidence.shape, dtype=bool)
    if size := result.header.get("image_size"):
        inside = (x >= 0) & (x <= size[0]) & (y >= 0) & (y <= size[1])
    fractions = np.zeros((confidence.shape[0], confidence.shape[2]))
    for person, own in enumerate(confidence):
        frames = valid[person, :, 0]
        if not (own[frames] > 0).any():  # no keypoints: the visibility is unknown
            fractions[person] = 1.0
            continue
        best = np.percentile(own[frames][own[frames] > 0], _BEST_PERCENTILE)
        sure = (own > _LEAST_CONFIDENCE * best)[frames]
        seen = sure & inside[person][frames]
        # if most joints are outside, coordinates are not pixels of the image but, for example, mm
        fractions[person] = (seen if seen.sum() > sure.sum() / 4 else sure).mean(axis=0)
    return fractions


def visibility_notes(result: Result) -> list[str]:
    """A note for each person with joints that are not measured."""
    notes = []
    fractions = visible_fractions(result)
    for track, own in zip(result.track_id, fractions, strict=True):
        hidden = own < _LEAST_FRACTION
        if hidden.any():
            who = f"id {track}: " if len(result.track_id) > 1 else ""
            names = ", ".join(_limb_names(result.skeleton, hidden))
            notes.append(
                f"{who}{names} visible in {own[hidden].max():.0%} of frames: what is shown of them "
                "is a guess; angles and markers leave them out"
            )
    return notes


def _limb_names(skeleton: Skeleton, hidden: BoolArray) -> list[str]:
    """Names of joints in words, such as "knees" for both, without joints of the trunk."""
    names = [joint for joint, is_hidden in zip(skeleton.joints, hidden, strict=True) if is_hidden]
    words: dict[str, None] = {}
    for name in names:
        side, _, part = name.partition("_")
        if not part:
            continue
        both = {f"left_{part}", f"right_{part}"} <= set(names)
        words[f"{part.replace('_', ' ')}s" if both else f"{side} {part.replace('_', ' ')}"] = None
    return list(words) or names
