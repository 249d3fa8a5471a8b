"""What the numbers of a Panel mean: the names, kinds and categories of its columns.

A Panel holds numbers only. The Schema is what a model keeps beside them: enough to read a later table the same way
and to give results the names and the kind of time that came in. It is plain data, written as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

from statecast.data import zones
from statecast.data.calendar import ROWS, Frequency, TimeKind
from statecast.data.cycles import YEARLY, feature_names, holiday_names
from statecast.data.holidays import NO_HOLIDAYS, Holidays
from statecast.errors import DataError, ModelFileError, SettingError, shortened

IdKind = Literal["text", "integer"]
ROLES = ("past", "known", "static")  # of the covariates
LONGEST_FREQUENCY, LONGEST_ZONE = 32, 128  # characters
LARGEST_STEP, LARGEST_MONTHS = 2**52, 120_000  # of one step: microseconds or numbers, months or business days


@dataclass(frozen=True)
class Covariate:
    """A column beside the targets.

    Attributes:
        name: the column.
        kind: "numeric", or "categorical", which becomes one feature a category.
        categories: the strings that a categorical column may hold, in the order of their features.
    """

    name: str
    kind: Literal["numeric", "categorical"] = "numeric"
    categories: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """The names of its features after encoding."""
        return tuple(f"{self.name}={item}" for item in self.categories) if self.kind == "categorical" else (self.name,)


@dataclass(frozen=True)
class Schema:
    """The columns of a table, by their roles.

    Attributes:
        target: the columns to forecast, D of them.
        id: the column that names the series, if any.
        time: the column of times, if any; without one rows are steps.
        id_kind: whether ids are strings or integers.
        time_kind: what the times are.
        tz: the time zone of "datetime" times, if they have one.
        frequency: what one step is.
        past: covariates known up to now.
        known: covariates known ahead.
        static: covariates of a series.
        series: the series of the training table, where the network tells them apart; as its rows are named.
        years: whether the table reaches over two years, so that the course of a year can be told from a trend.
        day_first: of dates in text such as 1/2/2024, whether the day stands before the month; None if it was not seen.
        holidays: dates that the network is told ahead.
        weight: the column that says how much a row counts in training, if any; a later table needs none.
    """

    target: tuple[str, ...]
    id: str | None = None
    time: str | None = None
    id_kind: IdKind = "text"
    time_kind: TimeKind = "row"
    tz: str | None = None
    frequency: Frequency = ROWS
    past: tuple[Covariate, ...] = ()
    known: tuple[Covariate, ...] = ()
    static: tuple[Covariate, ...] = ()
    series: tuple[str | int, ...] = ()
    years: bool = True
    day_first: bool | None = None
    holidays: Holidays = NO_HOLIDAYS
    weight: str | None = None

    @property
    def id_column(self) -> str:
        """The name of the id column in results."""
        return self.id or "unique_id"

    @property
    def time_column(self) -> str:
        """The name of the time column in results."""
        return self.time or "ds"

    @property
    def past_features(self) -> tuple[str, ...]:
        """The names of the columns of `Panel.past`."""
        return _features(self.past)

    @property
    def known_features(self) -> tuple[str, ...]:
        """The names of the columns of `Panel.known` and `Panel.ahead`."""
        return _features(self.known)

    @property
    def static_features(self) -> tuple[str, ...]:
        """The names of the columns of `Panel.static`."""
        return _features(self.static)

    @cached_property
    def calendar_features(self) -> tuple[str, ...]:
        """The names of the calendar's features that steps of this frequency can resolve and the table repeats."""
        names = feature_names(self.frequency, self.time_kind)
        if not self.years:
            names = tuple(name for name in names if not name.startswith(YEARLY))
        return (*names, *holiday_names(self.frequency)) if self.holidays else names

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the table that has a role."""
        keys = [name for name in (self.id, self.time) if name is not None]
        return (*keys, *self.target, *(item.name for item in (*self.past, *self.known, *self.static)))

    @cached_property
    def numbers(self) -> dict[str | int, int]:
        """The number of each training series that the network tells apart, from 1 on; 0 is any other."""
        return {name: n for n, name in enumerate(self.series, 1)}

    def output_ids(self, ids: Sequence[str | int]) -> tuple[str | int, ...]:
        """What each (series, target) is called in results: S · D names, the targets of one series side by side.

        One target: the series' id. Several: the target, or "id/target" where the table has an id column.
        """
        if len(self.target) == 1:
            return tuple(ids)
        if self.id is None:
            return self.target * len(ids)
        return tuple(f"{item}/{target}" for item in ids for target in self.target)

    def to_json(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        groups = {
            role: [{"name": item.name, "kind": item.kind, "categories": list(item.categories)} for item in items]
            for role, items in (("past", self.past), ("known", self.known), ("static", self.static))
        }
        return {
            "target": list(self.target),
            "id": self.id,
            "time": self.time,
            "id_kind": self.id_kind,
            "time_kind": self.time_kind,
            "tz": self.tz,
            "frequency": self.frequency.text,
            **groups,
            "series": list(self.series),
            "years": self.years,
            "day_first": self.day_first,
            "holidays": self.holidays.to_json(),
            "weight": self.weight,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Schema:
        """The schema that `to_json` wrote; nothing of it is believed before it is checked.

        Raises:
            ModelFileError: a part is missing or of the wrong kind, or two parts contradict each other.
        """
        try:
            schema = _read(cls, _mapping(values, "the schema"))
            _require_agreement(schema)
        except (ValueError, SettingError, DataError) as error:
            raise ModelFileError(f"the schema of the columns is damaged: {error}") from error
        return schema


def _features(items: tuple[Covariate, ...]) -> tuple[str, ...]:
    return tuple(name for item in items for name in item.features)


def _read(of: type[Schema], values: Mapping[str, Any]) -> Schema:
    """The parts one by one; strings and lists may be of any length, as they need no more room than in the file."""
    if lost := {"target", "id", "time", "id_kind", "time_kind", "tz", "frequency", *ROLES} - values.keys():
        raise ValueError(f"{min(lost)} is missing")
    years = values.get("years", True)
    if type(years) is not bool:
        raise ValueError(f"years is {shortened(years)}, not true or false")
    day_first = values.get("day_first")
    if day_first is not None and type(day_first) is not bool:
        raise ValueError(f"day_first is {shortened(day_first)}, neither true, false nor null")
    id_kind = _one_of(values, "id_kind", ("text", "integer"))
    holidays = Holidays.from_json(values.get("holidays", {}))
    return of(
        target=_texts(values["target"], "target"),
        id=_optional(values, "id"),
        time=_optional(values, "time"),
        id_kind=id_kind,
        time_kind=_one_of(values, "time_kind", ("datetime", "date", "integer", "row")),
        tz=_optional(values, "tz"),
        frequency=_frequency(values["frequency"]).closing(holidays.days),
        **{role: _covariates(values[role], role) for role in ROLES},
        series=names(values.get("series", []), None, "series"),
        years=years,
        day_first=day_first,
        holidays=holidays,
        weight=_optional(values, "weight") if "weight" in values else None,
    )


def _require_agreement(schema: Schema) -> None:
    """What one part says must be possible beside the others."""
    if not schema.target:
        raise ValueError("it has no target")
    if double := _twice((*schema.columns, *filter(None, [schema.weight]))):
        raise ValueError(f"the column {shortened(double)} has two roles")
    if (schema.time is None) != (schema.time_kind == "row"):
        raise ValueError(f"times are of the kind {schema.time_kind!r}, and their column is {shortened(schema.time)}")
    if (schema.frequency.unit == "step") != (schema.time_kind in ("integer", "row")):
        raise ValueError(f"a step is {schema.frequency}, and times are of the kind {schema.time_kind!r}")
    if schema.time_kind in ("integer", "row") and schema.holidays:
        raise ValueError(f"there are holidays, and times are of the kind {schema.time_kind!r}")
    if schema.id is None and schema.id_kind != "text":
        raise ValueError("there is no id column, and ids are integers")
    if schema.tz is not None:
        if schema.time_kind != "datetime":
            raise ValueError(f"there is a time zone, and times are of the kind {schema.time_kind!r}")
        if len(schema.tz) > LONGEST_ZONE:
            raise ValueError(f"{shortened(schema.tz)} is not a time zone")
        zones.zone(schema.tz)


def _covariates(items: Any, role: str) -> tuple[Covariate, ...]:
    return tuple(_covariate(_mapping(item, role)) for item in _list(items, role))


def _covariate(item: Mapping[str, Any]) -> Covariate:
    if item.keys() != {"name", "kind", "categories"}:
        raise ValueError(f"{shortened(dict(item))} is not a covariate")
    name, categories = item["name"], _texts(item["categories"], "categories")
    if not isinstance(name, str):
        raise ValueError(f"{shortened(name)} is not the name of a column")
    kind = _one_of(item, "kind", ("numeric", "categorical"))
    if _twice(categories) is not None or (kind == "numeric" and categories):
        raise ValueError(f"{shortened(categories)} are not categories of the column {shortened(name)}")
    return Covariate(name, kind, categories)


def names(values: Any, kind: IdKind | None, what: str) -> tuple[str | int, ...]:
    """Names of series from JSON: each once, all of one kind, and none that a table or a stream could not have.

    Args:
        values: what should be a list of them.
        kind: the kind of id; either if None.
        what: their name in errors.

    Raises:
        ValueError: they are none.
    """
    items = tuple(_list(values, what))
    kinds = {str: "text", int: "integer"}
    expected = kind or (kinds.get(type(items[0])) if items else None)
    for item in items:
        other = expected is None or kinds.get(type(item)) != expected
        if other or (type(item) is int and not -(2**63) <= item < 2**63):
            raise ValueError(f"{what} holds {shortened(item)}, not an id of the kind {expected or 'text or integer'}")
    double = _twice(items)
    if double is not None:
        raise ValueError(f"{what} holds {shortened(double)} twice")
    return items


def _frequency(text: Any) -> Frequency:
    if not isinstance(text, str) or len(text) > LONGEST_FREQUENCY:
        raise ValueError(f"{shortened(text)} is not a frequency")
    frequency = Frequency.parse(text)
    if frequency.count > (LARGEST_STEP if frequency.unit in ("us", "step") else LARGEST_MONTHS):
        raise ValueError(f"a step of {shortened(text)} leads out of all times")
    return frequency


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} holds {shortened(value)}, not a mapping")
    return value


def _list(values: Any, what: str) -> list[Any]:
    if not isinstance(values, list | tuple):
        raise ValueError(f"{what} is {shortened(values)}, not a list")
    return list(values)


def _texts(values: Any, what: str) -> tuple[str, ...]:
    items = _list(values, what)
    for item in items:
        if not isinstance(item, str):
            raise ValueError(f"{what} holds {shortened(item)}, not a string")
    return tuple(items)


def _optional(values: Mapping[str, Any], name: str) -> str | None:
    value = values[name]
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is {shortened(value)}, not a string")
    return value


def _one_of(values: Mapping[str, Any], name: str, options: tuple[str, ...]) -> Any:
    value = values[name]
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} is {shortened(value)}, none of {', '.join(options)}")
    return cast(Any, value)


def _twice(items: Sequence[Any]) -> Any:
    """The first item that comes twice; None where none does."""
    earlier: set[Any] = set()
    for item in items:
        if item in earlier:
            return item
        earlier.add(item)
    return None
