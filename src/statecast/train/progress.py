"""What training tells while it runs, where it stands between two looks, and what it ends in.

Plain values, so that whoever watches a fit, judges it or writes its checkpoint needs nothing of the loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from statecast.model.history import HISTORY, TRAINING

PREPARING, WEIGHING = "preparing", "weighing the readings"
AS_TABLE = "training on sequences as a table"


@dataclass(frozen=True)
class Progress:
    """What a fit tells whoever watches.

    Attributes:
        step, steps: steps done, and steps at most; both 0 while the table is prepared.
        epoch: passes over the training rows.
        loss: of the last step; NaN before the first.
        val_loss: of the last look at the validation rows; None where there are none.
        learning_rate: of the next step.
        rate: steps a second.
        seconds: since this training began, over all its runs.
        phase: what the fit is at: "preparing", "training", "training the linear part", "learning from every row" or
            "training on sequences as a table" (further trainings, whose steps are counted anew), "weighing the
            readings" of a classifier, "calibrating" or "scoring".
        looked: whether the validation rows were looked at after this step; an exception that a watch raises here ends
            the training at the same step in every run, where elsewhere it depends on the clock.
        waited: steps since the validation loss was the least.
        end: the step at which this training is likely to end, early stopping counted in.
        later: what follows in this fit, as so many steps of this training, as far as can be told.
    """

    step: int
    steps: int
    epoch: float
    loss: float
    val_loss: float | None
    learning_rate: float
    rate: float
    seconds: float
    phase: str = TRAINING
    looked: bool = False
    waited: int = 0
    end: float = 0.0
    later: float = 0.0

    @property
    def best_step(self) -> float:
        """The step that is likely to be the best one in the end: as far before the end as the last best one is now."""
        return max(self.end - self.waited, 0.0)

    @classmethod
    def of_phase(cls, phase: str) -> Progress:
        """That a phase begins which takes no steps."""
        return cls(0, 0, 0.0, math.nan, None, 0.0, 0.0, 0.0, phase)


Watch = Callable[[Progress], None]


def likely_end(step: int, steps: int, waited: float, patience: float) -> float:
    """The step at which a training is likely to end.

    As long as the validation loss falls, all steps are likely to be made; the longer it has not, the likelier it is
    that patience runs out before. The estimate falls fast at first, so that whoever smooths it is not far behind in
    the end.

    Args:
        step: steps done.
        steps: steps at most.
        waited: steps since the validation loss was the least.
        patience: steps without a lower loss after which training stops; 0 for never.
    """
    if not patience:
        return float(steps)
    share = 1 - (1 - min(waited / patience, 1.0)) ** 2
    stop = min(step + max(patience - waited, 0.0), steps)
    return (1 - share) * steps + share * stop


@dataclass(frozen=True)
class LoopState:
    """Where a training stands after a look, apart from its arrays; it is what a checkpoint holds beside them.

    Attributes:
        step: steps done.
        best: least validation loss so far.
        waited: looks since then.
        factor: what `plateau` has made of the learning rate.
        seconds: time spent so far.
        history: columns of the training history.
        done: whether training has ended.
        least: least loss so far by each measure of each network, [measures][networks]; see `trainer.Look`.
        best_steps: steps after which that was, likewise.
    """

    step: int = 0
    best: float = math.inf
    waited: int = 0
    factor: float = 1.0
    seconds: float = 0.0
    history: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in HISTORY})
    done: bool = False
    least: list[list[float]] = field(default_factory=list)
    best_steps: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Training:
    """What a training ends in.

    Attributes:
        weights: the best ones by the validation loss, or the last where there are no validation rows.
        history: one row for each look at the validation rows; columns as in `HISTORY`.
        steps: steps done.
        best_step: steps after which the validation loss was the least; 0 where the first weights are kept.
        seconds: time spent, over all runs of the fit.
        choices: the best weights for each fold of the validation rows, chosen by others; empty where none judges.
        best_steps: steps after which each network was the best by each measure, `weights` first; see `LoopState`.
        share: how much of what training found is in `weights`; 0 where they are the first ones.
        skip_alone: whether it was the skip alone that was trained; `best_step` is then a step of that training.
        verdict: what training gained beside chance, and what was kept for it; see `judge`.
        skip_history: of the training of the skip alone; empty where there was none.
    """

    weights: Any
    history: dict[str, list[float]]
    steps: int
    best_step: int
    seconds: float
    choices: tuple[Any, ...] = ()
    best_steps: tuple[tuple[int, ...], ...] = ()
    share: float = 1.0
    skip_alone: bool = False
    verdict: str = ""
    skip_history: Mapping[str, list[float]] = field(default_factory=dict)
