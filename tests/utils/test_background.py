"""Work in other threads: in order, bounded, ended with the caller."""

import itertools
import threading
from collections.abc import Iterator

import pytest

from actionpose.utils.background import Background, prefetch
from actionpose.utils.errors import UserError


def test_prefetch_ends_its_thread() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in itertools.count():
            made.append(number)
            yield number

    before = threading.active_count()
    ahead = prefetch(items(), 3)
    assert [next(ahead) for _ in range(4)] == [0, 1, 2, 3]
    ahead.close()
    assert threading.active_count() == before
    assert len(made) <= 4 + 3 + 1  # taken, waiting, and one in the hand


def test_prefetch_raises_errors_of_its_thread() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise UserError("broken")

    ahead = prefetch(items(), 3)
    assert next(ahead) == 1
    with pytest.raises(UserError, match="broken"):
        next(ahead)


def test_background_begins_once_and_raises_early() -> None:
    calls, go = [], threading.Event()

    def make() -> int:
        calls.append(threading.current_thread())
        go.wait(5)
        raise UserError("no such model")

    value = Background(make)
    assert not calls
    value.start()
    value.start()
    go.set()
    with pytest.raises(UserError, match="no such model"):
        value.result()
    with pytest.raises(UserError, match="no such model"):
        value.start()
    assert len(calls) == 1 and calls[0] is not threading.current_thread()
    assert Background(lambda: 3).result() == 3
