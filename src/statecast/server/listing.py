"""Looking at series: one, or a page of all of them in some order."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.values import series_id
from statecast.errors import SettingError, UnknownSeries, nearest
from statecast.forecast import watch
from statecast.server.batch import Id
from statecast.server.past import decoded
from statecast.server.receipts import Alarm, History, SeriesSummary
from statecast.server.stepper import Stepper
from statecast.server.store.protocol import BLOCK, Piece, Store

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

SORTS = ("id", "time", "count", "value", "skill", "error", "score", "alarms")
MOST_NAMES = 10_000  # that are searched for one like an unknown one


class Listing:
    """The series of an engine, for people; whoever asks holds the engine's turn.

    Args:
        stepper: of the engine.
        store: which keeps the history.
    """

    def __init__(self, stepper: Stepper, store: Store) -> None:
        self._stepper, self._store = stepper, store
        self._sorted: list[Id] = []
        self._version = -1

    def number(self, id: Any) -> int:
        """The number of a series.

        Raises:
            UnknownSeries: it is not here.
        """
        directory = self._stepper.directory
        name = series_id(id, self._stepper.model.schema.id_kind)
        if name not in directory.index:
            some = [known for known in directory.names[:MOST_NAMES] if known is not None]
            raise UnknownSeries(f"there is no series {name!r} here; {nearest(name, some)}")
        return directory.index[name]

    def one(self, id: Any) -> SeriesSummary:
        """What is known of a series.

        Raises:
            UnknownSeries: it is not here.
        """
        return self._summary(self.number(id))

    def history(self, id: Any, limit: int) -> History:
        """The latest rows of a series.

        Raises:
            UnknownSeries: it is not here.
        """
        number, schema = self.number(id), self._stepper.model.schema
        parts = [self._stepper.past.of(number)]
        for piece in self._pieces(number // BLOCK):
            if sum(map(len, parts)) >= limit:
                break
            rows = decoded(piece, len(schema.target))
            parts.append(rows[rows["number"] == number])
        rows = np.concatenate(parts)
        rows = rows[np.argsort(rows["time"], kind="stable")][-limit:]
        level = min(self._stepper.model.config.levels, default=None)
        lower, upper = ({} if level is None else {level: rows[name].astype(np.float64)} for name in ("lower", "upper"))
        predicted, scores = rows["predicted"].astype(np.float64), rows["score"].astype(np.float64)
        name = self._stepper.directory.name(number)
        unusual = np.flatnonzero(watch.unusual(self._stepper.model, scores)).tolist()
        alarms = [
            Alarm(int(row["seq"]), name, int(row["time"]), "unusual", float(row["score"]), None, tuple(row["values"]))
            for row in rows[unusual]
        ]
        times, values = rows["time"].copy(), rows["values"].copy()
        return History(name, times, values, predicted, lower, upper, scores, tuple(alarms))

    def _pieces(self, block: int) -> Iterator[Piece]:
        """The history of a block, newest first, with what is on its way to the disk."""
        last = self._stepper.past.flying(block)
        if last is not None:
            yield last
        yield from (piece for piece in self._store.pieces(block) if last is None or piece.first != last.first)

    def page(
        self, prefix: str, after: Id | None, limit: int, sort: str, descending: bool, offset: int
    ) -> list[SeriesSummary]:
        """Summaries in an order.

        Args:
            prefix: of the names.
            after: the last name of the page before; of the order by id alone.
            limit: how many at most.
            sort: one of `SORTS`; what is not known comes last.
            descending: the largest first.
            offset: how many to pass over.

        Raises:
            SettingError: no such order.
        """
        if sort not in SORTS:
            raise SettingError(f"sort: got {sort!r}, wanted one of {', '.join(SORTS)}")
        if sort == "id":
            names: list[Any] = self._matching(prefix)
            if after is not None:
                kind = self._stepper.model.schema.id_kind
                name = str(after) if kind == "text" else series_id(after, kind)  # any text has its place among others
                names = names[: bisect.bisect_left(names, name)] if descending else names[bisect.bisect(names, name) :]
            names = names[::-1] if descending else names
            numbers = [self._stepper.directory.index[name] for name in names[offset : offset + limit]]
        else:
            numbers = self._ordered(prefix, sort, descending)[offset : offset + limit].tolist()
        return [self._summary(number) for number in numbers]

    def matches(self, prefix: str) -> int:
        """How many series have names that begin so."""
        return len(self._matching(prefix)) if prefix else len(self._stepper.directory)

    def totals(self) -> tuple[float, float, int, int]:
        """Mean live errors in units of each series' naive one (the second is then 1), alarms, and accepted rows."""
        records = self._stepper.ledger.records[: len(self._stepper.directory.names)]
        error, naive = records["error"].sum(axis=1), records["naive"].sum(axis=1)
        judged = naive > 0
        mean = float(np.mean(error[judged] / naive[judged])) if judged.any() else float("nan")
        return mean, 1.0 if judged.any() else float("nan"), int(records["alarms"].sum()), int(records["count"].sum())

    def _summary(self, number: int) -> SeriesSummary:
        entry, name = self._stepper.ledger.records[number], self._stepper.directory.names[number]
        assert name is not None
        times, recent = self._stepper.ledger.recent(number)
        known = entry["weight"] > 0
        return SeriesSummary(
            name,
            int(entry["count"]),
            int(entry["time"]),
            recent[-1].copy() if len(recent) else np.full(recent.shape[1], np.nan),
            float(entry["received"]),
            times,
            recent,
            np.where(known, entry["error"], np.nan).astype(np.float64),
            np.where(known, entry["naive"], np.nan).astype(np.float64),
            float(entry["score"]),
            bool(entry["unusual"]),
            int(entry["alarms"]),
        )

    def _matching(self, prefix: str) -> list[Id]:
        """Names that begin so, in order."""
        directory = self._stepper.directory
        if self._version != directory.version:
            self._sorted, self._version = _in_order(directory.index), directory.version
        if not prefix:
            return self._sorted
        if self._stepper.model.schema.id_kind == "integer":
            return [name for name in self._sorted if str(name).startswith(prefix)]
        begin = bisect.bisect_left(self._sorted, prefix, key=str)
        end = bisect.bisect_left(self._sorted, prefix + "\U0010ffff", key=str)
        return self._sorted[begin:end]

    def _ordered(self, prefix: str, sort: str, descending: bool) -> Int64[np.ndarray, " n"]:
        directory = self._stepper.directory
        names = self._matching(prefix)
        numbers = np.fromiter((directory.index[name] for name in names), np.int64, len(names))
        values = self._values(sort, numbers)
        unknown = np.isnan(values)
        order = np.argsort(np.where(unknown, np.inf, -values if descending else values), kind="stable")
        return numbers[order]

    def _values(self, sort: str, numbers: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """What series are ordered by; NaN where it is not known."""
        records = self._stepper.ledger.records[numbers]
        error, naive = (records[name].sum(axis=1, dtype=np.float64) for name in ("error", "naive"))
        if sort in ("error", "skill"):
            error[records["weight"].max(axis=1) <= 0] = np.nan
        if sort == "error":
            return np.asarray(error)
        if sort == "skill":
            return np.asarray(1 - np.divide(error, naive, out=np.full(len(error), np.nan), where=naive > 0))
        if sort == "value":
            last = (records["count"] - 1) % self._stepper.ledger.depth
            values = records["values"][np.arange(len(records)), last, 0]
            return np.where(records["count"] > 0, values, np.nan)
        return np.asarray(records[sort], np.float64)


def _in_order(names: Iterable[Any]) -> list[Id]:
    """Names in order, all of one kind."""
    return sorted(names)
