"""The last values at every step of a sequence, in the order of time: what a stream's ring holds after each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from statecast.model.cells import Array, State
from statecast.model.scan import is_jax


@dataclass(frozen=True, eq=False)
class Rings:
    """The rings of all steps; `at` makes those that are asked for, as all of them take R numbers for each value.

    Attributes:
        values: what the ring held before the first step, but for the oldest, and the values after it [R − 1 + T, B, D].
        masks: 1 where there is a value, else 0.
        fresh: how often a row began anew up to there [R − 1 + T, B].
        size: R.
    """

    values: Array
    masks: Array
    fresh: Array
    size: int

    @classmethod
    def of(cls, y: Array, m: Array, reset: Array, before: Array, held: Array) -> Self:
        """The rings of a sequence.

        Args:
            y: values [T, B, D], 0 where missing.
            m: their mask [T, B, D].
            reset: [T, B] bool; nothing from before such a step is held.
            before: the ring before the first step [B, R, D].
            held: its mask.
        """
        xp, size = y.__array_namespace__(), before.shape[1]
        values = xp.concat([xp.moveaxis(before, 1, 0), y], axis=0)[1:]
        masks = xp.concat([xp.moveaxis(held, 1, 0), m], axis=0)[1:]
        fresh = xp.cumulative_sum(xp.astype(reset, xp.int32), axis=0)
        fresh = xp.concat([xp.zeros((size - 1, *fresh.shape[1:]), dtype=fresh.dtype), fresh], axis=0)
        return cls(values, masks, fresh, size)

    def at(self, newest: int | None = None, pick: Any = slice(None)) -> State:
        """The "ring" and its mask, "held", at some steps, newest last [N, B, newest, D].

        Args:
            newest: so many of the R values; all where None.
            pick: which steps.
        """
        size = newest or self.size
        rest = slice(self.size - size, None)
        ring, mask = (_windows(x[rest], size)[pick] for x in (self.values, self.masks))
        now = self.fresh[self.size - 1 :][pick][:, :, None]
        same = _windows(self.fresh[rest][..., None], size)[pick][..., 0] == now
        return {"ring": ring, "held": mask * same[..., None]}


def _windows(x: Array, size: int) -> Array:
    """[T + size − 1, B, D] → [T, B, size, D]; under NumPy a view without a copy."""
    if not is_jax(x):
        return np.moveaxis(np.lib.stride_tricks.sliding_window_view(x, size, axis=0), -1, -2)
    import jax

    xp = x.__array_namespace__()
    take: Any = jax.vmap(lambda start: jax.lax.dynamic_slice_in_dim(x, start, size, axis=0))
    return xp.moveaxis(take(xp.arange(x.shape[0] - size + 1)), 1, 2)
