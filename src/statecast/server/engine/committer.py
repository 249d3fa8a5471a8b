"""The thread that writes: what was stepped is committed to the store, and only then answered.

Whatever waits is committed together, so that the disk syncs once for all of it. The first commit that fails is the
last: from then on everything is refused.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from statecast.errors import NotOwner, OutputError, StatecastError
from statecast.server.store.protocol import KeyRecord, Store, Transaction

AHEAD = 4  # works that wait for the disk; whoever brings more waits as well


@dataclass(frozen=True, eq=False)
class Work:
    """What is to be committed, and then to be answered.

    Attributes:
        transaction: of the store.
        seq: the last sequence number that it contains, or that came before.
        answer: is called when it is on the disk.
        refuse: is called where it cannot be, with the reason.
        withdraw: is called where others hold some of the shards, with these, so that their rows are answered with that;
            it gives the records of the keys that are true then.
    """

    transaction: Transaction
    seq: int
    answer: Callable[[], None] = lambda: None
    refuse: Callable[[str], None] = lambda text: None
    withdraw: Callable[[frozenset[int]], Sequence[KeyRecord]] = lambda shards: ()


class Committer:
    """Commits to one store.

    Args:
        store: the store.
        seq: the last sequence number that it holds.
        failed: is called once, in the thread of the first commit that failed.

    Attributes:
        durable: the last sequence number that is on the disk.
        failure: why nothing is taken any longer; None as long as all is well.
    """

    def __init__(self, store: Store, seq: int, failed: Callable[[str], None] | None) -> None:
        self._store, self._failed = store, failed
        self.durable, self.failure = seq, ""
        self._works: queue.Queue[Work | None] = queue.Queue(AHEAD)
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="statecast-commit", daemon=True)
        self._thread.start()

    def put(self, work: Work) -> None:
        """Have something committed after all that was put before."""
        self._works.put(work)

    def commit(self, transaction: Transaction) -> None:
        """Have a transaction written, and return when it is on the disk.

        Raises:
            OutputError: it cannot be.
        """
        done: Future[None] = Future()

        def refuse(text: str) -> None:
            done.set_exception(OutputError(text))

        self.put(Work(transaction, 0, lambda: done.set_result(None), refuse))
        done.result()

    def wait(self, seq: int) -> None:
        """Return when this sequence number is on the disk.

        Raises:
            OutputError: it will not be.
        """
        with self._moved:
            while self.durable < seq and not self.failure:
                self._moved.wait(1.0)
        self.require_sound()

    def require_sound(self) -> None:
        """Refuse to go on after a failure.

        Raises:
            OutputError: a commit has failed.
        """
        if self.failure:
            raise OutputError(self.failure)

    def fail(self, text: str) -> None:
        """Commit and answer nothing from now on."""
        with self._moved:
            first, self.failure = not self.failure, self.failure or text
            self._moved.notify_all()
        if first and self._failed is not None:
            self._failed(self.failure)

    def close(self) -> None:
        """Finish what was put."""
        self._works.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            works = [self._works.get()]
            while not self._works.empty():
                works.append(self._works.get())
            ended = None in works
            self._keep([work for work in works if work is not None])

    def _keep(self, works: list[Work]) -> None:
        if works and not self.failure:
            try:
                self._commit(works)
            except StatecastError as error:
                self.fail(f"the rows cannot be kept, so the server stops: {error}")
            except BaseException as error:  # whatever it is, nothing may be acknowledged after it
                self.fail(f"the rows cannot be kept, so the server stops: {type(error).__name__}: {error}")
        if self.failure:
            for work in works:
                work.refuse(self.failure)
            return
        for work in works:
            with self._moved:
                self.durable = max(self.durable, work.seq)
                self._moved.notify_all()
            work.answer()

    def _commit(self, works: list[Work]) -> None:
        """Commit everything, or where others hold some shards, everything else."""
        transactions = [work.transaction for work in works]
        while True:
            try:
                self._store.commit(_merged(transactions))
                return
            except NotOwner as error:
                lost, total = error.shards, self._store.total
                transactions = [
                    transaction.without(lost, total, work.withdraw(lost))
                    for work, transaction in zip(works, transactions, strict=True)
                ]


def _merged(parts: Sequence[Transaction]) -> Transaction:
    """Several transactions as one, which takes one sync of the disk."""
    if len(parts) == 1:
        return parts[0]
    return Transaction(
        [batch for part in parts for batch in part.batches],
        [key for part in parts for key in part.keys],
        [block for part in parts for block in part.blocks],
        [piece for part in parts for piece in part.pieces],
        {shard: seq for part in parts for shard, seq in part.cuts.items()},
        {shard: seq for part in parts for shard, seq in part.trims.items()},
        max((part.forget for part in parts if part.forget is not None), default=None),
        [model for part in parts for model in part.models],
        {name: text for part in parts for name, text in part.notes.items()},
        [number for part in parts for number in part.retired],
    )
