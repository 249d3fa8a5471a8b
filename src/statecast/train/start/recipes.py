"""How the straight map of a table is made: look-backs, penalties, weights and shrinkage, by rows held out.

Means of a few rows held out pick noise, so the simpler of two is kept unless the other wins beyond chance: the larger
penalty, no drift, one map for all series. Look-backs that err nearly alike are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.train.start.evidence import HeldOut, beats
from statecast.train.start.folds import Folds
from statecast.train.start.straight import NormalEquations, Recipe, Solution, common_map, maps_of, ridge, single_maps

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

PENALTIES = (10.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10, 0.0)  # the simplest first
MIDDLE = 4  # the place among the penalties where most tables have their best one, or next to it
SHRINKAGES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)  # of single series towards all, the simplest first
USUAL = 4  # the place among the shrinkages where many tables have their best one, or next to it
SINGLE = 2.0  # standard errors that less shrinkage must gain by
CLOSE = 1.01  # look-backs whose error is within this factor of the least are averaged
DRIFT = 2.0  # standard errors that a drift must gain by
PLAIN = 2.0  # standard errors that plain squares must gain by where the loss is of absolute errors
STRETCHES = 6  # of one horizon, counted over all series together, that a drift must be judged by at least
SERIES = 64  # by which the shrinkage is chosen at most
ROWS = 2  # rows that least squares need for each value


@dataclass(frozen=True, eq=False)
class Straight:
    """The straight map that forecasts the rows held out best.

    Attributes:
        recipe: how it is made.
        forecasts: of the rows held out [n, H].
        solution: the map of all training rows; None where the folds are stretches.
    """

    recipe: Recipe
    forecasts: Float[np.ndarray, "n H"]
    solution: Solution | None


class FoldEquations:
    """The equations of each fold, and what maps that are made of them forecast.

    Args:
        folds: the rows.
        several: whether series have equations of their own.
        sizes: look-backs.
        weights: of the rows, by the errors of a map of each fold; see `NormalEquations.of`.
    """

    def __init__(
        self, folds: Folds, several: bool, sizes: Sequence[int], weights: Sequence[np.ndarray | None] = ()
    ) -> None:
        self.folds, self.several, self.sizes = folds, several, sizes
        self.threads = next((fold.train.table.threads for fold in folds.folds), None)
        maps = weights or (None,) * len(folds.folds)
        pairs = zip(folds.folds, maps, strict=True)
        self.equations = [NormalEquations.of(fold.train, sizes, several, w) for fold, w in pairs]
        self.values = [fold.held_out.values() for fold in folds.folds]
        self._commons: dict[tuple[Any, ...], list[np.ndarray]] = {}

    def commons(self, recipe: Recipe) -> list[Float[np.ndarray, "1 n H"]]:
        """The map of all series by a recipe, of each fold; solved for once."""
        key = recipe.look_backs, recipe.drift
        if key not in self._commons:
            self._commons[key] = [common_map(equations.total, recipe) for equations in self.equations]
        return self._commons[key]

    def maps(self, recipe: Recipe) -> list[Float[np.ndarray, "S n H"]]:
        """The maps of a recipe, of each fold."""
        if not recipe.shrinkages:
            return self.commons(recipe)
        return [maps_of(equations, recipe, self.threads) for equations in self.equations]

    def weighted(self, recipe: Recipe) -> FoldEquations:
        """The same with rows weighted by the errors of a recipe."""
        return FoldEquations(self.folds, self.several, self.sizes, [common[0] for common in self.commons(recipe)])

    def applied(self, maps: Sequence[Float[np.ndarray, "S n H"]]) -> Float[np.ndarray, "n H"]:
        """What the maps of each fold forecast of the rows held out, fold after fold."""
        parts = zip(maps, self.values, self.folds.folds, strict=True)
        return np.concatenate([applied(one, values, fold.held_out.series) for one, values, fold in parts])

    def errors(self, maps: Sequence[Float[np.ndarray, "S n H"]]) -> Float[np.ndarray, " U"]:
        """The error in each unit of evidence of the maps of each fold."""
        return self.folds.evidence.errors(self.applied(maps))


def applied(
    maps: Float[np.ndarray, "S n H"], values: Float[np.ndarray, "N n"], series: Int64[np.ndarray, " N"]
) -> Float[np.ndarray, "N H"]:
    """Forecasts of rows by the map of their series, or by the only one."""
    if len(maps) == 1:
        return np.asarray(values @ maps[0])
    forecasts = np.empty((len(values), maps.shape[2]))
    for number in np.unique(series):
        rows = series == number
        forecasts[rows] = values[rows] @ maps[number]
    return forecasts


def best(folds: Folds, sizes: Sequence[int], absolute: bool, several: bool, follows: bool) -> Straight | None:
    """What forecasts the rows held out best; None where there are too few rows.

    Args:
        folds: rows to learn from and rows held out.
        sizes: look-backs to try.
        absolute: whether the loss is of absolute errors.
        several: whether each series may have a map of its own.
        follows: whether the level follows the series, so that an intercept is a drift.
    """
    fewest = min((len(fold.train.rows) for fold in folds.folds), default=0)
    sizes = [size for size in sizes if fewest >= ROWS * (size + 1)]
    if not sizes or not folds.evidence.count:
        return None
    trial = FoldEquations(folds, several, sizes)
    penalties, near = _look_backs(trial, sizes, not follows)
    backs = tuple((size, penalties[size]) for size in near)
    recipe = _with_drift(trial, Recipe(backs, not follows), follows)
    if absolute:
        weighted = trial.weighted(recipe)
        if not beats(trial.errors(trial.maps(recipe)), weighted.errors(weighted.maps(recipe)), PLAIN):
            trial, recipe = weighted, replace(recipe, weighted=True)
    if several:
        recipe = _with_single_maps(trial, recipe, penalties)
    maps, train = trial.maps(recipe), folds.folds[0].train
    # Those of many series would take much memory until a fit ends, and rows left out cannot be told from later ones.
    kept = trial.equations[0] if len(maps[0]) == 1 and train.complete else None
    return Straight(recipe, trial.applied(maps), None if folds.short else Solution(maps[0], kept and kept.total))


def _look_backs(trial: FoldEquations, sizes: Sequence[int], drift: bool) -> tuple[dict[int, float], list[int]]:
    """The penalty of each size, and the sizes that err nearly as little as the best."""
    penalties, means = {}, {}
    for size in sizes:
        penalties[size], means[size] = _penalty(trial, size, drift)
    return penalties, _near(means)


def _near(means: Mapping[int, float]) -> list[int]:
    """The look-backs whose mean error is close to the least."""
    least = min(means.values())
    return [size for size, mean in means.items() if mean <= CLOSE * least]


def _penalty(trial: FoldEquations, size: int, drift: bool) -> tuple[float, float]:
    """The penalty of a look-back, and the mean error with it."""

    def errors(penalty: float) -> Float[np.ndarray, " U"]:
        return trial.errors([ridge(equations.total, size, penalty, drift) for equations in trial.equations])

    tried: dict[int, Float[np.ndarray, " U"]] = {}
    place = walked(lambda n: tried.setdefault(n, errors(PENALTIES[n])), MIDDLE, len(PENALTIES))
    return PENALTIES[place], float(tried[place].mean())


def walked(errors: Callable[[int], Float[np.ndarray, " U"]], start: int, count: int, certainty: float = 1.0) -> int:
    """Which of so many choices, the simplest first, errs least; a simpler one that does so but for chance instead.

    Errors fall towards the least from both sides, so only those on the way there are looked at.

    Args:
        errors: of a choice, in each unit of evidence.
        start: the choice to begin with.
        count: of choices.
        certainty: standard errors by which one must be better than a simpler one.
    """
    tried, near = {start: errors(start)}, [start - 1, start + 1]
    best = start
    while near:
        tried |= {n: errors(n) for n in near}
        best = min(tried, key=lambda n: float(tried[n].mean()))
        near = [n for n in (best - 1, best + 1) if n not in tried and 0 <= n < count]
    close = CLOSE * tried[best].mean()
    return next(n for n in sorted(tried) if tried[n].mean() <= close and not beats(tried[best], tried[n], certainty))


def sample_of(count: int) -> Int64[np.ndarray, " s"]:
    """Evenly spaced ones of so many series, by which the others are judged."""
    return np.unique(np.linspace(0, count - 1, SERIES).astype(np.int64))


def _with_drift(trial: FoldEquations, recipe: Recipe, follows: bool) -> Recipe:
    """The recipe with a drift, where that gains over enough stretches of time.

    Series climb and fall together, so what all of them do in one stretch is one piece of evidence.
    """
    if not follows:
        return recipe
    drift = replace(recipe, drift=True)
    stretches = [fold.held_out.stretches for fold in trial.folds.folds]
    evidence = HeldOut(trial.folds.evidence.actual, np.concatenate(stretches))
    if evidence.count < STRETCHES:
        return recipe
    within, without = (evidence.errors(trial.applied(trial.maps(one))) for one in (drift, recipe))
    return drift if beats(within, without, DRIFT) else recipe


def _with_single_maps(trial: FoldEquations, recipe: Recipe, penalties: Mapping[int, float]) -> Recipe:
    """The recipe with maps of single series, where these forecast better than the common one; some series tell.

    The common map of many series does best with more of the last values than one series can tell the weights of. So
    single maps have look-backs of their own.

    Args:
        trial: the equations.
        recipe: of the common map.
        penalties: of the common map for each look-back that is tried.
    """
    sample = SeriesSample.of(trial)
    backs = {size: replace(recipe, look_backs=((size, penalty),)) for size, penalty in penalties.items()}
    tried = {size: sample.shrinkage(one) for size, one in backs.items()}
    near = _near({size: sample.evidence.mean(forecasts) for size, (_, forecasts) in tried.items()})
    forecasts = np.mean([tried[size][1] for size in near], axis=0)
    if not beats(sample.evidence.errors(forecasts), sample.evidence.errors(sample.common(recipe))):
        return recipe
    shrinkages = tuple(tried[size][0] for size in near)
    return replace(recipe, look_backs=tuple((size, penalties[size]) for size in near), shrinkages=shrinkages)


@dataclass(frozen=True, eq=False)
class SeriesSample:
    """Some series of a table, by whose rows held out maps of single series are judged.

    Attributes:
        trial: the equations of all series.
        equations: of each fold, of these series.
        chosen: their numbers, ascending.
        rows: of each fold those that are held out of these series.
        evidence: their values.
    """

    trial: FoldEquations
    equations: tuple[NormalEquations, ...]
    chosen: Int64[np.ndarray, " s"]
    rows: tuple[Bool[np.ndarray, " n"], ...]
    evidence: HeldOut

    @classmethod
    def of(cls, trial: FoldEquations) -> SeriesSample:
        """Evenly spaced series."""
        chosen = sample_of(trial.equations[0].count)
        rows = tuple(np.isin(fold.held_out.series, chosen) for fold in trial.folds.folds)
        equations = tuple(each.of_series(chosen) for each in trial.equations)
        return cls(trial, equations, chosen, rows, trial.folds.evidence.of(np.concatenate(rows)))

    def common(self, recipe: Recipe) -> Float[np.ndarray, "n H"]:
        """What the map of all series forecasts of the rows."""
        return self._applied(self.trial.commons(recipe))

    def shrinkage(self, recipe: Recipe) -> tuple[float, Float[np.ndarray, "n H"]]:
        """How far single maps of one look-back are best shrunk, and what they then forecast of the rows."""
        commons = self.trial.commons(recipe)
        made: dict[int, np.ndarray] = {}

        def errors(place: int) -> Float[np.ndarray, " U"]:
            single = replace(recipe, shrinkages=(SHRINKAGES[place],))
            pairs = zip(self.equations, commons, strict=True)
            made[place] = self._applied([single_maps(e, [c], single, self.trial.threads) for e, c in pairs])
            return self.evidence.errors(made[place])

        place = walked(errors, USUAL, len(SHRINKAGES), SINGLE)
        return SHRINKAGES[place], made[place]

    def _applied(self, maps: Sequence[Float[np.ndarray, "s n H"]]) -> Float[np.ndarray, "n H"]:
        parts = []
        for one, values, held, fold in zip(maps, self.trial.values, self.rows, self.trial.folds.folds, strict=True):
            parts.append(applied(one, values[held], np.searchsorted(self.chosen, fold.held_out.series[held])))
        return np.concatenate(parts)
