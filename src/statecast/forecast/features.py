"""What the network takes of a step: values in working units, covariates, the calendar, what is known ahead.

Tables are prepared whole by `model.inputs`; here the same is made for the rows of one step, or of a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import cycles
from statecast.data.schema import Schema
from statecast.data.values import FIRST_DAY, LAST_DAY, LATEST
from statecast.errors import DataError
from statecast.forecast.observation import shown
from statecast.model.cells import Array
from statecast.model.inputs import calendar_features, future_features, to_working
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

FARTHEST = 1e15  # in working units; the square of what is larger leaves float32


def working(model: Model, y: Array) -> tuple[Array, Array]:
    """Values [..., Dn] in working units, 0 where missing, and their mask, both in the network's precision."""
    xp, mask = y.__array_namespace__(), y == y
    values = xp.where(mask, to_working(model.constants, y), 0.0)
    return xp.astype(values, model.dtype), xp.astype(mask, model.dtype)


def farthest(model: Model) -> float:
    """The absolute value in the table's units up to which no value can be refused by `require_near`."""
    origin, unit = model.constants["origin"], model.constants["unit"]
    if (model.constants["least"] > 0).all():  # a logarithm is never far
        return model.limits.near
    return min(float((FARTHEST * np.abs(unit) - np.abs(origin)).min()), model.limits.near)


def require_near(model: Model, y: Float64[np.ndarray, "rows Dn"], name: str) -> None:
    """Refuse values beyond the limits, and those so far out that the network's precision cannot hold their squares.

    Raises:
        DataError: there is one; `name` says whose it is.
    """
    model.limits.require(y, name)
    distance = np.abs(to_working(model.constants, y))
    if (distance > FARTHEST).any():
        value = float(y.reshape(-1)[np.nanargmax(distance)])
        raise DataError(
            f"{name}: {value:g} is more than {FARTHEST:g} times farther out than the training rows were spread: "
            "leave it empty if it is a mistake, or fit again on rows of this size"
        )


def end_of_times(schema: Schema) -> int:
    """The first time that no table can hold."""
    return LAST_DAY if schema.time_kind in ("date", "datetime") else LATEST


def first_time(schema: Schema) -> int:
    """The first time that a table can hold."""
    return FIRST_DAY if schema.time_kind in ("date", "datetime") else 1 - LATEST


def last_time(schema: Schema) -> str:
    """Where times end, for messages."""
    return "the year 9999" if end_of_times(schema) == LAST_DAY else "2^62"


def latest(model: Model) -> int:
    """A time up to which no row can be refused by `require_future` with the network's own horizon."""
    longest = model.schema.frequency.longest(model.network.head.horizon)
    return end_of_times(model.schema) - 1 - longest


def require_future(model: Model, names: Sequence[str | int], last: Int64[np.ndarray, " S"], horizon: int) -> None:
    """Refuse to forecast steps that no table could hold.

    Raises:
        DataError: `horizon` steps after the last time of a series dates have ended.
    """
    schema = model.schema
    reaches = after(model, last, horizon, 1)[:, 0] < end_of_times(schema)
    if not reaches.all():
        s = int(np.argmin(reaches))
        steps = "1 step" if horizon == 1 else f"{horizon} steps"
        raise DataError(
            f"series {names[s]!r}: its last time is {shown(int(last[s]), schema)}, and times end with "
            f"{last_time(schema)}, less than {steps} later: correct the time, or forecast fewer steps"
        )


def covariates(
    model: Model,
    time: Int64[np.ndarray, "..."],
    past: Float64[np.ndarray, "... P"] | None,
    known: Float64[np.ndarray, "... K"] | None,
    static: Float[np.ndarray, "... Q"] | None,
) -> dict[str, Any]:
    """A step's covariates as the network takes them, those that it has, in the order of `Front.features`.

    Args:
        model: its network says which of them it takes.
        time: of each step.
        past: covariates known up to now; missing if None.
        known: covariates known ahead; missing if None.
        static: as the state keeps it, standardised.
    """
    front = model.network.front
    features: dict[str, Any] = {}
    for name, count, values in (("past", front.past, past), ("known", front.known, known)):
        if count:
            values = np.full((*time.shape, count), np.nan) if values is None else values
            features[name] = front.standardise(model.constants, name, values).astype(model.dtype)
    if front.calendar:
        features["calendar"] = calendar_at(model.schema, time).astype(model.dtype)
    if front.static:
        features["static"] = static
    return features


def plain_static(model: Model, static: Float[np.ndarray, "N Q"]) -> Float64[np.ndarray, "N n"]:
    """Static covariates that a state keeps, standardised, in the units of the table; NaN where missing."""
    count, constants = len(model.schema.static_features), model.constants
    values: Float64[np.ndarray, "N n"] = static[:, :count] * constants["static_scale"] + constants["static_mean"]
    return np.where(static[:, count:] > 0, np.nan, values) if model.network.front.missing else values


def calendar_at(schema: Schema, time: Int64[np.ndarray, "..."]) -> Float64[np.ndarray, "... C"]:
    """The calendar's features; those of a single time, and of many equal ones, by the quick way."""
    names = schema.calendar_features
    equal = time.size == 1 or (time.size > 0 and bool((time == time.flat[0]).all()))
    if equal and FIRST_DAY <= time.flat[0] < LAST_DAY:
        row = np.array(cycles.features_at(time.item(0), schema.frequency, schema.tz, names, schema.holidays))
        return row.reshape(*time.shape, -1) if time.size == 1 else np.broadcast_to(row, (*time.shape, len(names)))
    return calendar_features(schema, time.reshape(-1)).reshape(*time.shape, len(names))


def ahead(model: Model, known: Float64[np.ndarray, "N H K"], time: Int64[np.ndarray, "N H"]) -> Any:
    """What is known of the H steps after a step, [N, H, F], as the head takes it."""
    flat = known.reshape(time.size, known.shape[-1])
    features = future_features(model.network, model.constants, model.schema, flat, time.reshape(-1))
    return features.reshape(*time.shape, features.shape[-1]).astype(model.dtype)


def after(model: Model, last: Int64[np.ndarray, " N"], first: int, count: int) -> Int64[np.ndarray, "N count"]:
    """The times of `count` steps, the first of which is the `first`-th after `last`."""
    steps = np.arange(first, first + count)
    return np.asarray(model.schema.frequency.advance(last[:, None], steps[None, :]))
