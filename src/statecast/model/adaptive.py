"""Intervals that follow a series: adaptive conformal inference on the errors as they become known.

Intervals that were calibrated on past rows hold as long as the future is like the past. Where a series grows louder or
calmer, the share of values outside its intervals shows it, and the intervals are moved until that share is right again:
after each value, every interval that should miss a share α = 1 − level / 100 widens by rate · (outside − α), in units
of half the 80 % interval. Bounds can move beyond all errors observed so far. One step ahead, and while errors stay
bounded, the share of values outside comes to α over a long time whatever the series does (Gibbs & Candès, NeurIPS 2021;
in this form, which moves the bound itself rather than α, Angelopoulos, Candès & Tibshirani, "Conformal PID control",
NeurIPS 2023). Further ahead the interval that is judged is today's width around an older forecast, not the interval
that was issued then, and between the watched steps widths are interpolated; there the share is what this aims at, not a
theorem.

Series differ in how well they are forecast, and the front's scale, which is made of their differences, does not know
it. So intervals may be `sized`: each is the common one times the size of the series' own errors, a running mean of
their sizes in units of what is typical of the step ahead. It counts as `PRIOR` errors of the size at the watched step
before, so the many errors of short steps speak for the long ones, whose few errors overlap: an error k steps ahead
counts as 1/k. Without any, the size is 1.

A value arrives k steps after its forecast was made, so forecasts that are still waiting for their values are part of
the state. To keep that small, only steps 1, 2, 4, 8, … ahead are watched, and each of these waits in a ring of its own
length, in which the forecast that falls due is replaced by the one just made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.model import surprise
from statecast.model.cells import Array
from statecast.model.heads import marginal
from statecast.model.heads.distributions import normal_score
from statecast.model.heads.head import Head
from statecast.model.state import Layout
from statecast.model.surprise import Arrival, Watching

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int64

FORGET = 0.01  # the share by which an error counts less with each one after it
PRIOR = 10.0  # how many errors the size at the step before counts as
MOST = 10.0  # an error counts as at most so many times the size that it is compared with
RATE = 0.03  # one step ahead; k steps ahead it is RATE/√k, since errors overlap and each carries less information
NARROWEST = 0.1  # half an interval is at least so wide where positions are measured by it, in units of `Bounds.unit`
FARTHEST = 1e6  # a position is at most so many half intervals away
GRID: Float64[np.ndarray, " Q"] = np.linspace(0, 1, 401)
"""The probabilities at which a model keeps the quantiles of its scores."""
NORMAL: Float64[np.ndarray, " Q"] = np.array(
    [normal_score(q) for q in np.clip(GRID, GRID[1] / 2, 1 - GRID[1] / 2).tolist()]
)
"""The quantiles of a standard normal number at `GRID`; at 0 and 1, which have none, those of half a step inside."""


@dataclass(frozen=True)
class Adaptive:
    """What the intervals of one network remember of each series.

    N rows, H steps ahead, K watched steps ahead, L levels, D targets, O numbers that the head gives for each value.

    Attributes:
        head: the head of the network.
        levels: the levels that are watched, in percent, ascending.
        sized: whether intervals are in units of each series' own errors.
        watched: whether values are scored as they arrive.
    """

    head: Head
    levels: tuple[float, ...]
    sized: bool = False
    watched: bool = False

    @cached_property
    def leads(self) -> Int64[np.ndarray, " K"]:
        """The steps ahead that are watched: powers of two up to the horizon."""
        return 2 ** np.arange(int(math.log2(self.head.horizon)) + 1)

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays of a state.

        `turn` counts steps modulo the longest lead. `waiting` holds forecasts and the scale at their origin, which is 0
        where there is no forecast. `shifts` is how far each interval has moved outwards, A numbers for each watched
        step: those of the levels, and where intervals are sized, the sum of the sizes of errors, and its weight.
        Where values are scored, what `surprise` remembers comes after these.
        """
        head, places = self.head, int(self.leads.sum())
        parts = {
            "turn": (1,),
            "waiting": (places, head.targets, head.width + 1),
            "shifts": (len(self.leads), len(self.levels) + 2 * self.sized, head.targets),
        }
        return parts | (surprise.parts(head.targets) if self.watched else {})

    @cached_property
    def report(self) -> Layout:
        """The numbers of a row that go out with its forecast."""
        return Layout.of({name: shape for name, shape in self.parts().items() if name in ("shifts", "watch")})

    @cached_property
    def reported(self) -> slice:
        """Where these lie among all numbers of the intervals."""
        begin = Layout.of(self.parts()).slices["shifts"][0].start
        return slice(begin, begin + self.report.size)

    def observe(
        self, parts: dict[str, Any], bounds: Bounds, y: Float[np.ndarray, "N D"], m: Float[np.ndarray, "N D"]
    ) -> None:
        """Move the intervals whose values have arrived. `parts` changes in place.

        Args:
            parts: the arrays of N rows, named as in `parts()`.
            bounds: the calibrated bounds.
            y: the values of this step, in working units.
            m: their mask, 1 where there is a value.
        """
        due = parts["waiting"][np.arange(len(y))[:, None], self._places(parts)]
        scale = due[..., -1]
        mask = (scale > 0) & (m[:, None] > 0)
        size: Float64[np.ndarray, "N K D"] = self.sizes(parts["shifts"])
        if not mask.any():
            if bounds.watching is not None:
                surprise.observe(parts, bounds.watching, self._arrival(y, m, due, np.zeros(mask.shape), mask))
            return
        score = np.zeros(mask.shape)
        values = np.broadcast_to(y[:, None], mask.shape)
        score[mask] = marginal.score(self.head, due[mask, :-1], scale[mask], values[mask])
        if bounds.watching is not None:
            low, high = self._limits(parts["shifts"], bounds)
            position = np.where(mask, bounds.position(score / size, low[:, :, -1], high[:, :, -1]), 0)
            surprise.observe(parts, bounds.watching, self._arrival(y, m, due, position, mask))
        parts["shifts"][...] = self._moved(parts["shifts"], bounds, score, mask, size)

    def after(self, parts: dict[str, Any], bounds: Bounds, y: Array, m: Array, raw: Array, scale: Array) -> Any:
        """`observe` and then `remember`, as values of any array library, without what `surprise` remembers.

        Args:
            parts: the arrays of N rows; they do not change.
            bounds: the calibrated bounds.
            y: the values of this step [N, D].
            m: their mask.
            raw: the forecasts of the watched steps ahead, in working units, [N, K, D, O].
            scale: the front's scale [N, D], 0 where a forecast is not a measure.

        Returns:
            turn, waiting and shifts after the step.
        """
        xp, places, longest = y.__array_namespace__(), self._places(parts), float(self.leads[-1])
        due = xp.take_along_axis(parts["waiting"], places[..., None, None], axis=1)
        mask = (due[..., -1] > 0) & (m[:, None] > 0)
        score = xp.where(mask, marginal.score(self.head, due[..., :-1], due[..., -1], y[:, None]), 0.0)
        shifts = self._moved(parts["shifts"], bounds, score, mask, self.sizes(parts["shifts"]))
        scales = xp.broadcast_to((scale * m)[:, None, :, None], (*raw.shape[:-1], 1))
        lead = np.repeat(np.arange(len(self.leads)), self.leads)  # of each place
        news = xp.take(xp.concat([raw, scales], axis=-1), xp.asarray(lead), axis=1)
        is_due = xp.take(places, xp.asarray(lead), axis=1) == np.arange(len(lead))
        waiting = xp.where(is_due[..., None, None], news, parts["waiting"])
        turn = xp.astype((parts["turn"] + 1.0) % longest, parts["turn"].dtype)
        return {"turn": turn, "waiting": waiting, "shifts": shifts}

    def _limits(self, shifts: Array, bounds: Bounds) -> tuple[Array, Array]:
        """The moved bounds of the levels, [N, K, L, D] each, in units of a series' own errors."""
        reach = bounds.unit[:, None] * shifts[:, :, : len(self.levels)]
        return bounds.low - reach, bounds.high + reach

    def _moved(self, shifts: Array, bounds: Bounds, score: Array, mask: Array, size: Array) -> Array:
        """`shifts` [N, K, A, D] after scores [N, K, D] where there are some; `size` is that of errors before."""
        xp, levels = shifts.__array_namespace__(), len(self.levels)
        low, high = self._limits(shifts, bounds)
        relative, some = (score / size)[:, :, None], mask[:, :, None]
        outside = xp.astype((relative < low) | (relative > high), xp.float64)
        parts = [shifts[:, :, :levels] + xp.astype(some, xp.float64) * bounds.rate * (outside - bounds.share)]
        if self.sized:
            error = xp.minimum(xp.abs(score) / bounds.typical, MOST * size)
            news = xp.stack([error, xp.ones_like(error)], axis=2) / self.leads[:, None, None]
            sums = xp.astype(shifts[:, :, levels:], xp.float64)
            parts.append(xp.where(some, (1 - FORGET) * sums + news, sums))
        return xp.concat([xp.astype(part, shifts.dtype) for part in parts], axis=2)

    def _arrival(
        self,
        y: Float[np.ndarray, "N D"],
        m: Float[np.ndarray, "N D"],
        due: Float[np.ndarray, "N K D O"],
        position: Float64[np.ndarray, "N K D"],
        mask: Bool[np.ndarray, "N K D"],
    ) -> Arrival:
        """What `surprise` takes of the values of a step: positions by the forecasts that were due."""
        count, total = mask.sum(axis=1), np.zeros(position[:, 0].shape)
        for k in range(position.shape[1]):  # one after another, as the native kernel adds them
            total = total + position[:, k]
        value, next = np.where(m > 0, y, 0).astype(np.float64), mask[:, 0]
        latest = np.take_along_axis(position, mask.argmax(axis=1)[:, None], axis=1)[:, 0]
        error = np.where(next, value - due[:, 0, :, self.head.middle], 0)
        together = total / np.maximum(count, 1)
        return Arrival(value, m > 0, latest, together, count, next, error)

    def remember(
        self,
        parts: dict[str, Any],
        raw: Float[np.ndarray, "N K D O"],
        scale: Float[np.ndarray, "N D"],
        m: Float[np.ndarray, "N D"],
    ) -> None:
        """Keep the forecasts of a step until their values arrive. `parts` changes in place.

        Args:
            parts: the arrays of N rows.
            raw: the forecasts of the watched steps ahead, in working units.
            scale: the front's scale.
            m: the mask of this step's values. A forecast from a step without a value is not kept, so that the steps of
                a gap, at which nobody asks for a forecast, leave the same state whether they are run or skipped.
        """
        scales = np.broadcast_to((scale * m)[:, None, :, None], (*raw.shape[:-1], 1))
        rows, places = np.arange(len(raw))[:, None], self._places(parts)
        parts["waiting"][rows, places] = np.concatenate([raw, scales], axis=-1)
        parts["turn"][...] = (parts["turn"] + 1) % self.leads[-1]

    def skip(self, parts: dict[str, Any], steps: int) -> None:
        """Pass over `steps` steps without values. `parts` changes in place."""
        turn = parts["turn"][:, 0].astype(np.int64)[:, None]
        rows = np.arange(len(turn))[:, None]
        for lead, begin in zip(self.leads, self._begins, strict=True):
            places = begin + (turn + np.arange(min(steps, int(lead)))) % lead
            parts["waiting"][rows, places] = 0
        if self.watched and steps:
            surprise.skip(parts, steps)
        parts["turn"][...] = (parts["turn"] + steps) % self.leads[-1]

    def sizes(self, shifts: Array) -> Array:
        """The sizes [N, K, D] of a series' errors at the watched steps, in units of the typical ones, from `shifts`.

        They are float64, and 1 where not sized.
        """
        xp = shifts.__array_namespace__()
        if not self.sized:
            return xp.ones((*shifts.shape[:2], shifts.shape[-1]), dtype=xp.float64)
        sums = xp.astype(shifts[:, :, len(self.levels) :], xp.float64)
        sizes = [xp.ones_like(sums[:, 0, 0])]
        for k in range(len(self.leads)):
            sizes.append((PRIOR * sizes[-1] + sums[:, k, 0]) / (PRIOR + sums[:, k, 1]))
        return xp.stack(sizes[1:], axis=1)

    def reach(self, moved: Array, level: float) -> Array:
        """How far the interval of a level has moved at each step ahead [N, H, D], in units of `Bounds.unit`.

        Interpolated between watched steps by the logarithm of the step, and between watched levels by the normal score
        of the level; constant beyond the outermost of both.
        """
        position = float(np.interp(_outward(level), [_outward(x) for x in self.levels], np.arange(len(self.levels))))
        first = min(int(position), max(len(self.levels) - 2, 0))
        second = min(first + 1, len(self.levels) - 1)
        at_level = moved[:, :, first] * (1 - (position - first)) + moved[:, :, second] * (position - first)
        return self.ahead(at_level)

    def ahead(self, watched: Array) -> Array:
        """What is known of the watched steps [N, K, D] at all steps ahead [N, H, D].

        It is interpolated by the logarithm of the step.
        """
        lead = np.minimum(np.log2(np.arange(1, self.head.horizon + 1)), len(self.leads) - 1)
        below = np.minimum(lead.astype(np.int64), max(len(self.leads) - 2, 0))
        above, share = np.minimum(below + 1, len(self.leads) - 1), (lead - below)[:, None]
        return watched[:, below] * (1 - share) + watched[:, above] * share

    @cached_property
    def _begins(self) -> Int64[np.ndarray, " K"]:
        return np.asarray(np.cumsum(self.leads) - self.leads)

    def _places(self, parts: dict[str, Any]) -> Array:
        """Where in `waiting` the forecasts lie that fall due at this step, [N, K]."""
        turn = parts["turn"]
        return self._begins + turn.__array_namespace__().astype(turn, np.int64) % self.leads


