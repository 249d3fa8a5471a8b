"""The native kernel against a slow float64 reference of its own, and against its promises."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statecast.errors import DataError, SettingError
from statecast.model.kernel import interface, layer
from statecast.model.kernel import library as kernel_library

pytestmark = pytest.mark.skipif(kernel_library.load()[0] is None, reason=kernel_library.load()[1])

CELLS = ("lstm", "gru", "gru_reset_before", "rnn_tanh", "rnn_relu")
SETS = kernel_library.runs() if kernel_library.load()[0] is not None else ()
# (T, B, I, H): one of everything, odd sizes, rows too few and too many for a tile, more units than a panel.
SHAPES = [(1, 1, 1, 1), (7, 3, 2, 5), (5, 33, 7, 33), (3, 7, 3, 129), (60, 1, 3, 10), (2, 9, 33, 300), (3, 130, 1, 7)]
GATES = {"lstm": 4, "gru": 3, "gru_reset_before": 3, "rnn_tanh": 1, "rnn_relu": 1}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def one_step(cell: str, w: dict[str, np.ndarray], x: np.ndarray, s: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    h, n = s["h"], w["U"].shape[0]
    a, u = x @ w["W"] + w["b"], h @ w["U"]
    if cell == "lstm":
        i, f, g, o = np.split(a + u, 4, axis=1)
        c = sigmoid(f) * s["c"] + sigmoid(i) * np.tanh(g)
        return {"h": sigmoid(o) * np.tanh(c), "c": c}
    if cell.startswith("gru"):
        r, z = sigmoid(a[:, :n] + u[:, :n]), sigmoid(a[:, n : 2 * n] + u[:, n : 2 * n])
        recurrent = r * (u[:, 2 * n :] + w["bn"]) if cell == "gru" else (r * h) @ w["U"][:, 2 * n :]
        return {"h": (1 - z) * np.tanh(a[:, 2 * n :] + recurrent) + z * h}
    return {"h": np.tanh(a + u) if cell == "rnn_tanh" else np.maximum(a + u, 0)}


def reference(cell: str, p: dict[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    p = {
        k: {n: np.asarray(v, float) for n, v in part.items()} if isinstance(part, dict) else part
        for k, part in p.items()
    }
    s, out = p["state"], []
    for t in range(len(p["x"])):
        s = {n: np.where(p["reset"][t][:, None], p["init"][n], v) for n, v in s.items()}
        after = one_step(cell, p["weights"], p["x"][t].astype(float), s)
        s = {n: np.where(p["mask"][t][:, None], after[n], v) for n, v in s.items()}
        out.append(s["h"])
    return np.array(out).reshape(*p["x"].shape[:2], p["weights"]["U"].shape[0]), s


def problem(cell: str, shape: tuple[int, int, int, int], dtype: Any = np.float32, seed: int = 0) -> dict[str, Any]:
    t, b, i, h = shape
    r = np.random.default_rng(seed)

    def draw(*size: int, scale: float = 1.0) -> np.ndarray:
        return (scale * r.normal(size=size)).astype(dtype)

    weights = {
        "W": draw(i, GATES[cell] * h, scale=0.5),
        "U": draw(h, GATES[cell] * h, scale=0.5 / max(h, 1) ** 0.5),
        "b": draw(GATES[cell] * h, scale=0.3),
    }
    if cell == "gru":
        weights["bn"] = draw(h, scale=0.3)
    parts = ("h", "c") if cell == "lstm" else ("h",)
    return {
        "weights": weights,
        "x": draw(t, b, i),
        "state": {n: draw(b, h, scale=0.5) for n in parts},
        "mask": r.random((t, b)) < 0.8,
        "reset": r.random((t, b)) < 0.2,
        "init": {n: draw(h, scale=0.5) for n in parts},
    }


def grads_of(cell: str, p: dict[str, Any], seed: int = 1, **more: Any) -> tuple[dict[str, np.ndarray], Any, Any]:
    r, dtype = np.random.default_rng(seed), p["x"].dtype
    dy = r.normal(size=(*p["x"].shape[:2], len(p["weights"]["U"]))).astype(dtype)
    dstate = {n: r.normal(size=v.shape).astype(dtype) for n, v in p["state"].items()}
    return layer.gradients(cell, **p, dy=dy, dstate=dstate, **more)[2], dy, dstate


def as_float64(p: dict[str, Any]) -> dict[str, Any]:
    return {
        k: {n: v.astype(float) for n, v in a.items()} if isinstance(a, dict) else a.astype(float) if k == "x" else a
        for k, a in p.items()
    }


@pytest.fixture(params=SETS)
def instruction_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STATECAST_KERNEL", request.param)
    assert kernel_library.instruction_set() == request.param
    return str(request.param)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_is_the_reference(cell: str, shape: tuple[int, int, int, int], instruction_set: str) -> None:
    p = problem(cell, shape)
    y, state = layer.forward(cell, **p)
    expected, last = reference(cell, p)
    np.testing.assert_allclose(y, expected, atol=3e-6, rtol=3e-6)
    for name, value in last.items():
        np.testing.assert_allclose(state[name], value, atol=3e-6, rtol=3e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_float64_is_the_reference_to_its_last_digits(cell: str) -> None:
    p = problem(cell, (9, 6, 3, 11), np.float64)
    np.testing.assert_allclose(layer.forward(cell, **p)[0], reference(cell, p)[0], atol=1e-14)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_finite_differences(cell: str) -> None:
    p = problem(cell, (6, 4, 3, 5), np.float64, seed=3)
    grads, dy, dstate = grads_of(cell, p)

    def loss() -> float:
        y, state = reference(cell, p)
        return float((y * dy).sum() + sum((state[n] * d).sum() for n, d in dstate.items()))

    leaves = {**p["weights"], "x": p["x"], **p["state"], **{f"{n}_reset": v for n, v in p["init"].items()}}
    assert set(grads) == set(leaves)
    r = np.random.default_rng(5)
    for name, leaf in leaves.items():
        for _ in range(8):
            at, e = tuple(r.integers(size) for size in leaf.shape), 1e-6
            before = leaf[at]
            leaf[at] = before + e
            up = loss()
            leaf[at] = before - e
            down = loss()
            leaf[at] = before
            assert grads[name][at] == pytest.approx((up - down) / (2 * e), abs=1e-7), (name, at)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_float32_gradients_are_those_of_float64(
    cell: str, shape: tuple[int, int, int, int], instruction_set: str
) -> None:
    p = problem(cell, shape)
    got, expected = grads_of(cell, p)[0], grads_of(cell, as_float64(p))[0]
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=2e-5 * (np.abs(value).max() + 1), err_msg=name)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(CELLS),
    st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 20), st.integers(1, 70)),
    st.integers(1, 4),
)
def test_any_shape(cell: str, shape: tuple[int, int, int, int], threads: int) -> None:
    p = problem(cell, shape, seed=sum(shape))
    y, state = layer.forward(cell, **p, threads=threads)
    expected, last = reference(cell, p) if shape[0] else (np.zeros((0, shape[1], shape[3])), p["state"])
    np.testing.assert_allclose(y, expected.reshape(y.shape), atol=5e-6)
    np.testing.assert_allclose(state["h"], last["h"], atol=5e-6)
    got, exact = grads_of(cell, p, threads=threads)[0], grads_of(cell, as_float64(p))[0]
    for name, value in exact.items():
        np.testing.assert_allclose(got[name], value, atol=3e-5 * (np.abs(value).max(initial=0) + 1), err_msg=name)


@pytest.mark.parametrize("threads", [1, 3])
def test_same_bits_run_after_run(threads: int) -> None:
    p = problem("lstm", (40, 37, 5, 70))
    first, second = (grads_of("lstm", p, threads=threads)[0] for _ in range(2))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def test_forward_bits_do_not_depend_on_threads() -> None:
    p = problem("gru", (40, 48, 5, 70))
    np.testing.assert_array_equal(layer.forward("gru", **p, threads=1)[0], layer.forward("gru", **p, threads=2)[0])


def test_calls_from_several_threads_at_once() -> None:
    p = problem("lstm", (30, 20, 4, 50))
    alone, results = layer.forward("lstm", **p)[0], []
    callers = [
        threading.Thread(target=lambda: results.append(layer.forward("lstm", **p, threads=2)[0])) for _ in range(6)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(results) == 6
    for result in results:
        np.testing.assert_allclose(result, alone, atol=1e-6)


def masked_steps_reach_nothing(cell: str, **more: Any) -> None:
    """Whatever a masked step's input holds, outputs and gradients are the same bits."""
    p = problem(cell, (8, 5, 3, 9))
    p["mask"][3, 2] = p["mask"][0, 4] = False
    q = p | {"x": p["x"].copy()}
    q["x"][3, 2], q["x"][0, 4] = np.nan, np.inf
    np.testing.assert_array_equal(layer.forward(cell, **p, **more)[0], layer.forward(cell, **q, **more)[0])
    clean, dirty = (grads_of(cell, arrays, **more)[0] for arrays in (p, q))
    for name in clean:
        np.testing.assert_array_equal(clean[name], dirty[name], err_msg=name)


