"""The native kernel's face for NumPy arrays: a layer over a segment, and its gradients.

Arrays are checked here, by name, before their addresses go to the library (`library`). `jax` is the same
kernel for JAX, and `layer` goes there when it is given JAX arrays; `network` is a whole network's step.
"""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import byref, c_int64
from dataclasses import dataclass
from typing import Any

import numpy as np

from statecast.errors import DataError, SettingError, nearest
from statecast.model.kernel.library import (
    CELLS,
    DTYPES,
    GATES,
    STATES,
    Gradients,
    Inputs,
    Outputs,
    Saved,
    Shape,
    available,
    check,
    fill,
    isa,
    library,
    number_of,
)
from statecast.model.kernel.library import threads as thread_count


def takes(cell: str, x: Any) -> bool:
    """Whether a recurrence should run here: the kernel is there, knows the cell, and x is float32 on a processor.

    float64 goes through plain code, for checks; NumPy and JAX are quicker there.
    """
    if cell not in CELLS or x.dtype != np.float32 or not available():
        return False
    if isinstance(x, np.ndarray):
        return True
    import jax

    return bool(jax.default_backend() == "cpu")


def _array(name: str, value: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.shape != shape:
        raise DataError(f"{name} has shape {array.shape}, wanted {shape}")
    if array.dtype != dtype:
        raise DataError(f"{name} has dtype {array.dtype}, wanted {np.dtype(dtype)}; convert it with .astype")
    return np.ascontiguousarray(array)


def _flags(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(value)
    if array.shape != shape:
        raise DataError(f"{name} has shape {array.shape}, wanted {shape}")
    return np.ascontiguousarray(array != 0 if array.dtype != np.bool_ else array).view(np.uint8)


@dataclass
class _Call:
    """A checked call: its sizes, and its arrays by the names of `Inputs`; they live as long as this does."""

    cell: str
    shape: Any
    dtype: Any
    arrays: dict[str, np.ndarray]

    def inputs(self) -> Any:
        return fill(Inputs, self.arrays)

    @property
    def weights(self) -> tuple[str, ...]:
        return tuple(name for name in ("W", "U", "b", "bn") if name in self.arrays)

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return self.shape.steps, self.shape.batch, self.shape.inputs, self.shape.hidden


def _weights(cell: str, weights: Mapping[str, Any], dtype: Any) -> tuple[dict[str, np.ndarray], int, int]:
    if cell not in CELLS:
        raise SettingError(f"cell {cell!r} is none of the native kernel's; {nearest(cell, CELLS)}")
    if dtype not in DTYPES:
        raise DataError(f"arrays have dtype {dtype}, wanted float32 or float64")
    hidden = np.shape(weights["U"])[0]
    inputs, columns = np.shape(weights["W"])[0], GATES[cell] * hidden
    shapes = {"W": (inputs, columns), "U": (hidden, columns), "b": (columns,)}
    shapes |= {"bn": (hidden,)} if cell == "gru" else {}
    return {name: _array(name, weights[name], shape, dtype) for name, shape in shapes.items()}, inputs, hidden


def _call(
    cell: str,
    weights: Mapping[str, Any],
    x: Any,
    state: Mapping[str, Any] | None,
    mask: Any,
    reset: Any,
    init: Mapping[str, Any] | None,
    count: int | None,
    bf16: bool,
) -> _Call:
    x = np.asarray(x)
    if x.ndim != 3:
        raise DataError(f"x has shape {x.shape}, wanted [T, B, I]")
    arrays, inputs, hidden = _weights(cell, weights, x.dtype)
    steps, batch = x.shape[:2]
    arrays["x"] = _array("x", x, (steps, batch, inputs), x.dtype)
    for name in STATES[cell]:
        if state is not None:
            arrays[name] = _array(f"state {name}", state[name], (batch, hidden), x.dtype)
        if init is not None and name in init:
            arrays[f"{name}_reset"] = _array(f"init {name}", init[name], (hidden,), x.dtype)
    flags = {name: value for name, value in (("mask", mask), ("reset", reset)) if value is not None}
    arrays |= {name: _flags(name, value, (steps, batch)) for name, value in flags.items()}
    numbers = (CELLS[cell], number_of(x.dtype, bf16), thread_count(count), isa(bf16))
    shape = Shape(*numbers, 1, steps, batch, inputs, hidden)
    return _Call(cell, shape, x.dtype, arrays)


def _forward(call: _Call, keep: bool) -> dict[str, np.ndarray]:
    steps, batch, _, hidden = call.sizes
    out = {"y": np.empty((steps, batch, hidden), call.dtype)}
    out |= {name: np.empty((batch, hidden), call.dtype) for name in STATES[call.cell]}
    if keep:
        sizes = (c_int64 * 2)()
        check(library().statecast_saved_sizes(byref(call.shape), sizes))
        out |= {name: np.empty(size, call.dtype) for name, size in zip(("gates", "aux"), sizes, strict=True)}
    check(library().statecast_forward(byref(call.shape), byref(call.inputs()), byref(fill(Outputs, out))))
    return out


def layer(
    cell: str,
    weights: Mapping[str, Any],
    x: Any,
    state: Mapping[str, Any] | None = None,
    mask: Any = None,
    reset: Any = None,
    init: Mapping[str, Any] | None = None,
    *,
    threads: int | None = None,
    bf16: bool = False,
) -> tuple[Any, dict[str, Any]]:
    """A recurrent layer over a segment, for NumPy or JAX arrays; the equations are those of `cells.py`.

    Args:
        cell: a name in `CELLS`.
        weights: W [I, G·H], U [H, G·H], b [G·H], and bn [H] for the cell "gru"; further entries are not read.
        x: input [T, B, I], float32 or float64; every other array has the same dtype.
        state: each part of the state before the first step [B, H]; None for zeros.
        mask: [T, B]; where 0 the state passes the step unchanged.
        reset: [T, B]; where not 0 the state before the step is replaced by `init`.
        init: the row [H] that a reset puts in, for each part of the state; None for zeros.
        threads: at most so many; None for `threads()`.
        bf16: round the factors of the products of matrices, in their gradients as well, to bfloat16; arrays are
            float32, and so are sums, gates and states.

    Returns:
        The outputs [T, B, H] and the state after the last step.

    Raises:
        DataError: for an array of the wrong shape or dtype.
        SettingError: for a cell that the kernel lacks, where the kernel is not there, or where bf16 is not possible.
    """
    if type(x).__module__.startswith("jax"):
        from statecast.model.kernel import jax as kernel_jax

        return kernel_jax.layer(cell, weights, x, state, mask, reset, init, threads=threads, bf16=bf16)
    call = _call(cell, weights, x, state, mask, reset, init, threads, bf16)
    out = _forward(call, keep=False)
    return out["y"], {name: out[name] for name in STATES[cell]}


def gradients(
    cell: str,
    weights: Mapping[str, Any],
    x: Any,
    state: Mapping[str, Any] | None,
    dy: Any,
    dstate: Mapping[str, Any] | None = None,
    mask: Any = None,
    reset: Any = None,
    init: Mapping[str, Any] | None = None,
    *,
    threads: int | None = None,
    bf16: bool = False,
) -> tuple[Any, dict[str, Any], dict[str, np.ndarray]]:
    """`layer`, and its backward pass, for NumPy arrays.

    The arguments are those of `layer`, with `dy`, the gradient of the outputs [T, B, H], and `dstate`, that of each
    part of the state after the last step [B, H]; None for zero.

    Returns:
        Outputs and state as from `layer`, and the gradients of x, W, U, b, bn, the state's parts ("h", "c") and their
        resets ("h_reset", "c_reset").
    """
    call = _call(cell, weights, x, state, mask, reset, init, threads, bf16)
    steps, batch, _, hidden = call.sizes
    out = _forward(call, keep=True)
    saved = {name: out[name] for name in ("y", "gates", "aux")}
    saved["dy"] = _array("dy", dy, (steps, batch, hidden), call.dtype)
    for name, value in (dstate or {}).items():
        saved[f"d{name}"] = _array(f"dstate {name}", value, (batch, hidden), call.dtype)
    grads = {name: np.zeros_like(call.arrays[name]) for name in ("x", *call.weights)}
    for name in STATES[cell]:
        grads[name] = np.zeros((batch, hidden), call.dtype)
        grads[f"{name}_reset"] = np.zeros(hidden, call.dtype)
    into = fill(Gradients, {f"d{name}": array for name, array in grads.items()})
    kept = fill(Saved, saved)
    check(library().statecast_backward(byref(call.shape), byref(call.inputs()), byref(kept), byref(into)))
    return out["y"], {name: out[name] for name in STATES[cell]}, grads
