"""The M1 competition: 1,001 series by month, quarter and year, one forecast of each from the end of its training file.

Many of them are short, down to nine rows. Forty are drawn by a seed, to be forecast alone as well: see `short`. Source:
Makridakis et al., "The accuracy of extrapolation (time series) methods", J. Forecasting 1 (1982).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from protocols.competitions import competition, lines
from protocols.protocol import Protocol

DRAWN = 40  # series that are also forecast alone
SEED = 1982  # of the draw: the year of the competition


@dataclass(frozen=True)
class Period:
    """How often a series has a row: rows of a season, and one step as NumPy and as pandas call it."""

    season: int
    unit: str
    freq: str


PERIODS = {"monthly": Period(12, "M", "MS"), "quarterly": Period(4, "3M", "QS"), "yearly": Period(1, "Y", "YS")}


@dataclass(frozen=True, eq=False)
class Collection:
    """The series of one period, by name: training rows, test rows and the time of the first row."""

    train: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    begins: dict[str, np.datetime64]


@cache
def collection(data: Path, period: str) -> Collection:
    """What the files say."""
    train, test = (lines(data / "m1" / f"M1_{period}_{part}.csv") for part in ("train", "test"))
    starts = pl.read_csv(data / "m1" / "M1_info.csv", infer_schema=False)
    month = dict(zip(starts["id"], map(first_month, starts["start"]), strict=True))
    return Collection(train, test, {name: month[name] for name in train})


def first_month(start: str) -> np.datetime64:
    """The month of a start such as "23741/12", in years; years that are not known count from 1, here from 1901."""
    years = Fraction(start)
    year, month = int(years), int(12 * (years % 1))
    return np.datetime64(f"{year if year > 99 else 1900 + year:04d}-{1 + month:02d}", "us")


def m1(data: Path, period: str) -> Protocol:
    """One period's series."""
    of, parts = PERIODS[period], collection(data, period)
    horizon = len(next(iter(parts.test.values())))
    step = {"monthly": "months", "quarterly": "quarters", "yearly": "years"}[period]
    protocol = competition(
        parts.train, parts.test, parts.begins, of.unit,
        name=f"m1-{period}", title=f"M1 {period}, {horizon} {step} ahead", season=of.season, freq=of.freq,
        shown=("mase", "smape"),
    )  # fmt: skip
    return replace(protocol, reserved=frozenset(name for of_period, name in drawn(data) if of_period == period))


def drawn(data: Path, skip: int = 0) -> list[tuple[str, str]]:
    """Period and name of forty series, from all of them in a random order after the first `skip`."""
    names = [(period, name) for period in PERIODS for name in collection(data, period).train]
    order = np.random.default_rng(SEED).permutation(len(names))
    return sorted(names[number] for number in order[skip : skip + DRAWN])