@pytest.mark.parametrize("cell", CELLS)
def test_what_a_masked_step_holds_reaches_nothing(cell: str) -> None:
    masked_steps_reach_nothing(cell)


@pytest.mark.parametrize("cell", CELLS)
def test_packed_series_are_those_series_alone(cell: str) -> None:
    """Two series in one row, with a reset between them, give what each gives in a row of its own."""
    p = problem(cell, (12, 1, 2, 6)) | {"mask": None, "init": None, "state": None}
    p["reset"] = np.zeros((12, 1), bool)
    p["reset"][7] = True
    y = layer.forward(cell, **p)[0]
    parts = [layer.forward(cell, p["weights"], x)[0] for x in (p["x"][:7], p["x"][7:])]
    np.testing.assert_allclose(y, np.concatenate(parts), atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_not_a_number_stays_so(cell: str, instruction_set: str) -> None:
    p = problem(cell, (3, 2, 2, 4)) | {"mask": None, "reset": None}
    p["x"][1, 0] = np.nan
    y = layer.forward(cell, **p)[0]
    assert np.isnan(y[1:, 0]).all()
    assert np.isfinite(y[:, 1]).all()


def test_saturated_gates_are_exact(instruction_set: str) -> None:
    weights = {"W": np.eye(1, dtype=np.float32), "U": np.zeros((1, 1), np.float32), "b": np.zeros(1, np.float32)}
    x = np.array([-1e30, -100, -9, -1e-3, -1e-12, 0, 1e-12, 1e-3, 0.3, 9, 100, 1e30], np.float32).reshape(1, -1, 1)
    y = layer.forward("rnn_tanh", weights, x)[0]
    np.testing.assert_allclose(y, np.tanh(x.astype(float)), rtol=4e-7, atol=0)


def test_tiny_numbers_are_flushed_inside_the_call_alone() -> None:
    layer.forward("lstm", **problem("lstm", (4, 3, 2, 5)))
    assert np.float32(1e-38) * np.float32(0.1) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((3, 2), np.float32)}, "expected"),
        ({"x": np.zeros((3, 2, 4), np.float32)}, r"x is float32\[3, 2, 4\], expected"),
        ({"x": np.zeros((3, 2, 2), np.float16)}, "float16"),
        ({"x": np.zeros((3, 2, 2), np.float64)}, "float64|float32"),
        ({"mask": np.ones((3, 3), bool)}, r"mask is bool\[3, 3\], expected"),
        ({"reset": np.ones(3, bool)}, r"reset is bool\[3\], expected"),
        ({"state": {"h": np.zeros((2, 4), np.float32), "c": np.zeros((1, 4), np.float32)}}, "state c"),
        ({"init": {"h": np.zeros(5, np.float32)}}, "init h"),
    ],
)
def test_wrong_arrays_are_named(change: dict[str, Any], message: str) -> None:
    p = problem("lstm", (3, 2, 2, 4)) | change
    with pytest.raises(DataError, match=message):
        layer.forward("lstm", **p)


