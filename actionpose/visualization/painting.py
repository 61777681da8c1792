"""Shapes and words on Pillow images, painted larger and shrunk, for smooth edges."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from actionpose.utils.typing import Array
from actionpose.visualization.drawing import rgb

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

SCALE = 2  # sizes within `paint` are this many times those on the canvas


@contextmanager
def paint(canvas: "Image.Image", box: tuple[int, int, int, int]) -> "Iterator[ImageDraw.ImageDraw]":
    """Give what paints on the part of the canvas in a box (left, top, right, bottom)."""
    from PIL import Image, ImageDraw

    part = canvas.crop(box)
    larger = part.resize((part.width * SCALE, part.height * SCALE), Image.Resampling.NEAREST)
    yield ImageDraw.Draw(larger)
    canvas.paste(larger.reduce(SCALE), box[:2])


def line(draw: "ImageDraw.ImageDraw", start: Array, end: Array, width: float, color: Any) -> None:
    """A line with round ends."""
    draw.line((*start.tolist(), *end.tolist()), fill=color, width=max(1, round(width)))
    for point in (start, end):
        disc(draw, point, width / 2, color)


def disc(draw: "ImageDraw.ImageDraw", middle: Array, radius: float, color: Any) -> None:
    """A filled circle."""
    x, y = middle.tolist()
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def paler(color: str, confidence: float) -> tuple[int, ...]:
    """The color in numbers to 255, nearer to white for a lower confidence."""
    alpha = 0.35 + 0.65 * confidence
    mixed = 255 * rgb(color) * alpha + 255 * (1 - alpha)
    return tuple(np.round(mixed).astype(int).tolist())


@cache
def font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    """Pillow's own font in a size of the canvas."""
    from PIL import ImageFont

    return ImageFont.load_default(size * SCALE)
