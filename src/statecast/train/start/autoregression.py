"""Autoregressions: few coefficients, solved for in closed form, and iterated to the end of the horizon.

A series, or what a season leaves of it, or its differences, is forecast one step ahead from its last few values by
ridge regression, and each forecast is a value for the next (Box & Jenkins, "Time Series Analysis", 1970; the season is
a profile of means, or seasonal differences). Where exponential smoothing follows level and trend, autoregressions
return to a mean and swing: the two err differently, so their mean errs less than either. Coefficients of few values,
iterated, serve series that are far too short for a straight map of all steps.

Forecasts at an origin come from coefficients of the values up to it, so their errors are those of later values. With
the coefficients fixed they are linear in the values: means and profiles are, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from statecast.train.start.filters import Aligned

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

ORDERS = (1, 3)  # last values that a step is forecast from
PENALTY = 0.05  # of the mean diagonal of the normal equations
SPARE = 6  # values more than coefficients that a regression needs
NUMBERS = 2_000_000  # values of windows, at most, that are regressed at a time


@dataclass(frozen=True)
class Member:
    """One kind of autoregression.

    Attributes:
        order: last values that a step is forecast from.
        lag: of the differences that are forecast instead of values; 0 for values. Those of a step have no mean, values
            and seasonal differences lie around theirs.
        profile: whether the season's profile, the mean of all seasons around their line, is taken off first.
    """

    order: int
    lag: int
    profile: bool = False

    def fewest(self, season: int) -> int:
        """Values that it needs."""
        return max(2 * season if self.profile or self.lag > 1 else 0, self.order + SPARE, season + 1)


@dataclass(frozen=True, eq=False)
class Windows:
    """Stretches of series that end where a forecast is made.

    Attributes:
        values: [N, W], the newest last, 0 before a series begins; one that is missing counts as the one before it.
        observed: [N, W] whether there is a value.
        counts: [N, W] how much each counts where it is learned from.
        lengths: [N] values since the first one, missing ones among them.
    """

    values: Float[np.ndarray, "N W"]
    observed: Bool[np.ndarray, "N W"]
    counts: Float[np.ndarray, "N W"]
    lengths: Int64[np.ndarray, " N"]

    @property
    def width(self) -> int:
        """W."""
        return int(self.values.shape[1])

    @classmethod
    def of(cls, series: Aligned, origins: Sequence[int], width: int) -> Windows:
        """The windows of all series at each origin, a series' one after another; `width` values long or longer."""
        width = max(width, max(origins) + 1)
        values, observed = _filled(series)
        at = np.asarray(origins)[:, None] - np.arange(width - 1, -1, -1)
        first = np.where(observed.any(axis=1), np.argmax(observed, axis=1), observed.shape[1])[:, None]
        inside = (at >= first[:, None]).reshape(-1, width)
        counts = np.ones(values.shape) if series.counts is None else series.counts
        values, observed, counts = (
            part[:, np.maximum(at, 0)].reshape(-1, width) for part in (values, observed, counts)
        )
        lengths = np.maximum(np.asarray(origins) + 1 - first, 0).reshape(-1)
        return cls(np.where(inside, values, 0.0), inside & observed, counts, lengths)


