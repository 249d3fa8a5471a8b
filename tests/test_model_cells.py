"""One step of each cell by hand (one unit), and two cells against numbers from an independent calculation.

The hand-worked cases write the published formula with Python's math, on the same few numbers for all cells. The stored
numbers were worked out once, outside this suite, at fifty decimal digits.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from model_cases import close

from statecast.model.cells import CELLS, blocks, sigmoid, softplus

# One unit: input 0.5, state h = 0.3, c = −0.4; gate k has the weights W = w[k], U = u[k], b = b[k].
X, H, C, BN = 0.5, 0.3, -0.4, 0.25
N, M, RE, IM = 1.3, -0.2, 0.6, -0.9  # of the cells that have these parts
W, U, B = (0.7, -1.1, 0.9, 1.6), (-0.6, 0.8, 1.3, -0.2), (0.1, 0.2, -0.3, 0.4)


def inward(k: int) -> float:
    return X * W[k] + B[k]


def squash(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def lstm() -> dict[str, float]:
    i, f, g, o = (inward(k) + H * U[k] for k in range(4))
    c = squash(f) * C + squash(i) * math.tanh(g)
    return {"h": squash(o) * math.tanh(c), "c": c}


def gru() -> dict[str, float]:
    r, u = squash(inward(0) + H * U[0]), squash(inward(1) + H * U[1])
    n = math.tanh(inward(2) + r * (H * U[2] + BN))
    return {"h": (1 - u) * n + u * H}


def gru_reset_before() -> dict[str, float]:
    r, u = squash(inward(0) + H * U[0]), squash(inward(1) + H * U[1])
    n = math.tanh(inward(2) + (r * H) * U[2])
    return {"h": (1 - u) * n + u * H}


def mingru() -> dict[str, float]:
    u = squash(inward(0))
    return {"h": (1 - u) * H + u * inward(1)}


def minlstm() -> dict[str, float]:
    f, i = squash(inward(0)), squash(inward(1))
    return {"h": f / (f + i) * H + i / (f + i) * inward(2)}


def slstm(keep: float) -> dict[str, float]:
    """After a step from h = H, c = C, n = N, m = M, with the exponentials as they are."""
    i, _, g, o = (inward(k) + H * U[k] for k in range(4))
    content, weight = keep * C * math.exp(M) + math.exp(i) * math.tanh(g), keep * N * math.exp(M) + math.exp(i)
    m = max(math.log(keep) + M, i)
    return {"h": squash(o) * content / weight, "c": content / math.exp(m), "n": weight / math.exp(m), "m": m}


def lru() -> dict[str, float]:
    """λ = e^(−0.5 + 0.6i), written with its size and angle."""
    size, cos, sin = math.exp(-0.5), math.cos(0.6), math.sin(0.6)
    return {
        "re": size * (cos * RE - sin * IM) + 0.7 * inward(0),
        "im": size * (sin * RE + cos * IM) + 0.7 * inward(1),
    }


def lru_output() -> float:
    s = lru()
    value = 1.5 * s["re"] - 0.5 * s["im"] + inward(2)
    gate = 0.2 * s["re"] + 0.8 * s["im"] + inward(3)
    return value * squash(gate)


BY_HAND = {
    "rnn_tanh": lambda: {"h": math.tanh(0.35 + 0.1 - 0.18)},
    "rnn_relu": lambda: {"h": 0.35 + 0.1 - 0.18},
    "lstm": lstm,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "mingru": mingru,
    "minlstm": minlstm,
    "slstm": lambda: slstm(squash(inward(1) + H * U[1])),
    "slstm_exp": lambda: slstm(math.exp(inward(1) + H * U[1])),
    "lru": lru,
}
OUTPUT = {"lru": lru_output}


def one_step(cell: str, x: Any, w: dict[str, Any], state: dict[str, Any]) -> Any:
    return CELLS[cell].step(w, x @ w["W"] + w["b"], state)


@pytest.mark.parametrize("library", [np, jnp], ids=["numpy", "jax"])
@pytest.mark.parametrize("cell", CELLS)
def test_one_unit_by_hand(cell: str, library: Any) -> None:
    equations = CELLS[cell]
    u = [U[: equations.recurrent]]
    w = {"W": [W[: equations.gates]], "b": B[: equations.gates], "U": [u] if equations.heads else u, "bn": [BN]}
    w |= {"nu": [math.log(0.5)], "theta": [math.log(0.6)], "gamma": [math.log(0.7)], "C": [[1.5, 0.2], [-0.5, 0.8]]}
    state = {"h": [[H]], "c": [[C]], "n": [[N]], "m": [[M]], "re": [[RE]], "im": [[IM]]}
    arrays = {name: library.asarray(value) for name, value in (w | {"x": [[X]]} | state).items()}
    result = one_step(cell, arrays["x"], arrays, {name: arrays[name] for name in equations.states})
    expected = BY_HAND[cell]()
    assert result.keys() == expected.keys() == set(equations.states)
    for name, value in expected.items():
        close(result[name], [[value]], 1e-15 if library is np else 1e-6)
    z = arrays["x"] @ arrays["W"] + arrays["b"]
    output = OUTPUT[cell]() if cell in OUTPUT else expected["h"]
    close(equations.read(arrays, z, result), [[output]], 1e-15 if library is np else 1e-6)


def test_rectified_below_zero_is_zero() -> None:
    w = {"W": np.array([[1.0]]), "U": np.array([[1.0]]), "b": np.array([-5.0])}
    assert one_step("rnn_relu", np.array([[1.0]]), w, {"h": np.array([[2.0]])})["h"] == 0


def waves(*shape: int, shift: float) -> np.ndarray:
    """sin(1 + shift), sin(2 + shift), … in the given shape: weights that need no table."""
    count = math.prod(shape)
    return np.sin(np.arange(1, count + 1) + shift).reshape(shape)


STORED = {
    "lstm": (
        {"h": (-0.5757505381117689, 0.2561396100564614), "c": (-0.7931824755543639, 0.3158804459809501)},
        {"h": (-0.2475600219667974, -0.08135571560183615), "c": (-0.6630634836438616, -0.14427991870007895)},
        {"h": (-0.12392305595000196, 0.03390953951905061), "c": (-0.2268964670325017, 0.06998566325728049)},
    ),
    "gru": (
        {"h": (-0.431717276469185, 0.15298399215917058)},
        {"h": (0.28204471883941806, 0.36042955904902885)},
        {"h": (0.0810355248441815, 0.38794746750955383)},
    ),
}


@pytest.mark.parametrize("cell", STORED)
def test_three_steps_against_stored_values(cell: str) -> None:
    gates = CELLS[cell].gates
    w = {"W": waves(2, gates * 2, shift=0.1), "U": waves(2, gates * 2, shift=0.2), "b": waves(gates * 2, shift=0.3)}
    w["bn"] = waves(2, shift=0.4)
    xs, state = waves(3, 1, 2, shift=0.5), {part: np.zeros((1, 2)) for part in CELLS[cell].states}
    for x, expected in zip(xs, STORED[cell], strict=True):
        state = one_step(cell, x, w, state)
        for name, value in expected.items():
            close(state[name], [value], 1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_extreme_gates_stay_finite(cell: str, dtype: str) -> None:
    """Shut or open gates give the limit, with no overflow on the way (a warning would fail the test)."""
    equations = CELLS[cell]
    z = np.array([[-1e4], [-100.0], [0.0], [100.0], [1e4]], dtype) * np.ones((1, equations.gates), dtype)
    u = np.ones((1, max(equations.recurrent, 1)), dtype)
    w = {"U": u[None] if equations.heads else u, **{name: np.ones(1, dtype) for name in ("bn", "nu", "theta", "gamma")}}
    result = equations.step(w, z, {part: np.ones((5, 1), dtype) for part in equations.states})
    assert all(np.isfinite(part).all() and part.dtype == dtype for part in result.values())


def test_minlstm_keeps_its_digits_where_both_gates_are_shut() -> None:
    """σ(−800) = 0 in float64, yet the share f/(f+i) is 1/(1 + e^(f̂ − î)) in the limit: here 1/(1 + e)."""
    z = np.array([[-801.0, -800.0, 0.0]])
    close(CELLS["minlstm"].step({}, z, {"h": np.ones((1, 1))})["h"], [[1 / (1 + math.e)]], 1e-12)


def test_gates_are_blocks_of_columns() -> None:
    first, second = blocks(np.arange(8.0).reshape(2, 4), 2)
    assert first.tolist() == [[0, 1], [4, 5]]
    assert second.tolist() == [[2, 3], [6, 7]]


@pytest.mark.parametrize("x", [-700.0, -3.0, 0.0, 1e-9, 2.0, 700.0])
def test_sigmoid_and_softplus(x: float) -> None:
    assert float(sigmoid(np.array(x))) == pytest.approx(squash(x), rel=1e-12, abs=1e-15)
    assert float(softplus(np.array(x))) == pytest.approx(max(x, 0) + math.log1p(math.exp(-abs(x))), rel=1e-14)
