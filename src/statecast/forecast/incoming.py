"""The rows that arrive at a stream, as its network takes them, or an error that names the series.

`observation` reads single values, times and rows of covariates. This file puts them together for the series of one
step: whether the time may follow the last one, how many steps were skipped, and the covariates of each row of the
network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data.schema import Schema
from statecast.data.values import RAW, described
from statecast.errors import DataError, TimeOrderError
from statecast.forecast import channels, features, observation, predict
from statecast.forecast.observation import shown
from statecast.model.state import UNSEEN
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

PLAIN = {type(None), int, str, datetime, date, np.int64, np.datetime64}  # what most times are
LONGEST_GAP = 1_000_000  # skipped steps; more is a wrong time stamp rather than a gap

Names = Sequence[str | int]


def when(schema: Schema, name: str | int, last: int, time: Any) -> tuple[int, int]:
    """The time of a series' row, and how many steps were skipped before it.

    Args:
        schema: what times are, and what a step is.
        name: the series.
        last: the time of its last row, or `UNSEEN`.
        time: see `observation.time`; None for the next step.

    Raises:
        TimeOrderError: not after the last one.
        DataError: no time, off the grid of the series' steps, or too far away.
    """
    step = schema.frequency
    if time is None:
        if last != UNSEEN:
            return _checked(schema, name, step.advance(last, 1)), 0
        if schema.time_kind == "row":
            return 0, 0
        raise DataError(f"series {name!r} is new, so its first row needs a time")
    now = observation.time(time, schema, None if last == UNSEEN else last)
    if last != UNSEEN:
        return now, gap_before(schema, name, last, now)
    _require_begin(schema, name, now)
    return now, 0


def _require_begin(schema: Schema, name: str | int, now: int) -> None:
    """Refuse a first row on a day that steps of business days pass over."""
    if not schema.frequency.begins(now):
        raise DataError(
            f"series {name!r}: {shown(now, schema)} is {calendar.weekday(now)}, which steps of {schema.frequency} "
            "skip: leave such rows out"
        )


def gap_before(schema: Schema, name: str | int, last: int, now: int) -> int:
    """How many steps were skipped between the last row of a series and a later one; see `when` for the errors."""
    step = schema.frequency
    if now <= last:
        raise TimeOrderError(
            f"series {name!r}: {shown(now, schema)} is not after {shown(last, schema)}, the last time that was "
            "observed: rows must come in the order of time, each once"
        )
    if not step.on_grid(last, now):
        raise DataError(
            f"series {name!r}: {shown(now, schema)} is not a whole number of steps of {step} after "
            f"{shown(last, schema)}: expected {shown(step.advance(last, 1), schema)} or a later step"
        )
    gap = int(step.steps_between(last, now)) - 1
    if gap > LONGEST_GAP:
        raise DataError(
            f"series {name!r}: {shown(now, schema)} skips {gap:,} steps since {shown(last, schema)}, more than "
            f"{LONGEST_GAP:,}: correct the time, or start a new series"
        )
    return gap


def _checked(schema: Schema, name: str | int, now: int) -> int:
    """A time that follows another by itself, if it is one that could have been written."""
    if now < features.end_of_times(schema):
        return now
    end = features.last_time(schema)
    raise DataError(f"series {name!r}: its last time was {shown(now, schema)}, less one step, and times end with {end}")


def when_many(
    schema: Schema, names: Names, last: Int64[np.ndarray, " S"], times: Any
) -> tuple[Int64[np.ndarray, " S"], Int64[np.ndarray, " S"]]:
    """`when` for each series; `times` is one for all or one for each. Series that stand alike are worked out once."""
    if times is None and not (last == UNSEEN).any():
        now = np.asarray(schema.frequency.advance(last, 1))
        if len(now):
            latest = int(np.argmax(now))
            _checked(schema, names[latest], int(now[latest]))
        return now, np.zeros(len(last), np.int64)
    if isinstance(times, np.ndarray) and times.dtype == np.int64:
        require_each("times", times, names)
        return _numbered(schema, names, last, times)
    several = np.iterable(times) and not isinstance(times, (str, *RAW))
    if several:
        times = times if isinstance(times, (Mapping, Set)) else list(times)
        require_each("times", times, names)
    if not several and len(last) and (last == last[0]).all():
        time, gap = when(schema, names[0], int(last[0]), times)
        return np.full(len(last), time), np.full(len(last), gap)
    known: dict[Any, tuple[int, int]] = {}
    results = np.empty((len(names), 2), np.int64)
    each = times if several else [times] * len(names)
    for s, (before, time) in enumerate(zip(last.tolist(), each, strict=True)):
        # By its identity too: 1, True and 1.0 are equal, and what is not a time may have no hash.
        key = before, id(time) if type(time) not in PLAIN else (type(time), time)
        if key not in known:
            known[key] = when(schema, names[s], before, time)
        results[s] = known[key]
    return results[:, 0], results[:, 1]


def _numbered(
    schema: Schema, names: Names, last: Int64[np.ndarray, " S"], now: Int64[np.ndarray, " S"]
) -> tuple[Int64[np.ndarray, " S"], Int64[np.ndarray, " S"]]:
    """`when_many` for times as `Panel.time` has them, worked out side by side."""
    beyond = (now < features.first_time(schema)) | (now >= features.end_of_times(schema))
    if beyond.any():
        observation.time(int(now[int(np.argmax(beyond))]), schema)  # says what is wrong with it
    gaps, old = np.zeros(len(now), np.int64), last != UNSEEN
    idle = ~old & ~schema.frequency.begins(now)
    if idle.any():
        s = int(np.argmax(idle))
        _require_begin(schema, names[s], int(now[s]))
    if not old.any():
        return now, gaps
    step, before, after = schema.frequency, last[old], now[old]
    steps = np.asarray(step.steps_between(before, after))
    bad = (after <= before) | (steps - 1 > LONGEST_GAP) | ~np.asarray(step.on_grid(before, after))
    if bad.any():
        s = int(np.flatnonzero(old)[int(np.argmax(bad))])
        gap_before(schema, names[s], int(last[s]), int(now[s]))
    gaps[old] = steps - 1
    return now, gaps


def targets(model: Model, names: Names, values: Any) -> Float64[np.ndarray, "N Dn"]:
    """The values [S, D] as the network's rows have them.

    Raises:
        DataError: not a row for each series, or a value that cannot be used.
    """
    count = len(model.schema.target)
    if isinstance(values, np.ndarray) and count == 1 and values.ndim == 1:
        values = values[:, None]
    if isinstance(values, (str, *RAW, Mapping, Set)) or not np.iterable(values):
        raise DataError(f"values: got {described(values)}, expected a row for each of the {len(names)} series")
    y = observation.table(values, count, "values")
    if y is None:
        rows = list(values)
        require_each("values", rows, names)
        y = np.array([observation.numbers(row, model.schema, name) for name, row in zip(names, rows, strict=True)])
    require_each("values", y, names)
    y = channels.split(model, y.reshape(len(names), count))
    features.require_near(model, y, "values")
    return y


def covariates(
    model: Model,
    names: Names,
    now: Sequence[int] | Int64[np.ndarray, " S"],
    past: Any,
    known: Any,
    static: Any,
    remembered: Float[np.ndarray, "S Q"] | None,
) -> dict[str, Any]:
    """The covariates of each of the network's rows.

    Args:
        model: whose they are.
        names: the series.
        now: the times of their rows.
        past: a row for each series, or a mapping by column; all are missing if None.
        known: for each series the rows of this step and of the next H.
        static: as `past`; those that are remembered if None.
        remembered: static covariates as the state keeps them, NaN for a new series; None where the model has none.

    Returns:
        past [N, P], known [N, K], ahead [N, H, F], static [N, Q'], those that the model has.

    Raises:
        DataError: covariates that the model does not have, or that are needed and missing.
    """
    schema, columns = model.schema, {}
    groups = (("past", past, schema.past), ("known", known, schema.known), ("static", static, schema.static))
    for name, rows, items in groups:
        if rows is not None and not items:
            raise DataError(f"{name}: this model has no such covariates: leave {name}= out")
    if past is not None:
        columns["past"] = observation.rows(schema.past, past, "past")
    if schema.known:
        columns |= _known(model, names, now, known)
    elif model.network.front.future:
        columns["ahead"] = _calendar_ahead(model, now)
    if static is not None:
        rows = observation.rows(schema.static, static, "static")
        columns["static"] = model.network.front.standardise(model.constants, "static", rows).astype(model.dtype)
    elif remembered is not None:
        columns["static"] = remembered
        new = np.isnan(remembered).any(axis=1)
        if new.any():
            needed = ", ".join(repr(item.name) for item in schema.static)
            raise DataError(f"series {names[int(np.argmax(new))]!r} is new, so its first row needs the static {needed}")
    for name, rows in columns.items():
        require_each(name, rows, names)
    return {name: channels.repeat(model, rows) for name, rows in columns.items()}


def _known(
    model: Model, names: Names, now: Sequence[int] | Int64[np.ndarray, " S"], known: Any
) -> dict[str, np.ndarray]:
    """Known covariates of this step, and those of the next H as the head takes them."""
    horizon = model.network.head.horizon
    blocks: Any = [[] for _ in names] if known is None else known
    if isinstance(blocks, observation.Features):
        blocks = blocks.numbers
    else:
        blocks = [observation.rows(model.schema.known, block, "known") for block in observation.listed(blocks, "known")]
    require_each("known", blocks, names)
    values = np.empty((len(names), horizon + 1, model.network.front.known))
    for s, (name, rows) in enumerate(zip(names, blocks, strict=True)):
        if len(rows) <= horizon:
            first = int(model.schema.frequency.advance(now[s], len(rows)))
            raise predict.missing_known(model, name, first)
        values[s] = rows[: horizon + 1]
    time = features.after(model, np.array(now, np.int64), 1, horizon)
    return {"known": values[:, 0], "ahead": features.ahead(model, values[:, 1:], time)}


def future(model: Model, names: Names, known: Any) -> list[Float64[np.ndarray, "n K"]]:
    """The covariates known ahead of series, from rows for each in their order or by id."""
    blocks = [known[name] for name in names] if isinstance(known, Mapping) else list(known)
    require_each("known", blocks, names)
    return [observation.rows(model.schema.known, block, "known") for block in blocks]


def _calendar_ahead(model: Model, now: Sequence[int] | Int64[np.ndarray, " S"]) -> np.ndarray:
    """What the calendar tells of the next H steps, where nothing else is known of them; of equal times once."""
    stamps, places = np.unique(np.array(now, np.int64), return_inverse=True)
    time = features.after(model, stamps, 1, model.network.head.horizon)
    return np.asarray(features.ahead(model, np.empty((*time.shape, 0)), time)[places])


def require_each(what: str, items: Any, names: Names) -> None:
    """Refuse anything but one for each series."""
    if isinstance(items, (Mapping, Set)) or len(items) != len(names):
        raise DataError(f"{what}: got {len(items)}, expected one for each of the {len(names)} series")
