"""Which series a stream holds, and where their rows and times are.

Each series has a number, and its rows lie at that place in a table in blocks of `BLOCK` series. Numbers of series that
were removed are given to the next that come. Nothing here is written at once: what changes the roster comes as a
`Change`, so that a stream makes it whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, repeat
from operator import delitem, setitem
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.values import RAW, described, series_id, series_ids
from statecast.errors import DataError, SettingError, UnknownSeries, nearest
from statecast.forecast import channels
from statecast.forecast.change import Change, Moves
from statecast.forecast.runner import BLOCK, Runner, Step
from statecast.model.container import Portions
from statecast.model.state import UNSEEN, State

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

Id = str | int
MOST_NAMES = 10_000  # that are searched for one like an unknown one


class Roster:
    """The series of a stream.

    Args:
        runner: of the stream's model.

    Attributes:
        index: the number of each series, in the order in which they came.
        last: the time of the last row of each number; there may be room for more.
        rows: the table.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner, self._kind = runner, runner.model.schema.id_kind
        self.index: dict[Id, int] = {}
        self.last, self.rows = np.empty(0, np.int64), runner.table()
        self._names = np.empty(0, object)  # the inverse of `index`; None where a number is free
        self._free: list[int] = []  # numbers of series that were removed
        self._recent: tuple[tuple[Id, ...], Int64[np.ndarray, " S"]] = (), np.zeros(0, np.int64)

    @property
    def blocks(self) -> int:
        """How many blocks there are, some of them perhaps empty."""
        return -(-(len(self.index) + len(self._free)) // BLOCK)

    def of_block(self, block: int) -> list[Id]:
        """The series of a block."""
        return [name for name in self._names[block * BLOCK : (block + 1) * BLOCK].tolist() if name is not None]

    # --- by name and by number

    def name(self, name: Any) -> Id:
        """An id in the kind that the model was fitted with."""
        if type(name) is str and name in self.index:
            return name
        return series_id(name, self._kind)

    def number(self, name: Id) -> int:
        """The number of a series.

        Raises:
            UnknownSeries: it is not here.
        """
        if name not in self.index:
            raise UnknownSeries(
                f"there is no series {name!r} in this stream; {nearest(name, islice(self.index, MOST_NAMES))}"
            )
        return self.index[name]

    def numbers(self, ids: Iterable[Any]) -> tuple[tuple[Id, ...], Int64[np.ndarray, " S"]]:
        """The names of series, each once, and their numbers; −1 for those that are new.

        Raises:
            SettingError: no sequence of ids.
            DataError: an id is none, or comes twice.
        """
        if isinstance(ids, (str, *RAW, int)) or not np.iterable(ids):
            raise SettingError(f"ids: got {described(ids)}, expected a list of series")
        names: tuple[Any, ...] = tuple(ids)
        try:
            if names == self._recent[0]:  # who observes the same series at every step pays for the look-up once
                return self._recent
        except ValueError:  # an array among them, which compares number by number
            pass
        if set(map(type, names)) - {str if self._kind == "text" else int}:
            names = tuple(self.name(name) for name in names)
        series = self._series(names)
        if (series < 0).any():
            spellings = names
            names = self._canonical(names, np.flatnonzero(series < 0))
            series = series if names == spellings else self._series(names)
        if len(set(names)) < len(names):
            double = next(name for n, name in enumerate(names) if name in names[:n])
            raise DataError(f"series {double!r} comes twice: give each series once, one step at a time")
        if not (series < 0).any():
            self._recent = names, series
        return names, series

    def names(self, series: Int64[np.ndarray, " S"]) -> tuple[Id, ...]:
        """The names of numbers, each of which is here and comes once: the inverse of `numbers`.

        Raises:
            UnknownSeries: a series has none of these numbers.
            DataError: a number comes twice.
        """
        known = len(self.index) + len(self._free)
        if len(series) and not (0 <= series.min() and series.max() < known):
            raise UnknownSeries(f"numbers {series.min()} to {series.max()}: the series here have numbers below {known}")
        names = self._names[series].tolist()
        if self._free and None in names:
            raise UnknownSeries(f"no series has the number {int(series[names.index(None)])} any more")
        if len(series) > 1 and (np.diff(series) <= 0).any() and len(np.unique(series)) < len(series):
            raise DataError("a series comes twice: give each series once, one step at a time")
        return tuple(names)

    def _series(self, names: Sequence[Id]) -> Int64[np.ndarray, " S"]:
        return np.fromiter(map(self.index.get, names, repeat(-1)), np.int64, len(names))

    def _canonical(self, names: Sequence[Any], new: Int64[np.ndarray, " n"]) -> tuple[Id, ...]:
        """Names of which some are new, and may be spelled in another way than those that are here."""
        places = new.tolist()
        result = list(names)
        for place, name in zip(places, series_ids([names[n] for n in places], self._kind), strict=True):
            result[place] = name
        return tuple(result)

    # --- what is remembered

    def times(self, series: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " S"]:
        """The times of the last rows of series; `UNSEEN` for those that are new."""
        return np.where(series < 0, UNSEEN, self.last[series] if len(self.last) else UNSEEN)

    def static(self, series: Int64[np.ndarray, " S"], last: Int64[np.ndarray, " S"]) -> Float[np.ndarray, "S Q"] | None:
        """The static covariates that are remembered, NaN for series that are new; None where the model has none."""
        runner = self._runner
        if not runner.model.network.front.static:
            return None
        where, _ = runner.layout.slices["static"]
        old = last != UNSEEN
        static = np.full((len(series), where.stop - where.start), np.nan, runner.model.dtype)
        static[old] = self.rows.take(series[old] * runner.width)[:, where]
        return static

    def state(self, names: Iterable[Id]) -> State:
        """What is remembered of series, which must be here."""
        names = list(names)
        series = np.array([self.number(name) for name in names], np.int64)
        return self._runner.state(names, self.rows.take(self._runner.rows(series)), self.times(series))

    def outline(self) -> tuple[State, Portions]:
        """What is remembered of all series: names and times as a state without rows, and the rows in pieces."""
        runner, names = self._runner, list(self.index)
        bare = runner.state(
            names, np.empty((0, runner.layout.size), runner.model.dtype), self.times(self._series(names))
        )
        shape = (len(names) * runner.width, runner.layout.size)
        return bare, Portions(shape, runner.model.dtype, lambda: (part.data for part in self.parts(names)))

    def parts(self, names: Iterable[Id]) -> Iterator[State]:
        """`state`, a block's worth at a time."""
        names = list(names)
        for begin in range(0, len(names), BLOCK):
            yield self.state(names[begin : begin + BLOCK])

    # --- changes

    def putting(self, state: State) -> Change:
        """To take over what a state remembers.

        Raises:
            DataError: it is another network's, or names a series twice.
        """
        runner = self._runner
        if state.layout != runner.layout:
            raise DataError("the state comes from another network than this model's: give a state of the same model")
        names, series = self.numbers(channels.series_ids(runner.model, state.ids))
        rows = state.data.astype(runner.model.dtype, order="C", copy=False)
        writes, entries = self.writes(names, series, rows, runner.per_series(state.time))
        return Change(None, writes, [None] * len(writes), entries)

    def removing(self, ids: Iterable[Any]) -> Change:
        """To forget series.

        Raises:
            UnknownSeries: one is not here.
            DataError: one comes twice.
        """
        names, series = self.numbers(ids)
        for name in names:
            self.number(name)
        entries: Moves = (
            *(partial(self.index.pop, name) for name in names),
            partial(setitem, self._names, series, None),
            partial(self._free.extend, series.tolist()),
            partial(setattr, self, "_recent", ((), np.zeros(0, np.int64))),
        )
        return Change(None, (), [], entries)

    def writes(
        self,
        names: Sequence[Id],
        series: Int64[np.ndarray, " S"],
        rows: Float[np.ndarray, "N size"],
        last: Int64[np.ndarray, " S"],
    ) -> tuple[Moves, Moves]:
        """What writes rows of series into the table, and what enters their times, and the names of new ones."""
        new = np.flatnonzero(series < 0)
        reused = self._free[max(len(self._free) - len(new), 0) :]
        end = len(self.index) + len(self._free)
        self._reserve(end + len(new) - len(reused))
        numbers = series.copy()
        numbers[new] = [*reused, *range(end, end + len(new) - len(reused))]
        entries = [partial(setitem, self.last, numbers, np.array(last))]
        if len(new):
            added = np.array([*(names[n] for n in new.tolist()), None], object)[:-1]
            entries += [
                partial(setitem, self._names, numbers[new], added),
                partial(self.index.update, dict(zip(added.tolist(), numbers[new].tolist(), strict=True))),
                partial(delitem, self._free, slice(len(self._free) - len(reused), None)),
            ]
        places = self.rows.places(self._runner.rows(numbers))
        return tuple(partial(setitem, block, inside, rows[at]) for block, inside, at in places), tuple(entries)

    def restarted(
        self,
        names: Sequence[Id],
        series: Int64[np.ndarray, " S"],
        last: Int64[np.ndarray, " S"],
        y: Float[np.ndarray, "N Dn"],
        stamps: Int64[np.ndarray, " N"],
        gaps: Int64[np.ndarray, " S"],
        covariates: Mapping[str, Any],
    ) -> tuple[Step, Moves]:
        """A step of series of which some are new or skipped steps, on a copy of their rows, and the entries."""
        runner, fresh = self._runner, last == UNSEEN
        if fresh.all():
            rows = runner.start(names)
        else:
            rows = np.empty((len(y), runner.layout.size), runner.model.dtype)
            rows[runner.per_row(~fresh)] = self.rows.take(runner.rows(series[~fresh]))
            rows[runner.per_row(fresh)] = runner.start([name for name, new in zip(names, fresh, strict=True) if new])
        static = covariates.get("static")
        for gap in set(gaps.tolist()) - {0}:
            alike = np.flatnonzero(gaps == gap)
            for part in runner.batches(len(alike)):
                at = runner.rows(alike[part])
                some = rows[at]
                runner.pass_gap(some, runner.per_row(last[alike[part]]), gap, None if static is None else static[at])
                rows[at] = some
        forecasts, scales, report = runner.step(rows, y, stamps, covariates)
        writes, entries = self.writes(names, series, rows, stamps[:: runner.width])
        return Step(forecasts, scales, report, writes, [None] * len(writes)), entries

    def _reserve(self, count: int) -> None:
        """Make room for so many series. It is not seen from outside, and stays where the change comes to nothing."""
        self.rows.reserve(count * self._runner.width)
        if count > len(self._names):  # eight bytes of each series are moved, seldom; their rows never
            room = max(count, 2 * len(self._names), BLOCK)
            names, last = np.full(room, None), np.full(room, UNSEEN)
            names[: len(self._names)], last[: len(self.last)] = self._names, self.last
            self._names, self.last = names, last
