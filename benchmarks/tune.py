"""What tuning gains on later rows: studies of 20 trials beside the automatic choice, by table and seed.

Each table is cut at its last rows, which neither the trials nor the choice among them see; the fit of the automatic
choice and that of the best trial are then scored there. A study is kept in a folder and gone on with, so that a run may
be as short as you like, and what is known is written after each run.

    python benchmarks/tune.py                               all tables and seeds, to the end
    python benchmarks/tune.py --minutes 3 --table sunspots  three minutes of one table
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import Record, machine

import statecast as sc

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
RESULTS = HERE / "results" / "tune.json"
TRIALS, SEEDS = 20, 3
SERIES = 30  # of the panel


def column(path: Path, name: str, last: int) -> np.ndarray:
    """The last values of a column of a CSV file."""
    with path.open(encoding="utf-8") as file:
        return np.array([float(row[name]) for row in csv.DictReader(file)])[-last:]


def sunspots() -> tuple[Any, dict[str, Any]]:
    """Fifty years of monthly sunspot numbers."""
    return column(DATA / "classic" / "R_datasets_sunspot.month.csv", "value", 600), {"horizon": 12, "season": 1}


def demand() -> tuple[Any, dict[str, Any]]:
    """Half-hourly electricity demand over four weeks."""
    return column(DATA / "classic" / "R_forecast_taylor.csv", "x", 1344), {"horizon": 24, "season": 48}


def business() -> tuple[Any, dict[str, Any]]:
    """Monthly series of the M1 competition, the first ones of at least 72 months."""
    ids, months, values = [], [], []
    with (DATA / "m1" / "M1_monthly_train.csv").open(encoding="utf-8") as file:
        rows = [(row.pop("id"), [float(v) for v in row.values() if v]) for row in csv.DictReader(file)]
    for name, series in [row for row in rows if len(row[1]) >= 72][:SERIES]:
        ids += [name] * len(series)
        months += range(len(series))
        values += series
    return {"id": ids, "month": months, "y": values}, {
        "horizon": 12,
        "season": 12,
        "target": "y",
        "id": "id",
        "time": "month",
    }


TABLES: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "sunspots": sunspots,
    "demand": demand,
    "business": business,
}


def measured(name: str, seed: int, folder: Path, minutes: float | None) -> dict[str, Any]:
    """A study, begun or gone on with, and what came of it so far."""
    source, options = TABLES[name]()
    out, clock = folder / f"{name}-{seed}", time.process_time()
    begun = (out / "study.sqlite3").exists()
    tuning = sc.tune(source, **options, random_state=seed, trials=TRIALS, minutes=minutes, out=out, resume=begun)
    verdict, metric = tuning.verdict, tuning.automatic["metric"]
    before = tuning.automatic["statecast"][metric]
    after = tuning.tuned["statecast"][metric] if tuning.tuned else before
    return {
        "trials": len(tuning.records),
        **verdict.counts,
        "best": verdict.best,
        "settings": {key: str(value) for key, value in verdict.settings.items()},
        "apparent": verdict.apparent,
        "gain": verdict.gain,
        "chance": verdict.chance,
        "taken": verdict.taken,
        "metric": metric,
        "automatic": before,
        "tuned": after,
        "seconds": sum(record.seconds for record in tuning.records),
        "cpu": time.process_time() - clock,
        "says": str(tuning),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", choices=[*TABLES])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--minutes", type=float, help="of each study in this run; to its end if left out")
    parser.add_argument("--folder", type=Path, default=Path("tuning"), help="where studies are kept")
    arguments = parser.parse_args()
    for name in [arguments.table] if arguments.table else TABLES:
        for seed in range(SEEDS) if arguments.seed is None else [arguments.seed]:
            entry = measured(name, seed, arguments.folder, arguments.minutes)
            print(name, seed, entry["says"])
            Record.read(RESULTS).with_(f"{name}, seed {seed}", entry, machine()).write(RESULTS)


if __name__ == "__main__":
    main()
