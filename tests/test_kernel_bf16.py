"""Layers whose products take bfloat16, against a float64 reference that rounds at the same places.

The reference starts every step from the state that the kernel itself left, so that both round the same numbers: a state
that differs in its last float32 digit may round to the other neighbour in bfloat16, which is a thousand times as far.
"""

from __future__ import annotations

import re
import types
from typing import Any

import numpy as np
import pytest
from test_kernel import CELLS, grads_of, masked_steps_reach_nothing, problem, sigmoid

from statecast.errors import DataError, SettingError
from statecast.model.kernel import interface, layer
from statecast.model.kernel import library as kernel_library

SETS = kernel_library.runs(bf16=True) if kernel_library.load()[0] is not None else ()
pytestmark = pytest.mark.skipif(not SETS, reason=f"bf16 is {kernel_library.bf16_description()}")
# (T, B, I, H): one of everything, odd sizes, rows too few and too many for a tile, more units than a panel.
SHAPES = [(1, 1, 1, 1), (7, 3, 2, 5), (5, 33, 7, 33), (3, 7, 3, 129), (60, 1, 3, 10), (2, 9, 33, 300), (3, 130, 1, 7)]
SHAPES += [(6, 40, 129, 64), (20, 17, 1, 48)]
Arrays = dict[str, np.ndarray]


@pytest.fixture(params=SETS, autouse=True)
def instruction_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STATECAST_KERNEL", request.param)
    assert kernel_library.instruction_set(bf16=True) == request.param
    return str(request.param)


def rounded(x: Any) -> np.ndarray:
    """To the nearest bfloat16, ties to even."""
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16
    return bits.astype(np.uint32).view(np.float32).astype(float)


