"""From trained weights to a whole model: intervals, scores, and the state that every series ends in.

One run over the table serves all three: forecasts at validation and training origins give the quantiles of the errors,
those at test origins the scores, and where the run ends is where a stream goes on.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.forecast import calibrate, channels, evaluate, predict, sample
from statecast.forecast.roll import Origins
from statecast.model.adaptive import untried
from statecast.model.inputs import Rows, rows_of
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64


LEARNED = 5_000_000  # numbers that are kept of the forecasts of training rows; above it, they are thinned out evenly


def assemble(model: Model, panel: Panel, parts: Split, rows: Rows | None = None) -> tuple[Model, Origins]:
    """The model with its intervals, scores and last state, and its forecasts at the test origins.

    Args:
        model: trained weights; what it lacks is filled in.
        panel: the whole table, one series a series.
        parts: its split.
        rows: the folded panel, prepared, where it is at hand.
    """
    rows = prepared(model, panel) if rows is None else rows
    horizon, width = model.config.horizon, channels.rows_each(model)
    val, test = _validation_origins(panel, parts, horizon), evaluate.test_origins(panel, parts.val, horizon)
    train, _ = calibrate.thin(_training_origins(panel, parts, horizon) & ~val, _numbers(model), LEARNED)
    origins = forecasts(model, panel, train | val | test, rows)
    head = model.network.head
    unseen, learned = (
        calibrate.scores(head, rows, _where(origins, _folded(of, panel, width)), np.repeat(limit, width))
        for of, limit in ((val, parts.val), (train, parts.train))
    )
    scores = _joined(unseen, learned)
    model = replace(model, residuals=calibrate.quantiles(scores, untried(head)), paths=sample.paths(scores))
    found = _where(origins, _folded(test, panel, width))
    found, state = predict.through(model, panel, rows, found)
    return replace(model, state=state, scores=evaluate.evaluate(model, panel, found, parts.train)), found


def _joined(unseen: Float[np.ndarray, "N H D"], learned: Float[np.ndarray, "M H D"]) -> Float[np.ndarray, "L H D"]:
    """Validation scores, and those of training rows made as large as these where they are smaller.

    Validation rows are one stretch of time, often of few horizons: each step ahead saw few hours or months, and all of
    them the same weather. Training rows have the other seasons to give. Errors on rows that were trained on are too
    small, though, so of these counts the shape and the growth with the step, not the size.
    """
    if not len(learned) or np.isnan(learned).all():
        return unseen
    here, there = (float(np.nanmean(np.abs(part))) if not np.isnan(part).all() else 0.0 for part in (unseen, learned))
    return np.concatenate([unseen, learned * max(here / max(there, 1e-30), 1.0)])


def run(model: Model, panel: Panel, wanted: Bool[np.ndarray, " rows"]) -> Origins:
    """Forecasts at the wanted rows with intervals as they were there, thinned out where they are very many."""
    rows = prepared(model, panel)
    return predict.through(model, panel, rows, forecasts(model, panel, wanted, rows))[0]


def forecasts(model: Model, panel: Panel, wanted: Bool[np.ndarray, " rows"], rows: Rows) -> Origins:
    """Forecasts at the wanted rows, thinned out where they are very many."""
    chosen, _ = calibrate.thin(wanted, _numbers(model), evaluate.MOST)
    return evaluate.tested(model.network, model.p, rows, _folded(chosen, panel, channels.rows_each(model)))


def _numbers(model: Model) -> int:
    """Of the forecasts that are made at one row."""
    head = model.network.head
    return head.horizon * len(model.schema.target) * head.width


def prepared(model: Model, panel: Panel) -> Rows:
    """The panel as the model's network takes it."""
    return rows_of(model.network, model.constants, model.schema, channels.fold(model, panel), model.dtype)


def _validation_origins(panel: Panel, parts: Split, horizon: int) -> Bool[np.ndarray, " rows"]:
    """Rows from which validation rows are forecast."""
    return _spread(panel, parts.val, evaluate.test_origins(panel.cut(parts.val), parts.train, horizon))


def _training_origins(panel: Panel, parts: Split, horizon: int) -> Bool[np.ndarray, " rows"]:
    """Rows in the second half of the training part from which training rows are forecast."""
    begin = np.maximum(parts.train // 2, 1)
    return _spread(panel, parts.train, evaluate.test_origins(panel.cut(parts.train), begin, horizon))


def _spread(panel: Panel, stop: Int64[np.ndarray, " S"], inside: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, " rows"]:
    """A mask of the first `stop[s]` rows of each series as one of all rows."""
    wanted = np.zeros(panel.rows, bool)
    cuts = np.concatenate([[0], np.cumsum(stop)])
    for span, (first, last) in zip(panel.spans(), pairwise(cuts), strict=True):
        wanted[span.start : span.start + int(last - first)] = inside[first:last]
    return wanted


def _folded(wanted: Bool[np.ndarray, " rows"], panel: Panel, width: int) -> Bool[np.ndarray, " R"]:
    """A mask of the panel's rows as one of the folded panel's."""
    return np.concatenate([np.tile(wanted[span], width) for span in panel.spans()]) if panel.series else wanted


def _where(origins: Origins, wanted: Bool[np.ndarray, " R"]) -> Origins:
    return origins.at(wanted[origins.rows])
