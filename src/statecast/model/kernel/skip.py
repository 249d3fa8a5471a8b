"""The linear skip in the native kernel, for NumPy and JAX: products of the last values at many steps with weights.

The kernel reads the series themselves, so no ring is copied, forward or backward. Under JAX it is a foreign function
with a gradient of its own, that of the weights: values, levels and scales are data. JAX is imported on first use.
"""

from __future__ import annotations

import math
from ctypes import byref
from functools import cache
from typing import Any

import numpy as np

from statecast.model.cells import Array
from statecast.model.kernel import jax as kernel_jax
from statecast.model.kernel import library
from statecast.model.kernel.interface import FORMATS, SkipArrays, SkipSizes, checked, fill

PLACES = 2**31  # values of a series that the kernel can tell apart
FORWARD, BACKWARD = "statecast_skip_forward", "statecast_skip_backward"


def refuses(values: Array) -> str | None:
    """Why the kernel does not run the skip over these values, or None where it does."""
    if values.dtype != np.float32:
        return "the native kernel runs the skip in float32; NumPy and JAX are quicker in float64"
    if values.shape[0] >= PLACES:
        return f"the native kernel tells {PLACES:,} places apart"
    return library.refuses() or (None if isinstance(values, np.ndarray) else kernel_jax.refuses(values))


