"""The season of a table whose time column does not tell one: the lag at which changes repeat.

The autocorrelation of the first differences of the training rows, over all series together. Differences, because a
trend correlates with itself at every lag. The season is the first peak that is nearly as high as the highest: a day
rather than the week that repeats it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

SERIES, ROWS = 64, 8192  # most series, and most of the last rows of each, that are looked at
CYCLES = 3  # a season must fit so often into the rows
CLEAR = 0.3  # least correlation of a season
NEAR = 0.8  # share of the highest peak that an earlier one must reach
NOISE = 4.0  # standard errors that a peak must stand above 0


def rows_of_season(
    y: Float[np.ndarray, "rows D"], offsets: Int64[np.ndarray, " S+1"], stop: Int64[np.ndarray, " S"]
) -> tuple[int, float]:
    """The season in rows and the correlation of changes at it; (1, 0) where none is clear.

    Args:
        y: targets, NaN where missing.
        offsets: of the series.
        stop: training rows of each series.
    """
    long = np.argsort(-stop, kind="stable")[: 4 * SERIES]
    chosen = long[np.linspace(0, len(long) - 1, min(SERIES, len(long))).astype(np.int64)] if len(long) else long
    most = int(min(stop.max(initial=0), ROWS))
    total, weight = np.zeros(most // CYCLES + 2), 0
    for s in chosen:
        rows = y[offsets[s] + max(int(stop[s]) - ROWS, 0) : offsets[s] + stop[s]]
        for values in rows.T:
            changes = _changes(values) if _moves(values) else np.zeros(0)
            count = len(changes)
            if count:
                lags = min(len(total), count // CYCLES + 1)
                total[:lags] += count * autocorrelation(changes, lags)
                weight += count
    return _first_peak(total / max(weight, 1), weight)


def _moves(values: np.ndarray) -> bool:
    changes = np.diff(values)
    changes = changes[~np.isnan(changes)]
    return len(changes) > 2 * CYCLES and bool(np.ptp(changes) > 1e-9 * np.abs(values[~np.isnan(values)]).max())


def _changes(values: np.ndarray) -> np.ndarray:
    """First differences about their mean, 0 where missing, in units of the largest: their squares are numbers, too."""
    changes = np.diff(values)
    changes = changes / np.nanmax(np.abs(changes))
    return np.asarray(np.nan_to_num(changes - np.nanmean(changes)))


def autocorrelation(values: Float[np.ndarray, " n"], lags: int) -> Float[np.ndarray, " lags"]:
    """Correlation of a sequence of mean 0 with itself, 0 to `lags` − 1 steps later; of sums, not means."""
    size = 2 ** int(np.ceil(np.log2(2 * len(values))))
    power = np.abs(np.fft.rfft(values, size)) ** 2
    raw = np.fft.irfft(power, size)[:lags]
    return np.asarray(raw / raw[0])


def _first_peak(correlation: Float[np.ndarray, " L"], count: int) -> tuple[int, float]:
    inner = correlation[1:-1]
    peaks = np.flatnonzero((inner > correlation[:-2]) & (inner >= correlation[2:])) + 1
    peaks = peaks[peaks >= 2]
    clear = max(CLEAR, NOISE / np.sqrt(max(count, 1)))
    if not len(peaks) or correlation[peaks].max() < clear:
        return 1, 0.0
    first = int(peaks[correlation[peaks] >= NEAR * correlation[peaks].max()][0])
    return first, float(correlation[first])
