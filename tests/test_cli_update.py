"""`statecast update`: rows that come after a fit, into the same folder or another, with and without learning."""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from cli_cases import Command, passengers, plain, statecast

from statecast import Forecaster, Stream
from statecast.model import archive

LATER = "month,passengers\n1961-01-01,450\n1961-02-01,430\n"


@pytest.fixture
def later(tmp_path: Path) -> Path:
    path = tmp_path / "later.csv"
    path.write_text(LATER)
    return path


@pytest.fixture
def air(plain: Path, tmp_path: Path) -> Path:
    """A copy of the folder that a fit wrote."""
    return Path(shutil.copytree(plain, tmp_path / "air"))


def test_update_replaces_the_model_where_it_lies(statecast: Command, air: Path, later: Path) -> None:
    stream = Stream.load(air)
    stream.observe("passengers", 450, "1961-01-01")
    stream.observe("passengers", 430, "1961-02-01")
    done = statecast.well("update", air, later)
    assert "1 series moved on by 2 rows" in done.out and f"statecast forecast {air}" in done.out
    assert archive.load(air).state.data.tobytes() == stream.state.data.tobytes()
    assert (air / "report.html").exists()  # of the fit
    assert "1961-03-01" in statecast.well("forecast", air).out
    again = statecast.well("update", air, later)
    assert "nothing has changed; 2 rows up to the last ones" in again.out
    assert archive.load(air).state.data.tobytes() == stream.state.data.tobytes()


def test_update_into_another_folder(statecast: Command, air: Path, later: Path, tmp_path: Path) -> None:
    before = (air / "model.safetensors").read_bytes()
    out = tmp_path / "new"
    result = statecast.well("update", air, later, "--out", out, "--json").json
    assert (result["rows"], result["known"], result["series"], result["new_series"]) == (2, 0, 1, 0)
    assert {Path(name).name for name in result["files"]} == {path.name for path in out.iterdir()}
    assert (air / "model.safetensors").read_bytes() == before
    assert statecast.well("forecast", out).out != statecast.well("forecast", air).out
    assert "another folder" in statecast("update", air, later, "--out", out).error


def test_update_of_a_model_file(statecast: Command, air: Path, later: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(air / "model.safetensors", tmp_path / "m.safetensors"))
    statecast.well("update", path, later)
    assert archive.load(path).state.time[0] > archive.load(air).state.time[0]
    assert not (tmp_path / "config.toml").exists()


def test_update_learns_when_asked(statecast: Command, air: Path, tmp_path: Path) -> None:
    ahead = Forecaster.load(air).predict(passengers(), horizon=72)
    known = pl.read_parquet(passengers()).select(pl.col("month").cast(pl.Date), pl.col("passengers").cast(float))
    ahead = ahead.select(pl.col("month").cast(pl.Date), passengers=1.05 * pl.col("statecast"))
    path = tmp_path / "longer.csv"
    pl.concat([known, ahead]).write_csv(path)
    done = statecast.well("update", air, path, "--learn", "--steps", "4", "--json")
    assert isinstance(done.json["learned"], bool) and done.json["verdict"]
    assert done.json["rows"] == 72 and done.json["known"] == len(known)
    assert not (air / "checkpoint").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "5"], "go with --learn"),
        (["--learn", "--steps", "0"], "steps = 0: expected a whole number of at least 1"),
        (["--learn", "--resume"], "there is no unfinished fit"),
    ],
)
def test_wrong_calls_of_update(statecast: Command, air: Path, later: Path, words: list[str], message: str) -> None:
    done = statecast("update", air, later, *words)
    assert done.code in (1, 2) and message in done.error


def test_an_update_that_fails_leaves_the_model(statecast: Command, air: Path, later: Path) -> None:
    before = (air / "model.safetensors").read_bytes()
    later.write_text(LATER.replace("1961-02-01", "1961-02-15"))
    done = statecast("update", air, later)
    assert done.code == 1
    assert (air / "model.safetensors").read_bytes() == before
