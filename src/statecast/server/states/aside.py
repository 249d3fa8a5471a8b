"""Work that a second thread does beside the first, in order and a little behind it.

A start replays a log of millions of rows as fast as it can. Half of that is the network's step, which the kernel does;
the other half is what is remembered of each row beside the states, which nothing needs before the series' next row. So
one thread steps, and another one writes down what the one before it has stepped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

BEHIND = 2  # calls that wait at most: each holds what it works on


class Aside:
    """Makes calls in a thread of its own, one after another; a context, which ends with the thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="statecast-aside")
        self._calls: deque[Future[None]] = deque()

    def __enter__(self) -> Aside:
        return self

    def __exit__(self, *error: Any) -> None:
        self._thread.shutdown(cancel_futures=True)

    def call(self, work: Callable[[], None]) -> None:
        """Have a call made soon. Whatever an earlier one raised is raised here."""
        self._calls.append(self._thread.submit(work))
        if len(self._calls) > BEHIND:
            self._calls.popleft().result()

    def finish(self) -> None:
        """Wait until all calls are made. Whatever one of them raised is raised here."""
        while self._calls:
            self._calls.popleft().result()
