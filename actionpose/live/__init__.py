"""Real-time lifting with a fixed delay."""

from actionpose.live.frames import LiveFrame
from actionpose.live.lifter import LiveLifter

__all__ = ["LiveFrame", "LiveLifter"]
