"""What is wrong with a CSV file before anyone reads it: the checks that readers skip or report without a line.

Works on the bytes alone, in blocks, with a few array operations each: is it text, is it UTF-8, does every record have
as many fields as the header, are the names unique. Fast readers pad short records and rename double columns silently;
here both are errors that name the line.
"""

from __future__ import annotations

import codecs
import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from statecast.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Int64

Bytes = bytes | memoryview
_BLOCK = 1 << 23
_BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


@dataclass(frozen=True)
class CsvLayout:
    """How a sound CSV file is laid out.

    Attributes:
        names: the columns.
        separator: what stands between fields.
        lines: the line of each record below the header, or None where record i is line i + 2.
        body: the bytes without blank lines, or None where the bytes can be read as they are.
    """

    names: tuple[str, ...]
    separator: str
    lines: Int64[np.ndarray, " records"] | None
    body: bytes | None


def check(data: Bytes, origin: str, separator: str | None = None) -> CsvLayout:
    """Find the layout of a CSV file.

    Raises:
        DataError: empty, binary, not UTF-8, no rows, double names, or a record with too many or few fields.
    """
    _require_text(data, origin)
    ends, newlines = _records(data, origin)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    blank = _blank(data, starts, ends)
    if blank.all():
        raise DataError(f"{origin} is empty: a header and rows were expected")
    top = int(np.argmin(blank))
    header = bytes(data[starts[top] : ends[top]]).decode("utf-8-sig")
    separator = separator or _separator(header)
    names = _names(header, separator, origin)
    keep = ~blank
    if len(names) == 1:  # a blank line is a missing value there, except at the end and before the header
        keep[top : len(blank) - int(np.argmin(blank[::-1]))] = True
    kept = np.flatnonzero(keep)
    _require_fields(data, separator, starts[kept], ends[kept], len(names), newlines, origin)
    if len(kept) == 1:
        raise DataError(f"{origin} has a header but no rows")
    lines = 1 + np.searchsorted(newlines, starts[kept[1:]])
    regular = bool((lines == np.arange(2, len(lines) + 2)).all())
    body = None if keep.all() else _without(data, starts[~keep], ends[~keep])
    return CsvLayout(names, separator, None if regular else lines, body)


def _without(data: Bytes, starts: Int64[np.ndarray, " n"], ends: Int64[np.ndarray, " n"]) -> bytes:
    """The bytes but for these records."""
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
    found = np.concatenate(ends).astype(np.int64)
    if not len(found) or found[-1] != len(data) - 1:
        found = np.append(found, len(data))
    return found, np.concatenate(newlines).astype(np.int64)


def _blank(data: Bytes, starts: Int64[np.ndarray, " n"], ends: Int64[np.ndarray, " n"]) -> np.ndarray:
    """Which records hold nothing, or nothing but a carriage return."""
    size = ends - starts
    blank: np.ndarray = size == 0
    for index in np.flatnonzero(size == 1):
        blank[index] = bytes(data[starts[index] : ends[index]]) == b"\r"
    return blank


def _separator(header: str) -> str:
    """The likeliest separator: the one that the header has most of; a comma where it has none."""
    return max(",;\t|", key=header.count)


def _names(header: str, separator: str, origin: str) -> tuple[str, ...]:
    cells = [cell.strip() for cell in next(csv.reader([header.rstrip("\r")], delimiter=separator))]
    if all(_is_number(cell) for cell in cells) and not all(cell.isdigit() for cell in cells):
        raise DataError(
            f"{origin} has no header: its first line holds numbers ({header.strip()[:40]}); add column names"
        )
    names = [cell or f"column_{index + 1}" for index, cell in enumerate(cells)]
    double = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if double is not None:
        raise DataError(f"{origin} has two columns named {double!r}: give each column a name of its own")
    return tuple(names)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _require_fields(
    data: Bytes,
    separator: str,
    starts: Int64[np.ndarray, " n"],
    ends: Int64[np.ndarray, " n"],
    fields: int,
    newlines: Int64[np.ndarray, " lines"],
    origin: str,
) -> None:
    """Every record has as many fields as the header."""
    seen = np.zeros(len(ends), np.int64)  # separators up to the end of each record
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
        seen[low:high] = total + np.searchsorted(at, ends[low:high] - start)
        total += len(at)
    counts = np.diff(seen, prepend=0) + 1
    if (counts == fields).all():
        return
    bad = int(np.argmax(counts != fields))
    line = 1 + int(np.searchsorted(newlines, starts[bad]))
    text = bytes(data[starts[bad] : ends[bad]]).decode().strip()[:60]
    raise DataError(
        f"{origin}, line {line} has {counts[bad]} field{'s' if counts[bad] != 1 else ''}, but the header has {fields}: "
        f"{text!r}"
    )
