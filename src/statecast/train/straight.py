"""The skip alone, trained under the loss itself: what is tried where the whole network learned nothing.

Least squares start the skip, but most losses are of absolute errors, and recurrent layers that learn chance hide what
the skip could still gain. So a network without layers, of the same front and the same rows, moves nothing but the skip
and the head's biases; what it finds has its place in the whole network, whose layers stay as silent as at the start.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from statecast.config import Config
from statecast.model.initial import Start
from statecast.model.network import Network
from statecast.train import worth
from statecast.train.prepare import Prepared
from statecast.train.trainer import Trainer


def applies(config: Config, network: Network) -> bool:
    """Whether there is a skip beside layers that least squares started, and one head of one network."""
    layers = bool(network.stack.hidden or network.stack.dense)
    plain = not network.head.decoder and not network.members.local
    return layers and plain and worth.startable(config)


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
