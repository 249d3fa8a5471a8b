"""Intervals whose widths come from errors that were made on the table.

Calibrated are the normal scores of the values that came (see `marginal`): for a point head the errors in units of the
front's scale at their origin, so that a quiet stretch of a series gets a narrow interval and a loud one a wide one; for
a quantile head or a distribution, how far out a value lay by the forecast itself. For each step ahead and target the
model keeps the quantiles of these scores at the probabilities `adaptive.GRID`. The interval of a level is what the
forecast has at two of them.

Two ways lead to the quantiles. Where there are errors enough, they are order statistics with the finite-sample
correction of split conformal prediction, the ⌈(n+1)q⌉-th smallest of n (`quantiles`). Where there are few, they are
those of a normal number whose size is estimated step by step (`sized`).

What this does not give is a guarantee. Conformal prediction promises that an interval of level 90 % holds the next
value with a probability of at least 90 %, but only if the calibrating scores and the next one are exchangeable and none
of them was used to train. Scores of a series follow one another in time and overlap; validation rows chose the weights;
and the errors of training rows, which `assemble` adds, were fitted. How many values the intervals hold is therefore
measured on the test rows and reported beside their level.

Sources: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World" (2005); Lei, G'Sell, Rinaldo, Tibshirani,
Wasserman, "Distribution-free predictive inference for regression", JASA 113 (2018); for quantile heads Romano,
Patterson, Candès, "Conformalized quantile regression", NeurIPS 2019, and for distributions Chernozhukov, Wüthrich, Zhu,
"Distributional conformal prediction", PNAS 118 (2021).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import canonical
from statecast.forecast import phases
from statecast.forecast.hindcast.origins import FEW, Origins
from statecast.model.adaptive import GRID, NORMAL, bounds_of, half_width
from statecast.model.cells import Array
from statecast.model.heads import marginal
from statecast.model.heads.distributions import normal_score
from statecast.model.heads.head import Head
from statecast.model.inputs import Rows, from_working, kept_within
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

WEIGHT = 2.0  # how many independent scores the size expected of a step counts as, beside those observed there
FITTED = 0.25  # what a score of a training row counts where no validation row tells how much too small it is


def quantiles(scores: Float[np.ndarray, "N H D"], prior: Float64[np.ndarray, "Q H D"]) -> Float64[np.ndarray, "Q H D"]:
    """Quantiles of normal scores at the probabilities `GRID`: order statistics, rounded outwards.

    Probabilities that n scores are too few for continue from the outermost score as those of a normal number do. A step
    with fewer than `FEW` scores borrows from the nearest earlier step that has more, or else from the first that has,
    widened as the prior widens between the two. A target of which no step has `FEW` is left to `sized`.

    Args:
        scores: of the values that came, NaN where there is no value.
        prior: the quantiles to assume where nothing is known, from `adaptive.prior_quantiles`.

    Returns:
        Quantiles that are never NaN, ascending along Q.
    """
    count = np.sum(~np.isnan(scores), axis=0)
    steps = np.arange(scores.shape[1])
    result = np.array(prior)
    for d in range(scores.shape[2]):
        lenders = np.flatnonzero(count[:, d] >= FEW)
        if not len(lenders):
            result[..., d] = sized(scores[..., d, None], prior[..., d, None])[..., 0]
            continue
        lender = np.maximum(np.searchsorted(lenders, steps, side="right") - 1, 0)
        growth = np.maximum(prior[-1, :, d] / prior[-1, lenders[lender], d], 1)
        result[..., d] = _order_statistics(scores[:, lenders, d])[:, lender] * growth
    return result


def _order_statistics(scores: Float[np.ndarray, "N K"]) -> Float64[np.ndarray, "Q K"]:
    """The corrected quantiles of columns of scores; NaN are left out, and each column has at least `FEW` others."""
    count = np.sum(~np.isnan(scores), axis=0)
    rank = np.round((count + 1) * GRID[:, None], 9)
    rank = np.where(GRID[:, None] > 0.5, np.ceil(rank), np.floor(rank))
    index = np.clip(rank, 1, count).astype(np.int64) - 1
    ordered = np.take_along_axis(np.sort(scores, axis=0), index, axis=0).astype(np.float64)  # NaN are sorted last
    middle = ordered[len(GRID) // 2]
    outermost = np.array([normal_score(1 / (n + 1)) for n in count.tolist()])
    beyond = np.maximum(np.abs(NORMAL)[:, None] / -outermost, 1)
    return np.where((rank < 1) | (rank > count), middle + (ordered - middle) * beyond, ordered)


def sized(
    scores: Float[np.ndarray, "N H D"], prior: Float64[np.ndarray, "Q H D"], count: float = 1.0
) -> Float64[np.ndarray, "Q H D"]:
    """Quantiles at `GRID` where scores are few: the prior's shape, with a size that is estimated step by step.

    The mean square of the scores k steps ahead is estimated from those observed and from the estimate for the step
    before, which is widened as the prior widens (for a point head with √k) and counts as `WEIGHT` scores; before the
    first step stands the prior itself. Errors k steps ahead from neighbouring origins overlap, so n of them count as
    n / k. Steps without any score go on from the last one that has some, so widths grow from there.

    Args:
        scores: of the values that came, NaN where there is no value.
        prior: the quantiles to assume where nothing is known, from `adaptive.prior_quantiles`.
        count: what a score counts: 1, or `FITTED`.

    Returns:
        Quantiles that are finite, symmetric and strictly ascending along Q.
    """
    result = np.array(prior)
    expected = square = np.zeros(scores.shape[2])
    for k in range(scores.shape[1]):
        size = (prior[-1, k] / NORMAL[-1]) ** 2  # what the prior takes for the mean square
        expected = size if k == 0 else square * size / (prior[-1, k - 1] / NORMAL[-1]) ** 2
        mask = ~np.isnan(scores[:, k])
        weight = count * mask.sum(axis=0) / (k + 1)
        mean = np.sum(np.where(mask, scores[:, k], 0.0).astype(np.float64) ** 2, axis=0) / np.maximum(
            mask.sum(axis=0), 1
        )
        square = (weight * mean + WEIGHT * expected) / (weight + WEIGHT)
        result[:, k] *= np.sqrt(square / size)
    return result


def scores(
    head: Head, rows: Rows, origins: Origins, limit: Int64[np.ndarray, " S"] | None = None
) -> Float[np.ndarray, "N H D"]:
    """Normal scores of the values that came after N origins.

    Args:
        head: the head.
        rows: the table, prepared.
        origins: the forecasts.
        limit: how many rows of each series count; all if None.

    Returns:
        NaN where a value is missing or lies beyond the limit.
    """
    series = rows.series[origins.rows]
    stop = rows.offsets[series + 1] if limit is None else rows.offsets[series] + limit[series]
    ahead = origins.rows[:, None] + np.arange(1, head.horizon + 1)
    inside = np.minimum(ahead, len(rows.y) - 1)
    mask = (rows.m[inside] > 0) & (ahead < stop[:, None])[..., None]
    values = np.where(mask, rows.y[inside], np.nan)
    result: Float[np.ndarray, "N H D"] = marginal.score(head, origins.values, origins.scale[:, None, :], values)
    return result.astype(rows.y.dtype)


@dataclass(frozen=True, eq=False)
class Spread:
    """How far intervals reach around forecasts; what several levels share is worked out once.

    The arrays may be of any array library, except for heads whose distribution has quantiles of NumPy alone.

    Attributes:
        model: the model.
        raw: forecasts in working units [N, H, D, O].
        scale: the front's scale [N, D].
        moved: how far adaptation has moved the intervals [N, K, A, D], see `Adaptive`; None where it has not.
        phase: steps from the beginning of all time to the origin [N], see `phase_of`; None where it does not matter.
    """

    model: Model
    raw: Array
    scale: Array
    moved: Array | None = None
    phase: Array | None = None
    _scores: dict[float, tuple[Array, Array]] = field(default_factory=dict, init=False)  # of watched levels

    @classmethod
    def of(cls, model: Model, origins: Origins) -> Spread:
        """That of the forecasts from some rows of a table."""
        return cls(model, origins.values, origins.scale, origins.shifts, origins.phase)

    @cached_property
    def point(self) -> Array:
        """The point forecasts in working units [N, H, D], in float64."""
        xp = self.raw.__array_namespace__()
        return xp.astype(self.raw[..., self.model.network.head.middle], xp.float64)

    def at(self, level: float) -> tuple[Array, Array]:
        """How far the interval of a level in percent reaches below and above the point [N, H, D].

        In working units; never negative, never NaN.
        """
        xp = self.raw.__array_namespace__()
        # An interval holds those of lower levels, however far these have moved.
        nested = [level] if self.moved is None or self.model.adaptive is None else _up_to(self.model, level)
        lows, highs = zip(*map(self._level_scores, nested), strict=True)
        scores = reduce(xp.minimum, lows), reduce(xp.maximum, highs)
        head, unit = self.model.network.head, self.scale[..., None, :]
        lower, upper = (marginal.value(head, self._exact, unit, score * self._sizes) for score in scores)
        return xp.maximum(self.point - lower, 0.0), xp.maximum(upper - self.point, 0.0)

    def bounds(self, level: float) -> tuple[Array, Array]:
        """The bounds of the interval of a level [N, H, D], in the table's units."""
        return around(self.model, self.point, *self.at(level))

    def _level_scores(self, level: float) -> tuple[Array, Array]:
        """The normal scores at the bounds of a level, wherever those of other levels are."""
        if level in self._scores:
            return self._scores[level]
        low, high = bounds_of(self.model.quantiles, level)
        if self.moved is not None and self.model.adaptive is not None:
            reach = half_width(self.model.quantiles) * self.model.adaptive.reach(self.moved, level)
            low, high = low - reach, high + reach
        if level in self.model.config.levels:
            self._scores[level] = low, high
        return low, high

    @cached_property
    def _sizes(self) -> Array:
        return sizes(self.model, self.moved, self.phase)

    @cached_property
    def _exact(self) -> Array:
        xp = self.raw.__array_namespace__()
        return xp.astype(self.raw, xp.float64)


