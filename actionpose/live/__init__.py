"""Live lifting: poses while the frames come, a fixed delay after them."""

from actionpose.live.frames import LiveFrame
from actionpose.live.lifter import LiveLifter

__all__ = ["LiveFrame", "LiveLifter"]
