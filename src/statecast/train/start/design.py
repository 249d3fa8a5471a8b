"""Rows of one target as least squares take them: the last values, and the next ones, in units of the loss.

Values are relative to the level and divided by what errors of their series are divided by, so that a row's error is
that of the loss: the scale of the front cancels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from statecast.model.front import STATISTICS, Front
from statecast.model.rings import slices
from statecast.train.working import WorkingTable, sample, training_rows, validation_rows

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

PRODUCTS = 4e10  # multiplications that the normal equations may cost: with more rows, evenly spaced ones are taken
BLOCK = 4096  # rows whose last values are copied at a time


@dataclass(frozen=True, eq=False)
class Design:
    """Rows of one target.

    Attributes:
        table: the panel in working units.
        front: tells levels and scales.
        target: its number.
        horizon: H.
        size: last values of a row.
        rows: numbers of the rows, in the order of the panel.
        stop: the row behind the last whose value may be forecast, for each series.
    """

    table: WorkingTable
    front: Front
    target: int
    horizon: int
    size: int
    rows: Int64[np.ndarray, " n"]
    stop: Int64[np.ndarray, " S"]

    @classmethod
    def empty(cls, table: WorkingTable, front: Front, target: int, horizon: int, size: int) -> Self:
        """No rows yet; see `training`, `validation` and `all_before_test`."""
        return cls(table, front, target, horizon, size, np.zeros(0, np.int64), table.parts.train)

    def training(self) -> Self:
        """Training rows, evenly spaced where there are many."""
        parts, offsets = self.table.parts, self.table.rows.offsets
        most = int(PRODUCTS / (self.size + 1) / (self.size + 1 + self.horizon))
        return replace(self, rows=sample(training_rows(offsets, parts.train), most), stop=parts.train)

    @property
    def complete(self) -> bool:
        """Whether these are all training rows."""
        return len(self.rows) == int(self.table.parts.train.sum())

    def since(self, first: Int64[np.ndarray, " S"]) -> Self:
        """Training rows from such a place in each series on."""
        parts, offsets = self.table.parts, self.table.rows.offsets
        rows = training_rows(offsets, parts.train)
        return replace(self, rows=rows[rows >= np.repeat(offsets[:-1] + first, parts.train)], stop=parts.train)

    def validation(self, most: int) -> Self:
        """Rows that forecast validation rows, `most` at most."""
        parts, offsets = self.table.parts, self.table.rows.offsets
        return replace(self, rows=sample(validation_rows(offsets, parts), most), stop=parts.val)

    def all_before_test(self) -> Self:
        """Training and validation rows."""
        parts, offsets = self.table.parts, self.table.rows.offsets
        return replace(self, rows=training_rows(offsets, parts.val), stop=parts.val)

    def of(self, rows: Int64[np.ndarray, " n"]) -> Self:
        """The same of other rows."""
        return replace(self, rows=rows)

    def back(self, size: int) -> Self:
        """The same with fewer or more of the last values."""
        return replace(self, size=size)

    def blocks(self) -> Iterator[Self]:
        """Some thousand rows at a time."""
        for begin in range(0, len(self.rows), BLOCK):
            yield self.of(self.rows[begin : begin + BLOCK])

    @cached_property
    def series(self) -> Int64[np.ndarray, " n"]:
        """The series of each row."""
        return np.asarray(self.table.rows.series[self.rows])

    @cached_property
    def places(self) -> Int64[np.ndarray, " n"]:
        """Where in its series each row lies, from 0 on."""
        return np.asarray(self.rows - self.table.rows.offsets[self.series])

    @property
    def stretches(self) -> Int64[np.ndarray, " n"]:
        """Which stretch of one horizon each row lies in, counted back from the ends of all series alike."""
        return np.asarray((self.stop[self.series] - 1 - self.places) // max(self.horizon, 1))

    @property
    def reach(self) -> Int64[np.ndarray, " n"]:
        """How many last values each row has that lie in its series; in the second half of its rows as many as asked."""
        late = self.places >= self.stop[self.series] // 2
        return np.where(late, self.size, np.minimum(self.places + 1, self.size))

    @cached_property
    def units(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Level and scale of the front, and the unit of the loss, of each row; [n, 1] each, in working units."""
        state = {name: self.table.statistics[name][self.rows] for name in STATISTICS}
        rings = self.table.rows.rings(self.rows, self.front.ring)
        level, scale = self.front.level_scale(state, rings)
        one = slice(self.target, self.target + 1)
        return level[:, one], scale[:, one], self.table.scales[self.series, one]

    def values(self) -> Float[np.ndarray, "n size+1"]:
        """The last values, the newest last, 0 where missing or before the series; and the scale, for an intercept."""
        flat, first = self.table.rows, self.rows - (self.size - 1)
        level, scale, unit = self.units
        values = np.empty((len(self.rows), self.size + 1))
        values[:, -1:] = scale / unit
        last = values[:, :-1]
        last[...] = slices(flat.y[:, self.target], first, self.size)
        last -= level
        last /= unit
        early = self.places < self.size - 1
        last[early] *= np.arange(self.size - 1, -1, -1) <= self.places[early, None]
        if self._gaps:
            last *= slices(flat.m[:, self.target], first, self.size)
        return values

    def actual(self) -> Float[np.ndarray, "n H"]:
        """The next values, NaN where missing or not to be forecast."""
        flat, at = self.table.rows, self.rows[:, None] + np.arange(1, self.horizon + 1)
        inside = np.minimum(at, len(flat.y) - 1)
        held = (at < (flat.offsets[:-1] + self.stop)[self.series][:, None]) & (flat.m[inside, self.target] > 0)
        if flat.weight is not None:  # what counts for nothing is not learned from
            held &= flat.weight[inside, 0] > 0
        level, _, unit = self.units
        return np.where(held, (flat.y[inside, self.target] - level) / unit, np.nan)

    @property
    def weights(self) -> Float[np.ndarray, "n 1"] | None:
        """How much each row counts: the mean of what it forecasts; None where all count alike."""
        flat = self.table.rows
        if flat.weight is None:
            return None
        at = np.minimum(self.rows[:, None] + np.arange(1, self.horizon + 1), len(flat.y) - 1)
        return np.asarray(flat.weight[at, 0].mean(axis=1, keepdims=True))

    @property
    def _gaps(self) -> bool:
        return not bool(self.table.rows.m[:, self.target].all())
