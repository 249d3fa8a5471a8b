"""The course of a study: the automatic choice, one trial after another, the verdict, and the fits at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.results import axes_of
from statecast.data.tabular.table import Table
from statecast.errors import Interrupted, SettingError
from statecast.estimators import Forecaster
from statecast.tuning import study
from statecast.tuning.budget import Budget
from statecast.tuning.pools import DEATHS, KILLED, TrialPool, pool_of
from statecast.tuning.progress import FITTING, TRYING, TuningProgress, TuningWatch
from statecast.tuning.result import Tuning
from statecast.tuning.space import SearchSpace, usual_space
from statecast.tuning.study import Entry, Proposal, Storage
from statecast.tuning.trials import (
    FAILED,
    FINISHED,
    TrialRecord,
    TrialRunner,
    TrialTask,
    TuningProblem,
    limits_of,
    units_of,
)
from statecast.tuning.verdict import AUTOMATIC, settings_text, verdict_of

if TYPE_CHECKING:
    from statecast.train.progress import Progress

FITS = 2 * 1.8  # time of the two fits at the end, in units of a window of the automatic choice: they learn every row


@dataclass(frozen=True, eq=False)
class Pending:
    """A trial that was proposed and has not ended.

    Attributes:
        number: of the trial.
        proposal: what it tries.
        lethal: whether it has ended its process before, so that it is not run again.
    """

    number: int
    proposal: Proposal
    lethal: bool


class Tuner:
    """One study, from its first trial to its last."""

    def __init__(
        self,
        problem: TuningProblem,
        search: SearchSpace | None,
        budget: Budget,
        storage: Storage | None,
        watch: TuningWatch,
    ) -> None:
        self.runner, self.search, self.budget, self.storage = TrialRunner(problem), search, budget, storage
        self.watch, self.interrupted = watch, False
        self.entries = storage.entries() if storage else []
        self.pending: deque[Pending] = deque()

    @property
    def records(self) -> list[TrialRecord]:
        """What came of the trials so far."""
        return [entry.record for entry in self.entries]

    def run(self, engine: str | None, workers: int | None) -> None:
        """Make all trials that there is time for; Ctrl-C ends them early.

        Raises:
            Interrupted: before the automatic choice was tried.
        """
        record = self.entries[0].record if self.entries else self._automatic()
        chosen = record.chosen
        assert chosen is not None
        if self.runner.problem.yardstick is None:
            self.runner.problem = self.runner.problem.measured(chosen.season or 1)
        rows = int(np.median(self.runner.problem.windows[0].parts.train))
        space = self.search or usual_space(chosen, self.runner.problem.config, rows, record.steps > 0)
        if not self.entries:
            self._keep(Entry(record, study.automatic(space, chosen)))
        if not self._may_begin():
            return
        pool = pool_of(engine, workers, self.runner, self._step)
        try:
            self._try(space, pool)
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            pool.close()
            for one in self.pending if self.storage else ():
                self.storage.cancel(one.number)  # type: ignore[union-attr]  # there is one, as the loop says

    def _automatic(self) -> TrialRecord:
        """The automatic choice, tried."""
        try:
            self._tell(TRYING, 0, {})
            record = self.runner.run(TrialTask(0, {}), self._step)
        except KeyboardInterrupt:
            raise Interrupted("interrupted before the automatic choice was tried: there is no result yet") from None
        if record.state != FINISHED:
            raise SettingError(f"the automatic choice cannot be scored: {record.note}")
        return record

    def _keep(self, entry: Entry) -> None:
        self.entries.append(entry)
        if self.storage:
            self.storage.add(entry)

    def _try(self, space: SearchSpace, pool: TrialPool) -> None:
        """Propose, begin and take trials; what is proposed depends on the order of their numbers alone."""
        exhausted = False
        while True:
            while len(self.pending) < pool.size and not exhausted and self._may_begin():
                proposal = self._proposal(space, pool.size)
                exhausted = proposal is None
                if proposal is not None:
                    self._submit(pool, proposal)
            if not self.pending:
                return
            self._collect(pool)

    def _may_begin(self) -> bool:
        """Whether there is time for one more trial, by how long those before it took."""
        seconds = [record.seconds for record in self.records]
        reserve = FITS * seconds[0] / len(self.runner.problem.windows)
        return self.budget.allows(self._next, float(np.mean(seconds)), reserve)

    @property
    def _next(self) -> int:
        """The number of the next trial."""
        return len(self.entries) + len(self.pending)

    def _known(self, number: int, size: int) -> int:
        """How many trials one may know of where `size` run at once: those that have ended for sure when it begins."""
        return min(max(number - size + 1, 1), len(self.entries))

    def _proposal(self, space: SearchSpace, size: int) -> Proposal | None:
        count = self._known(self._next, size)
        running = [entry.proposal for entry in self.entries[count:]] + [one.proposal for one in self.pending]
        seed = self.runner.problem.config.random_state
        return study.propose(space, seed, self._next, self.entries[:count], running)

    def _submit(self, pool: TrialPool, proposal: Proposal) -> None:
        automatic = self.entries[0].record.chosen
        number, earlier = self._next, self.records[: self._known(self._next, pool.size)]
        lethal = self.storage is not None and self.storage.begin(number) > DEATHS
        if not lethal:
            pool.submit(
                TrialTask(number, proposal.settings, limits_of(earlier), (automatic and units_of(automatic)) or "")
            )
        self.pending.append(Pending(number, proposal, lethal))

    def _collect(self, pool: TrialPool) -> None:
        one = self.pending[0]
        self._tell(TRYING, one.number, one.proposal.settings)
        failed = TrialRecord(one.number, one.proposal.settings, FAILED, note=KILLED)
        record = failed if one.lethal else pool.result()
        self.pending.popleft()
        self._keep(Entry(record, one.proposal))

    def result(self, rows: Table, source: Any, roles: Mapping[str, Any]) -> Tuning:
        """The verdict, and the fits of the automatic choice and of the best trial on the whole table.

        Args:
            rows: the table.
            source: it as it came, which is what is fitted where it is an array: forecasts are then arrays, too.
            roles: which columns play which role.

        Raises:
            Interrupted: Ctrl-C meanwhile.
        """
        config, fitted = self.runner.problem.config, source if axes_of(source) else rows
        verdict = verdict_of(self.records, config.significance)
        try:
            automatic = self._fitted(fitted, roles, {}, 0)
            tuned = self._fitted(fitted, roles, verdict.settings, verdict.best) if verdict.best else None
        except KeyboardInterrupt:
            kept = f"; the trials in {self.storage.path} are kept: resume the study" if self.storage else ""
            raise Interrupted(f"interrupted while the chosen network was fitted{kept}") from None
        forecaster = tuned if tuned is not None and verdict.taken else automatic
        scores = None if tuned is None else tuned.evaluation_
        return Tuning(
            forecaster, self.records, verdict, automatic.evaluation_, scores, roles, rows.native, self.interrupted
        )

    def _fitted(self, source: Any, roles: Mapping[str, Any], settings: Mapping[str, Any], number: int) -> Forecaster:
        """A fit on the whole table, as `Forecaster.fit` makes it."""
        forecaster = Forecaster(**self.runner.problem.config.with_(**settings).changed())
        watch = partial(self._tell, FITTING, number, settings, 0)
        return forecaster.fit(source, **roles, watch=watch)

    def _step(self, window: int, report: Progress) -> None:
        """Pass on the progress of a trial in this process."""
        one = self.pending[0] if self.pending else None
        settings = one.proposal.settings if one else {}
        self._tell(TRYING, one.number if one else 0, settings, window + 1, report)

    def _tell(
        self, phase: str, number: int, settings: Mapping[str, Any], window: int = 0, report: Progress | None = None
    ) -> None:
        finished = [record for record in self.records if record.state == FINISHED]
        best = min(finished, key=lambda record: record.score, default=None)
        gain = 1 - best.score / finished[0].score if best and finished[0].score > 0 else 0.0
        text = settings_text(settings) or AUTOMATIC
        places = window, len(self.runner.problem.windows)
        number_of_best, left = best.number if best else 0, self._seconds_left(phase)
        task = phase, number, self.budget.trials, text
        self.watch(TuningProgress(*task, *places, report, number_of_best, gain, left, len(self.entries)))

    def _seconds_left(self, phase: str) -> float | None:
        """About how long it will take: by the mean time of a trial, and by the clock where time is limited."""
        seconds = [record.seconds for record in self.records]
        if not seconds:
            return None
        fits = FITS * seconds[0] / len(self.runner.problem.windows)
        left = self.budget.seconds_left
        if self.budget.trials is not None and phase == TRYING:
            left = min(left, (self.budget.trials - len(self.entries)) * float(np.mean(seconds)) + fits)
        return max(fits if phase == FITTING else left, 0.0)
