"""Live lifting: poses while the frames come, a fixed delay after them."""

from actionpose.live.lifter import LiveFrame, LiveLifter

__all__ = ["LiveFrame", "LiveLifter"]
