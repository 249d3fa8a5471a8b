"""Intervals that follow a series: adaptive conformal inference on the errors that come in.

Calibration on rows of the past holds as long as the future is like them. Where a series grows louder or calmer, the
share of values outside its intervals tells, and the intervals are moved until that share is right again: after each
value, every interval whose level is α = 100 − level percent away from certain widens by rate·(outside − α), in units
of half the 80 % interval. The bounds can be pushed beyond all errors seen, and over a long time the share of values
outside comes to α whatever the series does (Gibbs & Candès, NeurIPS 2021; in this form, moving the bound itself rather
than α, Angelopoulos, Candès & Tibshirani, "Conformal PID control", NeurIPS 2023).

A value comes in k steps after the forecast of it was made, so the forecasts still waiting for theirs are part of the
state. That is kept small: only steps 1, 2, 4, 8, … ahead are watched, the others lie between them, and each step ahead
waits in a ring of its own length, in which the place of the forecast that is due is the place of the one just made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.model import marginal
from statecast.model.distributions import normal_score
from statecast.model.head import Head

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

RATE = 0.03  # of a step ahead of 1; of k it is RATE/√k, as its errors overlap and tell less each
GRID: Float64[np.ndarray, " Q"] = np.linspace(0, 1, 401)
"""Probabilities of the quantiles of scores that a model keeps; 0 and 1 are the smallest and the largest score."""


@dataclass(frozen=True)
class Adaptive:
    """What the intervals of one network remember of each series.

    Attributes:
        head: of the network.
        levels: the levels that are watched, in percent, ascending.
    """

    head: Head
    levels: tuple[float, ...]

    @cached_property
    def leads(self) -> Int64[np.ndarray, " K"]:
        """The steps ahead that are watched: powers of two up to the horizon."""
        return 2 ** np.arange(int(math.log2(self.head.horizon)) + 1)

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the numbers of a state.

        `turn` counts steps modulo the longest lead; `waiting` holds forecasts and the scale that they were made with,
        0 for none; `moved` how far each interval is moved outwards.
        """
        head, waits = self.head, int(self.leads.sum())
        return {
            "turn": (1,),
            "waiting": (waits, head.targets, head.width + 1),
            "moved": (len(self.leads), len(self.levels), head.targets),
        }

    def seen(
        self, parts: dict[str, Any], table: Bounds, y: Float[np.ndarray, "N D"], m: Float[np.ndarray, "N D"]
    ) -> None:
        """Take the values of a step: the intervals that they were due in move. `parts` changes in place.

        Args:
            parts: of N rows, as `parts` names them.
            table: the calibrated bounds.
            y: values in working units.
            m: their mask.
        """
        due = parts["waiting"][np.arange(len(y))[:, None], self._slots(parts)]
        scale = due[..., -1]
        there = (scale > 0) & (m[:, None] > 0)
        if not there.any():
            return
        score = np.zeros(there.shape)
        value = np.broadcast_to(y[:, None], there.shape)
        score[there] = marginal.score(self.head, due[there, :-1], scale[there], value[there])
        score = score[:, :, None]
        reach = table.unit[:, None] * parts["moved"]
        outside = (score < table.low - reach) | (score > table.high + reach)
        parts["moved"] += there[:, :, None] * table.rate * (outside - table.share)

    def made(
        self,
        parts: dict[str, Any],
        raw: Float[np.ndarray, "N K D O"],
        scale: Float[np.ndarray, "N D"],
        m: Float[np.ndarray, "N D"],
    ) -> None:
        """Keep the forecasts of a step until their values come. `parts` changes in place.

        Args:
            parts: of N rows.
            raw: the forecasts of the watched steps ahead, in working units.
            scale: the front's scale.
            m: the mask of the step's values. A forecast from a step without a value is not kept, so that steps in a
                gap, at which nobody asks for one, count alike.
        """
        kept = np.broadcast_to((scale * m)[:, None, :, None], (*raw.shape[:-1], 1))
        rows, slots = np.arange(len(raw))[:, None], self._slots(parts)
        parts["waiting"][rows, slots] = np.concatenate([raw, kept], axis=-1)
        parts["turn"][...] = (parts["turn"] + 1) % self.leads[-1]

    def missed(self, parts: dict[str, Any], steps: int) -> None:
        """Pass through steps without values. `parts` changes in place."""
        turn = parts["turn"][:, 0].astype(np.int64)[:, None]
        rows = np.arange(len(turn))[:, None]
        for lead, begin in zip(self.leads, self._begins, strict=True):
            gone = begin + (turn + np.arange(min(steps, int(lead)))) % lead
            parts["waiting"][rows, gone] = 0
        parts["turn"][...] = (parts["turn"] + steps) % self.leads[-1]

    def reach(self, moved: Float[np.ndarray, "N K L D"], level: float) -> Float64[np.ndarray, "N H D"]:
        """How far the interval of a level is moved at each step ahead, in units of `Bounds.unit`.

        Between two watched steps by the logarithm of the step, between two watched levels by the level's normal score;
        beyond both as at the last.
        """
        lead = np.minimum(np.log2(np.arange(1, self.head.horizon + 1)), len(self.leads) - 1)
        below = np.minimum(lead.astype(np.int64), max(len(self.leads) - 2, 0))
        share = (lead - below)[:, None]
        at = np.interp(_outward(level), [_outward(x) for x in self.levels], np.arange(len(self.levels)))
        first = min(int(at), max(len(self.levels) - 2, 0))
        second = min(first + 1, len(self.levels) - 1)
        of = moved[:, :, first] * (1 - (at - first)) + moved[:, :, second] * (at - first)
        above = np.minimum(below + 1, len(self.leads) - 1)
        return np.asarray(of[:, below] * (1 - share) + of[:, above] * share)

    @cached_property
    def _begins(self) -> Int64[np.ndarray, " K"]:
        return np.asarray(np.cumsum(self.leads) - self.leads)

    def _slots(self, parts: dict[str, Any]) -> Int64[np.ndarray, "N K"]:
        """Where the forecasts lie that are due at this step."""
        return np.asarray(self._begins + parts["turn"].astype(np.int64) % self.leads)


