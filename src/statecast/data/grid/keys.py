"""Which series and which time each row of a table belongs to, and so its place in the Panel.

Ids and times are read once; the rows are sorted by them, doubles are refused or become one, as do the rows of one step
where that was asked for, the frequency is inferred or checked, and every gap gets its missing rows. All of it is done
for the whole table at once: thousands of short series cost no more than one long one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from statecast.data import calendar, rhythm
from statecast.data.calendar import Frequency, TimeKind
from statecast.data.grid.merging import Merging, Part, Runs
from statecast.data.grid.records import Record
from statecast.data.panel import offsets_of, places_in_spans
from statecast.data.schema import IdKind, Schema
from statecast.data.tabular.columns import Column
from statecast.data.tabular.table import Table
from statecast.data.values import INT64, series_id
from statecast.data.zones import DAY
from statecast.errors import DataError, SettingError

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

Ids = tuple[str, ...] | tuple[int, ...]
Series = tuple[np.ndarray, Ids, IdKind]  # of each row its number, [rows]; all ids; their kind


@dataclass(frozen=True, eq=False)
class SortedRows:
    """The rows of a table in the order of series and time.

    Attributes:
        order: [table rows] the table's row of each sorted row.
        merged: what makes one row of several, one after the other; without any, rows are those of the table.
        time: [rows] times, ascending within each series.
        offsets: [S + 1] where each series begins.
        ids: the series, sorted.
        id_kind: whether ids are strings or integers.
        time_kind: what the times are.
        tz: their zone.
    """

    order: Int64[np.ndarray, " table_rows"]
    merged: tuple[Runs, ...]
    time: Int64[np.ndarray, " rows"]
    offsets: Int64[np.ndarray, " series+1"]
    ids: Ids
    id_kind: IdKind
    time_kind: TimeKind
    tz: str | None

    def table_row(self, row: int) -> int:
        """The index in the table of a row, or of the first of the rows that were merged into it."""
        for runs in reversed(self.merged):
            row = int(runs.starts[row])
        return int(self.order[row])


@dataclass(frozen=True, eq=False)
class Grid:
    """The rows of the Panel: those of the table, and empty rows in its gaps.

    Attributes:
        order: [table rows] the table's row of each sorted row.
        merged: what makes one row of several, see `SortedRows`.
        place: [rows] the Panel's row of each row, or None where there are no gaps.
        time: [total] times of the Panel.
        offsets: [S + 1] where each series begins in the Panel.
        ids: the series.
        step: what one step is.
        id_kind: whether ids are strings or integers.
        time_kind: what the times are.
        tz: their zone.
        empty: the target of a step without rows: NaN, or 0 where events are summed.
    """

    order: Int64[np.ndarray, " table_rows"]
    merged: tuple[Runs, ...]
    place: Int64[np.ndarray, " rows"] | None
    time: Int64[np.ndarray, " total"]
    offsets: Int64[np.ndarray, " series+1"]
    ids: Ids
    step: Frequency
    id_kind: IdKind
    time_kind: TimeKind
    tz: str | None
    empty: float

    def put(self, values: Float64[np.ndarray, " table_rows"], part: Part) -> Float64[np.ndarray, " total"]:
        """Values of the table's rows at their places in the Panel [total]; gaps are missing."""
        rows = np.take(values, self.order)
        for runs in self.merged:
            rows = runs.reduced(rows, part)
        if self.place is None:
            return rows
        result = np.full(len(self.time), self.empty if part == "target" else np.nan)
        result[self.place] = rows
        return result


def series_ids(table: Table, column: Column | None, alone: str) -> Series:
    """The series of each row as a number into the sorted ids, the ids, and their kind.

    Args:
        table: the rows.
        column: the ids; without them all rows are one series.
        alone: what that one series is called.

    Raises:
        DataError: an id is missing, or the column holds neither strings nor whole numbers.
    """
    if column is None:
        return np.zeros(table.rows, np.int64), (alone,), "text"
    if column.kind == "text":
        _require_all(table, column, column.values < 0)
        rank = np.argsort(np.argsort(np.array(column.labels, dtype=object), kind="stable"), kind="stable")
        return _used(rank[column.values], sorted(column.labels))
    if column.kind == "number":
        _require_all(table, column, np.isnan(column.values))
    whole = column.kind == "integer" or (
        column.kind == "number" and bool((column.values == np.trunc(column.values)).all())
    )
    if not whole or (column.kind == "number" and (np.abs(column.values) >= INT64).any()):
        raise DataError(f"{table.where(column.name)} cannot name series: ids are strings or whole numbers")
    numbers, codes = np.unique(column.values.astype(np.int64), return_inverse=True)
    return codes.astype(np.int64), tuple(numbers.tolist()), "integer"


def _used(codes: Int64[np.ndarray, " rows"], labels: list[str]) -> Series:
    """Only the labels that occur: a categorical column may hold more."""
    counts = np.bincount(codes, minlength=len(labels))
    ids = tuple(label for label, count in zip(labels, counts, strict=True) if count)
    return (np.cumsum(counts > 0) - 1)[codes].astype(np.int64), ids, "text"


