"""Files and data frames as columns of numbers, and back: the only room that knows data frames.

A `Table` keeps what came in as it is and turns one column at a time into a NumPy array when it is asked for, so a
column without a role costs nothing and a long table is never held twice. Text becomes codes and labels without a
Python object for each row. Row names ("line 17" of a file, "row 15" of a frame) are kept, so that an error can point.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from statecast.data import lines, sources, zones
from statecast.data.columns import (
    WANTED,
    Column,
    Kind,
    Where,
    from_array,
    from_objects,
    labelled,
    number,
    of_array,
    of_mapping,
    parsed,
)
from statecast.data.sources import Source
from statecast.data.timetext import MISSING, NULLS
from statecast.errors import DataError, MissingDependency, nearest

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    from jaxtyping import Int64

Native = Literal["polars", "pandas", "pyarrow", "numpy"]
_CHUNK = 1 << 16
_TYPED_ROWS = 10_000


class Table:
    """Named columns from any source; see `read`.

    Attributes:
        names: the columns, in order.
        rows: how many rows.
        origin: the file's name or "the frame", for messages.
        native: the kind of source, so that results come back as the same kind.
        default_target: the targets where no one names any: every column of an array.
    """

    def __init__(
        self,
        columns: Mapping[str, Any],
        origin: str,
        native: Native,
        lines: Int64[np.ndarray, " rows"] | None = None,
        first_line: int | None = None,
    ):
        self._columns, self._lines, self._first_line = dict(columns), lines, first_line
        self.names: tuple[str, ...] = tuple(self._columns)
        self.rows: int = len(next(iter(self._columns.values()))) if self._columns else 0
        self.origin, self.native = origin, native
        self.default_target: tuple[str, ...] | None = None

    def row(self, index: int) -> str:
        """The name of a row for messages: "line 17" of a file, "row 15" (from 0) of a frame."""
        if self._lines is not None:
            return f"line {self._lines[index]}"
        return f"row {index}" if self._first_line is None else f"line {index + self._first_line}"

    def where(self, name: str, index: int | None = None) -> str:
        """Where a value stands, for messages; without a row the column as a whole."""
        return f"{self.origin}, column {name!r}" + (f", {self.row(index)}" if index is not None else "")

    def column(self, name: str) -> Column:
        """A column as an array.

        Raises:
            DataError: no such column (the nearest names are given), or it holds neither numbers, text nor times.
        """
        source = self._source(name)
        read_column = from_array if isinstance(source, np.ndarray) else _from_series
        return read_column(partial(self.where, name), name, source)

    def times(self, name: str) -> Column:
        """A column of times: "datetime", "date", or "integer"; text is parsed.

        Raises:
            DataError: text that is no time, mixed zones, or numbers that are not whole.
        """
        source = self._source(name)
        if _is_text(source):
            return parsed(partial(self.where, name), name, _text_chunks(source))
        column = self.column(name)
        if column.kind == "text":
            texts = np.array([*column.labels, None], dtype=object)[column.values]
            return parsed(partial(self.where, name), name, [texts.tolist()])
        if column.kind == "number":
            return self._whole(column)
        if column.kind == "flag":
            raise DataError(f"{self.where(name)} holds true and false: times are dates or integers")
        return column

    def _whole(self, column: Column) -> Column:
        bad = np.flatnonzero(column.values % 1 != 0)
        if len(bad):
            value = column.values[bad[0]]
            what = "a time is missing" if np.isnan(value) else f"{value:g} is no time"
            raise DataError(f"{self.where(column.name, int(bad[0]))}: {what}; times are dates or whole numbers")
        return Column(column.name, "integer", column.values.astype(np.int64))

    def numeric(self, name: str) -> bool:
        """Whether a column holds numbers (text that reads as numbers counts), without reading most of it."""
        source = self._source(name)
        if _is_text(source):
            values = [text for text in next(_text_chunks(source), []) if text and text.strip() not in NULLS]
            return bool(values) and all(number(text) is not None for text in values)
        if _is_opaque(source):
            return self.column(name).kind in ("number", "integer")
        return source.dtype.kind in "iuf" if isinstance(source, np.ndarray) else source.dtype.is_numeric()

    def frame(self) -> Any:
        """The source again: a frame, or a mapping of arrays for NumPy."""
        if any(isinstance(source, np.ndarray) for source in self._columns.values()):
            return dict(self._columns)
        import narwhals.stable.v2 as nw

        return nw.from_dict(self._columns).to_native()

    def _source(self, name: str) -> Any:
        if name not in self._columns:
            hint = nearest(name, self.names)
            raise DataError(f"{self.origin} has no column {name!r}: {hint}")
        return self._columns[name]


def read(source: Any, name: str | None = None) -> Table:
    """A table from anything that holds one.

    Args:
        source: the path of a CSV or Parquet file, "-" for standard input, a pandas, polars or pyarrow frame, an array
            [T] or [T, D] (columns "y", or "y1", "y2", …), a mapping of names to sequences, or a Table.
        name: what to call the source in messages.

    Raises:
        DataError: it cannot be read, or has no rows.
        MissingDependency: a file needs polars.
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, (str, os.PathLike)):
        found = sources.find(source, name)
        table = _read_parquet(found) if found.format == "parquet" else _read_csv(found)
    elif isinstance(source, np.ndarray):
        origin = name or "the array"
        table = Table(of_array(source, origin), origin, "numpy")
        table.default_target = table.names
    elif isinstance(source, Mapping):
        origin = name or "the mapping"
        table = Table(of_mapping(source, origin), origin, "numpy")
    else:
        table = _read_frame(source, name or "the frame")
    if not table.names or not table.rows:
        raise DataError(f"{table.origin} has no {'rows' if table.names else 'columns'}")
    return table


