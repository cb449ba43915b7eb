"""How long work tells that it goes on: a handle that comes in from outside, so that methods neither print nor log."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol


class Progress(Protocol):
    """Receives every step of long work and every epoch's record."""

    def track(self, items: Iterable[Any], *, total: int, label: str) -> Iterator[Any]:
        """Yield ``items`` on, showing how many of ``total`` are done."""
        ...

    def epoch(self, record: dict[str, float]) -> None:
        """Take in the finished epoch's record: epoch, train_loss, validation_loss and whatever the method adds."""
        ...


class Silent:
    """Shows nothing."""

    def track(self, items: Iterable[Any], *, total: int, label: str) -> Iterator[Any]:
        yield from items

    def epoch(self, record: dict[str, float]) -> None:
        pass
