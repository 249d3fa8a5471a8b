"""The terms of the metrics: what one (value, forecast) pair adds to each sum, NaN where the pair does not count.

`metrics` takes means of them; here is what is averaged, and the two helpers by which means leave out what is missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64


def error_terms(
    y: Float64[np.ndarray, "*batch D"], yhat: Float64[np.ndarray, "*batch D"], scale: Any
) -> dict[str, Float64[np.ndarray, "*batch D"]]:
    """The term of each pair in each sum: NaN where a pair does not count."""
    observed = ~np.isnan(y)
    finite = np.isfinite(yhat)
    error = y - yhat if finite.all() else np.where(finite, y - np.where(finite, yhat, 0.0), np.nan)
    absolute, size = np.abs(error), np.abs(y) + np.abs(yhat)
    terms = {
        "count": (observed & finite).astype(np.float64),
        "missed": (observed & ~finite).astype(np.float64),
        "squared": error**2,
        "absolute": absolute,
        "smape": 200 * absolute / np.where(size == 0, 1.0, size),
    }
    if scale is not None:
        terms |= counted("scaled", absolute / unit_of(scale, y.shape))
    return terms


def counted(name: str, term: Float64[np.ndarray, "*batch D"]) -> dict[str, Float64[np.ndarray, "*batch D"]]:
    """A term with a count of its own: the pairs for which it is a number."""
    return {name: term, f"{name}_count": (~np.isnan(term)).astype(np.float64)}


def unit_of(scale: Any, shape: tuple[int, ...]) -> Float64[np.ndarray, "..."]:
    """The scale of each pair; NaN where it is 0, and no unit."""
    unit = np.broadcast_to(np.asarray(scale, np.float64), shape)
    return np.where(unit > 0, unit, np.nan)


def interval_terms(
    y: Float64[np.ndarray, "*batch D"],
    lower: Float64[np.ndarray, "*batch D"],
    upper: Float64[np.ndarray, "*batch D"],
    level: float,
    scale: Any,
) -> dict[str, Float64[np.ndarray, "*batch D"]]:
    """The term of each interval in each sum; `level` in percent, `scale` as for `unit_of` or None."""
    inside = hits(y, lower, upper)
    tail = (100 - level) / 200
    losses = (pinball_losses(y, lower, tail) + pinball_losses(y, upper, 1 - tail)) / 2
    unbounded = np.isnan(inside)
    score = interval_scores(y, lower, upper, level)
    scaled = {} if scale is None else counted(f"msis/{level:g}", score / unit_of(scale, y.shape))
    return scaled | {
        f"inside/{level:g}": inside,
        f"winkler/{level:g}": score,
        f"width/{level:g}": np.where(unbounded, np.nan, upper - lower),
        f"pinball/{level:g}": np.where(unbounded, np.nan, losses),
        f"bounded/{level:g}": (~unbounded).astype(np.float64),
    }


def pinball_losses(
    y: Float64[np.ndarray, "*batch D"], yhat: Float64[np.ndarray, "*batch D"], q: float
) -> Float64[np.ndarray, "*batch D"]:
    """max(q·(y - ŷ), (q - 1)·(y - ŷ)), see `metrics.pinball`."""
    error: Float64[np.ndarray, "*batch D"] = np.asarray(y - yhat)
    above = q * error
    error *= q - 1
    np.maximum(above, error, out=error)
    return error


def interval_scores(
    y: Float64[np.ndarray, "*batch D"],
    lower: Float64[np.ndarray, "*batch D"],
    upper: Float64[np.ndarray, "*batch D"],
    level: float,
) -> Float64[np.ndarray, "*batch D"]:
    """Winkler's score of each interval, see `metrics.winkler`."""
    outside = np.maximum(lower - y, 0) + np.maximum(y - upper, 0)
    return np.asarray(upper - lower + 200 / (100 - level) * outside)


def hits(
    y: Float64[np.ndarray, "*batch D"], lower: Float64[np.ndarray, "*batch D"], upper: Float64[np.ndarray, "*batch D"]
) -> Float64[np.ndarray, "*batch D"]:
    """1 where a value lies in its interval, bounds included, 0 where it does not."""
    inside = ((lower <= y) & (y <= upper)).astype(np.float64)
    return np.where(np.isnan(y) | np.isnan(lower) | np.isnan(upper), np.nan, inside)


def crps_terms(
    y: Float64[np.ndarray, "..."], quantiles: Iterable[tuple[float, Float64[np.ndarray, "..."]]]
) -> Float64[np.ndarray, "..."]:
    """The CRPS of each value, from N quantiles of its forecast, one after another; NaN where y is.

    The mean of 2 · pinball over the probabilities (n - 1/2) / N, which is the CRPS of the quantiles as equally likely
    members. Source: Laio, Tamea, "Verification tools for probabilistic forecasts", Hydrol. Earth Syst. Sci. 11 (2007).

    Args:
        y: values.
        quantiles: pairs of a probability and the quantiles there, each of the shape of y; at least one.
    """
    total, count = np.zeros(y.shape), 0
    for q, values in quantiles:
        losses = pinball_losses(y, values, q)
        losses *= 2
        total += losses
        count += 1
    return total / count


def ratio(above: Any, below: Any, empty: float = math.nan) -> Float64[np.ndarray, " D"]:
    """above / below, and `empty` where below is 0."""
    below = np.asarray(below, np.float64)
    return np.where(below == 0, empty, np.asarray(above, np.float64) / np.where(below == 0, 1.0, below))


def sum_of(terms: Float64[np.ndarray, "n ..."]) -> Float64[np.ndarray, "..."]:
    """The sums of the terms that count, along the first axis; where all do, there is nothing to leave out."""
    sums = np.asarray(terms.sum(axis=0))
    return np.asarray(np.nansum(terms, axis=0)) if np.isnan(sums).any() else sums


def mean_of(terms: Float64[np.ndarray, "..."]) -> float:
    """The mean of the terms that count; NaN where none does."""
    return float(ratio(np.nansum(terms), np.sum(~np.isnan(terms))))
