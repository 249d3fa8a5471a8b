"""A stream, its ledger and its directory, stepped together: what becomes of rows, without threads and without a disk.

`take` decides about rows that came, `replay` repeats what a log says was decided; both end in `observe`, so that an
engine that was killed and replays its log is bit for bit the one that never died. Rows of one series are taken one
after another, and rows of different series side by side: whatever company a row has, its bits are the same.

Nobody checks a row twice: what the stream refuses is halved until the row that it refuses stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from operator import call
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.values import series_id
from statecast.errors import ModelFileError, StatecastError, TimeOrderError
from statecast.forecast.observation import shown
from statecast.model.state import UNSEEN
from statecast.model.trained import Model
from statecast.server.engine.alarms import CommonDrift, Silence, raised
from statecast.server.options import Options
from statecast.server.states import selection
from statecast.server.states.aside import Aside
from statecast.server.states.batch import Batch, Id
from statecast.server.states.group import (
    ACCEPTED,
    CONFLICT,
    DUPLICATE,
    ELSEWHERE,
    EXCESS,
    INVALID,
    LATE,
    UNKNOWN,
    Alike,
    Group,
    Observed,
    Taken,
)
from statecast.server.states.intake import Intake
from statecast.server.states.memory import Memory
from statecast.server.states.waves import columns_of, waves
from statecast.server.store.protocol import BLOCK, Shards

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

WIDEST = 16_384  # series that are stepped at once: their forecasts are held until they are answered


class Stepper(Memory):
    """Decides about rows, and steps those that are accepted.

    Args:
        model: the model; what its own state remembers is not taken over.
        options: of the server.
        shards: of the store; one if None.

    Attributes:
        drift: whether all series have changed together.
    """

    def __init__(self, model: Model, options: Options | None = None, shards: Shards | None = None) -> None:
        self.options = Options() if options is None else options
        super().__init__(model, self.options.late, shards)
        self._silence = Silence(model.schema.frequency, self.options.silence)
        self.drift = CommonDrift(model.config.false_alarms)

    def exchange(self, other: Memory) -> None:
        """See `Memory`."""
        super().exchange(other)
        self.drift.begin_anew()
        self._silence.begin_anew()

    def adopt(self, other: Memory, shard: int) -> None:
        """See `Memory`."""
        super().adopt(other, shard)
        self._silence.begin_anew()

    def drop(self, shard: int) -> None:
        """See `Memory`."""
        super().drop(shard)
        self._silence.begin_anew()

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
        room = self.options.series_limit - len(self.directory)
        for row in np.flatnonzero((group.numbers < 0) & (group.statuses == ACCEPTED)).tolist():
            try:
                name = series_id(group.rows.ids[row], self.model.schema.id_kind)
            except StatecastError as error:
                group.reject(row, str(error))
                continue
            number = self.directory.index.get(name)
            if number is None and self._refer(group, row, name):
                continue
            if number is None and self.options.closed:
                group.reject(row, f"there is no series {name!r} here, and new ones are refused: see --closed", UNKNOWN)
            elif number is None and name not in strangers and room <= len(strangers):
                group.reject(
                    row,
                    f"series {name!r} is new, and there are {self.options.series_limit:,}, as many as may be",
                    EXCESS,
                )
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
        later[self._far(group, rows, np.where(later, last, UNSEEN), times)] = False
        rows, numbers = rows[later], numbers[later]
        for begin in range(0, len(rows), WIDEST):
            some = slice(begin, begin + WIDEST)
            for part in self._alike(group, rows[some], numbers[some]):
                self._step_or_halve(group, part)

    def _far(
        self, group: Group, rows: Int64[np.ndarray, " S"], last: Int64[np.ndarray, " S"], times: Int64[np.ndarray, " S"]
    ) -> list[int]:
        """Refuse rows that skip more steps than may be, since all others wait while these are passed through."""
        schema, limit, known = self.model.schema, self.options.gap_limit, np.flatnonzero(last != UNSEEN)
        skipped = schema.frequency.steps_between(last[known], times[known]) - 1
        far: list[int] = known[skipped > limit].tolist()
        for place in far:
            row, since = int(rows[place]), shown(int(last[place]), schema)
            text = f"{shown(int(times[place]), schema)} skips more than {limit:,} steps since {since}: see --gap-limit"
            group.reject(row, f"series {group.rows.ids[row]!r}: {text}")
        return far

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
        elif self.options.late:
            self._insert(group, row, number)
        else:
            text = f"series {name!r}: {stamp} is not after {shown(last, self.model.schema)}, its last row"
            group.reject(row, text, LATE)

    def _insert(self, group: Group, row: int, number: int) -> None:
        """A row that came late, and may be late enough to be taken."""
        rows, stated = np.array([row]), group.rows.stated
        static = None if group.rows.static is None or stated is None or not stated[row] else group.rows.static[rows]
        seq = group.seq + 1 if group.seqs is None else int(group.seqs[row])
        try:
            received = float(np.max(group.when(rows)))
            forecast = self.insert(number, (*_columns(group, rows), static), seq, received)
        except TimeOrderError as error:
            group.reject(row, str(error), LATE)
        except StatecastError as error:
            group.reject(row, str(error))
        else:
            group.seq += 1
            if group.seqs is None:
                group.observed.append(Observed(rows, np.array([number]), forecast))

    def _step_or_halve(self, group: Group, part: Alike) -> None:
        try:
            self._step(group, part)
        except StatecastError as error:
            if len(part.rows) == 1:
                group.reject(int(part.rows[0]), str(error))
                return
            middle = len(part.rows) // 2
            for half in (slice(0, middle), slice(middle, None)):
                self._step_or_halve(group, replace(part, rows=part.rows[half], numbers=part.numbers[half]))

    def _alike(self, group: Group, rows: Int64[np.ndarray, " S"], numbers: Int64[np.ndarray, " S"]) -> Iterator[Alike]:
        """The rows in parts: those that state static covariates, and those of new series, for themselves."""
        stated, new = group.rows.stated, (numbers < 0) | (self.directory.places[np.maximum(numbers, 0)] < 0)
        kinds = 2 * new + (0 if stated is None else stated[rows])
        for kind in np.unique(kinds).tolist():
            some = kinds == kind
            yield Alike(rows[some], numbers[some], kind >= 2, kind % 2 == 1)

    def _step(self, group: Group, part: Alike, aside: Callable[[Callable[[], None]], None] = call) -> None:
        """Step rows of a group; where one is refused nothing has changed."""
        rows, source = part.rows, group.rows
        columns = (*_columns(group, rows), source.static[rows] if part.stated and source.static is not None else None)
        names = self._names(group, rows, part.numbers) if part.new else None
        seqs = group.seq + 1 + np.arange(len(rows)) if group.seqs is None else group.seqs[rows]
        numbers, forecast = self.observe(part.numbers, names, columns, seqs, group.when(rows), aside)
        group.seq += len(rows)
        if group.seqs is None:
            group.observed.append(Observed(rows, numbers, forecast))

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
        known = None if source.known is None else source.known[rows].reshape(len(rows), np.prod(source.known.shape[1:]))
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
        silent = self._silence.heard(batch, self.directory, self.ledger)
        common = self.drift.heard(batch, selection.scores(forecast, len(rows))[0])
        batch = replace(batch, alarms=raised(batch, forecast, (silent, common)))
        return Taken(group.statuses, group.errors, batch, rows, forecast, group.repeats, group.elsewhere)

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
        with Aside() as aside:
            for wave in waves(numbers, missing):
                late = rows.times[wave] <= self.ledger.times(numbers[wave])
                for row in wave[late].tolist():
                    self._insert(group, row, int(numbers[row]))
                for begin in range(0, len(wave), WIDEST):
                    some = wave[~late][begin : begin + WIDEST]
                    for part in self._alike(group, some, numbers[some]):
                        self._step(group, part, aside.call)
                aside.finish()  # the next wave has the same series again
        if group.errors:
            raise ModelFileError(
                f"the log holds a row that came late ({next(iter(group.errors.values()))}): start it once with --late "
                "as it was, and stop it; then its states are written down"
            )
        for batch in batches:
            self._silence.recall(batch, contained, self.directory, self.ledger)
        self.seq = max(self.seq, batches[-1].last)
        return group.seq


def _columns(group: Group, rows: Int64[np.ndarray, " S"]) -> tuple[Any, Any, Any, Any]:
    """Values, times, past and known covariates of some of a group's rows."""
    source = group.rows
    past, known = (None if part is None else part[rows] for part in (source.past, source.known))
    return source.values[rows], group.times[rows], past, known


def _text(value: Float64[np.ndarray, " D"]) -> str:
    return ", ".join("missing" if number != number else f"{number:g}" for number in value.tolist())
