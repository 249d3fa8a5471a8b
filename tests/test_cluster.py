"""One model over many workers: processes of this machine, and a Ray cluster where Ray is installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from cli_cases import Command, statecast  # noqa: F401 (a fixture is taken by its name)

import statecast as sc
from statecast import cluster
from statecast.cluster.engines import Executor
from statecast.cluster.jobs import Forecasting
from statecast.cluster.local import LocalEngine
from statecast.cluster.outcome import Stage
from statecast.cluster.partition import Partition
from statecast.cluster.pieces import FragmentPiece
from statecast.cluster.plan import Plan
from statecast.cluster.work import Answer, BucketWork
from statecast.data.buckets import bucket
from statecast.errors import DataError, ModelFileError, OutputError, SettingError, StatecastError, TooFewRows
from statecast.model import archive

SERIES, HOURS = 12, 80
TWO = {"engine": "local", "workers": 2}


def table(series: int = SERIES, hours: int = HOURS) -> pl.DataFrame:
    rng, t = np.random.default_rng(0), np.arange(hours)
    y = 10 + np.sin(2 * np.pi * t / 24 + rng.random((series, 1)) * 6) + rng.normal(0, 0.1, (series, hours))
    times = np.tile(np.datetime64("2024-01-01T00", "us") + t * np.timedelta64(1, "h"), series)
    ids = np.repeat([f"s{n:02}" for n in range(series)], hours)
    return pl.DataFrame(
        {
            "site": ids,
            "hour": times,
            "load": y.ravel(),
            "open": (np.arange(y.size) % 5 == 0).astype(float),
            "region": np.repeat([f"r{n % 3}" for n in range(series)], hours),
        }
    )


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return table()


@pytest.fixture(scope="module")
def model(rows: pl.DataFrame) -> sc.Forecaster:
    forecaster = sc.Forecaster(horizon=4, hidden=(5,), max_steps=5, refit=False, random_state=0)
    return forecaster.fit(rows, "load", id="site", time="hour")


@pytest.fixture(scope="module")
def files(rows: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table in two files of several row groups; a series begins in one and ends in the other."""
    folder = tmp_path_factory.mktemp("tables")
    rows[:450].write_parquet(folder / "a.parquet", row_group_size=100)
    rows[450:].write_parquet(folder / "b.parquet", row_group_size=200)
    return folder


def expected(frame: Any) -> pa.Table:
    return frame.sort_by([("site", "ascending")])


def test_results_are_those_of_one_process_bit_for_bit(
    model: sc.Forecaster, rows: pl.DataFrame, files: Path, tmp_path: Path
) -> None:
    alone = expected(model.predict(rows.to_arrow()))
    for buckets, workers, source in ((1, 1, files), (5, 2, str(files / "*.parquet")), (40, 2, rows.to_pandas())):
        reports: list[Stage] = []
        outcome = cluster.forecast(
            model, source, engine="local", workers=workers, buckets=buckets, watch=reports.append
        )
        assert outcome.table().equals(alone)
        assert (outcome.rows, outcome.series, outcome.files) == (4 * SERIES, SERIES, ())
        assert (reports[-1].phase, reports[-1].done, reports[-1].total) == ("working", buckets, buckets)
    path = model.save(tmp_path / "model.safetensors")
    written = cluster.forecast(path, files, out=tmp_path / "out", horizon=9, levels=[50], buckets=3, **TWO)
    assert all(file.exists() for file in written.files)
    assert expected(written.table()).equals(expected(model.predict(rows.to_arrow(), horizon=9, levels=[50])))


@pytest.mark.parametrize(
    "source",
    [
        lambda files, rows: pyarrow.dataset.dataset(files, format="parquet"),
        lambda files, rows: [files / "a.parquet", str(files / "b.parquet")],
        lambda files, rows: {name: rows[name].to_numpy() for name in rows.columns},
    ],
    ids=["dataset", "list", "mapping"],
)
def test_sources(
    model: sc.Forecaster, rows: pl.DataFrame, files: Path, source: Callable[[Path, pl.DataFrame], Any]
) -> None:
    outcome = cluster.backtest(model.tested(), source(files, rows), windows=3, step=2, buckets=2, **TWO)
    assert outcome.table().equals(expected(model.tested().backtest(rows.to_arrow(), windows=3, step=2)))


