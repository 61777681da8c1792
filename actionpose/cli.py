"""The command line: finds the command, calls it, and turns mistakes into one sentence.

Exit codes: 0 done; 2 the user's mistake, in one sentence; 3 some of several inputs failed; 130
interrupted.
"""

import sys
from collections.abc import Callable
from typing import Any

from actionpose.commands import actions, benchmark, evaluate, lift, models, prepare, train
from actionpose.commands.common import parse
from actionpose.errors import UserError

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": lift.demo,
    "lift": lift.lift,
    "export": lift.export,
    "actions": actions.actions,
    "search": actions.search,
    "prepare synthetic": prepare.synthetic,
    "evaluate open": evaluate.open_benchmark,
    "benchmark open": benchmark.open_ablation,
    "models list": models.models_list,
    "models info": models.models_info,
    "models convert": models.models_convert,
    "models calibrate": actions.calibrate,
}
# These read a recipe before the options, whose defaults it then gives.
WITH_RECIPE: dict[str, Callable[[list[str]], None]] = {
    "finetune": train.finetune,
}


def _usage() -> str:
    lines = ["usage: actionpose COMMAND [OPTIONS]", ""]
    for name, command in {**COMMANDS, **WITH_RECIPE}.items():
        lines.append(f"  {name:20} {(command.__doc__ or '').splitlines()[0]}")
    return "\n".join([*lines, "", "actionpose COMMAND --help tells the options of a command."])


def run(arguments: list[str]) -> None:
    """Find the command and call it."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in WITH_RECIPE:
            WITH_RECIPE[name](arguments[words:])
            return
        if name in COMMANDS:
            parse(COMMANDS[name], name, arguments[words:])
            return
    names = [*COMMANDS, *WITH_RECIPE]
    below = [name for name in names if name.startswith(f"{arguments[0]} ")]
    known = ", ".join(below or names)
    raise UserError(f"no command {' '.join(arguments[:2])}; there are: {known}")


def main() -> None:
    """The entry point `actionpose`."""
    try:
        run(sys.argv[1:])
    except UserError as error:
        print(f"actionpose: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("actionpose: interrupted", file=sys.stderr)
        sys.exit(130)
