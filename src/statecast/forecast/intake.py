"""What an observation is made of, read one at a time: values, times and covariates as people and programs write them.

Tables are read by the column in `data.checks`, by the same rules. Here everything is plain Python and small arrays,
since a stream reads one row in a few microseconds. Nothing is changed by reading: an error leaves the stream as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data import values as data
from statecast.data.schema import Covariate, Schema
from statecast.data.values import FIRST_DAY, LARGEST, LAST_DAY, NUMBERS, number
from statecast.errors import DataError, nearest

if TYPE_CHECKING:
    from jaxtyping import Float64


def numbers(values: Any, schema: Schema, series: str | int) -> list[float]:
    """The D target values of one row, from a scalar, a sequence in the targets' order, or a mapping by target.

    Raises:
        DataError: another count of values, or one that is no usable number.
    """
    target = schema.target
    if type(values) is float and len(target) == 1 and -LARGEST <= values <= LARGEST:
        return [values]
    if len(target) == 1 and (values is None or isinstance(values, (*NUMBERS, str))):
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
    found = calendar.to_datetime64(np.array([value]), schema.time_kind, schema.frequency, schema.tz)[0]
    text = str(found).replace("T", " ")
    return (text.removesuffix(".000000") + ("Z" if schema.tz else "")) if schema.time_kind == "datetime" else text


def covariates(items: Sequence[Covariate], row: Any, name: str) -> Float64[np.ndarray, " features"]:
    """The features of one row of covariates; NaN where missing.

    Args:
        items: the columns.
        row: a value for each column in turn, or a mapping by column; a category by its label; None: all are missing.
        name: what they are, for messages.

    Raises:
        DataError: a column is not given or not known, or its value cannot be used.
    """
    if row is None:
        return np.full(sum(len(item.features) for item in items), np.nan)
    values = _items(row, tuple(item.name for item in items), name)
    if all(item.kind == "numeric" for item in items):
        return np.array([number(value, item.name) for item, value in zip(items, values, strict=True)])
    found = [feature for item, value in zip(items, values, strict=True) for feature in data.features(item, value)]
    return np.array(found)


def rows(items: Sequence[Covariate], given: Any, name: str) -> Float64[np.ndarray, "n features"]:
    """The features of several rows: a sequence of what `covariates` takes, or a mapping from column to values."""
    found = table(given, len(items), name) if all(item.kind == "numeric" for item in items) else None
    if found is not None:
        return found
    if isinstance(given, Mapping):
        columns = [item.name for item in items]
        values = _items(given, tuple(columns), name)
        if len({len(value) for value in values}) > 1:
            raise DataError(
                f"{name}: its columns have {', '.join(str(len(v)) for v in values)} values: give as many each"
            )
        given = list(zip(*values, strict=True))
    if given is None or isinstance(given, str) or not np.iterable(given):
        raise DataError(f"{name}: {given!r} is not a sequence of rows: give one row for each step")
    read = [covariates(items, row, name) for row in given]
    return np.array(read).reshape(len(read), sum(len(item.features) for item in items))


def table(given: Any, columns: int, name: str) -> Float64[np.ndarray, "n columns"] | None:
    """An array of numbers as it is, checked as a whole; None for anything else, which is read row by row."""
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "iuf" or given.shape[1:] != (columns,):
        return None
    found = given.astype(np.float64)
    if not (np.abs(found) <= LARGEST)[~np.isnan(found)].all():
        number(found[(np.abs(found) > LARGEST) & ~np.isnan(found)][0], name)
    return found


def _items(row: Any, names: tuple[str, ...], name: str) -> list[Any]:
    """The values of a row in the order of its columns."""
    if isinstance(row, Mapping):
        strange = next((key for key in row if key not in names), None)
        if strange is not None:
            raise DataError(f"{name}: there is no column {strange!r}; {nearest(strange, names)}")
        lost = next((key for key in names if key not in row), None)
        if lost is not None:
            raise DataError(f"{name}: the column {lost!r} is not given: give it, or None where it is missing")
        return [row[key] for key in names]
    values = [row] if isinstance(row, str) or not np.iterable(row) else list(row)
    if len(values) != len(names):
        raise DataError(f"{name}: got {len(values)} values, wanted {len(names)}: {', '.join(names)}")
    return values
