"""Requests that are known by an Idempotency-Key: sent again, they are answered as they were, and nothing moves.

Where rows are counted, two rows alike are two rows, and only the key tells a second attempt from a second row. The key,
a digest of the rows and the answer are committed with the rows themselves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np

from statecast.errors import DataError
from statecast.server.engine import replies
from statecast.server.engine.receipts import Receipt
from statecast.server.engine.replies import Replies
from statecast.server.states.batch import Id
from statecast.server.states.stepper import Stepper
from statecast.server.store.protocol import KeyRecord, Store

LONGEST = 255  # characters of a key


class Keys:
    """The requests of an engine that have keys.

    Args:
        stepper: of the engine.
        store: which keeps them.
    """

    def __init__(self, stepper: Stepper, store: Store) -> None:
        self._stepper, self._store = stepper, store
        self._open: dict[str, tuple[bytes, Future[Receipt]]] = {}  # stepped, and perhaps not on the disk yet

    def answered(self, key: str, digest: bytes, ids: Sequence[Id], future: Future[Receipt]) -> bool:
        """Answer a request that came before; False where it did not, and its rows are to be stepped.

        The future gets `DataError` where the key came with other rows.
        """
        if not 0 < len(key) <= LONGEST:
            future.set_exception(DataError(f"an Idempotency-Key has 1 to {LONGEST} characters: got {len(key)}"))
            return True
        before = self._open.get(key)
        record = self._store.key(key) if before is None else None
        if before is None and record is None:
            self._open[key] = digest, future
            return False
        if digest != (before[0] if before else record.digest if record else b""):
            text = "this Idempotency-Key came with other rows before: give each request a key of its own"
            future.set_exception(DataError(text))
        elif before is not None:
            before[1].add_done_callback(lambda first: _copy(first, future))
        elif record is not None:
            future.set_result(self._repeated(record, ids))
        return True

    def record(self, key: str, digest: bytes, group: Replies, request: int) -> KeyRecord:
        """What the store keeps of a request."""
        texts = group.statuses(request), group.errors(request), group.reasons(request)
        answer = [*texts, group.seqs(request).tolist()]
        return KeyRecord(key, group.seq, time.time(), digest, json.dumps(answer).encode())

    def kept(self, key: str) -> None:
        """The store has it now."""
        self._open.pop(key, None)

    def _repeated(self, record: KeyRecord, ids: Sequence[Id]) -> Receipt:
        """The first answer; with forecasts of those series that have no later rows."""
        statuses, errors, reasons, seqs = json.loads(record.answer)
        numbers = self._stepper.directory.numbers(ids)
        last = self._stepper.ledger.records["seq"][np.maximum(numbers, 0)] if len(self._stepper.directory) else numbers
        rows = np.flatnonzero((numbers >= 0) & (last == np.array(seqs)) & (np.array(seqs) > 0))
        forecast = None
        if len(rows) and not self._stepper.model.schema.known:
            forecast = replies.forecast_now(self._stepper, numbers[rows].tolist())
        rows = rows if forecast is not None else np.zeros(0, np.int64)
        nothing = np.full(len(ids), np.nan), np.zeros(len(ids), bool)
        return Receipt(record.seq, statuses, errors, reasons, rows, forecast, np.arange(len(rows)), *nothing)


def _copy(first: Future[Receipt], second: Future[Receipt]) -> None:
    error = first.exception()
    if error is not None:
        second.set_exception(error)
    else:
        second.set_result(first.result())
