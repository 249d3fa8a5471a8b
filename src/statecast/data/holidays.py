"""Holidays: dates that follow no cycle of the calendar, and what a network is told of them.

Dates come from the `holidays` package, by the code of a country, a part of it or an exchange, or from the user's own
list. The dates themselves are kept in the schema, over a span that reaches half a century beyond the table: so a model
needs no package, a stream knows the holidays to come, and no later version of the package changes a forecast. A network
takes of each step whether it is a holiday and how near the next and the last one are; see `cycles`, which asks here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.allowed import date_and_name
from statecast.data.zones import DAY
from statecast.errors import MissingDependency, SettingError, nearest, shortened

if TYPE_CHECKING:
    from jaxtyping import Int64

EPOCH = date(1970, 1, 1).toordinal()
FIRST, LAST = date.min.toordinal() - EPOCH, date.max.toordinal() - EPOCH  # that a date can be
NEAR = 5  # days over which the way to a holiday is told; beyond it all are as far
RARE, NEARNESS = 6.0, 4.0  # sizes of these features, as columns of such dates have them in their deviations
YEARS_BEFORE, YEARS_AHEAD = 1, 50  # of the table, over which a country's holidays are kept
BY_DAY = ("holiday_on", "holiday_to", "holiday_since")  # for steps of a day and shorter
BY_STEP = ("holiday_count",)  # for longer ones


@dataclass(frozen=True)
class Holidays:
    """Dates and what they are called.

    Attributes:
        days: since 1970, ascending, each once.
        names: of each of them, "" where there is none.
    """

    days: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.days)

    @cached_property
    def _days(self) -> Int64[np.ndarray, " n"]:
        return np.array(self.days, np.int64)

    def features(self, day: Any) -> Any:
        """Of each day [...], of any array library, whether it is a holiday, and how near the next and the last one are.

        The first is `RARE` or 0. The others fall from `NEARNESS` on a holiday to 0 in `NEAR` days; [..., 3].
        """
        xp, ends = day.__array_namespace__(), np.array([-1 << 40, 1 << 40])
        days = xp.asarray(np.concatenate([ends[:1], self._days, ends[1:]]))
        ahead = days[xp.searchsorted(days, day, side="left")] - day
        since = day - days[xp.searchsorted(days, day, side="right") - 1]
        near = (NEARNESS * (1 - xp.minimum(days, NEAR) / NEAR) for days in (ahead, since))
        return xp.stack([RARE * xp.astype(ahead == 0, xp.float64), *near], axis=-1)

    def features_at(self, day: int) -> list[float]:
        """The row that `features` gives for one day, in plain Python."""
        place, after = bisect_left(self.days, day), bisect_right(self.days, day)
        ahead = self.days[place] - day if place < len(self.days) else NEAR
        since = day - self.days[after - 1] if after else NEAR
        near = (NEARNESS * (1 - min(days, NEAR) / NEAR) for days in (ahead, since))
        return [RARE * (ahead == 0), *near]

    def count(self, begin: Any, end: Any) -> Any:
        """How many lie from day `begin` on and before day `end`, both [...] of any array library."""
        xp = begin.__array_namespace__()
        days = xp.asarray(self._days)
        return xp.searchsorted(days, end) - xp.searchsorted(days, begin)

    def to_json(self) -> dict[str, list[int]]:
        """Name → days: a name that comes every year is written once."""
        groups: dict[str, list[int]] = {}
        for day, name in zip(self.days, self.names, strict=True):
            groups.setdefault(name, []).append(day)
        return groups

    @classmethod
    def from_json(cls, values: Any) -> Holidays:
        """What `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"holidays is {shortened(values)}, not a mapping")
        pairs = []
        for name, days in values.items():
            if not isinstance(days, list) or any(type(day) is not int for day in days):
                raise ValueError(f"the holidays {shortened(name)} are {shortened(days)}, not a list of days")
            pairs += [(day, name) for day in days]
        pairs.sort()
        days = tuple(day for day, _ in pairs)
        if len(set(days)) < len(days) or (days and not FIRST <= days[0] <= days[-1] <= LAST):
            raise ValueError("a holiday comes twice or lies outside the years 1 to 9999")
        return cls(days, tuple(name for _, name in pairs))


NO_HOLIDAYS = Holidays()


def of_setting(setting: str | tuple[str, ...] | None, time: Int64[np.ndarray, " rows"]) -> Holidays:
    """The holidays that the setting `holidays` means for a table.

    Args:
        setting: a code, or dates in text with their names.
        time: of the table's rows, in microseconds.

    Raises:
        MissingDependency: a code, without the package that knows what it means.
        SettingError: a code that the package does not know, or has no dates for.
    """
    if setting is None:
        return NO_HOLIDAYS
    if isinstance(setting, str):
        years = time[[int(time.argmin()), int(time.argmax())]].astype("M8[us]").astype("M8[Y]").astype(int) + 1970
        dates = _of_code(setting, range(int(years[0]) - YEARS_BEFORE, int(years[1]) + YEARS_AHEAD + 1))
    else:
        dates = dict(date_and_name(item) for item in setting)
    days = {date.fromisoformat(text).toordinal() - EPOCH: name for text, name in dates.items()}
    ordered = sorted(days)
    return Holidays(tuple(ordered), tuple(days[day] for day in ordered))


def _of_code(code: str, years: range) -> dict[str, str]:
    """Date → name, as the package tells."""
    try:
        import holidays as package
    except ImportError as error:
        raise MissingDependency.of("holidays", "holidays", f"holidays = {code!r}") from error
    region, _, part = code.partition("-")
    countries, exchanges = package.list_supported_countries(), package.list_supported_financial()
    parts = countries.get(region, exchanges.get(region))
    if parts is None:
        hint = nearest(region, [*countries, *exchanges])
        raise SettingError(f"holidays = {code!r}: the package holidays knows no {region!r}; {hint}")
    spelled = {item.upper(): item for item in parts}
    if part and part.upper() not in spelled:
        raise SettingError(f"holidays = {code!r}: {region} has no part {part!r}; {nearest(part, [*spelled.values()])}")
    if region in countries:
        dates = package.country_holidays(region, subdiv=spelled.get(part.upper()), years=years)
    else:
        dates = package.financial_holidays(region, years=years)
    if not dates:
        raise SettingError(f"holidays = {code!r}: the package holidays has no dates in {years[0]} to {years[-1]}")
    return {day.isoformat(): name for day, name in dates.items()}


def span(holidays: Holidays) -> str:
    """How many dates there are, and from when to when."""
    first, last = (str(np.datetime64(day, "D")) for day in (holidays.days[0], holidays.days[-1]))
    return f"{len(holidays.days):,} dates from {first} to {last}"


def summary(holidays: Holidays, last: int) -> str:
    """What is known, in words; `last` is the time of the table's last row."""
    if holidays.days[-1] > last // DAY:
        return span(holidays)
    return f"{span(holidays)}, none after the table's end: add those to come, or forecasts know of none"
