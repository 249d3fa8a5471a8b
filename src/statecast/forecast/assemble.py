"""From trained weights to a whole model: intervals, scores, and the state in which every series ends.

One run over the table serves all three: forecasts from validation and training rows give the errors that calibrate the
intervals, those from test rows the scores, and where the run ends is where a stream goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.forecast import calibrate, channels, evaluate, follow, phases, sample
from statecast.forecast.follow import Watched
from statecast.forecast.roll import Origins
from statecast.forecast.verdict import calibration_texts
from statecast.model.adaptive import prior_quantiles
from statecast.model.inputs import Rows, rows_of
from statecast.model.trained import Model, TrainingRows

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


MOST_TRAINING = 5_000_000  # numbers that are kept of the forecasts of training rows; above it, they are thinned out


def assemble(model: Model, panel: Panel, split: Split, rows: Rows | None = None) -> tuple[Model, Origins]:
    """The model with its intervals, scores and last state, and its forecasts at the test origins.

    Args:
        model: trained weights; what it lacks is filled in.
        panel: the whole table, one series a series.
        split: of the table.
        rows: the folded panel, prepared, where it is at hand.
    """
    rows = network_rows(model, panel) if rows is None else rows
    head, horizon = model.network.head, model.config.horizon
    val, train, enough = _calibration_origins(panel, split, horizon)
    train, _ = calibrate.thin(train & ~val, _numbers(model), MOST_TRAINING)
    test = evaluate.test_origins(panel, split.val, horizon)
    origins = forecasts(model, panel, train | val | test, rows)
    parts = [_at(origins, channels.fold_mask(model, panel, mask)) for mask in (val, train)]
    held_out, fitted = (
        calibrate.scores(head, rows, part, channels.repeat(model, limit))
        for part, limit in zip(parts, (split.val, split.train), strict=True)
    )
    model = replace(model, typical=_typical(_pooled(held_out, fitted)) if enough and model.adaptive else None)
    watched = Watched.of(model, rows)
    if model.typical is not None:
        calibrating = _at(origins, channels.fold_mask(model, panel, val | train))
        calibrating, _ = follow.through(model, panel, rows, calibrating, watched)
        parts = [calibrating.at(np.isin(calibrating.rows, part.rows)) for part in parts]
        model, held_out, fitted = _relative(model, parts, (held_out, fitted))
    scores, prior = _pooled(held_out, fitted), prior_quantiles(head)
    counts = {"validation": _count(held_out), "training": _count(fitted), "enough": enough}
    count = 1.0 if counts["validation"] else calibrate.FITTED
    residuals = calibrate.quantiles(scores, prior) if enough else calibrate.sized(scores, prior, count)
    model = replace(model, residuals=residuals, paths=sample.paths(scores) if enough else None)
    tested, state = follow.through(model, panel, rows, _at(origins, channels.fold_mask(model, panel, test)), watched)
    evaluation = evaluate.evaluate(model, panel, tested, split.val)
    evaluation["calibration"] = counts
    reason, _ = calibration_texts(evaluation)
    reasons = (model.reasons or {}) | ({"levels": reason} if reason else {})
    training = TrainingRows.of(panel, split)
    return replace(model, state=state, training=training, scores=evaluation, reasons=reasons), tested


def with_every_row(tested: Model, weights: Any, constants: dict[str, np.ndarray], panel: Panel) -> Model:
    """The model whose network has learned from every row, with scores and intervals of the one that was tested.

    Its own errors on these rows are of rows that it learned from, and too small for widths. So quantiles, and how far
    the intervals of each series have moved, are those of the tested network; both are in units of the front's scale,
    which does not depend on the weights.

    Args:
        tested: with intervals, scores and state.
        weights: of the network that has learned from every row.
        constants: likewise.
        panel: the whole table.
    """
    every = TrainingRows.of(panel, Split(panel.lengths, panel.lengths))
    model = replace(tested, weights=weights, constants=constants, training=every)
    data = tested.state.data.copy()
    ends = np.zeros((len(data), model.adaptive_span.start), model.dtype)
    rows = network_rows(model, panel)
    evaluate.forecasts_at(model.network, model.p, rows, np.zeros(len(rows.y), bool), ends)
    data[:, : model.adaptive_span.start] = ends
    return replace(model, state=replace(tested.state, data=data))


def _calibration_origins(
    panel: Panel, split: Split, horizon: int
) -> tuple[Bool[np.ndarray, " rows"], Bool[np.ndarray, " rows"], bool]:
    """Rows from which validation rows are forecast, those from which training rows are, and whether they are enough.

    Training rows count in the second half of the training part, where the network has seen some of each series. Origins
    are enough where there are at least ten, and where not all of them overlap: two whole horizons, or two series. Where
    they are not, those too count that have only a part of their horizon ahead.
    """
    begin = np.maximum(split.train // 2, 1)
    parts = ((split.train, split.val), (begin, split.train))
    val, train = (evaluate.test_origins(panel, first, horizon, stop) for first, stop in parts)
    count = np.add.reduceat(np.append(val | train, False), panel.offsets[:-1]) * (panel.lengths > 0)
    if count.sum() >= calibrate.FEW and (-(-count // horizon)).sum() >= 2:
        return val, train, True
    val, train = (evaluate.test_origins(panel, first, 1, stop) for first, stop in parts)
    return val, train, False


def _typical(scores: Float[np.ndarray, "N H D"]) -> Float[np.ndarray, "H D"] | None:
    """The mean size of scores, of which those of a series are multiples; None where a step has none, or no error."""
    sizes = _mean_size(scores)
    return sizes if (sizes > 0).all() else None


def _relative(
    model: Model, parts: Sequence[Origins], scores: Sequence[Float[np.ndarray, "N H D"]]
) -> tuple[Model, Float[np.ndarray, "N H D"], Float[np.ndarray, "M H D"]]:
    """Scores of validation and of training rows in units of what was known of each at its origin.

    That is the size of the series' own errors, and of those at the season's phase where phases differ enough, which
    the model then knows.
    """
    relative = _divided(model, parts, scores)
    (unseen, learned), season = parts, evaluate.season_of(model)
    assert unseen.phase is not None
    assert learned.phase is not None
    model = replace(model, phases=phases.chosen(relative[1], learned.phase, relative[0], unseen.phase, season))
    return model, *_divided(model, parts, scores)


def _divided(
    model: Model, parts: Sequence[Origins], scores: Sequence[Float[np.ndarray, "N H D"]]
) -> tuple[Float[np.ndarray, "N H D"], Float[np.ndarray, "M H D"]]:
    one, other = (
        (part / calibrate.sizes(model, origins.shifts, origins.phase)).astype(part.dtype)
        for part, origins in zip(scores, parts, strict=True)
    )
    return one, other


def _count(scores: Float[np.ndarray, "N H D"]) -> int:
    """From how many origins at least one value could be compared."""
    return int(np.sum(~np.isnan(scores).all(axis=(1, 2))))


def _pooled(held_out: Float[np.ndarray, "N H D"], fitted: Float[np.ndarray, "M H D"]) -> Float[np.ndarray, "L H D"]:
    """Scores of validation rows, and those of training rows made as large as these where they are smaller.

    Validation rows are one stretch of time, often of few horizons: each step ahead saw few hours or months, and all of
    them the same weather. Training rows add the other seasons. Errors on rows that were trained on are too small,
    though, so they contribute their shape and their growth with the step, and not their size. Sizes are compared over
    the steps and targets for which both have scores.
    """
    sizes = [_mean_size(part) for part in (held_out, fitted)]
    common = ~np.isnan(sizes[0]) & ~np.isnan(sizes[1])
    if not common.any():
        return np.concatenate([held_out, fitted])
    ratio = sizes[0][common].mean() / max(sizes[1][common].mean(), 1e-30)
    return np.concatenate([held_out, fitted * max(float(ratio), 1.0)])


def _mean_size(scores: Float[np.ndarray, "N H D"]) -> Float[np.ndarray, "H D"]:
    """The mean of |scores|, NaN where there are none."""
    count = np.sum(~np.isnan(scores), axis=0)
    return np.where(count > 0, np.nansum(np.abs(scores), axis=0, dtype=np.float64) / np.maximum(count, 1), np.nan)


def run(model: Model, panel: Panel, mask: Bool[np.ndarray, " rows"]) -> Origins:
    """Forecasts at the rows of a mask with intervals as they were there, thinned out where they are very many."""
    rows = network_rows(model, panel)
    return follow.through(model, panel, rows, forecasts(model, panel, mask, rows))[0]


def forecasts(model: Model, panel: Panel, mask: Bool[np.ndarray, " rows"], rows: Rows) -> Origins:
    """Forecasts at the rows of a mask, thinned out where they are very many."""
    thinned, _ = calibrate.thin(mask, _numbers(model), evaluate.MOST)
    return evaluate.forecasts_at(model.network, model.p, rows, channels.fold_mask(model, panel, thinned))


def _numbers(model: Model) -> int:
    """How many numbers are forecast at one row."""
    head = model.network.head
    return head.horizon * len(model.schema.target) * head.width


def network_rows(model: Model, panel: Panel) -> Rows:
    """The panel as the model's network takes it."""
    return rows_of(model.network, model.constants, model.schema, channels.fold(model, panel), model.dtype)


def _at(origins: Origins, mask: Bool[np.ndarray, " R"]) -> Origins:
    return origins.at(mask[origins.rows])
