"""How the straight map of a table is made: look-backs, penalties, weights and shrinkage, by rows held out.

Means of a few rows held out pick noise, so the simpler of two is kept unless the other wins beyond chance: the larger
penalty, no drift, one map for all series. Look-backs that err nearly alike are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.train.start.evidence import beats
from statecast.train.start.folds import Folds
from statecast.train.start.straight import NormalEquations, Recipe, Solution, common_map, ridge, single_maps

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

PENALTIES = (10.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10, 0.0)  # the simplest first
MIDDLE = 4  # the place among the penalties where most tables have their best one, or next to it
SHRINKAGES = (3.0, 1.0, 0.3, 0.1)  # of single series towards all, the simplest first
CLOSE = 1.01  # look-backs whose error is within this factor of the least are averaged
DRIFT = 2.0  # standard errors that a drift must gain by
PLAIN = 2.0  # standard errors that plain squares must gain by where the loss is of absolute errors
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
        weights: of the rows, by the errors of a map of each fold; see `NormalEquations.of`.
    """

    def __init__(self, folds: Folds, several: bool, weights: Sequence[np.ndarray | None] = ()) -> None:
        self.folds, self.several = folds, several
        self.threads = next((fold.train.table.threads for fold in folds.folds), None)
        maps = weights or (None,) * len(folds.folds)
        self.equations = [NormalEquations.of(fold.train, several, w) for fold, w in zip(folds.folds, maps, strict=True)]
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
        pairs = zip(self.equations, self.commons(recipe), strict=True)
        if not np.isfinite(recipe.shrinkage):
            return self.commons(recipe)
        return [single_maps(*pair, recipe, self.threads) for pair in pairs]

    def weighted(self, recipe: Recipe) -> FoldEquations:
        """The same with rows weighted by the errors of a recipe."""
        return FoldEquations(self.folds, self.several, [common[0] for common in self.commons(recipe)])

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
    trial = FoldEquations(folds, several)
    recipe = _with_drift(trial, Recipe(_look_backs(trial, sizes, not follows), not follows), follows)
    if absolute:
        weighted = trial.weighted(recipe)
        if not beats(trial.errors(trial.maps(recipe)), weighted.errors(weighted.maps(recipe)), PLAIN):
            trial, recipe = weighted, replace(recipe, weighted=True)
    if several:
        recipe = _with_shrinkage(trial, recipe)
    maps, train = trial.maps(recipe), folds.folds[0].train
    # Those of many series would take much memory until a fit ends, and rows left out cannot be told from later ones.
    kept = trial.equations[0] if len(maps[0]) == 1 and train.complete else None
    return Straight(recipe, trial.applied(maps), None if folds.short else Solution(maps[0], kept and kept.total))


def _look_backs(trial: FoldEquations, sizes: Sequence[int], drift: bool) -> tuple[tuple[int, float], ...]:
    """The sizes that err nearly as little as the best, and the penalty of each."""
    penalties, means = {}, {}
    for size in sizes:
        penalties[size], means[size] = _penalty(trial, size, drift)
    least = min(means.values())
    return tuple((size, penalties[size]) for size in sizes if means[size] <= CLOSE * least)


def _penalty(trial: FoldEquations, size: int, drift: bool) -> tuple[float, float]:
    """The penalty of a look-back, and the mean error with it."""

    def errors(penalty: float) -> Float[np.ndarray, " U"]:
        return trial.errors([ridge(equations.total, size, penalty, drift) for equations in trial.equations])

    tried = {MIDDLE: errors(PENALTIES[MIDDLE])}
    best, near = MIDDLE, [MIDDLE - 1, MIDDLE + 1]
    while near:
        tried |= {n: errors(PENALTIES[n]) for n in near}
        best = min(tried, key=lambda n: float(tried[n].mean()))
        near = [n for n in (best - 1, best + 1) if n not in tried and 0 <= n < len(PENALTIES)]
    close = CLOSE * tried[best].mean()
    simple = next(n for n in sorted(tried) if tried[n].mean() <= close and not beats(tried[best], tried[n]))
    return PENALTIES[simple], float(tried[simple].mean())


def _with_drift(trial: FoldEquations, recipe: Recipe, follows: bool) -> Recipe:
    drift = replace(recipe, drift=True)
    if not follows:
        return recipe
    within, without = (trial.errors(trial.maps(one)) for one in (drift, recipe))
    return drift if beats(within, without, DRIFT) else recipe


def _with_shrinkage(trial: FoldEquations, recipe: Recipe) -> Recipe:
    """The recipe with maps of single series, where these forecast better than the common one; some series tell."""
    chosen = np.unique(np.linspace(0, len(trial.equations[0].gram) - 1, SERIES).astype(int))
    commons = trial.commons(recipe)
    rows = [np.isin(fold.held_out.series, chosen) for fold in trial.folds.folds]
    evidence = trial.folds.evidence.of(np.concatenate(rows))
    errors = {}
    for shrinkage in (np.inf, *SHRINKAGES):
        single, forecasts = replace(recipe, shrinkage=shrinkage), []
        for fold, (equations, common, values, held) in enumerate(
            zip(trial.equations, commons, trial.values, rows, strict=True)
        ):
            maps = common
            if np.isfinite(shrinkage):
                some = NormalEquations(equations.gram[chosen], equations.moments[chosen])
                maps = single_maps(some, common, single, trial.threads)
            series = np.searchsorted(chosen, trial.folds.folds[fold].held_out.series[held])
            forecasts.append(applied(maps, values[held], series))
        errors[shrinkage] = evidence.errors(np.concatenate(forecasts))
    best = min(errors, key=lambda shrinkage: errors[shrinkage].mean())
    return replace(recipe, shrinkage=next(one for one in errors if not beats(errors[best], errors[one])))
