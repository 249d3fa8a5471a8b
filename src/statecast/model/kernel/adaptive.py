"""Adaptation in the native kernel: `Adaptive.observe` and `Adaptive.remember` in one call, over rows of states.

A stream would spend more time on NumPy's calls than on its network otherwise. The kernel knows the errors of point
forecasts; the scores of quantiles and distributions are NumPy's.
"""

from __future__ import annotations

from ctypes import byref
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.model.adaptive import Adaptive, Bounds
from statecast.model.blocks import Blocks
from statecast.model.kernel import library as kernel
from statecast.model.kernel.library import DTYPES, Following, Observations, address, check, library

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64


def knows(adaptive: Adaptive) -> bool:
    """Whether the kernel is built and knows the head."""
    return kernel.available() and adaptive.head.width == 1


class Follower:
    """The bounds of a model, ready for calls.

    Args:
        adaptive: what is remembered.
        bounds: what is adapted.
        constants: origin and unit of the working units.
        begin: where in a row of the states the numbers of `adaptive` begin.
        counts: where in a row the counts of values begin.
        least: values from which on forecasts are measured, see `Front.ring`.
        dtype: of the states.
    """

    def __init__(
        self, adaptive: Adaptive, bounds: Bounds, constants: Any, begin: int, counts: int, least: int, dtype: Any
    ) -> None:
        leads, levels, targets = bounds.low.shape
        self.shape, self._dtype = bounds.low.shape, np.dtype(dtype)
        arrays = {"steps": adaptive.leads.astype(np.int64), "low": bounds.low, "high": bounds.high}
        arrays |= {"size": bounds.unit, "rate": bounds.rate, "share": bounds.share}
        arrays |= {name: np.asarray(constants[name], np.float64) for name in ("origin", "unit")}
        self._arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}  # kept: only addresses go
        sizes = {"dtype": DTYPES[self._dtype], "leads": leads, "levels": levels, "targets": targets, "begin": begin}
        pointers = {name: address(array) for name, array in self._arrays.items()}
        # Where the watched steps lie among all of them, and where they stand alone.
        self._ahead = {len(adaptive.leads): np.arange(leads), adaptive.head.horizon: adaptive.leads - 1}
        self._following = {
            (horizon, at): Following(**sizes, **pointers, horizon=horizon, ahead=address(ahead), counts=at, least=least)
            for horizon, ahead in self._ahead.items()
            for at in (counts, -1)
        }
        self._counts = counts
        self.whole = self._following[
            adaptive.head.horizon, counts
        ]  # beside a network's step, which forecasts all steps

    def step(
        self,
        states: Blocks,
        values: Float64[np.ndarray, "N D"],
        forecast: Float[np.ndarray, "N H D 1"],
        scale: Float[np.ndarray, "N D"],
        index: Int64[np.ndarray, " N"] | None = None,
    ) -> Float[np.ndarray, "N K L D"]:
        """Take the values of N rows, and keep what was forecast after them; the states change in place.

        Args:
            states: the table.
            values: in the units of the table, NaN where missing.
            forecast: of all steps ahead, or of the watched ones alone, in working units.
            scale: the front's.
            index: which rows, all different; the first N where None.

        Returns:
            How far the intervals are moved now.
        """
        moved = np.empty((len(values), *self.shape), self._dtype)
        arrays = [np.ascontiguousarray(array) for array in (values, forecast, scale)]
        call = self._observations(states, *arrays, moved)
        call.index, call.count = None if index is None else address(index), len(values)
        check(library().statecast_follow(byref(self._following[forecast.shape[1], self._counts]), byref(call)))
        return moved

    def through(
        self,
        states: Float[np.ndarray, "rows size"],
        row: int,
        values: Float64[np.ndarray, "T D"],
        said: Int64[np.ndarray, " T"],
        forecast: Float[np.ndarray, "N H D 1"],
        scale: Float[np.ndarray, "N D"],
        kept: Int64[np.ndarray, " T"],
        moved: Float[np.ndarray, "n K L D"],
    ) -> None:
        """Take many values of one row, one after another; its states change in place.

        Args:
            states: the table, C-ordered.
            row: which one.
            values: in the units of the table, NaN where missing; float64 and C-ordered.
            said: which of the forecasts was made at each step.
            forecast: see `step`; C-ordered.
            scale: the front's, 0 where the forecast is no measure; C-ordered.
            kept: at which place of `moved` stands how far the intervals are moved after each step; −1 for nowhere.
            moved: filled there; C-ordered, of the states' precision.
        """
        index, table = np.array([row], np.int64), Blocks.of(states)
        call = self._observations(table, values, forecast, scale, moved)
        call.index, call.count = address(index), len(forecast)
        places = len(values), address(said), address(kept), len(moved)
        following = self._following[forecast.shape[1], -1]
        check(library().statecast_follow_through(byref(following), byref(call), *places))

    @staticmethod
    def _observations(table: Blocks, *arrays: np.ndarray) -> Any:
        """The arguments of a call; the arrays are C-ordered, and must outlive it."""
        call = Observations(address(table.addresses), None, table.block, table.rows, table.size)
        call.values, call.forecast, call.scale, call.moved = (address(array) for array in arrays)
        return call
