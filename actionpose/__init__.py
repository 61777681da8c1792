"""actionpose: 2D keypoints to 3D human motion, with an encoder that knows the action."""

from actionpose.utils.telemetry import switch_off_telemetry

switch_off_telemetry()  # before anything that sends some can be imported

from actionpose.inference.predictor import ActionPose  # noqa: E402
from actionpose.keypoints.core import Keypoints  # noqa: E402
from actionpose.result import Result  # noqa: E402

__all__ = ["ActionPose", "Keypoints", "Result"]
