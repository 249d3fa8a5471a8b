"""Straight maps: least squares from the last values to the next ones, of all series together and of each.

All training rows that reach as far back as a map does are learned from, through normal equations that are summed up
block by block: values before a series begins are not known, and a map that takes them for the level learns to distrust
its oldest ones. A penalty shrinks the common map towards zero, that is towards the level (ridge regression: Hoerl &
Kennard, Technometrics 12, 1970), and the map of a single series towards the common one. Where the loss is of absolute
errors, rows are weighted once by one over the size of their error (Schlossmacher, "An iterative technique for absolute
deviations curve fitting", JASA 68, 1973). Maps that look back over several lengths are averaged: a mean of linear maps
is one.

An intercept is a drift where the level follows the series. It is learned from as many horizons as the table is long,
which are few, and every forecast pays for it: it stays out there unless rows held out gain by it beyond chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from statecast.model.blas import side_by_side
from statecast.train.start.design import Design

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

TOGETHER = 16  # series whose maps one thread solves for at a time
SMALLEST = 0.1  # errors below this share of their median count as large as it


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """Normal equations, Σ x·xᵀ and Σ x·yᵀ over the rows of each series; see `Design` for x and y.

    Attributes:
        sums: for each look-back, the longest first, those of the rows that reach so far back and no farther.
        weights: the map by whose errors rows are weighted, [size + 1, H]; None where all count alike.
        typical: size of these errors, of which a row of weight 1 has one; 0 where it is not known.
    """

    sums: tuple[Sums, ...]
    weights: Float[np.ndarray, "n H"] | None = None
    typical: float = 0.0

    @classmethod
    def of(
        cls,
        design: Design,
        sizes: Sequence[int],
        several: bool,
        weights: Float[np.ndarray, "n H"] | None = None,
        typical: float = 0.0,
    ) -> NormalEquations:
        """Sums over the rows whose next values are all known.

        Args:
            design: the rows, with the longest look-back as its size.
            sizes: look-backs that maps are to be made for.
            several: whether to sum up each series for itself.
            weights: a map [size + 1, H]; rows are divided by the root of the size of its error where it is not None.
            typical: size of an error of weight 1; the median of the first rows where it is 0.
        """
        count = len(design.table.parts.train) if several else 1
        ladder = sorted({*sizes, design.size}, reverse=True)
        sums = tuple(Sums.empty(count, size, design.horizon) for size in ladder)
        if weights is not None:
            typical = typical or _typical(design, weights)
        shares = partial(_shares, sizes=ladder, several=several, weights=weights, typical=typical)
        for parts in side_by_side(shares, design.blocks(), design.table.threads):
            for place, series, squares, products in parts:
                sums[place].gram[series] += squares
                sums[place].moments[series] += products
        return cls(sums, weights, typical)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The look-backs, the longest first."""
        return tuple(part.size for part in self.sums)

    def back(self, size: int) -> Sums:
        """The sums over all rows that have so many last values."""
        parts = [part.back(size) for part in self.sums if part.size >= size]
        return Sums(*(np.sum(pair, axis=0) for pair in zip(*((p.gram, p.moments) for p in parts), strict=True)))

    def with_rows(self, design: Design) -> NormalEquations:
        """The sums over further rows as well, which are weighted as those before are; of all series together."""
        more = NormalEquations.of(design, self.sizes, False, self.weights, self.typical)
        pairs = zip(self.sums, more.sums, strict=True)
        return replace(more, sums=tuple(Sums(a.gram + b.gram, a.moments + b.moments) for a, b in pairs))

    def of_series(self, chosen: slice | Int64[np.ndarray, " s"]) -> NormalEquations:
        """Those of some of the series."""
        return replace(self, sums=tuple(Sums(part.gram[chosen], part.moments[chosen]) for part in self.sums))

    @property
    def count(self) -> int:
        """Series that are summed up each for itself."""
        return len(self.sums[0].gram)

    @cached_property
    def total(self) -> NormalEquations:
        """Those of all series together."""
        if self.count == 1:
            return self
        return replace(self, sums=tuple(part.total for part in self.sums))


