"""One column of any source as a NumPy array, and how arrays and lists become one; data frames do so in `table`.

Text becomes codes and labels; labels are stripped, and texts that mean "missing" are missing. Times become int64
microseconds, aware ones as instants with the name of their zone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import numpy as np

from statecast.data import timetext, zones
from statecast.data.timetext import MISSING, NULLS
from statecast.errors import DataError

Kind = Literal["number", "integer", "flag", "text", "datetime", "date"]
Where = Callable[[int | None], str]  # from a row to "file, column 'x', line 17"; None: the column as a whole
WANTED = "statecast reads numbers, text, flags and times"


@dataclass(frozen=True, eq=False)
class Column:
    """One column as an array.

    Attributes:
        name: its name.
        kind: "number" (float64, NaN where missing), "integer" (int64), "flag" (false and true as 0.0 and 1.0),
            "text" (int64 codes into `labels`, -1 where missing), "datetime" or "date" (int64 microseconds).
        values: [rows].
        labels: the texts.
        tz: the zone of aware times; their values are instants.
    """

    name: str
    kind: Kind
    values: np.ndarray
    labels: tuple[str, ...] = ()
    tz: str | None = None


def number(text: str) -> float | None:
    """The number that a text states, or None; missing values are None as well."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def parsed(where: Where, name: str, chunks: Iterable[Sequence[str | None]]) -> Column:
    """A column of times from texts.

    Raises:
        DataError: a text is no time, zones are mixed, or day and month cannot be told apart.
    """
    try:
        times = timetext.parse(chunks)
    except timetext.Unreadable as error:
        raise DataError(f"{where(error.row)}: {error.text!r}: {error.reason}") from None
    return Column(name, "date" if times.dates else "datetime", times.values, tz=times.tz)


def labelled(name: str, codes: np.ndarray, labels: Sequence[str]) -> Column:
    """A text column from codes [rows] and their texts: labels are stripped, unique and never a sign for "missing"."""
    index: dict[str, int] = {}
    moved = [-1 if (text := label.strip()) in NULLS else index.setdefault(text, len(index)) for label in labels]
    values = np.array([*moved, -1], np.int64)[codes]  # a code of -1 takes the last entry
    return Column(name, "text", values, tuple(index))


def from_array(where: Where, name: str, array: np.ndarray) -> Column:
    """A NumPy column.

    Raises:
        DataError: it holds neither numbers, texts, flags nor times.
    """
    kind = array.dtype.kind
    if kind in "iu" and array.dtype != np.uint64:
        return Column(name, "integer", array.astype(np.int64))
    if kind in "iuf":
        return Column(name, "number", np.asarray(array, np.float64))
    if kind == "b":
        return Column(name, "flag", array.astype(np.float64))
    if kind == "M":
        days = np.datetime_data(array.dtype)[0] in "YMWD"
        return Column(name, "date" if days else "datetime", array.astype("M8[us]").astype(np.int64))
    if kind in "US":
        labels, codes = np.unique(array.astype(np.str_), return_inverse=True)
        return labelled(name, codes, labels.tolist())
    if kind == "O":
        return from_objects(where, name, array.tolist())
    raise DataError(f"{where(None)} holds {array.dtype}: {WANTED}")


def from_objects(where: Where, name: str, items: list[Any]) -> Column:
    """A column of Python objects, by what they are."""
    items = [None if item is None or (not isinstance(item, str) and item != item) else item for item in items]
    kinds = {type(item) for item in items if item is not None}
    if all(issubclass(kind, date) for kind in kinds) and kinds:
        return _from_dates(where, name, items)
    if kinds <= {bool, np.bool_} and kinds:
        return Column(name, "flag", np.array([np.nan if item is None else float(item) for item in items]))
    if not any(issubclass(kind, (str, bool, date)) for kind in kinds):
        try:
            return _from_numbers(name, items)
        except (TypeError, ValueError):
            pass
    index: dict[str, int] = {}
    codes = [-1 if item is None else index.setdefault(str(item), len(index)) for item in items]
    return labelled(name, np.array(codes, np.int64), list(index))


def _from_numbers(name: str, items: list[Any]) -> Column:
    if items and all(isinstance(item, (int, np.integer)) for item in items):
        with contextlib.suppress(OverflowError):
            return Column(name, "integer", np.array(items, np.int64))
    return Column(name, "number", np.array([np.nan if item is None else float(item) for item in items]))


def _from_dates(where: Where, name: str, items: list[Any]) -> Column:
    """Python's dates and datetimes; all with one zone, or all without."""
    values = np.full(len(items), MISSING)
    zone: tuple[str | None] | None = None
    dates = True
    for row, item in enumerate(items):
        if item is None:
            continue
        moment = item if isinstance(item, datetime) else datetime(item.year, item.month, item.day)
        dates &= moment is not item
        tz = None if moment.tzinfo is None else _zone_name(moment)
        if zone is not None and zone[0] != tz:
            mixed = "time zones are mixed" if tz and zone[0] else "times with and without a time zone are mixed"
            raise DataError(f"{where(row)}: {item}: {mixed}; give all in one zone, or all without")
        zone = (tz,)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        values[row] = (moment - zones.EPOCH) // zones.MICROSECOND
    return Column(name, "date" if dates else "datetime", values, tz=zone[0] if zone else None)


def _zone_name(moment: datetime) -> str:
    """The name of an aware moment's zone, or its offset where the zone has no name."""
    name = getattr(moment.tzinfo, "key", None) or getattr(moment.tzinfo, "zone", None)
    return zones.canonical(str(name or moment.strftime("%z")))


def of_array(array: np.ndarray, origin: str) -> dict[str, np.ndarray]:
    """The columns of an array [T] or [T, D]: "y", or "y1", "y2", ….

    Raises:
        DataError: it has another shape.
    """
    if array.ndim not in (1, 2):
        raise DataError(f"{origin} has the shape {array.shape}: give [T] for one target or [T, D] for several")
    columns = array[:, None] if array.ndim == 1 else array
    names = ["y"] if columns.shape[1] == 1 else [f"y{index + 1}" for index in range(columns.shape[1])]
    return {name: columns[:, index] for index, name in enumerate(names)}


def of_mapping(mapping: Mapping[Any, Any], origin: str) -> dict[str, np.ndarray]:
    """The columns of a mapping of names to sequences.

    Raises:
        DataError: they differ in length.
    """
    columns = {str(name): _as_array(values) for name, values in mapping.items()}
    sizes = {name: array.shape for name, array in columns.items()}
    odd = next((name for name, shape in sizes.items() if len(shape) != 1 or shape != next(iter(sizes.values()))), None)
    if odd is not None:
        raise DataError(f"{origin}: column {odd!r} has the shape {sizes[odd]}; give columns [rows] of one length")
    return columns


def _as_array(values: Any) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return values
    items = list(values)
    mixed = any(item is None or isinstance(item, (str, bool, date)) for item in items)
    return np.array([*items, None], dtype=object)[:-1] if mixed else np.asarray(items)
