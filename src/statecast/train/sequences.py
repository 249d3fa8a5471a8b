"""Training of networks that read a sequence, or a row, to one answer.

An ensemble is trained as one: its members are an axis of every weight, and each keeps another share of the rows for
validation, so that together they have learned from every row and the validation loss is that of a cross-validation.
Sequences lie flat on the device and are padded to the longest only within a batch. Compiled functions depend on sizes
and settings alone, so a second fit on a table of about the same size compiles nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from statecast.config import RegressorConfig, SequenceConfig
from statecast.data.sequences import patched
from statecast.model.initial import Start
from statecast.model.kernel import library as kernel_library
from statecast.model.members import cast, stacked
from statecast.model.reader import SequenceReader
from statecast.train import optimizer
from statecast.train.fit import precision, require_bf16
from statecast.train.loop import QUIET, follow
from statecast.train.loss import cross_entropy, pointwise
from statecast.train.optimizer import LEARNING_RATES
from statecast.train.progress import Fitted, Watch
from statecast.train.steps import CALL, Arrays, all_finite, count_steps, dropper, many, moved

if TYPE_CHECKING:
    from jaxtyping import Float, Int64, Shaped

PLACES = 65_536  # most steps of all sequences of a batch of validation
APART = ("tensorboard", "max_steps", "max_epochs", "eval_every")  # settings that compiled functions do not know
NOWHERE = -1  # a place of a batch that holds no sequence


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


@dataclass(frozen=True, eq=False)
class Outcome:
    """A trained ensemble: all settings, why for those chosen here, the network, and its weights with members first."""

    config: SequenceConfig
    reasons: dict[str, str]
    reader: SequenceReader
    fitted: Fitted


def fit(
    config: SequenceConfig, task: Task, watch: Watch | None = None, folder: Path | None = None, resume: bool = False
) -> Outcome:
    """Train an ensemble.

    Args:
        config: settings; those left out are chosen from the task.
        task: inputs and targets; validation rows are split off here.
        watch: told of the progress.
        folder: where checkpoints go; none are written where None.
        resume: go on from the checkpoint in `folder` where there is one.

    Raises:
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C while there is a folder; the checkpoint is written first.
    """
    with precision(config):
        config, reasons = choose(config, task)
        inputs, offsets = patched(task.inputs, task.offsets, config.patch or 1)
        task = replace(task, inputs=inputs, offsets=offsets)
        reader = SequenceReader.of(config, task.inputs.shape[1], task.answers, task.recurrent)
        kernel_library.warn_where_slow(reader.recurrent.cell, reader.recurrent.hidden)
        require_bf16(reader.recurrent)
        trainer = SequenceTrainer(config, reader, task)
        fitted = follow(trainer, initial(config, reader), _fingerprint(config, task), watch, folder, resume)
    return Outcome(config, reasons, reader, fitted)


def choose(config: SequenceConfig, task: Task) -> tuple[SequenceConfig, dict[str, str]]:
    """All settings, and the reason for each that was chosen here."""
    chosen: dict[str, tuple[Any, str]] = {}
    rate = LEARNING_RATES[config.optimizer]
    if config.patch is None:
        length = float(np.median(np.diff(task.offsets)))
        chosen["patch"] = (max(1, math.ceil(length / PATCHES)), f"so that {length:g} steps become {PATCHES} at most")
    if config.learning_rate is None:
        faster = config.optimizer in ("adam", "adamw")
        value = RATE if faster else rate
        chosen["learning_rate"] = (value, f"suits {config.optimizer}")
    batch = config.batch_size or BATCH
    if config.batch_size is None:
        chosen["batch_size"] = (batch, "suits most tables")
    if config.max_steps is None and config.max_epochs is None:
        epoch = -(-task.count // batch)
        steps = int(np.clip(STEPS_OF_ROW * epoch, LEAST_STEPS, MOST_STEPS))
        chosen["max_steps"] = (steps, f"{STEPS_OF_ROW} passes, between {LEAST_STEPS} and {MOST_STEPS} steps")
    if config.eval_every is None:
        chosen["eval_every"] = (10, "steps between two looks at the validation rows")
    values = {name: value for name, (value, _) in chosen.items()}
    return config.with_(**values), {name: reason for name, (_, reason) in chosen.items()}


PATCHES = 40  # most steps of the recurrence of a typical sequence
RATE, BATCH, STEPS_OF_ROW, LEAST_STEPS, MOST_STEPS = 1e-2, 64, 30, 200, 2000


def initial(config: SequenceConfig, reader: SequenceReader) -> Any:
    """First weights of all members, stacked on a first axis."""
    seeds = np.random.SeedSequence(config.random_state).generate_state(config.ensemble)
    trees = [reader.init(int(seed), Start.of(config)) for seed in seeds]
    return cast(stacked(trees), config.dtype)


def held_out(config: SequenceConfig, task: Task) -> np.ndarray:
    """Which rows each member keeps for validation, [members, n] bool: as large a share of every class, never all of it.

    The order is drawn once, and five members with a share of 0.2 are a five-fold cross-validation.
    """
    share = config.val_size if isinstance(config.val_size, float) else config.val_size / max(task.count, 1)
    groups = task.target if task.target.ndim == 1 else np.zeros(task.count, np.int64)
    order = np.random.default_rng([config.random_state, 1]).permutation(task.count)
    held = np.zeros((config.ensemble, task.count), bool)
    ahead = 0.0  # shares of small classes are evened out over the classes
    for group in np.unique(groups):
        rows = order[groups[order] == group]
        ahead += min(share, 0.5) * len(rows)
        size = min(int(ahead + 1e-9), len(rows) - 1)
        ahead -= size
        # Members begin evenly spaced over a class's rows, so that its rows are held out equally often.
        stride = len(rows) / config.ensemble
        for member in range(config.ensemble):
            first = round(member * stride)
            held[member, rows[(first + np.arange(size)) % len(rows)]] = True
    return held


@dataclass(frozen=True)
class Plan:
    """All that compiling depends on, beside the sizes of the arrays; a value that is a key of the compiler's cache.

    Attributes:
        config: the settings, without those that change numbers alone.
        reader: the network.
        length: steps that every sequence has room for.
        steps: training steps at most; 0 where the learning rate does not depend on them.
    """

    config: SequenceConfig
    reader: SequenceReader
    length: int
    steps: int

    @property
    def error_of(self) -> Callable[[Array, Array], Array]:
        """(answers [B, K], target [B, …]) → loss of each sequence [B]."""
        if not isinstance(self.config, RegressorConfig):
            return cross_entropy
        loss = pointwise(self.config, ())
        return lambda answers, target: loss(answers - target)


class SequenceTrainer:
    """Compiled functions of one fit, and the arrays they read; see `steps.Compiled`."""

    def __init__(self, config: SequenceConfig, reader: SequenceReader, task: Task) -> None:
        self.config, self.count = config, task.count
        self.steps_of_epoch = -(-task.count // (config.batch_size or 1))
        self.rows = -(-task.count // self.steps_of_epoch)  # batches of one size, as even as they can be
        self.steps = count_steps(config, self.steps_of_epoch)
        lengths = np.diff(task.offsets)
        # What changes numbers alone must not make the compiler begin anew.
        bare = config.with_(random_state=0, val_size=0, patience=0, **dict.fromkeys(APART))
        bare = bare.with_(class_weight=None) if hasattr(bare, "class_weight") else bare
        longest = int(lengths.max())
        steps = self.steps if config.schedule in ("cosine", "piecewise") else 0  # the others do not look at the end
        self.plan = Plan(bare, reader, roomy(longest) if longest > 1 else 1, steps)
        self.data = self._on_device(task, held_out(config, task))
        self.direction = optimizer.direction(config)

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
        held = _padded(held, max(1, PLACES // self.plan.length))
        return {name: jnp.asarray(_blank_rows(value).astype(kind)) for name, (value, kind) in arrays.items()} | {
            "held": jnp.asarray(held.astype(np.int32)),
            "key": jax.random.key_data(jax.random.key(self.config.random_state)),
        }

    def begin(self, weights: Any) -> Arrays:
        """The arrays that training changes."""
        moments = jax.vmap(self.direction.init)(weights)
        return {"weights": weights, "moments": moments, "best": weights}

    def batches(self, step: int, count: int) -> np.ndarray:
        """The batches of `count` steps, on as many rows as the compiled function always takes."""
        found = np.full((CALL, roomy(self.rows)), NOWHERE, np.int32)
        epoch, order = -1, np.zeros(0, np.int64)
        for n in range(count):
            now, part = divmod(step + n, self.steps_of_epoch)
            if now != epoch:
                epoch, order = now, np.random.default_rng([self.config.random_state, 2, now]).permutation(self.count)
            rows = order[part * self.rows : (part + 1) * self.rows]
            found[n, : len(rows)] = rows
        return found

    def run(self, arrays: Arrays, batches: np.ndarray, count: Any, first: Any, factor: Any) -> tuple[Arrays, Array]:
        """`count` steps; see `steps.many`."""
        found: tuple[Arrays, Array] = _run(self.plan, self.data, arrays, batches, count, first, factor)
        return found

    def validate(self, weights: Any) -> tuple[Array, Array, Array]:
        """Sum of the held rows' losses over all members, sum of their weights, and whether all weights are finite."""
        found: tuple[Array, Array, Array] = _validate(self.plan, self.data, weights)
        return found

    @cached_property
    def rate(self) -> Callable[[Any], Array]:
        """The learning rate of a step."""
        return optimizer.schedule(self.config, self.steps)


