"""A change of a stream: whole or not at all, one at a time.

A change has two halves. The first, a function that makes a `Change`, reads and checks what came and works out what to
write; whatever is raised there, nothing has moved. The second writes, and nothing can come in between.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from operator import call
from typing import Any
from weakref import WeakSet

from statecast.errors import StreamBusy
from statecast.model.kernel.library import check

Moves = tuple[Callable[[], Any], ...]  # functions of C that take nothing


@dataclass(frozen=True, eq=False)
class Change:
    """What is about to be written.

    Attributes:
        result: what the caller gets.
        rows: write the rows of states.
        successes: what `rows` return where all is well; else nothing has moved.
        entries: write times, names and numbers of series.
    """

    result: Any
    rows: Moves
    successes: list[Any]
    entries: Moves


class Turns:
    """Makes changes one after another, whichever thread they come from.

    Attributes:
        lock: held while one is made; whoever holds it reads what lies between two of them.
    """

    def __init__(self) -> None:
        self.lock, self._changing = threading.RLock(), False
        _EVERY.add(self)

    def change(self, prepare: Callable[..., Change], *arguments: Any) -> Any:
        """Make a change, whole or not at all, whatever is raised and whenever.

        Ctrl-C and other signals raise exceptions between any two steps of Python. CPython looks for them when a
        function of Python begins, when a call returns, and at the end of a loop's body. From the first row that is
        written to the return there is none of these here: functions of C are called by unpacking a `map` over them.

        Args:
            prepare: works the change out, and moves nothing.
            arguments: for it.

        Returns:
            The result of the change.

        Raises:
            StreamBusy: this very thread is making a change: a signal handler came in between, or an argument that runs
                code of its own.
        """
        acquire, release = map(call, (self.lock.acquire,)), map(call, (self.lock.release,))
        (_,) = acquire
        if self._changing:
            self.lock.release()
            raise StreamBusy("this stream is being changed by the call that this one interrupts: call it afterwards")
        self._changing = True
        try:
            change = prepare(*arguments)
            rows, entries, successes = map(call, change.rows), map(call, change.entries), change.successes
            results = [*rows]
            if results == successes:
                _ = [*entries]
        except BaseException:
            self._changing = False
            self.lock.release()
            raise
        self._changing = False
        (_,) = release
        if results != successes:
            check(results[0])
        return change.result


_EVERY: WeakSet[Turns] = WeakSet()


class _Fork:
    """A process forks between two changes of every stream, so that the copies in its child are whole and free."""

    held: tuple[Turns, ...] = ()

    @classmethod
    def before(cls) -> None:
        while not cls._hold():
            pass

    @classmethod
    def _hold(cls) -> bool:
        """Take every lock; or none, where one is not to be had soon: its holder may be waiting for another of them."""
        try:
            every = tuple(_EVERY)
        except RuntimeError:  # a stream was made in between
            return False
        held: list[Turns] = []
        for turns in every:
            if not turns.lock.acquire(timeout=0.1):
                break
            held.append(turns)
        cls.held = tuple(held)
        if len(held) < len(every):
            cls.after()
        return len(held) == len(every)

    @classmethod
    def after(cls) -> None:
        held, cls.held = cls.held, ()
        for turns in held:
            turns.lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_Fork.before, after_in_parent=_Fork.after, after_in_child=_Fork.after)
