"""Alarms: rows that are unusual, series that have changed, alone or all together, and series that have fallen silent.

Silence is told in the time of the rows, not by a clock on the wall: a series is silent when others have gone on for so
many steps without it. So a table that is sent at a hundred times its speed has the same alarms as the plant it is from.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.forecast import together
from statecast.forecast.answer import Forecast
from statecast.forecast.together import FEWEST, Together
from statecast.model.state import UNSEEN
from statecast.server.engine.receipts import Alarm
from statecast.server.states import selection
from statecast.server.states.batch import ALL, DRIFT, KINDS, MISSING, RAISED, UNUSUAL, Batch, StoredAlarm
from statecast.server.states.directory import Directory
from statecast.server.states.ledger import Ledger
from statecast.server.store.protocol import BLOCK

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

    from statecast.data.calendar import Frequency


class Silence:
    """Looks for series that have fallen silent, whenever the latest time of all moves on.

    Each series that could fall silent waits in a queue under the time that its last row had when it was looked at last.
    So only those are looked at whose time has come, and those that have had rows since wait again: of a million series
    that all have rows, each costs a look every so many steps.

    Args:
        frequency: what a step is.
        steps: for which a series may be silent; 0 where it may be for ever.
    """

    def __init__(self, frequency: Frequency, steps: int) -> None:
        self._frequency, self._steps = frequency, steps
        self.begin_anew()

    def begin_anew(self) -> None:
        """Look at all series once more: the records are others now."""
        self._latest, self._complete = UNSEEN, False
        self._queue: list[tuple[int, int, Int64[np.ndarray, " S"]]] = []  # a heap; equal times in order of entry
        self._waits, self._entries = np.zeros(0, bool), itertools.count()

    def heard(self, batch: Batch, directory: Directory, ledger: Ledger) -> Any:
        """Take note of the rows of a batch.

        Args:
            batch: the rows.
            directory: of all series.
            ledger: their records; one that has had its alarm has no other before its next row.

        Returns:
            The alarms, as `RAISED`, of the series that have fallen silent just now. They have the batch's last number,
            and for a score the steps of silence.
        """
        if not self._steps or not len(batch.numbers):
            return np.zeros(0, RAISED)
        records, count = ledger.records, len(directory.names)
        if count > len(self._waits):
            self._waits = np.concatenate([self._waits, np.zeros(count, bool)])  # twice as many, so seldom
        numbers = np.unique(batch.numbers.astype(np.int64)) if self._complete else np.arange(count)
        self._complete = True
        self._enter(numbers[~self._waits[numbers] & (records["count"][numbers] > 0)], records)
        latest = int(batch.times.max())
        if latest <= self._latest:
            return np.zeros(0, RAISED)
        self._latest = latest
        silent = self._silent(records)
        records["silent"][silent] = 1
        records["alarms"][silent] += 1
        last = records["time"][silent]
        steps = np.asarray(self._frequency.steps_between(last, latest))
        return _column(np.full(len(silent), batch.last), silent, MISSING, last, steps, last)

    def _silent(self, records: Any) -> Int64[np.ndarray, " S"]:
        """The series that have fallen silent now; those that wait in vain no longer do."""
        parts = [np.zeros(0, np.int64)]
        while self._queue and self._frequency.steps_between(self._queue[0][0], self._latest) > self._steps:
            _, _, numbers = heapq.heappop(self._queue)
            self._waits[numbers] = False
            numbers = numbers[(records["count"][numbers] > 0) & (records["silent"][numbers] == 0)]
            over = np.asarray(self._frequency.steps_between(records["time"][numbers], self._latest)) > self._steps
            self._enter(numbers[~over], records)
            parts.append(numbers[over])
        return np.sort(np.concatenate(parts))

    def _enter(self, numbers: Int64[np.ndarray, " S"], records: Any) -> None:
        """Have series wait under the times of their last rows."""
        self._waits[numbers] = True
        order = np.argsort(records["time"][numbers], kind="stable")
        numbers = numbers[order]
        times = records["time"][numbers]
        for part in np.split(numbers, np.flatnonzero(np.diff(times)) + 1) if len(numbers) else ():
            heapq.heappush(self._queue, (int(records["time"][part[0]]), next(self._entries), part))

    def recall(
        self, batch: Batch, contained: Int64[np.ndarray, " blocks"], directory: Directory, ledger: Ledger
    ) -> None:
        """Take note of silences that the log tells of, so that none has a second alarm after a start.

        Args:
            batch: of the log, whose rows the records contain.
            contained: for each block of series the sequence number up to which it was read; −1 where it was not.
            directory: of all series.
            ledger: their records.
        """
        if batch.alarms is None:
            return
        for alarm in batch.alarms[batch.alarms["kind"] == MISSING]:
            number, seq = int(alarm["number"]), int(alarm["seq"])
            here = number < len(directory.names) and directory.names[number] is not None
            if here and seq > contained[number // BLOCK]:
                record = ledger.records[number : number + 1]
                record["alarms"] += 1
                record["silent"] |= record["seq"] <= seq  # else it has had a row since


class CommonDrift:
    """Puts the scores of all series together in rounds, and tells when they have changed; see `forecast.together`.

    A round ends when the time of the rows moves on and it has scores enough.

    Args:
        rate: of false alarms, per round.

    Attributes:
        together: what is remembered of the rounds that have ended.
    """

    def __init__(self, rate: float) -> None:
        self.together, self._rate = Together(), rate
        self._time, self._scores, self._count = UNSEEN, list[Any](), 0

    def heard(self, batch: Batch, scores: Float64[np.ndarray, " N"]) -> Any:
        """Take note of the rows of a batch, whose scores these are; the alarms, as `RAISED`."""
        some = np.flatnonzero(~np.isnan(scores))
        times, scores = np.maximum(batch.times[some], self._time), scores[some]
        order = np.argsort(times, kind="stable")
        begins = np.flatnonzero(np.diff(times[order], prepend=UNSEEN))
        alarms = []
        for part in np.split(order, begins[1:]) if len(order) else ():
            time = int(times[part[0]])
            if time > self._time and self._count >= FEWEST:
                alarms += self._end(batch)
            self._time, self._count = time, self._count + len(part)
            self._scores.append(scores[part])
        return np.concatenate(alarms) if alarms else np.zeros(0, RAISED)

    def begin_anew(self) -> None:
        """Another model makes the scores from now on."""
        self.together, self._scores, self._count = Together(), [], 0

    def _end(self, batch: Batch) -> list[Any]:
        self.together, change = together.observe(self.together, np.concatenate(self._scores), self._time, self._rate)
        self._scores, self._count = [], 0
        if change is None:
            return []
        return [_column(batch.seqs[-1:], [ALL], DRIFT, [self._time], [change.score], [change.since])]


def raised(batch: Batch, forecast: Forecast | None, others: Sequence[Any]) -> Any:
    """The alarms that the rows of a batch raise, as `RAISED`, and others; None where there are none.

    Args:
        batch: the rows.
        forecast: from after each of them.
        others: alarms that no single row raised, as `RAISED`.
    """
    count = len(batch.numbers)
    score, unusual = selection.scores(forecast, count)
    changed, since = selection.changes(forecast, count)
    parts, seqs, times = [*others], batch.seqs, batch.times
    for kind, rows, begin in ((UNUSUAL, unusual, times), (DRIFT, changed, since)):
        parts.append(_column(seqs[rows], batch.numbers[rows], kind, times[rows], score[rows], begin[rows]))
    alarms = np.concatenate(parts)
    return alarms[np.lexsort((alarms["kind"], alarms["seq"]))] if len(alarms) else None


def _column(seqs: Any, numbers: Any, kind: int, times: Any, scores: Any, since: Any) -> Any:
    alarms = np.zeros(len(seqs), RAISED)
    columns = (seqs, numbers, kind, times, scores, since)
    for name, values in zip(RAISED.names or (), columns, strict=True):
        alarms[name] = values
    return alarms


def named(alarms: Iterable[StoredAlarm], directory: Directory) -> tuple[Alarm, ...]:
    """Alarms by the names of their series; those of series that are not known here are left out."""
    return tuple(
        Alarm(
            alarm.seq,
            None if alarm.number == ALL else directory.name(alarm.number),
            alarm.time,
            KINDS[alarm.kind],
            alarm.score,
            None if alarm.kind == UNUSUAL else alarm.since,
            alarm.value,
        )
        for alarm in alarms
        if alarm.number == ALL or directory.knows(alarm.number)
    )
