"""Alarms: rows that are unusual, series that have changed, and series that have fallen silent.

Silence is told in the time of the rows, not by a clock on the wall: a series is silent when others have gone on for so
many steps without it. So a table that is sent at a hundred times its speed has the same alarms as the plant it is from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.forecast.answer import Forecast
from statecast.model.state import UNSEEN
from statecast.server.engine.receipts import Alarm
from statecast.server.states import selection
from statecast.server.states.batch import DRIFT, KINDS, MISSING, RAISED, UNUSUAL, Batch, StoredAlarm
from statecast.server.states.directory import Directory
from statecast.server.states.ledger import Ledger
from statecast.server.store.protocol import BLOCK

if TYPE_CHECKING:
    from jaxtyping import Int64

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


def raised(batch: Batch, forecast: Forecast | None, silent: Any) -> Any:
    """The alarms that the rows of a batch raise, as `RAISED`, and those of silent series; None where there are none.

    Args:
        batch: the rows.
        forecast: from after each of them.
        silent: alarms of series that have fallen silent, see `Silence.heard`.
    """
    count = len(batch.numbers)
    score, unusual = selection.scores(forecast, count)
    changed, since = selection.changes(forecast, count)
    parts, seqs, times = [silent], batch.seqs, batch.times
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
            directory.name(alarm.number),
            alarm.time,
            KINDS[alarm.kind],
            alarm.score,
            None if alarm.kind == UNUSUAL else alarm.since,
            alarm.value,
        )
        for alarm in alarms
        if directory.knows(alarm.number)
    )
