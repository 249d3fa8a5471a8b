"""Orders of all series, for lists of a million of them.

Whoever sorts must not hold up rows that come. So what an order rests on is copied in the engine's turn, a stretch of
the series at a time, and sorted outside of it; and an order is kept for some seconds, so that whoever goes through its
pages finds each series once, and many who look at the same cost no more than one.
"""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from statecast.data.values import series_id
from statecast.errors import SettingError
from statecast.server.states.batch import Id
from statecast.server.states.stepper import Stepper

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64, Shaped

SORTS = ("id", "time", "count", "value", "skill", "error", "score", "alarms")
FRESH = 2.0  # seconds for which an order of many series is kept
ORDERS = 16  # that are kept
BREAK = "\0"  # between names
STRETCH = 65_536  # series whose numbers are copied in one turn


class Wish(NamedTuple):
    """Which series are meant.

    Attributes:
        prefix: how their names begin.
        contains: a string that is anywhere in them, in small letters or large.
    """

    prefix: str = ""
    contains: str = ""


ALL = Wish()


class Orders:
    """The orders of an engine's series; any thread may ask, but not in the engine's turn.

    Args:
        stepper: of the engine.
        turn: held by whoever changes what the stepper holds.
        clock: gives seconds; does not run backwards.
    """

    def __init__(self, stepper: Stepper, turn: threading.RLock, clock: Callable[[], float] = time.monotonic) -> None:
        self._stepper, self._turn, self._clock = stepper, turn, clock
        self._lock = threading.Lock()
        self._names: list[Any] = []  # all of one kind
        self._numbers: Int64[np.ndarray, " n"] = np.zeros(0, np.int64)
        self._version, self._made = -1, -np.inf
        self._kept: dict[tuple[Wish, str, bool], tuple[float, Int64[np.ndarray, " n"]]] = {}
        self._joined: list[str] = []  # see `_stretches`
        self._containing: dict[str, Int64[np.ndarray, " n"]] = {}  # places of names, by a string that is in them

    def numbers(self, wish: Wish, after: Id | None, sort: str, descending: bool) -> Int64[np.ndarray, " n"]:
        """The numbers of series, in an order; some may have been removed since.

        Args:
            wish: which.
            after: the last name of the page before; of the order by id alone.
            sort: one of `SORTS`; what is not known comes last.
            descending: the largest first.

        Raises:
            SettingError: no such order.
        """
        if sort not in SORTS:
            raise SettingError(f"sort: got {sort!r}, expected one of {', '.join(SORTS)}")
        with self._lock:
            if sort == "id":
                return self._by_name(wish, after, descending)
            key, now = (wish, sort, descending), self._clock()
            made, numbers = self._kept.get(key, (-np.inf, self._numbers))
            if now - made > FRESH or len(numbers) <= STRETCH:  # few are sorted in no time
                numbers = self._sorted(wish, sort, descending)
                self._kept.pop(key, None)
                self._kept[key] = now, numbers
                while len(self._kept) > ORDERS:
                    del self._kept[next(iter(self._kept))]
            return numbers

    def count(self, wish: Wish) -> int:
        """How many series are meant."""
        if wish == ALL:
            return len(self._stepper.directory)
        with self._lock:
            return len(self._matching(wish))

    def _by_name(self, wish: Wish, after: Id | None, descending: bool) -> Int64[np.ndarray, " n"]:
        places = self._matching(wish)
        if after is not None:
            kind = self._stepper.model.schema.id_kind
            name = str(after) if kind == "text" else series_id(after, kind)  # any text has its place among others
            place = (bisect.bisect_left if descending else bisect.bisect)(self._names, name)
            places = places[places < place] if descending else places[places >= place]
        return np.asarray(self._numbers[places[::-1] if descending else places])

    def _matching(self, wish: Wish) -> Int64[np.ndarray, " n"]:
        """The places in the order of names of those that are meant."""
        self._look()
        places = self._beginning(wish.prefix)
        if not wish.contains:
            return places
        containing = self._with(wish.contains.casefold())
        return np.intersect1d(places, containing, assume_unique=True) if wish.prefix else containing

    def _beginning(self, prefix: str) -> Int64[np.ndarray, " n"]:
        names = self._names
        if not prefix:
            return np.arange(len(names))
        if self._stepper.model.schema.id_kind == "integer":
            return np.array([n for n, name in enumerate(names) if str(name).startswith(prefix)], np.int64)
        return np.arange(bisect.bisect_left(names, prefix), bisect.bisect_left(names, prefix + "\U0010ffff"))

    def _with(self, text: str) -> Int64[np.ndarray, " n"]:
        """The places of names that a string is in.

        Many are searched as one text: a loop over names takes ten times as long. A stretch of them at a time, for
        nobody else runs meanwhile.
        """
        if BREAK in text:
            return np.zeros(0, np.int64)
        if text not in self._containing:
            parts = [_lines(joined, text) + n * STRETCH for n, joined in enumerate(self._stretches())]
            self._containing[text] = np.concatenate([np.zeros(0, np.int64), *parts])
            while len(self._containing) > ORDERS:
                del self._containing[next(iter(self._containing))]
        return self._containing[text]

    def _stretches(self) -> list[str]:
        """All names in small letters, a string for each stretch of them; made once somebody searches."""
        names = self._names
        if not self._joined:
            for begin in range(0, len(names), STRETCH):
                part = names[begin : begin + STRETCH]
                self._joined.append(BREAK.join([str(name).casefold().replace(BREAK, " ") for name in part]))
        return self._joined

    def _look(self) -> None:
        """Put the names in order again where some have come or gone; of many not more than once in a while."""
        directory, now = self._stepper.directory, self._clock()
        if self._version == directory.version or (len(self._names) > STRETCH and now - self._made < FRESH):
            return
        with self._turn:
            index, self._version = dict(directory.index), directory.version
        names: list[Any] = sorted(index)
        self._names, self._containing, self._joined = names, {}, []
        self._numbers = np.fromiter((index[name] for name in names), np.int64, len(names))
        self._made = now

    def _sorted(self, wish: Wish, sort: str, descending: bool) -> Int64[np.ndarray, " n"]:
        places, parts = self._matching(wish), []
        numbers = self._numbers[places]
        for begin in range(0, len(numbers), STRETCH):
            with self._turn:
                parts.append(self._values(sort, numbers[begin : begin + STRETCH]))
        values = np.concatenate(parts) if parts else np.zeros(0)
        unknown = np.isnan(values)
        order = np.argsort(np.where(unknown, np.inf, -values if descending else values), kind="stable")
        return np.asarray(numbers[order])

    def _values(self, sort: str, numbers: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """What series are ordered by; NaN where it is not known."""
        records, depth = self._stepper.ledger.records, self._stepper.ledger.depth

        def column(name: str) -> Shaped[np.ndarray, "n ..."]:
            return np.asarray(records[name][numbers])

        if sort == "value":
            count = column("count")
            values = records["values"][numbers, (count - 1) % depth, 0]
            return np.where(count > 0, values, np.nan)
        if sort not in ("error", "skill"):
            return column(sort).astype(np.float64)
        error = column("error").sum(axis=1, dtype=np.float64)
        error[column("weight").max(axis=1) <= 0] = np.nan
        if sort == "error":
            return np.asarray(error)
        naive = column("naive").sum(axis=1, dtype=np.float64)
        return np.asarray(1 - np.divide(error, naive, out=np.full(len(error), np.nan), where=naive > 0))


def _lines(joined: str, text: str) -> Int64[np.ndarray, " n"]:
    """The numbers of the names in a joined text that another is in."""
    if 4 * joined.count(text) > joined.count(BREAK):  # so many that the loop is quicker
        return np.array([n for n, name in enumerate(joined.split(BREAK)) if text in name], np.int64)
    before = [piece.count(BREAK) for piece in joined.split(text)]
    return np.unique(np.cumsum(before, dtype=np.int64)[:-1])
