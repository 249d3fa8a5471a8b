"""The columns of a table that a model needs, each read once.

Past here every value is an element of an array, and the table is asked for nothing but the name of a row in an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from statecast.data.grid.roles import Roles, require_columns
from statecast.data.schema import Schema
from statecast.data.tabular.columns import Clock, Column
from statecast.data.tabular.table import Table
from statecast.data.timetext import MISSING
from statecast.errors import DataError


@dataclass(frozen=True, eq=False)
class Record:
    """The columns of a table by their roles, [rows] each.

    Attributes:
        table: where they stand; it names rows in errors.
        id: the series of each row; None where all rows are one series.
        time: the time of each row, none missing; None where rows are steps.
        targets: the columns to forecast.
        covariates: the columns beside them, by name.
        weight: how much each row counts in training; None where all count alike.
    """

    table: Table
    id: Column | None
    time: Column | None
    targets: tuple[Column, ...]
    covariates: dict[str, Column]
    weight: Column | None = None

    @property
    def time_name(self) -> str | None:
        """The column of times; None where rows are steps."""
        return None if self.time is None else self.time.name


def read(table: Table, roles: Roles, reason: str | None = None) -> Record:
    """The columns of a table to fit on.

    Args:
        table: the rows.
        roles: which column is what, see `roles.resolved`.
        reason: why its column of times was chosen, if no one named it.

    Raises:
        DataError: a column holds values of no use, or a time is missing or cannot be read.
    """
    covariates = (*roles.past, *roles.known, *roles.static)
    return _record(table, roles.id, roles.time, roles.target or (), covariates, Clock(), roles.weight, reason)


def read_like(table: Table, schema: Schema, ahead: bool = False) -> Record:
    """The columns of a later table, whose strings and times mean what they meant in the first one.

    Args:
        table: the rows.
        schema: what the model was fitted with.
        ahead: whether the table holds the covariates known ahead alone.

    Raises:
        DataError: as `read`; a column is not there, or times are of another kind.
    """
    items = schema.known if ahead else (*schema.past, *schema.known, *schema.static)
    target = () if ahead else schema.target
    names = [item.name for item in items]
    require_columns(table, [*(name for name in (schema.id, schema.time) if name), *target, *names])
    clock = Clock(schema.time_kind == "integer", schema.day_first)
    weight = schema.weight if schema.weight and table.has(schema.weight) and not ahead else None
    record = _record(table, schema.id, schema.time, target, names, clock, weight)
    if record.time is not None:
        _require_kind(table, record.time, schema)
    return record


@contextmanager
def explained(reason: str | None) -> Iterator[None]:
    """Add to errors about the times why their column was chosen, where no one named it."""
    try:
        yield
    except DataError as error:
        if reason is None:
            raise
        remedy = "name another with time='…', or pass time='' to count rows as steps"
        raise DataError(f"{error} ({reason}; {remedy})") from error


def _record(
    table: Table,
    id: str | None,
    time: str | None,
    target: Sequence[str],
    covariates: Sequence[str],
    clock: Clock,
    weight: str | None = None,
    reason: str | None = None,
) -> Record:
    """The record of a table, from the names of its columns and how the times are written."""
    clocks = {time: clock} if time else {}
    keys = [name for name in (id, time, weight) if name]
    columns = {name: _column(table, name, clocks.get(name), reason) for name in (*keys, *target, *covariates)}
    targets, beside = tuple(columns[name] for name in target), {name: columns[name] for name in covariates}
    row, clocked, counts = (columns[name] if name else None for name in (id, time, weight))
    return Record(table, row, clocked, targets, beside, counts)


def _column(table: Table, name: str, clock: Clock | None, reason: str | None) -> Column:
    """A column; of times, by their clock, none is missing."""
    with explained(reason if clock else None):
        column = table.column(name, clock)
        if clock and (missing := column.values == MISSING).any():
            raise DataError(f"{table.where(name, int(missing.argmax()))}: the time is missing; every row needs one")
    return column


def _require_kind(table: Table, time: Column, schema: Schema) -> None:
    """Refuse dates for integers, and a zone where there was none."""
    integer = time.kind == "integer"
    if integer != (schema.time_kind == "integer"):
        kind, other = ("integers", "dates") if integer else ("dates", "integers")
        raise DataError(f"{table.where(time.name)} holds {kind}, but the model was fitted with {other}")
    if (time.tz is None) != (schema.tz is None):
        state, other = ("without a time zone", f"in {schema.tz}") if time.tz is None else ("in a zone", "without one")
        raise DataError(
            f"{table.where(time.name)} holds times {state}, but the model was fitted with times {other}: "
            "give times of the same kind"
        )
