"""Where what is asked of an engine becomes works: rows are stepped at once, and answered when the store has them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np

from statecast.errors import OutputError
from statecast.forecast.together import Together
from statecast.server.engine import replies
from statecast.server.engine.broadcast import Broadcast
from statecast.server.engine.committer import Work
from statecast.server.engine.inbox import Request
from statecast.server.engine.keys import Keys
from statecast.server.states.group import INVALID
from statecast.server.states.intake import Intake
from statecast.server.states.stepper import Stepper
from statecast.server.store.protocol import TOGETHER, KeyRecord, Transaction


class Desk:
    """The works of an engine; used by the thread that steps, and what it leaves to do by the one that commits.

    Args:
        stepper: of the engine.
        keys: of its requests.
        broadcast: to those who listen.
        alone: whether no other server has a part of the store.

    Attributes:
        counts: rows that were answered as accepted, duplicate and rejected.
    """

    def __init__(self, stepper: Stepper, keys: Keys, broadcast: Broadcast, alone: bool) -> None:
        self._stepper, self._keys, self._broadcast, self._alone = stepper, keys, broadcast, alone
        self.counts = np.zeros(3, np.int64)

    def work_on(self, requests: Sequence[Request]) -> list[Work]:
        """Step the rows of requests together; those that came before are answered at once."""
        keys = self._keys
        some = [r for r in requests if r.key is None or not keys.answered(r.key, r.digest, r.rows.ids, r.future)]
        if not some:
            return []
        rows = Intake.joined([request.rows for request in some])
        remembered = self._stepper.drift.together
        taken = self._stepper.take(rows, time.time())
        group = replies.Replies(self._stepper, rows, taken, [(len(r.rows), r.forecast) for r in some])

        def records() -> list[KeyRecord]:
            return [keys.record(r.key, r.digest, group, n) for n, r in enumerate(some) if r.key is not None]

        def withdraw(shards: frozenset[int]) -> list[KeyRecord]:
            group.withdraw(self._stepper, shards)
            return records()

        def answer() -> None:
            for happening in group.happenings:
                self._broadcast.publish(happening)
            self.counts += np.bincount(np.minimum(taken.statuses, INVALID), minlength=3)
            for n, request in enumerate(some):
                request.future.set_result(group.receipt(n))
                if request.key is not None:
                    keys.kept(request.key)

        def refuse(text: str) -> None:
            for request in some:
                request.future.set_exception(OutputError(text))

        transaction = Transaction((taken.batch,), records(), notes=self._notes(remembered))
        return [Work(transaction, self._stepper.seq, answer, refuse, withdraw)]

    def _notes(self, before: Together) -> dict[str, str]:
        """What is remembered of all series together, where it is another than before; of one of several servers not."""
        together = self._stepper.drift.together
        return {TOGETHER: together.to_text()} if together is not before and self._alone else {}

    def removal(self, number: int, future: Future[int]) -> Work:
        """Forget a series, which is here; the future gets the removal's sequence number."""
        name, batch = self._stepper.directory.name(number), self._stepper.remove(number)
        happening = replies.happening(self._stepper, batch, None)

        def withdraw(shards: frozenset[int]) -> list[KeyRecord]:
            shard = int(self._stepper.directory.shard(number))
            if shard in shards and not future.done():
                future.set_exception(self._stepper.referral(name, shard))
            return []

        def answer() -> None:
            if not future.done():  # else another server holds the series
                self._broadcast.publish(happening)
                future.set_result(happening.last)

        def refuse(text: str) -> None:
            future.set_exception(OutputError(text))

        return Work(Transaction((batch,)), batch.last, answer, refuse, withdraw)
