"""The last values at many steps of many series, as places in those series: a ring is copied only on request.

A ring is a stretch of its series, and overlaps with the next step's in all but one value. So a ring is described
by the place of its newest value among all values, one series after another, and by how many values before it belong to
the same series: the same way for a segment of training, a chunk of a backtest and a single state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from statecast.model.cells import Array, StateParts
from statecast.model.scan import is_jax

NUMBERS = 4_000_000  # numbers of the rings that are copied together


@dataclass(frozen=True, eq=False)
class Rings:
    """The last R values at some steps.

    Attributes:
        values: [P, D], one series after another, 0 where missing. Under JAX, R − 1 rows at least come before the first
            value that a ring ends at.
        mask: [P, D], 1 where there is a value, else 0.
        last: [...] integers, the place of the newest value of each ring.
        age: [...] integers, how many values before it are of the same series; more than R − 1 are as good as R − 1.
        size: R.
    """

    values: Array
    mask: Array
    last: Array
    age: Array
    size: int

    @classmethod
    def of(cls, y: Array, m: Array, reset: Array, before: Array, held: Array) -> Self:
        """The rings [T, B] of a sequence.

        Args:
            y: values [T, B, D], 0 where missing.
            m: their mask [T, B, D].
            reset: [T, B] bool; nothing from before such a step is held.
            before: the ring before the first step [B, R, D].
            held: its mask.
        """
        xp, (steps, batch, targets), size = y.__array_namespace__(), y.shape, before.shape[1]
        values, mask = (
            xp.reshape(xp.concat([old, xp.moveaxis(new, 0, 1)], axis=1), (batch * (size + steps), targets))
            for old, new in ((before, y), (held, m))
        )
        step = xp.arange(steps, dtype=xp.int32)[:, None]
        last = step + size + (size + steps) * xp.arange(batch, dtype=xp.int32)
        # The step at which the series began; the ring before the first step is older than any that begins here.
        begin = _highest(xp.where(reset, step, xp.asarray(-size, dtype=xp.int32)))
        return cls(values, mask, last, step - begin, size)

    @classmethod
    def of_state(cls, ring: Array, held: Array) -> Self:
        """The rings [B] that states hold, which are themselves [B, R, D], with their mask."""
        xp, (batch, size, targets) = ring.__array_namespace__(), ring.shape
        values, mask = (xp.reshape(part, (batch * size, targets)) for part in (ring, held))
        last = xp.arange(batch, dtype=xp.int32) * size + size - 1
        return cls(values, mask, last, xp.zeros_like(last) + size - 1, size)

    def __getitem__(self, which: Any) -> Self:
        """The rings of some of the steps."""
        return replace(self, last=self.last[which], age=self.age[which])

    def newest(self, count: int) -> StateParts:
        """The newest `count` values of each ring and their mask, "ring" and "held" [..., count, D], newest last."""
        xp, first = self.last.__array_namespace__(), self.last - (count - 1)
        ring, mask = (slices(part, first, count) for part in (self.values, self.mask))
        same = xp.arange(count - 1, -1, -1) <= self.age[..., None]
        return {"ring": ring, "held": mask * same[..., None]}

    def in_parts(self, function: Callable[..., Array], count: int, *arrays: Array) -> Array:
        """`function(rings, *arrays)` over the first axis of `last` and of the arrays, the results joined.

        The function may ask for the newest `count` values: so many steps go together that those are `NUMBERS` at most.
        """
        steps, each = self.last.shape[0], math.prod(self.last.shape[1:]) * count * self.values.shape[1]
        size = max(1, NUMBERS // max(each, 1))
        if steps <= size or not (is_jax(self.values) or isinstance(self.values, np.ndarray)):
            return function(self, *arrays)
        if not is_jax(self.values):
            spans = [slice(begin, begin + size) for begin in range(0, steps, size)]
            return np.concatenate([function(self[span], *(array[span] for array in arrays)) for span in spans])
        return self._in_compiled_parts(function, -(-steps // size), *arrays)

    def _in_compiled_parts(self, function: Callable[..., Array], parts: int, *arrays: Array) -> Array:
        """Parts of equal size in one compiled loop, whose gradient copies the rings of a part once more."""
        import jax
        from jax import numpy as jnp

        steps = self.last.shape[0]
        size = -(-steps // parts)

        def cut(array: Any) -> Any:
            filled = jnp.pad(array, [(0, parts * size - steps), *[(0, 0)] * (array.ndim - 1)], mode="edge")
            return filled.reshape(parts, size, *array.shape[1:])

        def part(pieces: tuple[Any, ...]) -> Any:
            last, age, *rest = pieces
            return function(replace(self, last=last, age=age), *rest)

        joined = jax.lax.map(jax.checkpoint(part), tuple(cut(array) for array in (self.last, self.age, *arrays)))
        return joined.reshape(parts * size, *joined.shape[2:])[:steps]


def slices(flat: Array, starts: Array, size: int) -> Array:
    """`flat[start : start + size]` for starts [...] → [..., size, …].

    NumPy takes the first row for those before it; JAX moves a slice that leaves the array into it. Of other arrays no
    slice may leave them.
    """
    if is_jax(flat):
        import jax

        take: Any = jax.vmap(lambda start: jax.lax.dynamic_slice_in_dim(flat, start, size))
        return take(starts.reshape(-1)).reshape(*starts.shape, size, *flat.shape[1:])
    if not isinstance(flat, np.ndarray):
        return flat[starts[..., None] + flat.__array_namespace__().arange(size)]
    if not starts.size or starts.min() < 0:
        return np.asarray(flat[np.maximum(starts[..., None] + np.arange(size), 0)])
    windows = np.lib.stride_tricks.sliding_window_view(flat, size, axis=0)
    return np.moveaxis(windows[starts], -1, starts.ndim)


def _highest(x: Array) -> Array:
    """The highest number so far along the first axis."""
    if not is_jax(x):
        return np.maximum.accumulate(x, axis=0)
    import jax

    highest: Array = jax.lax.cummax(x, axis=0)
    return highest
