"""Ways to read sequences are tried: each is trained, and answers the rows that it has not learned from.

By these answers they are compared, and weighed against one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import RegressorConfig, SequenceConfig
from statecast.data.sequences import Sequences
from statecast.model.readings import Reading
from statecast.train.loss import pointwise
from statecast.train.progress import Training

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

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
