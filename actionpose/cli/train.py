"""Commands that train: both take a recipe and any setting of it."""

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from tyro.conf import arg

from actionpose.cli.options import Quiet, notices_printed, parse, take_option
from actionpose.config import FinetuneConfig, PretrainConfig
from actionpose.utils.yaml_config import as_text, load_recipe, settings_of

Config = TypeVar("Config", PretrainConfig, FinetuneConfig)


def finetune(arguments: list[str]) -> None:
    """Fine-tune the encoder on 2D keypoints with 3D ground truth."""
    from actionpose.training.finetune import finetune as train

    recipe, arguments = _settings(FinetuneConfig, "finetune", arguments)
    default = _without_corpora(recipe)

    def command(
        run: Path,
        config: Annotated[FinetuneConfig, arg(name="")] = default,
        quiet: Quiet = False,
    ) -> Any:
        return train(_with_corpora(config, recipe), run, quiet=quiet)

    _report(parse(command, "finetune", arguments))


def pretrain(arguments: list[str]) -> None:
    """Pretrain the encoder on masked motion and on the text of its actions."""
    from actionpose.training.pretrain import pretrain as train

    recipe, arguments = _settings(PretrainConfig, "pretrain", arguments)
    default = _without_corpora(recipe)

    def command(
        run: Path,
        config: Annotated[PretrainConfig, arg(name="")] = default,
        quiet: Quiet = False,
    ) -> Any:
        with notices_printed():
            return train(_with_corpora(config, recipe), run, quiet=quiet)

    _report(parse(command, "pretrain", arguments))


def _settings(cls: type[Config], name: str, arguments: list[str]) -> tuple[Config, list[str]]:
    """The settings of the recipe, or the defaults; and the arguments that are left."""
    if {"-h", "--help"} & set(arguments):
        print(_help(cls, name))
        raise SystemExit(0)
    recipe, arguments = take_option(arguments, "--config")
    return (load_recipe(cls, recipe) if recipe else cls()), arguments


# tyro would take the keys of a default for options; new corpora replace those of the recipe
def _without_corpora(config: Config) -> Config:
    return replace(config, data=replace(config.data, corpora={}))


def _with_corpora(config: Config, recipe: Config) -> Config:
    corpora = config.data.corpora or recipe.data.corpora
    return replace(config, data=replace(config.data, corpora=corpora))


def _help(cls: type[Config], name: str) -> str:
    """One line for each setting."""
    lines = [
        f"usage: actionpose {name} [--config RECIPE.yaml] --run FOLDER [-q] [--SETTING VALUE ...]",
        "",
        "Train in the folder --run, or continue there; -q, --quiet shows no progress bar. A recipe",
        "gives the settings that differ from the defaults, and options change both. A dictionary's",
        "entries are options of their own: --loss-weights.velocity 2. docs/config.md says more.",
    ]
    if cls is PretrainConfig:
        lines.append("Needs the extras train and text.")
    group = None
    for setting in settings_of(cls):
        if (its_group := setting.name.rpartition(".")[0]) != group:
            group = its_group
            lines += ["", f"{group or 'settings'}:"]
        option = f"  --{setting.name.replace('_', '-')}"
        text = f"{setting.meaning.split('. ')[0].rstrip('.')} ({as_text(setting.default)})"
        lines += textwrap.wrap(f"{option:32} {text}", 100, subsequent_indent=" " * 33)
    return "\n".join(lines)


def _report(outcome: Any) -> None:
    print(f"{outcome.status} at step {outcome.step}: {outcome.checkpoint}")
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
