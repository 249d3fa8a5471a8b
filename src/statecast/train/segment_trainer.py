"""The trainer of a network that forecasts: what a batch of segments is, and what its loss is; see `trainer`.

A whole training step (gather, forward, loss, backward, update) is compiled, and many steps run in one call. Several
networks are one more axis of all that training changes: each has first weights, an order of segments and dropout of its
own, all of them from its seed. Local networks see the segments of one series each.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from statecast.config import Config
from statecast.data.segments import NOWHERE, Sampler, evened, training_tape
from statecast.model import members
from statecast.model.kernel import library as kernel_library
from statecast.model.network import Network
from statecast.model.stack import Drop
from statecast.train import levenberg, local, optimizer
from statecast.train.loss import Segments, gather, of_forecasts, segment_errors, segment_loss, weighted
from statecast.train.prepare import Prepared
from statecast.train.trainer import (
    CALL,
    PLANS,
    Arrays,
    Look,
    all_finite,
    compiling,
    count_steps,
    dropper,
    many,
    on_device,
    roomy,
    stepped,
    tape_on_device,
)
from statecast.train.validation import ValidationRows

SKIP_PACE = 0.1  # how far a skip whose start was solved for moves, as a share of the other weights' step
THIN = 3  # of the forecasts that carry a loss, one in so many does where the skip is trained alone: it learns as much
DRAW = 2**30  # what tells the randomness of drawing segments from that of dropout, which counts its places from 0
# Settings that compiled functions read. They see no others, so that a forgotten one is without effect, never stale.
COMPILED = (
    *("loss", "huber_delta", "optimizer", "momentum", "weight_decay", "clip", "dropout", "hidden", "dense"),
    *("carry", "skip_init", "precision", "threads"),
)


@dataclass(frozen=True)
class SegmentPlan:
    """All that compiling depends on, beside the sizes of the arrays.

    Attributes:
        config: the settings in `COMPILED`, all others as they are by default.
        network: one of the networks.
        networks: how many there are along the first axis of the weights; 0 where a single one has no such axis.
        local: whether each sees one series.
        segments, val_segments: of training and of validation.
        rows: segments of a batch.
        skip_alone: nothing moves but the skip and the head's biases.
        kernel: what runs the recurrent layers.
    """

    config: Config
    network: Network
    networks: int
    local: bool
    segments: Segments
    val_segments: Segments
    rows: int
    skip_alone: bool
    kernel: str

    @property
    def second_order(self) -> bool:
        """Whether a step comes from the derivatives of every error, and not from the gradient alone."""
        return self.config.optimizer == "lm"

    def over(self, function: Callable[..., Any], *axes: int | None) -> Callable[..., Any]:
        """A function of one network's arrays as one of those of all, which lie along these axes of its arguments."""
        return jax.vmap(function, axes) if self.networks else function

    def moves(self, path: tuple[str, ...]) -> bool:
        """Whether a weight moves: an initial state does not unless it is learned."""
        if self.skip_alone:
            return path[0] == "skip" or path == ("head", "out", "b")
        return self.config.carry == "learned" or not path[-1].startswith("init_")


