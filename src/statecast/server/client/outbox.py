"""Rows on their way to a server in the background: `add` returns at once, one thread sends what has gathered.

A row leaves the box when the server has answered for it, and in the order in which it came: one request is under way at
a time. While the server is away the box fills, and whoever adds waits, so memory stays bounded and nothing is lost.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from statecast.errors import RowsRejected, SettingError, StatecastError, Unreachable
from statecast.server.client.remote import RowResult

CAPACITY = 50_000  # rows
SECONDS = 0.05  # that a row waits for others to go with it
ATTEMPT = 5.0  # seconds of patience of one attempt, after which the thread looks whether it shall end
KEPT_ERRORS = 1000  # rejected rows that are remembered until `flush` tells of them

Record = Mapping[str, Any]


class Outbox:
    """Rows that are sent in batches; a context manager, which waits at its end until all are answered.

    Any method may be called from any thread. Made by `Client.outbox`.

    Args:
        pack: makes the request of some rows.
        deliver: sends a request, with the patience for it.
        record: makes a row of what `add` takes.
        batch: rows of a request.
        capacity: rows that may wait.
        seconds: how long a row waits for others.
    """

    def __init__(
        self,
        pack: Callable[[Sequence[Record]], Any],
        deliver: Callable[[Any, float], list[RowResult]],
        record: Callable[..., dict[str, Any]],
        batch: int,
        capacity: int,
        seconds: float,
    ) -> None:
        if capacity < 1 or seconds < 0:
            raise SettingError(f"capacity={capacity!r}, seconds={seconds!r}: expected at least 1 row, and 0 s")
        self._pack, self._deliver, self._record = pack, deliver, record
        self._batch, self._capacity, self._seconds = min(batch, capacity), capacity, seconds
        self._rows: deque[dict[str, Any]] = deque()
        self._changed = threading.Condition()
        self._closing, self._urgent, self._added, self._answered = False, 0, 0, 0
        self._failure: StatecastError | None = None
        self._errors: dict[int, str] = {}
        self._rejected = 0
        self._thread = threading.Thread(target=self._run, name="statecast-outbox", daemon=True)
        self._thread.start()

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """Rows that the server has not answered for yet."""
        with self._changed:
            return self._added - self._answered

    def add(
        self, id: str | int, value: Any, time: Any = None, past: Any = None, known: Any = None, static: Any = None
    ) -> None:
        """Put a row into the box; see `Client.observe`. Blocks while the box is full.

        Raises:
            DataError: the row cannot be sent.
            SettingError: the box is closed.
            AccessDenied, ServerError, …: what ended the sending; rows that are in the box stay there.
        """
        row = self._record(id, value, time, past, known, static)
        with self._changed:
            self._changed.wait_for(lambda: len(self._rows) < self._capacity or self._failure or self._closing)
            self._require_open()
            self._rows.append(row)
            self._added += 1
            if len(self._rows) in (1, self._batch):  # the others would wake the thread for nothing
                self._changed.notify_all()

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the server has answered for all rows that are in the box now.

        Args:
            timeout: seconds to wait at most; None: until it is done.

        Raises:
            RowsRejected: the server refused rows since the last flush; they are numbered in the order in which they
                were added, from 0 on.
            Unreachable: the time is over; the rows stay in the box.
            AccessDenied, ServerError, …: what ended the sending.
        """
        with self._changed:
            last = self._added
            self._urgent = max(self._urgent, last)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._answered >= last or self._failure, timeout)
            if self._failure is not None:
                raise self._failure
            if self._answered < last:
                raise Unreachable(f"{last - self._answered:,} rows are still waiting after {timeout:g} s")
            errors, count, self._errors, self._rejected = self._errors, self._rejected, {}, 0
        if errors:
            raise RowsRejected.of(errors, last, count=count)

    def close(self, timeout: float | None = None) -> None:
        """Flush, and end the thread; see `flush`. May be called again.

        Raises:
            RowsRejected, Unreachable, AccessDenied, ServerError, …: as `flush`; the thread ends all the same.
        """
        try:
            if not self._closing:
                self.flush(timeout)
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            self._thread.join()

    def _require_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise SettingError("this box is closed: make another by Client.outbox()")

    # --- the thread

    def _run(self) -> None:
        while rows := self._next():
            try:
                parcel = self._pack(rows)
                results = self._insist(parcel)
            except StatecastError as error:
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                return
            if results is None:
                return
            self._settle(results)

    def _next(self) -> list[dict[str, Any]]:
        """The next rows to send, which stay in the box; none when it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._rows or self._closing)
            self._changed.wait_for(self._is_due, self._seconds)
            return [] if self._closing else [self._rows[n] for n in range(min(self._batch, len(self._rows)))]

    def _is_due(self) -> bool:
        return self._closing or len(self._rows) >= self._batch or self._urgent > self._answered

    def _insist(self, parcel: Any) -> list[RowResult] | None:
        """Send a request until it is answered; None where the box is closed before."""
        while not self._closing:
            try:
                return self._deliver(parcel, ATTEMPT)
            except Unreachable:
                continue
        return None

    def _settle(self, results: Sequence[RowResult]) -> None:
        with self._changed:
            for number, result in enumerate(results, self._answered):
                if result.error is not None:
                    self._rejected += 1
                    if len(self._errors) < KEPT_ERRORS:
                        self._errors[number] = result.error
                self._rows.popleft()
            self._answered += len(results)
            self._changed.notify_all()
