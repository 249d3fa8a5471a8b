"""How good intervals are: wide ones cost their width, and narrow ones what they miss.

Written apart from `statecast.forecast.scores.metrics`, so that no one is scored by arithmetic of its own making. Every
function gives a term for each value, NaN where the value is not known. Source: Gneiting, Raftery, "Strictly proper
scoring rules, prediction, and estimation", J. American Statistical Association 102 (2007).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def interval_score(y: np.ndarray, lower: np.ndarray, upper: np.ndarray, level: int) -> np.ndarray:
    """Winkler's score: the width of an interval, and 2/α times the way from it to a value outside.

    Args:
        y: [...] the values.
        lower: [...] the quantiles α/2, where α = 1 − level/100.
        upper: [...] the quantiles 1 − α/2.
        level: in percent.
    """
    outside = np.maximum(lower - y, 0) + np.maximum(y - upper, 0)
    return upper - lower + 2 / (1 - level / 100) * outside


def crps(y: np.ndarray, quantiles: Mapping[float, np.ndarray]) -> np.ndarray:
    """The continuous ranked probability score, twice the integral of the pinball loss over the quantiles.

    By the trapezoidal rule over the quantiles that there are, and 0 and 1, whose loss is 0.
    """
    shares = np.array(sorted(quantiles))
    errors = y - np.stack([quantiles[share] for share in shares])
    column = shares.reshape(-1, *([1] * y.ndim))
    losses = np.where(errors >= 0, column, column - 1) * errors
    ends = np.zeros_like(losses[:1])
    return 2 * np.trapezoid(np.concatenate([ends, losses, ends]), np.array([0, *shares, 1]), axis=0)


def quantiles(
    point: np.ndarray, lower: Mapping[int, np.ndarray], upper: Mapping[int, np.ndarray]
) -> dict[float, np.ndarray]:
    """The bounds of intervals as quantiles, and the point as the median."""
    tails = {level: (100 - level) / 200 for level in lower}
    return (
        {tails[level]: bound for level, bound in lower.items()}
        | {0.5: point}
        | {1 - tails[level]: bound for level, bound in upper.items()}
    )
