"""From the rows of a request to the columns that are stepped and logged; what cannot be used is an error of its row.

This is done in the thread that brings the rows, so that the engine's own thread finds arrays. Covariates become
features here, by the same reading as a stream's, since it is features that the log keeps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data.schema import Covariate, Schema
from statecast.data.values import LARGEST, series_id
from statecast.errors import DataError, StatecastError
from statecast.forecast import features, observation
from statecast.model.state import UNSEEN
from statecast.model.trained import Model
from statecast.server.rows import LiveRows
from statecast.server.states.batch import Id

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64


@dataclass(frozen=True, eq=False)
class Intake:
    """N rows in columns.

    Attributes:
        ids: names of series.
        times: [N] as `Panel.time` has them; `UNSEEN` for the series' next step.
        values: [N, D].
        past: [N, P] features; None where the model has no such covariates, as below.
        known: [N, H + 1, K] features.
        static: [N, Q] features.
        stated: [N] which rows state static covariates; None where no row does.
        errors: why a row cannot be used, by its number.
    """

    ids: list[Id]
    times: Int64[np.ndarray, " N"]
    values: Float64[np.ndarray, "N D"]
    past: Float64[np.ndarray, "N P"] | None
    known: Float64[np.ndarray, "N h K"] | None
    static: Float64[np.ndarray, "N Q"] | None
    stated: Bool[np.ndarray, " N"] | None
    errors: dict[int, str]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def read(cls, model: Model, rows: LiveRows) -> Intake:
        """Read the rows of a request.

        Raises:
            DataError: its columns are not of one length.
        """
        schema, errors = model.schema, dict(rows.errors)
        count, targets = len(rows), len(model.schema.target)
        values = np.asarray(rows.values, np.float64)
        if values.shape != (count, targets):
            raise DataError(f"values: got the shape {values.shape}, expected {(count, targets)}: a row for each id")
        for row in np.flatnonzero((np.abs(values) > LARGEST).any(axis=1)).tolist():
            _keep(errors, row, observation.numbers, values[row].tolist(), schema, rows.ids[row])
        ids, times = _ids(rows.ids, schema, errors), _times(rows.times, count, schema, errors)
        past = _features(schema.past, rows.past, "past", count, errors)
        known = _known(model, rows.known, count, errors)
        static, stated = None, None
        if schema.static and rows.static is not None:
            stated = np.array([row is not None for row in rows.static])
            static = _features(schema.static, rows.static, "static", count, errors)
        return cls(ids, times, values, past, known, static, stated, errors)

    @classmethod
    def joined(cls, parts: Sequence[Intake]) -> Intake:
        """The rows of several requests, one after another."""
        if len(parts) == 1:
            return parts[0]
        begins = np.cumsum([0, *(len(part) for part in parts)]).tolist()
        errors = {
            begin + row: text for begin, part in zip(begins, parts, strict=False) for row, text in part.errors.items()
        }
        stated, static = None, None
        if any(part.static is not None for part in parts):
            width = next(part.static.shape[1] for part in parts if part.static is not None)
            blank = [np.full((len(part), width), np.nan) if part.static is None else part.static for part in parts]
            none = [np.zeros(len(part), bool) if part.stated is None else part.stated for part in parts]
            static, stated = np.concatenate(blank), np.concatenate(none)
        return cls(
            [name for part in parts for name in part.ids],
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.values for part in parts]),
            _stacked([part.past for part in parts]),
            _stacked([part.known for part in parts]),
            static,
            stated,
            errors,
        )

    def digest(self) -> bytes:
        """What tells these rows from others, for a request that is sent again."""
        sums = hashlib.blake2b(repr(self.ids).encode(), digest_size=16)
        for column in (self.times, self.values, self.past, self.known, self.static):
            sums.update(b"-" if column is None else column.tobytes())
        return sums.digest()


def _stacked(columns: Sequence[Any]) -> Any:
    return None if columns[0] is None else np.concatenate(columns)


def _keep(errors: dict[int, str], row: int, read: Callable[..., Any], *arguments: Any) -> Any:
    """What `read` makes of a row, or None and an error."""
    if row in errors:
        return None
    try:
        return read(*arguments)
    except StatecastError as error:
        errors[row] = str(error)
        return None


def _ids(ids: list[Any], schema: Schema, errors: dict[int, str]) -> list[Id]:
    """Names in the kind that the model was fitted with; strings are looked at again where they are new."""
    if not set(map(type, ids)) - {str if schema.id_kind == "text" else int}:
        return ids
    names = [_keep(errors, row, series_id, name, schema.id_kind) for row, name in enumerate(ids)]
    return ["" if name is None else name for name in names]


def _times(times: Any, count: int, schema: Schema, errors: dict[int, str]) -> Int64[np.ndarray, " N"]:
    """Times as a Panel has them; `UNSEEN` for a row that has none, and so comes next."""
    if times is None:
        return np.full(count, UNSEEN)
    if len(times) != count:
        raise DataError(f"times: got {len(times)}, expected one for each of the {count} rows")
    if isinstance(times, np.ndarray):
        quick = _instants(times, schema)
        if quick is not None:
            return quick
        times = list(times)
    readings: dict[Any, Any] = {}  # rows of one request mostly have few times
    result = np.full(count, UNSEEN)
    for row, value in enumerate(times):
        if value is None:
            continue
        key = (type(value), value) if isinstance(value, (str, int)) else id(value)
        if key not in readings:
            readings[key] = _time(value, schema)
        if isinstance(readings[key], str):
            errors.setdefault(row, readings[key])
        else:
            result[row] = readings[key]
    return result


def _time(value: Any, schema: Schema) -> int | str:
    try:
        return observation.time(value, schema)
    except StatecastError as error:
        return str(error)


def _instants(times: np.ndarray, schema: Schema) -> Int64[np.ndarray, " N"] | None:
    """A whole array of times; None where they are read one by one."""
    if times.dtype.kind == "M" and schema.time_kind in ("date", "datetime") and not np.isnat(times).any():
        if np.datetime_data(times.dtype)[0] in ("ns", "us", "ms", "s", "m", "h", "D"):
            return calendar.from_instants(times.astype("M8[us]").astype(np.int64), schema.frequency, schema.tz)
        return None
    if times.dtype != np.int64:
        return None
    inside = (times >= features.first_time(schema)) & (times < features.end_of_times(schema))
    return times if inside.all() else None


def _features(
    items: Sequence[Covariate], rows: Sequence[Any] | None, name: str, count: int, errors: dict[int, str]
) -> Float64[np.ndarray, "N P"] | None:
    """The features of one row of covariates each; NaN where a row has none. None where the model has none at all."""
    if not items and rows is not None and any(row is not None for row in rows):
        _refuse(rows, name, errors)
    if not items:
        return None
    table = observation.table(rows, len(items), name) if all(item.kind == "numeric" for item in items) else None
    if table is not None:
        return table
    result = np.full((count, sum(len(item.features) for item in items)), np.nan)
    for row, values in enumerate(() if rows is None else rows):
        numbers = None if values is None else _keep(errors, row, observation.covariates, items, values, name)
        if numbers is not None:
            result[row] = numbers
    return result


def _known(
    model: Model, rows: Sequence[Any] | None, count: int, errors: dict[int, str]
) -> Float64[np.ndarray, "N h K"] | None:
    """The features of covariates known ahead, of the row's own step and of the next H; each row has to have them."""
    items, steps = model.schema.known, model.network.head.horizon + 1
    if not items and rows is not None and any(row is not None for row in rows):
        _refuse(rows, "known", errors)
    if not items:
        return None
    result = np.full((count, steps, model.network.front.known), np.nan)
    names = ", ".join(repr(item.name) for item in items)
    for row in range(count):
        values = [] if rows is None or rows[row] is None else rows[row]
        numbers = _keep(errors, row, observation.rows, items, values, "known")
        if numbers is not None and len(numbers) < steps:
            errors[row] = (
                f"known: got {len(numbers)} rows of {names}, expected {steps}: this step and the next {steps - 1}"
            )
        elif numbers is not None:
            result[row] = numbers[:steps]
    return result


def _refuse(rows: Sequence[Any], name: str, errors: dict[int, str]) -> None:
    for row, values in enumerate(rows):
        if values is not None:
            errors.setdefault(row, f"{name}: this model has no such covariates: leave them out")
