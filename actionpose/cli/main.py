"""The command line: finds the command, calls it, and turns mistakes into one sentence.

Exit codes: 0 done; 2 the user's mistake, in one sentence; 3 some of several inputs failed; 130
interrupted; 141 the reader of the output went away.
"""

import sys
from collections.abc import Callable
from typing import Any

from actionpose.cli import ablation as benchmark
from actionpose.cli import (
    actions,
    corpus,
    evaluate,
    export,
    figures,
    lift,
    models,
    prepare_amass,
    prepare_mocap,
    reproduce,
    train,
)
from actionpose.cli import doctor_command as doctor
from actionpose.cli import evaluate_paired as evaluate_datasets
from actionpose.cli import prepare_paired as prepare_datasets
from actionpose.cli import prepare_synthetic as prepare
from actionpose.cli.options import parse
from actionpose.utils.errors import UserError, exit_codes

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": lift.demo,
    "lift": lift.lift,
    "actions": actions.actions,
    "search": actions.search,
    "angles": export.angles,
    "export": export.export,
    "view": export.view,
    "doctor": doctor.doctor,
    "models list": models.models_list,
    "models info": models.models_info,
    "models convert": models.models_convert,
    "models calibrate": actions.calibrate,
    "prepare amass-babel": prepare_amass.amass_babel,
    "prepare cmu": prepare_mocap.cmu,
    "prepare hdm05": prepare_mocap.hdm05,
    "prepare bandai": prepare_mocap.bandai,
    "prepare bvh": prepare_mocap.bvh,
    "prepare rigs": prepare_mocap.rigs,
    "prepare h36m": prepare_datasets.h36m,
    "prepare 3dhp": prepare_datasets.mpi_inf_3dhp,
    "prepare synthetic": prepare.synthetic,
    "corpus info": corpus.info,
    "corpus show": corpus.show,
    "evaluate open": evaluate.open_benchmark,
    "evaluate h36m": evaluate_datasets.h36m,
    "evaluate 3dhp": evaluate_datasets.mpi_inf_3dhp,
    "benchmark open": benchmark.open_ablation,
    "reproduce table1": reproduce.table1,
    "reproduce table2": reproduce.table2,
    "reproduce table3": reproduce.table3,
    "reproduce figure5": figures.figure5,
    "reproduce figure7": reproduce.figure7,
    "reproduce figure8": figures.figure8,
}
# These read a recipe before the options, whose defaults it then gives.
WITH_RECIPE: dict[str, Callable[[list[str]], None]] = {
    "pretrain": train.pretrain,
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
    with exit_codes("actionpose"):
        run(sys.argv[1:])
