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
    from jaxtyping import Float64, Int64


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
        keep = np.concatenate(
            [np.arange(span.start, span.start + int(n)) for span, n in zip(self.spans(), stop, strict=True)]
        )
        rest = [
            np.concatenate(
                [self.known[span.start + int(n) : span.stop], self.ahead[slice(*self.ahead_offsets[s : s + 2])]]
            )
            for s, (span, n) in enumerate(zip(self.spans(), stop, strict=True))
        ]
        return replace(
            self,
            y=self.y[keep],
            time=self.time[keep],
            offsets=np.concatenate([[0], np.cumsum(stop)]).astype(np.int64),
            past=self.past[keep],
            known=self.known[keep],
            ahead=np.concatenate(rest) if rest else self.ahead,
            ahead_offsets=np.concatenate([[0], np.cumsum([len(part) for part in rest])]).astype(np.int64),
        )

    def after(self, begin: Int64[np.ndarray, " series"]) -> Panel:
        """What follows the first `begin[s]` rows of each series; a series of which nothing follows is left out."""
        count = self.lengths - begin
        some = np.flatnonzero(count > 0)
        keep = np.arange(self.rows) - self.offsets[self.series_of_row()] >= np.repeat(begin, self.lengths)
        ahead = [self.ahead[slice(*self.ahead_offsets[s : s + 2])] for s in some]
        return replace(
            self,
            y=self.y[keep],
            time=self.time[keep],
            offsets=np.concatenate([[0], np.cumsum(count[some])]).astype(np.int64),
            ids=tuple(self.ids[s] for s in some),
            past=self.past[keep],
            known=self.known[keep],
            static=self.static[some],
            ahead=np.concatenate(ahead) if ahead else self.ahead[:0],
            ahead_offsets=np.concatenate([[0], np.cumsum([len(part) for part in ahead])]).astype(np.int64),
        )

    def fold(self, names: tuple[str | int, ...]) -> Panel:
        """Every target as a series of its own, `names` giving the S·D new ids, the targets of a series side by side."""
        d, order = (
            self.targets,
            np.concatenate(
                [np.tile(np.arange(s.start, s.stop), self.targets) for s in self.spans()] or [np.zeros(0, int)]
            ),
        )
        ahead = [np.arange(*self.ahead_offsets[s : s + 2]) for s in range(self.series)]
        ahead_order = np.concatenate([np.tile(part, d) for part in ahead] or [np.zeros(0, int)])
        return Panel(
            y=np.concatenate([self.y[s].T.reshape(-1, 1) for s in self.spans()] or [np.zeros((0, 1))]),
            time=self.time[order],
            offsets=np.concatenate([[0], np.cumsum(np.repeat(self.lengths, d))]).astype(np.int64),
            ids=names,
            past=self.past[order],
            known=self.known[order],
            static=np.repeat(self.static, d, axis=0),
            ahead=self.ahead[ahead_order],
            ahead_offsets=np.concatenate([[0], np.cumsum(np.repeat(np.diff(self.ahead_offsets), d))]).astype(np.int64),
        )
