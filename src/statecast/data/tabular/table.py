"""Tables from files, data frames, arrays and mappings: named columns that become arrays when they are asked for.

A `Table` keeps what came in as it is and turns one column at a time into a NumPy array when it is asked for, so a
column without a role costs nothing and a long table is never held twice. Row names ("line 17" of a file, "row 15" of
a frame) are kept, so that an error can point.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from statecast.data import timetext
from statecast.data.tabular import frames, lines, sources
from statecast.data.tabular.columns import Clock, Column, of_arrays
from statecast.data.tabular.frames import Native
from statecast.data.tabular.lines import CsvLayout
from statecast.data.timetext import NULLS
from statecast.data.values import number_of
from statecast.errors import DataError, nearest

_LOOKED_AT = 1000  # strings that tell whether a column holds dates


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
        layout: CsvLayout | None = None,
    ):
        self._columns = columns
        self._lines = None if layout is None else layout.lines
        self._first_line = None if layout is None else 1 + layout.headed
        self.names: tuple[str, ...] = tuple(columns)
        self.rows: int = len(columns[self.names[0]]) if self.names else 0
        self.origin: str = origin
        self.native: Native = native
        self.default_target: tuple[str, ...] | None = None
        self.index: str | None = columns.index if isinstance(columns, frames.FrameColumns) else None
        self.reasons: dict[str, str] = {}

    def row(self, index: int) -> str:
        """The name of a row for messages: "line 17" of a file, "row 15" (from 0) of a frame."""
        if self._lines is not None:
            return f"line {self._lines[index]}"
        return f"row {index}" if self._first_line is None else f"line {index + self._first_line}"

    def where(self, name: str, index: int | None = None) -> str:
        """Where a value stands, for messages; without a row the column as a whole."""
        return f"{self.origin}, column {name!r}" + (f", {self.row(index)}" if index is not None else "")

    def column(self, name: str, clock: Clock | None = None) -> Column:
        """A column as an array.

        Args:
            name: the column.
            clock: how it states times, if it is a column of times: "datetime", "date" or "integer", text is parsed.

        Raises:
            DataError: no such column (the nearest names are given), or it holds neither numbers, text nor times; of
                times also text that is none, mixed zones, or numbers that are not whole.
        """
        if name not in self._columns:
            raise DataError(f"{self.origin} has no column {name!r}: {nearest(name, self.names)}")
        return frames.column(partial(self.where, name), name, self._columns, clock)

    def looks(self, name: str) -> Looks:
        """What a column may be, by its type and its first strings: most of it is not read."""
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
    layout, commas, columns = None, "", {}  # type: CsvLayout | None, str, Mapping[str, Any]
    if isinstance(source, (str, os.PathLike)):
        file = sources.find(source, name)
        origin = file.origin
        layout = lines.check(file.view(), origin, file.separator) if file.format == "csv" else None
        columns, native, commas = frames.read(file, layout)
    elif not isinstance(source, (np.ndarray, Mapping)):
        origin = name or "the frame"
        columns, native = frames.columns(source, origin)
    else:
        origin = name or ("the array" if isinstance(source, np.ndarray) else "the mapping")
        columns, native = of_arrays(source, origin), "numpy"
    table = Table(columns, origin, native, layout)
    table.default_target = table.names if isinstance(source, np.ndarray) else None
    if not table.names or not table.rows:
        raise DataError(f"{origin} has no {'rows' if table.names else 'columns'}")
    if layout and not layout.headed:
        span = layout.names[0] + (f" to {layout.names[-1]}" if len(layout.names) > 1 else "")
        table.reasons["header"] = f"the first line of {origin} holds values, so its columns are called {span}"
    if commas:
        table.reasons["decimal"] = f"numbers of {origin} are written with a decimal comma, such as {commas}"
    return table
