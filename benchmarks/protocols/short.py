"""Short series alone: each is fitted by itself, at each of its origins anew.

Monthly and yearly tables of some dozen to two hundred rows, and series of M1 drawn by a seed. The season is given, as
methods of exponential smoothing are given theirs. What counts is the error beside that of the seasonal naive forecast,
for which each series has one voice: the geometric mean of the ratios, the worst of them, and how many series are
forecast worse.

Choices are made on other rows (`cut`): those of the tables before their test rows, and the training rows of forty other
series of M1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from protocols.m1 import DRAWN, PERIODS, collection, drawn
from protocols.protocol import Forecasts, Protocol, Scores, Series, regular_times

ORIGINS = 3

# name, file in classic/, its column, the month of the first row, the period, and the horizon
TABLES = (
    ("AirPassengers", "R_datasets_AirPassengers.csv", "value", "1949-01", "monthly", 12),
    ("lynx", "R_datasets_lynx.csv", "value", "1821-01", "yearly", 6),
    ("heater", "darts_ice_cream_heater.csv", "heater", "2004-01", "monthly", 12),
    ("ice cream", "darts_ice_cream_heater.csv", "ice cream", "2004-01", "monthly", 12),
    ("shampoo", "shampoo.csv", "Sales", "1991-01", "monthly", 6),  # its years are called 1 to 3
)


@dataclass(frozen=True, eq=False)
class Suite:
    """Protocols of one series each, and how forecasts of all of them are scored together.

    Attributes:
        name: as the command line calls it.
        title: what it is, for people.
        split: the origins in words.
        members: the protocols.
        shown: the scores that tell, the first of them makes the skill.
    """

    name: str
    title: str
    split: str
    members: tuple[Protocol, ...]
    shown: tuple[str, ...] = ("relative", "worst", "behind", "fit_s", "longest_s")

    def naive(self, name: str) -> list[Forecasts]:
        """The forecasts of a baseline, for each member."""
        return [member.naive(name) for member in self.members]

    @cached_property
    def units(self) -> tuple[float, ...]:
        """The mase of the seasonal naive forecast of each member."""
        return tuple(member.scores(member.naive("seasonal_naive"))["mase"] for member in self.members)

    def ratios(self, forecasts: Sequence[Forecasts]) -> dict[str, float]:
        """The mase of each member over that of the seasonal naive forecast, by the member's name."""
        parts = zip(self.members, forecasts, self.units, strict=True)
        return {member.name: member.scores(part)["mase"] / unit for member, part, unit in parts}

    def scores(self, forecasts: Sequence[Forecasts]) -> Scores:
        """The scores of forecasts of all members.

        Returns:
            relative, the geometric mean of the ratios; worst, the largest; behind, how many are above 1; and the mean
            over the members of mase and of what is told of intervals.
        """
        each = [member.scores(part) for member, part in zip(self.members, forecasts, strict=True)]
        ratios = np.array(list(self.ratios(forecasts).values()))
        in_units = [key for key in each[0] if key not in ("mse", "mae")]
        return {
            "relative": float(np.exp(np.mean(np.log(ratios)))),
            "worst": float(ratios.max()),
            "behind": float(np.sum(ratios > 1)),
        } | {key: float(np.mean([scores[key] for scores in each])) for key in in_units}


def short_series(data: Path, cut: bool = False) -> Suite:
    """The tables and the drawn series; with `cut` those on which choices may be made."""
    members = (*tables(data, cut), *drawn_series(data, cut))
    lengths = [len(member.series[0].y) for member in members]
    return Suite(
        "short",
        "Short series alone",
        f"{len(TABLES)} tables and {DRAWN} series of M1, of {min(lengths)} to {max(lengths)} rows; each is fitted "
        f"alone, with its season given, at each of {ORIGINS} origins; the relative MASE of a series is its MASE over "
        "that of the seasonal naive forecast, and the first column is the geometric mean over the series",
        members,
    )


def tables(data: Path, cut: bool) -> Iterator[Protocol]:
    """The tables, whole or without their test rows."""
    for name, file, column, begin, period, horizon in TABLES:
        values = pl.read_csv(data / "classic" / file, infer_schema=False)[column].cast(pl.Float64).to_numpy()
        begins = np.datetime64(begin, "us")
        whole = alone(name, values, begins, period, horizon)
        yield alone(name, values[: -whole.test], begins, period, horizon) if cut else whole


def drawn_series(data: Path, cut: bool) -> Iterator[Protocol]:
    """The drawn series of M1; or the training rows of those that would be drawn next."""
    for period, name in drawn(data, skip=DRAWN if cut else 0):
        parts = collection(data, period)
        rows, test = parts.train[name], parts.test[name]
        yield alone(name, rows if cut else np.concatenate([rows, test]), parts.begins[name], period, len(test))


def alone(name: str, values: np.ndarray, begin: np.datetime64, period: str, horizon: int) -> Protocol:
    """One series with its last origins a horizon apart, or as far apart as leaves two seasons before the first.

    Where a series has not even so many rows, its horizon is a third of it at most.
    """
    of = PERIODS[period]
    horizon = min(horizon, len(values) // 3)
    spare = (len(values) - horizon - max(2 * of.season, 8)) // (ORIGINS - 1)
    step = int(np.clip(spare, 1, horizon))
    test = horizon + (ORIGINS - 1) * step
    table = pl.DataFrame({"ds": regular_times(begin, len(values), of.unit), "y": values})
    return Protocol(
        name=name,
        title=name,
        split=f"{ORIGINS} origins, {step} rows apart",
        table=table,
        learnable=table.head(len(values) - test),
        roles={"target": "y", "time": "ds"},
        series=(Series(name, begin, values, np.zeros((len(values), 0))),),
        freq=of.freq,
        horizon=horizon,
        season=of.season,
        test=test,
        step=step,
        sparse=ORIGINS,
        settings={"season": of.season},
    )
