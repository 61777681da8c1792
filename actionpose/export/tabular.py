"""Results as text: JSON with all data, CSV with one row per person, frame and joint."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actionpose.postprocessing.visibility import measured_joints
from actionpose.result import TABLE_COLUMNS, Result
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_text

if TYPE_CHECKING:
    import pandas

_METERS, _PIXELS, _CONFIDENCE, _SECONDS, _MILLIMETERS = (4, 2, 3, 6, 1)  # decimals
_CSV_FRAMES = 2000  # frames per block


def table_numbers(
    result: Result, persons: slice = slice(None), frames: slice = slice(None)
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The numeric columns of tables, and whether joints were detected in the image.

    Returns:
        (P, T, J, 7) meters, pixels, confidence and uncertainty in millimeters, NaN if unknown; and
        (P, T, J) True where the joint was detected.
    """
    part = (persons, frames)
    keypoints, valid = result.keypoints_px[part], result.valid[part][..., None]
    seen = (keypoints[..., 2] > 0) & valid
    has_pose = (result.valid | result.present)[part]
    uncertainty = np.full_like(keypoints[..., 0], np.nan)
    if result.uncertainty_mm is not None:
        uncertainty = np.where(has_pose[..., None], result.uncertainty_mm[part], np.nan)
    columns = (
        np.where(has_pose[..., None, None], result.pose_m[part], np.nan),
        np.where(seen[..., None], keypoints[..., :2], np.nan),
        np.where(valid[..., None], keypoints[..., 2:], np.nan),
        uncertainty[..., None],
    )
    return np.concatenate(columns, axis=-1), seen


def dataframe(result: Result) -> "pandas.DataFrame":
    """See `Result.to_dataframe`."""
    try:
        import pandas as pd
    except ImportError:
        raise UserError("to_dataframe needs pandas: pip install 'actionpose[export]'") from None
    person, frame, joint = (index.ravel() for index in np.indices(result.pose_m.shape[:3]))
    names = pd.Categorical.from_codes(joint, categories=pd.Index(result.skeleton.joints))
    numbers, seen = table_numbers(result)
    for columns_of in (numbers[..., :3], numbers[..., 6:]):
        columns_of.swapaxes(1, 2)[~measured_joints(result)] = np.nan
    columns: list[Any] = [person, result.track_id[person], frame, result.time_s[frame], names]
    *known, uncertainty = numbers.reshape(-1, 7).T
    columns += [*known, result.valid[person, frame], seen.ravel(), uncertainty]
    return pd.DataFrame(dict(zip(TABLE_COLUMNS, columns, strict=True)))


def _rounded(array: NDArray[Any], decimals: int) -> list[Any]:
    """Nested lists for JSON, with None for values that are not finite."""
    values = np.round(array.astype(np.float64), decimals) + 0.0  # + 0.0 converts -0.0 to 0.0
    if not np.isfinite(values).all():
        unknown = ~np.isfinite(values)
        values = values.astype(object)
        values[unknown] = None
    return values.tolist()


def write_json(result: Result, path: Path) -> None:
    skeleton = result.skeleton
    document = {
        "header": result.header,
        "joints": skeleton.joints,
        "parents": skeleton.parents,
        "layout": {
            "pose_m": "frame, joint, (x, y, z) in meters",
            "keypoints_px": "frame, joint, (x px, y px, confidence)",
            "root_m": "frame, (x, y, z) in meters",
            "uncertainty_mm": "frame, joint: radius that holds the joint in 68 % of cases",
            "valid": "frame",
        },
        "time_s": _rounded(result.time_s, _SECONDS),
    }
    with atomic_text(path) as file:
        file.write(_json(document)[:-1] + ',"persons":[')
        for person in range(len(result.track_id)):  # one person at a time, to limit memory usage
            file.write("," * (person > 0) + _json(_json_person(result, person)))
        file.write("]}\n")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _json_person(result: Result, index: int) -> dict[str, Any]:
    numbers, _ = table_numbers(result, slice(index, index + 1))
    person = {
        "track_id": int(result.track_id[index]),
        "valid": result.valid[index].tolist(),
        "pose_m": _rounded(numbers[0, ..., :3], _METERS),
        "keypoints_px": _rounded(result.keypoints_px[index], _CONFIDENCE),
    }
    if result.uncertainty_mm is not None:
        person["uncertainty_mm"] = _rounded(numbers[0, ..., 6], _MILLIMETERS)
    if result.root_m is not None:
        person["root_m"] = _rounded(result.root_m[index], _METERS)
    if result.embeddings is not None:
        person["embeddings"] = _rounded(result.embeddings[index], 6)
    return person


def _csv_blocks(result: Result) -> Iterator[str]:
    """The rows of `TABLE_COLUMNS` in blocks of frames, to limit memory usage."""
    number = f",%.{_METERS}f" * 3 + f",%.{_PIXELS}f" * 2 + f",%.{_CONFIDENCE}f"
    last = f",%.{_MILLIMETERS}f\n"
    decimals = np.array([_METERS] * 3 + [_PIXELS] * 2 + [_CONFIDENCE, _MILLIMETERS])
    smallest, measured = 0.5 * 10.0**-decimals, measured_joints(result)
    for person, start in np.ndindex(len(result.track_id), -(-len(result.time_s) // _CSV_FRAMES)):
        frames = slice(start * _CSV_FRAMES, (start + 1) * _CSV_FRAMES)
        numbers, seen = table_numbers(result, slice(person, person + 1), frames)
        values = numbers.astype(np.float64)  # (1, frames, J, 7)
        values[:, :, ~measured[person], :3] = values[:, :, ~measured[person], 6:] = np.nan
        values[np.abs(values) < smallest] = 0.0  # no "-0.0000"
        valid, head = result.valid[person, frames], f"{person},{result.track_id[person]}"
        # formatting a whole block at once is several times faster than row by row
        template = "".join(
            f"{head},{frame},{time_s:.{_SECONDS}f},{joint}{number},{valid[t]},{seen[0, t, j]}{last}"
            for t, (frame, time_s) in enumerate(
                zip(count(frames.start), result.time_s[frames].tolist(), strict=False)
            )
            for j, joint in enumerate(result.skeleton.joints)
        )
        yield (template % tuple(values.ravel().tolist())).replace(",nan", ",")


def write_csv(result: Result, path: Path) -> None:
    with atomic_text(path) as file:
        file.write(",".join(TABLE_COLUMNS) + "\n")
        file.writelines(_csv_blocks(result))
