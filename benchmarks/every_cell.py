"""Every cell on the same two tables with the same settings: validation error and seconds.

ETTh1 (its first 12 months for training, the next 4 for validation, 96 steps ahead, seven channels through one network)
and the bundled PM2.5 table (its first 30,000 hours, 24 steps ahead, seven covariates). Test rows are cut off before
anything is read. The error is the loss on validation rows at the best step: absolute, in training deviations.

    python benchmarks/every_cell.py ../shared/data/ett/ETTh1.csv
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import polars as pl

import statecast as sc
from statecast.data import examples
from statecast.model.cells import CELLS

TRAIN, VALIDATION = 12 * 30 * 24, 4 * 30 * 24  # rows of ETTh1, as everyone splits it
COMMON: dict[str, Any] = {"hidden": (64,), "max_steps": 150, "eval_every": 25, "patience": 0, "test_size": 0}


def etth1(path: str) -> Callable[[str], sc.Forecaster]:
    """A fit on ETTh1 by the name of the cell."""
    frame = pl.read_csv(path, try_parse_dates=True).head(TRAIN + VALIDATION)
    targets = [name for name in frame.columns if name != "date"]
    settings = COMMON | {"horizon": 96, "val_size": VALIDATION}
    return lambda cell: sc.Forecaster(cell=cell, **settings).fit(frame, targets, time="date")


def pm25() -> Callable[[str], sc.Forecaster]:
    """A fit on the bundled table of air quality by the name of the cell."""
    frame = examples.load("beijing_pm25").head(30_000)
    past = [name for name in frame.columns if name not in ("time", "pm25")]
    settings = COMMON | {"horizon": 24}
    return lambda cell: sc.Forecaster(cell=cell, **settings).fit(frame, "pm25", time="time", past=past)


def main(path: str) -> None:
    """Print one line of a Markdown table for each cell."""
    tables = {"ETTh1-96": etth1(path), "PM2.5-24": pm25()}
    print("| cell |" + "".join(f" {name} | best step | seconds |" for name in tables))
    print("|---|" + "---:|---:|---:|" * len(tables))
    for cell in CELLS:
        line = f"| `{cell}` |"
        for fit in tables.values():
            begin = time.perf_counter()
            history = fit(cell).model_.history
            seconds = time.perf_counter() - begin
            looks = [(loss, step) for loss, step in zip(history["val_loss"], history["step"], strict=True)]
            loss, step = min(look for look in looks if look[0] == look[0])
            line += f" {loss:.4f} | {step:.0f} | {seconds:.0f} |"
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
