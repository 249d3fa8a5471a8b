"""One call over many series in a process of its own, and what it took; `cluster.py` runs it.

    python benchmarks/spread.py backtest MODEL TABLES OUT --engine ray --workers 2

With `--engine none` the call is that of a `Forecaster`, in this process and one thread. It prints one JSON document:
seconds until the package was imported and, for Ray, its cluster up; of each call; what it was all in all, in seconds of
processors; and the most memory that this process, which drives the others, has held.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

BEGIN = time.perf_counter()
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "ARROW_NUM_THREADS")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("call", choices=("forecast", "backtest", "score"))
    parser.add_argument("model")
    parser.add_argument("tables")
    parser.add_argument("out", type=Path)
    parser.add_argument("--engine", choices=("none", "local", "ray"), default="none")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--buckets", type=int)
    parser.add_argument("--times", type=int, default=1, help="calls, one after another")
    return parser.parse_args()


def alone(options: argparse.Namespace, out: Path) -> int:
    """What a script without workers does: read the files, call, write a file; its number of rows."""
    import pyarrow.dataset
    import pyarrow.parquet

    import statecast as sc

    rows = pyarrow.dataset.dataset(options.tables, format="parquet").to_table(use_threads=False)
    model = sc.Forecaster.load(options.model)
    result = model.backtest(rows, windows=5) if options.call == "backtest" else model.predict(rows)
    out.mkdir()
    pyarrow.parquet.write_table(result, out / "result.parquet", compression="zstd")
    return len(result)


def spread(options: argparse.Namespace, out: Path) -> int:
    """The same by workers."""
    from statecast import cluster

    how = {"engine": options.engine, "workers": options.workers, "buckets": options.buckets}
    how |= {"windows": 5} if options.call == "backtest" else {}
    return int(getattr(cluster, options.call)(options.model, options.tables, out=out, **how).rows)


def connect(engine: str, workers: int) -> None:
    """Have the engine's own processes, as far as they outlive a call."""
    if engine == "ray":
        from statecast.cluster.ray import RayEngine

        RayEngine(workers)


def processor_seconds() -> float:
    """Of this process and all that descend from it, those that have ended included."""
    parents, seconds = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:  # it ended meanwhile
                continue
            parents[int(entry.name)], seconds[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    ours, more = {os.getpid()}, {os.getpid()}
    while more:
        more = {process for process, parent in parents.items() if parent in more} - ours
        ours |= more
    return sum(seconds[process] for process in ours) / os.sysconf("SC_CLK_TCK")


def peak_mb() -> float:
    """The most memory that this process has held, in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    options = arguments()
    if options.engine == "none":
        os.environ |= dict.fromkeys(ONE_THREAD, "1")
    import statecast.cluster  # noqa: F401  (its time is measured)

    import_s = time.perf_counter() - BEGIN
    connect(options.engine, options.workers)
    start_s = time.perf_counter() - BEGIN
    seconds, processors, rows = [], [], 0
    for n in range(options.times):
        begin, before = time.perf_counter(), processor_seconds()
        rows = (alone if options.engine == "none" else spread)(options, options.out / f"out-{n}")
        seconds.append(time.perf_counter() - begin)
        processors.append(processor_seconds() - before)
    numbers = {"import_s": import_s, "start_s": start_s, "seconds": seconds, "cpu_s": processors, "rows": rows}
    print(json.dumps({**numbers, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
