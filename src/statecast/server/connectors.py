"""Rows from elsewhere: what brings them, and where they come in.

A connector is an object with two methods. `run(inlet)` is called once, in a thread of its own; it reads its source and
hands rows to the inlet until `stop()` is called from another thread.

    class Connector:
        name = "my source"
        def run(self, inlet: Inlet) -> None:
            for message in source:
                inlet.put([record_of(message)], done=message.acknowledge)
        def stop(self) -> None: ...

A record is a mapping from the training table's columns to values, as one row of a request is. `done` is called once the
rows are on the disk, in the order in which they were put: that is the moment to acknowledge a message or to move an
offset on. What was not acknowledged comes again after a crash, and counts once, since a row is known by its series and
time. Where rows are counted, or a source gives no times, a `key` that names the message (topic, partition and offset,
say) does the same: it is written with the rows, in one commit.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol

from statecast.errors import Overloaded, SettingError, StatecastError, nearest
from statecast.server.engine.receipts import Receipt
from statecast.server.rows import LiveRows

LOG = logging.getLogger("statecast.server")
WAITING = 100_000  # rows of one connector that may be on their way to the disk
LINE_SECONDS = 10.0  # between two lines of the log about rejected rows


class Connector(Protocol):
    """Brings rows from a source.

    Attributes:
        name: what to call it in the log.
    """

    name: str

    def run(self, inlet: Inlet) -> None:
        """Read the source and put rows into the inlet, until `stop` is called."""

    def stop(self) -> None:
        """Make `run` return soon; called from another thread."""


class Submit(Protocol):
    """`Engine.submit`."""

    def __call__(self, rows: LiveRows, key: str | None = None, forecast: bool = True) -> Future[Receipt]:
        """Take rows; the receipt comes once they are on the disk."""


class Inlet:
    """Where a connector's rows come in; any method may be called from any thread.

    Args:
        read: makes rows of records, each checked by itself.
        submit: hands rows to the engine.
        name: the connector's.
        log_ids: whether the log may hold what is in rows.
        most: rows that may be on their way to the disk at a time.
    """

    def __init__(
        self,
        read: Callable[[Sequence[Any]], LiveRows],
        submit: Submit,
        name: str,
        log_ids: bool = False,
        most: int = WAITING,
    ) -> None:
        self._read, self._submit, self._name, self._log_ids, self._most = read, submit, name, log_ids, most
        self._entries: deque[tuple[Future[Receipt], int, Callable[[], None]]] = deque()
        self._waiting, self._closed = 0, False
        self._changed, self._order = threading.Condition(), threading.RLock()
        self._failure: BaseException | None = None
        self._line, self._unsaid = -LINE_SECONDS, 0
        self.counts: Counter[str] = Counter()  # rows by what became of them: accepted, duplicate, rejected

    def put(self, records: Sequence[Any], done: Callable[[], None], key: str | None = None) -> None:
        """Take rows; waits while too many are on their way.

        Args:
            records: the rows; in place of one that could not even be read, a `DataError` that says why.
            done: called once the rows are on the disk, whether they were accepted or rejected; it must be quick.
            key: names these rows, where series and time do not.

        Raises:
            StatecastError: the engine takes no more rows: leave what was put unacknowledged, and return.
        """
        rows = self._read(records)
        with self._order:  # or rows of one series could overtake one another
            future = self._submitted(rows, key)
            with self._changed:
                self._entries.append((future, len(rows), done))
                self._waiting += len(rows)
        future.add_done_callback(lambda _: self._settle())

    def close(self) -> None:
        """Take no more rows, and make who waits in `put` give up."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def drain(self, timeout: float) -> bool:
        """Wait until every row is on the disk and acknowledged; returns whether it was in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._entries or self._failure is not None, timeout)

    def _submitted(self, rows: LiveRows, key: str | None) -> Future[Receipt]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting < self._most or self._closed or self._failure is not None)
                if self._failure is not None:
                    raise StatecastError("the engine keeps no more rows") from self._failure
                if self._closed:
                    raise StatecastError(f"{self._name}: the server is stopping")
            try:
                return self._submit(rows, key, False)
            except Overloaded as busy:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, busy.retry_after)

    def _settle(self) -> None:
        """Acknowledge what is on the disk, from the oldest on."""
        with self._changed:
            while self._entries and self._entries[0][0].done() and self._failure is None:
                future, count, done = self._entries.popleft()
                self._failure = future.exception()
                if self._failure is None:
                    self._count(future.result())
                    done()
                self._waiting -= count
            self._changed.notify_all()

    def _count(self, receipt: Receipt) -> None:
        self.counts.update(receipt.statuses)
        errors = [error for error in receipt.errors if error is not None]
        self._unsaid += len(errors)
        if errors and time.monotonic() - self._line >= LINE_SECONDS:
            reason = f", one of them since {errors[-1]}" if self._log_ids else ""
            rows = "row was" if self._unsaid == 1 else "rows were"
            LOG.warning("%s: %d %s rejected%s", self._name, self._unsaid, rows, reason)
            self._line, self._unsaid = time.monotonic(), 0


@contextmanager
def running(pairs: Sequence[tuple[Connector, Inlet]], patience: float = 5.0) -> Iterator[None]:
    """Run connectors with their inlets, each in a thread; at the end stop them, and let their last rows come in.

    Args:
        pairs: each connector with an inlet of its own.
        patience: seconds to wait at the end for each.
    """
    threads = [threading.Thread(target=_run, args=pair, name=pair[0].name, daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for connector, inlet in pairs:
            inlet.drain(patience)
            inlet.close()
            connector.stop()
        for thread in threads:
            thread.join(patience)


def _run(connector: Connector, inlet: Inlet) -> None:
    LOG.info("%s starts", connector.name)
    try:
        connector.run(inlet)
    except StatecastError as error:
        LOG.error("%s ends: %s", connector.name, error)
    except Exception:  # a connector may be anybody's; the server goes on without it
        LOG.exception("%s ends", connector.name)


def load(text: str) -> Any:
    """What makes a connector: the name in a module that `module:name` says.

    Raises:
        SettingError: there is no such module or name.
    """
    module, colon, name = text.partition(":")
    if not colon or not module or not name:
        raise SettingError(f"{text!r} is not a connector: expected MODULE:NAME, such as plant.feed:Connector")
    try:
        home = import_module(module)
    except ImportError as error:
        raise SettingError(f"{text!r}: the module {module} cannot be imported: {error}") from error
    if not hasattr(home, name):
        raise SettingError(f"{text!r}: {module} has no {name}; {nearest(name, vars(home))}")
    return getattr(home, name)
