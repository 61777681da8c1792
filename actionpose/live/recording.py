"""Recording of live poses as a result, to write it in any format."""

import numpy as np

from actionpose.keypoints.tracking import MIN_FRAMES
from actionpose.live.frames import LiveFrame
from actionpose.live.lifter import LiveLifter
from actionpose.postprocessing.visibility import visibility_notes
from actionpose.result import Result
from actionpose.utils.errors import UserError


def as_result(frames: list[LiveFrame], lifter: LiveLifter, source: str) -> Result:
    """Create a result, as `ActionPose.lift` does, from the frames returned by a lifter.

    People who were detected in fewer than `MIN_FRAMES` frames are omitted.

    Raises:
        UserError: If there is no such person.
    """
    everybody = [frame.track_id[frame.valid] for frame in frames]
    numbers, count = np.unique(np.concatenate([[], *everybody]), return_counts=True)
    numbers = numbers[count >= MIN_FRAMES].astype(np.int64)
    if not len(numbers):
        raise UserError("nobody was visible long enough: there is nothing to write")
    shape = (len(numbers), len(frames), len(lifter.skeleton), 3)
    pose_m, points = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    valid = np.zeros(shape[:2], dtype=bool)
    uncertainty_mm = np.full(shape[:3], np.nan, np.float32)
    for number, frame in enumerate(frames):
        kept = np.isin(frame.track_id, numbers)
        rows = np.searchsorted(numbers, frame.track_id[kept])
        pose_m[rows, number] = frame.pose_m[kept]
        points[rows, number] = frame.keypoints_px[kept]
        valid[rows, number] = frame.valid[kept]
        if frame.uncertainty_mm is not None:
            uncertainty_mm[rows, number] = frame.uncertainty_mm[kept]
    points[~valid] = 0
    header = lifter.header(source)
    result = Result(
        pose_m=pose_m,
        keypoints_px=points,
        valid=valid,
        track_id=numbers,
        time_s=np.array([frame.time_s for frame in frames]),
        header=header,
        uncertainty_mm=uncertainty_mm if "uncertainty" in header else None,
    )
    result.header["notes"] += visibility_notes(result)
    return result
