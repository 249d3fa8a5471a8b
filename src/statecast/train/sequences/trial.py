"""Ways to read sequences are tried: each is trained, and answers the rows that it has not learned from.

By these answers they are compared, and weighed against one another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.sequences import Sequences
from statecast.model.sequences.readings import Reading
from statecast.sequence_config import RegressorConfig, SequenceConfig
from statecast.train.loss import pointwise
from statecast.train.progress import Training

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Shaped

FLOOR = 1e-12  # of a probability whose logarithm is taken


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be learned.

    Attributes:
        source: rows or sequences.
        target: codes of classes [n] int64, or standardised values [n, K].
        weight: of each sequence in the loss.
        answers: classes, or values of the target.
    """

    source: Sequences
    target: Shaped[np.ndarray, "n ..."]
    weight: Float[np.ndarray, " n"]
    answers: int

    @property
    def classes(self) -> bool:
        """Whether classes are to be told, rather than values."""
        return self.target.ndim == 1

    @property
    def equal_lengths(self) -> bool:
        """Whether all sequences are of one length."""
        return bool((self.source.lengths == self.source.lengths[0]).all())


@dataclass(frozen=True, eq=False)
class Trial:
    """A trained way to read sequences.

    Attributes:
        reading: it.
        predictions: its outcome for each row, learned from others alone: probabilities of classes, or standardised
            values; NaN for rows that every network has learned from.
        training: how its network was trained; None where there is none.
    """

    reading: Reading
    predictions: Float[np.ndarray, "n K"]
    training: Training | None


def losses(config: SequenceConfig, outcomes: Any, target: np.ndarray) -> Float[np.ndarray, " n"]:
    """The loss of each row: −log of the probability of its class, or as the settings say of its values' errors."""
    if isinstance(config, RegressorConfig):
        return np.asarray(pointwise(config, ())(outcomes - target))
    return np.asarray(-np.log(np.maximum(outcomes[np.arange(len(target)), target], FLOOR)))


def held_out(config: SequenceConfig, target: Shaped[np.ndarray, "n ..."]) -> Bool[np.ndarray, "members n"]:
    """Which rows each member keeps for validation, [members, n] bool: as large a share of every class, never all of it.

    The order is drawn once, and five members with a share of 0.2 are a five-fold cross-validation.
    """
    count = len(target)
    share = config.val_size if isinstance(config.val_size, float) else config.val_size / max(count, 1)
    groups = target if target.ndim == 1 else np.zeros(count, np.int64)
    order = np.random.default_rng([config.random_state, 1]).permutation(count)
    held = np.zeros((config.ensemble, count), bool)
    ahead = 0.0  # shares of small classes are evened out over the classes
    for group in np.unique(groups):
        rows = order[groups[order] == group]
        ahead += min(share, 0.5) * len(rows)
        size = min(int(ahead + 1e-9), len(rows) - 1)
        ahead -= size
        # Members begin evenly spaced over a class's rows, so that its rows are held out equally often.
        stride = len(rows) / config.ensemble
        for member in range(config.ensemble):
            first = round(member * stride)
            held[member, rows[(first + np.arange(size)) % len(rows)]] = True
    return held


def held_out_outcomes(
    config: SequenceConfig, problem: Problem, outcomes_of: Callable[[int, np.ndarray], Float[np.ndarray, "m K"]]
) -> Float[np.ndarray, "n K"]:
    """The outcome for each row, as the mean over the members that hold it out; NaN for rows that none does.

    Args:
        config: tells how many members there are, and how much each holds out.
        problem: what is to be learned.
        outcomes_of: (member, its rows [m]) → outcomes for these rows, learned from others alone.
    """
    held = held_out(config, problem.target)
    total = np.zeros((problem.source.count, problem.answers))
    for member, rows in enumerate(map(np.flatnonzero, held)):
        if len(rows):
            total[rows] += outcomes_of(member, rows)
    times = held.sum(axis=0)[:, None]
    return np.where(times > 0, total / np.maximum(times, 1), np.nan)