def moved_scores(
    model: Model,
    score: Float64[np.ndarray, "N H D"],
    moved: Float[np.ndarray, "N K A D"],
    phase: Int64[np.ndarray, " N"] | None = None,
) -> Float64[np.ndarray, "N H D"]:
    """Normal scores of samples, stretched as adaptation has moved the intervals, and sized as they are.

    Scores at the bounds of an interval come to lie at its moved bounds, the median stays, the others lie between.
    """
    assert model.adaptive is not None
    size = half_width(model.quantiles)
    below: list[tuple[Any, Any]] = []  # pairs of a score and where it comes to lie, outwards from the median
    above: list[tuple[Any, Any]] = []
    for level in model.adaptive.levels:
        bounds, reach = bounds_of(model.quantiles, level), size * model.adaptive.reach(moved, level)
        low, high = bounds[0] - reach, bounds[1] + reach
        below.append((bounds[0], np.minimum(low, below[-1][1]) if below else low))
        above.append((bounds[1], np.maximum(high, above[-1][1]) if above else high))
    middle = bounds_of(model.quantiles, 0)[0]
    knots = [*below[::-1], (middle, np.clip(middle, below[0][1], above[0][1])), *above]
    stretched = marginal.piecewise_linear([x for x, _ in knots], [y for _, y in knots], score)
    return np.asarray(stretched * sizes(model, moved, phase))


