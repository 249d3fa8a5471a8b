"""Origins: the rows of a table that are forecast from, and the forecasts that were made there.

Which rows these are follows from the split of a table alone: validation and training rows whose forecasts calibrate
intervals, and test rows whose forecasts are scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.model.heads.head import Head

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

FEW = 10  # a step ahead with fewer scores than this has no quantiles of its own
MOST_TRAINING = 5_000_000  # numbers that are kept of the forecasts of training rows; above it, they are thinned out


@dataclass(frozen=True, eq=False)
class Origins:
    """Forecasts made at some rows of a panel.

    Attributes:
        rows: [N] the rows at which they were made.
        values: [N, H, D, O] in working units.
        scale: [N, D] the front's scale there.
        shifts: [N, K, A, D] how far intervals were moved there, see `Adaptive`; None where they do not move.
        phase: [N] steps from the beginning of all time to these rows; None where seasons are not looked at.
        watch: [N, W, D] where the rows' values lay among the forecasts made for them before, see `Adaptive`; None where
            the model does not watch.
    """

    rows: Int64[np.ndarray, " N"]
    values: Float[np.ndarray, "N H D O"]
    scale: Float[np.ndarray, "N D"]
    shifts: Float[np.ndarray, "N K A D"] | None = None
    phase: Int64[np.ndarray, " N"] | None = None
    watch: Float[np.ndarray, "N W D"] | None = None

    @staticmethod
    def none(head: Head) -> Origins:
        """Those of no row."""
        blank = np.zeros((0, head.horizon, head.targets, head.width))
        return Origins(np.zeros(0, np.int64), blank, np.zeros((0, head.targets)))

    def at(self, which: Any) -> Origins:
        """Those that `which` picks: a slice, a mask or numbers."""
        further = (None if part is None else part[which] for part in (self.shifts, self.phase, self.watch))
        return Origins(self.rows[which], self.values[which], self.scale[which], *further)


@dataclass(frozen=True, eq=False)
class OriginRows:
    """The rows of a table that are forecast from after a fit, or the forecasts made there, by what they are for.

    Attributes:
        validation: those from which validation rows are forecast.
        training: those from which training rows are, in the second half of the training part, where the network has
            seen some of each series; thinned out where they are very many.
        test: those from which test rows are.
        enough: whether the first two suffice for intervals: there are at least ten, and not all of them overlap, so
            there are two whole horizons, or two series. Where they do not, those count, too, that have only a part of
            their horizon ahead.
    """

    validation: Bool[np.ndarray, " rows"]
    training: Bool[np.ndarray, " rows"]
    test: Bool[np.ndarray, " rows"]
    enough: bool

    @classmethod
    def of(cls, panel: Panel, split: Split, horizon: int, numbers: int) -> OriginRows:
        """Those of a table and its split.

        Args:
            panel: the table, one series a series.
            split: its training, validation and test rows.
            horizon: steps ahead, H.
            numbers: how many are forecast at one row.
        """
        parts = ((split.train, split.val), (np.maximum(split.train // 2, 1), split.train))
        validation, training = (origin_rows(panel, first, horizon, stop) for first, stop in parts)
        count = np.add.reduceat(np.append(validation | training, False), panel.offsets[:-1]) * (panel.lengths > 0)
        enough = bool(count.sum() >= FEW and (-(-count // horizon)).sum() >= 2)
        if not enough:
            validation, training = (origin_rows(panel, first, 1, stop) for first, stop in parts)
        training, _ = thin(training & ~validation, numbers, MOST_TRAINING)
        return cls(validation, training, origin_rows(panel, split.val, horizon), enough)

    @property
    def all(self) -> Bool[np.ndarray, " rows"]:
        """Every row that is forecast from."""
        return np.asarray(self.validation | self.training | self.test)


def origin_rows(
    panel: Panel, begin: Int64[np.ndarray, " S"], horizon: int, stop: Int64[np.ndarray, " S"] | None = None
) -> Bool[np.ndarray, " rows"]:
    """Rows from which the rows `begin[s]` to `stop[s]` − 1 of each series are forecast, all H steps at once.

    Where there are fewer than H of them, the one origin right before them counts with the steps that there are.

    Args:
        panel: the table.
        begin: for each series, the first row that is forecast; a series that begins there has no origin before it.
        horizon: steps ahead, H.
        stop: for each series, the row after the last that is forecast; its length if None.
    """
    stop = panel.lengths if stop is None else stop
    last = np.where((begin > 0) & (begin < stop), np.maximum(stop - horizon, begin), 0)
    age = np.arange(panel.rows) - np.repeat(panel.offsets[:-1], panel.lengths)
    first, last = (np.repeat(values, panel.lengths) for values in (begin - 1, last))
    return np.asarray((age >= first) & (age < last))


def thin(mask: Bool[np.ndarray, " R"], numbers: int, most: int) -> tuple[Bool[np.ndarray, " R"], int]:
    """Every k-th of the rows in a mask, so that `numbers` for each make at most `most` in all; and k.

    k shares no factor with the usual seasons, or all origins would fall on the same hour or weekday.
    """
    rows = np.flatnonzero(mask)
    stride = max(1, -(-len(rows) * numbers // most))
    while stride > 1 and any(stride % factor == 0 for factor in (2, 3, 5, 7)):
        stride += 1
    thinned = np.zeros(len(mask), bool)
    thinned[rows[::stride]] = True
    return thinned, stride
