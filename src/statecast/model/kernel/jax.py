"""The native kernel for JAX: a foreign function with a gradient of its own, inside jit, scan, vmap and value_and_grad.

The forward call leaves what backward needs as further results; which of them are needed is known when JAX traces, so
an inference keeps nothing and a first layer, whose input nobody differentiates, computes no gradient of it. `vmap` adds
an axis that the kernel takes as networks of one call; what is shared is not copied. JAX is imported on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import byref, c_int64
from functools import cache
from typing import Any

import numpy as np

from statecast.errors import DataError
from statecast.model.cells import CELLS as EQUATIONS
from statecast.model.kernel import library
from statecast.model.kernel.interface import CELLS, FORMATS, LayerSizes, weight_shapes

Setting = tuple[str, int, int, int]
"""The cell, and the numbers of dtype, threads and instruction set as in the kernel's `LayerSizes`."""
FORWARD, BACKWARD = "statecast_forward", "statecast_backward"


def refuses(x: Any) -> str | None:
    """Why the kernel does not take an array that is none of NumPy's, or None where it does."""
    if not type(x).__module__.startswith("jax"):
        return "the native kernel takes arrays of NumPy and JAX"
    import jax

    backend = jax.default_backend()
    return None if backend == "cpu" else f"the native kernel is for processors, and JAX runs on {backend}"


@cache
def register() -> Any:
    """Make the kernel known to JAX and build the function with its gradient; once for each process."""
    import jax

    jax_ffi: Any = jax.ffi  # untyped
    for name, symbol in ((FORWARD, "statecast_xla_forward"), (BACKWARD, "statecast_xla_backward")):
        handler = jax_ffi.pycapsule(getattr(library.handle(), symbol))
        jax_ffi.register_ffi_target(name, handler, platform="cpu")
    run = jax.custom_vjp(_inference, nondiff_argnums=(0,))
    run.defvjp(_forward, _backward, symbolic_zeros=True)
    return run


def forward(
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
    """`layer.forward` for JAX arrays: the same arguments and results."""
    run = register()
    arrays = _arrays(cell, weights, x, state, mask, reset, init)
    setting = (cell, library.number_of(x.dtype, bf16), library.threads(threads), library.isa(bf16))
    y, h, c = run(setting, *arrays)
    return y, {"h": h, "c": c} if cell == "lstm" else {"h": h}


def _arrays(
    cell: str, weights: Mapping[str, Any], x: Any, state: Any, mask: Any, reset: Any, init: Any
) -> tuple[Any, ...]:
    """The foreign function's eleven arguments; what is absent is an empty array."""
    import jax.numpy as jnp

    if x.ndim != 3 or x.dtype not in FORMATS:
        raise DataError(f"x has shape {x.shape} and dtype {x.dtype}, expected [T, B, I] of float32 or float64")
    (steps, batch, inputs), hidden = x.shape, weights["U"].shape[0]
    of_weights, lstm, none = weight_shapes(cell, inputs, hidden), cell == "lstm", None

    def take(name: str, value: Any, shape: tuple[int, ...], dtype: Any = x.dtype) -> Any:
        if value is None:
            return jnp.zeros((0,) * len(shape), dtype)
        value = jnp.asarray(value)
        if value.shape != shape or value.dtype != dtype:
            raise DataError(f"{name} is {value.dtype}{list(value.shape)}, expected {np.dtype(dtype)}{list(shape)}")
        return value

    def flags(name: str, value: Any) -> Any:
        value = value if value is None or value.dtype == bool else value != 0
        return take(name, value, (steps, batch), np.dtype(bool))

    init = init or {}
    parts = {name: none if state is None else state[name] for name in EQUATIONS[cell].states}
    return (
        x,
        *(take(name, weights[name], of_weights[name]) for name in ("W", "U", "b")),
        take("bn", weights["bn"] if "bn" in of_weights else none, (hidden,)),
        take("state h", parts["h"], (batch, hidden)),
        take("state c", parts["c"] if lstm else none, (batch, hidden)),
        take("init h", init.get("h"), (hidden,)),
        take("init c", init.get("c") if lstm else none, (hidden,)),
        flags("mask", mask),
        flags("reset", reset),
    )


def _call(name: str, setting: Setting, results: list[tuple[Any, ...]], dtype: Any, *arrays: Any) -> Any:
    import jax

    cell, number, threads, isa = setting
    struct: Any = jax.ShapeDtypeStruct  # untyped
    shapes = [struct(shape, dtype) for shape in results]
    call = jax.ffi.ffi_call(name, shapes, vmap_method="expand_dims")
    numbers = {"cell": CELLS.index(cell), "dtype": number, "threads": threads, "isa": isa}
    return call(*arrays, **{key: np.int64(value) for key, value in numbers.items()})


def _run_forward(setting: Setting, keep: bool, *arrays: Any) -> Any:
    x, u = arrays[0], arrays[2]
    (steps, batch, inputs), hidden = x.shape, u.shape[0]
    tape = (c_int64 * 2)()
    if keep:
        sizes = LayerSizes(CELLS.index(setting[0]), *setting[1:], 1, steps, batch, inputs, hidden)
        library.check(library.handle().statecast_tape_sizes(byref(sizes), tape))
    c = (batch, hidden) if setting[0] == "lstm" else (0, 0)
    results = [(steps, batch, hidden), (batch, hidden), c, (tape[0],), (tape[1],)]
    return _call(FORWARD, setting, results, x.dtype, *arrays)


def _inference(setting: Setting, *arrays: Any) -> Any:
    return tuple(_run_forward(setting, False, *arrays)[:3])


def _forward(setting: Setting, *arrays: Any) -> Any:
    values = tuple(a.value for a in arrays)
    y, h, c, gates, aux = _run_forward(setting, True, *values)
    x, w, u, _, bn, h0, c0, h_reset, c_reset, mask, reset = values
    # An empty tuple in the place of None is how a residual carries a fact that is known at tracing.
    wants_dx = () if arrays[0].perturbed else None
    return (y, h, c), (x, w, u, h0, h_reset, mask, reset, y, gates, aux, (bn, c0, c_reset), wants_dx)


def _backward(setting: Setting, residuals: Any, gradients: Any) -> tuple[Any, ...]:
    *arrays, (bn, c0, c_reset), wants_dx = residuals
    x, w, u, h0, h_reset = arrays[:5]
    dx = x.shape if wants_dx is not None else (0, 0, 0)
    biases = w.shape[1:]
    results = [dx, w.shape, u.shape, biases, bn.shape, h0.shape, c0.shape, h_reset.shape, c_reset.shape]
    outputs = [_instantiate(g, x.dtype) for g in gradients]
    out = _call(BACKWARD, setting, results, x.dtype, *arrays, *outputs)
    return (out[0] if wants_dx is not None else None, *out[1:], None, None)


def _instantiate(gradient: Any, dtype: Any) -> Any:
    """A gradient that is known to be zero goes in as an absent array."""
    import jax.numpy as jnp
    from jax.custom_derivatives import SymbolicZero

    return jnp.zeros((0,) * len(gradient.shape), dtype) if isinstance(gradient, SymbolicZero) else gradient
