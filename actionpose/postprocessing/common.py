"""Functions shared by the post-processing steps."""

from dataclasses import replace
from typing import Any, cast

import numpy as np

from actionpose.geometry.axes import Axes
from actionpose.result import Header, Result, RootOrigin
from actionpose.skeletons import H36M17, H36M17_FEET
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array, BoolArray


def processed(
    result: Result,
    step: str,
    facts: dict[str, Any],
    *,
    pose_m: Array | None = None,
    root_m: Array | None = None,
    **header: Any,
) -> Result:
    """Create the result of a post-processing step.

    Args:
        result: Input of the step.
        step: Name of the step in the `processing` list of the header.
        facts: Further values to record with the step.
        pose_m: New poses. By default unchanged.
        root_m: New root positions. By default unchanged.
        header: Header fields to change.
    """
    processing = [*result.header.get("processing", []), {"step": step, **facts}]
    return replace(
        result,
        header=cast(Header, {**result.header, "processing": processing, **header}),
        pose_m=result.pose_m if pose_m is None else pose_m.astype(np.float32),
        root_m=result.root_m if root_m is None else root_m.astype(np.float32),
    )


def steps(result: Result) -> list[str]:
    """The names of the post-processing steps of a result, in order."""
    return [step["step"] for step in result.header.get("processing", [])]


def has_path(result: Result) -> bool:
    """Whether the result has a trajectory of the root, and not only its height."""
    return result.root_m is not None and result.header["root"] is not RootOrigin.HEIGHT


def valid_frames(result: Result) -> BoolArray:
    """(P, T) True where a person is visible and all joints are finite.

    Measurements use these frames; steps that change poses apply to all frames in `Result.present`.
    """
    return result.valid & np.isfinite(result.pose_m).all(axis=(2, 3))


def positions(result: Result) -> Array:
    """Joint positions (P, T, J, 3) in meters, y up, with the trajectory of the root if known."""
    pose = result.pose_m.astype(np.float64)
    if result.root_m is not None:
        pose += result.root_m[:, :, None]
    return pose @ result.header["axes"].rotation_to(Axes.Y_UP).T


def require_h36m17(result: Result, what: str) -> None:
    """Raise a UserError if the skeleton is neither H36M17 nor H36M17_FEET."""
    if result.skeleton not in (H36M17, H36M17_FEET):
        raise UserError(
            f"{what}: needs the skeleton h36m17 or h36m17_feet, not {result.skeleton.name}"
        )
