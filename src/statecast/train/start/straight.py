"""Straight maps: least squares from the last values to the next ones, of all series together and of each.

All training rows are learned from, through normal equations that are summed up block by block. A penalty shrinks the
common map towards zero, that is towards the level (ridge regression: Hoerl & Kennard, Technometrics 12, 1970), and the
map of a single series towards the common one. Where the loss is of absolute errors, rows are weighted once by one over
the size of their error (Schlossmacher, "An iterative technique for absolute deviations curve fitting", JASA 68, 1973).
Maps that look back over several lengths are averaged: a mean of linear maps is one.

An intercept is a drift where the level follows the series. It is learned from as many horizons as the table is long,
which are few, and every forecast pays for it: it stays out there unless rows held out gain by it beyond chance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from statecast.model.blas import side_by_side
from statecast.train.start.design import Design

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

TOGETHER = 16  # series whose maps one thread solves for at a time
SMALLEST = 0.1  # errors below this share of their median count as large as it


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """Normal equations, Σ x·xᵀ and Σ x·yᵀ over the rows of each series; see `Design` for x and y.

    Attributes:
        gram: [S, size + 1, size + 1].
        moments: [S, size + 1, H].
        weights: the map by whose errors rows are weighted, [size + 1, H]; None where all count alike.
        typical: size of these errors, of which a row of weight 1 has one; 0 where it is not known.
    """

    gram: Float[np.ndarray, "S n n"]
    moments: Float[np.ndarray, "S n H"]
    weights: Float[np.ndarray, "n H"] | None = None
    typical: float = 0.0

    @classmethod
    def of(
        cls,
        design: Design,
        several: bool,
        weights: Float[np.ndarray, "n H"] | None = None,
        typical: float = 0.0,
    ) -> NormalEquations:
        """Sums over the rows whose next values are all known.

        Args:
            design: the rows.
            several: whether to sum up each series for itself.
            weights: a map [size + 1, H]; rows are divided by the root of the size of its error where it is not None.
            typical: size of an error of weight 1; the median of the first rows where it is 0.
        """
        width, count = design.size + 1, len(design.table.parts.train) if several else 1
        gram, moments = np.zeros((count, width, width)), np.zeros((count, width, design.horizon))
        if weights is not None:
            typical = typical or _typical(design, weights)
        sums = partial(_sums, several=several, weights=weights, typical=typical)
        for parts in side_by_side(sums, design.blocks(), design.table.threads):
            for series, squares, products in parts:
                gram[series] += squares
                moments[series] += products
        return cls(gram, moments, weights, typical)

    def with_rows(self, design: Design) -> NormalEquations:
        """The sums over further rows as well, which are weighted as those before are; of all series together."""
        more = NormalEquations.of(design, False, self.weights, self.typical)
        return replace(more, gram=self.gram + more.gram, moments=self.moments + more.moments)

    @cached_property
    def total(self) -> NormalEquations:
        """Those of all series together."""
        if len(self.gram) == 1:
            return self
        gram, moments = (part.sum(axis=0, keepdims=True) for part in (self.gram, self.moments))
        return NormalEquations(gram, moments, self.weights, self.typical)


def _sums(
    block: Design, several: bool, weights: Float[np.ndarray, "n H"] | None, typical: float
) -> list[tuple[int, Float[np.ndarray, "n n"], Float[np.ndarray, "n H"]]]:
    """Series of a block, or 0 for all of them, and its share of their sums; see `NormalEquations.of`."""
    x, y, whole = _whole(block)
    series = block.series[whole]
    if weights is not None and typical > 0:
        near = 1 / np.sqrt(np.maximum(_sizes(x, y, weights) / typical, SMALLEST))
        x, y = x * near, y * near
    if (counts := block.weights) is not None:
        x, y = x * np.sqrt(counts[whole]), y * np.sqrt(counts[whole])
    # Rows come series by series.
    cuts = np.flatnonzero(np.diff(series)) + 1 if several else np.zeros(0, np.int64)
    parts = zip(*(np.split(a, cuts) for a in (x, y, series)), strict=True)
    return [(int(of[0]) if several else 0, a.T @ a, a.T @ b) for a, b, of in parts if len(of)]


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
        shrinkage: of the maps of single series; infinite where all share one.
    """

    look_backs: tuple[tuple[int, float], ...]
    drift: bool
    weighted: bool = False
    shrinkage: float = np.inf

    @property
    def size(self) -> int:
        """The longest look-back."""
        return max((size for size, _ in self.look_backs), default=0)


