"""`statecast send`: a table's rows at a server, each once, in the order of time."""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)
from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from broken_server import Shelf, shelf
from cli_cases import Command, statecast

from statecast.data.tabular import table as tables
from statecast.server.client.remote import ServedModel
from statecast.server.client.replay import Replay

HOURS = ("2024-01-01 00:00:00", "2024-01-01 01:00:00", "2024-01-01 02:00:00")


@pytest.fixture
def loads(tmp_path: Path) -> Path:
    """Three hours of two sites, in the order of sites; a column that nobody asked for; a missing value."""
    path = tmp_path / "loads.csv"
    rows = [f"{site},{hour},{load},x" for site, load in (("b", 1.5), ("a", "")) for hour in HOURS]
    path.write_text("site,hour,load,remark\n" + "\n".join(rows) + "\n")
    return path


def test_rows_go_in_the_order_of_time(statecast: Command, shelf: Shelf, loads: Path) -> None:
    done = statecast.well("send", shelf.url, loads)
    assert done.out.startswith("6 rows sent in 0:00, ") and done.out.endswith(": 6 taken\n")
    body = shelf.requests[-1][2]
    assert list(body) == ["site", "load", "hour"]
    assert body["site"] == ["b", "a"] * 3 and body["load"] == [1.5, None] * 3
    assert body["hour"] == [f"{hour.replace(' ', 'T')}" for hour in HOURS for _ in "ba"]


def test_a_table_that_is_sent_again_changes_nothing(statecast: Command, shelf: Shelf, loads: Path) -> None:
    shelf.model["recent"] = 2
    statecast.well("send", shelf.url, loads)
    before = {name: list(rows) for name, rows in shelf.rows.items()}
    done = statecast.well("send", shelf.url, loads, "--json")
    assert shelf.rows == before
    counts = {name: done.json[name] for name in ("rows", "accepted", "duplicate", "late", "rejected", "withheld")}
    assert counts == {"rows": 6, "accepted": 0, "duplicate": 4, "late": 2, "rejected": 0, "withheld": 0}


