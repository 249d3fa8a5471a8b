"""The calendar as features: where in the day, the week and the year each time stands, and near which holiday.

A cycle becomes a sine and a cosine, so that its end meets its beginning; holidays follow no cycle and have features of
their own. `features` answers for whole columns and
`features_at` for one time of a stream; both give the same numbers.
"""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from statecast.data import zones
from statecast.data.calendar import Frequency, TimeKind, month_of
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
    result = np.empty((len(time), len(names)))
    if holidays:
        result[:, -len(holiday_names(frequency)) :] = _near_holidays(local, frequency, holidays)
    for cycle in _cycles(names):
        angle = _phases(local, cycle) * (2 * math.pi)
        for column, name in enumerate(names):
            if name.startswith(cycle):
                result[:, column] = (np.sin if name.endswith("sin") else np.cos)(angle)
    return result


def _cycles(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.rpartition("_")[0] for name in names if name not in (*BY_DAY, *BY_STEP)))


def _near_holidays(
    local: Int64[np.ndarray, " n"], frequency: Frequency, holidays: Holidays
) -> Float64[np.ndarray, "n C"]:
    """The last columns of `features`."""
    if holiday_names(frequency) == BY_DAY:
        return holidays.features(local // DAY)
    return np.asarray(holidays.count(local // DAY, frequency.advance(local, 1) // DAY), np.float64)[:, None]


def _phases(local: Int64[np.ndarray, " n"], cycle: str) -> Float64[np.ndarray, " n"]:
    """Where in its cycle each local time stands, in [0, 1)."""
    day = local // DAY
    if cycle == "hour":
        return np.asarray((local - day * DAY) / DAY)
    if cycle == "weekday":
        return ((day + 3) % 7) / 7  # 1970-01-01 was a Thursday, Monday is 0
    if cycle == "month":
        return (month_of(local) % 12) / 12
    year = day.astype("M8[D]").astype("M8[Y]").astype("M8[D]").astype(np.int64)
    return (local - year * DAY) / (366 * DAY)


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
            return [*result, float(holidays.count(local // DAY, frequency.advance(local, 1) // DAY))]
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
