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
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from statecast.train.start.design import Design

if TYPE_CHECKING:
    from jaxtyping import Float

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
        for block in design.blocks():
            x, y, series = block.values(), block.actual(), block.series if several else np.zeros(len(block.rows), int)
            whole = ~np.isnan(y).any(axis=1)
            x, y, series = x[whole], y[whole], series[whole]
            if weights is not None and len(x):
                size = np.sqrt(np.mean((y - x @ weights) ** 2, axis=1, keepdims=True))
                typical = typical or float(np.median(size))
                near = 1 / np.sqrt(np.maximum(size / typical, SMALLEST)) if typical > 0 else np.ones_like(size)
                x, y = x * near, y * near
            if (counts := block.weights) is not None:
                x, y = x * np.sqrt(counts[whole]), y * np.sqrt(counts[whole])
            # Rows come series by series.
            cuts = np.flatnonzero(np.diff(series)) + 1
            for part_x, part_y, part in zip(*(np.split(a, cuts) for a in (x, y, series)), strict=True):
                if len(part):
                    gram[part[0]] += part_x.T @ part_x
                    moments[part[0]] += part_x.T @ part_y
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
    return single_maps(equations, common, recipe) if several else common


def common_map(equations: NormalEquations, recipe: Recipe) -> Float[np.ndarray, "1 n H"]:
    """The mean of the maps of all look-backs, of all series together."""
    maps = [ridge(equations, size, penalty, recipe.drift) for size, penalty in recipe.look_backs]
    return np.asarray(np.mean(maps, axis=0))


def single_maps(
    equations: NormalEquations, common: Float[np.ndarray, "1 n H"], recipe: Recipe
) -> Float[np.ndarray, "S n H"]:
    """A map for each series: the common one, and of what that leaves the mean over all look-backs."""
    rest = NormalEquations(equations.gram, equations.moments - equations.gram @ common)
    maps = [ridge(rest, size, recipe.shrinkage, drift=False) for size, _ in recipe.look_backs]
    return np.asarray(common + np.mean(maps, axis=0))


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