def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    p = problem("lstm", (1, 1, 1, 1))
    with pytest.raises(SettingError, match="lstm"):
        layer.forward("lstn", **p)
    with pytest.raises(SettingError, match="threads"):
        layer.forward("lstm", **p, threads=-1)
    monkeypatch.setenv("STATECAST_KERNEL", "avx51")
    with pytest.raises(SettingError, match="avx512"):
        layer.forward("lstm", **p)
    monkeypatch.setenv("STATECAST_KERNEL", "off")
    assert kernel_library.refuses() is not None
    assert "STATECAST_KERNEL=off" in kernel_library.description()
    monkeypatch.delenv("STATECAST_KERNEL")
    assert "instruction set" in kernel_library.description()
    assert layer.refuses("gru", p["x"]) is None
    assert "mingru" in str(layer.refuses("mingru", p["x"]))
    assert "float64" in str(layer.refuses("gru", p["x"].astype(float)))


def shape_of(**change: int) -> Any:
    layer = {"steps": 2, "batch": 2, "inputs": 2, "hidden": 2, "networks": 1}
    return interface.LayerSizes(**({"cell": 0, "dtype": 0, "threads": 1, "isa": -1} | layer | change))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"hidden": -1}, 1),
        ({"steps": 2**62}, 1),
        ({"hidden": 2**31, "inputs": 2**31}, 1),
        ({"cell": 9}, 2),
        ({"dtype": 5}, 3),
        ({"isa": 17}, 4),
        ({"isa": 4}, 4),  # products of bfloat16 alone
        ({"dtype": 2, "isa": 0}, 4),  # and none here
        ({}, 5),
    ],
)
def test_the_c_interface_refuses(change: dict[str, int], status: int) -> None:
    lib, shape, ref = kernel_library.handle(), shape_of(**change), ctypes.byref
    inputs, saved, gradients = interface.LayerInputs(), interface.LayerTape(), interface.LayerGradients()
    assert lib.statecast_forward(ref(shape), ref(inputs), ref(interface.LayerOutputs())) == status
    assert lib.statecast_backward(ref(shape), ref(inputs), ref(saved), ref(gradients)) == status
    assert lib.statecast_message(status) != b"unknown status"


