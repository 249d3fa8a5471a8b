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
from typing import Any

import numpy as np
import pytest
from cli_cases import Command, Done, loads, plain, rich, statecast

from statecast import Stream
from statecast.cli import live
from statecast.data.calendar import Frequency
from statecast.data.schema import Covariate, Schema
from statecast.errors import DataError
from statecast.forecast import rowtext
from statecast.forecast.rowtext import LineSplitter, RowReader

Feed = Callable[..., Done]
ROWS = [("1961-01-01", 450.0), ("1961-02-01", None), ("1961-04-01", 480.5)]


@pytest.fixture
def feed(statecast: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Feed:
    """Runs `statecast stream` on a string or bytes."""

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
        result = stream.observe("passengers", value, month)
        assert line["id"] == "passengers"
        assert line["time"] == month
        assert line["times"] == [str(stamp)[:10] for stamp in result.stamps]
        assert line["statecast"] == result.values[:, 0].tolist()
        assert line["statecast-lo-80"] == result.lower[80][:, 0].tolist()
        assert line["statecast-hi-95"] == result.upper[95][:, 0].tolist()


def test_files_put_together_carry_marks_in_the_middle(feed: Feed, plain: Path) -> None:
    """Each of several files of JSON lines may begin with a byte order mark."""
    marked = "".join(f"\ufeff{line}\n" for line in as_json(ROWS).splitlines())
    done = feed(marked, plain)
    assert (done.code, done.err, lines(done)) == (0, "", lines(feed(as_json(ROWS), plain)))


def test_a_row_is_only_copied_where_a_snapshot_could_hold_it(
    feed: Feed, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is taken back if nobody reads its forecast is of no use where nothing is written."""
    copied: list[Any] = []
    copy = Stream.state_of
    monkeypatch.setattr(Stream, "state_of", lambda stream, ids: copied.append(ids) or copy(stream, ids))
    feed(as_json(ROWS), plain)
    assert copied == []
    feed(as_json(ROWS), plain, "--snapshot", tmp_path / "state")
    assert len(copied) == len(ROWS)


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
    table = feed(as_json(ROWS), plain, "--csv").out.splitlines()
    assert table[0].startswith("unique_id,month,cutoff,statecast,statecast-lo-80,")
    assert [row.split(",")[1:3] for row in table[1:4]] == [[f"1961-0{m}-01", "1961-01-01"] for m in (2, 3, 4)]
    assert len(table) == 1 + 3 * 3


def test_empty_starts_with_no_series(feed: Feed, plain: Path) -> None:
    result = lines(feed(as_json(ROWS[:1]), plain, "--empty"))
    expected = Stream.load(plain, empty=True).observe("passengers", 450, "1961-01-01")
    assert result[0]["statecast"] == expected.values[:, 0].tolist()


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
    expected = {
        4: "'many' is not a number",
        5: "there is no column 'passengers'; did you mean 'passenger'?",
        6: "1960-12-01 is not after 1961-02-01",
        7: "not JSON",
        8: "'[1, 2]' is not a JSON object",
        9: "month: a time is missing",
        10: "inf cannot be used",
        11: "not a whole number of steps of 1mo",
        13: "not UTF-8 text",
    }
    messages = done.err.splitlines()
    assert [line.split(":")[1] for line in messages] == [f" line {number}" for number in expected]
    assert [text for line, text in zip(messages, expected.values(), strict=True) if text not in line] == []


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
    assert (row.id, row.time, row.value) == (7, "3", {"y": None})
    assert row.past == {"wind": 1000.0, "sky": "1"}
    assert (row.known, row.static) == (None, None)
    with pytest.raises(DataError, match="the id '' names no series"):
        reader.read(b",4,1,1,1")


def test_decimal_commas_where_semicolons_part_the_fields() -> None:
    reader = RowReader(Schema(("y",), past=(Covariate("wind"),)))
    reader.read(b"y;wind")
    read = [reader.read(line) for line in (b"1,5;2.5", b"-1.234,5;1.234", b"7;,5")]
    assert [row and (row.value, row.past) for row in read] == [
        ({"y": 1.5}, {"wind": 2.5}),
        ({"y": -1234.5}, {"wind": 1234.0}),  # commas are decimal here, so points group thousands
        ({"y": 7.0}, {"wind": ",5"}),  # which the stream refuses
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 50])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_any_way_and_in_any_chunks(size: int, end: bytes) -> None:
    text = end.join([b"t,y", b"1,2", b"", b"2,3", b"3,4"])
    splitter = LineSplitter()
    lines = [line for n in range(0, len(text), size) for line in splitter.feed(text[n : n + size])]
    assert [*lines, *splitter.end()] == [b"t,y", b"1,2", b"", b"2,3", b"3,4"]


def test_a_line_without_end_takes_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowtext, "LONGEST_LINE", 10)
    splitter, reader = LineSplitter(), RowReader(Schema(("y",)))
    reader.read(b"y")
    lines = [line for chunk in (b"1\n12345678", b"9012345", b"678", b"90\n2\n") for line in splitter.feed(chunk)]
    assert lines == [b"1", b"123456789012345", b"2"]
    with pytest.raises(DataError, match="a line of more than 10 bytes is not a row"):
        reader.read(lines[1])


ODD = {
    "time": ('{"month": 100000000000000000000, "passengers": 1}', "is not a date"),
    "digits": ('{"month": "1961-02-01", "passengers": 1' + "0" * 400 + "}", "values beyond 1e+18 need rescaling"),
    "more digits": ('{"month": "1961-02-01", "passengers": 1' + "0" * 5000 + "}", "a number has too many digits"),
    "nested": ('{"month": "1961-02-01", "passengers": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    "nested less": ('{"month": "1961-02-01", "passengers": ' + "[" * 300 + "]" * 300 + "}", "is not a number"),
    "time text": ('{"month": "' + "1" * 5000 + '", "passengers": 1}', "cannot be used: a time is no longer"),
    "twice": ('{"month": "1961-02-01", "passengers": 1, "passengers": 2}', "the key 'passengers' comes twice"),
    "object": ('{"month": {"a": 1}, "passengers": 1}', "cannot be used: give a datetime"),
    "last day": ('{"month": "9999-12-01", "passengers": 1}', "times end with the year 9999"),
    "list": ('{"month": "1961-02-01", "passengers": [1]}', "[1] is not a number"),
    "empty": ("{}", "there is no column 'month'; there are none"),
    "flag": ('{"month": true, "passengers": 1}', "is not a date"),
}  # fmt: skip


def test_odd_rows_are_named_and_passed_over(feed: Feed, plain: Path) -> None:
    good = as_json(ROWS).splitlines()
    done = feed("\n".join([good[0], *(row for row, _ in ODD.values()), *good[1:]]), plain)
    assert (done.code, lines(done)) == (1, lines(feed(as_json(ROWS), plain)))
    messages = done.err.splitlines()
    assert [line.split(":")[1] for line in messages] == [f" line {number}" for number in range(2, 2 + len(ODD))]
    assert [line for line, (_, message) in zip(messages, ODD.values(), strict=True) if message not in line] == []
    assert max(map(len, messages)) < 300


def test_odd_ids_times_and_fields_are_named() -> None:
    reader = RowReader(Schema(("y",), "id", "t", "integer", "integer"))
    for row, message in (
        (b'{"id": "\\ud800", "t": 1, "y": 2}', "is not a whole number|is not sound Unicode"),
        (b'{"id": 7.9, "t": 1, "y": 2}', "the id 7.9 names no series"),
        (b'{"id": true, "t": 1, "y": 2}', "the id True names no series"),
        (b'{"id": 9223372036854775808, "t": 1, "y": 2}', "names no series"),
        (b'{"id": null, "t": 1, "y": 2}', "the id None names no series"),
    ):
        with pytest.raises(DataError, match=message):
            reader.read(row)
    texts = RowReader(Schema(("y",), "id"))
    with pytest.raises(DataError, match=r"the id '\\ud800' is not sound Unicode text"):
        texts.read(b'{"id": "\\ud800", "y": 2}')
    fields = RowReader(Schema(("y",)))
    fields.read(b"y,note")
    with pytest.raises(DataError, match=r"not CSV \(field larger than field limit"):
        fields.read(b"1," + b"x" * 131_073)
    with pytest.raises(DataError, match="not CSV"):
        fields.read(b'1,"open')


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
        answers = [json.loads(running.stdout.readline()) for _ in range(2)]  # at once: the input is still open
        os.kill(running.pid, number)
        assert running.wait(timeout=30) == code
        assert running.stderr.read() == b""
    stream = Stream.load(state)
    expected = Stream.load(plain)
    for month, value in ROWS[:2]:
        expected.observe("passengers", value, month)
    assert stream.forecast().values.tolist() == expected.forecast().values.tolist()
    assert answers[1]["statecast"] == expected.forecast().values[0, :, 0].tolist()


def test_when_nobody_reads_on_the_snapshot_is_kept(plain: Path, tmp_path: Path) -> None:
    text = as_csv([(str(np.datetime64("1961-01") + k) + "-01", 400 + k % 7) for k in range(3000)])
    (tmp_path / "rows.csv").write_text(text)
    stream = f"{sys.executable} -m statecast stream {plain} --snapshot s < rows.csv"
    command = f"{stream} | head -1 | cut -c1-5; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ('{"id"\n141\n', "")
    assert (tmp_path / "s").exists()


@pytest.mark.parametrize("rows", [1, 3])
def test_a_row_whose_forecast_is_not_delivered_is_taken_back(
    feed: Feed, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Of a series that was there, and of one whose first row it is."""
    delivered: list[object] = []

    def line(value: object) -> None:
        if len(delivered) == rows - 1:
            raise BrokenPipeError
        delivered.append(value)

    options = ["--empty"] if rows == 1 else []
    with monkeypatch.context() as patched:
        patched.setattr("statecast.cli.output.line", line)
        assert feed(as_json(ROWS), plain, "--snapshot", tmp_path / "s", *options).code == 141
    expected = Stream.load(plain, empty=bool(options))
    for month, value in ROWS[: rows - 1]:
        expected.observe("passengers", value, month)
    stream = Stream.load(tmp_path / "s")
    assert stream.ids == expected.ids
    assert stream.state.data.tobytes() == expected.state.data.tobytes()
    assert stream.state.time.tolist() == expected.state.time.tolist()
    whole = lines(feed(as_json(ROWS), plain, *options))
    assert lines(feed(as_json(ROWS[rows - 1 :]), plain, "--snapshot", tmp_path / "s")) == whole[rows - 1 :]


# --- Windows


def test_rows_are_served_where_input_cannot_be_waited_for(
    feed: Feed, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows `select` knows no standard input, and pipes are not set to block or not."""
    expected = lines(feed(as_json(ROWS), plain))

    def refuse(*_: object) -> None:
        raise OSError("an operation was attempted on something that is not a socket")

    monkeypatch.setattr(live, "WAITS", False)
    monkeypatch.setattr("select.select", refuse)
    monkeypatch.delattr(os, "set_blocking")
    done = feed(as_json(ROWS), plain)
    assert (done.code, done.err, lines(done)) == (0, "", expected)


@pytest.mark.parametrize("words", [["settings", "hidden"], ["gallery", "--list"], ["stream", "--help"]])
def test_the_command_line_starts_without_what_windows_lacks(words: list[str]) -> None:
    code = (
        "import signal, sys; del signal.SIGPIPE; sys.modules.update(resource=None, fcntl=None, pwd=None)\n"
        "from statecast.cli import UNREAD, live, main\n"
        "assert UNREAD == 141\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