def sizes(model: Model, moved: Array | None, phase: Array | None) -> Array:
    """What normal scores are multiplied by: the sizes of the series' own errors, and of those at the season's phase.

    The arguments are those of `Spread`; what is not known counts as 1.
    """
    result: Array = np.ones((1, *model.quantiles.shape[1:]))
    if moved is not None and model.adaptive is not None:
        result = model.adaptive.ahead(model.adaptive.sizes(moved))
    if model.phases is not None and phase is not None:
        result = result * phases.at(model.phases, phase, result.shape[1])
    return result


def phase_of(model: Model, time: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """The steps from the beginning of all time to some times, by which seasons are counted."""
    return np.asarray(model.schema.frequency.steps_between(0, time))


def _up_to(model: Model, level: float) -> list[float]:
    """The watched levels below this one, and this one."""
    return [lower for lower in model.config.levels if lower < level] + [level]


def around(model: Model, point: Array, below: Array, above: Array) -> tuple[Array, Array]:
    """The bounds, in the table's units, that reach so far below and above a point in working units, all [N, H, D].

    A forecast beyond the targets' floor or ceiling is told as these, so its interval begins there; around the point
    itself it would lie beyond as a whole, and be told as that one value.
    """
    xp = point.__array_namespace__()
    point = kept_within(model.constants, xp.astype(point, xp.float64))
    lower, upper = (from_working(model.constants, bound[..., None])[..., 0] for bound in (point - below, point + above))
    return lower, upper


def checked_levels(model: Model, levels: Any) -> tuple[float, ...]:
    """The levels of the intervals, ascending, each once; those of the settings if None.

    Raises:
        SettingError: not numbers between 1 and 100, in percent.
    """
    if levels is None:
        values = model.config.levels
    else:
        values = canonical("levels", tuple(levels) if np.iterable(levels) and not isinstance(levels, str) else levels)
    return tuple(sorted({int(level) if level == int(level) else float(level) for level in values}))
