"""The command that trains a released model: `actionpose train`."""

import os
from pathlib import Path

from tyro.conf import Positional

from actionpose.cli.options import Quiet


def train(recipe: Positional[Path], run: Path, dry_run: bool = False, quiet: Quiet = False) -> None:
    """Train all stages of a recipe, or resume where they stopped.

    Ctrl-C saves, and the same command resumes. --run is then what --checkpoint of other commands,
    or `actionpose models convert`, takes.

    Args:
        recipe: YAML file with stages, such as recipes/tiny.yaml.
        run: Folder; each stage lies in a folder of its own there.
        dry_run: List the stages with their expected minutes and scores, and stop.
    """
    from actionpose.training import stages

    if dry_run:
        print("\n".join(stages.plan(stages.read_stages(recipe, run))))
        return
    main = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts
    outcome = stages.train(
        recipe, run, quiet=quiet, report=lambda line: print(line, flush=True) if main else None
    )
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    if main:
        print(f"{outcome.status} at step {outcome.step}: {outcome.checkpoint}")
