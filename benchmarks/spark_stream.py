"""How many observations a second a core a stream on Spark takes, at many series, and where the time goes.

A query reads files with one row of every series each, one file a micro-batch, steps them and throws the forecasts away.
Time is that of processors, of Spark's Java and of its Python workers together, so that one second of it is a second of
one core whatever else the machine does; the first micro-batches, in which Java compiles and states are set up, do not
count. What the steps alone take is measured in this process, on the same buckets.

    python benchmarks/spark_stream.py                  results in results/spark_stream.json
    python benchmarks/spark_stream.py --series 20000 --batches 3
    python benchmarks/spark_stream.py --frame --series 4000      forecasts of a Spark DataFrame of 500 rows a series
    python benchmarks/spark_stream.py --markdown       the table of what was recorded
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from record import Record, machine

import statecast as sc
from statecast.model import archive
from statecast.model.state import State
from statecast.model.trained import Model

RESULTS = Path(__file__).resolve().parent / "results" / "spark_stream.json"
PACKAGES = ("statecast", "numpy", "pyspark", "pyarrow", "pandas")
WARM = 8  # micro-batches that do not count
FRAME = "a DataFrame"
HOUR = np.timedelta64(1, "h")


def model(series: int) -> Model:
    """An LSTM-32 that forecasts 24 hours, fitted in passing, which remembers so many series."""
    import polars as pl

    t = np.arange(500)
    y = 10 + np.sin(2 * np.pi * t / 24) + np.random.default_rng(0).normal(0, 0.1, len(t))
    hours = np.datetime64("2024-01-01T00", "us") + t * HOUR
    frame = pl.DataFrame({"unique_id": ["one"] * len(t), "ds": hours, "y": y})
    forecaster = sc.Forecaster(horizon=24, cell="lstm", hidden=(32,), max_steps=5, random_state=0)
    fitted: Model = forecaster.fit(frame, target="y", id="unique_id", time="ds").model_
    names = tuple(f"series-{n:06}" for n in range(series))
    state = State(fitted.layout, fitted.state.data.repeat(series, 0), names, fitted.state.time.repeat(series))
    return replace(fitted, state=state)


def write_rows(trained: Model, folder: Path, batches: int) -> None:
    """Files with one row of every series each, the next hours of all."""
    import pyarrow as pa
    import pyarrow.parquet

    state, rng = trained.state, np.random.default_rng(1)
    last = np.datetime64(int(state.time[0]), "us")
    for k in range(batches):
        times = np.full(len(state.ids), last + (k + 1) * HOUR)
        values = rng.normal(10, 1, len(state.ids))
        table = pa.table({"unique_id": state.ids, "ds": times, "y": values})
        path = folder / f"{k:03}.parquet"
        pyarrow.parquet.write_table(table, path)
        os.utime(path, (1e9 + k, 1e9 + k))


def session(cores: int) -> Any:
    """A Spark session of this machine."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(f"local[{cores}]")
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "3g",
        # A bucket's states are a value of a megabyte or two, which G1 puts apart in a heap of such small regions.
        "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
        "spark.sql.shuffle.partitions": str(2 * cores),
        "spark.sql.streaming.stateStore.providerClass": (
            "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
        ),
        "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    }.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def processor_seconds() -> dict[str, float]:
    """What the processors have worked for the processes below this one so far, by the program's name."""
    parents, spent = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:  # it has just ended
                continue
            name, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
            parents[int(entry.name)] = int(fields[1])
            spent[int(entry.name)] = name, sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    result: dict[str, float] = {}
    for number, (name, seconds) in spent.items():
        above = number
        while above in parents and above != os.getpid():
            above = parents[above]
        if above == os.getpid() and number != above:
            kind = "java" if name == "java" else "python"
            result[kind] = result.get(kind, 0.0) + seconds
    return result


def streamed(series: int, batches: int, cores: int, horizon: int | None, buckets: int | None) -> dict[str, Any]:
    """The query, measured from its third micro-batch on."""
    from statecast.cluster.spark import stream

    trained = model(series)
    spark = session(cores)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        rows.mkdir()
        write_rows(trained, rows, WARM + batches)
        source = spark.readStream.schema("unique_id string, ds timestamp_ntz, y double")
        source = source.option("maxFilesPerTrigger", 1).parquet(str(rows))
        forecasts = stream(
            archive.save(trained, Path(folder) / "model.safetensors"), source, horizon=horizon, buckets=buckets
        )
        writer = forecasts.writeStream.format("noop").option("checkpointLocation", f"{folder}/checkpoint")
        query = writer.trigger(availableNow=True).start()
        marks: dict[int, tuple[float, dict[str, float]]] = {}
        while query.isActive:
            done = (query.lastProgress or {"batchId": -1})["batchId"]
            marks.setdefault(done, (time.perf_counter(), processor_seconds()))
            time.sleep(0.02)
        query.awaitTermination()
        progress = [part for part in query.recentProgress if part["numInputRows"]]
        marks.setdefault(progress[-1]["batchId"], (time.perf_counter(), processor_seconds()))
    first, last = marks[min(k for k in marks if k >= WARM - 1)], marks[max(marks)]
    counted = max(marks) - min(k for k in marks if k >= WARM - 1)
    spent = {kind: last[1][kind] - first[1].get(kind, 0.0) for kind in last[1]}
    observations = series * counted
    operator = progress[-1]["stateOperators"][0]
    spark.stop()
    return {
        "series": series,
        "observations": observations,
        "cores": cores,
        "horizon": horizon or trained.network.head.horizon,
        "wall_s": last[0] - first[0],
        "java_s": spent.get("java", 0.0),
        "python_s": spent.get("python", 0.0),
        "per_core": observations / sum(spent.values()),
        "state_bytes": trained.layout.size * trained.dtype.itemsize,
        "state": {key: operator[key] for key in ("allUpdatesTimeMs", "commitTimeMs", "memoryUsedBytes")},
    }


