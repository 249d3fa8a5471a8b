"""Rows that come late: a second state of each series, some steps behind, and the rows since.

A row is stepped into the state behind only when it has fallen out of the window, that is when no row before it can come
any more. A late row takes its place in the window, and the series' state is made anew: that of behind, stepped through
the window's rows in the order of time. So it is bit for bit what it would be had the rows come in order.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import ModelFileError, StatecastError, TimeOrderError
from statecast.forecast import channels
from statecast.forecast.answer import Forecast
from statecast.forecast.observation import Features, shown
from statecast.forecast.stream import Stream
from statecast.model import surprise
from statecast.model.state import State
from statecast.model.trained import Model
from statecast.server.states.batch import Id
from statecast.server.states.directory import Directory

if TYPE_CHECKING:
    from jaxtyping import Int64, Shaped

_HEAD = struct.Struct("<IIIII")  # rows of a window, bytes of a row, series, those with a state behind, bytes of a state


def window_row(model: Model) -> np.dtype[Any]:
    """A row of a window: its time, its values, and the features of its covariates, NaN where it states none."""
    steps, front, schema = model.network.head.horizon + 1, model.network.front, model.schema
    groups = {"values": len(schema.target), "past": len(schema.past_features), "known": steps * front.known}
    groups["static"] = len(schema.static_features)
    return np.dtype([("time", np.int64), *((name, np.float64, (size,)) for name, size in groups.items())])


class Behind:
    """The states behind, and the windows.

    Args:
        model: the model.
        directory: of the series.
        late: how many steps a row may be late.
    """

    def __init__(self, model: Model, directory: Directory, late: int) -> None:
        self.model, self.late, self._directory = model, late, directory
        self.stream = Stream(model, State.empty(model.layout, model.dtype))
        self.kind = window_row(model)
        # A ring of each series, since one row goes with each that comes.
        self._rows = np.zeros((0, late + 1), self.kind)
        self._head, self._count = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._places = np.zeros(0, np.int64)

    def move(self, directory: Directory) -> None:
        """Find names in another directory of the same series."""
        self._directory = directory

    # --- rows in order

    def note(self, numbers: Int64[np.ndarray, " S"], rows: Shaped[np.ndarray, " S"]) -> None:
        """Take in a row of each of S series, later than its last one; what falls out of the windows is stepped."""
        self._reserve(len(self._directory.names))
        self._leave(numbers, rows["time"])
        places = (self._head[numbers] + self._count[numbers]) % (self.late + 1)
        self._rows[numbers, places] = rows
        self._count[numbers] += 1

    def _leave(self, numbers: Int64[np.ndarray, " S"], times: Int64[np.ndarray, " S"]) -> None:
        """Step the rows that no row can come before any more, once series have rows of these times."""
        while len(numbers):
            oldest = self._rows[numbers, self._head[numbers]]
            distance = np.asarray(self.model.schema.frequency.steps_between(oldest["time"], times))
            leave = (self._count[numbers] > 0) & (distance > self.late)
            numbers, times, oldest = numbers[leave], times[leave], oldest[leave]
            new = self._places[numbers] < 0
            for some in (new, ~new):
                if some.any():
                    self._step(numbers[some], oldest[some], bool(new.any() and some is new))
            self._head[numbers] = (self._head[numbers] + 1) % (self.late + 1)
            self._count[numbers] -= 1

    def _step(self, numbers: Int64[np.ndarray, " S"], rows: Shaped[np.ndarray, " S"], new: bool) -> None:
        stated = ~np.isnan(rows["static"]).all(axis=1) if rows["static"].shape[1] else np.zeros(len(rows), bool)
        for some in (stated, ~stated):
            if not some.any():
                continue
            columns = columns_of_rows(self.model, rows[some], some is stated)
            if new:
                names = [self._directory.name(number) for number in numbers[some].tolist()]
                self.stream.observe_many(names, *columns)
                self._places[numbers[some]] = self.stream.numbers(names)
            else:
                self.stream.observe_numbered(self._places[numbers[some]], *columns)

    # --- a late row

    def insert(self, stream: Stream, number: int, row: Any) -> Forecast:
        """Take in a late row, and step a stream's state of the series as if it had come in its turn.

        Args:
            stream: that is in step with the series' last rows.
            number: of the series.
            row: the late row.

        Returns:
            The forecast after the series' last row, which tells of the late row whether it is unusual, not of the last.

        Raises:
            TimeOrderError: the row is later than it may be.
            StatecastError: it cannot be stepped. Nothing has changed then.
        """
        name, rows = self._directory.name(number), self.window(number)
        base = self.stream.state_of([name])
        time, schema = int(row["time"]), self.model.schema
        distance = int(schema.frequency.steps_between(time, int(rows["time"][-1]))) if len(rows) else self.late + 1
        if distance > self.late or (len(base.ids) and time <= int(base.time[0])):
            last = shown(int(rows["time"][-1]), schema) if len(rows) else "its last row"
            raise TimeOrderError(
                f"series {name!r}: {shown(time, schema)} is more than {self.late} steps before {last}, its last row"
            )
        place = int(np.searchsorted(rows["time"], time))
        together = np.concatenate([rows[:place], np.array([row], self.kind), rows[place:]])
        if not base.ids and rows["static"].shape[1]:  # whichever row states them, a series has them from its first on
            together["static"][0] = together["static"][~np.isnan(together["static"]).all(axis=1)][0]
        before = stream.state_of([name])
        try:
            forecast = self._through(stream, name, base, together, place)
        except StatecastError:
            stream.put(before)
            raise
        self._rows[number, : len(together)] = together
        self._head[number], self._count[number] = 0, len(together)
        return forecast

    def _through(self, stream: Stream, name: Id, base: State, rows: Shaped[np.ndarray, " n"], late: int) -> Forecast:
        """Put a series back to its state behind, and step it through its window's rows; `late` is the new one."""
        if base.ids:
            stream.put(base)
        else:
            stream.remove([name])
        for n in range(len(rows)):
            row = rows[n : n + 1]
            forecast = stream.observe_many([name], *columns_of_rows(self.model, row, not np.isnan(row["static"]).all()))
            if n == late:
                watch = forecast.watch
        return replace(forecast, watch=None if watch is None else surprise.unchanged(watch))

    def window(self, number: int) -> Shaped[np.ndarray, " n"]:
        """The rows of a series' window, oldest first."""
        if number >= len(self._rows):
            return np.zeros(0, self.kind)
        places = (self._head[number] + np.arange(self._count[number])) % (self.late + 1)
        return np.asarray(self._rows[number, places])

    # --- series that go, and blocks of them

    def remove(self, number: int) -> None:
        """Forget a series, before its name goes."""
        if number < len(self._places) and self._places[number] >= 0:
            self.stream.remove([self._directory.name(number)])
        if number < len(self._places):
            self._places[number], self._count[number] = -1, 0

    def begin(self, numbers: Int64[np.ndarray, " S"], state: State) -> None:
        """Start from states with nothing in the windows: rows before these are too late."""
        self._reserve(len(self._directory.names))
        self.stream.put(state)
        self._places[numbers] = self.stream.numbers([self._directory.name(number) for number in numbers.tolist()])

    def to_bytes(self, numbers: Int64[np.ndarray, " S"]) -> bytes:
        """What is remembered of series."""
        self._reserve(len(self._directory.names))
        old = numbers[self._places[numbers] >= 0]
        state = self.stream.state_of([self._directory.name(number) for number in old.tolist()])
        windows = [self.window(number) for number in numbers.tolist()]
        data = np.ascontiguousarray(state.data)
        head = _HEAD.pack(self.late + 1, self.kind.itemsize, len(numbers), len(old), data.shape[1] * data.itemsize)
        counts = np.array([len(window) for window in windows], np.int64)
        parts = [numbers, counts, *windows, old, state.time, data]
        return head + b"".join(part.tobytes() for part in parts)

    def restore(self, content: bytes) -> None:
        """Take over what `to_bytes` wrote, of those series that are here.

        Raises:
            ModelFileError: it is damaged, or of another model.
        """
        reader = _Reader(content)
        _, size, count, old, width = _HEAD.unpack(reader.take(np.uint8, _HEAD.size).tobytes())
        layout = self.model.layout.size
        if size != self.kind.itemsize or width != layout * self.model.dtype.itemsize:
            raise ModelFileError("the late rows of the store are another model's, or damaged")
        numbers, counts = reader.take(np.int64, count), reader.take(np.int64, count)
        windows = [reader.take(self.kind, int(n)) for n in counts.tolist()]
        stepped, each = reader.take(np.int64, old), len(channels.row_ids(self.model, ["a"]))
        times = reader.take(np.int64, old * each)
        data = reader.take(self.model.dtype, old * each * layout).reshape(old * each, layout)
        here = np.array([self._directory.names[number] is not None for number in stepped.tolist()], bool)
        names = [self._directory.name(number) for number in stepped[here].tolist()]
        rows = np.repeat(here, each)
        self._reserve(len(self._directory.names))
        if names:
            state = State(self.model.layout, data[rows], channels.row_ids(self.model, names), times[rows])
            self.begin(stepped[here], state)
        for number, window in zip(numbers.tolist(), windows, strict=True):
            for row in window if self._directory.names[number] is not None else ():
                self.note(np.array([number]), np.array([row], self.kind))

    def _reserve(self, count: int) -> None:
        if count <= len(self._count):
            return
        room = max(count, 2 * len(self._count), 1024)
        rows = np.zeros((room, self.late + 1), self.kind)
        rows[: len(self._rows)] = self._rows
        head, counts, places = np.zeros(room, np.int64), np.zeros(room, np.int64), np.full(room, -1)
        head[: len(self._head)], counts[: len(self._count)] = self._head, self._count
        places[: len(self._places)] = self._places
        self._rows, self._head, self._count, self._places = rows, head, counts, places


