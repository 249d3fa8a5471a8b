"""Readers of what happens: each gets it as server-sent events, in the order of sequence numbers and without a gap.

Each reader has a queue of what is on the disk and not yet sent. One that falls too far behind is dropped: it comes back
with the number of the last event that it has, and reads on from the log. Of what one row brings (itself, its forecast,
its alarms) only the last event has the row's number, so that who was cut off between them gets them again.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from statecast.errors import Overloaded, StatecastError
from statecast.forecast import wire
from statecast.server.http.answers import Presenter
from statecast.server.states import selection

if TYPE_CHECKING:
    from statecast.server.engine.engine import Engine
    from statecast.server.engine.receipts import Alarm, Happening

HEART, PERIOD = 15.0, 2.0  # seconds between two signs of life, and between two events of the server's status
BEHIND = 200_000  # rows that a reader may be behind; the latest rows, which memory holds, must fit in
PATIENCE = 30.0  # seconds that reading the log waits for a reader
PART = 512  # rows whose events are written at once
ENCODED = 64  # parts that are kept as text, for other readers of the same events


class Reader:
    """What is on its way to one reader. Happenings come from the engine's threads, and leave in the event loop.

    Attributes:
        dropped: whether it takes nothing any longer.
    """

    def __init__(self) -> None:
        self.dropped = False
        self._loop, self._ready = asyncio.get_running_loop(), asyncio.Event()
        self._queue: deque[Happening] = deque()
        self._rows, self._room = 0, threading.Condition()
        self._subscription: Any = None

    def follow(self, engine: Engine, after: int | None) -> None:
        """Subscribe to what happens after a sequence number; takes as long as reading the log does."""
        try:
            subscription = engine.subscribe(after, self.hear)
        except StatecastError:  # the engine has stopped
            self.drop()
            return
        with self._room:
            self._subscription = subscription
        if self.dropped:
            subscription.close()

    def hear(self, item: Happening) -> None:
        """Take a happening; one that comes from the log waits for room.

        Raises:
            Overloaded: the reader is too far behind.
        """
        size = len(item.ids)
        with self._room:
            if size and item.forecast is None:  # from the log, where nobody else waits
                self._room.wait_for(lambda: self._rows + size <= BEHIND or self.dropped, PATIENCE)
            full = self.dropped or (self._rows + size > BEHIND and self._rows > 0)
            if not full:
                self._queue.append(item)
                self._rows += size
        if full:
            self.drop()
            raise Overloaded("a reader of events is too far behind")
        self._wake()

    def drop(self) -> None:
        """Take nothing any longer, and forget what is not sent."""
        with self._room:
            self.dropped, subscription = True, self._subscription
            self._queue.clear()
            self._room.notify_all()
        if subscription is not None:
            subscription.close()
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._ready.set)

    async def next(self, seconds: float) -> Happening | None:
        """The next happening; None where none comes for so long, or ever again."""
        end = self._loop.time() + seconds
        while not self._queue and not self.dropped and (left := end - self._loop.time()) > 0:
            self._ready.clear()
            if not self._queue:  # else it came before the bell was taken down
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ready.wait(), left)
        with self._room:
            if not self._queue:
                return None
            item = self._queue.popleft()
            self._rows -= len(item.ids)
            self._room.notify_all()
        return item


class Audience:
    """The readers of events of one server."""

    def __init__(self) -> None:
        self._readers: set[Reader] = set()
        self._texts: OrderedDict[tuple[int, int, Sequence[str]], bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._readers)

    def close(self) -> None:
        """End all readers."""
        for reader in tuple(self._readers):
            reader.drop()

    async def read(
        self,
        engine: Engine,
        types: Sequence[str],
        series: str | int | None,
        after: int | None,
        status: Callable[[], Any],
        allowed: Callable[[], bool] = lambda: True,
    ) -> AsyncIterator[bytes]:
        """The events of one reader, until it is dropped, or may read no longer.

        Args:
            engine: where they happen.
            types: of the events.
            series: the one whose events are wanted; all if None.
            after: the last sequence number that the reader knows; what comes next if None.
            status: what events of the server's status say.
            allowed: whether the reader may still read: its token may be taken out, or its session end.
        """
        present = Presenter(engine.model.schema)
        reader, clock = Reader(), asyncio.get_running_loop().time
        self._readers.add(reader)
        try:
            if after is None:
                await asyncio.to_thread(reader.follow, engine, after)
            else:  # a thread of its own: readers of a long log must not take those of others
                threading.Thread(target=reader.follow, args=(engine, after), daemon=True).start()
            sent, due, last = clock() - HEART, clock() if "status" in types else float("inf"), after
            while not reader.dropped:
                item = await reader.next(min(sent + HEART, due) - clock())
                if not allowed():
                    return
                for text in () if item is None else self._texts_of(present, item, types, series):
                    sent = clock()
                    yield text
                    await asyncio.sleep(0)  # others have their turn between two parts of what came at once
                last = last if item is None else item.last
                if clock() >= due:
                    sent, due = clock(), clock() + PERIOD
                    yield _event("status", status())
                if clock() >= sent + HEART:
                    sent = clock()
                    yield b": still here\n\n" if last is None else b"id: %d\n\n" % last
        finally:
            self._readers.discard(reader)
            reader.drop()

    def _texts_of(
        self, present: Presenter, item: Happening, types: Sequence[str], series: str | int | None
    ) -> Iterator[bytes]:
        """The events of a happening, in parts; those of all series are kept for other readers."""
        for begin in range(0, len(item.ids) or 1, PART):
            key = item.first, begin, types
            text = self._texts.get(key) if series is None else None
            if text is None:
                text = b"".join(events(present, item, types, series, begin))
            if series is None:
                self._texts[key] = text
                while len(self._texts) > ENCODED:
                    self._texts.popitem(last=False)
            if text:
                yield text


def events(
    present: Presenter, item: Happening, types: Sequence[str], series: str | int | None = None, begin: int = 0
) -> Iterator[bytes]:
    """The events of a part of a happening, and at its end of the series that were removed.

    Args:
        present: writes them.
        item: the happening.
        types: of the events.
        series: whose events; all if None.
        begin: the first of the part's rows.
    """
    part, count = range(begin, min(begin + PART, len(item.ids))), len(item.ids)
    rows = [n for n in part if series is None or item.ids[n] == series]
    observed = dict.fromkeys(rows) if "observation" in types else {}
    forecasts: dict[int, dict[str, Any]] = {}
    if "forecast" in types and item.forecast is not None and rows:
        forecasts = dict(zip(rows, wire.documents(selection.picked(item.forecast, np.array(rows))), strict=True))
    alarms = _alarms(item, types, series)
    times = dict(zip(rows, wire.times(item.times[rows], present.schema), strict=True)) if observed else {}
    for n in sorted({*observed, *forecasts, *(alarms.keys() & set(part))}):
        seq, parts = item.first + n, list[tuple[str, Any]]()
        if n in observed:
            parts.append(("observation", _observation(present, item, n, times[n])))
        if n in forecasts:
            parts.append(("forecast", {"seq": seq, **forecasts[n]}))
        parts += [("alarm", present.alarm(alarm)) for alarm in alarms.get(n, ())]
        yield from (_event(kind, data) for kind, data in parts[:-1])
        yield _event(*parts[-1], seq)
    for n, name in enumerate(item.removed if part.stop == count and "observation" in types else ()):
        if series in (None, name):
            yield _event("removal", {"seq": item.first + count + n, "id": name}, item.first + count + n)


def _observation(present: Presenter, item: Happening, row: int, time: Any) -> dict[str, Any]:
    score = float(item.scores[row])
    value = {"seq": item.first + row, "id": item.ids[row], "time": time, "value": present.number(item.values[row])}
    return value | {"score": None if score != score else score, "unusual": bool(item.unusual[row])}


def _alarms(item: Happening, types: Sequence[str], series: str | int | None) -> dict[int, list[Alarm]]:
    """Alarms by the row that they are told with: one that no row raised, such as a silence, with the last before."""
    alarms: dict[int, list[Alarm]] = {}
    for alarm in item.alarms if "alarm" in types else ():
        if series in (None, alarm.id):
            row = min(max(alarm.seq - item.first, 0), max(len(item.ids) - 1, 0))
            alarms.setdefault(row, []).append(alarm)
    return alarms


def _event(kind: str, data: Any, seq: int | None = None) -> bytes:
    text = b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(data))
    return text if seq is None else b"id: %d\n%s" % (seq, text)
