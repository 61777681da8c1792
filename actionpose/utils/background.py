"""Work in another thread, beside that of the caller: what comes next, and what is needed later."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], count: int) -> Generator[Item, None, None]:
    """The same items in the same order, made in another thread, up to `count` ahead.

    What the thread raises is raised here; closing the generator ends the thread.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        ahead = deque(thread.submit(next, iterator, end) for _ in range(count))
        try:
            while (item := ahead.popleft().result()) is not end:
                ahead.append(thread.submit(next, iterator, end))
                yield item  # type: ignore[misc]  # an item, as it is not the end
        finally:
            for later in ahead:
                later.cancel()


class Background(Generic[Item]):
    """A value that is made in another thread, from `start` on.

    Args:
        make: called once.
    """

    def __init__(self, make: Callable[[], Item]):
        self._make = make
        self._value: Future[Item] | None = None

    def start(self) -> None:
        """Begin, if that is not done, and raise what went wrong, if that is known already."""
        if self._value is None:
            thread = ThreadPoolExecutor(1)
            self._value = thread.submit(self._make)
            thread.shutdown(wait=False)  # it ends with its work
        elif self._value.done():
            self._value.result()

    def result(self) -> Item:
        """Wait for the value."""
        self.start()
        assert self._value is not None
        return self._value.result()