@dataclass(frozen=True, eq=False)
class Bounds:
    """The calibrated bounds that adaptation starts from; K watched steps ahead, L levels.

    Attributes:
        low, high: [K, L, D] normal scores.
        unit: [K, D] half the 80 % interval, in scores.
        rate: [K, 1, 1] of the moves.
        share: [L, 1] of values that should lie outside.
    """

    low: Float64[np.ndarray, "K L D"]
    high: Float64[np.ndarray, "K L D"]
    unit: Float64[np.ndarray, "K D"]
    rate: Float64[np.ndarray, "K 1 1"]
    share: Float64[np.ndarray, "L 1"]

    @classmethod
    def of(cls, adaptive: Adaptive, residuals: Float64[np.ndarray, "Q H D"]) -> Bounds:
        """From the quantiles of the scores that calibrate."""
        at = residuals[:, adaptive.leads - 1]
        bounds = [bounds_of(at, level) for level in adaptive.levels]
        low, high = (np.stack([pair[side] for pair in bounds], axis=1) for side in (0, 1))
        rate = RATE / np.sqrt(adaptive.leads)[:, None, None]
        share = 1 - np.array(adaptive.levels)[:, None] / 100
        return cls(low, high, half_width(at), rate, share)


def untried(head: Head) -> Float64[np.ndarray, "Q H D"]:
    """Quantiles of the scores of a head of which nothing is known: those of a normal number.

    The errors of a point head are those of a random walk whose steps are 1 in absolute value on average.
    """
    inner = np.clip(GRID, GRID[1] / 2, 1 - GRID[1] / 2)
    normal = np.array([normal_score(q) for q in inner])[:, None, None] * np.ones((1, head.horizon, head.targets))
    if head.width > 1:
        return normal
    return np.asarray(normal * np.sqrt(math.pi / 2 * np.arange(1, head.horizon + 1))[:, None])


def bounds_of(residuals: Float64[np.ndarray, "Q ..."], level: float) -> tuple[np.ndarray, np.ndarray]:
    """The scores that bound an interval of this level, rounded outwards on the grid."""
    tail, size = (100 - level) / 200, len(GRID) - 1
    return residuals[math.floor(tail * size + 1e-9)], residuals[math.ceil((1 - tail) * size - 1e-9)]


def half_width(residuals: Float64[np.ndarray, "Q ..."]) -> Float64[np.ndarray, ...]:
    """Half the 80 % interval, the unit in which intervals are moved."""
    low, high = bounds_of(residuals, 80)
    return np.asarray((high - low) / 2)


def _outward(level: float) -> float:
    return normal_score((100 + level) / 200)
