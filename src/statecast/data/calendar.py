"""Frequencies and the times of their steps, past and future.

Time is int64 everywhere: microseconds for dates and times, plain numbers for integer and row times. A `Frequency` says
what one step is. Steps finer than a month are a fixed number of microseconds, months and business days are counted by
the calendar, and that difference is known here alone. Times of a day or coarser are readings of the wall clock and
finer ones are instants (see `zones`), so that both stay regular when clocks change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from statecast.data import business, zones
from statecast.data.business import BusinessDays
from statecast.data.zones import DAY, HOUR
from statecast.errors import SettingError, nearest

if TYPE_CHECKING:
    from jaxtyping import Int64

TimeKind = Literal["datetime", "date", "integer", "row"]
SECOND, MINUTE, WEEK = 1_000_000, 60_000_000, 7 * DAY
MONDAY = 4 * DAY  # 1970-01-01 was a Thursday
_TEXT = re.compile(r"\s*(\d*)\s*([A-Za-z]*)(?:-[A-Za-z]{3})?\s*")
_FIXED = {"w": WEEK, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1000, "us": 1}
_MONTHS = {"y": 12, "q": 3, "mo": 1}
# What pandas and polars call them; the case matters there ("m" is a minute, "M" a month), so it does here.
_ALIASES = {
    "W": "w", "week": "w", "weeks": "w", "D": "d", "day": "d", "days": "d", "H": "h", "hour": "h", "hours": "h",
    "T": "m", "min": "m", "minute": "m", "minutes": "m", "S": "s", "sec": "s", "second": "s", "seconds": "s",
    "L": "ms", "U": "us", "MS": "mo", "month": "mo", "months": "mo", "M": "me", "ME": "me", "QS": "q", "quarter": "q",
    "Q": "qe", "QE": "qe", "YS": "y", "AS": "y", "year": "y", "years": "y", "Y": "ye", "YE": "ye", "A": "ye",
}  # fmt: skip


@dataclass(frozen=True)
class Frequency:
    """What one step is.

    Attributes:
        unit: "us" (microseconds), "month", "business" (days), or "step" (integer and row times).
        count: how many of them.
        month_end: months end on their last day, whatever its number.
        days: which days are business days; only where the unit is these.
    """

    unit: Literal["step", "us", "month", "business"]
    count: int
    month_end: bool = False
    days: BusinessDays | None = None

    @classmethod
    def parse(cls, text: str) -> Frequency:
        """From "15m", "1h", "1d", "1w", "1mo", "1q", "1y", "1" (integer steps), or pandas' names for them.

        Business days are "B", with the days of another week "B:Sun-Thu" or "B:Mon,Wed,Fri"; "C" in place of "B" passes
        over holidays as well, whose dates come with `closing`.

        Raises:
            SettingError: no such frequency.
        """
        if (days := business.parse(text)) is not None:
            return cls("business", days[0], days=days[1])
        match = _TEXT.fullmatch(text)
        count = int(match[1] or 1) if match else 0
        unit = _ALIASES.get(match[2], match[2]) if match else ""
        end = unit in ("me", "qe", "ye")
        months = {"me": "mo"}.get(unit, unit[:-1]) if end else unit
        if match and count > 0 and (match[1] or unit):
            if unit == "":
                return cls("step", count)
            if unit in _FIXED:
                return cls("us", count * _FIXED[unit])
            if months in _MONTHS:
                return cls("month", count * _MONTHS[months], end)
        known = [*_FIXED, *_MONTHS, "me", "qe", "ye", "B", "C"]
        hint = nearest(unit, known) if match and unit and unit not in known else ""
        raise SettingError(
            f"freq={text!r} is not a frequency: give a count and a unit, such as 15m, 1h, 1d, B (business days), 1w, "
            f"1mo, 1q, 1y, or a number of steps for integer times{'; ' + hint if hint else ''}"
        )

    @property
    def text(self) -> str:
        """The text that `parse` reads back, e.g. "15m"."""
        if self.unit == "step":
            return str(self.count)
        if self.days is not None:
            return f"{self.count if self.count > 1 else ''}{self.days.text}"
        units = _FIXED if self.unit == "us" else _MONTHS
        unit, size = next((unit, size) for unit, size in units.items() if self.count % size == 0)
        return f"{self.count // size}{unit[0] + 'e' if self.month_end else unit}"

    def __str__(self) -> str:
        return self.text

    @property
    def daily(self) -> bool:
        """A day or coarser: times are readings of the wall clock, not instants."""
        return self.unit in ("month", "business") or (self.unit == "us" and self.count >= DAY)

    @property
    def typical(self) -> int:
        """How many microseconds or numbers a step usually has."""
        if self.days is not None:
            return self.count * WEEK // self.days.days_a_week
        return self.count * 30 * DAY if self.unit == "month" else self.count

    def longest(self, steps: int) -> int:
        """How many microseconds or numbers so many steps have at most."""
        if self.days is not None:
            return (steps * self.count + len(self.days.dates)) * WEEK
        return steps * self.count * (31 * DAY if self.unit == "month" else 1)

    def closing(self, dates: tuple[int, ...]) -> Frequency:
        """The same with these holidays, days since 1970, which steps pass over; as it is unless it asks for that."""
        if self.days is None or not self.days.closed:
            return self
        return replace(self, days=replace(self.days, dates=dates))

    @overload
    def advance(self, time: int, k: int) -> int: ...
    @overload
    def advance(self, time: Any, k: Any) -> Int64[np.ndarray, " n"]: ...
    def advance(self, time: Any, k: Any) -> Any:
        """The times `k` steps after `time`; both may be numbers or arrays that broadcast.

        Months go by the calendar: the 31st becomes the last day of a shorter month, and where the series stands on
        month ends it stays on them.
        """
        if self.days is not None:
            result = self.days.advance(time, np.asarray(k, np.int64) * self.count)
            return result if result.ndim else int(result)
        if self.unit != "month":
            return time + k * self.count
        now = np.asarray(time, np.int64)
        month = month_of(now)
        then = month + np.asarray(k, np.int64) * self.count
        day = (now - start_of_month(month)) // DAY
        day = days_of_month(then) - 1 if self.month_end else np.minimum(day, days_of_month(then) - 1)
        result = start_of_month(then) + day * DAY + now % DAY
        return result if result.ndim else int(result)

    @overload
    def steps_between(self, a: int, b: int) -> int: ...
    @overload
    def steps_between(self, a: Any, b: Any) -> Int64[np.ndarray, " n"]: ...
    def steps_between(self, a: Any, b: Any) -> Any:
        """How many whole steps lead from time `a` to time `b`: the inverse of `advance`; rounded down off the grid."""
        if self.unit in ("step", "us"):
            return (b - a) // self.count
        first, second = np.asarray(a, np.int64), np.asarray(b, np.int64)
        if self.days is not None:
            steps = self.days.days_between(first, second) // self.count
        else:
            steps = (month_of(second) - month_of(first)) // self.count
        steps = steps - (self.advance(first, steps) > second)
        return steps if np.ndim(steps) else int(steps)

    def floor(self, time: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """The beginning of each time's step: weeks begin on Mondays, quarters and years in January."""
        if self.unit == "month":
            month = month_of(time)
            return start_of_month(month - month % self.count)
        if self.days is not None:
            return self.days.floor(time, self.count)
        first = MONDAY if self.unit == "us" and self.count % WEEK == 0 else 0
        return (time - first) // self.count * self.count + first

    def on_grid(self, a: Any, b: Any) -> Any:
        """Whether a whole number of steps leads from time `a` to time `b`."""
        if self.unit in ("step", "us"):
            return (b - a) % self.count == 0
        return self.advance(a, self.steps_between(a, b)) == b

    def begins(self, time: Any) -> Any:
        """Whether a step may begin at each time: on any but the days that business days pass over."""
        return np.ones(np.shape(time), bool) if self.days is None else self.days.holds(time)


