"""actionpose: 2D keypoints to 3D human motion, with an encoder that knows the action."""

from actionpose.keypoints import Keypoints
from actionpose.lift import ActionPose
from actionpose.result import Result

__all__ = ["ActionPose", "Keypoints", "Result"]