@dataclass(frozen=True, eq=False)
class Bounds:
    """The calibrated bounds from which adaptation starts; K watched steps ahead, L levels, D targets.

    Attributes:
        low: lower bounds as normal scores.
        high: upper bounds as normal scores.
        middle: the medians.
        unit: half the 80 % interval, as normal scores.
        rate: how far an interval moves after a value, in units of `unit`.
        share: of the values that should lie outside.
        typical: mean size of normal scores, by which those of a series are measured; 1 where they are not.
        watching: what values are scored by; None where they are not.
    """

    low: Float64[np.ndarray, "K L D"]
    high: Float64[np.ndarray, "K L D"]
    middle: Float64[np.ndarray, "K D"]
    unit: Float64[np.ndarray, "K D"]
    rate: Float64[np.ndarray, "K 1 1"]
    share: Float64[np.ndarray, "L 1"]
    typical: Float64[np.ndarray, "K D"]
    watching: Watching | None = None

    @classmethod
    def of(
        cls,
        adaptive: Adaptive,
        residuals: Float64[np.ndarray, "Q H D"],
        typical: Float64[np.ndarray, "H D"] | None = None,
        watching: Watching | None = None,
    ) -> Bounds:
        """From the quantiles of the calibrating scores, at `GRID`, and where intervals are sized their typical size."""
        watched = residuals[:, adaptive.leads - 1]
        pairs = [bounds_of(watched, level) for level in adaptive.levels]
        low, high = (np.stack([pair[side] for pair in pairs], axis=1) for side in (0, 1))
        rate = RATE / np.sqrt(adaptive.leads)[:, None, None]
        share = 1 - np.array(adaptive.levels)[:, None] / 100
        typical = np.ones(residuals.shape[1:]) if typical is None else typical
        middle = np.ascontiguousarray(bounds_of(watched, 0)[0])
        return cls(low, high, middle, half_width(watched), rate, share, typical[adaptive.leads - 1], watching)

    def position(
        self,
        score: Float64[np.ndarray, "N K D"],
        low: Float64[np.ndarray, "N K D"],
        high: Float64[np.ndarray, "N K D"],
    ) -> Float64[np.ndarray, "N K D"]:
        """Where scores lie: how far from the median, in units of the way from there to the outermost bound.

        Between the bounds these are numbers from −1 to 1, and further out straight on. Since the bounds follow the
        series, so do positions.
        """
        half = np.where(score > self.middle, high - self.middle, self.middle - low)
        half = np.maximum(half, np.maximum(NARROWEST * self.unit, 1 / FARTHEST))
        return np.asarray(np.clip((score - self.middle) / half, -FARTHEST, FARTHEST))