@dataclass(frozen=True, eq=False)
class Solution:
    """Straight maps that were solved for.

    Attributes:
        maps: [S, size + 1, H], or one of all series [1, size + 1, H]; the last row is the intercept.
        equations: of all training rows, from which they were solved; None where these take too much room.
    """

    maps: Float[np.ndarray, "S n H"]
    equations: NormalEquations | None


def solve(design: Design, recipe: Recipe) -> Float[np.ndarray, "S n H"]:
    """Maps [S, size + 1, H] by a recipe, or one of all series [1, size + 1, H]; the last row is the intercept."""
    several = np.isfinite(recipe.shrinkage)
    design = design.back(recipe.size)
    equations = NormalEquations.of(design, several)
    common = common_map(equations.total, recipe)
    if recipe.weighted:
        equations = NormalEquations.of(design, several, common[0])
        common = common_map(equations.total, recipe)
    return single_maps(equations, common, recipe, design.table.threads) if several else common


def common_map(equations: NormalEquations, recipe: Recipe) -> Float[np.ndarray, "1 n H"]:
    """The mean of the maps of all look-backs, of all series together."""
    maps = [ridge(equations, size, penalty, recipe.drift) for size, penalty in recipe.look_backs]
    return np.asarray(np.mean(maps, axis=0))


def single_maps(
    equations: NormalEquations, common: Float[np.ndarray, "1 n H"], recipe: Recipe, limit: int | None = None
) -> Float[np.ndarray, "S n H"]:
    """A map for each series: the common one, and of what that leaves the mean over all look-backs.

    Args:
        equations: of each series.
        common: the map of all.
        recipe: how maps are made.
        limit: most threads.
    """

    def more(chosen: slice) -> Float[np.ndarray, "s n H"]:
        gram = equations.gram[chosen]
        rest = NormalEquations(gram, equations.moments[chosen] - gram @ common)
        return np.asarray(
            np.mean([ridge(rest, size, recipe.shrinkage, drift=False) for size, _ in recipe.look_backs], axis=0)
        )

    parts = (slice(begin, begin + TOGETHER) for begin in range(0, len(equations.gram), TOGETHER))
    return np.asarray(common + np.concatenate(list(side_by_side(more, parts, limit))))


def ridge(equations: NormalEquations, size: int, penalty: float, drift: bool) -> Float[np.ndarray, "S n H"]:
    """Maps of the newest `size` values that solve the equations under a penalty; zero for the values before them."""
    width = equations.gram.shape[1]
    part = slice(width - 1 - size, width if drift else width - 1)
    gram, maps = equations.gram[:, part, part], np.zeros_like(equations.moments)
    typical = np.maximum(np.trace(gram, axis1=1, axis2=2) / max(gram.shape[1], 1), 1e-300)[:, None, None]
    if penalty > 1e-9:
        maps[:, part] = np.linalg.solve(gram + penalty * typical * np.eye(gram.shape[1]), equations.moments[:, part])
        return maps
    values, vectors = np.linalg.eigh(gram)
    damped = np.maximum(values, 0) + penalty * typical[:, 0]
    # Directions that rounding alone fills are left out.
    inverse = np.where(damped > 1e-14 * values.max(axis=1, keepdims=True), 1 / np.maximum(damped, 1e-300), 0)
    across = np.swapaxes(vectors, 1, 2) @ equations.moments[:, part]
    maps[:, part] = vectors @ (across * inverse[:, :, None])
    return maps
