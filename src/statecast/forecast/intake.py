"""What an observation is made of, read one at a time: values, times and covariates as people and programs write them.

Tables are read by the column in `data.checks`, by the same rules. Here everything is plain Python and small arrays,
since a stream reads one row in a few microseconds. Nothing is changed by reading: an error leaves the stream as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar, zones
from statecast.data.schema import Covariate, Schema
from statecast.errors import DataError, nearest

if TYPE_CHECKING:
    from jaxtyping import Float64

LARGEST = 1e18  # as for tables
EPOCH = datetime(1970, 1, 1)
MICROSECOND = zones.MICROSECOND
FLAG = ("false", "true")
_NUMBERS = (int, float, np.floating, np.integer)


def number(value: Any, name: str) -> float:
    """A number that a network can take; NaN for None and NaN.

    Raises:
        DataError: text, ±inf or more than 1e18.
    """
    if value is None:
        return np.nan
    if not isinstance(value, _NUMBERS):
        if not isinstance(value, np.ndarray) or value.size != 1 or value.dtype.kind not in "iufb":
            raise DataError(f"{name}: {value!r} is not a number: give a number, or None where it is missing")
        value = value.reshape(-1)[0]
    found = float(value)
    if -LARGEST <= found <= LARGEST or found != found:
        return found
    remedy = (
        "give None where it is missing" if found in (np.inf, -np.inf) else f"values beyond {LARGEST:g} need rescaling"
    )
    raise DataError(f"{name}: {found:g} cannot be used: {remedy}")


def numbers(values: Any, schema: Schema, series: str | int) -> list[float]:
    """The D target values of one row, from a scalar, a sequence in the targets' order, or a mapping by target.

    Raises:
        DataError: another count of values, or one that is no usable number.
    """
    target = schema.target
    if type(values) is float and len(target) == 1 and -LARGEST <= values <= LARGEST:
        return [values]
    if len(target) == 1 and (values is None or isinstance(values, (*_NUMBERS, str))):
        return [number(values, f"{target[0]} of series {series!r}")]
    if values is None:
        return [np.nan] * len(target)
    items = _items(values, target, f"the values of series {series!r}")
    return [number(item, f"{name} of series {series!r}") for name, item in zip(target, items, strict=True)]


def time(value: Any, schema: Schema) -> int:
    """A time as a Panel holds it, from a datetime, a date, a datetime64, ISO text or a whole number.

    Whole numbers are taken as they are: integer times, rows, or microseconds since 1970 where the table has dates. A
    datetime64 has no zone: where the table's times have one, it is UTC, as `Forecast.stamps` gives it.

    Raises:
        DataError: no time, or one with a zone where the table has none, or the other way round.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_, np.timedelta64)):
        return int(value)
    if schema.time_kind in ("integer", "row"):
        raise _no_time(value, "this model's times are whole numbers")
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise _no_time(value, "write it as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS") from None
    if isinstance(value, np.datetime64):
        if np.isnat(value):
            raise _no_time(value, "every row needs one")
        micros = int(value.astype("M8[us]").astype(np.int64))
    elif isinstance(value, datetime):
        if value != value:  # pandas.NaT
            raise _no_time(value, "every row needs one")
        if (value.tzinfo is None) != (schema.tz is None):
            came, wanted = ("without", f"in {schema.tz}") if schema.tz else ("with", "without one")
            raise _no_time(value, f"it comes {came} a time zone, and this model's times are {wanted}")
        micros = (value - (EPOCH if value.tzinfo is None else zones.EPOCH)) // MICROSECOND
    elif isinstance(value, date) and schema.tz is None:
        micros = (datetime(value.year, value.month, value.day) - EPOCH) // MICROSECOND
    else:
        raise _no_time(value, "give a datetime, a datetime64, ISO text or a whole number")
    return calendar.from_instant(micros, schema.frequency, schema.tz) if schema.tz else micros


def _no_time(value: Any, remedy: str) -> DataError:
    return DataError(f"time: {value!r} cannot be used: {remedy}")


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
    found = [feature for item, value in zip(items, values, strict=True) for feature in _features(item, value)]
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


def _features(item: Covariate, value: Any) -> list[float]:
    if item.kind == "numeric":
        return [number(value, item.name)]
    if value is None or value != value:
        return [np.nan] * len(item.categories)
    label = str(value)
    if item.categories == FLAG:
        label = {"0": "false", "1": "true"}.get(label, label.lower())
    if label not in item.categories:
        warnings.warn(
            f"{item.name}: the model has not seen the category {label!r}; it is treated as missing",
            UserWarning,
            stacklevel=2,
        )
        return [np.nan] * len(item.categories)
    return [float(label == category) for category in item.categories]
