"""What every trainer is: one compiled step, many times in a call, on data that are its arguments.

What is compiled depends on a plan alone, a hashable value of settings and sizes; tables, weights and learning rates are
arguments. So a second fit of like shape in a process compiles nothing: sizes that grow with the rows are rounded up to
few (`roomy`). A trainer of segments (`segment_trainer`) and one of whole sequences (`reader_trainer`) share this; what
a batch is and what its loss is, each alone knows.

How many steps a call makes is a run-time value: it follows the clock, so Python is rarely in the way and Ctrl-C never
waits long, and it changes no bit of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from statecast.config import Settings
from statecast.data.segments import Tape
from statecast.model.stack import Drop

CALL = 512  # most steps of one compiled call
PLANS = 16  # plans whose compiled functions a process keeps: each takes some megabytes

Arrays = dict[str, Any]
Step = Callable[[Arrays, Array, Array, Array], tuple[Arrays, Array]]


class Look(NamedTuple):
    """The losses of validation rows under some weights.

    Attributes:
        total, weight: sums of their losses and of their weights, [measures, networks]: what the best weights are chosen
            by, the first of which is all rows; one network where several are trained but not told apart.
        finite: whether every weight of the network is finite.
    """

    total: np.ndarray
    weight: np.ndarray
    finite: bool


class Trainer(Protocol):
    """A trainer as the loop sees it.

    Attributes:
        config: the settings.
        steps: training steps at most.
        keeps_start: whether the first weights are kept where no look after a step is better.
    """

    config: Any
    steps: int
    keeps_start: bool

    @property
    def measures(self) -> int:
        """By how many measures the best weights are kept; see `Look`."""
        ...

    @property
    def steps_of_epoch(self) -> int:
        """Steps in a pass over the training rows."""
        ...

    def begin(self, weights: Any) -> Arrays:
        """The arrays that training changes, among them "weights"."""
        ...

    def batches(self, step: int, count: int) -> np.ndarray:
        """The batches of `count` steps from `step`, on `CALL` rows."""
        ...

    def run(
        self, arrays: Arrays, batches: np.ndarray, rates: np.ndarray, count: np.ndarray, first: np.ndarray
    ) -> tuple[Arrays, Array]:
        """`count` steps from number `first` at these rates [CALL]; the arrays after them, and the losses [CALL]."""
        ...

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """The learning rates of steps."""
        ...

    def validate(self, weights: Any) -> Look:
        """The losses of the validation rows."""
        ...


def many(step: Step, arrays: Arrays, batches: Array, rates: Array, count: Array, first: Array) -> tuple[Arrays, Array]:
    """`count` steps over batches [CALL, …] from step number `first`; the losses come in [CALL].

    Args:
        step: (arrays, batch, rate, number) → arrays, loss.
        arrays: what training changes.
        batches: what each step takes.
        rates: the learning rate of each step, in the format of the losses.
        count: how many steps; a value of the run, so that no count is compiled anew.
        first: number of the first step.
    """

    def body(n: Array, carried: tuple[Arrays, Array]) -> tuple[Arrays, Array]:
        arrays, losses = carried
        arrays, value = step(arrays, batches[n], rates[n], first + n)
        return arrays, losses.at[n].set(value.astype(losses.dtype))

    after: tuple[Arrays, Array] = lax.fori_loop(0, count, body, (arrays, jnp.zeros_like(rates)))
    return after


def compiling(config: Settings, function: Any, *arguments: Any) -> Future[Any]:
    """Have a compiled function made ready for such arguments in a thread of its own, while this one does other things.

    A call before that is done would compile it a second time.
    """

    def compiled() -> Any:
        # Which precision JAX takes is told each thread anew.
        with jax.enable_x64(config.precision == "float64"):
            return function.lower(*arguments).compile()

    threads = ThreadPoolExecutor(1)
    done = threads.submit(compiled)
    threads.shutdown(wait=False)
    return done


def stepped(
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
    limits = [config.max_steps] if config.max_steps is not None else []
    limits += [config.max_epochs * steps_of_epoch] if config.max_epochs is not None else []
    return min(limits)


def roomy(size: int, grain: int = 8) -> int:
    """A size at most an eighth larger, of few that there are: tables of about one size share compiled functions.

    Args:
        size: rows, segments, or sequences.
        grain: least distance between two such sizes.
    """
    grain = max(grain, 1 << max(size.bit_length() - 4, 0))
    return -(-size // grain) * grain


def on_device(values: Any) -> Any:
    """NumPy's numbers and arrays, alone or in a tree, as arrays of JAX: copies, whatever becomes of the originals.

    `jnp.asarray` would compile a program for each shape, some 20 of them in a fit.
    """
    return jax.device_put(jax.tree.map(np.array, values))


def with_room(values: np.ndarray, size: int) -> np.ndarray:
    """Rows [n, …] with rows of zeros behind them, `size` in all."""
    return np.pad(values, [(0, size - len(values))] + [(0, 0)] * (values.ndim - 1))


def tape_on_device(tape: Tape, most: int, weight: np.ndarray | None = None, dtype: str = "float32") -> dict[str, Array]:
    """A tape with room for `most` places, and where its own begin and end; `weight` tells how much each counts."""
    columns = vars(tape) | ({} if weight is None else {"weight": weight.astype(dtype)})
    places = len(tape.rows)
    arrays = {name: with_room(values, roomy(max(most, 1))) for name, values in columns.items()}
    columns_on_device: dict[str, Array] = on_device(arrays | {"begin": 0, "end": places})
    return columns_on_device