def step(cell: str, w: Arrays, x: np.ndarray, s: Arrays) -> tuple[Arrays, Arrays]:
    """The state after a step, and what the gradients need."""
    h, n = s["h"], w["U"].shape[0]
    u = rounded(w["U"])
    a, b = rounded(x) @ rounded(w["W"]) + w["b"], rounded(h) @ u
    if cell == "lstm":
        i, f, g, o = np.split(a + b, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * s["c"] + i * g
        return {"h": o * np.tanh(c), "c": c}, {"i": i, "f": f, "g": g, "o": o, "before": s["c"], "squashed": np.tanh(c)}
    if cell.startswith("gru"):
        r, z = sigmoid(a[:, :n] + b[:, :n]), sigmoid(a[:, n : 2 * n] + b[:, n : 2 * n])
        half = b[:, 2 * n :] + w["bn"] if cell == "gru" else rounded(r * h) @ u[:, 2 * n :]
        m = np.tanh(a[:, 2 * n :] + (r * half if cell == "gru" else half))
        return {"h": (1 - z) * m + z * h}, {"r": r, "z": z, "n": m, "half": half, "before": h}
    y = np.tanh(a + b) if cell == "rnn_tanh" else np.maximum(a + b, 0)
    return {"h": y}, {"y": y}


def back(cell: str, w: Arrays, k: Arrays, dh: np.ndarray, dc: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """Gradients of the gates as the input and as the state meet them, then of the state before: past U, and of c."""
    if cell == "lstm":
        d = dh * k["o"] * (1 - k["squashed"] ** 2) + dc
        parts = (
            d * k["g"] * k["i"] * (1 - k["i"]),
            d * k["before"] * k["f"] * (1 - k["f"]),
            d * k["i"] * (1 - k["g"] ** 2),
            dh * k["squashed"] * k["o"] * (1 - k["o"]),
        )
        dz = rounded(np.concatenate(parts, axis=1))
        return dz, dz, np.zeros_like(dh), d * k["f"]
    if cell.startswith("rnn"):
        dz = rounded(dh * (k["y"] > 0 if cell == "rnn_relu" else 1 - k["y"] ** 2))
        return dz, dz, np.zeros_like(dh), None
    dn = dh * (1 - k["z"]) * (1 - k["n"] ** 2)
    dz, past, r = dh * (k["before"] - k["n"]) * k["z"] * (1 - k["z"]), dh * k["z"], k["r"]
    if cell == "gru":
        dr = dn * k["half"] * r * (1 - r)
        return (*(rounded(np.concatenate((dr, dz, last), axis=1)) for last in (dn, dn * r)), past, None)
    inner = rounded(dn) @ rounded(w["U"][:, 2 * len(w["U"]) :]).T
    both = rounded(np.concatenate((inner * k["before"] * r * (1 - r), dz, dn), axis=1))
    return both, both, past + inner * r, None


def reference(cell: str, p: dict[str, Any], y: np.ndarray, dy: np.ndarray, dstate: Arrays) -> tuple[np.ndarray, Arrays]:
    """Outputs and gradients, each step from the state that the kernel's outputs y tell."""
    w, init = p["weights"], p["init"]
    s, kept, out = {n: v.astype(float) for n, v in p["state"].items()}, [], []
    for t, x in enumerate(p["x"]):
        s["h"] = (y[t - 1] if t else p["state"]["h"]).astype(float)
        s = {n: np.where(p["reset"][t][:, None], init[n], v) for n, v in s.items()}
        after, k = step(cell, w, np.where(p["mask"][t][:, None], x, 0), s)
        kept.append(k | {"h": s["h"]})
        s = {n: np.where(p["mask"][t][:, None], after[n], v) for n, v in s.items()}
        out.append(s["h"])
    g = {n: np.zeros(v.shape) for n, v in {**w, "x": p["x"], **{f"{n}_reset": v for n, v in init.items()}}.items()}
    d = {n: v.astype(float) for n, v in dstate.items()}
    split, candidate = 2 * len(w["U"]), cell == "gru_reset_before"
    for t in reversed(range(len(p["x"]))):
        present, fresh, k = p["mask"][t][:, None], p["reset"][t][:, None], kept[t]
        dh, dc = d["h"] + dy[t], d.get("c")
        into, over, past, dc_before = back(cell, w, k, dh, dc)
        into, over = np.where(present, into, 0), np.where(present, over, 0)
        g["x"][t] = into @ rounded(w["W"]).T
        g["W"] += rounded(np.where(present, p["x"][t], 0)).T @ into
        g["b"] += into.sum(0)
        if cell == "gru":
            g["bn"] += over[:, split:].sum(0)
        left, columns = rounded(k["h"]), slice(0, split if candidate else None)
        g["U"][:, columns] += left.T @ over[:, columns]
        if candidate:
            g["U"][:, split:] += rounded(k["r"] * k["h"]).T @ over[:, split:]
        d["h"] = np.where(present, past + over[:, columns] @ rounded(w["U"][:, columns]).T, dh)
        if dc is not None:
            d["c"] = np.where(present, dc_before, dc)
        for n in d:
            g[f"{n}_reset"] += np.where(fresh, d[n], 0).sum(0)
            d[n] = np.where(fresh, 0, d[n])
    return np.array(out).reshape(y.shape), g | d


def agree(result: np.ndarray, expected: np.ndarray, name: str) -> None:
    """Next to all numbers to float32's digits; a few went the other way where they were rounded."""
    size = max(float(np.sqrt(np.mean(np.square(expected)))), 1e-3) if expected.size else 1.0
    error = np.abs(result - expected) / size
    assert error.max(initial=0) < 2e-2, name
    assert np.sqrt(np.mean(np.square(error))) < 3e-4 if error.size else True, name


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_and_gradients_are_the_reference(cell: str, shape: tuple[int, int, int, int], threads: int) -> None:
    p = problem(cell, shape)
    y, after = layer.forward(cell, **p, threads=threads, bf16=True)
    grads, dy, dstate = grads_of(cell, p, threads=threads, bf16=True)
    out, expected = reference(cell, p, y, dy, dstate)
    agree(y, out, "y")
    np.testing.assert_array_equal(after["h"], y[-1])
    assert set(grads) == set(expected)
    for name, value in expected.items():
        agree(grads[name], value, name)


@pytest.mark.parametrize("cell", CELLS)
def test_float32_is_near_but_not_the_same(cell: str) -> None:
    p = problem(cell, (8, 20, 5, 64))
    one, other = layer.forward(cell, **p, bf16=True)[0], layer.forward(cell, **p)[0]
    assert 1e-4 < np.abs(one - other).max() < 0.05


@pytest.mark.parametrize("cell", CELLS)
def test_no_state_no_masks_and_no_gradients_of_outputs(cell: str) -> None:
    p = problem(cell, (4, 18, 3, 20)) | {"state": None, "mask": None, "reset": None, "init": None}
    full = problem(cell, (4, 18, 3, 20))
    full["mask"][:], full["reset"][:] = True, False
    full["state"] = {n: np.zeros_like(v) for n, v in full["state"].items()}
    dy = np.ones((4, 18, 20), np.float32)
    for result, expected in zip(
        layer.gradients(cell, **p, dy=dy, bf16=True), layer.gradients(cell, **full, dy=dy, bf16=True), strict=True
    ):
        if isinstance(result, dict):
            assert all(np.array_equal(value, expected[name]) for name, value in result.items())
        else:
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", [(0, 3, 2, 5), (3, 0, 2, 5), (3, 2, 0, 5)])
def test_nothing_is_allowed(cell: str, shape: tuple[int, int, int, int]) -> None:
    p = problem(cell, shape)
    y, after = layer.forward(cell, **p, bf16=True)
    assert y.shape == (shape[0], shape[1], shape[3])
    grads = grads_of(cell, p, bf16=True)[0]
    assert all(np.isfinite(value).all() for value in grads.values())
    if shape[0] == 0:
        np.testing.assert_array_equal(after["h"], p["state"]["h"])


@pytest.mark.parametrize("threads", [1, 2])
def test_same_bits_run_after_run(threads: int) -> None:
    p = problem("lstm", (40, 37, 5, 70))
    first, second = (grads_of("lstm", p, threads=threads, bf16=True)[0] for _ in range(2))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


@pytest.mark.parametrize("cell", CELLS)
def test_what_a_masked_step_holds_reaches_nothing(cell: str) -> None:
    masked_steps_reach_nothing(cell, bf16=True)


@pytest.mark.parametrize("hidden", [4, 9, 70])
@pytest.mark.parametrize("cell", CELLS)
def test_what_is_not_a_number_stays_in_its_row(cell: str, hidden: int) -> None:
    p = problem(cell, (5, 20, 2, hidden)) | {"mask": None, "reset": None}
    clean = layer.forward(cell, **p, bf16=True)[0]
    p["x"][1, 0] = np.nan
    y = layer.forward(cell, **p, bf16=True)[0]
    assert np.isnan(y[1:, 0]).all()
    np.testing.assert_array_equal(y[:, 1:], clean[:, 1:])
    dx = grads_of(cell, p | {"mask": np.ones((5, 20), bool)}, bf16=True)[0]["x"]
    assert np.isfinite(dx[:, 1:]).all()


@pytest.mark.parametrize("cell", CELLS)
def test_jax_gives_what_numpy_gives(cell: str) -> None:
    jax = pytest.importorskip("jax", reason="the kernel's face for JAX needs JAX")
    p = problem(cell, (6, 5, 3, 9))
    expected, dy, dstate = grads_of(cell, p, bf16=True)

    def loss(weights: Any, x: Any, state: Any, init: Any, mask: Any, reset: Any) -> Any:
        y, after = layer.forward(cell, weights, x, state, mask, reset, init, bf16=True)
        return (y * dy).sum() + sum((after[n] * d).sum() for n, d in dstate.items())

    arguments = (p["weights"], p["x"], p["state"], p["init"], p["mask"], p["reset"])
    arguments = jax.tree.map(jax.numpy.asarray, arguments)
    weights, x, state, init = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))(*arguments)
    got = weights | {"x": x} | state | {f"{n}_reset": v for n, v in init.items()}
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


