"""Conversion of AMASS to a corpus with several processes, bounded memory, and resuming.

Each sequence is converted to a part, a separate file next to the corpus that is named by a hash of
everything it depends on. The finished parts are written to the corpus in the order of their ids and
removed. Interrupted conversions can therefore be resumed, and the corpus is the same for any number
of processes.
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
from actionpose.prepare import CORPUS_FPS
from actionpose.prepare.amass.babel import read_babel
from actionpose.prepare.amass.body_models import (
    WHERE_REGRESSOR,
    BodyModel,
    approximate_regressor,
    load_bodies,
    load_regressor,
)
from actionpose.prepare.amass.labels import Annotations
from actionpose.prepare.amass.motion_text import read_humanml3d, read_unified
from actionpose.prepare.amass.sequences import AmassFolder, scan_folder
from actionpose.prepare.amass.smplh import reduce_body
from actionpose.prepare.amass.workers import PART_FORMAT, Bodies, PartTask, make_parts
from actionpose.utils.errors import UserError
from actionpose.utils.files import make_folder
from actionpose.utils.locks import one_at_a_time
from actionpose.utils.numpy_files import load_npz

LICENSE = (
    "AMASS and its annotations: research only, not to be passed on; see the agreements you accepted"
)


@dataclass
class Report:
    """Counts of used and unused data by reason, which are also stored in `corpus.json`."""

    texts: str
    keypoints: str
    read: dict[str, int]
    recordings: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)  # by split
    lost_s: float = 0.0  # of omitted sequences, from the annotations
    labels: Counter[str] = field(default_factory=Counter)  # by kind
    distinct: set[str] = field(default_factory=set)  # texts
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        seconds = {**dict(sorted(self.seconds.items())), "left out": self.lost_s}
        return {
            "texts": self.texts,
            "keypoints": self.keypoints,
            "read": dict(sorted(self.read.items())),
            "recordings": dict(sorted(self.recordings.items())),
            "hours": {name: round(value / 3600, 4) for name, value in seconds.items()},
            "labels": {**dict(sorted(self.labels.items())), "different texts": len(self.distinct)},
            "left out": dict(sorted(self.left_out.items())),
            "notes": dict(sorted(self.notes.items())),
        }

    def lines(self) -> Iterator[str]:
        for name, values in self.as_dict().items():
            if not isinstance(values, dict):
                yield f"{name:11} {values}"
                continue
            for key, value in values.items():
                number = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
                yield f"{name:11} {number:>9}  {key}"
                name = ""

    def add(self, part: PartTask) -> Motion:
        """Count a part, and return its motion."""
        made = load_npz(part.part)
        joints_m, about = made["joints_m"], json.loads(str(made["about"]))
        sequence, labels = part.sequence, [tuple(label) for label in about["labels"]]
        self.left_out.update(about["left_out"])
        self.notes.update(about["notes"])
        self.labels.update(kind for *_, kind in labels)
        self.distinct.update(text for _, _, text, _ in labels)
        self.recordings[f"written, {sequence.split}"] += 1
        seconds = self.seconds.get(sequence.split, 0.0) + len(joints_m) / CORPUS_FPS
        self.seconds[sequence.split] = seconds
        return Motion(
            id=sequence.id,
            subject="/".join(sequence.path.split("/")[-3:-1]),
            split=sequence.split,
            joints_m=joints_m,
            text=sequence.text,
            labels=labels,
            categories=sequence.categories,
        )


def read_annotations(path: Path, text: str = "proc_label") -> Annotations:
    """Read annotations of any supported format: a folder of BABEL or HumanML3D, or a json.

    Raises:
        UserError: If the format is unknown.
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


def reduce_bodies(
    bodies: dict[str, BodyModel], regressor: Path | None, approximate: bool
) -> tuple[Bodies, str]:
    """Reduce each body model to its joints, and describe the source of the joints.

    Raises:
        UserError: If there is no regressor and `approximate` is False.
    """
    if regressor is not None:
        reduced = {
            name: reduce_body(body, load_regressor(regressor, body))
            for name, body in bodies.items()
        }
        kind = next(iter(bodies.values())).kind
        return reduced, f"exact: {regressor.name} on the mesh of {kind}"
    if not approximate:
        raise UserError(
            f"give regressor=FILE: {WHERE_REGRESSOR}; or approximate=True for joints like them, "
            "some centimeters off"
        )
    reduced = {
        name: reduce_body(body, *approximate_regressor(body)) for name, body in bodies.items()
    }
    return reduced, (
        "APPROXIMATE: the body model's own joints in the place of Human3.6M's, some "
        "centimeters off; no regressor was given"
    )


