"""Check of the inputs of `prepare amass-babel`, which reports missing ones and their sources."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from actionpose.prepare.amass.body_models import NAMES, BodyModel, load_bodies
from actionpose.prepare.amass.build import read_annotations, reduce_bodies
from actionpose.prepare.amass.labels import Annotations
from actionpose.prepare.amass.sequences import AmassFolder, poses_for, read_sequence, scan_folder
from actionpose.utils.errors import UserError

T = TypeVar("T")
_TRIES = 5  # number of files per dataset
WHERE_AMASS = (
    "download its archive from the AMASS web site, after registering, and unpack it there "
    "(the release must be the body model's: SMPL+H G for SMPL-H)"
)


@dataclass(frozen=True)
class Finding:
    """Result of a check. `ok` is None if an optional input is missing."""

    ok: bool | None
    subject: str
    message: str


def check(
    amass: Path,
    annotations: Path,
    body_model: Path,
    regressor: Path | None,
    approximate: bool,
) -> list[Finding]:
    """Check all inputs without writing files."""
    findings: list[Finding] = []

    def attempt(subject: str, function: Callable[[], T]) -> T | None:
        try:
            return function()
        except UserError as error:
            findings.append(Finding(False, subject, str(error)))
            return None

    bodies = attempt("body model", lambda: load_bodies(body_model))
    if bodies is not None:
        kind = NAMES[next(iter(bodies.values())).kind]
        findings.append(Finding(True, "body model", f"{kind}, {', '.join(bodies)}"))
        reduced = attempt("regressor", lambda: reduce_bodies(bodies, regressor, approximate))
        if reduced is not None:
            findings.append(Finding(None if regressor is None else True, "regressor", reduced[1]))
    found = attempt("annotations", lambda: read_annotations(annotations))
    if found is not None:
        read = ", ".join(f"{name} {count:,}" for name, count in found.read.items())
        findings.append(Finding(True, "annotations", f"{found.name}: {read}"))
    folder = attempt("AMASS", lambda: scan_folder(amass))
    if folder is not None and found is not None:
        findings += _by_data_set(folder, found, bodies)
    return findings


def _by_data_set(
    folder: AmassFolder, annotations: Annotations, bodies: dict[str, BodyModel] | None
) -> list[Finding]:
    """The available fraction of each dataset, and whether the body model supports its files."""
    kind = "smplh" if bodies is None else next(iter(bodies.values())).kind
    wanted: dict[str, list[Path | None]] = defaultdict(list)
    for sequence in annotations.sequences:
        wanted[sequence.path.split("/")[-3:][0]].append(folder.find(sequence.key, kind))
    findings = []
    for name, files in sorted(wanted.items()):
        present = [file for file in files if file is not None]
        ok, message = (True, "") if bodies is None else _try(present, kind, bodies)
        if not present:
            ok, message = None, f": {WHERE_AMASS}"
        count = f"{len(present):,} of {len(files):,} recordings with a text"
        findings.append(Finding(ok, name, f"{count}{message}"))
    if all(finding.ok is None for finding in findings):
        message = (
            f"no recording of {annotations.name} is in {folder.path}: give the folder of the data "
            "sets"
        )
        findings.append(Finding(False, "AMASS", message))
    return findings


def _try(files: list[Path], kind: str, bodies: dict[str, BodyModel]) -> tuple[bool | None, str]:
    """Read files until one is valid: some are damaged, and `prepare` omits and lists them."""
    error: UserError | None = None
    for file in files[:_TRIES]:
        try:
            sequence = read_sequence(file)
        except UserError as damaged:
            error = error or damaged
            continue
        try:
            poses_for(kind, sequence.poses[:1])
        except UserError as other:
            return False, f"; {file} is of {other}"
        if sequence.gender not in bodies:
            return None, f"; {file} needs a body model for {sequence.gender}, which is not there"
        return True, ""
    return False, f"; the first {min(len(files), _TRIES)} cannot be used: {error}"
