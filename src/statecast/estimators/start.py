"""Where a forecast starts: from the end of the training table, or from that of another table.

Either comes down to a state, and for each of its series the covariates known after its last row; forecasting and
sampling need to know no more.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from statecast.data import checks
from statecast.data.grid.merging import Merging
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.tabular import table
from statecast.forecast import channels
from statecast.forecast.predict import Future, after_table
from statecast.model.state import State
from statecast.model.trained import Model


def origin_of(model: Model, source: Any, future: Any, training: Panel | None) -> tuple[State, Future | None]:
    """The state to forecast from, and the covariates known ahead of it.

    Args:
        model: the model.
        source: a table whose rows alone each series is forecast from; the series that the model remembers if None. A
            table without any observed target holds the covariates known ahead of those.
        future: a table of the covariates known ahead.
        training: the training table, while it is at hand.

    Raises:
        DataError: a table cannot be used, or known covariates are missing.
    """
    if source is not None:
        rows = table.read(source)
        if future is None and _lacks_targets(rows, model.schema):
            return origin_of(model, None, rows, training)
        return after_table(model, rows_of(model, rows, future, None))
    if future is None:
        if training is None or not model.schema.known:
            return model.state, None
        return model.state, _parts(training.ahead, training.ahead_offsets)
    return model.state, ahead_of(model, model.state, future)


def rows_of(model: Model, source: Any, future: Any, training: Panel | None) -> Panel:
    """A table of rows that forecasts begin at, with the covariates known after the last of them.

    Args:
        model: the model.
        source: a table like that of `fit`, whose last rows may be without a target; the training table if None.
        future: a table of the covariates known ahead; those in `source` if None.
        training: the training table, while it is at hand.

    Raises:
        DataError: a table cannot be used.
    """
    if source is None:
        assert training is not None
        return _with_future(model, training, future)
    panel = checks.panel_like(table.read(source), model.schema, merging=Merging.of(model.config))
    return _with_future(model, panel, future)


def ahead_of(model: Model, state: State, future: Any) -> Future:
    """The covariates known ahead of each series of a state, from a table of them.

    Raises:
        DataError: the table cannot be used, or has other series.
    """
    ids, last = channels.series_ids(model, state.ids), channels.last_times(model, state)
    return _parts(*checks.ahead_like(table.read(future), model.schema, ids, last, Merging.of(model.config)))


def _parts(values: np.ndarray, offsets: np.ndarray) -> list[np.ndarray]:
    return [values[begin:end] for begin, end in pairwise(offsets)]


def _with_future(model: Model, panel: Panel, future: Any) -> Panel:
    if future is None:
        return panel
    last = panel.time[np.maximum(panel.offsets[1:] - 1, 0)]
    ahead, offsets = checks.ahead_like(table.read(future), model.schema, panel.ids, last, Merging.of(model.config))
    return replace(panel, ahead=ahead, ahead_offsets=offsets)


def _lacks_targets(rows: table.Table, schema: Schema) -> bool:
    """Whether a table has no value of any target: it then holds the known covariates of the steps to forecast."""
    columns = [rows.column(name) for name in schema.target if name in rows.names]
    return bool(schema.known) and all(
        bool((column.values < 0).all() if column.kind == "text" else np.isnan(column.values).all())
        for column in columns
    )
