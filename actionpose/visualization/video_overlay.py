"""A film to look at: the keypoints on the video, the 3D motion beside them, the actions below.

Every frame of the video keeps its time. Without the video the keypoints are drawn on paper.
"""

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actionpose.actions.timeline import OTHER
from actionpose.result import Result
from actionpose.skeletons import Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.utils.resampling import frame_rate_hz
from actionpose.visualization.drawing import COLORS, side
from actionpose.visualization.scene import GRID_M, film_offset_s, place

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

Array = NDArray[np.floating]

HEIGHT_PX = 720  # of the film; the 3D panel is a square of it
_WIDEST_PX = 1280  # of the left half
_FINE = 2  # everything is drawn larger by this and shrunk, for smooth edges
_CLOCK = Fraction(1, 90000)
_PAPER, _STAGE, _INK, _QUIET, _GRID = "#f5f7f9", "#eef1f5", "#1d2430", "#667085", "#ccd3dc"
_LIMB_M, _HEAD_M = 0.055, 0.17  # thickness
_AZIMUTH_DEG, _ELEVATION_DEG = 35.0, 12.0
_FIELD_DEG = 32.0  # of the 3D view
_LANE_PX, _MOST_LANES = 36, 4  # of the timeline, one for each person
_ACTION_COLORS = ("#3b6fb6", "#c8743a", "#4f8f5b", "#a5527f", "#7a67b8", "#a8862b", "#3f8f94")
_OTHER_COLOR = "#c3cad4"


def video(
    result: Result,
    path: str | os.PathLike[str],
    *,
    film: str | os.PathLike[str] | None = None,
    progress: Callable[[int], object] = lambda frames: None,
) -> None:
    """Write an MP4 (H.264, no sound).

    Args:
        film: the video that the result was lifted from; if not given, the header's `source`, if
            that is a video that is still there; else the keypoints stand alone.
        progress: called with the number of frames done since the last call.

    Raises:
        UserError: nothing to draw, the film cannot be read, the file cannot be written, or the
            packages of the extra `video` are missing.
    """
    try:
        import av
        from PIL import Image
    except ImportError:
        raise UserError("an MP4 needs PyAV and Pillow: pip install 'actionpose[video]'") from None
    film = _source_film(result) if film is None else Path(film)
    if film is not None and not film.is_file():
        raise UserError(f"there is no film {film}")
    size = _image_size(result, film)
    scale = min(HEIGHT_PX / size[1], _WIDEST_PX / size[0])
    left_px = max(2, round(size[0] * scale / 2) * 2)
    artist = _Artist(result, scale, (left_px, HEIGHT_PX))
    timeline = _Timeline(result, left_px + HEIGHT_PX)
    pictures = _film_pictures(film) if film is not None else _no_pictures(result)
    step_s = 1 / (frame_rate_hz(result.time_s) or 30.0)
    with atomic_write(path) as unfinished:
        with av.open(str(unfinished), "w", format="mp4", options={"movflags": "faststart"}) as out:
            rate = Fraction(1 / step_s).limit_denominator(1001)
            stream = out.add_stream("libx264", rate=rate, options={"crf": "20"})
            stream.width, stream.height = left_px + HEIGHT_PX, HEIGHT_PX + timeline.height_px
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = _CLOCK
            last = -1
            for time_s, picture in pictures:
                canvas = Image.new("RGB", (stream.width, stream.height), _PAPER)
                frame_number = artist.frame_at(time_s, step_s)
                artist.draw_left(canvas, picture, frame_number)
                artist.draw_right(canvas, frame_number, time_s)
                timeline.draw(canvas, time_s)
                frame = av.VideoFrame.from_ndarray(np.asarray(canvas), format="rgb24")
                frame.pts = last = max(round(time_s / _CLOCK), last + 1)
                frame.time_base = _CLOCK
                out.mux(stream.encode(frame))
                progress(1)
            if last < 0:
                raise UserError(f"{film} has no picture")
            out.mux(stream.encode())


