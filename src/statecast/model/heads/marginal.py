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
from typing import Any

import numpy as np

from statecast.model.cells import Array
from statecast.model.heads.distributions import normal_score
from statecast.model.heads.head import Head

FLATTEST = 1e-9  # the smallest gap between two quantiles when a value is placed between them, in units of the scale


def value(head: Head, raw: Array, scale: Array, score: Array) -> Array:
    """The values [..., D] at which the forecasts `raw` have these normal scores, all in working units.

    Args:
        head: the head; it gives O numbers for each of the D targets.
        raw: these numbers [..., D, O].
        scale: the front's scale at the origins, broadcast to the values as `score` is.
        score: normal scores [..., D].
    """
    raw, scale, score = _exact(raw, scale, score)
    if head.distribution:
        return head.distribution.quantile(raw, score)
    if head.levels:
        return piecewise_linear(_knots(head), _quantiles(raw, scale), score)
    return raw[..., 0] + scale * score


def score(head: Head, raw: Array, scale: Array, value: Array) -> Array:
    """The normal scores [..., D] of values in working units; NaN where the value is. See `value`."""
    raw, scale, value = _exact(raw, scale, value)
    if head.distribution:
        return head.distribution.score(raw, value)
    if head.levels:
        return piecewise_linear(_quantiles(raw, scale), _knots(head), value)
    return (value - raw[..., 0]) / scale


def _exact(raw: Array, *others: Array) -> list[Array]:
    """Arrays in float64, those that are constants of NumPy in the library of `raw`; those that are so already as is."""
    xp = raw.__array_namespace__()
    arrays = map(xp.asarray, (raw, *others))
    return [array if array.dtype == xp.float64 else xp.astype(array, xp.float64) for array in arrays]


def _knots(head: Head) -> list[float]:
    return [normal_score(q) for q in head.quantiles]


def _quantiles(raw: Array, scale: Array) -> list[Array]:
    """The quantiles one by one, each a little above the one before it."""
    apart = raw + FLATTEST * scale[..., None] * np.arange(raw.shape[-1])
    return [apart[..., n] for n in range(raw.shape[-1])]


def piecewise_linear(x: Sequence[Any], y: Sequence[Any], at: Array) -> Array:
    """The line through the knots (x, y), continued straight beyond both ends, at the places `at`."""
    xp = at.__array_namespace__()
    result = y[0] + 0 * at
    for n in range(len(x) - 1):
        width = x[n + 1] - x[n]
        part = at - x[n]
        part = part if n == 0 else xp.maximum(part, 0.0)
        part = part if n == len(x) - 2 else xp.minimum(part, width)
        # Far from zero two knots may be the same number after rounding: nothing lies between them.
        apart = xp.asarray(width > 0)
        result = result + xp.where(apart, part * ((y[n + 1] - y[n]) / xp.where(apart, width, 1.0)), 0.0)
    return result