class SegmentTrainer:
    """The arrays of one fit and its compiled functions; see `trainer.Trainer`."""

    def __init__(self, config: Config, network: Network, prepared: Prepared, skip_alone: bool = False) -> None:
        """A trainer of a network; `skip_alone`: nothing moves but the skip and the head's biases."""
        self.config, self.network = config, network.single
        self.keeps_start = config.significance < 1
        axis, by_series = network.members.axis, network.members.local
        tape = training_tape(prepared.offsets, prepared.parts)
        weight = evened(prepared.parts.train) if config.sampling == "series" else None
        lengths = prepared.parts.train if by_series else np.array([len(tape.rows)])
        segments, sampler = plan(config, int(lengths.max()), weight)
        self.sampler = replace(sampler, length=int(np.median(lengths)))
        seeds = members.seeds(config.random_state, axis or 1)
        self.samplers = [] if by_series else [replace(self.sampler, seed=seed) for seed in seeds]
        self.validation = ValidationRows.of(
            segments, prepared.rows, prepared.parts, config.horizon, self.sampler.batch, by_series
        )
        if skip_alone:
            segments = replace(segments, every=THIN * segments.every)
        self.steps_of_epoch = self.sampler.steps
        # Nothing is trained where nothing could tell what that gains from chance.
        idle = judged(config) and self.validation.undecided(config.val_size)
        self.steps = 0 if idle else count_steps(config, self.steps_of_epoch)
        self.rates = optimizer.schedule(config, max(self.steps, 1))
        rows = self.sampler.rows if by_series else roomy(self.sampler.rows, 4)
        bare = Config(**{name: getattr(config, name) for name in COMPILED})
        kinds = bare, self.network, axis, by_series, segments, self.validation.segments, rows, skip_alone
        self.plan = SegmentPlan(*kinds, kernel_library.description())
        span = local.bounds(tape, prepared.offsets) if by_series else {}
        self.data = {
            "rows": prepared.data,
            "constants": on_device(prepared.constants),
            # With room for all rows of the table, so that training on more of them compiles nothing.
            "tape": tape_on_device(tape, int(prepared.offsets[-1]), weight, self.config.dtype),
            "span": on_device(span),
            "val_tape": tape_on_device(self.validation.tape, len(self.validation.tape.rows)),
            "val_span": on_device(self.validation.span),
            "val_starts": on_device(self.validation.starts_with_room),
            "seeds": on_device(np.array(seeds if axis else seeds[0], np.uint32)),
            "stride": on_device(self.sampler.stride),
            "last": on_device(self.sampler.segments + 1),
        }
        self._compiling: Future[Any] | None = None

    def begin(self, weights: Any) -> Arrays:
        """The arrays that training changes."""
        arrays: Arrays = _compiled(self.plan).begin(weights) | {"stored": {}}
        if self.config.carry == "stored":
            # Row n holds the state before segment n; the last row is for segments that fill up a batch.
            size = roomy(self.sampler.segments + 2)
            like = self.data["rows"]["y"][:0]
            start = self.plan.over(lambda w: self.network.stack.start(w["stack"], (size,), like), 0)
            arrays["stored"] = start(arrays["weights"])
        # The steps are compiled while the first look is.
        rates, number = np.zeros(CALL, self.config.dtype), np.asarray(0)
        steps = self._training_data, arrays, self.batches(0, 1), rates, number, number
        self._compiling = compiling(self.config, _compiled(self.plan).run, *steps)
        return arrays

    def batches(self, step: int, count: int) -> np.ndarray:
        """The batches of `count` steps, on as many rows as the compiled function always takes: [CALL, B].

        [CALL, networks, B] of an ensemble; those of local networks are drawn where they are needed.
        """
        if self.plan.local:
            return np.zeros((CALL, self.plan.networks, 0), np.int64)
        each = [sampler.batches(step, count) for sampler in self.samplers]
        drawn = np.stack(each, axis=1) if self.plan.networks else each[0]
        starts = np.full((CALL, *drawn.shape[1:-1], self.plan.rows), NOWHERE, np.int64)
        starts[:count, ..., : drawn.shape[-1]] = drawn
        return starts

    def run(
        self, arrays: Arrays, batches: np.ndarray, rates: np.ndarray, count: np.ndarray, first: np.ndarray
    ) -> tuple[Arrays, Array]:
        """`count` steps; see `trainer.Trainer`."""
        if self._compiling:
            self._compiling.result()
        steps = self._training_data, arrays, batches, rates, count, first
        after: tuple[Arrays, Array] = _compiled(self.plan).run(*steps)
        return after

    @property
    def _training_data(self) -> dict[str, Any]:
        return {name: values for name, values in self.data.items() if not name.startswith("val_")}

    @cached_property
    def counted(self) -> np.ndarray:
        """Which forecasts of a look each measure counts: all, and those that choose for each fold; [measures, …]."""
        everything = np.ones((1, *self.validation.rows.shape), bool)
        return np.concatenate([everything, self.validation.choosers]) if judged(self.config) else everything

    @property
    def measures(self) -> int:
        """All validation rows, and those that choose for each fold where training is judged afterwards."""
        return len(self.counted)

    def validate(self, weights: Any) -> Look:
        """Losses of the validation rows, of each network where there are several, by every measure."""
        if not len(self.validation.tape.rows):
            nothing = np.zeros((self.measures, self.plan.networks or 1))
            return Look(nothing, nothing, all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(weights)))
        loss, weight, finite = self._losses(_compiled(self.plan).look, weights)
        masks = self.counted
        if self.plan.networks and not self.plan.local:
            masks = masks[:, :, None]
        # Calls, steps and segments are summed over; networks, where there are any, are the second axis of a look.
        axes = (1, 3, 4) if self.plan.networks else (1, 2, 3)
        total, counts = (np.sum(masks * part, axis=axes).reshape(len(masks), -1) for part in (loss, weight))
        return Look(total, counts, finite)

    def losses(self, weights: Any) -> tuple[np.ndarray, np.ndarray]:
        """Sums of losses and of weights of each forecast of a look, in the shape of `validation.rows`.

        Of an ensemble they are the losses of the mean of its members' forecasts, which is what it forecasts.
        """
        functions = _compiled(self.plan)
        several = self.plan.networks and not self.plan.local
        loss, weight, _ = self._losses(functions.look_at_mean if several else functions.look, weights)
        return loss, weight

    def _losses(self, look: Callable[..., Any], weights: Any) -> tuple[np.ndarray, np.ndarray, bool]:
        loss, weight, finite = look(self.data, weights)
        size = self.validation.starts.shape[-1]
        loss, weight = (np.asarray(part, np.float64)[..., :size] for part in (loss, weight))
        return loss, weight, bool(finite)


