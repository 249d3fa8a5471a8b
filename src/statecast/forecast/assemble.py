"""From trained weights to a whole model: intervals, scores, and the state in which every series ends.

One run over the table serves all three: forecasts from validation and training rows give the errors that calibrate the
intervals, those from test rows the scores, and where the run ends is where a stream goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.forecast import calibrate, channels, phases, sample, watch
from statecast.forecast.hindcast import follow
from statecast.forecast.hindcast.feed import Feed, numbers
from statecast.forecast.hindcast.follow import Watched
from statecast.forecast.hindcast.origins import OriginRows, Origins
from statecast.forecast.hindcast.roll import forecasts_at
from statecast.forecast.scores import evaluate
from statecast.forecast.scores.verdict import calibration_texts
from statecast.model import tails
from statecast.model.adaptive import prior_quantiles
from statecast.model.state import State
from statecast.model.trained import Model, TrainingRows

if TYPE_CHECKING:
    from jaxtyping import Float

LARGEST = 1e6  # factor of scores of training rows: smaller ones than that tell of rounding alone

CALIBRATING, SCORING = "calibrating", "scoring"
"""The phases of a fit after its trainings."""


def assemble(
    model: Model, feed: Feed, split: Split, tell: Callable[[str], None] = lambda phase: None
) -> tuple[Model, Origins]:
    """The model with its intervals, scores and last state, and its forecasts at the test origins.

    Args:
        model: trained weights; what it lacks is filled in.
        feed: the whole table.
        split: of the table.
        tell: told of each phase as it begins.
    """
    tell(CALIBRATING)
    rows = OriginRows.of(feed.panel, split, model.config.horizon, numbers(model))
    origins, chosen = feed.chosen_forecasts(model, rows)
    watched = Watched.of(model, feed.rows)
    model, counts = _calibrated(model, feed, split, chosen, origins, watched)
    model, tested, state = _watching(model, feed, chosen, origins, watched)
    tell(SCORING)
    scores = evaluate.evaluate(model, feed.panel, tested, split.val) | {"calibration": counts}
    reason, _ = calibration_texts(scores)
    reasons = (model.reasons or {}) | ({"levels": reason} if reason else {})
    training = TrainingRows.of(feed.panel, split)
    return replace(model, state=state, training=training, scores=scores, reasons=reasons), tested


def _calibrated(
    model: Model, feed: Feed, split: Split, chosen: OriginRows, origins: Origins, watched: Watched
) -> tuple[Model, dict[str, Any]]:
    """The model with intervals from the errors that validation and training rows show, and how many these are."""
    head = model.network.head
    parts = [origins.at(mask) for mask in (chosen.validation, chosen.training)]
    held_out, fitted = (
        calibrate.scores(head, feed.rows, part, channels.repeat(model, limit))
        for part, limit in zip(parts, (split.val, split.train), strict=True)
    )
    model = replace(model, typical=_typical(_pooled(held_out, fitted)) if chosen.enough and model.adaptive else None)
    if model.typical is not None:
        calibrating, _ = follow.through(model, feed, origins.at(chosen.validation | chosen.training), watched)
        parts = [calibrating.at(np.isin(calibrating.rows, part.rows)) for part in parts]
        model, held_out, fitted = _relative(model, parts, (held_out, fitted))
    scores, prior = _pooled(held_out, fitted), prior_quantiles(head)
    counts = {"validation": _count(held_out), "training": _count(fitted), "enough": chosen.enough}
    count = 1.0 if counts["validation"] else calibrate.FITTED
    residuals = calibrate.quantiles(scores, prior) if chosen.enough else calibrate.sized(scores, prior, count)
    return replace(model, residuals=residuals, paths=sample.paths(scores) if chosen.enough else None), counts


def _watching(
    model: Model, feed: Feed, chosen: OriginRows, origins: Origins, watched: Watched
) -> tuple[Model, Origins, State]:
    """The model that scores values, where its intervals move; the test origins, and the last state."""
    if model.adaptive is None:
        return model, *follow.through(model, feed, origins.at(chosen.test), watched)
    shape = tails.NUMBERS, 2, model.network.front.targets
    model = replace(model, tails=np.broadcast_to(tails.prior()[:, None, None], shape).copy())
    origins, state = follow.through(model, feed, origins, watched)
    positions = origins.at(chosen.validation | chosen.training).watch
    assert positions is not None
    return replace(model, tails=watch.learned(positions)), origins.at(chosen.test), state


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
    if _remember_alike(tested, model):
        return model
    data = tested.state.data.copy()
    ends = np.zeros((len(data), model.adaptive_span.start), model.dtype)
    rows = Feed.of(model, panel).rows
    forecasts_at(model.network, model.p, rows, np.zeros(len(rows.y), bool), ends)
    data[:, : model.adaptive_span.start] = ends
    return replace(model, state=replace(tested.state, data=data))


def _remember_alike(one: Model, other: Model) -> bool:
    """Whether two models make the same states of the same rows: all but their heads and linear maps is equal."""
    pairs = [(model.weights, model.constants) for model in (one, other)]
    kept = [({n: w[n] for n in w if n not in ("head", "skip")}, {n: c[n] for n in c if n != "maps"}) for w, c in pairs]
    return all(starmap(_equal, zip(*kept, strict=True)))


def _equal(one: Any, other: Any) -> bool:
    """Whether two trees of arrays hold the same numbers."""
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    return np.array_equal(one, other)


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
    the steps and targets for which both have scores, each as often as validation rows have one there: where a few
    series are long enough for the last steps of the horizon, these few say little of all others.
    """
    count = np.sum(~np.isnan(held_out), axis=0)
    sizes = [_mean_size(part) for part in (held_out, fitted)]
    common = (count > 0) & ~np.isnan(sizes[1])
    if not common.any():
        return np.concatenate([held_out, fitted])
    total = [np.sum(count[common] * part[common]) for part in sizes]
    ratio = total[0] / max(total[1], 1e-30)
    return np.concatenate([held_out, fitted * min(max(float(ratio), 1.0), LARGEST)])


def _mean_size(scores: Float[np.ndarray, "N H D"]) -> Float[np.ndarray, "H D"]:
    """The mean of |scores|, NaN where there are none."""
    count = np.sum(~np.isnan(scores), axis=0)
    return np.where(count > 0, np.nansum(np.abs(scores), axis=0, dtype=np.float64) / np.maximum(count, 1), np.nan)
