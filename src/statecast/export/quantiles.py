"""Quantiles of Student's t for any array library, so that a graph can hold them: a polynomial in place of a search.

By the transformation of Wallace ("Bounds on normal approximations to Student's and the chi-square distributions", Ann.
Math. Stat. 30, 1959) y = √((ν − ½) log(1 + t²/ν)) is nearly the normal score z of t. What is left, y/z as a function of
1/ν and z, and z/y as one of 1/ν and y, is smooth and close to 1, so Chebyshev polynomials in both variables hold it to
nine digits. Their coefficients come from `special`, the functions that they stand for.

A count's quantile jumps, so no polynomial holds it: the smallest error beside a jump is a whole count.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.model.cells import Array
from statecast.model.heads.distributions import LEAST_FREEDOM, Distribution
from statecast.model.heads.head import Head
from statecast.model.heads.special import TINIEST, normal_upper, student_t_quantile, student_t_tail
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float64

DEGREE = 32  # of the polynomials in each of their variables; a power of two
FARTHEST = 10.0  # normal score up to which they are fitted; beyond, the ratio is that of there
LARGEST = float(normal_upper(np.array([TINIEST]))[0])  # of the normal scores
CLOSED_FORM = ("", "normal", "student_t")  # families whose intervals a graph holds


@dataclass(frozen=True)
class _TraceableHead(Head):
    """A head whose distribution has quantiles and scores for any array library."""

    @property
    def distribution(self) -> Distribution | None:
        distribution = super().distribution
        if self.family == "student_t":
            assert distribution is not None
            return replace(distribution, quantile=_quantile, score=_score)
        return distribution


def traceable(model: Model) -> Model:
    """The same model, whose intervals can be traced where `CLOSED_FORM` has its family."""
    head = _TraceableHead(**vars(model.network.head))
    return replace(model, network=replace(model.network, head=head))


def _quantile(p: Array, z: Array) -> Array:
    return p[..., 0] + p[..., 1] * student_t(p[..., 2], z)


def _score(p: Array, y: Array) -> Array:
    return student_t_score(p[..., 2], (y - p[..., 0]) / p[..., 1])


def student_t(freedom: Array, z: Array) -> Array:
    """The number below which Student's t lies as often as a standard normal number below z; see `special`."""
    xp = freedom.__array_namespace__()
    near = xp.abs(z)
    y = near * _ratio(_tables()[0], 1 / freedom, near)
    return xp.sign(z) * xp.sqrt(freedom * xp.expm1(y * y / (freedom - 0.5)))


def student_t_score(freedom: Array, t: Array) -> Array:
    """The normal score of a number of Student's t: the inverse of `student_t`."""
    xp = freedom.__array_namespace__()
    y = xp.sqrt((freedom - 0.5) * xp.log1p(t * t / freedom))
    z = y * _ratio(_tables()[1], 1 / freedom, y)
    return xp.sign(t) * xp.minimum(z, xp.full_like(z, LARGEST))


def _ratio(coefficients: Float64[np.ndarray, "K K"], inverse: Array, size: Array) -> Array:
    """A polynomial of 1/ν and of a score, both of which are scaled to −1 … 1."""
    xp = inverse.__array_namespace__()
    first = _basis(2 * LEAST_FREEDOM * inverse - 1)
    second = _basis(2 / FARTHEST * xp.minimum(size, xp.full_like(size, FARTHEST)) - 1)
    return xp.sum(xp.matmul(first, xp.asarray(coefficients)) * second, axis=-1)


def _basis(x: Array) -> Array:
    """The Chebyshev polynomials T₀ … T of `DEGREE` at x, [..., K], by Tₘ₊ₙ = 2TₘTₙ − Tₘ₋ₙ."""
    xp = x.__array_namespace__()
    x = x[..., None]
    basis, degree = xp.concat([xp.ones_like(x), x], axis=-1), 1
    while degree < DEGREE:
        higher = 2 * basis[..., degree:] * basis[..., 1:] - xp.flip(basis[..., :degree], axis=-1)
        basis, degree = xp.concat([basis, higher], axis=-1), 2 * degree
    return basis


@cache
def _tables() -> tuple[Float64[np.ndarray, "K K"], Float64[np.ndarray, "K K"]]:
    """The coefficients of y/z over 1/ν and z, and of z/y over 1/ν and y."""

    def of_score(freedom: Any, z: Any) -> Any:
        t = student_t_quantile(freedom, z)
        return np.sqrt((freedom - 0.5) * np.log1p(t * t / freedom))

    def of_number(freedom: Any, y: Any) -> Any:
        t = np.sqrt(freedom * np.expm1(y * y / (freedom - 0.5)))
        return normal_upper(student_t_tail(freedom, t))

    return _fitted(of_score), _fitted(of_number)


def _fitted(function: Callable[[Any, Any], Any]) -> Float64[np.ndarray, "K K"]:
    """The coefficients of a function's ratio to its second argument, through its values at the Chebyshev nodes."""
    count = DEGREE + 1
    angles = (np.arange(count) + 0.5) * math.pi / count
    nodes = (np.cos(angles) + 1) / 2
    inverse, size = nodes[:, None] / LEAST_FREEDOM, nodes * FARTHEST
    ratios = function(*np.broadcast_arrays(1 / inverse, size)) / size
    waves = np.cos(np.outer(np.arange(count), angles)) * 2 / count
    waves[0] /= 2
    return np.asarray(waves @ ratios @ waves.T)