def test_scores_are_the_same_bits_for_any_buckets(model: sc.Forecaster, rows: pl.DataFrame) -> None:
    one, many = (cluster.score(model, rows, buckets=count, **TWO) for count in (1, 7))
    assert one.scores == many.scores and one.table().equals(many.table())
    # Also those that no series has, such as a MASE where no row stands before the first forecast.
    assert {field.type for field in one.table().schema if field.name != "site"} == {pa.float64()}
    alone = model.score(rows)
    assert one.scores is not None and one.scores.keys() == alone.keys()
    assert one.scores["mae"] == pytest.approx(alone["mae"], rel=1e-12)
    assert one.scores["skill"] == pytest.approx(alone["skill"], rel=1e-9)
    part = model.score(rows.filter(pl.col("site") == "s03"))
    line = one.table().filter(pa.compute.equal(one.table()["site"], "s03")).to_pylist()[0]
    assert (line["mae"], line["rmse"], line["skill-persistence"]) == (
        part["mae"],
        part["rmse"],
        part["skill"]["persistence"],
    )


def test_covariates_known_ahead_go_to_the_bucket_of_their_series(rows: pl.DataFrame, tmp_path: Path) -> None:
    model = sc.Forecaster(horizon=3, hidden=(4,), max_steps=3, random_state=0)
    model.fit(rows, "load", id="site", time="hour", known="open", static="region")
    later = [{"site": f"s{n:02}", "hour": rows["hour"].max(), "open": float(n % 2)} for n in range(SERIES)]
    future = pl.concat([pl.DataFrame(later).with_columns(pl.col("hour").dt.offset_by(f"{k}h")) for k in (1, 2, 3)])
    future.write_parquet(tmp_path / "future.parquet")
    outcome = cluster.forecast(model, rows, future=tmp_path / "future.parquet", buckets=4, **TWO)
    assert outcome.table().equals(expected(model.predict(rows.to_arrow(), future=future)))


def test_a_series_that_cannot_be_used_is_named_or_passed_over(model: sc.Forecaster, rows: pl.DataFrame) -> None:
    broken = pl.concat([rows, rows.filter(pl.col("site") == "s05")[:1].with_columns(load=pl.lit(99.0))])
    with pytest.raises(DataError, match=r"bucket \d+, site 's05': .*hour"):
        cluster.forecast(model, broken, buckets=2, **TWO)
    outcome = cluster.forecast(model, broken, buckets=2, on_error="skip", **TWO)
    assert [(item.column, item.name) for item in outcome.skipped] == [("site", "s05")]
    alone = expected(model.predict(rows.to_arrow()))
    assert outcome.table().equals(alone.filter(pa.compute.not_equal(alone["site"], "s05")))
    nameless = pl.concat([rows, rows[:1].with_columns(site=pl.lit(None, pl.String))])
    with pytest.raises(DataError, match="site"):
        cluster.forecast(model, nameless, buckets=2, **TWO)


def test_series_too_short_for_a_backtest_take_no_part(model: sc.Forecaster, rows: pl.DataFrame) -> None:
    short = rows.filter((pl.col("site") != "s01") | (pl.col("hour") < pl.col("hour").min() + pl.duration(hours=6)))
    outcome = cluster.backtest(model.tested(), short, windows=2, step=4, buckets=30, **TWO)
    assert outcome.table().equals(expected(model.tested().backtest(short.to_arrow(), windows=2, step=4)))
    with pytest.raises(TooFewRows, match="no series has enough rows for 2 windows"):
        cluster.backtest(model, rows.group_by("site", maintain_order=True).head(4), windows=2, step=4, **TWO)


