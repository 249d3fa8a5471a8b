"""Many series on many workers: how much sooner, at what cost, and beside statsforecast's own distributed face.

Tables are Parquet files of hourly series, the model is an LSTM-64 that forecasts a day, and every call is a process of
its own (`spread.py`). All run on this machine: the cost of a network between machines is not in these numbers.

    python benchmarks/cluster.py                        all measures that can be run; results in results/cluster.json
    python benchmarks/cluster.py speed start            some of them
    python benchmarks/cluster.py --quick                small, to see that everything works; nothing is recorded
    python benchmarks/cluster.py --note "machine busy"  what is to be known of a run, recorded beside its numbers
    python benchmarks/cluster.py --markdown             the tables of what was recorded

It needs Ray beside statecast. The peer has an environment of its own, whose Python is named by --peers-python:

    python -m venv peers && peers/bin/pip install -r benchmarks/requirements-cluster.txt
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from record import Record, machine

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "cluster.json"
PACKAGES = ("statecast", "numpy", "pyarrow", "ray")
HORIZON, WINDOWS, SEASON = 24, 5, 24
PEERS = ("SeasonalNaive", "SeasonalExponentialSmoothingOptimized", "Theta")
Numbers = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a run works.

    Attributes:
        folder: of its own.
        model: the file of the model.
        quick: whether everything is small.
        peers_python: of the peer's environment; None where there is none.
    """

    folder: Path
    model: Path
    quick: bool
    peers_python: str | None

    def tables(self, series: int, hours: int) -> Path:
        """A folder of Parquet files of hourly series, some 500 in each; made once."""
        folder = self.folder / f"tables-{series}-{hours}"
        if not folder.exists():
            folder.mkdir()
            for begin in range(0, series, 500):
                write_series(folder / f"part-{begin:07}.parquet", range(begin, min(begin + 500, series)), hours)
        return folder

    def spread(self, call: str, tables: Path, engine: str, workers: int = 1, **options: int) -> Numbers:
        """What a call took, in a process of its own; see `spread.py`."""
        out = Path(tempfile.mkdtemp(dir=self.folder))
        words = ["--engine", engine, "--workers", str(workers)]
        words += [word for name, value in options.items() for word in (f"--{name}", str(value))]
        begin = time.perf_counter()
        numbers = output(
            [sys.executable, str(HERE / "spread.py"), call, str(self.model), str(tables), str(out), *words]
        )
        shutil.rmtree(out)
        return {**numbers, "whole_s": time.perf_counter() - begin}


def output(call: list[str]) -> Numbers:
    """What a program prints as its last line, a JSON document."""
    done = subprocess.run(call, capture_output=True, text=True, env=os.environ | {"RAY_DISABLE_IMPORT_WARNING": "1"})
    if done.returncode:
        sys.exit(f"{' '.join(call[1:3])}: {done.stderr[-3000:]}")
    numbers: Numbers = json.loads(done.stdout.splitlines()[-1])
    return numbers


def write_series(path: Path, numbers: range, hours: int) -> None:
    """A file of hourly series with a season of a day, each with noise of its own."""
    import pyarrow as pa
    import pyarrow.parquet

    rng, t = np.random.default_rng(numbers.start), np.arange(hours)
    phase = rng.random((len(numbers), 1)) * 2 * np.pi
    y = 10 + np.sin(2 * np.pi * t / SEASON + phase) + rng.normal(0, 0.1, (len(numbers), hours))
    times = np.datetime64("2024-01-01T00", "us") + t * np.timedelta64(1, "h")
    names = np.repeat([f"series-{n:08}" for n in numbers], hours)
    columns = {"unique_id": pa.array(names, pa.string()), "ds": np.tile(times, len(numbers)), "y": y.ravel()}
    pyarrow.parquet.write_table(pa.table(columns), path)


def write_model(path: Path) -> Path:
    """An LSTM-64 that forecasts a day, fitted in passing: the cost does not depend on its weights."""
    import polars as pl

    import statecast as sc

    t = np.arange(2_000)
    y = 10 + np.sin(2 * np.pi * t / SEASON) + np.random.default_rng(0).normal(0, 0.1, len(t))
    hours = np.datetime64("2000-01-01T00", "us") + t * np.timedelta64(1, "h")
    frame = pl.DataFrame({"unique_id": ["one"] * len(t), "ds": hours, "y": y})
    settings: dict[str, Any] = {"horizon": HORIZON, "cell": "lstm", "hidden": (64,), "threads": 1, "max_steps": 20}
    model = sc.Forecaster(random_state=0, **settings).fit(frame, target="y", id="unique_id", time="ds")
    return model.save(path)


