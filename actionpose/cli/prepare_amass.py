"""`actionpose prepare amass-babel`: AMASS and its annotations into a corpus."""

import os
from pathlib import Path
from typing import Annotated, Literal

from tqdm import tqdm
from tyro.conf import Positional, arg

from actionpose.cli.options import Quiet
from actionpose.utils.errors import UserError


def amass_babel(
    amass: Positional[Path],
    annotations: Positional[Path],
    body_model: Path,
    out: Annotated[Path | None, arg(aliases=["-o"])] = None,
    regressor: Path | None = None,
    approximate: bool = False,
    text: Literal["proc_label", "raw_label"] = "proc_label",
    workers: int | None = None,
    check: bool = False,
    quiet: Quiet = False,
) -> None:
    """Make a corpus of AMASS with the labels of BABEL, HumanML3D or KIT-ML.

    The data need a registration of your own; docs/datasets/amass_babel.md says what to get,
    and what each line of the report means. A run that was stopped goes on when the command is
    given again.

    Args:
        amass: Folder of the data sets (CMU, KIT, ...).
        annotations: Folder of BABEL (train.json, ...) or HumanML3D (index.csv, texts), or a json
            of AMASS-Annotation-Unifier.
        body_model: Folder with male/model.npz and female/model.npz of SMPL-H.
        out: Folder of the new corpus.
        regressor: J_regressor_h36m_correct.npy.
        approximate: Without a regressor: joints of the body model instead, some centimeters off.
        text: BABEL's own cleaned label, or what the annotator typed.
        workers: Processes; else one for each core.
        check: Only look at the inputs, and say what is missing and where to get it.
    """
    if regressor is not None and approximate:
        raise UserError("give --regressor or --approximate, not both")
    if check:
        _check(amass, annotations, body_model, regressor, approximate)
        return
    from actionpose.prepare.amass.build import prepare

    if out is None:
        raise UserError("say where to write: -o CORPUS")
    if workers is None:
        # not every core of the machine may be this process's
        here = getattr(os, "sched_getaffinity", None)
        workers = len(here(0)) if here else os.cpu_count() or 1
    if workers < 1:
        raise UserError(f"--workers must be 1 or more, not {workers}")
    with tqdm(unit="file", disable=True if quiet else None) as bar:

        def progress(done: int, total: int) -> None:
            if bar.total is None:
                bar.reset(total)
                bar.initial = done  # so that the rate is of this run
            bar.update(done - bar.n)

        report = prepare(
            amass,
            annotations,
            out,
            body_model=body_model,
            regressor=regressor,
            approximate=approximate,
            text=text,
            workers=workers,
            progress=progress,
        )
    for line in report.lines():
        print(line)
    print(f"wrote       {out}")


def _check(
    amass: Path, annotations: Path, body_model: Path, regressor: Path | None, approximate: bool
) -> None:
    from actionpose.prepare.amass.preflight import check

    findings = check(amass, annotations, body_model, regressor, approximate)
    for finding in findings:
        mark = {True: "ok", False: "WRONG", None: "note"}[finding.ok]
        print(f"{mark:6} {finding.what:18} {finding.says}")
    wrong = sum(finding.ok is False for finding in findings)
    if wrong:
        raise UserError(f"{wrong} of {len(findings)} things are to be put right, see above")
