"""What all steps of postprocessing share."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

Array = NDArray[np.floating]


def done(result: Result, step: str, **facts: Any) -> dict[str, Any]:
    """The header of a result after one more step."""
    return {
        **result.header,
        "processing": [*result.header.get("processing", []), {"step": step, **facts}],
    }


def renewed(
    result: Result, header: dict[str, Any], *, pose: Array | None = None, root: Array | None = None
) -> Result:
    """The result with another header, and other poses or another path where they are given."""
    return replace(
        result,
        header=header,
        pose_m=result.pose_m if pose is None else pose.astype(np.float32),
        root_m=result.root_m if root is None else root.astype(np.float32),
    )


def known(result: Result) -> NDArray[np.bool_]:
    """(P, T) frames where a person is there and all joints have a position."""
    return result.valid & np.isfinite(result.pose_m).all(axis=(2, 3))


def require_h36m17(result: Result, what: str) -> None:
    if result.skeleton is not H36M17:
        raise UserError(f"{what}: needs the skeleton h36m17, not {result.skeleton.name}")