def _read_csv(source: Source) -> Table:
    layout = lines.check(source.view(), source.origin, source.separator)
    body = source.content if layout.body is None else layout.body
    frame = _parse_csv(body, layout.separator, source.origin)
    frame.columns = list(layout.names)
    return _of_polars(frame, source.origin, layout.lines, first_line=2)


def _parse_csv(body: Any, separator: str, origin: str) -> Any:
    """The cells; types come from the first rows, and from all of them where a later one does not fit: that is slow."""
    pl = _require_polars(f"reading {origin}")
    for rows in (_TYPED_ROWS, None):
        try:
            return pl.read_csv(body, separator=separator, null_values=sorted(NULLS), infer_schema_length=rows)
        except (pl.exceptions.PolarsError, ValueError) as error:
            if rows is None:
                raise DataError(f"{origin} cannot be read as CSV: {str(error).splitlines()[0]}") from error
    raise AssertionError("the last attempt returns or raises")


def _read_parquet(source: Source) -> Table:
    pl = _require_polars(f"reading {source.origin}")
    try:
        frame = pl.read_parquet(io.BytesIO(source.content) if isinstance(source.content, bytes) else source.content)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise DataError(f"{source.origin} is not a sound Parquet file: {str(error).splitlines()[0]}") from error
    return _of_polars(frame, source.origin)


def _of_polars(
    frame: Any, origin: str, lines: Int64[np.ndarray, " rows"] | None = None, first_line: int | None = None
) -> Table:
    import narwhals.stable.v2 as nw

    wrapped = nw.from_native(frame, eager_only=True)
    return Table({name: wrapped[name] for name in wrapped.columns}, origin, "polars", lines, first_line)


def _read_frame(source: Any, origin: str) -> Table:
    import narwhals.stable.v2 as nw

    try:
        native = nw.from_native(source, allow_series=True)
    except TypeError:
        raise DataError(
            f"a table cannot be made of {type(source).__name__!r}: give a path, a pandas, polars or pyarrow frame, "
            "a NumPy array, or a mapping of names to columns"
        ) from None
    if isinstance(native, nw.LazyFrame):
        native = native.collect()
    frame = native.alias(native.name or "y").to_frame() if isinstance(native, nw.Series) else native
    if frame.implementation.is_pandas_like():
        frame = _with_index(frame)
    names = [str(name) for name in frame.columns]
    kind = str(frame.implementation).rpartition(".")[2].lower()
    kept: Any = kind if kind in ("polars", "pandas", "pyarrow") else "numpy"
    return Table({name: frame[column] for name, column in zip(names, frame.columns, strict=True)}, origin, kept)


