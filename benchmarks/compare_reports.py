"""Compare two models window by window on the open benchmark.

    actionpose evaluate open --data CORPUS --checkpoint A --json a.json
    actionpose evaluate open --data CORPUS --checkpoint B --json b.json
    python benchmarks/compare_reports.py a.json b.json

Prints the mean difference a - b over the windows of the open benchmark with its 95 % bootstrap
interval over windows. This interval is usually much narrower than those of the two scores, because
both models lift the same windows.
"""

import json
from pathlib import Path

import numpy as np
import tyro
from tyro.conf import Positional

from actionpose.metrics.bootstrap import bootstrap
from actionpose.utils.errors import UserError, exit_codes

METRICS = ("mpjpe_mm", "mpjpe_height_mm", "p_mpjpe_mm", "mpjve_mm")


def windows_of(report: Path) -> dict[str, dict[str, float]]:
    """The scores of each window by its name."""
    try:
        windows: dict[str, dict[str, float]] = json.loads(report.read_text())["windows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{report} is no report of evaluate open --json: {error}") from error
    return windows


def main(a: Positional[Path], b: Positional[Path], /) -> None:
    """Print the differences.

    Args:
        a: Report of `actionpose evaluate open --json`.
        b: Another report for the same corpora and split.
    """
    first, second = windows_of(a), windows_of(b)
    if first.keys() != second.keys():
        raise UserError(
            f"{a} and {b} have other windows: score both on the same --data and --split"
        )
    for metric in METRICS:
        difference = np.array([first[name][metric] - second[name][metric] for name in first])
        print(f"{metric:16} {bootstrap(difference)}")


if __name__ == "__main__":
    with exit_codes("compare_reports.py"):
        tyro.cli(main)
