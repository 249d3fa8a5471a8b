"""Small tables and settings for the tests of the train room, and a trainer that stands before its first step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from statecast.config import Config
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split, split
from statecast.model.network import Network
from statecast.train.choose import skip
from statecast.train.fit import network_of, precision
from statecast.train.prepare import Prepared, prepare
from statecast.train.segment_trainer import SegmentTrainer
from statecast.train.trainer import CALL
from statecast.train.working import WorkingTable

# Small enough to compile in about a second; everything that would be chosen from the data is given.
TINY: dict[str, Any] = {
    "horizon": 2,
    "cell": "rnn_tanh",
    "hidden": (2,),
    "lags": 2,
    "skip": 0,
    "segment": 8,
    "burn_in": 2,
    "shuffle": True,
    "batch_size": 2,
    "learning_rate": 0.01,
    "max_steps": 6,
    "eval_every": 2,
    "normalize": "last",
    "channels": "joint",
    "season": 1,
    "calendar": False,
    "missing": False,
    "level_input": False,
}


def settings(**values: Any) -> Config:
    return Config(**{**TINY, **values})


def panel_of(*series: Any) -> Panel:
    """A panel of the given series, each [T] or [T, D]."""
    parts = [
        np.asarray(values, np.float64).reshape(len(values), np.shape(values)[1] if np.ndim(values) > 1 else 1)
        for values in series
    ]
    rows = sum(map(len, parts))
    return Panel(
        y=np.concatenate(parts),
        time=np.concatenate([np.arange(len(part)) for part in parts]),
        offsets=np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64),
        ids=tuple(f"s{n}" for n in range(len(parts))),
        past=np.zeros((rows, 0)),
        known=np.zeros((rows, 0)),
        static=np.zeros((len(parts), 0)),
        ahead=np.zeros((0, 0)),
        ahead_offsets=np.zeros(len(parts) + 1, np.int64),
    )


def schema_of(panel: Panel) -> Schema:
    return Schema(target=tuple(f"y{d}" for d in range(panel.targets)), id="id", series=panel.ids)


def wave(rows: int, seed: int = 0, period: float = 12.0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(rows)
    return np.asarray(10 + np.sin(2 * np.pi * np.arange(rows) / period) + 0.1 * noise)


def ready(config: Config, panel: Panel) -> tuple[Network, Prepared, Split]:
    """The network and all that is prepared before the first step."""
    parts = split(panel.lengths, config.horizon, config.val_size, config.test_size)
    schema = schema_of(panel)
    network = network_of(config, schema, panel)
    with precision(config):
        table = WorkingTable.of(config, schema, panel, parts)
        return network, prepare(config, network, schema, panel, table, skip.best(config, table)[2]), parts


def one_step(config: Config, panel: Panel) -> tuple[SegmentTrainer, dict[str, Any], dict[str, Any]]:
    """A trainer, the arrays before the first step, and those after it."""
    network, prepared, _ = ready(config, panel)
    with precision(config):
        trainer = SegmentTrainer(config, network, prepared)
        before = trainer.begin(prepared.weights)
        after, _ = run(trainer, before, 0, 1)
    return trainer, before, after


def run(trainer: SegmentTrainer, arrays: dict[str, Any], step: int, count: int) -> tuple[dict[str, Any], np.ndarray]:
    """Some steps in one compiled call, and their losses."""
    rates = trainer.rates(step + np.arange(CALL)).astype(trainer.config.dtype)
    arrays, losses = trainer.run(arrays, trainer.batches(step, count), rates, np.asarray(count), np.asarray(step))
    return arrays, np.asarray(losses)[:count]


def leaves(tree: Any, path: str = "") -> dict[str, np.ndarray]:
    """The arrays of a tree by their paths."""
    if isinstance(tree, dict):
        return {key: leaf for name, below in tree.items() for key, leaf in leaves(below, f"{path}/{name}").items()}
    return {path: np.asarray(tree)}


def same_bits(a: Any, b: Any) -> bool:
    first, second = leaves(a), leaves(b)
    return first.keys() == second.keys() and all(first[k].tobytes() == second[k].tobytes() for k in first)


def compilations(function: Callable[[], Any]) -> int:
    """How often JAX compiles while a function runs."""
    count = 0

    def heard(name: str, seconds: float, **_: Any) -> None:
        nonlocal count
        count += name.endswith("backend_compile_duration")

    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        function()
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)
    return count
