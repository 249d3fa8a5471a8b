"""The linear map that every forecast starts from: an extrapolation, a straight map, or a mean of the two.

Both are linear in the last values, so is any mean of them, and the network's skip holds it before the first training
step. An extrapolation is the mean of exponential smoothing and autoregressions, which know what most series do and
learn next to nothing, so it serves the shortest table; straight maps learn everything from the rows. Rows held out say
how much of each; the extrapolation is kept unless the other wins beyond chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from statecast.train.start import extrapolation, recipes, straight
from statecast.train.start.design import Design
from statecast.train.start.evidence import HeldOut, beats
from statecast.train.start.extrapolation import Extrapolation
from statecast.train.start.filters import CYCLES, Aligned
from statecast.train.start.folds import LEAST, Folds
from statecast.train.start.straight import Recipe, Solution

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

SHARES = (0.75, 0.5, 0.25)  # of the extrapolation in a mean
MIXED = 2.0  # standard errors that a mean must gain on either alone
PLENTY = 100  # units of evidence from which on shares that err nearly alike are averaged
MANY = 2  # times as many series as are looked at first: where these tell that extrapolations lose, the others rest
DOUBTLESS = 3.0  # standard errors by which they must lose
FILTERED = 1_000_000_000  # values of all series times members, at most, for which an extrapolation is tried
EXTRAPOLATION = "exponential smoothing with autoregression"  # in words


@dataclass(frozen=True)
class Blend:
    """What the linear map of one target is made of.

    Attributes:
        season: of the extrapolation.
        share: of the extrapolation, from 0 to 1; the rest is the straight map's.
        recipe: of the straight map; None where the share is 1.
        window: last values that the extrapolation takes.
        straight: the straight map of the training rows, with values to spare; None where it has to be solved for.
    """

    season: int
    share: float
    recipe: Recipe | None
    window: int
    straight: Solution | None = field(default=None, compare=False, repr=False)

    @property
    def single(self) -> bool:
        """Whether every series has a map of its own."""
        return self.share > 0 or (self.recipe is not None and bool(self.recipe.shrinkages))

    @property
    def size(self) -> int:
        """Last values that the map takes."""
        return max(self.window if self.share > 0 else 0, self.recipe.size if self.recipe else 0)

    def __str__(self) -> str:
        backs = [size for size, _ in self.recipe.look_backs] if self.recipe else []
        values = ", ".join(map(str, backs))
        line = f"least squares on the last {values} values" + (", averaged" if len(backs) > 1 else "")
        if self.recipe and self.recipe.shrinkages:
            line += ", a map for each series"
        parts = [f"{100 * self.share:.0f} % {EXTRAPOLATION}"] if 0 < self.share < 1 else []
        parts += [EXTRAPOLATION] if self.share == 1 else []
        parts += [f"{100 * (1 - self.share):.0f} % {line}" if parts else line] if self.share < 1 else []
        return " and ".join(parts)


def composition(blends: Sequence[Blend | None]) -> str:
    """What the maps of all targets are made of, in words; empty where all start from zero."""
    return "; ".join(dict.fromkeys(str(blend) for blend in blends if blend))


def choose(
    design: Design,
    sizes: Sequence[int],
    season: int,
    absolute: bool,
    several: bool,
    follows: bool,
    most: int,
) -> Blend | None:
    """What forecasts the rows held out best; None where there are too few rows for any, or repeating does as well.

    Args:
        design: of the target, with the largest look-back as its size.
        sizes: look-backs to try.
        season: rows of a season.
        absolute: whether the loss is of absolute errors.
        several: whether each series may have a map of its own.
        follows: whether the level follows the series.
        most: last values that an extrapolation may take.
    """
    folds, table = Folds.of(design), design.table
    window = min(extrapolation.reach(season), most)
    suits = follows and (several or len(table.parts.train) == 1)
    made = recipes.best(folds, sizes, absolute, several, follows)
    suits = suits and not (made and _lost(design, folds, season, window, made.forecasts))
    carried = _extrapolated(design, folds, season, window) if suits else None
    evidence = folds.evidence
    if carried is not None:
        evidence = HeldOut(np.where(np.isnan(carried), np.nan, evidence.actual), evidence.units)
    nothing = evidence.errors(np.zeros_like(evidence.actual))
    if carried is None:
        if made is None or not beats(evidence.errors(made.forecasts), nothing, 0.0):
            return None
        return Blend(season, 0.0, made.recipe, 0, made.solution)
    if made is None:
        share = 1.0
    elif table.rows.weight is not None and not evidence.count:  # exponential smoothing follows rows that weigh nothing
        share = 0.0
    else:
        share = share_of(evidence, carried, made.forecasts)
    mixed = carried if made is None else share * carried + (1 - share) * made.forecasts
    if evidence.count >= LEAST and not beats(evidence.errors(mixed), nothing):
        return None
    if made is None or share == 1:
        return Blend(season, share, None, window)
    return Blend(season, share, made.recipe, window, made.solution)


def share_of(evidence: HeldOut, carried: Float[np.ndarray, "n H"], straight: Float[np.ndarray, "n H"]) -> float:
    """The extrapolation's share: all, unless least squares win or a mean beats either beyond doubt.

    Where evidence is plenty, the mean of those shares that err nearly as little as the best: errors hardly change
    around it, and rows held out cannot tell it from its neighbours.
    """
    errors = {share: evidence.errors(share * carried + (1 - share) * straight) for share in (1.0, *SHARES, 0.0)}
    if evidence.count >= PLENTY:
        close = recipes.CLOSE * min(error.mean() for error in errors.values())
        return float(np.mean([share for share, error in errors.items() if error.mean() <= close]))
    best = min(SHARES, key=lambda share: float(errors[share].sum()))
    if all(beats(errors[best], errors[one], MIXED) for one in (0.0, 1.0)):
        return best
    return 0.0 if beats(errors[0.0], errors[1.0]) else 1.0


def _lost(design: Design, folds: Folds, season: int, window: int, straight: Float[np.ndarray, "n H"]) -> bool:
    """Whether some of many series tell already that least squares alone forecast best."""
    series = len(design.table.parts.train)
    if folds.short or series < MANY * recipes.SERIES:
        return False
    chosen = recipes.sample_of(series)
    rows = np.isin(folds.folds[0].held_out.series, chosen)
    carried = _extrapolated(design, folds, season, window, chosen)
    if carried is None:
        return False
    evidence, straight = folds.evidence.of(rows), straight[rows]
    alone, carried_alone = evidence.errors(straight), evidence.errors(carried[rows])
    mixed = (evidence.mean(share * carried[rows] + (1 - share) * straight) for share in SHARES)
    return beats(alone, carried_alone, DOUBTLESS) and min(mixed) > recipes.CLOSE * alone.mean()


def with_rows(design: Design, blend: Blend, before: Int64[np.ndarray, " S"]) -> Blend:
    """A blend that learns from more training rows: its equations go on where they are known, else it is solved anew.

    Args:
        design: of the target; its table has all training rows.
        blend: that has learned from the first of them.
        before: rows of each series that it has learned from.
    """
    if blend.recipe is None or blend.straight is None or blend.straight.equations is None:
        return replace(blend, straight=None)
    # The last of the rows before had next values that were no training values yet.
    first = np.maximum(before - design.horizon, 0)
    equations = blend.straight.equations
    equations = equations.with_rows(design.back(equations.sizes[0]).since(first))
    return replace(blend, straight=Solution(straight.common_map(equations, blend.recipe), equations))


def maps(design: Design, blend: Blend) -> Float[np.ndarray, "S n H"]:
    """The map of each series [S, size + 1, H], or one of all [1, size + 1, H], from the training rows.

    The last row is the intercept, in units of the front's scale; see `Design.values`.
    """
    table, size = design.table, blend.size
    total = np.zeros((1, size + 1, design.horizon))
    if blend.share > 0:
        series = aligned(design, blend.season, design.table.parts.train)
        total = np.zeros((len(table.parts.train), size + 1, design.horizon))
        mean = Extrapolation.of(series, blend.season, design.horizon, table.threads)
        total[:, size - blend.window : size] = blend.share * mean.maps(blend.window)
    if blend.recipe is not None:
        if blend.straight is None:
            made = straight.solve(design.back(blend.recipe.size).training(), blend.recipe)
        else:
            made = blend.straight.maps
        made = made[:, max(made.shape[1] - 1 - blend.recipe.size, 0) :]
        total = total + (1 - blend.share) * np.pad(made, ((0, 0), (size - blend.recipe.size, 0), (0, 0)))
    return total


def aligned(design: Design, season: int, stop: np.ndarray) -> Aligned:
    """The series as an extrapolation follows them: up to `stop`, in working units."""
    table, d = design.table, design.target
    values = np.where(table.rows.m[:, d] > 0, table.rows.y[:, d], np.nan)
    counts = None if table.rows.weight is None else table.rows.weight[:, 0]
    return Aligned.of(values, table.rows.offsets, table.parts.train, stop, 2 * extrapolation.reach(season), counts)


def _extrapolated(
    design: Design, folds: Folds, season: int, window: int, chosen: Int64[np.ndarray, " s"] | None = None
) -> Float[np.ndarray, "n H"] | None:
    """What an extrapolation forecasts of the rows held out; None where series and steps are too many.

    Args:
        design: of the target.
        folds: rows held out.
        season: rows of a season.
        window: last values that it takes.
        chosen: series that it follows, all where None; rows of the others are 0. Only of folds that are not short.
    """
    table = design.table
    series = aligned(design, season, table.parts.val)
    if chosen is not None:
        series = series.part(chosen)
    if not series.stop or series.values[:, : series.stop].size * extrapolation.count_of(season) > FILTERED:
        return None
    mean = Extrapolation.of(series, season, design.horizon, table.threads)
    if not folds.short:
        (fold,) = folds.folds
        rows = np.flatnonzero(np.isin(fold.held_out.series, chosen)) if chosen is not None else slice(None)
        held_out = fold.held_out.of(fold.held_out.rows[rows])
        numbers = held_out.series if chosen is None else np.searchsorted(chosen, held_out.series)
        forecasts = np.zeros((len(fold.held_out.rows), design.horizon))
        forecasts[rows] = recipes.applied(mean.maps(window), held_out.back(window).values()[:, :-1], numbers)
        return forecasts
    return np.concatenate([_followed(mean, season, fold.held_out) for fold in folds.folds])


def _followed(mean: Extrapolation, season: int, rows: Design) -> Float[np.ndarray, "n H"]:
    """Forecasts after each row, relative to the level in units of the loss; NaN in the first seasons."""
    train, series = rows.table.parts.train[rows.series], mean.series
    at = rows.places - train + series.stop
    forecasts = np.full((len(at), rows.horizon), np.nan)
    # The first seasons are what a filter's first season is the mean of.
    early = rows.places < np.minimum(season * CYCLES, train // 2)
    for place, made in mean.run(series, (int(one) for one in at[~early] if one >= 0)):
        chosen = (at == place) & ~early
        forecasts[chosen] = made[rows.series[chosen]]
    level, _, unit = rows.units
    return np.asarray((forecasts - level) / unit)
