"""Commands that train: both stages take a recipe and any setting of it."""

from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from actionpose.cli.options import Quiet, notices_printed, parse, take_option


def finetune(arguments: list[str]) -> None:
    """Stage two: train the encoder on 2D keypoints with 3D truth."""
    from actionpose.config import FinetuneConfig, load_recipe
    from actionpose.training.finetune import finetune as train

    recipe, arguments = take_option(arguments, "--config")
    default = load_recipe(FinetuneConfig, recipe) if recipe else FinetuneConfig()

    def command(
        run: Path,
        config: Annotated[FinetuneConfig, arg(name="")] = default,
        quiet: Quiet = False,
    ) -> Any:
        """Train in the folder --run, or go on there.

        Settings come from --config RECIPE.yaml; every one can be changed, as --data.frames 81.
        """
        return train(config, run, quiet=quiet)

    _report(parse(command, "finetune", arguments))


def pretrain(arguments: list[str]) -> None:
    """Stage one: train the encoder on masked motion and on the text of its actions."""
    from actionpose.config import PretrainConfig, load_recipe
    from actionpose.training.pretrain import pretrain as train

    recipe, arguments = take_option(arguments, "--config")
    default = load_recipe(PretrainConfig, recipe) if recipe else PretrainConfig()

    def command(
        run: Path,
        config: Annotated[PretrainConfig, arg(name="")] = default,
        quiet: Quiet = False,
    ) -> Any:
        """Train in the folder --run, or go on there. Needs the extras train and text.

        Settings come from --config RECIPE.yaml; every one can be changed, as --data.frames 81.
        """
        with notices_printed():
            return train(config, run, quiet=quiet)

    _report(parse(command, "pretrain", arguments))


def _report(outcome: Any) -> None:
    print(f"{outcome.status} at step {outcome.step}: {outcome.checkpoint}")
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