# --- the measures


def speed(place: Place) -> dict[str, Numbers]:
    """Backtests of 5,000 series: one process of one thread, and workers of one thread each."""
    tables = place.tables(*((200, 200) if place.quick else (5_000, 1_000)))
    ways = {
        "one process": ("none", 1),
        "local, 1 worker": ("local", 1),
        "local, 2 workers": ("local", 2),
        "Ray, 1 worker": ("ray", 1),
        "Ray, 2 workers": ("ray", 2),
    }
    results: dict[str, Numbers] = {}
    for name, (engine, workers) in ways.items():
        numbers = place.spread("backtest", tables, engine, workers, times=1 if place.quick else 3)
        results[name] = numbers | {"median_s": median(numbers["seconds"]), "median_cpu_s": median(numbers["cpu_s"])}
    alone = results["one process"]
    for numbers in results.values():
        numbers["times_as_fast"] = alone["median_s"] / numbers["median_s"]
        numbers["overhead_percent"] = 100 * (numbers["median_s"] / alone["median_s"] - 1)
        numbers["cpu_overhead_percent"] = 100 * (numbers["median_cpu_s"] / alone["median_cpu_s"] - 1)
    return results


def start(place: Place) -> dict[str, Numbers]:
    """From nothing to the forecasts of ten series, and to the end: a new process, its imports, the workers, theirs."""
    tables = place.tables(10, 200)
    runs = 1 if place.quick else 3
    results = {}
    for name, engine in {"one process": "none", "local": "local", "Ray": "ray"}.items():
        calls = [place.spread("forecast", tables, engine, 2) for _ in range(runs)]
        results[name] = {key: median(call[key] for call in calls) for key in ("import_s", "start_s", "whole_s")}
        results[name]["forecasts_s"] = median(call["start_s"] + call["seconds"][0] for call in calls)
    return results


def memory(place: Place) -> dict[str, Numbers]:
    """The most memory that the driver holds while one and ten million rows are forecast, in many buckets."""
    results: dict[str, Numbers] = {}
    for engine in ("local", "ray"):
        sizes = (100, 1_000) if place.quick else (2_000, 20_000)
        few, many = (place.spread("forecast", place.tables(series, 500), engine, 2, buckets=400) for series in sizes)
        results[engine] = {
            "few_rows": sizes[0] * 500,
            "many_rows": sizes[1] * 500,
            "few_mb": few["peak_mb"],
            "many_mb": many["peak_mb"],
            "few_s": few["seconds"][0],
            "many_s": many["seconds"][0],
        }
        shutil.rmtree(place.tables(sizes[1], 500)) if engine == "ray" else None
    return results


def units(place: Place) -> dict[str, Numbers]:
    """What single things cost, from which the plan on paper of docs/cluster.md is added up."""
    return {"jobs": job_units(place), "rows": row_units(place), "Ray": ray_units(place)}


def job_units(place: Place) -> Numbers:
    """Microseconds of one thread: for a row of a table in each call, and for a series' share of a fit."""
    import pyarrow.dataset

    from statecast.cluster.jobs import Backtesting, Fitting, Forecasting, Scoring
    from statecast.cluster.work import in_one_thread
    from statecast.model import archive

    series, hours = (50, 200) if place.quick else (500, 500)
    rows = pyarrow.dataset.dataset(place.tables(series, hours), format="parquet").to_table()
    model = in_one_thread(archive.load(place.model))
    numbers: Numbers = {"series": series, "rows": len(rows), "state_bytes": model.layout.size * model.dtype.itemsize}
    jobs = {"forecast": Forecasting("unique_id", None, None), "backtest": Backtesting("unique_id", WINDOWS, None)}
    for name, job in {**jobs, "score": Scoring("unique_id")}.items():
        numbers[f"{name}_us_per_row"] = 1e6 * processor_time(lambda job=job: job.run(rows, None, model)) / len(rows)
    roles = {"target": "y", "id": "unique_id", "time": "ds"}
    group = rows.append_column("group", [["g"] * len(rows)])
    settings = {"horizon": HORIZON, "cell": "lstm", "hidden": (64,), "random_state": 0}
    settings |= {"max_steps": 10} if place.quick else {}
    out = Path(tempfile.mkdtemp(dir=place.folder))
    fitting = Fitting("group", out, settings, roles)
    numbers["fit_cpu_s"] = processor_time(lambda: fitting.run(group, None, None), 1)
    numbers["fit_ms_per_series"] = 1e3 * numbers["fit_cpu_s"] / series
    return numbers


