"""What training tells while it runs, and what it ends in.

Plain values, so that whoever watches a fit or judges it needs nothing of the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HISTORY = ("step", "epoch", "loss", "val_loss", "learning_rate", "seconds")


@dataclass(frozen=True)
class Report:
    """What the loop tells whoever watches.

    Attributes:
        step, steps: steps done, and steps at most.
        epoch: passes over the training rows.
        loss: of the last step.
        val_loss: of the last look at the validation rows; None where there are none.
        learning_rate: of the next step.
        rate: steps a second.
        seconds: since the fit began, over all its runs.
    """

    step: int
    steps: int
    epoch: float
    loss: float
    val_loss: float | None
    learning_rate: float
    rate: float
    seconds: float


Watch = Callable[[Report], None]


@dataclass(frozen=True, eq=False)
class Fitted:
    """The outcome of training.

    Attributes:
        weights: the best ones by the validation loss, or the last where there are no validation rows.
        history: one row for each look at the validation rows; columns as in `HISTORY`.
        steps: steps done.
        best_step: steps after which the weights were the best.
        seconds: time spent, over all runs of the fit.
        worth: what training gained beside chance, and what was kept for it; see `worth`.
    """

    weights: Any
    history: dict[str, list[float]]
    steps: int
    best_step: int
    seconds: float
    worth: str = ""
