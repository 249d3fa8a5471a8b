"""Distributions that a head can forecast: how its numbers become parameters, their density, their quantiles.

The parameters of one (step, target) lie along the last axis, [..., O], in working units, the location first. Training
needs their density alone, written for NumPy and JAX alike; a forecast needs `quantile` and its inverse `score`, which
run under NumPy in float64. Both use normal scores instead of probabilities: z stands for the probability Φ(z), which
keeps the digits of far tails, and for a normal forecast z is the error in standard deviations. The score of an observed
value is its normalised quantile residual (Dunn & Smyth, J. Comput. Graph. Stat. 5, 1996).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.model.cells import Array, softplus
from statecast.model.heads.special import (
    incomplete_beta,
    normal_tail,
    normal_upper,
    stirling_rest,
    student_t_quantile,
    student_t_tail,
)

if TYPE_CHECKING:
    from jaxtyping import Float64

SMALLEST = 1e-4  # deviation in units of the typical error: a smaller one would let a single row rule the loss
LEAST_FREEDOM = 2.0  # degrees of freedom of Student's t lie above it, where the variance is finite
SPREADS = 1e-3  # negative binomial: deviation beyond that of counts in units of the mean, at least
DAMPED = 1e-2  # negative binomial: smallest width, in counts, over which the mean bends away from zero


@dataclass(frozen=True)
class Distribution:
    """What the rest of the network needs to know of a distribution.

    Attributes:
        parameters: their names; the first is the location, which is the point forecast.
        shaped: (location [..., 1], size [..., 1], further numbers [..., O − 1]) → parameters [..., O]; the size is that
            of a typical error, both in working units.
        log_density: (parameters [..., O], values [...]) → log of density or probability [...].
        quantile: (parameters [..., O], normal scores [...]) → values [...].
        score: (parameters [..., O], values [...]) → normal scores [...], NaN where the value is NaN.
        counts: whether values are counts, so that working units are the table's own.
    """

    parameters: tuple[str, ...]
    shaped: Callable[[Array, Array, Array], Array]
    log_density: Callable[[Array, Array], Array]
    quantile: Callable[[Any, Any], Any]
    score: Callable[[Any, Any], Any]
    counts: bool = False


# --- normal


def _normal(location: Array, size: Array, raw: Array) -> Array:
    return _joined(location, size * (softplus(raw) + SMALLEST))


def _normal_log_density(p: Array, y: Array) -> Array:
    xp = p.__array_namespace__()
    z = (y - p[..., 0]) / p[..., 1]
    return -0.5 * z * z - xp.log(p[..., 1]) - 0.5 * math.log(2 * math.pi)


# --- Student's t


def _student_t(location: Array, size: Array, raw: Array) -> Array:
    return _joined(location, size * (softplus(raw[..., :1]) + SMALLEST), LEAST_FREEDOM + softplus(raw[..., 1:]))


def _student_t_log_density(p: Array, y: Array) -> Array:
    """Γ((ν+1)/2) / (Γ(ν/2) √(νπ) s) · (1 + z²/ν)^(−(ν+1)/2); the ratio of the two Γ by Stirling's formula."""
    xp = p.__array_namespace__()
    s, freedom = p[..., 1], p[..., 2]
    z, half = (y - p[..., 0]) / s, 0.5 * freedom
    ratio = half * xp.log1p(0.5 / half) + 0.5 * xp.log(half) - 0.5 + stirling_rest(half + 0.5) - stirling_rest(half)
    return ratio - 0.5 * xp.log(math.pi * freedom) - xp.log(s) - (half + 0.5) * xp.log1p(z * z / freedom)


def _student_t_score(p: Float64[np.ndarray, "... O"], y: Float64[np.ndarray, ...]) -> Float64[np.ndarray, ...]:
    z = (y - p[..., 0]) / p[..., 1]
    return np.asarray(np.copysign(normal_upper(student_t_tail(p[..., 2], z)), z))


# --- negative binomial


def _negative_binomial(location: Array, size: Array, raw: Array) -> Array:
    """Mean and the deviation beyond that of a Poisson count: variance = mean + deviation².

    The mean is the location, bent away from zero where it comes within a typical error of it.
    """
    bend = size + DAMPED
    mean = bend * (softplus(location / bend) + SMALLEST)
    return _joined(mean, size * softplus(raw) + SPREADS * mean)


