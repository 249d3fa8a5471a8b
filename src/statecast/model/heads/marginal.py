"""The distribution that a head gives to one value ahead, as a map from normal scores to values and back.

Every head has such a map, and it is monotone: a point head places errors, in units of the front's scale, around the
point; a quantile head runs straight from quantile to quantile and on beyond the outermost; a distribution has its own
quantiles. What is calibrated, adapted or sampled is the score, so all of that is written once for all heads. For a
point head the score is the relative error. For the others it is the normalised quantile residual, which is a standard
normal number to the extent that the forecast is right (Dunn & Smyth, "Randomized quantile residuals", Journal of
Computational and Graphical Statistics 5, 1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.model.heads.distributions import normal_score
from statecast.model.heads.head import Head

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

FLATTEST = 1e-9  # the smallest gap between two quantiles when a value is placed between them, in units of the scale


def value(
    head: Head, raw: Float[np.ndarray, "... D O"], scale: Float[np.ndarray, "... D"], score: Float[np.ndarray, "... D"]
) -> Float64[np.ndarray, "... D"]:
    """The values at which the forecasts `raw` have these normal scores, all in working units.

    Args:
        head: the head; it gives O numbers for each of the D targets.
        raw: these numbers.
        scale: the front's scale at the origins, broadcast to the values as `score` is.
        score: normal scores.
    """
    raw, scale, score = raw.astype(np.float64), scale.astype(np.float64), np.asarray(score, np.float64)
    if head.distribution:
        return np.asarray(head.distribution.quantile(raw, score))
    if head.levels:
        return piecewise_linear(list(_knots(head)), _quantiles(raw, scale), score)
    return np.asarray(raw[..., 0] + scale * score)


def score(
    head: Head, raw: Float[np.ndarray, "... D O"], scale: Float[np.ndarray, "... D"], value: Float[np.ndarray, "... D"]
) -> Float64[np.ndarray, "... D"]:
    """The normal scores of values in working units; NaN where the value is. See `value`."""
    raw, scale, value = raw.astype(np.float64), scale.astype(np.float64), np.asarray(value, np.float64)
    if head.distribution:
        return np.asarray(head.distribution.score(raw, value))
    if head.levels:
        return piecewise_linear(_quantiles(raw, scale), list(_knots(head)), value)
    return np.asarray((value - raw[..., 0]) / scale)


def _knots(head: Head) -> Float64[np.ndarray, " O"]:
    return np.array([normal_score(q) for q in head.quantiles])


def _quantiles(raw: Float64[np.ndarray, "... O"], scale: Float64[np.ndarray, ...]) -> list[np.ndarray]:
    """The quantiles one by one, each a little above the one before it."""
    apart = raw + FLATTEST * scale[..., None] * np.arange(raw.shape[-1])
    return [apart[..., n] for n in range(raw.shape[-1])]


def piecewise_linear(x: Sequence[Any], y: Sequence[Any], at: Float64[np.ndarray, ...]) -> Float64[np.ndarray, ...]:
    """The line through the knots (x, y), continued straight beyond both ends, at the places `at`."""
    result = y[0] + 0 * at
    for n in range(len(x) - 1):
        width = x[n + 1] - x[n]
        part = np.clip(at - x[n], -np.inf if n == 0 else 0, np.inf if n == len(x) - 2 else width)
        # Far from zero two knots may be the same number after rounding: nothing lies between them.
        result = result + np.where(width > 0, part * ((y[n + 1] - y[n]) / np.where(width > 0, width, 1)), 0)
    return np.asarray(result)
