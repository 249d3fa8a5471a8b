"""Alarms: rows that are unusual, series that have changed, alone or all together, and series that have fallen silent.

Silence is told in the time of the rows, not by a clock on the wall: a series is silent when others have gone on for so
many steps without it. So a table that is sent at a hundred times its speed has the same alarms as the plant it is from.
"""

from __future__ import annotations

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

    Args:
        frequency: what a step is.
        steps: for which a series may be silent; 0 where it may be for ever.
    """

    def __init__(self, frequency: Frequency, steps: int) -> None:
        self._frequency, self._steps = frequency, steps
        self._latest = UNSEEN

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
        latest = int(batch.times.max(initial=UNSEEN))
        if not self._steps or latest <= self._latest:
            return np.zeros(0, RAISED)
        self._latest = latest
        records = ledger.records[: len(directory.names)]
        waiting = np.flatnonzero((records["count"] > 0) & (records["silent"] == 0))
        steps = np.asarray(self._frequency.steps_between(records["time"][waiting], latest))
        silent, steps = waiting[steps > self._steps], steps[steps > self._steps]
        records["silent"][silent] = 1
        records["alarms"][silent] += 1
        last = records["time"][silent]
        return _column(np.full(len(silent), batch.last), silent, MISSING, last, steps, last)

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
