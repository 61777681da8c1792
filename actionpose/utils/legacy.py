"""Compatibility with files of version 0.1: renamed keys and values."""

import re
from collections.abc import Mapping
from typing import Any

RENAMED = {
    "rate_hz": "fps",
    "imitated": "synthetic",
    "licence": "license",
    "other_threshold": "rejection_threshold",
    "other_calibrated_on": "rejection_calibrated_on",
}
# keys of checkpoints
RENAMED_MODEL = {
    "width": "dim",
    "rep_width": "dim_rep",
    "embedding_width": "embedding_dim",
    "short_windows": "temporal_crop",
}


def current_names(document: Any, renamed: Mapping[str, str] = RENAMED) -> Any:
    """Rename the keys of a JSON document at every depth to their present names.

    Args:
        renamed: Mapping from former to present names.
    """
    if isinstance(document, dict):
        items = document.items()
        return {renamed.get(key, key): current_names(value, renamed) for key, value in items}
    if isinstance(document, list):
        return [current_names(value, renamed) for value in document]
    return "meters" if document == "metres" else document


def without_feet(settings: dict[str, Any]) -> dict[str, Any]:
    """Remove the setting `feet: false` of models without feet, which precedes `heads`."""
    return {key: value for key, value in settings.items() if (key, value) != ("feet", False)}


def with_person_size(config: dict[str, Any]) -> dict[str, Any]:
    """Add `data.noise.person_size` to older configurations, whose noise scaled with the person."""
    data = config.get("data") if isinstance(config, dict) else None
    if isinstance(data, dict) and isinstance(noise := data.get("noise"), dict):
        noise.setdefault("person_size", 0.42)
    return config


_FACTS = {  # descriptions in words in former headers of results
    "x right, y down, z away from the camera": "RDF",
    "x right, y up, z towards the camera": "RUB",
    "x right, y away from the camera, z up": "RFU",
    "pelvis at the origin of every frame": "pelvis",
    "pelvis at the origin of every frame; root_m is its place, the camera at the origin": "camera",
    "pelvis at the origin of every frame; root_m is its place, the origin on the floor "
    "below the camera": "floor",
    "pelvis at the origin of every frame; root_m is its height above the floor; "
    "its place on the floor is not known": "height",
}
_SCALES = {"average adult": "average_adult", "height given": "given_height"}


def current_header(header: dict[str, Any]) -> dict[str, Any]:
    """Convert the words in the header of an older result to the present values."""
    header = current_names(header)
    for key in ("axes", "root"):
        if isinstance(words := header.get(key), str):
            header[key] = _FACTS.get(words, words)
    scale = re.fullmatch(
        r"(average adult|height given), (\d\.\d\d) m", str(header.get("scale_source"))
    )
    if scale:
        header |= {"scale_source": _SCALES[scale[1]], "stature_m": float(scale[2])}
    steps = header.get("processing")
    for step in steps if isinstance(steps, list) else ():
        if isinstance(step, dict) and step.get("step") == "rigid":
            step["step"] = "fix bone lengths"
    return header
