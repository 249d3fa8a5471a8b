"""What a series' own past says of a value: how wild it is, what its records are, and whether it has changed.

Intervals follow a series, and what they have grown used to they no longer call unusual. So three things are remembered
of each target beside them, each in a few numbers that a step renews.

- **Excesses.** How far values lie beyond the outermost interval, in units of what the table showed: a running mean. By
  it positions beyond the bounds are scaled, so that wilder tails than the table's do not raise more alarms.
- **Records.** The extremes so far of the value, of its running mean and of the errors one step ahead. Of n values that
  might have come in any order the last is the largest with probability 1/n, and how far a record lies beyond the one
  before, in units of the whole range, has the tail of a generalised Pareto distribution: the two together are the
  probability of a value. Series that grow set records all the time; so where these are frequent, their running share
  takes the place of 1/n. Small steps are expected beyond a record, which orders records well but calls too many of them
  improbable; how often such ones came in generated series says how rare they are, see `rate`.
- **Changes.** Four bets are placed: that values lie too high, too low, too far out, or not far enough. A bet multiplies
  its stake by 1 + λ·(x − x̂), for a usual x on average no gain. Since it goes on with 1 where it has less, the stake is
  an e-detector: whatever the distribution, it takes at least 1/α steps on average until one exceeds 1/α by chance
  (Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", New England Journal
  of Statistics in Data Science 2, 2024; the recursion is that of Page's CUSUM, Biometrika 41, 1954). A change is dated
  to when the stake last began to grow.

How loud an error is, its size as a share of itself and a slow running mean of sizes, is compared with a slow running
mean of loudness: so the series' unit and the shape of its errors are no matter. Sizes are not in units of the front's
scale, which follows a series within a few steps and would hide what is looked for. When a change has been told, these
means begin anew, and the stakes as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64

FARTHEST = 1e6  # positions, excesses and records are at most so large
WEIGHT = 20.0  # how many excesses what the table showed counts as
MOST = 10.0  # an excess counts as at most so many times the mean
FORGET = 0.01  # the share by which an excess counts less with each one after it
RECENT = 0.03  # the share by which a record counts less with each value after it
STEADY = 0.1  # the share of the newest value in the running mean
STEP = 0.02  # mean excess of a record over the one before that is expected, in units of the range
SHAPE = 0.8  # of the tail of these excesses: heavy, as little is known of it
RATES = ((0, 0.04), (5.2, 1e-2), (8.6, 3e-3), (9.9, 1e-3), (10.8, 3e-4), (11.5, 1e-4), (12.3, 3e-5), (12.9, 1e-5))
"""Of −ln of the probability of a record how often it was exceeded, see `rate`."""
FIRST = 5.0  # records that the expectation counts as
LEAST = 100.0  # values before which no record is told
SLOW = 0.001  # the share by which an error counts less for what is usual with each one after it
BETS = ("higher", "lower", "louder", "calmer")
"""What a series is after a change."""
STAKES = (0.5, 0.5, 1.5, 0.9)  # λ of each bet
DOUBT = 2.0  # logarithm of a stake on loudness beyond which what is usual is not learned any more
LOSS = 0.95  # the largest share of a stake that one error can cost
EDGES = (0.05, 0.05, 0.08, 0.08)  # what is taken off each gain, for errors that hang together
REPORT = ("latest", "together", "forecasts", "record", "change", "age")
"""What is told of a value: positions by the latest forecast and by all, how many these are, −ln of the probability of
its record (negative below, see `rate`), which bet was won (1 to 4, 0 for none), and how many steps ago its stake began
to grow."""


@dataclass(frozen=True, eq=False)
class Watching:
    """What values are compared with, D targets.

    Attributes:
        excess: [2, D] mean excess over the outermost interval, by the latest forecast and by all together.
        centre: [D] the mean of `leaning` positions by the latest forecast.
        bound: the logarithm of the stake at which a change is told.
    """

    excess: Float64[np.ndarray, "2 D"]
    centre: Float64[np.ndarray, " D"]
    bound: float


@dataclass(frozen=True, eq=False)
class Arrival:
    """The values of a step, N rows of D targets; what is not in `scored` is 0 but for the value.

    Attributes:
        value: in working units.
        observed: where there is one.
        latest: position by the latest forecast.
        together: mean of the positions by all forecasts.
        forecasts: how many these are.
        next: where there is one of one step ahead.
        error: of the forecast one step ahead, in working units.
    """

    value: Float64[np.ndarray, "N D"]
    observed: Bool[np.ndarray, "N D"]
    latest: Float64[np.ndarray, "N D"]
    together: Float64[np.ndarray, "N D"]
    forecasts: Float64[np.ndarray, "N D"]
    next: Bool[np.ndarray, "N D"]
    error: Float64[np.ndarray, "N D"]


def rules(bound: float) -> Float64[np.ndarray, " n"]:
    """The constants of this file and the bound of a stake, as the native kernel takes them."""
    ones = (WEIGHT, MOST, FORGET, RECENT, STEADY, STEP, SHAPE, FIRST, LEAST, SLOW, DOUBT, LOSS, FARTHEST)
    return np.array([*ones, *STAKES, *EDGES, bound])


def parts(targets: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what is remembered of a row.

    `watch` goes out with the row's forecast, see `REPORT`. `excess` holds, by the latest forecast and by all, a sum and
    its weight. `records` holds of value, running mean and error, upwards and downwards, the extreme, and of the
    excesses of records the sum and its weight. `past` holds the count of values and their running mean, `usual` sums of
    errors' sizes and of their loudness, and their weight, `stakes` the logarithm of each stake and the steps since it
    began to grow.
    """
    return {
        "watch": (len(REPORT), targets),
        "excess": (2, 2, targets),
        "records": (3, 2, 3, targets),
        "past": (2, targets),
        "usual": (3, targets),
        "stakes": (len(BETS), 2, targets),
    }


