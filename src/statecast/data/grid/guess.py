"""Which column of a table may play which role, for a person to confirm: a guess, with its reasons, never acted upon.

What the values themselves show comes first: dates are the time, a column that tells rows of one time apart names the
series, one that repeats the calendar is left out. Only what no value shows is guessed from names, and it says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar, checks
from statecast.data.grid.merging import STRICT, Merging
from statecast.data.grid.roles import Roles
from statecast.data.schema import Schema
from statecast.data.tabular.columns import Clock, Column
from statecast.data.tabular.table import Looks, Table
from statecast.data.timetext import MISSING
from statecast.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

TIMES = ("time", "date", "timestamp", "datetime", "ds", "hour", "day", "week", "month", "year", "step", "index")
IDS = ("unique_id", "id", "series", "site", "store", "shop", "sensor", "station", "item", "product", "region", "name")
TARGETS = ("target", "y", "value", "sales", "demand", "load", "consumption", "volume", "traffic", "orders", "count",
           "quantity", "passengers", "visitors", "revenue", "amount", "price", "power", "energy")  # fmt: skip
AHEAD = ("holiday", "promo", "promotion", "event", "school", "campaign", "weekend", "open", "plan", "planned")
WEATHER = ("temp", "humid", "wind", "rain", "precip", "snow", "cloud", "pressure", "dew")  # words begin like this
MOST_CATEGORIES = 50  # of a covariate in words
LEAST_FILLED = 0.2  # of the rows that a panel would have, if each of its series had every time
WIDE = 30.0  # ratio of sizes up to which numeric columns may be targets side by side
CLOCK = re.compile(r"[0-2]?[0-9]:[0-5][0-9](:[0-5][0-9])?")  # a time of day
STEPS = {"1min": 60, "5min": 300, "10min": 600, "15min": 900, "30min": 1800, "1h": 3600, "1d": 86_400}
UNSEASONED = 12  # steps ahead where the calendar has no season


@dataclass(frozen=True)
class Guess:
    """A guess at the roles of a table's columns.

    Attributes:
        roles: of the columns.
        settings: that reading the table needs, such as what becomes of rows of one time.
        horizon: steps ahead that may be of interest.
        reasons: what each column was taken for and why, by column.
        fault: why the table cannot be used like this all the same; empty where it can.
    """

    roles: Roles
    settings: Mapping[str, Any]
    horizon: int
    reasons: Mapping[str, str]
    fault: str = ""


def guess(table: Table, roles: Roles) -> Guess:
    """Roles for the columns of a table, beside those that were said.

    Args:
        table: the rows.
        roles: what was said; it stays.

    Raises:
        DataError: no column holds numbers, so that nothing can be forecast; or a column that was named is not there.
    """
    work = _Work(table, roles, {name: table.looks(name) for name in table.names})
    work.time()
    work.series()
    work.calendar()
    work.targets()
    work.covariates()
    return work.result()


@dataclass
class _Work:
    """The guess as far as it has come; each method adds what it finds out to `roles`, `settings` and `reasons`."""

    table: Table
    roles: Roles
    looks: Mapping[str, Looks]
    settings: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    stamps: Column | None = None

    def free(self) -> list[str]:
        """Columns that play no role so far."""
        roles = self.roles
        keyed = {roles.id, roles.time, roles.weight, *(roles.target or ()), *roles.past, *roles.known, *roles.static}
        return [name for name in self.table.names if name not in keyed | self.left_out]

    def numbers(self) -> list[str]:
        """Those of them that hold numbers."""
        return [name for name in self.free() if self.looks[name].numbers and not self.looks[name].dates]

    def time(self) -> None:
        """The column of times."""
        if self.roles.time is None:
            dates = [name for name in self.free() if self.looks[name].dates]
            name = next(_by_name(dates, TIMES), dates[0] if dates else None) or self._counting()
            if name is None:
                self.roles = replace(self.roles, time="")
                return
            other = [repr(item) for item in dates if item != name]
            self.reasons[name] = "the time: it holds dates" if dates else "the time: its whole numbers ascend"
            if other:
                self.reasons[name] += f", as do {', '.join(other)}, so look whether it is the right one"
                self.left_out.update(item for item in dates if item != name)
            self.roles = replace(self.roles, time=name)
        if self.roles.time:
            self.stamps = self.table.column(self.roles.time, Clock())

    def _counting(self) -> str | None:
        """A column of whole numbers that ascend, by the name of a time."""
        for name in _by_name(self.numbers(), TIMES):
            values = self.table.column(name).values
            if _whole(values) and (np.diff(values) > 0).all():
                return name
        return None

    def series(self) -> None:
        """The column that names the series, or what becomes of rows of one time."""
        if self.stamps is None or self.roles.id is not None:
            return
        stamps = self.stamps.values
        if (stamps == MISSING).any() or len(np.unique(stamps)) == len(stamps):
            return
        candidates = [(codes, name) for name, codes in self._codes() if _tells_apart(stamps, codes)]
        named = list(_by_name([name for _, name in candidates], IDS))
        if candidates:
            name = named[0] if named else min(candidates, key=lambda item: int(item[0].max()))[1]
            self.roles = replace(self.roles, id=name)
            self.reasons[name] = "the series: it tells rows of one time apart"
        else:
            self.settings["duplicates"] = "first"
            repeated = len(stamps) - len(np.unique(stamps))
            self.reasons[str(self.roles.time)] += (
                f"; {repeated:,} rows repeat a time, and no column tells them apart as several series: "
                "duplicates=first keeps the first of each (last, mean and sum are others)"
            )

    def _codes(self) -> Iterator[tuple[str, Int64[np.ndarray, " rows"]]]:
        """Columns that could name series, as codes."""
        several = len(self.numbers()) > 1  # the only column of numbers is what is to be forecast
        for name in self.free():
            column = self.table.column(name)
            if column.kind == "text" and (column.values >= 0).all():
                if not all(CLOCK.fullmatch(label) for label in column.labels):
                    yield name, column.values
            elif several and column.kind in ("integer", "number") and _whole(column.values):
                yield name, np.unique(column.values, return_inverse=True)[1]

    def calendar(self) -> None:
        """Leave out what the time column says already."""
        if self.stamps is None or self.stamps.kind == "integer":
            return
        parts = _calendar_parts(self.stamps.values)
        numbers = self.numbers()
        for name in numbers:
            values = self.table.column(name).values
            if len(numbers) == 1 or len(_distinct(values, 2)) < 2:
                continue
            part = next((part for part, known in parts.items() if any((values == item).all() for item in known)), None)
            if part is not None:
                self.left_out.add(name)
                self.reasons[name] = f"left out: it is the {part} of the time, which the network knows"

    def targets(self) -> None:
        """What is to be forecast."""
        if self.roles.target:
            return
        numbers = [name for name in self.numbers() if self._varied(name)] or self.numbers()
        if not numbers:
            raise DataError(
                f"{self.table.origin}: no column holds numbers, so there is nothing to forecast; {self._texts()}"
            )
        named, beside = list(_by_name(numbers, TARGETS)), [name for name in numbers if not _is_weather(name)]
        if len(numbers) == 1:
            self._target(numbers, "the target: no other column holds numbers that could be forecast")
        elif named:
            self._target(named[:1], "the target: a guess by its name")
        elif len(beside) == 1:
            self._target(beside, "the target: a guess, as the names of the other columns of numbers are of weather")
        elif self.roles.id is None and len(numbers) > 2 and self._alike(numbers):
            self._target(numbers, "a target, like the other columns of numbers: they are of one size")
        else:
            others = f"{', '.join(numbers[1:4])}{', …' if len(numbers) > 4 else ''}"
            self._target(numbers[:1], f"the target: a guess, as the first column of numbers; it could be {others}")

    def _texts(self) -> str:
        """What the columns hold instead."""
        columns = {name: self.table.column(name) for name in self.free()}
        texts = [f"{name!r} holds {c.labels[0]!r}" for name, c in columns.items() if c.kind == "text" and c.labels]
        return f"{', '.join(texts[:5])}: write numbers without units" if texts else "all of them have other roles"

    def _varied(self, name: str) -> bool:
        """Whether a column of numbers is not a flag, nor zero most of the time."""
        values = self.table.column(name).values
        return len(_distinct(values, 3)) > 2 and 2 * int(np.count_nonzero(values)) > len(values)

    def _target(self, names: list[str], reason: str) -> None:
        self.roles = replace(self.roles, target=tuple(names))
        self.reasons |= dict.fromkeys(names, reason)

    def _alike(self, names: list[str]) -> bool:
        """Whether the values of some columns are of one size."""
        sizes = [float(np.nanmedian(np.abs(self.table.column(name).values))) for name in names]
        return min(sizes) > 0 and max(sizes) / min(sizes) <= WIDE

    def covariates(self) -> None:
        """What is left: known ahead, of a series, or known up to the present."""
        ahead = self._ahead()
        for name in self.free():
            look, column = self.looks[name], self.table.column(name)
            missing = _missing(column)
            if column.kind == "text" and all(CLOCK.fullmatch(label) for label in column.labels):
                self._leave(name, "it holds times of day: join it with the dates, as in 2024-01-31 12:00")
            elif look.dates or (column.kind == "text" and len(column.labels) > MOST_CATEGORIES):
                what = "dates beside the time" if look.dates else f"{len(column.labels):,} different strings"
                self._leave(name, what)
            elif missing.all() or len(_distinct(column.values, 2)) < 2:
                self._leave(name, "it never changes")
            elif self.roles.id is not None and self._constant(column):
                self._covariate(name, "static", "it never changes within a series")
            elif ahead.any() and not missing[ahead].any():
                self._covariate(name, "known", "it goes on where the target has ended")
            elif next(_by_name([name], AHEAD), None) is not None:
                self._covariate(name, "known", "a guess by its name; --past if it is not known ahead")
            else:
                self._covariate(name, "past", "--known if it is known ahead")

    def _leave(self, name: str, reason: str) -> None:
        self.left_out.add(name)
        self.reasons[name] = f"left out: {reason}"

    def _covariate(self, name: str, role: str, reason: str) -> None:
        columns: dict[str, Any] = {role: (*getattr(self.roles, role), name)}
        self.roles = replace(self.roles, **columns)
        words = {"past": "known up to the present", "known": "known ahead", "static": "of the series"}
        self.reasons[name] = f"{words[role]}: {reason}"

    def _ahead(self) -> Bool[np.ndarray, " rows"]:
        """Rows after the last one in which a target has a value."""
        observed = ~np.all([_missing(self.table.column(name)) for name in self.roles.target or ()], axis=0)
        time = np.arange(self.table.rows) if self.stamps is None else self.stamps.values
        return np.asarray(time > time[observed].max()) if observed.any() else np.zeros(self.table.rows, bool)

    def _constant(self, column: Column) -> bool:
        """Whether a column has one value in each series."""
        ids = np.unique(self.table.column(str(self.roles.id)).values, return_inverse=True)[1]
        values = np.unique(column.values, return_inverse=True)[1]
        return bool(len(np.unique(ids * (values.max() + 1) + values)) == ids.max() + 1)

    def result(self) -> Guess:
        """The guess, held against the rules by which the table would be read."""
        merging = Merging(**self.settings) if self.settings else STRICT
        order = {name: self.reasons[name] for name in self.table.names if name in self.reasons}
        try:
            panel, schema = checks.panel(self.table, self.roles, merging)
        except DataError as error:
            if self.roles.freq is None and (step := self._usual_step()):
                self.roles = replace(self.roles, freq=step)
                self.settings = {"aggregate": "mean"}
                order[str(self.roles.time)] += f"; its steps are irregular, so rows are averaged by {step}"
                return replace(self.result(), reasons=order)
            return Guess(self.roles, self.settings, UNSEASONED, order, str(error))
        return Guess(self.roles, self.settings, _horizon(schema, int(np.median(panel.lengths))), order)

    def _usual_step(self) -> str:
        """The shortest step of a clock that most rows are not farther apart than; empty where there are no times."""
        if self.stamps is None or self.stamps.kind != "datetime" or self.roles.id is not None:
            return ""
        apart = float(np.median(np.diff(np.sort(self.stamps.values)))) / 1e6
        return next((name for name, seconds in STEPS.items() if seconds >= apart), "")


def _horizon(schema: Schema, rows: int) -> int:
    """A season, or the largest round part of one that a tenth of the rows allows."""
    season, most = calendar.season(schema.frequency), max(rows // 10, 1)
    if season <= most:
        return season if season > 1 else min(UNSEASONED, most)
    return next((part for part in range(most, most // 2, -1) if season % part == 0), most)


def _is_weather(name: str) -> bool:
    return any(word.startswith(WEATHER) for word in _words(name))


def _by_name(names: list[str], hints: tuple[str, ...]) -> Iterator[str]:
    """Names in the order of the hints that they are, and then of those that they hold as a word."""
    yield from (name for hint in hints for name in names if name.lower() == hint)
    for hint in hints:
        for name in names:
            words = _words(name)
            if name.lower() != hint and (hint in words or f"{hint}s" in words):
                yield name


def _words(name: str) -> list[str]:
    return "".join(sign if sign.isalnum() else " " for sign in name.lower()).split()


def _tells_apart(stamps: Int64[np.ndarray, " rows"], codes: Int64[np.ndarray, " rows"]) -> bool:
    """Whether rows of one time differ in these codes, which fill most of what series of such times would have."""
    times = np.unique(stamps, return_inverse=True)[1]
    series = int(codes.max()) + 1
    filled = len(codes) / (series * (int(times.max()) + 1))
    return len(np.unique(times * series + codes)) == len(codes) and filled >= LEAST_FILLED and series < len(codes)


def _whole(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and (values == np.floor(values)).all())


def _calendar_parts(stamps: Int64[np.ndarray, " rows"]) -> dict[str, list[np.ndarray]]:
    """What a calendar says of times, in the ways in which it is counted."""
    time = stamps.astype("M8[us]")
    years, months, days = time.astype("M8[Y]"), time.astype("M8[M]"), time.astype("M8[D]")
    month, day = (months - years).astype(int) + 1, (days - months).astype(int) + 1
    weekday, hour = (days.astype(int) + 3) % 7, (time.astype("M8[h]") - days).astype(int)
    return {
        "year": [years.astype(int) + 1970],
        "month": [month],
        "day": [day, (days - years).astype(int) + 1],
        "weekday": [weekday, weekday + 1, (weekday + 1) % 7],
        "hour": [hour],
        "weekend": [(weekday >= 5).astype(int)],
        "quarter": [(month - 1) // 3 + 1],
    }


def _distinct(values: np.ndarray, most: int) -> Float64[np.ndarray, " n"]:
    """Some of the different values: enough to tell whether there are so many."""
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    head = np.unique(known[:1000])
    return head if len(head) >= most else np.unique(known)


def _missing(column: Column) -> Bool[np.ndarray, " rows"]:
    values = column.values
    if column.kind == "text":
        return values < 0
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
