"""The trainer of a network that reads a sequence, or a row, to one answer; see `trainer`.

Sequences lie flat on the device and are padded to the longest only within a batch. The members of an ensemble are an
axis of every weight, and each keeps other rows for validation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from statecast.model.kernel import library as kernel_library
from statecast.model.sequences.reader import SequenceReader
from statecast.sequence_config import RegressorConfig, SequenceConfig
from statecast.train import optimizer
from statecast.train.loss import cross_entropy, pointwise
from statecast.train.sequences.trial import held_out
from statecast.train.trainer import (
    CALL,
    PLANS,
    Arrays,
    Look,
    all_finite,
    count_steps,
    dropper,
    many,
    on_device,
    roomy,
    stepped,
    with_room,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int64, Shaped

PLACES = 65_536  # most steps of all sequences of a batch of validation
NOWHERE = -1  # a place of a batch that holds no sequence
# Settings that compiled functions read. They see no others, so that a forgotten one is without effect, never stale.
COMPILED = (
    *("loss", "huber_delta", "optimizer", "momentum", "weight_decay", "clip", "dropout", "ensemble"),
    *("precision", "threads"),
)


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be learned.

    Attributes:
        inputs: of every step of every sequence.
        offsets: where the sequences begin.
        recurrent: whether steps form sequences; false for rows of a table.
        target: codes of classes [n] int64, or standardised values [n, K].
        weight: of each sequence in the loss.
        answers: classes, or values of the target.
    """

    inputs: Float[np.ndarray, "steps I"]
    offsets: Int64[np.ndarray, " n+1"]
    recurrent: bool
    target: Shaped[np.ndarray, "n ..."]
    weight: Float[np.ndarray, " n"]
    answers: int

    @property
    def count(self) -> int:
        """Number of sequences."""
        return len(self.offsets) - 1


@dataclass(frozen=True)
class ReaderPlan:
    """All that compiling depends on, beside the sizes of the arrays.

    Attributes:
        config: the settings in `COMPILED`, all others as they are by default.
        reader: the network.
        length: steps that every sequence has room for.
        kernel: what runs the recurrent layers.
    """

    config: SequenceConfig
    reader: SequenceReader
    length: int
    kernel: str

    @property
    def error_of(self) -> Callable[[Array, Array], Array]:
        """(answers [B, K], target [B, …]) → loss of each sequence [B]."""
        if not isinstance(self.config, RegressorConfig):
            return cross_entropy
        loss = pointwise(self.config, ())
        return lambda answers, target: loss(answers - target)


