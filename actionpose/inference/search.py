"""Search in motion: by text or by another motion, over lifted results and corpora.

Each source (a result file, or a corpus) is cut into windows, whose embeddings are kept in an index
file. An index says from which files and with which checkpoint it was made, and is made anew when
either changes. Corpora have no 2D: each window is projected from in front and from the side, and
the two embeddings are averaged.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actionpose.actions.label_bank import unit
from actionpose.datasets.corpus import open_corpus
from actionpose.datasets.projection import perspective_clip, place_camera
from actionpose.geometry.camera import heading_rad
from actionpose.inference.predictor import ActionPose
from actionpose.postprocessing.selection import select
from actionpose.result import Result, is_result
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write, cache_folder, make_folder
from actionpose.utils.json_files import parse_json, typed
from actionpose.utils.numpy_files import checked_numbers, load_npz
from actionpose.utils.resampling import runs
from actionpose.utils.sliding_windows import sliding_windows
from actionpose.utils.typing import Array, IntArray

FORMAT = 2  # raised when code that reads the old format would misread the new one
VIEWS_RAD = (0.0, np.pi / 2)  # from in front, from the side
_DISTANCE_M, _HEIGHT_M = 4.5, 1.5  # of the camera that corpora are projected with
_BATCH = 16
_MIN_NORM = 0.5  # windows in which nobody is visible have zeros

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Hit:
    """A span of a motion that answers a query; `score` is a cosine."""

    score: float
    source: Path  # the result, or the corpus
    motion: str  # the motion of a corpus, or "id N"
    start_s: float
    stop_s: float
    text: str  # what the corpus says that it is


@dataclass(frozen=True)
class Index:
    """Windows of one source."""

    source: Path
    embeddings: NDArray[np.float32]  # (W, E) unit vectors
    spans_s: Array  # (W, 2)
    motion: IntArray  # (W,) rows of `motions`
    motions: list[tuple[str, str]]  # name and text


def find_sources(places: Iterable[Path]) -> list[Path]:
    """Results and corpora: the places themselves, and what is in those that are folders.

    Raises:
        UserError: a place does not exist or has nothing to search in.
    """
    found: dict[Path, None] = {}
    for place in places:
        if not place.exists():
            raise UserError(f"there is no {place}: name results, corpora, or folders of them")
        here = [place] if place.is_file() else [place, *sorted(place.rglob("*"))]
        sources = [path for path in here if _is_corpus(path) or path.is_file() and is_result(path)]
        if not sources:
            raise UserError(
                f"{place} has nothing to search in: neither a result of `actionpose lift` (npz) "
                "nor a corpus"
            )
        found |= dict.fromkeys(sources)
    if not found:
        raise UserError("say where to search: name results, corpora, or folders of them")
    return list(found)


def _is_corpus(path: Path) -> bool:
    return (path / "corpus.json").is_file()


def index_folder() -> Path:
    """Where indices are kept: the user's cache."""
    return cache_folder() / "index"


def open_index(
    source: Path,
    model: ActionPose,
    *,
    folder: Path | None = None,
    progress: Progress = lambda windows: None,
) -> Index:
    """The index of a source: from its file if that is of the source as it is and of this model.

    That of a model without a hash of its weights is not kept.

    Args:
        folder: of the index files; by default `index_folder()`.
        progress: called with windows embedded since the last call.

    Raises:
        UserError: the source cannot be read, the model knows no actions, or the index cannot be
            written to the `folder` that was given; without one, nothing is kept then.
    """
    is_cache = folder is None
    if not model.checkpoint["sha256"]:
        return _make_index(source, model, progress)
    try:
        folder = folder or index_folder()
    except UserError:  # no home
        return _make_index(source, model, progress)
    digest = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:16]
    path = folder / f"{source.stem}-{digest}.npz"
    wanted = {
        "format": FORMAT,
        "checkpoint": model.checkpoint["sha256"],
        "source": _fingerprint(source),
    }
    if (stored := _load_index(path, source, wanted, model.embedding_dim)) is not None:
        return stored
    made = _make_index(source, model, progress)
    try:
        _save_index(made, path, wanted)
    except UserError:
        if not is_cache:  # a home may be read-only
            raise
    return made


def _make_index(source: Path, model: ActionPose, progress: Progress) -> Index:
    return (
        _index_corpus(source, model, progress)
        if _is_corpus(source)
        else _index_result(source, model)
    )


def _save_index(made: Index, path: Path, about: dict[str, Any]) -> None:
    make_folder(path.parent)
    header = json.dumps({**about, "motions": made.motions})
    with atomic_write(path) as unfinished:
        np.savez(
            unfinished,
            embeddings=made.embeddings.astype(np.float16),
            spans_s=made.spans_s,
            motion=made.motion,
            header=np.array(header),
        )


def _fingerprint(source: Path) -> str:
    """What changes when the source does."""
    if _is_corpus(source):
        return str(open_corpus(source).info["sha256"])
    about = source.stat()
    return f"{about.st_size} bytes, {about.st_mtime_ns} ns"


