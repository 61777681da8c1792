"""The command that checks the installation: `actionpose doctor`."""

import os
import platform
import re
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version

from actionpose.utils.telemetry import TELEMETRY

# distributions with common files: the last one installed overwrites the others, and removing one
# breaks the others
_SHARED_FILES = {
    "cv2": (
        *("opencv-python", "opencv-contrib-python"),
        *("opencv-python-headless", "opencv-contrib-python-headless"),
    ),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"),
}


def doctor() -> None:
    """Show versions, extras, detectors, GPU, network use and installation problems."""
    print(report())


def installed(package: str) -> str:
    """The version of a distribution, or "" if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def extras() -> dict[str, dict[str, str]]:
    """For each extra of this package, its distributions and their versions, "" if missing.

    Requirements whose marker excludes this version of Python are omitted.
    """
    found: dict[str, dict[str, str]] = {}
    for line in requires("actionpose") or ():
        match = re.match(r"([\w.-]+)[^;]*;.*extra == ['\"]([\w-]+)['\"]", line)
        if match is None or not _holds(line):
            continue
        package, extra = match.groups()
        if package != "actionpose":  # an extra that combines others
            found.setdefault(extra, {})[package] = installed(package)
    return found


def _holds(requirement: str) -> bool:
    """Whether the Python version marker of a requirement holds, or there is none."""
    limit = re.search(r"python_version < ['\"](\d+)\.(\d+)['\"]", requirement)
    return limit is None or sys.version_info[:2] < (int(limit[1]), int(limit[2]))


def problems() -> list[str]:
    """The problems of this installation, one sentence each."""
    wrong = []
    for module, packages in _SHARED_FILES.items():
        there = [package for package in packages if installed(package)]
        if len(there) > 1:
            wrong.append(
                f"{' and '.join(there)} overwrite each other's files ({module}): uninstall all, "
                "and install one"
            )
    for package, (variable, value) in TELEMETRY.items():
        if os.environ.get(variable) != value and installed(package):
            wrong.append(
                f"{package} may send usage data: {variable} is "
                f"{os.environ.get(variable)!r}, not {value!r}"
            )
    return wrong


def report() -> str:
    """The complete report as text."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none that torch can use"
    lines = [
        f"actionpose    {version('actionpose')}, Python {platform.python_version()}, "
        f"{platform.platform()}",
        f"torch         {torch.__version__}, {os.cpu_count()} CPUs, {torch.get_num_threads()} "
        "threads",
        f"GPU           {gpu}",
        "",
        *_table("extra", _extra_lines()),
        "",
        *_table("detector", _detector_lines()),
        "",
        *_table("network", _network_lines()),
    ]
    if wrong := problems():
        lines += ["", *(f"problem       {sentence}" for sentence in wrong)]
    return "\n".join(lines)


def _table(head: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{head}:", *(f"  {name:14}{text}" for name, text in rows)]


def _extra_lines() -> Iterable[tuple[str, str]]:
    for extra, packages in extras().items():
        if extra == "dev":  # for developers of this package
            continue
        there = ", ".join(f"{name} {number}" for name, number in packages.items() if number)
        missing = [name for name, number in packages.items() if not number]
        lacks = f"lacks {', '.join(missing)}: pip install 'actionpose[{extra}]'" if missing else ""
        yield extra, "; ".join(part for part in (there, lacks) if part)


def _detector_lines() -> Iterable[tuple[str, str]]:
    from actionpose.video.detectors import available

    for name, lacks in available().items():
        ready = "ready; downloads its models once" if name == "rtmlib" else "ready"
        yield name, lacks or ready
    there = installed("onnxruntime") or installed("onnxruntime-gpu")
    yield "PATH.onnx", "ready" if there else "pip install 'actionpose[onnx]'"


def _network_lines() -> Iterable[tuple[str, str]]:
    yield "by default", "nothing is sent or fetched"
    yield "if asked for", "--detector rtmlib and a checkpoint on the Hub are downloaded once"
    for package, (variable, value) in TELEMETRY.items():
        state = "off" if os.environ.get(variable) == value else "ON"
        yield package, f"telemetry {state} ({variable}={os.environ.get(variable, '')})"
    state = "ON" if sys.modules.get("openvino_telemetry") else "off"
    yield "openvino", f"telemetry {state} (openvino_telemetry is not imported)"
