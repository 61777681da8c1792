"""Nothing leaves the machine: the telemetry of packages that we may load is switched off.

The switches are read when a package is imported, so they are set when ours is. Whoever set one
before keeps what they set.
"""

import os
import sys

# package: environment variable and the value that stops it from sending anything
TELEMETRY = {
    "onnxruntime": ("ORT_DISABLE_TELEMETRY", "1"),
    "gradio": ("GRADIO_ANALYTICS_ENABLED", "False"),
    "ray": ("RAY_USAGE_STATS_ENABLED", "0"),
}


def switch_off_telemetry() -> None:
    """Set the switches of `TELEMETRY` that are not set, and hide OpenVINO's package for it."""
    for variable, value in TELEMETRY.values():
        os.environ.setdefault(variable, value)
    # OpenVINO has no switch: importing it sends an event to Google if this package can be imported
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
