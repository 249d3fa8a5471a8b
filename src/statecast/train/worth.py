"""Whether what training gained on the validation rows is more than chance; where it is not, the start is kept.

Training starts from least squares on the last values, and ends with the weights that were the best at one of many looks
at the validation rows. Some look is good by luck: on rows that follow no rule the network would then forecast what it
learned of chance, where the start is nearly the last value. So the gain is held against its own standard error.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

    from statecast.train.loop import Fitted
    from statecast.train.prepare import Prepared
    from statecast.train.trainer import Trainer


def kept(trainer: Trainer, prepared: Prepared, fitted: Fitted) -> Fitted:
    """What training found, or the start in its place; `worth` says why.

    Only a skip that least squares started is a start worth keeping.

    Args:
        trainer: knows settings and the losses of the validation rows.
        prepared: the first weights.
        fitted: what training found.
    """
    config = trainer.config
    startable = bool(config.skip) and config.skip_init == "ridge" and config.significance < 1
    if not startable or fitted.best_step == 0 or not trainer.val_starts.size:
        return fitted
    before, weight, rows = (np.asarray(x).ravel() for x in trainer.origins(prepared.weights))
    after = np.asarray(trainer.origins(fitted.weights)[0]).ravel()
    there = weight > 0
    if not there.any():
        return fitted
    before, after, weight, rows = before[there], after[there], weight[there], rows[there]
    series = prepared.rows.series[rows]
    block = (prepared.rows.age[rows] + 1 - prepared.parts.train[series]) // config.horizon
    gain, error = compared(before, after, weight, series, block)
    losses = (float(x.sum() / weight.sum()) for x in (before, after))
    told = "training moved the validation loss from {:.4g} to {:.4g}, standard error {:.2g}".format(*losses, error)
    if gain > NormalDist().inv_cdf(1 - config.significance) * error:
        return replace(fitted, worth=told)
    told = f"{told}: no more than chance, so least squares on the last values is kept"
    return replace(fitted, weights=prepared.weights, best_step=0, worth=told)


def compared(
    before: Float[np.ndarray, " n"],
    after: Float[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    series: Int64[np.ndarray, " n"],
    block: Int64[np.ndarray, " n"],
) -> tuple[float, float]:
    """How much smaller the mean loss is after training, and the standard error of that.

    Forecasts of one series are alike, and so are forecasts of one time: the error is the larger of those clustered by
    series and by block of time (Liang & Zeger 1986); 0 where there is but one of each.

    Args:
        before: sum of the losses of each forecast, by the first weights.
        after: the same, by what training found.
        weight: sum of the weights of each forecast.
        series: whose forecast each is.
        block: of which time each is.
    """
    difference = before.astype(np.float64) - after
    mean = float(difference.sum() / weight.sum())
    excess = (difference - mean * weight) / weight.sum()
    variance = 0.0
    for cluster in (series, block):
        each = np.bincount(np.unique(cluster, return_inverse=True)[1], excess)
        variance = max(variance, float((each**2).sum()) * len(each) / max(len(each) - 1, 1))
    return mean, variance**0.5
