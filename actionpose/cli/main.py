"""The command line: finds a command in a table, runs it, and reports errors in one sentence.

Exit codes: 0 success; 2 invalid input; 3 some of several inputs failed; 130 interrupted; 141 the
reader of the output has closed it.
"""

import ast
import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from actionpose.utils.errors import UserError, exit_codes

# heading: command: MODULE.FUNCTION in this folder; commands for research are last
GROUPS: dict[str, dict[str, str]] = {
    "Use": {
        "demo": "lift.demo",
        "lift": "lift.lift",
        "live": "live.live",
        "actions": "actions.actions",
        "search": "actions.search",
        "angles": "export.angles",
        "export": "export.export",
        "view": "export.view",
    },
    "Help": {
        "doctor": "doctor.doctor",
        "models list": "models.models_list",
        "models info": "models.models_info",
    },
    "Data": {
        "prepare amass-babel": "prepare.amass_babel",
        "prepare cmu": "prepare.cmu",
        "prepare hdm05": "prepare.hdm05",
        "prepare bandai": "prepare.bandai",
        "prepare bvh": "prepare.bvh",
        "prepare joint-maps": "prepare.joint_maps",
        "prepare h36m": "prepare.h36m",
        "prepare 3dhp": "prepare.mpi_inf_3dhp",
        "prepare synthetic": "prepare.synthetic",
        "corpus info": "corpus.info",
        "corpus show": "corpus.show",
    },
    "Train": {
        "train": "train_recipe.train",
        "pretrain": "train.pretrain",
        "finetune": "train.finetune",
        "models convert": "models.models_convert",
        "models export": "models.models_export",
        "models calibrate": "models.models_calibrate",
    },
    "Evaluate": {
        "evaluate open": "evaluate.open_benchmark",
        "evaluate h36m": "evaluate_paired.h36m",
        "evaluate 3dhp": "evaluate_paired.mpi_inf_3dhp",
        "benchmark open": "ablation.open_ablation",
        "benchmark zoo": "ablation.backbones",
        "reproduce table1": "reproduce.table1",
        "reproduce table2": "reproduce.table2",
        "reproduce table3": "reproduce.table3",
        "reproduce figure5": "reproduce.figure5",
        "reproduce figure7": "reproduce.figure7",
        "reproduce figure8": "reproduce.figure8",
    },
}
COMMANDS = {name: target for group in GROUPS.values() for name, target in group.items()}
# These commands parse their own arguments: a recipe defines the defaults of their options.
WITH_RECIPE = ("pretrain", "finetune")

# Parameters of the library that are set by options of other names; errors show the option.
FLAGS = {
    "fov_deg": "--fov",
    "focal_px": "--focal-px",
    "height_m": "--height",
    "max_gap_s": "--max-gap",
    "delay_frames": "--delay",
    "min_length_s": "--min-length",
    "image_size": "--image-size",
    "cutoff_hz": "--cutoff",
    "num_workers": "--jobs",
    "start_s": "--start",
    "stop_s": "--stop",
    "transition_penalty": "--transition-penalty",
}


_QUOTED = r"""(?<!\w)(?:'[^']*'|"[^"]*")"""
_END = r"(?=[,;:)]*(?:\s|$))"
# a whole word, so that names in paths are not changed
_VALUE = rf"(?:(True){_END}|(?=(?:[A-Z]+|\d+){_END}))"
_PARAMETER = rf"(?<![^\s(])(?:({'|'.join(FLAGS)}){_END}|([a-z_]+)={_VALUE})"


def with_flags(message: str, given: Iterable[str | Path] = ()) -> str:
    """Convert an error message of the library to the terms of the command line.

    `regressor=FILE` becomes `--regressor FILE`, and `approximate=True` becomes `--approximate`.
    Quoted text and paths are not changed.

    Args:
        message: Error message.
        given: Texts and paths from the user, which are not changed.
    """
    own = {text for each in given for text in (str(each), Path(each).name)}
    own = {text for text in own if re.search(_PARAMETER, text)}

    def option(match: re.Match[str]) -> str:
        if match[1]:
            return FLAGS[match[1]]
        return f"--{match[2].replace('_', '-')}{'' if match[3] else ' '}" if match[2] else match[0]

    kept = (re.escape(text) for text in sorted(own, key=len, reverse=True))
    return re.sub("|".join([*kept, _QUOTED, _PARAMETER]), option, message)


def _summary(target: str) -> str:
    """The first line of the docstring of a command, without importing its module."""
    module, function = target.split(".")
    source = Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    raise AssertionError(f"there is no {target}")


def _usage() -> str:
    lines = ["usage: actionpose COMMAND [OPTIONS]"]
    for heading, group in GROUPS.items():
        lines += ["", f"{heading}:", *_listed(group)]
    about = "actionpose COMMAND --help lists the options of a command; --version shows the version."
    return "\n".join([*lines, "", about])


def _listed(names: Iterable[str]) -> list[str]:
    return [f"  {name:20} {_summary(COMMANDS[name])}" for name in names]


def _load(target: str) -> Callable[..., Any]:
    module, function = target.split(".")
    command: Callable[..., Any] = getattr(
        importlib.import_module(f"actionpose.cli.{module}"), function
    )
    return command


def run(arguments: list[str]) -> None:
    """Find a command and run it.

    Raises:
        UserError: If the command does not exist; also raised by the command.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return
    if arguments[0] == "--version":
        print(f"actionpose {version('actionpose')}")
        return
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in COMMANDS:
            _run(name, arguments[words:])
            return
    below = [name for name in COMMANDS if name.startswith(f"{arguments[0]} ")]
    if below and arguments[1:] in ([], ["-h"], ["--help"]):
        usage = f"usage: actionpose {arguments[0]} COMMAND [OPTIONS]"
        print("\n".join([usage, "", *_listed(below)]))
        return
    given = " ".join(arguments[: 2 if below else 1])
    near = difflib.get_close_matches(given, below or COMMANDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(below or COMMANDS)}"
    raise UserError(f"no command {given}; {hint}")


def _run(name: str, arguments: list[str]) -> None:
    command = _load(COMMANDS[name])
    from actionpose.cli.options import notices_printed, parse

    worded = partial(with_flags, given=arguments)
    try:
        with notices_printed(worded):
            if name in WITH_RECIPE:
                command(arguments)
            else:
                parse(command, name, arguments)
    except UserError as error:
        raise UserError(worded(str(error))) from error


def main() -> None:
    """Entry point of `actionpose`."""
    with exit_codes("actionpose"):
        run(sys.argv[1:])
