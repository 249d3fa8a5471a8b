"""What the engine remembers of each series beside its state: counts, last rows, live errors.

One record a series, at the place of the series' number, so that what is done to some series touches one stretch of
memory for each, and a block of records is its own bytes. Everything here follows from the rows alone: whoever replays
them has the same records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.model.state import UNSEEN

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

ROWS = 32  # that are remembered of each series
FEWEST = 4  # where a row has many targets
NUMBERS = 64  # of the remembered rows, at most, where that is more than the fewest
AHEAD = ("predicted", "lower", "upper")  # what a record holds of the next step
FORGET = 0.02  # the share by which a live error counts less with each one after it


def record(targets: int, rows: int) -> np.dtype[Any]:
    """The record of a series with so many targets, of which so many rows are remembered."""
    return np.dtype(
        [
            ("count", np.int64),
            ("time", np.int64),
            ("seq", np.int64),
            ("received", np.float64),
            ("predicted", np.float64, (targets,)),
            ("lower", np.float32, (targets,)),
            ("upper", np.float32, (targets,)),
            ("error", np.float32, (targets,)),
            ("naive", np.float32, (targets,)),
            ("weight", np.float32, (targets,)),
            ("score", np.float32),
            ("unusual", np.int32),
            ("alarms", np.int64),
            ("silent", np.int64),
            ("times", np.int64, (rows,)),
            ("values", np.float64, (rows, targets)),
        ]
    )


class Ledger:
    """The records of all series.

    Args:
        targets: D, of each row.
        late: how many steps a row may be late; so many rows are remembered at least.

    Attributes:
        depth: how many rows of a series are remembered.
        records: by the series' numbers; there may be room for more.
    """

    def __init__(self, targets: int, late: int = 0) -> None:
        self.targets = targets
        self.depth = max(min(ROWS, max(FEWEST, NUMBERS // targets)), late + 1)
        self.kind = record(targets, self.depth)
        self.records, self._count = np.zeros(0, self.kind), 0

    def reserve(self, count: int) -> None:
        """Make room for so many series; new ones have no rows yet."""
        if count > len(self.records):
            # Memory that nobody has written to takes no room, so there is no reason to be sparing.
            records = np.zeros(max(count, 4 * len(self.records), 1024), self.kind)
            records[: self._count] = self.records[: self._count]
            self.records = records
        if count > self._count:
            self.clear(np.arange(self._count, count))
            self._count = count

    def clear(self, numbers: int | Int64[np.ndarray, " S"]) -> None:
        """Forget series."""
        self.records[numbers] = np.zeros((), self.kind)
        for name in ("time", "times"):
            self.records[name][numbers] = UNSEEN
        self.records["score"][numbers] = np.nan

    def times(self, numbers: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " S"]:
        """The time of each series' last row; `UNSEEN` for numbers below 0, which are no series yet."""
        if not len(self.records):
            return np.full(len(numbers), UNSEEN)
        return np.where(numbers < 0, UNSEEN, self.records["time"][numbers])

    def value_at(self, number: int, time: int) -> Float64[np.ndarray, " D"] | None:
        """The value that a series had at a time, where that is among the rows that are remembered."""
        places = np.flatnonzero(self.records["times"][number] == time)
        return self.records["values"][number, places[0]] if len(places) else None

    def observe(
        self,
        numbers: Int64[np.ndarray, " S"],
        times: Int64[np.ndarray, " S"],
        values: Float64[np.ndarray, "S D"],
        next_step: Bool[np.ndarray, " S"],
        seqs: Int64[np.ndarray, " S"],
        received: float | Float64[np.ndarray, " S"],
        scores: tuple[Float64[np.ndarray, " S"], Bool[np.ndarray, " S"]],
        changed: Bool[np.ndarray, " S"],
        ahead: tuple[Float64[np.ndarray, "S D"], Float64[np.ndarray, "S D"], Float64[np.ndarray, "S D"]],
    ) -> None:
        """Take in a row of each of S series.

        Args:
            numbers: of the series, each once.
            times: of the rows.
            values: of the rows.
            next_step: whether the row is one step after the series' last one, and so what was forecast then.
            seqs: sequence numbers of the rows.
            received: when they came, in seconds since 1970.
            scores: how unusual the rows are, and whether they are called so.
            changed: whether they say that their series have changed.
            ahead: the forecasts of the next step, made after these rows, and their bounds.
        """
        records = self.records
        counts = records["count"][numbers]
        before = records["values"][numbers, (counts - 1) % self.depth]
        judged = next_step[:, None] & np.isfinite(values) & np.isfinite(before) & (counts > 0)[:, None]
        judged &= np.isfinite(records["predicted"][numbers])
        if judged.any():
            self._judge(numbers, judged, np.abs(values - records["predicted"][numbers]), np.abs(values - before))
        place = counts % self.depth
        records["times"][numbers, place], records["values"][numbers, place] = times, values
        records["count"][numbers], records["time"][numbers], records["seq"][numbers] = counts + 1, times, seqs
        records["received"][numbers] = received
        records["score"][numbers], records["unusual"][numbers] = scores
        records["alarms"][numbers] += scores[1].astype(np.int64) + changed
        records["silent"][numbers] = 0
        for name, part in zip(AHEAD, ahead, strict=True):
            records[name][numbers] = part

    def insert(
        self,
        number: int,
        time: int,
        value: Float64[np.ndarray, " D"],
        received: float,
        unusual: bool,
        ahead: tuple[Float64[np.ndarray, "S D"], Float64[np.ndarray, "S D"], Float64[np.ndarray, "S D"]],
    ) -> None:
        """Take in a late row of a series, unusual or not; `ahead` is what is forecast of the next step now."""
        entry, (times, values) = self.records[number], self.recent(number)
        place = int(np.searchsorted(times, time))
        times, values = np.insert(times, place, time), np.insert(values, place, value, axis=0)
        count = int(entry["count"]) + 1
        places = np.arange(max(count - self.depth, 0), count) % self.depth
        entry["times"][places], entry["values"][places] = times[-len(places) :], values[-len(places) :]
        entry["count"], entry["received"] = count, received
        entry["alarms"] += unusual
        for name, part in zip(AHEAD, ahead, strict=True):
            entry[name] = part[0]

    def _judge(
        self,
        numbers: Int64[np.ndarray, " S"],
        judged: Bool[np.ndarray, "S D"],
        error: Float64[np.ndarray, "S D"],
        naive: Float64[np.ndarray, "S D"],
    ) -> None:
        """Move the live errors, running means that begin as plain ones."""
        weights = self.records["weight"][numbers]
        weights = np.where(judged, (1 - FORGET) * weights + 1, weights)
        for name, sizes in (("error", error), ("naive", naive)):
            means = self.records[name][numbers]
            moved = means + (sizes - means) / np.maximum(weights, 1)
            self.records[name][numbers] = np.where(judged, moved, means)
        self.records["weight"][numbers] = weights

    def restore(self, numbers: Int64[np.ndarray, " S"], records: Any) -> None:
        """Take over records of series, in which perhaps more or fewer rows are remembered than here."""
        depth = records.dtype["times"].shape[0]
        if depth == self.depth:
            self.records[numbers] = records
            return
        self.clear(numbers)
        for name in self.kind.names or ():
            if name not in ("times", "values"):
                self.records[name][numbers] = records[name]
        for number, entry in zip(numbers.tolist(), records, strict=True):
            last = np.arange(max(int(entry["count"]) - min(depth, self.depth), 0), int(entry["count"]))
            for name in ("times", "values"):
                self.records[name][number, last % self.depth] = entry[name][last % depth]

    def recent(self, number: int) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, "n D"]]:
        """The rows of a series that are remembered, oldest first."""
        entry = self.records[number]
        count = int(entry["count"])
        places = np.arange(max(count - self.depth, 0), count) % self.depth
        places = places[entry["times"][places] != UNSEEN]  # fewer were remembered where the records come from
        return entry["times"][places], entry["values"][places]