def product(
    w: Array,
    values: Array,
    mask: Array,
    last: Array,
    age: Array,
    level: Array,
    scale: Array,
    *,
    numbers: Array | None = None,
    maps: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Σₖ (w[d,k,h] + map[d,h,k]) · (value[k] − level[d]) · mask[k] / scale[d] over the last K values at some steps.

    Args:
        w: weights [D, K, H], float32 or float64; all other numbers have the same dtype.
        values: [P, D], one series after another.
        mask: [P, D], 1 where there is a value, else 0.
        last: [...] the place of the newest value at each step.
        age: [...] how many values before it are of the same series.
        level: [..., D].
        scale: [..., D].
        numbers: [...] the number of the series of each step, from 1 on, and 0 for one without a map; only with maps.
        maps: [S, D, H, K] of the series; None where none has a map.
        threads: at most so many; None for `library.threads()`.

    Returns:
        [..., H, D].

    Raises:
        DataError: an array of another shape or dtype, a ring that reaches outside the values, or a number outside S.
    """
    # Steps of one series one after another are quickest; the rest of the axes are series.
    lead, targets = last.shape, values.shape[1]
    steps = (lead[0], math.prod(lead[1:])) if len(lead) > 1 else (1, *lead)
    sizes = (library.threads(threads), library.isa())
    arrays = (values.T, mask.T, last.reshape(steps), age.reshape(steps))
    arrays += tuple(part.reshape(*arrays[2].shape, targets) for part in (level, scale))
    local = () if maps is None or numbers is None else (numbers.reshape(steps), maps)
    if isinstance(values, np.ndarray):
        out = _forward(*sizes, w, *arrays, *local)
    else:
        out = _on_device(sizes, w, *arrays, *local)
    return out.reshape(*lead, w.shape[2], targets)


def gradient(
    w: np.ndarray,
    values: np.ndarray,
    mask: np.ndarray,
    last: np.ndarray,
    age: np.ndarray,
    level: np.ndarray,
    scale: np.ndarray,
    dout: np.ndarray,
    *,
    threads: int | None = None,
) -> np.ndarray:
    """The gradient of w from `dout`, that of the result [T, B, H, D], of NumPy arrays; the rest is as for `product`."""
    sizes = (library.threads(threads), library.isa())
    call = _Call(*sizes, w, values.T, mask.T, last, age, level, scale)
    return call.run("backward", dout=checked("dout", dout, (*call.rows, w.shape[2], w.shape[0]), w.dtype))


class _Call:
    """A checked call; its arrays live as long as this does."""

    def __init__(
        self,
        threads: int,
        isa: int,
        w: np.ndarray,
        values: np.ndarray,
        mask: np.ndarray,
        last: np.ndarray,
        age: np.ndarray,
        level: np.ndarray,
        scale: np.ndarray,
    ) -> None:
        dtype, (targets, places), self.rows = w.dtype, values.shape, last.shape
        shapes = {"y": (targets, places), "m": (targets, places)}
        shapes |= dict.fromkeys(("level", "scale"), (*last.shape, targets))
        numbers = {"y": values, "m": mask, "level": level, "scale": scale}
        self.arrays = {name: checked(name, array, shapes[name], dtype) for name, array in numbers.items()}
        for name, array in (("last", last), ("age", age)):
            self.arrays[name] = np.ascontiguousarray(array, np.int32)
        self.w = checked("w", w, (targets, *w.shape[1:]), dtype)
        self.sizes = SkipSizes(FORMATS[dtype], threads, isa, 1, places, *last.shape, targets, *w.shape[1:], 0)

    def add_maps(self, numbers: np.ndarray, maps: np.ndarray) -> None:
        """Let the series of some steps have maps of their own; see `product`."""
        targets, taps, horizon = self.w.shape
        maps = checked("maps", maps, (len(maps), targets, horizon, taps), self.w.dtype)
        self.arrays |= {"numbers": np.ascontiguousarray(numbers, np.int32), "maps": maps}
        self.sizes.series = len(maps)

    def run(self, direction: str, **arrays: np.ndarray) -> np.ndarray:
        """Forward or backward."""
        shape = self.w.shape if direction == "backward" else (*self.rows, self.w.shape[2], self.w.shape[0])
        result = np.empty(shape, self.w.dtype)
        name = "dW" if direction == "backward" else "out"
        call = fill(SkipArrays(), self.arrays | arrays | {name: result})
        function = getattr(library.handle(), f"statecast_skip_{direction}")
        library.check(function(byref(self.sizes), byref(call)))
        return result


def _forward(threads: int, isa: int, w: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
    call = _Call(threads, isa, w, *arrays[:6])
    if len(arrays) > 6:
        call.add_maps(*arrays[6:])
    return call.run("forward", W=call.w)


# --- JAX


def _on_device(sizes: tuple[int, int], w: Any, *arrays: Any) -> Any:
    """The kernel's call under JAX, which takes empty arrays where there are no maps."""
    from jax import numpy as jnp

    values, mask, last, age, level, scale, *local = arrays
    targets, taps, horizon = w.shape
    numbers, maps = local or (jnp.zeros((0, 0)), jnp.zeros((0, targets, horizon, taps), w.dtype))
    last, age, numbers = (part.astype(np.int32) for part in (last, age, numbers))
    return _compiled()(sizes, w, values, mask, last, age, level, scale, numbers, maps)


@cache
def _compiled() -> Any:
    """Make the kernel known to JAX and build the function with its gradient; once for each process."""
    import jax

    jax_ffi: Any = jax.ffi  # untyped
    for name, symbol in ((FORWARD, "statecast_xla_skip_forward"), (BACKWARD, "statecast_xla_skip_backward")):
        jax_ffi.register_ffi_target(name, jax_ffi.pycapsule(getattr(library.handle(), symbol)), platform="cpu")

    def forward(sizes: tuple[int, int], w: Any, *arrays: Any) -> Any:
        rows, targets = arrays[2].shape, arrays[0].shape[0]
        return _call(FORWARD, sizes, (*rows, w.shape[2], targets), w.dtype, *arrays[:6], w, *arrays[6:])

    def remember(sizes: tuple[int, int], w: Any, *arrays: Any) -> Any:
        return forward(sizes, w, *arrays), (w, arrays)

    def backward(sizes: tuple[int, int], residuals: Any, dout: Any) -> Any:
        w, arrays = residuals
        return (_call(BACKWARD, sizes, w.shape, w.dtype, *arrays[:6], dout), *[None] * len(arrays))

    run = jax.custom_vjp(forward, nondiff_argnums=(0,))
    run.defvjp(remember, backward)
    return run


def _call(name: str, sizes: tuple[int, int], shape: tuple[int, ...], dtype: Any, *arrays: Any) -> Any:
    import jax

    struct: Any = jax.ShapeDtypeStruct  # untyped
    call: Any = jax.ffi.ffi_call(name, struct(shape, dtype), vmap_method="expand_dims")
    numbers = {"dtype": FORMATS[np.dtype(dtype)], "threads": sizes[0], "isa": sizes[1]}
    return call(*arrays, **{key: np.int64(value) for key, value in numbers.items()})
