"""Count the outcomes of readers for modified files: read, refused with a message, other exception.

    python tools/fuzz_readers.py --inputs 1000 --only result corpus

Inputs are numbered, and the same number gives the same input. Exceptions are listed with their
location.
"""

import argparse
import random
import resource
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import torch
from helpers.untrusted_case import Case
from helpers.untrusted_files import READERS

import actionpose
from actionpose.utils.errors import UserError

PACKAGE = str(Path(actionpose.__file__).parent)
MAX_BYTES, MAX_SECONDS = 12 << 30, 10  # of CPU time


class TookTooLong(Exception):
    pass


def _stop(number: int, frame: object) -> None:
    raise TookTooLong


def place(error: BaseException) -> str:
    """The exception, and the innermost line of the package in its traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.filename.startswith(PACKAGE)] or frames[-1:]
    file = inside[-1].filename.removeprefix(f"{PACKAGE}/")
    where = f"{file}:{inside[-1].lineno} in {inside[-1].name}"
    return f"{type(error).__name__} @ {where}: {' '.join(str(error).split())[:100]}"


def run(name: str, inputs: int, first: int, kinds: Counter[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        case = Case(READERS[name], Path(folder) / "case")
        for number in range(first, first + inputs):
            signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
            try:
                case.attempt(random.Random(f"{name} {number}"))
                counts["read"] += 1
            except UserError:
                counts["refused"] += 1
            except Exception as error:
                counts["other"] += 1
                kinds[f"{name} {place(error)}"] += 1
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=list(READERS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    signal.signal(signal.SIGPROF, _stop)
    total: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    print(f"{'reader':20} {'inputs':>7} {'refused':>8} {'read':>7} {'other':>7}")
    for name in arguments.only:
        counts = run(name, arguments.inputs, arguments.first, kinds)
        total += counts
        row = (counts["refused"], counts["read"], counts["other"])
        print(f"{name:20} {arguments.inputs:7} {row[0]:8} {row[1]:7} {row[2]:7}", flush=True)
    print(f"{'all':20} {total.total():7} {total['refused']:8} {total['read']:7} {total['other']:7}")
    for kind, count in kinds.most_common():
        print(f"{count:5} x {kind}")


if __name__ == "__main__":
    main()