def _require_all(table: Table, column: Column, missing: np.ndarray) -> None:
    if missing.any():
        raise DataError(f"{table.where(column.name, int(np.argmax(missing)))}: the id is missing; every row needs one")


def like_ids(ids: Ids, kind: IdKind, schema_kind: IdKind) -> tuple[Ids, IdKind]:
    """Ids in the kind that a model was fitted with: a CSV file turns the text "7" into a number.

    Raises:
        DataError: a string that is not a whole number, where the model's ids are.
    """
    if kind == schema_kind:
        return ids, kind
    return tuple(series_id(item, schema_kind) for item in ids), schema_kind  # type: ignore[return-value]


def laid(record: Record, alone: str, merging: Merging, freq: str | None, holidays: tuple[int, ...] = ()) -> Grid:
    """The rows of a table to fit on, sorted, merged and laid on a grid whose step is stated, or shown by the times.

    Args:
        record: the columns of the table.
        alone: what the series of a table without ids is called.
        merging: what becomes of rows of one time, and of rows within one step.
        freq: what one step is; None to infer it.
        holidays: days since 1970, which steps pass over if `freq` says so.

    Raises:
        DataError: ids are of no use; times come twice without a rule, are irregular, or leave gaps that are too wide.
        SettingError: `freq` does not suit the times, or is missing where rows are merged by it.
    """
    rows, name = _sorted(record, series_ids(record.table, record.id, alone), merging.first), record.time_name
    if merging.gathers and (name is None or freq is None):
        missing = "a time column" if name is None else "freq, such as freq='1h': it says how long a step is"
        raise SettingError(f"aggregate = {merging.aggregate!r} gathers the rows of a step, which needs {missing}")
    step = None if freq is None else rhythm.stated(freq, rows.time_kind, name, holidays)
    table, times = record.table, (rows.time, rows.offsets, rows.time_kind, rows.tz)
    try:
        step, time = rhythm.regular(*times, step, merging.gathers, lambda row: table.row(rows.table_row(row)))
    except DataError as error:
        raise DataError(f"{table.where(name or '')}: {error}") from None
    rows = _gathered(record, rows, time, merging)
    return _grid(record, rows, step, merging.empty)


def laid_like(record: Record, alone: str, merging: Merging, schema: Schema) -> Grid:
    """The rows of a later table on the grid of the first one, as `laid`.

    Raises:
        DataError: as `laid`, and a time is off the grid.
    """
    codes, ids, kind = series_ids(record.table, record.id, alone)
    rows = _sorted(record, (codes, *like_ids(ids, kind, schema.id_kind)), merging.first)
    rows = replace(rows, tz=schema.tz or rows.tz)
    time = calendar.from_instants(rows.time, schema.frequency, rows.tz, merging.gathers)
    rows = _gathered(record, rows, time, merging)
    return _grid(record, rows, schema.frequency, merging.empty)


def _sorted(record: Record, series: Series, duplicates: str) -> SortedRows:
    """Sort the rows by series and time, and merge those of the same series and time by the rule.

    Raises:
        DataError: two rows of one series have one time, and no rule says what becomes of them.
    """
    codes, ids, id_kind = series
    stamps = record.time
    offsets = offsets_of(np.bincount(codes, minlength=len(ids)))
    if stamps is None:
        order = np.argsort(codes, kind="stable")
        return SortedRows(order, (), places_in_spans(np.diff(offsets)), offsets, ids, id_kind, "row", None)
    time = stamps.values
    kind: TimeKind = "date" if stamps.kind == "date" else "integer" if stamps.kind == "integer" else "datetime"
    step, same = np.diff(time), np.diff(codes)
    if ((same > 0) | ((same == 0) & (step > 0))).all():
        return SortedRows(np.arange(len(codes)), (), time, offsets, ids, id_kind, kind, stamps.tz)
    order = np.lexsort((time, codes))
    rows = SortedRows(order, (), time[order], offsets, ids, id_kind, kind, stamps.tz)
    return rows if duplicates == "keep" else _single(record, rows, duplicates)


def _single(record: Record, rows: SortedRows, rule: str) -> SortedRows:
    """The rows, with those of the same series and time merged into one by a rule; "error" refuses them.

    Raises:
        DataError: two rows of one series have one time, and no rule says what becomes of them.
    """
    runs = _runs(rows, rule)
    if len(runs.starts) == len(rows.time):
        return rows
    if rule == "error":
        first = int(runs.starts[np.argmax(np.diff(runs.starts, append=len(rows.time)) > 1)])
        raise _double(record, rows, first)
    return _merged(rows, runs)


def _runs(rows: SortedRows, rule: str) -> Runs:
    """Runs of rows of the same series and time."""
    new = np.diff(rows.time, prepend=rows.time[:1] - 1) != 0
    new[rows.offsets[:-1]] = True
    return Runs(np.flatnonzero(new), rule)


