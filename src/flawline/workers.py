"""Work that is done by several at once, and taken in the order in which it was given."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result", covariant=True)
AHEAD = 2  # tasks of a worker that are ahead of what was taken, at most


class Task(Protocol[Result]):
    """Work that was submitted, to a thread or to a cluster."""

    def result(self) -> Result: ...

    def cancel(self) -> object: ...


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def by_threads(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, setup: Callable[[], object] | None = None
) -> Iterator[Result]:
    """Yield ``work(item)`` of each item, in their order, from so many threads at once, each of which does ``setup``
    first. After Ctrl-C what has not begun is not begun."""
    with ThreadPoolExecutor(workers, initializer=setup) as pool:
        yield from in_order((pool.submit(work, item) for item in items), workers=workers)


def in_order(tasks: Iterable[Task[Result]], *, workers: int) -> Generator[Result]:
    """Yield what comes of tasks, in their order. They begin as they are taken from the iterable: at most `AHEAD` a
    worker are ahead of what was yielded, and these are cancelled if no more is wanted."""
    waiting: deque[Task[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(task)
            if len(waiting) > AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for each in waiting:
            each.cancel()
