"""What holds for every network and every series: random shapes, sizes and numbers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from model_cases import (
    COVARIATES,
    HEADS,
    STRUCTURES,
    build,
    close,
    like,
    mapped,
    parameters,
    same_bits,
    scanned,
    series,
    stepped,
)

from statecast import config
from statecast.model.cells import CELLS
from statecast.model.network import Network
from statecast.model.scan import recurrence
from statecast.model.state import Layout, State

Drawn = tuple[Network, Any, dict[str, np.ndarray], np.ndarray]

every_cell = pytest.mark.parametrize("cell", CELLS)
every_normaliser = pytest.mark.parametrize("normalize", config.NORMALIZERS)
few = settings(max_examples=12)


@st.composite
def sizes(draw: st.DrawFn) -> dict[str, Any]:
    """Sizes of a network and of its series."""
    columns = {name: draw(st.integers(0, 2), label=name) for name in COVARIATES}
    return {
        "network": {
            "targets": draw(st.integers(1, 3), label="targets"),
            "lags": draw(st.integers(1, 5), label="lags"),
            "skip": draw(st.integers(0, 6), label="skip"),
            "horizon": draw(st.integers(1, 3), label="horizon"),
            "missing": draw(st.booleans(), label="missing"),
            "level_input": draw(st.booleans(), label="level_input"),
            "hidden": tuple(draw(st.lists(st.integers(1, 4), max_size=2), label="hidden")),
            "structure": draw(st.sampled_from(list(STRUCTURES)), label="structure"),
            "head": draw(st.sampled_from(list(HEADS)), label="head"),
            "columns": columns,
        },
        "steps": draw(st.integers(1, 20), label="steps"),
        "batch": draw(st.integers(1, 4), label="batch"),
        "seed": draw(st.integers(0, 2**20), label="seed"),
    }


def example(cell: str, normalize: str, size: dict[str, Any], dtype: str = "float64", **rates: float) -> Drawn:
    network = build(cell, normalize, **size["network"])
    p = parameters(network, size["seed"], dtype)
    return (network, p, *series(network, p, size["steps"], size["batch"], size["seed"] + 1, **rates))


def fresh(size: dict[str, Any], reset: np.ndarray, t: int) -> np.ndarray:
    """No reset but at step t."""
    return (np.arange(len(reset)) == t)[:, None] & np.ones_like(reset)


def sliced(inputs: dict[str, np.ndarray], where: Any) -> dict[str, np.ndarray]:
    return {name: value[where] for name, value in inputs.items()}


@every_cell
@every_normaliser
@few
@given(size=sizes(), data=st.data())
def test_no_look_ahead(cell: str, normalize: str, size: dict[str, Any], data: st.DataObject) -> None:
    """Whatever happens to rows after t, covariates and resets too, no number at or before t changes a bit."""
    network, p, inputs, reset = example(cell, normalize, size, "float32")
    t = data.draw(st.integers(0, size["steps"] - 1), label="t")
    rng, after = np.random.default_rng(size["seed"] + 2), slice(t + 1, None)
    changed, other = {name: value.copy() for name, value in inputs.items()}, reset.copy()
    for value in changed.values():
        value[after] = rng.normal(0, 1e4, value[after].shape)
    changed["m"][after] = rng.random(changed["m"][after].shape) < 0.5
    other[after] = rng.random(other[after].shape) < 0.5
    result, expected = scanned(network, p, changed, other)[0], scanned(network, p, inputs, reset)[0]
    same_bits(result[: t + 1], expected[: t + 1])


@every_cell
@pytest.mark.parametrize("normalize", ["last", "ewma", "window"])
@few
@given(size=sizes(), a=st.floats(0.1, 10), b=st.floats(-100, 100))
def test_forecasts_follow_a_change_of_units(
    cell: str, normalize: str, size: dict[str, Any], a: float, b: float
) -> None:
    """y → a·y + b, in the values and in the constants of the training rows, does just that to the forecasts."""
    network, p, inputs, reset = example(cell, normalize, size)
    assume(network.head.family != "negative_binomial")  # counts have no unit to change
    c = p["constants"]
    moved = {"level": a * c["level"] + b, "spread": a * c["spread"], "deviation": a * c["deviation"]}
    p2 = p | {"constants": c | moved}
    inputs2 = inputs | {"y": (a * inputs["y"] + b) * inputs["m"]}
    numbers = scanned(network, p, inputs, reset)[0]
    expected = a * numbers + b
    if network.head.family:
        # The center moves as values do, the scale with their unit; degrees of freedom have none.
        expected[..., 1], expected[..., 2:] = a * numbers[..., 1], numbers[..., 2:]
    result = scanned(network, p2, inputs2, reset)[0]
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-9 * (abs(b) + np.abs(expected).max() + a))


@every_cell
@every_normaliser
@few
@given(size=sizes(), data=st.data())
def test_a_reset_is_a_fresh_start(cell: str, normalize: str, size: dict[str, Any], data: st.DataObject) -> None:
    network, p, inputs, reset = example(cell, normalize, size)
    t = data.draw(st.integers(0, size["steps"] - 1), label="t")
    result, state = scanned(network, p, inputs, fresh(size, reset, t))
    expected, last = scanned(network, p, sliced(inputs, slice(t, None)), np.zeros_like(reset[t:]))
    close(result[t:], expected, 1e-13)
    for name in last.keys() - {"ring"}:
        close(state[name], last[name], 1e-13)


@every_cell
@few
@given(size=sizes(), normalize=st.sampled_from(config.NORMALIZERS), levels=st.integers(0, 2**20))
def test_quantiles_never_cross(cell: str, size: dict[str, Any], normalize: str, levels: int) -> None:
    """Wild weights too: the gaps are positive whatever the network says."""
    size = size | {"network": size["network"] | {"head": "pinball"}}
    network, p, inputs, reset = example(cell, normalize, size, "float32")
    rng = np.random.default_rng(levels)
    p = p | {"weights": mapped(lambda w: (w * rng.uniform(-3, 3)).astype(w.dtype), p["weights"])}
    forecasts = scanned(network, p, inputs, reset)[0]
    assert forecasts.shape[-1] == 5
    assert np.isfinite(forecasts).all()
    assert (np.diff(forecasts, axis=-1) >= 0).all()


@every_cell
@every_normaliser
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=6)
@given(size=sizes(), value=st.sampled_from([0.0, 1e-30, -5.1, 1e6]))
def test_a_constant_series_has_a_finite_forecast(
    cell: str, normalize: str, dtype: str, size: dict[str, Any], value: float
) -> None:
    network, p, inputs, reset = example(cell, normalize, size, dtype)
    forecasts = scanned(network, p, inputs | {"y": np.full_like(inputs["y"], value) * inputs["m"]}, reset)[0]
    assert np.isfinite(forecasts).all()


@every_cell
@every_normaliser
@settings(max_examples=6)
@given(size=sizes())
def test_a_series_of_nothing_has_a_finite_forecast(cell: str, normalize: str, size: dict[str, Any]) -> None:
    for dtype in ("float32", "float64"):
        network, p, inputs, reset = example(cell, normalize, size, dtype, gaps=1.0)
        assert not inputs["m"].any()
        for execution in (scanned, stepped):
            forecasts, _ = execution(network, p, inputs, reset)
            assert np.isfinite(forecasts).all()


@every_cell
@every_normaliser
@few
@given(size=sizes(), data=st.data())
def test_series_are_independent(cell: str, normalize: str, size: dict[str, Any], data: st.DataObject) -> None:
    """Alone, joined or in another order: the same numbers."""
    network, p, inputs, reset = example(cell, normalize, size)
    forecasts, state = scanned(network, p, inputs, reset)
    order = np.array(data.draw(st.permutations(range(size["batch"])), label="order"))
    turned, turned_state = scanned(network, p, sliced(inputs, (slice(None), order)), reset[:, order])
    alone, _ = scanned(network, p, sliced(inputs, (slice(None), order[:1])), reset[:, order[:1]])
    close(turned, forecasts[:, order], 1e-13)
    close(alone, forecasts[:, order[:1]], 1e-13)
    for name, part in state.items():
        close(turned_state[name], part[order], 1e-13)


# --- the state as a value


@every_cell
@few
@given(size=sizes(), normalize=st.sampled_from(config.NORMALIZERS))
def test_a_state_packed_and_unpacked_is_the_same_bits(cell: str, size: dict[str, Any], normalize: str) -> None:
    network, p, inputs, reset = example(cell, normalize, size, "float32")
    _, state = scanned(network, p, inputs, reset)
    layout = Layout.of(network.parts())
    data = np.full((size["batch"], layout.size), np.nan, np.float32)
    layout.pack(state, data)
    result = layout.unpack(data)
    assert list(result) == list(network.parts())
    for name, part in result.items():
        same_bits(part, np.ascontiguousarray(state[name]))
        assert np.shares_memory(part, data)
    assert Layout.of(network.parts()).size == sum(part[0].size for part in result.values())


@every_cell
@few
@given(size=sizes(), data=st.data())
def test_a_restored_state_gives_the_same_bits(cell: str, size: dict[str, Any], data: st.DataObject) -> None:
    """Packed, cut apart, joined in another order and put back: the next forecast does not change a bit."""
    network, p, inputs, reset = example(cell, "last", size, "float32")
    batch = size["batch"]
    _, before = scanned(network, p, inputs, reset)
    layout = Layout.of(network.parts())
    rows = np.empty((batch, layout.size), np.float32)
    layout.pack(before, rows)
    names = tuple(range(10, 10 + batch))
    whole = State(layout, rows, names, np.arange(batch))
    order = data.draw(st.permutations(names), label="order")
    joined = State.empty(layout, np.float32)
    for name in order:
        joined = joined.join(whole.gather([name]))
    assert joined.ids == tuple(order)
    back = joined.gather(names)
    same_bits(back.data, whole.data)
    same_bits(back.time, whole.time)
    last = sliced(inputs, -1)
    after, expected = network.step(p, before, last)
    after_back, result = network.step(p, layout.unpack(back.data), last)
    same_bits(result, expected)
    for name, part in after.items():
        same_bits(np.ascontiguousarray(after_back[name]), np.ascontiguousarray(part))


@few
@given(size=sizes())
def test_the_state_handed_in_is_left_as_it_was(size: dict[str, Any]) -> None:
    """A step and a scan return a new state: a snapshot taken before is not written over."""
    network, p, inputs, reset = example("lstm", "ewma", size)
    state = network.start(p, size["batch"], like(p))
    kept = {name: part.copy() for name, part in state.items()}
    network.step(p, state, sliced(inputs, 0))
    network.scan(p, state, inputs, reset)
    for name, part in state.items():
        same_bits(part, kept[name])


# --- linear recurrences


@settings(max_examples=15)
@given(steps=st.integers(1, 17), batch=st.integers(1, 3), parts=st.integers(1, 2), seed=st.integers(0, 2**20))
def test_a_linear_recurrence_as_a_loop_and_as_an_associative_scan(
    steps: int, batch: int, parts: int, seed: int
) -> None:
    """s[t] = a[t]·s[t−1] + b[t], in complex numbers of Python where a unit is a pair."""
    rng = np.random.default_rng(seed)
    a, b = (tuple(rng.normal(size=(steps, batch, 2)) for _ in range(parts)) for _ in range(2))
    start = tuple(rng.normal(size=(batch, 2)) for _ in range(parts))
    factor, added, state = (sum(1j**n * part for n, part in enumerate(tree)) for tree in (a, b, start))
    expected = [state := factor[t] * state + added[t] for t in range(steps)]
    with jax.enable_x64(True):
        arrays = [tuple(jnp.asarray(part) for part in tree) for tree in (a, b, start)]
        for result in (recurrence(a, b, start, False), recurrence(*arrays, False), recurrence(*arrays, True)):
            assert len(result) == parts
            close(sum(1j**n * np.asarray(part) for n, part in enumerate(result)), np.stack(expected), 1e-12)
