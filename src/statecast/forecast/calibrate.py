"""Intervals that hold what they say, from errors that were made on the table: split conformal prediction.

The errors are those on validation rows, and those on training rows made as large (`assemble` chooses and sizes them).

Calibrated are the normal scores of what happened (see `marginal`): for a point head the errors in units of the front's
scale at their origin, so that a quiet stretch of a series gets a narrow interval and a loud one a wide one; for a
quantile head or a distribution how far out it was by the forecast itself. For each step and target the model keeps
their quantiles at the probabilities `adaptive.GRID`; a level is then a look-up, and the interval what the forecast has
at these scores. With the finite-sample correction (the ⌈(n+1)q⌉-th smallest of n) an interval of level 90 % holds the
next value with a probability of at least 90 % as long as scores are exchangeable.

Sources: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World" (2005); Lei, G'Sell, Rinaldo, Tibshirani,
Wasserman, "Distribution-free predictive inference for regression", JASA 113 (2018); for quantile heads Romano,
Patterson, Candès, "Conformalized quantile regression", NeurIPS 2019, and for distributions Chernozhukov, Wüthrich, Zhu,
"Distributional conformal prediction", PNAS 118 (2021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import canonical
from statecast.forecast.roll import Origins
from statecast.model import marginal
from statecast.model.adaptive import GRID, bounds_of, half_width
from statecast.model.head import Head
from statecast.model.inputs import Rows, from_working
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int64

FEW = 10  # a step with fewer errors than this borrows the quantiles of a step with more


def quantiles(scores: Float[np.ndarray, "N H D"], prior: Float64[np.ndarray, "Q H D"]) -> Float64[np.ndarray, "Q H D"]:
    """Quantiles of normal scores at the probabilities `GRID`, rounded outwards by the finite-sample correction.

    A probability that n scores are too few for gets the smallest or the largest of them. A step with fewer than ten
    scores borrows from the nearest earlier step that has more, widened as the prior widens between the two (or from the
    first that has more); a target without any score gets the prior.

    Args:
        scores: of what happened, NaN where there is no value.
        prior: the quantiles where nothing has been seen yet, from `adaptive.untried`.

    Returns:
        Quantiles that never are NaN, ascending along Q.
    """
    if len(scores) == 0:
        return prior
    ordered = np.sort(scores, axis=0)  # NaN come last
    count = np.sum(~np.isnan(scores), axis=0)
    rank = np.round((count + 1) * GRID[:, None, None], 9)
    rank = np.where(GRID[:, None, None] > 0.5, np.ceil(rank), np.floor(rank))
    index = np.clip(rank, 1, np.maximum(count, 1)).astype(np.int64) - 1
    return _borrowed(np.take_along_axis(ordered, index, axis=0).astype(np.float64), count, prior)


def _borrowed(
    found: Float64[np.ndarray, "Q H D"], count: Int64[np.ndarray, "H D"], prior: Float64[np.ndarray, "Q H D"]
) -> Float64[np.ndarray, "Q H D"]:
    horizon, targets = count.shape
    for d in range(targets):
        enough = np.flatnonzero(count[:, d] >= min(FEW, max(int(count[:, d].max()), 1)))
        if not len(enough):
            found[..., d] = prior[..., d]
            continue
        steps = np.arange(horizon)
        lender = enough[np.maximum(np.searchsorted(enough, steps, side="right") - 1, 0)]
        found[..., d] = found[:, lender, d] * np.maximum(prior[-1, :, d] / prior[-1, lender, d], 1)
    return found


def scores(
    head: Head, rows: Rows, origins: Origins, limit: Int64[np.ndarray, " S"] | None = None
) -> Float[np.ndarray, "N H D"]:
    """Normal scores of what happened; NaN where a value is missing, or not among a series' first `limit` rows."""
    series = rows.series[origins.rows]
    stop = rows.offsets[series + 1] if limit is None else rows.offsets[series] + limit[series]
    ahead = origins.rows[:, None] + np.arange(1, head.horizon + 1)
    inside = np.minimum(ahead, len(rows.y) - 1)
    seen = (rows.m[inside] > 0) & (ahead < stop[:, None])[..., None]
    value = np.where(seen, rows.y[inside], np.nan)
    return marginal.score(head, origins.values, origins.scale[:, None, :], value).astype(rows.y.dtype)


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
    model: Model,
    raw: Float[np.ndarray, "N H D O"],
    scale: Float[np.ndarray, "N D"],
    level: float,
    moved: Float[np.ndarray, "N K L D"] | None = None,
) -> tuple[Float64[np.ndarray, "N H D"], Float64[np.ndarray, "N H D"]]:
    """How far an interval reaches below and above the point, in working units; never negative, never NaN.

    Where the grid or the scores are too few for the level, the extreme ones bound it: such an interval may hold less
    than its level.

    Args:
        model: the model.
        raw: forecasts in working units.
        scale: the front's scale.
        level: in percent.
        moved: what adaptation has moved the intervals by, see `Adaptive`; None for not at all.
    """
    head, unit = model.network.head, scale[..., None, :]
    low, high = bounds_of(model.quantiles, level)
    if moved is not None and model.adaptive is not None:
        reaches = [(bounds_of(model.quantiles, at), model.adaptive.reach(moved, at)) for at in _within(model, level)]
        size = half_width(model.quantiles)
        # An interval holds those of lower levels, however far these have moved.
        low = np.min([lower - size * reach for (lower, _), reach in reaches], axis=0)
        high = np.max([upper + size * reach for (_, upper), reach in reaches], axis=0)
    point = raw[..., head.middle].astype(np.float64)
    lower, upper = (marginal.value(head, raw, unit, score) for score in (low, high))
    return np.maximum(point - lower, 0), np.maximum(upper - point, 0)