@pytest.mark.heavy
def test_a_model_for_each_group(rows: pl.DataFrame, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"horizon": 3, "hidden": (4,), "max_steps": 3, "random_state": 0}
    roles = {"id": "site", "time": "hour"}
    outcome = cluster.fit(rows, "load", by="region", out=tmp_path / "models", **roles, **settings, **TWO)
    assert outcome.table()["region"].to_pylist() == ["r0", "r1", "r2"]
    assert pq.read_table(outcome.files[0]).equals(outcome.table())
    forecasts = cluster.forecast(tmp_path / "models", rows, buckets=2, **TWO).table()
    for region in ("r0", "r2"):
        part = rows.filter(pl.col("region") == region).drop("region")
        alone = sc.Forecaster(**settings).fit(part, "load", **roles)
        line = outcome.table().filter(pa.compute.equal(outcome.table()["region"], region)).to_pylist()[0]
        assert (line["rows"], line["mae"]) == (len(part), alone.evaluation_["statecast"]["mae"])
        assert sc.Forecaster.load(tmp_path / "models" / line["model"]).predict().equals(alone.predict())
        names = pa.array(part["site"].unique().to_list())
        assert forecasts.filter(pa.compute.is_in(forecasts["site"], names)).equals(
            expected(alone.predict(part.to_arrow()))
        )
    other = rows.with_columns(region=pl.lit("r1x"))
    with pytest.raises(DataError, match="region 'r1x': no model was fitted for it; is it 'r1'"):
        cluster.forecast(tmp_path / "models", other, **TWO)


def test_spellings_of_one_series_stay_together(model: sc.Forecaster, rows: pl.DataFrame) -> None:
    blank = rows.with_columns(site=pl.when(pl.col("open") > 0).then(pl.col("site") + " ").otherwise(pl.col("site")))
    broken = pl.concat([blank, rows[-1:].with_columns(load=pl.lit(99.0))])  # of s11, whose fault splits its bucket
    outcome = cluster.forecast(model, broken, buckets=1, on_error="skip", **TWO)
    assert [item.name for item in outcome.skipped] == ["s11"]
    alone = expected(model.predict(rows.to_arrow()))
    assert outcome.table().equals(alone.filter(pa.compute.not_equal(alone["site"], "s11")))


def test_a_group_at_fault_costs_no_other(rows: pl.DataFrame, tmp_path: Path) -> None:
    some = rows.filter(pl.col("site") < "s03").with_columns(
        region=pl.when(pl.col("site") == "s01").then(pl.lit(None)).otherwise(pl.col("region"))
    )
    settings: dict[str, Any] = {"horizon": 3, "hidden": (4,), "max_steps": 1, "id": "site", "time": "hour"}
    with pytest.raises(DataError, match="region None: 80 rows name no group"):
        cluster.fit(some, "load", by="region", out=tmp_path / "a", **settings, **TWO)
    outcome = cluster.fit(some, "load", by="region", out=tmp_path / "b", on_error="skip", **settings, **TWO)
    assert outcome.table()["region"].to_pylist() == ["r0", "r2"]
    assert [(item.column, item.name) for item in outcome.skipped] == [("region", None)]


@pytest.mark.parametrize(
    "manifest",
    [
        {"region": ["r0"]},
        {"region": ["r0"], "model": ["../m"]},
        {"region": [], "model": []},
        {"region": [1], "model": [2]},
    ],
    ids=str,
)
def test_a_table_of_groups_that_lies_is_refused(rows: pl.DataFrame, tmp_path: Path, manifest: dict[str, Any]) -> None:
    pq.write_table(pa.table(manifest), tmp_path / "models.parquet")
    with pytest.raises(ModelFileError, match="does not name the files of models beside it"):
        cluster.forecast(tmp_path, rows, **TWO)
    (tmp_path / "models.parquet").write_bytes(b"PAR1")
    with pytest.raises(ModelFileError, match="cannot be read"):
        cluster.forecast(tmp_path, rows, **TWO)


