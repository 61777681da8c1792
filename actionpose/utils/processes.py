"""Worker processes that end with the process that started them."""

import multiprocessing
import os
import signal
import threading
import time
from typing import Any

_GRACE_S = 5.0  # seconds to remove unfinished files


def end_with_parent() -> None:
    """Terminate this process when its parent ends, even if the parent is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_terminate_after, args=(parent,), daemon=True).start()


def _terminate_after(parent: Any) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)