def moved_scores(
    model: Model, score: Float64[np.ndarray, "N H D"], moved: Float[np.ndarray, "N K L D"]
) -> Float64[np.ndarray, "N H D"]:
    """Normal scores of samples, stretched as adaptation has moved the intervals.

    Scores at the bounds of an interval come to lie at its moved bounds, the median stays, the others lie between.
    """
    assert model.adaptive is not None
    size = half_width(model.quantiles)
    below, above, low, high = [], [], None, None  # type: list[Any], list[Any], Any, Any
    for level in model.adaptive.levels:
        bounds, reach = bounds_of(model.quantiles, level), size * model.adaptive.reach(moved, level)
        low = bounds[0] - reach if low is None else np.minimum(low, bounds[0] - reach)
        high = bounds[1] + reach if high is None else np.maximum(high, bounds[1] + reach)
        below.insert(0, (bounds[0], low))
        above.append((bounds[1], high))
    middle = bounds_of(model.quantiles, 0)[0]
    knots = [*below, (middle, np.clip(middle, below[-1][1], above[0][1])), *above]
    return marginal.bent([x for x, _ in knots], [y for _, y in knots], score)


def _within(model: Model, level: float) -> list[float]:
    """The levels that are watched below this one, and it."""
    return [at for at in model.config.levels if at < level] + [level]


def interval(
    model: Model, origins: Origins, level: float
) -> tuple[Float64[np.ndarray, "N H D"], Float64[np.ndarray, "N H D"]]:
    """Lower and upper bound in the table's units; see `spread`."""
    below, above = spread(model, origins.values, origins.scale, level, origins.moved)
    point = origins.values[..., model.network.head.middle].astype(np.float64)
    lower, upper = (from_working(model.constants, bound[..., None])[..., 0] for bound in (point - below, point + above))
    return lower, upper


def checked_levels(model: Model, levels: Any) -> tuple[float, ...]:
    """The levels of the intervals, ascending, each once; those of the settings where None.

    Raises:
        SettingError: not numbers between 1 and 100, in percent.
    """
    if levels is None:
        values = model.config.levels
    else:
        values = canonical("levels", tuple(levels) if np.iterable(levels) and not isinstance(levels, str) else levels)
    return tuple(sorted({int(level) if level == int(level) else float(level) for level in values}))
