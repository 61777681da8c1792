"""The command that trains all stages of a recipe: `actionpose train`."""

import os
from pathlib import Path

from tyro.conf import Positional

from actionpose.cli.options import Quiet


def train(recipe: Positional[Path], run: Path, dry_run: bool = False, quiet: Quiet = False) -> None:
    """Train all stages of a recipe, or resume an interrupted training.

    Ctrl-C saves a checkpoint, and the same command resumes. The folder --run can be passed to other
    commands as --checkpoint, or to `actionpose models convert`.

    Args:
        recipe: YAML file with stages, such as recipes/tiny.yaml.
        run: Output folder, with a subfolder for each stage.
        dry_run: Only list the stages with their expected minutes and scores.
    """
    from actionpose.training import stages

    if dry_run:
        print("\n".join(stages.plan(stages.read_stages(recipe, run))))
        return
    main = os.environ.get("RANK", "0") == "0"  # rank 0 of the processes started by torchrun
    outcome = stages.train(
        recipe, run, quiet=quiet, report=lambda line: print(line, flush=True) if main else None
    )
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    if main:
        print(f"{outcome.status} at step {outcome.step}: {outcome.checkpoint}")
