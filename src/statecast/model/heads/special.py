"""Special functions that distributions need, since NumPy has none of them and SciPy takes long to import.

`stirling_rest` is part of a loss, so it is written for NumPy and JAX alike and in any precision; the others serve
forecasts and run under NumPy in float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.model.cells import Array

if TYPE_CHECKING:
    from jaxtyping import Float64

TINIEST = 1e-300
MOST_TERMS = 20_000  # of a continued fraction; some ten do for small arguments, and about √(a + b) for large ones
MANY, HUGE = 1e5, 1e15  # of both and of one of the arguments of an incomplete beta function, see there
SETTLED = 1e-12  # relative change of a continued fraction at which it is taken to have converged


def stirling_rest(x: Array) -> Array:
    """log Γ(x) − ((x − ½) log x − x + ½ log 2π) for x > 0: what Stirling's formula leaves.

    By its asymptotic series (Abramowitz & Stegun 6.1.41) from 8 on; below, by the recurrence Γ(x + 8) = x…(x + 7)·Γ(x).
    """
    xp = x.__array_namespace__()
    near = xp.where(x < 8, x, xp.full_like(x, 8.0))
    product = near
    for k in range(1, 8):
        product = product * (near + k)
    small = (near + 7.5) * xp.log(near + 8) - 8 + _series(near + 8) - xp.log(product) - (near - 0.5) * xp.log(near)
    return xp.where(x < 8, small, _series(xp.where(x < 8, xp.full_like(x, 8.0), x)))


def _series(x: Array) -> Array:
    inverse = 1 / x
    square = inverse * inverse
    return inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680))))


def normal_tail(z: Any) -> Float64[np.ndarray, ...]:
    """The probability of a standard normal number above z, to full relative precision."""
    z = np.asarray(z, np.float64)
    tails = np.fromiter(map(math.erfc, (z / math.sqrt(2)).ravel().tolist()), np.float64, z.size)
    return 0.5 * tails.reshape(z.shape)


# Coefficients of Wichura's rational approximations, highest power first: near the middle, in the tails, far out.
_MIDDLE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
_TAIL = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)  # fmt: skip
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)  # fmt: skip


def normal_upper(tail: Float64[np.ndarray, ...]) -> Float64[np.ndarray, ...]:
    """The z above which a standard normal number lies with probability `tail`: the inverse of `normal_tail`.

    Algorithm AS 241, PPND16 (Wichura, Applied Statistics 37, 1988); tails below 1e-300 count as 1e-300.
    """
    p = np.clip(tail, TINIEST, 1 - 2**-53)
    q = 0.5 - p
    upper = np.asarray(q * _ratio(_MIDDLE, 0.180625 - q * q))
    beyond = ~(np.abs(q) <= 0.425)  # few, as a rule
    if beyond.any():
        outer = np.sqrt(-np.log(np.minimum(p, 1 - p)[beyond]))
        far = np.where(outer <= 5, _ratio(_TAIL, outer - 1.6), _ratio(_FAR, outer - 5))
        upper[beyond] = np.copysign(far, q[beyond])
    return upper


def _ratio(of: tuple[tuple[float, ...], tuple[float, ...]], x: np.ndarray) -> np.ndarray:
    above, below = np.polyval(of[0], x), np.polyval(of[1], x)
    return np.asarray(above / below)


def student_t_quantile(freedom: Any, z: Any) -> Float64[np.ndarray, ...]:
    """The number below which Student's t lies as often as a standard normal number below z.

    Algorithm 396 (Hill, Communications of the ACM 13, 1970), for more than 2 degrees of freedom, and then one step of
    Halley's method, which leaves a relative error below 1e-8.
    """
    n, z = np.broadcast_arrays(np.asarray(freedom, np.float64), np.asarray(z, np.float64))
    x = -np.abs(z)
    both = 2 * normal_tail(-x)
    a = 1 / (n - 0.5)
    b = 48 / (a * a)
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * np.sqrt(a * math.pi / 2) * n
    y = (d * both) ** (2 / n)
    middle, tail = _hill_middle(n, x, a, b, c, d), _hill_tail(n, y)
    t = np.sqrt(n * np.where(y > 0.05 + a, middle, tail))
    return np.asarray(np.copysign(_halley(n, t, 0.5 * both), z))


def _halley(n: Any, t: Any, tail: Any) -> Float64[np.ndarray, ...]:
    """A t ≥ 0 whose upper tail is closer to this one."""
    square = t * t
    error = student_t_tail(n, t) - tail
    density = np.exp(-_log_beta(0.5 * n, np.full_like(n, 0.5)) - 0.5 * np.log(n) - 0.5 * (n + 1) * np.log1p(square / n))
    newton = error / np.maximum(density, TINIEST)
    return np.asarray(np.maximum(t + newton * (1 + newton * t * (n + 1) / (2 * (square + n))), 0.0))


def student_t_tail(freedom: Any, t: Any) -> Float64[np.ndarray, ...]:
    """The probability of Student's t above |t|."""
    n = np.asarray(freedom, np.float64)
    return 0.5 * incomplete_beta(0.5 * n, np.full_like(n, 0.5), n / (n + t * t))


