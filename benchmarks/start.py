"""How fast statecast starts, how fast a stream steps, and what a fit costs in time and memory.

Every measure runs in processes of its own, several times over, since imports, caches and peak memory outlive whatever
came before in the same process. A measure is a function below: it is given a folder that all runs of it share, prepares
there once (`prepare_…`, not measured), and returns numbers; the parent takes the median of each.

    python benchmarks/start.py                      all of them
    python benchmarks/start.py observe memory       some of them
    python benchmarks/start.py --quick              small sizes and one run, to see that everything works
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import machine

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "start.json"
ETT = HERE.parents[1] / "shared" / "data" / "ett" / "ETTh1.csv"
TARGETS = "HUFL,HULL,MUFL,MULL,LUFL,LULL,OT"
LOADS = "import statecast as sc; sc.Forecaster.load({model!r}).predict()"
OBSERVES = "import statecast as sc; print(sc.Stream.load({model!r}).observe('one', 1.0).values[0])"
REPORTS_JAX = "; import sys; sys.stderr.write(str('jax' in sys.modules))"

Numbers = dict[str, float]
Measure = Callable[[Path, bool], Numbers]


def series(rows: int, seed: int = 0) -> np.ndarray:
    """A daily and a weekly wave with noise [rows]."""
    t = np.arange(rows)
    return (
        10 + np.sin(2 * np.pi * t / 24) + np.sin(2 * np.pi * t / 168) + np.random.default_rng(seed).normal(0, 0.1, rows)
    )


def long_frame(rows: int) -> Any:
    """One series, named `one`, hourly."""
    import polars as pl

    hours = np.datetime64("2000-01-01T00", "us") + np.arange(rows) * np.timedelta64(1, "h")
    return pl.DataFrame({"unique_id": ["one"] * rows, "ds": hours, "y": series(rows)})


def peak_mb() -> float:
    """The most memory this process ever held; macOS counts in bytes, Linux in kB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def seconds(command: list[str]) -> tuple[float, str]:
    """The wall time of a whole process, and what it wrote on standard error."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    took = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)[:200]}\nended with {done.returncode}:\n{done.stderr[-4000:]}")
    return took, done.stderr


def command(*arguments: str) -> list[str]:
    """The `statecast` of the environment that runs this."""
    return [str(Path(sys.executable).parent / "statecast"), *arguments]


# --- the measures


def imports(folder: Path, quick: bool) -> Numbers:
    """`import statecast`: seconds, and how many modules and heavy libraries it brings."""
    heavy = {"jax", "optax", "polars", "pandas", "pyarrow", "matplotlib", "sklearn", "scipy", "rich"}
    code = (
        "import sys, time, json; before = set(sys.modules); start = time.perf_counter(); import statecast; "
        "took = time.perf_counter() - start; new = set(sys.modules) - before; "
        f"heavy = {heavy!r} & new; sys.stderr.write(json.dumps([took, len(new), len(heavy)]))"
    )
    bare, _ = seconds([sys.executable, "-c", "pass"])
    whole, output = seconds([sys.executable, "-c", code])
    took, new, loaded = json.loads(output)
    return {"import_s": took, "process_s": whole, "bare_python_s": bare, "modules": new, "heavy_libraries": loaded}


def prepare_forecast(folder: Path, quick: bool) -> None:
    import statecast as sc

    model = sc.Forecaster(horizon=24, cell="lstm", hidden=(64,), max_steps=20, random_state=0)
    model.fit(long_frame(2_000), target="y", id="unique_id", time="ds").save(folder / "model")


def forecast(folder: Path, quick: bool) -> Numbers:
    """A new process that loads a saved LSTM-64 and forecasts 24 steps, whole; the same for one step of a stream."""
    model = str(folder / "model")
    predict, jax = seconds([sys.executable, "-c", LOADS.format(model=model) + REPORTS_JAX])
    stream, jax_too = seconds([sys.executable, "-c", OBSERVES.format(model=model) + REPORTS_JAX])
    return {"predict_s": predict, "stream_s": stream, "imported_jax": float("True" in jax + jax_too)}


prepare_observe = prepare_forecast


def observe(folder: Path, quick: bool) -> Numbers:
    """One `observe` of an LSTM-64, and how much memory grows while a stream runs."""
    import statecast as sc

    stream = sc.Stream.load(folder / "model")
    values = series(2_200 if quick else 22_000, seed=1).tolist()
    took = np.full(len(values), np.nan)  # filled beforehand, so that the clock's own memory does not count as growth
    for at, value in enumerate(values):
        start = time.perf_counter()
        stream.observe("one", value)
        took[at] = time.perf_counter() - start
        if at == 1_000:
            early = peak_mb()
    settled = took[1_000:] * 1e6
    median, slow = np.quantile(settled, [0.5, 0.99])
    return {"median_us": float(median), "p99_us": float(slow), "growth_mb": peak_mb() - early, "peak_mb": peak_mb()}


def etth1_table(folder: Path) -> Path:
    """ETTh1, or seven waves of its size where it is not at hand."""
    if ETT.exists():
        return ETT
    import polars as pl

    waves = {name: series(17_420, seed) for seed, name in enumerate(TARGETS.split(","))}
    dates = np.datetime64("2016-07-01T00", "us") + np.arange(17_420) * np.timedelta64(1, "h")
    pl.DataFrame({"date": dates, **waves}).write_csv(folder / "waves.csv")
    return folder / "waves.csv"


def etth1(folder: Path, quick: bool) -> Numbers:
    """`statecast fit` of ETTh1's seven targets, horizon 24, default settings: seconds from call to exit."""
    table, out = etth1_table(folder), folder / "out"
    limit = ["--set", "max_steps=20"] if quick else []
    targets = ["--target", TARGETS, "--time", "date", "--horizon", "24"]
    took, _ = seconds(command("fit", str(table), *targets, *limit, "--out", str(out), "--force"))
    return {"fit_s": took, "real_table": float(table == ETT)}


