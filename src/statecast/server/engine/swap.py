"""Another model beside the one that answers: it observes the same rows, and takes over when it has caught up.

A challenger builds its states from what the store has of each series: the past that lies beside the blocks, then the
log, which it follows from then on like anybody who reads it. So it sees exactly the rows that are on the disk, and the
model that answers never waits for it. Its blocks are written under its own number, beside those that count.

Taking over is one small commit, which says whose blocks count from now on, and an exchange of two memories between two
batches. A server that is killed before that commit is of the old model, one that is killed after it of the new one.
The old model then is the challenger, so going back is the same step again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from statecast.errors import SettingError, StatecastError
from statecast.forecast import channels
from statecast.model import archive
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model
from statecast.server.engine.listing import Listing, better
from statecast.server.engine.receipts import ChallengerStatus
from statecast.server.engine.recovery import WIDE
from statecast.server.states import checkpoints
from statecast.server.states.batch import Batch
from statecast.server.states.past import Past, batches_of, complete, decoded, past_row_of
from statecast.server.states.stepper import Stepper
from statecast.server.store.opening import fingerprint
from statecast.server.store.protocol import BLOCK, CHAMPION, Store, StoredModel, Transaction

if TYPE_CHECKING:
    from jaxtyping import Int64

PAUSE = 0.02  # seconds between two looks at the log
TOGETHER = 8  # blocks that are read, or written, at once


def require_alike(old: Model, new: Model) -> None:
    """See that a model can take over from another.

    Raises:
        SettingError: it reads other columns, other names or other times.
    """
    names = ["target", "id", "time", "id_kind", "time_kind", "tz", "day_first", "frequency", "past", "known", "static"]
    pairs = {name: (getattr(old.schema, name), getattr(new.schema, name)) for name in names}
    if new.schema.known:  # each row states their values for the whole horizon
        pairs["horizon"] = old.network.head.horizon, new.network.head.horizon
    for name, (mine, others) in pairs.items():
        if mine != others:
            raise SettingError(
                f"the new model's {name.replace('_', ' ')} is {others!r}, and that of the old one {mine!r}: a model "
                "takes over only where both read the same rows; start another server for this one"
            )


def champion_of(store: Store, model: Model) -> Model:
    """The model whose states a store has; a new store takes up the one that is given.

    Args:
        store: open.
        model: that the server was started with: the store's, or one that it had before or shall have.
    """
    number, mark = store.champion(), fingerprint(model)
    stored = next((item for item in store.models() if item.number == number), None)
    if stored is None:
        store.commit(Transaction(models=[_stored(number, model)]))
    elif stored.fingerprint != mark:
        return archive.from_bytes(stored.content, "the model in the store")
    return model


def enrol(store: Store, commit: Callable[[Transaction], None], champion: int, old: Model, new: Model) -> int:
    """Enter a model in a store, and sweep away what others left behind that never took over.

    Args:
        store: of the model that answers.
        commit: writes a transaction, and returns when it is on the disk.
        champion: the number of the model that answers.
        old: that model.
        new: the other one.

    Returns:
        Its number.
    """
    numbers = [item.number for item in store.models()]
    number = max((champion, *numbers)) + 1
    models = [_stored(number, new)] if champion in numbers else [_stored(champion, old), _stored(number, new)]
    commit(Transaction(models=models, retired=[item for item in numbers if item != champion]))
    return number


def _stored(number: int, model: Model) -> StoredModel:
    bare = replace(model, state=State.empty(model.layout, model.dtype))
    return StoredModel(number, fingerprint(model), archive.to_bytes(bare))


class Challenger:
    """A model that observes what another one has observed and observes.

    Args:
        model: the model; of what it remembers itself, series are taken over that are here.
        name: of the model, for people.
        number: of it in the store.
        champion: the stepper of the model that answers.
        begin: every row up to this sequence number is in the past that the store has, every later one in its log.
        store: of both.
        commit: writes a transaction, and returns when it is on the disk.
        hold: is told up to which sequence number the log is no longer needed here.

    Attributes:
        stepper: what it remembers.
        floor: every row up to this sequence number is in its blocks.
        former: whether it is the model that answered before.
    """

    def __init__(
        self,
        model: Model,
        name: str,
        number: int,
        champion: Stepper,
        begin: int,
        store: Store,
        commit: Callable[[Transaction], None],
        hold: Callable[[int], None],
    ) -> None:
        self.name, self._store, self._commit, self._hold = name, store, commit, hold
        self.stepper = Stepper(model, champion.options, store)
        self.stepper.number, self.stepper.served = number, set(champion.served)
        for shard in champion.served:
            self.stepper.directory.adopt(champion.directory, shard)
        self._received = champion.ledger.records[["received", "silent"]][: len(champion.directory.names)].copy()
        self._start, self.floor = model.state, begin
        self._champion = "the model before"
        self.former, self._caught_up, self._failure = False, False, ""
        self._written = -float("inf")
        self._turn, self._stop = threading.RLock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="statecast-challenger", daemon=True)
        self._static = champion.statics()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Observe nothing any longer."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def status(self, durable: int, champion: Stepper) -> ChallengerStatus:
        """How it does beside the champion, where so many rows are on the disk."""
        stepper = self.stepper
        error, naive, _, _ = Listing(stepper, self._store).totals()
        series, lag = len(stepper.stream.ids), max(durable - stepper.seq, 0)
        ready = self._caught_up and not self._failure
        errors, wins = (error, naive), better(stepper, champion)
        return ChallengerStatus(
            self.name, stepper.number, series, lag, ready, self.former, *errors, self._failure or None, wins
        )

    def require_ready(self) -> None:
        """See that it can take over.

        Raises:
            SettingError: it cannot, or cannot yet.
        """
        if self._failure:
            raise SettingError(f"the model {self.name} cannot take over: {self._failure}")
        if not self._caught_up:
            raise SettingError(f"the model {self.name} has not caught up yet: wait until it is ready")

    def wait(self, seconds: float) -> bool:
        """Whether it is ready, or can never be, within some time."""
        until = time.monotonic() + seconds
        while not (self._caught_up or self._failure) and time.monotonic() < until and not self._stop.is_set():
            time.sleep(PAUSE)
        return self._caught_up or bool(self._failure)

    def take_over(self, champion: Stepper, seq: int) -> int:
        """Become what the champion is, and the other way round; nothing else moves meanwhile.

        Args:
            champion: all that it knows is on the disk.
            seq: up to which its blocks have every row.

        Returns:
            Up to which sequence number the new champion's blocks have every row.
        """
        with self._turn:
            self.require_ready()
            self._follow()
            self._commit(Transaction(notes={CHAMPION: str(self.stepper.number)}))
            champion.exchange(self.stepper)
            self.floor, seq = seq, self.floor
            self.former = not self.former
            self.name, self._champion = self._champion, self.name
            self._hold(self.floor)
            return seq

    # --- what its thread does

    def _run(self) -> None:
        try:
            with self._turn:
                self._build()
            while not self._stop.is_set():
                with self._turn:
                    self._follow()
                    self._write()
                self._stop.wait(PAUSE)
        except StatecastError as error:  # the model that answers goes on
            self._failure = str(error)

    def _build(self) -> None:
        """Make the states from what is there already."""
        stepper = self.stepper
        count = len(stepper.directory.names)
        stepper.ledger.reserve(count)
        since = self._remembered()
        blocks = sorted({number // BLOCK for number in stepper.directory.index.values()})
        for begin in range(0, len(blocks), TOGETHER):
            if self._stop.is_set():
                return
            self._read(blocks[begin : begin + TOGETHER], since)
        stepper.seq = self.floor
        for name in self._received.dtype.names or ():
            stepper.ledger.records[name][:count] = self._received[name]
        stepper.touched = np.zeros(-(-count // BLOCK), bool)
        stepper.touched[[number // BLOCK for number in stepper.directory.index.values()]] = True

    def _remembered(self) -> Int64[np.ndarray, " numbers"]:
        """Take over what the model remembers of series that are here; the times of their last rows by their numbers."""
        stepper, start = self.stepper, self._start
        since = np.full(len(stepper.directory.names), UNSEEN)
        names = channels.series_ids(stepper.model, start.ids)
        width = len(start.ids) // max(len(names), 1)
        here = [n for n, name in enumerate(names) if name in stepper.directory.index]
        if not here:
            return since
        rows = (np.array(here)[:, None] * width + np.arange(width)).reshape(-1)
        some = [names[n] for n in here]
        row_ids = tuple(start.ids[row] for row in rows.tolist())
        stepper.stream.put(State(start.layout, start.data[rows], row_ids, start.time[rows]))
        numbers = stepper.directory.numbers(some)
        stepper.directory.places[numbers] = stepper.stream.numbers(some)
        stepper.ledger.records["time"][numbers] = since[numbers] = start.time[rows][::width]
        return since

    def _read(self, blocks: Sequence[int], since: Int64[np.ndarray, " numbers"]) -> None:
        """Observe the past of some blocks."""
        kind = past_row_of(self.stepper.model)
        pieces = [piece for block in blocks for piece in self._store.pieces(block)]
        parts = [decoded(piece, kind) for piece in pieces]
        if not parts:
            return
        if not all(complete(piece, kind) for piece in pieces):
            raise SettingError(
                "the past rows of this store were written by a version that kept no covariates with them: serve the "
                "new model with a store of its own"
            )
        rows = np.concatenate(parts)
        rows = rows[(rows["seq"] <= self.floor) & (rows["number"] < len(since))]
        rows = rows[rows["time"] > since[rows["number"]]]
        rows = rows[np.lexsort((rows["time"], rows["number"]))]
        for batch in batches_of(self.stepper.model, rows, self._static) if len(rows) else ():
            self._replay([batch])

    def _replay(self, batches: Sequence[Batch]) -> None:
        stepper = self.stepper
        blocks = -(-len(stepper.directory.names) // BLOCK)
        stepper.replay(batches, np.full(blocks, -1))
        stepper.past = Past(past_row_of(stepper.model))  # the champion keeps it

    def _follow(self) -> None:
        """Observe what the log has beyond what was observed."""
        group: list[Batch] = []
        directory, rows = self.stepper.directory, 0
        for batch in self._store.batches(self.stepper.seq):
            directory.enter(list(batch.names), list(batch.names.values()))
            group, rows = [*group, batch], rows + len(batch.numbers)
            if len(batch.removed) or rows >= WIDE:
                self._observe(group)
                group, rows = [], 0
        self._observe(group)

    def _observe(self, group: Sequence[Batch]) -> None:
        if not group:
            return
        stepper = self.stepper
        stepper.ledger.reserve(len(stepper.directory.names))
        self._replay(group)
        for number in group[-1].removed:
            stepper.remove(number)
        stepper.seq = group[-1].last

    def _write(self) -> None:
        """Write the blocks that moved, at once for the first time and then as often as the champion's."""
        stepper, now = self.stepper, time.monotonic()
        if now - self._written < self.stepper.options.checkpoint:
            return
        begin, numbers = stepper.seq, np.flatnonzero(stepper.touched).tolist()
        for place in range(0, len(numbers), TOGETHER):
            some = numbers[place : place + TOGETHER]
            self._commit(Transaction(blocks=[checkpoints.block(stepper, number) for number in some]))
            stepper.touched[some] = False
        self.floor, self._written, self._caught_up = begin, now, True
        self._hold(begin)
