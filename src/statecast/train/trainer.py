"""The compiled functions of one fit: a run of training steps, and a look at the validation rows.

A whole training step (gather, forward, loss, backward, update) is compiled, and many steps run in one call, whose
number is a run-time value: it follows the clock, so Python is rarely in the way and Ctrl-C never waits long. How many
steps a call makes changes no bit of the result, and each function is compiled once a fit.

Several networks are one more axis of all that training changes: each has first weights, an order of segments and
dropout of its own, all of them from its seed. Local networks see the segments of one series each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from statecast.config import Config
from statecast.data.segments import NOWHERE, Sampler, Tape, evened, training_tape, validation_tape
from statecast.model import members
from statecast.model.network import Network
from statecast.model.stack import Drop
from statecast.train import local, optimizer, steps
from statecast.train.loss import Segments, gather, of_forecasts, segment_loss
from statecast.train.prepare import Prepared
from statecast.train.steps import CALL, Arrays, count_steps

SKIP_PACE = 0.1  # how far a skip that starts from least squares moves, as a share of the other weights' step
VALIDATION_PLACES = 65_536  # most places of the tape that a look at the validation rows takes
DRAW = 2**30  # what tells the randomness of drawing segments from that of dropout, which counts its places from 0


class Trainer:
    """Compiled functions of one fit, and the constants they read."""

    def __init__(self, config: Config, network: Network, prepared: Prepared, skip_alone: bool = False) -> None:
        """Compile for a network; `skip_alone`: nothing moves but the skip and the head's biases."""
        self.skip_alone = skip_alone
        self.config, self.network, self.data = config, network.single, prepared.data
        self.networks, self.local = network.members.axis, network.members.local
        self.constants = jax.tree.map(jnp.asarray, prepared.constants)
        tape = training_tape(prepared.offsets, prepared.parts)
        weight = evened(prepared.parts.train) if config.sampling == "series" else None
        self.tape = _device(tape) | ({} if weight is None else {"weight": jnp.asarray(weight, self.data["y"].dtype)})
        self.span = local.bounds(tape, prepared.offsets) if self.local else {}
        lengths = prepared.parts.train if self.local else np.array([len(tape.rows)])
        self.segments, sampler = plan(config, int(lengths.max()), weight)
        self.sampler = replace(sampler, length=int(np.median(lengths)))
        seeds = members.seeds(config.random_state, self.networks or 1)
        self.samplers = [] if self.local else [replace(self.sampler, seed=seed) for seed in seeds]
        self.seeds = jnp.asarray(np.array(seeds, np.uint32) if self.networks else np.uint32(seeds[0]))
        length, burn_in = self.segments.length, self.segments.burn_in
        # Validation starts from no stored state, so half a segment at least goes to reach one.
        self.val_segments = Segments(length, max(burn_in, length // 2) if length > 1 else 0, self.segments.every)
        self.val_tape, self.val_span, self.val_starts = self._validation(prepared)
        self.steps_of_epoch = self.sampler.steps
        self.steps = count_steps(config, self.steps_of_epoch)
        self.direction = optimizer.direction(config)
        self.schedule = optimizer.schedule(config, self.steps)
        self.loss_of = of_forecasts(config, network.head)
        self.rate = jax.jit(self.schedule)
        self.run = jax.jit(self._run)
        self.validate = jax.jit(self._validate)
        self.origins = jax.jit(self._origins)

    def _validation(self, prepared: Prepared) -> tuple[dict[str, Array], dict[str, Array], Array]:
        """The validation tape, where each local network's part lies, and the starts of its segments.

        These are all of them, or evenly spaced ones: [calls, B], and [calls, networks, B] of local networks.
        """
        segments = self.val_segments
        tape = validation_tape(prepared.offsets, prepared.parts, segments.burn_in)
        at_once = min(max(1, VALIDATION_PLACES // segments.length), 4 * self.sampler.batch)
        if self.local:
            span = local.bounds(tape, prepared.offsets)
            return _device(tape), span, jnp.asarray(local.looked_at(span, segments, VALIDATION_PLACES, at_once))
        return _device(tape), {}, jnp.asarray(_looked_at(len(tape.rows), segments, at_once))

    def over(self, function: Callable[..., Any], *axes: int | None) -> Callable[..., Any]:
        """A function of one network's arrays as one of those of all, which lie along these axes of its arguments."""
        return jax.vmap(function, axes) if self.networks else function

    def begin(self, weights: Any) -> Arrays:
        """The arrays that training changes."""

        def first(weights: Any) -> Arrays:
            stored = {}
            if self.config.carry == "stored":
                # Row n holds the state before segment n; the last row is for segments that fill up a batch.
                stored = self.network.stack.start(weights["stack"], (self.sampler.segments + 2,), self.data["y"][:0])
            return {"weights": weights, "moments": self.direction.init(weights), "stored": stored, "best": weights}

        return dict(self.over(first, 0)(weights))

    def batches(self, step: int, count: int) -> np.ndarray:
        """The batches of `count` steps, on as many rows as the compiled function always takes: [CALL, B].

        [CALL, networks, B] of an ensemble; those of local networks are drawn where they are needed.
        """
        if self.local:
            return np.zeros((CALL, self.networks, 0), np.int64)
        each = [sampler.batches(step, count) for sampler in self.samplers]
        drawn = np.stack(each, axis=1) if self.networks else each[0]
        found = np.full((CALL, *drawn.shape[1:]), NOWHERE, np.int64)
        found[:count] = drawn
        return found

    def _cells(self, weights: Any, stored: Any, starts: Array) -> Any:
        if not stored:
            return self.network.stack.start(weights["stack"], starts.shape, self.data["y"][:0])
        number = self._number(starts)
        return {name: values[number] for name, values in stored.items()}

    def _number(self, starts: Array) -> Array:
        return jnp.where(starts >= 0, starts // self.sampler.stride, self.sampler.segments + 1)

    def _handed_on(self, stored: Any, starts: Array, last: Any) -> Any:
        """The stored states with those that these segments ended in, each before the segment that follows."""
        after = jnp.where(starts >= 0, self._number(starts) + 1, self.sampler.segments + 1)
        return {name: values.at[after].set(last[name]) for name, values in stored.items()}

    def loss(
        self, weights: Any, stored: Any, starts: Array, drop: Drop | None, span: dict[str, Array] | None = None
    ) -> tuple[Array, Any]:
        """Mean loss of a batch of segments that begin at `starts` [B], and the state that they end in.

        `span` tells "begin" and "end" of the part of the tape that counts; all of it where None.
        """
        batch = gather(self.network, self.data, self.tape | (span or {}), starts, self.segments)
        p = {"weights": weights, "constants": self.constants}
        cells = self._cells(weights, stored, starts)
        total, weight, last = segment_loss(self.network, self.loss_of, p, batch, cells, drop)
        return jnp.sum(total) / jnp.maximum(jnp.sum(weight), 1), last

    def _step(self, arrays: Arrays, starts: Array, rate: Array, number: Array) -> tuple[Arrays, Array]:
        def move(weights: Any, moments: Any, stored: Any, starts: Array, seed: Array, span: Any) -> tuple[Any, ...]:
            if self.local:
                starts = local.drawn(self._key(number, seed, DRAW), span, self.segments, self.sampler.rows)
            loss = jax.value_and_grad(self.loss, has_aux=True)
            (value, last), gradient = loss(weights, stored, starts, self._drop(number, seed), span)
            gradient = _still(gradient, self._moves)
            moved, moments = steps.moved(self.direction, gradient, moments, weights, rate)
            weights = self._steady(weights, moved)
            return weights, moments, self._handed_on(stored, starts, last) if stored else stored, value

        given = arrays["weights"], arrays["moments"], arrays["stored"], starts, self.seeds, self.span
        weights, moments, stored, values = self.over(move, 0, 0, 0, 0, 0, 0)(*given)
        return arrays | {"weights": weights, "moments": moments, "stored": stored}, jnp.mean(values)

    def _key(self, number: Array | int, seed: Array | int, *more: int) -> Array:
        key = jax.random.fold_in(jax.random.key(seed), number)
        return jax.random.fold_in(key, *more) if more else key

    def _moves(self, path: tuple[str, ...]) -> bool:
        """Whether a weight moves: an initial state does not unless it is learned."""
        if self.skip_alone:
            return path[0] == "skip" or path == ("head", "out", "b")
        return self.config.carry == "learned" or not path[-1].startswith("init_")

    def _steady(self, before: Any, after: Any) -> Any:
        """The weights after a step, of which the skip that least squares started moves a small part of the way.

        A step of an adaptive optimizer is as long for every weight, and would undo what is already the best linear map.
        """
        if self.config.skip_init != "ridge":
            return after
        return after | {"skip": jax.tree.map(lambda a, b: a + SKIP_PACE * (b - a), before["skip"], after["skip"])}

    def _drop(self, number: Array | int, seed: Array | int) -> Drop | None:
        return steps.dropper(self.config.dropout, self._key(number, seed))

    def _run(self, arrays: Arrays, starts: Array, count: Array, first: Array, factor: Array) -> tuple[Arrays, Array]:
        """`count` steps over starts [CALL, B] from step number `first`; the losses come in [CALL]."""
        dtype = self.data["y"].dtype
        return steps.many(self._step, self.schedule, arrays, starts, count, first, factor, dtype)

    def _validate(self, weights: Any) -> tuple[Array, Array, Array]:
        """Sum of the validation rows' losses, sum of their weights, and whether the network's weights are finite.

        Both sums are of each network where there are several; rows that all of them look at are gathered once.
        """

        def body(sums: tuple[Array, Array], starts: Array) -> tuple[tuple[Array, Array], None]:
            total, weight, _ = self._look(weights, starts)
            return (sums[0] + jnp.sum(total, axis=(-2, -1)), sums[1] + jnp.sum(weight, axis=(-2, -1))), None

        zero = jnp.zeros((self.networks,) if self.networks else (), self.data["y"].dtype)
        (total, weight), _ = lax.scan(body, (zero, zero), self.val_starts)
        return total, weight, steps.all_finite(weights)

    def _origins(self, weights: Any) -> tuple[Array, Array, Array]:
        """The same, origin by origin: sums of losses and of weights, and the rows that forecasts are made at."""
        found: tuple[Array, Array, Array] = lax.map(lambda starts: self._look(weights, starts), self.val_starts)
        return found

    def _look(self, weights: Any, starts: Array) -> tuple[Array, Array, Array]:
        """What `_origins` tells, of the segments of one call: [N, B] each, [networks, N, B] where there are several."""

        def look(weights: Any, starts: Array, span: Any) -> tuple[Array, Array, Array]:
            batch = gather(self.network, self.data, self.val_tape | span, starts, self.val_segments)
            p = {"weights": weights, "constants": self.constants}
            cells = self._cells(weights, {}, starts)
            return *segment_loss(self.network, self.loss_of, p, batch, cells, None)[:2], batch["origins"]

        own = 0 if self.local else None
        found: tuple[Array, Array, Array] = self.over(look, 0, own, own)(weights, starts, self.val_span)
        return found


def plan(config: Config, places: int, weight: np.ndarray | None = None) -> tuple[Segments, Sampler]:
    """The segments of a tape of that many places, and their order; `weight` tells how much each place counts."""
    length = places if config.segment == "full" else min(int(config.segment or 1), places)
    burn_in = min(config.burn_in or 0, length - 1)
    chosen = bool(config.shuffle), config.carry == "stored", config.random_state
    return Segments(length, burn_in, config.loss_every or 1), Sampler(
        places, length, burn_in, config.batch_size or 1, *chosen, weight
    )


def _looked_at(places: int, segments: Segments, at_once: int) -> np.ndarray:
    """Starts of the segments of a look at a validation tape, [calls, B]; all of them, or evenly spaced ones."""
    if not places:
        return np.zeros((0, 1), np.int64)
    starts = Sampler(places, segments.length, segments.burn_in, 1, False, False, 0).epoch(0).ravel()
    most = max(1, VALIDATION_PLACES // segments.length)
    if len(starts) > most:
        starts = starts[np.linspace(0, len(starts) - 1, most).astype(np.int64)]
    calls = -(-len(starts) // at_once)
    padded = np.full(-(-len(starts) // calls) * calls, NOWHERE, np.int64)
    padded[: len(starts)] = starts
    return padded.reshape(calls, -1)


def _device(tape: Tape) -> dict[str, Array]:
    # An empty tape keeps one row that carries nothing, so that indexing stays legal.
    blank = 0 if len(tape.rows) else 1
    return {name: jnp.asarray(np.pad(value, (0, blank))) for name, value in vars(tape).items()}


def _still(gradient: Any, moves: Callable[[tuple[str, ...]], bool]) -> Any:
    """The gradient of the weights that move, and zero of the others."""

    def rest(path: tuple[Any, ...], value: Array) -> Array:
        return value if moves(tuple(str(getattr(part, "key", "")) for part in path)) else jnp.zeros_like(value)

    return jax.tree_util.tree_map_with_path(rest, gradient)
