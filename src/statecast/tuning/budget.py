"""How many trials there are, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

import numpy as np

from statecast.errors import SettingError

TRIALS = 20


@dataclass(frozen=True)
class Budget:
    """How long trials are made.

    Attributes:
        trials: in all; None where time alone limits them.
        minutes: for all; None where their number alone limits them.
        began: when, by the monotonic clock.
    """

    trials: int | None
    minutes: float | None
    began: float = field(default_factory=monotonic)

    @classmethod
    def of(cls, trials: int | None, minutes: float | None) -> Budget:
        """The budget that was asked for.

        Raises:
            SettingError: it is out of range.
        """
        if trials is not None and (isinstance(trials, bool) or not isinstance(trials, int | np.integer) or trials < 1):
            raise SettingError(f"trials = {trials!r}: expected a whole number of at least 1")
        is_number = isinstance(minutes, int | float | np.number) and not isinstance(minutes, bool)
        if minutes is not None and not (is_number and 0 < float(minutes) < float("inf")):
            raise SettingError(f"minutes = {minutes!r}: expected a number above 0")
        return cls(TRIALS if trials is None and minutes is None else trials, minutes)

    @property
    def seconds_left(self) -> float:
        """Until the time is up."""
        return float("inf") if self.minutes is None else 60 * self.minutes - (monotonic() - self.began)

    def allows(self, number: int, seconds: float, reserve: float) -> bool:
        """Whether a trial may begin that takes so long, where so much time is kept for the fits at the end."""
        return (self.trials is None or number < self.trials) and seconds + reserve <= self.seconds_left
