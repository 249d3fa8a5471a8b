"""One recurrence, many executions: step, scan and segment, NumPy and JAX, give the numbers of tests/reference.py."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from model_cases import (
    STRUCTURES,
    build,
    close,
    like,
    parameters,
    prepared,
    reference_rows,
    referred,
    same_bits,
    scanned,
    segmented,
    series,
    specification,
    stepped,
)

from statecast import config
from statecast.model.cells import CELLS
from statecast.model.network import Network
from statecast.model.scan import layer

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
HEADS = ("point", "pinball")
STEPS, BATCH = 9, 3

# Every cell × normaliser × head; the structures take turns, so that each meets each cell and each normaliser.
NAMES = list(STRUCTURES)
TABLE = [
    (cell, normalize, head, NAMES[(c + n * 2 + h * 5) % len(NAMES)])
    for (c, cell), (n, normalize), (h, head) in itertools.product(
        enumerate(CELLS), enumerate(config.NORMALIZERS), enumerate(HEADS)
    )
] + [("lstm", "ewma", "point", structure) for structure in STRUCTURES]

# JAX compiles each shape anew: every cell, every normaliser with both heads, every structure once.
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
]


@functools.cache
def case(*names: str, dtype: str = "float64") -> tuple[Network, Any, Any, np.ndarray]:
    network = build(*names)
    p = parameters(network, 0, dtype)
    return (network, p, *series(network, p, STEPS, BATCH))


@functools.cache
def wanted(*names: str, dtype: str = "float64") -> tuple[np.ndarray, dict[str, np.ndarray]]:
    return referred(*case(*names, dtype=dtype))


def same_state(found: Any, state: dict[str, np.ndarray], tolerance: float) -> None:
    for name in state.keys() - {"scale", "ring"}:
        close(found[name], state[name], tolerance)
    # Below what is not held lies what was there before a reset; nobody looks at it.
    close(np.asarray(found["ring"]) * state["held"], state["ring"], tolerance)


def test_the_settings_name_the_cells() -> None:
    assert tuple(CELLS) == config.CELLS


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("names", TABLE, ids="-".join)
def test_numpy_step_scan_and_segment(names: tuple[str, ...], dtype: str) -> None:
    network, p, inputs, reset = case(*names, dtype=dtype)
    forecasts, last = wanted(*names, dtype=dtype)
    for execution in (stepped, scanned):
        found, state = execution(network, p, inputs, reset)
        assert found.dtype == dtype
        close(found, forecasts, TOLERANCE[dtype])
        assert {name: part.dtype for name, part in state.items()} == dict.fromkeys(network.parts(), np.dtype(dtype))
        same_state(state, last, TOLERANCE[dtype])
    found, cells = segmented(network, p, inputs, reset)
    close(found, forecasts, TOLERANCE[dtype])
    for name in cells:
        close(cells[name], last[name], TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("names", COMPILED, ids="-".join)
def test_jax_scan(names: tuple[str, ...], dtype: str) -> None:
    network, p, inputs, reset = case(*names, dtype=dtype)
    forecasts, last = wanted(*names, dtype=dtype)
    with jax.enable_x64(dtype == "float64"):
        compiled = jax.jit(functools.partial(scanned, network))
        found, state = compiled(p, inputs, reset)
        # The same call with another future: no number up to t may change, and nothing is compiled again.
        t = STEPS // 2
        later, _ = compiled(p, disturbed(inputs, t), reset)
        assert compiled._cache_size() == 1
    assert found.dtype == dtype
    close(found, forecasts, TOLERANCE[dtype])
    same_state(state, last, TOLERANCE[dtype])
    same_bits(later[: t + 1], found[: t + 1])
    assert not np.array_equal(later[t + 1 :], found[t + 1 :])


def disturbed(inputs: Any, t: int) -> Any:
    """Other values, masks and covariates in all rows after t."""
    after = (np.arange(len(inputs["y"])) > t)[:, None, None]
    changed = {name: np.where(after, 3 * value[::-1] - 1, value) for name, value in inputs.items() if name != "future"}
    changed |= {"future": np.where(after[..., None], -inputs["future"], inputs["future"])} if "future" in inputs else {}
    return changed | {"m": np.where(after, 1 - inputs["m"], inputs["m"])}


@pytest.mark.parametrize("names", COMPILED[2:4], ids="-".join)
def test_jax_step(names: tuple[str, ...]) -> None:
    network, p, inputs, _ = case(*names, dtype="float32")
    calm = np.zeros((STEPS, BATCH), bool)
    forecasts, last = stepped(network, p, inputs, calm)
    step = jax.jit(network.step)
    state = network.start(p, BATCH, jnp.asarray(like(p)))
    for t in range(STEPS):
        state, found = step(p, state, {name: value[t] for name, value in inputs.items()})
        close(found, forecasts[t], 1e-5)
    for name, part in last.items():
        close(state[name], part, 1e-5)
    assert step._cache_size() == 1


@pytest.mark.parametrize("names", [COMPILED[2], COMPILED[6], COMPILED[9]], ids="-".join)
def test_jax_segment(names: tuple[str, ...]) -> None:
    """The way of training: statistics and rings made by NumPy, the rest compiled."""
    network, p, inputs, reset = case(*names, dtype="float32")
    forecasts, last = wanted(*names, dtype="float32")
    rows, cells = prepared(network, p, inputs, reset)
    covariates = {name: value for name, value in inputs.items() if name not in ("y", "m")}
    found, cells = jax.jit(lambda *given: network.segment(*given, None))(p, rows, cells, covariates, reset)
    close(found, forecasts, 1e-5)
    for name in cells:
        close(cells[name], last[name], 1e-5)


# --- what else changes the front


@pytest.mark.parametrize("normalize", config.NORMALIZERS)
@pytest.mark.parametrize(
    "sizes",
    [
        {"skip": 0, "lags": 1, "horizon": 1, "targets": 1, "missing": False, "level_input": False, "columns": {}},
        {"skip": 1, "lags": 4, "horizon": 3, "targets": 3, "missing": True, "level_input": False, "columns": {}},
        {"skip": 6, "lags": 1, "horizon": 2, "targets": 2, "missing": False, "level_input": True},
        {"skip": 12, "lags": 2, "horizon": 1, "targets": 1, "missing": True, "columns": {"past": 3, "static": 2}},
        {"skip": 2, "lags": 15, "horizon": 1, "targets": 1, "missing": False, "columns": {"known": 2}, "decay": 1.0},
    ],
    ids=["least", "lags", "skip", "ring-longer-than-series", "lags-longer-than-series"],
)
def test_sizes_of_the_front(normalize: str, sizes: dict[str, Any]) -> None:
    network = build("gru", normalize, "pinball", **sizes)
    p = parameters(network)
    inputs, reset = series(network, p, STEPS, BATCH)
    assert network.front.inputs == network.stack.inputs
    forecasts, last = referred(network, p, inputs, reset)
    for execution in (stepped, scanned):
        found, state = execution(network, p, inputs, reset)
        close(found, forecasts, 1e-12)
        same_state(state, last, 1e-12)


@pytest.mark.parametrize("normalize", config.NORMALIZERS)
def test_scale_of_every_step_and_chosen_outputs(normalize: str) -> None:
    network, p, inputs, reset = case("gru", normalize, "pinball", "one-layer")
    _, forecasts, scale = network.scan(p, network.start(p, BATCH, like(p)), inputs, reset)
    close(scale[-1], wanted("gru", normalize, "pinball", "one-layer")[1]["scale"], 1e-12)
    assert scale.shape == (STEPS, BATCH, network.front.targets)
    picked = np.array([0, 3, STEPS - 1])
    _, some, scales = network.scan(p, network.start(p, BATCH, like(p)), inputs, reset, picked)
    close(some, forecasts[picked], 1e-13)
    same_bits(scales, scale[picked])


@pytest.mark.parametrize("normalize", config.NORMALIZERS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_in_two_parts(cell: str, normalize: str) -> None:
    """The state after the first part is all that the second one needs, in one chunk of one row and one of the rest."""
    network, p, inputs, reset = case(cell, normalize, "point", "one-layer")
    whole, last = scanned(network, p, inputs, reset)
    state, parts = network.start(p, BATCH, like(p)), []
    for span in (slice(0, 4), slice(4, 5), slice(5, None)):
        state, found, _ = network.scan(p, state, {name: value[span] for name, value in inputs.items()}, reset[span])
        parts.append(found)
    close(np.concatenate(parts), whole, 1e-13)
    for name, part in last.items():
        # What is not held after a reset may be what was there before, or nothing.
        held = last["held"] if name == "ring" else 1
        close(state[name] * held, part * held, 1e-13)


# --- beyond the horizon


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "minlstm"])
def test_forecasts_feed_on_themselves(cell: str, head: str) -> None:
    """Seven steps from blocks of H = 2: each block's central forecasts are seen as values before the next is asked for."""
    network, p, inputs, _ = case(cell, "ewma", head, "dense")
    known, ahead = slice(0, 3), slice(3, None)
    calm = np.zeros((STEPS, BATCH), bool)
    state = network.start(p, BATCH, like(p))
    state, found, _ = network.scan(p, state, {name: value[known] for name, value in inputs.items()}, calm[known])
    blocks = [found[-1]]
    for n in range(3):
        for k in range(2):
            fed = {name: value[3 + 2 * n + k] for name, value in inputs.items() if name not in ("y", "m")}
            fed["y"] = blocks[n][:, k, :, network.head.width // 2]
            state, forecast = network.step(p, state, fed | {"m": np.ones_like(fed["y"])})
        blocks.append(forecast)
    plain = reference.plain(p)
    for b in range(BATCH):
        rows = reference_rows(inputs, calm, b)
        told = reference.beyond(
            specification(network), plain["weights"], plain["constants"], rows[known], rows[ahead], 7
        )
        close(np.concatenate([block[b] for block in blocks])[:7], told, 1e-12)


# --- layers alone


@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_with_resets_and_masks(cell: str) -> None:
    rng = np.random.default_rng(3)
    equations, (w, x, state) = CELLS[cell], layer_case(cell, 7, 4)
    reset, mask = rng.random((7, 4)) < 0.3, rng.random((7, 4)) < 0.6
    out, last = layer(equations, w, x, state, reset, mask)
    with jax.enable_x64(True):
        compiled = jax.jit(functools.partial(layer, equations))
        jax_out, jax_last = compiled(*map(to_jax, (w, x, state, reset, mask)))
    for b in range(4):
        start = {name: part[b].tolist() for name, part in state.items()}
        told, end = reference.run_layer(cell, reference.plain(w), x[:, b].tolist(), start, reset[:, b], mask[:, b])
        for found, ended in ((out, last), (jax_out, jax_last)):
            close(found[:, b], told, 1e-12)
            for name in end:
                close(ended[name][b], end[name], 1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("library", ["numpy", "jax"])
def test_a_layer_over_no_steps(cell: str, library: str) -> None:
    w, x, state = layer_case(cell, 0, 4)
    if library == "jax":
        w, x, state = map(functools.partial(jax.tree.map, jnp.float32), (w, x, state))
    out, last = layer(CELLS[cell], w, x, state, None, None)
    assert out.shape == (0, 4, 3)
    assert out.dtype == x.dtype
    for name, part in state.items():
        same_bits(last[name], part)


def layer_case(cell: str, steps: int, batch: int) -> tuple[Any, np.ndarray, Any]:
    rng = np.random.default_rng(2)
    equations = CELLS[cell]
    w = {"W": rng.normal(size=(2, equations.gates * 3)), "b": rng.normal(size=equations.gates * 3)}
    if equations.recurrent:
        w["U"] = rng.normal(size=(3, equations.recurrent * 3))
    w |= {name: rng.normal(size=3) for name in (*equations.extra, *(f"init_{part}" for part in equations.states))}
    state = {part: rng.normal(size=(batch, 3)) for part in equations.states}
    return w, rng.normal(size=(steps, batch, 2)), state


def to_jax(tree: Any) -> Any:
    return jax.tree.map(jnp.asarray, tree)
