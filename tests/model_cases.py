"""Networks, weights and series for the tests of the model room, and the executions that must agree on them.

Every execution is a function (network, p, inputs, reset) → forecasts [T, B, H, D, O] and the last state, so that a test
is a comparison of two of them. Weights that start at zero are moved away from it: a forgotten bias must show.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import reference

from statecast.config import Config
from statecast.model.cells import CELLS
from statecast.model.initial import Start
from statecast.model.kernel.network import NetworkStep
from statecast.model.network import Network
from statecast.model.rings import Rings
from statecast.model.state import Layout

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}  # relative to the scale of the values
STEPS, BATCH = 9, 3
COVARIATES = ("past", "known", "calendar", "static")

# A head by its name: the settings that make it.
HEADS: dict[str, dict[str, Any]] = {
    "point": {"loss": "mse"},
    "pinball": {"loss": "pinball"},
    "normal": {"loss": "normal"},
    "student_t": {"loss": "student_t"},
    "negative_binomial": {"loss": "negative_binomial"},
    "decoder": {"loss": "mse", "decoder": "lstm"},
    "decoder-pinball": {"loss": "pinball", "decoder": "gru"},
}

# hidden, dense, activation, residual
STRUCTURES: dict[str, tuple[tuple[int, ...], tuple[int, ...], str, bool]] = {
    "one-layer": ((3,), (), "relu", False),
    "deep-residual": ((3, 3, 2), (), "relu", True),
    "dense": ((2,), (4, 3), "gelu", False),
    "dense-residual": ((3,), (3, 3), "silu", True),
    "no-recurrence": ((), (), "relu", False),
    "dense-alone": ((), (4, 4), "tanh", True),
    "sigmoid": ((2,), (3,), "sigmoid", False),
    "rectified": ((2,), (3,), "relu", True),
    "linear": ((2,), (3,), "linear", False),
}


def build(
    cell: str = "lstm",
    normalize: str = "last",
    head: str = "point",
    structure: str = "one-layer",
    *,
    targets: int = 2,
    lags: int = 2,
    skip: int = 3,
    horizon: int = 2,
    columns: dict[str, int] | None = None,
    missing: bool = True,
    level_input: bool = True,
    decay: float = 0.2,
    hidden: tuple[int, ...] | None = None,
    maps: int = 0,
    holidays: tuple[str, ...] | None = None,
) -> Network:
    """A small network; `columns` counts the covariates, one or two of each kind where left out.

    `maps` counts the series that have a linear map of their own.
    """
    units, dense, activation, residual = STRUCTURES[structure]
    config = Config(
        cell=cell,
        hidden=units if hidden is None else hidden,
        dense=dense,
        activation=activation,
        residual=residual,
        normalize=normalize,
        decay=decay,
        lags=lags,
        skip=skip,
        horizon=horizon,
        missing=missing,
        level_input=level_input,
        local_skip=maps > 0,
        holidays=holidays,
        **HEADS[head],
        levels=(95, 50),
    )
    counts = {"past": 1, "known": 1, "calendar": 2, "static": 1} if columns is None else columns
    return Network.of(config, targets, **counts, series=maps)


def mapped(function: Any, tree: Any) -> Any:
    """`function` of every array of a tree."""
    return {k: mapped(function, v) for k, v in tree.items()} if isinstance(tree, dict) else function(tree)


def parameters(network: Network, seed: int = 0, dtype: Any = np.float64) -> dict[str, Any]:
    """Weights and constants with nothing left at zero or one."""
    rng = np.random.default_rng(seed)
    weights = mapped(lambda w: w + 0.3 * rng.standard_normal(w.shape), network.init(seed))
    front, d = network.front, network.front.targets
    constants = network.constants() | {
        "level": rng.normal(size=d),
        "spread": rng.uniform(0.5, 2, d),
        "deviation": rng.uniform(0.5, 2, d),
        "ring_gain": rng.uniform(0.5, 2, d),
        "output_gain": rng.uniform(0.5, 2, (network.head.horizon, d)),
    }
    for name in ("past", "known", "static"):
        constants[f"{name}_mean"] = rng.normal(size=getattr(front, name))
        constants[f"{name}_scale"] = rng.uniform(0.5, 2, getattr(front, name))
    constants |= {name: rng.normal(size=zeros.shape) for name, zeros in network.maps().items()}
    return mapped(lambda a: a.astype(dtype), {"weights": weights, "constants": constants})


def layer_parameters(cell: str, units: int = 3, inputs: int = 2, seed: int = 2) -> dict[str, np.ndarray]:
    """Weights of one layer with nothing left at zero; of two heads where the cell has heads and the units allow it."""
    rng = np.random.default_rng(seed)
    drawn = CELLS[cell].init(rng, inputs, units, Start(heads=2))
    return {name: value + rng.normal(size=value.shape) for name, value in drawn.items()}


def layer_state(cell: str, batch: int, units: int = 3, seed: int = 3) -> dict[str, np.ndarray]:
    """Some state that the layer can be in: the weight of an sLSTM's memory is at least 1, or 0 where there is none."""
    rng = np.random.default_rng(seed)
    state = {part: rng.normal(size=(batch, units)) for part in CELLS[cell].states}
    if "n" in state:
        empty = rng.random((batch, units)) < 0.3
        state |= {"n": np.where(empty, 0, 1 + abs(state["n"])), "c": np.where(empty, 0, state["c"])}
    return state