def _with_index(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """A pandas index that has names is columns too: that is where pandas users keep times and ids."""
    import narwhals.stable.v2 as nw

    native = frame.to_native()
    names = [str(name) for name in native.index.names if name is not None and name not in native.columns]
    return nw.from_native(native.reset_index(level=names), eager_only=True) if names else frame


def _is_opaque(source: Any) -> bool:
    """Whether only the values themselves tell what a column holds."""
    if isinstance(source, np.ndarray):
        return bool(source.dtype.kind == "O")
    import narwhals.stable.v2 as nw

    return source.dtype in (nw.Object, nw.Unknown)


def _is_text(source: Any) -> bool:
    if isinstance(source, np.ndarray):
        return source.dtype.kind in "US"
    import narwhals.stable.v2 as nw

    return bool(source.dtype == nw.String)


def _text_chunks(source: Any) -> Iterator[list[str]]:
    """A text column as lists of a bounded length, missing ones empty."""
    for start in range(0, len(source), _CHUNK):
        part = source[start : start + _CHUNK]
        yield part.astype(np.str_).tolist() if isinstance(source, np.ndarray) else part.fill_null("").to_list()


def _from_series(where: Where, name: str, series: nw.Series[Any]) -> Column:
    """A column of a data frame as an array."""
    import narwhals.stable.v2 as nw

    dtype = series.dtype
    if dtype.is_integer() and dtype not in (nw.UInt64, nw.Int128, nw.UInt128) and not series.is_null().any():
        return Column(name, "integer", np.ascontiguousarray(series.to_numpy(), np.int64))
    if dtype.is_numeric():
        return Column(name, "number", np.asarray(series.cast(nw.Float64).to_numpy(), np.float64))
    if dtype == nw.Boolean:
        return Column(name, "flag", np.asarray(series.cast(nw.Float64).to_numpy(), np.float64))
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        return labelled(name, *_encoded(series))
    if dtype in (nw.Datetime, nw.Date):
        return _stamps(name, series)
    if _is_opaque(series):
        return from_objects(where, name, series.to_list())
    raise DataError(f"{where(None)} holds {dtype}: {WANTED}")


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


def _require_polars(purpose: str) -> Any:
    try:
        import polars as pl
    except ImportError as error:
        raise MissingDependency.of("polars", "tables", purpose) from error
    return pl


def to_native(columns: Mapping[str, np.ndarray], native: Native, tz: str | None = None) -> Any:
    """Columns as a frame of the library that the data came in.

    Args:
        columns: numbers, datetime64 and texts (object arrays), all [rows].
        native: the library; "numpy" gives a mapping of arrays.
        tz: the zone to show datetime64 columns in; they then hold UTC instants.
    """
    if native == "polars":
        return _to_polars(columns, tz)
    if native == "pandas":
        return _to_pandas(columns, tz)
    if native == "pyarrow":
        return _to_pyarrow(columns, tz)
    return dict(columns)


def _is_stamp(values: np.ndarray) -> bool:
    return values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] != "D"


def _to_polars(columns: Mapping[str, np.ndarray], tz: str | None) -> Any:
    pl = _require_polars("a polars frame")
    zone = tz if tz is None or tz[0] not in "+-" else "UTC"  # polars knows no fixed offset of half an hour
    series = []
    for name, values in columns.items():
        if values.dtype.kind in "OU":
            column = pl.Series(name, values.tolist(), dtype=pl.String)
        elif values.dtype.kind == "M":
            unit = "D" if not _is_stamp(values) else "us"
            column = pl.Series(name, np.ascontiguousarray(values, f"M8[{unit}]"))
        else:
            column = pl.Series(name, np.ascontiguousarray(values), nan_to_null=values.dtype.kind == "f")
        if zone and _is_stamp(values):
            column = column.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        series.append(column)
    return pl.DataFrame(series)


def _to_pandas(columns: Mapping[str, np.ndarray], tz: str | None) -> Any:
    import pandas as pd

    frame = {}
    for name, values in columns.items():
        column = values.astype("M8[s]") if values.dtype.kind == "M" and not _is_stamp(values) else values
        zoned = bool(tz) and _is_stamp(values)
        zone = f"UTC{tz}" if tz and tz[0] in "+-" else tz
        frame[name] = pd.DatetimeIndex(column).tz_localize("UTC").tz_convert(zone) if zoned else column
    return pd.DataFrame(frame)


def _to_pyarrow(columns: Mapping[str, np.ndarray], tz: str | None) -> Any:
    import pyarrow as pa

    frame = {}
    for name, values in columns.items():
        kind = pa.timestamp("us", tz) if tz and _is_stamp(values) else None
        frame[name] = pa.array(values, type=kind, from_pandas=values.dtype.kind in "fO")
    return pa.table(frame)
