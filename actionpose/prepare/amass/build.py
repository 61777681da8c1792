"""AMASS and its annotations into a corpus: many processes, flat memory, and nothing done twice.

Each recording becomes a part, a file of its own beside the corpus, named after all that it depends
on. When all are there, they are written into the corpus in the order of their ids, and removed. So
a run that was killed goes on where it was, and the corpus is the same for any number of processes.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from actionpose.datasets.corpus import Motion, write_corpus
from actionpose.prepare.amass.babel import read_babel
from actionpose.prepare.amass.body_models import (
    WHERE_REGRESSOR,
    BodyModel,
    approximate_regressor,
    load_bodies,
    load_regressor,
)
from actionpose.prepare.amass.labels import Texts
from actionpose.prepare.amass.motion_text import read_humanml3d, read_unified
from actionpose.prepare.amass.sequences import RATE_HZ, Tree, find_files
from actionpose.prepare.amass.smplh import Moments, moments
from actionpose.prepare.amass.workers import PART_FORMAT, Job, run
from actionpose.utils.errors import UserError

LICENSE = (
    "AMASS and its annotations: research only, not to be passed on; see the agreements you accepted"
)


@dataclass
class Report:
    """What was used and what was not, by reason; it is also kept in `corpus.json`."""

    texts: str
    keypoints: str
    read: dict[str, int]
    recordings: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)  # by split
    lost_s: float = 0.0  # of recordings that were left out, as the annotations say
    labels: Counter[str] = field(default_factory=Counter)  # by kind
    different: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        return {
            "texts": self.texts,
            "keypoints": self.keypoints,
            "read": dict(sorted(self.read.items())),
            "recordings": dict(sorted(self.recordings.items())),
            "hours": {
                name: round(seconds / 3600, 4)
                for name, seconds in [*sorted(self.seconds.items()), ("left out", self.lost_s)]
            },
            "labels": {**dict(sorted(self.labels.items())), "different texts": len(self.different)},
            "left out": dict(sorted(self.left_out.items())),
            "notes": dict(sorted(self.notes.items())),
        }

    def lines(self) -> Iterator[str]:
        for name, values in self.as_dict().items():
            if not isinstance(values, dict):
                yield f"{name:11} {values}"
                continue
            for place, (key, value) in enumerate(values.items()):
                number = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
                yield f"{name if place == 0 else '':11} {number:>9}  {key}"


def read_texts(path: Path, text: str = "proc_label") -> Texts:
    """Annotations of any kind that is known: a folder of BABEL or HumanML3D, or a json.

    Raises:
        UserError: it is none of them.
    """
    if path.is_dir():
        for index in (path / "index.csv", path.parent / "index.csv"):
            if index.is_file():
                return read_humanml3d(index)
        return read_babel(path, text)
    if path.suffix == ".json" and path.is_file():
        return read_unified(path)
    if path.name == "index.csv" and path.is_file():
        return read_humanml3d(path)
    raise UserError(
        f"there are no annotations at {path}: give a folder of BABEL (train.json, ...), a folder "
        "of HumanML3D (index.csv and texts), or a json of AMASS-Annotation-Unifier"
    )


def keypoint_source(
    bodies: dict[str, BodyModel], regressor: Path | None, approximate: bool
) -> tuple[dict[str, Moments], str]:
    """How joints come from each body, and in words.

    Raises:
        UserError: no regressor and no consent to do without.
    """
    if approximate and regressor is None:
        made = {name: moments(body, *approximate_regressor(body)) for name, body in bodies.items()}
        return made, (
            "APPROXIMATE: the body model's own joints in the place of Human3.6M's, some "
            "centimeters off; no regressor was given"
        )
    if regressor is None:
        raise UserError(
            f"give --regressor FILE: {WHERE_REGRESSOR}; or --approximate for joints like them, "
            "some centimeters off"
        )
    made = {name: moments(body, load_regressor(regressor, body)) for name, body in bodies.items()}
    kind = next(iter(bodies.values())).kind
    return made, f"exact: {regressor.name} on the mesh of {kind}"


def match(
    texts: Texts, tree: Tree, kind: str, parts: Path, seal: str
) -> tuple[list[Job], list[str]]:
    """The file of each recording, and the ids of those that have none, both in order.

    Raises:
        UserError: not one is there.
    """
    jobs, missing = [], []
    for recording in sorted(texts.recordings, key=lambda recording: recording.id):
        file = tree.find(recording.key, kind)
        if file is None:
            missing.append(recording.id)
            continue
        stat = file.stat()
        depends = [
            *(seal, asdict(recording), str(file.relative_to(tree.folder))),
            *(stat.st_size, stat.st_mtime_ns),
        ]
        name = hashlib.sha256(json.dumps(depends).encode()).hexdigest()[:32]
        jobs.append(Job(recording, file, parts / f"{name}.npz"))
    if not jobs:
        ours = [path for files in tree.files.values() for path in files]
        here = [str(path.relative_to(tree.folder)) for path in sorted(ours)[:3]]
        there = [recording.path for recording in texts.recordings[:3]]
        raise UserError(
            f"none of the {len(texts.recordings):,} recordings of {texts.name} is in "
            f"{tree.folder}: it names {', '.join(there) or 'nothing'}; there is "
            f"{', '.join(here) or 'no motion file'}; give the folder that holds the data sets"
        )
    return jobs, missing


def _seal(sources: dict[str, Moments], about: str) -> str:
    """A hash of everything that all parts depend on."""
    digest = hashlib.sha256(f"{PART_FORMAT} {about} {np.__version__} {torch.__version__}".encode())
    for gender, made in sorted(sources.items()):
        digest.update(gender.encode())
        for value in vars(made).values():
            if isinstance(value, np.ndarray):
                digest.update(value.tobytes())
    return digest.hexdigest()


def prepare(
    amass: Path,
    annotations: Path,
    out: Path,
    *,
    body_model: Path,
    regressor: Path | None = None,
    approximate: bool = False,
    text: str = "proc_label",
    workers: int = 1,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Report:
    """Make a corpus.

    Args:
        workers: processes. 1 is this one.
        progress: is told how many recordings are done, and of how many.

    Raises:
        UserError: something is missing or wrong; parts that are finished stay for the next run.
    """
    if out.exists():
        raise UserError(f"{out} exists already: remove it, or choose another name")
    texts, tree = read_texts(annotations, text), find_files(amass)
    bodies = load_bodies(body_model)
    sources, about = keypoint_source(bodies, regressor, approximate)
    parts = out.with_name(f"{out.name}.parts")
    kind = next(iter(bodies.values())).kind
    jobs, missing = match(texts, tree, kind, parts, _seal(sources, about))

    skipped = dict.fromkeys(missing, "no file of it in AMASS")
    report = Report(texts.name, about, dict(texts.read), left_out=Counter(texts.left_out))
    _make_folder(parts)
    run(jobs, sources, workers, skipped, progress)
    kept: dict[str, Any] = {}

    def motions() -> Iterator[Motion]:
        for job in jobs:
            if job.recording.id not in skipped:
                yield _load_part(job, report)
        report.recordings["with a text"] = len(texts.recordings)
        report.recordings["AMASS files without a text"] = len(tree.files) - len(
            {job.recording.key for job in jobs}
        )
        report.recordings["files that are no motion"] = tree.not_motion
        for recording in texts.recordings:
            if recording.id in skipped:
                report.lost_s += recording.duration_s or 0.0
                report.left_out["labels: of recordings left out"] += len(recording.labels)
        for reason in skipped.values():
            report.left_out[f"recordings: {reason.split(' (')[0]}"] += 1
        kept.update(report.as_dict())

    if len(skipped) == len(jobs) + len(missing):
        first = next(job.recording.id for job in jobs)
        raise UserError(f"no recording could be used; the first, {first}: {skipped[first]}")
    source = f"AMASS with {texts.name}"
    write_corpus(out, motions(), source=source, license=LICENSE, skipped=skipped, report=kept)
    shutil.rmtree(parts, ignore_errors=True)
    return report


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}") from error


def _load_part(job: Job, report: Report) -> Motion:
    with np.load(job.part, allow_pickle=False) as part:
        joints_m, about = part["joints_m"], json.loads(str(part["about"]))
    recording = job.recording
    for name in ("left_out", "notes"):
        getattr(report, name).update(about[name])
    labels = [(start, stop, text, kind) for start, stop, text, kind in about["labels"]]
    report.labels.update(kind for *_, kind in labels)
    report.different.update(text for _, _, text, _ in labels)
    report.recordings[f"written, {recording.split}"] += 1
    seconds = report.seconds.get(recording.split, 0.0) + len(joints_m) / RATE_HZ
    report.seconds[recording.split] = seconds
    return Motion(
        id=recording.id,
        subject="/".join(recording.path.split("/")[-3:-1]),
        split=recording.split,
        joints_m=joints_m,
        text=recording.text,
        labels=labels,
    )
