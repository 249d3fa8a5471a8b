"""Time zones: between instants and the wall clock, for whole columns at once.

`zoneinfo` answers for one moment at a time, which is too slow for millions of rows. A zone changes its offset only a
few hundred times in two centuries, so the changes are found once per zone and every question after that is a search
in a short sorted list. Instants and wall-clock readings are both int64 microseconds since 1970-01-01 00:00, the first
in UTC, the second as the local clock showed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from statecast.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Int64

HOUR = 3_600_000_000
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
USUAL = 19_723 * DAY  # 2024-01-01, whose offset is taken for a zone's own where one must do for all times
MICROSECOND = timedelta(microseconds=1)
_FIXED = re.compile(r"(?:UTC|GMT)?([+-])(\d{2}):?(\d{2})?")
LONGEST_JUMP = 3 * HOUR  # of a clock that is set forward
_FIRST, _LAST = -32_000 * DAY, 55_000 * DAY  # 1882 to 2120: outside of it the nearest offset holds


def canonical(name: str) -> str:
    """One name for each zone: fixed offsets of whole hours get names that every data-frame library knows.

    Raises:
        DataError: no such zone.
    """
    if name in ("Z", "z", "GMT", "UTC", "utc", "Etc/UTC", "+00:00", "-00:00", "UTC+00:00", "UTC-00:00"):
        return "UTC"
    fixed = _FIXED.fullmatch(name)
    if not fixed:
        zone(name)
        return name
    sign, hours, minutes = fixed[1], int(fixed[2]), int(fixed[3] or 0)
    if hours == minutes == 0:
        return "UTC"
    if minutes == 0 and hours <= 12:
        return f"Etc/GMT{'-' if sign == '+' else '+'}{hours}"  # POSIX counts westward
    return f"{sign}{hours:02d}:{minutes:02d}"


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """The zone of this name, or the fixed offset that a name like "+05:30" states."""
    fixed = _FIXED.fullmatch(name)
    if fixed:
        shift = timedelta(hours=int(fixed[2]), minutes=int(fixed[3] or 0))
        if shift >= timedelta(hours=24):
            raise DataError(f"the offset {name!r} is not a time zone: offsets lie between -23:59 and +23:59")
        return timezone(shift if fixed[1] == "+" else -shift)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise DataError(
            f"there is no time zone {name!r} on this machine: use a name like 'Europe/Berlin', "
            "or pip install tzdata where the machine has no zones at all"
        ) from error


@lru_cache(maxsize=64)
def _changes(name: str) -> tuple[list[int], list[int], Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """The instants from which each offset holds, and the offsets: as lists (for one moment) and as arrays."""
    clock = zone(name)

    def offset_at(instant: int) -> int:
        shift = (EPOCH + timedelta(microseconds=instant)).astimezone(clock).utcoffset() or timedelta(0)
        return shift // MICROSECOND

    starts, offsets = [_FIRST], [offset_at(_FIRST)]
    for low in range(_FIRST, _LAST, 7 * DAY):
        high = low + 7 * DAY
        after = offset_at(high)
        if after == offsets[-1]:
            continue
        while high - low > 1_000_000:
            middle = (low + high) // 2_000_000 * 1_000_000
            low, high = (low, middle) if offset_at(middle) == after else (middle, high)
        starts.append(high)
        offsets.append(after)
    return starts, offsets, np.array(starts, np.int64), np.array(offsets, np.int64)


def offset_at(instant: int, name: str) -> int:
    """What the local clock is ahead of UTC at one instant, in microseconds."""
    starts, offsets, _, _ = _changes(name)
    return offsets[max(bisect_right(starts, instant) - 1, 0)]


def offsets_at(instants: Int64[np.ndarray, " n"], name: str) -> Int64[np.ndarray, " n"]:
    """What the local clock is ahead of UTC at each instant, in microseconds."""
    _, _, starts, offsets = _changes(name)
    return offsets[np.maximum(np.searchsorted(starts, instants, side="right") - 1, 0)]


def to_wall(instants: Int64[np.ndarray, " n"], name: str, clock: int | None = None) -> Int64[np.ndarray, " n"]:
    """What the local clock shows at each instant.

    Where clocks jump forward, a reading is missing: a daily row of that day stands later by the size of the jump, as a
    midnight that is shown as 01:00. Such a row gets the reading that it would have had, if that is the time of day of
    the other rows, so that days stay regular.

    Args:
        instants: [n].
        name: the zone.
        clock: the time of day of the series' rows; the most common one of these rows if None, and midnight where
            every row stands behind a jump.
    """
    wall: Int64[np.ndarray, " n"] = instants + offsets_at(instants, name)
    skipped = instants + offsets_at(instants - LONGEST_JUMP, name)
    # Only readings that no clock showed are missing: those of rows that follow the jump by less than its size.
    jumped = (skipped < wall) & (instants + offsets_at(instants - (wall - skipped), name) == skipped)
    if not jumped.any():
        return wall
    if clock is None:
        hours, counts = np.unique(wall[~jumped] % DAY, return_counts=True)
        clock = int(hours[np.argmax(counts)]) if len(hours) else 0
    regular: Int64[np.ndarray, " n"] = np.where(jumped & (skipped % DAY == clock), skipped, wall)
    return regular


def to_instants(wall: Int64[np.ndarray, " n"], name: str) -> Int64[np.ndarray, " n"]:
    """The instants at which the local clock shows these readings: the earlier of two, the jump itself where none."""
    early = wall - offsets_at(wall - DAY, name)
    late = wall - offsets_at(early, name)
    instants: Int64[np.ndarray, " n"] = np.where(late + offsets_at(late, name) == wall, late, early)
    return instants