def match_files(
    annotations: Annotations, folder: AmassFolder, kind: str, parts: Path, fingerprint: str
) -> tuple[list[PartTask], list[str]]:
    """The file of each sequence, and the ids of sequences without a file, both in order.

    Raises:
        UserError: If there are no files.
    """
    tasks, missing = [], []
    for sequence in sorted(annotations.sequences, key=lambda sequence: sequence.id):
        file = folder.find(sequence.key, kind)
        if file is None:
            missing.append(sequence.id)
            continue
        stat, name = file.stat(), str(file.relative_to(folder.path))
        depends = [fingerprint, asdict(sequence), name, stat.st_size, stat.st_mtime_ns]
        digest = hashlib.sha256(json.dumps(depends).encode()).hexdigest()[:32]
        tasks.append(PartTask(sequence, file, parts / f"{digest}.npz"))
    if not tasks:
        files = sorted(path for paths in folder.files.values() for path in paths)[:3]
        here = ", ".join(str(path.relative_to(folder.path)) for path in files)
        wanted = ", ".join(sequence.path for sequence in annotations.sequences[:3])
        raise UserError(
            f"none of the {len(annotations.sequences):,} recordings of {annotations.name} is in "
            f"{folder.path}: it names {wanted or 'nothing'}; there is "
            f"{here or 'no motion file'}; give the folder that holds the data sets"
        )
    return tasks, missing


def _fingerprint(bodies: Bodies, about: str) -> str:
    """A hash of everything that all parts depend on."""
    digest = hashlib.sha256(f"{PART_FORMAT} {about} {np.__version__} {torch.__version__}".encode())
    for gender, body in sorted(bodies.items()):
        digest.update(gender.encode())
        for value in vars(body).values():
            if isinstance(value, np.ndarray):
                digest.update(value.tobytes())
    return digest.hexdigest()


def prepare(
    amass: Path,
    annotations: Path,
    out_dir: Path,
    *,
    body_model: Path,
    regressor: Path | None = None,
    approximate: bool = False,
    text: str = "proc_label",
    workers: int = 1,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Report:
    """Create a corpus.

    Args:
        amass: Folder of AMASS.
        annotations: Annotations, see `read_annotations`.
        out_dir: Folder to create.
        body_model: Body models, see `load_bodies`.
        regressor: Regressor of the joints of Human3.6M.
        approximate: Whether to approximate the joints without a regressor.
        text: Text of BABEL labels, see `read_babel`.
        workers: Number of processes; 1 is this process.
        progress: Function that is called with the number of finished sequences and of all.

    Raises:
        UserError: If an input is missing or invalid. Finished parts are kept for the next run.
    """
    if out_dir.exists():
        raise UserError(f"{out_dir} exists already: remove it, or choose another name")
    found, folder = read_annotations(annotations, text), scan_folder(amass)
    models = load_bodies(body_model)
    bodies, about = reduce_bodies(models, regressor, approximate)
    parts = out_dir.with_name(f"{out_dir.name}.parts")
    kind = next(iter(models.values())).kind
    tasks, missing = match_files(found, folder, kind, parts, _fingerprint(bodies, about))

    skipped = dict.fromkeys(missing, "no file of it in AMASS")
    report = Report(found.name, about, dict(found.read), left_out=Counter(found.left_out))
    make_folder(parts)
    with one_at_a_time(parts):
        make_parts(tasks, bodies, workers, skipped, progress)
    kept: dict[str, Any] = {}

    def motions() -> Iterator[Motion]:
        for task in tasks:
            if task.sequence.id not in skipped:
                yield report.add(task)
        num_used = len({task.sequence.key for task in tasks})
        report.recordings["with a text"] = len(found.sequences)
        report.recordings["AMASS files without a text"] = len(folder.files) - num_used
        report.recordings["files that are no motion"] = folder.num_others
        for sequence in found.sequences:
            if sequence.id in skipped:
                report.lost_s += sequence.duration_s or 0.0
                report.left_out["labels: of recordings left out"] += len(sequence.labels)
        for reason in skipped.values():
            report.left_out[f"recordings: {reason.split(' (')[0]}"] += 1
        kept.update(report.as_dict())

    if len(skipped) == len(tasks) + len(missing):
        first = tasks[0].sequence.id
        raise UserError(f"no recording could be used; the first, {first}: {skipped[first]}")
    source = f"AMASS with {found.name}"
    write_corpus(out_dir, motions(), source=source, license=LICENSE, skipped=skipped, report=kept)
    shutil.rmtree(parts, ignore_errors=True)
    return report
