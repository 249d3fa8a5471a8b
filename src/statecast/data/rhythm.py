"""What one step of a table's times is, as it was stated or as the times show it.

The most common step between rows tells, where every row is a whole number of such steps after the first: gaps are
allowed. Months and business days are tried first, since their steps are of different lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from statecast.data import business
from statecast.data.calendar import ROWS, Frequency, TimeKind, by_clock, days_of_month, month_of, start_of_month
from statecast.data.zones import DAY, HOUR
from statecast.errors import DataError, SettingError

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64


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


def stated(text: str, kind: TimeKind, name: str | None, holidays: tuple[int, ...] = ()) -> Frequency:
    """The frequency that a string states for times of this kind, in the column of this name or without one.

    Args:
        text: such as "1h".
        kind: what the times are.
        name: of their column.
        holidays: days since 1970, which business days pass over if the text says so.

    Raises:
        SettingError: the text is not a frequency, or does not suit the times.
    """
    frequency = Frequency.parse(text)
    if name is None and frequency != ROWS:
        raise SettingError(f"freq={text!r} needs a time column: name it with time='…', or set season=… instead")
    if (frequency.unit == "step") != (kind in ("integer", "row")):
        times, unit = ("dates", "a unit, such as 1h or 1d") if frequency.unit == "step" else ("integers", "a number")
        raise SettingError(f"freq={text!r} does not suit the times of column {name!r}, which are {times}: give {unit}")
    if frequency.days is not None and frequency.days.closed and not holidays:
        raise SettingError(f"freq={text!r} skips holidays: say which with the setting holidays, such as 'DE'")
    return frequency.closing(holidays)


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
    wall, shift = by_clock(time, tz, daily)
    if frequency is None:
        frequency = _inferred(wall, offsets, kind, row)
        return frequency, wall if frequency.daily else time
    time = frequency.floor(wall + shift) - shift if gathered else wall
    if frequency.unit == "month":
        month = month_of(time)
        ends = bool(((time - start_of_month(month)) // DAY == days_of_month(month) - 1).all())
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
        frequency = _calendar_months(time, offsets) or _business_days(time, offsets, step) or Frequency("us", step)
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
    within = time - start_of_month(month)
    first = np.repeat(within[offsets[:-1]], np.diff(offsets))
    ends = bool((days_of_month(month) - 1 == within // DAY).all())
    same = within % DAY == first % DAY if ends else within == first
    return Frequency("month", step, ends) if step > 0 and bool(same.all()) else None


def _business_days(
    time: Int64[np.ndarray, " rows"], offsets: Int64[np.ndarray, " series+1"], step: int
) -> Frequency | None:
    """Business days, where rows are a day apart, all at one time of the day, and never on some days of the week."""
    days = business.of_times(time, offsets) if step == DAY and bool((time % DAY == time[0] % DAY).all()) else None
    return None if days is None else Frequency("business", 1, days=days)


def steps_of(
    frequency: Frequency, time: Int64[np.ndarray, " rows"], offsets: Int64[np.ndarray, " series+1"]
) -> tuple[Int64[np.ndarray, " rows"], int | None]:
    """How many steps each row comes after its series' first one, and the first row for which that is not whole.

    Args:
        frequency: of the steps.
        time: [rows] as a panel holds them, ascending within each series.
        offsets: where each series begins.
    """
    first = np.repeat(time[offsets[:-1]], np.diff(offsets))
    steps = np.asarray(frequency.steps_between(first, time), np.int64)
    off_grid: Bool[np.ndarray, " rows"] = np.asarray(frequency.advance(first, steps)) != time
    return steps, int(np.argmax(off_grid)) if off_grid.any() else None
