"""Frequencies and the times of their steps, past and future.

Time is int64 everywhere: microseconds for dates and times, plain numbers for integer and row times. A `Frequency` says
what one step is. Steps finer than a month are a fixed number of microseconds, months are counted by the calendar, and
that difference is known here alone. Times of a day or coarser are readings of the wall clock and finer ones are
instants (see `zones`), so that both stay regular when clocks change.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from statecast.data import zones
from statecast.data.zones import DAY, HOUR
from statecast.errors import DataError, SettingError, nearest

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64

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
        unit: "us" (microseconds), "month", or "step" (integer and row times).
        count: how many of them.
        month_end: months end on their last day, whatever its number.
    """

    unit: Literal["step", "us", "month"]
    count: int
    month_end: bool = False

    @classmethod
    def parse(cls, text: str) -> Frequency:
        """From "15m", "1h", "1d", "1w", "1mo", "1q", "1y", "1" (integer steps), or pandas' names for them.

        Raises:
            SettingError: no such frequency.
        """
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
        known = [*_FIXED, *_MONTHS, "me", "qe", "ye"]
        hint = nearest(unit, known) if match and unit and unit not in known else ""
        raise SettingError(
            f"freq={text!r} is not a frequency: give a count and a unit, such as 15m, 1h, 1d, 1w, 1mo, 1q, 1y, "
            f"or a number of steps for integer times{'; ' + hint if hint else ''}"
        )

    @property
    def text(self) -> str:
        """The text that `parse` reads back, e.g. "15m"."""
        if self.unit == "step":
            return str(self.count)
        units = _FIXED if self.unit == "us" else _MONTHS
        unit, size = next((unit, size) for unit, size in units.items() if self.count % size == 0)
        return f"{self.count // size}{unit[0] + 'e' if self.month_end else unit}"

    def __str__(self) -> str:
        return self.text

    @property
    def daily(self) -> bool:
        """A day or coarser: times are readings of the wall clock, not instants."""
        return self.unit == "month" or (self.unit == "us" and self.count >= DAY)

    @overload
    def advance(self, time: int, k: int) -> int: ...
    @overload
    def advance(self, time: Any, k: Any) -> Int64[np.ndarray, " n"]: ...
    def advance(self, time: Any, k: Any) -> Any:
        """The times `k` steps after `time`; both may be numbers or arrays that broadcast.

        Months go by the calendar: the 31st becomes the last day of a shorter month, and where the series stands on
        month ends it stays on them.
        """
        if self.unit != "month":
            return time + k * self.count
        now = np.asarray(time, np.int64)
        month = month_of(now)
        then = month + np.asarray(k, np.int64) * self.count
        day = (now - _start(month)) // DAY
        day = _days(then) - 1 if self.month_end else np.minimum(day, _days(then) - 1)
        result = _start(then) + day * DAY + now % DAY
        return result if result.ndim else int(result)

    @overload
    def steps_between(self, a: int, b: int) -> int: ...
    @overload
    def steps_between(self, a: Any, b: Any) -> Int64[np.ndarray, " n"]: ...
    def steps_between(self, a: Any, b: Any) -> Any:
        """How many whole steps lead from time `a` to time `b`: the inverse of `advance`; rounded down off the grid."""
        if self.unit != "month":
            return (b - a) // self.count
        first, second = np.asarray(a, np.int64), np.asarray(b, np.int64)
        steps = (month_of(second) - month_of(first)) // self.count
        steps = steps - (self.advance(first, steps) > second)
        return steps if np.ndim(steps) else int(steps)

    def floor(self, time: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """The beginning of each time's step: weeks begin on Mondays, quarters and years in January."""
        if self.unit == "month":
            month = month_of(time)
            return _start(month - month % self.count)
        first = MONDAY if self.unit == "us" and self.count % WEEK == 0 else 0
        return (time - first) // self.count * self.count + first

    def on_grid(self, a: Any, b: Any) -> Any:
        """Whether a whole number of steps leads from time `a` to time `b`."""
        if self.unit != "month":
            return (b - a) % self.count == 0
        return self.advance(a, self.steps_between(a, b)) == b


ROWS = Frequency("step", 1)


def month_of(time: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Months since January 1970."""
    return time.astype("M8[us]").astype("M8[M]").astype(np.int64)


def _start(month: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """The time at which a month begins."""
    return month.astype("M8[M]").astype("M8[D]").astype(np.int64) * DAY


def _days(month: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """The number of days of a month."""
    days: Int64[np.ndarray, " n"] = (_start(month + 1) - _start(month)) // DAY
    return days


def _common_step(time: Int64[np.ndarray, " rows"], offsets: Int64[np.ndarray, " series+1"]) -> tuple[int, float]:
    """The most common step between rows of one series, and the share of steps that are that one; (0, 0) if none."""
    steps = np.diff(time)
    inner = np.ones(len(steps), bool)
    inner[offsets[1:-1] - 1] = False
    steps = steps[inner]
    if not len(steps):
        return 0, 0.0
    values, counts = np.unique(steps, return_counts=True)
    best = int(np.argmax(counts))
    return int(values[best]), float(counts[best] / len(steps))


def stated(text: str, kind: TimeKind, name: str | None) -> Frequency:
    """The frequency that a text states for times of this kind, in the column of this name or without one.

    Raises:
        SettingError: the text is no frequency, or does not suit the times.
    """
    frequency = Frequency.parse(text)
    if name is None and frequency != ROWS:
        raise SettingError(f"freq={text!r} needs a time column: name it with time='…', or set season=… instead")
    if (frequency.unit == "step") != (kind in ("integer", "row")):
        times, unit = ("dates", "a unit, such as 1h or 1d") if frequency.unit == "step" else ("integers", "a number")
        raise SettingError(f"freq={text!r} does not suit the times of column {name!r}, which are {times}: give {unit}")
    return frequency


def regular(
    time: Int64[np.ndarray, " rows"],
    offsets: Int64[np.ndarray, " series+1"],
    kind: TimeKind,
    tz: str | None = None,
    frequency: Frequency | None = None,
    gathered: bool = False,
    row: Callable[[int], str] = "row {}".format,
) -> tuple[Frequency, Int64[np.ndarray, " rows"]]:
    """The frequency of times that ascend within each series, and the times as a panel of it holds them.

    Args:
        time: [rows], instants where `tz` is given.
        offsets: where each series begins.
        kind: what the times are.
        tz: the time zone; days and months are then those of its wall clock.
        frequency: what was stated; months are counted from end to end if all times are month ends. None to infer it:
            gaps are allowed if they are whole steps.
        gathered: as in `from_instants`.
        row: the name of a row for an error.

    Raises:
        DataError: the times are irregular, or no series has two rows to infer a frequency from.
    """
    if kind == "row":
        return frequency or ROWS, time
    daily = frequency.daily if frequency else bool(tz) and _common_step(time, offsets)[0] >= DAY - 2 * HOUR
    wall, shift = _by_clock(time, tz, daily)
    if frequency is None:
        frequency = _inferred(wall, offsets, kind, row)
        return frequency, wall if frequency.daily else time
    time = frequency.floor(wall + shift) - shift if gathered else wall
    if frequency.unit == "month":
        month = month_of(time)
        ends = bool(((time - _start(month)) // DAY == _days(month) - 1).all())
        frequency = replace(frequency, month_end=ends)
    return frequency, time


def _inferred(
    time: Int64[np.ndarray, " rows"],
    offsets: Int64[np.ndarray, " series+1"],
    kind: TimeKind,
    row: Callable[[int], str],
) -> Frequency:
    """The frequency that the times show.

    Raises:
        DataError: irregular, or no series has two rows.
    """
    step, share = _common_step(time, offsets)
    if step == 0:
        raise DataError(
            "the frequency cannot be inferred because no series has two rows: pass freq, such as freq='1h', "
            "or leave the time column out to count rows as steps"
        )
    if kind == "integer":
        _require_no_dates(time)
        frequency = Frequency("step", step)
    else:
        frequency = _calendar_months(time, offsets) or Frequency("us", step)
    _, irregular = steps_of(frequency, time, offsets)
    if irregular is None:
        return frequency
    gap = int(time[irregular] - time[irregular - 1])
    raise DataError(
        f"the steps are irregular: the most common one is {frequency} ({share:.0%} of all), "
        f"but {row(irregular)} comes {gap if kind == 'integer' else Frequency('us', gap)} after the row before it; "
        "pass freq='…' with a step that leads to every time, bring the times onto a grid, "
        "or leave the time column out to count rows as steps"
    )


def _require_no_dates(time: Int64[np.ndarray, " rows"]) -> None:
    """Refuse dates written as one number: each month would end in a gap of 70 steps."""
    day, month = time % 100, time // 100 % 100
    likely = (time > 19_000_000) & (time < 21_010_000) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    if likely.all():
        raise DataError(
            f"the whole numbers look like dates written YYYYMMDD ({time[0]}): write them YYYY-MM-DD, "
            "or pass freq='1' if they only count steps"
        )


def _calendar_months(time: Int64[np.ndarray, " rows"], offsets: Int64[np.ndarray, " series+1"]) -> Frequency | None:
    """The frequency in months, where every row stands on the same day of its month or on the last one."""
    month = month_of(time)
    step, _ = _common_step(month, offsets)
    within = time - _start(month)
    first = np.repeat(within[offsets[:-1]], np.diff(offsets))
    ends = bool((_days(month) - 1 == within // DAY).all())
    same = within % DAY == first % DAY if ends else within == first
    return Frequency("month", step, ends) if step > 0 and bool(same.all()) else None


def steps_of(
    frequency: Frequency, time: Int64[np.ndarray, " rows"], offsets: Int64[np.ndarray, " series+1"]
) -> tuple[Int64[np.ndarray, " rows"], int | None]:
    """How many steps each row stands after its series' first one, and the first row of which that is no whole number.

    Args:
        frequency: of the steps.
        time: [rows] as a panel holds them, ascending within each series.
        offsets: where each series begins.
    """
    first = np.repeat(time[offsets[:-1]], np.diff(offsets))
    steps = np.asarray(frequency.steps_between(first, time), np.int64)
    off_grid: Bool[np.ndarray, " rows"] = np.asarray(frequency.advance(first, steps)) != time
    return steps, int(np.argmax(off_grid)) if off_grid.any() else None


def season(frequency: Frequency) -> int:
    """The steps of the natural season: a day for steps below a day, a week for days, else a year; else 1."""
    if frequency.unit == "step":
        return 1
    if frequency.unit == "month":
        return 12 // frequency.count if 12 % frequency.count == 0 else 1
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
    wall, shift = _by_clock(time, tz, frequency.daily)
    return frequency.floor(wall + shift) - shift if gathered else wall


def step_starts(time: Int64[np.ndarray, " n"], frequency: Frequency, tz: str | None) -> Int64[np.ndarray, " n"]:
    """The beginnings of the steps that instants fall into, as instants; without a zone as the clock shows both."""
    starts = from_instants(time, frequency, tz, gathered=True)
    return zones.to_instants(starts, tz) if tz and frequency.daily else starts


def _by_clock(time: Int64[np.ndarray, " n"], tz: str | None, daily: bool) -> tuple[Int64[np.ndarray, " n"], int]:
    """Instants as a panel holds them, with or without steps of days, and what the clock usually is ahead of these."""
    if tz is None:
        return time, 0
    return (zones.to_wall(time, tz), 0) if daily else (time, zones.offset_at(zones.USUAL, tz))
