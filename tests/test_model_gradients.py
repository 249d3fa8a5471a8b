"""Gradients of a segment's loss, as training takes them, against finite differences under NumPy, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from model_cases import build, like, mapped, parameters, prepared, rings_of, series

from statecast.model.cells import CELLS
from statecast.model.network import Network
from statecast.model.rings import Rings

STEPS, BATCH, WIDTH = 5, 2, 1e-5

# Every cell, with what the others lack: quantiles, two layers, dense layers, each activation.
CASES = [
    ("rnn_tanh", "last", "pinball", "deep-residual"),
    ("rnn_relu", "ewma", "point", "dense"),
    ("lstm", "last", "point", "sigmoid"),
    ("gru", "window", "point", "one-layer"),
    ("gru_reset_before", "global", "point", "dense-residual"),
    ("mingru", "none", "pinball", "one-layer"),
    ("minlstm", "ewma", "point", "linear"),
    ("slstm", "last", "point", "deep-residual"),
    ("slstm_exp", "last", "point", "one-layer"),
    ("lru", "last", "point", "deep-residual"),
]


def loss_of(
    network: Network, rows: Any, rings: Rings, constants: Any, inputs: Any, reset: np.ndarray
) -> Callable[[Any], Any]:
    """The mean square of (forecast − 1)/2 over all numbers, from a start that the weights hold: nothing is left out."""
    covariates = {name: value for name, value in inputs.items() if name not in ("y", "m")}

    def loss(weights: Any) -> Any:
        start = network.stack.start(weights["stack"], (BATCH,), weights["head"]["out"]["b"])
        p = {"weights": weights, "constants": constants}
        forecasts, _ = network.segment(p, rows, rings, start, covariates, reset, None)
        return (((forecasts - 1) / 2) ** 2).mean()

    return loss


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, part in tree.items():
        yield from leaves(part, (*path, name)) if isinstance(part, dict) else [((*path, name), part)]


def test_every_cell_has_a_case() -> None:
    assert {names[0] for names in CASES} == set(CELLS)


@pytest.mark.parametrize("names", CASES, ids="-".join)
def test_gradients_against_finite_differences(names: tuple[str, ...]) -> None:
    columns = {"known": 1} if names[0] == "lstm" else {"past": 1}
    network = build(*names, targets=1, lags=1, skip=2, horizon=2, columns=columns, missing=False)
    p = parameters(network)
    inputs, reset = series(network, p, STEPS, BATCH, resets=0.2)
    assert reset.any()
    rows, rings, _ = prepared(network, p, inputs, reset)
    loss = loss_of(network, rows, rings, p["constants"], inputs, reset)
    with jax.enable_x64(True):
        weights = mapped(jnp.asarray, p["weights"])
        arrays, constants, columns = (mapped(jnp.asarray, tree) for tree in (rows, p["constants"], inputs))
        traced = loss_of(network, arrays, rings_of(jnp.asarray, rings), constants, columns, reset)
        value, gradient = jax.jit(jax.value_and_grad(traced))(weights)
    assert value.dtype == like(p).dtype
    np.testing.assert_allclose(float(value), loss(p["weights"]), rtol=1e-12)
    result = dict(leaves(gradient))
    largest = max(float(np.abs(part).max()) for part in result.values())
    for path, part in leaves(p["weights"]):
        expected = np.array([difference(loss, p["weights"], part, place) for place in np.ndindex(part.shape)])
        np.testing.assert_allclose(
            np.ravel(result[path]), expected, rtol=1e-6, atol=1e-8 * largest, err_msg=".".join(path)
        )
        assert np.abs(expected).max() > 0, f"{'.'.join(path)} has no part in the loss"


def difference(loss: Callable[[Any], Any], weights: Any, part: np.ndarray, place: tuple[int, ...]) -> float:
    """The central difference along one weight, which is moved in place and put back."""
    kept, sides = part[place], []
    for side in (WIDTH, -WIDTH):
        part[place] = kept + side
        sides.append(float(loss(weights)))
    part[place] = kept
    return (sides[0] - sides[1]) / (2 * WIDTH)