def _negative_binomial_log_density(p: Array, y: Array) -> Array:
    """log of Γ(y+r)/(Γ(r) y!) · (r/(r+μ))^r · (μ/(r+μ))^y with r = (mean/deviation)².

    As the probability at μ = y, less the deviance: the saddle-point form keeps its digits in float32 where the sum of
    the logarithms of Γ loses all of them (Loader, "Fast and accurate computation of binomial probabilities", 2000).
    """
    xp = p.__array_namespace__()
    mean, r = p[..., 0], (p[..., 0] / p[..., 1]) ** 2
    some = xp.where(y > 0, y, xp.ones_like(mean))
    best = stirling_rest(some + r) - stirling_rest(r) - stirling_rest(some)
    best = best + 0.5 * xp.log(r / ((some + r) * (2 * math.pi) * some))
    deviance = some * xp.log(some / mean) - (r + some) * xp.log1p((some - mean) / (r + mean))
    return xp.where(y > 0, best - deviance, -r * xp.log1p(mean / r))


def _negative_binomial_below(p: Float64[np.ndarray, "... O"], k: Float64[np.ndarray, ...]) -> Float64[np.ndarray, ...]:
    """The probability of at most k counts: the regularised incomplete beta function at r/(r + mean)."""
    mean, r = p[..., 0], (p[..., 0] / p[..., 1]) ** 2
    probability = incomplete_beta(r, np.maximum(k, 0) + 1, r / (r + mean))
    return np.where(k < 0, 0.0, probability)


def _negative_binomial_quantile(
    p: Float64[np.ndarray, "... O"], z: Float64[np.ndarray, ...]
) -> Float64[np.ndarray, ...]:
    """The smallest count whose probability reaches Φ(z).

    It lies between the bounds of Cantelli's inequality, and close to that of the gamma distribution of this mean and
    variance (Wilson and Hilferty, "The distribution of chi-square", PNAS 17, 1931). From there steps of growing length
    go towards it until bisection is shorter.
    """
    p, z = np.broadcast_arrays(p, np.asarray(z)[..., None])
    mean, z = p[..., 0], np.clip(z[..., 0], -8.0, 8.0)
    over, under = normal_tail(z), normal_tail(-z)
    deviation = np.sqrt(mean + p[..., 1] ** 2)
    low = np.maximum(np.floor(mean - deviation * np.sqrt(over / under)) - 1, -1.0)  # too small; −1 always is
    high = np.ceil(mean + deviation * np.sqrt(under / over)) + 1
    spread = deviation / (3 * mean)
    trial = np.floor(np.clip(mean * np.maximum(1 - spread * spread + spread * z, 0.0) ** 3, low + 1, high - 1))
    step = np.maximum(np.floor(1e-3 * deviation), 1.0)
    while (between := (low < trial) & (trial < high)).any():  # beyond 2^53 neighbouring numbers are more than 1 apart
        reached = _negative_binomial_below(p, trial) >= under * (1 - 1e-12)
        low, high = np.where(between & ~reached, trial, low), np.where(between & reached, trial, high)
        near, middle = np.where(reached, trial - step, trial + step), np.floor((low + high) / 2)
        trial, step = np.where(np.abs(near - trial) < np.abs(middle - trial), near, middle), 8 * step
    return np.asarray(high)


def _negative_binomial_score(p: Float64[np.ndarray, "... O"], y: Float64[np.ndarray, ...]) -> Float64[np.ndarray, ...]:
    """At a count the distribution function jumps; this is the score of the middle of the jump."""
    count = np.where(np.isnan(y), 0.0, np.round(y))
    below = 0.5 * (_negative_binomial_below(p, count - 1) + _negative_binomial_below(p, count))
    return np.where(np.isnan(y), np.nan, -normal_upper(below))


def _joined(*parts: Array) -> Array:
    xp = parts[0].__array_namespace__()
    return xp.concat(parts, axis=-1)


DISTRIBUTIONS: dict[str, Distribution] = {
    "normal": Distribution(
        ("mean", "deviation"),
        _normal,
        _normal_log_density,
        lambda p, z: p[..., 0] + p[..., 1] * z,
        lambda p, y: (y - p[..., 0]) / p[..., 1],
    ),
    "student_t": Distribution(
        ("location", "scale", "degrees of freedom"),
        _student_t,
        _student_t_log_density,
        lambda p, z: p[..., 0] + p[..., 1] * student_t_quantile(p[..., 2], z),
        _student_t_score,
    ),
    "negative_binomial": Distribution(
        ("mean", "deviation beyond that of counts"),
        _negative_binomial,
        _negative_binomial_log_density,
        _negative_binomial_quantile,
        _negative_binomial_score,
        counts=True,
    ),
}


def normal_score(probability: float) -> float:
    """The normal score of a probability, 0 < p < 1."""
    return NormalDist().inv_cdf(probability)
