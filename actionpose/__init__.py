"""actionpose: lift 2D human keypoints to 3D motion and label the actions.

The main classes are `ActionPose` (a pretrained model), `Keypoints` (2D input) and `Result` (3D
output).
"""

from typing import TYPE_CHECKING, Any

import actionpose.export  # noqa: F401  (registers the formats of `Result.save`)
from actionpose.utils.telemetry import switch_off_telemetry

if TYPE_CHECKING:
    from actionpose.inference.predictor import ActionPose
    from actionpose.keypoints import Keypoints
    from actionpose.result import Result

switch_off_telemetry()  # before packages with telemetry are imported

__all__ = ["ActionPose", "Keypoints", "Result", "__version__"]

_MODULES = {
    "ActionPose": "actionpose.inference.predictor",
    "Keypoints": "actionpose.keypoints.core",
    "Result": "actionpose.result",
}


def __getattr__(name: str) -> Any:
    """Import public classes on first use, because the import of PyTorch takes a second."""
    from importlib import import_module, metadata

    if name == "__version__":
        value: Any = metadata.version("actionpose")
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
