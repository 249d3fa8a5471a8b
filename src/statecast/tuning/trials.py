"""One trial: the same settings fitted in every window, and how large their errors are on the rows that score.

A trial is a function of its settings and of what the trials before it showed, so it can be run anywhere. In the
earliest window it is pruned at a look at the validation rows if it does worse than most others at that point; these
rows score in no window, so that pruning favours none of those by which settings are judged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import Config
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.errors import StatecastError
from statecast.estimators import training
from statecast.forecast.hindcast.feed import Feed
from statecast.model.state import Layout, State
from statecast.model.trained import Model
from statecast.tuning.windows import Evidence, TuningWindow, Yardstick

if TYPE_CHECKING:
    from statecast.train.progress import Progress

FINISHED, PRUNED, FAILED = "finished", "pruned", "failed"
PLACES = 10  # points of a training at which looks are compared
FIRST_PLACE = 8  # the first at which a trial may end: while the rate is high, a good one can look bad
LEAST_TRIALS = 5  # that looks are compared with
KEPT = 2 / 3  # share of these that a trial must not be worse than

StepWatch = Callable[[int, "Progress"], None]


@dataclass(frozen=True, eq=False)
class TrialRecord:
    """What came of a trial.

    Attributes:
        number: from 0, the automatic choice, on.
        settings: those that it tries, beside the ones that are the same for all.
        state: "finished", "pruned" or "failed".
        score: mean scaled error over all windows; NaN where it did not finish.
        evidence: of each window.
        looks: the least validation loss in the earliest window so far, by tenths of the training.
        chosen: all settings as they were in the earliest window; None where it did not finish.
        steps: training steps in all windows.
        seconds: that it took.
        note: why it was pruned or failed.
    """

    number: int
    settings: Mapping[str, Any]
    state: str
    score: float = math.nan
    evidence: tuple[Evidence, ...] = ()
    looks: Mapping[int, float] = field(default_factory=dict)
    chosen: Config | None = None
    steps: int = 0
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class TrialTask:
    """A trial to run.

    Attributes:
        number: of the trial.
        settings: that it tries.
        limits: greatest loss at a look, by tenths of the training, with which it goes on.
        units: what losses of looks are measured in by the automatic choice; only such can be compared.
    """

    number: int
    settings: Mapping[str, Any]
    limits: Mapping[int, float] = field(default_factory=dict)
    units: str = ""


@dataclass(frozen=True, eq=False)
class TuningProblem:
    """What every trial runs over.

    Attributes:
        config: the settings that are the same for all trials.
        schema: what the columns are.
        panel: the table before its test rows.
        windows: of it, the earliest first.
        yardstick: how errors are counted; None until the automatic choice gives the season.
    """

    config: Config
    schema: Schema
    panel: Panel
    windows: tuple[TuningWindow, ...]
    yardstick: Yardstick | None = None

    def measured(self, season: int) -> TuningProblem:
        """The same, with errors in units of the changes over such a season."""
        squared = self.config.loss in ("mse", "normal")
        measure = Yardstick.of(self.panel, self.windows, self.config.horizon, season, squared)
        return replace(self, yardstick=measure)


class _Pruned(Exception):  # no error: a trial that ends early
    """A trial that does worse than most at a look."""


class _Looks:
    """Watches the training of the earliest window, and ends it where its looks are worse than they may be."""

    def __init__(self, limits: Mapping[int, float]) -> None:
        self.limits, self.best, self.losses = limits, math.inf, {}  # type: ignore[var-annotated]  # dict[int, float]

    def see(self, report: Progress) -> None:
        """Note a look, which is compared once in a tenth of the training."""
        if not report.looked or report.phase != "training" or report.val_loss is None:
            return
        self.best = min(self.best, report.val_loss)
        place = PLACES * report.step // max(report.steps, 1)
        if place and place not in self.losses:
            self._note(place)

    def end(self) -> None:
        """Note how the training ended, whether early or not."""
        if math.isfinite(self.best) and PLACES not in self.losses:
            self._note(PLACES)

    def _note(self, place: int) -> None:
        self.losses[place] = self.best
        if self.best > self.limits.get(place, math.inf):
            raise _Pruned(
                f"its validation loss was {self.best:.4g} after {place} tenths of the training in the earliest window, "
                f"where two trials in three had at most {self.limits[place]:.4g}"
            )


class TrialRunner:
    """Runs trials one after another, and keeps what they share: the rows, and the start of their forecasts."""

    def __init__(self, problem: TuningProblem) -> None:
        self.problem = problem
        recall = training.room("recall").Recall
        self._recalls = [recall() for _ in problem.windows]

    def run(self, task: TrialTask, watch: StepWatch | None = None) -> TrialRecord:
        """What comes of a trial; one that fails is a record, too, but for the automatic choice, whose error is raised.

        Args:
            task: the trial.
            watch: passes the number of the window and the progress of its fit.
        """
        began, looks = time.monotonic(), _Looks(task.limits)
        record = TrialRecord(task.number, task.settings, FAILED, looks=looks.losses)
        try:
            record = self._finished(task, looks, record, watch)
        except _Pruned as reason:
            record = replace(record, state=PRUNED, note=str(reason))
        except StatecastError as error:
            if not task.number:
                raise
            record = replace(record, note=str(error))
        # A study outlives any trial: memory that runs out, or what a library makes of odd settings, has many types.
        except Exception as error:
            if not task.number:
                raise
            record = replace(record, note=f"{type(error).__name__}: {error}")
        return replace(record, seconds=time.monotonic() - began)

    def _finished(self, task: TrialTask, looks: _Looks, record: TrialRecord, watch: StepWatch | None) -> TrialRecord:
        config, rooms = self.problem.config.with_(**task.settings), training.room("fit")
        evidence: list[Evidence] = []
        chosen: Config | None = None
        steps = 0
        with rooms.precision(config):
            for number, window in enumerate(self.problem.windows):
                beginning = rooms.begin(
                    config, self.problem.schema, self.problem.panel, window.parts, self._recalls[number]
                )
                chosen = chosen or beginning.config
                if self.problem.yardstick is None:
                    self.problem = self.problem.measured(beginning.config.season or 1)
                compared = not number and units_of(beginning.config) == (task.units or units_of(beginning.config))

                def passes(report: Progress, number: int = number, compared: bool = compared) -> None:
                    if watch:
                        watch(number, report)
                    if compared:
                        looks.see(report)

                trained = rooms.train(beginning.config, beginning.network, beginning.prepared, passes)
                if compared:
                    looks.end()
                steps += trained.steps
                evidence.append(self._errors(beginning, trained.weights, window))
        total = Evidence(np.concatenate([e.sums for e in evidence]), np.concatenate([e.counts for e in evidence]))
        if not math.isfinite(total.score):
            return replace(record, note="its forecasts are not finite")
        return replace(record, state=FINISHED, score=total.score, evidence=tuple(evidence), chosen=chosen, steps=steps)

    def _errors(self, beginning: Any, weights: Any, window: TuningWindow) -> Evidence:
        config, prepared = beginning.config, beginning.prepared
        empty = State.empty(Layout(()), np.dtype(config.dtype))
        arrays = weights, prepared.constants, empty
        model = Model(config, beginning.schema, beginning.network, *arrays, None, {}, {})
        assert self.problem.yardstick is not None
        return self.problem.yardstick.errors(model, Feed(self.problem.panel, beginning.panel, prepared.rows), window)


def units_of(config: Config) -> str:
    """What the losses of looks are measured in: settings that change it, as text."""
    return f"{config.loss} {config.huber_delta} {config.transform} {config.decoder}"


def limits_of(records: Sequence[TrialRecord]) -> dict[int, float]:
    """The greatest loss at each look with which a trial goes on, by what trials before it showed there.

    It is that of two trials in three: fewer are pruned than by the median, since one window is a noisy judge.
    """
    limits = {}
    for place in range(FIRST_PLACE, PLACES + 1):
        losses = [record.looks[place] for record in records if place in record.looks]
        if len(losses) >= LEAST_TRIALS:
            limits[place] = float(np.quantile(losses, KEPT))
    return limits
