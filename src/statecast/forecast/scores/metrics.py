"""The metrics, each defined once, for one array and for a sequence of arrays.

A metric is a term for each (value, forecast) pair, see `terms`, and a mean over the pairs that count. The functions
with a metric's name and the accumulator `Scores` share those terms, so that each is written once. `Scores` holds sums
for each target, never pairs: blocks are added one after another and memory stays constant. Sums are merged by addition,
the spread of y (for r2) by Chan's update, which does not cancel where a series has a large offset.

A pair counts where y is observed. Where y is observed and the forecast is not a number, the pair is `missed`: it is
counted as such and the verdict mentions it, since leaving it out silently would flatter the forecaster.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import SettingError
from statecast.forecast.scores.terms import (
    counted,
    crps_terms,
    error_terms,
    hits,
    interval_scores,
    interval_terms,
    mean_of,
    pinball_losses,
    ratio,
    sum_of,
    unit_of,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

METRICS = ("mse", "rmse", "mae", "smape", "mase", "r2", "crps", "pinball")
"""The metrics that `Scores.result` gives, apart from those of a single interval."""


def mse(y: Float[np.ndarray, "... D"], yhat: Float[np.ndarray, "... D"]) -> float:
    """Mean squared error, in the squared unit of y.

    Example:
        >>> metrics.mse(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
        2.0
    """
    return Scores.of(y, yhat).result()["mse"]


def rmse(y: Float[np.ndarray, "... D"], yhat: Float[np.ndarray, "... D"]) -> float:
    """Root of the mean squared error, in the unit of y.

    Example:
        >>> metrics.rmse(np.array([3.0, 4.0]), np.array([0.0, 0.0])).__round__(4)
        3.5355
    """
    return Scores.of(y, yhat).result()["rmse"]


def mae(y: Float[np.ndarray, "... D"], yhat: Float[np.ndarray, "... D"]) -> float:
    """Mean absolute error, in the unit of y.

    Example:
        >>> metrics.mae(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
        1.0
    """
    return Scores.of(y, yhat).result()["mae"]


def smape(y: Float[np.ndarray, "... D"], yhat: Float[np.ndarray, "... D"]) -> float:
    """Symmetric mean absolute percentage error, 0 to 200 %.

    The form of the M4 competition: 200 |y - ŷ| / (|y| + |ŷ|), where 0/0 counts 0.
    Source: Makridakis, Spiliotis, Assimakopoulos, "The M4 Competition", Int. J. Forecasting 36 (2020).

    Example:
        >>> metrics.smape(np.array([1.0, 1.0]), np.array([1.0, 3.0]))
        50.0
    """
    return Scores.of(y, yhat).result()["smape"]


def mase(
    y: Float[np.ndarray, "... D"], yhat: Float[np.ndarray, "... D"], scale: Float[np.ndarray, "*#batch #D"] | float
) -> float:
    """Mean absolute scaled error: the mean of |y - ŷ| / scale, with `scale` from `seasonal_scale`.

    Pairs whose scale is 0 (a constant series) or NaN (too short a series) are left out; NaN if none is left.
    Source: Hyndman, Koehler, "Another look at measures of forecast accuracy", Int. J. Forecasting 22 (2006).

    Example:
        >>> history = np.array([[1.0], [2.0], [3.0], [5.0]])
        >>> metrics.mase(np.array([6.0]), np.array([4.0]), metrics.seasonal_scale(history)).__round__(4)
        1.5
    """
    return Scores.of(y, yhat, scale=scale).result()["mase"]


def r2(y: Float[np.ndarray, "... D"], yhat: Float[np.ndarray, "... D"]) -> float:
    """Coefficient of determination, 1 - sum of (y - ŷ)² / sum of (y - mean y)²: for each target, then their mean.

    Targets that are constant are left out; NaN if none is left. Series are pooled: the mean is over all of them.

    Example:
        >>> metrics.r2(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [3.0]]))
        1.0
    """
    return Scores.of(y, yhat).result()["r2"]


def pinball(y: Float[np.ndarray, "... D"], yhat: Float[np.ndarray, "... D"], q: float) -> float:
    """Mean pinball (quantile) loss of `yhat` as a forecast of quantile `q`: max(q·(y - ŷ), (q - 1)·(y - ŷ)).

    Source: Koenker, Bassett, "Regression quantiles", Econometrica 46 (1978).

    Raises:
        SettingError: `q` is not between 0 and 1.

    Example:
        >>> metrics.pinball(np.array([10.0]), np.array([8.0]), q=0.9).__round__(4)
        1.8
    """
    if not 0 < q < 1:
        raise SettingError(f"a quantile is between 0 and 1; got {q!r}")
    y, yhat = np.asarray(y, np.float64), np.asarray(yhat, np.float64)
    return mean_of(pinball_losses(y, yhat, q))


def coverage(
    y: Float[np.ndarray, "... D"], lower: Float[np.ndarray, "... D"], upper: Float[np.ndarray, "... D"]
) -> float:
    """Share of the values that lie in their interval, bounds included: 0 to 1.

    Example:
        >>> metrics.coverage(np.array([1.0, 5.0]), np.array([0.0, 0.0]), np.array([2.0, 2.0]))
        0.5
    """
    y, lower, upper = (np.asarray(part, np.float64) for part in (y, lower, upper))
    return mean_of(hits(y, lower, upper))


def winkler(
    y: Float[np.ndarray, "... D"], lower: Float[np.ndarray, "... D"], upper: Float[np.ndarray, "... D"], level: float
) -> float:
    """Mean interval score of Winkler: the width plus 2/α times the distance of a value outside, with α = 1 - level/100.

    In the unit of y. Only the quantiles (100 - level)/200 and (100 + level)/200 make it as small as it can be, so it
    judges width and coverage in one number.
    Sources: Winkler, "A decision-theoretic approach to interval estimation", JASA 67 (1972); Gneiting, Raftery,
    "Strictly proper scoring rules, prediction, and estimation", JASA 102 (2007).

    Args:
        y: values, NaN where missing.
        lower: the lower bounds.
        upper: the upper bounds.
        level: of the intervals, in percent.

    Raises:
        SettingError: `level` is not between 0 and 100.

    Example:
        >>> metrics.winkler(np.array([3.0]), np.array([0.0]), np.array([2.0]), level=80).__round__(4)
        12.0
    """
    y, lower, upper = (np.asarray(part, np.float64) for part in (y, lower, upper))
    return mean_of(interval_scores(y, lower, upper, _level(level)))


def msis(
    y: Float[np.ndarray, "... D"],
    lower: Float[np.ndarray, "... D"],
    upper: Float[np.ndarray, "... D"],
    scale: Float[np.ndarray, "*#batch #D"] | float,
    level: float = 95,
) -> float:
    """Mean scaled interval score: the mean of Winkler's score / scale, with `scale` from `seasonal_scale`.

    Pairs are left out as in `mase`. Source: "The M4 Competition", see `smape`, where the level is 95 %.

    Raises:
        SettingError: `level` is not between 0 and 100.

    Example:
        >>> metrics.msis(np.array([3.0]), np.array([0.0]), np.array([2.0]), scale=2.0, level=80).__round__(4)
        6.0
    """
    y, lower, upper = (np.asarray(part, np.float64) for part in (y, lower, upper))
    return mean_of(interval_scores(y, lower, upper, _level(level)) / unit_of(scale, y.shape))


def crps(y: Float[np.ndarray, "..."], members: Float[np.ndarray, "... N"]) -> float:
    """Mean continuous ranked probability score of N equally likely values, such as sample paths; in the unit of y.

    It is the area between the distribution function of the forecast and that of the value, squared, and for a single
    member the absolute error.
    Source: Matheson, Winkler, "Scoring rules for continuous probability distributions", Management Science 22 (1976).

    Args:
        y: values, NaN where missing.
        members: for each value, the values that were forecast, in any order.

    Raises:
        SettingError: the shapes differ, or there is no member.

    Example:
        >>> metrics.crps(np.array([1.0]), np.array([[0.0]]))
        1.0
    """
    y, members = np.asarray(y, np.float64), np.asarray(members, np.float64)
    if members.ndim != y.ndim + 1 or members.shape[:-1] != y.shape or not members.shape[-1]:
        raise SettingError(f"members {members.shape} must be the shape of the values {y.shape} and an axis of members")
    ordered, count = np.sort(members, axis=-1), members.shape[-1]
    return mean_of(crps_terms(y, (((n + 0.5) / count, ordered[..., n]) for n in range(count))))


def seasonal_scale(y: Float[np.ndarray, "rows D"], season: int = 1) -> Float64[np.ndarray, " D"]:
    """The scale of `mase`: the mean |y[t] - y[t - season]| over the training rows of one series, for each target.

    Args:
        y: the training rows of one series, NaN where missing.
        season: rows in a season; 1 compares neighbours.

    Returns:
        0 where the series repeats itself up to rounding, NaN where no two rows are a season apart.

    Raises:
        SettingError: `season` is below 1.

    Example:
        >>> metrics.seasonal_scale(np.array([[1.0], [2.0], [4.0], [8.0]]), season=2)
        array([4.5])
    """
    if season < 1:
        raise SettingError(f"a season has at least 1 row; got {season!r}")
    y = np.asarray(y, np.float64)
    gaps = np.abs(y[season:] - y[:-season])
    scale = ratio(np.nansum(gaps, axis=0), np.sum(~np.isnan(gaps), axis=0))
    size = np.nanmax(np.abs(y), axis=0, initial=0.0, where=~np.isnan(y))
    return np.where(scale <= 8 * np.finfo(np.float64).eps * size, 0.0, scale)


@dataclass(frozen=True, eq=False)
class Scores:
    """Sums from which the metrics follow: a value; `add` returns a new one.

    Attributes:
        sums: one sum over pairs for each term, [D] each.
        mean: mean of the counted y [D].
        spread: sum of (y - mean)² of the counted y [D].
    """

    sums: Mapping[str, Float64[np.ndarray, " D"]]
    mean: Float64[np.ndarray, " D"]
    spread: Float64[np.ndarray, " D"]

    @classmethod
    def empty(cls, targets: int) -> Scores:
        """The scores of no pair of `targets` targets."""
        zero = np.zeros(targets)
        return cls(dict.fromkeys(("count", "missed", "squared", "absolute", "smape"), zero), zero, zero)

    @classmethod
    def of(cls, y: Float[np.ndarray, "... D"], yhat: Float[np.ndarray, "... D"], **more: Any) -> Scores:
        """The scores of one block of pairs: see `add`."""
        return cls.empty(np.shape(y)[-1] if np.ndim(y) else 1).add(y, yhat, **more)

    def add(
        self,
        y: Float[np.ndarray, "*batch D"],
        yhat: Float[np.ndarray, "*batch D"],
        scale: Float[np.ndarray, "*#batch #D"] | float | None = None,
        lower: Mapping[float, Float[np.ndarray, "*batch D"]] | None = None,
        upper: Mapping[float, Float[np.ndarray, "*batch D"]] | None = None,
        crps: Float[np.ndarray, "*batch D"] | None = None,
    ) -> Scores:
        """These scores and those of more pairs.

        Args:
            y: values, NaN where missing.
            yhat: their forecasts.
            scale: `seasonal_scale` of the series that each pair belongs to, for mase and msis; broadcast against y.
            lower: the lower bound for each level in percent, e.g. {80: ...}: the quantile (100 - level)/200.
            upper: the upper bounds, for the same levels: the quantile (100 + level)/200.
            crps: the CRPS of each pair, from `crps_terms`.

        Raises:
            SettingError: the shapes differ, or lower and upper do not have the same levels between 0 and 100.
        """
        values, points = np.atleast_1d(np.asarray(y, np.float64)), np.atleast_1d(np.asarray(yhat, np.float64))
        lower, upper = lower or {}, upper or {}
        _check(values, points, self.mean.size, lower, upper)
        terms = error_terms(values, points, scale)
        for level in lower:
            terms |= interval_terms(values, np.asarray(lower[level]), np.asarray(upper[level]), level, scale)
        if crps is not None:
            terms |= counted("crps", np.atleast_1d(np.asarray(crps, np.float64)))
        pairs = np.where(np.isnan(terms["squared"]), np.nan, values).reshape(-1, self.mean.size)
        count = np.sum(~np.isnan(pairs), axis=0)
        mean = ratio(sum_of(pairs), count, empty=0.0)
        spread = sum_of((pairs - mean) ** 2)
        sums = {name: sum_of(term.reshape(-1, self.mean.size)) for name, term in terms.items()}
        return self.merge(Scores(sums, mean, spread))

    def merge(self, other: Scores) -> Scores:
        """The scores of the pairs of both."""
        zero = np.zeros_like(self.mean)
        names = dict.fromkeys([*self.sums, *other.sums])
        sums = {name: self.sums.get(name, zero) + other.sums.get(name, zero) for name in names}
        # Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
        share = ratio(other.sums["count"], sums["count"], empty=0.0)
        gap = other.mean - self.mean
        spread = self.spread + other.spread + gap**2 * self.sums["count"] * share
        return Scores(sums, self.mean + gap * share, spread)

    @property
    def count(self) -> int:
        """Number of pairs that count, all targets together."""
        return int(self.sums["count"].sum())

    @property
    def missed(self) -> int:
        """Number of observed values whose forecast was not a number."""
        return int(self.sums["missed"].sum())

    def of_target(self, d: int) -> Scores:
        """The scores of one target alone, by its number."""
        one = slice(d, d + 1)
        return Scores({name: total[one] for name, total in self.sums.items()}, self.mean[one], self.spread[one])

    def result(self) -> dict[str, float]:
        """The metrics; NaN where no pair counts.

        All are means over the pairs of all targets, but r2, which is the mean over the targets. Of targets in different
        units only smape, mase, r2, coverage and msis make sense together; see `of_target` for the others.

        Returns:
            count, missed, mse, rmse, mae, smape, mase, r2; where they were given crps; with intervals also pinball (the
            mean over the bounds' quantiles), and for each level `coverage/<level>` (0 to 1), `width/<level>` (mean
            width), `winkler/<level>` (interval score) and `msis/<level>` (the same in units of `scale`).
        """
        mean_square = self._mean("squared", "count")
        result = {
            "count": float(self.count),
            "missed": float(self.missed),
            "mse": mean_square,
            "rmse": math.sqrt(mean_square),
            "mae": self._mean("absolute", "count"),
            "smape": self._mean("smape", "count"),
            "mase": self._mean("scaled", "scaled_count"),
            "r2": mean_of(1 - ratio(self.sums["squared"], self.spread)),
        }
        if "crps" in self.sums:
            result["crps"] = self._mean("crps", "crps_count")
        return result | self._intervals()

    def _mean(self, term: str, count: str) -> float:
        if term not in self.sums:
            return math.nan
        return float(ratio(self.sums[term].sum(), self.sums[count].sum()))

    def _intervals(self) -> dict[str, float]:
        levels = [name.removeprefix("inside/") for name in self.sums if name.startswith("inside/")]
        result = {}
        for level in levels:
            result[f"coverage/{level}"] = self._mean(f"inside/{level}", f"bounded/{level}")
            result[f"width/{level}"] = self._mean(f"width/{level}", f"bounded/{level}")
            result[f"winkler/{level}"] = self._mean(f"winkler/{level}", f"bounded/{level}")
            result[f"msis/{level}"] = self._mean(f"msis/{level}", f"msis/{level}_count")
        if levels:
            result["pinball"] = float(np.mean([self._mean(f"pinball/{x}", f"bounded/{x}") for x in levels]))
        return result


def _level(level: float) -> float:
    if not 0 < level < 100:
        raise SettingError(f"the level of an interval is between 0 and 100 percent; got {level!r}")
    return level


def _check(
    y: np.ndarray, yhat: np.ndarray, targets: int, lower: Mapping[float, Any], upper: Mapping[float, Any]
) -> None:
    if y.shape != yhat.shape or y.shape[-1] != targets:
        raise SettingError(
            f"values {y.shape} and forecasts {yhat.shape} must have one shape that ends in {targets} targets"
        )
    if set(lower) != set(upper) or not all(0 < level < 100 for level in lower):
        raise SettingError(
            f"lower and upper bounds need the same levels between 0 and 100; got {sorted(lower)} and {sorted(upper)}"
        )
