"""Rounds of checkpoints: states are written in the background, a few blocks at a time between two batches.

A round begins when rows have come since the last one and its time has come, or so many that a start would take long to
replay them. It takes the blocks whose series moved; each says which rows it contains. When the last one is written the
log is cut behind the round's beginning: every block contains what lies before it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

import numpy as np

from statecast.server import checkpoints
from statecast.server.options import Options
from statecast.server.stepper import Stepper
from statecast.server.store.protocol import Transaction

TOGETHER = 8  # blocks that are written in one transaction
MOST = 5_000_000  # rows of the log that a round is begun for, whatever the time


class Rounds:
    """The checkpoints of an engine; used by the thread that steps.

    Args:
        stepper: what is written.
        options: how often, and how long the log is kept.

    Attributes:
        seq: every row up to this sequence number is in a block.
    """

    def __init__(self, stepper: Stepper, options: Options) -> None:
        self._stepper, self._options = stepper, options
        self.seq = 0
        self._last, self._ended = time.monotonic(), float("nan")
        self._left: deque[int] = deque()
        self._begin = 0
        self._cuts: deque[tuple[float, int]] = deque()  # when rounds ended, and what the log could be cut at

    @property
    def age(self) -> float:
        """Seconds since the last round ended; NaN where none has."""
        return time.monotonic() - self._ended

    @property
    def patience(self) -> float:
        """Seconds for which there is nothing to do for the store."""
        if self._left:
            return 0.0
        return min(max(self._last + self._options.checkpoint - time.monotonic(), 0.001), 1.0)

    def due(self) -> Iterator[Transaction]:
        """What is to be written now, between two batches: the next few blocks of a round, if one is due."""
        if not self._left and not self._is_time():
            return
        if not self._left:
            self._start()
        yield self._next()

    def whole(self) -> Iterator[Transaction]:
        """A whole round, now."""
        self._start()
        while self._left:
            yield self._next()
        yield self._next()

    def interrupt(self, seq: int) -> None:
        """Give up the round that is under way: what it would cut may be what a shard that comes or goes still needs.

        Args:
            seq: up to which rows of a shard that comes are in its blocks, about.
        """
        self.seq = max(self.seq, seq)
        self._stepper.touched[[*self._left]] = True
        self._left.clear()

    def _is_time(self) -> bool:
        lag = self._stepper.seq - self.seq
        return lag > MOST or (lag > 0 and time.monotonic() - self._last >= self._options.checkpoint)

    def _start(self) -> None:
        self._left = deque(np.flatnonzero(self._stepper.touched).tolist())
        self._begin, self._last = self._stepper.seq, time.monotonic()
        self._stepper.past.begin_round()

    def _next(self) -> Transaction:
        numbers = [self._left.popleft() for _ in range(min(TOGETHER, len(self._left)))]
        blocks = [checkpoints.block(self._stepper, number) for number in numbers]
        pieces = self._stepper.past.pieces(numbers, self._stepper.seq)
        self._stepper.touched[numbers] = False
        if self._left:
            return Transaction(blocks=blocks, pieces=pieces)
        return Transaction(blocks=blocks, pieces=pieces, cuts=self._end(), forget=time.time() - self._options.keys)

    def _end(self) -> dict[int, int]:
        """The round is over: what the log may be cut at, if anything."""
        now = time.monotonic()
        self.seq, self._ended = self._begin, now
        self._cuts.append((now, self._begin))
        cut = 0
        while self._cuts and self._cuts[0][0] <= now - self._options.retention:
            cut = self._cuts.popleft()[1]
        # A shard that is held, but still being read, is not served: its log is nobody's to cut.
        return dict.fromkeys(self._stepper.served, cut) if cut else {}
