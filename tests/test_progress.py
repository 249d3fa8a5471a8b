"""How long a fit still takes: simulated fits on a clock of their own, against the time that they then took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from statecast.model.history import EVERY_ROW, SKIP_ALONE, TRAINING, joined
from statecast.report.remaining import Remaining
from statecast.train.progress import Progress, likely_end

STEPS, EVERY, PATIENCE = 600, 25, 5


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class SimulatedFit:
    """A fit whose validation loss stops falling after a step: one training, another on every row, then scoring.

    Attributes:
        best: step after which the loss does not fall any more.
        seconds: of each step, by the number of the step.
        scoring: seconds of calibrating and scoring.
    """

    best: int
    seconds: list[float] = field(default_factory=lambda: [4.0, *[0.1] * (2 * STEPS)])
    scoring: float = 5.0
    clock: Clock = field(default_factory=Clock)

    def reports(self) -> Iterator[Progress]:
        yield Progress.of_phase("preparing")
        self.clock.now += 3
        yield from self._training(TRAINING, STEPS)
        yield from self._training(EVERY_ROW, round(0.5 * self.best))
        for phase in ("calibrating", "scoring"):
            yield Progress.of_phase(phase)
            self.clock.now += self.scoring / 2

    def _training(self, phase: str, steps: int) -> Iterator[Progress]:
        for step in range(1, steps + 1):
            self.clock.now += self.seconds[step - 1]
            looked = step // EVERY * EVERY
            waited = max(looked - self.best, 0) if phase == TRAINING else 0
            patience = EVERY * PATIENCE if phase == TRAINING else 0
            end = likely_end(looked, steps, waited, patience)
            report = Progress(step, steps, 1.0, 0.5, 0.4, 1e-3, 10.0, 1.0, phase, waited=waited, end=end)
            again = 0.5 * report.best_step if phase == TRAINING else 0.0
            yield replace(report, later=again + self.scoring / 0.1)
            if phase == TRAINING and waited >= patience:
                return

    def estimates(self) -> list[tuple[float, float]]:
        """The time and the seconds left at each report that knows them, and at the seconds between two."""
        remaining, pairs = Remaining(self.clock), []
        for report in self.reports():
            remaining.take(report)
            if remaining.seconds is not None:
                pairs.append((self.clock.now, remaining.seconds))
        return pairs


@pytest.mark.parametrize("best", [600, 300, 100, 25])
def test_the_time_left_is_roughly_right_and_does_not_leap(best: int) -> None:
    fit = SimulatedFit(best)
    pairs = fit.estimates()
    total = fit.clock.now
    assert all(seconds >= 0 for _, seconds in pairs)
    # From one report to the next it moves with the clock, or towards a new estimate by a part of it.
    leaps = [abs((t0 - t1) - (s1 - s0)) for (t0, s0), (t1, s1) in pairwise(pairs)]
    assert max(leaps) < 4
    ends = [time + seconds for time, seconds in pairs]
    late = [end for (time, _), end in zip(pairs, ends, strict=True) if time > 0.6 * total]
    assert max(abs(end - total) for end in late) < 14
    if best == 600:  # nothing stops early, so it was right from the beginning
        assert max(abs(end - total) for end in ends) < 0.15 * total


def test_a_pause_makes_the_estimate_wait_and_not_negative() -> None:
    fit = SimulatedFit(600)
    fit.seconds[300] = 60.0
    pairs = fit.estimates()
    assert min(seconds for _, seconds in pairs) >= 0
    remaining = Remaining(fit.clock)
    assert remaining.seconds is None
    for step in (1, 2, 3):
        fit.clock.now += 1
        remaining.take(Progress(step, 10, 1.0, 0.5, None, 1e-3, 1.0, 1.0, end=10.0))
    fit.clock.now += 1000
    assert remaining.seconds == 0
    remaining.take(Progress.of_phase("calibrating"))
    assert remaining.seconds == 0


def test_a_training_is_likely_to_end_where_patience_does() -> None:
    assert likely_end(100, 600, 0, 125) == 600
    assert likely_end(225, 600, 125, 125) == 225
    ends = [likely_end(100 + waited, 600, waited, 125) for waited in range(0, 126, 25)]
    assert ends == sorted(ends, reverse=True) and max(a - b for a, b in pairwise(ends)) < 140
    assert likely_end(590, 600, 25, 125) <= 600
    assert likely_end(100, 600, 50, 0) == 600


def test_histories_are_joined_with_the_numbers_of_their_phases() -> None:
    row = {name: [1.0, 2.0] for name in ("step", "epoch", "loss", "val_loss", "learning_rate", "seconds")}
    whole = joined({TRAINING: row, SKIP_ALONE: {}, EVERY_ROW: row})
    assert whole["phase"] == [0, 0, 2, 2]
    assert whole["step"] == [1, 2, 1, 2]
