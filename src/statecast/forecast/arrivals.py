"""Rows that arrive as a table: those that a series has not observed yet, and the state after them.

A series takes each of its rows once and in the order of time. A row up to its last one is passed over, whether it was
observed before or comes too late, so a table may begin with rows that are known, and the same table given twice changes
nothing. Rows that are counted rather than timed are all new. Series run side by side, a step at a time, by the lines
that move a stream, so they end in the bits of a stream that observed the rows one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.forecast import channels, features, incoming
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.runner import Runner
from statecast.model.inputs import Rows
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Int64


@dataclass(frozen=True, eq=False)
class Arrivals:
    """The rows of a table that a model has not observed yet.

    Attributes:
        panel: these rows, of the series that have any.
        last: [S] the time of the last row of each before them, `UNSEEN` for a new series.
        gaps: [S] steps that are skipped in between.
        known: rows of the table that are passed over.
    """

    panel: Panel
    last: Int64[np.ndarray, " S"]
    gaps: Int64[np.ndarray, " S"]
    known: int

    @classmethod
    def of(cls, model: Model, panel: Panel) -> Arrivals:
        """Those of a table, one series a series.

        Raises:
            DataError: a row is off the grid of its series' steps or too far ahead; or a value is too large.
        """
        schema, state = model.schema, model.state
        places = [state.index.get(name, -1) for name in channels.row_ids(model, panel.ids)]
        places = places[:: channels.rows_each(model)]
        last = np.array([UNSEEN if place < 0 else state.time[place] for place in places], np.int64)
        if schema.time_kind == "row":  # rows go on where those that were observed ended
            ends = np.where(last == UNSEEN, -1, last)
            panel = replace(panel, time=panel.time + np.repeat(ends + 1, panel.lengths))
        upto = np.repeat(last, panel.lengths)
        begin = np.add.reduceat(np.append(panel.time <= upto, False), panel.offsets[:-1]) * (panel.lengths > 0)
        new = panel.after(begin)
        features.require_near(model, new.y, "the table")
        last = last[begin < panel.lengths]
        firsts = new.time[new.offsets[:-1]].tolist()
        steps = zip(new.ids, last.tolist(), firsts, strict=True)
        gaps = [0 if end == UNSEEN else incoming.gap_before(schema, name, end, now) for name, end, now in steps]
        return cls(new, last, np.array(gaps, np.int64), int(begin.sum()))

    @property
    def new_series(self) -> int:
        """Series that begin with these rows."""
        return int((self.last == UNSEEN).sum())


def advanced(model: Model, arrivals: Arrivals) -> State:
    """What the model remembers of its series after rows that have arrived.

    Raises:
        UnknownSeries: a series is new, and the model has a network for each training series.
    """
    runner, state, feed = Runner(model), model.state, Feed.of(model, arrivals.panel)
    folded, rows = feed.folded, feed.rows
    fresh = runner.per_row(arrivals.last == UNSEEN)
    ids = (*state.ids, *(name for name, new in zip(folded.ids, fresh, strict=True) if new))
    data = np.concatenate([state.data, runner.initial(rows.numbers[fresh])])
    index = {name: place for place, name in enumerate(ids)}
    places = np.array([index[name] for name in folded.ids], np.int64)
    _pass_gaps(runner, data, places, arrivals)
    for t in range(int(folded.lengths.max(initial=0))):
        some = np.flatnonzero(folded.lengths > t)
        at = folded.offsets[:-1][some] + t
        runner.step(data, folded.y[at], folded.time[at], _covariates(model, folded, rows, some, at), places[some])
    time = np.concatenate([state.time, np.full(int(fresh.sum()), UNSEEN)])
    time[places] = folded.time[folded.offsets[1:] - 1]
    return State(state.layout, data, ids, time)


def _pass_gaps(runner: Runner, data: np.ndarray, places: Int64[np.ndarray, " N"], arrivals: Arrivals) -> None:
    """Move the states of series through the steps that they skipped."""
    gaps, last = runner.per_row(arrivals.gaps), runner.per_row(arrivals.last)
    for gap in set(gaps.tolist()) - {0}:
        alike = np.flatnonzero(gaps == gap)
        some = data[places[alike]]
        runner.pass_gap(some, last[alike], gap)
        data[places[alike]] = some


def _covariates(model: Model, folded: Panel, rows: Rows, series: np.ndarray, at: np.ndarray) -> dict[str, Any]:
    """Those of one step, as `Runner.step` takes them."""
    front, ahead = model.network.front, np.arange(1, model.network.head.horizon + 1)
    columns: dict[str, Any] = {"past": folded.past[at]} if front.past else {}
    if front.known:
        columns["known"] = folded.known[at]
    if rows.future is not None:
        columns["ahead"] = rows.future[rows.place[at][:, None] + ahead]
    if front.static:
        columns["static"] = rows.covariates["static"][series]
    return columns
