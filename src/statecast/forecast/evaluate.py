"""Scores of forecasts made at many origins, always beside the baselines at the same origins.

`forecasts_at` runs a network once over a panel and keeps its forecasts at the rows of a mask; `evaluate` compares them,
series by series, with what came and with the baselines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from statecast.data import calendar
from statecast.data.panel import Panel
from statecast.forecast import calibrate, channels, comparison
from statecast.forecast.comparison import ForecastPairs
from statecast.forecast.roll import Origins, roll
from statecast.model.inputs import Rows, from_working
from statecast.model.network import Network
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

BLOCK = 65_536  # numbers that are scored at once where series are short
MOST = 20_000_000  # numbers that are kept of all origins; above it, they are thinned out evenly


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


def test_origins(
    panel: Panel, begin: Int64[np.ndarray, " S"], horizon: int, stop: Int64[np.ndarray, " S"] | None = None
) -> Bool[np.ndarray, " rows"]:
    """Rows from which the rows `begin[s]` to `stop[s]` − 1 of each series are forecast, all H steps at once.

    Where there are fewer than H of them, the one origin right before them counts with the steps that there are.

    Args:
        panel: the table.
        begin: for each series, the first row that is forecast; a series that begins there has no origin before it.
        horizon: steps ahead, H.
        stop: for each series, the row after the last that is forecast; its length where None.
    """
    mask = np.zeros(panel.rows, bool)
    for span, first, end in zip(panel.spans(), begin, panel.lengths if stop is None else stop, strict=True):
        if 0 < first < end:
            mask[span.start + first - 1 : span.start + max(int(end) - horizon, int(first))] = True
    return mask


def forecasts_at(
    network: Network,
    p: Any,
    rows: Rows,
    mask: Bool[np.ndarray, " R"],
    ends: Float64[np.ndarray, "S size"] | None = None,
    ahead: Int64[np.ndarray, " H"] | None = None,
) -> Origins:
    """All forecasts at the rows of a mask, in order of the rows, in one run; see `roll` for the arguments."""
    parts = list(roll(network, p, rows, mask, ends=ends, ahead=ahead))
    if not parts:
        return Origins.none(network.head)
    at = np.concatenate([part.rows for part in parts])
    order = np.argsort(at, kind="stable")
    values, scale = (np.concatenate([getattr(part, name) for part in parts])[order] for name in ("values", "scale"))
    return Origins(at[order], values, scale)


def evaluate(model: Model, panel: Panel, origins: Origins, begin: Int64[np.ndarray, " S"]) -> dict[str, Any]:
    """Scores of the network and of every baseline: what `metrics.json` holds, see `comparison.evaluate`.

    Args:
        model: the model.
        panel: the table, one series a series.
        origins: its forecasts, at rows of the folded panel (see `channels.fold`).
        begin: for each series, the first row that is forecast; the rows before it give the scale of mase.
    """
    horizon, targets = model.network.head.horizon, model.schema.target
    parts = _batched(_pairs(model, panel, origins, begin))
    return comparison.evaluate(parts, targets, horizon, panel.series)


def season_of(model: Model) -> int:
    """Rows in the season by which the seasonal naive forecast repeats and mase is scaled; 1 for none."""
    return model.config.season or calendar.season(model.schema.frequency)


def _pairs(model: Model, panel: Panel, origins: Origins, begin: Int64[np.ndarray, " S"]) -> Iterator[ForecastPairs]:
    """The forecasts of each series with origins beside what came, at most `BLOCK` numbers at once."""
    most = max(BLOCK // (model.network.head.horizon * len(model.schema.target)), 1)
    season = season_of(model)
    for s, rows, forecast in by_series(model, panel, origins, most):
        yield ForecastPairs.of(panel.y[panel.span(s)], rows, int(begin[s]), season, *forecast)


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

    A series of more than `most` origins comes in several parts, which bounds memory.
    """
    begins = channels.fold(model, panel).offsets
    cuts = np.searchsorted(origins.rows, begins)
    for s in range(panel.series):
        rows = channels.rows_of(model, s)
        firsts, count = cuts[rows], int(cuts[rows.start + 1] - cuts[rows.start])
        size = most or max(count, 1)
        for begin in range(0, count, size):
            pieces = [slice(int(first) + begin, int(first) + min(begin + size, count)) for first in firsts]
            yield s, origins.rows[pieces[0]] - begins[rows.start], bounded(model, [origins.at(p) for p in pieces])


def bounded(model: Model, channel_origins: Sequence[Origins]) -> Bounded:
    """Forecasts of a series in the table's units, from the origins of each of its channels."""
    middle = model.network.head.middle
    point = np.concatenate(
        [from_working(model.constants, part.values[..., middle, None])[..., 0] for part in channel_origins], axis=-1
    )
    lower, upper = {}, {}  # type: dict[float, Any], dict[float, Any]
    for level in model.config.levels:
        lower[level], upper[level] = _interval(model, channel_origins, level)
    return Bounded(point, lower, upper, _members(model, channel_origins))


def _members(model: Model, channel_origins: Sequence[Origins]) -> Iterator[tuple[float, Float64[np.ndarray, "n H D"]]]:
    """Quantiles at the probabilities (k − ½) / 20: the bounds of the intervals of 95, 85, … 5 %."""
    for level in range(95, 0, -10):
        lower, upper = _interval(model, channel_origins, level)
        yield (100 - level) / 200, lower
        yield (100 + level) / 200, upper


def _interval(
    model: Model, channel_origins: Sequence[Origins], level: float
) -> tuple[Float64[np.ndarray, "n H D"], Float64[np.ndarray, "n H D"]]:
    pairs = [calibrate.interval(model, part, level) for part in channel_origins]
    lower, upper = (np.concatenate(side, axis=-1) for side in zip(*pairs, strict=True))
    return lower, upper
