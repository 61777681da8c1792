"""The process of a training: its memory, the signals that stop it, and its accelerator."""

import atexit
import contextlib
import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import torch

from actionpose.config import TrainingConfig
from actionpose.utils.device import choose_device
from actionpose.utils.errors import UserError


def tune_malloc() -> None:
    """Make glibc keep freed memory, because every step allocates the same activations.

    Returning them to the system and faulting them in again costs up to two fifths of a step on
    CPU. Does nothing with another C library.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, 1 << 30)


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Inside, Ctrl-C and SIGTERM request a stop after the step instead of ending the process.

    Not in a thread other than the main one, where Python lets nobody listen to signals.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    is_main = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    before = {number: signal.signal(number, ask) for number in signals}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_stop_requests_to_the_trainer(worker: int) -> None:
    """In a process that makes batches: Ctrl-C and SIGTERM go to the whole group of processes.

    The training process still needs the batches of its last step; its end ends the workers.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _leave_process_group() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def start_accelerator(config: TrainingConfig) -> Any:
    """The accelerator of this process, with its rank, device and precision.

    Raises:
        UserError: the extra is missing, or there is no GPU where one was asked for.
    """
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
    except ModuleNotFoundError as error:
        raise UserError("training needs: pip install 'actionpose[train]'") from error
    device = "cpu" if config.device == "cpu_fused" else config.device
    choose_device(device)
    tune_malloc()
    torch.set_flush_denormal(True)  # saturated attention is full of denormals, which are slow
    AcceleratorState._reset_state()  # else a process keeps the precision of its first run
    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision="bf16" if config.precision == "bf16" else "no",
    )
    # several processes: one whose connections are open when Python ends may abort
    atexit.unregister(_leave_process_group)
    atexit.register(_leave_process_group)
    if accelerator.device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32; environment.json says so
    return accelerator
