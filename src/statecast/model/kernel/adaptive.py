"""Adaptation in the native kernel: `Adaptive.observe` and `Adaptive.remember` in one call, over rows of states.

A stream would spend more time on NumPy's calls than on its network otherwise. The kernel knows the errors of point
forecasts; the scores of quantiles and distributions are NumPy's.
"""

from __future__ import annotations

from ctypes import byref
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import DataError
from statecast.model import surprise
from statecast.model.adaptive import FARTHEST, FORGET, MOST, NARROWEST, PRIOR, Adaptive, Bounds
from statecast.model.blocks import Blocks
from statecast.model.kernel import library
from statecast.model.kernel.interface import (
    FLOAT64,
    FORMATS,
    INT64,
    Adaptation,
    AdaptationPath,
    Observations,
    checked,
    fill,
    span,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64


def refuses(adaptive: Adaptive) -> str | None:
    """Why the kernel does not adapt these intervals, or None where it does."""
    if adaptive.head.width != 1:
        return "the native kernel adapts the intervals of point forecasts"
    return library.refuses()


class Follower:
    """The bounds of a model, ready for calls.

    Args:
        adaptive: what is remembered.
        bounds: what is adapted.
        constants: origin and unit of the working units.
        begin: where in a row of the states the numbers of `adaptive` begin.
        counts: where in a row the counts of values begin.
        least: values from which on forecasts are measured, see `Model.measured_from`.
        dtype: of the states.

    Attributes:
        size: numbers of a row's report, see `Adaptive.report`.
        whole: the argument of a network's step, which forecasts all steps ahead.

    Raises:
        DataError: bounds of another shape or dtype.
    """

    def __init__(
        self, adaptive: Adaptive, bounds: Bounds, constants: Any, begin: int, counts: int, least: int, dtype: Any
    ) -> None:
        targets, leads, levels = adaptive.head.targets, len(adaptive.leads), len(adaptive.levels)
        self.size, self._dtype, self._counts = adaptive.report.size, np.dtype(dtype), counts
        self._targets = targets
        each = leads, levels, targets
        self._arrays = {  # only their addresses go to the library
            "steps": checked("leads", adaptive.leads.astype(np.int64), (leads,), INT64),
            "low": checked("low", bounds.low, each, FLOAT64),
            "high": checked("high", bounds.high, each, FLOAT64),
            "width": checked("unit", bounds.unit, (leads, targets), FLOAT64),
            "rate": checked("rate", bounds.rate, (leads, 1, 1), FLOAT64),
            "share": checked("share", bounds.share, (levels, 1), FLOAT64),
            "origin": checked("origin", np.asarray(constants["origin"], np.float64), (targets,), FLOAT64),
            "unit": checked("unit", np.asarray(constants["unit"], np.float64), (targets,), FLOAT64),
        }
        if adaptive.sized:
            self._arrays["typical"] = checked("typical", bounds.typical, (leads, targets), FLOAT64)
        if bounds.watching is not None:
            self._arrays["middle"] = checked("middle", bounds.middle, (leads, targets), FLOAT64)
            self._arrays["excess"] = checked("excess", bounds.watching.excess, (2, targets), FLOAT64)
            self._arrays["centre"] = checked("centre", bounds.watching.centre, (targets,), FLOAT64)
            self._arrays["rules"] = surprise.rules(bounds.watching.bound)
        sizes: dict[str, float] = {"forget": FORGET, "prior": PRIOR, "most": MOST}
        sizes |= {"narrowest": NARROWEST, "farthest": FARTHEST}
        sizes |= {"dtype": FORMATS[self._dtype], "leads": leads, "levels": levels, "targets": targets, "begin": begin}
        # Where the watched steps lie among all of them, and where they stand alone.
        self._ahead = {leads: np.arange(leads), adaptive.head.horizon: adaptive.leads - 1}
        self._adaptations = {
            (horizon, at): fill(
                Adaptation(**sizes, horizon=horizon, counts=at, least=least), self._arrays | {"ahead": ahead}
            )
            for horizon, ahead in self._ahead.items()
            for at in (counts, -1)
        }
        self.whole = self._adaptations[adaptive.head.horizon, counts]

    def step(
        self,
        states: Blocks,
        values: Float64[np.ndarray, "N D"],
        forecast: Float[np.ndarray, "N H D 1"],
        scale: Float[np.ndarray, "N D"],
        index: Int64[np.ndarray, " N"] | None = None,
    ) -> Float[np.ndarray, "N R"]:
        """Take the values of N rows, and keep what was forecast after them; the states change in place.

        Args:
            states: the table.
            values: in the units of the table, NaN where missing.
            forecast: of all steps ahead, or of the watched ones alone, in working units.
            scale: the front's.
            index: which rows, all different; the first N if None.

        Returns:
            The rows' reports, see `Adaptive.report`.

        Raises:
            DataError: an array of another shape or dtype, or a row that the table does not hold. No state changes then.
        """
        report = np.empty((len(values), self.size), self._dtype)
        index = None if index is None else checked("index", index, (len(values),), INT64)
        adaptation, arrays = self._arguments(values, forecast, scale, len(values), self._counts)
        observations = self._observations(states, len(values), arrays | {"report": report}, index)
        library.check(library.handle().statecast_adapt(byref(adaptation), byref(observations)))
        return report

    def through(
        self,
        states: Float[np.ndarray, "rows size"],
        row: int,
        values: Float64[np.ndarray, "T D"],
        origins: Int64[np.ndarray, " T"],
        forecast: Float[np.ndarray, "N H D 1"],
        scale: Float[np.ndarray, "N D"],
        places: Int64[np.ndarray, " T"],
        report: Float[np.ndarray, "n R"],
    ) -> None:
        """Take many values of one row, one after another; its states change in place.

        Args:
            states: the table, C-ordered.
            row: which one.
            values: in the units of the table, NaN where missing; float64.
            origins: which of the forecasts was made at each step.
            forecast: see `step`.
            scale: the front's, 0 where the forecast is not a measure.
            places: where in `report` the row's report after each step is put; −1 for nowhere.
            report: filled there; C-ordered, of the states' precision.

        Raises:
            DataError: as from `step`.
        """
        steps, index, table = len(values), np.array([row], np.int64), Blocks.of(states)
        if report.dtype != self._dtype or report.shape[1:] != (self.size,) or not report.flags.c_contiguous:
            raise DataError(f"report must be C-ordered {self._dtype} [places, {self.size}]")
        adaptation, arrays = self._arguments(values, forecast, scale, len(forecast), -1)
        observations = self._observations(table, len(forecast), arrays | {"report": report}, index)
        steps_of = {"origins": checked("origins", origins, (steps,), INT64)}
        steps_of["places"] = checked("places", places, (steps,), INT64)
        path = fill(AdaptationPath(steps=steps, slots=len(report)), steps_of)
        call = library.handle().statecast_adapt_along
        library.check(call(byref(adaptation), byref(observations), byref(path)))

    def _arguments(
        self, values: np.ndarray, forecast: np.ndarray, scale: np.ndarray, count: int, counts: int
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """The bounds for forecasts of so many steps ahead, and the arrays of a call."""
        horizon, targets = forecast.shape[1], self._targets
        if horizon not in self._ahead:
            raise DataError(f"forecast has {horizon} steps ahead, expected {' or '.join(map(str, self._ahead))}")
        arrays = {"values": checked("values", values, (len(values), targets), FLOAT64)}
        arrays["forecast"] = checked("forecast", forecast, (count, horizon, targets, 1), self._dtype)
        arrays["scale"] = checked("scale", scale, (count, targets), self._dtype)
        return self._adaptations[horizon, counts], arrays

    def _observations(self, table: Blocks, count: int, arrays: dict[str, np.ndarray], index: np.ndarray | None) -> Any:
        """The rows of a call; the arrays must outlive it."""
        if table.dtype != self._dtype:
            raise DataError(f"states must be a C-ordered {self._dtype} table [rows, numbers], not of {table.dtype}")
        observations = Observations(table.block, table.rows, table.size, count, *table.span, *span(index))
        return fill(observations, arrays)
