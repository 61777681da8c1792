"""Video of a result: keypoints on the frames, the 3D motion beside them, and actions below.

The frames are those of the input video between the first and last frame of the result, with the
same times. Without the video, the keypoints are drawn on a plain background.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actionpose.actions.timeline import OTHER, UNKNOWN
from actionpose.result import Result
from actionpose.utils.background import prefetch
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.utils.resampling import frame_rate
from actionpose.utils.typing import Array
from actionpose.video.decoding import VideoReader
from actionpose.video.source import find_video
from actionpose.visualization.drawing import (
    GRID,
    INK,
    MUTED,
    PAPER,
    SIDE_COLORS,
    is_head,
    label_colors,
    side_color,
)
from actionpose.visualization.painting import SCALE, disc, font, line, paint, paler
from actionpose.visualization.scene import (
    GRID_M,
    scene_positions,
    video_link,
    view_rotation,
)

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

HEIGHT_PX = 720  # height of the video; the 3D panel is a square of this size
_WIDEST_PX = 1280  # maximum width of the left panel
_CLOCK = Fraction(1, 90000)
_X264 = {"preset": "veryfast", "crf": "18"}
_AHEAD = 4  # number of frames that are decoded and drawn in advance
_STAGE, _SHADOW = "#eef1f5", "#d3d9e1"
_LIMB_M, _HEAD_M = 0.055, 0.17  # thickness
_AZIMUTH_DEG, _ELEVATION_DEG, _FIELD_DEG = 35.0, 12.0, 32.0  # of the 3D view
_EDGE_PX = 18  # margin of text
_LANE_PX, _MOST_LANES = 36, 4  # timeline lanes, one per person


def write_video(
    result: Result,
    path: str | os.PathLike[str],
    *,
    video: str | os.PathLike[str] | None = None,
    progress: Callable[[int], object] = lambda frames: None,
) -> None:
    """Write an MP4 video (H.264, without audio).

    Args:
        result: Result to show.
        path: File to write.
        video: Video of the result. By default it is found by `find_video`. If it is not found, the
            keypoints are drawn without it.
        progress: Function that is called with the number of frames processed since the last call.

    Raises:
        UserError: If there is nothing to draw, the video cannot be read or ends before the start of
            the result, the file cannot be written, or the packages of the extra `video` are
            missing.
    """
    try:
        import av
        from PIL import Image
    except ImportError:
        raise UserError("an MP4 needs PyAV and Pillow: pip install 'actionpose[video]'") from None
    video = find_video(result.header, video, Path(path))
    with ExitStack() as stack:
        size = _image_size(result) if video is None else _video_size(video)
        scale = min(HEIGHT_PX / size[1], _WIDEST_PX / size[0])
        left_px = max(2, round(size[0] * scale / 2) * 2)
        images: Iterable[tuple[float, Any]] = _without_video(result)
        if video is not None:
            scaled_to = (left_px, max(1, round(size[1] * scale)))
            images = stack.enter_context(VideoReader(video, scaled_to))
        link = video_link(result)
        time_scale = 1.0 if video is None else link.time_scale
        artist = _Artist(result, scale, (left_px, HEIGHT_PX))
        timeline = _Timeline(result, left_px + HEIGHT_PX)
        fps = frame_rate(result.time_s) or 30.0
        unfinished = stack.enter_context(atomic_write(path))
        options = {"movflags": "faststart"}
        out = stack.enter_context(av.open(str(unfinished), "w", format="mp4", options=options))
        rate = Fraction(fps / time_scale).limit_denominator(1001)
        stream = out.add_stream("libx264", rate=rate, options=_X264)
        stream.width, stream.height = left_px + HEIGHT_PX, HEIGHT_PX + timeline.height_px
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = _CLOCK
        edge_s = 0.75 / fps  # maximum distance of a video frame from the frames of the result
        times_s = result.time_s + link.offset_s
        first_pts, last = 0, -1

        def drawn(images: Iterable[tuple[float, Any]]) -> Iterator[tuple[float, Any]]:
            for time_s, image in images:
                motion_s = time_s / time_scale
                if motion_s < times_s[0] - edge_s:
                    continue
                if motion_s > times_s[-1] + edge_s:
                    return
                canvas = Image.new("RGB", (stream.width, stream.height), PAPER)
                if image is not None and link.mirrored:
                    image = np.ascontiguousarray(image[:, ::-1])
                index = artist.frame_at(motion_s, edge_s)
                artist.draw_left(canvas, image, index)
                artist.draw_right(canvas, index, motion_s)
                timeline.draw(canvas, motion_s)
                yield time_s, np.asarray(canvas)

        # three threads: decoding, drawing and, in this one, encoding
        decoded = stack.enter_context(closing(prefetch(images, _AHEAD)))
        pictures = prefetch(drawn(decoded), _AHEAD)
        for time_s, picture in stack.enter_context(closing(pictures)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if last < 0:
                first_pts = round(time_s / _CLOCK)
            frame.pts = last = max(round(time_s / _CLOCK) - first_pts, last + 1)
            frame.time_base = _CLOCK
            out.mux(stream.encode(frame))
            progress(1)
        if last < 0:
            raise UserError(f"{video} ends before the result begins, at {times_s[0]:g} s")
        out.mux(stream.encode())


def _video_size(path: Path) -> tuple[int, int]:
    with VideoReader(path) as video:
        return video.size


def _image_size(result: Result) -> tuple[int, int]:
    """Width and height of the image, or of the area of the keypoints if unknown."""
    if size := result.header.get("image_size"):
        return int(size[0]), int(size[1])
    visible = (result.keypoints_px[..., 2] > 0) & np.isfinite(result.keypoints_px).all(axis=-1)
    if not visible.any():
        return HEIGHT_PX, HEIGHT_PX
    width, height = np.maximum(result.keypoints_px[visible][:, :2].max(axis=0), 16).tolist()
    return round(1.1 * width), round(1.1 * height)


def _without_video(result: Result) -> Iterator[tuple[float, None]]:
    for time_s in result.time_s.tolist():
        yield time_s + video_link(result).offset_s, None


class _Artist:
    """Draws the left and right panel of a frame."""

    def __init__(self, result: Result, scale: float, left: tuple[int, int]):
        self.result, self.scale, self.left = result, scale, left
        self.joints, _ = scene_positions(result)  # (P, T, J, 3)
        self.offset_s = video_link(result).offset_s
        self.camera = _Camera(self.joints)
        self.actions = sorted(result.header.get("actions", []), key=lambda a: -(a["score"] or 0))
        self.stage = self._stage()  # the static part of the panel

    def frame_at(self, time_s: float, edge_s: float) -> int | None:
        """The frame of the result nearest to a video time, or None if farther than `edge_s`."""
        times = self.result.time_s + self.offset_s
        nearest = int(np.abs(times - time_s).argmin())
        return nearest if abs(times[nearest] - time_s) <= edge_s else None

    def draw_left(
        self, canvas: "Image.Image", image: NDArray[np.uint8] | None, frame: int | None
    ) -> None:
        from PIL import Image

        if image is not None:
            canvas.paste("#101418", (0, 0, *self.left))
            canvas.paste(Image.fromarray(image), (0, (self.left[1] - len(image)) // 2))
        if frame is None:
            return
        for person in np.flatnonzero(self.result.valid[:, frame]):
            keypoints = self.result.keypoints_px[person, frame].astype(np.float64)
            self._draw_keypoints(canvas, keypoints, has_rim=image is not None)

    def _draw_keypoints(self, canvas: "Image.Image", keypoints: Array, *, has_rim: bool) -> None:
        visible = (keypoints[:, 2] > 0) & np.isfinite(keypoints).all(axis=1)
        if not visible.any():
            return
        size = self.result.header.get("image_size")
        height_px = (size[1] if size else self.left[1] / self.scale) * self.scale
        xy = keypoints[:, :2] * self.scale + [0, max(self.left[1] - height_px, 0) // 2]
        thick = max(2.0, 0.016 * float(np.ptp(xy[visible], axis=0).max()))
        low = np.floor(xy[visible].min(axis=0) - 3 * thick).astype(int)
        high = np.ceil(xy[visible].max(axis=0) + 3 * thick).astype(int)
        low, high = np.maximum(low, 0), np.minimum(high, self.left)
        if (high <= low).any():
            return  # outside of the image
        confidence = np.minimum(keypoints[:, 2], 1)
        skeleton = self.result.skeleton
        colors = [side_color(joint) for joint in skeleton.joints]
        at = (xy - low) * SCALE
        bones = [bone for bone in skeleton.bones if visible[list(bone)].all()]
        with paint(canvas, (int(low[0]), int(low[1]), int(high[0]), int(high[1]))) as draw:
            for child, parent in bones if has_rim else []:
                line(draw, at[parent], at[child], 1.9 * thick * SCALE, "white")
            for child, parent in bones:
                color = paler(colors[child], confidence[[child, parent]].min())
                line(draw, at[parent], at[child], thick * SCALE, color)
            for joint in np.flatnonzero(visible):
                disc(draw, at[joint], 0.95 * thick * SCALE, "white")
                color = paler(colors[joint], confidence[joint])
                disc(draw, at[joint], 0.6 * thick * SCALE, color)

    def draw_right(self, canvas: "Image.Image", frame: int | None, time_s: float) -> None:
        from PIL import ImageDraw

        larger = self.stage.copy()
        draw = ImageDraw.Draw(larger)
        if frame is not None:
            self._draw_bodies(draw, frame)
        self._draw_words(draw, time_s)
        canvas.paste(larger.reduce(SCALE), (self.left[0], 0))

    def _stage(self) -> "Image.Image":
        from PIL import Image, ImageDraw

        side_px, edge = HEIGHT_PX * SCALE, _EDGE_PX * SCALE
        stage = Image.new("RGB", (side_px, side_px), _STAGE)
        draw = ImageDraw.Draw(stage)
        self.camera.draw_floor(draw)
        for side, x in (("left", side_px - edge), ("right", side_px - edge - 190)):
            text, color = f"{side} side", SIDE_COLORS[side]
            draw.text((x, edge), text, fill=color, font=font(17), anchor="ra")
        words = f"{self.result.facts['scale_source']}; grid {GRID_M} m"
        draw.text((edge, side_px - edge), words, fill=MUTED, font=font(14), anchor="ld")
        return stage

    def _draw_bodies(self, draw: "ImageDraw.ImageDraw", frame: int) -> None:
        skeleton = self.result.skeleton
        limbs = []  # (distance, ends in pixels, thickness, color), of all persons
        for pose in self.joints[:, frame]:
            for child, parent in skeleton.bones:
                ends = pose[[parent, child]]
                if not np.isfinite(ends).all():
                    continue
                self.camera.draw_shadow(draw, ends)
                thick_m = _LIMB_M
                if is_head(skeleton.joints, child, parent):
                    ends = ends.mean(axis=0) + 0.15 * (ends - ends.mean(axis=0))
                    thick_m = _HEAD_M
                xy, distance = self.camera.project(ends)
                thick = self.camera.pixels(thick_m, distance.mean())
                limbs.append((distance.mean(), xy, thick, side_color(skeleton.joints[child])))
        for _, xy, thick, color in sorted(limbs, key=lambda limb: -limb[0]):
            line(draw, xy[0], xy[1], thick + 3 * SCALE, _STAGE)
            line(draw, xy[0], xy[1], thick, color)

    def _draw_words(self, draw: "ImageDraw.ImageDraw", time_s: float) -> None:
        edge, now = _EDGE_PX * SCALE, time_s - self.offset_s
        draw.text((edge, edge), f"{time_s:.2f} s", fill=MUTED, font=font(20))
        current = [a for a in self.actions if a["start_s"] <= now < a["stop_s"]][:3]
        for row, action in enumerate(current):
            score = "" if action.get("score") is None else f"  {action['score']:.2f}"
            at = (edge, edge + (34 + 30 * row) * SCALE)
            draw.text(at, _title(self.result, action) + score, fill=INK, font=font(24))


def _title(result: Result, action: dict[str, Any]) -> str:
    """The label, with the track id of the person if there are several people."""
    label = str(action["label"])
    if len(result.track_id) > 1 and action.get("person") is not None:
        return f"#{result.track_id[action['person']]} {label}"
    return label


class _Timeline:
    """The actions of all people over time, with a lane for each person."""

    def __init__(self, result: Result, width_px: int):
        from PIL import Image

        actions = result.header.get("actions", [])
        self.offset_s = video_link(result).offset_s
        self.first_s, self.last_s = float(result.time_s[0]), float(result.time_s[-1])
        lanes: dict[Any, list[dict[str, Any]]] = {}
        for action in actions:
            lanes.setdefault(action.get("person"), []).append(action)
        people = sorted(lanes, key=lambda person: -1 if person is None else person)[:_MOST_LANES]
        self.height_px = len(people) * _LANE_PX
        self.picture = Image.new("RGB", (width_px, max(1, self.height_px)), PAPER)
        colors = label_colors([str(action["label"]) for action in actions], OTHER, UNKNOWN)

        with paint(self.picture, (0, 0, *self.picture.size)) as draw:
            for lane, person in enumerate(people):
                for action in lanes[person]:
                    color = colors[str(action["label"])]
                    self._draw_bar(draw, lane, action, _title(result, action), color)

    def _x(self, time_s: float) -> float:
        fraction = (time_s - self.first_s) / max(self.last_s - self.first_s, 1e-9)
        return min(max(fraction, 0.0), 1.0) * (self.picture.width - 1)

    def _draw_bar(
        self, draw: "ImageDraw.ImageDraw", lane: int, action: dict[str, Any], title: str, color: str
    ) -> None:
        left, right = (SCALE * self._x(action[key]) for key in ("start_s", "stop_s"))
        top, bottom = SCALE * (lane * _LANE_PX + 3), SCALE * ((lane + 1) * _LANE_PX - 3)
        right = max(right - SCALE, left + SCALE)
        draw.rounded_rectangle((left, top, right, bottom), radius=4 * SCALE, fill=color)
        edge = 8 * SCALE
        while title and draw.textlength(title, font=font(17)) > right - left - 2 * edge:
            title = title[:-2].rstrip() + "…" if len(title) > 2 else ""
        at = (left + edge, (top + bottom) / 2)
        draw.text(at, title, fill="white", font=font(17), anchor="lm")

    def draw(self, canvas: "Image.Image", time_s: float) -> None:
        """Paste the lanes at the bottom of the canvas, with a marker at a video time."""
        from PIL import ImageDraw

        if not self.height_px:
            return
        top = canvas.height - self.height_px
        canvas.paste(self.picture, (0, top))
        x = self._x(time_s - self.offset_s)
        ImageDraw.Draw(canvas).line((x, top, x, canvas.height), fill=INK, width=3)


class _Camera:
    """An oblique front view that contains all people (P, T, J, 3) in all frames."""

    def __init__(self, joints: Array):
        points = joints[np.isfinite(joints).all(axis=-1)]
        low, high = np.percentile(points, [0.5, 99.5], axis=0)
        self.middle = (low + high) / 2
        self.rotation = view_rotation(azimuth_deg=_AZIMUTH_DEG, elevation_deg=_ELEVATION_DEG)
        turned = (points - self.middle) @ self.rotation.T
        half = 1.12 * max(float(np.abs(turned[:, :2]).max()), 0.6)
        self.focal_px = HEIGHT_PX * SCALE / 2 / np.tan(np.radians(_FIELD_DEG) / 2)
        self.distance_m = half / np.tan(np.radians(_FIELD_DEG) / 2) + float(turned[:, 2].max())
        self.reach_m = GRID_M * np.ceil(max(1.0, float((high - low)[[0, 2]].max()) / 2) / GRID_M)

    def project(self, points_m: Array) -> tuple[Array, Array]:
        """Pixels (..., 2) of the panel at a scale of `SCALE`, and distances (...)."""
        turned = (points_m - self.middle) @ self.rotation.T
        distance = np.maximum(self.distance_m - turned[..., 2], 0.1)
        xy = turned[..., :2] * [1, -1] * (self.focal_px / distance)[..., None]
        return xy + HEIGHT_PX * SCALE / 2, distance

    def pixels(self, meters: float, distance_m: float) -> float:
        return meters * self.focal_px / distance_m

    def draw_floor(self, draw: "ImageDraw.ImageDraw") -> None:
        middle = np.round(self.middle[[0, 2]] / GRID_M) * GRID_M
        at = np.arange(-self.reach_m, self.reach_m + GRID_M / 2, GRID_M)
        for offset in at:
            for ends in ([(offset, at[0]), (offset, at[-1])], [(at[0], offset), (at[-1], offset)]):
                flat = np.array(ends) + middle
                xy, _ = self.project(np.stack([flat[:, 0], 0 * flat[:, 0], flat[:, 1]], axis=-1))
                line(draw, xy[0], xy[1], 1.2 * SCALE, GRID)

    def draw_shadow(self, draw: "ImageDraw.ImageDraw", ends: Array) -> None:
        xy, distance = self.project(ends * [1, 0, 1])
        line(draw, xy[0], xy[1], self.pixels(0.8 * _LIMB_M, distance.mean()), _SHADOW)
