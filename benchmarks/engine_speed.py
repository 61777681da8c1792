"""Speed of the inference engines compared with a plain implementation of MotionBERT's DSTformer.

    python benchmarks/engine_speed.py           # about four minutes on one quiet core
    python benchmarks/engine_speed.py --quick   # one small size, to see that it runs

All engines run in float32, with one thread, one clip at a time. `encoder_speed.py` contains the
plain network and the timing: runs alternate, so that ratios are reliable. Engines that are not
available are listed.
"""

import sys
from functools import partial
from typing import Any

import numpy as np
import torch
import tyro
from encoder_speed import SIZES, in_turns, make_pair

from actionpose.inference.engines import ENGINES, EngineChoice
from actionpose.utils.errors import UserError, exit_codes

# name, sizes, frames
CASES: list[tuple[str, dict[str, Any], int]] = [
    ("Lite", SIZES["Lite"], 81),
    ("width 64", {"dim": 64, "dim_rep": 64}, 81),
    ("width 64", {"dim": 64, "dim_rep": 64}, 243),
]


def main(quick: bool = False, seconds: float = 20) -> None:
    """Print a table of frames per second, with ratios to the plain network.

    Args:
        quick: Use fewer frames and less time.
        seconds: Approximate CPU time per row.
    """
    torch.set_num_threads(1)
    names = [name for name in ENGINES if name != "auto"]
    print(
        f"torch {torch.__version__}, one thread, float32; ratio to the plain network in brackets\n"
    )
    print(f"| size | frames | plain | {' | '.join(names)} |\n|---|---|---|{'---|' * len(names)}")
    for title, size, frames in [("width 64", CASES[1][1], 9)] if quick else CASES:
        plain, ours = make_pair(**size)
        runs = {}
        clips = torch.from_numpy(
            np.random.default_rng(0).normal(0, 0.4, (1, frames, 17, 3))
        ).float()
        for name in names:
            try:
                engine = EngineChoice(name, ours, "cpu", (frames, frames)).engine(frames)
                runs[name] = partial(engine, clips)
            except UserError as error:
                print(f"{name}: {error}", file=sys.stderr)
        with torch.inference_mode():
            base, times = in_turns(partial(plain, clips), runs, 1 if quick else seconds)
        cells = [
            f"{frames / times[n][0]:.0f} ({times[n][1]:.2f})" if n in times else "-" for n in names
        ]
        print(f"| {title} | {frames} | {frames / base:.0f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    with exit_codes("engine_speed"):
        tyro.cli(main)
