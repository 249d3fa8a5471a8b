"""What stands beside the axes of matplotlib: numbers in the words of `numbers`, and dates that repeat nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from matplotlib.dates import num2date
from matplotlib.ticker import Formatter, LogFormatter, NullLocator, ScalarFormatter

from statecast.display import numbers


class AmountFormatter(Formatter):
    """Ticks as people write numbers: all of an axis in one unit, or each in its own.

    Args:
        alone: each in its own, as on a logarithmic axis.
    """

    def __init__(self, alone: bool = False) -> None:
        self._alone = alone

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The text of a number by itself."""
        return numbers.amount(x)

    def format_ticks(self, values: Iterable[float]) -> list[str]:
        """The texts of the ticks of an axis."""
        ticks = [float(value) for value in values]
        return [numbers.amount(value) for value in ticks] if self._alone else numbers.tick_texts(ticks)


class DateFormatter(Formatter):
    """Dates, of which a tick says what is new since the tick before it; the larger units stand on a second line.

    So hours are `06:00` with the date below the first one of each day, days are `27 Feb`, `28`, `29`, `1 Mar` with the
    year below the first one of each year, and months have the year below them likewise.
    """

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The whole time of a place by itself, as a pointer asks for it."""
        return f"{_date(x):%Y-%m-%d %H:%M:%S}"

    def format_ticks(self, values: Iterable[float]) -> list[str]:
        """The texts of the ticks of an axis; the first of those that can be seen tells all."""
        low, high = sorted(self.axis.get_view_interval()) if self.axis is not None else (-np.inf, np.inf)
        ticks = [float(value) for value in values]
        texts = iter(_date_texts([_date(value) for value in ticks if low <= value <= high]))
        return [next(texts) if low <= value <= high else "" for value in ticks]


def _date(value: float) -> datetime:
    date: datetime = num2date(value)  # type: ignore[no-untyped-call]  # matplotlib has no type for it
    return date


def _date_texts(dates: Sequence[datetime]) -> list[str]:
    clocks = any((date.hour, date.minute, date.second, date.microsecond) != (0, 0, 0, 0) for date in dates)
    days = clocks or any(date.day != 1 for date in dates)
    if not days and all(date.month == 1 for date in dates):
        return [f"{date:%Y}" for date in dates]
    texts = []
    for date, before in zip(dates, [None, *dates[:-1]], strict=True):
        year = "" if before is not None and before.year == date.year else f"{date:%Y}"
        month = before is None or bool(year) or before.month != date.month
        if clocks:
            new = month or before is None or before.day != date.day
            texts.append(f"{_clock(date, dates)}\n{f'{date.day} {date:%b} {year}'.strip() if new else ''}".rstrip())
        else:
            text = (f"{date.day} {date:%b}" if month else f"{date.day}") if days else f"{date:%b}"
            texts.append(f"{text}\n{year}".rstrip())
    return texts


def _clock(date: datetime, dates: Sequence[datetime]) -> str:
    """The time of day, as fine as the ticks need it."""
    if any(other.microsecond for other in dates):
        return f"{date:%H:%M:%S.%f}".rstrip("0").rstrip(".")
    return f"{date:%H:%M:%S}" if any(other.second for other in dates) else f"{date:%H:%M}"


def write_numbers(axes: Any) -> None:
    """Give the axes that show numbers these texts; those of times, and of names, keep theirs."""
    for axis in (axes.xaxis, axes.yaxis):
        if isinstance(axis.get_major_formatter(), (ScalarFormatter, LogFormatter)):
            logarithmic = axis.get_scale() == "log"
            axis.set_major_formatter(AmountFormatter(alone=logarithmic))
            if logarithmic:
                axis.set_minor_locator(NullLocator())