def _source_film(result: Result) -> Path | None:
    source = Path(str(result.header.get("source") or ""))
    return source if source.suffix.lower() in FILM_SUFFIXES and source.is_file() else None


FILM_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp")


def _image_size(result: Result, film: Path | None) -> tuple[int, int]:
    """Of the pictures, else of the image, else what the keypoints reach."""
    if film is not None:
        for _, picture in _film_pictures(film):
            return picture.shape[1], picture.shape[0]
        raise UserError(f"{film} has no picture")
    if size := result.header.get("image_size"):
        return int(size[0]), int(size[1])
    seen = (result.keypoints_px[..., 2] > 0) & np.isfinite(result.keypoints_px).all(axis=-1)
    if not seen.any():
        return HEIGHT_PX, HEIGHT_PX
    width, height = np.maximum(result.keypoints_px[seen][:, :2].max(axis=0), 16).tolist()
    return round(1.1 * width), round(1.1 * height)


def _film_pictures(film: Path) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Upright pictures (H, W, 3) of a film with their times, the first at 0."""
    import av

    first: float | None = None
    try:
        with av.open(str(film)) as container:
            if not container.streams.video:
                raise UserError(f"{film} is not a video: it has no pictures")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if (time_s := frame.time) is None:
                    continue
                first = time_s if first is None else first
                picture = frame.to_ndarray(format="rgb24")
                turns = round(_rotation(frame) / 90)
                yield time_s - first, np.ascontiguousarray(np.rot90(picture, turns))
    except av.error.FFmpegError as error:
        if first is None:
            raise UserError(f"{film} cannot be read as a video: {error.strerror}") from None
        # a film that breaks off: what came before is drawn


def _rotation(frame: Any) -> float:
    """How far a phone was turned, degrees to the left: PyAV tells it and does not undo it."""
    return float(getattr(frame, "rotation", 0))


def _no_pictures(result: Result) -> Iterator[tuple[float, None]]:
    for time_s in result.time_s.tolist():
        yield time_s + film_offset_s(result), None


class _Artist:
    """Draws a result at a time."""

    def __init__(self, result: Result, scale: float, left: tuple[int, int]):
        self.result, self.scale, self.left = result, scale, left
        self.placed, _ = place(result)  # (P, T, J, 3)
        self.offset_s = film_offset_s(result)
        self.camera = _Camera(self.placed, result.skeleton)
        self.actions = sorted(result.header.get("actions", []), key=lambda a: -(a["score"] or 0))

    def frame_at(self, film_s: float, step_s: float) -> int | None:
        """The frame of the result that is nearest to a time of the film, if one is near."""
        times = self.result.time_s + self.offset_s
        nearest = int(np.abs(times - film_s).argmin())
        return nearest if abs(times[nearest] - film_s) <= 0.75 * step_s else None

    def draw_left(
        self, canvas: "Image.Image", picture: NDArray[np.uint8] | None, frame: int | None
    ) -> None:
        from PIL import Image

        if picture is not None:
            height = round(picture.shape[0] * self.scale)
            small = Image.fromarray(picture).resize(
                (self.left[0], height), Image.Resampling.BILINEAR, reducing_gap=2.0
            )
            canvas.paste("#101418", (0, 0, *self.left))
            canvas.paste(small, (0, (self.left[1] - height) // 2))
        if frame is None:
            return
        for person in range(len(self.result.track_id)):
            if self.result.valid[person, frame]:
                self._draw_keypoints(canvas, person, frame, on_film=picture is not None)

    def _draw_keypoints(
        self, canvas: "Image.Image", person: int, frame: int, *, on_film: bool
    ) -> None:
        keypoints = self.result.keypoints_px[person, frame].astype(np.float64)
        seen = (keypoints[:, 2] > 0) & np.isfinite(keypoints).all(axis=1)
        if not seen.any():
            return
        size = self.result.header.get("image_size")
        height_px = (size[1] if size else self.left[1] / self.scale) * self.scale
        xy = keypoints[:, :2] * self.scale + [0, max(self.left[1] - height_px, 0) // 2]
        thick = max(2.0, 0.016 * float(np.ptp(xy[seen], axis=0).max()))
        low = np.floor(xy[seen].min(axis=0) - 3 * thick).astype(int)
        high = np.ceil(xy[seen].max(axis=0) + 3 * thick).astype(int)
        low, high = np.maximum(low, 0), np.minimum(high, self.left)
        if (high <= low).any():
            return  # beyond the picture
        box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))

        def paint(draw: "ImageDraw.ImageDraw") -> None:
            at = (xy - low) * _FINE
            skeleton = self.result.skeleton
            bones = [bone for bone in skeleton.bones if seen[list(bone)].all()]
            for width, is_rim in ((thick * 1.9, True), (thick, False)):
                for child, parent in bones if on_film or not is_rim else []:
                    sure = min(keypoints[child, 2], keypoints[parent, 2], 1)
                    color = "white" if is_rim else _faded(skeleton.joints[child], sure)
                    _line(draw, at[parent], at[child], width * _FINE, color)
            for joint in np.flatnonzero(seen):
                color = _faded(skeleton.joints[joint], min(keypoints[joint, 2], 1))
                _disc(draw, at[joint], 0.95 * thick * _FINE, "white")
                _disc(draw, at[joint], 0.6 * thick * _FINE, color)

        _smoothly(canvas, box, paint)

    def draw_right(self, canvas: "Image.Image", frame: int | None, time_s: float) -> None:
        left = self.left[0]

        def paint(draw: "ImageDraw.ImageDraw") -> None:
            draw.rectangle((0, 0, 9999, 9999), fill=_STAGE)
            self.camera.draw_floor(draw)
            if frame is not None:
                self._draw_bodies(draw, frame)
            self._draw_words(draw, time_s)

        _smoothly(canvas, (left, 0, left + HEIGHT_PX, HEIGHT_PX), paint)

    def _draw_bodies(self, draw: "ImageDraw.ImageDraw", frame: int) -> None:
        skeleton = self.result.skeleton
        limbs = []  # (distance, ends in pixels, thickness, joint), of everybody
        for pose in self.placed[:, frame]:
            for child, parent in skeleton.bones:
                ends = pose[[parent, child]]
                if not np.isfinite(ends).all():
                    continue
                self.camera.draw_shadow(draw, ends)
                is_head = (skeleton.joints[child], skeleton.joints[parent]) == ("head", "nose")
                if is_head:
                    ends = ends.mean(axis=0) + 0.15 * (ends - ends.mean(axis=0))
                xy, distance = self.camera.project(ends)
                thick = self.camera.pixels(_HEAD_M if is_head else _LIMB_M, distance.mean())
                limbs.append((distance.mean(), xy, thick, skeleton.joints[child]))
        for _, xy, thick, joint in sorted(limbs, key=lambda limb: -limb[0]):
            _line(draw, xy[0], xy[1], thick + 3 * _FINE, _STAGE)
            _line(draw, xy[0], xy[1], thick, COLORS[side(joint)])

    def _draw_words(self, draw: "ImageDraw.ImageDraw", time_s: float) -> None:
        edge = 18 * _FINE
        side_px = HEIGHT_PX * _FINE
        now = time_s - self.offset_s
        draw.text((edge, edge), f"{time_s:.2f} s", fill=_QUIET, font=_font(20))
        going_on = [a for a in self.actions if a["start_s"] <= now < a["stop_s"]][:3]
        for row, action in enumerate(going_on):
            label = _named(self.result, action)
            score = "" if action.get("score") is None else f"  {action['score']:.2f}"
            at = (edge, edge + (34 + 30 * row) * _FINE)
            draw.text(at, label + score, fill=_INK, font=_font(24))
        for which, x in (("left side", side_px - edge), ("right side", side_px - edge - 190)):
            draw.text((x, edge), which, fill=COLORS[which.split()[0]], font=_font(17), anchor="ra")
        words = f"{self.result.header['scale_source']}; grid {GRID_M} m"
        draw.text((edge, side_px - edge), words, fill=_QUIET, font=_font(14), anchor="ld")


def _named(result: Result, action: dict[str, Any]) -> str:
    """The label, with whose it is where there are several people."""
    label = str(action["label"])
    if len(result.track_id) > 1 and action.get("person") is not None:
        return f"#{result.track_id[action['person']]} {label}"
    return label


class _Timeline:
    """What everybody does over the whole time, a lane for each person, and where the film is."""

    def __init__(self, result: Result, width_px: int):
        from PIL import Image

        actions: list[dict[str, Any]] = result.header.get("actions", [])
        self.offset_s = film_offset_s(result)
        self.first_s, self.last_s = float(result.time_s[0]), float(result.time_s[-1])
        lanes: dict[Any, list[dict[str, Any]]] = {}
        for action in actions:
            lanes.setdefault(action.get("person"), []).append(action)
        people = sorted(lanes, key=lambda person: -1 if person is None else person)[:_MOST_LANES]
        self.height_px = len(people) * _LANE_PX
        self.picture = Image.new("RGB", (width_px, max(1, self.height_px)), _PAPER)
        labels = dict.fromkeys(str(action["label"]) for action in actions)
        labels.pop(OTHER, None)
        colors = {label: _ACTION_COLORS[i % len(_ACTION_COLORS)] for i, label in enumerate(labels)}

        def paint(draw: "ImageDraw.ImageDraw") -> None:
            for lane, person in enumerate(people):
                for action in lanes[person]:
                    color = colors.get(str(action["label"]), _OTHER_COLOR)
                    self._bar(draw, lane, action, _named(result, action), color)

        if people:
            _smoothly(self.picture, (0, 0, width_px, self.height_px), paint)

    def _x(self, time_s: float) -> float:
        share = (time_s - self.first_s) / max(self.last_s - self.first_s, 1e-9)
        return min(max(share, 0.0), 1.0) * (self.picture.width - 1)

    def _bar(
        self,
        draw: "ImageDraw.ImageDraw",
        lane: int,
        action: dict[str, Any],
        label: str,
        color: str,
    ) -> None:
        left, right = (_FINE * self._x(action[key]) for key in ("start_s", "stop_s"))
        top = _FINE * (lane * _LANE_PX + 3)
        bottom = _FINE * ((lane + 1) * _LANE_PX - 3)
        right = max(right - _FINE, left + _FINE)
        draw.rounded_rectangle((left, top, right, bottom), radius=4 * _FINE, fill=color)
        font, edge = _font(17), 8 * _FINE
        while label and draw.textlength(label, font=font) > right - left - 2 * edge:
            label = label[:-2].rstrip() + "…" if len(label) > 2 else ""
        ink = _INK if color == _OTHER_COLOR else "white"
        draw.text((left + edge, (top + bottom) / 2), label, fill=ink, font=font, anchor="lm")

    def draw(self, canvas: "Image.Image", film_s: float) -> None:
        """At the bottom of the canvas."""
        from PIL import ImageDraw

        if not self.height_px:
            return
        top = canvas.height - self.height_px
        canvas.paste(self.picture, (0, top))
        x = self._x(film_s - self.offset_s)
        ImageDraw.Draw(canvas).line((x, top, x, canvas.height), fill=_INK, width=3)


class _Camera:
    """A view from obliquely in front, from which everybody is seen in all frames."""

    def __init__(self, placed: Array, skeleton: Skeleton):
        points = placed[np.isfinite(placed).all(axis=-1)]
        low, high = np.percentile(points, [0.5, 99.5], axis=0)
        self.middle = (low + high) / 2
        azimuth, elevation = np.radians([_AZIMUTH_DEG, _ELEVATION_DEG])
        back = np.array(
            [
                np.sin(azimuth) * np.cos(elevation),
                np.sin(elevation),
                np.cos(azimuth) * np.cos(elevation),
            ]
        )
        right = np.array([np.cos(azimuth), 0, -np.sin(azimuth)])
        self.turn = np.stack([right, np.cross(back, right), back])
        seen = (points - self.middle) @ self.turn.T
        half = 1.12 * max(float(np.abs(seen[:, :2]).max()), 0.6)
        self.focal_px = HEIGHT_PX * _FINE / 2 / np.tan(np.radians(_FIELD_DEG) / 2)
        self.distance_m = half / np.tan(np.radians(_FIELD_DEG) / 2) + float(seen[:, 2].max())
        self.reach_m = GRID_M * np.ceil(max(1.0, float((high - low)[[0, 2]].max()) / 2) / GRID_M)

    def project(self, points_m: Array) -> tuple[Array, Array]:
        """Pixels (..., 2) of the finely drawn panel, and the distances (...)."""
        seen = (points_m - self.middle) @ self.turn.T
        distance = np.maximum(self.distance_m - seen[..., 2], 0.1)
        xy = seen[..., :2] * [1, -1] * (self.focal_px / distance)[..., None]
        return xy + HEIGHT_PX * _FINE / 2, distance

    def pixels(self, meters: float, distance_m: float) -> float:
        return meters * self.focal_px / distance_m

    def draw_floor(self, draw: "ImageDraw.ImageDraw") -> None:
        middle = np.round(self.middle[[0, 2]] / GRID_M) * GRID_M
        at = np.arange(-self.reach_m, self.reach_m + GRID_M / 2, GRID_M)
        for offset in at:
            for ends in ([(offset, at[0]), (offset, at[-1])], [(at[0], offset), (at[-1], offset)]):
                flat = np.array(ends) + middle
                xy, _ = self.project(np.stack([flat[:, 0], 0 * flat[:, 0], flat[:, 1]], axis=-1))
                _line(draw, xy[0], xy[1], 1.2 * _FINE, _GRID)

    def draw_shadow(self, draw: "ImageDraw.ImageDraw", ends: Array) -> None:
        xy, distance = self.project(ends * [1, 0, 1])
        _line(draw, xy[0], xy[1], self.pixels(0.8 * _LIMB_M, distance.mean()), "#d3d9e1")


def _smoothly(
    canvas: "Image.Image",
    box: tuple[int, int, int, int],
    paint: Callable[["ImageDraw.ImageDraw"], None],
) -> None:
    """Paint a part of the canvas at a higher resolution."""
    from PIL import Image, ImageDraw

    part = canvas.crop(box)
    fine = part.resize((part.width * _FINE, part.height * _FINE), Image.Resampling.NEAREST)
    paint(ImageDraw.Draw(fine))
    canvas.paste(fine.reduce(_FINE), box[:2])


def _line(draw: "ImageDraw.ImageDraw", start: Array, end: Array, width: float, color: Any) -> None:
    """With round ends."""
    draw.line((*start.tolist(), *end.tolist()), fill=color, width=max(1, round(width)))
    for point in (start, end):
        _disc(draw, point, width / 2, color)


def _disc(draw: "ImageDraw.ImageDraw", middle: Array, radius: float, color: Any) -> None:
    x, y = middle.tolist()
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def _faded(joint: str, sure: float) -> tuple[int, ...]:
    """The color of a joint, paler where the detector was not sure."""
    color = COLORS[side(joint)]
    share = 0.35 + 0.65 * sure
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return tuple(np.round(rgb * share + 255 * (1 - share)).astype(int).tolist())


_FONTS: dict[int, Any] = {}


def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    from PIL import ImageFont

    if size not in _FONTS:
        _FONTS[size] = ImageFont.load_default(size * _FINE)
    return _FONTS[size]
