"""JAX's scan, step and segment give the numbers of tests/reference.py, look at no later row, and compile once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from model_cases import (
    BATCH,
    STEPS,
    TOLERANCE,
    build,
    case,
    close,
    layer_parameters,
    layer_state,
    like,
    parameters,
    prepared,
    reference_of,
    referred,
    rings_of,
    same_bits,
    same_state,
    scanned,
    series,
    stepped,
)

from statecast.model import scan
from statecast.model.cells import CELLS
from statecast.model.scan import layer

# JAX compiles each of them anew, about a second each: so every cell, every normaliser with both heads, every structure.
COMPILED = [
    ("rnn_tanh", "last", "point", "deep-residual"),
    ("rnn_relu", "ewma", "pinball", "dense"),
    ("lstm", "window", "point", "one-layer"),
    ("lstm", "last", "pinball", "sigmoid"),
    ("gru", "global", "pinball", "dense-residual"),
    ("gru_reset_before", "none", "point", "rectified"),
    ("mingru", "window", "pinball", "deep-residual"),
    ("minlstm", "ewma", "point", "linear"),
    ("mingru", "global", "point", "no-recurrence"),
    ("minlstm", "none", "pinball", "dense-alone"),
    ("slstm", "last", "point", "deep-residual"),
    ("lru", "last", "pinball", "deep-residual"),
    ("gru", "last", "normal", "one-layer"),
    ("gru", "ewma", "student_t", "one-layer"),
    ("gru", "last", "negative_binomial", "one-layer"),
    ("gru", "last", "decoder", "one-layer"),
]
UNITS = 4  # of a layer alone; two heads where the cell has heads
# Every normaliser; the cells that are left out stand below, and in test_model_gradients.py.
DOUBLE = [COMPILED[1], *COMPILED[3:7]]


@pytest.mark.parametrize(
    ("names", "dtype"),
    [(names, "float32") for names in COMPILED] + [(names, "float64") for names in DOUBLE],
    ids=lambda part: part if isinstance(part, str) else "-".join(part),
)
def test_scan(names: tuple[str, ...], dtype: str) -> None:
    network, p, inputs, reset = case(*names, dtype=dtype)
    forecasts, last = reference_of(*names, dtype=dtype)
    with jax.enable_x64(dtype == "float64"):
        compiled, traces = counted(functools.partial(scanned, network))
        result, state = compiled(p, inputs, reset)
        # The same call with another future: no number up to t may change, and nothing is compiled again.
        t = STEPS // 2
        later, _ = compiled(p, disturbed(inputs, t), reset)
    assert len(traces) == 1
    assert result.dtype == dtype
    close(result, forecasts, TOLERANCE[dtype])
    same_state(state, last, TOLERANCE[dtype])
    same_bits(later[: t + 1], result[: t + 1])
    assert not np.array_equal(later[t + 1 :], result[t + 1 :])


def counted(function: Callable[..., Any]) -> tuple[Callable[..., Any], list[None]]:
    """The compiled function, and a list that grows by one each time it is compiled."""
    traces: list[None] = []

    def traced(*arguments: Any) -> Any:
        traces.append(None)
        return function(*arguments)

    return jax.jit(traced), traces


def disturbed(inputs: Any, t: int) -> Any:
    """Other values, masks and covariates in all rows after t."""
    after = (np.arange(len(inputs["y"])) > t)[:, None, None]
    changed = {name: np.where(after, 3 * value[::-1] - 1, value) for name, value in inputs.items() if name != "future"}
    changed |= {"future": np.where(after[..., None], -inputs["future"], inputs["future"])} if "future" in inputs else {}
    return changed | {"m": np.where(after, 1 - inputs["m"], inputs["m"])}


def test_maps_of_single_series() -> None:
    """Without the kernel, which has none of them in float64."""
    network = build("rnn_tanh", "last", "point", "no-recurrence", maps=2)
    p = parameters(network)
    inputs, reset = series(network, p, STEPS, BATCH)
    forecasts, _ = referred(network, p, inputs, reset)
    with jax.enable_x64():
        result, _ = jax.jit(functools.partial(scanned, network))(p, inputs, reset)
    close(result, forecasts, TOLERANCE["float64"])


@pytest.mark.parametrize("names", COMPILED[3:4], ids="-".join)
def test_step(names: tuple[str, ...]) -> None:
    network, p, inputs, _ = case(*names, dtype="float32")
    calm = np.zeros((STEPS, BATCH), bool)
    forecasts, last = stepped(network, p, inputs, calm)
    step, traces = counted(network.step)
    state = network.start(p, BATCH, jnp.asarray(like(p)))
    for t in range(STEPS):
        state, result = step(p, state, {name: value[t] for name, value in inputs.items()})
        close(result, forecasts[t], 1e-5)
    for name, part in last.items():
        close(state[name], part, 1e-5)
    assert len(traces) == 1


@pytest.mark.parametrize("names", [COMPILED[2], COMPILED[6]], ids="-".join)
def test_segment(names: tuple[str, ...]) -> None:
    """The way of training: statistics made by NumPy, the rest compiled."""
    network, p, inputs, reset = case(*names, dtype="float32")
    forecasts, last = reference_of(*names, dtype="float32")
    rows, rings, cells = prepared(network, p, inputs, reset)
    covariates = {name: value for name, value in inputs.items() if name not in ("y", "m")}

    def forecasts_of(p: Any, rows: Any, *arrays: Any) -> Any:
        return network.segment(p, rows, rings_of(jnp.asarray, rings), *arrays, None)

    result, cells = jax.jit(forecasts_of)(p, rows, cells, covariates, reset)
    close(result, forecasts, 1e-5)
    for name in cells:
        close(cells[name], last[name], 1e-5)


# --- layers alone


@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_with_resets_and_masks(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear recurrences under JAX both as a loop over time and as an associative scan."""
    rng = np.random.default_rng(3)
    equations, (w, x, state) = CELLS[cell], layer_case(cell, 7, 4)
    reset, mask = rng.random((7, 4)) < 0.3, rng.random((7, 4)) < 0.6
    executions = [layer(equations, w, x, state, reset, mask)]
    with jax.enable_x64(True):
        for parallel in (False, True) if equations.linear else (False,):
            monkeypatch.setattr(scan, "in_parallel", lambda _, parallel=parallel: parallel)
            compiled = jax.jit(functools.partial(layer, equations))
            executions.append(compiled(*map(to_jax, (w, x, state, reset, mask))))
    for b in range(4):
        start = {name: part[b].tolist() for name, part in state.items()}
        outputs, end = reference.run_layer(cell, reference.plain(w), x[:, b].tolist(), start, reset[:, b], mask[:, b])
        for result, ended in executions:
            close(result[:, b], outputs, 1e-12)
            for name in end:
                close(ended[name][b], end[name], 1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("library", ["numpy", "jax"])
def test_a_layer_over_no_steps(cell: str, library: str) -> None:
    w, x, state = layer_case(cell, 0, 4)
    if library == "jax":
        w, x, state = map(functools.partial(jax.tree.map, jnp.float32), (w, x, state))
    out, last = layer(CELLS[cell], w, x, state, None, None)
    assert out.shape == (0, 4, UNITS)
    assert out.dtype == x.dtype
    for name, part in state.items():
        same_bits(last[name], part)


def layer_case(cell: str, steps: int, batch: int) -> tuple[Any, np.ndarray, Any]:
    x = np.random.default_rng(2).normal(size=(steps, batch, 2))
    return layer_parameters(cell, UNITS), x, layer_state(cell, batch, UNITS)


def to_jax(tree: Any) -> Any:
    return jax.tree.map(jnp.asarray, tree)
