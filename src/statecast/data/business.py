"""Business days: steps of a day that pass over the days of the week and the dates on which nothing happens.

NumPy counts them. Days are integers since 1970-01-01; a time is a day and a time of day, and that of a series stays the
same from step to step. What is written here is how a week is spelled, and how it is read off the times of a table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.zones import DAY
from statecast.errors import SettingError

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
USUAL_WEEK = "1111100"
FEWEST_SKIPS = 2  # times that a day of the week must be passed over before it counts as one on which nothing happens
SKIPS = 4  # and all such days together: one missing row of a daily table is no day off
_TEXT = re.compile(r"\s*(\d*)\s*([BC])\s*(?::\s*([A-Za-z]+(?:\s*[-,]\s*[A-Za-z]+)*))?\s*")


@dataclass(frozen=True)
class BusinessDays:
    """The days on which something happens.

    Attributes:
        week: a "1" for each day of the week that counts and a "0" for each other, from Monday on, as NumPy writes it.
        closed: whether the dates of the holidays are passed over as well.
        dates: these dates, as days since 1970.
    """

    week: str = USUAL_WEEK
    closed: bool = False
    dates: tuple[int, ...] = ()

    def __reduce__(self) -> tuple[type[BusinessDays], tuple[str, bool, tuple[int, ...]]]:
        return BusinessDays, (self.week, self.closed, self.dates)  # NumPy's calendar cannot be copied

    @cached_property
    def _calendar(self) -> np.busdaycalendar:
        return np.busdaycalendar(self.week, np.array(self.dates, np.int64).astype("M8[D]"))

    @property
    def text(self) -> str:
        """As `parse` reads it: "B", or "C" where holidays are passed over; with the week where it is not Mon–Fri."""
        return ("C" if self.closed else "B") + ("" if self.week == USUAL_WEEK else f":{_spelled(self.week)}")

    @property
    def days_a_week(self) -> int:
        """How many days of a week count."""
        return self.week.count("1")

    def advance(self, time: Any, k: Any) -> Any:
        """The times `k` business days after `time`, which counts as the last business day up to it."""
        now = np.asarray(time, np.int64)
        day = (now // DAY).astype("M8[D]")
        later = np.busday_offset(day, np.asarray(k, np.int64), roll="backward", busdaycal=self._calendar)
        return later.astype(np.int64) * DAY + now % DAY

    def days_between(self, a: Any, b: Any) -> Any:
        """How many business days lead from the last one up to time `a` to the last one up to time `b`."""
        first, second = (self._rolled(np.asarray(time, np.int64)) for time in (a, b))
        return np.busday_count(first, second, busdaycal=self._calendar)

    def floor(self, time: Int64[np.ndarray, " n"], count: int) -> Int64[np.ndarray, " n"]:
        """The beginning of the step of `count` business days that each time falls into."""
        start = self.advance(np.zeros_like(time), 0)
        return np.asarray(self.advance(start, self.days_between(start, time) // count * count), np.int64)

    def holds(self, time: Any) -> Any:
        """Whether each time is on a business day."""
        return np.is_busday((np.asarray(time, np.int64) // DAY).astype("M8[D]"), busdaycal=self._calendar)

    def _rolled(self, time: Int64[np.ndarray, "..."]) -> Any:
        return np.busday_offset((time // DAY).astype("M8[D]"), 0, roll="backward", busdaycal=self._calendar)


def parse(text: str) -> tuple[int, BusinessDays] | None:
    """From "B", "5B", "B:Sun-Thu", "B:Mon,Wed,Fri", or the same with C; None for anything else.

    Returns:
        How many business days a step has, and which days are some.

    Raises:
        SettingError: a day of the week that is none.
    """
    match = _TEXT.fullmatch(text)
    if not match or (match[1] and int(match[1]) < 1):
        return None
    week = USUAL_WEEK if match[3] is None else _week(match[3], text)
    return int(match[1] or 1), BusinessDays(week, match[2] == "C")


def _week(text: str, freq: str) -> str:
    """A week from "Sun-Thu" or "Mon,Wed,Fri", or from both."""
    days = set()
    for part in text.split(","):
        ends = [_weekday(name, freq) for name in part.split("-")]
        if len(ends) > 2:
            raise SettingError(f"freq={freq!r}: {part.strip()!r} has more than two ends: expected days such as Sun-Thu")
        days |= {(ends[0] + n) % 7 for n in range((ends[-1] - ends[0]) % 7 + 1)}
    return "".join("1" if day in days else "0" for day in range(7))


def _weekday(name: str, freq: str) -> int:
    short = name.strip().capitalize()[:3]
    if short not in WEEKDAYS:
        raise SettingError(f"freq={freq!r}: {name.strip()!r} is not a day of the week: expected {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(short)


def _spelled(week: str) -> str:
    """A week as `_week` reads it: "Sun-Thu" where its days follow one another, otherwise one by one."""
    days = [day for day in range(7) if week[day] == "1"]
    starts = [day for day in days if week[day - 1] == "0"]
    if len(days) == 7:
        return "Mon-Sun"
    if len(starts) == 1 and len(days) > 1:
        return f"{WEEKDAYS[starts[0]]}-{WEEKDAYS[(starts[0] + len(days) - 1) % 7]}"
    return ",".join(WEEKDAYS[day] for day in days)


def of_times(time: Int64[np.ndarray, " rows"], offsets: Int64[np.ndarray, " series+1"]) -> BusinessDays | None:
    """The week that the times of a daily table keep, where some days of it never have a row; None where all have.

    Args:
        time: [rows] ascending within each series.
        offsets: where each series begins.
    """
    day = time // DAY
    counts = np.bincount((day + 3) % 7, minlength=7)  # 1970-01-01 was a Thursday, Monday is 0
    some = np.diff(offsets) > 0
    first, last = day[offsets[:-1][some]], day[offsets[1:][some] - 1]
    # The number of each weekday up to a day, so that a difference counts those in between.
    passed = np.array([((last + 3 - n) // 7 - (first + 3 - n) // 7).sum() for n in range(7)])
    absent: Bool[np.ndarray, " 7"] = counts == 0
    if not absent.any() or passed[absent].min() < FEWEST_SKIPS or passed[absent].sum() < SKIPS:
        return None
    return BusinessDays("".join("0" if none else "1" for none in absent))