def _hill_middle(n: Any, x: Any, a: Any, b: Any, c: Any, d: Any) -> Float64[np.ndarray, ...]:
    c = np.where(n < 5, c + 0.3 * (n - 4.5) * (x + 0.6), c)
    c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
    square = x * x
    y = (((((0.4 * square + 6.3) * square + 36) * square + 94.5) / c - square - 3) / b + 1) * x
    return np.asarray(np.expm1(np.minimum(a * y * y, 700.0)))


def _hill_tail(n: Any, y: Any) -> Float64[np.ndarray, ...]:
    y = np.maximum(y, TINIEST)
    inner = 1 / (((n + 6) / (n * y) - 0.089 * n - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)
    return np.asarray((inner * y - 1) * (n + 1) / (n + 2) + 1 / y)


def incomplete_beta(a: Any, b: Any, x: Any) -> Float64[np.ndarray, ...]:
    """The regularised incomplete beta function I_x(a, b), for a, b > 0 and 0 ≤ x ≤ 1; NaN where x is.

    Its continued fraction (DLMF 8.17.22), by the method of Lentz; from the side on which it converges quickly. Where a
    and b are both beyond `MANY` it would take hundreds of terms, and cube roots are normal to seven digits. Where one
    is beyond `HUGE`, 1 − x loses what matters of x, and they are taken for want of better, within 0.005.
    """
    arguments = np.broadcast_arrays(*(np.asarray(part, np.float64) for part in (a, b, x)))
    many = (np.minimum(arguments[0], arguments[1]) > MANY) | (np.maximum(arguments[0], arguments[1]) > HUGE)
    a, b, x = (np.where(many, 0.5, part) for part in arguments)
    other = x > (a + 1) / (a + b + 2)
    p, q, t = np.where(other, b, a), np.where(other, a, b), np.where(other, 1 - x, x)
    t = np.clip(np.nan_to_num(t), TINIEST, 1.0)
    front = np.exp(p * np.log(t) + q * np.log1p(-np.minimum(t, 1 - 2**-53)) - _log_beta(p, q)) / p
    share = np.where(t > TINIEST, front * _fraction(p, q, t), 0.0)
    share = np.where(other, 1 - share, share)
    share = np.where(many, _cube_roots(*arguments), share) if many.any() else share
    return np.where(np.isnan(arguments[2]), np.nan, np.clip(share, 0.0, 1.0))


def _cube_roots(a: Any, b: Any, x: Any) -> Float64[np.ndarray, ...]:
    """The incomplete beta function of large a and b (Abramowitz & Stegun 1964, 26.5.22)."""
    first, second = np.cbrt(b * x), np.cbrt(a * (1 - x))
    spread = np.sqrt(first * first / b + second * second / a)
    return normal_tail(-3 * (first * (1 - 1 / (9 * b)) - second * (1 - 1 / (9 * a))) / np.maximum(spread, TINIEST))


def _log_beta(a: Any, b: Any) -> Any:
    """log B(a, b) by Stirling's formula."""
    rest = stirling_rest(a) + stirling_rest(b) - stirling_rest(a + b)
    return rest + (a - 0.5) * np.log(a / (a + b)) + b * np.log(b / (a + b)) + 0.5 * np.log(2 * math.pi / b)


def _fraction(a: Any, b: Any, x: Any) -> Float64[np.ndarray, ...]:
    def bounded(value: Any) -> Any:
        return np.where(np.abs(value) < TINIEST, TINIEST, value)

    c, d = np.ones_like(x), 1 / bounded(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / bounded(1 + even * d), bounded(1 + even / c)
        fraction = fraction * d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / bounded(1 + odd * d), bounded(1 + odd / c)
        fraction = fraction * d * c
        if not (np.abs(d * c - 1) >= SETTLED).any():  # what is not a number settles nowhere
            break
    return np.asarray(fraction)
