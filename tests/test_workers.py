"""Work done by several threads, and taken in its order."""

import threading
import time

import pytest

from flawline.workers import AHEAD, by_threads, in_order


def test_after_an_interruption_nothing_new_is_begun():
    begun = []

    def work(item):
        begun.append(item)
        if item == 0:
            raise KeyboardInterrupt
        time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        list(by_threads(work, range(1000), workers=2))
    assert len(begun) < 100


def test_each_thread_is_set_up_once():
    ready = threading.local()

    def setup():
        ready.done = getattr(ready, "done", 0) + 1

    assert set(by_threads(lambda _: ready.done, range(50), workers=3, setup=setup)) == {1}


class Done:
    """A task that is done, and counts among those that were submitted and not cancelled."""

    def __init__(self, number, open_tasks):
        self._number, self._open = number, open_tasks
        self._open.add(number)

    def result(self):
        self._open.remove(self._number)
        return self._number

    def cancel(self):
        self._open.remove(self._number)


def test_no_more_than_a_few_tasks_are_submitted_ahead_and_those_are_cancelled_at_the_end():
    waiting = set()
    results = in_order((Done(k, waiting) for k in range(100)), workers=3)
    for expected in range(20):
        assert next(results) == expected
        assert len(waiting) <= 3 * AHEAD
    results.close()
    assert waiting == set()
