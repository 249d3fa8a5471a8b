"""What the engine says, as JSON has it: names and units are those of `statecast stream`.

Times of series are strings, or whole numbers, as their table has them; times of the server's clock are seconds since
1970. With several targets a number becomes a mapping from target to number. What is unknown is null.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from statecast.data.schema import Schema
from statecast.forecast import wire
from statecast.forecast.answer import Forecast
from statecast.model.state import UNSEEN
from statecast.server.engine.receipts import Alarm, History, Receipt, SeriesSummary

if TYPE_CHECKING:
    from jaxtyping import Float64

STATUSES = {
    "conflict": 409,
    "late": 409,
    "unknown": 404,
    "limit": 413,
    "elsewhere": 421,
}  # of a row that is the only one of its request


WRITTEN = 8  # forecasts whose strings are kept: requests of one step are answered one right after another


class RowAnswer(msgspec.Struct, omit_defaults=True, gc=False):
    """What became of one row.

    Attributes:
        status: accepted, duplicate or rejected.
        error: why it was rejected, for people.
        reason: the same for programs: invalid, conflict, late, unknown, limit or elsewhere.
        forecast: the object of its forecast.
        score: its normal score under what was forecast of it before.
        unusual: whether that is an alarm.
        owner: the address of the server whose the series is, where it is another one's.
    """

    status: str
    error: str | None = None
    reason: str | None = None
    forecast: msgspec.Raw | None = None
    score: float | None = None
    unusual: bool = False
    owner: str | None = None


ACCEPTED = RowAnswer("accepted")


class Submission(msgspec.Struct, gc=False):
    """The answer to rows: one for each, in their order."""

    seq: int
    results: Sequence[RowAnswer]


Detail = Literal["none", "point", "full"]  # what is told of a forecast: nothing, its points, its bounds as well


class ForecastTexts:
    """The JSON of forecasts. Rows that were stepped together have one forecast, which is written once for all."""

    def __init__(self) -> None:
        self._texts: OrderedDict[tuple[Forecast, Detail], list[msgspec.Raw]] = OrderedDict()

    def of(self, forecast: Forecast, detail: Detail) -> list[msgspec.Raw]:
        """The objects of a forecast's series; see `wire.documents`."""
        key = forecast, detail
        if key not in self._texts:
            # Of a copy, which takes what it has worked out with it: readers of events may keep the forecast for long.
            documents = wire.documents(replace(forecast), bounds=detail == "full")
            self._texts[key] = [msgspec.Raw(msgspec.json.encode(document)) for document in documents]
            while len(self._texts) > WRITTEN:
                self._texts.popitem(last=False)
        return self._texts[key]


def submission(receipt: Receipt, detail: Detail, texts: ForecastTexts) -> Submission:
    """The answer that a receipt is.

    Args:
        receipt: of the rows.
        detail: of the forecasts.
        texts: writes them.
    """
    documents: dict[int, msgspec.Raw] = {}
    if receipt.source is not None and detail != "none":
        each = texts.of(receipt.source, detail)
        documents = {
            row: each[place] for row, place in zip(receipt.index.tolist(), receipt.places.tolist(), strict=True)
        }
    scores = [None if score != score else score for score in receipt.scores.tolist()]
    if not documents and not any(receipt.errors) and all(score is None for score in scores):
        return Submission(receipt.seq, [ACCEPTED if s == "accepted" else RowAnswer(s) for s in receipt.statuses])
    results = [
        RowAnswer(status, error, reason, documents.get(n), score, unusual, receipt.elsewhere.get(n) or None)
        for n, (status, error, reason, score, unusual) in enumerate(
            zip(receipt.statuses, receipt.errors, receipt.reasons, scores, receipt.unusual.tolist(), strict=True)
        )
    ]
    return Submission(receipt.seq, results)


def status_of(result: Submission) -> int:
    """The status of an answer to rows: that of an error where a lone row is rejected."""
    if len(result.results) == 1 and result.results[0].status == "rejected":
        return STATUSES.get(result.results[0].reason or "", 422)
    return 200


class Presenter:
    """Writes what the engine says of series.

    Args:
        schema: of the model.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def number(self, values: Float64[np.ndarray, " D"] | Sequence[float]) -> Any:
        """The numbers of one row: one, or a mapping from target to number."""
        row = [value if np.isfinite(value) else None for value in np.asarray(values, np.float64).tolist()]
        return row[0] if len(self.schema.target) == 1 else dict(zip(self.schema.target, row, strict=True))

    def column(self, values: Float64[np.ndarray, "n D"]) -> Any:
        """The numbers of several rows: a list, or a mapping from target to one."""
        columns = np.asarray(values, np.float64).T.tolist()
        return columns[0] if len(columns) == 1 else dict(zip(self.schema.target, columns, strict=True))

    def time(self, time: int) -> Any:
        """A time as its table has it; None where there is none."""
        return None if time == UNSEEN else wire.times(np.array([time]), self.schema)[0]

    def summary(self, summary: SeriesSummary, now: float, recent: int) -> dict[str, Any]:
        """What is known of a series; of its last values as many as are asked for."""
        last, rival = len(summary.recent), summary.challenger
        challenger = {} if rival is None else {"challenger": self.number(rival)}
        return {
            "id": summary.id,
            "count": summary.count,
            "time": self.time(summary.time),
            "value": self.number(summary.value),
            "recent": self.column(summary.recent[max(last - recent, 0) :]),
            "error": {"statecast": self.number(summary.error), "naive": self.number(summary.naive)} | challenger,
            "skill": _finite(summary.skill),
            "score": _finite(summary.score),
            "unusual": summary.unusual,
            "alarms": summary.alarms,
            "age": max(now - summary.received, 0.0) if summary.received else None,
        }

    def history(self, history: History) -> dict[str, Any]:
        """Past rows of a series, oldest first, and what was forecast of each one step before it came."""
        return {
            "id": history.id,
            "times": wire.times(history.times, self.schema),
            "values": self.column(history.values),
            "forecast": self.column(history.predicted),
            "lower": {f"{level:g}": self.column(bound) for level, bound in history.lower.items()},
            "upper": {f"{level:g}": self.column(bound) for level, bound in history.upper.items()},
            "scores": history.scores.tolist(),
            "alarms": [self.alarm(alarm) for alarm in history.alarms],
        }

    def alarm(self, alarm: Alarm) -> dict[str, Any]:
        """An alarm."""
        return {
            "seq": alarm.seq,
            "id": alarm.id,
            "time": self.time(alarm.time),
            "kind": alarm.kind,
            "score": _finite(alarm.score),
            "since": None if alarm.since is None else self.time(alarm.since),
            "value": self.number(alarm.value) if alarm.value else None,
        }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
