"""How long a fit still takes in all: from how fast its steps come, and from what it says is likely to follow.

An estimate that leaps is worse than none, so it counts down like a clock and is drawn towards what the latest report
says, the faster the less time is left: after a report that says half as much it comes down within seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statecast.train.progress import Progress

SLOWEST = 1.5  # seconds in which an estimate goes two thirds of the way to a new one, at least
SHARE = 0.03  # or this share of the time left, where that is more
PRIOR = 20  # steps for which the pace of the training before counts in the next


class Remaining:
    """The estimate of one fit.

    Args:
        clock: returns the time in seconds.
        writing: seconds that are needed when the fit is done, for pictures and files.
    """

    def __init__(self, clock: Callable[[], float], writing: float = 0.0) -> None:
        self._clock, self._writing = clock, writing
        self._estimate: float | None = None  # seconds left at `_time`
        self._time = clock()
        self._phase, self._first = "", (0, 0.0)  # the training that runs: its steps and time at the first report
        self._pace = math.nan  # seconds a step takes
        self._later = 0.0  # steps' worth of work after the training that runs

    def take(self, report: Progress) -> None:
        """Learn from a report."""
        if report.steps:
            self._later = report.later
            self._measure(report)
            if math.isfinite(self._pace):
                rest = max((report.end or report.steps) - report.step, 0.0)
                self._approach(self._pace * (rest + report.later) + self._writing)
        elif self._estimate is not None:
            # What the trainings were expected to take is over, whether or not they did.
            self._settle(min(self._counted(), self._pace * self._later + self._writing))

    @property
    def seconds(self) -> float | None:
        """What is left, at least 0; None as long as nothing is known."""
        return None if self._estimate is None else self._counted()

    def _measure(self, report: Progress) -> None:
        """The mean pace of this training since its first report, which may have waited for a compiler."""
        now = self._clock()
        if report.phase != self._phase or report.step < self._first[0]:
            self._phase, self._first = report.phase, (report.step, now)
            return
        steps, seconds = report.step - self._first[0], now - self._first[1]
        if steps and seconds > 0:
            before = 0.0 if math.isnan(self._pace) else PRIOR * self._pace
            count = 0 if math.isnan(self._pace) else PRIOR
            self._pace = (before + seconds) / (count + steps)

    def _counted(self) -> float:
        assert self._estimate is not None
        return max(self._estimate - (self._clock() - self._time), 0.0)

    def _approach(self, estimate: float) -> None:
        """Move towards an estimate, by a share that grows with the time since the last one."""
        if self._estimate is None:
            return self._settle(estimate)
        counted, passed = self._counted(), self._clock() - self._time
        share = 1 - math.exp(-passed / max(SLOWEST, SHARE * counted))
        return self._settle(counted + share * (estimate - counted))

    def _settle(self, estimate: float) -> None:
        self._estimate, self._time = estimate, self._clock()