def _merged(rows: SortedRows, runs: Runs) -> SortedRows:
    """The rows, with each run merged into one."""
    offsets = np.searchsorted(runs.starts, rows.offsets)
    return replace(rows, merged=(*rows.merged, runs), time=rows.time[runs.starts], offsets=offsets)


def _gathered(record: Record, rows: SortedRows, time: Int64[np.ndarray, " rows"], merging: Merging) -> SortedRows:
    """The rows with times as the panel holds them, those of one step merged into one where that is asked for.

    Raises:
        DataError: two rows of a day stand at the same time of its clock, which was set back between them, and no rule
            says what becomes of them.
    """
    rows = replace(rows, time=time)
    if merging.gathers:
        return _merged(rows, _runs(rows, merging.aggregate))
    return _single(record, rows, merging.duplicates)


def _double(record: Record, rows: SortedRows, row: int) -> DataError:
    """The error for a row that has the time of the next one."""
    table, time = record.table, show(int(rows.time[row]), rows.time_kind)
    first, second = (table.row(rows.table_row(at)) for at in (row, row + 1))
    series = rows.ids[int(np.searchsorted(rows.offsets, row, side="right")) - 1]
    doubles = f"series {series!r} has two rows" if record.id else "there are two rows"
    hint = ""
    if rows.time_kind == "datetime" and rows.tz is None:
        hint = "; where clocks were set back, give times with a time zone"
    return DataError(
        f"{table.where(record.time_name or '')}: {doubles} for {time}, "
        f"{first} and {second}: keep one row for each series and time, or choose what becomes of "
        f"them with the setting duplicates (first, last, mean, sum, min or max){hint}"
    )


def show(time: int, kind: str) -> str:
    """A time for messages."""
    if kind in ("integer", "row"):
        return str(time)
    stamp = np.datetime64(time, "us")
    return str(stamp.astype("M8[D]" if time % DAY == 0 else "M8[s]")).replace("T", " ")


def _grid(record: Record, rows: SortedRows, step: Frequency, empty: float) -> Grid:
    """Lay the rows on the regular grid of their series, with a row for each gap, whose target is `empty`.

    Raises:
        DataError: a time is off the grid, or filling the gaps would blow the table up.
    """
    table, time, name = record.table, rows.time, record.time_name or ""
    steps, off_grid = rhythm.steps_of(step, time, rows.offsets)
    if off_grid is not None:
        _require_begin(record, rows, step, off_grid)
        start = int(time[rows.offsets[np.searchsorted(rows.offsets, off_grid, side="right") - 1]])
        raise DataError(
            f"{table.where(name, rows.table_row(off_grid))}: {show(int(time[off_grid]), rows.time_kind)} is not "
            f"a whole number of steps of {step} after {show(start, rows.time_kind)}, where its series begins: "
            "pass another freq, or bring the times onto a grid"
        )
    size = steps[rows.offsets[1:] - 1] + 1
    total, kinds = int(size.sum()), (rows.ids, step, rows.id_kind, rows.time_kind, rows.tz, empty)
    if total == len(time):
        return Grid(rows.order, rows.merged, None, time, rows.offsets, *kinds)
    if float(size.sum(dtype=np.float64)) > 10 * table.rows + 1_000_000:
        raise _too_wide(table, rows, step, size, name)
    offsets = offsets_of(size)
    place = np.repeat(offsets[:-1], np.diff(rows.offsets)) + steps
    full = step.advance(np.repeat(time[rows.offsets[:-1]], size), places_in_spans(size))
    return Grid(rows.order, rows.merged, place, full, offsets, *kinds)


def _require_begin(record: Record, rows: SortedRows, step: Frequency, row: int) -> None:
    """Refuse a row on a day that steps of business days pass over."""
    stamp = int(rows.time[row])
    if not step.begins(stamp):
        raise DataError(
            f"{record.table.where(record.time_name or '', rows.table_row(row))}: {show(stamp, rows.time_kind)} is "
            f"{calendar.weekday(stamp)}, which steps of {step} skip: leave such rows out, or pass another freq"
        )


def _too_wide(
    table: Table, rows: SortedRows, step: Frequency, size: Int64[np.ndarray, " series"], name: str
) -> DataError:
    worst = int(np.argmax(size))
    span = slice(int(rows.offsets[worst]), int(rows.offsets[worst + 1]))
    times = rows.time[span]
    after = int(np.argmax(np.diff(times)))
    return DataError(
        f"{table.where(name)}: filling the gaps in steps of {step} would make {int(size.sum()):,} rows of "
        f"{table.rows:,}; the widest gap is before {table.row(rows.table_row(span.start + after + 1))} "
        f"({show(int(times[after]), rows.time_kind)} to {show(int(times[after + 1]), rows.time_kind)}): "
        "correct that time, or pass a coarser freq"
    )
