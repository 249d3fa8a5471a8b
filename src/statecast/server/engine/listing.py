"""Looking at series: what is known of one or of some, its past, and what is true of all together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.values import series_id
from statecast.errors import UnknownSeries, nearest
from statecast.server.engine.alarms import named
from statecast.server.engine.receipts import Alarm, History, SeriesSummary
from statecast.server.states.batch import Id
from statecast.server.states.past import decoded
from statecast.server.states.stepper import Stepper
from statecast.server.store.protocol import BLOCK, Piece, Store

if TYPE_CHECKING:
    from jaxtyping import Float64, Shaped

MOST_NAMES = 10_000  # that are searched for one like an unknown one


@dataclass(frozen=True, eq=False)
class Recent:
    """What memory has of a series' past.

    Attributes:
        number: of the series.
        name: of the series.
        rows: past rows that no piece holds, see `past_row`.
        flying: the last piece of its block, where it may not be on the disk yet.
        static: the series' static covariates, NaN where they are not known.
    """

    number: int
    name: Id
    rows: Shaped[np.ndarray, " n"]
    flying: Piece | None
    static: Float64[np.ndarray, " Q"]


class Listing:
    """The series of an engine, for people; whoever asks holds the engine's turn, but where something else is said.

    Args:
        stepper: of the engine.
        store: which keeps the history.
        rival: gives what the other model remembers, which observes beside; None where there is none.
    """

    def __init__(self, stepper: Stepper, store: Store, rival: Callable[[], Stepper | None] = lambda: None) -> None:
        self._stepper, self._store, self._rival = stepper, store, rival

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

    def recent(self, id: Any) -> Recent:
        """What memory has of a series' past.

        Raises:
            UnknownSeries: it is not here.
        """
        number, past = self.number(id), self._stepper.past
        name, flying = self._stepper.directory.name(number), past.flying(number // BLOCK)
        return Recent(number, name, past.of(number), flying, self._stepper.static_of(name))

    def history(self, recent: Recent, limit: int) -> History:
        """The latest rows of a series; not in the engine's turn, for it reads the store.

        Args:
            recent: what memory had of it, before the store is read, so that no row is missed.
            limit: how many rows at most.
        """
        number, kind = recent.number, self._stepper.past.kind
        parts = [recent.rows]
        for piece in self._pieces(recent):
            if sum(map(len, parts)) >= limit:
                break
            rows = decoded(piece, kind)
            parts.append(rows[rows["number"] == number])
        rows = np.concatenate(parts)
        rows = rows[np.unique(rows["seq"], return_index=True)[1]]  # some may have gone into a piece meanwhile
        rows = rows[np.argsort(rows["time"], kind="stable")][-limit:]
        level = min(self._stepper.model.config.levels, default=None)
        lower, upper = ({} if level is None else {level: rows[name].astype(np.float64)} for name in ("lower", "upper"))
        predicted, scores = rows["predicted"].astype(np.float64), rows["score"].astype(np.float64)
        alarms = self.alarms(limit, number=number)
        if len(rows):
            alarms = tuple(alarm for alarm in alarms if alarm.time >= rows["time"][0])
        times, values = rows["time"].copy(), rows["values"].copy()
        past, known = self._covariates(rows)
        static = recent.static
        return History(recent.name, times, values, predicted, lower, upper, scores, alarms, past, known, static)

    def _covariates(self, rows: Shaped[np.ndarray, " n"]) -> list[Float64[np.ndarray, "n m"]]:
        """Those of past rows that were known up to now, and those that were known ahead."""
        split = len(self._stepper.model.schema.past_features)
        has = "covariates" in (rows.dtype.names or ())
        return np.split(rows["covariates"] if has else np.zeros((len(rows), 0)), [split], axis=1)

    def alarms(self, limit: int, after: int = 0, number: int | None = None) -> tuple[Alarm, ...]:
        """The latest alarms, oldest first; see `Store.alarms`. Not in the engine's turn."""
        return named(self._store.alarms(limit, after, number), self._stepper.directory)

    def _pieces(self, recent: Recent) -> Iterator[Piece]:
        """The history of a block, newest first, with what is on its way to the disk."""
        last = recent.flying
        if last is not None:
            yield last
        yield from (p for p in self._store.pieces(recent.number // BLOCK) if last is None or p.first != last.first)

    def summaries(self, numbers: Sequence[int]) -> list[SeriesSummary]:
        """Summaries of series by their numbers, but for those that are no longer here."""
        names = self._stepper.directory.names
        return [self._summary(number) for number in numbers if names[number] is not None]

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
        known, rival = entry["weight"] > 0, self._rival()
        return SeriesSummary(
            name,
            int(entry["count"]),
            int(entry["time"]),
            recent[-1].copy() if len(recent) else np.full(recent.shape[1], np.nan),
            float(entry["received"]),
            times,
            recent,
            _error(self._stepper, number),
            np.where(known, entry["naive"], np.nan).astype(np.float64),
            float(entry["score"]),
            bool(entry["unusual"]),
            int(entry["alarms"]),
            None if rival is None else _error(rival, number),
        )


def better(rival: Stepper, stepper: Stepper) -> int:
    """How many series a model forecasts with smaller live errors than another one, of those that both have judged."""
    ours, theirs = stepper.ledger.records, rival.ledger.records  # taken once: a challenger that begins makes room anew
    count = min(len(stepper.directory.names), len(ours), len(theirs))
    mine, others = theirs[:count], ours[:count]
    judged = (mine["weight"].max(axis=1) > 0) & (others["weight"].max(axis=1) > 0)
    return int(np.sum(judged & (mine["error"].sum(axis=1) < others["error"].sum(axis=1))))


def _error(stepper: Stepper, number: int) -> Float64[np.ndarray, " D"]:
    """The live errors of a series, NaN where it has none."""
    records = stepper.ledger.records
    if number >= len(records):
        return np.full(stepper.ledger.targets, np.nan)
    return np.where(records["weight"][number] > 0, records["error"][number], np.nan).astype(np.float64)
