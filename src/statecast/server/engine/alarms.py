"""Alarms: rows that are unusual, and series that have fallen silent.

Silence is told in the time of the rows, not by a clock on the wall: a series is silent when others have gone on for so
many steps without it. So a table that is sent at a hundred times its speed has the same alarms as the plant it is from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from statecast.model.state import UNSEEN
from statecast.server.engine.receipts import Alarm
from statecast.server.states.batch import Batch, Id
from statecast.server.states.directory import Directory
from statecast.server.states.ledger import Ledger

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

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

    def heard(self, times: Int64[np.ndarray, " S"], directory: Directory, ledger: Ledger) -> list[tuple[Id, int, int]]:
        """Take note of rows with these times.

        Args:
            times: of the rows.
            directory: of all series.
            ledger: their records; one that has had its alarm has no other before its next row.

        Returns:
            Of each series that has fallen silent just now its name, the time of its last row, and for how many steps.
        """
        latest = int(times.max(initial=UNSEEN))
        if not self._steps or latest <= self._latest:
            return []
        self._latest = latest
        records = ledger.records[: len(directory.names)]
        waiting = np.flatnonzero((records["count"] > 0) & (records["silent"] == 0))
        steps = np.asarray(self._frequency.steps_between(records["time"][waiting], latest))
        silent, steps = waiting[steps > self._steps], steps[steps > self._steps]
        records["silent"][silent] = 1
        records["alarms"][silent] += 1
        last = records["time"][silent].tolist()
        return [(directory.name(n), time, int(k)) for n, time, k in zip(silent.tolist(), last, steps, strict=True)]


def alarms_of(
    batch: Batch,
    ids: tuple[Id, ...],
    scores: Float64[np.ndarray, " N"],
    unusual: Bool[np.ndarray, " N"],
    silent: Sequence[tuple[Id, int, int]],
) -> tuple[Alarm, ...]:
    """The alarms that a batch raises; those of silent series have the number of its last row.

    Args:
        batch: the rows.
        ids: their series.
        scores: how unusual they are.
        unusual: whether they are called so.
        silent: series that have fallen silent, see `Silence`.
    """
    rows = np.flatnonzero(unusual).tolist()
    alarms = [
        Alarm(seq, ids[n], int(batch.times[n]), "unusual", float(scores[n]), None, tuple(batch.values[n].tolist()))
        for n, seq in zip(rows, batch.seqs[rows].tolist(), strict=True)
    ]
    alarms += [Alarm(batch.last, name, time, "missing", float(steps), time) for name, time, steps in silent]
    return tuple(alarms)
