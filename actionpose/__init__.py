"""actionpose: 2D keypoints to 3D human motion, with an encoder that knows the action."""

from actionpose.offline import switch_off_telemetry

switch_off_telemetry()  # before anything that sends some can be imported

from actionpose.keypoints import Keypoints  # noqa: E402
from actionpose.lift import ActionPose  # noqa: E402
from actionpose.result import Result  # noqa: E402

__all__ = ["ActionPose", "Keypoints", "Result"]
