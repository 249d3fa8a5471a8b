"""How rows and forecasts are written, whatever carries them.

A row is an object whose keys are the columns of the training table, a forecast one with `id`, `time`, `times`,
`statecast` and its bounds. `statecast stream`, the server and its clients all speak through this file, so that what one
of them writes the others read. Nothing here knows text: `rowtext` reads lines, the server reads requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar, values
from statecast.data.schema import Schema
from statecast.errors import DataError, nearest
from statecast.forecast import features
from statecast.forecast.answer import Forecast

if TYPE_CHECKING:
    from jaxtyping import Int64

    from statecast.forecast.breakdown import Breakdown

SCORE_DIGITS = 3  # that are told of a score
MIDNIGHT = "T00:00:00.000000"


@dataclass(frozen=True)
class LiveRow:
    """One row, as `Stream.observe` takes it."""

    id: str | int
    value: dict[str, Any]
    time: Any
    past: dict[str, Any] | None
    known: dict[str, Any] | None
    static: dict[str, Any] | None


# --- rows --------------------------------------------------------------------------------------------------------


def required(schema: Schema) -> tuple[str, ...]:
    """The columns that every row has: all but the static ones, which only a new series needs."""
    keys = (name for name in (schema.id, schema.time) if name)
    return (*keys, *schema.target, *(item.name for item in (*schema.past, *schema.known)))


def require_columns(names: Iterable[str], schema: Schema) -> None:
    """Refuse rows without a column that the model needs.

    Raises:
        DataError: the first that is missing.
    """
    names = names if isinstance(names, Mapping) else list(names)
    for name in required(schema):
        if name not in names:
            raise DataError(f"there is no column {name!r}; {nearest(name, names)}")


def live_row(record: Mapping[str, Any], schema: Schema) -> LiveRow:
    """The row of a record: a value for each column, null where it is missing. Other keys are passed over.

    Raises:
        DataError: a column is missing, or the id or the time is none.
    """
    require_columns(record, schema)
    static = {item.name: record[item.name] for item in schema.static if item.name in record}
    return LiveRow(
        values.series_id(record.get(schema.id_column, values.lone_series(schema.target)), schema.id_kind),
        {target: record[target] for target in schema.target},
        _time(record, schema),
        {item.name: record[item.name] for item in schema.past} if schema.past else None,
        {item.name: listed(record[item.name]) for item in schema.known} if schema.known else None,
        static or None,
    )


def _time(record: Mapping[str, Any], schema: Schema) -> Any:
    if schema.time is None:
        return None
    time = record[schema.time]
    if time is None or time == "":
        raise DataError(f"{schema.time}: a time is missing")
    if isinstance(time, int | float) and schema.time_kind in ("date", "datetime"):
        raise DataError(f"{schema.time}: {values.described(time)} is not a date: write it as YYYY-MM-DD HH:MM:SS")
    return time


def listed(value: Any) -> list[Any]:
    """Values known ahead are a list: for this step and for the next ones."""
    return value if isinstance(value, list) else [value]


# --- forecasts ---------------------------------------------------------------------------------------------------


def document(forecast: Forecast) -> dict[str, Any]:
    """The object of a forecast of one series; see `documents`."""
    return documents(forecast)[0]


def documents(forecast: Forecast, bounds: bool = True) -> list[dict[str, Any]]:
    """One object for each series of a forecast, of what JSON can hold.

    With several targets, values and bounds are mappings from target to numbers.

    Args:
        forecast: of S series.
        bounds: whether the intervals are in it.

    Returns:
        S objects: id, time (of the last row), times [H], statecast [H], statecast-lo-80 [H], …, score, unusual
    """
    shape, schema = (len(forecast.ids), forecast.horizon, len(forecast.targets)), forecast.model.schema
    numbers = {"statecast": forecast.values}
    for level, lower in forecast.lower.items() if bounds else ():
        numbers |= {f"statecast-lo-{level:g}": lower, f"statecast-hi-{level:g}": forecast.upper[level]}
    last, alike = np.unique(forecast.last, return_inverse=True)  # series that stand alike share their times
    ahead = times(features.after(forecast.model, last, 1, forecast.horizon).reshape(-1), schema)
    columns = [
        forecast.ids,
        _each(times(last, schema), alike),
        _each([ahead[begin : begin + forecast.horizon] for begin in range(0, len(ahead), forecast.horizon)], alike),
        *(_by_target(part.reshape(shape), forecast.targets) for part in numbers.values()),
        *(_of_each(items, forecast.targets) for items in scores(forecast)),
    ]
    names = ("id", "time", "times", *numbers, "score", "unusual")
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def breakdowns(breakdown: Breakdown) -> list[dict[str, Any]]:
    """One object for each series of forecasts that are taken apart, of what JSON can hold.

    Returns:
        S objects: id, time (of the last row), times [H], statecast [H], and parts, the level first: name, kind and
        amounts [H] of each. Amounts sum to `statecast`; with several targets both are mappings from target to numbers.
    """
    schema, targets = breakdown.model.schema, breakdown.targets
    points = _by_target(breakdown.values, targets)
    amounts = [_by_target(breakdown.amounts[:, n], targets) for n in range(len(breakdown.parts))]
    return [
        {
            "id": name,
            "time": time,
            "times": times(ahead, schema),
            "statecast": points[s],
            "parts": [
                {"name": part.name, "kind": part.kind, "amounts": amounts[n][s]}
                for n, part in enumerate(breakdown.parts)
            ],
        }
        for s, (name, time, ahead) in enumerate(
            zip(breakdown.ids, times(breakdown.last, schema), breakdown.times, strict=True)
        )
    ]


def _each(items: list[Any], places: Int64[np.ndarray, " S"]) -> list[Any]:
    return [items[place] for place in places.tolist()]


def _by_target(part: np.ndarray, targets: tuple[str, ...]) -> list[Any]:
    """[S, H, D] as a list for each series, or a mapping from target to one where there are several."""
    if len(targets) == 1:
        return list(part[..., 0].tolist())
    return [dict(zip(targets, series, strict=True)) for series in part.swapaxes(1, 2).tolist()]


def scores(forecast: Forecast) -> tuple[list[Any], list[bool]]:
    """Scores of the last values, None where there is none, and whether they were unusual: by series, then target."""
    score = np.round(forecast.score, SCORE_DIGITS).astype(object)
    score[np.isnan(forecast.score)] = None
    return score.reshape(-1).tolist(), forecast.unusual.reshape(-1).tolist()


def _of_each(items: list[Any], targets: tuple[str, ...]) -> list[Any]:
    """One item for each series, or a mapping from target to one where there are several."""
    size = len(targets)
    if size == 1:
        return items
    return [dict(zip(targets, items[begin : begin + size], strict=True)) for begin in range(0, len(items), size)]


def times(time: Int64[np.ndarray, " n"], schema: Schema) -> list[Any]:
    """Times as a Panel holds them, as text that reads back; whole numbers as they are.

    Each text depends on its time and the schema alone: days for dates and for steps of days without a zone, else date
    and time, with a Z where it is a UTC instant.
    """
    time = np.asarray(time, np.int64)
    if schema.time_kind in ("integer", "row"):
        return list(time.tolist())
    stamps = calendar.to_datetime64(time, "datetime", schema.frequency, schema.tz)
    days = schema.tz is None and (schema.time_kind == "date" or schema.frequency.daily)
    suffix = "Z" if schema.tz else ""
    return [_text(text, days, suffix) for text in np.datetime_as_string(stamps, unit="us").tolist()]


def _text(text: str, days: bool, suffix: str) -> str:
    """2024-01-31T12:00:00.000000 in short."""
    if days and text.endswith(MIDNIGHT):
        return text[: -len(MIDNIGHT)]
    return text.removesuffix(".000000").replace("T", " ") + suffix
