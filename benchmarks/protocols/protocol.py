"""What a protocol is: a table, its split, the origins of its forecasts, and how an array of forecasts is scored.

A protocol holds one thing twice, for two kinds of readers: the table as a person would give it to `fit` (wide or long,
unsorted, with gaps), and the same values as plain series on a regular grid, from which what happened is taken and
from which the naive forecasts are made. Forecasts come as arrays [N, H], a row for each series and origin in that
order, from whatever library; so all are scored by the same lines, against the same values. The test rows lie at the
end of each series, and `learnable` has none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from protocols.intervals import crps, interval_score, quantiles
from statecast.forecast.scores import metrics
from statecast.forecast.scores.baselines import BASELINES

LEVELS = (80, 95)
NAIVE = ("persistence", "seasonal_naive")
# One step of a series, as pandas and as polars call it.
STEPS = {"15min": "15m", "30min": "30m", "h": "60m", "D": "1d", "MS": "1mo", "QS": "3mo", "YS": "12mo"}

Scores = dict[str, float]


@dataclass(frozen=True, eq=False)
class Series:
    """One series to forecast.

    Attributes:
        name: as results call it.
        begin: time of the first row.
        y: [T] on a regular grid, NaN where missing.
        known: [T, K] covariates known ahead.
    """

    name: str
    begin: np.datetime64
    y: np.ndarray
    known: np.ndarray


@dataclass(frozen=True, eq=False)
class Forecasts:
    """Forecasts [N, H], and the bounds of their intervals by level in percent, where there are any."""

    point: np.ndarray
    lower: Mapping[int, np.ndarray] = field(default_factory=dict)
    upper: Mapping[int, np.ndarray] = field(default_factory=dict)

    def at(self, rows: np.ndarray) -> Forecasts:
        """Some rows of them."""
        return Forecasts(
            self.point[rows],
            {level: bound[rows] for level, bound in self.lower.items()},
            {level: bound[rows] for level, bound in self.upper.items()},
        )


@dataclass(frozen=True, eq=False)
class Protocol:
    """A table and how forecasts of it are scored.

    Attributes:
        name: as the command line calls it.
        title: table and horizon, for people.
        split: the split in words.
        table: the frame with all rows.
        learnable: the same without the test rows: all that `fit` is given.
        roles: which column is what, as `Forecaster.fit` takes it.
        series: what is forecast.
        freq: one step, as pandas calls it.
        horizon: steps ahead, H.
        season: rows of a season, for the seasonal naive forecast and the scale of mase.
        test: test rows at the end of each series.
        step: rows between two origins.
        shown: the metrics that tell, the first of them makes the skill.
        sparse: origins of each series for methods that fit a model at each of them; 0 where they take no part.
        settings: what `fit` is told besides the horizon and the seed, such as the validation rows where they are fixed.
        training_alone: whether that network is scored which has learned from the training rows alone, as published
            figures are; else the one that has learned from every row before the test rows.
        reserved: names of series whose earlier rows are test rows of another protocol.
    """

    name: str
    title: str
    split: str
    table: Any
    learnable: Any
    roles: Mapping[str, Any]
    series: tuple[Series, ...]
    freq: str
    horizon: int
    season: int
    test: int
    step: int = 1
    shown: tuple[str, ...] = ("mase", "mae")
    sparse: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    training_alone: bool = False
    reserved: frozenset[str] = frozenset()

    def before_test(self) -> Protocol:
        """The same on rows cut off, where choices may be made: no row of it is a test row of this or another protocol.

        The rows before the test rows are all there is, and the last of them are tested instead. Series that are
        reserved, or have no two seasons and eight rows left to learn from, are left out.
        """
        least = 2 * self.test + max(2 * self.season, 8)
        kept = [s for s in self.series if len(s.y) >= least and s.name not in self.reserved]
        table = self.learnable
        if name := self.roles.get("id"):
            table = table.filter(table[name].is_in([s.name for s in kept]))
        return replace(
            self,
            title=f"{self.title}, before the test rows",
            table=table,
            learnable=without_last(table, self.roles, self.freq, self.test),
            series=tuple(replace(s, y=s.y[: -self.test], known=s.known[: -self.test]) for s in kept),
        )

    @property
    def windows(self) -> int:
        """Origins of each series: those whose H targets are all test rows, `step` rows apart, the last one first."""
        return (self.test - self.horizon) // self.step + 1

    def origins(self, series: Series) -> np.ndarray:
        """The last rows that forecasts of a series may know, ascending [windows]."""
        last = len(series.y) - 1 - self.horizon
        return last - self.step * np.arange(self.windows)[::-1]

    @property
    def rows(self) -> int:
        """Rows of an array of forecasts: N."""
        return len(self.series) * self.windows

    @cached_property
    def sparse_rows(self) -> np.ndarray:
        """The rows of an array of forecasts that belong to `sparse` origins, spread evenly over the test rows."""
        each = np.unique(np.linspace(0, self.windows - 1, self.sparse).round().astype(np.int64))
        return (self.windows * np.arange(len(self.series))[:, None] + each).reshape(-1)

    def actual(self, series: Series) -> np.ndarray:
        """What happened after each origin of a series [windows, H]; NaN where it is not known."""
        return series.y[self.origins(series)[:, None] + np.arange(1, self.horizon + 1)]

    def naive(self, name: str) -> Forecasts:
        """The forecasts of a baseline from the same origins."""
        guess = BASELINES[name]
        made = [guess(s.y[:, None], self.origins(s), self.horizon, self.season)[..., 0] for s in self.series]
        return Forecasts(np.concatenate(made))

    def scores(self, forecasts: Forecasts, rows: np.ndarray | None = None) -> Scores:
        """The scores of forecasts.

        Args:
            forecasts: of all rows, or of `rows` alone.
            rows: which rows these are; all where None.

        Returns:
            mse, mae, smape and mase over all values, mase with the mean |difference| of rows a season apart, over the
            rows before the test rows, as the unit of each series; missed, the number of values whose forecast is no
            number. Where there are intervals: coverage/80 and coverage/95 as shares; and in the unit of each series
            the interval scores, msis/80 and msis/95 (this is the one of M4), and scaled_crps.

        Raises:
            ValueError: forecasts are missing, or there are too many.
        """
        rows = np.arange(self.rows) if rows is None else rows
        if forecasts.point.shape != (len(rows), self.horizon):
            raise ValueError(
                f"{self.name}: expected forecasts {(len(rows), self.horizon)}, got {forecasts.point.shape}"
            )
        total = metrics.Scores.empty(1)
        intervals: list[dict[str, np.ndarray]] = []
        for index, here in self._by_series(rows):
            series, part = self.series[index], forecasts.at(here)
            actual = self.actual(series)[rows[here] - index * self.windows]
            unit = metrics.seasonal_scale(series.y[: len(series.y) - self.test, None], self.season)
            bounds = ({level: b[..., None] for level, b in side.items()} for side in (part.lower, part.upper))
            total = total.add(actual[..., None], part.point[..., None], unit, *bounds)
            if unit[0] > 0:
                intervals.append({name: terms / unit[0] for name, terms in interval_terms(actual, part).items()})
        result = total.result()
        names = ("mse", "mae", "smape", "mase", "missed", *(f"coverage/{level}" for level in LEVELS))
        return {name: result[name] for name in names if name in result} | means(intervals)

    def _by_series(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        of = rows // self.windows
        return ((int(index), np.flatnonzero(of == index)) for index in np.unique(of))


def interval_terms(actual: np.ndarray, part: Forecasts) -> dict[str, np.ndarray]:
    """For each value the interval score at each level, and the CRPS; nothing where there are no intervals."""
    if not part.lower:
        return {}
    terms = {f"msis/{x}": interval_score(actual, part.lower[x], part.upper[x], x) for x in part.lower}
    return terms | {"scaled_crps": crps(actual, quantiles(part.point, part.lower, part.upper))}


def means(parts: list[dict[str, np.ndarray]]) -> Scores:
    """The mean of each kind of terms over all values that are known."""
    kinds = parts[0] if parts else {}
    return {kind: float(np.nanmean(np.concatenate([part[kind].reshape(-1) for part in parts]))) for kind in kinds}


def regular_times(begin: np.datetime64, rows: int, unit: str) -> np.ndarray:
    """The times of rows one unit apart, a unit of NumPy such as "h" or "3M"."""
    return (begin.astype(f"datetime64[{unit}]") + np.arange(rows)).astype("datetime64[us]")


def without_last(table: Any, roles: Mapping[str, Any], freq: str, rows: int) -> Any:
    """A table without the last rows of the grid of each series, of which some may be missing."""
    time = pl.col(roles["time"])
    last = time.max().over(roles["id"]) if "id" in roles else time.max()
    number, unit = re.fullmatch(r"(\d+)(\D+)", STEPS[freq]).groups()
    return table.filter(time <= last.dt.offset_by(f"-{rows * int(number)}{unit}"))


def arrange(protocol: Protocol, ids: np.ndarray, columns: Mapping[str, np.ndarray], windows: int) -> Forecasts:
    """Forecasts in the order of a protocol, from flat columns: H rows for each (series, origin), origins ascending.

    Args:
        protocol: whose order.
        ids: [n] the series of each row.
        columns: [n] each: "point", and "lo-80", "hi-80", … for the bounds.
        windows: origins of each series.

    Raises:
        ValueError: a series is missing, or has another number of rows.
    """
    horizon = protocol.horizon
    blocks = ids[:: windows * horizon]
    place = {name: number for number, name in enumerate(blocks.tolist())}
    names = [series.name for series in protocol.series]
    if sorted(place) != sorted(names) or len(ids) != len(names) * windows * horizon:
        raise ValueError(f"{protocol.name}: expected {windows} × {horizon} forecasts of each of {len(names)} series")
    order = [place[name] for name in names]

    def arranged(name: str) -> np.ndarray:
        return columns[name].reshape(len(names), windows, horizon)[order].reshape(-1, horizon)

    levels = [level for level in LEVELS if f"lo-{level}" in columns]
    lower, upper = ({level: arranged(f"{side}-{level}") for level in levels} for side in ("lo", "hi"))
    return Forecasts(arranged("point"), lower, upper)
