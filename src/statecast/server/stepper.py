"""A stream, its ledger and its directory, stepped together: what becomes of rows, without threads and without a disk.

`take` decides about rows that came, `replay` repeats what a log says was decided; both end in `_observe`, so that an
engine that was killed and replays its log is bit for bit the one that never died. Rows of one series are taken one
after another, and rows of different series side by side: whatever company a row has, its bits are the same.

Nobody checks a row twice: what the stream refuses is halved until the row that it refuses stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.values import series_id
from statecast.errors import NotOwner, StatecastError
from statecast.forecast import channels
from statecast.forecast.answer import Forecast
from statecast.forecast.observation import Features, shown
from statecast.forecast.stream import Stream
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model
from statecast.server import selection
from statecast.server.batch import Batch, Id
from statecast.server.directory import Directory
from statecast.server.group import (
    ACCEPTED,
    CONFLICT,
    DUPLICATE,
    ELSEWHERE,
    EXCESS,
    INVALID,
    LATE,
    UNKNOWN,
    Group,
    Observed,
    Taken,
)
from statecast.server.intake import Intake
from statecast.server.ledger import AHEAD, Ledger
from statecast.server.past import Past
from statecast.server.store.protocol import BLOCK, Shards
from statecast.server.waves import columns_of, waves

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

WIDEST = 16_384  # series that are stepped at once: their forecasts are held until they are answered


class Stepper:
    """A model at work on the series of a server.

    Args:
        model: the model; what its own state remembers is not taken over.
        closed: refuse series that are not here.
        limit: how many series there may be.
        shards: of the store; one where None.

    Attributes:
        seq: the last sequence number that was given.
        served: the shards whose series are here.
        past: rows that no piece of history holds yet.
        touched: blocks of series that moved since they were last written down.
    """

    def __init__(self, model: Model, closed: bool = False, limit: int = 1 << 31, shards: Shards | None = None) -> None:
        self.model, self.closed, self.limit, self.seq, self._shards = model, closed, limit, 0, shards
        self.served: set[int] = set()
        self.stream = Stream(model, State.empty(model.layout, model.dtype))
        self.directory = Directory(1 if shards is None else shards.total)
        self.ledger = Ledger(len(model.schema.target))
        self.touched = np.zeros(0, bool)
        self.past, self._narrow = Past(len(model.schema.target)), selection.narrowed(model)

    def row_ids(self, names: Sequence[Id]) -> tuple[Id, ...]:
        """What the rows of these series are called in a `State`."""
        return channels.row_ids(self.model, names)

    # --- which series are here

    def allocate(self, names: Sequence[Id]) -> Int64[np.ndarray, " S"]:
        """Take up new series, and give them numbers of their shards."""
        several = self._shards is not None and self._shards.total > 1
        return self.directory.allocate(names, self._shards.shard_of(names) if self._shards and several else None)

    def elsewhere(self, name: Id) -> NotOwner | None:
        """Why a series can only be asked for elsewhere: its shard is not held here; None where it is."""
        shard = 0 if self._shards is None else self._shards.shard_of([name])[0]
        here = self._shards is None or (shard in self.served and self._shards.holds(shard))
        return None if here else self.referral(name, shard)

    def referral(self, name: Id, shard: int) -> NotOwner:
        """That a series is another server's, and which one's."""
        address = None if self._shards is None else self._shards.owner(shard)
        place = "on its way from one server to another: try again" if address is None else f"on the server at {address}"
        return NotOwner(f"series {name!r} is {place}", address, frozenset((shard,)))

    def adopt(self, other: Stepper, shard: int) -> None:
        """Take over a shard that another stepper, of the same model, was made for."""
        if not self.served:
            self.stream, self.directory, self.ledger = other.stream, other.directory, other.ledger
            self.touched, self.served, self.past, self.seq = other.touched, other.served, other.past, other.seq
            return
        numbers = self.directory.adopt(other.directory, shard)
        self.ledger.reserve(len(self.directory.names))
        self.ledger.records[numbers] = other.ledger.records[numbers]
        for block in range(other.stream.blocks):
            self.stream.put(other.stream.block(block))
        self.directory.places[numbers] = self.stream.numbers([self.directory.name(n) for n in numbers.tolist()])
        self._touch(np.flatnonzero(other.touched) * BLOCK)
        self.past.adopt(other.past)
        self.seq = max(self.seq, other.seq)
        self.served.add(shard)

    def drop(self, shard: int) -> None:
        """Forget a shard, if it is here."""
        if shard in self.served:
            numbers = self.directory.of_shard(shard)
            self.stream.remove([self.directory.name(number) for number in numbers.tolist()])
            self.directory.forget(shard)
            self.ledger.clear(numbers)
            self.past.drop(lambda number: self.directory.shard(number) == shard)
            self.touched[self.directory.shard(np.arange(len(self.touched)) * BLOCK) == shard] = False
            self.served.discard(shard)

    # --- rows that came

    def take(self, rows: Intake, received: float) -> Taken:
        """Decide about rows in their order, and step those that are accepted.

        Args:
            rows: any; of one series several may come.
            received: seconds since 1970.
        """
        numbers, errors = self.directory.numbers(rows.ids), dict(rows.errors)
        group = Group(rows, numbers, rows.times.copy(), np.zeros(len(rows), np.int8), errors, received, self.seq)
        group.statuses[[*errors]] = INVALID
        self._refuse_lapsed(group)
        self._identify(group)
        for wave in waves(group.numbers, group.statuses == ACCEPTED):
            self._wave(group, wave)
        return self._finished(group)

    def _refuse_lapsed(self, group: Group) -> None:
        """Refuse rows of shards that may be another server's by now."""
        lapsed = [shard for shard in self.served if self._shards is not None and not self._shards.holds(shard)]
        if lapsed:
            known = (group.numbers >= 0) & (group.statuses == ACCEPTED)
            for row in np.flatnonzero(known & np.isin(self.directory.shard(group.numbers), lapsed)).tolist():
                self._refer(group, row, group.rows.ids[row])

    def _refer(self, group: Group, row: int, name: Id) -> bool:
        """Refuse a row of a series that is another server's; False where it is not."""
        elsewhere = self.elsewhere(name)
        if elsewhere is None:
            return False
        group.reject(row, str(elsewhere), ELSEWHERE)
        group.elsewhere[row] = elsewhere
        return True

    def _identify(self, group: Group) -> None:
        """Give rows of series that are not here a number below −1 each series, or refuse them."""
        strangers: dict[Id, int] = {}
        room = self.limit - len(self.directory)
        for row in np.flatnonzero((group.numbers < 0) & (group.statuses == ACCEPTED)).tolist():
            try:
                name = series_id(group.rows.ids[row], self.model.schema.id_kind)
            except StatecastError as error:
                group.reject(row, str(error))
                continue
            number = self.directory.index.get(name)
            if number is None and self._refer(group, row, name):
                continue
            if number is None and self.closed:
                group.reject(row, f"there is no series {name!r} here, and new ones are refused: see --closed", UNKNOWN)
            elif number is None and name not in strangers and room <= len(strangers):
                group.reject(row, f"series {name!r} is new, and there are {self.limit:,}, as many as may be", EXCESS)
            elif number is None:
                number = strangers.setdefault(name, -2 - len(strangers))
                group.names[number] = name
            group.numbers[row] = -1 if number is None else number

    def _wave(self, group: Group, rows: Int64[np.ndarray, " S"]) -> None:
        """Rows of different series."""
        numbers = self._current(group, rows)
        last = self.ledger.times(numbers)
        times, schema = group.times[rows], self.model.schema
        unsaid = times == UNSEEN
        if unsaid.any():
            following = unsaid & (last != UNSEEN)
            times[following] = schema.frequency.advance(last[following], 1)
            if schema.time_kind == "row":
                times[unsaid & (last == UNSEEN)] = 0
            group.times[rows] = times
            for row in rows[times == UNSEEN].tolist():
                group.reject(row, f"series {group.rows.ids[row]!r} is new, so its first row needs a time")
        later = (times > last) & (times != UNSEEN)
        for place in np.flatnonzero(~later & (times != UNSEEN)).tolist():
            self._earlier(group, int(rows[place]), int(numbers[place]), int(times[place]), int(last[place]))
        rows, numbers = rows[later], numbers[later]
        for begin in range(0, len(rows), WIDEST):
            part = slice(begin, begin + WIDEST)
            self._observe_or_halve(group, rows[part], numbers[part])

    def _current(self, group: Group, rows: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " S"]:
        """The numbers of rows' series, some of which may have got theirs in the wave before; −1 where it is new."""
        numbers: Int64[np.ndarray, " S"] = group.numbers[rows]
        for place in np.flatnonzero(numbers < -1).tolist():
            numbers[place] = self.directory.index.get(group.names[int(numbers[place])], -1)
        return numbers

    def _earlier(self, group: Group, row: int, number: int, time: int, last: int) -> None:
        """A row that is not after its series' last one."""
        before, value = self.ledger.value_at(number, time), group.rows.values[row]
        name, stamp = self.directory.names[number], shown(time, self.model.schema)
        if before is not None and np.array_equal(before, value, equal_nan=True):
            group.statuses[row] = DUPLICATE
            if time == last:
                group.repeats[row] = number
        elif before is not None:
            text = f"series {name!r}: {stamp} was observed as {_text(before)}, and now as {_text(value)}"
            group.reject(row, text, CONFLICT)
        else:
            text = f"series {name!r}: {stamp} is not after {shown(last, self.model.schema)}, its last row"
            group.reject(row, text, LATE)

    def _observe_or_halve(self, group: Group, rows: Int64[np.ndarray, " S"], numbers: Int64[np.ndarray, " S"]) -> None:
        if not len(rows):
            return
        try:
            self._step_group(group, rows, numbers)
        except StatecastError as error:
            if len(rows) == 1:
                group.reject(int(rows[0]), str(error))
                return
            middle = len(rows) // 2
            for half in (slice(0, middle), slice(middle, None)):
                self._observe_or_halve(group, rows[half], numbers[half])

    def _step_group(self, group: Group, rows: Int64[np.ndarray, " S"], numbers: Int64[np.ndarray, " S"]) -> None:
        """Step rows of a group; those that state static covariates, and those of new series, for themselves."""
        source, new = group.rows, (numbers < 0) | (self.directory.places[np.maximum(numbers, 0)] < 0)
        kinds = 2 * new + (0 if source.stated is None else source.stated[rows])
        for kind in np.unique(kinds).tolist():
            some = kinds == kind
            at, static = rows[some], None if source.static is None or kind % 2 == 0 else source.static[rows[some]]
            columns = (
                source.values[at],
                group.times[at],
                None if source.past is None else source.past[at],
                None if source.known is None else source.known[at],
                static,
            )
            names = self._names(group, at, numbers[some]) if kind >= 2 else None
            seqs = group.seq + 1 + np.arange(len(at)) if group.seqs is None else group.seqs[at]
            done, forecast = self._observe(numbers[some], names, columns, seqs, group.when(at))
            group.seq += len(at)
            if group.seqs is None:
                group.observed.append(Observed(at, done, forecast))

    def _names(self, group: Group, rows: Int64[np.ndarray, " S"], numbers: Int64[np.ndarray, " S"]) -> list[Id]:
        """The names of series that the stream does not hold."""
        known = [self.directory.names[number] if number >= 0 else None for number in numbers.tolist()]
        return [group.names[r] if n is None else n for r, n in zip(group.numbers[rows].tolist(), known, strict=True)]

    def _finished(self, group: Group) -> Taken:
        """The group's result; the numbers of its accepted rows are given."""
        first, self.seq = self.seq + 1, group.seq
        parts, source = group.observed, group.rows
        rows = np.concatenate([part.rows for part in parts]) if parts else np.zeros(0, np.int64)
        numbers = np.concatenate([part.numbers for part in parts]) if parts else np.zeros(0, np.int64)
        restated = None if source.stated is None else np.flatnonzero(source.stated[rows]).astype(np.int32)
        known = None if source.known is None else source.known[rows].reshape(len(rows), -1)
        new = {self.directory.index[name]: name for name in group.names.values() if name in self.directory.index}
        batch = Batch(
            first,
            group.received,
            numbers.astype(np.int32),
            group.times[rows],
            source.values[rows],
            None if source.past is None else source.past[rows],
            known,
            None if restated is None or source.static is None else source.static[rows[restated]],
            restated,
            new,
        )
        forecast = selection.joined([part.forecast for part in parts]) if parts else None
        return Taken(group.statuses, group.errors, batch, rows, forecast, group.repeats, group.elsewhere)

    # --- both

    def _observe(
        self,
        numbers: Int64[np.ndarray, " S"],
        names: Sequence[Id] | None,
        columns: tuple[Any, Any, Any, Any, Any],
        seqs: Int64[np.ndarray, " S"],
        received: Any,
    ) -> tuple[Int64[np.ndarray, " S"], Forecast]:
        """Step a row of each of S series.

        Args:
            numbers: of the series; those of new ones are given here.
            names: of new series; None where none is new.
            columns: values [S, D], times [S], past [S, P], known [S, H + 1, K] and static [S, Q]; None where none.
            seqs: sequence numbers of the rows.
            received: when the rows came.

        Returns:
            The numbers and the forecast.

        Raises:
            StatecastError: the stream refuses a row. Nothing has changed then.
        """
        values, times, past, known, static = columns
        covariates = [None if part is None else Features(part) for part in (past, known, static)]
        if names is None:
            forecast = self.stream.observe_numbered(self.directory.places[numbers], values, times, *covariates)
            following = self.model.schema.frequency.advance(self.ledger.times(numbers), 1) == times
        else:
            forecast = self.stream.observe_many(names, values, times, *covariates)
            numbers = self.allocate(names) if (numbers < 0).any() else numbers
            self.directory.places[numbers] = self.stream.numbers(names)
            self.ledger.reserve(len(self.directory.names))
            following = np.zeros(len(numbers), bool)
        self._touch(numbers)
        scores = selection.scores(forecast, len(numbers))
        self.past.note(self._past_rows(numbers, times, values, seqs, following, scores[0]))
        ahead = selection.next_step(forecast, self._narrow)
        self.ledger.observe(numbers, times, values, following, seqs, received, scores, ahead)
        return numbers, forecast

    def _past_rows(
        self,
        numbers: Int64[np.ndarray, " S"],
        times: Int64[np.ndarray, " S"],
        values: Float64[np.ndarray, "S D"],
        seqs: Int64[np.ndarray, " S"],
        following: Bool[np.ndarray, " S"],
        scores: Float64[np.ndarray, " S"],
    ) -> Any:
        """Rows for looking back, with what the ledger still holds of the forecasts that were made for them."""
        rows = np.zeros(len(numbers), self.past.kind)
        rows["number"], rows["seq"], rows["time"], rows["score"], rows["values"] = numbers, seqs, times, scores, values
        for name in AHEAD:
            rows[name] = np.where(following[:, None], self.ledger.records[name][numbers], np.nan)
        return rows

    def _touch(self, numbers: Int64[np.ndarray, " S"]) -> None:
        blocks = -(-len(self.directory.names) // BLOCK)
        if blocks > len(self.touched):
            self.touched = np.concatenate([self.touched, np.zeros(max(blocks, 64), bool)])
        self.touched[numbers // BLOCK] = True

    # --- what the log says

    def replay(self, batches: Sequence[Batch], contained: Int64[np.ndarray, " blocks"]) -> int:
        """Repeat what batches of the log say, but for rows that their series' blocks contain already.

        Rows are regrouped: of many batches together there are wide waves.

        Args:
            batches: of the log, in order; later than those before.
            contained: for each block of series the sequence number up to which it has rows; −1 where it has none.

        Returns:
            How many rows were stepped.
        """
        numbers = np.concatenate([batch.numbers for batch in batches]).astype(np.int64)
        seqs = np.concatenate([batch.seqs for batch in batches])
        received = np.repeat([batch.received for batch in batches], [len(batch.numbers) for batch in batches])
        here = np.array([name is not None for name in self.directory.names])
        # The series of a row may have been removed since; a removal later in the log is then no news either.
        missing = here[numbers] & (seqs > contained[numbers // BLOCK])
        rows = columns_of(batches, self.model)
        group = Group(rows, numbers, rows.times, np.zeros(len(numbers), np.int8), {}, received, 0, seqs)
        for wave in waves(numbers, missing):
            for begin in range(0, len(wave), WIDEST):
                part = wave[begin : begin + WIDEST]
                self._step_group(group, part, numbers[part])
        self.seq = max(self.seq, batches[-1].last)
        return group.seq

    def remove(self, number: int) -> Batch:
        """Forget a series; its removal has a sequence number of its own."""
        name = self.directory.names[number]
        self.seq += 1
        if name is not None:
            self.stream.remove([name])
        self.directory.remove(number)
        self.ledger.clear(number)
        self._touch(np.array([number]))
        return Batch.bare(self.seq, len(self.model.schema.target), {}, (number,))


def _text(value: Float64[np.ndarray, " D"]) -> str:
    return ", ".join("missing" if number != number else f"{number:g}" for number in value.tolist())
