"""Batch processing of files: sequentially, in several processes, or on a Ray cluster.

All executors call `lift_file`, so that their results are the same.
"""

import concurrent.futures
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionpose.export.save import save_files
from actionpose.inference.jobs import LiftJob
from actionpose.result import Result
from actionpose.utils.errors import UserError
from actionpose.utils.files import make_folder
from actionpose.utils.processes import end_with_parent
from actionpose.utils.timing import Stopwatch
from actionpose.video.source import Progress, is_keypoint_file, read_source

if TYPE_CHECKING:
    from actionpose.inference.predictor import ActionPose

EXECUTORS = ("local", "ray")


@dataclass(frozen=True)
class LiftOptions:
    """Options of lifting, shared by all inputs."""

    checkpoint: str = "tiny"
    device: str = "auto"
    engine: str = "auto"
    reading: dict[str, Any] = field(default_factory=dict)  # arguments of `read_source`
    lifting: dict[str, Any] = field(default_factory=dict)  # arguments of `ActionPose.lift`
    saving: dict[str, Any] = field(default_factory=dict)  # arguments of `save_files`
    # post-processing steps in order; module-level functions, so that they can be pickled
    steps: tuple[Callable[[Result], Result], ...] = ()


@dataclass(frozen=True)
class LiftOutcome:
    """Outcome of a job."""

    source: Path
    status: str  # done, damaged (a part was lifted) or failed
    message: str = ""
    files: list[Path] = field(default_factory=list)  # written files
    persons: int = 0
    frames: int = 0
    wall_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)  # by stage


def lift_file(
    model: "Callable[[], ActionPose]",
    job: LiftJob,
    options: LiftOptions,
    progress: Progress = lambda stage, total, done: None,
) -> tuple[Result, LiftOutcome]:
    """Lift one file and write its outputs.

    Args:
        model: Function that returns the model. It is called after the keypoints are read.

    Raises:
        UserError: If the input is invalid, or an output cannot be written.
    """
    started, stopwatch = time.perf_counter(), Stopwatch()
    keypoints = read_source(job.source, progress=progress, stopwatch=stopwatch, **options.reading)
    persons, wanted = keypoints.num_persons, options.lifting.get("persons", "all")
    total = keypoints.num_frames * (persons if wanted == "all" else min(wanted, persons))
    with stopwatch.stage("lift"):
        result = model().lift(
            keypoints,
            progress=lambda frames: progress("lift", total, frames),
            **options.lifting,
        )
        for step in options.steps:
            result = step(result)
    with stopwatch.stage("files"):
        for path in job.outputs:
            make_folder(path.parent)
        is_video = job.source.is_file() and not is_keypoint_file(job.source)
        video = job.source if is_video else None
        files = save_files(result, job.outputs, video=video, **options.saving)
    outcome = LiftOutcome(
        source=job.source,
        status="done" if keypoints.complete else "damaged",
        message="; ".join(keypoints.notes),
        files=files,
        persons=len(result.track_id),
        frames=len(result.time_s),
        wall_s=time.perf_counter() - started,
        seconds=stopwatch.seconds,
    )
    return result, outcome


class Worker:
    """A loaded model that processes jobs in a process or an actor."""

    def __init__(self, options: LiftOptions, num_workers: int = 1):
        import torch  # slow import, after the video is opened

        from actionpose.inference.predictor import ActionPose

        if num_workers > 1:
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // num_workers))
        self.options = options
        self.model = ActionPose.from_pretrained(options.checkpoint, options.device, options.engine)

    def lift(self, job: LiftJob) -> LiftOutcome:
        """Process a job. Errors are returned in the outcome, so that other jobs continue."""
        try:
            return lift_file(lambda: self.model, job, self.options)[1]
        except UserError as error:
            message = str(error)
        except Exception as error:  # a bug of this package or of a dependency
            message = f"internal error, {type(error).__name__}: {error}"
        return LiftOutcome(job.source, "failed", message)


