"""Page with a 3D viewer: `assets/viewer.html`, built from the folder `viewer/`, and the data."""

import base64
import json
import mimetypes
import os
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from actionpose.actions.timeline import OTHER, UNKNOWN
from actionpose.geometry.axes import Axes
from actionpose.result import Header, Result
from actionpose.skeletons import SKELETONS
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_text
from actionpose.video.source import find_video
from actionpose.visualization.drawing import label_colors, side_color
from actionpose.visualization.scene import scene_positions, video_link

EMBED_BYTES = 12_000_000  # of a video; base64 adds a third


def write_html(
    result: Result,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    video: str | os.PathLike[str] | None = None,
) -> None:
    """Write a page that shows the result in 3D, without network access.

    The page is a single file, except for a large video.

    Args:
        result: Result to show.
        path: File to write.
        title: Title of the page. By default the name of the file.
        video: Video of the result, shown behind the keypoints. By default it is found by
            `find_video`. Videos of up to `EMBED_BYTES` are embedded in the page, larger ones are
            linked by a relative path.

    Raises:
        UserError: If there is nothing to draw, the video does not exist, or the file cannot be
            written.
    """
    title = Path(path).stem if title is None else title
    found = find_video(result.header, video, Path(path))
    text = page(result, title, None if found is None else _video(result, found, Path(path)))
    with atomic_text(path) as file:
        file.write(text)


def page(result: Result, title: str, video: dict[str, Any] | None = None) -> str:
    """The HTML of a page that shows the result in 3D.

    Args:
        result: Result to show.
        title: Title of the page.
        video: Video as returned by `_video`.

    Raises:
        UserError: If there is nothing to draw.
    """
    return _filled(title, _page_data(result, title) | {"video": video})


def live_page(header: Header, title: str, labels: Sequence[str], *, places: int) -> str:
    """The HTML of a page that shows live poses; see `listen` in viewer.js.

    "CONNECT" in the page is a placeholder for the address of the WebSocket.

    Args:
        header: Header of the poses.
        title: Title of the page.
        labels: Labels that may occur.
        places: Maximum number of people at the same time.
    """
    nowhere = np.zeros((places, 1, len(SKELETONS[header["skeleton"]]), 3), np.float32)
    nobody = Result(
        pose_m=nowhere,
        keypoints_px=nowhere,
        valid=np.ones((places, 1), dtype=bool),
        track_id=np.arange(places),
        time_s=np.zeros(1),
        header=header,
        uncertainty_mm=nowhere[..., 0] if "uncertainty" in header else None,
    )
    data = _page_data(nobody, title) | {
        "valid": _bytes(np.zeros(places)),
        "video": None,
        "live": "CONNECT/poses",
        "label_colors": label_colors(labels, OTHER, UNKNOWN),
    }
    text = _filled(title, data)
    text = text.replace("default-src 'none'", "default-src 'none'; connect-src CONNECT", 1)
    return text.replace("<title>", '<link rel="icon" href="data:,">\n<title>', 1)


def _filled(title: str, page_data: dict[str, Any]) -> str:
    # escape "<", which could end the script element
    data = json.dumps(page_data, separators=(",", ":")).replace("<", "\\u003c")
    template = (resources.files("actionpose") / "assets" / "viewer.html").read_text("utf-8")
    before, title_slot, rest = template.partition("__TITLE__")
    middle, data_slot, after = rest.partition("__DATA__")
    assert title_slot and data_slot, "assets/viewer.html was built from something else"
    return before + escape(title) + middle + data + after


def _page_data(result: Result, title: str) -> dict[str, Any]:
    """The data for viewer/src/viewer.js."""
    header, skeleton = result.header, result.skeleton
    valid = result.valid[..., None, None]
    _, offset = scene_positions(result)
    is_finite = np.isfinite(result.keypoints_px).all(axis=-1, keepdims=True)
    visible = (result.keypoints_px[..., 2:] > 0) & is_finite & valid
    confidence = np.where(visible, result.keypoints_px[..., 2:], 0)
    root, error = result.root_m, result.uncertainty_mm
    actions = header.get("actions", [])
    return {
        "title": title,
        "facts": result.facts,
        "image_size": header.get("image_size"),
        "actions": actions,
        "label_colors": label_colors([str(action["label"]) for action in actions], OTHER, UNKNOWN),
        "joints": skeleton.joints,
        "bones": skeleton.bones,  # (child, parent)
        "colors": [side_color(joint) for joint in skeleton.joints],
        "track_id": result.track_id.tolist(),
        "time_s": np.round(result.time_s, 6).tolist(),
        "view": header["axes"].rotation_to(Axes.Y_UP).tolist(),
        "offset_m": np.round(offset, 4).tolist(),
        "valid": _bytes(result.valid),
        "pose_m": _packed(np.where(valid, result.pose_m, np.nan)),
        "root_m": None if root is None else _packed(np.where(valid[..., 0], root, np.nan)),
        "xy_px": _packed(np.where(visible, result.keypoints_px[..., :2], np.nan)),
        "uncertainty_mm": None
        if error is None
        else _packed(np.where(valid[..., 0], error, np.nan)),
        "confidence": _bytes(np.clip(confidence * 255, 0, 255).round()),
    }


def _video(result: Result, video: Path, page: Path) -> dict[str, Any]:
    """The source of the video or image for the page, and its `VideoLink`."""
    kind = mimetypes.guess_type(video.name)[0] or "video/mp4"
    is_image = kind.startswith("image/") and kind != "image/gif"
    try:
        content = video.read_bytes() if video.stat().st_size <= EMBED_BYTES else None
    except OSError as error:
        raise UserError(f"cannot read the video {video}: {error.strerror}") from None
    if content is not None:
        # browsers play .mov files as MP4, but not as QuickTime
        kind = "video/mp4" if kind == "video/quicktime" else kind
        source = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    else:
        try:
            source = quote(Path(os.path.relpath(video, page.absolute().parent)).as_posix())
        except ValueError:  # another drive on Windows
            source = video.absolute().as_uri()
    return {"src": source, "name": video.name, "is_image": is_image} | asdict(video_link(result))


def _bytes(array: NDArray[Any]) -> str:
    return base64.b64encode(array.astype(np.uint8).tobytes()).decode("ascii")


def _packed(array: NDArray[Any]) -> dict[str, Any]:
    """Encode as 16-bit multiples of a step, 0.03 mm for a range of 1 m; -32768 is missing."""
    finite = np.isfinite(array)
    step = max(float(np.abs(array[finite]).max(initial=0)) / 32767, 1e-9)
    steps = np.where(finite, np.round(np.where(finite, array, 0) / step), -32768)
    return {"step": step, "data": base64.b64encode(steps.astype("<i2").tobytes()).decode("ascii")}
