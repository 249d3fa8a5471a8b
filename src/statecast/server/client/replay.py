"""A table as a server's rows, in the order of time: all series together, as they would have come in live.

Columns stay arrays; a piece of them becomes rows when it is its turn, so a long table is never held twice. A row that
needs values known ahead takes them from the rows behind it, and the last rows of a series, behind which there are not
enough, are left to tell what is known ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data.grid.roles import require_columns
from statecast.data.tabular.columns import Clock, Column
from statecast.data.tabular.table import Table
from statecast.data.timetext import MISSING
from statecast.errors import DataError
from statecast.server.client.remote import ServedModel

if TYPE_CHECKING:
    from jaxtyping import Int64


@dataclass(frozen=True, eq=False)
class Replay:
    """The rows of a table, in the order in which they are sent.

    Attributes:
        model: what the server's model is about.
        columns: those that are sent, by name; times are not among them.
        series: [rows] the number of each row's series.
        time: [rows] int64; the number of the row in its series where rows are counted.
        kind: of the times: "row", "integer", "date" or "datetime".
    """

    model: ServedModel
    columns: dict[str, Column]
    series: Int64[np.ndarray, " rows"]
    time: Int64[np.ndarray, " rows"]
    kind: str

    @classmethod
    def of(cls, table: Table, model: ServedModel) -> Replay:
        """The rows of a table for a server's model.

        Raises:
            DataError: a column is missing, or its values cannot be used.
        """
        lone = not table.has(model.id)
        names = [*model.targets, *model.past, *model.known, *(name for name in model.static if table.has(name))]
        require_columns(table, names if model.counted else [model.time, *names])
        columns = {name: table.column(name) for name in ([] if lone else [model.id]) + names}
        series = np.zeros(table.rows, np.int64) if lone else _numbers(table, columns[model.id])
        if model.counted:
            return cls(model, columns, series, _places(series), "row")
        time = table.column(model.time, Clock(model.time_kind == "integer"))
        if (time.values == MISSING).any():
            row = int((time.values == MISSING).argmax())
            raise DataError(f"{table.where(model.time, row)}: the time is missing; every row needs one")
        if (time.kind == "integer") != (model.time_kind == "integer"):
            raise DataError(f"{table.where(model.time)} holds {time.kind} times, the server's model {model.time_kind}")
        if (time.tz is None) != (model.tz is None):
            state, other = ("without", f"in {model.tz}") if time.tz is None else ("in", "without one")
            raise DataError(f"{table.where(model.time)} holds times {state} a zone, the server's model times {other}")
        return cls(model, columns, series, time.values, time.kind)

    def __len__(self) -> int:
        return len(self.order)

    @property
    def withheld(self) -> int:
        """How many rows at the ends of the series are not sent, since they tell what is known ahead of others."""
        return len(self.series) - len(self.order)

    @cached_property
    def order(self) -> Int64[np.ndarray, " n"]:
        """The rows to send, by time; those of one time in the order of the table."""
        order = np.argsort(self.time, kind="stable")
        if not self.model.known:
            return order
        last = np.full(self.series.max() + 1, np.iinfo(np.int64).min)
        np.maximum.at(last, self.series, self._grid)
        whole = self._step.advance(self._grid, self.model.horizon) <= last[self.series]
        return np.asarray(order[whole[order]])

    def seconds(self, position: int) -> float:
        """How long after the first row this one came; a step of whole-number times is a second."""
        span = int(self.time[self.order[position]]) - int(self.time[self.order[0]])
        return span / (1e6 if self.kind in ("date", "datetime") else 1)

    def records(self, begin: int, end: int) -> list[dict[str, Any]]:
        """Rows as a server takes them, from one position in the order to another."""
        rows = self.order[begin:end]
        columns = {name: _values(column, rows) for name, column in self.columns.items()}
        if not self.model.counted:
            columns[self.model.time] = self._written(self.time[rows])
        ahead = self._ahead(rows) if self.model.known else np.empty((0, 0), np.int64)
        for name in self.model.known:
            values = np.array(_values(self.columns[name], np.maximum(ahead, 0).reshape(-1)), object)
            values[ahead.reshape(-1) < 0] = None
            columns[name] = values.reshape(ahead.shape).tolist()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _written(self, time: Int64[np.ndarray, " n"]) -> list[Any]:
        """Times as JSON holds them; with a Z where they are instants."""
        if self.kind not in ("date", "datetime"):
            return list(time.tolist())
        texts = np.datetime_as_string(time.astype("M8[us]"), unit="us").tolist()
        return [text.removesuffix(".000000") + ("Z" if self.model.tz else "") for text in texts]

    @cached_property
    def _step(self) -> calendar.Frequency:
        return calendar.Frequency.parse(self.model.frequency)

    @cached_property
    def _grid(self) -> Int64[np.ndarray, " rows"]:
        """Times as the model counts steps between them."""
        dated = self.kind in ("date", "datetime")
        return calendar.from_instants(self.time, self._step, self.model.tz) if dated else self.time

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The times of the table, and where each (series, time) stands: sorted keys and their rows."""
        times, ranks = np.unique(self._grid, return_inverse=True)
        keys = self.series * len(times) + ranks
        order = np.argsort(keys)
        return times, keys[order], order

    def _ahead(self, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "n H+1"]:
        """Of some rows, the row of each step ahead, of which the first is itself; −1 in gaps of the table."""
        times, keys, order = self._places
        targets = self._step.advance(self._grid[rows][:, None], np.arange(self.model.horizon + 1))
        ranks = np.minimum(np.searchsorted(times, targets), len(times) - 1)
        codes = self.series[rows][:, None] * len(times) + ranks
        places = np.minimum(np.searchsorted(keys, codes), len(keys) - 1)
        return np.where((times[ranks] == targets) & (keys[places] == codes), order[places], -1)


def _numbers(table: Table, column: Column) -> Int64[np.ndarray, " rows"]:
    if column.kind == "text":
        if (column.values < 0).any():
            row = int((column.values < 0).argmax())
            raise DataError(f"{table.where(column.name, row)}: the id is missing; every row needs one")
        return column.values
    return np.unique(column.values, return_inverse=True)[1].astype(np.int64)


def _places(series: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
    """The number of each row among those of its series."""
    order = np.argsort(series, kind="stable")
    _, first, counts = np.unique(series[order], return_index=True, return_counts=True)
    places = np.empty(len(series), np.int64)
    places[order] = np.arange(len(series)) - np.repeat(first, counts)
    return places


def _values(column: Column, rows: Int64[np.ndarray, " n"]) -> list[Any]:
    """Some values of a column as JSON holds them; NaN is sent as null."""
    if column.kind != "text":
        return list(column.values[rows].tolist())
    labels: Callable[[int], str] = column.labels.__getitem__
    return [None if code < 0 else labels(code) for code in column.values[rows].tolist()]
