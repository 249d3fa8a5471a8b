"""Intervals by the phase of the season: wide at the hours, weekdays or months at which forecasts err more.

The size of an error at a phase is a factor on the width of the interval there, 1 in the mean. Factors are the means of
what a phase's errors are of those of all phases, each shrunk to 1. Errors of neighbouring origins are of the same rows,
so chance makes factors as well; and what one stretch of time says of its weekdays, the next may deny. Hence factors are
used only where those of the training rows make the errors of the validation rows likelier, beyond chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from statecast.model.cells import Array

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

PRIOR = 10.0  # how many rows of the phase the factor 1 counts as
BLOCKS = 4  # stretches of a horizon among the validation rows, below which nothing is chosen
BEYOND = 0.5  # standard errors by which the gain must exceed 0


def chosen(
    fitted: Float[np.ndarray, "M H D"],
    fitted_phase: Int64[np.ndarray, " M"],
    held_out: Float[np.ndarray, "N H D"],
    held_out_phase: Int64[np.ndarray, " N"],
    season: int,
) -> Float64[np.ndarray, "P D"] | None:
    """The factor of each phase; None where phases do not differ enough.

    Args:
        fitted: normal scores from origins among the training rows, NaN where there is no value.
        fitted_phase: the steps from the beginning of all time to each of these origins.
        held_out: the same of the validation rows.
        held_out_phase: the same.
        season: steps of the season, P.
    """
    if season < 2 or not len(fitted) or not len(held_out):
        return None
    gains = _gains(factors(fitted, fitted_phase, season), held_out, held_out_phase)
    blocks, place = np.unique(held_out_phase // held_out.shape[1], return_inverse=True)
    counts = np.bincount(place, ~np.isnan(gains))
    means = (np.bincount(place, np.nan_to_num(gains)) / np.maximum(counts, 1))[counts > 0]
    if len(blocks) < BLOCKS or len(means) < BLOCKS:
        return None
    if not means.mean() > BEYOND * means.std(ddof=1) / np.sqrt(len(means)):
        return None
    scores, phase = (np.concatenate(pair) for pair in ((held_out, fitted), (held_out_phase, fitted_phase)))
    return factors(scores, phase, season)


def factors(
    scores: Float[np.ndarray, "N H D"], phase: Int64[np.ndarray, " N"], season: int
) -> Float64[np.ndarray, "P D"]:
    """How large errors are at each phase, in units of their mean size at the same step ahead; 1 in the mean.

    Args:
        scores: normal scores, NaN where there is no value.
        phase: the steps from the beginning of all time to each origin.
        season: P.
    """
    horizon, targets = scores.shape[1:]
    total, count = np.zeros((season, targets)), np.zeros((season, targets))
    for k in range(horizon):
        place, sizes = (phase + k + 1) % season, _relative(scores[:, k])
        for d in range(targets):
            total[:, d] += np.bincount(place, np.nan_to_num(sizes[:, d]), season)
            count[:, d] += np.bincount(place, ~np.isnan(sizes[:, d]), season)
    # A row is forecast from as many origins as there are steps ahead, which say much the same of it.
    result = (PRIOR + total / horizon) / (PRIOR + count / horizon)
    return np.asarray(result / result.mean(axis=0))


def at(factor: Float64[np.ndarray, "P D"], phase: Array, horizon: int) -> Array:
    """The factors [N, H, D] of the rows that are forecast from origins at these phases [N]."""
    return phase.__array_namespace__().asarray(factor)[(phase[:, None] + np.arange(1, horizon + 1)) % len(factor)]


def _gains(
    factor: Float64[np.ndarray, "P D"], scores: Float[np.ndarray, "N H D"], phase: Int64[np.ndarray, " N"]
) -> Float64[np.ndarray, " N"]:
    """The mean log likelihood of each origin's scores, as Laplace numbers of these sizes, over that without phases."""
    total, count = np.zeros(len(scores)), np.zeros(len(scores))
    for k in range(scores.shape[1]):
        size = factor[(phase + k + 1) % len(factor)]
        gains = _relative(scores[:, k]) * (1 - 1 / size) - np.log(size)
        total, count = total + np.nansum(gains, axis=1), count + np.sum(~np.isnan(gains), axis=1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _relative(scores: Float[np.ndarray, "N D"]) -> Float64[np.ndarray, "N D"]:
    """The sizes of scores, in units of their mean."""
    sizes = np.abs(scores.astype(np.float64))
    mean = np.nansum(sizes, axis=0) / np.maximum(np.sum(~np.isnan(sizes), axis=0), 1)
    return np.asarray(sizes / np.where(mean > 0, mean, 1))
