"""The Panel: many series of unequal length in flat arrays.

One row per (series, time), series after series, times ascending and on a regular grid inside each series
(gaps were made explicit before this value is built). Everything downstream works on rows and offsets, so memory
grows with the rows alone. A Panel holds numbers only: names of columns live in `Schema`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64, Integer


@dataclass(frozen=True, eq=False)
class Panel:
    """Series of real vectors with their covariates.

    Attributes:
        y: targets [rows, D] in the data's units; NaN where missing.
        time: [rows] time stamps as integers: see `Frequency`.
        offsets: [S + 1]; the rows of series s are `offsets[s]:offsets[s + 1]`.
        ids: the names of the series, S of them.
        past: covariates known up to now [rows, P]; NaN where missing; categories one-hot.
        known: covariates known ahead [rows, K].
        static: covariates of a series [S, Q].
        ahead: covariates known ahead, for the rows after each series' last row [rows ahead, K].
        ahead_offsets: [S + 1] into `ahead`.
        weight: how much each row counts in the loss [rows], 0 in gaps; None where all count alike.
    """

    y: Float64[np.ndarray, "rows D"]
    time: Int64[np.ndarray, " rows"]
    offsets: Int64[np.ndarray, " series+1"]
    ids: tuple[str | int, ...]
    past: Float64[np.ndarray, "rows P"]
    known: Float64[np.ndarray, "rows K"]
    static: Float64[np.ndarray, "series Q"]
    ahead: Float64[np.ndarray, "ahead K"]
    ahead_offsets: Int64[np.ndarray, " series+1"]
    weight: Float64[np.ndarray, " rows"] | None = None

    @property
    def rows(self) -> int:
        """Number of (series, time) rows."""
        return int(self.y.shape[0])

    @property
    def targets(self) -> int:
        """Number of targets, D."""
        return int(self.y.shape[1])

    @property
    def series(self) -> int:
        """Number of series, S."""
        return len(self.ids)

    @property
    def lengths(self) -> Int64[np.ndarray, " series"]:
        """Rows of each series."""
        return np.diff(self.offsets)

    def series_of_row(self) -> Int64[np.ndarray, " rows"]:
        """The index of the series that each row belongs to."""
        return np.repeat(np.arange(self.series), self.lengths)

    def span(self, index: int) -> slice:
        """The rows of series number `index`."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def spans(self) -> Iterator[slice]:
        """The rows of each series in turn."""
        return (self.span(index) for index in range(self.series))

    def cut(self, stop: Int64[np.ndarray, " series"]) -> Panel:
        """The first `stop[s]` rows of each series; what follows becomes known-ahead rows."""
        return self.pieces(np.arange(self.series), np.zeros(self.series, np.int64), stop)

    def with_ahead(self) -> Panel:
        """Rows after the last observed target of each series as known-ahead rows; a series with none keeps its rows."""
        observed = np.where(np.isnan(self.y).all(axis=1), -1, np.arange(self.rows))
        last = np.maximum.reduceat(observed, self.offsets[:-1])
        stop = np.where(last < 0, self.offsets[1:], last + 1)
        return self if (stop == self.offsets[1:]).all() else self.cut(stop - self.offsets[:-1])

    def after(self, begin: Int64[np.ndarray, " series"]) -> Panel:
        """What follows the first `begin[s]` rows of each series; a series of which nothing follows is left out."""
        some = np.flatnonzero(begin < self.lengths)
        return self.pieces(some, begin[some], self.lengths[some])

    def pieces(
        self, series: Int64[np.ndarray, " n"], start: Int64[np.ndarray, " n"], stop: Int64[np.ndarray, " n"]
    ) -> Panel:
        """Rows `start` to `stop` of some series, each as a series of its own; what follows becomes known-ahead rows."""
        begin, end = self.offsets[series], self.offsets[series + 1]
        rows, counts = rows_of_spans(begin + start, stop - start), stop - start
        # Behind the rest of a series' known rows stand those that were known ahead of it.
        starts = np.stack([begin + stop, self.rows + self.ahead_offsets[series]], axis=1)
        sizes = np.stack([end - begin - stop, np.diff(self.ahead_offsets)[series]], axis=1)
        return replace(
            self,
            y=self.y[rows],
            time=self.time[rows],
            offsets=offsets_of(counts),
            ids=tuple(self.ids[s] for s in series),
            past=self.past[rows],
            known=self.known[rows],
            static=self.static[series],
            ahead=np.concatenate([self.known, self.ahead])[rows_of_spans(starts.ravel(), sizes.ravel())],
            ahead_offsets=offsets_of(sizes.sum(axis=1)),
            weight=None if self.weight is None else self.weight[rows],
        )

    def fold(self, names: tuple[str | int, ...]) -> Panel:
        """Every target as a series of its own, `names` giving the S·D new ids, the targets of a series side by side."""
        d, ahead = self.targets, np.diff(self.ahead_offsets)
        lengths = np.repeat(self.lengths, d)
        rows = rows_of_spans(np.repeat(self.offsets[:-1], d), lengths)
        rows_ahead = rows_of_spans(np.repeat(self.ahead_offsets[:-1], d), np.repeat(ahead, d))
        return Panel(
            y=self.y[rows, np.repeat(np.tile(np.arange(d), self.series), lengths)][:, None],
            time=self.time[rows],
            offsets=offsets_of(lengths),
            ids=names,
            past=self.past[rows],
            known=self.known[rows],
            static=np.repeat(self.static, d, axis=0),
            ahead=self.ahead[rows_ahead],
            ahead_offsets=offsets_of(np.repeat(ahead, d)),
            weight=None if self.weight is None else self.weight[rows],
        )


def offsets_of(lengths: Integer[np.ndarray, " S"]) -> Int64[np.ndarray, " S+1"]:
    """Where series of these lengths begin, and where the last one ends.

    Args:
        lengths: rows of each series; none is possible.
    """
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def places_in_spans(count: Integer[np.ndarray, " n"]) -> Int64[np.ndarray, " rows"]:
    """The place of each row within its span, from 0 on: n spans of so many rows, one span after another."""
    offsets = offsets_of(count)
    places: Int64[np.ndarray, " rows"] = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], count)
    return places


def rows_of_spans(begin: Integer[np.ndarray, " n"], count: Integer[np.ndarray, " n"]) -> Int64[np.ndarray, " rows"]:
    """The rows `begin[i]` to `begin[i] + count[i]` − 1 of n spans, one span after another.

    Args:
        begin: the first row of each span; spans may lie anywhere, and overlap.
        count: how many rows each has; none is possible.
    """
    rows: Int64[np.ndarray, " rows"] = np.repeat(begin, count) + places_in_spans(count)
    return rows
