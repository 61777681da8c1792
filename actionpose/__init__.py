"""actionpose: 2D keypoints to 3D human motion, with an encoder that knows the action."""

from typing import TYPE_CHECKING, Any

import actionpose.export  # noqa: F401  (registers the formats of `Result.save`)
from actionpose.utils.telemetry import switch_off_telemetry

if TYPE_CHECKING:
    from actionpose.inference.predictor import ActionPose
    from actionpose.keypoints import Keypoints
    from actionpose.result import Result

switch_off_telemetry()  # before anything that sends some can be imported

__all__ = ["ActionPose", "Keypoints", "Result", "__version__"]

_MODULES = {
    "ActionPose": "actionpose.inference.predictor",
    "Keypoints": "actionpose.keypoints.core",
    "Result": "actionpose.result",
}


def __getattr__(name: str) -> Any:
    """Public classes are imported at their first use: PyTorch takes a second."""
    from importlib import import_module, metadata

    if name == "__version__":
        value: Any = metadata.version("actionpose")
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
