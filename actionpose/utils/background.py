"""Background threads: prefetching of items, and values that are computed ahead of their use."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], count: int) -> Generator[Item, None, None]:
    """Yield the items in order, while another thread computes up to `count` items ahead.

    An exception of the thread is raised here. Closing the generator ends the thread.
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
    """A value that another thread computes after `start`.

    Args:
        make: Function that returns the value. It is called once.
    """

    def __init__(self, make: Callable[[], Item]):
        self._make = make
        self._value: Future[Item] | None = None

    def start(self) -> None:
        """Start the computation if it is not started, and raise its exception if it has failed."""
        if self._value is None:
            thread = ThreadPoolExecutor(1)
            self._value = thread.submit(self._make)
            thread.shutdown(wait=False)  # the thread ends with the task
        elif self._value.done():
            self._value.result()

    def result(self) -> Item:
        """Wait for the value and return it."""
        self.start()
        assert self._value is not None
        return self._value.result()