def series(
    network: Network, p: Any, steps: int, batch: int, seed: int = 1, *, gaps: float = 0.3, resets: float = 0.1
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs [T, B, …] with missing values and covariates, and resets [T, B]; the precision is that of p."""
    rng = np.random.default_rng(seed)
    front, dtype = network.front, p["constants"]["level"].dtype
    shape = (steps, batch, front.targets)
    m = rng.random(shape) >= gaps
    inputs = {"y": np.where(m, np.cumsum(rng.normal(size=shape), axis=0) + 2, 0), "m": m}
    for name in COVARIATES:
        if count := getattr(front, name):
            values = rng.normal(size=(steps, batch, count))
            if name != "calendar":
                values = np.where(rng.random(values.shape) < gaps, np.nan, values).astype(dtype)
                values = front.standardise(p["constants"], name, values)
            inputs[name] = values
    if front.future:
        inputs["future"] = rng.normal(size=(steps, batch, network.head.horizon, front.future))
    return {name: value.astype(dtype) for name, value in inputs.items()}, rng.random((steps, batch)) < resets


def like(p: Any) -> Any:
    """An array that tells library and precision."""
    return p["constants"]["level"]


def numbers(network: Network, p: Any, batch: int) -> Any:
    """Which training series each row is, [B, 1]: none of them, the first, the second, and so on, and again none."""
    return (np.arange(batch) % (network.series + 1))[:, None].astype(like(p).dtype)


def first_state(network: Network, p: Any, batch: int) -> Any:
    """The state of rows that have seen nothing."""
    xp = like(p).__array_namespace__()
    return network.start(p, batch, like(p), xp.asarray(numbers(network, p, batch)))


def scanned(network: Network, p: Any, inputs: Any, reset: Any) -> tuple[Any, Any]:
    """The whole sequence at once, in whatever array library the arguments are of."""
    start = first_state(network, p, reset.shape[1])
    state, forecast, _ = network.scan(p, start, inputs, reset)
    return forecast, state


def restarted(network: Network, p: Any, state: Any, rows: np.ndarray) -> Any:
    """The state with that of new series in `rows` [B] bool."""
    start = first_state(network, p, len(rows))
    return {name: np.where(rows.reshape(-1, *[1] * (part.ndim - 1)), start[name], part) for name, part in state.items()}


def stepped(network: Network, p: Any, inputs: Any, reset: np.ndarray) -> tuple[np.ndarray, Any]:
    """One step after the other."""
    state, out = first_state(network, p, reset.shape[1]), []
    for t in range(len(reset)):
        state = restarted(network, p, state, reset[t])
        state, forecast = network.step(p, state, {name: value[t] for name, value in inputs.items()})
        out.append(forecast)
    return np.stack(out), state


def natively(network: Network, p: Any, inputs: Any, reset: np.ndarray) -> tuple[np.ndarray, Any]:
    """As `stepped`, by the native kernel: rows of a table that is twice as long, in another order."""
    step, layout, batch = NetworkStep(network, p), Layout.of(network.parts()), reset.shape[1]
    index, out = np.arange(2 * batch)[::-2].copy(), []
    states = np.full((2 * batch, layout.size), np.nan, like(p).dtype)
    fresh = np.empty((batch, layout.size), like(p).dtype)
    layout.pack(first_state(network, p, batch), fresh)
    states[index] = fresh
    for t in range(len(reset)):
        states[index[reset[t]]] = fresh[reset[t]]
        values = np.where(inputs["m"][t] > 0, inputs["y"][t], np.nan).astype(np.float64)
        columns = [inputs[name][t] for name in COVARIATES if name in inputs]
        covariates = np.concatenate(columns, axis=-1) if columns else None
        out.append(step.step(states, values, covariates, inputs["future"][t] if "future" in inputs else None, index)[0])
    return np.stack(out), layout.unpack(states[index])


def segmented(network: Network, p: Any, inputs: Any, reset: np.ndarray) -> tuple[Any, Any]:
    """The way of training: statistics first, by NumPy; then the forecasts of all steps."""
    rows, rings, cells = prepared(network, p, inputs, reset)
    covariates = {name: value for name, value in inputs.items() if name not in ("y", "m")}
    covariates["series"] = np.broadcast_to(numbers(network, p, reset.shape[1]), (*reset.shape, 1))
    return network.segment(p, rows, rings, cells, covariates, reset, None)


def prepared(network: Network, p: Any, inputs: Any, reset: np.ndarray) -> tuple[Any, Rings, Any]:
    """Levels and scales of every step, where the rings lie, and the state that the cells start from."""
    batch = reset.shape[1]
    statistics = network.front.start(p["constants"], like(p), (batch,))
    rows, _ = network.front.scan(p["constants"], inputs["y"], inputs["m"], reset, statistics)
    blank = np.zeros((batch, network.front.ring, network.front.targets), like(p).dtype)
    rings = Rings.of(inputs["y"], inputs["m"], reset, blank, blank)
    level, scale = network.front.level_scale(rows, rings)
    return {"level": level, "scale": scale, "since": rows["since"]}, rings, network.cells(p, batch, like(p))


def rings_of(function: Any, rings: Rings) -> Rings:
    """The rings with `function` of every array, as `mapped` does."""
    arrays = {name: function(getattr(rings, name)) for name in ("values", "mask", "last", "age")}
    return replace(rings, **arrays)


def specification(network: Network) -> reference.Spec:
    """The same network for the reference."""
    front, stack = network.front, network.stack
    return reference.Spec(
        cell=stack.cell,
        hidden=stack.hidden,
        dense=stack.dense,
        activation=stack.activation,
        residual=stack.residual,
        targets=front.targets,
        lags=front.lags,
        skip=front.skip,
        normalize=front.normalize,
        decay=front.decay,
        missing=front.missing,
        level_input=front.level_input,
        horizon=network.head.horizon,
        outputs=network.head.width,
        family=network.head.family,
        decoder=network.head.decoder,
    )


def reference_rows(inputs: Any, reset: np.ndarray, b: int) -> list[reference.Row]:
    """Series b of a batch for the reference."""
    covariates = [inputs[name][:, b] for name in COVARIATES if name in inputs]
    joined = np.concatenate(covariates, axis=-1).tolist() if covariates else [[]] * len(reset)
    return [
        reference.Row(
            inputs["y"][t, b].tolist(),
            (inputs["m"][t, b] > 0).tolist(),
            bool(reset[t, b]),
            joined[t],
            inputs["future"][t, b].tolist() if "future" in inputs else None,
        )
        for t in range(len(reset))
    ]


def referred(network: Network, p: Any, inputs: Any, reset: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The reference: forecasts, and the last state in the package's names."""
    plain, spec = reference.plain(p), specification(network)
    trees = plain["weights"], plain["constants"]
    columns = [
        reference.run(replace(spec, number=int(number)), *trees, reference_rows(inputs, reset, b))
        for b, (number,) in enumerate(numbers(network, p, reset.shape[1]))
    ]
    last = [series[-1] for series in columns]
    state = {"count": [s.count for s in last], "since": [s.gap for s in last], "ring": [s.ring for s in last]}
    state |= {"held": [s.held for s in last], "scale": [s.scale for s in last]}
    state |= {name: [s.cells[name] for s in last] for name in network.stack.parts()}
    if network.front.normalize in ("last", "ewma"):
        state["level"] = [s.level for s in last]
    forecasts = np.array([[step.forecast for step in series] for series in columns])
    return np.moveaxis(forecasts, 0, 1), {name: np.array(part, float) for name, part in state.items()}


def close(result: Any, expected: Any, tolerance: float) -> None:
    """Equal to `tolerance` times the largest reference_of number, and of the same shape."""
    result, expected = np.asarray(result), np.asarray(expected)
    assert result.shape == expected.shape
    assert np.isfinite(result).all()
    if expected.size:
        np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance * max(float(np.abs(expected).max()), 1e-30))


def same_bits(result: Any, expected: Any) -> None:
    """Equal to the last bit, and of the same type."""
    result, expected = np.asarray(result), np.asarray(expected)
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    assert result.tobytes() == expected.tobytes()


# --- cases that several tables share, worked out once


@functools.cache
def case(*names: str, dtype: str = "float64") -> tuple[Network, Any, Any, np.ndarray]:
    """The network of `build(*names)`, its parameters, inputs and resets."""
    network = build(*names)
    p = parameters(network, 0, dtype)
    return (network, p, *series(network, p, STEPS, BATCH))


@functools.cache
def reference_of(*names: str, dtype: str = "float64") -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """What the reference says of it."""
    return referred(*case(*names, dtype=dtype))


def same_state(result: Any, state: dict[str, np.ndarray], tolerance: float) -> None:
    """A last state against the reference's."""
    for name in state.keys() - {"scale", "ring"}:
        close(result[name], state[name], tolerance)
    # Below what is not held lies what was there before a reset; nobody looks at it.
    close(np.asarray(result["ring"]) * state["held"], state["ring"], tolerance)
