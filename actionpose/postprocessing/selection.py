"""Selection of a person or a time span of a result."""

from dataclasses import replace
from typing import Any, cast

import numpy as np

from actionpose.result import Header, Result
from actionpose.utils.time_spans import checked_span, chosen_part
from actionpose.utils.typing import IntArray


def select(
    result: Result,
    *,
    person: int | None = None,
    start_s: float | None = None,
    stop_s: float | None = None,
) -> Result:
    """Select a part of a result.

    Times are not changed. Embeddings are kept for windows that are completely in the part; actions
    and foot contacts are clipped; bone lengths in the header are those of the selected people.

    Args:
        result: Result to select from.
        person: `track_id` of a person. By default all people who are visible in the part.
        start_s: Start time in seconds, relative to the same origin as `time_s`.
        stop_s: Stop time in seconds, relative to the same origin as `time_s`.

    Raises:
        UserError: If the person does not exist, or the part has no frames or no people.
    """
    if person is start_s is stop_s is None:
        return result
    rows, frames = chosen_part(
        result.valid, result.track_id, result.time_s, person, start_s, stop_s
    )
    span_s = checked_span(start_s, stop_s)
    header: dict[str, Any] = dict(result.header)
    for key in ("actions", "foot_contacts"):
        if key in header:
            header[key] = _cut(header[key], rows, span_s)
    header["processing"] = [
        {**step, "bone_lengths_m": [step["bone_lengths_m"][row] for row in rows]}
        if len(step.get("bone_lengths_m", ())) == len(result.track_id)
        else step
        for step in header.get("processing", [])
    ]
    embeddings = result.embeddings
    spans = np.array(header.get("embedding_windows_s", [])).reshape(-1, 2)
    if embeddings is not None and len(spans) == embeddings.shape[1]:
        inside = (spans[:, 0] >= span_s[0]) & (spans[:, 1] <= span_s[1])
        embeddings = embeddings[rows][:, inside] if inside.any() else None
        header["embedding_windows_s"] = spans[inside].tolist()
    part = np.ix_(rows, frames)
    return replace(
        result,
        pose_m=result.pose_m[part],
        keypoints_px=result.keypoints_px[part],
        valid=result.valid[part],
        track_id=result.track_id[rows],
        time_s=result.time_s[frames],
        root_m=None if result.root_m is None else result.root_m[part],
        embeddings=embeddings,
        uncertainty_mm=None if result.uncertainty_mm is None else result.uncertainty_mm[part],
        header=cast(Header, header),
    )


def _cut(
    spans: list[dict[str, Any]], rows: IntArray, span_s: tuple[float, float]
) -> list[dict[str, Any]]:
    """Clip actions or contacts to a span, for the selected people, with their new indices."""
    number = {int(row): place for place, row in enumerate(rows)}
    kept = []
    for each in spans:
        start_s, stop_s = max(each["start_s"], span_s[0]), min(each["stop_s"], span_s[1])
        whose = each.get("person")
        if start_s < stop_s and (whose is None or whose in number):
            person = {} if whose is None else {"person": number[whose]}
            kept.append({**each, "start_s": start_s, "stop_s": stop_s, **person})
    return kept
