"""The Levenberg–Marquardt method, which trains small networks on squared errors to high precision in few steps.

With r the errors of a batch, J their derivatives by all weights and A = JᵀJ, a step is the solution δ of

    (A + λ·diag A) δ = Jᵀr

(Levenberg, "A method for the solution of certain non-linear problems in least squares", 1944; Marquardt 1963). It is
taken where it lowers the loss of the batch; else λ grows and it is solved again. A step that is taken at once lowers λ
for the next one by a fixed factor: rules that follow what a step gained (Nielsen 1999) lower it so slowly that a batch
with one odd row costs many steps.

J is worked out forwards, one tangent for each weight, as a segment has many more errors than a network of this size has
weights. Those of the last linear maps, the head's and the skip's, act on one output each. So one tangent serves a
weight of all outputs at once (Curtis, Powell & Reid, "On the estimation of sparse Jacobian matrices", 1974), their part
of A has a block for each output and is solved by elimination (a Schur complement): however long the horizon, the work
grows with the other weights alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from statecast.config import Config
from statecast.data.segments import NOWHERE
from statecast.errors import SettingError
from statecast.model.network import Network

MOST = 2000  # weights that one system of equations may have
ROOM = 4_000_000  # numbers of the part of J that is held at once
TRIES = 8  # dampings that a step tries
DAMPING, FALL, GROWTH = 1e-2, 0.2, 4.0  # of the first step, and factors after a good and a bad try
LEAST, GREATEST = 1e-14, 1e6  # damping
FLOOR = 1e-12  # share of the greatest curvature that every weight is damped by at least

Errors = Callable[[Any, Array], tuple[Array, Array]]
"""(weights, starts of segments [B]) → errors times the roots of their weights [N, B, H, D], and the sum of the weights.