def leaning(position: Any) -> Any:
    """A position as bets on its side take it: between −1 and 1."""
    return np.clip(position, -2, 2) / 2


def rate(record: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """How often one of a series' records is as improbable, 1 where there is none.

    `RATES` were counted in generated series of 1500 numbers: normal ones that are independent, with autocorrelation .8,
    around a season, and as steps of a walk, and those of Student's t with four degrees of freedom. At a rate of .001
    there were .7, 1.1, .7, .7 and 1.8 times as many, at .0001 .15, .2, .15, .2 and 4.3 times; of lognormal numbers,
    which were not counted, 1.4 and 6 times.

    Args:
        record: as it is reported: −ln of the probability, of either sign, 0 for none.
    """
    places, rates = np.array(RATES).T
    size, logs = np.abs(record), np.log(rates)
    slope = (logs[-1] - logs[-2]) / (places[-1] - places[-2])
    rates = np.exp(np.interp(size, places, logs) + slope * np.maximum(size - places[-1], 0))
    return np.asarray(np.where(record != 0, rates, 1))


def unchanged(watch: Float[np.ndarray, "N W D"]) -> Float[np.ndarray, "N W D"]:
    """What is told of values, without the changes that they tell of."""
    quiet = watch.copy()
    quiet[:, [REPORT.index("change"), REPORT.index("age")]] = 0
    return quiet


def skip(of: dict[str, Any], steps: int) -> None:
    """Pass over steps without values. `of`, the arrays of N rows, changes in place."""
    of["watch"][...] = 0
    of["stakes"][:, :, 1] += np.where(of["stakes"][:, :, 0] > 0, steps, 0)


def observe(of: dict[str, Any], watching: Watching, arrival: Arrival) -> None:
    """Take the values of a step. `of`, the arrays of N rows, changes in place."""
    skip(of, 1)
    latest = _scaled(of["excess"][:, 0], watching.excess[0], arrival.latest, arrival.forecasts > 0)
    together = _scaled(of["excess"][:, 1], watching.excess[1], arrival.together, arrival.forecasts > 0)
    record = _records(of["records"], of["past"], arrival)
    change, age = _changes(of["stakes"], of["usual"], watching, arrival, latest)
    for n, row in enumerate((latest, together, arrival.forecasts, record, change, age)):
        of["watch"][:, n] = np.where(arrival.observed, row, 0)


def _scaled(
    sums: Float[np.ndarray, "N 2 D"],
    excess: Float64[np.ndarray, " D"],
    position: Float64[np.ndarray, "N D"],
    mask: Bool[np.ndarray, "N D"],
) -> Float64[np.ndarray, "N D"]:
    """Positions, beyond the bounds in units of the series' own excesses, of which `sums` learns."""
    total, weight = np.moveaxis(sums.astype(np.float64), 1, 0)
    ratio = (WEIGHT + total) / (WEIGHT + weight)
    beyond = np.maximum(np.abs(position) - 1, 0)
    out = mask & (beyond > 0)
    news = np.stack([np.minimum(beyond / excess, MOST * ratio), np.ones_like(beyond)], axis=1)
    sums[...] = np.where(out[:, None], (1 - FORGET) * sums.astype(np.float64) + news, sums)
    return np.asarray(np.copysign(np.minimum(np.abs(position), 1) + np.minimum(beyond / ratio, FARTHEST), position))


def _records(
    records: Float[np.ndarray, "N 3 2 3 D"], past: Float[np.ndarray, "N 2 D"], arrival: Arrival
) -> Float64[np.ndarray, "N D"]:
    """The least probable record of the values, as −ln of its probability, negative where it is one downwards."""
    count, mean = np.moveaxis(past.astype(np.float64), 1, 0)
    mean = np.where(count > 0, mean + STEADY * (arrival.value - mean), arrival.value)
    rarest = np.zeros(mean.shape)
    for n, number in enumerate((arrival.value, mean, arrival.error)):
        mask = arrival.observed if n < 2 else arrival.next
        span = records[:, n, :, 0].astype(np.float64).sum(axis=1)
        for side, sign in enumerate((1.0, -1.0)):
            news = _record(records[:, n, side], sign * number, span, count, mask)
            rarest = np.where(news > np.abs(rarest), sign * news, rarest)
    past[...] = np.where(arrival.observed[:, None], np.stack([count + 1, mean], axis=1), past)
    return rarest


def _record(
    side: Float[np.ndarray, "N 3 D"],
    number: Float64[np.ndarray, "N D"],
    span: Float64[np.ndarray, "N D"],
    count: Float64[np.ndarray, "N D"],
    mask: Bool[np.ndarray, "N D"],
) -> Float64[np.ndarray, "N D"]:
    """−ln of the probability of a record upwards, 0 where there is none; `side` learns of it."""
    extreme, total, weight = np.moveaxis(side.astype(np.float64), 1, 0)
    excess = np.minimum((number - extreme) / np.maximum(span, 1 / FARTHEST**3), FARTHEST)
    record = mask & (count > 0) & (span > 0) & (excess > 0)
    excess = np.where(record, excess, 0)
    expected = (total + FIRST * STEP) / (weight + FIRST)
    often = np.maximum(1 / (count + 1), np.minimum(RECENT * weight, 1))
    news = np.log1p(SHAPE * excess / (expected * (1 - SHAPE))) / SHAPE - np.log(often)
    extreme = np.maximum(np.where(count > 0, extreme, number), number)
    kept = np.stack([extreme, (1 - RECENT) * total + excess, (1 - RECENT) * weight + record], axis=1)
    side[...] = np.where(mask[:, None], kept, side)
    return np.where(record & (count >= LEAST), news, 0)


def _changes(
    stakes: Float[np.ndarray, "N 4 2 D"],
    usual: Float[np.ndarray, "N 2 D"],
    watching: Watching,
    arrival: Arrival,
    latest: Float64[np.ndarray, "N D"],
) -> tuple[Float64[np.ndarray, "N D"], Float64[np.ndarray, "N D"]]:
    """The number of the bet that was won, 0 for none, and the steps since its stake began to grow."""
    mask, (total, louds, weight) = arrival.next, np.moveaxis(usual.astype(np.float64), 1, 0)
    count = np.maximum(weight, 1 / FARTHEST)
    size = np.abs(arrival.error)
    mean = np.where(weight > 0, total / count, size)
    size = np.where(mean > 0, np.minimum(size, MOST * mean), size)
    loudness = size / np.maximum(size + mean, 1 / FARTHEST**3)
    louder = np.where(weight >= LEAST, loudness - louds / count, 0)
    lean = leaning(latest) - watching.centre
    winner, age = np.zeros(mask.shape), np.zeros(mask.shape)
    most = np.full(mask.shape, watching.bound)
    for n, gain in enumerate((lean, -lean, louder, -louder)):
        stake, steps = np.moveaxis(stakes[:, n].astype(np.float64), 1, 0)  # steps count this one already, see `skip`
        steps = np.where(stake > 0, steps, 1)
        stake = np.where(mask, np.maximum(stake, 0) + np.log1p(np.maximum(STAKES[n] * (gain - EDGES[n]), -LOSS)), stake)
        winner, age = np.where(stake >= most, n + 1, winner), np.where(stake >= most, steps, age)
        most = np.maximum(most, stake)
        stakes[:, n] = np.stack([stake, np.where(stake > 0, steps, 0)], axis=1)
    sums = [(1 - SLOW) * part + news for part, news in zip((total, louds, weight), (size, loudness, 1), strict=True)]
    news = np.where(winner[:, None] > 0, 0, np.stack(sums, axis=1))
    calm = stakes[:, 2:, 0].max(axis=1) <= DOUBT
    usual[...] = np.where((mask & (calm | (winner > 0)))[:, None], news, usual)
    stakes[...] = np.where(winner[:, None, None] > 0, 0, stakes)
    return winner, age