def lift_files(
    jobs: Sequence[LiftJob],
    options: LiftOptions,
    *,
    num_workers: int | None = None,
    executor: str = "local",
) -> Generator[LiftOutcome, None, None]:
    """Lift many files, and yield outcomes in the order of completion.

    Args:
        num_workers: Number of processes or actors. By default one process, or one actor per CPU of
            the cluster.
        executor: One of `EXECUTORS`.

    Raises:
        UserError: If the executor is unknown, its package is missing, or the model cannot be
            loaded.
    """
    if executor not in EXECUTORS:
        raise UserError(f"no executor {executor!r}: there are {', '.join(EXECUTORS)}")
    if num_workers is not None and num_workers < 1:
        raise UserError(f"num_workers is 1 or more, not {num_workers}")
    if executor == "ray":
        return _lift_on_ray(jobs, options, num_workers)
    num_workers = min(num_workers or 1, len(jobs))
    if num_workers == 1:
        worker = Worker(options)
        return (worker.lift(job) for job in jobs)
    Worker(options)  # fail once, rather than for each job, if the model cannot be loaded
    return _lift_in_processes(jobs, options, num_workers)


_worker: Worker | None = None  # the worker of this process in `_lift_in_processes`


def _start_worker(options: LiftOptions, num_workers: int) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends its workers
    end_with_parent()
    _worker = Worker(options, num_workers)
    signal.signal(signal.SIGTERM, _end_worker)


def _end_worker(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # the pool sends it again: finish the cleanup
    raise SystemExit(128 + number)


def _lift_in_worker(job: LiftJob) -> LiftOutcome:
    assert _worker is not None
    try:
        return _worker.lift(job)
    except SystemExit:  # unfinished files are removed; the pool would start the next job
        os._exit(1)


def _lift_in_processes(
    jobs: Sequence[LiftJob], options: LiftOptions, num_workers: int
) -> Generator[LiftOutcome, None, None]:
    pool = concurrent.futures.ProcessPoolExecutor(
        num_workers,
        multiprocessing.get_context("spawn"),  # a forked process may hang in torch or MediaPipe
        _start_worker,
        (options, num_workers),
    )
    futures = {pool.submit(_lift_in_worker, job): job for job in jobs}
    try:
        for future in concurrent.futures.as_completed(futures):
            try:
                yield future.result()
            except concurrent.futures.process.BrokenProcessPool:
                why = "a worker process died, perhaps out of memory: try a smaller num_workers"
                yield LiftOutcome(futures[future].source, "failed", why)
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _lift_on_ray(
    jobs: Sequence[LiftJob], options: LiftOptions, num_workers: int | None
) -> Generator[LiftOutcome, None, None]:
    """Lift on a Ray cluster, an actor per worker. Paths must be the same on all machines."""
    try:
        import ray
        from ray.util import ActorPool
    except ImportError:
        raise UserError("the executor ray needs: pip install 'actionpose[cluster]'") from None
    if not ray.is_initialized():
        # RAY_ADDRESS is the address of a cluster; otherwise one is started on this machine
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises exceptions of many types
            raise UserError(
                f"the executor ray: no cluster can be reached or started ({error})"
            ) from error
    cluster: Any = ray
    cpus: dict[str, float] = cluster.cluster_resources()
    num_workers = min(num_workers or int(cpus.get("CPU", 1)), len(jobs))
    actor: Any = ray.remote(num_cpus=1)(Worker)
    pool = ActorPool([actor.remote(options, num_workers) for _ in range(num_workers)])
    given = {job.source.absolute(): job.source for job in jobs}
    absolute = [
        LiftJob(source, tuple(path.absolute() for path in job.outputs))
        for source, job in zip(given, jobs, strict=True)
    ]
    for outcome in pool.map_unordered(lambda worker, job: worker.lift.remote(job), absolute):
        yield replace(outcome, source=given[outcome.source])
