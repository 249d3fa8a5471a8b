"""One column of any source as a NumPy array: what `table` turns series, arrays and lists into.

Text becomes codes and labels by the means of the library that holds it, so that no Python object is made for each row;
labels are stripped and texts that mean "missing" are missing. Times become int64 microseconds, aware ones as instants
with the name of their zone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from statecast.data import timetext, zones
from statecast.data.timetext import MISSING, NULLS
from statecast.errors import DataError

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

Kind = Literal["number", "integer", "flag", "text", "datetime", "date"]
Where = Callable[[int | None], str]  # from a row to "file, column 'x', line 17"; None: the column as a whole
_CHUNK = 1 << 16
_WANTED = "statecast reads numbers, text, flags and times"


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


def is_opaque(source: Any) -> bool:
    """Whether only the values themselves tell what a column holds."""
    if isinstance(source, np.ndarray):
        return bool(source.dtype.kind == "O")
    import narwhals.stable.v2 as nw

    return source.dtype in (nw.Object, nw.Unknown)


def is_text(source: Any) -> bool:
    """Whether a column holds plain texts."""
    if isinstance(source, np.ndarray):
        return source.dtype.kind in "US"
    import narwhals.stable.v2 as nw

    return bool(source.dtype == nw.String)


def text_chunks(source: Any) -> Iterator[list[str | None]]:
    """A text column as lists of a bounded length."""
    for start in range(0, len(source), _CHUNK):
        part = source[start : start + _CHUNK]
        yield part.astype(np.str_).tolist() if isinstance(source, np.ndarray) else part.fill_null("").to_list()


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


def from_series(where: Where, name: str, series: nw.Series[Any]) -> Column:
    """A column of a data frame.

    Raises:
        DataError: it holds neither numbers, texts, flags nor times.
    """
    import narwhals.stable.v2 as nw

    dtype = series.dtype
    if dtype.is_integer() and dtype not in (nw.UInt64, nw.Int128, nw.UInt128) and not series.is_null().any():
        return Column(name, "integer", np.ascontiguousarray(series.to_numpy(), np.int64))
    if dtype.is_numeric():
        return Column(name, "number", np.asarray(series.cast(nw.Float64).to_numpy(), np.float64))
    if dtype == nw.Boolean:
        return Column(name, "flag", np.asarray(series.cast(nw.Float64).to_numpy(), np.float64))
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        return _labelled(name, *_encoded(series))
    if dtype in (nw.Datetime, nw.Date):
        return _stamps(name, series)
    if is_opaque(series):
        return _from_objects(where, name, series.to_list())
    raise DataError(f"{where(None)} holds {dtype}: {_WANTED}")


def _stamps(name: str, series: nw.Series[Any]) -> Column:
    import narwhals.stable.v2 as nw

    missing = series.is_null().to_numpy()
    tz = getattr(series.dtype, "time_zone", None)
    kind: Kind = "date" if series.dtype == nw.Date else "datetime"
    if kind == "date":
        series = series.cast(nw.Datetime("us"))
    if missing.any():
        known = series.drop_nulls().dt.timestamp("us").to_numpy()
        values = np.full(len(missing), MISSING)
        values[~missing] = known
    else:
        values = np.asarray(series.dt.timestamp("us").to_numpy(), np.int64)
    return Column(name, kind, values, tz=zones.canonical(str(tz)) if tz else None)


def _encoded(series: nw.Series[Any]) -> tuple[np.ndarray, list[str]]:
    """Codes and labels of a text column, by the means of its library: no Python object for each row."""
    native = series.to_native()
    if series.implementation.is_polars():
        import polars as pl

        text = native.cast(pl.String)
        labels = text.unique().drop_nulls().sort()  # the order of `unique` changes from call to call
        codes = text.cast(pl.Enum(labels)).to_physical().cast(pl.Int64).fill_null(-1)
        return codes.to_numpy(), labels.to_list()
    if series.implementation.is_pandas_like():
        codes, labels = native.factorize()
        return np.asarray(codes, np.int64), [str(label) for label in labels]
    encoded = native.combine_chunks()
    if hasattr(encoded, "chunks"):  # a ChunkedArray where the library is old
        encoded = encoded.chunk(0) if encoded.num_chunks == 1 else encoded
    encoded = encoded if hasattr(encoded, "indices") else encoded.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(codes, np.int64), [str(label) for label in encoded.dictionary.to_pylist()]


def _labelled(name: str, codes: np.ndarray, labels: Sequence[str]) -> Column:
    """A text column whose labels are stripped, unique and never a sign for "missing"."""
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
        return _labelled(name, codes, labels.tolist())
    if kind == "O":
        return _from_objects(where, name, array.tolist())
    raise DataError(f"{where(None)} holds {array.dtype}: {_WANTED}")


def _from_objects(where: Where, name: str, items: list[Any]) -> Column:
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
    return _labelled(name, np.array(codes, np.int64), list(index))


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
