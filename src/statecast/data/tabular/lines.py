"""Checks of a CSV file that fast readers skip, or report without a line number.

Works on the bytes alone, in blocks, with a few array operations each: is it text, is it UTF-8, does every record have
as many fields as the header, are the names unique. Fast readers pad short records and rename double columns silently;
here both are errors that name the line.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from statecast.data import timetext
from statecast.data.tabular.decimals import DECIMAL_COMMA
from statecast.data.timetext import NULLS
from statecast.data.values import number_of
from statecast.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Int64

Bytes = bytes | memoryview
_BLOCK = 1 << 23
_LOOKED_AT = 20  # records that tell the separator and the header
_SEPARATORS = (";", "\t", "|", ",")
_BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


@dataclass(frozen=True)
class CsvLayout:
    """How a sound CSV file is laid out.

    Attributes:
        names: the columns.
        separator: what stands between fields.
        headed: whether the first record names the columns.
        lines: the line of each record below the header, or None where they are the lines that follow each other.
        body: the bytes to read in place of the file's, or None where those can be read as they are.
    """

    names: tuple[str, ...]
    separator: str
    headed: bool
    lines: Int64[np.ndarray, " records"] | None
    body: bytes | None


def check(data: Bytes, origin: str, separator: str | None = None) -> CsvLayout:
    """Find the layout of a CSV file.

    Raises:
        DataError: empty, binary, not UTF-8, no rows, double names, or a record with too many or few fields.
    """
    _require_text(data, origin)
    converted = _with_line_feeds(data)
    data = data if converted is None else converted
    ends, newlines = _records(data, origin)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    blank = _blank(data, starts, ends)
    if blank.all():
        raise DataError(f"{origin} is empty: a header and rows were expected")
    top = int(np.argmin(blank))
    first = np.flatnonzero(~blank)[:_LOOKED_AT]
    head = [bytes(data[starts[n] : ends[n]]).decode("utf-8-sig").rstrip("\r") for n in first]
    separator = separator or _separator(head)
    cells = [_cells(record, separator) for record in head]
    headed = _is_header(head, cells)
    names = _names(cells[0], origin) if headed else tuple(f"column_{n + 1}" for n in range(len(cells[0])))
    keep = ~blank
    if len(names) == 1:  # a blank line is a missing value there, except at the end and before the header
        keep[top : len(blank) - int(np.argmin(blank[::-1]))] = True
    records = np.flatnonzero(keep)
    _require_fields(data, separator, starts[records], ends[records], len(names), newlines, origin)
    rows = records[int(headed) :]
    if not len(rows):
        raise DataError(f"{origin} has a header but no rows")
    lines = 1 + np.searchsorted(newlines, starts[rows])
    regular = bool((lines == np.arange(len(lines)) + 1 + headed).all())
    body = converted if keep.all() else _without(data, starts[~keep], ends[~keep])
    return CsvLayout(names, separator, headed, None if regular else lines, body)


def _with_line_feeds(data: Bytes) -> bytes | None:
    """The bytes with line feeds for carriage returns, if only these end lines, as in files of old spreadsheets."""
    start = bytes(data[:_BLOCK])
    if b"\n" in start or b"\r" not in start:
        return None
    whole = bytes(data)
    return None if b"\n" in whole else whole.replace(b"\r", b"\n")


def _without(data: Bytes, starts: Int64[np.ndarray, " n"], ends: Int64[np.ndarray, " n"]) -> bytes:
    """The bytes without these records."""
    pieces, last = [], 0
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        pieces.append(bytes(data[last:start]))
        last = end + 1
    return b"".join([*pieces, bytes(data[last:])])


def _require_text(data: Bytes, origin: str) -> None:
    if not len(data):
        raise DataError(f"{origin} is empty: a header and rows were expected")
    if bytes(data[:4]).startswith(_BYTE_ORDER_MARKS):
        raise DataError(f"{origin} is encoded as UTF-16 or UTF-32: save it as UTF-8")
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _BLOCK):
        block = bytes(data[start : start + _BLOCK])
        if b"\0" in block:
            raise DataError(f"{origin} is a binary file, not CSV text: give .csv, .csv.gz, .tsv or .parquet")
        try:
            decoder.decode(block, final=start + _BLOCK >= len(data))
        except UnicodeDecodeError as error:
            before = bytes(data[: start + max(error.start, 0)]).count(b"\n")
            byte = error.object[error.start]
            raise DataError(
                f"{origin}, line {before + 1} is not UTF-8 text (byte 0x{byte:02x}): save the file as UTF-8"
            ) from None


def _records(data: Bytes, origin: str) -> tuple[Int64[np.ndarray, " records"], Int64[np.ndarray, " lines"]]:
    """Where each record ends, and where each line ends: they differ where a quoted field holds line breaks."""
    ends, newlines, quoted = [], [], 0
    for start in range(0, len(data), _BLOCK):
        block = np.frombuffer(data[start : start + _BLOCK], np.uint8)
        at = np.flatnonzero(block == 10)
        newlines.append(at + start)
        quotes = np.flatnonzero(block == 34)
        if len(quotes) or quoted:
            at = at[(np.searchsorted(quotes, at) + quoted) % 2 == 0]
            quoted = (quoted + len(quotes)) % 2
        ends.append(at + start)
    if quoted:
        raise DataError(f'{origin} has an odd number of quotes ("): one that was opened is not closed')
    stops = np.concatenate(ends).astype(np.int64)
    if not len(stops) or stops[-1] != len(data) - 1:
        stops = np.append(stops, len(data))
    return stops, np.concatenate(newlines).astype(np.int64)


def _blank(data: Bytes, starts: Int64[np.ndarray, " n"], ends: Int64[np.ndarray, " n"]) -> np.ndarray:
    """Which records are empty except for a carriage return."""
    size = ends - starts
    blank: np.ndarray = size == 0
    for index in np.flatnonzero(size == 1):
        blank[index] = bytes(data[starts[index] : ends[index]]) == b"\r"
    return blank


def _separator(head: list[str]) -> str:
    """The separator that gives the first records the same number of fields, and the most; a comma if none does.

    Of two that do alike, the comma comes last: it is a decimal comma then.
    """
    present = [separator for separator in _SEPARATORS if separator in head[0]]
    counts = {separator: {len(_cells(record, separator)) for record in head} for separator in present}
    equal = [separator for separator in present if len(counts[separator]) == 1]
    if equal:
        return max(equal, key=lambda separator: max(counts[separator]))
    return max(reversed(_SEPARATORS), key=head[0].count)


def _cells(record: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([record], delimiter=separator), [""])]
    except csv.Error:  # a field of more than 131,072 characters
        return record.split(separator)


def _is_header(head: list[str], cells: list[list[str]]) -> bool:
    """Whether the first record is a header: it is unless all of its cells are values.

    Whole numbers may be names, such as years: they are if they are quoted, or stand above values that are written
    otherwise, in several columns.
    """
    first = cells[0]
    if not all(_is_value(cell) for cell in first):
        return True
    if not all(cell.isdigit() or not cell for cell in first) or len(set(first)) < len(first):
        return False
    return '"' in head[0] or (len(first) > 1 and not all(cell.isdigit() for record in cells[1:] for cell in record))


def _is_value(cell: str) -> bool:
    """Whether a cell is a number, a time or a sign for "missing" rather than a name."""
    if cell in NULLS or number_of(cell) is not None or re.match(DECIMAL_COMMA, cell):
        return True
    try:
        timetext.parse([[cell]])
    except timetext.Unreadable as error:
        return error.reason == timetext.AMBIGUOUS
    return True


def _names(cells: list[str], origin: str) -> tuple[str, ...]:
    names = [cell or f"column_{index + 1}" for index, cell in enumerate(cells)]
    if len(set(names)) < len(names):
        double = next(name for name, count in Counter(names).items() if count > 1)
        raise DataError(f"{origin} has two columns named {double!r}: give each column a name of its own")
    return tuple(names)


def _require_fields(
    data: Bytes,
    separator: str,
    starts: Int64[np.ndarray, " n"],
    ends: Int64[np.ndarray, " n"],
    fields: int,
    newlines: Int64[np.ndarray, " lines"],
    origin: str,
) -> None:
    """Check that every record has as many fields as the header."""
    before = np.zeros(len(ends), np.int64)  # separators up to the end of each record
    total, quoted, code = 0, 0, ord(separator)
    for start in range(0, len(data), _BLOCK):
        block = np.frombuffer(data[start : start + _BLOCK], np.uint8)
        at = np.flatnonzero(block == code)
        quotes = np.flatnonzero(block == 34)
        if len(quotes) or quoted:
            at = at[(np.searchsorted(quotes, at) + quoted) % 2 == 0]
            quoted = (quoted + len(quotes)) % 2
        low, high = np.searchsorted(ends, [start, start + len(block)])
        high = len(ends) if start + len(block) >= len(data) else high
        before[low:high] = total + np.searchsorted(at, ends[low:high] - start)
        total += len(at)
    counts = np.diff(before, prepend=0) + 1
    if (counts == fields).all():
        return
    record = int(np.argmax(counts != fields))
    line = 1 + int(np.searchsorted(newlines, starts[record]))
    text = bytes(data[starts[record] : ends[record]]).decode().strip()[:60]
    count = "1 field" if counts[record] == 1 else f"{counts[record]} fields"
    raise DataError(f"{origin}, line {line} has {count}, but the header has {fields}: {text!r}")
