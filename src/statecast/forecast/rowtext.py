"""The rows of a live stream as text: JSON objects, one on a line, or lines of CSV after a header.

The first line tells which. Keys are the columns of the training table; other keys are passed over, as columns without a
role are in a table. A column that the model needs must be there: null, or an empty field, is how a value is missing.
Whatever a line holds, it is a row or a `DataError`, so that one line never ends a stream.
"""

from __future__ import annotations

import csv
import json
from typing import Any

from statecast.data import values
from statecast.data.schema import Schema
from statecast.data.tabular.decimals import DecimalComma
from statecast.data.timetext import NULLS
from statecast.errors import DataError
from statecast.forecast.wire import LiveRow, live_row, require_columns

SEPARATORS = (",", ";", "\t", "|")
LONGEST_LINE = 1 << 24  # bytes; more is not a row


class LineSplitter:
    """Splits chunks of bytes into lines, which end in a line feed, a carriage return, or both."""

    def __init__(self) -> None:
        self._rest, self._after_return, self._skips = b"", False, False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes; only the beginning of a line that is too long."""
        if self._after_return and chunk[:1] == b"\n":
            chunk = chunk[1:]
            self._after_return = False
        if chunk:
            self._after_return = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = (self._rest + chunk).split(b"\n")
        if lines and self._skips:
            del lines[0]
            self._skips = False
        if len(rest) > LONGEST_LINE:
            if not self._skips:
                lines.append(rest)
            rest, self._skips = b"", True
        self._rest = rest
        return lines

    def end(self) -> list[bytes]:
        """The last line, if nothing ended it."""
        return [self._rest] if self._rest and not self._skips else []


class RowReader:
    """Reads row after row.

    Attributes:
        started: whether it is known how rows are written.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema, self.started = schema, False
        self._header: list[str] | None = None
        self._separator = ","
        self._decimals = DecimalComma(",")
        covariates = (*schema.past, *schema.known, *schema.static)
        self._numeric = {*schema.target, *(item.name for item in covariates if item.kind == "numeric")}

    def read(self, line: bytes) -> LiveRow | None:
        """The row of a line; None for a blank line and for the header.

        Raises:
            DataError: it is not a row, or a column is missing.
        """
        if len(line) > LONGEST_LINE:
            raise DataError(f"a line of more than {LONGEST_LINE:,} bytes is not a row: end each row with a line break")
        try:
            text = line.decode("utf-8-sig").strip()  # files that were put together carry a mark each
        except UnicodeDecodeError as error:
            raise DataError(f"not UTF-8 text (byte {error.start + 1}): convert the rows to UTF-8") from error
        if not text:
            return None
        if not self.started and not text.startswith("{"):
            self._start(text)
            return None
        self.started = True
        return live_row(_object(text) if self._header is None else self._fields(text, self._header), self.schema)

    def _start(self, text: str) -> None:
        """Take the header of CSV rows."""
        for separator in SEPARATORS:
            names = [name.strip() for name in _split(text, separator)]
            if self.schema.target[0] in names:
                twice = next((name for name in names if names.count(name) > 1), None)
                if twice is not None:
                    raise DataError(f"the header names the column {twice!r} twice: give each a name of its own")
                require_columns(names, self.schema)
                self._header, self._separator, self.started = names, separator, True
                self._decimals = DecimalComma(separator)
                return
        columns = ", ".join(self.schema.columns)
        raise DataError(f"{text[:60]!r} is neither JSON nor a CSV header with the columns {columns}: begin with either")

    def _fields(self, text: str, header: list[str]) -> dict[str, Any]:
        fields = _split(text, self._separator)
        if len(fields) != len(header):
            raise DataError(f"{len(fields)} fields where the header has {len(header)}: correct the line")
        return {name: self._value(name, field.strip()) for name, field in zip(header, fields, strict=True)}

    def _value(self, name: str, text: str) -> Any:
        """A field as a value of its column."""
        if text in NULLS and name not in (self.schema.id, self.schema.time):
            return None
        return self._decimals.number_of(text) if name in self._numeric else text


def _split(text: str, separator: str) -> list[str]:
    """The fields of a line of CSV."""
    try:
        return next(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error as error:
        raise DataError(f"not CSV ({error}): correct the line") from error


def _object(text: str) -> dict[str, Any]:
    row = parsed(text)
    if isinstance(row, DataError):
        raise row
    if not isinstance(row, dict):
        raise not_an_object(text)
    return row


def not_an_object(text: str) -> DataError:
    """The error for JSON that is not a row."""
    return DataError(f'{text[:40]!r} is not a JSON object: give one for each row, such as {{"column": 1.5}}')


def parsed(text: str) -> Any:
    """JSON as Python has it; in place of an object with a key that comes twice stands the error that says so.

    Raises:
        DataError: it is not JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError as error:
        raise DataError("its JSON is nested too deeply: a row is one object") from error
    except ValueError as error:
        reason = "a number has too many digits" if "digits" in str(error) else str(error)
        raise DataError(f"not JSON ({reason}): give one object for each row") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any] | DataError:
    """An object without duplicate keys: which of two values counts must not be guessed."""
    row = dict(pairs)
    if len(row) == len(pairs):
        return row
    names = [name for name, _ in pairs]
    twice = next(name for n, name in enumerate(names) if name in names[:n])
    return DataError(f"the key {values.described(twice)} comes twice: give each column once")