class ReaderTrainer:
    """The arrays of one fit and its compiled functions; see `trainer.Trainer`."""

    measures = 1
    keeps_start = True

    def __init__(self, config: SequenceConfig, reader: SequenceReader, task: Task) -> None:
        self.config, self.count = config, task.count
        self.steps_of_epoch = -(-task.count // (config.batch_size or 1))
        self.rows = -(-task.count // self.steps_of_epoch)  # batches of one size, as even as they can be
        self.steps = count_steps(config, self.steps_of_epoch)
        self.rates = optimizer.schedule(config, self.steps)
        longest = int(np.diff(task.offsets).max())
        bare = type(config)(**{name: getattr(config, name) for name in COMPILED if hasattr(config, name)})
        self.plan = ReaderPlan(bare, reader, roomy(longest) if longest > 1 else 1, kernel_library.description())
        self.data = self._on_device(task, held_out(config, task.target))

    def _on_device(self, task: Task, held: np.ndarray) -> Arrays:
        dtype = self.config.dtype
        classes = task.target.ndim == 1
        arrays = {
            "start": (task.offsets[:-1], jnp.int32),
            "length": (np.diff(task.offsets), jnp.int32),
            "target": (task.target, jnp.int32 if classes else dtype),
            "weight": (task.weight, dtype),
            "learned": ((~held).T, dtype),
            "x": (task.inputs, dtype),
        }
        data = {name: with_room(values, roomy(len(values))).astype(kind) for name, (values, kind) in arrays.items()}
        places = _padded(held, max(1, PLACES // self.plan.length))
        seed = np.uint32(self.config.random_state % 2**32)
        columns: Arrays = on_device(data | {"held": places.astype(np.int32), "seed": seed})
        return columns

    def begin(self, weights: Any) -> Arrays:
        """The arrays that training changes."""
        arrays: Arrays = _compiled(self.plan).begin(weights)
        return arrays

    def batches(self, step: int, count: int) -> np.ndarray:
        """The batches of `count` steps, on as many rows as the compiled function always takes."""
        batches = np.full((CALL, roomy(self.rows)), NOWHERE, np.int32)
        epoch, order = -1, np.zeros(0, np.int64)
        for n in range(count):
            current, part = divmod(step + n, self.steps_of_epoch)
            if current != epoch:
                epoch = current
                order = np.random.default_rng([self.config.random_state, 2, epoch]).permutation(self.count)
            rows = order[part * self.rows : (part + 1) * self.rows]
            batches[n, : len(rows)] = rows
        return batches

    def run(
        self, arrays: Arrays, batches: np.ndarray, rates: np.ndarray, count: np.ndarray, first: np.ndarray
    ) -> tuple[Arrays, Array]:
        """`count` steps; see `trainer.Trainer`."""
        after: tuple[Arrays, Array] = _compiled(self.plan).run(self.data, arrays, batches, rates, count, first)
        return after

    def validate(self, weights: Any) -> Look:
        """Losses of the rows that each member holds out, over all members: they are not told apart."""
        total, weight, finite = _compiled(self.plan).look(self.data, weights)
        total, weight = (np.asarray(part, np.float64).reshape(1, 1) for part in (total, weight))
        return Look(total, weight, bool(finite))


def _padded(held: np.ndarray, most: int) -> np.ndarray:
    """Rows that each member holds out, [members, calls, rows]: at most `most` in a call, filled up with NOWHERE."""
    widest = int(held.sum(axis=1).max(initial=0))
    calls = max(1, -(-widest // most))
    rows = np.full((len(held), calls * roomy(-(-max(widest, 1) // calls))), NOWHERE)
    for member, mask in enumerate(held):
        rows[member, : mask.sum()] = np.flatnonzero(mask)
    return rows.reshape(len(held), calls, -1)


class ReaderFunctions(NamedTuple):
    """The compiled functions of a plan."""

    begin: Callable[[Any], Any]
    run: Callable[..., Any]
    look: Callable[..., Any]


@lru_cache(maxsize=PLANS)
def _compiled(plan: ReaderPlan) -> ReaderFunctions:
    return ReaderFunctions(*(jax.jit(partial(function, plan)) for function in (_begin, _run, _look)))


def _begin(plan: ReaderPlan, weights: Any) -> Arrays:
    return {"weights": weights, "moments": jax.vmap(optimizer.direction(plan.config).init)(weights)}


def _losses(plan: ReaderPlan, data: Arrays, weights: Any, rows: Array, drop: Any) -> tuple[Array, Array]:
    """Losses of one member on some rows [B], and their weights; NOWHERE counts nothing."""
    place = jnp.arange(plan.length)[:, None]
    # A place without a row reads the first step of the first one, so that no pool is empty.
    length = jnp.where(rows < 0, 1, data["length"][rows])
    mask = place < length
    at = jnp.clip(data["start"][jnp.maximum(rows, 0)] + jnp.minimum(place, length - 1), 0, data["x"].shape[0] - 1)
    answers = plan.reader.read(weights, data["x"][at], mask, drop)
    counted = jnp.where(rows < 0, 0, data["weight"][jnp.maximum(rows, 0)])
    return plan.error_of(answers, data["target"][jnp.maximum(rows, 0)]), counted


def _run(
    plan: ReaderPlan, data: Arrays, arrays: Arrays, batches: Array, rates: Array, count: Array, first: Array
) -> tuple[Arrays, Array]:
    direction = optimizer.direction(plan.config)
    seed = jax.random.key(data["seed"])

    def loss(weights: Any, rows: Array, learned: Array, key: Array) -> Array:
        drop = dropper(plan.config.dropout, key, whole=True)
        value, weight = _losses(plan, data, weights, rows, drop)
        weight = weight * learned[jnp.maximum(rows, 0)]
        total = jnp.sum(weight)
        return jnp.sum(value * weight) / jnp.where(total > 0, total, 1)

    def step(arrays: Arrays, rows: Array, rate: Array, number: Array) -> tuple[Arrays, Array]:
        def member(weights: Any, moments: Any, learned: Array, n: Array) -> tuple[Any, Any, Array]:
            key = jax.random.fold_in(jax.random.fold_in(seed, number), n)
            value, gradient = jax.value_and_grad(loss)(weights, rows, learned, key)
            return *stepped(direction, gradient, moments, weights, rate), value

        numbers = jnp.arange(plan.config.ensemble)
        weights, moments, values = jax.vmap(member, in_axes=(0, 0, 1, 0))(
            arrays["weights"], arrays["moments"], data["learned"], numbers
        )
        return {"weights": weights, "moments": moments}, jnp.mean(values)

    return many(step, arrays, batches, rates, count, first)


def _look(plan: ReaderPlan, data: Arrays, weights: Any) -> tuple[Array, Array, Array]:
    """Sum of the held rows' losses over all members, sum of their weights, and whether all weights are finite."""

    def member(weights: Any, held: Array) -> tuple[Array, Array]:
        def body(sums: tuple[Array, Array], rows: Array) -> tuple[tuple[Array, Array], None]:
            value, weight = _losses(plan, data, weights, rows, None)
            return (sums[0] + jnp.sum(value * weight), sums[1] + jnp.sum(weight)), None

        zero = jnp.zeros((), data["x"].dtype)
        sums: tuple[Array, Array] = lax.scan(body, (zero, zero), held)[0]
        return sums

    totals, counts = jax.vmap(member)(weights, data["held"])
    return jnp.sum(totals), jnp.sum(counts), all_finite(weights)
