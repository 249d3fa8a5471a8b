"""Which of several forecasts errs less on rows held out, and whether by more than chance.

Forecasts of the same time err alike, so they are taken together: a unit of evidence is a stretch of one horizon of one
series. A simpler forecast is kept unless another wins by more than the standard error of what it gains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Values that no forecast has learned from.

    Attributes:
        actual: [n, H], NaN where missing; relative to the level, in units of the loss.
        units: which unit of evidence each row belongs to, [n].
    """

    actual: Float[np.ndarray, "n H"]
    units: Int64[np.ndarray, " n"]

    def of(self, rows: Bool[np.ndarray, " n"]) -> HeldOut:
        """Some of the rows."""
        return HeldOut(self.actual[rows], self.units[rows])

    @property
    def count(self) -> int:
        """Units that have a value."""
        return len(np.unique(self.units[~np.isnan(self.actual).all(axis=1)]))

    def errors(self, forecasts: Float[np.ndarray, "n H"]) -> Float[np.ndarray, " U"]:
        """Sum of absolute errors of each unit, over the mean number of values of a unit."""
        error = np.abs(forecasts - self.actual)
        number = np.unique(self.units, return_inverse=True)[1]
        sums = np.bincount(number, np.nansum(error, axis=1))
        return np.asarray(sums / max((~np.isnan(error)).sum() / max(len(sums), 1), 1))

    def mean(self, forecasts: Float[np.ndarray, "n H"]) -> float:
        """Mean absolute error; infinite where there is nothing to compare."""
        errors = self.errors(forecasts)
        return float(errors.mean()) if len(errors) else np.inf


def beats(errors: Float[np.ndarray, " U"], others: Float[np.ndarray, " U"], certainty: float = 1.0) -> bool:
    """Whether errors are smaller than others by more than so many standard errors of the mean difference."""
    gain = others - errors
    if len(gain) < 2:
        return bool(gain.sum() > 0)
    return bool(gain.mean() > certainty * gain.std(ddof=1) / len(gain) ** 0.5)


def units_of(series: Int64[np.ndarray, " n"], places: Int64[np.ndarray, " n"], horizon: int) -> Int64[np.ndarray, " n"]:
    """Numbers of the units of rows: a stretch of `horizon` rows of one series each."""
    blocks = places // max(horizon, 1)
    return np.asarray(series * (int(blocks.max(initial=0)) + 1) + blocks)
