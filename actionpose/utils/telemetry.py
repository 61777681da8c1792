"""Disable the telemetry of packages that the library may import, so that no data is sent.

The packages read these environment variables when they are imported, so the variables are set when
this package is imported. Variables that the user has set are not changed.
"""

import os
import sys

# package: environment variable and the value that disables telemetry
TELEMETRY = {
    "onnxruntime": ("ORT_DISABLE_TELEMETRY", "1"),
    "gradio": ("GRADIO_ANALYTICS_ENABLED", "False"),
    "ray": ("RAY_USAGE_STATS_ENABLED", "0"),
}


def switch_off_telemetry() -> None:
    """Set the unset variables of `TELEMETRY`, and block the import of `openvino_telemetry`."""
    for variable, value in TELEMETRY.values():
        os.environ.setdefault(variable, value)
    # OpenVINO has no such variable: its import sends an event to Google if this package exists
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
