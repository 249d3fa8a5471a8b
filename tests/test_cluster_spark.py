# ruff: noqa: F811 (fixtures of `test_cluster` are taken by their names)
"""The calls on Spark, on a local master: DataFrames, files, and streams that stop and begin again."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_cases import Command, statecast  # noqa: F401 (a fixture is taken by its name)
from test_cluster import SERIES, DeadlyPiece, expected, model, rows  # noqa: F401 (the same)
from test_docs import ROOT, blocks

import statecast as sc
from statecast import cluster
from statecast.cluster.jobs import Forecasting
from statecast.cluster.partition import Partition
from statecast.cluster.plan import Plan
from statecast.cluster.work import BucketWork
from statecast.errors import DataError, SettingError
from statecast.model import archive

pytest.importorskip("pyspark", reason="Spark is in an environment of its own: make interop")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java 17", allow_module_level=True)
pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]  # Spark warns of its own ways

ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
NEXT = np.datetime64("2024-01-04T08", "us")  # the hour after the table of the fit


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.python.authenticate.socketTimeout": "2min",  # for a worker to start where machines are busy
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "Europe/Vienna",  # whose clocks are not those of the tables
        "spark.sql.streaming.stateStore.providerClass": ROCKSDB,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # workers read the pieces of `test_cluster`
        builder = SparkSession.builder.master("local[2, 3]")  # a task is tried three times
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("OFF")
        yield session
        session.stop()


def collected(frame: Any, like: pa.Table, *keys: str) -> pa.Table:
    """The rows of a frame, sorted, with the types of a table."""
    table = frame.toArrow().select(like.column_names).cast(like.schema)
    return table.sort_by([(key, "ascending") for key in ("site", "hour", *keys)])


def kinds(frame: Any, *names: str) -> list[str]:
    return [frame.schema[name].dataType.simpleString() for name in names]


def test_a_frame_gives_the_bits_of_one_process(spark: Any, model: sc.Forecaster, rows: pl.DataFrame) -> None:
    frame = spark.createDataFrame(rows.to_pandas()).repartition(3)  # instants, which the session shows in Vienna
    assert kinds(frame, "hour") == ["timestamp"]
    result = cluster.forecast(model, frame, buckets=5, horizon=9, levels=[50])
    assert kinds(result, "site", "hour", "statecast-lo-50") == ["string", "timestamp", "double"]
    alone = expected(model.predict(rows.to_arrow(), horizon=9, levels=[50]))
    shown = result.withColumn("hour", result["hour"].cast("timestamp_ntz"))
    assert collected(shown, alone).equals(alone)
    clock = frame.withColumn("hour", frame["hour"].cast("timestamp_ntz"))
    backtest = cluster.backtest(model.tested(), clock, windows=3, step=2)
    assert kinds(backtest, "hour", "cutoff") == ["timestamp_ntz", "timestamp_ntz"]
    past = model.tested().backtest(rows.to_arrow(), windows=3, step=2)
    past = past.sort_by([("site", "ascending"), ("hour", "ascending"), ("cutoff", "ascending")])
    assert collected(backtest, past, "cutoff").equals(past)


def test_ids_times_and_values_of_other_types(spark: Any) -> None:
    """Ids are decimals, times days, values decimals with nulls; a column of no use is nested."""
    rng = np.random.default_rng(0)
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 2, 9), "1d", eager=True)
    table = pl.concat(
        pl.DataFrame({"shop": n, "day": days, "sold": np.round(10 + rng.normal(size=40), 2)}) for n in (7, 700)
    ).with_columns(sold=pl.when(pl.col("day").dt.day() == 9).then(None).otherwise(pl.col("sold")))
    forecaster = sc.Forecaster(horizon=3, hidden=(4,), max_steps=2, random_state=0)
    forecaster.fit(table, "sold", id="shop", time="day")
    frame = spark.createDataFrame(table.to_pandas().astype({"day": object}).where(lambda f: f.notna(), None))
    frame = frame.selectExpr(
        "cast(shop as decimal(12, 0)) shop",
        "cast(day as date) day",
        "cast(sold as decimal(9, 2)) sold",
        "array(day) nest",
    )
    result = cluster.forecast(forecaster, frame)
    assert kinds(result, "shop", "day") == ["decimal(12,0)", "date"]
    alone = forecaster.predict(table.to_arrow())
    small = (
        result.selectExpr("cast(shop as smallint) shop", "day", "statecast")
        .toArrow()
        .sort_by([("shop", "ascending"), ("day", "ascending")])
    )
    assert small["statecast"].combine_chunks().equals(alone["statecast"].combine_chunks())
    assert (
        small["day"].to_pylist() == alone["day"].to_pylist() and small["shop"].to_pylist() == alone["shop"].to_pylist()
    )


def test_times_with_a_zone_and_covariates_known_ahead(spark: Any, rows: pl.DataFrame) -> None:
    zoned = rows.with_columns(hour=pl.col("hour").dt.replace_time_zone("America/New_York"))
    forecaster = sc.Forecaster(horizon=3, hidden=(4,), max_steps=2, random_state=0)
    forecaster.fit(zoned, "load", id="site", time="hour", known="open", static="region")
    last = zoned["hour"].max()
    names = [f"s{n:02}" for n in range(SERIES)]
    future = pl.concat(
        pl.DataFrame({"site": names, "open": [float(n % 2) for n in range(SERIES)]}).with_columns(
            hour=pl.lit(last) + timedelta(hours=k)
        )
        for k in (1, 2, 3)
    ).select("hour", "open", "site")
    frame, ahead = (spark.createDataFrame(part.to_pandas()) for part in (zoned, future))
    result = cluster.forecast(forecaster, frame, future=ahead, buckets=4)
    assert kinds(result, "hour") == ["timestamp"]
    alone = expected(forecaster.predict(zoned.to_arrow(), future=future))
    assert collected(result, alone).equals(alone)
    clock = frame.withColumn("hour", frame["hour"].cast("timestamp_ntz"))
    with pytest.raises(
        DataError, match=r"'hour' is TIMESTAMP_NTZ, and the times of the model have a zone \(America/New_York\)"
    ):
        cluster.forecast(forecaster, clock)


def test_series_at_fault_and_results_in_a_folder(
    spark: Any,
    model: sc.Forecaster,
    rows: pl.DataFrame,
    tmp_path: Path,
) -> None:
    broken = pl.concat([rows, rows.filter(pl.col("site") == "s05")[:1].with_columns(load=pl.lit(99.0))])
    frame = spark.createDataFrame(broken.to_pandas())
    with pytest.raises(Exception, match=r"bucket \d+, site 's05': .*hour"):
        cluster.forecast(model, frame, buckets=2).collect()
    result = cluster.forecast(model, frame, buckets=2, on_error="skip").toPandas()
    assert result[result["error"].notna()]["site"].tolist() == ["s05"]
    assert "site 's05'" in result[result["error"].notna()]["error"].iloc[0]
    assert len(result) == 4 * (SERIES - 1) + 1
    scores = cluster.score(model, frame, out=tmp_path / "scores", on_error="skip")
    assert [(item.column, item.name) for item in scores.skipped] == [("site", "s05")]
    local = cluster.score(model, rows.filter(pl.col("site") != "s05"), engine="local", workers=1)
    assert scores.scores == local.scores and expected(scores.table()).equals(local.table())
    lazily = cluster.score(model, frame.filter("site != 's05'"))
    assert lazily.toArrow().sort_by("site").equals(local.table())


def test_a_model_for_each_group(spark: Any, rows: pl.DataFrame, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"horizon": 3, "hidden": (4,), "max_steps": 2, "random_state": 0}
    frame = spark.createDataFrame(rows.drop("open").to_pandas())
    clock = frame.withColumn("hour", frame["hour"].cast("timestamp_ntz"))
    outcome = cluster.fit(clock, "load", by="region", id="site", time="hour", out=tmp_path / "models", **settings)
    assert outcome.table()["region"].to_pylist() == ["r0", "r1", "r2"]
    part = rows.filter(pl.col("region") == "r1").drop("region", "open")
    alone = sc.Forecaster(**settings).fit(part, "load", id="site", time="hour")
    forecasts = cluster.forecast(tmp_path / "models", clock.filter("region = 'r1'"))
    like = expected(alone.predict(part.to_arrow()))
    assert collected(forecasts, like).equals(like)


def test_files_on_workers_of_which_some_are_killed(
    spark: Any,
    model: sc.Forecaster,
    rows: pl.DataFrame,
    tmp_path: Path,
) -> None:
    from statecast.cluster.spark.engine import SparkEngine

    alone = expected(model.predict(rows.to_arrow()))
    rows.write_parquet(tmp_path / "all.parquet")
    lives = tmp_path / "lives"
    lives.mkdir()
    partition = Partition("site", 3, ("site", "hour", "load"))
    work = BucketWork(Forecasting("site", None, None), archive.to_bytes(model.model_), None)
    pieces = [DeadlyPiece(tmp_path / "all.parquet", lives, 2)]
    plan = Plan(pieces, [], partition, partition, work, tmp_path, lambda stage: None)
    parts = sorted(SparkEngine(None).run(plan), key=lambda answer: answer.bucket)
    assert len(list(lives.iterdir())) == 2  # workers that were killed
    assert expected(pa.concat_tables([part.table for part in parts if part.table is not None])).equals(alone)
    outcome = cluster.forecast(model, tmp_path / "all.parquet", engine="spark", out=tmp_path / "out", buckets=4)
    assert expected(outcome.table()).equals(alone) and len(outcome.files) == 4


def test_the_command_line(
    spark: Any,
    model: sc.Forecaster,
    rows: pl.DataFrame,
    tmp_path: Path,
    statecast: Command,
) -> None:
    """In the session of this process; `test_a_session_of_its_own` has none."""
    saved, words = model.tested().save(tmp_path / "model.safetensors"), ("--engine", "spark", "--json", "--out")
    rows.drop("open").write_parquet(tmp_path / "rows.parquet")
    pattern = tmp_path / "*.parquet"
    past = statecast.well("backtest", saved, pattern, "--windows", 2, *words, tmp_path / "past").json
    alone = model.tested().backtest(rows.to_arrow(), windows=2)
    keys = [(name, "ascending") for name in ("site", "cutoff", "hour")]
    assert (past["rows"], past["series"]) == (len(alone), SERIES)
    assert pa.concat_tables(map(pq.read_table, past["files"])).sort_by(keys).equals(alone.sort_by(keys))
    roles = ("--target", "load", "--id", "site", "--time", "hour", "--by", "region")
    sizes = ("--set", "horizon=3", "hidden=4", "max_steps=2", "random_state=0")
    done = statecast.well("fit", pattern, *roles, *sizes, "--engine", "spark", "--out", tmp_path / "models")
    assert f"3 models in {tmp_path / 'models'}" in done.out
    part = rows.filter(pl.col("region") == "r1").drop("region", "open")
    settings: dict[str, Any] = {"horizon": 3, "hidden": (4,), "max_steps": 2, "random_state": 0}
    like = sc.Forecaster(**settings).fit(part, "load", id="site", time="hour")
    weights = [sc.Forecaster.load(tmp_path / "models" / "r1.safetensors").model_.weights, like.model_.weights]
    assert np.array_equal(*(tree["head"]["out"]["b"] for tree in weights))


def test_a_session_of_its_own(model: sc.Forecaster, rows: pl.DataFrame, tmp_path: Path) -> None:
    """Whose Java says nothing on the terminal; and what is said where there is none."""
    saved = model.save(tmp_path / "model.safetensors")
    rows.write_parquet(tmp_path / "rows.parquet")
    call = [sys.executable, "-m", "statecast", "forecast", str(saved), str(tmp_path / "*.parquet")]
    call += ["--engine", "spark", "--workers", "1", "--buckets", "2", "--json", "--out"]
    done = subprocess.run([*call, str(tmp_path / "next")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 4 * SERIES and "Stage" not in done.stderr
    parts = [pq.read_table(file) for file in sorted((tmp_path / "next").iterdir())]
    assert expected(pa.concat_tables(parts)).equals(expected(model.predict(rows.to_arrow())))
    nowhere = os.environ | {"JAVA_HOME": str(tmp_path)}
    done = subprocess.run([*call, str(tmp_path / "none")], capture_output=True, text=True, env=nowhere)
    assert done.returncode == 1 and "error: Spark needs Java, which did not start: install Java 17" in done.stderr


class Feed:
    """Files of rows for a stream, in the order in which they are read, and queries that read them one by one.

    Each file has two rows of every series, the later one first, and the second file rows that cannot be taken.
    """

    def __init__(self, spark: Any, folder: Path) -> None:
        self.spark, self.folder, self.tables = spark, folder, []
        (folder / "in").mkdir()

    def write(self) -> None:
        k, names, rng = (
            len(self.tables),
            [f"s{n:02}" for n in range(SERIES + 2)],
            np.random.default_rng(len(self.tables)),
        )
        hours = [NEXT + np.timedelta64(2 * k + later, "h") for later in (1, 0)]
        table = pl.DataFrame(
            {"site": names * 2, "hour": np.repeat(hours, len(names)), "load": rng.normal(10, 1, 2 * len(names))}
        )
        self.tables.append(table)
        if k == 1:
            odd = {"site": ["s00", "s01", None, "s02", "s03"], "load": [1e3, 2.0, 3.0, 4.0, np.inf]}
            times = [hours[0], NEXT, hours[0], None, hours[0] + np.timedelta64(1, "h")]
            hour = [None if time is None else time.item() for time in times]
            table = pl.concat(
                [table, pl.DataFrame({**odd, "hour": pl.Series(hour, dtype=pl.Datetime("us"))}).select(table.columns)]
            )
        path = self.folder / "in" / f"{k}.parquet"
        table.write_parquet(path)
        os.utime(path, (1e9 + k, 1e9 + k))

    def run(self, model: sc.Forecaster, name: str, **options: Any) -> Any:
        source = self.spark.readStream.schema("site string, hour timestamp_ntz, load double")
        source = source.option("maxFilesPerTrigger", 1).parquet(str(self.folder / "in"))
        forecasts = cluster.spark.stream(model, source, **options)
        writer = forecasts.writeStream.option("checkpointLocation", str(self.folder / f"checkpoint-{name}"))
        query = writer.trigger(availableNow=True).start(str(self.folder / name), format="parquet")
        query.awaitTermination()
        return forecasts

    def result(self, name: str) -> pl.DataFrame:
        order = ("site", "cutoff", "hour", "error")
        return pl.read_parquet(self.folder / name / "*.parquet").sort(order, nulls_last=True)


def test_a_stream_that_stops_and_begins_again(spark: Any, model: sc.Forecaster, tmp_path: Path) -> None:
    feed = Feed(spark, tmp_path)
    feed.write()
    feed.write()
    forecasts = feed.run(model, "stopped", buckets=5)
    assert kinds(forecasts, "site", "hour", "cutoff", "error") == ["string", "timestamp_ntz", "timestamp_ntz", "string"]
    feed.write()
    feed.run(model, "stopped", buckets=5)
    feed.run(model, "whole", buckets=5)
    stopped, whole = feed.result("stopped"), feed.result("whole")
    assert stopped.equals(whole)
    refused = whole.filter(pl.col("error").is_not_null())
    reasons = refused.sort("error")["error"].to_list()
    assert [reason.partition(":")[0] for reason in reasons[:2]] == ["duplicate", "late"]
    assert any("the time is missing" in reason for reason in reasons) and any(
        "None names no series" in reason for reason in reasons
    )
    assert any("inf" in reason for reason in reasons) and len(reasons) == 5 and refused["statecast"].is_null().all()
    stream, parts = model.stream(), []
    for table in feed.tables:
        for moment in sorted(table["hour"].unique()):
            some = table.filter(pl.col("hour") == moment)
            forecast = stream.observe_many(some["site"].to_list(), some["load"].to_numpy(), some["hour"].to_numpy())
            parts.append(pl.DataFrame(forecast.columns()).with_columns(cutoff=pl.lit(moment)))
    alone = pl.concat(parts).sort("site", "cutoff", "hour")
    assert whole.filter(pl.col("error").is_null()).select(alone.columns).cast(dict(alone.schema)).equals(alone)
    feed.write()
    for other, message in (
        ({"buckets": 6}, "the checkpoint has 5 buckets, not 6"),
        ({"buckets": 5, "model": True}, "was written with another model"),
    ):
        changed = sc.Forecaster.load(model.save(tmp_path / "other.safetensors"))
        if other.pop("model", False):
            changed.model_.weights["head"]["out"]["b"] += 1
        with pytest.raises(Exception, match=message):
            feed.run(changed, "stopped", **other)


def test_a_stream_of_numbered_series_with_a_zone_and_covariates(spark: Any, rows: pl.DataFrame, tmp_path: Path) -> None:
    """Each goes on from its fit, whatever whole number it is written as; what is odd costs no other row."""
    table = rows.with_columns(
        site=pl.col("site").str.slice(1).cast(pl.Int64),
        hour=pl.col("hour").dt.replace_time_zone("America/New_York"),
        wind=(pl.col("load") - 10).round(2),
    )
    forecaster = sc.Forecaster(horizon=2, hidden=(4,), max_steps=2, random_state=0)
    forecaster.fit(table, "load", id="site", time="hour", past=["wind"], known="open", static="region")
    hour = table["hour"].max() + timedelta(hours=1)
    sites, ahead = list(range(SERIES)), [[float((n + k) % 2) for k in range(3)] for n in range(SERIES)]
    news = pl.DataFrame({"site": sites, "hour": [hour] * SERIES, "load": [9.0 + n / 8 for n in sites]})
    news = news.with_columns(wind=pl.col("load") / 4, open=pl.Series(ahead), region=pl.lit(None, pl.String))
    odd = news[:3].with_columns(
        site=pl.Series([None, 3, 4]),
        hour=pl.Series([hour, None, hour + timedelta(hours=1)]),
        open=pl.Series([[1.0] * 3, [1.0] * 3, [1.0]]),
    )
    (tmp_path / "in").mkdir()
    pl.concat([news, odd.cast(dict(news.schema))]).write_parquet(tmp_path / "in" / "0.parquet")
    columns = "site int, hour timestamp, load double, wind double, open array<double>, region string"
    source = spark.read.schema("site bigint," + columns.partition(",")[2]).parquet(str(tmp_path / "in"))
    source.selectExpr("cast(site as int) site", "* except (site)").write.parquet(str(tmp_path / "small"))
    forecasts = cluster.spark.stream(forecaster, spark.readStream.schema(columns).parquet(str(tmp_path / "small")))
    assert kinds(forecasts, "site", "hour", "cutoff") == ["int", "timestamp", "timestamp"]
    writer = forecasts.writeStream.option("checkpointLocation", str(tmp_path / "checkpoint"))
    writer.trigger(availableNow=True).start(str(tmp_path / "out"), format="parquet").awaitTermination()
    result = pl.read_parquet(tmp_path / "out" / "*.parquet").sort("site", "hour", "error", nulls_last=True)
    reasons = result.filter(pl.col("error").is_not_null())["error"].to_list()
    assert [reason for reason in reasons if "the time is missing" in reason or "expected 3: this step" in reason]
    assert len(reasons) == 3 and any("None names no series" in reason for reason in reasons)
    known = [[[value] for value in row] for row in ahead]
    alone = forecaster.stream().observe_many(sites, news["load"].to_numpy(), hour, news["wind"].to_numpy(), known)
    like = pl.from_arrow(cluster.jobs.to_native(alone.columns(), "pyarrow", "America/New_York"))
    taken = result.filter(pl.col("error").is_null())
    assert taken["hour"].dt.epoch("us").equals(like["hour"].dt.epoch("us"))
    assert taken.select(like.columns[2:]).equals(like.select(like.columns[2:]))


def test_what_no_spark_can_do_is_refused_at_once(
    spark: Any, model: sc.Forecaster, rows: pl.DataFrame, tmp_path: Path
) -> None:
    frame = spark.createDataFrame(rows[:3].to_pandas())
    counted = sc.Forecaster(horizon=2, hidden=(3,), max_steps=1).fit(rows["load"].to_numpy()[:80])
    live = spark.readStream.schema(frame.schema).parquet(str(tmp_path))
    stream = cluster.spark.stream
    for error, message, call in (
        (
            DataError,
            "no column 'load' .*did you mean 'lode'",
            lambda: cluster.forecast(model, frame.withColumnRenamed("load", "lode")),
        ),
        (
            DataError,
            "Spark keeps no order of rows",
            lambda: cluster.forecast(counted, frame.select(frame["load"].alias("y"))),
        ),
        (SettingError, "is worked on by Spark", lambda: cluster.forecast(model, frame, engine="local")),
        (SettingError, "workers and watch: Spark has its own", lambda: cluster.score(model, frame, workers=2)),
        (
            SettingError,
            "which column tells it, with time=",
            lambda: cluster.fit(frame, "load", id="site", out=tmp_path / "m"),
        ),
        (SettingError, "expected a Spark DataFrame", lambda: cluster.forecast(model, frame, future=rows)),
        (DataError, "are not a streaming DataFrame", lambda: stream(model, frame)),
        (SettingError, "horizon = 5: expected a whole number from 1 to 4", lambda: stream(model, live, horizon=5)),
        (SettingError, "buckets = 0", lambda: stream(model, live, buckets=0)),
        (
            DataError,
            "'site' of ids is ARRAY<STRING>, expected STRING or whole numbers",
            lambda: stream(model, live.selectExpr("array(site) site", "hour", "load")),
        ),
        (
            DataError,
            "'hour' of times is STRING",
            lambda: stream(model, live.withColumn("hour", live["hour"].cast("string"))),
        ),
    ):
        with pytest.raises(error, match=message):
            call()
    spark.conf.set("spark.sql.streaming.stateStore.providerClass", "org.apache.Other")
    try:
        with pytest.raises(SettingError, match=f"providerClass.*{ROCKSDB}"):
            stream(model, live)
    finally:
        spark.conf.set("spark.sql.streaming.stateStore.providerClass", ROCKSDB)


def test_the_documented_examples(spark: Any, tmp_path: Path) -> None:
    """With folders of the test's own: Spark takes relative paths from where its Java was started."""
    text = (ROOT / "docs" / "cluster.md").read_text().partition("## On Spark")[2].partition("\n## ")[0]
    examples = [block.code for block in blocks(text) if block.language == "python"]
    code = re.sub(
        r'"(forecasts|arrivals|checkpoint|live)"', lambda name: repr(str(tmp_path / name[1])), "\n".join(examples)
    )
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    try:
        exec(compile(code, "docs/cluster.md", "exec"), {})
    finally:
        spark.conf.set("spark.sql.session.timeZone", "Europe/Vienna")
    assert len(examples) == 2
    lives = pl.read_parquet(tmp_path / "live" / "*.parquet")
    assert lives["error"].null_count() == len(lives) == 60
    assert len(pl.read_parquet(tmp_path / "forecasts" / "*.parquet")) == 240
