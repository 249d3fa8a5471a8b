"""What adaptation makes of a table: the intervals of every series, moved after each of its rows.

A stream moves its intervals step by step; over a table the same lines run, series side by side, on forecasts of the
watched steps ahead that one run of the network gives. So the intervals at an origin of the past are those that a stream
would have had there: they rest on values up to the origin alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from statecast.data.panel import Panel
from statecast.forecast import calibrate
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.origins import Origins
from statecast.forecast.hindcast.roll import forecasts_at
from statecast.forecast.runner import Runner
from statecast.model.inputs import Rows, transformed
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True, eq=False)
class Watched:
    """What one run of a network over a table, whose series start from nothing, gives to those who move its intervals.

    Attributes:
        forecasts: of the watched steps ahead at every row with a value, scale 0 where one is not a measure; None where
            intervals do not move.
        ends: what the network remembers after each series' last row.
    """

    forecasts: Origins | None
    ends: Float[np.ndarray, "S size"]

    @classmethod
    def of(cls, model: Model, rows: Rows) -> Watched:
        """Run a model's network over a table, prepared."""
        adaptive = model.adaptive
        ends = np.zeros((len(rows.offsets) - 1, model.adaptive_span.start), model.dtype)
        if adaptive is None:
            forecasts_at(model.network, model.p, rows, np.zeros(len(rows.y), bool), ends)
            return cls(None, ends)
        network, p = model.network.narrowed(model.p, adaptive.leads)
        observed = np.asarray(rows.m.any(axis=-1))
        forecasts = forecasts_at(network, p, rows, observed, ends, adaptive.leads)
        measures = _counts(rows)[forecasts.rows] >= model.measured_from
        return cls(replace(forecasts, scale=forecasts.scale * measures), ends)


def through(model: Model, feed: Feed, origins: Origins, watched: Watched | None = None) -> tuple[Origins, State]:
    """Run through a table: origins with the shifts of their intervals, and the last state.

    `watched` is the network's run over it, where that is at hand.
    """
    folded, rows, runner = feed.folded, feed.rows, Runner(model)
    origins = replace(origins, phase=calibrate.phase_of(model, folded.time[origins.rows]))
    states = runner.initial(rows.numbers)
    origins = follow(runner, folded, watched or Watched.of(model, rows), states, origins)
    time = np.full(folded.series, UNSEEN)
    some = folded.lengths > 0
    time[some] = folded.time[folded.offsets[1:][some] - 1]
    return origins, State(model.layout, states, folded.ids, time)


def forecasts(model: Model, feed: Feed, mask: Bool[np.ndarray, " rows"]) -> Origins:
    """Forecasts at the rows of a mask with intervals as they were there, thinned out where they are very many."""
    return through(model, feed, feed.forecasts(model, mask))[0]


def follow(
    runner: Runner, panel: Panel, watched: Watched, states: Float[np.ndarray, "S size"], origins: Origins
) -> Origins:
    """Run through a table, whose series start from nothing.

    Args:
        runner: of the model.
        panel: the table, folded.
        watched: the network's run over it.
        states: from `Runner.initial`; they become those after each series' last row.
        origins: forecasts at some rows, in their order.

    Returns:
        The origins with how far intervals were moved there.
    """
    states[:, : runner.model.adaptive_span.start] = watched.ends
    if watched.forecasts is None:
        return origins
    mask = np.zeros(panel.rows, bool)
    mask[origins.rows] = True
    report = reports_at(runner, panel, watched.forecasts, states, mask)
    return replace(origins, shifts=report["shifts"], watch=report.get("watch"))


def reports_at(
    runner: Runner, panel: Panel, watched: Origins, states: Float[np.ndarray, "S size"], mask: Bool[np.ndarray, " R"]
) -> dict[str, Float[np.ndarray, "n ..."]]:
    """All series step by step: what their intervals tell at the rows of a mask. `states` changes in place.

    Args:
        runner: of the model.
        panel: the table, folded.
        watched: forecasts of the watched steps ahead at every row with a value; scale 0 where one is not a measure.
        states: before each series' first row.
        mask: n of the R rows.

    Returns:
        See `Adaptive.report`.
    """
    model = runner.model
    assert model.adaptive is not None
    places = np.zeros(panel.rows, np.int64)  # of rows without a value any will do: it is not kept
    places[watched.rows] = np.arange(len(watched.rows))
    kept = np.where(mask, np.cumsum(mask) - 1, -1)
    layout = model.adaptive.report
    report = np.zeros((int(mask.sum()), layout.size), model.dtype)
    if not len(watched.rows):
        return layout.unpack(report)
    y = np.ascontiguousarray(transformed(model.constants, panel.y))
    values, scales = np.ascontiguousarray(watched.values), np.ascontiguousarray(watched.scale)
    for s, span in enumerate(panel.spans()):
        if not runner.through(states, s, y[span], places[span], values, scales, kept[span], report):
            _side_by_side(runner, panel, watched, states, places, kept, report)
            break
    return layout.unpack(report)


def _side_by_side(
    runner: Runner,
    panel: Panel,
    watched: Origins,
    states: Float[np.ndarray, "S size"],
    places: np.ndarray,
    kept: np.ndarray,
    report: Float[np.ndarray, "n R"],
) -> None:
    """The same where NumPy moves the intervals: one step of all series at once."""
    order = np.argsort(-panel.lengths, kind="stable")  # the series that still have a row stand first
    begins, lengths = panel.offsets[:-1][order], panel.lengths[order]
    for t in range(int(lengths.max(initial=0))):
        count = int(np.searchsorted(-lengths, -t, side="left"))
        at = begins[:count] + t
        rows, place = states[order[:count]], places[at]
        news = runner.adapted(rows, panel.y[at], watched.values[place], watched.scale[place])
        states[order[:count]] = rows
        some = kept[at] >= 0
        report[kept[at[some]]] = news[some]


def _counts(rows: Rows) -> Float[np.ndarray, "R D"]:
    """How many values of its series have come at each row, as the state counts them."""
    total = np.concatenate([np.zeros((1, rows.m.shape[1])), np.cumsum(rows.m, axis=0, dtype=np.float64)])
    return np.asarray(total[1:] - total[rows.offsets[:-1]][rows.series])
