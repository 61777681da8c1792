"""Commands for action labels: `actionpose actions` and `actionpose search`."""

import time
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from actionpose.cli.options import (
    Checkpoint,
    Device,
    Engine,
    Quiet,
    Reading,
    ReadingOptions,
    check_belongs,
    check_input,
    check_number,
    check_outputs,
    progress_bar,
)
from actionpose.utils.errors import UserError


def actions(
    input: Positional[Path],
    labels: str | None = None,
    labels_file: Path | None = None,
    out: Annotated[UseAppendAction[tuple[Path, ...]], arg(aliases=["-o"])] = (),
    checkpoint: Checkpoint = "tiny",
    threshold: float | None = None,
    transition_penalty: float | None = None,
    min_length: float | None = None,
    reading: Reading = ReadingOptions(),  # noqa: B008  (frozen)
    device: Device = "auto",
    engine: Engine = "auto",
    quiet: Quiet = False,
) -> None:
    """Segment the motion of each person into a timeline of action labels.

    Without labels, about thirty everyday movements are used, and motion that matches none of them
    is labeled "unknown".

    Args:
        input: Result of `actionpose lift` (npz), video, or keypoint file.
        labels: Action labels separated by commas, such as "walk, sit down". docs/actions.md
            explains how to choose them.
        labels_file: Text file with one label per line, for example for labels that contain commas.
        out: File to write. The suffix selects the format: csv, json, txt (for ELAN), png (bar
            chart), or npz and html for a result that contains the timeline. May be repeated.
        threshold: Cosine similarity below which a time step is labeled "other"; -1 disables
            "other". By default the calibrated value of the checkpoint.
        transition_penalty: Cost of a change of label, in cosine similarity times seconds. A larger
            value gives fewer segments. By default 0.1.
        min_length: Minimum duration of a segment in seconds. By default 0.4.
    """
    check_input(input)
    check_number("--threshold", threshold, -1, 1)
    check_number("--transition-penalty", transition_penalty, 0)
    check_number("--min-length", min_length, 0)
    chosen = reading.chosen()
    from actionpose.result import Result, is_result

    is_lifted = is_result(input)
    check_belongs(chosen, input, result=is_lifted)
    from actionpose.actions.timeline import (
        MIN_LENGTH_S,
        OTHER,
        TRANSITION_PENALTY,
        UNKNOWN,
        clean_labels,
    )
    from actionpose.datasets.statistics import counted
    from actionpose.export import timelines
    from actionpose.inference.predictor import ActionPose
    from actionpose.keypoints import Keypoints
    from actionpose.utils.writers import WRITERS
    from actionpose.video.source import read_source

    known = [*timelines.WRITERS, *(s for s in WRITERS if s not in timelines.WRITERS)]
    if out:
        check_outputs(out, known, "timeline.csv")
    given = _labels(labels, labels_file)
    names = None if given is None else clean_labels(given)
    model = ActionPose.from_pretrained(checkpoint, device, engine)
    offered = model.default_labels() if names is None else names
    source: Any = Result.load(input) if is_lifted else read_source(input, **chosen)
    needs_result = any(path.suffix.lower() not in timelines.WRITERS for path in out)
    if needs_result and isinstance(source, Keypoints):
        source = model.lift(source)
    started = time.perf_counter()
    with progress_bar(quiet=quiet, unit="window") as bar:
        found = model.actions(
            source,
            names,
            threshold=threshold,
            transition_penalty=TRANSITION_PENALTY
            if transition_penalty is None
            else transition_penalty,
            min_length_s=MIN_LENGTH_S if min_length is None else min_length,
            progress=bar.update,
        )
    seconds = time.perf_counter() - started
    print(timelines.table(found))
    rejected = UNKNOWN if names is None else OTHER
    what = f"{counted(len(found), 'segment')} of {counted(len(offered), 'label')} and {rejected}"
    print(f"{what}, found in {seconds:.1f} s")
    for path in out:
        files = [path]
        if path.suffix.lower() in timelines.WRITERS:
            timelines.WRITERS[path.suffix.lower()](found, path)
        else:
            source.header["actions"] = [action.to_dict() for action in found]
            files = source.save(path)
        for file in files:
            print(f"wrote   {file}")


def _labels(labels: str | None, file: Path | None) -> list[str] | None:
    if labels is not None and file is not None:
        raise UserError("give --labels or --labels-file, not both")
    if labels is not None:
        return labels.split(",")
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"cannot read the labels {file}: {reason}") from error


def search(
    query: Positional[str],
    where: Positional[tuple[Path, ...]],
    top: int = 10,
    start: float | None = None,
    stop: float | None = None,
    json_out: Annotated[
        Path | None, arg(name="json", help="Also write the hits to this JSON file.")
    ] = None,
    index: Path | None = None,
    checkpoint: Checkpoint = "tiny",
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Search results and corpora for a motion, by text or by example.

    Args:
        query: Text, such as "sit down on a chair", or a result (npz) as an example motion.
        where: Results, corpora, or folders that contain them.
        top: Number of hits.
        start: Start time in seconds of the example motion, if the query is a result.
        stop: Stop time in seconds of the example motion, if the query is a result.
        index: Folder of the index files. By default actionpose/index in the user's cache folder.
    """
    from dataclasses import asdict

    from actionpose.actions.timeline import clean_labels
    from actionpose.datasets.statistics import counted
    from actionpose.inference import search as searching
    from actionpose.inference.predictor import ActionPose
    from actionpose.utils.files import check_not_inputs, write_json

    if top < 1:
        raise UserError(f"--top must be 1 or more, not {top}")
    by_motion = query.endswith(".npz")
    if not by_motion and (start is not None or stop is not None):
        raise UserError("--start and --stop belong to a query that is a result (npz)")
    texts = [] if by_motion else clean_labels([query])
    sources = searching.find_sources(where)
    if json_out:
        check_not_inputs((json_out,), (*sources, Path(query)))
    model = ActionPose.from_pretrained(checkpoint, device)
    if by_motion:
        vector = searching.embed_span(Path(query), model, start, stop)
    else:
        vector = model.embed_text(texts)[0]
    with progress_bar(quiet=quiet, unit="window", leave=False) as bar:
        indices = [
            searching.open_index(source, model, folder=index, progress=bar.update)
            for source in sources
        ]
    hits = searching.best_hits(indices, vector, top)
    for hit in hits:
        span = f"{hit.start_s:7.1f} to {hit.stop_s:7.1f} s"
        about = f"  ({hit.text})" if hit.text else ""
        print(f"{hit.score:6.3f}  {span}  {hit.source}  {hit.motion}{about}")
    count = sum(len(found.embeddings) for found in indices)
    windows = f"{counted(count, 'window')} of {counted(len(sources), 'source')}"
    print(f"{counted(len(hits), 'hit')} among {windows}")
    if json_out:
        plain = [{**asdict(hit), "source": str(hit.source)} for hit in hits]
        write_json(json_out, plain)
        print(f"wrote   {json_out}")