def memory(folder: Path, quick: bool) -> Numbers:
    """The most memory that a fit on a long series with 336 lags holds, imports and all."""
    import statecast as sc

    y = series(100_000 if quick else 2_000_000)
    start = time.perf_counter()
    sc.Forecaster(horizon=24, lags=336, max_steps=100, random_state=0).fit(y)
    return {"peak_mb": peak_mb(), "rows": len(y), "fit_s": time.perf_counter() - start}


def epochs(folder: Path, quick: bool) -> Numbers:
    """Seconds an epoch on n and on 2n rows: the difference of a longer and a shorter fit, which cancels compiling."""
    import statecast as sc

    def fit(rows: int, count: int) -> float:
        model = sc.Forecaster(horizon=24, cell="lstm", hidden=(64,), max_epochs=count, patience=1_000, random_state=0)
        start = time.perf_counter()
        model.fit(series(rows))
        return time.perf_counter() - start

    rows, few, many = (5_000, 1, 3) if quick else (100_000, 1, 4)
    per_epoch = [(fit(n, many) - fit(n, few)) / (many - few) for n in (rows, 2 * rows)]
    return {"rows": rows, "epoch_s": per_epoch[0], "epoch_twice_s": per_epoch[1], "ratio": per_epoch[1] / per_epoch[0]}


# Each measure with the number of its runs; the long ones run fewer times.
MEASURES: dict[str, tuple[Measure, int]] = {
    "imports": (imports, 11),
    "forecast": (forecast, 7),
    "observe": (observe, 5),
    "etth1": (etth1, 1),
    "memory": (memory, 1),
    "epochs": (epochs, 3),
}
PREPARES: dict[str, Callable[[Path, bool], None]] = {"forecast": prepare_forecast, "observe": prepare_observe}


# --- running them


def child(name: str, role: str, folder: Path, quick: bool) -> Numbers:
    """One run of a measure, or its preparation, in a process of its own."""
    flags = ["--quick"] if quick else []
    call = [sys.executable, __file__, name, "--role", role, "--folder", str(folder), *flags]
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{name}: {role} ended with {done.returncode}")
    numbers: Numbers = json.loads(done.stdout.splitlines()[-1])
    return numbers


def run(name: str, quick: bool) -> dict[str, Any]:
    """All runs of a measure, and the median of each number."""
    count = 1 if quick else MEASURES[name][1]
    with tempfile.TemporaryDirectory(prefix="statecast-benchmark-") as name_of_folder:
        folder = Path(name_of_folder)
        if name in PREPARES:
            child(name, "prepare", folder, quick)
        runs = [child(name, "measure", folder, quick) for _ in range(count)]
    return {"median": {key: statistics.median(r[key] for r in runs) for key in runs[0]}, "runs": runs}


def write(results: dict[str, Any], path: Path) -> None:
    """Adds to the results of earlier runs, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text()) if path.exists() else {}
    kept = before.get("measures", {}) if before.get("machine", {}).get("cpu") == results["machine"]["cpu"] else {}
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({**results, "measures": kept | results["measures"]}, indent=1) + "\n")
    os.replace(temporary, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"of {', '.join(MEASURES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="small sizes and one run; nothing is recorded")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file that the results go to")
    parser.add_argument("--role", choices=("prepare", "measure"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.measures or list(MEASURES)
    if unknown := set(names) - set(MEASURES):
        parser.error(f"no measure {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    if options.role:
        job = PREPARES if options.role == "prepare" else {name: measure for name, (measure, _) in MEASURES.items()}
        print(json.dumps(job[names[0]](options.folder, options.quick) or {}))
        return
    results: dict[str, Any] = {"machine": machine(), "measures": {}}
    for name in names:
        results["measures"][name] = run(name, options.quick)
        print(
            f"{name:10}", "  ".join(f"{k} {v:.4g}" for k, v in results["measures"][name]["median"].items()), flush=True
        )
    if not options.quick:
        write(results, options.out)
        print(f"written to {options.out}")


if __name__ == "__main__":
    main()
