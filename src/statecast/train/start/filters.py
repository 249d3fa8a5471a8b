"""Filters of exponential smoothing: many parameters and many series side by side, one step at a time.

A filter follows level, trend and season of a series, each by a share of its error one step ahead (additive errors,
damped trend, additive season: Hyndman, Koehler, Ord & Snyder, "Forecasting with Exponential Smoothing", 2008, chapter
2), with m the rows of a season:

    e = y − (l + φ·b + s[phase])    l ← l + φ·b + α·e    b ← φ·b + α·β·e    s[phase] ← s[phase] + γ·(1 − α)·e
    ŷ[t+k] = l + (φ + … + φᵏ)·b + s[phase of t+k]

Nothing is estimated but by choosing among parameters. A missing value has no error. Every filter is linear in the
values of its series: its first level, trend and season are linear in the first few of them, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

LEVELS = (0.05, 0.15, 0.35, 0.6, 0.9)  # α
TRENDS = (0.0, 0.1, 0.3)  # β
DAMPING = (0.9, 1.0)  # φ
SEASONS = (0.0, 0.1, 0.3, 0.6)  # γ
CYCLES = 3  # seasons, at most, that the first season is the mean of
FEW = 6  # values, at most, that the first level and trend are taken from where there is no season
OWED = 4_000_000  # numbers that forecasts owe to seasons, at most, which are followed back at a time


@dataclass(frozen=True, eq=False)
class Aligned:
    """Series whose training rows end together, so that one step takes one value of each.

    Attributes:
        values: [S, T], NaN before the first value of a series, where one is missing, and behind its last.
        first: [S] the place of the first value.
        stop: the place behind the last training row, of every series.
        counts: how much each value counts where members are compared, [S, T]; None where all count alike.
    """

    values: Float[np.ndarray, "S T"]
    first: Int64[np.ndarray, " S"]
    stop: int
    counts: Float[np.ndarray, "S T"] | None = None

    @classmethod
    def of(
        cls,
        values: Float[np.ndarray, " R"],
        offsets: Int64[np.ndarray, " S+1"],
        train: Int64[np.ndarray, " S"],
        stop: Int64[np.ndarray, " S"],
        most: int,
        counts: Float[np.ndarray, " R"] | None = None,
    ) -> Aligned:
        """The last training rows of every series of a panel, and the rows behind these.

        Args:
            values: one series after another, NaN where missing.
            offsets: of the series.
            train: training rows of each.
            stop: rows of each, the training rows among them, that the filters may follow.
            most: training rows that are taken of each.
            counts: how much each value counts; None where all count alike.
        """
        back, ahead = np.minimum(train, most), stop - train
        width = int(back.max(initial=0))
        place = np.arange(-width, int(ahead.max(initial=0)))
        inside = (place >= -back[:, None]) & (place < ahead[:, None])
        rows = np.clip(offsets[:-1, None] + train[:, None] + place, 0, max(len(values) - 1, 0))
        each = None if counts is None else np.where(inside, counts[rows], 0.0)
        return cls(np.where(inside, values[rows], np.nan), width - back, width, each)

    @classmethod
    def impulses(cls, count: int, first: int | None = None) -> Aligned:
        """Series of `count` values, one of them 1 and the others 0: they show what a linear filter makes of each.

        Args:
            count: of values.
            first: how many of the first values there are, and series; all of them if left out.
        """
        values = np.eye(min(count, first or count))
        return cls(values, np.zeros(len(values), np.int64), count)

    def part(self, chosen: slice | Int64[np.ndarray, " N"]) -> Aligned:
        """Some of the series."""
        counts = None if self.counts is None else self.counts[chosen]
        return Aligned(self.values[chosen], self.first[chosen], self.stop, counts)

    @property
    def lengths(self) -> Int64[np.ndarray, " S"]:
        """Training rows of each series."""
        return self.stop - self.first

    def ahead(self, origin: int, horizon: int, stop: int) -> Float[np.ndarray, "S H"]:
        """The values behind a place, NaN from `stop` on."""
        at = origin + np.arange(1, horizon + 1)
        return np.where(at < stop, self.values[:, np.minimum(at, self.values.shape[1] - 1)], np.nan)

    def counts_ahead(self, origin: int, horizon: int) -> Float[np.ndarray, "S H"]:
        """How much the values behind a place count."""
        if self.counts is None:
            return np.ones((len(self.values), horizon))
        at = origin + np.arange(1, horizon + 1)
        return np.asarray(self.counts[:, np.minimum(at, self.values.shape[1] - 1)])


@dataclass(frozen=True, eq=False)
class Filters:
    """Exponential smoothing with many parameters.

    Attributes:
        season: m; 1 for none.
        horizon: H.
        parameters: α, β, φ and γ of each filter [4, P].
    """

    season: int
    horizon: int
    parameters: Float[np.ndarray, "4 P"]

    @classmethod
    def of(cls, season: int, horizon: int) -> Filters:
        """All filters of a season; the last of them repeats the last season, or the last value where there is none."""
        seasonal = SEASONS if season > 1 else (0.0,)
        flat = [(level, 0.0, 0.0, share) for level, share in product(LEVELS, seasonal)]
        last = (0.0, 0.0, 0.0, 1.0) if season > 1 else (1.0, 0.0, 0.0, 0.0)
        sloped = list(product(LEVELS, TRENDS, DAMPING, seasonal))
        return cls(season, horizon, np.array([*flat, *sloped, last]).T)

    @property
    def count(self) -> int:
        """P."""
        return int(self.parameters.shape[1])

    @property
    def damped(self) -> Float[np.ndarray, "H P"]:
        """What of the trend has come by each step ahead: φ + … + φᵏ."""
        return np.asarray(np.cumsum(self.parameters[2] ** np.arange(1, self.horizon + 1)[:, None], axis=0))

    @property
    def fewest(self) -> Int64[np.ndarray, " P"]:
        """Values that each needs: a season, and half of the next to see whether it comes again."""
        return np.full(self.count, self.season + max(2, self.season // 2) if self.season > 1 else 1)

    def begins(self, lengths: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, "S P"]:
        """The place in each series from which on errors of each are counted."""
        first = np.minimum(np.maximum(max(self.season, 3), lengths // 4), np.maximum(lengths - 2, 0))
        return np.where(lengths[:, None] >= self.fewest, first[:, None], lengths[:, None])

    def start(self, series: Aligned) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Level [S], trend [S] and season [S, m] before the first value of each series.

        Where there is a season, level and trend come from the means of the first seasons, up to three, and the season
        from what these leave; else level and trend are those of a line through the first values.
        """
        m, most = self.season, CYCLES if self.season > 1 else FEW
        count = np.clip(series.lengths // m, 1, most)
        at = np.minimum(series.first[:, None] + np.arange(most * m), max(series.stop - 1, 0))
        rows = _filled(np.take_along_axis(series.values, at, axis=1), count * m)
        if m == 1:
            return _line(rows, count)
        blocks = rows.reshape(-1, most, m)
        means = blocks.mean(axis=2)
        last = np.take_along_axis(means, count[:, None] - 1, axis=1)[:, 0]
        slope = (last - means[:, 0]) / np.maximum((count - 1) * m, 1)
        steps = np.arange(most * m).reshape(most, m) - (m - 1) / 2
        rest = blocks - means[:, :1, None] - slope[:, None, None] * steps
        inside = np.arange(most)[:, None] < count[:, None, None]
        season = np.where(inside, rest, 0.0).sum(axis=1) / count[:, None]
        season -= season.mean(axis=1, keepdims=True)
        return means[:, 0] - slope * (m + 1) / 2, slope, season

    def run(self, series: Aligned, origins: Iterable[int]) -> Iterator[tuple[int, Float[np.ndarray, "S H P"]]]:
        """Each origin in the order of time, and what every filter forecasts after its value.

        Args:
            series: what the filters follow; the forecasts of one that has not begun are NaN.
            origins: places of the last values that the forecasts know.
        """
        alpha, beta, phi, gamma = self.parameters
        stops, steps = set(origins), np.arange(1, self.horizon + 1)
        damped = self.damped
        first = self.start(series)
        level = np.full((len(series.values), len(alpha)), np.nan)
        trend, season = np.zeros_like(level), np.zeros((len(level), self.season, len(alpha)))
        for t in range(max(stops, default=-1) + 1):
            new, phase = np.flatnonzero(series.first == t), t % self.season
            level[new], trend[new] = first[0][new, None], np.where(phi > 0, first[1][new, None], 0.0)
            season[new] = np.roll(first[2][new], phase, axis=1)[:, :, None]
            before = level + phi * trend
            error = series.values[:, t, None] - before - season[:, phase]
            error = np.where(np.isnan(series.values[:, t, None]), 0.0, error)
            level, trend = before + alpha * error, phi * trend + alpha * beta * error
            season[:, phase] += gamma * (1 - alpha) * error
            if t in stops:
                yield t, level[:, None] + damped * trend[:, None] + season[:, (t + steps) % self.season]

    def maps(self, series: Aligned, span: int, weights: Float[np.ndarray, "S P"]) -> Float[np.ndarray, "S span H"]:
        """The weighted mean of all as a map of the last `span` values, the same whatever the series.

        Filters are linear, so the way back from a forecast to what it owes to each value is one step for each value
        (the adjoint), where the way forward from each value would be a run for each.
        """
        maps = np.zeros((len(weights), span, self.horizon))
        count = max(1, OWED // (self.season * (2 + min(self.season, self.horizon))))
        for begin in range(0, self.count, count):
            chosen = slice(begin, begin + count)
            if weights[:, chosen].any():
                part = Filters(self.season, self.horizon, self.parameters[:, chosen])
                part._add_maps(maps, weights[:, chosen])
        return maps

    def _add_maps(self, maps: Float[np.ndarray, "S span H"], weights: Float[np.ndarray, "S P"]) -> None:
        """Adds the weighted sum of their maps."""
        alpha, beta, phi, gamma = self.parameters
        span = maps.shape[1]
        owed = Owed.to_last(self, span)
        for t in reversed(range(span)):
            season = owed.season[t % self.season]
            error = alpha * (owed.level + beta * owed.trend) + gamma * (1 - alpha) * season
            maps[:, t] += owed.mean(error, weights)
            owed.level, owed.trend = owed.level - error, phi * (owed.level + owed.trend - error)
            season -= error
        level, trend, season = self.start(Aligned.impulses(span, (CYCLES if self.season > 1 else FEW) * self.season))
        maps[:, : len(level)] += level[:, None] * owed.mean(owed.level, weights)[:, None]
        maps[:, : len(level)] += trend[:, None] * owed.mean((phi > 0) * owed.trend, weights)[:, None]
        phases = np.stack([owed.mean(one, weights) for one in owed.season], axis=1)
        maps[:, : len(level)] += season @ phases


@dataclass(eq=False)
class Owed:
    """What forecasts after the last value owe to each filter's level, trend and season before some value.

    Forecasts are made of the last level, the last trend and those phases of the season that lie ahead: rows, n of them.

    Attributes:
        level, trend: [n, P].
        season: [m, n, P].
        damped: [H, P] what of a trend has come by each step.
        ahead: [H] the row of the phase of each step.
    """

    level: Float[np.ndarray, "n P"]
    trend: Float[np.ndarray, "n P"]
    season: Float[np.ndarray, "m n P"]
    damped: Float[np.ndarray, "H P"]
    ahead: Int64[np.ndarray, " H"]

    @classmethod
    def to_last(cls, filters: Filters, span: int) -> Owed:
        """What they owe after the last of `span` values: each row to itself."""
        steps = np.arange(1, filters.horizon + 1)
        phases, ahead = np.unique((span - 1 + steps) % filters.season, return_inverse=True)
        level, trend, season = (np.zeros((n, 2 + len(phases), filters.count)) for n in (1, 1, filters.season))
        level[0, 0], trend[0, 1] = 1.0, 1.0
        season[phases, 2 + np.arange(len(phases))] = 1.0
        return cls(level[0], trend[0], season, filters.damped, 2 + ahead)

    def mean(self, rows: Float[np.ndarray, "n P"], weights: Float[np.ndarray, "S P"]) -> Float[np.ndarray, "S H"]:
        """The forecasts' share of something, of which the rows are owed to it, in the weighted mean of the filters."""
        return np.asarray(weights @ (rows[0] + self.damped * rows[1] + rows[self.ahead]).T)


def _filled(rows: Float[np.ndarray, "S n"], count: Int64[np.ndarray, " S"]) -> Float[np.ndarray, "S n"]:
    """The first `count` values of each series, and 0 behind them; those that are missing count as the mean of these."""
    inside = np.arange(rows.shape[1]) < count[:, None]
    held = inside & ~np.isnan(rows)
    mean = np.where(held, rows, 0.0).sum(axis=1) / np.maximum(held.sum(axis=1), 1)
    return np.where(held, rows, np.where(inside, mean[:, None], 0.0))


def _line(rows: Float[np.ndarray, "S n"], count: Int64[np.ndarray, " S"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level and slope of a line through the first `count` values, one step before them, and no season."""
    steps = np.arange(rows.shape[1]) - (count[:, None] - 1) / 2
    steps = np.where(np.arange(rows.shape[1]) < count[:, None], steps, 0.0)
    slope = (steps * rows).sum(axis=1) / np.maximum((steps**2).sum(axis=1), 0.25)
    return rows.sum(axis=1) / count - slope * (count + 1) / 2, slope, np.zeros((len(rows), 1))
