"""What a server remembers of its series: states, records, names, past rows and late ones, which a row moves together.

Nothing here decides whether a row is taken, and nothing knows threads or a disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import call
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.values import series_id
from statecast.errors import NotOwner, TimeOrderError
from statecast.forecast import channels, features
from statecast.forecast.answer import Forecast
from statecast.forecast.observation import Features
from statecast.forecast.stream import Stream
from statecast.model.state import State
from statecast.model.trained import Model
from statecast.server.states import selection
from statecast.server.states.batch import Batch, Id
from statecast.server.states.behind import Behind, rows_of_columns
from statecast.server.states.directory import Directory
from statecast.server.states.ledger import AHEAD, Ledger
from statecast.server.states.past import Past, past_row_of
from statecast.server.store.protocol import BLOCK, Shards

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

Columns = tuple[Any, Any, Any, Any, Any]
"""Values [S, D], times [S], past [S, P], known [S, H + 1, K] and static [S, Q] of S rows; None where there are none."""


class Memory:
    """The series of a server, and what is remembered of each.

    Args:
        model: the model; what its own state remembers is not taken over.
        late: how many steps a row may be late.
        shards: of the store; one if None.

    Attributes:
        seq: the last sequence number that was given.
        served: the shards whose series are here.
        number: of the model in the store.
        past: rows that no piece of history holds yet.
        behind: what late rows are stepped from; None where no row may be late.
        touched: blocks of series that moved since they were last written down.
    """

    def __init__(self, model: Model, late: int = 0, shards: Shards | None = None) -> None:
        self.model, self.seq, self._shards, self.number = model, 0, shards, 0
        self.served: set[int] = set()
        self.stream = Stream(model, State.empty(model.layout, model.dtype))
        self.directory = Directory(1 if shards is None else shards.total)
        self.ledger = Ledger(len(model.schema.target), late)
        self.touched = np.zeros(0, bool)
        self.past, self._narrow = Past(past_row_of(model)), selection.narrowed(model)
        self.behind = Behind(model, self.directory, late) if late else None

    def row_ids(self, names: Sequence[Id]) -> tuple[Id, ...]:
        """What the rows of these series are called in a `State`."""
        return channels.row_ids(self.model, names)

    def static_of(self, name: Id) -> Float64[np.ndarray, " Q"]:
        """The static covariates that are remembered of a series, as a table has them."""
        state = self.stream.state_of([name])
        if not self.model.network.front.static or not len(state.data):
            return np.full(len(self.model.schema.static_features), np.nan)
        static: Float64[np.ndarray, " Q"] = features.plain_static(
            self.model, state.layout.unpack(state.data)["static"]
        )[0]
        return static

    def statics(self) -> Float64[np.ndarray, "S Q"]:
        """The static covariates that are remembered, by the numbers of the series."""
        width = len(self.model.schema.static_features)
        values = np.full((len(self.directory.names), width), np.nan)
        for block in range(self.stream.blocks if width else 0):
            state = self.stream.block(block)
            names, rows = channels.series_ids(self.model, state.ids), channels.rows_each(self.model)
            static = state.layout.unpack(state.data[::rows])["static"]
            values[self.directory.numbers(names)] = features.plain_static(self.model, static)
        return values

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

    def require_here(self, ids: Sequence[Id] | None) -> None:
        """See that series, or all that are served if None, are not another server's by now.

        Raises:
            NotOwner: one is.
        """
        if self._shards is None or self._shards.total == 1:
            return
        for id in ids or ():
            elsewhere = self.elsewhere(series_id(id, self.model.schema.id_kind))
            if elsewhere is not None:
                raise elsewhere
        lapsed = frozenset(shard for shard in tuple(self.served) if not self._shards.holds(shard))
        if ids is None and lapsed:
            raise NotOwner("this server cannot say at the moment that its series are its own: try again", shards=lapsed)

    def adopt(self, other: Memory, shard: int) -> None:
        """Take over a shard that another memory, of the same model, was made for."""
        if not self.served:
            self.stream, self.directory, self.ledger = other.stream, other.directory, other.ledger
            self.touched, self.served, self.seq = other.touched, other.served, other.seq
            self.past, self.behind, self.number = other.past, other.behind, other.number
            return
        numbers = self.directory.adopt(other.directory, shard)
        self.ledger.reserve(len(self.directory.names))
        self.ledger.records[numbers] = other.ledger.records[numbers]
        for block in range(other.stream.blocks):
            self.stream.put(other.stream.block(block))
        self.directory.places[numbers] = self.stream.numbers([self.directory.name(n) for n in numbers.tolist()])
        self._touch(np.flatnonzero(other.touched) * BLOCK)
        self.past.adopt(other.past)
        if self.behind is not None and other.behind is not None:
            self.behind.restore(other.behind.to_bytes(numbers))
        self.seq = max(self.seq, other.seq)
        self.served.add(shard)

    def drop(self, shard: int) -> None:
        """Forget a shard, if it is here."""
        if shard in self.served:
            numbers = self.directory.of_shard(shard)
            self.stream.remove([self.directory.name(number) for number in numbers.tolist()])
            if self.behind is not None:
                for number in numbers.tolist():
                    self.behind.remove(number)
            self.directory.forget(shard)
            self.ledger.clear(numbers)
            self.past.drop(lambda number: self.directory.shard(number) == shard)
            self.touched[self.directory.shard(np.arange(len(self.touched)) * BLOCK) == shard] = False
            self.served.discard(shard)

    def exchange(self, other: Memory) -> None:
        """Change models with a memory that knows the same rows: states, records and what moves with them.

        The past stays here, so blocks whose rows no piece holds yet still count as moved.
        """
        unwritten = np.flatnonzero(self.touched)
        mine, others = self.directory, other.directory
        mine.places, others.places = others.places, mine.places
        for name in ("model", "number", "stream", "ledger", "touched", "behind", "_narrow"):
            value = getattr(self, name)
            setattr(self, name, getattr(other, name))
            setattr(other, name, value)
        self._touch(unwritten * BLOCK)
        for memory in (self, other):
            if memory.behind is not None:
                memory.behind.move(memory.directory)

    # --- a row of each of some series

    def observe(
        self,
        numbers: Int64[np.ndarray, " S"],
        names: Sequence[Id] | None,
        columns: Columns,
        seqs: Int64[np.ndarray, " S"],
        received: Any,
        aside: Callable[[Callable[[], None]], None] = call,
    ) -> tuple[Int64[np.ndarray, " S"], Forecast]:
        """Step a row of each of S series.

        Args:
            numbers: of the series; those of new ones are given here.
            names: of new series; None where none is new.
            columns: of the rows.
            seqs: sequence numbers of the rows.
            received: when the rows came.
            aside: calls what is left to do once the states have moved: at once, or in another thread, one call after
                another, where nobody looks at these series' records before that is done, and none of them is new here.

        Returns:
            The numbers and the forecast.

        Raises:
            StatecastError: the stream refuses a row. Nothing has changed then.
        """
        values, times, past, known, static = columns
        covariates = [None if part is None else Features(part) for part in (past, known, static)]
        if names is None:
            forecast = self.stream.observe_numbered(self.directory.places[numbers], values, times, *covariates)
        else:
            forecast = self.stream.observe_many(names, values, times, *covariates)
            numbers = self.allocate(names) if (numbers < 0).any() else numbers
            self.directory.places[numbers] = self.stream.numbers(names)
            self.ledger.reserve(len(self.directory.names))
        aside(partial(self._remember, numbers, columns, seqs, received, forecast, names is not None))
        return numbers, forecast

    def _remember(
        self,
        numbers: Int64[np.ndarray, " S"],
        columns: Columns,
        seqs: Int64[np.ndarray, " S"],
        received: Any,
        forecast: Forecast,
        new: bool,
    ) -> None:
        """What is remembered of rows beside the states, which have moved."""
        values, times = columns[:2]
        following = np.zeros(len(numbers), bool)
        if not new:
            following = self.model.schema.frequency.advance(self.ledger.times(numbers), 1) == times
        if self.behind is not None:
            self.behind.note(numbers, rows_of_columns(self.behind.kind, columns))
        self._touch(numbers)
        scores = selection.scores(forecast, len(numbers))
        self.past.note(self._past_rows(numbers, columns, seqs, following, scores[0]))
        ahead = selection.next_step(forecast, self._narrow)
        changed, _ = selection.changes(forecast, len(numbers))
        self.ledger.observe(numbers, times, values, following, seqs, received, scores, changed, ahead)

    def insert(self, number: int, columns: Columns, seq: int, received: float) -> Forecast:
        """Take in a late row of a series.

        Args:
            number: of the series.
            columns: of the row.
            seq: its sequence number.
            received: when it came.

        Returns:
            The forecast from after the series' last row.

        Raises:
            TimeOrderError: it is later than it may be.
            StatecastError: the stream refuses it. Nothing has changed then.
        """
        if self.behind is None:
            raise TimeOrderError("rows may not be late here")
        row, numbers = rows_of_columns(self.behind.kind, columns), np.array([number])
        try:
            forecast = self.behind.insert(self.stream, number, row[0])
        finally:
            self.directory.places[numbers] = self.stream.numbers([self.directory.name(number)])
        self._touch(numbers)
        scores, unusual = selection.scores(forecast, 1)
        none = np.zeros(1, bool)
        self.past.note(self._past_rows(numbers, columns, np.array([seq]), none, scores))
        ahead = selection.next_step(forecast, self._narrow)
        self.ledger.insert(number, int(row["time"][0]), row["values"][0], received, bool(unusual[0]), ahead)
        return forecast

    def _past_rows(
        self,
        numbers: Int64[np.ndarray, " S"],
        columns: Columns,
        seqs: Int64[np.ndarray, " S"],
        following: Bool[np.ndarray, " S"],
        scores: Float64[np.ndarray, " S"],
    ) -> Any:
        """Rows for looking back, with what the ledger still holds of the forecasts that were made for them."""
        rows, (values, times, past, known, _) = np.zeros(len(numbers), self.past.kind), columns
        rows["number"], rows["seq"], rows["time"], rows["score"], rows["values"] = numbers, seqs, times, scores, values
        for name in AHEAD:
            rows[name] = np.where(following[:, None], self.ledger.records[name][numbers], np.nan)
        if "covariates" in (rows.dtype.names or ()):
            split, covariates = len(self.model.schema.past_features), rows["covariates"]
            covariates[:, :split] = np.nan if past is None else past
            covariates[:, split:] = np.nan if known is None else known[:, 0]
        return rows

    def _touch(self, numbers: Int64[np.ndarray, " S"]) -> None:
        blocks = -(-len(self.directory.names) // BLOCK)
        if blocks > len(self.touched):
            self.touched = np.concatenate([self.touched, np.zeros(max(blocks, 64), bool)])
        self.touched[numbers // BLOCK] = True

    def remove(self, number: int) -> Batch:
        """Forget a series; its removal has a sequence number of its own."""
        name = self.directory.names[number]
        self.seq += 1
        if name is not None:
            self.stream.remove([name])
            if self.behind is not None:
                self.behind.remove(number)
        self.directory.remove(number)
        self.ledger.clear(number)
        self._touch(np.array([number]))
        return Batch.bare(self.seq, len(self.model.schema.target), {}, (number,))
