"""The thread of an engine: it gathers what came, has it stepped, and hands over what is to be committed.

What other threads want changed is done by this one between two batches, so nothing is ever changed by two at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

from statecast.errors import OutputError
from statecast.server.engine.committer import Committer, Work
from statecast.server.engine.desk import Desk
from statecast.server.engine.inbox import Inbox, Request
from statecast.server.engine.rounds import Rounds
from statecast.server.states.stepper import Stepper
from statecast.server.store.protocol import Transaction


class Worker:
    """The one thread that steps. Any thread may call, once it is started.

    Args:
        stepper: which it steps.
        desk: makes works of requests.
        rounds: of checkpoints.
        committer: gets the works.
        inbox: what waits.
        turn: is held by whoever steps, or reads what steps change.
        moved: is called in the committer's thread with the sequence number up to which all is on the disk.
    """

    def __init__(
        self,
        stepper: Stepper,
        desk: Desk,
        rounds: Rounds,
        committer: Committer,
        inbox: Inbox,
        turn: threading.RLock,
        moved: Callable[[int], None],
    ) -> None:
        self._stepper, self._desk, self._rounds, self._committer = stepper, desk, rounds, committer
        self._inbox, self._turn, self._moved = inbox, turn, moved
        self._works: list[Work] = []  # of this turn
        self.stopped = False
        self._thread = threading.Thread(target=self._run, name="statecast-step", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what came; nothing is taken from now on."""
        self.stopped = True
        self._inbox.put(None)
        self._thread.join()

    def require_running(self) -> None:
        """Refuse what comes after the end.

        Raises:
            OutputError: a commit has failed, or the engine is stopping.
        """
        self._committer.require_sound()
        if self.stopped:
            raise OutputError("the server is stopping: send the rows again once it runs")

    def put(self, request: Request) -> None:
        """Have rows stepped; their future gets the receipt."""
        self._inbox.put(request)

    def ask(self, command: Callable[[], None]) -> None:
        """Have something done between two batches.

        Raises:
            OutputError: the engine is at its end.
        """
        self.require_running()
        self._inbox.put(command)

    def add(self, work: Work) -> None:
        """Have a work committed after those of this turn; for commands."""
        self._works.append(work)

    def between(self, command: Callable[[], None], then: Callable[[], None] = lambda: None) -> None:
        """Have something done between two batches, and return when all before it is on the disk.

        Args:
            command: what is done between two batches.
            then: what is done between two commits, at the end.

        Raises:
            OutputError: the engine is at its end.
        """
        done: Future[None] = Future()

        def act() -> None:
            command()
            seq = self._stepper.seq

            def answer() -> None:
                then()
                self._moved(seq)
                done.set_result(None)

            self.add(Work(Transaction(), seq, answer, partial(_refuse, done)))

        self.ask(act)
        self.result_of(done)

    def result_of(self, done: Future[Any]) -> Any:
        """What comes of something that was asked for, as long as the thread runs.

        Raises:
            OutputError: nothing will, for the engine is at its end.
        """
        while not done.done() and self._thread.is_alive():
            wait([done], 1.0)
        if not done.done():
            self.require_running()
        return done.result(0)

    def _run(self) -> None:
        """Gather, step, hand over."""
        item: Any = None
        try:
            while (item := self._inbox.next(self._rounds.patience)) is not None:
                with self._turn:
                    if callable(item):
                        item()
                    else:
                        self._works += self._desk.work_on(item)
                    self._works += self._rounds.due()
                for work in self._works:  # after the turn: it takes time where the disk is slow
                    self._committer.put(work)
                self._works = []
        except BaseException as error:  # whatever it is, nothing may be acknowledged after it
            self._committer.fail(f"the server cannot go on: {type(error).__name__}: {error}")
            raise
        finally:
            self._refuse_rest(item if isinstance(item, list) else [])

    def _refuse_rest(self, requests: list[Request]) -> None:
        """Nothing that came too late waits for ever."""
        for request in [*requests, *self._inbox.rest()]:
            if not request.future.done():
                request.future.set_exception(OutputError(self._committer.failure or "the server is stopping"))


def _refuse(future: Future[Any], text: str) -> None:
    future.set_exception(OutputError(text))
