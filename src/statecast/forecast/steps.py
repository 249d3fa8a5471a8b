"""Steps of a network over rows of a table of states: one with an observation, or many without a forecast.

`observed` and `emitted` run in the native kernel where it takes the network (`Model.native`), else in NumPy. A gap in a
stream, and the recursion beyond the horizon, are stretches of steps with made-up rows: missing values in the one, the
network's own forecasts in the other. Rows are the network's (see `channels`); `parts` is its state as a dict of arrays,
as `Network.step` takes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data.schema import Schema
from statecast.errors import DataError
from statecast.model.blocks import Blocks
from statecast.model.cells import State as Parts
from statecast.model.inputs import calendar_features, future_features, to_working, transformed
from statecast.model.state import Layout
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

NUMBERS = 2_000_000  # numbers of the widest array that is made at once
LONGEST = 512  # steps that are passed at once
FARTHEST = 1e15  # in working units; the square of what is larger leaves float32


def working(model: Model, y: Float64[np.ndarray, "N Dn"]) -> tuple[Any, Any]:
    """Values in working units, 0 where missing, and their mask, both in the network's precision."""
    found, there = to_working(model.constants, y), y == y
    if there.all():
        return found.astype(model.dtype), there.astype(model.dtype)
    return np.where(there, found, 0.0).astype(model.dtype), there.astype(model.dtype)


def observed(
    model: Model,
    states: Float[np.ndarray, "rows size"],
    y: Float64[np.ndarray, "N Dn"],
    time: Int64[np.ndarray, " N"],
    given: Mapping[str, Any],
    index: Int64[np.ndarray, " N"] | None = None,
) -> tuple[Float[np.ndarray, "N H Dn O"], Float[np.ndarray, "N Dn"], Float[np.ndarray, "N K L Dn"] | None]:
    """One step for rows of a table of states, which are replaced in place; after an error nothing has moved.

    Args:
        model: its network steps.
        states: the table.
        y: targets in the units of the table, NaN where missing.
        time: of the step.
        given: covariates, as `arrivals.given` makes them.
        index: which rows, all different; all of them where None.

    Returns:
        Their forecasts in working units, the scales, and how far intervals are moved (None where they do not move).
    """
    raw, scale = _stepped(model, states, y, time, given, index)
    if model.adaptive is None:
        return raw, scale, None
    if model.follower is not None:
        return raw, scale, model.follower.step(Blocks.of(states), transformed(model.constants, y), raw, scale, index)
    # Forecasts from before the ring is full are worse than those to come, and no measure of them.
    count = states[slice(None) if index is None else index, model.layout.slices["count"][0]]
    return raw, scale, adapted(model, states, y, raw, scale * (count >= model.network.front.ring), index)


def _stepped(
    model: Model,
    states: Float[np.ndarray, "rows size"],
    y: Float64[np.ndarray, "N Dn"],
    time: Int64[np.ndarray, " N"],
    given: Mapping[str, Any],
    index: Int64[np.ndarray, " N"] | None,
) -> tuple[Float[np.ndarray, "N H Dn O"], Float[np.ndarray, "N Dn"]]:
    """The network's step."""
    told = covariates(model, time, given.get("past"), given.get("known"), given.get("static"))
    if model.native is not None:
        return model.native.step(states, transformed(model.constants, y), _joined(told), given.get("ahead"), index)
    block = states.copy() if index is None else states[index]
    values, there = working(model, y)
    found, layout, size = [], Layout.of(model.network.parts()), batch(model)
    for begin in range(0, max(len(block), 1), size):
        part = slice(begin, begin + size)
        rows = {name: value[part] for name, value in (told | {"y": values, "m": there}).items()}
        parts = model.network.advance(model.p, layout.unpack(block[part]), rows)
        ahead = given.get("ahead")
        found.append(model.network.emit(model.p, parts, None if ahead is None else ahead[part]))
        layout.pack(parts, block[part])
    states[slice(None) if index is None else index] = block
    raw, scale = (np.concatenate(part) for part in zip(*found, strict=True))
    return raw, scale


def adapted(
    model: Model,
    states: Float[np.ndarray, "rows size"],
    y: Float64[np.ndarray, "N Dn"],
    raw: Float[np.ndarray, "N H Dn O"],
    scale: Float[np.ndarray, "N Dn"],
    index: Int64[np.ndarray, " N"] | None,
) -> Float[np.ndarray, "N K L Dn"]:
    """Move the intervals of rows by the values that came, and keep the forecasts until theirs come.

    Args:
        model: its intervals move.
        states: the table of states, replaced in place.
        y: values in the units of the table, NaN where missing.
        raw: forecasts from this step, of all steps ahead or of the watched ones alone, in working units.
        scale: the front's scale.
        index: which rows, all different; all of them where None.

    Returns:
        How far the intervals are moved now.
    """
    adaptive, pick = model.adaptive, slice(None) if index is None else index
    assert adaptive is not None
    block = np.array(states[pick, model.own])
    parts = model.own_layout.unpack(block)
    values, there = working(model, y)
    watched = raw if raw.shape[1] == len(adaptive.leads) else raw[:, adaptive.leads - 1]
    adaptive.observe(parts, model.bounds, values, there)
    adaptive.remember(parts, watched, scale, there)
    states[pick, model.own] = block
    return parts["moved"]


def emitted(
    model: Model, states: Float[np.ndarray, "N size"], ahead: Float[np.ndarray, "N H F"] | None
) -> tuple[Float[np.ndarray, "N H Dn O"], Float[np.ndarray, "N Dn"]]:
    """The forecasts that rows of states hold, in working units, and their scales; nothing moves."""
    if model.native is not None:
        return model.native.emit(np.ascontiguousarray(states), ahead)
    return model.network.emit(model.p, Layout.of(model.network.parts()).unpack(states), ahead)


