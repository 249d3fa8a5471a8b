"""Intervals of a point forecast from its errors on rows that it was not trained on: split conformal prediction.

Errors are divided by the front's scale at their origin, so that a quiet stretch of a series gets a narrow interval and
a loud one a wide one. For each step and target the model keeps their quantiles at the probabilities `GRID`; a level is
then a look-up. With the finite-sample correction (the ⌈(n+1)q⌉-th smallest of n errors) an interval of level 90 % holds
the next value with a probability of at least 90 % as long as errors are exchangeable.

Sources: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World" (2005); Lei, G'Sell, Rinaldo, Tibshirani,
Wasserman, "Distribution-free predictive inference for regression", JASA 113 (2018).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import SettingError
from statecast.forecast.roll import Origins
from statecast.model.archive import Model
from statecast.model.inputs import Rows, from_working

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int64

GRID: Float64[np.ndarray, " Q"] = np.linspace(0, 1, 401)
"""Probabilities of the quantiles that a model keeps; 0 and 1 are the smallest and the largest error."""

FEW = 10  # a step with fewer errors than this borrows the quantiles of a step with more


def quantiles(errors: Float[np.ndarray, "N H D"]) -> Float64[np.ndarray, "Q H D"]:
    """Quantiles of relative errors at the probabilities `GRID`, rounded outwards by the finite-sample correction.

    A probability that n errors are too few for gets the smallest or the largest of them. A step with fewer than ten
    errors borrows from the nearest earlier step that has more, widened by the root of the ratio of their steps (or from
    the first that has more); a target without any error gets those of a random walk whose steps have the front's scale.

    Args:
        errors: (value − forecast) / scale, NaN where there is no value.

    Returns:
        Quantiles that never are NaN, ascending along Q.
    """
    ordered = np.sort(errors, axis=0)  # NaN come last
    count = np.sum(~np.isnan(errors), axis=0)
    rank = np.round((count + 1) * GRID[:, None, None], 9)
    rank = np.where(GRID[:, None, None] > 0.5, np.ceil(rank), np.floor(rank))
    index = np.clip(rank, 1, np.maximum(count, 1)).astype(np.int64) - 1
    if len(ordered) == 0:
        return random_walk(*errors.shape[1:])
    return _borrowed(np.take_along_axis(ordered, index, axis=0).astype(np.float64), count)


def random_walk(horizon: int, targets: int) -> Float64[np.ndarray, "Q H D"]:
    """Quantiles of a normal random walk whose steps are 1 in absolute value on average."""
    inner = np.clip(GRID, GRID[1] / 2, 1 - GRID[1] / 2)
    normal = np.array([NormalDist().inv_cdf(q) for q in inner]) * math.sqrt(math.pi / 2)
    steps = np.sqrt(np.arange(1, horizon + 1))
    return np.repeat((normal[:, None] * steps)[..., None], targets, axis=2)


def _borrowed(found: Float64[np.ndarray, "Q H D"], count: Int64[np.ndarray, "H D"]) -> Float64[np.ndarray, "Q H D"]:
    horizon, targets = count.shape
    for d in range(targets):
        enough = np.flatnonzero(count[:, d] >= min(FEW, max(int(count[:, d].max()), 1)))
        if not len(enough):
            found[..., d] = random_walk(horizon, 1)[..., 0]
            continue
        steps = np.arange(horizon)
        lender = enough[np.maximum(np.searchsorted(enough, steps, side="right") - 1, 0)]
        found[..., d] = found[:, lender, d] * np.sqrt(np.maximum((steps + 1) / (lender + 1), 1))
    return found


def relative_errors(
    rows: Rows, origins: Origins, limit: Int64[np.ndarray, " S"] | None = None
) -> Float[np.ndarray, "N H D"]:
    """(value − forecast) / scale of forecasts; NaN where the value is missing, or not among the first `limit` rows."""
    horizon = origins.values.shape[1]
    series = rows.series[origins.rows]
    stop = rows.offsets[series + 1] if limit is None else rows.offsets[series] + limit[series]
    ahead = origins.rows[:, None] + np.arange(1, horizon + 1)
    inside = np.minimum(ahead, len(rows.y) - 1)
    seen = (rows.m[inside] > 0) & (ahead < stop[:, None])[..., None]
    point = origins.values[..., origins.values.shape[-1] // 2]
    return np.where(seen, (rows.y[inside] - point) / origins.scale[:, None, :], np.nan).astype(rows.y.dtype)


def thin(wanted: Bool[np.ndarray, " R"], numbers: int, most: int) -> tuple[Bool[np.ndarray, " R"], int]:
    """Every k-th of the wanted rows, so that `numbers` for each make at most `most`; and k.

    k shares no factor with the usual seasons, or all origins would fall on the same hour or weekday.
    """
    at = np.flatnonzero(wanted)
    stride = max(1, -(-len(at) * numbers // most))
    while stride > 1 and any(stride % factor == 0 for factor in (2, 3, 5, 7)):
        stride += 1
    chosen = np.zeros(len(wanted), bool)
    chosen[at[::stride]] = True
    return chosen, stride


def spread(
    model: Model, raw: Float[np.ndarray, "... H D O"], scale: Float[np.ndarray, "... D"], level: float
) -> tuple[Float64[np.ndarray, "... H D"], Float64[np.ndarray, "... H D"]]:
    """How far an interval reaches below and above the point, in working units; never negative, never NaN.

    A quantile head has trained it; a point head takes it from the quantiles of its relative errors. Where the grid or
    the errors are too few for the level, the extreme errors bound it: such an interval may hold less than its level.

    Raises:
        SettingError: a quantile head that was not trained for this level.
    """
    if model.network.head.levels:
        numbers = raw.astype(np.float64)
        lower = quantile_index(model, level)
        middle = numbers[..., numbers.shape[-1] // 2]
        return middle - numbers[..., lower], numbers[..., -1 - lower] - middle
    tail, size = (100 - level) / 200, len(GRID) - 1
    grid = model.residuals if model.residuals is not None else random_walk(*raw.shape[-3:-1])
    low = grid[math.floor(tail * size + 1e-9)]
    high = grid[math.ceil((1 - tail) * size - 1e-9)]
    unit = scale.astype(np.float64)[..., None, :]
    return unit * np.maximum(-low, 0), unit * np.maximum(high, 0)


def interval(
    model: Model, raw: Float[np.ndarray, "... H D O"], scale: Float[np.ndarray, "... D"], level: float
) -> tuple[Float64[np.ndarray, "... H D"], Float64[np.ndarray, "... H D"]]:
    """Lower and upper bound in the table's units of forecasts `raw` in working units; see `spread`."""
    below, above = spread(model, raw, scale, level)
    point = raw[..., raw.shape[-1] // 2].astype(np.float64)
    lower, upper = (from_working(model.constants, bound[..., None])[..., 0] for bound in (point - below, point + above))
    return lower, upper


def quantile_index(model: Model, level: float) -> int:
    """Where a quantile head has the lower bound of a level."""
    levels = sorted(model.network.head.levels, reverse=True)
    if level not in levels:
        trained = ", ".join(f"{x:g}" for x in levels[::-1])
        raise SettingError(
            f"levels: {level:g} was not trained; this model's quantile head has {trained}: "
            f"choose among them, or fit again with levels that include {level:g}"
        )
    return levels.index(level)


def checked_levels(model: Model, levels: Any) -> tuple[float, ...]:
    """The levels asked for, ascending, each once; those of the settings where None.

    Raises:
        SettingError: not numbers between 0 and 100, or not trained.
    """
    asked: Any = model.config.levels if levels is None else levels
    if isinstance(asked, str) or not np.iterable(asked):
        asked = (asked,)
    for level in asked:
        number = isinstance(level, (int, float, np.number)) and not isinstance(level, bool)
        if not (number and 0 < level < 100):
            raise SettingError(f"levels: {level!r} is not a level: wanted percent, above 0 and below 100, such as 80")
        if model.network.head.levels:
            quantile_index(model, level)
    return tuple(sorted({int(level) if level == int(level) else float(level) for level in asked}))
