"""2D keypoints: the type, the file formats it is read from, and tracking."""

from actionpose.keypoints.core import Keypoints

__all__ = ["Keypoints"]
