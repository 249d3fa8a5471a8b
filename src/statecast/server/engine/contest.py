"""Two models beside one another: one answers, the other observes the same rows and may take over; see `swap`."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable

from statecast.errors import SettingError, StatecastError
from statecast.model import archive
from statecast.model.trained import Model
from statecast.server.engine import swap
from statecast.server.engine.committer import Committer
from statecast.server.engine.receipts import ChallengerStatus
from statecast.server.engine.rounds import Rounds
from statecast.server.engine.swap import Challenger
from statecast.server.states.stepper import Stepper
from statecast.server.store.protocol import RIVAL, Store, Transaction

LOG = logging.getLogger("statecast.server")


class Contest:
    """The model that answers, and its challenger. Any thread may call, but the one that steps.

    Args:
        stepper: what the model that answers remembers.
        rounds: of its checkpoints.
        store: of both.
        committer: to the store.
        between: has something done between two batches, and returns when all before it is on the disk.
        checkpoint: has all states written, and returns when they are on the disk.
    """

    def __init__(
        self,
        stepper: Stepper,
        rounds: Rounds,
        store: Store,
        committer: Committer,
        between: Callable[[Callable[[], None]], None],
        checkpoint: Callable[[], None],
    ) -> None:
        self._stepper, self._rounds, self._store = stepper, rounds, store
        self._committer, self._between, self._checkpoint = committer, between, checkpoint
        self._challenger: Challenger | None = None
        self._turn = threading.Lock()  # of who changes challengers

    def challenge(self, model: Model, name: str, promote: bool = False) -> None:
        """Have another model observe the same rows; one that does so already is dismissed.

        Args:
            model: the model; it reads the same columns.
            name: of it, for people.
            promote: whether it takes over as soon as it can.

        Raises:
            SettingError: it cannot take over from the model that answers.
        """
        swap.require_alike(self._stepper.model, model)
        if len(self._stepper.served) < self._store.total:
            raise SettingError("models are changed while one server has all series: stop the other servers first")
        self.dismiss()
        with self._turn:
            stepper, commit = self._stepper, self._committer.commit
            number = swap.enrol(self._store, commit, stepper.number, stepper.model, model)

            self._checkpoint()

            def beginning() -> None:
                begin = self._rounds.hold = self._rounds.seq  # up to there rows are in the past, beyond it in the log
                self._challenger = Challenger(model, name, number, stepper, begin, self._store, commit, self._retain)

            self._between(beginning)
            commit(Transaction(notes={RIVAL: json.dumps([number, name, promote])}))
            challenger = self._challenger
            assert challenger is not None
            challenger.start()
        if promote:
            threading.Thread(target=self._promote_when_ready, args=(challenger,), daemon=True).start()

    def promote(self) -> None:
        """Have the challenger answer from now on, and the model that answered challenge it.

        Raises:
            SettingError: there is none, or it is not ready.
        """
        challenger = self._challenger
        if challenger is None:
            raise SettingError("there is no other model: send one first")
        challenger.require_ready()
        failures: list[StatecastError] = []

        def crowning() -> None:
            self._committer.wait(self._stepper.seq)
            try:
                if challenger is not self._challenger:
                    raise SettingError("the other model was dismissed meanwhile")
                self._rounds.interrupt(0)
                self._rounds.exchange(challenger.take_over(self._stepper, self._rounds.seq))
            except StatecastError as error:
                failures.append(error)

        self._between(crowning)
        if failures:
            raise failures[0]

    def resume(self) -> None:
        """Build the states of a challenger again that was there when the server before this one ended."""
        note = self._store.note(RIVAL)
        number, name, promote = json.loads(note) if note else (0, "", False)
        stored = next((item for item in self._store.models() if item.number == number), None)
        if not note or stored is None or number == self._store.champion():
            return
        try:
            self.challenge(archive.from_bytes(stored.content, f"the model {name} in the store"), name, promote)
        except StatecastError as error:
            LOG.warning("the model %s observes no longer beside: %s", name, error)

    def dismiss(self) -> None:
        """Have no other model observe any longer; its file stays in the store."""
        with self._turn:
            challenger, self._challenger = self._challenger, None
            if challenger is not None:
                challenger.close()
                self._between(lambda: self._retain(None))
                self._committer.commit(Transaction(retired=(challenger.stepper.number,), notes={RIVAL: ""}))

    @property
    def rival(self) -> Stepper | None:
        """What the challenger remembers; None where there is none."""
        challenger = self._challenger
        return None if challenger is None else challenger.stepper

    def status(self) -> ChallengerStatus | None:
        """How the challenger does; None where there is none."""
        challenger = self._challenger
        return None if challenger is None else challenger.status(self._committer.durable, self._stepper)

    def close(self) -> None:
        """Have the challenger observe nothing any longer, for the server ends."""
        if self._challenger is not None:
            self._challenger.close()

    def _promote_when_ready(self, challenger: Challenger) -> None:
        while not challenger.wait(1.0) and challenger is self._challenger:
            pass
        if challenger is self._challenger:
            with contextlib.suppress(StatecastError):  # the status tells why
                self.promote()

    def _retain(self, seq: int | None) -> None:
        self._rounds.hold = seq
