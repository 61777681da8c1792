"""Antialiased shapes and text on Pillow images, by supersampling."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from actionpose.utils.typing import Array
from actionpose.visualization.drawing import rgb

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

SCALE = 2  # scale of coordinates within `paint` relative to the canvas


@contextmanager
def paint(canvas: "Image.Image", box: tuple[int, int, int, int]) -> "Iterator[ImageDraw.ImageDraw]":
    """Yield an object that draws on the part of the canvas in a box (left, top, right, bottom)."""
    from PIL import Image, ImageDraw

    part = canvas.crop(box)
    larger = part.resize((part.width * SCALE, part.height * SCALE), Image.Resampling.NEAREST)
    yield ImageDraw.Draw(larger)
    canvas.paste(larger.reduce(SCALE), box[:2])


def line(draw: "ImageDraw.ImageDraw", start: Array, end: Array, width: float, color: Any) -> None:
    """Draw a line with round ends."""
    draw.line((*start.tolist(), *end.tolist()), fill=color, width=max(1, round(width)))
    for point in (start, end):
        disc(draw, point, width / 2, color)


def disc(draw: "ImageDraw.ImageDraw", middle: Array, radius: float, color: Any) -> None:
    """Draw a filled circle."""
    x, y = middle.tolist()
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def paler(color: str, confidence: float) -> tuple[int, ...]:
    """Blend a color with white for a lower confidence. Values are from 0 to 255."""
    alpha = 0.35 + 0.65 * confidence
    mixed = 255 * rgb(color) * alpha + 255 * (1 - alpha)
    return tuple(np.round(mixed).astype(int).tolist())


@cache
def font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    """The default font of Pillow in a size in pixels of the canvas."""
    from PIL import ImageFont

    return ImageFont.load_default(size * SCALE)