@dataclass(frozen=True, eq=False)
class Sums:
    """Σ x·xᵀ [S, size + 1, size + 1] and Σ x·yᵀ [S, size + 1, H] over some rows; see `Design` for x and y."""

    gram: Float[np.ndarray, "S n n"]
    moments: Float[np.ndarray, "S n H"]

    @classmethod
    def empty(cls, count: int, size: int, horizon: int) -> Sums:
        """Those of no rows of so many series."""
        return cls(np.zeros((count, size + 1, size + 1)), np.zeros((count, size + 1, horizon)))

    @property
    def size(self) -> int:
        """Last values of a row."""
        return int(self.gram.shape[1]) - 1

    def back(self, size: int) -> Sums:
        """The same of fewer of the last values."""
        part = slice(self.size - size, None)
        return Sums(self.gram[:, part, part], self.moments[:, part])

    @property
    def total(self) -> Sums:
        """Those of all series together."""
        return Sums(*(part.sum(axis=0, keepdims=True) for part in (self.gram, self.moments)))


def _shares(
    block: Design, sizes: Sequence[int], several: bool, weights: Float[np.ndarray, "n H"] | None, typical: float
) -> list[tuple[int, int, Float[np.ndarray, "n n"], Float[np.ndarray, "n H"]]]:
    """Places of look-backs, series of a block, or 0 for all of them, and its share of their sums.

    See `NormalEquations.of`; the sizes descend.
    """
    x, y, whole = _whole(block)
    series, reach = block.series[whole], block.reach[whole]
    if weights is not None and typical > 0:
        near = 1 / np.sqrt(np.maximum(_sizes(x, y, weights) / typical, SMALLEST))
        x, y = x * near, y * near
    if (counts := block.weights) is not None:
        x, y = x * np.sqrt(counts[whole]), y * np.sqrt(counts[whole])
    rank = (reach[:, None] >= np.array(sizes)).sum(axis=1)  # look-backs that a row suffices for
    number = np.where(several, series, 0) * (len(sizes) + 1) + rank
    if (np.diff(number) < 0).any():
        order = np.argsort(number, kind="stable")
        x, y, number = x[order], y[order], number[order]
    cuts = np.flatnonzero(np.diff(number)) + 1
    shares = []
    for a, b, of in zip(*(np.split(part, cuts) for part in (x, y, number)), strict=True):
        of_series, suffices = divmod(int(of[0]), len(sizes) + 1) if len(of) else (0, 0)
        if suffices:
            place = len(sizes) - suffices
            last = a[:, -(sizes[place] + 1) :]
            shares.append((place, of_series, last.T @ last, last.T @ b))
    return shares


def _typical(design: Design, weights: Float[np.ndarray, "n H"]) -> float:
    """The median size of the errors of a map in the first block that has any; 0 where there is none."""
    pairs = (_whole(block)[:2] for block in design.blocks())
    medians = (float(np.median(_sizes(x, y, weights))) for x, y in pairs if len(x))
    return next((median for median in medians if median > 0), 0.0)


def _whole(block: Design) -> tuple[Float[np.ndarray, "m n"], Float[np.ndarray, "m H"], Bool[np.ndarray, " n"]]:
    """The last and the next values of the rows whose next ones are all known; which rows these are."""
    y = block.actual()
    whole = ~np.isnan(y).any(axis=1)
    return block.values()[whole], y[whole], whole


def _sizes(
    x: Float[np.ndarray, "m n"], y: Float[np.ndarray, "m H"], weights: Float[np.ndarray, "n H"]
) -> Float[np.ndarray, "m 1"]:
    """The root of the mean square of each row's errors."""
    return np.asarray(np.sqrt(np.mean((y - x @ weights) ** 2, axis=1, keepdims=True)))


