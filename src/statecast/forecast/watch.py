"""Is a value unusual? Each is scored under the forecasts that were made for it before it came.

A stream remembers forecasts until their values arrive, for its intervals (`model.adaptive`), and so a score costs
nothing more. Two things are looked at: where the value lies by the latest forecast, and where it lies by all of them
together, the mean over the watched steps ahead. The latest forecast tells of a value that stands out; older ones, which
do not know yet what has come since, tell of a series that has left its way. Both become normal scores by how they were
distributed in the table (`model.tails`), and the more unusual of the two counts, at the price of having looked twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from statecast.model import tails
from statecast.model.heads.special import normal_upper
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64


def learned(watch: Float[np.ndarray, "N W D"]) -> Float64[np.ndarray, "P 2 D"]:
    """How the positions of values are distributed, from what `Adaptive` tells of the rows of a table."""
    _, _, size = watch.shape
    scored = watch[:, 2] > 0
    columns = [[tails.learned(watch[scored[:, d], n, d]) for d in range(size)] for n in range(2)]
    return np.moveaxis(np.array(columns), -1, 0)


def scores(
    model: Model, watch: Float[np.ndarray, "N W D"] | None, shape: tuple[int, int]
) -> Float64[np.ndarray, "N D"]:
    """The normal scores of the last values of some rows of states; NaN where nothing was forecast of one.

    Args:
        model: whose states they are.
        watch: what `Adaptive` tells of them; None where the model does not watch.
        shape: of the result.
    """
    if watch is None or model.tails is None:
        return np.full(shape, np.nan)
    latest, together = (tails.scores(model.tails[:, n], watch[:, n]) for n in range(2))
    if len(watch) and model.network.head.horizon == 1:
        score = latest
    else:
        score = np.where(np.abs(together) > np.abs(latest), together, latest)
        usual = tails.two_sided(score)
        probability = usual * (
            2 - usual
        )  # the price of two looks, 1 − (1 − p)², which is exact where they are independent
        score = np.copysign(normal_upper(probability / 2), score)
    return np.where(watch[:, 2] > 0, score, np.nan)


def unusual(model: Model, score: Float64[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Whether values with these scores are less usual than the setting `false_alarms` allows; not where NaN."""
    bound = normal_upper(np.array(model.config.false_alarms / 2))
    return np.asarray(np.abs(score) > bound)
