"""`statecast stream`: the numbers of `Stream`, rows as JSON and as CSV, refused rows, snapshots and signals."""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from cli_cases import Command, Done, loads, plain, rich, statecast

from statecast import Stream
from statecast.cli import live
from statecast.cli.rows import RowReader
from statecast.data.calendar import Frequency
from statecast.data.schema import Covariate, Schema
from statecast.errors import DataError

Feed = Callable[..., Done]
ROWS = [("1961-01-01", 450.0), ("1961-02-01", None), ("1961-04-01", 480.5)]


@pytest.fixture
def feed(statecast: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Feed:
    """Runs `statecast stream` on a text or bytes."""

    def fed(text: str | bytes, *words: object) -> Done:
        path = tmp_path / "input"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with path.open() as file, monkeypatch.context() as patched:
            patched.setattr(sys, "stdin", file)
            return statecast("stream", *words)

    return fed


def as_json(rows: list[tuple[str, float | None]]) -> str:
    return "".join(json.dumps({"month": month, "passengers": value, "else": 1}) + "\n" for month, value in rows)


def as_csv(rows: list[tuple[str, float | None]]) -> str:
    return "month,else,passengers\n" + "".join(f"{m},1,{'' if v is None else v}\n" for m, v in rows)


def lines(done: Done) -> list[Any]:
    return [json.loads(line) for line in done.out.splitlines()]


# --- numbers


@pytest.mark.parametrize("text", [as_json(ROWS), as_csv(ROWS), as_csv(ROWS).replace(",", ";"), "\ufeff" + as_csv(ROWS)])
def test_each_row_gives_the_forecast_of_a_stream(feed: Feed, plain: Path, text: str) -> None:
    done = feed(text, plain)
    assert (done.code, done.err) == (0, "")
    stream = Stream.load(plain)
    for line, (month, value) in zip(lines(done), ROWS, strict=True):
        found = stream.observe("passengers", value, month)
        assert line["id"] == "passengers"
        assert line["time"] == month
        assert line["times"] == [str(stamp)[:10] for stamp in found.stamps]
        assert line["statecast"] == found.values[:, 0].tolist()
        assert line["statecast-lo-80"] == found.lower[80][:, 0].tolist()
        assert line["statecast-hi-95"] == found.upper[95][:, 0].tolist()


def test_covariates_and_several_series(feed: Feed, rich: Path) -> None:
    row = {"site": "site-1", "hour": "2024-01-03 03:00:00", "load": 210, "temperature": None, "holiday": ["no"] * 5}
    new = row | {"site": "new", "area": 15}
    done = feed(json.dumps(row) + "\n" + json.dumps(new) + "\n", rich)
    assert (done.code, done.err) == (0, "")
    stream = Stream.load(rich)
    ahead = {"holiday": ["no"] * 5}
    one = stream.observe("site-1", 210, row["hour"], past={"temperature": None}, known=ahead)
    other = stream.observe("new", 210, row["hour"], past={"temperature": None}, known=ahead, static={"area": 15})
    assert [line["statecast"] for line in lines(done)] == [one.values[:, 0].tolist(), other.values[:, 0].tolist()]
    assert [line["id"] for line in lines(done)] == ["site-1", "new"]


def test_csv_out_has_a_line_for_each_step(feed: Feed, plain: Path) -> None:
    rows = feed(as_json(ROWS), plain, "--csv").out.splitlines()
    assert rows[0].startswith("unique_id,month,cutoff,statecast,statecast-lo-80,")
    assert [row.split(",")[1:3] for row in rows[1:4]] == [[f"1961-0{m}-01", "1961-01-01"] for m in (2, 3, 4)]
    assert len(rows) == 1 + 3 * 3


def test_empty_starts_with_no_series(feed: Feed, plain: Path) -> None:
    found = lines(feed(as_json(ROWS[:1]), plain, "--empty"))
    wanted = Stream.load(plain, empty=True).observe("passengers", 450, "1961-01-01")
    assert found[0]["statecast"] == wanted.values[:, 0].tolist()


def test_several_targets_are_told_by_name() -> None:
    class Found:
        """A forecast of two targets."""

        class model:
            schema = Schema(("a", "b"), time="t", time_kind="integer")

        ids, targets, stamps = ("s",), ("a", "b"), np.array([7, 8])
        values = np.array([[1.0, 2.0], [3.0, 4.0]])
        lower = upper = MappingProxyType({80: np.array([[0.5, 1.5], [2.5, 3.5]])})

    found = live._document(Found(), RowReader(Found.model.schema).read(b'{"t": 6, "a": 1, "b": null}'))  # type: ignore
    assert found["times"] == [7, 8]
    assert {name: part.tolist() for name, part in found["statecast"].items()} == {"a": [1.0, 3.0], "b": [2.0, 4.0]}  # type: ignore


# --- rows that cannot be used


def test_a_refused_row_changes_nothing_and_is_named(feed: Feed, plain: Path) -> None:
    good = as_json(ROWS).splitlines()
    bad = [
        '{"month": "1961-03-01", "passengers": "many"}',
        '{"month": "1961-03-01", "passenger": 3}',
        '{"month": "1960-12-01", "passengers": 3}',
        '{"month": "1961-03-01"',
        "[1, 2]",
        '{"month": null, "passengers": 3}',
        '{"month": "1961-03-01", "passengers": Infinity}',
        '{"month": "1961-03-05", "passengers": 3}',
    ]
    done = feed("\n".join([good[0], good[1], "", *bad, good[2]]).encode() + b"\n\xff\xfe\n", plain)
    assert done.code == 1
    assert lines(done) == lines(feed(as_json(ROWS), plain))
    wanted = {
        4: "'many' is not a number",
        5: "there is no column 'passengers'; did you mean 'passenger'?",
        6: "1960-12-01 is not after 1961-02-01",
        7: "not JSON",
        8: "'[1, 2]' is no JSON object",
        9: "month: a time is missing",
        10: "inf cannot be used",
        11: "no whole number of steps of 1mo",
        13: "not UTF-8 text",
    }
    told = done.err.splitlines()
    assert [line.split(":")[1] for line in told] == [f" line {number}" for number in wanted]
    assert [text for line, text in zip(told, wanted.values(), strict=True) if text not in line] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n1,2\n",
            "line 1: 'a,b' is neither JSON nor a CSV header with the columns month, passengers",
        ),
        ("date,passengers\n1,2\n", "line 1: there is no column 'month'"),
        ("month,passengers,passengers\n", "the header names the column 'passengers' twice"),
    ],
)
def test_a_wrong_header_ends_it(feed: Feed, plain: Path, text: str, message: str) -> None:
    done = feed(text, plain)
    assert (done.code, done.out) == (1, "")
    assert done.error.startswith("standard input, line 1: ")
    assert message in done.error


