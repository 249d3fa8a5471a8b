"""What a server says of its model and its forecasts, as values: no model and no schema lie at this end.

Nothing here trusts the other end: an answer that lacks something is a `ServerError` that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import DataError, ServerError, nearest, shortened

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

LOWER, UPPER = "statecast-lo-", "statecast-hi-"


@dataclass(frozen=True)
class ServedModel:
    """What a server's model is about.

    Attributes:
        id: the column that names the series.
        time: the column of times.
        time_kind: what times are; "row" where rows are counted, and rows have none.
        targets: the columns that are forecast.
        past: covariates known up to now.
        known: covariates known ahead.
        static: covariates of a series.
        horizon: the steps of a forecast.
        frequency: what a step is, such as "1h".
        tz: the zone of times; None where they have none.
        recent: how many of the last rows of a series the server can tell from others when they come again.
    """

    id: str
    time: str
    time_kind: str
    targets: tuple[str, ...]
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    horizon: int = 1
    frequency: str = "1"
    tz: str | None = None
    recent: int = 1

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> ServedModel:
        """The model that a server's status describes.

        Raises:
            ServerError: it describes none.
        """
        item = _mapping(answer.get("model"))
        return cls(
            id=str(item.get("id") or "unique_id"),
            time=str(item.get("time") or "ds"),
            time_kind=str(item.get("time_kind", "row")),
            targets=_names(item, "targets"),
            past=_names(item, "past"),
            known=_names(item, "known"),
            static=_names(item, "static"),
            horizon=int(item.get("horizon", 1)),
            frequency=str(item.get("frequency") or "1"),
            tz=None if item.get("tz") is None else str(item["tz"]),
            recent=int(item.get("recent") or 1),
        )

    @property
    def counted(self) -> bool:
        """Whether rows have no times, so that nothing tells a row from the same one sent again."""
        return self.time_kind == "row"

    def record(self, id: Any, value: Any, time: Any, past: Any, known: Any, static: Any) -> dict[str, Any]:
        """A row as the object that is sent: a value for each column.

        Raises:
            DataError: another count of values than there are columns, an unknown column, or no time.
        """
        record = {self.id: id, **_by_column(value, self.targets, f"the values of series {id!r}")}
        if not self.counted:
            if time is None:
                raise DataError(f"series {id!r}: give the time of a row, by which it is known when it is sent again")
            record[self.time] = self.written(time)
        record |= _by_column(past, self.past, "past")
        if self.known:
            record |= _ahead(known, self.known, self.horizon)
        return record if static is None else record | _by_column(static, self.static, "static")

    def written(self, time: Any) -> Any:
        """A time as it is sent; a datetime64 has no zone, so it is UTC where times have one."""
        if isinstance(time, np.datetime64):
            return f"{time.astype('M8[us]')}{'Z' if self.tz else ''}"
        if isinstance(time, datetime | date):
            return time.isoformat()
        return time.item() if isinstance(time, np.generic) else time


@dataclass(frozen=True)
class RowResult:
    """What came of one row that was sent.

    Attributes:
        status: "accepted", "duplicate" (it was there before, with the same value) or "rejected".
        error: why it was rejected, for people.
        reason: the same for programs: "conflict", "late", "unknown", "limit", "invalid" or "elsewhere".
        forecast: the object of its forecast, where one was asked for.
        score: how unusual its value is, as a normal score; None where no forecast was made for it before.
        unusual: whether that is an alarm.
        owner: the address of the server that has the series, where this one has it not; None where none has it now.
    """

    status: str
    error: str | None = None
    reason: str | None = None
    forecast: dict[str, Any] | None = None
    score: float | None = None
    unusual: bool = False
    owner: str | None = None

    @classmethod
    def of(cls, item: Any) -> RowResult:
        """A row of a server's answer.

        Raises:
            ServerError: it is none.
        """
        row = _mapping(item)
        status, error = row.get("status"), row.get("error")
        if status not in ("accepted", "duplicate", "rejected"):
            raise ServerError(f"the server answered {shortened(item)} where what came of a row was expected")
        if status == "rejected":
            error = str(error or "the server says no more")
        unusual = bool(row.get("unusual"))
        return cls(status, error, row.get("reason"), row.get("forecast"), row.get("score"), unusual, row.get("owner"))


@dataclass(frozen=True, eq=False, repr=False)
class RemoteForecast:
    """Forecasts that came from a server, of S series, H steps and D targets.

    The answer to one row, where `single` is true, has no axis S.

    Attributes:
        ids: the series.
        targets: names of the D targets.
        stamps: [S, H] the times that the values are for, datetime64 (UTC where they have a zone) or whole numbers.
        values: [S, H, D] the point forecasts.
        lower: [S, H, D] lower bounds of the intervals by level, where the server was asked for them.
        upper: [S, H, D] upper bounds.
        scores: [S] the normal scores of the rows that were observed; NaN where there is none yet.
        unusual: [S] whether a row was unusual.
        single: a forecast of one series.
    """

    ids: tuple[str | int, ...]
    targets: tuple[str, ...]
    stamps: np.ndarray
    values: Float64[np.ndarray, "S H D"]
    lower: dict[float, Float64[np.ndarray, "S H D"]] = field(default_factory=dict)
    upper: dict[float, Float64[np.ndarray, "S H D"]] = field(default_factory=dict)
    scores: Float64[np.ndarray, " S"] | None = None
    unusual: Bool[np.ndarray, " S"] | None = None
    single: bool = False

    def __repr__(self) -> str:
        names = ", ".join(repr(name) for name in self.ids[:3]) + (", …" if len(self.ids) > 3 else "")
        levels = ", ".join(f"{level:g}" for level in self.lower) or "none"
        steps = np.atleast_2d(self.stamps).shape[-1]
        return f"<RemoteForecast: {', '.join(self.targets)} of {names or 'no series'}, {steps} steps; levels {levels}>"

    @classmethod
    def of(cls, documents: Sequence[Any], targets: tuple[str, ...], single: bool = False) -> RemoteForecast:
        """The forecasts of a server's objects, one for each series.

        Raises:
            ServerError: one of them is not a forecast.
        """
        items = [_mapping(item) for item in documents]
        levels = [name.removeprefix(LOWER) for name in (items[0] if items else ()) if name.startswith(LOWER)]
        try:
            columns = {name: _stacked(items, name, targets) for name in ("statecast", *_bounds(levels))}
            stamps = stamps_of([item["times"] for item in items])
            ids = tuple(item["id"] for item in items)
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(f"the server answered {shortened(documents)} where forecasts were expected") from error
        if single:
            columns, stamps = {name: column[0] for name, column in columns.items()}, stamps[0]
        lower = {float(level): columns[LOWER + level] for level in levels}
        upper = {float(level): columns[UPPER + level] for level in levels}
        return cls(ids, targets, stamps, columns["statecast"], lower, upper, single=single)

    @cached_property
    def times(self) -> Int64[np.ndarray, "S H"]:
        """`stamps` as numbers: microseconds since 1970, or the whole numbers themselves."""
        stamps = self.stamps
        return stamps.astype("M8[us]").astype(np.int64) if stamps.dtype.kind == "M" else stamps.astype(np.int64)


@dataclass(frozen=True, eq=False, repr=False)
class RemoteBreakdown:
    """Forecasts that came from a server, and what they come from: of S series, P parts, H steps and D targets.

    Attributes:
        ids: the series.
        targets: names of the D targets.
        stamps: [S, H] the times that the values are for, as in `RemoteForecast`.
        parts: name and kind of the P parts, the level first.
        amounts: [S, P, H, D] how much comes from each part.
        values: [S, H, D] the forecasts, which are the sums over the parts.
    """

    ids: tuple[str | int, ...]
    targets: tuple[str, ...]
    stamps: np.ndarray
    parts: tuple[tuple[str, str], ...]
    amounts: Float64[np.ndarray, "S P H D"]
    values: Float64[np.ndarray, "S H D"]

    def __repr__(self) -> str:
        names = ", ".join(repr(name) for name in self.ids[:3]) + (", …" if len(self.ids) > 3 else "")
        parts = ", ".join(name for name, _ in self.parts) or "none"
        return f"<RemoteBreakdown: {', '.join(self.targets)} of {names or 'no series'}; parts {parts}>"

    @classmethod
    def of(cls, documents: Sequence[Any], targets: tuple[str, ...]) -> RemoteBreakdown:
        """The explanations of a server's objects, one for each series.

        Raises:
            ServerError: one of them is none.
        """
        items = [_mapping(item) for item in documents]
        try:
            named = [tuple((str(part["name"]), str(part["kind"])) for part in item["parts"]) for item in items]
            parts = named[0] if named else ()
            values, ids = _stacked(items, "statecast", targets), tuple(item["id"] for item in items)
            each = [_stacked([item["parts"][n] for item in items], "amounts", targets) for n in range(len(parts))]
            stamps = stamps_of([item["times"] for item in items])
            amounts = np.stack(each, axis=1) if each else np.empty((len(items), 0, *values.shape[1:]))
            if any(names != parts for names in named):
                raise ValueError("the parts differ")
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ServerError(f"the server answered {shortened(documents)} where explanations were expected") from error
        return cls(ids, targets, stamps, parts, amounts, values)


def stamps_of(times: Any) -> np.ndarray:
    """Times of a server's answer as datetime64, or as the whole numbers that they are.

    Raises:
        ValueError: a string is not a time.
    """
    array = np.asarray(times)
    if array.dtype.kind != "U":
        return array.astype(np.int64)
    return np.char.rstrip(array, "Z").astype("M8[us]")


def _bounds(levels: Sequence[str]) -> list[str]:
    return [side + level for level in levels for side in (LOWER, UPPER)]


def _stacked(items: Sequence[Mapping[str, Any]], name: str, targets: tuple[str, ...]) -> Float64[np.ndarray, "S H D"]:
    """A key of all forecasts; where there are several targets it holds a list for each."""
    parts = [
        [item[name][target] for target in targets] if isinstance(item[name], Mapping) else [item[name]]
        for item in items
    ]
    array = np.array(parts, np.float64)
    return np.moveaxis(array, 1, -1) if len(parts) else np.empty((0, 0, len(targets)))


def _by_column(values: Any, names: tuple[str, ...], what: str) -> dict[str, Any]:
    """A value for each column: from a mapping, a sequence in their order, or a single one."""
    if isinstance(values, Mapping):
        strange = next((name for name in values if name not in names), None)
        if strange is not None:
            raise DataError(f"{what}: there is no column {strange!r}; {nearest(strange, names)}")
        return {name: _sent(values.get(name)) for name in names}
    if values is None:
        return dict.fromkeys(names)
    row = list(values) if np.iterable(values) and not isinstance(values, str | bytes) else [values]
    if len(row) != len(names):
        raise DataError(f"{what}: got {len(row)} values, expected {len(names)}: {', '.join(names) or 'none'}")
    return dict(zip(names, map(_sent, row), strict=True))


def _ahead(rows: Any, names: tuple[str, ...], horizon: int) -> dict[str, Any]:
    """Covariates known ahead: a list for each column, for this step and the next ones."""
    if rows is None:
        return {name: [None] * (horizon + 1) for name in names}
    if isinstance(rows, Mapping):
        return {name: [_sent(value) for value in rows[name]] for name in names if name in rows}
    steps = [_by_column(row, names, "known") for row in rows]
    return {name: [step[name] for step in steps] for name in names}


def _sent(value: Any) -> Any:
    """A value as JSON holds it."""
    return value.item() if isinstance(value, np.generic | np.ndarray) else value


def _names(item: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = item.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ServerError(f"the server's status has {key} = {shortened(names)} where names were expected")
    return tuple(names)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ServerError(f"the server answered {shortened(value)} where an object was expected")
    return value