def test_an_interrupted_table_is_finished_by_the_same_command(
    statecast: Command, shelf: Shelf, loads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("statecast.cli.sending.BATCH", 2)
    shelf.faults.extend(["", "", "status 500 0"])
    assert "answered 500" in statecast("send", shelf.url, loads).error
    assert [len(rows) for rows in shelf.rows.values()] == [2, 2]
    statecast.well("send", shelf.url, loads)
    assert [[time for time, _ in rows] for rows in shelf.rows.values()] == [[h.replace(" ", "T") for h in HOURS]] * 2


def test_counted_rows_have_keys_that_follow_from_the_table(
    statecast: Command, shelf: Shelf, loads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("statecast.cli.sending.BATCH", 2)
    shelf.model["time_kind"] = "row"
    shelf.faults.extend(["", "cut after", "status 500 0"])
    assert statecast("send", shelf.url, loads).code == 1
    statecast.well("send", shelf.url, loads)
    assert [len(rows) for rows in shelf.rows.values()] == [3, 3]
    assert len(shelf.keys) == 3


def test_refused_rows_are_named(statecast: Command, shelf: Shelf, loads: Path, tmp_path: Path) -> None:
    statecast.well("send", shelf.url, loads)
    other = tmp_path / "other.csv"
    other.write_text(loads.read_text().replace("1.5", "2.5"))
    done = statecast("send", shelf.url, other)
    assert done.code == 1
    assert "error: row 1 in the order of time: hour: 2024-01-01T00:00:00 is conflict" in done.err
    assert "3 were there already" in done.out and "3 were rejected" in done.out
    other.write_text("\n".join(other.read_text().splitlines()[:2]) + "\n")
    assert "1 was rejected" in statecast("send", shelf.url, other).out


def test_what_cannot_be_sent_is_said_before(
    statecast: Command, shelf: Shelf, loads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no file" in statecast("send", shelf.url, tmp_path / "none.csv").error
    assert "is not the address of a server" in statecast("send", "localhost:8000", loads).error
    assert "expected a number above 0" in statecast("send", shelf.url, loads, "--speed", "0").error
    shelf.model["targets"] = ["lod"]
    assert "has no column 'lod'" in statecast("send", shelf.url, loads).error
    shelf.model |= {"targets": ["load"], "tz": "Europe/Madrid"}
    assert "holds times without a zone" in statecast("send", shelf.url, loads).error
    shelf.model |= {"tz": None, "time_kind": "integer"}
    assert "hour" in statecast("send", shelf.url, loads).error
    loads.write_text("site,hour,load\na,,1\na,2024-01-01,2\n")
    shelf.model |= {"time_kind": "datetime"}
    assert "the time is missing" in statecast("send", shelf.url, loads).error
    assert not shelf.rows


def test_a_server_that_was_never_there_is_given_up_soon(
    statecast: Command, loads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("statecast.cli.sending.FIRST_PATIENCE", 0.1)
    assert "did not take a request within 0.1 s" in statecast("send", "http://127.0.0.1:9", loads).error


def test_waiting_for_the_server_is_said(statecast: Command, shelf: Shelf, loads: Path) -> None:
    shelf.faults.append("status 503 1.01")
    done = statecast.well("send", shelf.url, loads)
    assert "does not take a request (it answers 503: not now): again in 1 s" in done.err


def test_the_token_comes_from_the_environment(
    statecast: Command, shelf: Shelf, loads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATECAST_TOKEN", "from-outside")
    statecast.well("send", shelf.url, loads)
    assert shelf.requests[-1][1]["Authorization"] == "Bearer from-outside"
    statecast.well("send", shelf.url, loads, "--token", "typed")
    assert shelf.requests[-1][1]["Authorization"] == "Bearer typed"


def test_standard_input_is_a_table(
    statecast: Command, shelf: Shelf, loads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(loads.read_bytes())))
    statecast.well("send", shelf.url, "-")
    assert len(shelf.rows["a"]) == 3


def test_speed_keeps_the_distances_of_the_rows(
    statecast: Command, shelf: Shelf, loads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0, pauses=[])

    def sleep(seconds: float) -> None:
        clock.pauses.append(seconds)
        clock.now += seconds

    monkeypatch.setattr("statecast.cli.sending.time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    statecast.well("send", shelf.url, loads, "--speed", "60")
    assert clock.pauses == [0, 60, 60]
    assert [len(body["site"]) for path, _, body in shelf.requests if path.startswith("/v1/obs")] == [2, 2, 2]


# --- the rows of a table


def replay(frame: dict[str, Any], **model: Any) -> Replay:
    return Replay.of(tables.read(frame), ServedModel("id", "t", "integer", ("y",), **model))


def test_values_known_ahead_come_from_the_rows_behind() -> None:
    frame = {"id": [7, 7, 8, 7, 7, 8], "t": [0, 1, 5, 2, 4, 7], "y": np.arange(6.0), "k": [10.0, 11, 50, 12, 14, 70]}
    rows = replay(frame, known=("k",), horizon=2)
    assert rows.withheld == 2
    assert rows.records(0, 9) == [
        {"id": 7, "y": 0.0, "t": 0, "k": [10.0, 11.0, 12.0]},
        {"id": 7, "y": 1.0, "t": 1, "k": [11.0, 12.0, None]},
        {"id": 7, "y": 3.0, "t": 2, "k": [12.0, None, 14.0]},
        {"id": 8, "y": 2.0, "t": 5, "k": [50.0, None, 70.0]},
    ]


def test_counted_rows_of_all_series_go_side_by_side() -> None:
    frame = {"id": ["a", "a", "b", "b", "b"], "y": np.arange(5.0)}
    rows = Replay.of(tables.read(frame), ServedModel("id", "ds", "row", ("y",)))
    assert [row["y"] for row in rows.records(0, 5)] == [0, 2, 1, 3, 4]
    assert [rows.seconds(n) for n in range(5)] == [0, 0, 1, 1, 2]


def test_a_table_without_ids_is_one_series() -> None:
    rows = replay({"t": [2, 1], "y": [2.0, 1.0]})
    assert rows.records(0, 2) == [{"y": 1.0, "t": 1}, {"y": 2.0, "t": 2}]
