"""How much each way to read sequences counts in the answer: the shares that err least on rows left out.

An answer is a mean of several, so what one reading misses another may tell, and where one is right alone it gets all.
Few rows tell little: shares that are best for these rows would be others for the next. So they are the mean of those
that are best for many draws of the rows (the Bayesian bootstrap, Rubin 1981), which lie between where luck decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from statecast.sequence_config import SequenceConfig
from statecast.train.sequences.trial import Problem, Trial, losses

if TYPE_CHECKING:
    from jaxtyping import Float

PARTS = 10  # shares that are compared are multiples of a tenth
DRAWS = 200
LEAST = 0.05  # smallest share that is worth its time


def weigh(config: SequenceConfig, problem: Problem, trials: Mapping[str, Trial]) -> tuple[Float[np.ndarray, " R"], str]:
    """The share of each reading, and why.

    Args:
        config: tells the loss.
        problem: what is to be learned.
        trials: by their names.
    """
    outcomes = np.stack([trial.predictions for trial in trials.values()])
    rows = np.isfinite(outcomes).all(axis=(0, 2)) & (problem.weight > 0)
    if not rows.any():
        return np.full(len(trials), 1 / len(trials)), "no rows are left out to weigh them by: they count the same"
    outcomes, target, weight = outcomes[:, rows], problem.target[rows], problem.weight[rows]

    def of(shares: Float[np.ndarray, " R"]) -> Float[np.ndarray, " n"]:
        return losses(config, np.tensordot(shares, outcomes, 1), target)

    candidates = compositions(len(trials))
    draws = weight * np.random.default_rng([config.random_state, 4]).exponential(size=(DRAWS, len(weight)))
    shares = candidates[np.argmin(draws @ np.stack([of(row) for row in candidates]).T, axis=1)].mean(axis=0).round(2)
    shares = np.where(shares < LEAST, 0, shares)
    shares /= shares.sum()
    alone, mixture = [
        ", ".join(f"{name} {number:.3g}" for name, number in zip(trials, numbers, strict=True) if number)
        for numbers in ([np.average(of(row), weights=weight) for row in np.eye(len(trials))], shares)
    ]
    together = np.average(of(shares), weights=weight)
    return shares, f"the loss on rows left out is {alone}; with shares of {mixture} it is {together:.3g}"


def compositions(count: int) -> Float[np.ndarray, "n R"]:
    """All shares in tenths that add up to 1, those with more of the first ones first."""

    def parts(count: int, total: int) -> Iterator[tuple[int, ...]]:
        if count == 1:
            yield (total,)
            return
        for first in range(total, -1, -1):
            yield from ((first, *rest) for rest in parts(count - 1, total - first))

    return np.array(list(parts(count, PARTS))) / PARTS
