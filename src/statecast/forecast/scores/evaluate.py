"""Scores of forecasts made at many origins, always beside the baselines at the same origins.

`by_series` gives forecasts in the units of the table; `evaluate` compares them, series by series, with what came and
with the baselines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import tee
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from statecast.data import calendar
from statecast.data.panel import Panel, rows_of_spans
from statecast.forecast import channels
from statecast.forecast.calibrate import Spread
from statecast.forecast.hindcast.origins import Origins
from statecast.forecast.scores import comparison
from statecast.forecast.scores.comparison import ForecastPairs, ScoreSums
from statecast.model.inputs import from_working
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

BLOCK = 65_536  # numbers that are put into the table's units, and scored, at once where series are short


class Bounded(NamedTuple):
    """Forecasts from n origins of a series in the table's units.

    Attributes:
        point: the point forecasts.
        lower: lower bounds by level in percent.
        upper: upper bounds.
        members: pairs of a probability and the quantiles there, evenly spread; made one by one, and only once.
    """

    point: Float64[np.ndarray, "n H D"]
    lower: dict[float, Float64[np.ndarray, "n H D"]]
    upper: dict[float, Float64[np.ndarray, "n H D"]]
    members: Iterator[tuple[float, Float64[np.ndarray, "n H D"]]]

    def parts(self, spans: Sequence[slice]) -> Iterator[Bounded]:
        """Those from some of the origins, which share the making of their members."""
        for span, members in zip(spans, tee(self.members, len(spans)), strict=True):
            lower, upper = ({level: bound[span] for level, bound in side.items()} for side in (self.lower, self.upper))
            yield Bounded(self.point[span], lower, upper, _within(span, members))


def evaluate(model: Model, panel: Panel, origins: Origins, begin: Int64[np.ndarray, " S"]) -> dict[str, Any]:
    """Scores of the network and of every baseline: what `metrics.json` holds, see `comparison.evaluate`.

    Args:
        model: the model.
        panel: the table, one series a series.
        origins: its forecasts, at rows of the folded panel (see `channels.fold`).
        begin: for each series, the first row that is forecast; the rows before it give the scale of mase.
    """
    horizon, targets = model.network.head.horizon, model.schema.target
    parts = _batched(pairs for _, pairs in _pairs(model, panel, origins, begin))
    return comparison.evaluate(parts, targets, horizon, panel.series)


def score_sums(
    model: Model, panel: Panel, origins: Origins, begin: Int64[np.ndarray, " S"]
) -> dict[str | int, ScoreSums]:
    """The sums from which scores follow, of each series for itself, by its name; the arguments are those of `evaluate`.

    Merged in whatever order they give the scores of `evaluate`, up to rounding.
    """
    result: dict[str | int, ScoreSums] = {}
    for s, pairs in _pairs(model, panel, origins, begin):
        sums = result.get(panel.ids[s]) or ScoreSums.empty(len(model.schema.target), model.network.head.horizon)
        result[panel.ids[s]] = sums.add(pairs)
    return result


def season_of(model: Model) -> int:
    """Rows in the season by which the seasonal naive forecast repeats and mase is scaled; 1 for none."""
    return model.config.season or calendar.season(model.schema.frequency)


def _pairs(
    model: Model, panel: Panel, origins: Origins, begin: Int64[np.ndarray, " S"]
) -> Iterator[tuple[int, ForecastPairs]]:
    """The number of each series with origins, and its forecasts beside what came, at most `BLOCK` numbers at once."""
    most = max(BLOCK // (model.network.head.horizon * len(model.schema.target)), 1)
    season = season_of(model)
    for s, rows, forecast in by_series(model, panel, origins, most):
        yield s, ForecastPairs.of(panel.y[panel.span(s)], rows, int(begin[s]), season, *forecast)


def _batched(parts: Iterator[ForecastPairs]) -> Iterator[ForecastPairs]:
    """The same with short series joined: a call for each of thousands of them would take longer than its numbers."""
    batch: list[ForecastPairs] = []
    size = 0
    for part in parts:
        batch.append(part)
        size += part.actual.size
        if size >= BLOCK:
            yield ForecastPairs.joined(batch)
            batch, size = [], 0
    if batch:
        yield ForecastPairs.joined(batch)


def by_series(
    model: Model, panel: Panel, origins: Origins, most: int | None = None
) -> Iterator[tuple[int, Int64[np.ndarray, " n"], Bounded]]:
    """For each series with origins: its number, the origins' rows within it, and the forecasts made there.

    A series of more than `most` origins comes in several parts, which bounds memory. Forecasts of short series are put
    into the table's units together: a call for each of thousands of them would take longer than its numbers.
    """
    begins = channels.offsets(model, panel)
    cuts = np.searchsorted(origins.rows, begins)
    firsts, counts = cuts[:-1].reshape(panel.series, -1), np.diff(cuts).reshape(panel.series, -1)[:, 0]
    offsets = begins[:-1].reshape(panel.series, -1)[:, 0]
    for some in _stretches(counts, max(BLOCK // (model.network.head.horizon * len(model.schema.target)), 1)):
        rows = [rows_of_spans(channel, counts[some]) for channel in firsts[some].T]
        total = int(counts[some].sum())
        size = most or total if len(some) == 1 else total
        for begin in range(0, total, size):
            forecasts = bounded(model, [origins.at(at[begin : begin + size]) for at in rows])
            at = origins.rows[rows[0][begin : begin + size]]
            lengths = [len(at)] if len(some) == 1 else counts[some].tolist()
            ends = np.cumsum(lengths).tolist()
            spans = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
            for s, span, part in zip(some.tolist(), spans, forecasts.parts(spans), strict=True):
                yield s, at[span] - offsets[s], part


def _stretches(counts: Int64[np.ndarray, " S"], most: int) -> Iterator[Int64[np.ndarray, " n"]]:
    """The numbers of series with origins, so many that they have at most `most` together; one where it has more."""
    series = np.flatnonzero(counts)
    ends = np.cumsum(counts[series])
    begin = 0
    while begin < len(series):
        before = ends[begin - 1] if begin else 0
        end = max(int(np.searchsorted(ends, before + most, "right")), begin + 1)
        yield series[begin:end]
        begin = end


def bounded(model: Model, channel_origins: Sequence[Origins]) -> Bounded:
    """Forecasts of a series in the table's units, from the origins of each of its channels."""
    middle = model.network.head.middle
    point = np.concatenate(
        [from_working(model.constants, part.values[..., middle, None])[..., 0] for part in channel_origins], axis=-1
    )
    spreads = [Spread.of(model, part) for part in channel_origins]
    lower, upper = {}, {}  # type: dict[float, Any], dict[float, Any]
    for level in model.config.levels:
        lower[level], upper[level] = _interval(spreads, level)
    return Bounded(point, lower, upper, _members(spreads))


def _within(
    span: slice, members: Iterator[tuple[float, Float64[np.ndarray, "n H D"]]]
) -> Iterator[tuple[float, Float64[np.ndarray, "m H D"]]]:
    for probability, quantiles in members:
        yield probability, quantiles[span]


def _members(spreads: Sequence[Spread]) -> Iterator[tuple[float, Float64[np.ndarray, "n H D"]]]:
    """Quantiles at the probabilities (k − ½) / 20: the bounds of the intervals of 95, 85, … 5 %."""
    for level in range(95, 0, -10):
        lower, upper = _interval(spreads, level)
        yield (100 - level) / 200, lower
        yield (100 + level) / 200, upper


def _interval(
    spreads: Sequence[Spread], level: float
) -> tuple[Float64[np.ndarray, "n H D"], Float64[np.ndarray, "n H D"]]:
    pairs = [spread.bounds(level) for spread in spreads]
    lower, upper = (np.concatenate(side, axis=-1) for side in zip(*pairs, strict=True))
    return lower, upper
