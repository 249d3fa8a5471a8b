"""A panel as the network's inputs: working units, standardised covariates, calendar features, what is known ahead.

Everything is flat, one row per (series, time), as the panel is. Training gathers segments from these rows, forecasting
runs over them in chunks; no array of windows is made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import cycles
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.errors import UnknownSeries, nearest
from statecast.model.cells import Array
from statecast.model.network import Network
from statecast.model.rings import Rings

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

LARGEST = 700.0  # logarithm of the largest forecast: that of the largest float64 is 709
KINDS = ("past", "known", "calendar", "static")


@dataclass(frozen=True, eq=False)
class Rows:
    """A panel as the network takes it.

    Attributes:
        y, m: values in working units, 0 where missing, and their mask [R, D].
        covariates: "past", "known", "calendar" [R, n] and "static" [S, n], those that the network has.
        future: what is known about the rows of each series and H more [R', F]; None where nothing is.
        place: [R] row in `future` of each row.
        series: [R] number of the series of each row.
        age: [R] rows since its series began.
        offsets: [S + 1].
        numbers: [S, 1] the number of each series among the training series; see `numbers_of`.
        weight: [R, 1] how much each row counts in the loss, 1 in the mean of those that do; None where all count alike.
    """

    y: Float[np.ndarray, "R D"]
    m: Float[np.ndarray, "R D"]
    covariates: dict[str, np.ndarray]
    future: Float[np.ndarray, "R2 F"] | None
    place: Int64[np.ndarray, " R"]
    series: Int64[np.ndarray, " R"]
    age: Int64[np.ndarray, " R"]
    offsets: Int64[np.ndarray, " S+1"]
    numbers: Float[np.ndarray, "S 1"]
    weight: Float[np.ndarray, "R 1"] | None = None

    def at(self, rows: Int64[np.ndarray, "..."], ahead: Int64[np.ndarray, " H"]) -> dict[str, np.ndarray]:
        """The network's inputs at the given rows [...]: y, m, covariates, future [..., H, F] of the steps `ahead`."""
        inputs = {"y": self.y[rows], "m": self.m[rows]}
        for name, values in self.covariates.items():
            inputs[name] = values[self.series[rows] if name == "static" else rows]
        if self.future is not None:
            inputs["future"] = self.future[self.place[rows][..., None] + ahead]
        return inputs

    def rings(self, rows: Int64[np.ndarray, "..."], size: int) -> Rings:
        """The last `size` values at the given rows [...]: what is observed and of the same series."""
        return Rings(self.y, self.m, rows, self.age[rows], size)


def rows_of(network: Network, constants: dict[str, np.ndarray], schema: Schema, panel: Panel, dtype: Any) -> Rows:
    """Prepare a panel for a network.

    Args:
        network: decides which covariates there are.
        constants: means and scales of the training rows.
        schema: frequency and time zone, for the calendar.
        panel: the rows.
        dtype: floating-point format of the result.
    """
    front = network.front
    y = to_working(constants, panel.y)
    covariates = {
        name: front.standardise(constants, name, getattr(panel, name)).astype(dtype)
        for name in ("past", "known", "static")
        if getattr(front, name)
    }
    if front.calendar:
        covariates["calendar"] = calendar_features(schema, panel.time).astype(dtype)
    series = panel.series_of_row()
    return Rows(
        y=np.nan_to_num(y, nan=0.0).astype(dtype),
        m=(~np.isnan(y)).astype(dtype),
        covariates=covariates,
        future=_future(network, constants, schema, panel, dtype) if front.future else None,
        place=np.arange(panel.rows) + series * network.head.horizon,
        series=series,
        age=np.arange(panel.rows) - panel.offsets[series],
        offsets=panel.offsets,
        numbers=numbers_of(network, schema, panel.ids).astype(dtype),
        weight=None if panel.weight is None else _relative(panel.weight).astype(dtype)[:, None],
    )


def _relative(weight: Float64[np.ndarray, " R"]) -> Float64[np.ndarray, " R"]:
    """Weights whose mean is 1 among the rows that count at all."""
    some = weight[weight > 0]
    return weight / some.mean() if len(some) else weight


def numbers_of(network: Network, schema: Schema, ids: Sequence[str | int]) -> Float[np.ndarray, "S 1"]:
    """The number of each series among the training series, from 1 on; 0 for others, and where numbers do not matter.

    Raises:
        UnknownSeries: each training series has a network of its own, and this is none of them.
    """
    if not network.series:
        return np.zeros((len(ids), 1))
    numbers = np.array([schema.numbers.get(name, 0) for name in ids], np.float64)
    if network.members.local and not numbers.all():
        name = ids[int(np.argmin(numbers))]
        raise UnknownSeries(
            f"series {name!r} is new, and with local = true a series has a network of its own, trained on its rows; "
            f"{nearest(name, schema.series)}; fit again with its rows, or with local = false"
        )
    return numbers[:, None]


def transformed(constants: dict[str, np.ndarray], y: Array) -> Array:
    """Targets [..., D] of the table, or where the settings say so logarithms of their distances from limits.

    The constant "least" of a target is then positive, and nearer values count as so far away, since 0 has no logarithm.
    The distance above "low" counts up, that below "high" down: with low = 0 and high = ∞ this is the logarithm of the
    value, and with two limits the logit of its place between them.
    """
    least, low, high = (constants[name] for name in ("least", "low", "high"))
    if not least.any():
        return y
    xp, some, above, below = y.__array_namespace__(), least > 0, np.isfinite(low), np.isfinite(high)
    nearest = xp.asarray(np.where(some, least, 1.0))
    up = xp.log(xp.maximum(y - np.where(above, low, 0.0), nearest))
    if some.all() and not below.any():
        return up
    down = xp.log(xp.maximum(np.where(below, high, 0.0) - y, nearest))
    zero = xp.zeros_like(y)
    moved = xp.where(xp.asarray(above), up, zero) - xp.where(xp.asarray(below), down, zero)
    return xp.where(xp.asarray(some), moved, y)


def _untransformed(constants: dict[str, np.ndarray], values: Array) -> Array:
    """The inverse of `transformed`, of values [..., D, O]."""
    least, low, high = (constants[name][:, None] for name in ("least", "low", "high"))
    xp, some, above, below = values.__array_namespace__(), least > 0, np.isfinite(low), np.isfinite(high)
    # The distance from the only limit; of two, the ratio of the distances.
    signed = values * np.where(above, 1.0, -1.0)
    distance = xp.exp(xp.minimum(signed, xp.asarray(LARGEST)))
    start, end = np.where(above, low, 0.0), np.where(below, high, 0.0)
    if some.all() and not below.any():
        return start + distance
    between = start + (end - start) * (distance / (1 + distance))
    alone = xp.where(xp.asarray(above), start + distance, end - distance)
    return xp.where(xp.asarray(some), xp.where(xp.asarray(above & below), between, alone), values)


def to_working(constants: dict[str, np.ndarray], y: Array) -> Array:
    """Targets [..., D] of the table in working units; in float64, before any digits are dropped."""
    return (transformed(constants, y) - constants["origin"]) / constants["unit"]


def from_working(constants: dict[str, np.ndarray], y: Array) -> Array:
    """Forecasts [..., D, O] in the units of the table, as float64, and never below the floor or above the ceiling."""
    xp = y.__array_namespace__()
    values = constants["origin"][:, None] + constants["unit"][:, None] * xp.astype(y, xp.float64)
    if constants["least"].any():
        values = _untransformed(constants, values)
    return _between(values, *(constants[name][:, None] for name in ("floor", "ceiling")))


def kept_within(constants: dict[str, np.ndarray], y: Array) -> Array:
    """Values [..., D] in working units, none of them beyond floor or ceiling; of logarithms, nothing is."""
    logarithms = constants["least"] > 0
    bounds = ((constants[name] - constants["origin"]) / constants["unit"] for name in ("floor", "ceiling"))
    limits = (np.where(logarithms, none, bound) for bound, none in zip(bounds, (-np.inf, np.inf), strict=True))
    return _between(y, *limits)


def _between(values: Array, floor: np.ndarray, ceiling: np.ndarray) -> Array:
    """Values that are none of them beyond bounds, which are seldom there at all."""
    xp = values.__array_namespace__()
    values = xp.maximum(values, xp.asarray(floor)) if np.isfinite(floor).any() else values
    return xp.minimum(values, xp.asarray(ceiling)) if np.isfinite(ceiling).any() else values


def calendar_features(schema: Schema, time: np.ndarray) -> np.ndarray:
    """Sines and cosines of the calendar [n, C] at the given times [n]."""
    return cycles.features(time, schema.frequency, schema.tz, schema.calendar_features, schema.holidays)


def future_features(
    network: Network, constants: dict[str, np.ndarray], schema: Schema, known: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """What is known about steps ahead [n, F]: the known covariates and the calendar."""
    calendar = calendar_features(schema, time) if network.front.calendar else None
    return np.asarray(known_ahead(network, constants, known, calendar))


def known_ahead(network: Network, constants: dict[str, np.ndarray], known: Array, calendar: Array | None) -> Array:
    """What is known about steps ahead [..., F], from known covariates [..., K] and the calendar's features [..., C]."""
    scaled = network.front.standardise(constants, "known", known)
    return scaled if calendar is None else scaled.__array_namespace__().concat([scaled, calendar], axis=-1)


def _future(network: Network, constants: dict[str, np.ndarray], schema: Schema, panel: Panel, dtype: Any) -> np.ndarray:
    """Known features of each series' rows, then of the H rows after them; NaN, hence missing, where there are none."""
    horizon, series = network.head.horizon, np.arange(panel.series)
    place = np.arange(panel.rows) + panel.series_of_row() * horizon
    after = (panel.offsets[1:] + series * horizon)[:, None] + np.arange(horizon)
    known = np.full((panel.rows + after.size, panel.known.shape[1]), np.nan)
    time = np.zeros(len(known), np.int64)
    known[place], time[place] = panel.known, panel.time
    is_ahead = np.arange(horizon) < np.diff(panel.ahead_offsets)[:, None]
    known[after[is_ahead]] = panel.ahead[(panel.ahead_offsets[:-1, None] + np.arange(horizon))[is_ahead]]
    has_rows = panel.lengths > 0
    ends = panel.time[panel.offsets[1:][has_rows] - 1]
    time[after[has_rows]] = schema.frequency.advance(ends[:, None], np.arange(1, horizon + 1))
    return future_features(network, constants, schema, known, time).astype(dtype)