def test_a_ragged_line(feed: Feed, plain: Path) -> None:
    done = feed("month,passengers\n1961-01-01,4,5\n1961-01-01,4\n", plain)
    assert done.error == "line 2: 3 fields where the header has 2: correct the line"
    assert (done.code, len(lines(done))) == (1, 1)


def test_known_columns_need_the_steps_ahead(feed: Feed, rich: Path) -> None:
    text = "site,hour,load,temperature,holiday\nsite-1,2024-01-03 03:00:00,3,20,no\n"
    assert "must be known ahead" in feed(text, rich).error


# --- fields


def test_fields_are_read_as_their_columns_hold() -> None:
    past = (Covariate("wind"), Covariate("sky", "categorical", ("1", "clear")))
    schema = Schema(("y",), "id", "t", "integer", "integer", None, Frequency.parse("1"), past)
    reader = RowReader(schema)
    assert reader.read(b"\xef\xbb\xbfid,t,y,wind,sky\r") is None
    row = reader.read(b' 7 , 3 ,NA,1e3,"1"')
    assert row is not None
    assert (row.id, row.time, row.value) == ("7", 3, {"y": None})
    assert row.past == {"wind": 1000.0, "sky": "1"}
    assert (row.known, row.static) == (None, None)
    with pytest.raises(DataError, match="the id '' names no series"):
        reader.read(b",4,1,1,1")


# --- snapshots and signals


def test_a_snapshot_goes_on_with_the_same_bits(feed: Feed, plain: Path, tmp_path: Path) -> None:
    state = tmp_path / "air.state"
    whole = lines(feed(as_json(ROWS), plain))
    first = lines(feed(as_json(ROWS[:1]), plain, "--snapshot", state))
    second = lines(feed(as_json(ROWS[1:]), plain, "--snapshot", state))
    assert first + second == whole
    assert "is not after 1961-04-01" in feed(as_json(ROWS[2:]), plain, "--snapshot", state).error


def test_a_snapshot_is_written_now_and_then(
    feed: Feed, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(Stream, "save", lambda self, path: saved.append(int(self.state.time[0])))
    feed(as_json(ROWS), plain, "--snapshot", tmp_path / "s", "--every", "2")
    assert len(saved) == 2  # after two rows and at the end
    assert saved[0] < saved[1]
    assert feed("", plain, "--every", "0").code == 2


def test_snapshots_of_other_models_are_refused(feed: Feed, plain: Path, rich: Path, tmp_path: Path) -> None:
    feed("", plain, "--snapshot", tmp_path / "s")
    before = (tmp_path / "s").read_bytes()
    assert "is a snapshot of another model" in feed("", rich, "--snapshot", tmp_path / "s").error
    assert feed("", plain, "--snapshot", tmp_path / "s", "--empty").code == 2
    assert (tmp_path / "s").read_bytes() == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_stream_that_waits_and_keeps_what_was_seen(
    plain: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    state = tmp_path / "air.state"
    command = [sys.executable, "-m", "statecast", "stream", str(plain), "--snapshot", str(state)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdin and running.stdout and running.stderr
        running.stdin.write(as_json(ROWS[:2]).encode())
        running.stdin.flush()
        seen = [json.loads(running.stdout.readline()) for _ in range(2)]  # at once: the input is still open
        os.kill(running.pid, number)
        assert running.wait(timeout=30) == code
        assert running.stderr.read() == b""
    stream = Stream.load(state)
    wanted = Stream.load(plain)
    for month, value in ROWS[:2]:
        wanted.observe("passengers", value, month)
    assert stream.forecast().values.tolist() == wanted.forecast().values.tolist()
    assert seen[1]["statecast"] == wanted.forecast().values[0, :, 0].tolist()


def test_when_nobody_reads_on_the_snapshot_is_kept(plain: Path, tmp_path: Path) -> None:
    text = as_csv([(str(np.datetime64("1961-01") + k) + "-01", 400 + k % 7) for k in range(3000)])
    (tmp_path / "rows.csv").write_text(text)
    stream = f"{sys.executable} -m statecast stream {plain} --snapshot s < rows.csv"
    command = f"{stream} | head -1 | cut -c1-5; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ('{"id"\n141\n', "")
    assert (tmp_path / "s").exists()
