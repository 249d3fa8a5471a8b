"""What happens, told to those who listen: in order, without a gap, and once it is on the disk.

The latest batches stay in memory. Who was cut off says up to where he listened; what memory no longer holds is read
from the log, which has no forecasts.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from statecast.server.engine.receipts import Happening
from statecast.server.engine.replies import happening
from statecast.server.states.stepper import Stepper
from statecast.server.store.protocol import Store

Listener = Callable[[Happening], None]
REMEMBERED = 100_000  # rows whose happenings stay in memory


class Subscription:
    """One listener.

    Attributes:
        missed: whether rows that the listener asked for were cut from the log already.
        error: what the listener raised, which ended the subscription; None where it did not.
    """

    def __init__(self, broadcast: Broadcast, listener: Listener) -> None:
        self._broadcast, self._listener = broadcast, listener
        self.missed = False
        self.error: Exception | None = None

    def hear(self, item: Happening) -> None:
        """Tell the listener; whatever it raises ends the subscription, and nothing else."""
        try:
            self._listener(item)
        except Exception as error:  # it is anybody's code, and the engine goes on
            self.error = error
            self.close()

    def close(self) -> None:
        """Listen no longer."""
        self._broadcast.drop(self)


class Broadcast:
    """The happenings of an engine.

    Args:
        stepper: whose.
        store: holds the log.
    """

    def __init__(self, stepper: Stepper, store: Store) -> None:
        self._stepper, self._store = stepper, store
        self._recent: deque[Happening] = deque()
        self._rows, self._end = 0, stepper.seq
        self._listeners: list[Subscription] = []
        self._lock = threading.RLock()

    def publish(self, item: Happening) -> None:
        """Tell everybody; called in the order of sequence numbers."""
        if item.last < item.first:
            return
        with self._lock:
            self._recent.append(item)
            self._rows, self._end = self._rows + len(item.ids), item.last
            while self._rows > REMEMBERED and len(self._recent) > 1:
                self._rows -= len(self._recent.popleft().ids)
            for listener in tuple(self._listeners):
                listener.hear(item)

    def move(self, seq: int) -> None:
        """Go on from a later sequence number, for a shard has come that was there already."""
        with self._lock:
            self._end = max(self._end, seq)

    def subscribe(self, after: int | None, listener: Listener) -> Subscription:
        """Have `listener` called with each `Happening`, in order and once it is on the disk.

        Args:
            after: the last sequence number that the listener knows: what came since is brought first, from the log
                where memory does not reach so far back. None: begin with what comes next.
            listener: is called in this thread with what is brought first, then in one of the engine's; it must be
                quick, and what it raises ends the subscription.
        """
        subscription = Subscription(self, listener)
        if after is not None:
            with self._lock:
                behind = after + 1 < self._begin()
            if behind:
                subscription.missed = after < self._store.earliest()
                after = self._catch_up(subscription, after)
        with self._lock:
            for item in self._since(after):
                subscription.hear(item)
            if subscription.error is None:
                self._listeners.append(subscription)
        return subscription

    def _catch_up(self, subscription: Subscription, after: int) -> int:
        """Tell what memory no longer holds, from the log."""
        for batch in self._store.batches(after):
            with self._lock:
                if subscription.error is not None or self._begin() <= after + 1 or batch.first > self._end:
                    break
            subscription.hear(happening(self._stepper, batch, None).after(after))
            after = batch.last
        return after

    def _begin(self) -> int:
        """The first sequence number that memory holds."""
        return self._recent[0].first if self._recent else self._end + 1

    def _since(self, after: int | None) -> list[Happening]:
        return [] if after is None else [item.after(after) for item in self._recent if item.last > after]

    def drop(self, subscription: Subscription) -> None:
        """Tell one no longer."""
        with self._lock:
            if subscription in self._listeners:
                self._listeners.remove(subscription)

    def close(self) -> None:
        """Tell nobody any longer."""
        with self._lock:
            self._listeners.clear()
