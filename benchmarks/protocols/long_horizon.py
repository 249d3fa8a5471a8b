"""ETTh1, ETTm1 and the exchange rates by the protocol of the long-horizon literature.

Every column is standardised by the mean and the deviation of its training rows; every window of the test rows counts,
one row apart, the last batch as well; errors are means over all columns and steps, in standardised units. The first
test window begins to be forecast at the last validation row, so its first target is the first test row. Published
figures learn from the training rows alone, and so does the network that is compared with them. Source: Zhou
et al., "Informer", AAAI 2021; Zeng et al., "Are Transformers effective for time series forecasting?", AAAI 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from protocols.protocol import Protocol, Series

ETT_TARGETS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
CHANNELS = ("0", "1", "2", "3", "4", "5", "6", "OT")


def ett(data: Path, name: str, horizon: int) -> Protocol:
    """ETTh1 or ETTm1: the first 12, the next 4 and the next 4 months of 30 days; what follows is not used."""
    hour = 1 if name == "ETTh1" else 4
    train, part = 12 * 30 * 24 * hour, 4 * 30 * 24 * hour
    frame = pl.read_csv(data / "ett" / f"{name}.csv", try_parse_dates=True).head(train + 2 * part)
    return standardised(
        frame, "date", ETT_TARGETS, train, part, part,
        name=f"{name.lower()}-{horizon}", title=f"{name}, {horizon} steps ahead", horizon=horizon,
        season=24 * hour, freq="h" if hour == 1 else "15min",
        split=f"first 12/4/4 months: {train:,}/{part:,}/{part:,} rows, 7 columns; all {{windows:,}} windows",
    )  # fmt: skip


def exchange(data: Path, horizon: int = 96) -> Protocol:
    """Daily exchange rates of eight countries; 70, 10 and 20 % of the rows."""
    frame = pl.read_csv(data / "exchange_rate" / "exchange_rate_ltsf.csv")
    frame = frame.with_columns(pl.col("date").str.strptime(pl.Datetime, "%Y/%m/%d %H:%M"))
    # As the literature counts them: shares rounded down, validation gets what is left.
    train, test = int(0.7 * len(frame)), int(0.2 * len(frame))
    val = len(frame) - train - test
    return standardised(
        frame, "date", CHANNELS, train, val, test,
        name=f"exchange-{horizon}", title=f"Exchange rates, {horizon} steps ahead", horizon=horizon,
        season=7, freq="D", shown=("mae", "mse"), sparse=4,
        split=f"70/10/20 %: {train:,}/{val:,}/{test:,} rows, 8 columns; all {{windows:,}} windows",
    )  # fmt: skip


def standardised(
    frame: pl.DataFrame,
    time: str,
    targets: Sequence[str],
    train: int,
    val: int,
    test: int,
    *,
    name: str,
    title: str,
    split: str,
    horizon: int,
    season: int,
    freq: str,
    shown: tuple[str, ...] = ("mse", "mae"),
    sparse: int = 0,
) -> Protocol:
    """A wide table whose columns are divided by the deviation of the first `train` rows, their mean taken off."""
    values = frame.select(targets).to_numpy().astype(np.float64)
    values = (values - values[:train].mean(axis=0)) / values[:train].std(axis=0)
    scaled = frame.select(time).with_columns(pl.Series(target, values[:, d]) for d, target in enumerate(targets))
    begin = frame[time].to_numpy()[0]
    empty = np.zeros((len(values), 0))
    return Protocol(
        name=name,
        title=title,
        split=split.format(windows=test - horizon + 1),
        table=scaled,
        learnable=scaled.head(train + val),
        roles={"target": list(targets), "time": time},
        series=tuple(Series(target, begin, values[:, d], empty) for d, target in enumerate(targets)),
        freq=freq,
        horizon=horizon,
        season=season,
        test=test,
        settings={"val_size": val},
        training_alone=True,
        shown=shown,
        sparse=sparse,
    )
