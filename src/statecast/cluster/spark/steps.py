"""The rows of a micro-batch, stepped: what a stream of one process would do with them, for the series of a bucket.

Spark keeps no order of rows, so they are put in the order of their times, and of equal times in that of their values:
whatever order they come in, the same are taken. Rows of one series are taken one after another, those of different
series side by side. A row that cannot be taken ends nothing: it is told of, and costs no other row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.values import series_id, series_ids
from statecast.errors import StatecastError
from statecast.forecast import channels
from statecast.forecast.answer import Forecast
from statecast.forecast.observation import Features, shown
from statecast.forecast.stream import Stream
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model
from statecast.server.rows import LiveRows
from statecast.server.states.intake import Intake
from statecast.server.states.waves import waves

if TYPE_CHECKING:
    from jaxtyping import Int64


@dataclass(frozen=True, eq=False)
class Steps:
    """What became of N rows.

    Attributes:
        state: of the series after them.
        forecasts: from after each row that was taken, of many at once.
        errors: why rows were not taken, by their numbers.
    """

    state: State
    forecasts: list[Forecast]
    errors: dict[int, str]


def stepped(model: Model, state: State, rows: LiveRows, gap_limit: int) -> Steps:
    """Step the series of a state by rows that came, those of new series too.

    Args:
        model: the model.
        state: what it remembers of the series.
        rows: any, in any order, each with its time.
        gap_limit: steps that a row may skip since its series' last one.
    """
    intake = Intake.read(model, rows)
    run = _Passage(model, Stream(model, state), intake, gap_limit, dict(intake.errors))
    usable = np.ones(len(intake), bool)
    usable[[*run.errors]] = False
    order = np.lexsort((*intake.values.T[::-1], intake.times))
    for places in waves(run.numbers[order], usable[order]):
        run.step(order[places])
    return Steps(run.stream.state, run.forecasts, run.errors)


@dataclass(eq=False)
class _Passage:
    """Rows on their way.

    Attributes:
        model: the model.
        stream: of the bucket's series.
        rows: as they came.
        gap_limit: see `stepped`.
        errors: why rows are not taken.
        forecasts: so far.
        names: [N] the series of each row.
        numbers: [N] the same as numbers, from 0 on.
        last: time of the last row of each of these series.
    """

    model: Model
    stream: Stream
    rows: Intake
    gap_limit: int
    errors: dict[int, str]
    forecasts: list[Forecast] = field(default_factory=list)

    def __post_init__(self) -> None:
        codes: dict[Any, int] = {}
        self.names = self._names()
        self.numbers = np.array([codes.setdefault(name, len(codes)) for name in self.names], np.int64)
        state = self.stream.state_of([name for name in codes if name is not None])
        ids = channels.series_ids(self.model, state.ids)
        known = dict(zip(ids, channels.last_times(self.model, state).tolist(), strict=True))
        self.last = np.array([known.get(name, UNSEEN) for name in codes], np.int64)

    def _names(self) -> list[Any]:
        """The series that are meant, whose names may be written in several ways; None for a name that is none."""
        ids = self.rows.ids
        try:
            return [*series_ids(ids, self.model.schema.id_kind)]
        except StatecastError:
            return [self._name(name) for name in ids]

    def _name(self, name: Any) -> str | int | None:
        try:
            return series_id(name, self.model.schema.id_kind)
        except StatecastError:
            return None

    def step(self, rows: Int64[np.ndarray, " S"]) -> None:
        """Take rows of different series."""
        rows = rows[self._following(rows)]
        stated = self.rows.stated
        parts = [rows] if stated is None else [rows[stated[rows]], rows[~stated[rows]]]
        for part in parts:
            if len(part):
                self._step_or_halve(part, stated is not None and bool(stated[part[0]]))

    def _following(self, rows: Int64[np.ndarray, " S"]) -> np.ndarray:
        """Which rows come after the last one of their series, and not too long after it."""
        times, last, step = self.rows.times[rows], self.last[self.numbers[rows]], self.model.schema.frequency
        known = last != UNSEEN
        usable = ~known | (times > last)
        skipped = np.zeros(len(rows), np.int64)
        later = known & usable
        skipped[later] = step.steps_between(last[later], times[later]) - 1
        usable &= skipped <= self.gap_limit
        for place in np.flatnonzero(~usable).tolist():
            self.errors[int(rows[place])] = self._reason(int(rows[place]), int(last[place]), int(times[place]))
        return np.asarray(usable)

    def _reason(self, row: int, last: int, time: int) -> str:
        schema = self.model.schema
        name, stamp, since = self.names[row], shown(time, schema), shown(last, schema)
        if time == last:
            return f"duplicate: series {name!r} has a row of {stamp} already"
        if time < last:
            return f"late: series {name!r} is at {since} already, after {stamp}"
        return f"series {name!r}: {stamp} skips more than {self.gap_limit:,} steps since {since}: see gap_limit"

    def _step_or_halve(self, rows: Int64[np.ndarray, " S"], stated: bool) -> None:
        """Step rows; where one is refused, those beside it."""
        source = self.rows
        columns = (source.past, source.known, source.static if stated else None)
        covariates = [None if column is None else Features(column[rows]) for column in columns]
        names = [self.names[row] for row in rows.tolist()]
        try:
            forecast = self.stream.observe_many(names, source.values[rows], source.times[rows], *covariates)
        except StatecastError as error:
            if len(rows) == 1:
                self.errors[int(rows[0])] = str(error)
                return
            for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                self._step_or_halve(half, stated)
        else:
            self.last[self.numbers[rows]] = source.times[rows]
            self.forecasts.append(forecast)
