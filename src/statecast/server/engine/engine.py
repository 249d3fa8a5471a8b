"""The engine of a server: rows in, on the disk, out.

One thread (see `worker`) gathers what came, steps it, and hands the batch to a second one, which commits batches to the
store and only then answers. While one batch is on its way to the disk, the next is being stepped. Nothing is answered,
published or shown before it is on the disk. A commit that fails is the end: what was stepped and not kept is known to
nobody, so the engine refuses everything from then on, and the next one replays the log.

States are written to the store in the background, a few blocks at a time between two batches. Each block says what it
contains, so a start reads the blocks and replays what the log holds beyond them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statecast.errors import OutputError, Overloaded, StatecastError
from statecast.forecast.answer import Forecast
from statecast.model import archive
from statecast.model.trained import Model
from statecast.server.engine import recovery, swap
from statecast.server.engine.broadcast import Broadcast, Listener, Subscription
from statecast.server.engine.committer import Committer
from statecast.server.engine.contest import Contest
from statecast.server.engine.desk import Desk
from statecast.server.engine.inbox import Inbox, Request
from statecast.server.engine.keys import Keys
from statecast.server.engine.listing import Listing
from statecast.server.engine.posting import Posting
from statecast.server.engine.receipts import Alarm, History, Receipt, SeriesSummary, Status
from statecast.server.engine.rounds import Rounds
from statecast.server.engine.worker import Worker
from statecast.server.options import Options
from statecast.server.rows import LiveRows
from statecast.server.states.batch import Id
from statecast.server.states.intake import Intake
from statecast.server.states.orders import Orders, Wish
from statecast.server.states.stepper import Stepper
from statecast.server.store.opening import meta_of, open_store
from statecast.server.store.protocol import Store

if TYPE_CHECKING:
    from statecast.forecast.breakdown import Breakdown


class Engine:
    """Every series of a server. Any method may be called from any thread.

    Args:
        model: the model; what it remembers is taken over where the store is empty.
        store: open, and of this model.
        options: of the server.
        failed: is called once, in a thread of the engine, when a commit failed.

    Attributes:
        models: the model that answers, and another one that may take over.
        posting: which alarms are still to be posted.

    Raises:
        StatecastError: the store cannot be read.
    """

    def __init__(
        self, model: Model, store: Store, options: Options | None = None, failed: Callable[[str], None] | None = None
    ) -> None:
        self.options, self._store = Options() if options is None else options, store
        self._stepper, self._start = Stepper(model, self.options, store), model.state
        self._stepper.drift.together = recovery.together(store)
        self._turn = threading.RLock()  # held by whoever steps, or reads what steps change
        self._listing = Listing(self._stepper, store, lambda: self.models.rival)
        self._broadcast = Broadcast(self._stepper, store)
        self._orders = Orders(self._stepper, self._turn)
        self._desk = Desk(self._stepper, Keys(self._stepper, store), self._broadcast, store.total == 1)
        self._rounds = Rounds(self._stepper, self.options, store)
        self._committer = Committer(store, self._stepper.seq, failed)
        self.posting = Posting(self._stepper, store, self._committer)
        self._replayed, self._hasty = 0, False
        self._inbox = Inbox(self.options.window, self.options.batch)
        self._worker = Worker(
            self._stepper, self._desk, self._rounds, self._committer, self._inbox, self._turn, self._broadcast.move
        )
        between = self._worker.between
        self.models = Contest(self._stepper, self._rounds, store, self._committer, between, self.checkpoint)
        self._worker.start()
        try:
            store.serve(self, self._committer.fail)
        except BaseException:
            self._stop()
            raise

    @classmethod
    def open(
        cls,
        model: str | Path,
        state: str | Path,
        options: Options | None = None,
        failed: Callable[[str], None] | None = None,
    ) -> Engine:
        """The engine of a model's folder or file and a store, as it was when it was last stopped, however it was.

        Args:
            model: the folder or file.
            state: a folder, or postgresql://….
            options: of the server.
            failed: see `Engine`.

        Raises:
            ModelFileError: the model or the store cannot be used, or are not of one another.
            OutputError: the store cannot be written, or another server uses it.
        """
        loaded = archive.load(model)
        options = Options() if options is None else options
        store = open_store(state, meta_of(loaded), options.address, options.shards, options.swap)
        try:
            engine = cls(swap.champion_of(store, loaded), store, options, failed)
        except BaseException:
            store.close()
            raise
        if options.swap and not engine.model.shares_states(loaded):
            engine.models.challenge(loaded, str(model), promote=True)
        else:
            engine.models.resume()
        return engine

    def adopt(self, shard: int) -> None:
        """See `Tenant`. Others are served on while the shard is read."""
        self.models.dismiss()
        stepper = Stepper(self._stepper.model, self.options, self._store)
        replayed = recovery.recover(stepper, self._store, self._start, shard)

        def adoption() -> None:
            self._rounds.interrupt(stepper.seq - replayed)
            self._stepper.adopt(stepper, shard)
            self._replayed += replayed

        self._worker.between(adoption)

    def drop(self, shard: int) -> None:
        """See `Tenant`."""
        self.models.dismiss()

        def parting() -> None:
            self._rounds.interrupt(0)
            self._stepper.drop(shard)

        self._worker.between(parting)

    @property
    def model(self) -> Model:
        """The model that answers."""
        return self._stepper.model

    # --- rows

    def submit(self, rows: LiveRows, key: str | None = None, forecast: bool = True) -> Future[Receipt]:
        """Take rows; each is decided about by itself, in their order.

        Args:
            rows: any.
            key: names the request: sent again with the same rows, it is answered as it was, and nothing moves.
            forecast: whether the receipt is to hold forecasts.

        Returns:
            The receipt, once the rows are on the disk; or `OutputError` where they cannot be kept.

        Raises:
            DataError: the columns are not of one length, or the key came with other rows before.
            Overloaded: more rows wait than the options allow.
        """
        intake = Intake.read(self.model, rows)
        request = Request(intake, key, b"" if key is None else intake.digest(), forecast, Future())
        self._worker.require_running()
        waiting = self._inbox.waiting
        if waiting and waiting + len(rows) > self.options.queue_limit:
            raise Overloaded(f"{waiting:,} rows wait to be worked on: send these again later")
        self._worker.put(request)
        return request.future

    def remove(self, id: Id) -> int:
        """Forget a series; one that comes again starts anew.

        Returns:
            The sequence number of the removal, which is on the disk.

        Raises:
            UnknownSeries: it is not here.
        """
        future: Future[int] = Future()

        def removal() -> None:
            try:
                self._stepper.require_here([id])
                number = self._listing.number(id)
            except StatecastError as error:
                future.set_exception(error)
            else:
                self._worker.add(self._desk.removal(number, future))

        self._worker.ask(removal)
        seq: int = self._worker.result_of(future)
        return seq

    # --- what is known

    def forecast(
        self,
        ids: Sequence[Id] | None = None,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
        known: Any = None,
    ) -> Forecast:
        """Forecast from what was observed so far; nothing moves, and rows do not wait. See `Stream.forecast`."""
        forecast: Forecast = self._of_states(ids, lambda: self._stepper.stream.forecast(ids, horizon, levels, known))
        return forecast

    def breakdown(self, ids: Sequence[Id] | None = None, known: Any = None) -> Breakdown:
        """What those forecasts come from; nothing moves, and rows do not wait. See `Stream.breakdown`."""
        breakdown: Breakdown = self._of_states(ids, lambda: self._stepper.stream.breakdown(ids, known))
        return breakdown

    def series(
        self,
        prefix: str = "",
        after: Id | None = None,
        limit: int = 100,
        sort: str = "id",
        descending: bool = False,
        offset: int = 0,
        contains: str = "",
    ) -> list[SeriesSummary]:
        """Summaries of some series, in an order; see `Wish` and `Orders.numbers`."""
        wish = Wish(prefix, contains)
        numbers = self._orders.numbers(wish, after, sort, descending)[offset : offset + limit].tolist()
        page: list[SeriesSummary] = self._kept((), self._listing.summaries, numbers)
        return page

    def matches(self, prefix: str = "", contains: str = "") -> int:
        """How many series are meant; see `Wish`."""
        self._worker.require_running()
        return self._orders.count(Wish(prefix, contains))

    def one(self, id: Id) -> SeriesSummary:
        """What is known of a series; `UnknownSeries` where it is not here."""
        summary: SeriesSummary = self._kept([id], self._listing.one, id)
        return summary

    def history(self, id: Id, limit: int = 500) -> History:
        """Past rows of a series, the latest at most, with what was forecast of each before; see `one`."""
        return self._listing.history(self._kept([id], self._listing.recent, id), limit)

    def alarms(self, limit: int) -> tuple[Alarm, ...]:
        """The latest alarms of all series, newest first."""
        self._worker.require_running()
        return self._listing.alarms(limit)[::-1]

    def status(self) -> Status:
        """How the engine is."""
        # Not in the turn: a million records take a while, and rows that move meanwhile hardly matter.
        error, naive, alarms, observations = self._listing.totals()
        accepted, duplicates, rejected = self._desk.counts.tolist()
        return Status(
            series=len(self._stepper.directory),
            seq=self._committer.durable,
            observations=observations,
            accepted=accepted,
            duplicates=duplicates,
            rejected=rejected,
            queue=self._inbox.waiting,
            checkpoint_age=self._rounds.age,
            checkpoint_lag=self._committer.durable - self._rounds.seq,
            replayed=self._replayed,
            sizes=self._store.sizes(),
            error=error,
            naive=naive,
            alarms=alarms,
            failure=self._committer.failure or None,
            earliest=self._store.earliest(),
            recent=self._stepper.ledger.depth,
            challenger=self.models.status(),
        )

    def subscribe(self, after: int | None, listener: Listener) -> Subscription:
        """Have `listener` called with each `Happening`, in order and once it is on the disk: see `Broadcast`."""
        return self._broadcast.subscribe(after, listener)

    # --- keeping house

    def backup(self, path: str | Path) -> Path:
        """Write a copy of the store to a new file, while the engine runs; `OutputError` where there is such a file."""
        return self._store.backup(path)

    def compact(self) -> None:
        """Write all states, and give back room on the disk; rows wait meanwhile."""
        self.checkpoint()
        self._worker.between(lambda: None, self._store.compact)

    def checkpoint(self) -> None:
        """Write the states of all series that moved since they were last written."""
        done: Future[None] = Future()
        self._worker.ask(lambda: self._rounds.ask(done))
        self._worker.result_of(done)

    def close(self) -> None:
        """Finish what came, write all states, and let go of the store."""
        if self._worker.stopped:
            return
        self.models.close()
        try:
            if not (self._committer.failure or self._hasty):
                self.checkpoint()
        except OutputError:
            if not self._hasty:
                raise
        self._stop()
        self._broadcast.close()
        self._store.close()

    def hasten(self) -> None:
        """End without writing states, or without the rest of them: the next start replays the log."""
        self._hasty = True
        with contextlib.suppress(OutputError):  # it has ended
            self._worker.ask(self._rounds.abandon)

    # --- inside

    def _stop(self) -> None:
        self._worker.stop()
        self._committer.close()

    def _of_states(self, ids: Sequence[Id] | None, make: Callable[[], Any]) -> Any:
        """What `make` makes of states, outside of the turn; what they rest on is on the disk when this returns."""
        with self._turn:
            self._stepper.require_here(ids)
        result = make()
        self._kept(ids, int)  # a step that was under way is over then, and on the disk
        return result

    def _kept(self, ids: Sequence[Id] | None, read: Callable[..., Any], *arguments: Any) -> Any:
        """What `read` gives, once all that it rests on is on the disk, and as long as the series are held here."""
        self._worker.require_running()
        with self._turn:
            self._stepper.require_here(ids)
            result, seq = read(*arguments), self._stepper.seq
        self._committer.wait(seq)
        self._stepper.require_here(ids)
        return result
