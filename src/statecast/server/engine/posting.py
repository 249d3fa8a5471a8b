"""How far alarms were posted, which the store remembers, so that a start goes on where the server before it ended.

The position is written after the other end has taken an alarm: who is killed in between posts it once more, under the
same name.
"""

from __future__ import annotations

from statecast.server.engine.alarms import named
from statecast.server.engine.committer import Committer, Work
from statecast.server.engine.receipts import Alarm
from statecast.server.states.stepper import Stepper
from statecast.server.store.protocol import Store, Transaction


class Posting:
    """What is posted of an engine's alarms; any thread may ask.

    Args:
        stepper: of the engine.
        store: which keeps the alarms.
        committer: to the store.
    """

    def __init__(self, stepper: Stepper, store: Store, committer: Committer) -> None:
        self._stepper, self._store, self._committer = stepper, store, committer

    def waiting(self, since: float, limit: int) -> tuple[int, tuple[Alarm, ...]]:
        """The alarms that are still to be posted; none where none ever was.

        Args:
            since: seconds since 1970; what was raised before is too old.
            limit: how many at most, the latest.

        Returns:
            The sequence number up to which there are no others, and the alarms, oldest first.
        """
        seq, directory = self._committer.durable, self._stepper.directory
        notes = {shard: self._store.note(_name(shard)) for shard in self._stepper.served}
        positions = {shard: seq if note is None else int(note) for shard, note in notes.items()}
        alarms = [
            alarm
            for alarm in self._store.alarms(limit, min(positions.values(), default=seq))
            if positions.get(int(directory.shard(alarm.number)), seq) < alarm.seq <= seq and alarm.received >= since
        ]
        return seq, named(alarms, directory)

    def advance(self, seq: int) -> None:
        """Alarms up to this sequence number need not be posted again; this may return before that is written."""
        notes = {_name(shard): str(seq) for shard in self._stepper.served}
        self._committer.put(Work(Transaction(notes=notes), 0))


def _name(shard: int) -> str:
    """The store's note of how far a shard's alarms were posted."""
    return f"posted {shard}"
