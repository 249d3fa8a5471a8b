"""What tuning tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statecast.train.progress import Progress

TRYING, FITTING = "trying", "fitting"


@dataclass(frozen=True)
class TuningProgress:
    """Where tuning stands.

    Attributes:
        phase: "trying", or "fitting" once the trials have ended.
        trial: number of the running trial; 0 is the automatic choice.
        trials: how many there will be; None if only time limits them.
        settings: the settings that it tries, in words.
        window, windows: of the table, in which it is fitted; from 1 on, 0 where that is not known.
        report: the progress of that fit; None if it is not known.
        best: number of the best trial so far.
        gain: by what share it reduces the automatic choice's error.
        seconds_left: about how long it will take; None if that is not known.
        ended: the number of trials that have ended.

    Example:
        >>> seen = []
        >>> space = {"skip": [12, 24]}
        >>> tuning = sc.tune(table, horizon=12, max_steps=0, space=space, trials=2, watch=seen.append)
        >>> seen[-1].phase, seen[-1].trials
        ('fitting', 2)
    """

    phase: str
    trial: int
    trials: int | None
    settings: str
    window: int
    windows: int
    report: Progress | None
    best: int
    gain: float
    seconds_left: float | None
    ended: int


TuningWatch = Callable[[TuningProgress], None]
