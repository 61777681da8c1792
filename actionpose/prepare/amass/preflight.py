"""A look at everything `prepare amass-babel` needs, before hours are spent: what is there, what is
missing, and where one gets it."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from actionpose.prepare.amass.body_models import NAMES, BodyModel, load_bodies
from actionpose.prepare.amass.build import keypoint_source, read_texts
from actionpose.prepare.amass.labels import Texts
from actionpose.prepare.amass.sequences import Tree, find_files, poses_for, read_mocap
from actionpose.utils.errors import UserError

T = TypeVar("T")
_TRIES = 5  # files of a data set
WHERE_AMASS = (
    "download its archive from the AMASS web site, after registering, and unpack it there "
    "(the release must be the body model's: SMPL+H G for SMPL-H)"
)


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `ok` is None where something is missing that one can do without."""

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
    """Look at every input; nothing is written."""
    found: list[Finding] = []

    def tried(what: str, function: Callable[[], T]) -> T | None:
        try:
            return function()
        except UserError as error:
            found.append(Finding(False, what, str(error)))
            return None

    bodies = tried("body model", lambda: load_bodies(body_model))
    if bodies is not None:
        kind = NAMES[next(iter(bodies.values())).kind]
        found.append(Finding(True, "body model", f"{kind}, {', '.join(bodies)}"))
        source = tried("regressor", lambda: keypoint_source(bodies, regressor, approximate))
        if source is not None:
            found.append(Finding(None if regressor is None else True, "regressor", source[1]))
    texts = tried("annotations", lambda: read_texts(annotations))
    if texts is not None:
        read = ", ".join(f"{name} {count:,}" for name, count in texts.read.items())
        found.append(Finding(True, "annotations", f"{texts.name}: {read}"))
    tree = tried("AMASS", lambda: find_files(amass))
    if tree is not None and texts is not None:
        found += _by_data_set(tree, texts, bodies)
    return found


def _by_data_set(tree: Tree, texts: Texts, bodies: dict[str, BodyModel] | None) -> list[Finding]:
    """How much of each data set is there, and whether the body model can pose a file of it."""
    kind = "smplh" if bodies is None else next(iter(bodies.values())).kind
    wanted: dict[str, list[Path | None]] = defaultdict(list)
    for recording in texts.recordings:
        name = recording.path.split("/")[-3:][0]
        wanted[name].append(tree.find(recording.key, kind))
    findings = []
    for name, files in sorted(wanted.items()):
        there = [file for file in files if file is not None]
        count = f"{len(there):,} of {len(files):,} recordings with a text"
        if not there:
            findings.append(Finding(None, name, f"{count}: {WHERE_AMASS}"))
        elif bodies is None:
            findings.append(Finding(True, name, count))
        else:
            ok, says = _try(there, kind, bodies)
            findings.append(Finding(ok, name, f"{count}{says}"))
    if not any(finding.ok is not None for finding in findings):
        says = f"no recording of {texts.name} is in {tree.folder}: give the folder of the data sets"
        findings.append(Finding(False, "AMASS", says))
    return findings


def _try(files: list[Path], kind: str, bodies: dict[str, BodyModel]) -> tuple[bool | None, str]:
    """Read until a file is whole: some always are not, and `prepare` leaves them out by name."""
    error: UserError | None = None
    for file in files[:_TRIES]:
        try:
            mocap = read_mocap(file)
        except UserError as damaged:
            error = error or damaged
            continue
        try:
            poses_for(kind, mocap.poses[:1])
        except UserError as other:
            return False, f"; {file} is of {other}"
        if mocap.gender not in bodies:
            return None, f"; {file} needs a body model for {mocap.gender}, which is not there"
        return True, ""
    return False, f"; the first {min(len(files), _TRIES)} cannot be used: {error}"
