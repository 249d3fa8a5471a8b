"""M4 Hourly and the tourism competition's monthly series: many short series, one forecast of each.

A competition's test file is withheld altogether: the forecast is made from the end of the training file and compared
with the test file. Sources: Makridakis, Spiliotis, Assimakopoulos, "The M4 Competition", Int. J. Forecasting 36 (2020);
Athanasopoulos, Hyndman, Song, Wu, "The tourism forecasting competition", Int. J. Forecasting 27 (2011).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from protocols.protocol import Protocol, Series, regular_times

NAIVE2 = {"smape": 18.383, "mase": 2.395}  # of M4 Hourly, as published with the competition's results


def owa(smape: float, mase: float) -> float:
    """The competition's overall weighted average: the mean of sMAPE and MASE, each over that of Naive2."""
    return (smape / NAIVE2["smape"] + mase / NAIVE2["mase"]) / 2


def m4_hourly(data: Path) -> Protocol:
    """M4 Hourly. The file of start dates is not at hand, so every series begins at the same, made-up hour."""
    train, test = (lines(data / "m4" / f"Hourly-{part}.csv") for part in ("train", "test"))
    return competition(
        train, test, dict.fromkeys(train, np.datetime64("2015-07-01T00", "us")), "h",
        name="m4-hourly", title="M4 Hourly, 48 hours ahead", season=24, freq="h", shown=("owa", "smape", "mase"),
    )  # fmt: skip


def tourism_monthly(data: Path) -> Protocol:
    """Tourism monthly; the table of starts gives a year, so a series begins in its January."""
    train, test = (lines(data / "tourism" / f"tourism_monthly_{part}.csv") for part in ("train", "test"))
    starts = pl.read_csv(data / "tourism" / "tourism_info.csv", infer_schema=False)
    year = dict(zip(starts["id"], starts["start"], strict=True))
    begins = {name: np.datetime64(f"{year[name]}-01-01", "us") for name in train}
    return competition(
        train, test, begins, "M",
        name="tourism-monthly", title="Tourism monthly, 24 months ahead", season=12, freq="MS", shown=("mase", "smape"),
    )  # fmt: skip


def competition(
    train: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
    begins: Mapping[str, np.datetime64],
    unit: str,
    *,
    name: str,
    title: str,
    season: int,
    freq: str,
    shown: tuple[str, ...],
) -> Protocol:
    """One forecast of each series, from the end of its training rows over its test rows."""
    whole = {item: np.concatenate([values, test[item]]) for item, values in train.items()}
    horizon = len(next(iter(test.values())))
    return Protocol(
        name=name,
        title=title,
        split=f"{len(train)} series of {_range(train)} rows; the {horizon} rows of the test file are withheld",
        table=_long(whole, begins, unit),
        learnable=_long(train, begins, unit),
        roles={"target": "y", "id": "unique_id", "time": "ds"},
        series=tuple(Series(item, begins[item], values, np.zeros((len(values), 0))) for item, values in whole.items()),
        freq=freq,
        horizon=horizon,
        season=season,
        test=horizon,
        shown=shown,
        sparse=1,
    )


def _range(train: Mapping[str, np.ndarray]) -> str:
    lengths = [len(values) for values in train.values()]
    return f"{min(lengths)} to {max(lengths)}"


def lines(path: Path) -> dict[str, np.ndarray]:
    """One series a line: its name, then its values up to the first empty cell."""
    rows = pl.read_csv(path, infer_schema=False).rows()
    return {row[0]: np.array([float(cell) for cell in row[1:] if cell]) for row in rows}


def _long(series: Mapping[str, np.ndarray], begins: Mapping[str, np.datetime64], unit: str) -> pl.DataFrame:
    parts = [
        pl.DataFrame(
            {"unique_id": [name] * len(values), "ds": regular_times(begins[name], len(values), unit), "y": values}
        )
        for name, values in series.items()
    ]
    return pl.concat(parts)