def row_units(place: Place) -> Numbers:
    """Rates of one thread: Parquet read, put into buckets and written; and bytes a row."""
    import pyarrow.dataset
    import pyarrow.parquet

    from statecast.cluster.partition import Partition
    from statecast.cluster.sources import source_of
    from statecast.cluster.work import write

    series, hours = (100, 200) if place.quick else (2_000, 500)
    folder = place.tables(series, hours)
    source = source_of(folder, place.folder)
    columns = ("unique_id", "ds", "y")
    tables = [piece.read(columns) for piece in source.pieces]
    partition = Partition("unique_id", 64, columns)
    results = pyarrow.concat_tables(tables)
    target = place.folder / "written.parquet"
    seconds = {
        "read": processor_time(lambda: [piece.read(columns) for piece in source.pieces]),
        "cut": processor_time(lambda: [partition.parts(piece) for piece in source.pieces]),
        "write": processor_time(lambda: write(results, target)),
    }
    numbers: Numbers = {f"{name}_rows_per_s": source.rows / spent for name, spent in seconds.items()}
    size = sum(file.stat().st_size for file in folder.iterdir())
    return numbers | {"parquet_bytes_per_row": size / source.rows, "memory_bytes_per_row": results.nbytes / source.rows}


def ray_units(place: Place) -> Numbers:
    """Ray's own: a task that does nothing, and a table of some megabytes put into its store and taken out."""
    import pyarrow as pa
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        nothing: Any = ray.remote(lambda: None)
        ray.get([nothing.remote() for _ in range(100)])
        count = 200 if place.quick else 2_000
        begin = time.perf_counter()
        ray.get([nothing.remote() for _ in range(count)])
        task_us = 1e6 * (time.perf_counter() - begin) / count
        table = pa.table({"y": np.random.default_rng(0).normal(size=2_000_000)})
        begin = time.perf_counter()
        for _ in range(10):
            ray.get(ray.put(table))
        return {"task_us": task_us, "store_mb_per_s": 10 * table.nbytes / 1e6 / (time.perf_counter() - begin)}
    finally:
        ray.shutdown()


def processor_time(call: Callable[[], Any], times: int = 3) -> float:
    """Seconds of a processor that a call takes, the median of some."""
    seconds = []
    for _ in range(times):
        begin = time.process_time()
        call()
        seconds.append(time.process_time() - begin)
    return median(seconds)


def peers(place: Place) -> dict[str, Numbers]:
    """The same backtests, on the same table, by statsforecast over Ray."""
    if place.peers_python is None:
        print("peers are left out: name their Python by --peers-python", file=sys.stderr)
        return {}
    tables = place.tables(*((200, 200) if place.quick else (5_000, 1_000)))
    ours = place.spread("backtest", tables, "ray", 2)
    results: dict[str, Numbers] = {"statecast, Ray, 2 workers": ours | {"seconds": ours["seconds"][0]}}
    for model in PEERS:
        words = ["--workers", "2", "--windows", str(WINDOWS), "--horizon", str(HORIZON), "--season", str(SEASON)]
        call = [place.peers_python, str(HERE / "cluster_peer.py"), str(tables), model, *words]
        results[f"statsforecast {model}, Ray, 2 workers"] = output(call)
    return results


MEASURES: dict[str, Callable[[Place], dict[str, Numbers]]] = {
    "speed": speed,
    "start": start,
    "memory": memory,
    "units": units,
    "peers": peers,
}