def framed(series: int, hours: int, cores: int, runs: int = 3) -> dict[str, Any]:
    """Forecasts of a Spark DataFrame that is read from Parquet; the last of several runs counts, Java being warm."""
    import pyarrow as pa
    import pyarrow.parquet

    trained, spark = model(1), session(cores)
    rng, times = np.random.default_rng(1), np.datetime64("2024-01-01T00", "us") + np.arange(hours) * HOUR
    with tempfile.TemporaryDirectory() as folder:
        for begin in range(0, series, 500):
            names = np.repeat([f"series-{n:06}" for n in range(begin, min(begin + 500, series))], hours)
            columns = {"unique_id": pa.array(names, pa.string()), "ds": np.tile(times, len(names) // hours)}
            table = pa.table({**columns, "y": rng.normal(10, 1, len(names))})
            pyarrow.parquet.write_table(table, f"{folder}/{begin:07}.parquet")
        saved = archive.save(trained, Path(folder) / "model.safetensors")
        frame = spark.read.parquet(f"{folder}/*.parquet")
        for _ in range(runs):
            before, begin_s = processor_seconds(), time.perf_counter()
            forecasts = sc.cluster.forecast(saved, frame, buckets=max(series // 500, 4 * cores))
            forecasts.write.format("noop").mode("overwrite").save()
            after, wall_s = processor_seconds(), time.perf_counter() - begin_s
    spark.stop()
    spent = {f"{kind}_s": after[kind] - before.get(kind, 0.0) for kind in after}
    return {"series": series, "rows": series * hours, "cores": cores, "wall_s": wall_s, **spent}


def stepped_alone(series: int, horizon: int | None, bucket: int) -> dict[str, float]:
    """Microseconds a row that a bucket takes in this process: its rows, states, steps and results."""
    import pyarrow as pa

    from statecast.cluster.spark.live import LiveColumns
    from statecast.cluster.spark.states import BucketStates
    from statecast.cluster.spark.steps import stepped

    trained = model(bucket)
    bare = replace(trained, state=State.empty(trained.layout, trained.dtype))
    states, live = BucketStates(bare, 1), LiveColumns(bare, (80, 95), horizon or trained.network.head.horizon)
    value, names, spent = states.value(trained.state), list(trained.state.ids), np.zeros(4)
    rounds = max(series // bucket, 4)
    for k in range(rounds):
        times = np.full(bucket, int(trained.state.time[0]) + (k + 1) * 3_600_000_000)
        table = pa.table({"unique_id": names, "time": times, "y": np.full(bucket, 10.0)})
        marks = [time.process_time()]
        arrived = live.rows(table)
        marks.append(time.process_time())
        state = states.state(value)
        marks.append(time.process_time())
        steps = stepped(live.model, state, arrived, 100_000)
        marks.append(time.process_time())
        live.results(steps, arrived)
        marks.append(time.process_time())
        value = states.value(steps.state)
        marks.append(time.process_time())
        parts = np.diff(marks)
        spent += [parts[0], parts[1] + parts[4], parts[2], parts[3]]
    each = 1e6 * spent / (rounds * bucket)
    return dict(zip(("rows_us", "states_us", "steps_us", "results_us"), each.tolist(), strict=True))


def markdown(record: Record) -> str:
    """The table of what was recorded."""
    lines = [
        "| series | steps told | observations a second a core | Java | Python |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, entry in record.tables.items():
        if name == FRAME:
            continue
        whole = entry["java_s"] + entry["python_s"]
        shares = [f"{entry[key] / whole:.0%}" for key in ("java_s", "python_s")]
        lines.append(f"| {entry['series']:,} | {entry['horizon']} | {entry['per_core']:,.0f} | {' | '.join(shares)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--horizon", type=int)
    parser.add_argument("--buckets", type=int)
    parser.add_argument("--alone", action="store_true", help="the steps in this process, without Spark")
    parser.add_argument("--frame", action="store_true", help="forecasts of a Spark DataFrame in place of a stream")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    if options.markdown:
        print(markdown(Record.read(RESULTS)))
        return
    if options.frame:
        entry = framed(options.series, 500, options.cores)
        print(entry)
        Record.read(RESULTS).with_(FRAME, entry, machine(PACKAGES)).write(RESULTS)
        return
    from statecast.cluster.spark.stream import SERIES

    alone = stepped_alone(min(options.series, 20_000), options.horizon, SERIES)
    print(alone, flush=True)
    if options.alone:
        return
    entry = streamed(options.series, options.batches, options.cores, options.horizon, options.buckets) | alone
    print(entry)
    name = f"{entry['series']} series, {entry['horizon']} steps"
    Record.read(RESULTS).with_(name, entry, machine(PACKAGES)).write(RESULTS)


if __name__ == "__main__":
    main()
