"""The 2D keypoints of a result."""

import numpy as np

from actionpose.keypoints.core import Keypoints
from actionpose.keypoints.frame_times import ASSUMED_FPS, uneven_times
from actionpose.result import Result


def keypoints_of_result(result: Result) -> Keypoints:
    """The 2D keypoints of a result, with the joints of its poses."""
    header = result.header
    visible = (result.keypoints_px[..., 2:] > 0) & result.valid[..., None, None]
    duration_s = float(result.time_s[-1] - result.time_s[0]) if len(result.time_s) > 1 else 0.0
    measured = (len(result.time_s) - 1) / duration_s if duration_s > 0 else ASSUMED_FPS
    fps = header.get("fps") or measured
    size = header.get("image_size")
    return Keypoints(
        keypoints_px=np.where(visible, result.keypoints_px, 0).astype(np.float32),
        valid=result.valid,
        track_id=result.track_id,
        fps=fps,
        time_s=uneven_times(result.time_s, fps) if (np.diff(result.time_s) > 0).all() else None,
        image_size=None if size is None else (int(size[0]), int(size[1])),
        skeleton=result.skeleton,
        detector=header.get("detector") or "",
        source=header.get("source") or "",
        video=header.get("video"),
    )
