"""The training loop, top to bottom: prepare, compile, step, look, keep the best, stop.

A whole training step (gather, forward, loss, backward, update) is compiled, and many steps run in one call, whose number
is a run-time value: it follows the clock, so Python is rarely in the way and Ctrl-C never waits long. How many steps a
call makes changes no bit of the result.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from statecast.config import Config
from statecast.data.segments import NOWHERE, Sampler, Tape, training_tape, validation_tape
from statecast.errors import Interrupted, TrainingError
from statecast.model.network import Network
from statecast.train import checkpoint, optimizer
from statecast.train.loss import Segments, gather, pointwise, segment_loss
from statecast.train.prepare import Prepared

CALL = 512  # most steps of one compiled call
CALL_SECONDS = 0.5  # time that a call should take
CHECKPOINT_SECONDS = 20.0  # time between two checkpoints
VALIDATION_STEPS = 65_536  # most places of the tape that a look at the validation rows takes


@dataclass(frozen=True)
class Report:
    """What the loop tells whoever watches."""

    step: int
    steps: int
    epoch: float
    loss: float
    val_loss: float | None
    learning_rate: float
    rate: float
    seconds: float


Watch = Callable[[Report], None]


@dataclass(frozen=True, eq=False)
class Fitted:
    """The outcome of training: the best weights, and the columns of the history."""

    weights: Any
    history: dict[str, list[float]]
    steps: int
    best_step: int
    seconds: float


HISTORY = ("step", "epoch", "loss", "val_loss", "learning_rate", "seconds")


class Trainer:
    """Compiled functions of one fit, and the constants they read."""

    def __init__(self, config: Config, network: Network, prepared: Prepared) -> None:
        self.config, self.network, self.data = config, network, prepared.data
        self.constants = jax.tree.map(jnp.asarray, prepared.constants)
        tape = training_tape(prepared.offsets, prepared.parts)
        length = len(tape.rows) if config.segment == "full" else min(int(config.segment or 1), len(tape.rows))
        burn_in = min(config.burn_in or 0, length - 1)
        self.segments = Segments(length, burn_in)
        self.sampler = Sampler(len(tape.rows), length, burn_in, config.batch_size, bool(config.shuffle), config.carry == "stored", config.random_state)
        self.tape = _device(tape)
        self.val_segments = Segments(length, max(burn_in, length // 2) if length > 1 else 0)
        self.val_tape, self.val_starts = self._validation(prepared)
        self.steps = self._count()
        self.direction = optimizer.direction(config)
        self.schedule = optimizer.schedule(config, self.steps)
        self.error_of = pointwise(config, network.head.quantiles)
        self.run = jax.jit(self._run)
        self.validate = jax.jit(self._validate)

    def _count(self) -> int:
        limits = [self.config.max_steps] if self.config.max_steps else []
        limits += [self.config.max_epochs * self.sampler.steps] if self.config.max_epochs else []
        return min(limits)

    def _validation(self, prepared: Prepared) -> tuple[dict[str, Array], Array]:
        length, burn_in = self.val_segments.length, self.val_segments.burn_in
        tape = validation_tape(prepared.offsets, prepared.parts, burn_in)
        sampler = Sampler(len(tape.rows), length, burn_in, 1, False, False, 0)
        starts = sampler.epoch(0).ravel() if len(tape.rows) else np.zeros(0, np.int64)
        batch = max(1, min(len(starts), VALIDATION_STEPS // length, self.config.batch_size * 4))
        most = max(batch, VALIDATION_STEPS // length // batch * batch)
        if len(starts) > most:
            starts = starts[np.linspace(0, len(starts) - 1, most).astype(np.int64)]
        padded = np.full(-(-len(starts) // batch) * batch, NOWHERE, np.int64)
        padded[: len(starts)] = starts
        return _device(tape), jnp.asarray(padded.reshape(-1, batch))

    def begin(self, weights: Any) -> dict[str, Any]:
        """The arrays that training changes."""
        stored = {}
        if self.config.carry == "stored":
            like = self.data["y"][:0]
            stored = self.network.stack.start(weights["stack"], (self.sampler.segments + 2,), like)
        return {"weights": weights, "moments": self.direction.init(weights), "stored": stored, "best": weights}

    def _cells(self, arrays: dict[str, Any], starts: Array) -> Any:
        stack, like = self.network.stack, self.data["y"][:0]
        if not arrays["stored"]:
            return stack.start(arrays["weights"]["stack"], starts.shape, like)
        number = self._number(starts)
        return {name: values[number] for name, values in arrays["stored"].items()}

    def _number(self, starts: Array) -> Array:
        # Segments that fill up a batch read and write the last row, which no other does.
        return jnp.where(starts >= 0, starts // self.sampler.stride, self.sampler.segments + 1)

    def _step(self, arrays: dict[str, Any], starts: Array, rate: Array, number: Array) -> tuple[dict[str, Any], Array]:
        batch = gather(self.network, self.data, self.tape, starts, self.segments)
        cells = self._cells(arrays, starts)
        drop = self._drop(number)

        def loss(weights: Any) -> tuple[Array, Any]:
            begin = cells
            if self.config.carry == "learned":
                begin = self.network.stack.start(weights["stack"], starts.shape, self.data["y"][:0])
            p = {"weights": weights, "constants": self.constants}
            total, weight, last = segment_loss(self.network, self.error_of, p, batch, begin, drop)
            return total / jnp.maximum(weight, 1), last

        (value, last), gradient = jax.value_and_grad(loss, has_aux=True)(arrays["weights"])
        gradient = gradient if self.config.carry == "learned" else _still(gradient)
        updates, moments = self.direction.update(gradient, arrays["moments"], arrays["weights"])
        weights = jax.tree.map(lambda w, u: (w - rate * u).astype(w.dtype), arrays["weights"], updates)
        stored = arrays["stored"]
        if stored:
            after = jnp.where(starts >= 0, self._number(starts) + 1, self.sampler.segments + 1)
            stored = {name: stored[name].at[after].set(last[name]) for name in stored}
        return arrays | {"weights": weights, "moments": moments, "stored": stored}, value

    def _drop(self, number: Array) -> Callable[[int, Array], Array] | None:
        share = self.config.dropout
        if not share:
            return None
        key = jax.random.fold_in(jax.random.key(self.config.random_state), number)

        def drop(place: int, x: Array) -> Array:
            keep = jax.random.bernoulli(jax.random.fold_in(key, place), 1 - share, x.shape)
            return jnp.where(keep, x / (1 - share), 0).astype(x.dtype)

        return drop

    def _run(self, arrays: dict[str, Any], starts: Array, count: Array, first: Array, factor: Array) -> tuple[dict[str, Any], Array]:
        """`count` steps over starts [CALL, B] from step number `first`; the losses come in [CALL]."""

        def body(n: Array, carried: tuple[dict[str, Any], Array]) -> tuple[dict[str, Any], Array]:
            arrays, losses = carried
            rate = self.schedule(first + n) * factor
            arrays, value = self._step(arrays, starts[n], rate, first + n)
            return arrays, losses.at[n].set(value.astype(losses.dtype))

        return lax.fori_loop(0, count, body, (arrays, jnp.zeros(starts.shape[0], self.data["y"].dtype)))

    def _validate(self, weights: Any) -> Array:
        p = {"weights": weights, "constants": self.constants}

        def body(sums: tuple[Array, Array], starts: Array) -> tuple[tuple[Array, Array], None]:
            batch = gather(self.network, self.data, self.val_tape, starts, self.val_segments)
            cells = self.network.stack.start(weights["stack"], starts.shape, self.data["y"][:0])
            total, weight, _ = segment_loss(self.network, self.error_of, p, batch, cells, None)
            return (sums[0] + total, sums[1] + weight), None

        zero = jnp.zeros((), self.data["y"].dtype)
        (total, weight), _ = lax.scan(body, (zero, zero), self.val_starts)
        return jnp.where(weight > 0, total / weight, jnp.nan)

    def starts(self, step: int) -> np.ndarray:
        """The next CALL batches from a step on [CALL, B]."""
        epoch, skip = divmod(step, self.sampler.steps)
        rows: list[np.ndarray] = []
        while sum(map(len, rows)) < CALL + skip:
            rows.append(self.sampler.epoch(epoch))
            epoch += 1
        return np.concatenate(rows)[skip : skip + CALL]


def _device(tape: Tape) -> dict[str, Array]:
    # An empty tape keeps one row that carries nothing, so that indexing stays legal.
    blank = 0 if len(tape.rows) else 1
    return {name: jnp.asarray(np.pad(value, (0, blank))) for name, value in vars(tape).items()}


def _still(gradient: Any) -> Any:
    """The initial state does not move unless it is learned."""

    def rest(path: tuple[Any, ...], value: Array) -> Array:
        return jnp.zeros_like(value) if str(getattr(path[-1], "key", "")).startswith("init_") else value

    return jax.tree_util.tree_map_with_path(rest, gradient)


def train(
    config: Config,
    network: Network,
    prepared: Prepared,
    watch: Watch | None = None,
    folder: Path | None = None,
    resume: bool = False,
) -> Fitted:
    """Train a network.

    Args:
        config: settings, all chosen.
        network: the network.
        prepared: rows, constants and first weights, from `prepare.prepare`.
        watch: told of the progress, a few times a second at most.
        folder: where checkpoints go; none are written where None.
        resume: go on from the checkpoint in `folder` where there is one.

    Raises:
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C; the checkpoint is written first.
    """
    trainer = Trainer(config, network, prepared)
    arrays = trainer.begin(jax.tree.map(jnp.asarray, prepared.weights))
    progress = checkpoint.Progress(0, math.inf, 0, 1.0, 0.0, {name: [] for name in HISTORY}, False)
    mark = _fingerprint(config, prepared)
    if resume and folder is not None and (folder / checkpoint.NAME).exists():
        progress, arrays = checkpoint.load(folder, arrays, mark)
    saved, began = time.monotonic(), time.monotonic() - progress.seconds
    try:
        for progress, arrays in _looks(trainer, progress, arrays, began, watch):
            if folder is not None and (progress.done or time.monotonic() - saved > CHECKPOINT_SECONDS):
                checkpoint.save(folder, progress, arrays, mark)
                saved = time.monotonic()
    except KeyboardInterrupt:
        if folder is None:
            raise
        checkpoint.save(folder, progress, arrays, mark)
        raise Interrupted(f"interrupted after {progress.step} of {trainer.steps} steps") from None
    history = progress.history
    best = int(np.nanargmin(history["val_loss"])) if history["val_loss"] and not np.isnan(history["val_loss"]).all() else -1
    return Fitted(jax.tree.map(np.asarray, arrays["best"]), history, progress.step, int(history["step"][best]) if history["step"] else 0, progress.seconds)


def _looks(
    trainer: Trainer, progress: checkpoint.Progress, arrays: dict[str, Any], began: float, watch: Watch | None
) -> Iterator[tuple[checkpoint.Progress, dict[str, Any]]]:
    """Train from one look at the validation rows to the next, and yield where things stand after each."""
    if progress.step == 0 and not progress.history["step"]:
        progress, arrays = _look(trainer, progress, arrays, math.nan, began)
        yield progress, arrays
    pace = _Pace()
    while not progress.done:
        upto = min(progress.step + (trainer.config.eval_every or 1), trainer.steps)
        losses: list[float] = []
        step, moving = progress.step, arrays
        while step < upto:
            moving, new = _call(trainer, pace, moving, step, upto, progress.factor)
            losses += new
            step += len(new)
            _check_finite(new, step)
            if watch:
                watch(_report(trainer, progress, step, losses, pace.rate, began))
        progress, arrays = _look(trainer, replace(progress, step=step), moving, float(np.mean(losses)), began)
        if watch:
            watch(_report(trainer, progress, step, losses, pace.rate, began))
        yield progress, arrays


class _Pace:
    """How many steps a call should make, from how long they took."""

    def __init__(self) -> None:
        self.count, self.rate, self.warm = 1, 0.0, False

    def took(self, steps: int, seconds: float) -> None:
        if self.warm:  # the first call compiles
            self.rate = steps / max(seconds, 1e-9)
            self.count = int(np.clip(self.rate * CALL_SECONDS, 1, CALL))
        self.warm = True


def _call(trainer: Trainer, pace: _Pace, arrays: Any, step: int, upto: int, factor: float) -> tuple[dict[str, Any], list[float]]:
    count = min(pace.count, upto - step, CALL)
    dtype = trainer.data["y"].dtype
    clock = time.monotonic()
    arrays, losses = trainer.run(arrays, jnp.asarray(trainer.starts(step)), jnp.asarray(count), jnp.asarray(step), jnp.asarray(factor, dtype))
    values = [float(value) for value in np.asarray(losses)[:count]]
    pace.took(count, time.monotonic() - clock)
    return arrays, values


def _look(trainer: Trainer, progress: checkpoint.Progress, arrays: dict[str, Any], loss: float, began: float) -> tuple[checkpoint.Progress, dict[str, Any]]:
    """Look at the validation rows: keep the best weights, lower the rate on a plateau, decide whether to stop."""
    config = trainer.config
    found = float(trainer.validate(arrays["weights"]))
    measure = loss if math.isnan(found) else found  # without validation rows the last weights are the best known
    better = math.isnan(found) or measure < progress.best
    waited = 0 if better else progress.waited + 1
    factor = progress.factor
    if config.schedule == "plateau" and waited and waited % max(config.patience // 2, 1) == 0:
        factor *= config.rate_factor
    seconds = time.monotonic() - began
    row = (progress.step, progress.step / trainer.sampler.steps, loss, found, float(trainer.schedule(progress.step)) * factor, seconds)
    history = {name: [*progress.history[name], value] for name, value in zip(HISTORY, row, strict=True)}
    done = progress.step >= trainer.steps or bool(config.patience and waited >= config.patience)
    if better:
        arrays = arrays | {"best": arrays["weights"]}
    best = measure if better and not math.isnan(measure) else progress.best
    return checkpoint.Progress(progress.step, best, waited, factor, seconds, history, done), arrays


def _check_finite(losses: list[float], step: int) -> None:
    for back, value in enumerate(reversed(losses)):
        if not math.isfinite(value):
            raise TrainingError(f"the loss became {value} at step {step - back}: try a smaller learning_rate, or clip > 0")


def _report(trainer: Trainer, progress: checkpoint.Progress, step: int, losses: list[float], rate: float, began: float) -> Report:
    looks = progress.history["val_loss"]
    return Report(
        step,
        trainer.steps,
        step / trainer.sampler.steps,
        losses[-1] if losses else math.nan,
        looks[-1] if looks and not math.isnan(looks[-1]) else None,
        float(trainer.schedule(step)) * progress.factor,
        rate,
        time.monotonic() - began,
    )


def _fingerprint(config: Config, prepared: Prepared) -> str:
    """Of the settings and the values that a fit depends on."""
    digest = hashlib.sha256(config.to_toml().encode())
    for name in sorted(prepared.data):
        digest.update(np.ascontiguousarray(np.asarray(prepared.data[name])).tobytes())
    return digest.hexdigest()