def die(lives: Path, deaths: int) -> None:
    """Kill this process, as long as so many have not died yet."""
    if len(list(lives.iterdir())) < deaths:
        (lives / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class DeadlyForecasting(Forecasting):
    """A job whose worker is killed, the first times that it comes to one of the series."""

    lives: Path
    deaths: int

    def run(self, rows: pa.Table, future: pa.Table | None, model: Any) -> Any:
        if "s07" in rows["site"].to_pylist():
            die(self.lives, self.deaths)
        return super().run(rows, future, model)


@dataclass(frozen=True)
class DeadlyPiece:
    """Rows whose reader is killed, the first times."""

    file: Path
    lives: Path
    deaths: int

    def read(self, columns: Sequence[str] | None) -> pa.Table:
        die(self.lives, self.deaths)
        return pq.read_table(self.file, columns=None if columns is None else list(columns))


def answers(
    model: sc.Forecaster, file: Path, tmp_path: Path, deaths: int, engine: Executor, worked: int = 0
) -> Iterator[Answer]:
    """The answers of an engine whose workers die: so many as they read, and so many as they work on a bucket."""
    lives, lives_at_work, scratch = (tmp_path / name for name in ("lives", "lives_at_work", "scratch"))
    for folder in (lives, lives_at_work, scratch):
        folder.mkdir()
    partition = Partition("site", 3, ("site", "hour", "load"))
    job = DeadlyForecasting("site", None, None, lives_at_work, worked)
    work = BucketWork(job, archive.to_bytes(model.model_), None)
    pieces = [DeadlyPiece(file, lives, deaths)]
    return engine.run(Plan(pieces, [], partition, partition, work, scratch, lambda stage: None))


def test_what_a_killed_worker_had_in_hand_is_done_again(
    model: sc.Forecaster, rows: pl.DataFrame, tmp_path: Path
) -> None:
    rows.write_parquet(tmp_path / "all.parquet")
    require_the_same(answers(model, tmp_path / "all.parquet", tmp_path, 2, LocalEngine(2), 2), model, rows, tmp_path)


def require_the_same(some: Iterator[Answer], model: sc.Forecaster, rows: pl.DataFrame, tmp_path: Path) -> None:
    """Two workers have died as they read, two at work, and the answers are the bits of one process."""
    parts = sorted(some, key=lambda answer: answer.bucket)
    whole = expected(pa.concat_tables([part.table for part in parts if part.table is not None]))
    assert whole.equals(expected(model.predict(rows.to_arrow())))
    assert [len(list((tmp_path / name).iterdir())) for name in ("lives", "lives_at_work")] == [2, 2]


def test_workers_that_always_die_are_given_up(model: sc.Forecaster, rows: pl.DataFrame, tmp_path: Path) -> None:
    rows.write_parquet(tmp_path / "all.parquet")
    with pytest.raises(StatecastError, match=r"died 4 times without finishing anything .*more buckets"):
        list(answers(model, tmp_path / "all.parquet", tmp_path, 100, LocalEngine(2)))


def test_wrong_calls_are_refused_before_any_work(model: sc.Forecaster, rows: pl.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "noise.parquet").write_bytes(b"PAR1 nothing")
    for error, message, call in (
        (SettingError, "no engine 'rya'; did you mean 'ray'", {"engine": "rya"}),
        (SettingError, "workers = 0", {"workers": 0, "engine": "local"}),
        (SettingError, "buckets = 2.5", {"buckets": 2.5, "engine": "local"}),
        (SettingError, "on_error = 'ignore': expected one of raise, skip", {"on_error": "ignore", "engine": "local"}),
        (OutputError, "is not empty", {"out": tmp_path / "full", "engine": "local"}),
        (DataError, "no column 'load' .*did you mean 'lode'", {"source": rows.rename({"load": "lode"}), **TWO}),
        (DataError, "no file matches", {"source": tmp_path / "no*.parquet.gz", **TWO}),
        (DataError, "there is no file", {"source": tmp_path / "none.parquet", **TWO}),
        (DataError, "cannot be read as Parquet", {"source": tmp_path / "noise.parquet", **TWO}),
        (SettingError, "horizon = 0: expected", {"horizon": 0, **TWO}),
        (SettingError, "levels = .*200", {"levels": [200], **TWO}),
        (DataError, "no rows", {"source": pyarrow.dataset.dataset(rows[:0].to_arrow()), **TWO}),
    ):
        with pytest.raises(error, match=message):
            cluster.forecast(model, **({"source": rows} | call))
    with pytest.raises(SettingError, match="which column makes the groups"):
        cluster.fit(rows, "load", out=tmp_path / "none", **TWO)
    with pytest.raises(DataError, match=r"no column 'lode' .*did you mean 'load'"):
        cluster.fit(rows, "lode", by="region", id="site", time="hour", out=tmp_path / "new", **TWO)
    with pytest.raises(SettingError, match=r"^windows = 0"):  # of no series
        cluster.backtest(model, rows, windows=0, on_error="skip", **TWO)
    with pytest.raises(SettingError, match="horizont"):
        cluster.fit(rows, "load", by="region", out=tmp_path / "none", horizont=3, **TWO)
    assert not (tmp_path / "none").exists()


def test_buckets_are_those_of_ever(rows: pl.DataFrame) -> None:
    """A name's bucket is written into databases, and must not change with a version."""
    assert [bucket(name, 1000) for name in ("a", "é", 7, "7", "")] == BUCKETS
    counts = np.bincount([bucket(f"series-{n}", 8) for n in range(8000)], minlength=8)
    assert counts.min() > 900


BUCKETS = [16, 757, 890, 103, 952]


def test_the_command_line(
    statecast: Command,  # noqa: F811
    model: sc.Forecaster,
    rows: pl.DataFrame,
    files: Path,
    tmp_path: Path,
) -> None:
    saved = model.save(tmp_path / "model.safetensors")
    done = statecast.well("forecast", saved, files / "*.parquet", "--engine", "local", "--out", tmp_path / "next")
    assert f"{4 * SERIES} rows of {SERIES} series in" in done.out
    read = expected(pa.concat_tables([pq.read_table(file) for file in sorted((tmp_path / "next").iterdir())]))
    assert read.equals(expected(model.predict(rows.to_arrow())))
    result = statecast.well(
        "backtest", saved, files, "--windows", 2, "--workers", 1, "--engine", "local", "--out", tmp_path / "b", "--json"
    )
    assert (result.json["series"], result.json["skipped"]) == (SERIES, [])
    for words, message in (
        (("forecast", saved, files, "--engine", "local"), "--out is missing"),
        (("forecast", saved, "--engine", "local", "--out", tmp_path / "c"), "TABLE is missing"),
        (("forecast", saved, files, "--samples", 3, "--out", tmp_path / "c"), "--samples are drawn by one process"),
        (("backtest", saved, files, "--refit", "--out", tmp_path / "c"), "--refit trains on all series"),
        (("fit", files / "a.parquet", "--by", "region", "--force", "--out", tmp_path / "c"), "--by trains many"),
    ):
        assert message in statecast(*words).error


def test_files_that_differ_from_one_another(model: sc.Forecaster, rows: pl.DataFrame, tmp_path: Path) -> None:
    for name, other, message in (
        (
            "column",
            rows[480:].drop("load"),
            r"1\.parquet has no column 'load' \(which the model reads\), which .* elsewhere",
        ),
        ("values", rows[480:].with_columns(load=pl.lit("x")), r"1\.parquet cannot be read: .*'x'"),
    ):
        (tmp_path / name).mkdir()
        rows[:480].write_parquet(tmp_path / name / "0.parquet")
        other.write_parquet(tmp_path / name / "1.parquet")
        with pytest.raises(DataError, match=message):
            cluster.forecast(model, tmp_path / name, **TWO)
    pq.write_to_dataset(rows.to_arrow(), tmp_path / "by region", partition_cols=["region"])
    outcome = cluster.forecast(model, tmp_path / "by region", buckets=2, **TWO)
    assert outcome.table().equals(expected(model.predict(rows.to_arrow())))
    other = sc.Forecaster(horizon=2, hidden=(3,), max_steps=1).fit(
        rows, "load", id="site", time="hour", static="region"
    )
    outcome = cluster.forecast(other, tmp_path / "by region", buckets=2, **TWO)
    assert outcome.table().equals(expected(other.predict(rows.to_arrow())))


def test_a_script_that_every_worker_would_run_is_told_what_to_do(tmp_path: Path, model: sc.Forecaster) -> None:
    model.save(tmp_path / "model")
    table().write_parquet(tmp_path / "rows.parquet")
    script = tmp_path / "script.py"
    call = (
        f"cluster.forecast({str(tmp_path / 'model')!r}, {str(tmp_path / 'rows.parquet')!r}, engine='local', workers=1)"
    )
    script.write_text(f"from statecast import cluster\n{call}\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 1
    assert 'put the call below `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    library = pytest.importorskip("ray", reason="Ray is in an environment of its own: make interop")
    yield library
    library.shutdown()


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")  # Ray warns of its own ways, and leaves files and sockets open
def test_ray_gives_the_bits_of_one_process(
    ray: Any, model: sc.Forecaster, rows: pl.DataFrame, files: Path, tmp_path: Path
) -> None:
    two = {"engine": "ray", "workers": 2}
    outcome = cluster.forecast(model, files, buckets=5, **two)
    assert outcome.table().equals(expected(model.predict(rows.to_arrow())))
    blocks = ray.data.from_arrow([rows[:450].to_arrow(), rows[450:].to_arrow()])
    assert cluster.forecast(model, blocks, **two).table().equals(outcome.table())
    backtest = cluster.backtest(model.tested(), rows, windows=2, out=tmp_path / "out", **two)
    assert expected(backtest.table()).equals(expected(model.tested().backtest(rows.to_arrow(), windows=2)))
    scores = cluster.score(model, files, **two)
    assert scores.scores == cluster.score(model, files, engine="local").scores
    groups = cluster.fit(
        rows, "load", by="region", id="site", time="hour", out=tmp_path / "m", horizon=3, max_steps=2, **two
    )
    assert groups.rows == 3


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")
def test_ray_does_again_what_killed_workers_had_in_hand(
    ray: Any, model: sc.Forecaster, rows: pl.DataFrame, tmp_path: Path
) -> None:
    from statecast.cluster.ray import RayEngine

    engine = RayEngine(2)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # which workers could not import
    rows.write_parquet(tmp_path / "all.parquet")
    require_the_same(answers(model, tmp_path / "all.parquet", tmp_path, 2, engine, 2), model, rows, tmp_path)
    (tmp_path / "again").mkdir()
    with pytest.raises(StatecastError, match=r"died 4 times .*more buckets"):
        list(answers(model, tmp_path / "all.parquet", tmp_path / "again", 0, engine, 100))


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")
def test_ray_keeps_rows_out_of_the_driver(
    ray: Any, model: sc.Forecaster, rows: pl.DataFrame, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small results lie in the driver's memory, so where there are many buckets a task cuts several pieces."""
    from statecast.cluster import ray as engine

    pieces, partition = [FragmentPiece(None, None)] * 1000, Partition("site", 400, ("site", "hour", "load"))  # type: ignore[arg-type]
    plan = Plan(pieces, [], partition, partition, None, files, print, 250_000_000)  # type: ignore[arg-type]
    size = engine.pieces_together(plan)
    assert size * 250_000 / 400 * 24 >= engine.INLINE > (size - 1) * 250_000 / 400 * 24
    assert engine.pieces_together(replace(plan, total=2_500_000)) == 1
    monkeypatch.setattr(engine, "pieces_together", lambda plan: 3)
    outcome = cluster.forecast(model, files, buckets=5, engine="ray", workers=2)
    assert outcome.table().equals(expected(model.predict(rows.to_arrow())))


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")
def test_ray_names_what_is_at_fault(ray: Any, model: sc.Forecaster, rows: pl.DataFrame, tmp_path: Path) -> None:
    two = {"engine": "ray", "workers": 2}
    broken = pl.concat([rows, rows.filter(pl.col("site") == "s05")[:1].with_columns(load=pl.lit(99.0))])
    with pytest.raises(DataError, match=r"^bucket \d+, site 's05': .*hour"):
        cluster.forecast(model, broken, buckets=2, **two)
    outcome = cluster.forecast(model, broken, buckets=2, on_error="skip", **two)
    assert [(item.column, item.name) for item in outcome.skipped] == [("site", "s05")]
    assert (outcome.rows, outcome.series) == (4 * (SERIES - 1), SERIES - 1)
    for name, part in (("0", rows[:480]), ("1", rows[480:].with_columns(load=pl.lit("x")))):
        part.write_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match=r"^\S*1\.parquet cannot be read: .*'x'"):
        cluster.forecast(model, tmp_path, **two)
