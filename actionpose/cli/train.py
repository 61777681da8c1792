"""Training commands: both accept a recipe and options for all of its settings."""

import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

from tyro.conf import arg

from actionpose.cli.options import Quiet, parse, take_option
from actionpose.config import FinetuneConfig, ModelConfig, PretrainConfig
from actionpose.utils.errors import UserError
from actionpose.utils.yaml_config import as_text, load_recipe, read_yaml, settings_of

Config = TypeVar("Config", PretrainConfig, FinetuneConfig)


def finetune(arguments: list[str]) -> None:
    """Fine-tune the encoder on 2D keypoints with 3D ground truth."""
    from actionpose.training.finetune import clips_per_epoch, finetune

    _train("finetune", FinetuneConfig, finetune, clips_per_epoch, arguments)


def pretrain(arguments: list[str]) -> None:
    """Pretrain the encoder on masked motion and the text of its actions."""
    from actionpose.training.pretrain import clips_per_epoch, pretrain

    _train("pretrain", PretrainConfig, pretrain, clips_per_epoch, arguments)


def _train(
    name: str,
    cls: type[Config],
    train: Callable[..., Any],
    clips_per_epoch: Callable[[Any], int],
    arguments: list[str],
) -> None:
    if {"-h", "--help"} & set(arguments):
        print(_help(cls, name))
        return
    from actionpose.training.cost import estimate
    from actionpose.utils.yaml_config import checked

    parsed = parse_training(name, cls, arguments)
    if parsed.dry_run:
        print("\n".join(estimate(checked(parsed.config), clips_per_epoch(parsed.config))))
        return
    outcome = train(parsed.config, parsed.run, quiet=parsed.quiet)
    print(f"{outcome.status} at step {outcome.step}: {outcome.checkpoint}")
    if outcome.status == "interrupted":
        raise KeyboardInterrupt


class ParsedTraining(NamedTuple, Generic[Config]):
    """The parsed arguments of a training command."""

    config: Config
    run: Path
    dry_run: bool
    quiet: bool


def parse_training(name: str, cls: type[Config], arguments: list[str]) -> ParsedTraining[Config]:
    """The recipe of --config or the defaults, with the changes of other options.

    Raises:
        UserError: If the recipe cannot be read or has stages, or --init is not a checkpoint.
    """
    path, arguments = take_option(arguments, "--config")
    values = read_yaml(path) if path else {}
    if isinstance(values, dict) and "stages" in values:
        raise UserError(f"{path} has stages: train it by actionpose train {path} --run FOLDER")
    recipe = _with_model_of_init(load_recipe(cls, path) if path else cls(), arguments)
    # tyro creates options from the keys of a default; --data.corpora replaces those of the recipe
    default: Any = replace(recipe, data=replace(recipe.data, corpora={}))

    def command(
        run: Path, config: Any = default, dry_run: bool = False, quiet: Quiet = False
    ) -> Any:
        corpora = config.data.corpora or recipe.data.corpora
        config = replace(config, data=replace(config.data, corpora=corpora))
        return ParsedTraining(config, run, dry_run, quiet)

    command.__annotations__["config"] = Annotated[cls, arg(name="")]
    parsed: ParsedTraining[Config] = parse(command, name, arguments, flag_pairs=True)
    return parsed


def _with_model_of_init(recipe: Config, arguments: list[str]) -> Config:
    """Set the model of a recipe that does not define one to that of the checkpoint of `init`.

    Heads are removed, unless only the embedding is trained, because they depend on the weights that
    change in training.
    """
    given, _ = take_option(arguments, "--init")
    init = recipe.init if given is None else Path(given)
    if init is None or recipe.model != type(recipe)().model:
        return recipe
    from actionpose import checkpoint, model_hub

    if not (init.is_dir() or str(init) in model_hub.bundled()):
        return recipe  # an official MotionBERT file, or a path that does not exist
    meta = checkpoint.load(model_hub.find(init))[1]
    try:
        whole = replace(recipe, init=init, model=ModelConfig(**meta["model"]))
        if isinstance(whole, PretrainConfig) and whole.freezes_lifting:
            return whole
        return replace(recipe, model=replace(whole.model, heads=False))
    except (KeyError, TypeError) as error:
        raise UserError(f"{init} does not say its model; give --model.dim and so on") from error


def _help(cls: type[Config], name: str) -> str:
    """Help text with the settings in one or two lines each; docs/config.md has more details."""
    lines = [
        f"usage: actionpose {name} [--config RECIPE.yaml] --run FOLDER [-q] [--SETTING VALUE ...]",
        "",
        "Train in the folder --run, or resume there. -q, --quiet hides the progress bar. --dry-run",
        "prints the steps, hours and memory. Options override the recipe, which overrides the",
        "defaults; see docs/config.md. Entries of a dictionary are set by key:",
        "--loss-weights.velocity 2. Flags: --model.class-token and --model.no-class-token.",
    ]
    group = None
    for setting in settings_of(cls):
        if (its_group := setting.name.rpartition(".")[0]) != group:
            group = its_group
            lines += ["", f"{group or 'settings'}:"]
        option = f"  --{setting.name.replace('_', '-')}"
        text = f"{setting.meaning.split('. ')[0].rstrip('.')} ({as_text(setting.default)})"
        lines += textwrap.wrap(f"{option:32} {text}", 100, subsequent_indent=" " * 33)
    return "\n".join(lines)
