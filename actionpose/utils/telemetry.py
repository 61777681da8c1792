"""Nothing leaves the machine: the telemetry of packages that we may load is switched off.

The switches are read when a package is imported, so they are set when ours is. Whoever set one
before keeps what they set.
"""

import os

# package: environment variable and the value that stops it from sending anything
TELEMETRY = {
    "onnxruntime": ("ORT_DISABLE_TELEMETRY", "1"),
    "gradio": ("GRADIO_ANALYTICS_ENABLED", "False"),
    "ray": ("RAY_USAGE_STATS_ENABLED", "0"),
}


def switch_off_telemetry() -> None:
    """Set the switches of `TELEMETRY` that are not set."""
    for variable, value in TELEMETRY.values():
        os.environ.setdefault(variable, value)