def roomy(size: int) -> int:
    """A size at most an eighth larger, of few that there are: tables of about one size share compiled functions."""
    grain = max(8, 1 << max(size.bit_length() - 4, 0))
    return -(-size // grain) * grain


def _blank_rows(values: np.ndarray) -> np.ndarray:
    blank = roomy(len(values)) - len(values)
    return np.pad(values, [(0, blank)] + [(0, 0)] * (values.ndim - 1))


def _padded(held: np.ndarray, most: int) -> np.ndarray:
    """Rows that each member holds out, [members, calls, rows]: at most `most` in a call, filled up with NOWHERE."""
    widest = int(held.sum(axis=1).max(initial=0))
    calls = max(1, -(-widest // most))
    found = np.full((len(held), calls * roomy(-(-max(widest, 1) // calls))), NOWHERE)
    for member, mask in enumerate(held):
        found[member, : mask.sum()] = np.flatnonzero(mask)
    return found.reshape(len(held), calls, -1)


def _losses(plan: Plan, data: Arrays, weights: Any, rows: Array, drop: Any) -> tuple[Array, Array]:
    """Losses of one member on some rows [B], and their weights; NOWHERE counts nothing."""
    place = jnp.arange(plan.length)[:, None]
    # A row that is not there reads the first step of the first one, so that no pool is empty.
    length = jnp.where(rows < 0, 1, data["length"][rows])
    there = place < length
    at = jnp.clip(data["start"][jnp.maximum(rows, 0)] + jnp.minimum(place, length - 1), 0, data["x"].shape[0] - 1)
    answers = plan.reader.read(weights, data["x"][at], there, drop)
    counted = jnp.where(rows < 0, 0, data["weight"][jnp.maximum(rows, 0)])
    return plan.error_of(answers, data["target"][jnp.maximum(rows, 0)]), counted


@partial(jax.jit, static_argnums=0)
def _run(
    plan: Plan, data: Arrays, arrays: Arrays, batches: Array, count: Array, first: Array, factor: Array
) -> tuple[Arrays, Array]:
    direction = optimizer.direction(plan.config)
    key = jax.random.wrap_key_data(data["key"])

    def loss(weights: Any, rows: Array, learned: Array, key: Array) -> Array:
        drop = dropper(plan.config.dropout, key, whole=True)
        value, weight = _losses(plan, data, weights, rows, drop)
        weight = weight * learned[jnp.maximum(rows, 0)]
        total = jnp.sum(weight)
        return jnp.sum(value * weight) / jnp.where(total > 0, total, 1)

    def step(arrays: Arrays, rows: Array, rate: Array, number: Array) -> tuple[Arrays, Array]:
        def member(weights: Any, moments: Any, learned: Array, n: Array) -> tuple[Any, Any, Array]:
            own = jax.random.fold_in(jax.random.fold_in(key, number), n)
            value, gradient = jax.value_and_grad(loss)(weights, rows, learned, own)
            return *moved(direction, gradient, moments, weights, rate), value

        numbers = jnp.arange(plan.config.ensemble)
        weights, moments, values = jax.vmap(member, in_axes=(0, 0, 1, 0))(
            arrays["weights"], arrays["moments"], data["learned"], numbers
        )
        return arrays | {"weights": weights, "moments": moments}, jnp.mean(values)

    schedule = optimizer.schedule(plan.config, plan.steps)
    return many(step, schedule, arrays, batches, count, first, factor, data["x"].dtype)


@partial(jax.jit, static_argnums=0)
def _validate(plan: Plan, data: Arrays, weights: Any) -> tuple[Array, Array, Array]:
    def member(weights: Any, held: Array) -> tuple[Array, Array]:
        def body(sums: tuple[Array, Array], rows: Array) -> tuple[tuple[Array, Array], None]:
            value, weight = _losses(plan, data, weights, rows, None)
            return (sums[0] + jnp.sum(value * weight), sums[1] + jnp.sum(weight)), None

        zero = jnp.zeros((), data["x"].dtype)
        sums: tuple[Array, Array] = lax.scan(body, (zero, zero), held)[0]
        return sums

    totals, counts = jax.vmap(member)(weights, data["held"])
    return jnp.sum(totals), jnp.sum(counts), all_finite(weights)


def _fingerprint(config: SequenceConfig, task: Task) -> str:
    """Of the settings and the values that a fit depends on."""
    settings = {name: value for name, value in config.to_dict().items() if name not in QUIET}
    digest = hashlib.sha256(repr(sorted(settings.items(), key=lambda item: item[0])).encode())
    for values in (task.inputs, task.offsets, task.target, task.weight):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
