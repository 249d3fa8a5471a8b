"""What the numbers of a Panel mean: the names, kinds and categories of its columns.

A Panel holds numbers only. The Schema is what a model keeps beside them: enough to read a later table the same way
and to give results the names and the kind of time that came in. It is plain data, written as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

from statecast.data.calendar import ROWS, YEARLY, Frequency, TimeKind, feature_names
from statecast.errors import ModelFileError, SettingError

IdKind = Literal["text", "integer"]


@dataclass(frozen=True)
class Covariate:
    """A column beside the targets.

    Attributes:
        name: the column.
        kind: "numeric", or "categorical", which becomes one feature a category.
        categories: the texts that a categorical column may hold, in the order of their features.
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
        id_kind: whether ids are texts or integers.
        time_kind: what the times are.
        tz: the time zone of "datetime" times, if they have one.
        frequency: what one step is.
        past: covariates known up to now.
        known: covariates known ahead.
        static: covariates of a series.
        series: the series of the training table, where the network tells them apart; as its rows are named.
        years: whether the table reaches over two years, so that the course of a year can be told from a trend.
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
        return names if self.years else tuple(name for name in names if not name.startswith(YEARLY))

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
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Schema:
        """The schema that `to_json` wrote.

        Raises:
            ModelFileError: a part is missing or of the wrong kind.
        """
        try:
            return cls(
                target=_texts(values["target"]),
                id=_maybe(values["id"]),
                time=_maybe(values["time"]),
                id_kind=_one_of(values["id_kind"], "text", "integer"),
                time_kind=_one_of(values["time_kind"], "datetime", "date", "integer", "row"),
                tz=_maybe(values["tz"]),
                frequency=Frequency.parse(values["frequency"]),
                past=_covariates(values["past"]),
                known=_covariates(values["known"]),
                static=_covariates(values["static"]),
                series=_names(values.get("series", ())),
                years=bool(values.get("years", True)),
            )
        except (KeyError, TypeError, ValueError, SettingError) as error:
            raise ModelFileError(f"the schema of the columns is damaged ({error!r}): save the model anew") from error


def _features(items: tuple[Covariate, ...]) -> tuple[str, ...]:
    return tuple(name for item in items for name in item.features)


def _covariates(items: Any) -> tuple[Covariate, ...]:
    return tuple(
        Covariate(str(item["name"]), _one_of(item["kind"], "numeric", "categorical"), _texts(item["categories"]))
        for item in items
    )


def _texts(values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{values!r} is not a list of texts")
    return tuple(values)


def _names(values: Any) -> tuple[str | int, ...]:
    if isinstance(values, str) or not all(isinstance(value, str | int) for value in values):
        raise TypeError(f"{values!r} is not a list of names")
    return tuple(values)


def _maybe(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _one_of(value: Any, *options: str) -> Any:
    if value not in options:
        raise ValueError(f"{value!r} is none of {', '.join(options)}")
    return cast(Any, value)