The loss of a batch is the sum of their squares over that sum."""


class Parted(NamedTuple):
    """Numbers of a tree of weights in two groups; a direction in the space of weights has the same two.

    Attributes:
        inner: those that every output depends on, [P].
        outer: those that act on one output each, K for each of the O = H·D outputs, [O, K].
    """

    inner: Array
    outer: Array


class Equations(NamedTuple):
    """A = JᵀJ and g = Jᵀr by the groups of weights: inner [P, P], cross [P, O, K], outer [O, K, K]."""

    inner: Array
    cross: Array
    outer: Array
    gradient: Parted


def begin(weights: Any) -> dict[str, Array]:
    """What the method remembers from step to step: the damping λ."""
    return {"damping": jnp.asarray(DAMPING, jax.tree.leaves(weights)[0].dtype)}


def require(config: Config, network: Network) -> None:
    """Refuse what the method cannot train.

    Raises:
        SettingError: another loss, too few digits, stored states, dropout, or too many weights; says all of them but
            the last at once.
    """
    requirements = {
        "loss": (config.loss == "mse", 'its steps come from squared errors: choose "mse"'),
        "precision": (config.precision == "float64", 'products of derivatives need all digits: choose "float64"'),
        "carry": (config.carry != "stored", 'a batch must give the same errors again: choose "zero" or "learned"'),
        "dropout": (not np.any(config.dropout), "a batch must give the same errors again: choose 0"),
    }
    wrong = [
        f"{name} = {json.dumps(getattr(config, name))} ({what})"
        for name, (right, what) in requirements.items()
        if not right
    ]
    if wrong:
        raise SettingError(f'optimizer = "lm" cannot train with {", ".join(wrong)}; or choose another optimizer')
    parted = split(network.single, network.single.init(0))[0]
    size = max(parted.inner.size, parted.outer.shape[1])
    if size > MOST:
        raise SettingError(
            f'optimizer = "lm" solves for all weights of the network at once, {size:,} here, beside those of the maps '
            f"to the outputs: expected at most {MOST:,}; choose fewer units in hidden, fewer lags, or another optimizer"
        )


def step(
    network: Network, errors: Errors, weights: Any, moments: Any, starts: Array, rate: Array, moving: Any
) -> tuple[Any, Any, Array]:
    """Weights and moments after a step, and the loss of the batch before it.

    Args:
        network: tells which weights act on one output.
        errors: of segments, under some weights.
        weights: before the step.
        moments: likewise; see `begin`.
        starts: of the segments of the batch [B].
        rate: share of the step that is taken.
        moving: 1 for each weight that moves and 0 for the others.
    """
    parted, joined = split(network, weights)
    moving, _ = split(network, moving)
    count = max(1, min(starts.size, ROOM // max(parted.inner.size * _outputs(errors, weights), 1)))
    parts = jnp.pad(starts, (0, -starts.size % count), constant_values=NOWHERE).reshape(-1, count)

    def of_part(part: Array) -> tuple[Equations, Array, Array]:
        return equations(lambda at: errors(joined(at), part), parted, moving)

    total, square, weight = jax.tree.map(lambda sums: jnp.sum(sums, axis=0), lax.map(of_part, parts))
    weight = jnp.maximum(weight, 1)
    mean = jax.tree.map(lambda sums: sums / weight, total)
    loss = square / weight

    def loss_at(place: Parted) -> Array:
        return jnp.sum(errors(joined(place), starts)[0] ** 2) / weight

    after, moments = _damped(mean, loss, loss_at, parted, moments, rate)
    return joined(after), moments, loss


def _outputs(errors: Errors, weights: Any) -> int:
    """Errors of one segment."""
    shape: Any = jax.eval_shape(errors, weights, jnp.zeros(1, int))[0]
    return int(shape.size)


def split(network: Network, weights: Any) -> tuple[Parted, Callable[[Parted], Any]]:
    """The groups of a tree of weights, and the way back from groups to a tree."""
    outputs = network.head.horizon * network.head.targets
    rest = dict(weights)
    last: dict[str, Any] = {}
    if not network.head.decoder:
        rest["head"] = {name: part for name, part in weights["head"].items() if name != "out"}
        last["out"] = weights["head"]["out"]
    if network.front.skip:
        del rest["skip"]
        last["skip"] = weights["skip"]["W"]
    dtype = jax.tree.leaves(weights)[0].dtype
    inner, unraveled = ravel_pytree(rest)
    inner = inner.astype(dtype)  # no numbers at all come as float32

    def by_output(last: Any) -> Array:
        columns = [last["out"]["W"], last["out"]["b"][None]] if "out" in last else []
        if "skip" in last:
            columns.append(jnp.transpose(last["skip"], (1, 2, 0)).reshape(-1, outputs))
        return jnp.concatenate([*columns, jnp.zeros((0, outputs), dtype)]).T

    outer, back = by_output(last), jax.linear_transpose(by_output, last)

    def joined(parted: Parted) -> Any:
        # Each number of `last` has one place in the matrix, so the transpose puts it back there.
        tree, last = unraveled(parted.inner), back(parted.outer)[0]
        if "out" in last:
            tree = tree | {"head": tree["head"] | {"out": last["out"]}}
        return tree | ({"skip": {"W": last["skip"]}} if "skip" in last else {})

    return Parted(inner, outer), joined


def equations(
    errors: Callable[[Parted], tuple[Array, Array]], parted: Parted, moving: Parted
) -> tuple[Equations, Array, Array]:
    """The normal equations of some segments, the sum of their squared errors, and that of the weights of these.

    Args:
        errors: [N, B, H, D] at a place in the space of weights, and the sum of their weights.
        parted: the place.
        moving: 1 where a weight moves, else 0.
    """
    error, along, weight = jax.linearize(lambda inner: errors(Parted(inner, parted.outer)), parted.inner, has_aux=True)
    along_outer = jax.linearize(lambda outer: errors(Parted(parted.inner, outer))[0], parted.outer)[1]
    outputs, size = parted.outer.shape
    # The k-th weights of all outputs in one tangent, as no error depends on two of them.
    seeds = jnp.eye(size, dtype=error.dtype)[:, None, :] * moving.outer
    inner = _rows(along, jnp.diag(moving.inner), outputs)
    outer = _rows(along_outer, seeds, outputs)
    r = error.reshape(-1, outputs)
    gradient = Parted(jnp.einsum("pmo,mo->p", inner, r), jnp.einsum("kmo,mo->ok", outer, r))
    products = (
        jnp.einsum("pmo,qmo->pq", inner, inner),
        jnp.einsum("pmo,kmo->pok", inner, outer),
        jnp.einsum("kmo,lmo->okl", outer, outer),
    )
    return Equations(*products, gradient), jnp.sum(r * r), weight


def _rows(along: Callable[[Array], Array], seeds: Array, outputs: int) -> Array:
    """The derivatives [P, N·B, O] along these tangents [P, …]."""
    if not len(seeds):
        return jnp.zeros((0, 1, outputs), seeds.dtype)
    return jax.vmap(along)(seeds).reshape(len(seeds), -1, outputs)


def solution(equations: Equations, damping: Array) -> Parted:
    """The step δ at a damping λ."""
    curvature = Parted(jnp.diag(equations.inner), jnp.diagonal(equations.outer, axis1=1, axis2=2))
    least = FLOOR * jnp.maximum(jnp.max(curvature.inner, initial=0.0), jnp.max(curvature.outer, initial=0.0))
    curvature = jax.tree.map(lambda values: jnp.maximum(values, least), curvature)
    cross, gradient = jnp.moveaxis(equations.cross, 0, -1), equations.gradient  # [O, K, P]
    outer = equations.outer + damping * curvature.outer[..., None] * jnp.eye(curvature.outer.shape[1])
    both = _solved(outer, jnp.concatenate([cross, gradient.outer[..., None]], axis=-1))
    inner = equations.inner + damping * jnp.diag(curvature.inner) - jnp.einsum("okp,okq->pq", cross, both[..., :-1])
    right = gradient.inner - jnp.einsum("okp,ok->p", cross, both[..., -1])
    first = _solved(inner, right[:, None])[:, 0]
    return Parted(first, both[..., -1] - both[..., :-1] @ first)


def _solved(matrix: Array, right: Array) -> Array:
    """matrix⁻¹ · right of symmetric positive definite matrices [..., n, n]; NaN where one is none."""
    return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(matrix), True), right)


def _damped(
    equations: Equations, loss: Array, loss_at: Callable[[Parted], Array], start: Parted, moments: Any, rate: Array
) -> tuple[Parted, Any]:
    """The first step that lowers the loss, at dampings that grow; none where `TRIES` of them do not."""

    def going_on(tried: tuple[Array, Parted, Array, Array]) -> Array:
        number, _, _, better = tried
        return (number < TRIES) & ~better

    def attempt(tried: tuple[Array, Parted, Array, Array]) -> tuple[Array, Parted, Array, Array]:
        number, _, damping, _ = tried
        delta = solution(equations, damping)
        place = jax.tree.map(lambda at, part: at - rate * part, start, delta)
        better = loss_at(place) < loss  # false for NaN
        place = jax.tree.map(lambda new, old: jnp.where(better, new, old), place, start)
        factor = jnp.where(better, jnp.where(number == 0, FALL, 1.0), GROWTH)
        return number + 1, place, jnp.clip(damping * factor, LEAST, GREATEST), better

    first = (jnp.asarray(0), start, moments["damping"], jnp.asarray(False))
    _, place, damping, _ = lax.while_loop(going_on, attempt, first)
    return place, {"damping": damping}
