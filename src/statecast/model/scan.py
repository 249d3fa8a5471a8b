"""A recurrence over time: NumPy or JAX, with reset and mask.

`scan` is the one loop of the package. `layer` runs a cell over a segment: the input product of all steps is one matrix
product, the rest is the cell's own step. Reset replaces a row's state before the step (a new series begins there);
mask = 0 lets it pass unchanged. This is where a faster execution of the same equations is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from statecast.model import kernel
from statecast.model.cells import Array, Cell, State, Weights


def is_jax(x: Array) -> bool:
    """Whether x is a JAX array or tracer; asks without importing JAX."""
    return not isinstance(x, np.ndarray | np.generic) and type(x).__module__.startswith("jax")


def scan(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: tuple[Array, ...], steps: int) -> tuple[Any, Any]:
    """Run `carry, y = step(carry, x)` over the first axis of every array in xs; the ys come stacked.

    Args:
        step: the recurrence. `y` is an array or a dict of arrays.
        carry: state before the first step.
        xs: arrays with `steps` rows each.
        steps: the number of steps; 0 is allowed where xs are JAX arrays, or `carry` is all that is asked for.
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
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return np.stack(rows) if rows else None


def layer(
    cell: Cell,
    w: Weights,
    x: Array,
    state: State,
    reset: Array | None = None,
    mask: Array | None = None,
) -> tuple[Array, State]:
    """One recurrent layer over a segment.

    Args:
        cell: its equations.
        w: W [I, gates·H], b [gates·H], U [H, recurrent·H], init per state part [H].
        x: input [T, B, I].
        state: each part [B, H].
        reset: [T, B] bool; where true the state is the initial one before the step.
        mask: [T, B] bool; where false the state passes unchanged.

    Returns:
        The outputs [T, B, H] and the state after the last step.
    """
    if kernel.takes(cell.name, x):
        init = {part: w[f"init_{part}"] for part in cell.states}
        return kernel.layer(cell.name, w, x, state, mask, reset, init)
    if x.shape[0] == 0:
        return x[..., :0] @ w["W"][:0, : state["h"].shape[-1]], state
    xp = x.__array_namespace__()
    z = x @ w["W"] + w["b"]
    reset = xp.zeros(x.shape[:2], dtype=xp.bool) if reset is None else reset
    rows = (z, reset[..., None]) if mask is None else (z, reset[..., None], mask[..., None])

    def step(before: State, row: tuple[Array, ...]) -> tuple[State, Array]:
        z_t, reset_t = row[:2]
        start = {part: xp.where(reset_t, w[f"init_{part}"], before[part]) for part in cell.states}
        after = cell.step(w, z_t, start)
        if mask is not None:
            after = {part: xp.where(row[2], after[part], start[part]) for part in cell.states}
        return after, after["h"]

    state, out = scan(_frugal(step) if is_jax(z) else step, state, rows, x.shape[0])
    return out, state


def _frugal(step: Callable[[Any, Any], tuple[Any, Any]]) -> Callable[[Any, Any], tuple[Any, Any]]:
    """A step that keeps its state alone for the gradient: working the gates out again is cheaper than storing them."""
    import jax

    return jax.checkpoint(step, prevent_cse=False)
