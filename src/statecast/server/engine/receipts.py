"""What the engine answers: plain values for those who ask it, over HTTP or from Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from statecast.forecast.answer import Forecast
from statecast.server.states import selection
from statecast.server.states.batch import Id
from statecast.server.states.selection import picked

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

RowStatus = Literal["accepted", "duplicate", "rejected"]
RowReason = Literal["invalid", "conflict", "late", "unknown", "limit", "elsewhere"]


@dataclass(frozen=True, eq=False)
class Receipt:
    """The answer to N rows, once they are on the disk.

    Attributes:
        seq: the sequence number up to which the engine was then.
        statuses: what became of each row.
        errors: why a row was rejected, for people; None for the others.
        reasons: the same for programs: it cannot be used, another value was observed at its time, it is before its
            series' last one, its series is not known and may not be new, there are as many series as may be, or its
            series is another server's.
        index: [M] which rows have a forecast: the accepted ones, and duplicates that are their series' last rows; none
            where no forecast was wished for.
        source: holds these forecasts, and perhaps those of other requests; None where there are none.
        places: [M] which of its series they are.
        scores: [N] normal scores of the rows under what was forecast before; NaN where there is none.
        unusual: [N] whether the row is unusual.
        elsewhere: of the rejected rows those whose series are another server's, by their number: its address, or ""
            where it is not known.
    """

    seq: int
    statuses: list[RowStatus]
    errors: list[str | None]
    reasons: list[RowReason | None]
    index: Int64[np.ndarray, " M"]
    source: Forecast | None
    places: Int64[np.ndarray, " M"]
    scores: Float64[np.ndarray, " N"]
    unusual: Bool[np.ndarray, " N"]
    elsewhere: dict[int, str] = field(default_factory=dict)

    @property
    def forecast(self) -> Forecast | None:
        """The forecasts of the rows of `index`, in this order."""
        return None if self.source is None else selection.picked(self.source, self.places)


@dataclass(frozen=True, eq=False)
class SeriesSummary:
    """What is known of one series; D targets.

    Attributes:
        id: its name.
        count: rows that the server has taken of it.
        time: of its last row, as `Panel.time` has it; `UNSEEN` where there is none.
        value: [D] the last row's.
        received: when the last row came, in seconds since 1970.
        times, recent: [n], [n, D] the last rows, oldest first.
        error: [D] mean absolute error of the latest forecasts one step ahead; NaN where none was judged.
        naive: [D] that of repeating the last value, at the same rows.
        score: of the last row.
        unusual: whether the last row was.
        alarms: how many there were.
        challenger: [D] the error of the other model's forecasts, which observes beside; None where there is none.
    """

    id: Id
    count: int
    time: int
    value: Float64[np.ndarray, " D"]
    received: float
    times: Int64[np.ndarray, " n"]
    recent: Float64[np.ndarray, "n D"]
    error: Float64[np.ndarray, " D"]
    naive: Float64[np.ndarray, " D"]
    score: float
    unusual: bool
    alarms: int
    challenger: Float64[np.ndarray, " D"] | None = None

    @property
    def skill(self) -> float:
        """1 − the forecasts' error over that of repeating the last value; NaN where it is not known."""
        naive = float(np.sum(self.naive))
        return 1 - float(np.sum(self.error)) / naive if naive > 0 else float("nan")


@dataclass(frozen=True)
class Alarm:
    """Something about a series that a person should know.

    Attributes:
        seq: of the row that raised it, or of the last one before.
        id: the series; None where all have changed together.
        time: of that row.
        kind: "unusual", "drift" or "missing".
        score: how strongly.
        since: the time from which on; None where it is the row alone.
        value: the row's.
    """

    seq: int
    id: Id | None
    time: int
    kind: Literal["unusual", "drift", "missing"]
    score: float
    since: int | None = None
    value: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Happening:
    """What one group commit brought, for those who listen: N rows in the order of their sequence numbers.

    Attributes:
        first: sequence number of the first row; row n has first + n.
        last: the last one; removals come after the rows.
        ids: [N] the series.
        times: [N] as `Panel.time` has them.
        values: [N, D].
        forecast: from after each row, N series; None where it comes from the log.
        scores: [N] NaN where there is none.
        unusual: [N].
        alarms: that these rows raised.
        removed: series that were removed after them.
    """

    first: int
    last: int
    ids: tuple[Id, ...]
    times: Int64[np.ndarray, " N"]
    values: Float64[np.ndarray, "N D"]
    forecast: Forecast | None
    scores: Float64[np.ndarray, " N"]
    unusual: Bool[np.ndarray, " N"]
    alarms: tuple[Alarm, ...] = ()
    removed: tuple[Id, ...] = ()

    def after(self, seq: int) -> Happening:
        """What came after a sequence number that is not the last."""
        begin = min(max(seq + 1 - self.first, 0), len(self.ids))
        if not begin:
            return self
        forecast = self.forecast
        if forecast is not None:
            forecast = picked(forecast, np.arange(begin, len(self.ids))) if begin < len(self.ids) else None
        return Happening(
            self.first + begin,
            self.last,
            self.ids[begin:],
            self.times[begin:],
            self.values[begin:],
            forecast,
            self.scores[begin:],
            self.unusual[begin:],
            tuple(alarm for alarm in self.alarms if alarm.seq > seq),
            self.removed,
        )


