"""Dates and times written as text, read by the column.

A column of times is nearly always written in one way, so the way is found once: strings are grouped by their layout
(the text with each digit replaced by 0), the layout says where year, month and the rest stand, and the digits of all
its rows are read together as an array. Which of two numbers is the day is decided over the whole column, never row
by row. Text that fits no layout is an error with its row, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.zones import DAY, HOUR, MICROSECOND, canonical

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64, UInt32

MISSING = int(np.iinfo(np.int64).min)
NULLS = frozenset(["", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "None", "none", "?", "NaT", "<NA>"])
AMBIGUOUS = "day and month cannot be told apart: write dates as YYYY-MM-DD"
CONTRARY = "day and month stand the other way round than in the table of the fit: write dates as YYYY-MM-DD"
NO_TIME = "not a time: write it as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS"
NO_DAY = "no such day or time: write it as YYYY-MM-DD HH:MM:SS"
_CLOCK = (
    r"(?:(?:[T ]| +)(?P<hour>0{1,2}):(?P<minute>00)(?::(?P<second>00)(?:[.,](?P<fraction>0{1,9}))?)?"
    r" ?(?P<zone>Z|UTC|GMT|[+-]00(?::?00)?)?)?"
)
_LAYOUTS = (
    re.compile(r"(?P<year>0000)(?P<gap>[-/.])(?P<month>0{1,2})(?P=gap)(?P<day>0{1,2})" + _CLOCK),
    re.compile(r"(?P<year>0000)(?P<month>00)(?P<day>00)" + _CLOCK),
    re.compile(r"(?P<year>0000)[-/](?P<month>00)"),
    re.compile(r"(?P<first>0{1,2})(?P<gap>[-/.])(?P<last>0{1,2})(?P=gap)(?P<year>0000)" + _CLOCK),
)
_DIGIT = re.compile(r"[0-9]")
_NUMBERS = ("year", "month", "day", "first", "last", "hour", "minute", "second", "fraction")
_EPOCH = datetime(1970, 1, 1)


class Unreadable(Exception):
    """Text that is not a time: the row, the text, and what is wrong with it."""

    def __init__(self, row: int, text: str, reason: str):
        super().__init__(row, text, reason)
        self.row, self.text, self.reason = row, text, reason


@dataclass(frozen=True)
class Times:
    """A column of times.

    Attributes:
        values: microseconds, `MISSING` where there is none.
        dates: whether all are dates.
        tz: their zone.
        day_first: whether the day stands before the month; None where the year comes first.
    """

    values: Int64[np.ndarray, " rows"]
    dates: bool
    tz: str | None
    day_first: bool | None


@dataclass
class _Conventions:
    """What is learned from the whole column: its zone, and which number is the day if that is in doubt."""

    zone: str | None = None
    zoned: tuple[int, str] | None = None  # the first row that decided whether there is a zone
    dates: bool = True
    day_first: tuple[int, str] | None = None
    month_first: tuple[int, str] | None = None
    doubtful: tuple[int, str] | None = None


def parse(chunks: Iterable[Sequence[str | None]], day_first: bool | None = None) -> Times:
    """Read a column of times that arrives in chunks.

    Args:
        chunks: the strings.
        day_first: whether "1/2/2024" is the first of February, where that is known from an earlier table.

    Raises:
        Unreadable: a string is not a time, zones are mixed, or day and month cannot be told apart.
    """
    column, start = _Conventions(), 0
    parts: list[tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]] = []
    for chunk in chunks:
        parts.append(_chunk(chunk, start, column))
        start += len(chunk)
    if column.day_first and column.month_first:
        row, text = max(column.day_first, column.month_first)
        raise Unreadable(row, text, "day and month change places within the column: write dates as YYYY-MM-DD")
    contrary = column.month_first if day_first else column.day_first if day_first is not None else None
    if contrary:
        raise Unreadable(*contrary, CONTRARY)
    if column.day_first or column.month_first:
        day_first = column.month_first is None
    elif column.doubtful and day_first is None:
        raise Unreadable(*column.doubtful, AMBIGUOUS)
    values = np.concatenate([month if day_first is False else day for day, month in parts] or [np.empty(0, np.int64)])
    return Times(values, column.dates, column.zone, day_first if column.doubtful else None)


def single(text: str, day_first: bool | None = None) -> tuple[int, bool, bool]:
    """Read one time as `parse` would read a column of length one.

    Returns:
        Microseconds since 1970, of the instant where a zone is stated; whether one is; and whether it is a date alone.

    Raises:
        Unreadable: as in `parse`.
    """
    text = text.strip()
    match = _layout(_DIGIT.sub("0", text))
    if match is None:
        raise Unreadable(0, text, NO_TIME)
    numbers = {name: int(text[slice(*match.span(name))]) for name in _NUMBERS if match.groupdict().get(name)}
    if "first" in numbers:
        numbers["day"], numbers["month"] = _ordered(text, numbers.pop("first"), numbers.pop("last"), day_first)
    fraction = numbers.pop("fraction", 0)
    digits = len(match.groupdict().get("fraction") or "")
    try:
        moment = datetime(**{"day": 1, **numbers})  # type: ignore[arg-type]
    except ValueError:
        raise Unreadable(0, text, NO_DAY) from None
    micros = (moment - _EPOCH) // MICROSECOND + fraction * 10 ** max(6 - digits, 0) // 10 ** max(digits - 6, 0)
    zone = text[slice(*match.span("zone"))] if match.groupdict().get("zone") else ""
    if zone[:1] in ("+", "-"):
        shift = int(zone[1:3]) * HOUR + (int(zone[-2:]) * 60_000_000 if len(zone) > 3 else 0)
        micros -= -shift if zone[0] == "-" else shift
    return micros, bool(zone), "hour" not in numbers


def _ordered(text: str, first: int, last: int, day_first: bool | None) -> tuple[int, int]:
    """Day and month of a date that starts with one of them."""
    if first <= 12 and last <= 12 and day_first is None:
        raise Unreadable(0, text, AMBIGUOUS)
    evident = first > 12 if max(first, last) > 12 else day_first
    if day_first is not None and evident != day_first:
        raise Unreadable(0, text, CONTRARY)
    return (first, last) if evident else (last, first)


def _layout(text: str) -> re.Match[str] | None:
    return next((match for match in (form.fullmatch(text) for form in _LAYOUTS) if match), None)


def are_times(texts: Sequence[str | None]) -> bool:
    """Whether all strings that are not missing are times, regardless of the order of day and month."""
    if not any((text or "").strip() not in NULLS for text in texts):
        return False
    try:
        parse([texts])
    except Unreadable as error:
        return error.reason == AMBIGUOUS
    return True


def _chunk(
    texts: Sequence[str | None], start: int, column: _Conventions
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """The times of a chunk, read with the day first and with the month first; mostly one and the same array."""
    stripped = [(text or "").strip() for text in texts]
    clean = np.array(stripped, dtype=np.str_)
    codes = clean.view(np.uint32).reshape(len(clean), -1) if len(clean) else np.zeros((0, 1), np.uint32)
    todo = np.array([text not in NULLS for text in stripped], bool)
    day = month = np.full(len(clean), MISSING)
    while todo.any():
        head = int(np.argmax(todo))
        text = str(clean[head])
        layout = _DIGIT.sub("0", text)
        rows = np.flatnonzero(todo & _has_layout(codes, layout))
        match = _layout(layout)
        if match is None:
            raise Unreadable(start + head, text, NO_TIME)
        _note(column, match, text, start + head, codes[rows], start + rows, clean[rows])
        if "first" in match.groupdict():
            month = day.copy() if month is day else month
            orders = [(day, "last", "first"), (month, "first", "last")]
        else:
            orders = [(day, "month", "day")] if month is day else [(day, "month", "day"), (month, "month", "day")]
        for target, month_name, day_name in orders:
            values, valid = _read(codes[rows], match, month_name, day_name)
            if not valid.all() and (month_name in ("month", _order(column))):
                row = int(rows[np.argmin(valid)])
                raise Unreadable(start + row, str(clean[row]), NO_DAY)
            target[rows] = values
        todo[rows] = False
    return day, month


def _order(column: _Conventions) -> str | None:
    """Which of the two numbers is the month so far, so that "31/31/2020" is refused; None where both have to be."""
    if column.day_first and column.month_first:
        return None
    return "first" if column.month_first else "last"


def _has_layout(codes: UInt32[np.ndarray, "n width"], layout: str) -> Bool[np.ndarray, " n"]:
    valid = np.ones(len(codes), bool)
    for index in range(codes.shape[1]):
        code = codes[:, index]
        if index >= len(layout):
            valid &= code == 0
        elif layout[index] == "0":
            valid &= (code >= 48) & (code <= 57)
        else:
            valid &= code == ord(layout[index])
    return valid


def _number(codes: UInt32[np.ndarray, "n width"], span: tuple[int, int]) -> Int64[np.ndarray, " n"]:
    result = np.zeros(len(codes), np.int64)
    for index in range(*span):
        result = result * 10 + (codes[:, index].astype(np.int64) - 48)
    return result


def _read(
    codes: UInt32[np.ndarray, "n width"], match: re.Match[str], month_name: str, day_name: str
) -> tuple[Int64[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """The times of rows of one layout as the clock showed them, less their offset; and which of them exist."""
    parts = match.groupdict()

    def part(name: str, default: int = 0) -> Int64[np.ndarray, " n"]:
        return _number(codes, match.span(name)) if parts.get(name) else np.full(len(codes), default)

    month, day, hour, minute, second = part(month_name), part(day_name, 1), part("hour"), part("minute"), part("second")
    months = (part("year") - 1970) * 12 + np.clip(month, 1, 12) - 1
    first = months.astype("M8[M]").astype("M8[D]").astype(np.int64)
    days = (months + 1).astype("M8[M]").astype("M8[D]").astype(np.int64) - first
    valid = (
        (part("year") >= 1)
        & (month >= 1)
        & (month <= 12)
        & (day >= 1)
        & (day <= days)
        & (hour < 24)
        & (minute < 60)
        & (second < 60)
    )
    digits = len(parts.get("fraction") or "")
    fraction = part("fraction") * 10 ** max(6 - digits, 0) // 10 ** max(digits - 6, 0)
    clock = (first + day - 1) * DAY + hour * HOUR + minute * 60_000_000 + second * 1_000_000 + fraction
    return clock - _offset(codes, match), valid


def _offset(codes: UInt32[np.ndarray, "n width"], match: re.Match[str]) -> Int64[np.ndarray, " n"]:
    """What the stated offset is ahead of UTC, [n]; 0 where none is stated."""
    zone = match.groupdict().get("zone") or ""
    if zone[:1] not in ("+", "-"):
        return np.zeros(len(codes), np.int64)
    start, stop = match.span("zone")
    size = _number(codes, (start + 1, start + 3)) * 3600
    if stop - start > 3:
        size = size + _number(codes, (stop - 2, stop)) * 60
    return size * (-1_000_000 if zone[0] == "-" else 1_000_000)


def _note(
    column: _Conventions,
    match: re.Match[str],
    text: str,
    row: int,
    codes: UInt32[np.ndarray, "n width"],
    rows: Int64[np.ndarray, " n"],
    texts: Any,
) -> None:
    """Learn the zone and the order of day and month from the rows of one layout."""
    parts = match.groupdict()
    column.dates &= parts.get("hour") is None
    name = parts.get("zone")
    zone = canonical(text[slice(*match.span("zone"))]) if name else None
    offsets = _offset(codes, match)
    if name and (offsets != offsets[0]).any():
        other = int(np.argmax(offsets != offsets[0]))
        raise Unreadable(int(rows[other]), str(texts[other]), "time zones are mixed: write all times in UTC (…Z)")
    if column.zoned and zone != column.zone:
        mixed = "time zones are mixed" if zone and column.zone else "times with and without a time zone are mixed"
        raise Unreadable(row, text, f"{mixed}: write all times in UTC (…Z), or all without a zone")
    column.zone, column.zoned = zone, column.zoned or (row, text)
    if "first" in parts:
        for name, attribute in (("first", "day_first"), ("last", "month_first")):
            large = _number(codes, match.span(name)) > 12
            if large.any() and getattr(column, attribute) is None:
                at = int(np.argmax(large))
                setattr(column, attribute, (int(rows[at]), str(texts[at])))
        column.doubtful = column.doubtful or (row, text)
