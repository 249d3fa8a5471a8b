"""Losses of a forecast at every step of a segment, and the gather that feeds it.

Errors are divided by a constant of their series and target, the deviation of its training rows, so that a large series
does not drown a small one. What is missing, of another part of the split, or within the burn-in has weight 0; the rest
counts by the weight of the row that is forecast, where the table has weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from statecast.config import Config
from statecast.model.heads.head import Head
from statecast.model.network import Network
from statecast.model.rings import Rings, slices
from statecast.model.stack import Drop
from statecast.sequence_config import RegressorConfig

MEDIANS = ("mae", "huber", "pinball")  # losses whose best forecast is a median: they count the sizes of errors


@dataclass(frozen=True)
class Segments:
    """What a compiled step needs to know of segments.

    Attributes:
        length: L.
        burn_in: steps without loss.
        every: steps between two whose forecasts carry a loss.
    """

    length: int
    burn_in: int
    every: int = 1

    @property
    def outputs(self) -> np.ndarray:
        """The steps [N] whose forecasts carry a loss; the last step is one of them."""
        return np.arange(self.length - 1, self.burn_in - 1, -self.every)[::-1]


def pointwise(config: Config | RegressorConfig, quantiles: tuple[float, ...]) -> Callable[[Array], Array]:
    """The loss of scaled errors ŷ − y [..., O], averaged over the last axis.

    mse: e²; mae: |e|; huber: e²/2 within δ, δ(|e| − δ/2) beyond (Huber 1964); pinball: max(q·(−e), (q − 1)·(−e))
    (Koenker & Bassett 1978), twice it, so that the median's share equals the absolute error.
    """
    delta = config.huber_delta

    def huber(e: Any) -> Any:
        xp = e.__array_namespace__()
        return xp.where(xp.abs(e) <= delta, 0.5 * e * e, delta * (xp.abs(e) - 0.5 * delta))

    # NumPy or JAX: trained networks are compared by the same loss as they are trained by.
    table: dict[str, Callable[[Any], Any]] = {"mse": lambda e: e * e, "mae": abs, "huber": huber}
    if config.loss == "pinball":
        q = jnp.asarray(quantiles)
        return lambda e: jnp.mean(2 * jnp.maximum(-q * e, (1 - q) * e), axis=-1)
    return lambda e: table[config.loss](e).mean(axis=-1)


def of_forecasts(config: Config, head: Head) -> Callable[[Array, Array, Array], Array]:
    """The loss of forecasts [..., H, D, O] of values [..., H, D], given a scale of the values that broadcasts to them.

    For a distribution, the negative log-likelihood of the values in units of the scale (of counts as they are);
    otherwise `pointwise` of the errors in those units.
    """
    distribution = head.distribution
    if distribution is None:
        error_of = pointwise(config, head.quantiles)
        return lambda forecast, y, scale: error_of((forecast - y[..., None]) / scale[..., None])
    if distribution.counts:
        return lambda forecast, y, scale: -distribution.log_density(forecast, y)
    return lambda forecast, y, scale: -distribution.log_density(forecast, y) - jnp.log(scale)


def cross_entropy(scores: Array, codes: Array) -> Array:
    """−log softmax(scores)[code] of scores [B, K] and codes of classes [B]: the log-loss of each row [B]."""
    chosen = jnp.take_along_axis(scores, codes[:, None], axis=-1)[:, 0]
    return jax.nn.logsumexp(scores, axis=-1) - chosen


def gather(
    network: Network, data: dict[str, Array], tape: dict[str, Array], starts: Array, segments: Segments
) -> dict[str, Any]:
    """Everything of the segments that begin at `starts` [B] on the tape: time-major, in the network's terms.

    Args:
        network: tells the sizes.
        data: rows of the panel, from `prepare.device_rows`.
        tape: rows, reset, limit and scored; "weight", where places do not count alike; "begin" and "end", where the
            segments are of a part of the tape alone.
        starts: places on the tape; a segment may begin before it or end after it.
        segments: length and burn-in.
    """
    size, horizon = network.front.ring, network.head.horizon
    place = starts[None, :] + jnp.arange(segments.length)[:, None]
    inside = (place >= tape.get("begin", 0)) & (place < tape.get("end", tape["rows"].shape[0]))
    at = jnp.clip(place, 0, tape["rows"].shape[0] - 1)
    rows = tape["rows"][at]
    inputs: dict[str, Array] = {name: data[name][rows] for name in ("past", "known", "calendar") if name in data}
    if "static" in data:
        inputs["static"] = data["static"][data["series"][rows]]
    if network.series:
        inputs["series"] = data["numbers"][data["series"][rows]]
    reset = tape["reset"][at] & inside | (place == 0)
    statistics = {name: data[name][rows] for name in ("level", "scale", "since")}
    # The flat values carry `size` blank rows before the panel's and the horizon's after: no slice leaves them.
    rings = Rings(data["y"], data["m"], rows + size, data["age"][rows], size)
    # From here on the output steps alone.
    at, origins, scored = (array[segments.outputs] for array in (at, rows, inside & tape["scored"][at]))
    if "future" in data:
        inputs["future"] = slices(data["future"], data["place"][origins] + 1, horizon)
    before_limit = origins[..., None] + jnp.arange(1, horizon + 1) < tape["limit"][at][..., None]
    weight = (before_limit[..., None] * _weights(tape, at, scored)[..., None, None]).astype(data["m"].dtype)
    if "weight" in data:
        weight = weight * slices(data["weight"], origins + 1 + size, horizon)
    return {
        "rows": statistics,
        "rings": rings,
        "inputs": inputs,
        "reset": reset,
        "outputs": segments.outputs,
        "origins": origins,
        "target": slices(data["y"], origins + 1 + size, horizon),
        "weight": slices(data["m"], origins + 1 + size, horizon) * weight,
        "loss_scale": data["loss_scale"][data["series"][origins]],
    }


def _weights(tape: dict[str, Array], at: Array, scored: Array) -> Array:
    """The weight of each step [N, B] in the loss, of which all segments have as much: see `Sampler.weight`."""
    if "weight" not in tape:
        return scored
    weight = jnp.where(scored, tape["weight"][at], 0)
    return weight * len(at) / jnp.maximum(jnp.sum(weight, axis=0), 1e-30)


def segment_loss(
    network: Network,
    loss_of: Callable[[Array, Array, Array], Array],
    p: Any,
    batch: dict[str, Any],
    cells: Any,
    drop: Drop | None,
) -> tuple[Array, Array, Any]:
    """Weighted losses of the forecasts from each output step of a batch of segments, summed over their steps [N, B].

    With the sums of the weights [N, B], and the cells' last state.
    """
    rows, inputs, outputs = batch["rows"], batch["inputs"], batch["outputs"]
    forecast, cells = network.segment(p, rows, batch["rings"], cells, inputs, batch["reset"], drop, outputs)
    return *weighted(loss_of, forecast, batch), cells


def segment_errors(network: Network, p: Any, batch: dict[str, Any], cells: Any) -> tuple[Array, Array]:
    """Scaled errors [N, B, H, D] of the point forecasts of a batch of segments, times the roots of their weights.

    With the sum of these: over it, the sum of the squares of the errors is the batch's loss "mse".
    """
    rows, inputs, outputs = batch["rows"], batch["inputs"], batch["outputs"]
    forecast, _ = network.segment(p, rows, batch["rings"], cells, inputs, batch["reset"], None, outputs)
    error = (forecast[..., 0] - batch["target"]) / batch["loss_scale"][:, :, None, :]
    return error * jnp.sqrt(batch["weight"]), jnp.sum(batch["weight"])


def weighted(
    loss_of: Callable[[Array, Array, Array], Array], forecast: Array, batch: dict[str, Any]
) -> tuple[Array, Array]:
    """Weighted losses of the forecasts [N, B, H, D, O] of a batch, and their weights, summed over the steps [N, B]."""
    losses = loss_of(forecast, batch["target"], batch["loss_scale"][:, :, None, :])
    return jnp.sum(losses * batch["weight"], axis=(-2, -1)), jnp.sum(batch["weight"], axis=(-2, -1))
