"""Columns as NumPy arrays, made from arrays and lists; `frames` makes them from data frames.

Text becomes codes and labels; labels are stripped, and strings that mean "missing" are missing. Times become int64
microseconds, aware ones as instants with the name of their zone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from statecast.data import timetext, values
from statecast.data.timetext import MISSING, NULLS
from statecast.errors import DataError, WrongType

Kind = Literal["number", "integer", "flag", "text", "datetime", "date"]
Where = Callable[[int | None], str]  # from a row to "file, column 'x', line 17"; None: the column as a whole
Coded = tuple[np.ndarray, list[str]]  # codes [rows], -1 where missing, and the strings that they stand for
Texts = Iterator[list[str]]  # of a long column, a piece at a time; missing ones are empty
WANTED = "statecast reads numbers, text, flags and times"


@dataclass(frozen=True, eq=False)
class Column:
    """One column as an array.

    Attributes:
        name: its name.
        kind: "number" (float64, NaN where missing), "integer" (int64), "flag" (false and true as 0.0 and 1.0),
            "text" (int64 codes into `labels`, -1 where missing), "datetime" or "date" (int64 microseconds).
        values: [rows].
        labels: the strings.
        tz: the zone of aware times; their values are instants.
        day_first: of dates in text, whether the day stands before the month; None where the year comes first.
    """

    name: str
    kind: Kind
    values: np.ndarray
    labels: tuple[str, ...] = ()
    tz: str | None = None
    day_first: bool | None = None


@dataclass(frozen=True)
class Clock:
    """How strings state times.

    Attributes:
        whole: whether they are whole numbers, not dates.
        day_first: whether the day stands before the month, where that is known from an earlier table.
    """

    whole: bool = False
    day_first: bool | None = None


def _parsed(where: Where, name: str, chunks: Iterable[Sequence[str | None]], day_first: bool | None = None) -> Column:
    """A column of times from strings; see `timetext.parse`.

    Raises:
        DataError: a string is not a time, zones are mixed, or day and month cannot be told apart.
    """
    try:
        times = timetext.parse(chunks, day_first)
    except timetext.Unreadable as error:
        raise DataError(f"{where(error.row)}: {error.text!r}: {error.reason}") from None
    return Column(name, "date" if times.dates else "datetime", times.values, tz=times.tz, day_first=times.day_first)


def _times_of(where: Where, column: Column, clock: Clock) -> Column:
    """A column as times: "datetime", "date" or "integer".

    Args:
        where: names its rows.
        column: dates, strings, or whole numbers.
        clock: how strings state times.

    Raises:
        DataError: a value is not a time, zones are mixed, or a number is not whole.
    """
    if column.kind == "flag":
        raise DataError(f"{where(None)} holds true and false: times are dates or integers")
    if column.kind == "text" and not clock.whole:
        texts = np.array([*column.labels, None], dtype=object)[column.values].tolist()
        return _parsed(where, column.name, [texts], clock.day_first)
    if column.kind in ("date", "datetime"):
        return column
    numbers = _stated(where, column) if column.kind == "text" else column.values
    wrong = (numbers != np.floor(numbers)) | (np.abs(numbers) >= values.LATEST)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{where(row)}: {_no_time(numbers[row])}; times are dates or whole numbers below 2^62")
    return Column(column.name, "integer", numbers.astype(np.int64))


def _stated(where: Where, column: Column) -> np.ndarray:
    """Strings as whole numbers; NaN where they are missing. Anything else, such as a date, is an error."""
    stated = [values.whole(label) for label in column.labels]
    wrong = np.array([number is None for number in stated] + [False])[column.values]
    if wrong.any():
        row = int(np.argmax(wrong))
        text = column.labels[column.values[row]]
        raise DataError(f"{where(row)}: {text!r} is not a whole number, as the model's times are")
    numbers: np.ndarray = np.array([*(np.nan if number is None else float(number) for number in stated), np.nan])
    return np.asarray(numbers[column.values])


def _no_time(value: float) -> str:
    if value != value:
        return "a time is missing"
    return f"{value:g} is not a time" if abs(value) < values.LATEST else f"{value:g} is too large for a time"


def _labelled(where: Where, name: str, codes: np.ndarray, labels: Sequence[str]) -> Column:
    """A string column from codes [rows] and their strings: labels are stripped, unique and never a sign for "missing".

    Raises:
        DataError: a string holds half a character.
    """
    index: dict[str, int] = {}
    places = [-1 if (text := label.strip()) in NULLS else index.setdefault(text, len(index)) for label in labels]
    unsound = next((n for n, label in enumerate(labels) if not values.is_unicode(label)), None)
    if unsound is not None:
        row = int(np.argmax(codes == unsound))
        raise DataError(f"{where(row)}: {labels[unsound]!r} is not sound Unicode text: correct it")
    # A code of -1 takes the last entry.
    return Column(name, "text", np.array([*places, -1], np.int64)[codes], tuple(index))


def typed(where: Where, name: str, raw: Column | np.ndarray | Coded | Texts, clock: Clock | None = None) -> Column:
    """A column from an array, from codes and labels, or from strings that state times.

    Args:
        where: names its rows.
        name: of the column.
        raw: what it holds; a column as it is.
        clock: how it states times, if it is to be a column of times, see `Clock`.

    Raises:
        DataError: it holds neither numbers, strings, flags nor times; or a value is not a time, or zones are mixed.
    """
    if isinstance(raw, tuple):
        raw = _labelled(where, name, *raw)
    elif isinstance(raw, np.ndarray):
        raw = _from_array(where, name, raw)
    if isinstance(raw, Column):
        return _times_of(where, raw, clock) if clock else raw
    return _parsed(where, name, raw, clock.day_first if clock else None)


def _from_array(where: Where, name: str, array: np.ndarray) -> Column:
    """A NumPy column.

    Raises:
        DataError: it holds neither numbers, strings, flags nor times; `WrongType` where it is a list, say.
    """
    kind = array.dtype.kind
    if kind in "iu" and (array.dtype != np.uint64 or array.max(initial=0) < values.INT64):
        return Column(name, "integer", array.astype(np.int64))
    if kind in "iuf":
        return Column(name, "number", np.asarray(array, np.float64))
    if kind == "b":
        return Column(name, "flag", array.astype(np.float64))
    if kind == "M":
        days = np.datetime_data(array.dtype)[0] in "YMWD"
        micros = array.astype("M8[us]")
        _require_calendar(where, array.astype("M8[Y]").astype(np.int64) + 1970, np.isnat(array))
        return Column(name, "date" if days else "datetime", micros.astype(np.int64))
    if kind in "US":
        labels, codes = np.unique(array.astype(np.str_), return_inverse=True)
        return _labelled(where, name, codes, labels.tolist())
    if kind == "O":
        return _from_objects(where, name, array.tolist())
    raise DataError(f"{where(None)} holds {array.dtype}: {WANTED}")


def _require_calendar(where: Where, year: np.ndarray, missing: np.ndarray) -> None:
    wrong = ((year < 1) | (year > 9999)) & ~missing
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{where(row)}: a date of the year {year[row]}; dates lie between the years 1 and 9999")


def _from_objects(where: Where, name: str, items: list[Any]) -> Column:
    """A column of Python objects, by their types.

    Raises:
        WrongType: one is several, such as a list.
    """
    items = [item if type(item) in (str, int) or not values.is_missing(item) else None for item in items]
    kinds = {type(item) for item in items if item is not None}
    if kinds and all(values.is_moment(kind) for kind in kinds):
        return _from_moments(where, name, items)
    if kinds and kinds <= {bool, np.bool_}:
        return Column(name, "flag", np.array([np.nan if item is None else float(item) for item in items]))
    numbers = values.reals(items, kinds)
    if numbers is None:
        several = next((row for row, item in enumerate(items) if values.is_collection(item)), None)
        if several is not None:
            raise WrongType(f"{where(several)}: {values.described(items[several])} is not a single value; {WANTED}")
        codes, texts = values.labels(items)
        return _labelled(where, name, codes, texts)
    if items and all(isinstance(item, (int, np.integer)) for item in items):
        with contextlib.suppress(OverflowError):
            return Column(name, "integer", np.array(items, np.int64))
    return Column(name, "number", np.array(numbers, np.float64))


def _from_moments(where: Where, name: str, items: list[Any]) -> Column:
    """A column of dates and times, all in one zone or all without a zone."""
    moments = [None if item is None else values.moment(item) for item in items]
    first = next((moment for moment in moments if moment is not None), None)
    for row, moment in enumerate(moments):
        if moment is not None and first is not None and moment.tz != first.tz:
            mixed = "time zones are mixed" if moment.tz and first.tz else "times with and without a time zone are mixed"
            raise DataError(f"{where(row)}: {items[row]}: {mixed}; give all in one zone, or all without")
        if moment is not None and not values.FIRST_DAY <= moment.microseconds < values.LAST_DAY:
            raise DataError(f"{where(row)}: {items[row]}: dates lie between the years 1 and 9999")
    micros = np.array([MISSING if moment is None else moment.microseconds for moment in moments], np.int64)
    dates = all(moment is None or moment.is_date for moment in moments)
    return Column(name, "date" if dates else "datetime", micros, tz=first.tz if first else None)


def of_arrays(source: np.ndarray | Mapping[Any, Any], origin: str) -> dict[str, np.ndarray]:
    """The columns of an array [T] or [T, D], or of a mapping of names to sequences.

    Raises:
        DataError: an array has another shape, or the sequences differ in length.
    """
    return _of_array(source, origin) if isinstance(source, np.ndarray) else _of_mapping(source, origin)


def _filled(items: Any) -> Any:
    """A masked array of NumPy as a plain one, in which masked values are missing; anything else as it is."""
    if not isinstance(items, np.ma.MaskedArray):
        return items
    if not np.ma.is_masked(items):
        return items.data
    if items.dtype.kind in "biuf":
        return np.ma.filled(items.astype(np.float64), np.nan)
    return np.ma.filled(items.astype(object), None)


def _of_array(array: np.ndarray, origin: str) -> dict[str, np.ndarray]:
    """The columns of an array [T] or [T, D]: "y", or "y1", "y2", ….

    Raises:
        DataError: it has another shape.
    """
    if array.ndim not in (1, 2):
        raise DataError(f"{origin} has the shape {array.shape}: give [T] for one target or [T, D] for several")
    array = _filled(array)
    columns = array[:, None] if array.ndim == 1 else array
    names = ["y"] if columns.shape[1] == 1 else [f"y{index + 1}" for index in range(columns.shape[1])]
    return {name: columns[:, index] for index, name in enumerate(names)}


def _of_mapping(mapping: Mapping[Any, Any], origin: str) -> dict[str, np.ndarray]:
    """The columns of a mapping of names to sequences.

    Raises:
        DataError: they differ in length.
    """
    columns = {str(name): _as_array(_filled(items)) for name, items in mapping.items()}
    sizes = {name: array.shape for name, array in columns.items()}
    unequal = next(
        (name for name, shape in sizes.items() if len(shape) != 1 or shape != next(iter(sizes.values()))), None
    )
    if unequal is not None:
        raise DataError(
            f"{origin}: column {unequal!r} has the shape {sizes[unequal]}; give columns [rows] of one length"
        )
    return columns


def _as_array(column: Any) -> np.ndarray:
    if isinstance(column, np.ndarray):
        return column
    items = list(column)
    plain = all(isinstance(item, values.NUMBERS) and not isinstance(item, bool) for item in items)
    return np.asarray(items) if plain else np.array([*items, None], dtype=object)[:-1]
