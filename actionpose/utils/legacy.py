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

# The present places of settings of version 0.1 that have another name now, for suggestions.
SETTINGS_OF_0_1 = {
    "width": "model.dim",
    "rep_width": "model.dim_rep",
    "embedding_width": "model.embedding_dim",
    "frame_step": "data.temporal_stride",
    "camera_height_m": "data.camera.height_m",
    "level_camera": "data.camera.tilt",
    "camera_pitch_deg": "data.camera.tilt",
    "pairs": "data.paired",
    "bone_redraw": "data.bone_length_jitter",
    "straight_legs": "data.straighten_knees",
    "detector_joints": "data.noise.coco_joint_convention",
    "any_layout": "data.noise.random_joint_convention",
    "hidden_limb": "data.noise.limb_occlusion",
    "cropped": "data.noise.truncation",
    "plain_confidence": "data.noise.drop_confidence",
    "hidden_joints": "data.random_mask",
    "hidden_frames": "data.random_mask",
    "joint_ratio": "data.random_mask",
    "frame_ratio": "data.random_mask",
    "window_frames": "data.window_mask",
    "labels": "data.label_kinds",
    "transitions": "data.label_kinds",
    "label_frequency": "data.label_sampling",
    "short_windows": "data.temporal_crop",
    "gamma": "alignment.focal_gamma",
    "source": "alignment.negatives",
    "target": "alignment.target_temperature",
    "sharpness": "alignment.target_temperature",
    "accumulate": "training.gradient_accumulation_steps",
    "clip_norm": "training.max_grad_norm",
    "keep": "training.keep_checkpoints",
    "fused": "training.device",
    **{f"{loss}_weight": "loss_weights" for loss in ("position", "velocity", "scale", "alignment")},
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
    for step in header.get("processing", []):
        if step["step"] == "rigid":
            step["step"] = "fix bone lengths"
    return header
