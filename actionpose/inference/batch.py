"""Many files through one function: one after another, in processes, or on a Ray cluster.

`lift_file` is what every executor runs, so that their results are the same.
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
    """How to lift; the same for all inputs."""

    checkpoint: str = "tiny"
    device: str = "auto"
    engine: str = "auto"
    reading: dict[str, Any] = field(default_factory=dict)  # arguments of `read_source`
    lifting: dict[str, Any] = field(default_factory=dict)  # arguments of `ActionPose.lift`
    saving: dict[str, Any] = field(default_factory=dict)  # arguments of `save_files`
    # what is done to a result before it is written, in this order; functions of modules, so that
    # they can be sent to other processes
    steps: tuple[Callable[[Result], Result], ...] = ()


@dataclass(frozen=True)
class LiftOutcome:
    """What became of a job."""

    source: Path
    status: str  # done, damaged (a part was lifted), failed
    message: str = ""
    files: list[Path] = field(default_factory=list)  # that were written
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
        model: called when the keypoints are read.

    Raises:
        UserError: the input cannot be used, or an output cannot be written.
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
    """A loaded model that lifts files and reports; what a process or an actor holds."""

    def __init__(self, options: LiftOptions, num_workers: int = 1):
        import torch  # takes seconds: a video is opened before

        from actionpose.inference.predictor import ActionPose

        if num_workers > 1:
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // num_workers))
        self.options = options
        self.model = ActionPose.from_pretrained(options.checkpoint, options.device, options.engine)

    def lift(self, job: LiftJob) -> LiftOutcome:
        """The outcome of a job, whatever goes wrong with it: the other jobs go on."""
        try:
            return lift_file(lambda: self.model, job, self.options)[1]
        except UserError as error:
            message = str(error)
        except Exception as error:  # a fault of ours or of a library, reported as such
            message = f"internal error, {type(error).__name__}: {error}"
        return LiftOutcome(job.source, "failed", message)


def lift_files(
    jobs: Sequence[LiftJob],
    options: LiftOptions,
    *,
    num_workers: int | None = None,
    executor: str = "local",
) -> Generator[LiftOutcome, None, None]:
    """Lift many files; outcomes come as they are ready.

    Args:
        num_workers: processes or actors; else one process, or an actor per CPU of the cluster.
        executor: one of `EXECUTORS`.

    Raises:
        UserError: no such executor, its package is missing, or the model cannot be loaded.
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
    Worker(options)  # a model that cannot be loaded is one error, not one per job
    return _lift_in_processes(jobs, options, num_workers)


_worker: Worker | None = None  # of this process, if it is one of `_lift_in_processes`


def _start_worker(options: LiftOptions, num_workers: int) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends its workers
    end_with_parent()
    _worker = Worker(options, num_workers)
    signal.signal(signal.SIGTERM, _end_worker)


def _end_worker(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # the pool sends it again: cleaning up goes on
    raise SystemExit(128 + number)


def _lift_in_worker(job: LiftJob) -> LiftOutcome:
    assert _worker is not None
    try:
        return _worker.lift(job)
    except SystemExit:  # what was half-written is gone; the pool would go on with the next job
        os._exit(1)


def _lift_in_processes(
    jobs: Sequence[LiftJob], options: LiftOptions, num_workers: int
) -> Generator[LiftOutcome, None, None]:
    pool = concurrent.futures.ProcessPoolExecutor(
        num_workers,
        multiprocessing.get_context("spawn"),  # a forked torch or MediaPipe may hang
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
    """An actor per worker. Inputs and outputs must have the same paths on all machines."""
    try:
        import ray
        from ray.util import ActorPool
    except ImportError:
        raise UserError("the executor ray needs: pip install 'actionpose[cluster]'") from None
    if not ray.is_initialized():
        # RAY_ADDRESS names a cluster; without it, one is started on this machine
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray's own are of many kinds
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
