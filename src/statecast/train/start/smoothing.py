"""The mean of many filters of exponential smoothing, as one linear map of the last values for each series.

Filters are weighted by how well they forecast the training rows, over all steps of the horizon: the weight falls
exponentially with the error (Yang, "Combining forecasting procedures: some theoretical results", Econometric Theory 20,
2004). As the filters have no weights that are fitted, their errors on training rows are nearly those on later rows, so
a series of a few years is enough. A mean of linear filters is linear: what it makes of the last values is read off
impulses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from statecast.train.start.filters import Aligned, Filters

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

TEMPERATURE = 0.2  # a filter that errs so much more than the best, in shares of its error, has 1/e of its weight
ORIGINS = 24  # forecasts, at most, by which filters are compared; more of them near the end
SEASONS_BACK, LEAST_BACK = 10, 96  # values that a map takes at most: so many seasons, and no fewer than that
NUMBERS = 4_000_000  # forecasts of all filters that are compared at a time
RATIO = 1.03  # of lengths that maps are made for: neighbours share one


@dataclass(frozen=True, eq=False)
class Smoothing:
    """A mean of filters for each series.

    Attributes:
        banks: filters with a season, and without.
        weights: of the filters of each bank, [S, P] each; those of all banks add up to 1 for every series.
    """

    banks: tuple[Filters, ...]
    weights: tuple[Float[np.ndarray, "S P"], ...]

    @classmethod
    def of(cls, series: Aligned, season: int, horizon: int) -> Smoothing:
        """Filters weighted by their errors on the training rows.

        Args:
            series: what they follow.
            season: rows of a season; 1 for none.
            horizon: steps ahead.
        """
        banks = tuple(Filters.of(m, horizon) for m in sorted({1, season}))
        errors = np.concatenate([_in_parts(bank, series) for bank in banks], axis=1)
        weights = weights_of(errors)
        cuts = np.cumsum([bank.parameters.shape[1] for bank in banks])[:-1]
        return cls(banks, tuple(np.split(weights, cuts, axis=1)))

    def run(self, series: Aligned, origins: Iterable[int]) -> Iterator[tuple[int, Float[np.ndarray, "S H"]]]:
        """Each origin in the order of time, and the mean forecast after its value; NaN for a series not yet begun."""
        places = sorted(set(origins))
        for steps in zip(*(bank.run(series, places) for bank in self.banks), strict=True):
            parts = zip(steps, self.weights, strict=True)
            yield steps[0][0], np.sum([(f @ w[:, :, None])[:, :, 0] for (_, f), w in parts], axis=0)

    def maps(self, lengths: Int64[np.ndarray, " S"], size: int) -> Float[np.ndarray, "S size H"]:
        """Weights of the last values of each series, the newest last, from which the filters forecast.

        Args:
            lengths: values that each series has: its filters start that far back at most.
            size: values that a map takes; weights of values before a filter's start are 0.
        """
        season, horizon = self.banks[-1].season, self.banks[0].horizon
        spans = window(lengths, season, size)
        maps = np.zeros((len(lengths), size, horizon))
        for span in np.unique(spans):
            impulses, chosen = Aligned.impulses(int(span)), np.flatnonzero(spans == span)
            # A window of less than two seasons has no filters with a season: the others share their weight.
            able = [n for n, bank in enumerate(self.banks) if bank.least <= span or bank.season == 1]
            total = np.sum([self.weights[n][chosen].sum(axis=1) for n in able], axis=0)
            for n in able:
                weights = self.weights[n][chosen] / np.where(total > 0, total, 1.0)[:, None]
                weights[total == 0, -1] = n == 0
                ((_, forecasts),) = self.banks[n].run(impulses, [int(span) - 1])
                maps[chosen, size - span :] += np.tensordot(weights, forecasts, axes=(1, 2))
        return maps


def reach(season: int) -> int:
    """Values that a map takes at most."""
    return max(SEASONS_BACK * season, LEAST_BACK)


def window(lengths: Int64[np.ndarray, " S"], season: int, size: int) -> Int64[np.ndarray, " S"]:
    """Values that the map of each series takes: as many as it has, rounded down to one of a few lengths."""
    most = np.minimum(lengths, min(size, reach(season)))
    ladder = np.unique([*np.round(RATIO ** np.arange(400)).astype(np.int64), int(most.max(initial=1))])
    return np.asarray(ladder[np.searchsorted(ladder, most, "right") - 1])


def _in_parts(bank: Filters, series: Aligned) -> Float[np.ndarray, "S P"]:
    """`training_errors`, of so many series at a time that their forecasts fit into the cache or nearly so."""
    size = max(1, NUMBERS // (bank.horizon * bank.parameters.shape[1]))
    cuts = range(0, len(series.values), size)
    return np.concatenate([training_errors(bank, series.part(slice(n, n + size))) for n in cuts])


def training_errors(bank: Filters, series: Aligned) -> Float[np.ndarray, "S P"]:
    """Mean absolute error of every filter on the training rows, all steps ahead alike; NaN where there is none.

    Rows count by their weights.
    """
    warm = max(bank.season, 3)
    first = series.first + np.minimum(np.maximum(warm, series.lengths // 4), np.maximum(series.lengths - 2, 0))
    shape = len(series.values), bank.horizon, bank.parameters.shape[1]
    total, count = np.zeros(shape), np.zeros((*shape[:2], 1))
    for t, forecasts in bank.run(series, origins(int(first.min(initial=0)), series.stop - 2)):
        error = np.abs(forecasts - series.ahead(t, bank.horizon, series.stop)[:, :, None])
        held = ~np.isnan(error[:, :, :1]) & (first <= t)[:, None, None]
        share = held * series.counts_ahead(t, bank.horizon)[:, :, None]
        total += share * np.where(held, error, 0.0)
        count += share
    steps = (count > 0).sum(axis=1)
    mean = (total / np.where(count > 0, count, 1)).sum(axis=1) / np.maximum(steps, 1)
    return np.where((steps > 0) & (series.lengths >= bank.least)[:, None], mean, np.nan)


def origins(first: int, last: int) -> list[int]:
    """Places from `first` to `last`, all of them or some: the nearer to the last, the closer together."""
    count = max(last - first + 1, 0)
    if count <= ORIGINS:
        return list(range(first, last + 1))
    back = np.round(np.linspace(0, 1, ORIGINS) ** 1.5 * (count - 1)).astype(int)
    return sorted({last - int(step) for step in back})


def weights_of(errors: Float[np.ndarray, "S P"]) -> Float[np.ndarray, "S P"]:
    """Weights that fall with the error beside the least one; the last filter alone where no error is known."""
    least = np.nanmin(np.where(np.isnan(errors), np.inf, errors), axis=1, keepdims=True)
    unknown = ~np.isfinite(least[:, 0])
    relative = errors / np.where(least > 0, least, 1.0) - (least > 0)
    weights = np.where(np.isnan(errors), 0.0, np.exp(-np.minimum(relative / TEMPERATURE, 700)))
    weights[unknown, -1] = 1.0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
