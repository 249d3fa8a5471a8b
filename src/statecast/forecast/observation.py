"""What an observation is made of, read one at a time: values, times and covariates as people and programs write them.

Tables are read by the column in `data.checks`, by the same grammar (`data.values`). Here everything is plain Python and
small arrays, since a stream reads one row in a few microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from statecast.data import calendar
from statecast.data import values as data
from statecast.data.schema import Covariate, Schema
from statecast.data.values import FIRST_DAY, LARGEST, LAST_DAY, NUMBERS, RAW, described, number
from statecast.errors import DataError, nearest

if TYPE_CHECKING:
    from jaxtyping import Float64


def numbers(values: Any, schema: Schema, series: str | int) -> list[float]:
    """The D target values of one row, from a scalar, a sequence in the targets' order, or a mapping by target.

    Raises:
        DataError: another count of values, or one that is not a usable number.
    """
    target = schema.target
    if type(values) is float and len(target) == 1 and -LARGEST <= values <= LARGEST:
        return [values]
    if len(target) == 1 and (values is None or isinstance(values, (*NUMBERS, str, *RAW))):
        return [number(values, f"{target[0]} of series {series!r}")]
    if values is None:
        return [np.nan] * len(target)
    items = _items(values, target, f"the values of series {series!r}")
    return [number(item, f"{name} of series {series!r}") for name, item in zip(target, items, strict=True)]


def time(value: Any, schema: Schema, last: int | None = None) -> int:
    """A time as a Panel holds it: see `values.time`; a whole number is taken as it is, as in `Panel.time`.

    Raises:
        DataError: no time, or one with a zone where the table has none, or the other way round.
    """
    if type(value) in (int, np.int64) and schema.time_kind in ("date", "datetime") and FIRST_DAY <= value < LAST_DAY:
        return int(value)
    return data.time(value, schema, last)


def shown(value: int, schema: Schema) -> str:
    """A time for people to read."""
    stamp = calendar.to_datetime64(np.array([value]), schema.time_kind, schema.frequency, schema.tz)[0]
    text = str(stamp).replace("T", " ")
    return (text.removesuffix(".000000") + ("Z" if schema.tz else "")) if schema.time_kind == "datetime" else text


def covariates(items: Sequence[Covariate], row: Any, name: str) -> Float64[np.ndarray, " features"]:
    """The features of one row of covariates; NaN where missing.

    Args:
        items: the columns.
        row: a value for each column in turn, or a mapping by column; a category by its label; None: all are missing.
        name: what they are, for messages.

    Raises:
        DataError: a column is missing or not known, or its value cannot be used.
    """
    if row is None:
        return np.full(sum(len(item.features) for item in items), np.nan)
    values = _items(row, tuple(item.name for item in items), name)
    if all(item.kind == "numeric" for item in items):
        return np.array([number(value, item.name) for item, value in zip(items, values, strict=True)])
    return np.array([part for item, value in zip(items, values, strict=True) for part in data.features(item, value)])


class Features(NamedTuple):
    """Covariates that were read already, as `rows` gives them.

    Attributes:
        numbers: [rows, features], or [series, rows, features] of covariates known ahead.
    """

    numbers: Float64[np.ndarray, "*rows features"]


def rows(items: Sequence[Covariate], values: Any, name: str) -> Float64[np.ndarray, "n features"]:
    """The features of several rows: a sequence of what `covariates` takes, or a mapping from column to values.

    `Features` are taken as they are.

    Raises:
        DataError: as `covariates`, or the columns do not have as many values each.
    """
    if isinstance(values, Features):
        return values.numbers
    array = table(values, len(items), name) if all(item.kind == "numeric" for item in items) else None
    if array is not None:
        return array
    if isinstance(values, Mapping):
        names = tuple(item.name for item in items)
        columns = [
            listed(column, f"{name}: {key}") for key, column in zip(names, _items(values, names, name), strict=True)
        ]
        if len({len(column) for column in columns}) > 1:
            counts = ", ".join(str(len(column)) for column in columns)
            raise DataError(f"{name}: its columns have {counts} values: give as many each")
        values = list(zip(*columns, strict=True))
    features = [covariates(items, row, name) for row in listed(values, name)]
    return np.array(features).reshape(len(features), sum(len(item.features) for item in items))


def listed(values: Any, name: str) -> list[Any]:
    """The items of a sequence of rows.

    Raises:
        DataError: it is none.
    """
    if values is None or isinstance(values, (str, *RAW, Mapping, Set)) or not np.iterable(values):
        raise DataError(f"{name}: {described(values)} is not a sequence of rows: give one row for each step")
    return list(values)


def table(values: Any, columns: int, name: str) -> Float64[np.ndarray, "n columns"] | None:
    """An array of numbers as it is, checked as a whole; None for anything else, which is read row by row."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf" or values.shape[1:] != (columns,):
        return None
    numbers = np.ma.filled(values.astype(np.float64), np.nan)
    if not (np.abs(numbers) <= LARGEST)[~np.isnan(numbers)].all():
        number(numbers[(np.abs(numbers) > LARGEST) & ~np.isnan(numbers)][0], name)
    return numbers


def _items(row: Any, names: tuple[str, ...], name: str) -> list[Any]:
    """The values of a row in the order of its columns."""
    if isinstance(row, Mapping):
        strange = next((key for key in row if key not in names), None)
        if strange is not None:
            hint = nearest(strange, names) if isinstance(strange, str) else ""
            raise DataError(f"{name}: there is no column {described(strange)}; {hint}")
        lost = next((key for key in names if key not in row), None)
        if lost is not None:
            raise DataError(f"{name}: the column {lost!r} is not given: give it, or None where it is missing")
        return [row[key] for key in names]
    if isinstance(row, Set):
        raise DataError(f"{name}: {described(row)} has no order: give a list, or a mapping by column")
    values = [row] if isinstance(row, (str, *RAW)) or not np.iterable(row) else list(row)
    if len(values) != len(names):
        raise DataError(f"{name}: got {len(values)} values, expected {len(names)}: {', '.join(names)}")
    return values