def prior_quantiles(head: Head) -> Float64[np.ndarray, "Q H D"]:
    """The quantiles at `GRID` that scores are assumed to have before any is known: those of normal numbers.

    A point head's errors are assumed to be those of a random walk whose steps are 1 on average, in units of the front's
    scale: at step k a normal number of deviation √(πk/2). The scores of other heads are standard normal by definition.
    """
    normal = NORMAL[:, None, None] * np.ones((1, head.horizon, head.targets))
    if head.width > 1:
        return normal
    return np.asarray(normal * np.sqrt(math.pi / 2 * np.arange(1, head.horizon + 1))[:, None])


def bounds_of(residuals: Float64[np.ndarray, "Q ..."], level: float) -> tuple[np.ndarray, np.ndarray]:
    """The scores that bound an interval of this level in percent, rounded outwards on `GRID`.

    The outermost place of the grid stands for the probability half a step inside; levels beyond it go on from there as
    those of a normal number do.
    """
    tail, last = (100 - level) / 200, len(GRID) - 1
    low, high = residuals[math.floor(tail * last + 1e-9)], residuals[math.ceil((1 - tail) * last - 1e-9)]
    if tail >= GRID[1] / 2:
        return low, high
    middle, beyond = residuals[last // 2], normal_score(tail) / NORMAL[0]
    return middle + (low - middle) * beyond, middle + (high - middle) * beyond


def half_width(residuals: Float64[np.ndarray, "Q ..."]) -> Float64[np.ndarray, ...]:
    """Half the 80 % interval, which is the unit in which intervals move."""
    low, high = bounds_of(residuals, 80)
    return np.asarray((high - low) / 2)


def _outward(level: float) -> float:
    return normal_score((100 + level) / 200)
