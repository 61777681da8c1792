"""Conversion of sequences to parts, files with their joints and labels, by several processes.

A part is named by a hash of everything it depends on, so that an existing part is not created
again. Each sequence is posed in one thread, so that results are bitwise identical for any number of
processes.
"""

import json
import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from actionpose.prepare import CORPUS_FPS
from actionpose.prepare.amass.labels import AnnotatedSequence, frame_spans
from actionpose.prepare.amass.sequences import poses_for, read_sequence, resample, true_fps
from actionpose.prepare.amass.smplh import ReducedBody, pose_joints
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.utils.processes import end_with_parent

T = TypeVar("T")
PART_FORMAT = 1  # increased if the same input gives other parts
_TEXTS_FPS = 20  # frame rate of HumanML3D

Bodies = dict[str, ReducedBody]  # by gender


@dataclass(frozen=True)
class PartTask:
    """A sequence, its file, and the path of its part."""

    sequence: AnnotatedSequence
    file: Path
    part: Path


# one sequence, in any process


def make_part(task: PartTask, bodies: Bodies) -> str | None:
    """Write the part of a sequence, or return the reason if its file cannot be used.

    Raises:
        UserError: If the part cannot be written.
    """
    try:
        joints_m, about = _pose(task.sequence, task.file, bodies)
    except UserError as error:
        # the corpus lists sequences by id, without local paths
        return str(error).replace(f"{task.file}: ", "").replace(f"{task.file} ", "it ")
    except OSError as error:
        return f"the file cannot be used ({error.strerror or error})"
    except Exception as error:
        error.add_note(f"while {task.file} was posed")
        raise
    with atomic_write(task.part) as path:
        np.savez(path, joints_m=joints_m, about=np.array(json.dumps(about, ensure_ascii=False)))
    return None


def _pose(annotated: AnnotatedSequence, file: Path, bodies: Bodies) -> tuple[Any, dict[str, Any]]:
    """Joints, labels and omitted labels, as stored in a part.

    Raises:
        UserError: A reason with details in brackets.
    """
    sequence = _with_reason("the file cannot be used", read_sequence, file)
    if sequence.gender not in bodies:
        raise UserError(f"no body model for its gender ({sequence.gender})")
    body = bodies[sequence.gender]
    reason = "its length does not fit the annotations"
    fps = _with_reason(reason, true_fps, sequence, annotated.duration_s)
    notes: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    if sequence.fps is None:
        notes["recordings: no rate in the file, taken from the duration"] += 1
    elif fps != sequence.fps:
        notes["recordings: wrong rate in the file, put right by the duration"] += 1
    if len(sequence.betas) > body.num_shapes:
        notes[f"recordings: shape coefficients cut to the model's {body.num_shapes}"] += 1
    first, last, stretch = 0.0, None, 1.0
    if annotated.cut is not None:
        start, stop, cut_off_s = annotated.cut
        # HumanML3D subsamples by the rate of the header, and treats the result as 20 Hz
        stride = max(1, int((sequence.fps or fps) / _TEXTS_FPS))
        before = int(cut_off_s * _TEXTS_FPS)
        first, last = (before + start) * stride, None if stop < 0 else (before + stop) * stride
        stretch = stride * _TEXTS_FPS / fps  # duration of its seconds
    poses, trans_m = resample(sequence, fps, first, last)
    if len(poses) == 0:
        raise UserError(f"its cut lies after the end (frame {first} of {len(sequence.poses)})")
    poses = _with_reason("of another release than the body model", poses_for, body.kind, poses)
    joints_m = pose_joints(body, poses, sequence.betas, trans_m)
    labels = frame_spans(annotated.labels, len(joints_m), CORPUS_FPS * stretch, left_out)
    about = {"labels": labels, "left_out": left_out, "notes": notes}
    return joints_m.astype(np.float32), about


def _with_reason(reason: str, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function, and precede the details of an error with a reason that can be counted."""
    try:
        return function(*arguments)
    except UserError as error:
        raise UserError(f"{reason} ({error})") from error


# several processes


def make_parts(
    tasks: list[PartTask],
    bodies: Bodies,
    workers: int,
    skipped: dict[str, str],
    progress: Callable[[int, int], object],
) -> None:
    """Create all missing parts, and fill `skipped`."""
    waiting = [task for task in tasks if not task.part.exists()]
    done = len(tasks) - len(waiting)
    progress(done, len(tasks))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that sums have the same order, and are bitwise identical
    try:
        with closing(_results(waiting, bodies, workers)) as results:
            for task, reason in results:
                if reason is not None:
                    skipped[task.sequence.id] = reason
                done += 1
                progress(done, len(tasks))
    finally:
        torch.set_num_threads(threads)


def _results(
    tasks: list[PartTask], bodies: Bodies, workers: int
) -> Generator[tuple[PartTask, str | None]]:
    if workers == 1 or len(tasks) < 2:
        for task in tasks:
            yield task, make_part(task, bodies)
        return
    # forkserver imports once and forks before threads exist; with spawn, each process imports
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload([__name__])
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)), context, initializer=_start_worker, initargs=(bodies,)
    )
    try:
        yield from _in_pool(pool, tasks, 4 * workers)
    except BrokenProcessPool as error:
        raise UserError(
            "a process was killed, most likely for want of memory; try again with fewer workers: "
            "what is finished is kept"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_pool(
    pool: Executor, tasks: list[PartTask], ahead: int
) -> Iterator[tuple[PartTask, str | None]]:
    """Limit the number of submitted tasks, so that memory is bounded."""
    rest = iter(tasks)
    running: dict[Future[str | None], PartTask] = {}
    while True:
        for task in rest:
            running[pool.submit(_work, task)] = task
            if len(running) >= ahead:
                break
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()


_bodies: Bodies = {}  # of this worker process


def _start_worker(bodies: Bodies) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles it
    torch.set_num_threads(1)
    _bodies.update(bodies)
    end_with_parent()


def _work(task: PartTask) -> str | None:
    return make_part(task, _bodies)