@dataclass(frozen=True)
class Recipe:
    """What a straight map is made by.

    Attributes:
        look_backs: numbers of last values, and the penalty of each.
        drift: whether there is an intercept.
        weighted: whether rows are weighted by their errors once.
        shrinkages: of the maps of single series, for each look-back; empty where all share one.
    """

    look_backs: tuple[tuple[int, float], ...]
    drift: bool
    weighted: bool = False
    shrinkages: tuple[float, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """The look-backs."""
        return tuple(size for size, _ in self.look_backs)

    @property
    def size(self) -> int:
        """The longest look-back."""
        return max(self.sizes, default=0)


@dataclass(frozen=True, eq=False)
class Solution:
    """Straight maps that were solved for.

    Attributes:
        maps: [S, size + 1, H], or one of all series [1, size + 1, H]; the last row is the intercept.
        equations: of all training rows, from which they were solved; None where these take too much room.
    """

    maps: Float[np.ndarray, "S n H"]
    equations: NormalEquations | None


def solve(
    design: Design, recipe: Recipe, weights: Float[np.ndarray, "n H"] | None = None
) -> Float[np.ndarray, "S n H"]:
    """Maps [S, size + 1, H] by a recipe, or one of all series [1, size + 1, H]; the last row is the intercept.

    Args:
        design: rows to learn from.
        recipe: how maps are made.
        weights: a map by whose errors rows are weighted, if the recipe says so; of the same rows where None.
    """
    design = design.back(recipe.size)
    several = bool(recipe.shrinkages)
    if recipe.weighted and weights is None:
        weights = common_map(NormalEquations.of(design, recipe.sizes, False), recipe)[0]
    equations = NormalEquations.of(design, recipe.sizes, several, weights if recipe.weighted else None)
    return maps_of(equations, recipe, design.table.threads)


def maps_of(equations: NormalEquations, recipe: Recipe, limit: int | None = None) -> Float[np.ndarray, "S n H"]:
    """The maps of single series where a recipe has them, else that of all; in `limit` threads at most."""
    if not recipe.shrinkages:
        return common_map(equations.total, recipe)
    return single_maps(equations, common_maps(equations.total, recipe), recipe, limit)


def common_map(equations: NormalEquations, recipe: Recipe) -> Float[np.ndarray, "1 n H"]:
    """The mean of the maps of all look-backs, of all series together."""
    return np.asarray(np.mean(common_maps(equations, recipe), axis=0))


def common_maps(equations: NormalEquations, recipe: Recipe) -> list[Float[np.ndarray, "1 n H"]]:
    """The map of each look-back, of all series together."""
    return [ridge(equations, size, penalty, recipe.drift) for size, penalty in recipe.look_backs]


def single_maps(
    equations: NormalEquations,
    commons: Sequence[Float[np.ndarray, "1 n H"]],
    recipe: Recipe,
    limit: int | None = None,
) -> Float[np.ndarray, "S n H"]:
    """A map for each series: the mean over the look-backs, each the common map and what a series has beside it.

    Args:
        equations: of each series.
        commons: the map of all series, for each look-back.
        recipe: how maps are made, with shrinkages.
        limit: most threads.
    """

    def of(chosen: slice) -> Float[np.ndarray, "s n H"]:
        some = equations.of_series(chosen)
        parts = zip(recipe.sizes, recipe.shrinkages, commons, strict=True)
        return np.asarray(np.mean([beside(some, *part) for part in parts], axis=0))

    chunks = (slice(begin, begin + TOGETHER) for begin in range(0, equations.count, TOGETHER))
    return np.concatenate(list(side_by_side(of, chunks, limit)))


def beside(
    equations: NormalEquations, size: int, shrinkage: float, common: Float[np.ndarray, "1 n H"]
) -> Float[np.ndarray, "S n H"]:
    """The map of each series for one look-back: the common one, and least squares on what it leaves, shrunk."""
    sums, last = equations.back(size), slice(common.shape[1] - 1 - size, None)
    rest = Sums(sums.gram, sums.moments - sums.gram @ common[:, last])
    maps = np.repeat(common, len(rest.gram), axis=0)
    maps[:, last] += _solved(rest, shrinkage, drift=False)
    return maps


def ridge(equations: NormalEquations, size: int, penalty: float, drift: bool) -> Float[np.ndarray, "S n H"]:
    """Maps of the newest `size` values that solve the equations under a penalty; zero for the values before them."""
    sums = equations.back(size)
    maps = np.zeros((len(sums.gram), equations.sizes[0] + 1, sums.moments.shape[2]))
    maps[:, equations.sizes[0] - size :] = _solved(sums, penalty, drift)
    return maps


def _solved(sums: Sums, penalty: float, drift: bool) -> Float[np.ndarray, "S n H"]:
    part = slice(0, sums.size + 1 if drift else sums.size)
    gram, moments, maps = sums.gram[:, part, part], sums.moments[:, part], np.zeros_like(sums.moments)
    typical = np.maximum(np.trace(gram, axis1=1, axis2=2) / max(gram.shape[1], 1), 1e-300)[:, None, None]
    if penalty > 1e-9:
        maps[:, part] = np.linalg.solve(gram + penalty * typical * np.eye(gram.shape[1]), moments)
        return maps
    values, vectors = np.linalg.eigh(gram)
    damped = np.maximum(values, 0) + penalty * typical[:, 0]
    # Directions that rounding alone fills are left out.
    inverse = np.where(damped > 1e-14 * values.max(axis=1, keepdims=True), 1 / np.maximum(damped, 1e-300), 0)
    across = np.swapaxes(vectors, 1, 2) @ moments
    maps[:, part] = vectors @ (across * inverse[:, :, None])
    return maps
