"""The rows of a micro-batch as a stream takes them, and forecasts as rows of Spark.

Times travel as microseconds since 1970, on the model's own clock: pandas then makes no object of each, and no time zone
of a session comes in between. Columns are told apart by their places, since pandas renames those whose names are no
names of Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions
from pyspark.sql.types import (
    ArrayType,
    ByteType,
    DateType,
    DecimalType,
    IntegerType,
    LongType,
    ShortType,
    TimestampNTZType,
    TimestampType,
)

from statecast.cluster.jobs import CUTOFF, columns_of
from statecast.cluster.spark import columns
from statecast.cluster.spark.frames import ERROR
from statecast.cluster.spark.steps import Steps
from statecast.data import calendar
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
        """Ids; whole numbers as texts, since pandas makes floats of them where one is missing."""
        column, kind = self._column(frame, name), columns.type_of(frame, name)
        if isinstance(kind, DecimalType) and kind.scale == 0:
            return column.cast("bigint").cast("string").alias(name)
        return column.cast("string").alias(name) if isinstance(kind, WHOLE) else column

    def _time(self, frame: Any, name: str) -> Any:
        column, kind, schema = self._column(frame, name), columns.type_of(frame, name), self.model.schema
        if schema.time_kind == "integer" and isinstance(kind, WHOLE):
            return column.cast("bigint").alias(TIME)
        if schema.time_kind == "integer" or not isinstance(kind, (TimestampType, TimestampNTZType, DateType)):
            kinds = "whole numbers" if schema.time_kind == "integer" else "TIMESTAMP, TIMESTAMP_NTZ or DATE"
            raise DataError(f"the column {name!r} of times is {columns.shown(kind)}, wanted {kinds}: cast it")
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
                f"the column {item.name!r} is known ahead: wanted an array of {steps + 1} values, of the row's step "
                f"and of the next {steps}, and it is {columns.shown(kind)}"
            )
        part = "double" if item.kind == "numeric" else "string"
        return self._column(frame, item.name).cast(f"array<{part}>").alias(item.name)

    def rows(self, frames: Sequence[pd.DataFrame]) -> LiveRows:
        """The rows of a micro-batch, whose columns are those of `names` and perhaps others behind them."""
        frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        schema, part = (
            self.model.schema,
            dict(zip(self.names, (frame.iloc[:, n] for n in range(frame.shape[1])), strict=False)),
        )
        count = len(frame)
        ids = [lone_series(schema.target)] * count if schema.id is None else self._ids(part[schema.id])
        missing = part[TIME].isna().to_numpy()
        values = np.column_stack([part[name].to_numpy(np.float64, na_value=np.nan) for name in schema.target])
        past, static = ([part[item.name] for item in items] for items in (schema.past, schema.static))
        known = None
        if schema.known:
            ahead = {item.name: part[item.name].tolist() for item in schema.known}
            known = [{name: column[row] for name, column in ahead.items()} for row in range(count)]
        return LiveRows(
            ids,
            self._times(part[TIME], missing),
            values,
            _table(schema.past, past) if past else None,
            known,
            [row if any(value is not None for value in row) else None for row in _objects(static)] if static else None,
            {
                row: f"series {ids[row]!r}: the time is missing: every row needs one"
                for row in np.flatnonzero(missing).tolist()
            },
        )

    def _ids(self, column: pd.Series) -> list[Any]:
        names = [None if name is None or name != name else name for name in column.tolist()]
        if self.model.schema.id_kind == "text":
            return names
        return [int(name) if isinstance(name, str) and name.lstrip("-").isdigit() else name for name in names]

    def _times(self, column: pd.Series, missing: np.ndarray) -> np.ndarray:
        """Times as a Panel has them; 0 where one is missing, which an error of the row tells."""
        numbers = np.where(missing, 0, column.to_numpy()).astype(np.int64)
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

    def results(self, steps: Steps, rows: LiveRows) -> Iterator[pd.DataFrame]:
        """What became of the rows of a micro-batch: forecasts from after those that were taken, and the others."""
        for part in steps.forecasts:
            yield self._forecasts(part)
        if steps.errors:
            yield self._refused(steps, rows)

    def _forecasts(self, full: Forecast) -> pd.DataFrame:
        part = replace(full, horizon=self.horizon, levels=self.levels)
        each = self.horizon * len(part.targets)
        return self._frame({**part.columns(), CUTOFF: np.repeat(self._stamps(part.last), each)}, len(part.ids) * each)

    def _refused(self, steps: Steps, rows: LiveRows) -> pd.DataFrame:
        places = np.array(sorted(steps.errors), np.int64)
        ids = [rows.ids[row] for row in places.tolist()]
        if len(self.model.schema.target) > 1:
            ids = [None if name is None else str(name) for name in ids]
        timed = np.array([row not in rows.errors for row in places.tolist()])
        cutoff = pd.Series(self._stamps(np.asarray(rows.times)[places])).where(timed)
        texts = [steps.errors[row] for row in places.tolist()]
        return self._frame({self.model.schema.id_column: ids, CUTOFF: cutoff, ERROR: texts}, len(ids))

    def _stamps(self, times: np.ndarray) -> np.ndarray:
        schema = self.model.schema
        return np.asarray(calendar.to_datetime64(times, schema.time_kind, schema.frequency, schema.tz))

    def _frame(self, values: dict[str, Any], rows: int) -> pd.DataFrame:
        """A frame with all columns of the result."""
        result = {}
        for field in self.schema:
            column = values.get(field.name)
            if column is None:
                result[field.name] = pd.Series([None] * rows, dtype=object)
            elif pa.types.is_timestamp(field.type):
                stamps = pd.Series(column).astype("M8[us]")
                result[field.name] = stamps.dt.tz_localize("UTC") if field.type.tz else stamps
            else:
                result[field.name] = column
        return pd.DataFrame(result)


def _objects(group: list[pd.Series]) -> list[list[Any]]:
    """Rows of covariates as plain values; None where missing."""
    parts = [[None if value is None or value != value else value for value in column.tolist()] for column in group]
    return [list(row) for row in zip(*parts, strict=True)]


def _table(items: tuple[Covariate, ...], group: list[pd.Series]) -> Any:
    """Rows of covariates: as numbers side by side where all are."""
    if all(item.kind == "numeric" for item in items):
        return np.column_stack([column.to_numpy(np.float64, na_value=np.nan) for column in group])
    return _objects(group)
