"""Files of version 0.1: keys and words that have changed since."""

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
# of checkpoints
RENAMED_MODEL = {
    "width": "dim",
    "rep_width": "dim_rep",
    "embedding_width": "embedding_dim",
    "short_windows": "temporal_crop",
}


def current_names(document: Any, renamed: Mapping[str, str] = RENAMED) -> Any:
    """A JSON document whose keys have their present names, at every depth.

    Args:
        renamed: the present name of each former one.
    """
    if isinstance(document, dict):
        items = document.items()
        return {renamed.get(key, key): current_names(value, renamed) for key, value in items}
    if isinstance(document, list):
        return [current_names(value, renamed) for value in document]
    return "meters" if document == "metres" else document


def without_feet(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a model from before `heads`: without feet they say so, which is no setting."""
    return {key: value for key, value in settings.items() if (key, value) != ("feet", False)}


def with_person_size(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration from before `data.noise.person_size`: the noise grew with every person."""
    data = config.get("data") if isinstance(config, dict) else None
    if isinstance(data, dict) and isinstance(noise := data.get("noise"), dict):
        noise.setdefault("person_size", 0.42)
    return config


_FACTS = {  # what headers of results said in words
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
    """The header of a result with the facts that its words stood for."""
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
