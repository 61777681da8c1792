"""Motion retrieval by text or by motion, in lifted results and corpora.

The embeddings of the windows of each source (a result file or a corpus) are stored in an index
file. The index records the source and the checkpoint, and is computed again if one of them changes.
Corpora have no 2D keypoints: each window is projected from the front and from the side, and the two
embeddings are averaged.
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

FORMAT = 2  # increased if code for the old format would misread the new one
VIEWS_RAD = (0.0, np.pi / 2)  # front and side
_DISTANCE_M, _HEIGHT_M = 4.5, 1.5  # distance and height of the camera for the projection of corpora
_BATCH = 16
_MIN_NORM = 0.5  # the embedding is zero for windows in which the person is not visible

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Hit:
    """A span of a motion that matches a query. `score` is the cosine similarity."""

    score: float
    source: Path  # the result or corpus
    motion: str  # name of a motion in a corpus, or "id N"
    start_s: float
    stop_s: float
    text: str  # description in the corpus


@dataclass(frozen=True)
class Index:
    """The embedded windows of a source."""

    source: Path
    embeddings: NDArray[np.float32]  # (W, E) unit vectors
    spans_s: Array  # (W, 2) start and stop times
    motion: IntArray  # (W,) rows of `motions`
    motions: list[tuple[str, str]]  # names and texts


def find_sources(places: Iterable[Path]) -> list[Path]:
    """Find results and corpora among paths and in folders.

    Raises:
        UserError: If a path does not exist, or contains no result or corpus.
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
    """The default folder of indices, in the user's cache."""
    return cache_folder() / "index"


def open_index(
    source: Path,
    model: ActionPose,
    *,
    folder: Path | None = None,
    progress: Progress = lambda windows: None,
) -> Index:
    """Read the index of a source from its file if it is up to date, or compute it.

    The index of a model without a hash of its weights is not stored.

    Args:
        folder: Folder of index files. By default `index_folder()`.
        progress: Function that is called with the number of windows embedded since the last call.

    Raises:
        UserError: If the source cannot be read, the model has no motion embedding, or the index
            cannot be written to a given `folder`. If the default folder is not writable, the index
            is not stored.
    """
    is_cache = folder is None
    if not model.checkpoint["sha256"]:
        return _make_index(source, model, progress)
    try:
        folder = folder or index_folder()
    except UserError:  # no home folder
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
        if not is_cache:  # the home folder may be read-only
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
    """A fingerprint that changes if the source changes."""
    if _is_corpus(source):
        return str(open_corpus(source).info["sha256"])
    about = source.stat()
    return f"{about.st_size} bytes, {about.st_mtime_ns} ns"


def _load_index(path: Path, source: Path, wanted: dict[str, Any], width: int) -> Index | None:
    """The index in a file, or None if it is missing, damaged or of another source or model."""
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
    except (UserError, KeyError, TypeError):  # TypeError: a 0-dimensional array has no length
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
    for run in runs(np.diff(spans)[:, 0]):  # batches contain windows of equal length
        for first in range(run.start, run.stop, _BATCH):
            part = rows[first : min(first + _BATCH, run.stop)]
            joints_m = [np.asarray(corpus.joints_m[a:b], np.float64) for a, b in part]
            embeddings.append(embed_motions(joints_m, corpus.fps, model))
            progress(len(part))
    names = [(motion.motion, motion.text) for motion in motions]
    return Index(source, np.concatenate(embeddings), spans / corpus.fps, motion, names)


def embed_motions(joints_m: Sequence[Array], fps: float, model: ActionPose) -> NDArray[np.float32]:
    """Embed motions (T, 17, 3) of equal length, in meters with z up, to unit vectors (N, E)."""
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
    """Embed a time span of the first person of a result as a query (E,).

    If no window is completely in the span, its motion is embedded again.

    Raises:
        UserError: If the first person is not visible; see also `Result.load` and `select`.
    """
    result = Result.load(source)
    if not result.valid[:1].any():
        raise UserError(f"{source} does not show its first person in any frame: there is no motion")
    first = int(result.track_id[0])
    part = select(result, person=first, start_s=start_s, stop_s=stop_s)
    embeddings, _ = model.embed_windows(part)
    return unit(embeddings[0].sum(axis=0))


def best_hits(indices: Iterable[Index], query: Array, top: int) -> list[Hit]:
    """The best spans in descending order of score, without overlapping spans of a motion.

    Args:
        query: (E,) Unit vector.
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