class _Reader:
    """Takes arrays from bytes, and never more than there are."""

    def __init__(self, content: bytes) -> None:
        self._content, self._begin = content, 0

    def take(self, kind: Any, count: int) -> Any:
        size = count * np.dtype(kind).itemsize
        if count < 0 or self._begin + size > len(self._content):
            raise ModelFileError("the late rows of the store are damaged: their sizes do not fit")
        self._begin += size
        return np.frombuffer(self._content, kind, count, self._begin - size)


def columns_of_rows(model: Model, rows: Shaped[np.ndarray, " S"], stated: bool) -> tuple[Any, Any, Any, Any, Any]:
    """Rows of a window as `Stream.observe_many` takes them; `stated` where they state static covariates."""
    steps, schema = model.network.head.horizon + 1, model.schema
    known = rows["known"].reshape(len(rows), steps, model.network.front.known)
    return (
        np.ascontiguousarray(rows["values"]),
        np.ascontiguousarray(rows["time"]),
        Features(np.ascontiguousarray(rows["past"])) if schema.past else None,
        Features(known) if schema.known else None,
        Features(np.ascontiguousarray(rows["static"])) if stated and schema.static else None,
    )


def rows_of_columns(kind: np.dtype[Any], columns: tuple[Any, Any, Any, Any, Any]) -> Shaped[np.ndarray, " S"]:
    """The inverse: rows of a window from values, times, past, known and static features."""
    values, times, past, known, static = columns
    rows = np.zeros(len(values), kind)
    rows["time"], rows["values"], rows["static"] = times, values, np.nan
    for name, part in (("past", past), ("known", known), ("static", static)):
        if part is not None:
            rows[name] = part.reshape(len(rows), -1)
    return rows