def test_null_structs_are_errors() -> None:
    lib, shape = kernel_library.handle(), shape_of()
    assert lib.statecast_forward(None, None, None) == 5
    assert lib.statecast_forward(ctypes.byref(shape), None, None) == 5
    assert lib.statecast_backward(ctypes.byref(shape), None, None, None) == 5
    assert lib.statecast_tape_sizes(ctypes.byref(shape), None) == 5


TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
SCHEDULE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class Pool(ctypes.Structure):
    _fields_ = (("schedule", SCHEDULE), ("context", ctypes.c_void_p))


@pytest.mark.parametrize("kind", ["refuses", "at once", "another thread", "too late", "one only"])
def test_threads_of_the_caller_may_come_whenever_they_like(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the pool does, the bits are those of threads that the call starts, and no task outlives its memory."""
    p = problem("lstm", (40, 64, 5, 65))
    tasks: list[tuple[int, int]] = []
    threads: list[threading.Thread] = []

    def schedule(context: int, task: int, data: int) -> int:
        if kind == "refuses" or (kind == "one only" and tasks):
            return 1
        tasks.append((task, data))
        if kind == "at once":
            TASK(task)(data)
        if kind in ("another thread", "one only"):
            threads.append(threading.Thread(target=TASK(task), args=(data,)))
            threads[-1].start()
        return 0

    dy = np.random.default_rng(1).normal(size=(40, 64, 65)).astype(np.float32)

    def results() -> list[np.ndarray]:
        y, after = layer.forward("lstm", **p, threads=4)
        _, _, back = layer.gradients("lstm", **p, dy=dy, threads=4)
        return [y, *after.values(), *back.values()]

    expected = results()
    pool, plain = Pool(SCHEDULE(schedule), None), layer.LayerSizes
    monkeypatch.setattr(layer, "LayerSizes", lambda *sizes: plain(*sizes, ctypes.addressof(pool)))
    result = results()
    for thread in threads:
        thread.join()
    for task, data in tasks if kind == "too late" else ():
        TASK(task)(data)
    assert len(tasks) == {"refuses": 0, "one only": 1}.get(kind, 3 * 3)
    for one, other in zip(result, expected, strict=True):
        np.testing.assert_array_equal(one, other)


# JAX


def loss_of(cell: str, dy: Any, dstate: Any) -> Any:
    def loss(weights: Any, x: Any, state: Any, init: Any, mask: Any, reset: Any) -> Any:
        y, after = layer.forward(cell, weights, x, state, mask, reset, init)
        return (y * dy).sum() + sum((after[n] * d).sum() for n, d in dstate.items())

    return loss


@pytest.mark.parametrize("cell", CELLS)
def test_jax_gives_what_numpy_gives(cell: str) -> None:
    jax = pytest.importorskip("jax", reason="the kernel's face for JAX needs JAX")
    p = problem(cell, (6, 5, 3, 9))
    expected, dy, dstate = grads_of(cell, p)
    loss = loss_of(cell, dy, dstate)
    arguments = (p["weights"], p["x"], p["state"], p["init"], p["mask"], p["reset"])
    arguments = jax.tree.map(jax.numpy.asarray, arguments)
    weights, x, state, init = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))(*arguments)
    got = weights | {"x": x} | state | {f"{n}_reset": v for n, v in init.items()}
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
    alone = jax.jit(jax.grad(loss))(*arguments)  # the input's gradient is not asked for
    for name, value in alone.items():
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize("cell", CELLS)
def test_jax_takes_networks_along_a_new_axis(cell: str) -> None:
    jax = pytest.importorskip("jax", reason="the kernel's face for JAX needs JAX")
    problems = [problem(cell, (4, 3, 2, 7), seed=k) for k in range(3)]
    _, dy, dstate = grads_of(cell, problems[0])
    loss = loss_of(cell, dy, dstate)
    first = problems[0]
    shared = jax.tree.map(jax.numpy.asarray, (first["x"], first["state"], first["init"], first["mask"], first["reset"]))
    stacked = jax.tree.map(lambda *a: jax.numpy.stack(a), *[q["weights"] for q in problems])
    both = jax.jit(jax.vmap(jax.value_and_grad(loss, argnums=(0, 1)), in_axes=(0,) + (None,) * 5))
    values, (grads, dx) = both(stacked, *shared)
    for k, q in enumerate(problems):
        value, (grad, dx_k) = jax.value_and_grad(loss, argnums=(0, 1))(q["weights"], *shared)
        np.testing.assert_allclose(values[k], value, rtol=1e-5, atol=1e-5)  # the loss's sum is XLA's
        np.testing.assert_array_equal(dx[k], dx_k)
        for name in grad:
            np.testing.assert_array_equal(grads[name][k], grad[name])
    # Differentiated from outside, the shared input's gradient is the sum over the networks.
    total = jax.grad(lambda x: jax.vmap(loss, in_axes=(0,) + (None,) * 5)(stacked, x, *shared[1:]).sum())(shared[0])
    np.testing.assert_allclose(total, dx.sum(0), atol=1e-4)


def test_jax_trains_inside_scan_and_with_an_empty_segment() -> None:
    jax = pytest.importorskip("jax", reason="the kernel's face for JAX needs JAX")
    p = problem("lstm", (6, 5, 3, 9))
    x, target = jax.numpy.asarray(p["x"]), jax.numpy.zeros((6, 5, 9))

    def step(w: Any, _: Any) -> Any:
        value, g = jax.value_and_grad(lambda w: ((layer.forward("lstm", w, x)[0] - target) ** 2).mean())(w)
        return jax.tree.map(lambda a, b: a - 0.5 * b, w, g), value

    weights = jax.tree.map(jax.numpy.asarray, p["weights"])
    losses = jax.jit(lambda w: jax.lax.scan(step, w, None, length=20)[1])(weights)
    assert losses[-1] < 0.8 * losses[0]
    assert layer.forward("lstm", weights, x[:0])[0].shape == (0, 5, 9)
    with pytest.raises(DataError, match="W is float32"):
        layer.forward("lstm", weights | {"W": weights["W"][:2]}, x)


def test_our_structs_are_those_of_jaxlib(tmp_path: Path) -> None:
    """A handler is built without jaxlib's headers; where they and a compiler are at hand, the offsets are compared."""
    jax = pytest.importorskip("jax", reason="jaxlib's header comes with JAX")
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    ours = Path(__file__).parents[1] / "native"
    pairs = {
        "CallFrame": ("api stage args rets attrs", "api stage arguments results attributes"),
        "Buffer": ("dtype data rank dims", "dtype data rank dims"),
        "Attrs=Attributes": ("size types names attrs", "size types names values"),
        "Args=Arrays": ("size types args", "size types buffers"),
        "Rets=Arrays": ("size types rets", "size types buffers"),
        "Error_Create_Args=ErrorCreate": ("message errc", "message code"),
        "Error_Destroy_Args=ErrorDestroy": ("error", "error"),
        "ThreadPool_Schedule_Args=Schedule": ("ctx task data", "context task data"),
        "Api": (
            "api_version XLA_FFI_Error_Create XLA_FFI_Error_Destroy XLA_FFI_ThreadPool_Schedule",
            "version create_error destroy_error schedule",
        ),
        "Metadata": ("api_version traits", "version traits"),
        "Scalar": ("dtype value", "dtype value"),
        "ByteSpan=Span": ("ptr len", "text length"),
        "Extension_Base=Extension": ("type next", "type next"),
    }
    lines = ['#include "xla/ffi/api/c_api.h"', '#include "xla_ffi.h"']
    for names, (theirs, mine) in pairs.items():
        their, _, my = names.partition("=")
        lines += [
            f"static_assert(offsetof(XLA_FFI_{their}, {a}) == offsetof(statecast::xla::{my or their}, {b}));"
            for a, b in zip(theirs.split(), mine.split(), strict=True)
        ]
    source = tmp_path / "offsets.cpp"
    source.write_text("\n".join(lines) + "\n")
    command = [compiler, "-std=c++17", "-fsyntax-only", f"-I{ours}", f"-I{jax.ffi.include_dir()}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
