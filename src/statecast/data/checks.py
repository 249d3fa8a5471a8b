"""From the columns of a table to a Panel, or to an error that names the column, the row and the remedy.

Two doors lead to the same room. `panel` is for fitting: it learns the Schema (frequency, kinds, categories) from the
table. `panel_like` is for every later table: it reads by a Schema that is already there. Both read columns in the same
way, so a model sees the same numbers for the same table. Past here no one knows names of columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar, cycles, holidays
from statecast.data.grid import keys, records
from statecast.data.grid.covariates import decoded, encoded, learn, one_hot, part_of, values_of
from statecast.data.grid.merging import STRICT, Merging, Runs
from statecast.data.grid.records import Record
from statecast.data.grid.roles import Roles, resolved
from statecast.data.holidays import NO_HOLIDAYS, Holidays
from statecast.data.panel import Panel, offsets_of, places_in_spans
from statecast.data.schema import Schema
from statecast.data.tabular.table import Table
from statecast.data.values import lone_series
from statecast.errors import DataError, SettingError, UnknownSeries, nearest

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64


def panel(
    table: Table, roles: Roles, merging: Merging = STRICT, dates: str | tuple[str, ...] | None = None
) -> tuple[Panel, Schema]:
    """The Panel of a table to fit on, and the Schema that it teaches.

    Args:
        table: the rows; what is chosen by looking at them is written down in its `reasons`.
        roles: which column is what, as far as it was said.
        merging: what becomes of rows of one series and time, and of rows within one step.
        dates: the setting `holidays`.

    Raises:
        DataError: the table cannot be used; the message names column, row and remedy.
        SettingError: a column has two roles, or `freq` or the holidays do not suit the times.
    """
    looked_for = roles.time is None
    roles = resolved(table, roles)
    reason = table.reasons["time"] if looked_for and roles.time else None
    record = records.read(table, roles, reason)
    target, days_off = roles.target or (), _holidays(record, dates)
    with records.explained(reason):
        grid = keys.laid(record, lone_series(target), merging, roles.freq, days_off.days)
    kinds = {name: learn(table, column) for name, column in record.covariates.items()}
    schema = Schema(
        target=target,
        id=roles.id,
        time=roles.time,
        id_kind=grid.id_kind,
        time_kind=grid.time_kind,
        tz=grid.tz,
        frequency=grid.step,
        past=tuple(kinds[name] for name in roles.past),
        known=tuple(kinds[name] for name in roles.known),
        static=tuple(kinds[name] for name in roles.static),
        day_first=record.time.day_first if record.time else None,
        years=cycles.spans_years(grid.time, grid.time_kind),
        holidays=days_off,
        weight=roles.weight,
    )
    rows = encoded(record, schema, grid)
    empty = next((name for name, column in zip(target, rows.y.T, strict=True) if np.isnan(column).all()), None)
    if empty is not None:
        raise DataError(f"{table.where(empty)}: every value is missing: leave this target out, or give values")
    return rows.with_ahead() if schema.known else rows, schema


def _holidays(record: Record, dates: str | tuple[str, ...] | None) -> Holidays:
    """The holidays that the setting means for the times of a table.

    Raises:
        SettingError: there are no dates in the table.
    """
    if dates is None:
        return NO_HOLIDAYS
    if record.time is None or record.time.kind == "integer":
        raise SettingError(f"holidays = {dates!r}: they need a column of dates; name it with time='…'")
    days_off = holidays.of_setting(dates, record.time.values)
    record.table.reasons["known holidays"] = holidays.summary(days_off, int(record.time.values.max()))
    return days_off


def panel_like(table: Table, schema: Schema, future_allowed: bool = True, merging: Merging = STRICT) -> Panel:
    """The Panel of a later table, read as the model's Schema says.

    Args:
        table: the rows; it needs the same columns.
        schema: what the model was fitted with.
        future_allowed: rows after a series' last observed target become known-ahead rows, if the model has covariates
            known ahead; otherwise they stay rows with missing targets.
        merging: as the model was fitted with.

    Raises:
        DataError: as in `panel`; and times of another kind.
    """
    record = records.read_like(table, schema)
    rows = encoded(record, schema, keys.laid_like(record, lone_series(schema.target), merging, schema))
    return rows.with_ahead() if schema.known and future_allowed else rows


def ahead_like(
    table: Table,
    schema: Schema,
    ids: Sequence[str | int],
    last: Int64[np.ndarray, " series"],
    merging: Merging = STRICT,
) -> tuple[Float64[np.ndarray, "ahead K"], Int64[np.ndarray, " series+1"]]:
    """Known-ahead covariates from a table of their own, which needs no targets.

    Args:
        table: rows of (id, time, known covariates); rows up to a series' last time are passed over.
        schema: what the model was fitted with.
        ids: the series to serve.
        last: the last time of each, as in `Panel.time`.
        merging: as the model was fitted with.

    Returns:
        `Panel.ahead` and `Panel.ahead_offsets`; NaN for steps that the table lacks.

    Raises:
        UnknownSeries: the table has a series that is not among `ids`.
        DataError: a time is off the series' grid, or comes twice without a rule for that.
    """
    record = records.read_like(table, schema, ahead=True)
    codes, names, kind = keys.series_ids(table, record.id, lone_series(schema.target))
    names, _ = keys.like_ids(names, kind, schema.id_kind)
    if schema.id is None:
        names = tuple(ids[:1])  # type: ignore[assignment]
    index = {item: number for number, item in enumerate(ids)}
    unknown = next((item for item in names if item not in index), None)
    if unknown is not None:
        raise UnknownSeries(
            f"{table.origin} has the series {unknown!r}, which the model does not know: {nearest(unknown, ids)}"
        )
    series = np.array([index[item] for item in names], np.int64)[codes]
    steps = _steps_ahead(record, schema, series, last, merging)
    size = np.zeros(len(ids), np.int64)
    np.maximum.at(size, series, np.maximum(steps, 0))
    if size.sum() > 10 * table.rows + 1_000_000:
        raise DataError(f"{table.origin}: its times lead {int(size.max()):,} steps ahead: correct them")
    offsets = offsets_of(size)
    rows = np.flatnonzero(steps > 0)
    place = offsets[series[rows]] + steps[rows] - 1
    order = np.argsort(place, kind="stable")
    rows, place = rows[order], place[order]
    runs = Runs(np.flatnonzero(np.diff(place, prepend=-1)), merging.known)
    if len(runs.starts) < len(rows) and merging.known == "error":
        at = int(np.argmin(np.diff(place, prepend=-1)))
        first, second = table.row(int(rows[at - 1])), table.row(int(rows[at]))
        raise DataError(f"{table.origin}: {first} and {second} are of one series and time: keep one of them")
    ahead = np.full((int(offsets[-1]), len(schema.known_features)), np.nan)
    column = 0
    for item in schema.known:
        part = one_hot(runs.reduced(values_of(table, record.covariates[item.name], item)[rows], part_of(item)), item)
        ahead[place[runs.starts], column : column + part.shape[1]] = part
        column += part.shape[1]
    return ahead, offsets


def _steps_ahead(
    record: Record,
    schema: Schema,
    series: Int64[np.ndarray, " rows"],
    last: Int64[np.ndarray, " series"],
    merging: Merging,
) -> Int64[np.ndarray, " rows"]:
    """How many steps after the end of its series each row stands."""
    stamps = record.time
    if stamps is None:
        steps = np.empty(len(series), np.int64)
        steps[np.argsort(series, kind="stable")] = places_in_spans(np.bincount(series)) + 1
        return steps
    step = schema.frequency
    time = calendar.from_instants(stamps.values, step, schema.tz, merging.gathers)
    on_grid = np.asarray(step.on_grid(last[series], time))
    if not on_grid.all():
        row = int(np.argmin(on_grid))
        raise DataError(
            f"{record.table.where(stamps.name, row)}: {keys.show(int(time[row]), stamps.kind)} is not a whole number "
            f"of steps of {step} after {keys.show(int(last[series[row]]), stamps.kind)}, where its series ends"
        )
    return np.asarray(step.steps_between(last[series], time), np.int64)


# --- results -----------------------------------------------------------------------------------------------------


def columns_for(
    schema: Schema, ids: Sequence[str | int] | np.ndarray, time: Int64[np.ndarray, " n"], extra: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The columns of a result: ids and times as they came in, then `extra`.

    Args:
        schema: what came in.
        ids: [n] of `Schema.output_ids`, as an array of objects or a sequence.
        time: [n] as in `Panel.time`.
        extra: more columns [n].

    Returns:
        Arrays for `frames.to_native(columns, native, schema.tz)`: datetime64 columns are UTC where there is a zone.
    """
    texts = schema.id_kind == "text" or len(schema.target) > 1
    names = _objects(ids) if texts else np.asarray(ids, np.int64)
    stamps = calendar.to_datetime64(time, schema.time_kind, schema.frequency, schema.tz)
    return {schema.id_column: names, schema.time_column: stamps, **extra}


