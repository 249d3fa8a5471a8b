"""Whether what training gained on the validation rows is more than chance; where it is not, the start is kept.

Training starts from least squares on the last values, and ends with the weights that were the best at one of many looks
at the validation rows. Some look is good by luck: on rows that follow no rule the network would then forecast what it
learned of chance, where the start is nearly the last value. So the gain is held against its own standard error.

What training found need not be taken whole: the forecasts of a share of the way from the start to it err less wherever
part of it is chance (a shrunk combination of two forecasts: Diebold & Pauly, "The use of prior information in forecast
combination", International Journal of Forecasting 6, 1990). Skip and head are linear, so weights between the two give
the forecasts between the two.

Where the whole network learned nothing, the skip is tried alone, trained under the loss itself. Least squares start it,
but most losses are of absolute errors, and recurrent layers that learn chance hide what the skip could still gain. So a
network without layers, of the same front and the same rows, moves nothing but the skip and the head's biases; what it
finds has its place in the whole network, whose layers stay as silent as at the start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from statecast.config import Config
from statecast.model.initial import Start
from statecast.model.network import Network
from statecast.train.prepare import Prepared
from statecast.train.progress import Fitted
from statecast.train.trainer import Trainer

LINEAR = ("out", "mix")  # what the head puts out is linear in these
SHARES = (1.0, 0.75, 0.5, 0.25)  # of the way from the start to what training found

if TYPE_CHECKING:
    from jaxtyping import Float, Int64


def startable(config: Config) -> bool:
    """Whether the start is worth keeping: only one whose skip least squares made is."""
    return bool(config.skip) and config.skip_init == "ridge" and config.significance < 1


def kept(trainer: Trainer, prepared: Prepared, fitted: Fitted) -> Fitted:
    """As much of what training found as the validation rows support, or the start; `worth` says why.

    Args:
        trainer: knows settings and the losses of the validation rows.
        prepared: the first weights.
        fitted: what training found.
    """
    config = trainer.config
    if not startable(config) or fitted.best_step == 0 or not trainer.val_starts.size:
        return fitted
    before, weight, rows = (np.asarray(x).ravel() for x in trainer.origins(prepared.weights))
    there = weight > 0
    if not there.any():
        return fitted
    before, weight, rows = before[there], weight[there], rows[there]
    series = prepared.rows.series[rows]
    block = (prepared.rows.age[rows] + 1 - prepared.parts.train[series]) // config.horizon

    def taking(share: float) -> Taken:
        weights = between(prepared.weights, fitted.weights, share)
        after = np.asarray(trainer.origins(weights)[0]).ravel()[there]
        return Taken(share, weights, float(after.sum() / weight.sum()), *compared(before, after, weight, series, block))

    limit = NormalDist().inv_cdf(1 - config.significance)
    best = max(map(taking, SHARES), key=lambda taken: taken.gain - limit * taken.error)
    told = best.told(float(before.sum() / weight.sum()))
    if best.gain > limit * best.error:
        return replace(fitted, weights=best.weights, worth=told)
    told = f"{told}: no more than chance, so least squares on the last values is kept"
    return replace(fitted, weights=prepared.weights, best_step=0, worth=told)


@dataclass(frozen=True, eq=False)
class Taken:
    """A share of the way from the start to what training found.

    Attributes:
        share: how much.
        weights: there.
        loss: mean of the validation rows.
        gain, error: how much smaller it is than that of the start, and the standard error of that.
    """

    share: float
    weights: Any
    loss: float
    gain: float
    error: float

    def told(self, before: float) -> str:
        """In words, beside the loss of the start."""
        who = "training" if self.share == 1 else f"{self.share:.0%} of what training found"
        return f"{who} moved the validation loss from {before:.4g} to {self.loss:.4g}, standard error {self.error:.2g}"


def between(start: Any, found: Any, share: float) -> Any:
    """Weights whose forecasts lie between those of a start without layers' part and of what training found.

    Args:
        start: weights whose head takes nothing from the layers.
        found: what training made of them.
        share: of the way from the one to the other.
    """
    linear = {"skip": found["skip"], "head": {name: found["head"][name] for name in LINEAR if name in found["head"]}}
    first = {"skip": start["skip"], "head": {name: start["head"][name] for name in linear["head"]}}
    moved = jax.tree.map(lambda a, b: np.asarray(a + share * (b - a), b.dtype), first, linear)
    return {**found, "skip": moved["skip"], "head": {**found["head"], **moved["head"]}}


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


def applies(config: Config, network: Network) -> bool:
    """Whether there is a skip beside layers that least squares started, and one head of one network."""
    layers = bool(network.stack.hidden or network.stack.dense)
    plain = not network.head.decoder and not network.members.local
    return layers and plain and startable(config)


def alone(config: Config, network: Network, prepared: Prepared) -> tuple[Trainer, Prepared]:
    """A trainer of the skip, and its first weights: those of the whole network where it has them.

    Args:
        config: settings of the whole network.
        network: the whole network.
        prepared: its rows and its first weights.
    """
    single, first = network.single, prepared.weights
    if network.members.axis:
        first = jax.tree.map(lambda part: part[0], first)
    stack = replace(single.stack, hidden=(), dense=(), residual=False)
    bare = replace(single, stack=stack, head=replace(single.head, inputs=stack.outputs))
    settings = config.with_(hidden=(), dense=(), dropout=0, residual=False, ensemble=1, carry="zero")
    head = bare.head.init(np.random.default_rng(config.random_state), 0.0, Start())
    head["out"]["b"] = first["head"]["out"]["b"]
    fresh = stack.init(np.random.default_rng(config.random_state), Start())
    dtype = first["skip"]["W"].dtype
    weights = jax.tree.map(lambda part: np.asarray(part, dtype), first | {"stack": fresh, "head": head})
    found = replace(prepared, weights=weights)
    return Trainer(settings, bare, found, skip_alone=True), found


def into(whole: Any, found: Any) -> Any:
    """The whole network's weights with skip and biases of what `alone` trained, the same for every member."""
    out = {**whole["head"]["out"], "b": np.broadcast_to(found["head"]["out"]["b"], whole["head"]["out"]["b"].shape)}
    skip = {"W": np.broadcast_to(found["skip"]["W"], whole["skip"]["W"].shape)}
    placed = {**whole, "skip": skip, "head": {**whole["head"], "out": out}}
    return jax.tree.map(np.ascontiguousarray, placed)