# What the first table shows: a measure, who, its number, what to call it, and what was promised.
SHOWN = (
    ("speed", "one process", "median_s", "backtests of 5,000 series by one process with one thread, s", ""),
    (
        "speed",
        "local, 1 worker",
        "overhead_percent",
        '… by `engine="local"` with one worker, its start included: more time, %',
        "≤ 10",
    ),
    ("speed", "local, 2 workers", "times_as_fast", '… by `engine="local"` with two: times as fast', ""),
    ("speed", "Ray, 2 workers", "times_as_fast", "… by two Ray workers: times as fast", "≥ 1.6"),
    ("start", "Ray", "forecasts_s", "from nothing to the forecasts of ten series: Ray, s", "≤ 6"),
    ("start", "Ray", "whole_s", "… and until Ray has ended, s", ""),
    ("start", "local", "forecasts_s", 'from nothing to them by `engine="local"`, s', ""),
    ("memory", "local", "few_mb", "the driver's memory at a million rows: `local`, MB", ""),
    ("memory", "local", "many_mb", "… at ten million", "as much"),
    ("memory", "ray", "few_mb", "… at a million: Ray, MB", ""),
    ("memory", "ray", "many_mb", "… at ten million", "as much"),
)
UNITS = (
    ("jobs", "forecast_us_per_row", "a row of history that is forecast from, µs"),
    ("jobs", "backtest_us_per_row", "a row of a table that is backtested from five origins, µs"),
    ("jobs", "score_us_per_row", "a row of a table that is scored from every origin, µs"),
    ("jobs", "fit_ms_per_series", "a series of 500 rows in a fit with the defaults, ms"),
    ("jobs", "state_bytes", "the state of a series, bytes"),
    ("rows", "read_rows_per_s", "rows of Parquet read, a second"),
    ("rows", "cut_rows_per_s", "… read and put into buckets"),
    ("rows", "write_rows_per_s", "… written"),
    ("rows", "parquet_bytes_per_row", "bytes a row in Parquet"),
    ("rows", "memory_bytes_per_row", "… in memory"),
    ("Ray", "task_us", "a task of Ray that does nothing, µs"),
    ("Ray", "store_mb_per_s", "Ray's store, in and out, MB a second"),
)


def markdown(record: Record) -> str:
    """What was recorded, as tables."""

    def value(measure: str, who: str, key: str) -> Any:
        return record.tables.get(measure, {}).get("results", {}).get(who, {}).get(key)

    lines = ["| what | measured | promised |", "|---|--:|--:|"]
    lines += [f"| {name} | {shown(value(m, who, key))} | {promise} |" for m, who, key, name, promise in SHOWN]
    lines += ["", "| what, of one thread | measured |", "|---|--:|"]
    lines += [f"| {name} | {shown(value('units', who, key))} |" for who, key, name in UNITS]
    lines += ["", "| backtests of 5,000 series from five origins | seconds |", "|---|--:|"]
    rows = record.tables.get("peers", {}).get("results", {})
    lines += [f"| {name} | {shown(numbers['seconds'])} |" for name, numbers in rows.items()]
    notes = dict.fromkeys(f"{name}: {entry['note']}" for name, entry in record.tables.items() if entry.get("note"))
    return "\n".join([*lines, "", *notes])


def shown(value: float | None) -> str:
    return "–" if value is None else f"{value:,.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"of {', '.join(MEASURES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="small and short; nothing is recorded")
    parser.add_argument("--markdown", action="store_true", help="print what was recorded")
    parser.add_argument("--note", default="", help="what is to be known of this run")
    parser.add_argument("--peers-python", help="the Python of an environment with requirements-cluster.txt")
    options = parser.parse_args()
    record = Record.read(RESULTS)
    if options.markdown:
        print(markdown(record))
        return
    names = options.measures or list(MEASURES)
    if unknown := set(names) - set(MEASURES):
        parser.error(f"no measure {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    if find_spec("ray") is None:
        parser.error("Ray is missing: pip install 'statecast[ray]'")
    with tempfile.TemporaryDirectory(prefix="statecast-cluster-") as folder:
        place = Place(Path(folder), write_model(Path(folder, "model")), options.quick, options.peers_python)
        for name in names:
            results = MEASURES[name](place)
            for who, numbers in results.items():
                print(f"{name:8} {who:40}", json.dumps(numbers), flush=True)
            if results and not options.quick:
                record = record.with_(name, {"results": results, "note": options.note}, machine(PACKAGES))
                record.write(RESULTS)


if __name__ == "__main__":
    main()
