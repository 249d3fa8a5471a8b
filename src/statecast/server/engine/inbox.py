"""What waits for an engine: requests, which are gathered, and commands, which are done between two groups of them."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from statecast.server.engine.receipts import Receipt
from statecast.server.states.intake import Intake


@dataclass(frozen=True, eq=False)
class Request:
    """Rows that wait.

    Attributes:
        rows: the rows.
        key: what the request is known by, if anything.
        digest: of the rows, where there is a key.
        forecast: whether the receipt is to hold forecasts.
        future: gets the receipt.
    """

    rows: Intake
    key: str | None
    digest: bytes
    forecast: bool
    future: Future[Receipt]


Item = Request | Callable[[], None] | None  # a command, or the end


class Inbox:
    """Requests and commands in the order in which they came. Any thread may put; one takes.

    Args:
        window: seconds for which requests are gathered.
        batch: rows that are gathered at most, about.

    Attributes:
        waiting: rows of requests that are not answered yet.
    """

    def __init__(self, window: float, batch: int) -> None:
        self._window, self._batch = window, batch
        self.waiting, self._count = 0, threading.Lock()
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._pending: deque[Item] = deque()  # what came while requests were gathered, and is done for itself

    def put(self, item: Item) -> None:
        """Have something done; None ends it."""
        if isinstance(item, Request):
            self._wait(len(item.rows))
            item.future.add_done_callback(lambda _: self._wait(-len(item.rows)))
        self._items.put(item)

    def _wait(self, rows: int) -> None:
        with self._count:
            self.waiting += rows

    def next(self, patience: float) -> list[Request] | Callable[[], None] | None:
        """The requests that came within the window; or a command, which is done for itself; None at the end.

        Args:
            patience: seconds after which there are no requests.
        """
        try:
            first = self._pending.popleft() if self._pending else self._items.get(timeout=patience)
        except queue.Empty:
            return []
        if not isinstance(first, Request):
            return first
        requests, count, end = [first], len(first.rows), time.monotonic() + self._window
        while count < self._batch:
            try:
                item = self._items.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                break
            if not isinstance(item, Request):
                self._pending.append(item)
                break
            requests.append(item)
            count += len(item.rows)
        return requests

    def rest(self) -> list[Request]:
        """The requests that still wait, taken out."""
        requests = []
        while not self._items.empty():
            item = self._items.get()
            requests += [item] if isinstance(item, Request) else []
        return requests
