"""From trained weights to a whole model: intervals, scores, and the state that every series ends in.

One run over the table serves all three: forecasts at validation origins give the quantiles of the errors, those at test
origins the scores, and where the run ends is where a stream goes on.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.forecast import calibrate, channels, evaluate
from statecast.forecast.roll import Origins
from statecast.model.archive import Model
from statecast.model.inputs import Rows, rows_of
from statecast.model.state import UNSEEN, Layout, State

if TYPE_CHECKING:
    from jaxtyping import Bool


def assemble(model: Model, panel: Panel, parts: Split, rows: Rows | None = None) -> tuple[Model, Origins]:
    """The model with its intervals, scores and last state, and its forecasts at the test origins.

    Args:
        model: trained weights; what it lacks is filled in.
        panel: the whole table, one series a series.
        parts: its split.
        rows: the folded panel, prepared, where it is at hand.
    """
    val, test = (
        _validation_origins(panel, parts, model.config.horizon),
        evaluate.test_origins(panel, parts.val, model.config.horizon),
    )
    origins, state = run(model, panel, val | test, rows)
    width = channels.rows_each(model)
    if not model.network.head.levels:
        rows = prepared(model, panel) if rows is None else rows
        seen = _where(origins, _folded(val, panel, width))
        errors = calibrate.relative_errors(rows, seen, np.repeat(parts.val, width))
        model = replace(model, residuals=calibrate.quantiles(errors))
    found = _where(origins, _folded(test, panel, width))
    scores = evaluate.evaluate(model, panel, found, parts.train)
    return replace(model, state=state, scores=scores), found


def run(
    model: Model, panel: Panel, wanted: Bool[np.ndarray, " rows"], rows: Rows | None = None
) -> tuple[Origins, State]:
    """Forecasts at the wanted rows, thinned out where they are very many, and the state after each series' last row."""
    folded, head, width = channels.fold(model, panel), model.network.head, channels.rows_each(model)
    chosen, _ = calibrate.thin(wanted, head.horizon * len(model.schema.target) * head.width, evaluate.MOST)
    layout = Layout.of(model.network.parts())
    data = np.zeros((folded.series, layout.size), model.dtype)
    layout.pack(model.network.start(model.p, folded.series, data), data)
    rows = prepared(model, panel) if rows is None else rows
    origins = evaluate.tested(model.network, model.p, rows, _folded(chosen, panel, width), ends=data)
    last = np.full(folded.series, UNSEEN)
    some = folded.lengths > 0
    last[some] = folded.time[folded.offsets[1:][some] - 1]
    return origins, State(layout, data, folded.ids, last)


def prepared(model: Model, panel: Panel) -> Rows:
    """The panel as the model's network takes it."""
    return rows_of(model.network, model.constants, model.schema, channels.fold(model, panel), model.dtype)


def _validation_origins(panel: Panel, parts: Split, horizon: int) -> Bool[np.ndarray, " rows"]:
    """Rows from which validation rows are forecast; training rows stand in where no series has any."""
    begin = parts.train if (parts.val > parts.train).any() else np.maximum(parts.train // 2, 1)
    inside = evaluate.test_origins(panel.cut(parts.val), begin, horizon)
    wanted = np.zeros(panel.rows, bool)
    for span, stop, (first, last) in zip(
        panel.spans(), parts.val, pairwise(np.concatenate([[0], np.cumsum(parts.val)])), strict=True
    ):
        wanted[span.start : span.start + int(stop)] = inside[first:last]
    return wanted


def _folded(wanted: Bool[np.ndarray, " rows"], panel: Panel, width: int) -> Bool[np.ndarray, " R"]:
    """A mask of the panel's rows as one of the folded panel's."""
    return np.concatenate([np.tile(wanted[span], width) for span in panel.spans()]) if panel.series else wanted


def _where(origins: Origins, wanted: Bool[np.ndarray, " R"]) -> Origins:
    chosen = wanted[origins.rows]
    return Origins(origins.rows[chosen], origins.values[chosen], origins.scale[chosen])
