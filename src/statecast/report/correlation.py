"""How much a value of a series says about the values after it: what pictures and a remark of the report show.

A series may have gaps, and what is left of it after a forecast may be nothing at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from statecast.errors import DataError, SettingError

if TYPE_CHECKING:
    from jaxtyping import Float, Float64


@dataclass(frozen=True, eq=False)
class Correlations:
    """Autocorrelation by lag.

    Attributes:
        values: for lags 0 to max_lag; all NaN where the series is constant or empty.
        band: 1.96 / sqrt(n): what 95 % of the values of white noise stay within.
    """

    values: Float64[np.ndarray, " lags"]
    band: float


def autocorrelation(x: Float[np.ndarray, " n"], max_lag: int) -> Correlations:
    """The autocorrelation of a series with missing values, for lags 0 to `max_lag` (at most n - 1).

    Each lag's products are averaged over the pairs that are both observed, so that gaps do not pull it towards zero,
    and weighted (n - lag) / n as usual: where nothing is missing this is the textbook estimate. A lag with fewer than
    two pairs is NaN. Source: Parzen, "On spectral analysis with missing observations and amplitude modulation" (1963).

    Raises:
        DataError: `x` is not one series.
        SettingError: `max_lag` is below 0.
    """
    x = np.asarray(x, np.float64)
    if x.ndim != 1:
        raise DataError(f"autocorrelation takes one series [n]; got an array of shape {x.shape}")
    if max_lag < 0:
        raise SettingError(f"max_lag is at least 0; got {max_lag}")
    observed = ~np.isnan(x)
    lags = min(max_lag, max(len(x) - 1, 0))
    count = int(observed.sum())
    if count < 2 or np.ptp(x[observed]) == 0:
        return Correlations(np.full(lags + 1, np.nan), math.nan if count == 0 else 1.96 / math.sqrt(count))
    # First to a size near 1, so that squares neither overflow nor vanish.
    centred = np.where(observed, (x - x[observed].mean()) / np.ptp(x[observed]), 0.0)
    pairs = np.rint(_lagged_products(observed.astype(np.float64), lags))
    sums = _lagged_products(centred, lags)
    weight = 1 - np.arange(lags + 1) / len(x)
    values = np.where(pairs >= 2, weight * (sums / np.maximum(pairs, 1)) / (sums[0] / count), np.nan)
    return Correlations(values, 1.96 / math.sqrt(count))


def _lagged_products(x: Float64[np.ndarray, " n"], lags: int) -> Float64[np.ndarray, " lags+1"]:
    """The sum of x[t] x[t + lag] over t, for each lag, by one transform (zeros keep the ends apart)."""
    size = 1 << (len(x) + lags).bit_length()
    return np.fft.irfft(np.abs(np.fft.rfft(x, size)) ** 2, size)[: lags + 1]


def lags_shown(season: int) -> int:
    """How many lags of an autocorrelation tell enough: three seasons within bounds."""
    return max(40, min(3 * season, 400))
