"""A recurrence over time: NumPy or JAX, with reset and mask.

`scan` is the one loop of the package. `layer` runs a cell over a segment: the input product of all steps is one matrix
product, the rest is the cell's own step. Reset replaces a row's state before the step (a new series begins there);
mask = 0 lets it pass unchanged. This is where a faster execution of the same equations is chosen: the native kernel,
or for linear recurrences their coefficients at all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from statecast.model.cells import Array, Cell, Components, StateParts, Weights, affine, product
from statecast.model.kernel import layer as kernel_layer


def is_jax(x: Array) -> bool:
    """Whether x is a JAX array or tracer; asks without importing JAX."""
    return not isinstance(x, np.ndarray | np.generic) and type(x).__module__.startswith("jax")


def scan(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: tuple[Array, ...], steps: int) -> tuple[Any, Any]:
    """Run `carry, y = step(carry, x)` over the first axis of every array in xs; the ys come stacked.

    Args:
        step: the recurrence. `y` is an array, or a dict or tuple of arrays.
        carry: state before the first step.
        xs: arrays with `steps` rows each.
        steps: the number of steps; 0 is allowed where xs are JAX arrays, or only the last `carry` is needed.
    """
    if any(is_jax(x) for x in xs):
        from jax import lax

        return lax.scan(step, carry, xs, length=steps)
    out = []
    for row in zip(*xs, strict=True):
        carry, y = step(carry, row)
        out.append(y)
    return carry, _stacked(out)


def _stacked(rows: list[Any]) -> Any:
    if rows and isinstance(rows[0], dict):
        return {name: _stacked([row[name] for row in rows]) for name in rows[0]}
    if rows and isinstance(rows[0], tuple):
        return tuple(_stacked(list(values)) for values in zip(*rows, strict=True))
    return rows[0].__array_namespace__().stack(rows) if rows else None


def layer(
    cell: Cell,
    w: Weights,
    x: Array,
    state: StateParts,
    reset: Array | None = None,
    mask: Array | None = None,
    threads: int = 0,
    bf16: bool = False,
) -> tuple[Array, StateParts]:
    """One recurrent layer over a segment.

    Args:
        cell: its equations.
        w: its weights, as `Cell.init` draws them.
        x: input [T, B, I].
        state: each part [B, H].
        reset: [T, B] bool; where true the state is the initial one before the step.
        mask: [T, B] bool; where false the state passes unchanged.
        threads: of the native kernel, at most; 0 for all.
        bf16: products of bfloat16 where JAX trains; NumPy forecasts in the precision of the arrays.

    Returns:
        The outputs [T, B, H] and the state after the last step.
    """
    if kernel_layer.refuses(cell.name, x) is None:
        init = {part: w[f"init_{part}"] for part in cell.states}
        limit, bf16 = threads or None, bf16 and is_jax(x)
        return kernel_layer.forward(cell.name, w, x, state, mask, reset, init, threads=limit, bf16=bf16)
    if x.shape[0] == 0:
        return x[..., :0] @ w["W"][:0, : state[cell.states[0]].shape[-1]], state
    z = x @ w["W"] + w["b"]
    if cell.linear is not None:
        return _linear(cell, w, z, state, reset, mask)
    xp = x.__array_namespace__()
    reset = xp.zeros(x.shape[:2], dtype=xp.bool) if reset is None else reset
    rows = (z, reset[..., None]) if mask is None else (z, reset[..., None], mask[..., None])

    def step(before: StateParts, row: tuple[Array, ...]) -> tuple[StateParts, Array]:
        z_t, reset_t = row[:2]
        start = {part: xp.where(reset_t, cell.start(w, part), before[part]) for part in cell.states}
        after = cell.step(w, z_t, start)
        if mask is not None:
            after = {part: xp.where(row[2], after[part], start[part]) for part in cell.states}
        return after, cell.read(w, z_t, after)

    state, out = scan(_frugal(step) if is_jax(z) else step, state, rows, x.shape[0])
    return out, state


def gates(cell: Cell, w: Weights, x: Array, state: StateParts, reset: Array) -> dict[str, Array]:
    """The gates of a layer and its state after every step by name, and its output as "h", each [T, B, H].

    The arguments are those of `layer`.
    """
    z = x @ w["W"] + w["b"]

    def step(before: StateParts, row: tuple[Array, ...]) -> tuple[StateParts, dict[str, Array]]:
        start = {part: np.where(row[1], cell.start(w, part), before[part]) for part in cell.states}
        after, values = cell.equations(w, row[0], start)
        return after, after | values | {"h": cell.read(w, row[0], after)}

    values: dict[str, Array] = scan(step, state, (z, reset[..., None]), x.shape[0])[1]
    return values


def _linear(
    cell: Cell, w: Weights, z: Array, state: StateParts, reset: Array | None, mask: Array | None
) -> tuple[Array, StateParts]:
    """A linear recurrence: reset and mask are but other coefficients, and the outputs are read from all states at once.

    A step without a row is 1·s + 0; a step after a reset is 0·s + (a·start + b).
    """
    xp = z.__array_namespace__()
    assert cell.linear is not None
    a, b, _ = cell.linear(w, z)
    a = tuple(xp.broadcast_to(part, b[0].shape) for part in a)
    if mask is not None:
        a = tuple(xp.where(mask[..., None], part, one) for part, one in zip(a, (1.0, 0.0), strict=False))
        b = tuple(xp.where(mask[..., None], part, 0.0) for part in b)
    if reset is not None:
        fresh = affine(a, tuple(cell.start(w, part) for part in cell.states), b)
        a = tuple(xp.where(reset[..., None], 0.0, part) for part in a)
        b = tuple(xp.where(reset[..., None], new, part) for new, part in zip(fresh, b, strict=True))
    states = recurrence(a, b, tuple(state[part] for part in cell.states), in_parallel(z))
    after = dict(zip(cell.states, states, strict=True))
    return cell.read(w, z, after), {part: values[-1] for part, values in after.items()}


def in_parallel(x: Array) -> bool:
    """Whether linear recurrences run as an associative scan: on accelerators; on processors the loop is faster.

    Measured by benchmarks/linear.py.
    """
    if not is_jax(x):
        return False
    import jax

    return bool(jax.default_backend() != "cpu")


def recurrence(a: Components, b: Components, start: Components, parallel: bool) -> Components:
    """All states of s[t] = a[t]·s[t−1] + b[t].

    Args:
        a: factor at each step, its parts [T, B, H]: real numbers, or pairs of them.
        b: what is added at each step, likewise.
        start: the state before the first step, each [B, H].
        parallel: as an associative scan of JAX, in about 2·log₂ T rounds over all steps, not as a loop over time.

    Returns:
        The state after each step, each [T, B, H].
    """
    if not parallel:

        def step(s: Components, row: tuple[Array, ...]) -> tuple[Components, Components]:
            s = affine(row[: len(s)], s, row[len(s) :])
            return s, s

        return tuple(scan(step, start, (*a, *b), a[0].shape[0])[1])
    from jax import lax

    first = affine(tuple(part[0] for part in a), start, tuple(part[0] for part in b))
    b = tuple(part.at[0].set(new) for part, new in zip(b, first, strict=True))

    def joined(one: tuple[Components, Components], two: tuple[Components, Components]) -> tuple[Components, Components]:
        return product(two[0], one[0]), affine(two[0], one[1], two[1])

    states: Components = lax.associative_scan(joined, (a, b))[1]
    return states


def _frugal(step: Callable[[Any, Any], tuple[Any, Any]]) -> Callable[[Any, Any], tuple[Any, Any]]:
    """A step that keeps its state alone for the gradient: working the gates out again is cheaper than storing them."""
    import jax

    return jax.checkpoint(step, prevent_cse=False)
