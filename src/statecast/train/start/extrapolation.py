"""The mean of many filters of exponential smoothing and of autoregressions, as one linear map for each series.

All are weighted by how well they forecast the training rows, over all steps of the horizon: the weight falls
exponentially with the error (Yang, "Combining forecasting procedures: some theoretical results", Econometric Theory 20,
2004), the faster the more seasons tell of it. Filters have no weights that are fitted, and coefficients of
autoregressions are those of the values before, so errors on training rows are nearly those on later rows, and a series
of a few years is enough. In a table of several series each one's errors are shrunk to those of all.

The two families err differently, so both count much the same unless one errs far less. Filters with a season are four
times as many as those without, but both kinds begin with equal shares, as noise would look like a season otherwise.
Members that did well on few rows may have done so by luck, so where a series is alone, repeating the last season has a
share beside all of them: weights of the two are inverse to the squares of their errors (Bates & Granger, "The
combination of forecasts", Operational Research Quarterly 20, 1969), so it counts where the mean hardly gains on it. All
members are linear, so their mean is: what it makes of the last values is read off impulses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from statecast.model.blas import side_by_side
from statecast.train.start.autoregression import Autoregressions
from statecast.train.start.filters import Aligned, Filters

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

# One over so many seasons of training rows is the share of the least error by which a member must err more than the
# best to have 1/e of its weight. Where there is no season, two rows count as one.
TEMPERATURE, LEAST_SEASON = 0.8, 2
FAMILIES = 8.0  # times as much for families
COMMON = 0.5  # weight of all series' errors beside the errors of one
CAUTION = 0.25  # weight of repeating the last season beside the mean, where both err alike
ORIGINS = 24  # forecasts, at most, by which members are compared; more of them near the end
SEASONS_BACK, LEAST_BACK, MOST_BACK = 10, 96, 2000  # a map takes so many seasons, and values within these bounds
NUMBERS = 4_000_000  # errors of all members that are compared at a time
RATIO = 1.03  # of lengths that maps are made for: neighbours share one


Bank = Autoregressions | Filters  # members that forecast side by side


@dataclass(frozen=True, eq=False)
class Extrapolation:
    """A mean of filters and autoregressions for each series.

    Attributes:
        series: whose training rows they have learned from.
        banks: autoregressions, and filters with and without a season.
        weights: of the members of each bank, [S, P] each; those of all banks add up to 1 for every series.
    """

    series: Aligned
    banks: tuple[Bank, ...]
    weights: tuple[Float[np.ndarray, "S P"], ...]

    @classmethod
    def of(cls, series: Aligned, season: int, horizon: int, limit: int | None = None) -> Extrapolation:
        """All members, weighted by their errors on the training rows.

        Args:
            series: what they follow.
            season: rows of a season; 1 for none.
            horizon: steps ahead.
            limit: most threads.
        """
        families = banks_of(season, horizon)
        temperature = TEMPERATURE * max(season, LEAST_SEASON) / np.maximum(series.lengths, 1)[:, None]
        *errors, means, alternatives = _in_parts(families, series, temperature, limit)
        shares = weights_of(means, FAMILIES * temperature)
        banks: list[Bank] = []
        weights: list[np.ndarray] = []
        for family, members, share in zip(families, errors, shares.T, strict=True):
            common = share[:, None] * weights_of(shrunk(members), temperature, prior(family))
            banks += family
            weights += np.split(common, np.cumsum([bank.count for bank in family])[:-1], axis=1)
        if len(series.values) == 1:
            caution = caution_of(alternatives)
            weights = [(1 - caution) * part for part in weights]
            weights[repeating(families)][:, -1:] += caution
        return cls(series, tuple(banks), tuple(weights))

    def run(self, series: Aligned, origins: Iterable[int]) -> Iterator[tuple[int, Float[np.ndarray, "S H"]]]:
        """Each origin in the order of time, and the mean forecast after its value; NaN for a series not yet begun."""
        places = sorted(set(origins))
        for steps in zip(*(bank.run(series, places) for bank in self.banks), strict=True):
            parts = zip(steps, self.weights, strict=True)
            yield steps[0][0], np.sum([(f @ w[:, :, None])[:, :, 0] for (_, f), w in parts], axis=0)

    def maps(self, size: int) -> Float[np.ndarray, "S size H"]:
        """Weights of the last values of each series, the newest last, from which its members forecast.

        Args:
            size: values that a map takes; weights of values before the first training row are 0.
        """
        spans = window(self.series.lengths, max(bank.season for bank in self.banks), size)
        maps = np.zeros((len(spans), size, self.banks[0].horizon))
        for span in np.unique(spans):
            chosen = np.flatnonzero(spans == span)
            series = self.series.part(chosen)
            # Members that need a longer window leave their weight to the others.
            able = [w[chosen] * (b.fewest <= span) for b, w in zip(self.banks, self.weights, strict=True)]
            total = np.sum([weights.sum(axis=1) for weights in able], axis=0)
            for bank, weights in zip(self.banks, able, strict=True):
                maps[chosen, size - span :] += bank.maps(series, int(span), weights / total[:, None])
        return maps


def banks_of(season: int, horizon: int) -> tuple[tuple[Bank, ...], ...]:
    """The families: autoregressions, and filters with and without a season. The last member repeats the last value."""
    filters = tuple(Filters.of(m, horizon) for m in sorted({1, season}, reverse=True))
    return (Autoregressions.of(season, horizon),), filters


def repeating(families: Sequence[Sequence[Bank]]) -> int:
    """The place among all banks of the one whose last member repeats the last season."""
    return sum(map(len, families[:-1]))


def caution_of(errors: Float[np.ndarray, "S 2"]) -> Float[np.ndarray, "S 1"]:
    """The share of repeating the last season, from the errors of the mean and of repeating; 0 where none are known."""
    mean, naive = errors[:, :1] ** 2, errors[:, 1:] ** 2
    known = CAUTION * mean + naive > 0
    return np.where(known, CAUTION * mean / np.where(known, CAUTION * mean + naive, 1.0), 0.0)


def count_of(season: int) -> int:
    """Members of all families."""
    return sum(bank.count for family in banks_of(season, 1) for bank in family)


def reach(season: int) -> int:
    """Values that a map takes at most."""
    return min(max(SEASONS_BACK * season, LEAST_BACK), MOST_BACK)


def window(lengths: Int64[np.ndarray, " S"], season: int, size: int) -> Int64[np.ndarray, " S"]:
    """Values that the map of each series takes: as many as it has, rounded down to one of a few lengths."""
    most = np.minimum(lengths, min(size, reach(season)))
    ladder = np.unique([*np.round(RATIO ** np.arange(400)).astype(np.int64), int(most.max(initial=1))])
    return np.asarray(ladder[np.searchsorted(ladder, most, "right") - 1])


def _in_parts(
    families: Sequence[Sequence[Bank]], series: Aligned, temperature: Float[np.ndarray, "S 1"], limit: int | None
) -> list[Float[np.ndarray, "S n"]]:
    """Errors of the members of each family, of the families, and of their mean and repeating; some series at a time."""
    count = sum(bank.count for family in families for bank in family)
    first = families[0][0]
    size = max(1, NUMBERS // (count * max(first.horizon * ORIGINS, first.season)))
    begins = range(0, max(len(series.values), 1), size)
    errors = partial(_errors, families)
    pairs = ((series.part(slice(n, n + size)), temperature[n : n + size]) for n in begins)
    return [np.concatenate(one) for one in zip(*side_by_side(errors, pairs, limit), strict=True)]


def _errors(
    families: Sequence[Sequence[Bank]], part: tuple[Aligned, Float[np.ndarray, "S 1"]]
) -> list[Float[np.ndarray, "S n"]]:
    """The same of some series, with their temperatures."""
    series, temperature = part
    begins = [series.first + bank.begins(series.lengths).min(axis=1) for family in families for bank in family]
    places = origins(int(np.min(begins, initial=series.stop)), series.stop - 2)
    each = [training_errors(family, series, places) for family in families]
    counts = counts_of(series, places, families[0][0].horizon)
    members = [mean_of(np.abs(errors), counts) for errors in each]
    weights = [weights_of(one, temperature, prior(family)) for one, family in zip(members, families, strict=True)]
    means = [_weighted(errors, one) for errors, one in zip(each, weights, strict=True)]
    sizes = mean_of(np.stack(_common(means), axis=3), counts)
    mean = np.einsum("sohf,sf->soh", np.stack(means, axis=3), weights_of(sizes, FAMILIES * temperature))
    naive = each[-1][..., families[-1][0].count - 1]
    return [*members, sizes, mean_of(np.stack(_common([mean, naive]), axis=3), counts)]


def training_errors(family: Sequence[Bank], series: Aligned, places: Sequence[int]) -> Float[np.ndarray, "S O H P"]:
    """Errors of all members on the training rows, at each origin and step; NaN where they do not count."""
    parts = []
    for bank in family:
        errors = np.full((len(series.values), len(places), bank.horizon, bank.count), np.nan)
        begins = series.first[:, None] + bank.begins(series.lengths)
        for number, (t, forecasts) in enumerate(bank.run(series, places)):
            actual = series.ahead(t, bank.horizon, series.stop)[:, :, None]
            errors[:, number] = np.where((begins <= t)[:, None], forecasts - actual, np.nan)
        parts.append(errors)
    return np.concatenate(parts, axis=3)


def counts_of(series: Aligned, places: Sequence[int], horizon: int) -> Float[np.ndarray, "S O H"]:
    """How much the values count that are forecast."""
    counts = [series.counts_ahead(t, horizon) for t in places]
    return np.stack(counts, axis=1) if counts else np.ones((len(series.values), 0, horizon))


def mean_of(errors: Float[np.ndarray, "S O H P"], counts: Float[np.ndarray, "S O H"]) -> Float[np.ndarray, "S P"]:
    """The mean size, all steps ahead alike, rows by their weights; NaN where there is none."""
    shares = counts[..., None] * ~np.isnan(errors)
    total = shares.sum(axis=1)
    mean = (shares * np.nan_to_num(errors)).sum(axis=1) / np.where(total > 0, total, 1.0)
    steps = (total > 0).sum(axis=1)
    return np.where(steps > 0, mean.sum(axis=1) / np.maximum(steps, 1), np.nan)


def _weighted(errors: Float[np.ndarray, "S O H P"], weights: Float[np.ndarray, "S P"]) -> Float[np.ndarray, "S O H"]:
    """The error of the weighted mean of those members whose error is known; NaN where none is."""
    held = weights[:, None, None] * ~np.isnan(errors)
    total = held.sum(axis=3)
    mean = (held * np.nan_to_num(errors)).sum(axis=3) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, np.nan)


def _common(errors: Sequence[Float[np.ndarray, "S O H"]]) -> list[Float[np.ndarray, "S O H"]]:
    """The sizes of errors where all of them are known."""
    known = ~np.any([np.isnan(one) for one in errors], axis=0)
    return [np.where(known, np.abs(one), np.nan) for one in errors]


def origins(first: int, last: int) -> list[int]:
    """Places from `first` to `last`, all of them or some: the nearer to the last, the closer together."""
    count = max(last - first + 1, 0)
    if count <= ORIGINS:
        return list(range(first, last + 1))
    back = np.round(np.linspace(0, 1, ORIGINS) ** 1.5 * (count - 1)).astype(int)
    return sorted({last - int(step) for step in back})


def shrunk(errors: Float[np.ndarray, "S P"]) -> Float[np.ndarray, "S P"]:
    """Errors in units of the least of each series, shrunk to their geometric mean over all series.

    Of a series alone nothing is known of others, so its members count as alike there. Series that some member forecasts
    without an error keep theirs.
    """
    least = np.min(np.where(np.isnan(errors), np.inf, errors), axis=1, keepdims=True, initial=np.inf)
    proper = np.isfinite(least) & (least > 0)
    relative = errors / np.where(proper, least, np.nan)
    held = ~np.isnan(relative)
    logs = np.log(np.where(held, relative, 1.0)).sum(axis=0) / np.maximum(held.sum(axis=0), 1)
    typical = np.exp(logs) if len(errors) > 1 else 1.0
    return np.where(proper, (1 - COMMON) * relative + COMMON * typical, errors)


def prior(family: Sequence[Bank]) -> Float[np.ndarray, " P"]:
    """Weights of members that err alike: the banks of a family have equal shares, however many members each has."""
    return np.concatenate([np.full(bank.count, 1 / (len(family) * bank.count)) for bank in family])


def weights_of(
    errors: Float[np.ndarray, "S P"],
    temperature: Float[np.ndarray, "S 1"],
    prior: Float[np.ndarray, " P"] | float = 1.0,
) -> Float[np.ndarray, "S P"]:
    """Weights in proportion to `prior` that fall with the error beside the least one.

    The last member has all of the weight where no error is known.
    """
    least = np.min(np.where(np.isnan(errors), np.inf, errors), axis=1, keepdims=True, initial=np.inf)
    unknown = ~np.isfinite(least[:, 0])
    relative = errors / np.where(least > 0, least, 1.0) - (least > 0)
    weights = np.where(np.isnan(errors), 0.0, prior * np.exp(-np.minimum(relative / temperature, 600)))
    weights[unknown, -1] = 1.0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
