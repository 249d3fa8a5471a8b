"""Files and data frames as columns of numbers, and back; with `columns` and `results` the only room that knows frames.

A `Table` keeps what came in as it is and turns one column at a time into a NumPy array when it is asked for, so a
column without a role costs nothing and a long table is never held twice. Text becomes codes and labels without a
Python object for each row. Row names ("line 17" of a file, "row 15" of a frame) are kept, so that an error can point.
"""

from __future__ import annotations

import gzip
import io
import mmap
import os
import sys
import zlib
from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import lines
from statecast.data.columns import Column, from_array, from_series, is_opaque, is_text, number, parsed, text_chunks
from statecast.data.results import SUFFIXES, Native, require_polars, to_native, write
from statecast.data.timetext import NULLS
from statecast.errors import DataError, nearest

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    from jaxtyping import Int64

__all__ = ["Column", "Native", "Table", "number", "read", "to_native", "write"]

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
        read_column = from_array if isinstance(source, np.ndarray) else from_series
        return read_column(partial(self.where, name), name, source)

    def times(self, name: str) -> Column:
        """A column of times: "datetime", "date", or "integer"; text is parsed.

        Raises:
            DataError: text that is no time, mixed zones, or numbers that are not whole.
        """
        source = self._source(name)
        if is_text(source):
            return parsed(partial(self.where, name), name, text_chunks(source))
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
        if is_text(source):
            values = [text for text in next(text_chunks(source), []) if text and text.strip() not in NULLS]
            return bool(values) and all(number(text) is not None for text in values)
        if is_opaque(source):
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
        table = _read_stdin(name) if str(source) == "-" else _read_file(Path(source), name)
    elif isinstance(source, np.ndarray):
        table = _read_array(source, name or "the array")
    elif isinstance(source, Mapping):
        table = _read_mapping(source, name or "the mapping")
    else:
        table = _read_frame(source, name or "the frame")
    if not table.names or not table.rows:
        raise DataError(f"{table.origin} has no {'rows' if table.names else 'columns'}")
    return table


def _read_file(path: Path, name: str | None) -> Table:
    origin = name or path.name
    if not path.exists():
        near = nearest(path.name, sorted(os.listdir(path.parent)), "did you mean") if path.parent.is_dir() else ""
        raise DataError(f"there is no file {path}{'; ' + near if near.startswith('did') else ''}")
    if path.is_dir():
        raise DataError(f"{path} is a folder: give a file, {SUFFIXES}")
    suffix = "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    try:
        if suffix == ".parquet":
            return _read_parquet(path, origin)
        if suffix.endswith((".csv", ".txt", ".tsv")):
            return _read_csv(path, origin, "\t" if suffix.endswith(".tsv") else None)
        if suffix.endswith((".csv.gz", ".tsv.gz")):
            return _read_csv(gzip.decompress(path.read_bytes()), origin, "\t" if ".tsv" in suffix else None)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    raise DataError(f"{path} is not a table that statecast reads: give {SUFFIXES}")


def _read_stdin(name: str | None) -> Table:
    data = sys.stdin.buffer.read()
    origin = name or "standard input"
    return _read_parquet(io.BytesIO(data), origin) if data[:4] == b"PAR1" else _read_csv(data, origin, None)


def _read_csv(source: Path | bytes, origin: str, separator: str | None) -> Table:
    layout = lines.check(source if isinstance(source, bytes) else _mapped(source), origin, separator)
    pl = require_polars(f"reading {origin}")
    frame = _parse_csv(pl, layout.body if layout.body is not None else source, layout.separator, origin)
    frame.columns = list(layout.names)
    return _of_polars(frame, origin, layout.lines, first_line=2)


def _parse_csv(pl: Any, source: Path | bytes, separator: str, origin: str) -> Any:
    """The cells; types come from the first rows, and from all of them where a later one does not fit: that is slow."""
    for rows in (_TYPED_ROWS, None):
        try:
            return pl.read_csv(source, separator=separator, null_values=sorted(NULLS), infer_schema_length=rows)
        except (pl.exceptions.PolarsError, ValueError) as error:
            if rows is None:
                raise DataError(f"{origin} cannot be read as CSV: {str(error).splitlines()[0]}") from error
    raise AssertionError("the last attempt returns or raises")


def _mapped(path: Path) -> memoryview | bytes:
    """The bytes of a file without copying them into memory; the mapping ends with the last view of it."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b""
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _read_parquet(source: Path | io.BytesIO, origin: str) -> Table:
    pl = require_polars(f"reading {origin}")
    try:
        frame = pl.read_parquet(source)
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise DataError(f"{origin} is not a sound Parquet file: {str(error).splitlines()[0]}") from error
    return _of_polars(frame, origin)


def _of_polars(
    frame: Any, origin: str, lines: Int64[np.ndarray, " rows"] | None = None, first_line: int | None = None
) -> Table:
    import narwhals.stable.v2 as nw

    wrapped = nw.from_native(frame, eager_only=True)
    return Table({name: wrapped[name] for name in wrapped.columns}, origin, "polars", lines, first_line)


def _read_array(array: np.ndarray, origin: str) -> Table:
    if array.ndim not in (1, 2):
        raise DataError(f"{origin} has the shape {array.shape}: give [T] for one target or [T, D] for several")
    columns = array[:, None] if array.ndim == 1 else array
    names = ["y"] if columns.shape[1] == 1 else [f"y{index + 1}" for index in range(columns.shape[1])]
    table = Table({name: columns[:, index] for index, name in enumerate(names)}, origin, "numpy")
    table.default_target = table.names
    return table


def _read_mapping(mapping: Mapping[Any, Any], origin: str) -> Table:
    columns = {str(name): _as_array(values) for name, values in mapping.items()}
    sizes = {name: array.shape for name, array in columns.items()}
    odd = next((name for name, shape in sizes.items() if len(shape) != 1 or shape != next(iter(sizes.values()))), None)
    if odd is not None:
        raise DataError(f"{origin}: column {odd!r} has the shape {sizes[odd]}; give columns [rows] of one length")
    return Table(columns, origin, "numpy")


def _as_array(values: Any) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return values
    items = list(values)
    mixed = any(item is None or isinstance(item, (str, bool, date)) for item in items)
    return np.array([*items, None], dtype=object)[:-1] if mixed else np.asarray(items)


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
