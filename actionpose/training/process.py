"""Process settings of training: memory allocation, stop signals and the accelerator."""

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

    Returning the memory to the system and page-faulting it again takes up to 40 % of the time of a
    step on a CPU. With another C library, this function has no effect.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, 1 << 30)


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Context in which Ctrl-C and SIGTERM request a stop after the step.

    It has no effect outside the main thread, because Python allows signal handlers only there.
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
    """Ignore Ctrl-C and SIGTERM in a worker process, which the process group also receives.

    The training process needs the batches of its last step, and terminates the workers at its end.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _leave_process_group() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def start_accelerator(config: TrainingConfig) -> Any:
    """Create the accelerator of this process, with its rank, device and precision.

    Raises:
        UserError: If the extra `train` is not installed, or a requested GPU does not exist.
    """
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
    except ModuleNotFoundError as error:
        raise UserError("training needs: pip install 'actionpose[train]'") from error
    device = "cpu" if config.device == "cpu_fused" else config.device
    choose_device(device)
    tune_malloc()
    torch.set_flush_denormal(True)  # saturated attention has many denormals, which are slow
    AcceleratorState._reset_state()  # else a process would keep the precision of its first run
    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision="bf16" if config.precision == "bf16" else "no",
    )
    # a process of several may abort if its connections are open when Python ends
    atexit.unregister(_leave_process_group)
    atexit.register(_leave_process_group)
    if accelerator.device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32, recorded in environment.json
    return accelerator