def judged(config: Config) -> bool:
    """Whether what training gained is judged: only a start that was solved for is worth keeping."""
    return bool(config.skip) and config.skip_init == "ridge" and config.significance < 1


def plan(config: Config, places: int, weight: np.ndarray | None = None) -> tuple[Segments, Sampler]:
    """The segments of a tape of that many places, and their order; `weight` tells how much each place counts."""
    length = places if config.segment == "full" else min(int(config.segment or 1), places)
    burn_in = min(config.burn_in or 0, length - 1)
    order = bool(config.shuffle), config.carry == "stored", config.random_state
    return Segments(length, burn_in, config.loss_every or 1), Sampler(
        places, length, burn_in, config.batch_size or 1, *order, weight
    )


class SegmentFunctions(NamedTuple):
    """The compiled functions of a plan."""

    begin: Callable[[Any], Any]
    run: Callable[..., Any]
    look: Callable[..., Any]
    look_at_mean: Callable[..., Any]


@lru_cache(maxsize=PLANS)
def _compiled(plan: SegmentPlan) -> SegmentFunctions:
    return SegmentFunctions(*(jax.jit(partial(function, plan)) for function in (_begin, _run, _look, _look_at_mean)))


def _begin(plan: SegmentPlan, weights: Any) -> Arrays:
    moments = levenberg.begin if plan.second_order else optimizer.direction(plan.config).init
    return {"weights": weights, "moments": plan.over(moments, 0)(weights)}


def _run(
    plan: SegmentPlan, data: Arrays, arrays: Arrays, starts: Array, rates: Array, count: Array, first: Array
) -> tuple[Arrays, Array]:
    """`count` steps over starts [CALL, B] from step number `first`; the losses come in [CALL]."""
    return many(partial(_step, plan, data), arrays, starts, rates, count, first)


def _step(
    plan: SegmentPlan, data: Arrays, arrays: Arrays, starts: Array, rate: Array, number: Array
) -> tuple[Arrays, Array]:
    step = _second_order_step if plan.second_order else _gradient_step

    def move(weights: Any, moments: Any, stored: Any, starts: Array, seed: Array, span: Any) -> tuple[Any, ...]:
        if plan.local:
            starts = local.drawn(_key(number, seed, DRAW), span, plan.segments, plan.rows)
        return step(plan, data | {"span": span}, weights, moments, stored, starts, rate, _key(number, seed))

    before = arrays["weights"], arrays["moments"], arrays["stored"], starts, data["seeds"], data["span"]
    weights, moments, stored, values = plan.over(move, 0, 0, 0, 0, 0, 0)(*before)
    return {"weights": weights, "moments": moments, "stored": stored}, jnp.mean(values)


def _gradient_step(
    plan: SegmentPlan, data: Arrays, weights: Any, moments: Any, stored: Any, starts: Array, rate: Array, key: Array
) -> tuple[Any, Any, Any, Array]:
    """Weights, moments and stored states after a step of one network, and the loss of the batch before it."""
    gradient_of = jax.value_and_grad(partial(batch_loss, plan, data), has_aux=True)
    (value, last), gradient = gradient_of(weights, stored, starts, dropper(plan.config.dropout, key))
    direction = optimizer.direction(plan.config)
    after, moments = stepped(direction, _still(gradient, plan.moves), moments, weights, rate)
    after = _steady(plan, weights, after)
    return after, moments, _handed_on(data, stored, starts, last) if stored else stored, value


def _second_order_step(
    plan: SegmentPlan, data: Arrays, weights: Any, moments: Any, stored: Any, starts: Array, rate: Array, key: Array
) -> tuple[Any, Any, Any, Array]:
    """Likewise; nothing is dropped or stored (see `optimizer.require`)."""

    def errors(weights: Any, starts: Array) -> tuple[Array, Array]:
        p, batch, cells = _batch(plan, data, weights, stored, starts)
        return segment_errors(plan.network, p, batch, cells)

    moving = _still(jax.tree.map(jnp.ones_like, weights), plan.moves)
    after, moments, value = levenberg.step(plan.network, errors, weights, moments, starts, rate, moving)
    return after, moments, stored, value


