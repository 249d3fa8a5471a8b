"""From what became of a group of rows to a receipt for each request, and to what listeners hear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from statecast.forecast.answer import Forecast
from statecast.forecast.observation import Features
from statecast.server.engine.alarms import named
from statecast.server.engine.receipts import Happening, Receipt, RowReason, RowStatus
from statecast.server.states import selection
from statecast.server.states.batch import UNUSUAL, Batch
from statecast.server.states.group import ELSEWHERE, INVALID, Taken
from statecast.server.states.intake import Intake
from statecast.server.states.stepper import Stepper

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64

NO_FORECAST = np.zeros(0, np.int64), None, np.zeros(0, np.int64)
WORDS: tuple[RowStatus, ...] = ("accepted", "duplicate", "rejected")  # by ACCEPTED, DUPLICATE and all that follow
REASONS: tuple[RowReason | None, ...] = (
    None,
    None,
    "invalid",
    "conflict",
    "late",
    "unknown",
    "limit",
    "elsewhere",
)  # likewise


class Replies:
    """The receipts of requests whose rows were stepped as one group.

    Args:
        stepper: right after the group's step.
        rows: the group.
        taken: what became of it.
        requests: how many rows each has, and whether it wishes for forecasts.
    """

    def __init__(self, stepper: Stepper, rows: Intake, taken: Taken, requests: Sequence[tuple[int, bool]]) -> None:
        counts, self._wishes = zip(*requests, strict=True)
        self._taken, self.seq = taken, stepper.seq
        self._begins = np.cumsum([0, *counts]).tolist()
        self._places = np.full(len(taken.statuses), -1)
        self._places[taken.rows] = np.arange(len(taken.rows))
        self._source, self._shown = _wished(taken.forecast, self._places, np.repeat(self._wishes, counts))
        self._repeats, self._again = _again(stepper, rows, taken)
        self.happenings = [happening(stepper, taken.batch, taken.forecast)]
        self._scores, self._unusual = self.happenings[0].scores, self.happenings[0].unusual

    def statuses(self, request: int) -> list[RowStatus]:
        """What became of the rows of a request."""
        return [WORDS[min(n, INVALID)] for n in self._taken.statuses[self._span(request)].tolist()]

    def reasons(self, request: int) -> list[RowReason | None]:
        """Why its rows were rejected, for programs."""
        return [REASONS[n] for n in self._taken.statuses[self._span(request)].tolist()]

    def errors(self, request: int) -> list[str | None]:
        """Why its rows were rejected."""
        span = self._span(request)
        errors = self._taken.errors
        if not errors:
            return [None] * (span.stop - span.start)
        return [errors.get(row) for row in range(span.start, span.stop)]

    def seqs(self, request: int) -> Int64[np.ndarray, " n"]:
        """The sequence numbers of its rows; 0 for those that have none."""
        places = self._places[self._span(request)]
        return np.where(places < 0, 0, self._taken.batch.first + places)

    def receipt(self, request: int) -> Receipt:
        """The answer to a request."""
        span = self._span(request)
        index, source, shown = self._forecast(span) if self._wishes[request] else NO_FORECAST
        places = self._places[span]
        scores, unusual = np.full(len(places), np.nan), np.zeros(len(places), bool)
        accepted = places >= 0
        scores[accepted] = self._scores[places[accepted]]
        unusual[accepted] = self._unusual[places[accepted]]
        refused = self._taken.elsewhere.items()
        elsewhere = {row - span.start: error.address or "" for row, error in refused if span.start <= row < span.stop}
        texts = self.statuses(request), self.errors(request), self.reasons(request)
        return Receipt(self.seq, *texts, index, source, shown, scores, unusual, elsewhere)

    def withdraw(self, stepper: Stepper, shards: frozenset[int]) -> None:
        """Refuse those accepted rows that were not written, since another server holds their shards."""
        taken, numbers = self._taken, self._taken.batch.numbers.astype(np.int64)
        gone = np.isin(stepper.directory.shard(numbers), [*shards])
        if taken.forecast is None or not gone.any():
            return
        for place in np.flatnonzero(gone).tolist():
            row, number = int(taken.rows[place]), int(numbers[place])
            error = stepper.referral(taken.forecast.ids[place], int(stepper.directory.shard(number)))
            taken.statuses[row], taken.errors[row], taken.elsewhere[row] = ELSEWHERE, str(error), error
            self._places[row] = -1
        left = np.flatnonzero(~gone & (self._places[taken.rows] >= 0))
        runs = np.split(left, np.flatnonzero(np.diff(left) != 1) + 1)
        parts = [(taken.batch.rows(run), selection.picked(taken.forecast, run)) for run in runs if len(run)]
        self.happenings = [happening(stepper, batch, forecast) for batch, forecast in parts]

    def _span(self, request: int) -> slice:
        return slice(self._begins[request], self._begins[request + 1])

    def _forecast(self, span: slice) -> tuple[Int64[np.ndarray, " M"], Forecast | None, Int64[np.ndarray, " M"]]:
        """Which rows of a request have a forecast, and where it is."""
        shown = self._shown[span]
        accepted = np.flatnonzero((shown >= 0) & (self._places[span] >= 0))
        again = np.flatnonzero((self._repeats >= span.start) & (self._repeats < span.stop))
        if self._again is None or not len(again):
            return accepted, self._source, shown[accepted]
        parts, rows = [selection.picked(self._again, again)], [self._repeats[again] - span.start]
        if self._source is not None and len(accepted):
            parts, rows = [*parts, selection.picked(self._source, shown[accepted])], [*rows, accepted]
        index = np.concatenate(rows)
        return index, selection.joined(parts), np.arange(len(index))


def _wished(
    forecast: Forecast | None, places: Int64[np.ndarray, " N"], wishes: Bool[np.ndarray, " N"]
) -> tuple[Forecast | None, Int64[np.ndarray, " N"]]:
    """The forecast of those rows for which it is wished, and where each of the N rows is in it; −1 for the others."""
    rows = np.flatnonzero((places >= 0) & wishes)
    shown = np.full(len(places), -1)
    if forecast is None or not len(rows):
        return None, shown
    shown[rows] = np.arange(len(rows))
    return selection.picked(forecast, places[rows]), shown


def _again(stepper: Stepper, rows: Intake, taken: Taken) -> tuple[Int64[np.ndarray, " R"], Forecast | None]:
    """The forecasts that duplicates of last rows were answered with the first time, and which rows these are."""
    records = stepper.ledger.records
    last = [(row, n) for row, n in taken.repeats.items() if records["time"][n] == rows.times[row]]
    if not last:
        return np.zeros(0, np.int64), None
    known = None if rows.known is None else [Features(rows.known[row, 1:]) for row, _ in last]
    return np.array([row for row, _ in last]), forecast_now(stepper, [number for _, number in last], known)


def forecast_now(stepper: Stepper, numbers: Sequence[int], known: Sequence[Features] | None = None) -> Forecast:
    """The forecasts of series as they stand, a series perhaps several times."""
    names = [name for number in numbers if (name := stepper.directory.names[number]) is not None]
    each = list(dict.fromkeys(names))
    first = {name: known[n] for n, name in reversed([*enumerate(names)])} if known is not None else None
    forecast = replace(stepper.stream.forecast(each, known=first), known=None)
    place = {name: n for n, name in enumerate(each)}
    return selection.picked(forecast, np.array([place[name] for name in names]))


def happening(stepper: Stepper, batch: Batch, forecast: Forecast | None) -> Happening:
    """What a batch brought; from the log it has no forecast, and only the scores of those rows that raised alarms."""
    directory = stepper.directory
    ids = tuple(map(directory.name, batch.numbers.tolist())) if forecast is None else forecast.ids
    scores, unusual = selection.scores(forecast, len(batch.numbers))
    if forecast is None and batch.alarms is not None:
        strange = batch.alarms[batch.alarms["kind"] == UNUSUAL]
        places = np.searchsorted(batch.seqs, strange["seq"])
        scores[places], unusual[places] = strange["score"], True
    removed = tuple(map(directory.name, batch.removed))
    alarms = named(batch.stored_alarms(), directory)
    return Happening(
        batch.first, batch.last, ids, batch.times, batch.values, forecast, scores, unusual, alarms, removed
    )
