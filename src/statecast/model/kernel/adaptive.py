"""Adaptation in the native kernel: `Adaptive.seen` and `Adaptive.made` in one call, over rows of a table of states.

A stream would spend more time on NumPy's calls than on its network otherwise. The kernel knows the errors of point
forecasts; the scores of quantiles and distributions are NumPy's.
"""

from __future__ import annotations

from ctypes import byref
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.model.adaptive import Adaptive, Bounds
from statecast.model.kernel import library as kernel
from statecast.model.kernel.library import DTYPES, Following, address, check, library

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
        dtype: of the states.
    """

    def __init__(self, adaptive: Adaptive, bounds: Bounds, constants: Any, begin: int, dtype: Any) -> None:
        leads, levels, targets = bounds.low.shape
        # Where the watched steps lie among all of them, and where they stand alone.
        self._ahead = {len(adaptive.leads): np.arange(leads), adaptive.head.horizon: adaptive.leads - 1}
        arrays = {"steps": adaptive.leads.astype(np.int64), "low": bounds.low, "high": bounds.high}
        arrays |= {"size": bounds.unit, "rate": bounds.rate, "share": bounds.share}
        arrays |= {name: np.asarray(constants[name], np.float64) for name in ("origin", "unit")}
        self._arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}  # kept: only addresses go
        self._told = Following(dtype=DTYPES[np.dtype(dtype)], leads=leads, levels=levels, targets=targets, begin=begin)
        for name, array in self._arrays.items():
            setattr(self._told, name, address(array))
        self._call = library().statecast_follow

    def step(
        self,
        states: Float[np.ndarray, "rows size"],
        values: Float64[np.ndarray, "N D"],
        forecast: Float[np.ndarray, "N H D 1"],
        scale: Float[np.ndarray, "N D"],
        index: Int64[np.ndarray, " N"] | None = None,
    ) -> None:
        """Take the values of N rows, and keep what was forecast after them; the states change in place.

        Args:
            states: the table, C-ordered.
            values: in the units of the table, NaN where missing.
            forecast: of all steps ahead, or of the watched ones alone, in working units.
            scale: the front's.
            index: which rows, all different; the first N where None.
        """
        held = [np.ascontiguousarray(array) for array in (values, forecast, scale)]
        told = self._filled(states, *held)
        told.index = None if index is None else address(index)
        check(self._call(byref(told)))

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
            scale: the front's; C-ordered.
            kept: at which place of `moved` stands how far the intervals are moved after each step; −1 for nowhere.
            moved: filled there; C-ordered, of the states' precision.
        """
        told = self._filled(states, values, forecast, scale)
        index = np.array([row], np.int64)
        told.index, told.count = address(index), len(forecast)
        places = len(values), address(said), address(kept), len(moved), address(moved)
        check(library().statecast_follow_through(byref(told), *places))

    def _filled(self, states: np.ndarray, values: np.ndarray, forecast: np.ndarray, scale: np.ndarray) -> Any:
        """The arguments of a call; the arrays are C-ordered, and must outlive it."""
        told, horizon = Following.from_buffer_copy(self._told), forecast.shape[1]
        told.states, told.rows, told.stride, told.count = address(states), *states.shape, len(values)
        told.horizon, told.ahead = horizon, address(self._ahead[horizon])
        told.values, told.forecast, told.scale = (address(array) for array in (values, forecast, scale))
        return told
