"""Files of version 0.1: keys and words that have changed since."""

from collections.abc import Mapping
from typing import Any

RENAMED = {
    "rate_hz": "fps",
    "imitated": "synthetic",
    "licence": "license",
    "other_threshold": "rejection_threshold",
    "other_calibrated_on": "rejection_calibrated_on",
}
# of models
RENAMED_MODEL = {"width": "dim", "rep_width": "dim_rep", "embedding_width": "embedding_dim"}


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