@dataclass(frozen=True, eq=False)
class Autoregressions:
    """All kinds of autoregressions.

    Attributes:
        season: m; 1 for none.
        horizon: H.
        members: the kinds.
    """

    season: int
    horizon: int
    members: tuple[Member, ...]

    @classmethod
    def of(cls, season: int, horizon: int) -> Autoregressions:
        """Values, differences and, where there is a season, both without its profile, and seasonal differences."""
        plain = [Member(order, lag) for lag, order in product((0, 1), ORDERS)]
        profile = [Member(order, lag, profile=True) for lag, order in product((0, 1), ORDERS)]
        seasonal = [Member(order, season) for order in ORDERS]
        return cls(season, horizon, (*plain, *profile, *seasonal) if season > 1 else tuple(plain))

    @property
    def count(self) -> int:
        """P."""
        return len(self.members)

    @property
    def fewest(self) -> Int64[np.ndarray, " P"]:
        """Values that each needs."""
        return np.array([member.fewest(self.season) for member in self.members])

    def begins(self, lengths: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, "S P"]:
        """The place in each series from which on errors of each are counted."""
        return np.asarray(np.maximum(self.fewest - 1, lengths[:, None] // 4))

    def run(self, series: Aligned, origins: Iterable[int]) -> Iterator[tuple[int, Float[np.ndarray, "S H P"]]]:
        """Each origin in the order of time, and what each forecasts after its value; NaN for a series not yet begun."""
        places = sorted(set(origins))
        count = len(series.values)
        some = max(1, NUMBERS // (max(count, 1) * (max(places, default=0) + 1)))
        for begin in range(0, len(places), some):
            part = places[begin : begin + some]
            windows = Windows.of(series, part, self._width)
            each = [self._forecasts(windows, member) for member in self.members]
            forecasts = np.stack(each, axis=2).reshape(count, len(part), self.horizon, self.count)
            forecasts[windows.lengths.reshape(count, -1) == 0] = np.nan
            yield from zip(part, np.swapaxes(forecasts, 0, 1), strict=True)

    def maps(self, series: Aligned, span: int, weights: Float[np.ndarray, "S P"]) -> Float[np.ndarray, "S span H"]:
        """The weighted mean of all as a map of the last `span` values; coefficients are those of the training rows."""
        past = Windows.of(series, [series.stop - 1], self._width)
        impulses = Windows.of(Aligned.impulses(span), [span - 1], self._width)
        maps = np.zeros((len(weights), span, self.horizon))
        for number, member in enumerate(self.members):
            if weights[:, number].any():
                coefficients = Stationary.of(past, member, self.season).coefficients(member.order)
                made = Stationary.of(impulses, member, self.season).forecasts(coefficients[:, None], self.horizon)
                maps += weights[:, number, None, None] * made
        return maps

    @property
    def _width(self) -> int:
        """The least width of a window: there are rows, if none of the series, for every lag."""
        return 2 * self.season + max(ORDERS) + 2

    def _forecasts(self, windows: Windows, member: Member) -> Float[np.ndarray, "N H"]:
        stationary = Stationary.of(windows, member, self.season)
        return stationary.forecasts(stationary.coefficients(member.order), self.horizon)


@dataclass(frozen=True, eq=False)
class Stationary:
    """What is regressed on its own last values, and the way back to the values of the series.

    Attributes:
        lag: of the differences; 0 where there are none.
        last: [N, lag] values that the differences are added to.
        profile: [N, m] of the season, the phase of the newest value last; zero where none is taken off.
        mean: [N] of the differences; 0 where they lie around none.
        rest: [N, U] differences without their mean, 0 before they begin.
        observed: [N, U] whether all values are there of which a difference is made.
        counts: [N, U] how much each counts where it is learned from.
    """

    lag: int
    last: Float[np.ndarray, "N lag"]
    profile: Float[np.ndarray, "N m"]
    mean: Float[np.ndarray, " N"]
    rest: Float[np.ndarray, "N U"]
    observed: Bool[np.ndarray, "N U"]
    counts: Float[np.ndarray, "N U"]

    @classmethod
    def of(cls, windows: Windows, member: Member, season: int) -> Stationary:
        """What a member regresses."""
        profile = _profile(windows, season) if member.profile else np.zeros((len(windows.values), season))
        rest, observed, lag = windows.values - _before(profile, windows.width), windows.observed, member.lag
        last = rest[:, windows.width - lag :]
        if lag:
            rest, observed = rest[:, lag:] - rest[:, :-lag], observed[:, lag:] & observed[:, :-lag]
        inside = np.arange(windows.width - lag) >= (windows.width - windows.lengths)[:, None]
        mean = np.where(inside, rest, 0.0).sum(axis=1) / np.maximum(inside.sum(axis=1), 1) * (lag != 1)
        rest = np.where(inside, rest - mean[:, None], 0.0)
        return cls(lag, last, profile, mean, rest, observed & inside, windows.counts[:, lag:])

    def coefficients(self, order: int) -> Float[np.ndarray, "N p"]:
        """Of the last values, the newest first, such that no forecast grows without end."""
        size = self.rest.shape[1] - order
        whole = np.all([self.observed[:, k : k + size] for k in range(order + 1)], axis=0)
        lagged = np.stack([self.rest[:, order - k :][:, :size] * whole for k in range(1, order + 1)], axis=1)
        weighted = lagged * self.counts[:, None, order:]
        gram = weighted @ np.swapaxes(lagged, 1, 2)
        typical = np.trace(gram, axis1=1, axis2=2)[:, None, None] / order
        gram += np.where(typical > 0, PENALTY * typical, 1.0) * np.eye(order)
        return _bounded(np.linalg.solve(gram, weighted @ self.rest[:, order:, None])[:, :, 0])

    def forecasts(self, coefficients: Float[np.ndarray, "... N p"], horizon: int) -> Float[np.ndarray, "... N H"]:
        """The next values of the series."""
        order, steps = coefficients.shape[-1], range(horizon)
        rest = list(self.rest[:, -order:].T)
        for _ in steps:
            rest.append(np.sum([coefficients[..., k] * rest[-1 - k] for k in range(order)], axis=0))
        ahead = [one + self.mean for one in rest[order:]]
        for k in steps if self.lag else ():
            ahead[k] = ahead[k] + (ahead[k - self.lag] if k >= self.lag else self.last[:, k])
        season = self.profile.shape[1]
        return np.asarray(np.stack(ahead, axis=-1) + self.profile[:, np.arange(horizon) % season])


def _filled(series: Aligned) -> tuple[Float[np.ndarray, "S T"], Bool[np.ndarray, "S T"]]:
    """Values, one that is missing like the one before it, and which are there."""
    observed = ~np.isnan(series.values)
    before = np.maximum.accumulate(np.where(observed, np.arange(observed.shape[1]), 0), axis=1)
    return np.nan_to_num(np.take_along_axis(series.values, before, axis=1)), observed


def _profile(windows: Windows, season: int) -> Float[np.ndarray, "N m"]:
    """Means of each phase over all whole seasons of what a line through the first and the last one leaves.

    Shrunk by one over the number of seasons: a single one says nothing of the season.
    """
    most = windows.width // season
    count = np.minimum(windows.lengths // season, most)
    blocks = windows.values[:, windows.width - most * season :].reshape(-1, most, season)
    means, last = blocks.mean(axis=2), np.maximum(count, 1)
    first = np.take_along_axis(means, most - last[:, None], axis=1)
    slope = (means[:, -1:] - first) / np.maximum((last[:, None] - 1) * season, 1)
    rest = blocks - means[:, :, None] - slope[:, :, None] * (np.arange(season) - (season - 1) / 2)
    inside = np.arange(most) >= most - count[:, None]
    profile = (rest * inside[:, :, None]).sum(axis=1) / last[:, None] * (1 - 1 / last[:, None])
    return np.asarray(profile - profile.mean(axis=1, keepdims=True))


def _before(profile: Float[np.ndarray, "N m"], width: int) -> Float[np.ndarray, "N W"]:
    """The profile repeated backwards over the last values."""
    return profile[:, np.arange(-width, 0) % profile.shape[1]]


def _bounded(coefficients: Float[np.ndarray, "N p"]) -> Float[np.ndarray, "N p"]:
    """Coefficients with all roots within the unit circle: the k-th divided by the k-th power of a root beyond."""
    order = coefficients.shape[1]
    companion = np.zeros((len(coefficients), order, order))
    companion[:, 0], companion[:, np.arange(1, order), np.arange(order - 1)] = coefficients, 1.0
    largest = np.maximum(np.abs(np.linalg.eigvals(companion)).max(axis=1, initial=0.0), 1.0)
    return np.asarray(coefficients / largest[:, None] ** np.arange(1, order + 1))