def _load_index(path: Path, source: Path, wanted: dict[str, Any], width: int) -> Index | None:
    """The index in a file, unless there is none, it is damaged, or it is of something else."""
    try:
        found = load_npz(path)
        header = parse_json(str(found.get("header")), str(path))
        if not isinstance(header, dict) or any(header.get(k) != v for k, v in wanted.items()):
            return None
        motions = typed(list[tuple[str, str]], header.get("motions"), str(path))
        rows = len(found["embeddings"])
        embeddings = checked_numbers(found["embeddings"], "", (rows, width))
        spans_s = checked_numbers(found["spans_s"], "", (rows, 2))
        motion = checked_numbers(found["motion"], "", (rows,))
        if motion.dtype.kind != "i" or not np.isin(motion, np.arange(len(motions))).all():
            return None
    except (UserError, KeyError, TypeError):  # TypeError: an array without axes has no length
        return None
    return Index(source, embeddings.astype(np.float32), spans_s, motion, motions)


def _index_result(source: Path, model: ActionPose) -> Index:
    result = Result.load(source)
    embeddings, spans_s = model.embed_windows(result)
    person, window = np.nonzero(np.linalg.norm(embeddings, axis=-1) > _MIN_NORM)
    motions = [(f"id {track}", "") for track in result.track_id]
    return Index(source, embeddings[person, window], spans_s[window], person, motions)


def _index_corpus(source: Path, model: ActionPose, progress: Progress) -> Index:
    corpus = open_corpus(source)
    motions = list(corpus.motions().values())
    length = round(model.frames * corpus.fps / model.fps)
    windows = [sliding_windows(len(motion), length) for motion in motions]
    motion = np.repeat(np.arange(len(motions)), [len(spans) for spans in windows])
    spans = np.concatenate(windows)  # frames of each motion
    order = np.argsort(np.diff(spans)[:, 0], kind="stable")
    motion, spans = motion[order], spans[order]
    rows = spans + np.array([m.start for m in motions])[motion, None]
    embeddings = []
    for run in runs(np.diff(spans)[:, 0]):  # windows of one length go together
        for first in range(run.start, run.stop, _BATCH):
            part = rows[first : min(first + _BATCH, run.stop)]
            joints_m = [np.asarray(corpus.joints_m[a:b], np.float64) for a, b in part]
            embeddings.append(embed_motions(joints_m, corpus.fps, model))
            progress(len(part))
    names = [(motion.motion, motion.text) for motion in motions]
    return Index(source, np.concatenate(embeddings), spans / corpus.fps, motion, names)


def embed_motions(joints_m: Sequence[Array], fps: float, model: ActionPose) -> NDArray[np.float32]:
    """Unit vectors (N, E) of motions (T, 17, 3) of one length, in meters, z up."""
    total: NDArray[np.float32] | float = 0.0
    for view_rad in VIEWS_RAD:
        clips = []
        for motion_m in joints_m:
            if abs(fps / model.fps - 1) > 0.1:
                count = max(1, round(len(motion_m) * model.fps / fps))
                nearest = np.linspace(0, len(motion_m) - 1, count).round().astype(int)
                motion_m = motion_m[nearest]
            azimuth_rad = heading_rad(motion_m[0]) + view_rad
            camera = place_camera(motion_m, azimuth_rad, _DISTANCE_M, _HEIGHT_M)
            clips.append(perspective_clip(motion_m, camera, model.normalization, None)["keypoints"])
        engine = model.engine(sum(map(len, clips)))
        inputs = torch.from_numpy(np.stack(clips)).float()
        total = total + np.asarray(engine.embeddings(inputs).cpu(), dtype=np.float32)
    return unit(np.asarray(total))


def embed_span(
    source: Path, model: ActionPose, start_s: float | None = None, stop_s: float | None = None
) -> NDArray[np.float32]:
    """A motion as a query: (E,) of the first person of a result, between two times.

    If no window lies wholly between them, what is there is embedded anew.

    Raises:
        UserError: see `Result.load` and `select`, or the first person is in no frame.
    """
    result = Result.load(source)
    if not result.valid[:1].any():
        raise UserError(f"{source} does not show its first person in any frame: there is no motion")
    first = int(result.track_id[0])
    part = select(result, person=first, start_s=start_s, stop_s=stop_s)
    embeddings, _ = model.embed_windows(part)
    return unit(embeddings[0].sum(axis=0))


def best_hits(indices: Iterable[Index], query: Array, top: int) -> list[Hit]:
    """The best spans, the best first; no two of one motion overlap.

    Args:
        query: (E,) unit vector.
    """
    hits: list[Hit] = []
    for index in indices:
        scores = index.embeddings @ query
        taken = np.empty(0, dtype=np.int64)
        for row in np.argsort(-scores, kind="stable"):
            if len(taken) == top:
                break
            (start_s, stop_s), others = index.spans_s[row], index.spans_s[taken]
            overlap = (others[:, 0] < stop_s) & (start_s < others[:, 1])
            if (overlap & (index.motion[taken] == index.motion[row])).any():
                continue
            taken = np.append(taken, row)
            name, text = index.motions[index.motion[row]]
            span_s = (round(float(start_s), 3), round(float(stop_s), 3))
            hits.append(Hit(round(float(scores[row]), 4), index.source, name, *span_s, text))
    return sorted(hits, key=lambda hit: -hit.score)[:top]
