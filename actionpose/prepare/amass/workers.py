"""The joints and labels of each recording in a file of its own, made by many processes.

A part is named after all that it depends on, so that one that is there need not be made again. Each
recording is posed by one thread: the bits are the same for any number of processes.
"""

import json
import multiprocessing
import os
import signal
import threading
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

from actionpose.prepare.amass.labels import Recording, frame_spans
from actionpose.prepare.amass.sequences import RATE_HZ, poses_for, read_mocap, resample, true_rate
from actionpose.prepare.amass.smplh import Moments, pose_joints
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write

T = TypeVar("T")
PART_FORMAT = 1  # raised when the same input gives other parts
_TEXTS_HZ = 20  # what HumanML3D counts frames in


@dataclass(frozen=True)
class Job:
    """A recording, the file it is in, and where its part goes."""

    recording: Recording
    file: Path
    part: Path


# One recording, in whichever process


def make_part(job: Job, sources: dict[str, Moments]) -> str | None:
    """Write the part of one recording; return why not, if its file cannot be used.

    Raises:
        UserError: the part cannot be written.
    """
    try:
        joints_m, about = _pose(job.recording, job.file, sources)
    except UserError as error:
        # the corpus lists recordings by id: where the file lay does not belong in it
        return str(error).replace(f"{job.file}: ", "").replace(f"{job.file} ", "it ")
    except OSError as error:
        return f"the file cannot be used ({error.strerror or error})"
    except Exception as error:
        error.add_note(f"while {job.file} was posed")
        raise
    with atomic_write(job.part) as path:
        np.savez(path, joints_m=joints_m, about=np.array(json.dumps(about, ensure_ascii=False)))
    return None


def _pose(
    recording: Recording, file: Path, sources: dict[str, Moments]
) -> tuple[Any, dict[str, Any]]:
    """Joints, and what is said of them, as the part keeps it.

    Raises:
        UserError: a reason with its details in brackets.
    """
    mocap = _or("the file cannot be used", read_mocap, file)
    if mocap.gender not in sources:
        raise UserError(f"no body model for its gender ({mocap.gender})")
    source = sources[mocap.gender]
    fps = _or("its length does not fit the annotations", true_rate, mocap, recording.duration_s)
    notes: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    if mocap.fps is None:
        notes["recordings: no rate in the file, taken from the duration"] += 1
    elif fps != mocap.fps:
        notes["recordings: wrong rate in the file, put right by the duration"] += 1
    if len(mocap.betas) > source.num_shapes:
        notes[f"recordings: shape coefficients cut to the model's {source.num_shapes}"] += 1
    first, last, stretch = 0.0, None, 1.0
    if recording.cut is not None:
        start, stop, cut_off_s = recording.cut
        # HumanML3D takes every so many frames, by the header, and calls what comes out 20 Hz
        every = max(1, int((mocap.fps or fps) / _TEXTS_HZ))
        before = int(cut_off_s * _TEXTS_HZ)
        first, last = (before + start) * every, None if stop < 0 else (before + stop) * every
        stretch = every * _TEXTS_HZ / fps  # its seconds are this long
    poses, trans_m = resample(mocap, fps, first, last)
    if len(poses) == 0:
        raise UserError(f"its cut lies after the end (frame {first} of {len(mocap.poses)})")
    poses = _or("of another release than the body model", poses_for, source.kind, poses)
    joints_m = pose_joints(source, poses, mocap.betas, trans_m)
    labels = frame_spans(recording.labels, len(joints_m), RATE_HZ * stretch, left_out)
    about = {"labels": labels, "left_out": left_out, "notes": notes}
    return joints_m.astype(np.float32), about


def _or(reason: str, function: Callable[..., T], *arguments: Any) -> T:
    """Put a reason that can be counted before the details."""
    try:
        return function(*arguments)
    except UserError as error:
        raise UserError(f"{reason} ({error})") from error


# Many processes


def run(
    jobs: list[Job],
    sources: dict[str, Moments],
    workers: int,
    skipped: dict[str, str],
    progress: Callable[[int, int], object],
) -> None:
    """Make all parts that are not there; fill `skipped`."""
    waiting = [job for job in jobs if not job.part.exists()]
    done = len(jobs) - len(waiting)
    progress(done, len(jobs))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that sums have the same order, and so bits, everywhere
    try:
        with closing(_results(waiting, sources, workers)) as results:
            for job, reason in results:
                if reason is not None:
                    skipped[job.recording.id] = reason
                done += 1
                progress(done, len(jobs))
    finally:
        torch.set_num_threads(threads)


def _results(
    jobs: list[Job], sources: dict[str, Moments], workers: int
) -> Generator[tuple[Job, str | None]]:
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, make_part(job, sources)
        return
    # forkserver imports once and forks before there are threads; elsewhere each starts anew
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload([__name__])
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), context, initializer=_start_worker, initargs=(sources,)
    )
    try:
        yield from _in_pool(pool, jobs, 4 * workers)
    except BrokenProcessPool as error:
        raise UserError(
            "a process was killed, most likely for want of memory; run the same command with "
            "fewer --workers: what is finished is kept"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_pool(pool: Executor, jobs: list[Job], ahead: int) -> Iterator[tuple[Job, str | None]]:
    """Keep a few jobs under way, so that memory does not grow with their number."""
    rest = iter(jobs)
    running: dict[Future[str | None], Job] = {}
    while True:
        for job in rest:
            running[pool.submit(_work, job)] = job
            if len(running) >= ahead:
                break
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            yield job, future.result()


_sources: dict[str, Moments] = {}  # of this worker process


def _start_worker(sources: dict[str, Moments]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    torch.set_num_threads(1)
    _sources.update(sources)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    """A parent that was killed cannot tell its workers to stop."""
    parent.join()
    os._exit(1)


def _work(job: Job) -> str | None:
    return make_part(job, _sources)
