"""2D keypoints: the data type, file formats and tracking."""

from actionpose.keypoints.core import Keypoints

__all__ = ["Keypoints"]
