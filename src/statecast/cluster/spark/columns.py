"""Columns of a Spark DataFrame as a model reads them, and results as that frame has them.

Spark shows an instant in the time zone of its session, and calls it TIMESTAMP; what stands on a clock is
TIMESTAMP_NTZ. A model whose times have no zone reads an instant as the session shows it, and gives an instant back;
both conversions are Spark's own, so they agree with what a user sees.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from pyspark.sql.types import DataType, DecimalType, LongType, StringType, TimestampNTZType, TimestampType

from statecast.data.schema import Schema
from statecast.errors import DataError, nearest

_DDL = {pa.string(): "string", pa.int64(): "bigint", pa.float64(): "double", pa.date32(): "date", pa.int32(): "int"}


def require(frame: Any, columns: Iterable[str], role: str) -> None:
    """Refuse a frame that lacks a column.

    Raises:
        DataError: it does.
    """
    for name in columns:
        if name not in frame.columns:
            raise DataError(f"the Spark DataFrame has no column {name!r} ({role}); {nearest(name, frame.columns)}")


def require_timed(schema: Schema) -> None:
    """Refuse a model whose rows were counted.

    Raises:
        DataError: they were.
    """
    if schema.time is None:
        raise DataError(
            "the rows of the model's table were counted, and Spark keeps no order of rows: fit with time=…, a column "
            "of times or whole numbers that tells which row comes first"
        )


def type_of(frame: Any, name: str | None) -> DataType | None:
    """The type of a column; None where there is none."""
    return frame.schema[name].dataType if name is not None and name in frame.columns else None


def selected(frame: Any, columns: Iterable[str], schema: Schema | None) -> Any:
    """The columns of a frame, as a model with this schema reads them; as they are where it is None.

    Raises:
        DataError: rows are counted rather than timed, or the times have no zone where the model's have.
    """
    return frame.select(*(_read(frame, name, schema) for name in columns))


def _read(frame: Any, name: str, schema: Schema | None) -> Any:
    column, kind = frame[quoted(name)], type_of(frame, name)
    if isinstance(kind, DecimalType) and kind.scale == 0 and schema is not None and name == schema.id:
        return column.cast("bigint").alias(name)
    if schema is None or name != schema.time:
        return column
    if isinstance(kind, TimestampNTZType) and schema.tz is not None:
        raise zoneless(name, kind, schema)
    shown = isinstance(kind, TimestampType) and schema.tz is None
    return column.cast("timestamp_ntz").alias(name) if shown else column


def zoneless(name: str, kind: DataType | None, schema: Schema) -> DataError:
    """The error for clock times where the model's times have a zone."""
    return DataError(
        f"the column {name!r} is {shown(kind)}, and the times of the model have a zone ({schema.tz}): give instants "
        f"(TIMESTAMP), as to_utc_timestamp({name}, '{schema.tz}') makes them"
    )


def shown(kind: DataType | None) -> str:
    """A type for people to read."""
    return "no column" if kind is None else kind.simpleString().upper()


def restored(result: Any, frame: Any, schema: Schema, times: Iterable[str]) -> Any:
    """A result with the types of ids and times that a frame has.

    Args:
        result: of the model.
        frame: what it was made of.
        schema: of the model.
        times: the columns of the result that hold times.
    """
    kinds = {name: type_of(frame, schema.time) for name in times if name in result.columns}
    if len(schema.target) == 1 or isinstance(type_of(result, schema.id_column), LongType):
        kinds[schema.id_column] = type_of(frame, schema.id)
    for name, kind in kinds.items():
        if kind is not None and not isinstance(kind, StringType):
            result = result.withColumn(name, result[quoted(name)].cast(kind))
    return result


def quoted(name: str) -> str:
    """A name of a column as Spark's expressions write it."""
    return "`" + name.replace("`", "``") + "`"


def ddl(schema: pa.Schema) -> str:
    """The columns of a table in Spark's language."""
    return ", ".join(f"{quoted(field.name)} {_spark_type(field.type)}" for field in schema)


def _spark_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp_ntz"
    return "binary" if pa.types.is_binary(kind) else _DDL[kind]


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with the columns of a schema: those that it lacks are null."""
    rows = table.num_rows
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