def _objects(ids: Sequence[str | int] | np.ndarray) -> np.ndarray:
    """Names as an array, whatever they look like: NumPy alone would make an array of strings of one length."""
    return ids if isinstance(ids, np.ndarray) and ids.dtype == object else np.array([*ids, None], dtype=object)[:-1]


def columns_of(panel: Panel, schema: Schema) -> dict[str, np.ndarray]:
    """The rows of a Panel in the columns that it came from: what `test_data.csv` holds."""
    series = panel.series_of_row()
    ids: Any = _objects(panel.ids)[series]
    names = ids if schema.id_kind == "text" else ids.astype(np.int64)
    columns: dict[str, np.ndarray] = {schema.id: names} if schema.id else {}
    if schema.time:
        columns[schema.time] = calendar.to_datetime64(panel.time, schema.time_kind, schema.frequency, schema.tz)
    columns |= {name: panel.y[:, index] for index, name in enumerate(schema.target)}
    if schema.weight and panel.weight is not None:
        columns[schema.weight] = panel.weight
    groups = ((panel.past, schema.past), (panel.known, schema.known), (panel.static[series], schema.static))
    for values, covariates in groups:
        column = 0
        for item in covariates:
            columns[item.name] = decoded(values[:, column : column + len(item.features)], item)
            column += len(item.features)
    return columns
