"""The rows of a micro-batch as a stream takes them, and forecasts as rows of Spark.

Times travel as microseconds since 1970, on the model's own clock, so that no time zone of a session comes in between.
Columns are told apart by their places: names of a table need not differ from our own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    ByteType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from statecast.cluster.jobs import CUTOFF, columns_of
from statecast.cluster.spark import columns
from statecast.cluster.spark.frames import ERROR
from statecast.cluster.spark.steps import Steps
from statecast.data import calendar
from statecast.data.results import to_native
from statecast.data.schema import Covariate
from statecast.data.values import lone_series
from statecast.errors import DataError
from statecast.forecast.answer import Forecast
from statecast.forecast.predict import forecast
from statecast.model.state import State
from statecast.model.trained import Model
from statecast.server.rows import LiveRows

TIME = "__statecast_time"
WHOLE = (ByteType, ShortType, IntegerType, LongType)


@dataclass(frozen=True, eq=False)
class LiveColumns:
    """The columns of a model's stream.

    Attributes:
        model: the model.
        levels: of the intervals that are told.
        horizon: steps that are told.
    """

    model: Model
    levels: tuple[float, ...]
    horizon: int

    # --- in

    def selected(self, frame: Any) -> Any:
        """The columns of a frame that the stream reads, in the order of `names`.

        Raises:
            DataError: one is missing or cannot be used; or rows are counted.
        """
        schema = self.model.schema
        columns.require(frame, schema.columns, "which the model reads")
        columns.require_timed(schema)
        names = [] if schema.id is None else [self._id(frame, schema.id)]
        groups = [self._covariate(frame, item) for item in (*schema.past, *schema.static)]
        ahead = [self._ahead(frame, item) for item in schema.known]
        targets = [self._column(frame, name).cast("double").alias(name) for name in schema.target]
        return frame.select(*names, self._time(frame, str(schema.time)), *targets, *groups, *ahead)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of `selected`."""
        schema = self.model.schema
        items = (*schema.past, *schema.static, *schema.known)
        keys = (TIME,) if schema.id is None else (schema.id, TIME)
        return (*keys, *schema.target, *(item.name for item in items))

    @staticmethod
    def _column(frame: Any, name: str) -> Any:
        return frame[columns.quoted(name)]

    def _id(self, frame: Any, name: str) -> Any:
        """Ids; whole numbers as strings, so that a worker reads one kind of them.

        Raises:
            DataError: a column of that type names no series.
        """
        column, kind = self._column(frame, name), columns.type_of(frame, name)
        if isinstance(kind, DecimalType) and kind.scale == 0:
            return column.cast("bigint").cast("string").alias(name)
        if isinstance(kind, WHOLE):
            return column.cast("string").alias(name)
        if not isinstance(kind, (StringType, BinaryType, FloatType, DoubleType)):
            raise DataError(
                f"the column {name!r} of ids is {columns.shown(kind)}, expected STRING or whole numbers: cast it"
            )
        return column

    def _time(self, frame: Any, name: str) -> Any:
        column, kind, schema = self._column(frame, name), columns.type_of(frame, name), self.model.schema
        if schema.time_kind == "integer" and isinstance(kind, WHOLE):
            return column.cast("bigint").alias(TIME)
        if schema.time_kind == "integer" or not isinstance(kind, (TimestampType, TimestampNTZType, DateType)):
            kinds = "whole numbers" if schema.time_kind == "integer" else "TIMESTAMP, TIMESTAMP_NTZ or DATE"
            raise DataError(f"the column {name!r} of times is {columns.shown(kind)}, expected {kinds}: cast it")
        if schema.tz is not None and not isinstance(kind, TimestampType):
            raise columns.zoneless(name, kind, schema)
        if schema.tz is not None:
            return functions.unix_micros(column).alias(TIME)
        # From what the clock shows: Spark takes the difference of two clock times in the zone of its session.
        clock = f"cast({columns.quoted(name)} as timestamp_ntz)"
        minutes = f"(unix_date(cast({clock} as date)) * 24L + hour({clock})) * 60L + minute({clock})"
        seconds = f"cast(extract(second from {clock}) * 1000000 as bigint)"
        return functions.expr(f"({minutes}) * 60000000L + {seconds}").alias(TIME)

    def _covariate(self, frame: Any, item: Covariate) -> Any:
        kind = "double" if item.kind == "numeric" else "string"
        return self._column(frame, item.name).cast(kind).alias(item.name)

    def _ahead(self, frame: Any, item: Covariate) -> Any:
        kind = columns.type_of(frame, item.name)
        if not isinstance(kind, ArrayType):
            steps = self.model.network.head.horizon
            raise DataError(
                f"the column {item.name!r} is known ahead: expected an array of {steps + 1} values, of the row's step "
                f"and of the next {steps}, and it is {columns.shown(kind)}"
            )
        part = "double" if item.kind == "numeric" else "string"
        return self._column(frame, item.name).cast(f"array<{part}>").alias(item.name)

    def rows(self, table: pa.Table) -> LiveRows:
        """The rows of a micro-batch, whose columns are those of `names`."""
        schema, part = self.model.schema, dict(zip(self.names, table.columns, strict=True))
        count = table.num_rows
        ids = [lone_series(schema.target)] * count if schema.id is None else self._ids(part[schema.id])
        missing = part[TIME].is_null().to_numpy()
        values = np.column_stack([part[name].to_numpy() for name in schema.target])
        past, static = ([part[item.name] for item in items] for items in (schema.past, schema.static))
        known = None
        if schema.known:
            ahead = {item.name: part[item.name].to_pylist() for item in schema.known}
            known = [{name: column[row] for name, column in ahead.items()} for row in range(count)]
        return LiveRows(
            ids,
            self._times(part[TIME]),
            values,
            _table(schema.past, past) if past else None,
            known,
            [row if any(value is not None for value in row) else None for row in _objects(static)] if static else None,
            {
                row: f"series {ids[row]!r}: the time is missing: every row needs one"
                for row in np.flatnonzero(missing).tolist()
            },
        )

    def _ids(self, column: pa.ChunkedArray) -> list[Any]:
        names: list[Any] = column.to_pylist()
        if self.model.schema.id_kind == "text":
            return names
        return [int(name) if isinstance(name, str) and name.lstrip("-").isdigit() else name for name in names]

    def _times(self, column: pa.ChunkedArray) -> np.ndarray:
        """Times as a Panel has them; 0 where one is missing, which an error of the row tells."""
        numbers = column.fill_null(0).to_numpy()
        schema = self.model.schema
        return (
            numbers if schema.time_kind == "integer" else calendar.from_instants(numbers, schema.frequency, schema.tz)
        )

    # --- out

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the result."""
        model = self.model
        nobody = forecast(model, State.empty(model.layout, model.dtype), None, self.levels, [])
        key, time, *values = nobody.columns()
        fields = columns_of(model, (key, time, CUTOFF, *values))
        # pandas has no dates but as objects; Spark makes dates of the times.
        plain = [
            pa.field(field.name, pa.timestamp("us")) if pa.types.is_date(field.type) else field for field in fields
        ]
        return pa.schema([*plain, (ERROR, pa.string())])

    def results(self, steps: Steps, rows: LiveRows) -> pd.DataFrame:
        """What became of the rows of a micro-batch: forecasts from after those that were taken, and the others."""
        parts = [self._forecasts(part) for part in steps.forecasts]
        if steps.errors:
            parts.append(self._refused(steps, rows))
        return _frame(pa.concat_tables([columns.conformed(part, self.schema) for part in parts]))

    def _forecasts(self, full: Forecast) -> pa.Table:
        part = replace(full, horizon=self.horizon, levels=self.levels)
        each = self.horizon * len(part.targets)
        return to_native({**part.columns(), CUTOFF: np.repeat(self._stamps(part.last), each)}, "pyarrow", part.tz)

    def _refused(self, steps: Steps, rows: LiveRows) -> pa.Table:
        places = np.array(sorted(steps.errors), np.int64)
        names = [rows.ids[row] for row in places.tolist()]
        if self.schema.field(self.model.schema.id_column).type == pa.string():
            names = [None if name is None else str(name) for name in names]
        untimed = np.array([row in rows.errors for row in places.tolist()])
        cutoff = pa.array(self._stamps(np.asarray(rows.times)[places]), mask=untimed)
        texts = [steps.errors[row] for row in places.tolist()]
        return pa.table({self.model.schema.id_column: names, CUTOFF: cutoff, ERROR: texts})

    def _stamps(self, times: np.ndarray) -> np.ndarray:
        schema = self.model.schema
        return np.asarray(calendar.to_datetime64(times, schema.time_kind, schema.frequency, schema.tz))


def _frame(table: pa.Table) -> pd.DataFrame:
    """A table as pandas has it; Spark wants numbers of NumPy where there are times."""
    result = {}
    for field in table.schema:
        column = table[field.name].combine_chunks()
        if pa.types.is_timestamp(field.type):
            stamps = pd.Series(column.to_numpy(zero_copy_only=False))
            result[field.name] = stamps.dt.tz_localize("UTC") if field.type.tz else stamps
        else:
            result[field.name] = pd.Series(column, dtype=pd.ArrowDtype(field.type))
    return pd.DataFrame(result)


def _objects(group: list[pa.ChunkedArray]) -> list[list[Any]]:
    """Rows of covariates as plain values; None where missing."""
    return [list(row) for row in zip(*(column.to_pylist() for column in group), strict=True)]


def _table(items: tuple[Covariate, ...], group: list[pa.ChunkedArray]) -> Any:
    """Rows of covariates: as numbers side by side where all are."""
    if all(item.kind == "numeric" for item in items):
        return np.column_stack([column.to_numpy() for column in group])
    return _objects(group)
