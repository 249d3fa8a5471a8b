"""The simple forecasts that a network must beat, for all origins of a series at once.

Each baseline is index arithmetic over the whole series: where is the last observed value at or before a row, and
where is the last one at the same place of a season? Both are running maxima over row numbers, so the work is O(rows)
and no windows are made. Nothing after an origin is read. Missing values are passed over; a forecast is NaN only where
a target has no observed value up to its origin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from statecast.errors import SettingError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int, Int64


def persistence(
    y: Float[np.ndarray, "T D"], origins: Int[np.ndarray, " n"], horizon: int, season: int = 1
) -> Float64[np.ndarray, "n H D"]:
    """The last observed value, at every step ahead.

    Args:
        y: one series, NaN where missing.
        origins: rows of y after which a forecast begins: the forecast for row t + k is [i, k - 1] where
            `origins[i]` is t.
        horizon: steps ahead, H; they may lie beyond the series' end.
        season: not used; each baseline takes the same arguments.

    Raises:
        SettingError: an origin outside the series, or a horizon or season below 1.
    """
    y, origins = _checked(y, origins, horizon, season)
    return np.repeat(_pick(y, _last(~np.isnan(y))[origins])[:, None], horizon, axis=1)


def seasonal_naive(
    y: Float[np.ndarray, "T D"], origins: Int[np.ndarray, " n"], horizon: int, season: int = 1
) -> Float64[np.ndarray, "n H D"]:
    """The value at the same place of the last season that is known at the origin.

    Where that value is missing: the same place of the season before, and so on; failing all, the last observed value.
    Arguments, shapes and errors as for `persistence`; `season` is the number of rows in a season.
    """
    y, origins = _checked(y, origins, horizon, season)
    steps = np.arange(1, horizon + 1)
    # Whole seasons back until the row is at or before the origin; -1 where that lies before the series' start.
    place = origins[:, None] + steps - season * -(-steps // season)
    row = np.where((place >= 0)[..., None], _last(~np.isnan(y), season)[np.maximum(place, 0)], -1)
    return np.where(row >= 0, _pick(y, row), persistence(y, origins, horizon))


def linear_extrapolation(
    y: Float[np.ndarray, "T D"], origins: Int[np.ndarray, " n"], horizon: int, season: int = 1
) -> Float64[np.ndarray, "n H D"]:
    """The straight line through the last two observed values, by their distance in rows.

    Where there is only one value: that value. Arguments, shapes and errors as for `persistence`.
    """
    y, origins = _checked(y, origins, horizon, season)
    last = _last(~np.isnan(y))
    one = last[origins]
    two = np.where(one > 0, np.take_along_axis(last, np.maximum(one - 1, 0), axis=0), -1)
    rise = _pick(y, one) - _pick(y, two)
    slope = np.where(two >= 0, rise / np.maximum(one - two, 1), 0.0)
    ahead = (origins[:, None] - one)[:, None] + np.arange(1, horizon + 1)[:, None]
    line: Float64[np.ndarray, "n H D"] = _pick(y, one)[:, None] + slope[:, None] * ahead
    return line


Baseline = Callable[
    ["Float[np.ndarray, 'T D']", "Int[np.ndarray, ' n']", int, int],
    "Float64[np.ndarray, 'n H D']",
]

BASELINES: Mapping[str, Baseline] = {
    "persistence": persistence,
    "seasonal_naive": seasonal_naive,
    "linear_extrapolation": linear_extrapolation,
}
"""The baselines by name; each takes (y, origins, horizon, season)."""


def forecasts(
    y: Float[np.ndarray, "T D"], origins: Int[np.ndarray, " n"], horizon: int, season: int = 1
) -> dict[str, Float64[np.ndarray, "n H D"]]:
    """The forecasts of every baseline by its name; see `persistence` for arguments and errors."""
    return {name: baseline(y, origins, horizon, season) for name, baseline in BASELINES.items()}


def _last(observed: Bool[np.ndarray, "T D"], stride: int = 1) -> Int64[np.ndarray, "T D"]:
    """The last row at or before each row that is observed and a whole number of strides away; -1 where none is."""
    rows, targets = observed.shape
    blocks = -(-rows // stride)
    row = np.full((blocks * stride, targets), -1, np.int64)
    row[:rows] = np.where(observed, np.arange(rows)[:, None], -1)
    return np.maximum.accumulate(row.reshape(blocks, stride, targets), axis=0).reshape(-1, targets)[:rows]


def _pick(y: Float64[np.ndarray, "T D"], row: Int64[np.ndarray, "... D"]) -> Float64[np.ndarray, "... D"]:
    """y at a row for each target; NaN for row -1."""
    return np.where(row >= 0, y[np.maximum(row, 0), np.arange(y.shape[1])], np.nan)


def _checked(
    y: Float[np.ndarray, "T D"], origins: Int[np.ndarray, " n"], horizon: int, season: int
) -> tuple[Float64[np.ndarray, "T D"], Int64[np.ndarray, " n"]]:
    if horizon < 1 or season < 1:
        raise SettingError(f"a horizon and a season have at least 1 step; got {horizon!r} and {season!r}")
    y, origins = np.asarray(y, np.float64), np.asarray(origins, np.int64)
    if origins.size and not (0 <= origins.min() and origins.max() < len(y)):
        raise SettingError(
            f"an origin is a row of the series, 0 to {len(y) - 1}; got {origins.min()} to {origins.max()}"
        )
    return y, origins