ROWS = Frequency("step", 1)


def month_of(time: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Months since January 1970."""
    return time.astype("M8[us]").astype("M8[M]").astype(np.int64)


def start_of_month(month: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """The time at which a month begins."""
    return month.astype("M8[M]").astype("M8[D]").astype(np.int64) * DAY


def days_of_month(month: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """The number of days of a month."""
    days: Int64[np.ndarray, " n"] = (start_of_month(month + 1) - start_of_month(month)) // DAY
    return days


def weekday(time: int) -> str:
    """The day of the week of a time, for messages, such as "a Sunday"."""
    names = ("a Monday", "a Tuesday", "a Wednesday", "a Thursday", "a Friday", "a Saturday", "a Sunday")
    return names[(time // DAY + 3) % 7]


def season(frequency: Frequency) -> int:
    """The steps of the natural season: a day for steps below a day, a week for days, else a year; else 1."""
    if frequency.unit == "step":
        return 1
    if frequency.unit == "month":
        return 12 // frequency.count if 12 % frequency.count == 0 else 1
    if frequency.days is not None:
        week, rest = divmod(frequency.days.days_a_week, frequency.count)
        return week if week > 1 and rest == 0 else max(round(52 * WEEK / frequency.typical), 1)
    if frequency.count < DAY:
        cycles = (DAY, HOUR, MINUTE)
        steps = (cycle // frequency.count for cycle in cycles if cycle % frequency.count == 0)
        return next((n for n in steps if n <= 1440), 1)
    if frequency.count < WEEK:
        return WEEK // frequency.count if WEEK % frequency.count == 0 else 1
    return max(round(52 * WEEK / frequency.count), 1)


def to_datetime64(time: Int64[np.ndarray, " n"], kind: TimeKind, frequency: Frequency, tz: str | None) -> Any:
    """Times as they leave: datetime64 (days for dates, UTC instants where there is a zone), integers as they are."""
    time = np.asarray(time, np.int64)
    if kind in ("integer", "row"):
        return time
    if tz and frequency.daily:
        time = zones.to_instants(time, tz)
    stamps = time.astype("M8[us]")
    return stamps.astype("M8[D]") if kind == "date" and (time % DAY == 0).all() else stamps


def from_instant(time: int, frequency: Frequency, tz: str | None, last: int | None = None) -> int:
    """One instant as the time that a panel of this frequency holds for it.

    Args:
        time: the instant.
        frequency: of the panel.
        tz: its zone.
        last: the panel's time of an earlier row of the series, whose time of day a row behind a jump of the clock has.
    """
    if tz and frequency.daily:
        return int(zones.to_wall(np.array([time], np.int64), tz, None if last is None else last % DAY)[0])
    return time


def from_instants(
    time: Int64[np.ndarray, " n"], frequency: Frequency, tz: str | None, gathered: bool = False
) -> Int64[np.ndarray, " n"]:
    """Times as a panel of this frequency holds them: readings of the clock where steps are days, else instants.

    Args:
        time: [n], instants where there is a zone.
        frequency: of the panel.
        tz: the zone.
        gathered: whether each time becomes the beginning of the step that it falls into. Steps of a day and more begin
            by the clock, shorter ones at whole steps since 1970 by the zone's usual offset, so that they stay regular
            when clocks change.
    """
    wall, shift = by_clock(time, tz, frequency.daily)
    return frequency.floor(wall + shift) - shift if gathered else wall


def step_starts(time: Int64[np.ndarray, " n"], frequency: Frequency, tz: str | None) -> Int64[np.ndarray, " n"]:
    """The beginnings of the steps that instants fall into, as instants; without a zone as the clock shows both."""
    starts = from_instants(time, frequency, tz, gathered=True)
    return zones.to_instants(starts, tz) if tz and frequency.daily else starts


def by_clock(time: Int64[np.ndarray, " n"], tz: str | None, daily: bool) -> tuple[Int64[np.ndarray, " n"], int]:
    """Instants as a panel holds them, with or without steps of days, and what the clock usually is ahead of these."""
    if tz is None:
        return time, 0
    return (zones.to_wall(time, tz), 0) if daily else (time, zones.offset_at(zones.USUAL, tz))
