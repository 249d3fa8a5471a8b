"""What a forecast is asked of: the series of the training table, those of another table, or covariates known ahead.

All of it comes down to a state, and for each of its series the rows of covariates known after the last one that was
seen; whoever forecasts or samples needs to know no more.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from statecast.data import checks, table
from statecast.data.merging import Merging
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.forecast import channels
from statecast.forecast.predict import Future, after_table
from statecast.model.state import State
from statecast.model.trained import Model


def begun(model: Model, source: Any, future: Any, fitted: Panel | None) -> tuple[State, Future | None]:
    """The state to forecast from, and the covariates known ahead of it.

    Args:
        model: the model.
        source: a table from whose rows alone each series is forecast; the series that the model remembers where None.
            A table without any observed target tells the covariates known ahead of those.
        future: a table of the covariates known ahead.
        fitted: the training table, while it is at hand.

    Raises:
        DataError: a table cannot be used, or known covariates are missing.
    """
    if source is not None:
        read = table.read(source)
        if future is None and _untold(read, model.schema):
            return begun(model, None, read, fitted)
        panel = checks.panel_like(read, model.schema, merging=Merging.of(model.config))
        return after_table(model, _with_future(model, panel, future))
    if future is None:
        known = fitted is not None and bool(model.schema.known)
        return model.state, _parts(fitted.ahead, fitted.ahead_offsets) if known and fitted is not None else None
    ids = channels.series_ids(model, model.state.ids)
    last = channels.last_times(model, model.state)
    return model.state, _parts(*checks.ahead_like(table.read(future), model.schema, ids, last))


def _parts(values: np.ndarray, offsets: np.ndarray) -> list[np.ndarray]:
    return [values[begin:end] for begin, end in pairwise(offsets)]


def _with_future(model: Model, panel: Panel, future: Any) -> Panel:
    if future is None:
        return panel
    last = panel.time[np.maximum(panel.offsets[1:] - 1, 0)]
    ahead, offsets = checks.ahead_like(table.read(future), model.schema, panel.ids, last)
    return replace(panel, ahead=ahead, ahead_offsets=offsets)


def _untold(read: table.Table, schema: Schema) -> bool:
    """Whether a table tells no value of any target: it then holds the known covariates of the steps to forecast."""
    held = [read.column(name) for name in schema.target if name in read.names]
    return bool(schema.known) and all(
        bool((column.values < 0).all() if column.kind == "text" else np.isnan(column.values).all()) for column in held
    )
