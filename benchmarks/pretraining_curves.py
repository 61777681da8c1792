"""Draw a run of stage one: losses, gradients on the shared trunk, retrieval and error on val.

python benchmarks/pretraining_curves.py runs/open_tiny_2 -o curves.png
"""

import json
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, arg

from actionpose.utils.errors import UserError, exit_codes
from actionpose.utils.files import atomic_write
from actionpose.visualization.pictures import new_figure

PANELS = {
    "losses of one batch": ["alignment", "position", "velocity"],
    "gradient on the shared trunk": [
        f"trunk_grad_{n}" for n in ("alignment", "position", "velocity")
    ],
    "val retrieval": [
        f"val_{way}_r{k}" for way in ("motion_to_text", "text_to_motion") for k in (1, 5)
    ],
    "val MPJPE, mm": ["val_mpjpe_mm", "val_hidden_mpjpe_mm"],
}


def main(
    run: Positional[Path], out: Annotated[Path, arg(aliases=["-o"])] = Path("curves.png")
) -> None:
    """Read `log.jsonl` of a run, write a picture."""
    log = run / "log.jsonl"
    if not log.exists():
        raise UserError(f"no training here: {log} does not exist; give the folder of --run")
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    figure = new_figure(15, 3.6)
    for place, (title, keys) in enumerate(PANELS.items(), 1):
        axes = figure.add_subplot(1, len(PANELS), place)
        for key in keys:
            points = [(row["step"], row[key]) for row in rows if key in row]
            name = key.removeprefix("trunk_grad_").removeprefix("val_").replace("_", " ")
            many = len(points) > 30
            axes.plot(
                *zip(*points, strict=True), marker="" if many else "o", label=name, lw=1, ms=3
            )
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    with atomic_write(out) as unfinished:
        figure.savefig(unfinished, dpi=80)
    print(f"wrote   {out}")


if __name__ == "__main__":
    with exit_codes("pretraining_curves.py"):
        tyro.cli(main)