@dataclass(frozen=True, eq=False)
class History:
    """Past rows of one series, oldest first, and what was forecast of each one step before it came.

    Attributes:
        id: the series.
        times: [n] as `Panel.time` has them.
        values: [n, D].
        predicted: [n, D] the forecasts one step ahead; NaN where there is none.
        lower, upper: [n, D] their bounds by level, likewise.
        scores: [n].
        alarms: of the series since the first of these rows, oldest first.
        past, known: [n, P] and [n, K] features of covariates, NaN where the store kept none.
        static: [Q] of those that belong to the series.
    """

    id: Id
    times: Int64[np.ndarray, " n"]
    values: Float64[np.ndarray, "n D"]
    predicted: Float64[np.ndarray, "n D"]
    lower: dict[float, Float64[np.ndarray, "n D"]]
    upper: dict[float, Float64[np.ndarray, "n D"]]
    scores: Float64[np.ndarray, " n"]
    alarms: tuple[Alarm, ...]
    past: Float64[np.ndarray, "n P"]
    known: Float64[np.ndarray, "n K"]
    static: Float64[np.ndarray, " Q"]


@dataclass(frozen=True)
class ChallengerStatus:
    """How a second model does, which observes the same rows beside the one that answers.

    Attributes:
        name: of the model.
        number: of it in the store.
        series: how many it has states of.
        lag: rows that it has yet to observe.
        ready: whether it can take over.
        former: whether it is the one that answered before.
        error, naive: mean live errors, see `Status`.
        failure: why it cannot go on; None while it does.
        better: how many series it forecasts with smaller errors than the model that answers.
    """

    name: str
    number: int
    series: int
    lag: int
    ready: bool
    former: bool
    error: float
    naive: float
    failure: str | None = None
    better: int = 0

    @property
    def skill(self) -> float:
        """1 − the forecasts' error over that of repeating the last value, over all series; NaN where unknown."""
        return 1 - self.error / self.naive if self.naive > 0 else float("nan")


@dataclass(frozen=True)
class Status:
    """How the engine is.

    Attributes:
        series: how many there are.
        seq: the last sequence number that is on the disk.
        observations: rows that were accepted since the store was made.
        accepted, duplicates, rejected: rows since the engine started.
        queue: rows that wait to be worked on.
        checkpoint_age: seconds since the last round of checkpoints ended; NaN where none has.
        checkpoint_lag: rows that a start now would replay.
        replayed: rows that the last start replayed.
        sizes: bytes of the log, the blocks and the history.
        error, naive: mean live errors over all series, each series in units of its naive error; NaN where unknown.
        alarms: how many there were.
        failure: why the engine has stopped; None while it runs.
        challenger: the other model that observes the same rows; None where there is none.
        earliest: the sequence number from which on the log tells what happened.
        recent: how many rows of a series are remembered, and so are known when they come again.
    """

    series: int
    seq: int
    observations: int
    accepted: int
    duplicates: int
    rejected: int
    queue: int
    checkpoint_age: float
    checkpoint_lag: int
    replayed: int
    sizes: dict[str, int] = field(default_factory=dict)
    error: float = float("nan")
    naive: float = float("nan")
    alarms: int = 0
    failure: str | None = None
    earliest: int = 0
    recent: int = 0
    challenger: ChallengerStatus | None = None

    @property
    def skill(self) -> float:
        """1 − the forecasts' error over that of repeating the last value, over all series; NaN where unknown."""
        return 1 - self.error / self.naive if self.naive > 0 else float("nan")
