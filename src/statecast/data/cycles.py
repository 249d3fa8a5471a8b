"""The calendar as features: where in the day, the week and the year each time stands, and near which holiday.

A cycle becomes a sine and a cosine, so that its end meets its beginning; holidays follow no cycle and have features of
their own. `features` answers for whole columns and
`features_at` for one time of a stream; both give the same numbers.
"""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import zones
from statecast.data.calendar import Frequency, TimeKind
from statecast.data.holidays import BY_DAY, BY_STEP, NO_HOLIDAYS, Holidays
from statecast.data.zones import DAY

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

_LAST_ORDINAL = date.max.toordinal()
YEARLY = ("month", "yearday")  # cycles of a year
TWO_YEARS = 730 * DAY


def spans_years(time: Int64[np.ndarray, " rows"], time_kind: TimeKind) -> bool:
    """Whether times reach over two years; numbers that are no dates tell nothing against it."""
    return time_kind in ("integer", "row") or (len(time) > 0 and bool(np.ptp(time) >= TWO_YEARS))


def feature_names(frequency: Frequency, time_kind: TimeKind) -> tuple[str, ...]:
    """The cycles that steps of this frequency can resolve, as sine and cosine."""
    if time_kind in ("integer", "row") or frequency.unit == "step":
        return ()
    if frequency.unit == "month":
        cycles = ["month"] if frequency.count < 12 else []
    else:
        limits = {"hour": DAY - 1, "weekday": DAY, "yearday": 180 * DAY}
        length = frequency.count * DAY if frequency.unit == "business" else frequency.count
        cycles = [cycle for cycle, limit in limits.items() if length <= limit]
    return tuple(f"{cycle}_{wave}" for cycle in cycles for wave in ("sin", "cos"))


def holiday_names(frequency: Frequency) -> tuple[str, ...]:
    """What steps of this frequency tell of holidays: how near they are, or how many a long step has."""
    return BY_DAY if frequency.typical <= DAY or (frequency.unit, frequency.count) == ("business", 1) else BY_STEP


def features(
    time: Int64[np.ndarray, " n"],
    frequency: Frequency,
    tz: str | None,
    names: tuple[str, ...],
    holidays: Holidays = NO_HOLIDAYS,
) -> Float64[np.ndarray, "n C"]:
    """The calendar at each time, by the local clock: one column for each of `names`, those of holidays last."""
    time = np.asarray(time, np.int64)
    local = time + zones.offsets_at(time, tz) if tz and not frequency.daily else time
    return np.asarray(by_clock(local, frequency, names, holidays)) if names else np.empty((len(time), 0))


def by_clock(local: Any, frequency: Frequency, names: tuple[str, ...], holidays: Holidays = NO_HOLIDAYS) -> Any:
    """The calendar's features [..., C] at local times [...] of any array library; there is at least one name.

    How many holidays a step of months or business days has is told of NumPy's arrays alone.
    """
    xp, parts = local.__array_namespace__(), []
    cycles = [name.rpartition("_") for name in names if name not in (*BY_DAY, *BY_STEP)]
    if cycles:
        angles = {cycle: _phases(local, cycle) * (2 * math.pi) for cycle in {name for name, _, _ in cycles}}
        waves = {"sin": xp.sin, "cos": xp.cos}
        parts.append(xp.stack([waves[wave](angles[cycle]) for cycle, _, wave in cycles], axis=-1))
    if holidays:
        parts.append(_near_holidays(local, frequency, holidays))
    return xp.concat(parts, axis=-1)


def _near_holidays(local: Any, frequency: Frequency, holidays: Holidays) -> Any:
    """The last columns of `features` [..., n]."""
    if holiday_names(frequency) == BY_DAY:
        return holidays.features(local // DAY)
    xp = local.__array_namespace__()
    return xp.astype(holidays.count(local // DAY, frequency.advance(local, 1) // DAY), xp.float64)[..., None]


def _phases(local: Any, cycle: str) -> Any:
    """Where in its cycle each local time stands, in [0, 1)."""
    day = local // DAY
    if cycle == "hour":
        return (local - day * DAY) / DAY
    if cycle == "weekday":
        return ((day + 3) % 7) / 7  # 1970-01-01 was a Thursday, Monday is 0
    month, before = _of_year(day)
    return month / 12 if cycle == "month" else (local - (day - before) * DAY) / (366 * DAY)


def _of_year(day: Any) -> tuple[Any, Any]:
    """The month of each day since 1970, January as 0, and how many days of its year came before.

    Whole numbers alone, so that any array library can do it: years that begin in March have their leap day at the end
    (Hinnant, "chrono-compatible low-level date algorithms", 2013).
    """
    xp = day.__array_namespace__()
    shifted = day + 719_468  # days since 0000-03-01
    of_era = shifted % 146_097  # of 400 years
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    before = of_era - (365 * year + year // 4 - year // 100)
    month = ((5 * before + 2) // 153 + 2) % 12
    leap = xp.astype((year % 4 == 0) & ((year % 100 != 0) | (year == 0)), xp.int64)
    return month, xp.where(month < 2, before - 306, before + 59 + leap)


def features_at(
    time: int, frequency: Frequency, tz: str | None, names: tuple[str, ...], holidays: Holidays = NO_HOLIDAYS
) -> list[float]:
    """The row that `features` gives for one time, in plain Python: streaming cannot wait for arrays of one."""
    local = time + zones.offset_at(time, tz) if tz and not frequency.daily else time
    result: list[float] = []
    cycle, angle = "", 0.0
    for name in names:
        if name in BY_DAY:
            return result + holidays.features_at(local // DAY)
        if name in BY_STEP:
            end = frequency.advance(local, 1) // DAY
            return [*result, float(holidays.count(np.asarray(local // DAY), np.asarray(end)))]
        kind, _, wave = name.rpartition("_")
        if kind != cycle:
            cycle, angle = kind, _phase(local, kind) * (2 * math.pi)
        result.append(math.sin(angle) if wave == "sin" else math.cos(angle))
    return result


def _phase(local: int, cycle: str) -> float:
    day = local // DAY
    if cycle == "hour":
        return (local - day * DAY) / DAY
    if cycle == "weekday":
        return ((day + 3) % 7) / 7
    ordinal = day + 719_163  # that of 1970-01-01 is the number
    if not 1 <= ordinal <= _LAST_ORDINAL:  # Python's dates end with the year 9999, NumPy's do not
        return float(_phases(np.array([local], np.int64), cycle)[0])
    today = date.fromordinal(ordinal)
    if cycle == "month":
        return (today.month - 1) / 12
    return (local - (date(today.year, 1, 1).toordinal() - 719_163) * DAY) / (366 * DAY)
