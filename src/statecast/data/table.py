"""Tables from files, data frames, arrays and mappings: named columns that become arrays when they are asked for.

A `Table` keeps what came in as it is and turns one column at a time into a NumPy array when it is asked for, so a
column without a role costs nothing and a long table is never held twice. Row names ("line 17" of a file, "row 15" of
a frame) are kept, so that an error can point.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from statecast.data import frames, lines, sources, timetext
from statecast.data.columns import Column, of_arrays
from statecast.data.frames import Native
from statecast.data.sources import Source
from statecast.data.timetext import NULLS
from statecast.data.values import number_of
from statecast.errors import DataError, nearest

if TYPE_CHECKING:
    from jaxtyping import Int64

_LOOKED_AT = 1000  # texts that tell whether a column holds dates


class Looks(NamedTuple):
    """What a column may be."""

    dates: bool  # it can only be dates or times
    numbers: bool  # it holds numbers; text that reads as numbers counts


class Table:
    """Named columns from any source; see `read`.

    Attributes:
        names: the columns, in order.
        rows: how many rows.
        origin: the file's name or "the frame", for messages.
        native: the kind of source, so that results come back as the same kind.
        default_target: the targets where no one names any: every column of an array.
        index: the column that was the index of a frame, if one was.
        reasons: what was found by looking at the source, and why: whether it has a header, and decimal commas.
    """

    def __init__(
        self,
        columns: Mapping[str, Any],
        origin: str,
        native: Native,
        lines: Int64[np.ndarray, " rows"] | None = None,
        first_line: int | None = None,
    ):
        self._columns, self._lines, self._first_line = columns, lines, first_line
        self.names: tuple[str, ...] = tuple(columns)
        self.rows: int = len(columns[self.names[0]]) if self.names else 0
        self.origin, self.native = origin, native
        self.default_target: tuple[str, ...] | None = None
        self.index: str | None = None
        self.reasons: dict[str, str] = {}

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
        self._require(name)
        return frames.column(partial(self.where, name), name, self._columns[name])

    def times(self, name: str, whole: bool = False, day_first: bool | None = None) -> Column:
        """A column of times: "datetime", "date", or "integer"; text is parsed.

        Args:
            name: the column.
            whole: whether texts state whole numbers, not dates.
            day_first: whether the day stands before the month, where that is known from an earlier table.

        Raises:
            DataError: text that is no time, mixed zones, or numbers that are not whole.
        """
        self._require(name)
        return frames.times(partial(self.where, name), name, self._columns, whole, day_first)

    def looks(self, name: str) -> Looks:
        """What a column may be, by its type and its first texts: most of it is not read."""
        kind, texts = frames.sampled(partial(self.where, name), name, self._columns)
        dates = kind == "time" or (bool(texts) and timetext.are_times(texts[:_LOOKED_AT]))
        known = [text for text in texts if text.strip() not in NULLS] if kind == "text" else []
        return Looks(dates, kind == "number" or (bool(known) and all(number_of(text) is not None for text in known)))

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._columns

    def frame(self) -> Any:
        """The source again: a frame, or a mapping of arrays for NumPy."""
        return self._columns.native if isinstance(self._columns, frames.FrameColumns) else dict(self._columns)

    def _require(self, name: str) -> None:
        if name not in self._columns:
            raise DataError(f"{self.origin} has no column {name!r}: {nearest(name, self.names)}")


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
        table = _of_file(sources.find(source, name))
    elif isinstance(source, (np.ndarray, Mapping)):
        origin = name or ("the array" if isinstance(source, np.ndarray) else "the mapping")
        table = Table(of_arrays(source, origin), origin, "numpy")
        table.default_target = table.names if isinstance(source, np.ndarray) else None
    else:
        origin = name or "the frame"
        columns, native = frames.columns(source, origin)
        table = Table(columns, origin, native)
        table.index = columns.index
    if not table.names or not table.rows:
        raise DataError(f"{table.origin} has no {'rows' if table.names else 'columns'}")
    return table


def _of_file(source: Source) -> Table:
    layout = lines.check(source.view(), source.origin, source.separator) if source.format == "csv" else None
    columns, native, commas = frames.read(source, layout)
    if layout is None:
        return Table(columns, source.origin, native)
    table = Table(columns, source.origin, native, layout.lines, first_line=1 + layout.headed)
    if not layout.headed:
        span = layout.names[0] + (f" to {layout.names[-1]}" if len(layout.names) > 1 else "")
        table.reasons["header"] = f"the first line of {source.origin} holds values, so its columns are called {span}"
    if commas:
        table.reasons["decimal"] = f"numbers of {source.origin} are written with a decimal comma, such as {commas}"
    return table
