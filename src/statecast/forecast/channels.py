"""Between the series of a table and the rows of a network's state.

A network that sees the targets jointly has one row for each series. One that takes each target on its own has a single
target, and a row for each (series, target), the targets of a series side by side. Everything outside of this file
speaks of series and of arrays [series, …, targets]; everything inside the network of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.values import lone_series
from statecast.errors import DataError
from statecast.model.state import State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Int64, Shaped

Ids = tuple[str | int, ...]


def rows_each(model: Model) -> int:
    """Rows of the state for each series: 1, or the number of targets where each is a series of its own."""
    return len(model.schema.target) // model.network.front.targets


def rows_of(model: Model, series: int) -> slice:
    """The rows of one series."""
    width = rows_each(model)
    return slice(series * width, (series + 1) * width)


def place_of(model: Model, row: int, target: int) -> tuple[int, int]:
    """The series of a row, and the number in the table of one of the row's targets."""
    width = rows_each(model)
    return row // width, target if width == 1 else row % width


def row_ids(model: Model, ids: Sequence[str | int]) -> Ids:
    """The names of the rows of these series."""
    if rows_each(model) == 1:
        return tuple(ids)
    return tuple(name for item in ids for name in _names(model.schema, item))


def series_ids(model: Model, names: Sequence[str | int]) -> Ids:
    """The series whose rows these are: the inverse of `row_ids`.

    Raises:
        DataError: the rows of a series do not stand side by side.
    """
    width = rows_each(model)
    if width == 1:
        return tuple(names)
    ids = tuple(_series(model.schema, name) for name in names[::width])
    if row_ids(model, ids) != tuple(names):
        raise DataError(
            f"this state holds the rows {', '.join(map(str, names[:6]))}…: expected, for each series, "
            f"its targets {', '.join(model.schema.target)} side by side"
        )
    return ids


def last_times(model: Model, state: State) -> Int64[np.ndarray, " S"]:
    """The time of each series' last row."""
    return state.time[:: rows_each(model)]


def fold(model: Model, panel: Panel) -> Panel:
    """The panel as the network takes it."""
    return panel if rows_each(model) == 1 else panel.fold(row_ids(model, panel.ids))


def offsets(model: Model, panel: Panel) -> Int64[np.ndarray, " S+1"]:
    """Where each series of the folded panel begins."""
    width = rows_each(model)
    begins = width * panel.offsets[:-1, None] + np.arange(width) * panel.lengths[:, None]
    return np.append(begins.ravel(), width * panel.rows)


def repeat(model: Model, values: Any) -> Any:
    """An array with a row for each series as one with a row for each of their rows."""
    width = rows_each(model)
    return values if width == 1 else np.repeat(values, width, axis=0)


def split(model: Model, values: Shaped[np.ndarray, "S D"]) -> Shaped[np.ndarray, "N Dn"]:
    """Targets [S, D] as the network's rows have them."""
    return values.reshape(-1, model.network.front.targets)


def join(model: Model, values: Shaped[np.ndarray, "N H Dn"]) -> Shaped[np.ndarray, "S H D"]:
    """Forecasts of the network's rows as those of the series."""
    width = rows_each(model)
    if width == 1:
        return values
    return np.moveaxis(values.reshape(-1, width, *values.shape[1:-1]), 1, -1)


def _names(schema: Schema, name: str | int) -> Ids:
    """The rows of one series, as `Schema.output_ids` calls them: by the targets alone where there is no id column."""
    if schema.id is None and name == lone_series(schema.target):
        return schema.target
    return tuple(f"{name}/{target}" for target in schema.target)


def _series(schema: Schema, row: str | int) -> str | int:
    first = schema.target[0]
    if schema.id is None and row == first:
        return lone_series(schema.target)
    name = str(row).removesuffix(f"/{first}")
    return int(name) if schema.id_kind == "integer" and name.lstrip("-").isdigit() else name
