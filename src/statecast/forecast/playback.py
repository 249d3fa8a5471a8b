"""The rows of a table as a stream would have met them: one step of time after another, each before it is known.

A table either goes on where a model's series end, or it is the one that the model was fitted on. In the first case its
new rows are played; in the second the last rows, and all rows before these are observed first, so that the stream
stands where it would have stood. What was forecast of a value is the forecast that the row before it brought.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from statecast.data.panel import Panel
from statecast.errors import DataError, UnknownSeries, nearest
from statecast.forecast.answer import Forecast
from statecast.forecast.arrivals import Arrivals, advanced
from statecast.forecast.observation import Features
from statecast.forecast.stream import Stream
from statecast.forecast.watch import Notice
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

SOME = 336  # rows of each series that are played where the network has learned from all


class PlayedRow(NamedTuple):
    """One value of one series, what was expected of it, and the forecast after it.

    Attributes:
        id: the series.
        target: which of its targets.
        time: of the row, see `Panel.time`.
        value: what came; NaN where it is missing.
        expected: what the row before forecast of it; NaN where no row was just before.
        lower, upper: the bounds of that forecast at the first of the levels; NaN likewise, or without levels.
        ahead: [H] the forecast after the row.
        notices: the alarms that the value raised.
    """

    id: str | int
    target: str
    time: int
    value: float
    expected: float
    lower: float
    upper: float
    ahead: Float64[np.ndarray, " H"]
    notices: tuple[Notice, ...]


@dataclass(frozen=True, eq=False)
class Playback:
    """Rows that are about to be played; iterating plays them, once.

    Attributes:
        stream: as it stands before them.
        panel: the rows, and what is known ahead of them.
        learned: how many of them the network has learned from, so that its forecasts of these are flattering.
    """

    stream: Stream
    panel: Panel
    learned: int

    @classmethod
    def of(
        cls,
        model: Model,
        panel: Panel,
        rows: int | None = None,
        begin: int | None = None,
        series: str | int | None = None,
    ) -> Playback:
        """Rows of a table for a model.

        Args:
            model: the model.
            panel: the table, see `checks.panel_like`.
            rows: how many of each series at most, the last ones, or with `begin` the first ones from there; all new
                rows if None, or all that the network has not learned from, or else the last `SOME`.
            begin: time of the first row, see `Panel.time`.
            series: the only one that is played; all if None.

        Raises:
            UnknownSeries: the table has no such series.
            DataError: there is nothing to play.
        """
        if series is not None:
            panel = _one(panel, series)
        arrivals = Arrivals.of(model, panel)
        if not arrivals.panel.rows:
            model = replace(model, state=State.empty(model.layout, model.dtype))
            arrivals = Arrivals.of(model, panel)
        panel, learned = arrivals.panel, _last_learned(model, arrivals.panel.ids)
        first, stop = _span(panel, rows, begin, learned)
        some = np.flatnonzero(first < stop)
        if not len(some):
            raise DataError("there is nothing to play: the table has no row from that time on")
        moved = replace(model, state=advanced(model, _until(arrivals, first))) if first.any() else model
        played = panel.pieces(some, first[some], stop[some])
        upto = np.repeat(learned[some], played.lengths)
        return cls(Stream(moved), played, int((played.time <= upto).sum()))

    def __iter__(self) -> Iterator[PlayedRow]:
        panel, horizon = self.panel, self.stream.model.network.head.horizon
        series = panel.series_of_row()
        order = np.argsort(panel.time, kind="stable")
        before: dict[str | int, tuple[Forecast, int]] = {}
        for rows in np.split(order, np.flatnonzero(np.diff(panel.time[order])) + 1):
            ids = [panel.ids[s] for s in series[rows]]
            forecast = self.stream.observe_many(
                ids, panel.y[rows], panel.time[rows], **_covariates(panel, series[rows], rows, horizon)
            )
            notices = forecast.alarms()
            for place, (name, row) in enumerate(zip(ids, rows.tolist(), strict=True)):
                here = [notice for notice in notices if notice.id == name]
                yield from _played(int(panel.time[row]), panel.y[row], forecast, place, before.get(name), here)
                before[name] = forecast, place


def _one(panel: Panel, series: str | int) -> Panel:
    places = [s for s, name in enumerate(panel.ids) if str(name) == str(series)]
    if not places:
        raise UnknownSeries(f"the table has no series {series!r}; {nearest(series, panel.ids)}")
    return panel.pieces(np.array(places), np.zeros(1, np.int64), panel.lengths[places])


def _last_learned(model: Model, ids: tuple[str | int, ...]) -> Int64[np.ndarray, " S"]:
    """The last row of each series that the network, or its intervals, have learned from, where the file says so."""
    if (training := model.training) is None:
        return np.full(len(ids), UNSEEN)
    return np.array([training.val[training.index[name]] if name in training.index else UNSEEN for name in ids])


def _span(
    panel: Panel, rows: int | None, begin: int | None, learned: Int64[np.ndarray, " S"]
) -> tuple[Int64[np.ndarray, " S"], Int64[np.ndarray, " S"]]:
    """The rows of each series that are played: the number of the first, and of the one after the last."""
    ends = panel.lengths
    if begin is not None:
        first = _count(panel, np.full(panel.series, begin - 1))
        return first, ends if rows is None else np.minimum(first + rows, ends)
    if rows is None:
        first = _count(panel, learned)
        if (first < ends).any():
            return first, ends
    return np.maximum(ends - (SOME if rows is None else rows), 0), ends


def _until(arrivals: Arrivals, stop: Int64[np.ndarray, " S"]) -> Arrivals:
    """The first rows of arrivals, of the series that have any."""
    some = np.flatnonzero(stop)
    panel = arrivals.panel.pieces(some, np.zeros(len(some), np.int64), stop[some])
    return replace(arrivals, panel=panel, last=arrivals.last[some], gaps=arrivals.gaps[some])


def _count(panel: Panel, upto: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " S"]:
    """How many rows of each series there are up to a time."""
    before = panel.time <= np.repeat(upto, panel.lengths)
    return np.bincount(panel.series_of_row(), before, panel.series).astype(np.int64)


def _covariates(
    panel: Panel, series: Int64[np.ndarray, " n"], rows: Int64[np.ndarray, " n"], horizon: int
) -> dict[str, Any]:
    """Those of one step, as `Stream.observe_many` takes them."""
    columns: dict[str, Any] = {}
    if panel.past.shape[1]:
        columns["past"] = Features(panel.past[rows])
    if panel.known.shape[1]:
        columns["known"] = Features(_paths(panel, series, rows, horizon + 1))
    if panel.static.shape[1]:
        columns["static"] = Features(panel.static[series])
    return columns


def _paths(
    panel: Panel, series: Int64[np.ndarray, " n"], rows: Int64[np.ndarray, " n"], steps: int
) -> Float64[np.ndarray, "n steps K"]:
    """What is known of some rows and of the next ones; NaN where the table ends before."""
    paths = np.full((len(rows), steps, panel.known.shape[1]), np.nan)
    for path, s, row in zip(paths, series.tolist(), rows.tolist(), strict=True):
        here = panel.known[row : min(row + steps, panel.offsets[s + 1])]
        ahead = panel.ahead[panel.ahead_offsets[s] : panel.ahead_offsets[s + 1]][: steps - len(here)]
        path[: len(here) + len(ahead)] = np.concatenate([here, ahead])
    return paths


def _played(
    time: int,
    values: Float64[np.ndarray, " D"],
    forecast: Forecast,
    place: int,
    before: tuple[Forecast, int] | None,
    notices: list[Notice],
) -> Iterator[PlayedRow]:
    """A row of a series, target by target.

    Args:
        time: of the row.
        values: of its targets.
        forecast: which it brought, of several series.
        place: of the series among them.
        before: the same of the row before, if there was one.
        notices: alarms of the series.
    """
    expected = lower = upper = np.full(len(values), np.nan)
    if before is not None and before[0].times[before[1], 0] == time:
        earlier, row = before
        expected = earlier.values[row, 0]
        if earlier.levels:
            lower, upper = (bounds[earlier.levels[0]][row, 0] for bounds in (earlier.lower, earlier.upper))
    for d, target in enumerate(forecast.targets):
        yield PlayedRow(
            id=forecast.ids[place],
            target=target,
            time=time,
            value=float(values[d]),
            expected=float(expected[d]),
            lower=float(lower[d]),
            upper=float(upper[d]),
            ahead=forecast.values[place, :, d],
            notices=tuple(notice for notice in notices if notice.target == target),
        )
