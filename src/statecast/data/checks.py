"""From the columns of a table to a Panel, or to an error that names the column, the row and the remedy.

Two doors lead to the same room. `panel` is for fitting: it learns the Schema (frequency, kinds, categories) from the
table. `panel_like` is for every later table: it reads by a Schema that is already there. Both read columns in the same
way, so a model sees the same numbers for the same table. Past here no one knows names of columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar, keys, zones
from statecast.data.covariates import decoded, learn, numbers, one_hot, values_of
from statecast.data.keys import Grid
from statecast.data.panel import Panel
from statecast.data.schema import Covariate, Schema
from statecast.data.table import Table
from statecast.data.values import lone_series
from statecast.errors import DataError, SettingError, UnknownSeries, nearest

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64


@dataclass(frozen=True)
class Roles:
    """Which column is what.

    Attributes:
        target: the columns to forecast; None for the only numeric column that has no other role.
        id: the column that names the series.
        time: the column of times; without one rows are steps.
        past: covariates known up to now.
        known: covariates known ahead.
        static: covariates of a series.
        freq: what one step is; None to infer it.
    """

    target: tuple[str, ...] | None = None
    id: str | None = None
    time: str | None = None
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    freq: str | None = None

    @classmethod
    def of(
        cls,
        target: str | Sequence[str] | None = None,
        id: str | None = None,
        time: str | None = None,
        past: str | Sequence[str] | None = None,
        known: str | Sequence[str] | None = None,
        static: str | Sequence[str] | None = None,
        freq: str | None = None,
    ) -> Roles:
        """From single names or sequences of names."""
        one = _names(target)
        return cls(one or None, id, time, _names(past), _names(known), _names(static), freq)


def _names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def panel(table: Table, roles: Roles) -> tuple[Panel, Schema]:
    """The Panel of a table to fit on, and the Schema that it teaches.

    Raises:
        DataError: the table cannot be used; the message names column, row and remedy.
        SettingError: a column has two roles, or `freq` does not suit the times.
    """
    roles = _resolved(table, roles)
    target = roles.target or ()
    codes, ids, id_kind = keys.series_ids(table, roles.id, lone_series(target))
    stamps = keys.times(table, roles.time)
    rows = keys.sort(table, codes, ids, id_kind, stamps, roles.id is not None)
    step = keys.frequency(table, rows, roles.time, roles.freq)
    schema = Schema(
        target=target,
        id=roles.id,
        time=roles.time,
        id_kind=id_kind,
        time_kind=rows.time_kind,
        tz=rows.tz,
        frequency=step,
        past=tuple(learn(table, name) for name in roles.past),
        known=tuple(learn(table, name) for name in roles.known),
        static=tuple(learn(table, name) for name in roles.static),
    )
    built = _build(table, schema, keys.grid(table, rows, step, roles.time))
    for index, name in enumerate(target):
        if np.isnan(built.y[:, index]).all():
            raise DataError(f"{table.where(name)}: every value is missing: leave this target out, or give values")
    schema = replace(schema, years=calendar.spans_years(built.time, schema.time_kind))
    return _with_ahead(built) if schema.known else built, schema


def panel_like(table: Table, schema: Schema, future_allowed: bool = True) -> Panel:
    """The Panel of a later table, read as the model's Schema says.

    Args:
        table: the rows; it needs the same columns.
        schema: what the model was fitted with.
        future_allowed: rows after a series' last observed target become known-ahead rows, if the model has covariates
            known ahead; otherwise they stay rows with missing targets.

    Raises:
        DataError: as in `panel`; and times of another kind.
    """
    _require_columns(table, schema.columns)
    codes, ids, kind = keys.series_ids(table, schema.id, lone_series(schema.target))
    ids, kind = keys.like_ids(ids, kind, schema.id_kind)
    stamps = keys.times(table, schema.time)
    keys.like(table, stamps, schema)
    rows = keys.sort(table, codes, ids, kind, stamps, schema.id is not None)
    if schema.tz:
        rows = replace(rows, tz=schema.tz)
    built = _build(table, schema, keys.grid(table, rows, schema.frequency, schema.time))
    return _with_ahead(built) if schema.known and future_allowed else built


def ahead_like(
    table: Table, schema: Schema, ids: Sequence[str | int], last: Int64[np.ndarray, " series"]
) -> tuple[Float64[np.ndarray, "ahead K"], Int64[np.ndarray, " series+1"]]:
    """Known-ahead covariates from a table of their own, which needs no targets.

    Args:
        table: rows of (id, time, known covariates); rows up to a series' last time are passed over.
        schema: what the model was fitted with.
        ids: the series to serve.
        last: the last time of each, as in `Panel.time`.

    Returns:
        `Panel.ahead` and `Panel.ahead_offsets`; NaN for steps that the table lacks.

    Raises:
        UnknownSeries: the table has a series that is not among `ids`.
        DataError: a time is off the series' grid.
    """
    names = tuple(name for name in (schema.id, schema.time) if name) + tuple(item.name for item in schema.known)
    _require_columns(table, names)
    codes, found, kind = keys.series_ids(table, schema.id, lone_series(schema.target))
    found, _ = keys.like_ids(found, kind, schema.id_kind)
    if schema.id is None:
        found = tuple(ids[:1])  # type: ignore[assignment]
    index = {item: number for number, item in enumerate(ids)}
    lost = next((item for item in found if item not in index), None)
    if lost is not None:
        raise UnknownSeries(
            f"{table.origin} has the series {lost!r}, which the model has not seen: {nearest(lost, ids)}"
        )
    series = np.array([index[item] for item in found], np.int64)[codes]
    steps = _steps_ahead(table, schema, series, last)
    size = np.zeros(len(ids), np.int64)
    np.maximum.at(size, series, np.maximum(steps, 0))
    if size.sum() > 10 * table.rows + 1_000_000:
        raise DataError(f"{table.origin}: its times lead {int(size.max()):,} steps ahead: correct them")
    offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    use = steps > 0
    ahead = np.full((int(offsets[-1]), len(schema.known_features)), np.nan)
    column = 0
    for item in schema.known:
        part = one_hot(values_of(table, item)[use], item)
        ahead[offsets[series[use]] + steps[use] - 1, column : column + part.shape[1]] = part
        column += part.shape[1]
    return ahead, offsets


def _steps_ahead(
    table: Table, schema: Schema, series: Int64[np.ndarray, " rows"], last: Int64[np.ndarray, " series"]
) -> Int64[np.ndarray, " rows"]:
    """How many steps after the end of its series each row stands."""
    stamps = keys.times(table, schema.time)
    keys.like(table, stamps, schema)
    if stamps is None:
        order = np.argsort(series, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(series))]).astype(np.int64)
        result = np.empty(len(series), np.int64)
        result[order] = np.arange(len(series)) - start[series[order]] + 1
        return result
    step, time = schema.frequency, stamps.values
    if schema.tz and step.daily:
        time = zones.to_wall(time, schema.tz)
    good = np.asarray(step.on_grid(last[series], time))
    if not good.all():
        bad = int(np.argmin(good))
        raise DataError(
            f"{table.where(stamps.name, bad)}: {keys.show(int(time[bad]), stamps.kind)} is no whole number of steps of "
            f"{step} after {keys.show(int(last[series[bad]]), stamps.kind)}, where its series ends"
        )
    return np.asarray(step.steps_between(last[series], time), np.int64)


# --- roles -------------------------------------------------------------------------------------------------------


def _resolved(table: Table, roles: Roles) -> Roles:
    """Roles of columns that are there, each in one role only, with a target."""
    keyed = [name for name in (roles.id, roles.time) if name is not None]
    others = [*keyed, *roles.past, *roles.known, *roles.static]
    _require_columns(table, [*(roles.target or ()), *others])
    target = roles.target or _only_target(table, others)
    every = [*target, *others]
    twice = next((name for index, name in enumerate(every) if name in every[:index]), None)
    if twice is not None:
        raise SettingError(f"the column {twice!r} has two roles: give it one of target, id, time, past, known, static")
    return replace(roles, target=target)


def _require_columns(table: Table, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.names:
            raise DataError(f"{table.origin} has no column {name!r}: {nearest(name, table.names)}")


def _only_target(table: Table, others: list[str]) -> tuple[str, ...]:
    if table.default_target and not others:
        return table.default_target
    free = [name for name in table.names if name not in others and table.numeric(name)]
    if len(free) == 1:
        return (free[0],)
    have = (
        f"its numeric columns without a role are {', '.join(free)}" if free else "no numeric column is without a role"
    )
    raise DataError(f"{table.origin}: no target was named, and {have} (all: {', '.join(table.names)}): pass target='…'")


# --- the Panel ---------------------------------------------------------------------------------------------------


def _features(table: Table, grid: Grid, covariates: tuple[Covariate, ...]) -> Float64[np.ndarray, "total features"]:
    result = np.empty((len(grid.time), sum(len(item.features) for item in covariates)))
    column = 0
    for item in covariates:
        width = len(item.features)
        result[:, column : column + width] = one_hot(grid.put(values_of(table, item)), item)
        column += width
    return result


def _static(table: Table, grid: Grid, covariates: tuple[Covariate, ...]) -> Float64[np.ndarray, "series features"]:
    parts = [np.empty((len(grid.ids), 0))]
    for item in covariates:
        values = grid.put(values_of(table, item))
        low = np.fmin.reduceat(values, grid.offsets[:-1])
        high = np.fmax.reduceat(values, grid.offsets[:-1])
        if (low < high).any():
            series = grid.ids[int(np.argmax(low < high))]
            raise DataError(
                f"{table.where(item.name)} changes within the series {series!r}, but a static column holds one value "
                "a series: name it past or known instead"
            )
        parts.append(one_hot(low, item))
    return np.concatenate(parts, axis=1)


def _build(table: Table, schema: Schema, grid: Grid) -> Panel:
    y = np.empty((len(grid.time), len(schema.target)))
    for index, name in enumerate(schema.target):
        y[:, index] = grid.put(numbers(table, table.column(name)))
    if np.isnan(y).all():
        series = f"the only series, {grid.ids[0]!r}," if schema.id and len(grid.ids) == 1 else table.origin
        raise DataError(f"{series} has no value of {', '.join(schema.target)}: every one is missing")
    known = _features(table, grid, schema.known)
    return Panel(
        y=y,
        time=grid.time,
        offsets=grid.offsets,
        ids=grid.ids,
        past=_features(table, grid, schema.past),
        known=known,
        static=_static(table, grid, schema.static),
        ahead=np.empty((0, known.shape[1])),
        ahead_offsets=np.zeros(len(grid.ids) + 1, np.int64),
    )


def _with_ahead(panel: Panel) -> Panel:
    """The rows after the last observed target of each series as known-ahead rows; a series with none keeps its rows."""
    seen = np.where(np.isnan(panel.y).all(axis=1), -1, np.arange(panel.rows))
    last = np.maximum.reduceat(seen, panel.offsets[:-1])
    stop = np.where(last < 0, panel.offsets[1:], last + 1)
    keep = np.arange(panel.rows) < np.repeat(stop, panel.lengths)
    if keep.all():
        return panel
    rest = panel.offsets[1:] - stop
    return replace(
        panel,
        y=panel.y[keep],
        time=panel.time[keep],
        offsets=np.concatenate([[0], np.cumsum(panel.lengths - rest)]).astype(np.int64),
        past=panel.past[keep],
        known=panel.known[keep],
        ahead=panel.known[~keep],
        ahead_offsets=np.concatenate([[0], np.cumsum(rest)]).astype(np.int64),
    )


# --- results -----------------------------------------------------------------------------------------------------


def columns_for(
    schema: Schema, ids: Sequence[str | int] | np.ndarray, time: Int64[np.ndarray, " n"], extra: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The columns of a result: ids and times as they came in, then `extra`.

    Args:
        schema: what came in.
        ids: [n] of `Schema.output_ids`.
        time: [n] as in `Panel.time`.
        extra: more columns [n].

    Returns:
        Arrays for `frames.to_native(columns, native, schema.tz)`: datetime64 columns are UTC where there is a zone.
    """
    texts = schema.id_kind == "text" or len(schema.target) > 1
    names = np.array([*ids, None], dtype=object)[:-1] if texts else np.asarray(ids, np.int64)
    stamps = calendar.to_datetime64(time, schema.time_kind, schema.frequency, schema.tz)
    return {schema.id_column: names, schema.time_column: stamps, **extra}


def columns_of(panel: Panel, schema: Schema) -> dict[str, np.ndarray]:
    """The rows of a Panel in the columns that it came from: what `test_data.csv` holds."""
    series = panel.series_of_row()
    ids: Any = np.array([*panel.ids, None], dtype=object)[series]
    names = ids if schema.id_kind == "text" else ids.astype(np.int64)
    columns: dict[str, np.ndarray] = {schema.id: names} if schema.id else {}
    if schema.time:
        columns[schema.time] = calendar.to_datetime64(panel.time, schema.time_kind, schema.frequency, schema.tz)
    columns |= {name: panel.y[:, index] for index, name in enumerate(schema.target)}
    groups = ((panel.past, schema.past), (panel.known, schema.known), (panel.static[series], schema.static))
    for values, covariates in groups:
        column = 0
        for item in covariates:
            columns[item.name] = decoded(values[:, column : column + len(item.features)], item)
            column += len(item.features)
    return columns
