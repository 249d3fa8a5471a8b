"""Rounds of checkpoints: states are written in the background, a few blocks at a time between two batches.

A round begins when rows have come since the last one and its time has come, or so many that a start would take long to
replay them. It takes the blocks whose series moved; each says which rows it contains. When the last one is written the
log is cut behind the round's beginning: every block contains what lies before it. Where history is kept for a span
alone, its older pieces go then as well.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from dataclasses import replace

import numpy as np

from statecast.errors import OutputError
from statecast.server.engine.ages import Ages
from statecast.server.engine.committer import Work
from statecast.server.options import Options
from statecast.server.states import checkpoints
from statecast.server.states.stepper import Stepper
from statecast.server.store.protocol import Store, Transaction

TOGETHER = 8  # blocks that are written in one transaction at most
SHARE = 0.5  # of the time between two rounds that one takes, so that rows never wait for many blocks
MOST = 5_000_000  # rows of the log that a round is begun for, whatever the time


class Rounds:
    """The checkpoints of an engine; used by the thread that steps.

    Args:
        stepper: what is written.
        options: how often, and how long log and history are kept.
        store: remembers how old its rows are.

    Attributes:
        seq: every row up to this sequence number is in a block.
        hold: what the log has beyond this sequence number somebody else needs; None where nobody does.
    """

    def __init__(self, stepper: Stepper, options: Options, store: Store) -> None:
        self._stepper, self._options, self._store = stepper, options, store
        self.seq = 0
        self.hold: int | None = None
        self._last, self._ended = time.monotonic(), float("nan")
        self._left: deque[int] = deque()
        self._asked: list[Future[None]] = []  # who wants a round, and who waits for the one under way
        self._waiting: list[Future[None]] = []
        self._begin = 0
        self._pace, self._paced = 0.0, 0.0  # seconds for each block, and when the last ones were written
        self._cuts: deque[tuple[float, int]] = deque()  # when rounds ended, and what the log could be cut at

    @property
    def age(self) -> float:
        """Seconds since the last round ended; NaN where none has."""
        return time.monotonic() - self._ended

    @property
    def patience(self) -> float:
        """Seconds for which there is nothing to do for the store."""
        if self._hurried:
            return 0.0
        if self._left:
            return min(max(self._pace, 0.001), 1.0)
        return min(max(self._last + self._options.checkpoint - time.monotonic(), 0.001), 1.0)

    def ask(self, done: Future[None]) -> None:
        """Have all states as they are now written soon; `done` is told when they are on the disk, or that they are not.

        They are written a few blocks at a time as in any round, so that memory never holds a copy of all.
        """
        self._asked.append(done)

    def abandon(self) -> None:
        """Write no more states: who waits for that is told that it will not be done."""
        self.interrupt(self.seq)
        for done in self._asked:
            done.set_exception(OutputError("the states are not written, for the server ends at once"))
        self._asked = []

    def due(self) -> list[Work]:
        """What is to be written now, between two batches: the next few blocks of a round, if one is due."""
        if not self._left:
            if not self._asked and not self._is_time():
                return []
            self._start()
        count = self._count_due()
        return [self._next(count)] if count or not self._left else []

    def exchange(self, seq: int) -> int:
        """Go on with another model's blocks, which hold every row up to `seq`; up to where this one's did."""
        self.interrupt(0)
        self._cuts.clear()
        seq, self.seq = self.seq, seq
        return seq

    def interrupt(self, seq: int) -> None:
        """Give up the round that is under way: what it would cut may be what a shard that comes or goes still needs.

        Args:
            seq: up to which rows of a shard that comes are in its blocks, about.
        """
        self.seq = max(self.seq, seq)
        self._stepper.touched[[*self._left]] = True
        self._left.clear()
        self._asked, self._waiting = [*self._asked, *self._waiting], []

    def _is_time(self) -> bool:
        lag = self._stepper.seq - self.seq
        return lag > MOST or (lag > 0 and time.monotonic() - self._last >= self._options.checkpoint)

    def _start(self) -> None:
        self._left = deque(np.flatnonzero(self._stepper.touched).tolist())
        self._begin, self._last = self._stepper.seq, time.monotonic()
        self._paced = self._last
        self._stepper.past.begin_round()
        self._waiting, self._asked = self._asked, []
        self._pace = SHARE * self._options.checkpoint / max(len(self._left), 1)

    @property
    def _hurried(self) -> bool:
        """Whether somebody waits for the round that is under way, or for the next one."""
        return bool(self._asked or (self._left and self._waiting))

    def _count_due(self) -> int:
        """How many blocks are to be written by now."""
        due = TOGETHER if self._hurried else int((time.monotonic() - self._paced) / max(self._pace, 1e-9))
        count = min(due, TOGETHER, len(self._left))
        if count:
            self._paced = time.monotonic()
        return count

    def _next(self, count: int) -> Work:
        numbers = [self._left.popleft() for _ in range(count)]
        blocks = [checkpoints.block(self._stepper, number) for number in numbers]
        pieces = self._stepper.past.pieces(numbers, self._stepper.seq)
        self._stepper.touched[numbers] = False
        transaction, waiting = Transaction(blocks=blocks, pieces=pieces), []
        if not self._left:
            waiting, self._waiting = self._waiting, []
            trims, notes = self._trims()
            forget = time.time() - self._options.keys
            transaction = replace(transaction, cuts=self._end(), trims=trims, notes=notes, forget=forget)

        def answer() -> None:
            self._stepper.past.written(pieces)
            for done in waiting:
                done.set_result(None)

        def refuse(text: str) -> None:
            for done in waiting:
                done.set_exception(OutputError(text))

        return Work(transaction, self._stepper.seq, answer, refuse)

    def _trims(self) -> tuple[dict[int, int], dict[str, str]]:
        """Up to where the history of each shard may go, and what the store is to remember of the ages of its rows."""
        span, now = self._options.history, time.time()
        trims, notes = {}, {}
        for shard in self._stepper.served if span else ():
            name = f"ages {shard}"
            ages = Ages.from_text(self._store.note(name)).noted(now, self._begin, span)
            seq, ages = ages.cut(now - span)
            notes[name] = ages.to_text()
            if seq:
                trims[shard] = seq
        return trims, notes

    def _end(self) -> dict[int, int]:
        """The round is over: what the log may be cut at, if anything."""
        now = time.monotonic()
        self.seq, self._ended = self._begin, now
        self._stepper.past.end_round(self._begin)
        self._cuts.append((now, self._begin))
        cut = 0
        while self._cuts and self._cuts[0][0] <= now - self._options.retention:
            cut = self._cuts.popleft()[1]
        cut = cut if self.hold is None else min(cut, self.hold)
        # A shard that is held, but still being read, is not served: its log is nobody's to cut.
        return dict.fromkeys(self._stepper.served, cut) if cut else {}