def test_arrays_are_float32() -> None:
    p = problem("gru", (2, 2, 2, 3), np.float64)
    with pytest.raises(DataError, match="expected float32 for bf16"):
        layer.forward("gru", **p, bf16=True)


def test_float32_goes_on_beside_it(instruction_set: str, monkeypatch: pytest.MonkeyPatch) -> None:
    p = problem("gru", (3, 2, 2, 20))
    expected = layer.forward("gru", **p)[0]
    assert kernel_library.instruction_set() not in interface.BF16_SETS
    monkeypatch.delenv("STATECAST_KERNEL")
    np.testing.assert_array_equal(layer.forward("gru", **p)[0], expected)
    assert "possible: native kernel" in kernel_library.bf16_description()


@pytest.mark.parametrize("choice", ["plain", "off"])
def test_where_there_is_none_it_says_so(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATECAST_KERNEL", choice)
    with pytest.raises(SettingError, match=re.escape('choose precision = "float32"')):
        layer.forward("gru", **problem("gru", (1, 1, 1, 1)), bf16=True)
    assert kernel_library.bf16_description().startswith("not possible")
    monkeypatch.setenv("STATECAST_KERNEL", "auto")
    # As on a processor that has none, or one whose pairs are slower than its float32.
    monkeypatch.setattr(kernel_library, "handle", lambda: types.SimpleNamespace(statecast_best_isa=lambda dtype: -1))
    monkeypatch.setattr(kernel_library, "runs", lambda bf16=False: () if bf16 else ("plain",))
    with pytest.raises(SettingError, match="expected AMX, or AVX512-BF16 on a processor that is not Intel's"):
        layer.forward("gru", **problem("gru", (1, 1, 1, 1)), bf16=True)
