"""Electricity demand: twelve zones of PJM with gaps, and Victoria with the temperature known ahead.

One forecast of a day a day, over the last year of each series. Everything before may be used; which rows of it
validate is the library's own choice.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from protocols.protocol import Protocol, Series

YEAR = 365


def pjm(data: Path) -> Protocol:
    """Hourly load of twelve zones, each with its own first and last day.

    The rows are as unsorted as they came. Four hours stand in the table twice, where clocks go back: their mean counts.
    """
    zones = pl.read_csv(data / "energy" / "pjm_est_hourly.csv", infer_schema=False)
    zones = zones.with_columns(pl.col("Datetime").str.to_datetime(), pl.exclude("Datetime").cast(pl.Float64))
    return hourly_zones(zones, "Datetime", test=24 * YEAR, horizon=24)


def hourly_zones(zones: pl.DataFrame, time: str, test: int, horizon: int) -> Protocol:
    """A wide table of hours as a long one: a zone's rows are those that have a value."""
    long = zones.unpivot(index=time, variable_name="zone", value_name="load").drop_nulls()
    long = long.group_by("zone", time, maintain_order=True).agg(pl.col("load").mean())
    names = [column for column in zones.columns if column != time]
    series = tuple(_zone(name, long.filter(pl.col("zone") == name), time) for name in names)
    last, each = pl.col(time).max().over("zone"), (test - horizon) // horizon + 1
    return Protocol(
        name="pjm",
        title=f"PJM hourly load, {len(names)} zones, {horizon} hours ahead",
        split=f"last {test:,} hours of each zone: a forecast every {horizon} hours, {each} each",
        table=long,
        learnable=long.filter(pl.col(time) <= last - pl.duration(hours=test)),
        roles={"target": "load", "id": "zone", "time": time},
        series=series,
        freq="h",
        horizon=horizon,
        season=24,
        test=test,
        step=horizon,
        sparse=6,
    )


def _zone(name: str, rows: pl.DataFrame, time: str) -> Series:
    hours = rows[time].to_numpy().astype("datetime64[h]").astype(np.int64)
    y = np.full(hours.max() - hours.min() + 1, np.nan)
    y[hours - hours.min()] = rows["load"].to_numpy()
    return Series(name, np.datetime64(int(hours.min()), "h"), y, np.zeros((len(y), 0)))


def victoria(data: Path) -> Protocol:
    """Half-hourly demand in local time; the temperature of the hours to forecast is known."""
    frame = pl.read_csv(data / "classic" / "R_tsibbledata_vic_elec.csv", try_parse_dates=True)
    table = frame.select(pl.col("Time").dt.convert_time_zone("Australia/Melbourne"), "Demand", "Temperature")
    y, known = table["Demand"].to_numpy(), table["Temperature"].to_numpy()[:, None]
    test = 48 * YEAR
    return Protocol(
        name="victoria",
        title="Victoria's demand, temperature known ahead, 48 half-hours ahead",
        split=f"2012 to 2014; the last {test:,} half-hours: a forecast every 48, {YEAR} in all",
        table=table,
        learnable=table.head(len(y) - test),
        roles={"target": "Demand", "time": "Time", "known": "Temperature"},
        series=(Series("Demand", frame["Time"].dt.replace_time_zone(None).to_numpy()[0], y, known),),
        freq="30min",
        horizon=48,
        season=48,
        test=test,
        step=48,
    )