def batch_loss(
    plan: SegmentPlan, data: Arrays, weights: Any, stored: Any, starts: Array, drop: Drop | None
) -> tuple[Array, Any]:
    """Mean loss of a batch of segments that begin at `starts` [B], and the state that they end in.

    `data["span"]` tells "begin" and "end" of the part of the tape that counts, where it is not all of it.
    """
    p, batch, cells = _batch(plan, data, weights, stored, starts)
    loss_of = of_forecasts(plan.config, plan.network.head)
    total, weight, last = segment_loss(plan.network, loss_of, p, batch, cells, drop)
    return jnp.sum(total) / jnp.maximum(jnp.sum(weight), 1), last


def _batch(plan: SegmentPlan, data: Arrays, weights: Any, stored: Any, starts: Array) -> tuple[Any, Any, Any]:
    """Weights with the constants, everything of a batch of segments, and the state that they start from."""
    batch = gather(plan.network, data["rows"], data["tape"] | data["span"], starts, plan.segments)
    p = {"weights": weights, "constants": data["constants"]}
    if not stored:
        return p, batch, plan.network.stack.start(weights["stack"], starts.shape, data["rows"]["y"][:0])
    number = _number(data, starts)
    return p, batch, {name: values[number] for name, values in stored.items()}


def _number(data: Arrays, starts: Array) -> Array:
    return jnp.where(starts >= 0, starts // data["stride"], data["last"])


def _handed_on(data: Arrays, stored: Any, starts: Array, last: Any) -> Any:
    """The stored states with those that these segments ended in, each before the segment that follows."""
    after = jnp.where(starts >= 0, _number(data, starts) + 1, data["last"])
    return {name: values.at[after].set(last[name]) for name, values in stored.items()}


def _key(number: Array | int, seed: Array | int, *more: int) -> Array:
    key = jax.random.fold_in(jax.random.key(seed), number)
    return jax.random.fold_in(key, *more) if more else key


def _steady(plan: SegmentPlan, before: Any, after: Any) -> Any:
    """The weights after a step, of which a skip whose start was solved for moves a small part of the way.

    A step of an adaptive optimizer is as long for every weight, and would undo what is already the best linear map.
    """
    if plan.config.skip_init != "ridge":
        return after
    return after | {"skip": jax.tree.map(lambda a, b: a + SKIP_PACE * (b - a), before["skip"], after["skip"])}


def _still(gradient: Any, moves: Callable[[tuple[str, ...]], bool]) -> Any:
    """The gradient of the weights that move, and zero of the others."""

    def rest(path: tuple[Any, ...], value: Array) -> Array:
        return value if moves(tuple(str(getattr(part, "key", "")) for part in path)) else jnp.zeros_like(value)

    return jax.tree_util.tree_map_with_path(rest, gradient)


def _look(plan: SegmentPlan, data: Arrays, weights: Any) -> tuple[Array, Array, Array]:
    """Sums of losses and of weights of each forecast of a look, and whether all weights are finite.

    [calls, N, B] each, and [calls, networks, N, B] where there are several.
    """

    def look(weights: Any, starts: Array, span: Any) -> tuple[Array, Array]:
        batch = gather(plan.network, data["rows"], data["val_tape"] | span, starts, plan.val_segments)
        return weighted(of_forecasts(plan.config, plan.network.head), _forecast(plan, data, batch, weights), batch)

    each = 0 if plan.local else None
    look_of_all = plan.over(look, 0, each, each)
    loss, weight = lax.map(lambda starts: look_of_all(weights, starts, data["val_span"]), data["val_starts"])
    return loss, weight, all_finite(weights)


def _look_at_mean(plan: SegmentPlan, data: Arrays, weights: Any) -> tuple[Array, Array, Array]:
    """`_look` at the mean of the members' forecasts, [calls, N, B]."""

    def look(starts: Array) -> tuple[Array, Array]:
        batch = gather(plan.network, data["rows"], data["val_tape"], starts, plan.val_segments)
        forecasts = plan.over(partial(_forecast, plan, data, batch), 0)(weights)
        return weighted(of_forecasts(plan.config, plan.network.head), jnp.mean(forecasts, axis=0), batch)

    loss, weight = lax.map(look, data["val_starts"])
    return loss, weight, all_finite(weights)


def _forecast(plan: SegmentPlan, data: Arrays, batch: dict[str, Any], weights: Any) -> Array:
    """The forecasts [N, B, H, D, O] of a batch of validation segments."""
    p = {"weights": weights, "constants": data["constants"]}
    cells = plan.network.stack.start(weights["stack"], batch["reset"].shape[1:], data["rows"]["y"][:0])
    steps = batch["reset"], None, batch["outputs"]
    forecast: Array = plan.network.segment(p, batch["rows"], batch["rings"], cells, batch["inputs"], *steps)[0]
    return forecast
