"""A page with a 3D viewer: `assets/viewer.html`, built from the folder `viewer/`, and the data."""

import base64
import json
import mimetypes
import os
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from actionpose.geometry.axes import view_axes
from actionpose.result import Result
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.visualization.drawing import COLORS, side
from actionpose.visualization.scene import film_offset_s, place


def html(
    result: Result,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    film: str | os.PathLike[str] | None = None,
) -> None:
    """Write a page that shows the result in 3D. It needs no network and, without a film, no file.

    Args:
        title: above the viewer; the file's name if not given.
        film: the video that was lifted, shown under the keypoints. Up to `EMBED_BYTES` it is put
            into the page; of a larger one the page has the way to it, seen from its own folder.

    Raises:
        UserError: nothing to draw, no such film, or the file cannot be written.
    """
    title = Path(path).stem if title is None else title
    page_data = _page_data(result, title)
    page_data["film"] = None if film is None else _film(result, Path(film), Path(path))
    # "<" is what ends a script element early
    data = json.dumps(page_data, separators=(",", ":")).replace("<", "\\u003c")
    page = (resources.files("actionpose") / "assets" / "viewer.html").read_text(encoding="utf-8")
    before, title_slot, rest = page.partition("__TITLE__")
    middle, data_slot, after = rest.partition("__DATA__")
    assert title_slot and data_slot, "assets/viewer.html was built from something else"
    with atomic_write(path) as unfinished:
        unfinished.write_text(before + escape(title) + middle + data + after, encoding="utf-8")


def _page_data(result: Result, title: str) -> dict[str, Any]:
    """What viewer/src/viewer.js reads."""
    header, skeleton = result.header, result.skeleton
    valid = result.valid[..., None, None]
    _, offset = place(result)
    is_finite = np.isfinite(result.keypoints_px).all(axis=-1, keepdims=True)
    seen = (result.keypoints_px[..., 2:] > 0) & is_finite & valid
    confidence = np.where(seen, result.keypoints_px[..., 2:], 0)
    root = result.root_m
    return {
        "title": title,
        "facts": {key: header.get(key) for key in ("units", "axes", "root", "scale_source")},
        "image_size": header.get("image_size"),
        "actions": header.get("actions", []),
        "joints": skeleton.joints,
        "bones": skeleton.bones,  # (child, parent)
        "colors": [COLORS[side(joint)] for joint in skeleton.joints],
        "track_id": result.track_id.tolist(),
        "time_s": np.round(result.time_s, 6).tolist(),
        "view": view_axes(header["axes"]).tolist(),
        "offset_m": np.round(offset, 4).tolist(),
        "valid": _bytes(result.valid),
        "pose_m": _packed(np.where(valid, result.pose_m, np.nan)),
        "root_m": None if root is None else _packed(np.where(valid[..., 0], root, np.nan)),
        "xy_px": _packed(np.where(seen, result.keypoints_px[..., :2], np.nan)),
        "confidence": _bytes(np.clip(confidence * 255, 0, 255).round()),
    }


EMBED_BYTES = 12_000_000  # of a film; base64 adds a third


def _film(result: Result, film: Path, page: Path) -> dict[str, Any]:
    """Where the page finds the film, and the film's time at the result's time 0."""
    try:
        content = film.read_bytes() if film.stat().st_size <= EMBED_BYTES else None
    except OSError as error:
        raise UserError(f"cannot read the film {film}: {error.strerror}") from None
    if content is not None:
        kind = mimetypes.guess_type(film.name)[0] or "video/mp4"
        # browsers play what is in a .mov when it is called MP4, but refuse its own name
        kind = "video/mp4" if kind == "video/quicktime" else kind
        source = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    else:
        try:
            source = quote(Path(os.path.relpath(film, page.absolute().parent)).as_posix())
        except ValueError:  # another drive of Windows
            source = film.absolute().as_uri()
    return {"src": source, "name": film.name, "offset_s": film_offset_s(result)}


def _bytes(array: NDArray[Any]) -> str:
    return base64.b64encode(array.astype(np.uint8).tobytes()).decode("ascii")


def _packed(array: NDArray[Any]) -> dict[str, Any]:
    """16-bit steps of the largest value: 0.03 mm in a meter. -32768 is what is not known."""
    finite = np.isfinite(array)
    step = max(float(np.abs(array[finite]).max(initial=0)) / 32767, 1e-9)
    steps = np.where(finite, np.round(np.where(finite, array, 0) / step), -32768)
    return {"step": step, "data": base64.b64encode(steps.astype("<i2").tobytes()).decode("ascii")}
