"""The native kernel's face for NumPy arrays: a layer over a segment, and its gradients.

Arrays are checked here, by name, before they go to the library. `jax` is the same kernel for JAX, to which `forward`
passes JAX arrays; `network` is a whole network's step.
"""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import byref, c_int64
from dataclasses import dataclass
from typing import Any

import numpy as np

from statecast.errors import DataError
from statecast.model.cells import CELLS as EQUATIONS
from statecast.model.kernel import library
from statecast.model.kernel.interface import (
    CELLS,
    FORMATS,
    LayerGradients,
    LayerInputs,
    LayerOutputs,
    LayerSizes,
    LayerTape,
    checked,
    fill,
    weight_shapes,
)


def refuses(cell: str, x: Any) -> str | None:
    """Why this recurrence over x does not run in the kernel, or None where it does.

    float64 goes through plain code, which is there for tests; NumPy and JAX are quicker.
    """
    if cell not in CELLS:
        return f"the native kernel has no cell {cell!r}"
    if x.dtype != np.float32:
        return f"layers of {x.dtype} run in NumPy or JAX"
    if isinstance(x, np.ndarray):
        return library.refuses()
    from statecast.model.kernel import jax

    return jax.refuses(x) or library.refuses()


@dataclass
class LayerCall:
    """A checked call: its sizes, and its arrays by the names of `LayerInputs`; they live as long as this does."""

    cell: str
    sizes: Any
    dtype: Any
    arrays: dict[str, np.ndarray]

    @classmethod
    def of(
        cls,
        cell: str,
        weights: Mapping[str, Any],
        x: Any,
        state: Mapping[str, Any] | None,
        mask: Any,
        reset: Any,
        init: Mapping[str, Any] | None,
        threads: int | None,
        bf16: bool,
    ) -> LayerCall:
        """The call that the arguments of `forward` describe."""
        x = np.asarray(x)
        if x.ndim != 3:
            raise DataError(f"x has shape {x.shape}, expected [T, B, I]")
        if x.dtype not in FORMATS:
            raise DataError(f"x has dtype {x.dtype}, expected float32 or float64")
        (steps, batch, _), (inputs, hidden) = x.shape, (np.shape(weights[name])[0] for name in "WU")
        arrays = {
            name: checked(name, np.asarray(weights[name]), shape, x.dtype)
            for name, shape in weight_shapes(cell, inputs, hidden).items()
        }
        arrays["x"] = checked("x", x, (steps, batch, inputs), x.dtype)
        for name in EQUATIONS[cell].states:
            if state is not None:
                arrays[name] = checked(f"state {name}", np.asarray(state[name]), (batch, hidden), x.dtype)
            if init is not None and name in init:
                arrays[f"{name}_reset"] = checked(f"init {name}", np.asarray(init[name]), (hidden,), x.dtype)
        flags = {name: value for name, value in (("mask", mask), ("reset", reset)) if value is not None}
        arrays |= {name: _flags(name, value, (steps, batch)) for name, value in flags.items()}
        numbers = CELLS.index(cell), library.number_of(x.dtype, bf16), library.threads(threads), library.isa(bf16)
        return cls(cell, LayerSizes(*numbers, 1, steps, batch, inputs, hidden), x.dtype, arrays)

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the state's parts."""
        return EQUATIONS[self.cell].states

    @property
    def weights(self) -> tuple[str, ...]:
        """The names of the weights."""
        return tuple(name for name in ("W", "U", "b", "bn") if name in self.arrays)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """T, B, I and H."""
        return self.sizes.steps, self.sizes.batch, self.sizes.inputs, self.sizes.hidden

    def run(self, tape: bool) -> dict[str, np.ndarray]:
        """The forward pass: outputs and state, with what backward needs where `tape` is true."""
        steps, batch, _, hidden = self.shape
        out = {"y": np.empty((steps, batch, hidden), self.dtype)}
        out |= {name: np.empty((batch, hidden), self.dtype) for name in self.states}
        if tape:
            sizes = (c_int64 * 2)()
            library.check(library.handle().statecast_tape_sizes(byref(self.sizes), sizes))
            out |= {name: np.empty(size, self.dtype) for name, size in zip(("gates", "aux"), sizes, strict=True)}
        arguments = fill(LayerInputs(), self.arrays), fill(LayerOutputs(), out)
        library.check(library.handle().statecast_forward(byref(self.sizes), *map(byref, arguments)))
        return out


def _flags(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(value)
    return checked(name, array != 0 if array.dtype != np.bool_ else array, shape, np.bool_)


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
    """A recurrent layer over a segment, for NumPy or JAX arrays; the equations are those of `cells.py`.

    Args:
        cell: a name in `CELLS`.
        weights: W [I, G·H], U [H, G·H], b [G·H], and bn [H] for the cell "gru"; further entries are not read.
        x: input [T, B, I], float32 or float64; every other array has the same dtype.
        state: each part of the state before the first step [B, H]; None for zeros.
        mask: [T, B]; where 0 the state passes the step unchanged.
        reset: [T, B]; where not 0 the state before the step is replaced by `init`.
        init: the row [H] that a reset puts in, for each part of the state; None for zeros.
        threads: at most so many; None for `library.threads()`.
        bf16: round the factors of the products of matrices, in their gradients as well, to bfloat16; arrays are
            float32, and so are sums, gates and states.

    Returns:
        The outputs [T, B, H] and the state after the last step.

    Raises:
        DataError: for an array of the wrong shape or dtype.
        SettingError: for a cell that the kernel lacks, where there is no kernel, or where bf16 is not possible.
    """
    if type(x).__module__.startswith("jax"):
        from statecast.model.kernel import jax

        return jax.forward(cell, weights, x, state, mask, reset, init, threads=threads, bf16=bf16)
    call = LayerCall.of(cell, weights, x, state, mask, reset, init, threads, bf16)
    out = call.run(tape=False)
    return out["y"], {name: out[name] for name in call.states}


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
    """`forward`, and its backward pass, for NumPy arrays.

    The arguments are those of `forward`, with `dy`, the gradient of the outputs [T, B, H], and `dstate`, that of each
    part of the state after the last step [B, H]; None for zero.

    Returns:
        Outputs and state as from `forward`, and the gradients of x, W, U, b, bn, the state's parts ("h", "c") and their
        resets ("h_reset", "c_reset").
    """
    call = LayerCall.of(cell, weights, x, state, mask, reset, init, threads, bf16)
    steps, batch, _, hidden = call.shape
    out = call.run(tape=True)
    tape = {name: out[name] for name in ("y", "gates", "aux")}
    tape["dy"] = checked("dy", np.asarray(dy), (steps, batch, hidden), call.dtype)
    for name, value in (dstate or {}).items():
        tape[f"d{name}"] = checked(f"dstate {name}", np.asarray(value), (batch, hidden), call.dtype)
    results = {name: np.zeros_like(call.arrays[name]) for name in ("x", *call.weights)}
    for name in call.states:
        results[name] = np.zeros((batch, hidden), call.dtype)
        results[f"{name}_reset"] = np.zeros(hidden, call.dtype)
    arguments = (
        fill(LayerInputs(), call.arrays),
        fill(LayerTape(), tape),
        fill(LayerGradients(), {f"d{name}": array for name, array in results.items()}),
    )
    library.check(library.handle().statecast_backward(byref(call.sizes), *map(byref, arguments)))
    return out["y"], {name: out[name] for name in call.states}, results
