"""What every compiled trainer shares: many steps in one call, the move along a gradient, dropout.

The loop drives any trainer that keeps to `Compiled`; what a batch is and what its loss is, the trainer alone knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from statecast.config import Settings
from statecast.model.stack import Drop
from statecast.train.optimizer import Schedule

CALL = 512  # most steps of one compiled call

Arrays = dict[str, Any]
Step = Callable[[Arrays, Array, Array, Array], tuple[Arrays, Array]]


class Compiled(Protocol):
    """A trainer as the loop sees it.

    Attributes:
        config: the settings.
        steps: training steps at most.
        steps_of_epoch: steps in a pass over the training rows.
    """

    config: Any
    steps: int

    @property
    def steps_of_epoch(self) -> int:
        """Steps in a pass over the training rows."""
        ...

    def begin(self, weights: Any) -> Arrays:
        """The arrays that training changes, among them "weights" and "best"."""
        ...

    def batches(self, step: int, count: int) -> np.ndarray:
        """The batches of `count` steps from `step`, on `CALL` rows."""
        ...

    # Functions, and attributes that hold compiled ones, are both fine.
    @property
    def run(self) -> Callable[..., tuple[Arrays, Array]]:
        """(arrays, batches, count, first, factor) → arrays, losses [CALL]."""
        ...

    @property
    def validate(self) -> Callable[[Any], tuple[Array, Array, Array]]:
        """Weights → sum of the validation losses, sum of their weights, whether the network's weights are finite.

        The sums are of each member of an ensemble where the members keep their best weights each.
        """
        ...

    @property
    def rate(self) -> Callable[[Any], Array]:
        """The learning rate of a step."""
        ...


def many(
    step: Step,
    schedule: Schedule,
    arrays: Arrays,
    batches: Array,
    count: Array,
    first: Array,
    factor: Array,
    dtype: Any,
) -> tuple[Arrays, Array]:
    """`count` steps over batches [CALL, …] from step number `first`; the losses come in [CALL].

    Args:
        step: (arrays, batch, rate, number) → arrays, loss.
        schedule: the rate of a step.
        arrays: what training changes.
        batches: what each step takes.
        count: how many steps; a value of the run, so that no count is compiled anew.
        first: number of the first step.
        factor: of the rate.
        dtype: of the losses.
    """

    def body(n: Array, carried: tuple[Arrays, Array]) -> tuple[Arrays, Array]:
        arrays, losses = carried
        arrays, value = step(arrays, batches[n], schedule(first + n) * factor, first + n)
        return arrays, losses.at[n].set(value.astype(losses.dtype))

    done: tuple[Arrays, Array] = lax.fori_loop(0, count, body, (arrays, jnp.zeros(batches.shape[0], dtype)))
    return done


def moved(
    direction: optax.GradientTransformation, gradient: Any, moments: Any, weights: Any, rate: Array
) -> tuple[Any, Any]:
    """Weights and the optimizer's moments after a step of length `rate`."""
    updates, moments = direction.update(gradient, moments, weights)
    return jax.tree.map(lambda w, u: (w - rate * u).astype(w.dtype), weights, updates), moments


def dropper(share: float | tuple[float, ...], key: Array, whole: bool = False) -> Drop | None:
    """Dropout of this share of the numbers; None where nothing is dropped. A place and a key always give the same ones.

    Args:
        share: of the numbers to drop; one for all places, or one for each.
        key: of the step.
        whole: drop the same units at all steps of a sequence (Gal & Ghahramani 2016).
    """
    if not any(share if isinstance(share, tuple) else (share,)):
        return None

    def drop(place: int, x: Array) -> Array:
        part = share[place] if isinstance(share, tuple) else share
        if not part:
            return x
        shape = (1, *x.shape[1:]) if whole and x.ndim == 3 else x.shape
        keep = jax.random.bernoulli(jax.random.fold_in(key, place), 1 - part, shape)
        return jnp.where(keep, x / (1 - part), 0).astype(x.dtype)

    return drop


def all_finite(weights: Any) -> Array:
    """Whether every number of a tree is finite."""
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(weights)]).all()


def count_steps(config: Settings, steps_of_epoch: int) -> int:
    """Training steps at most."""
    limits = [config.max_steps] if config.max_steps else []
    limits += [config.max_epochs * steps_of_epoch] if config.max_epochs else []
    return min(limits)