def _joined(told: Mapping[str, Any]) -> Any:
    """Covariates side by side, in the order of `Front.features`; None where there are none."""
    return next(iter(told.values())) if len(told) == 1 else np.concatenate([*told.values()], axis=-1) if told else None


def covariates(
    model: Model,
    time: Int64[np.ndarray, "..."],
    past: Float64[np.ndarray, "... P"] | None,
    known: Float64[np.ndarray, "... K"] | None,
    static: Float[np.ndarray, "... Q"] | None,
) -> dict[str, Any]:
    """A step's covariates as the network takes them, those that it has.

    Args:
        model: its network tells which of them are wanted.
        time: of each step.
        past: covariates known up to now; missing where None.
        known: covariates known ahead; missing where None.
        static: as the state keeps it, standardised.
    """
    front = model.network.front
    found: dict[str, Any] = {}
    for name, count, values in (("past", front.past, past), ("known", front.known, known)):
        if count:
            values = np.full((*time.shape, count), np.nan) if values is None else values
            found[name] = front.standardise(model.constants, name, values).astype(model.dtype)
    if front.calendar:
        found["calendar"] = calendar_at(model.schema, time).astype(model.dtype)
    if front.static:
        found["static"] = static
    return found


def calendar_at(schema: Schema, time: Int64[np.ndarray, "..."]) -> Float64[np.ndarray, "... C"]:
    """The calendar's features; those of a single time, and of many equal ones, by the quick way."""
    if time.size == 1 or (time.size and (time == time.flat[0]).all()):
        names = schema.calendar_features
        row = np.array(calendar.features_at(time.item(0), schema.frequency, schema.tz, names))
        return row.reshape(*time.shape, -1) if time.size == 1 else np.broadcast_to(row, (*time.shape, len(names)))
    return calendar_features(schema, time.reshape(-1)).reshape(*time.shape, -1)


def ahead(model: Model, known: Float64[np.ndarray, "N H K"], time: Int64[np.ndarray, "N H"]) -> Any:
    """What is known of the H steps after a step, [N, H, F], as the head takes it."""
    flat = known.reshape(-1, known.shape[-1])
    found = future_features(model.network, model.constants, model.schema, flat, time.reshape(-1))
    return found.reshape(*time.shape, -1).astype(model.dtype)


def after(model: Model, last: Int64[np.ndarray, " N"], first: int, count: int) -> Int64[np.ndarray, "N count"]:
    """The times of `count` steps, the first of which is the `first`-th after `last`."""
    steps = np.arange(first, first + count)
    return np.asarray(model.schema.frequency.advance(last[:, None], steps[None, :]))


def passed(model: Model, parts: Parts, given: Mapping[str, Any]) -> Parts:
    """The state after steps whose forecasts nobody asks for; the inputs are time-major, [T, N, …]."""
    network = model.network
    steps, rows = given["y"].shape[:2]
    nothing = np.zeros(0, np.int64)
    rest = dict(given)
    if network.front.future:
        blank = np.zeros((), model.dtype)
        rest["future"] = np.broadcast_to(blank, (steps, rows, network.head.horizon, network.front.future))
    state, _, _ = network.scan(model.p, parts, rest, np.zeros((steps, rows), bool), nothing)
    return state


def through_gap(
    model: Model,
    states: Float[np.ndarray, "N size"],
    last: Int64[np.ndarray, " N"],
    steps: int,
    static: Float[np.ndarray, "N Q"] | None = None,
) -> None:
    """Move rows of states through `steps` missing rows: targets and covariates are missing, the calendar goes on.

    Args:
        model: its network steps.
        states: replaced in place.
        last: times of the last rows that were seen.
        steps: how many rows are missing.
        static: what replaces the static covariates that are remembered; those where None.
    """
    front, layout = model.network.front, Layout.of(model.network.parts())
    parts = layout.unpack(states) | ({} if static is None else {"static": static})
    width = max(len(last) * front.ring * front.targets, 1)
    longest = int(np.clip(NUMBERS // width, 1, LONGEST))
    for begin in range(0, steps, longest):
        count = min(longest, steps - begin)
        blank = np.zeros((count, len(last), front.targets), model.dtype)
        time = after(model, last, begin + 1, count).T
        held = np.broadcast_to(parts["static"], (count, *parts["static"].shape)) if front.static else None
        parts = passed(model, parts, {"y": blank, "m": blank, **covariates(model, time, None, None, held)})
    layout.pack(parts, states)
    if model.adaptive is not None:
        model.adaptive.skip(model.layout.unpack(states), steps)


def batch(model: Model) -> int:
    """Rows of the network that are worked on at once, so that no array is larger than `NUMBERS`."""
    front, head = model.network.front, model.network.head
    widest = max(front.ring * front.targets, head.horizon * max(head.targets * head.width, front.future, front.inputs))
    return max(NUMBERS // max(widest, 1), 16)


def require_near(model: Model, y: Float64[np.ndarray, "rows Dn"], name: str) -> None:
    """Refuse values that lie so far from the training rows that the network's precision cannot hold their squares."""
    found = np.abs(to_working(model.constants, y))
    if (found > FARTHEST).any():
        value = float(y.reshape(-1)[np.nanargmax(found)])
        raise DataError(
            f"{name}: {value:g} is more than {FARTHEST:g} times farther out than the training rows were spread: "
            "leave it empty if it is a mistake, or fit again on rows of this size"
        )
