"""From where a value lies among the forecasts that were made for it to how unusual that is.

`Bounds.position` measures values by intervals that follow their series. How positions are distributed is learned from
the rows of the table: by quantiles in the middle, and beyond the outermost of these by a generalised Pareto
distribution, which is what the excesses of nearly any distribution over a high threshold come to (Balkema & de Haan,
1974; Pickands, 1975), and which has a probability for values beyond all that have been seen. Thresholds with such tails
are how alarms of a set rate are made from few values (Siffer, Fouque, Termier, Largouët, "Anomaly detection in streams
with extreme value theory", KDD 2017).

Excesses are few, so shape and size of a tail are drawn to those of both tails together, and these to a prior: the size
of a normal number's excesses, with a heavier tail.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.model.heads.distributions import normal_score
from statecast.model.heads.special import normal_tail, normal_upper
from statecast.model.surprise import BETS, Watching, leaning

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

BODY = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)  # probabilities of the quantiles that are kept
NUMBERS = len(BODY) + 5
"""Of a distribution: these quantiles, then scale and shape of the lower and of the upper tail, and the mean of
`surprise.leaning`."""
FEWEST = 100  # positions; fewer have no quantiles of their own
SIZE = 0.193  # mean excess of a normal number over its 97.5 % quantile, in units of that
SHAPE = 0.2
WEIGHT = 30.0  # excesses that a prior counts as: from fewer, a tail is mostly chance
OFF = 0.5  # the middle lies at most so far from 0
HEAVIEST = 0.5  # shapes lie between −HEAVIEST and this
SCORES: Float64[np.ndarray, " B"] = np.array([normal_score(p) for p in BODY])


def prior() -> Float64[np.ndarray, " P"]:
    """The distribution that positions have where little is known: a normal one whose 95 % lie within ±1."""
    size = SIZE * (1 - SHAPE)
    return np.array([*(SCORES / SCORES[-1]), size, SHAPE, size, SHAPE, 0.0])


def learned(positions: Float[np.ndarray, " N"]) -> Float64[np.ndarray, " P"]:
    """The distribution of these positions, of which none is NaN."""
    x = np.sort(positions.astype(np.float64))
    if len(x) < FEWEST:
        return prior()
    body = np.quantile(x, BODY, method="weibull")
    excesses = [np.maximum(body[0] - x[x < body[0]], 0), x[x > body[-1]] - body[-1]]
    both = _tail(np.concatenate(excesses), SIZE, SHAPE)
    tails = [_tail(part, *both) for part in excesses]
    numbers = [number for size, shape in tails for number in (size * (1 - shape), shape)]
    return np.array([*body, *numbers, np.clip(leaning(x).mean(), -OFF, OFF)])


def watching(tails: Float64[np.ndarray, "P 2 D"], rate: float) -> Watching:
    """What values are compared with, by the distributions of positions.

    Args:
        tails: of positions by the latest forecast, and by all together.
        rate: of false alarms, per step; each of the bets has its share of it.
    """
    scale, shape = tails[len(BODY) : -1 : 2], tails[len(BODY) + 1 : -1 : 2]
    excess = np.ascontiguousarray((scale / (1 - shape)).mean(axis=0))
    centre = np.ascontiguousarray(tails[-1, 0])
    return Watching(excess, centre, math.log(len(BETS) / rate))


def _tail(excesses: Float64[np.ndarray, " K"], size: float, shape: float) -> tuple[float, float]:
    """Mean and shape of excesses, drawn to a prior's."""
    count = len(excesses)
    mean = (excesses.sum() + WEIGHT * size) / (count + WEIGHT)
    estimate = _shape(excesses[excesses > 0])
    return float(mean), float(np.clip((count * estimate + WEIGHT * shape) / (count + WEIGHT), -HEAVIEST, HEAVIEST))


def _shape(excesses: Float64[np.ndarray, " K"]) -> float:
    """The shape of a generalised Pareto distribution, by the estimator of Zhang & Stephens (Technometrics 51, 2009)."""
    n = len(excesses)
    if n < 5 or excesses.max() <= 0:
        return SHAPE
    x = np.sort(excesses)
    count = 20 + int(np.sqrt(n))
    grid = 1 / x[-1] + (1 - np.sqrt(count / (np.arange(1, count + 1) - 0.5))) / (3 * x[(n + 2) // 4 - 1])
    shapes = np.log1p(-grid[:, None] * x).mean(axis=1)
    profile = n * (np.log(-grid / shapes) - shapes - 1)
    weights = np.exp(profile - profile.max())
    middle = float((grid * weights).sum() / weights.sum())
    return float(np.log1p(-middle * x).mean())


def scores(tails: Float64[np.ndarray, "P D"], positions: Float[np.ndarray, "N D"]) -> Float64[np.ndarray, "N D"]:
    """The normal scores of positions: Φ of a score is the probability of a smaller position.

    Args:
        tails: the distribution of the positions of each target.
        positions: positions.
    """
    x = np.asarray(positions, np.float64)
    body = tails[: len(BODY)]
    result = np.stack([np.interp(x[:, d], *_ascending(body[:, d])) for d in range(x.shape[1])], axis=1)
    for sign, edge, tail in ((-1, body[0], tails[len(BODY) : len(BODY) + 2]), (1, body[-1], tails[len(BODY) + 2 : -1])):
        far, target = np.nonzero(sign * (x - edge) > 0)
        result[far, target] = sign * _far(sign * (x[far, target] - edge[target]), *tail[:, target])
    return result


def _ascending(knots: Float64[np.ndarray, " B"]) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Quantiles and their scores; of those that are equal the mean score."""
    places, which = np.unique(knots, return_inverse=True)
    return places, np.bincount(which, SCORES) / np.bincount(which)


def _far(excess: Float64[np.ndarray, " N"], scale: Float64[np.ndarray, " N"], shape: Float64[np.ndarray, " N"]) -> Any:
    """The normal scores of excesses over the outermost quantile."""
    ratio = excess / scale
    reach = np.maximum(1 + shape * ratio, 1e-12)
    flat = np.abs(shape) < 1e-6
    log = np.where(flat, ratio, np.log(reach) / np.where(flat, 1, shape))
    return normal_upper(BODY[0] * np.exp(-log))


def two_sided(score: Float64[np.ndarray, "N D"]) -> Float64[np.ndarray, "N D"]:
    """The probability that a usual value lies as far out as one with this normal score, on either side."""
    return 2 * normal_tail(np.abs(score))
