"""Bad input as a user meets it: one line that says what came and what to do, the exit code, and nothing left behind.

The rooms' own tests look at each case more closely; this is the table of all of them, through the command line.
"""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_cases import PLAIN, TINY, Command, days, loads, passengers, plain, rich, said, statecast

from statecast.data.tabular.table import read

GOOD = days([i % 7 + i / 10 for i in range(31)])
EVERY_MINUTE_OR_SO = ["00:00:00", "00:07:13", "00:20:00", "01:11:59", "02:00:00", "09:01:07"]

# Text of the table, more options, exit code, what the line must say.
TABLES: dict[str, tuple[str | bytes, list[str], int, str]] = {
    "empty": ("", [], 1, "table.csv is empty: a header and rows were expected"),
    "header only": ("day,load\n", [], 1, "table.csv has a header but no rows"),
    "binary": (bytes(range(256)), [], 1, "table.csv is a binary file, not CSV text"),
    "wrong encoding": ("day,läd\n".encode("latin-1"), [], 1, "table.csv, line 1 is not UTF-8 text (byte 0xe4): save"),
    "short row": (GOOD + "2024-02-01\n", [], 1, "table.csv, line 33 has 1 field, but the header has 2: '2024-02-01'"),
    "long row": (GOOD + "2024-02-01,1,2\n", [], 1, "table.csv, line 33 has 3 fields, but the header has 2"),
    "missing column": (GOOD, ["--past", "laod"], 1, "table.csv has no column 'laod': did you mean 'load'?"),
    "text for a number": (GOOD + "2024-02-01,abc\n", [], 1, "table.csv, column 'load', line 33: 'abc' is not a number"),
    "inf": (GOOD + "2024-02-01,inf\n", [], 1, "table.csv, column 'load', line 33: inf cannot be used"),
    "-inf": (GOOD + "2024-02-01,-inf\n", [], 1, "table.csv, column 'load', line 33: -inf cannot be used"),
    "1e30": (GOOD + "2024-02-01,1e30\n", [], 1, "line 33: 1e+30 cannot be used: values beyond 1e+18 need rescaling"),
    "all missing": (days([""] * 30), [], 1, "table.csv has no value of load: every one is missing"),
    "too short": (days([1, 2]), [], 1, "expected at least 3 training rows; give more rows, or smaller val_size"),
    "twice": (GOOD + "2024-01-31,1\n", [], 1, "two rows for 2024-01-31, line 32 and line 33: keep one row for each"),
    "irregular": (
        "day,load\n" + "".join(f"2024-01-{n + 1:02d} {t},1\n" for n, t in enumerate(EVERY_MINUTE_OR_SO)),
        ["--freq", "1h"],
        1,
        "column 'day', line 3",
    ),
    "mixed zones": (
        "day,load\n2024-01-01 00:00Z,1\n2024-01-01 01:00,2\n",
        [],
        1,
        "with and without a time zone are mixed",
    ),
    "no time": (
        GOOD + "yesterday,1\n",
        [],
        1,
        "table.csv, column 'day', line 33: 'yesterday': not a time: write it as",
    ),
    "missing time": (
        GOOD + ",1\n",
        [],
        1,
        "table.csv, column 'day', line 33: the time is missing; every row needs one",
    ),
    "two roles": (GOOD, ["--past", "load"], 2, "the column 'load' has two roles"),
    "horizon": (GOOD, ["--horizon", "0"], 2, "--horizon 0: expected a whole number of at least 1"),
    "level": (GOOD, ["--set", "levels=[120]"], 2, "levels = [120]: expected a list"),
    "share as level": (GOOD, ["--set", "levels=[0.9]"], 2, "0.9 looks like a share: write 90 for 90 %"),
    "unknown setting": (GOOD, ["--set", "hiden=[3]"], 2, "there is no setting 'hiden'; did you mean 'hidden'"),
    "wrong setting": (GOOD, ["--set", "hidden=three"], 2, "hidden = 'three': expected a list of 0 to 64 items"),
    "no value": (GOOD, ["--set", "hidden"], 2, "--set 'hidden': expected KEY=VALUE, for example --set hidden=[64,32]"),
    "frequency": (GOOD, ["--freq", "1zz"], 2, "--freq 1zz is not a frequency"),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_and_settings_of_a_fit(statecast: Command, tmp_path: Path, case: str) -> None:
    text, more, code, message = TABLES[case]
    table = tmp_path / "table.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    target = [] if case == "wrong encoding" else ["--target", "load"]
    done = statecast("fit", table, *target, "--time", "day", *more, "--out", tmp_path / "out")
    assert done.code == code
    assert message in done.error
    assert (done.out, os.listdir(tmp_path)) == ("", ["table.csv"])


def test_no_such_file_a_folder_and_files_of_other_kinds(statecast: Command, tmp_path: Path) -> None:
    (tmp_path / "loads.csv").write_text(GOOD)
    (tmp_path / "loads.xlsx").write_text(GOOD)
    (tmp_path / "cut.parquet").write_bytes(passengers().read_bytes()[:500])
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(GOOD.encode())[:50])
    for name, message in (
        ("load.csv", f"there is no file {tmp_path / 'load.csv'}; did you mean 'loads.csv'"),
        ("", f"{tmp_path} is a folder: give a file, .csv"),
        ("loads.xlsx", "loads.xlsx is not a table that statecast reads"),
        ("cut.parquet", "cut.parquet is not a sound Parquet file"),
        ("cut.csv.gz", "cut.csv.gz cannot be read"),
    ):
        done = statecast("fit", tmp_path / name, "--target", "load", "--out", tmp_path / "out")
        assert done.code == 1
        assert message in done.error
        assert not (tmp_path / "out").exists()


def test_settings_of_a_file_name_the_file(statecast: Command, tmp_path: Path) -> None:
    for text, message in (
        ("hidden = [", "c.toml: not TOML"),
        ("hiden = [2]", "c.toml: there is no setting 'hiden'; did you mean 'hidden'"),
        ("horizon = 0", "c.toml: horizon = 0: expected a whole number"),
        ("[data]\ntargt = 'load'", "c.toml: [data] has no key 'targt'; did you mean 'target'"),
        ("[data]\npast = 3", "c.toml: [data] past = 3: expected a column or a list of columns"),
        ("data = 3", "c.toml: data = 3: expected a section [data]"),
    ):
        (tmp_path / "c.toml").write_text(text)
        done = statecast("fit", "table.csv", "--config", tmp_path / "c.toml", "--out", tmp_path / "out")
        assert done.code == 2
        assert message in done.error
    none = statecast("fit", "table.csv", "--config", tmp_path / "none.toml", "--out", tmp_path / "out")
    assert (none.code, "none.toml: cannot be read (No such file" in none.error) == (2, True)


# --- what is treated, and how


def test_a_constant_series_and_one_shorter_than_segment_and_horizon_are_fitted(
    statecast: Command, tmp_path: Path
) -> None:
    (tmp_path / "table.csv").write_text(days([5] * 31))
    words = ["--target", "load", "--time", "day", "--horizon", "40", "--set", *TINY, "segment=500"]
    done = statecast.well("fit", tmp_path / "table.csv", *words, "--out", tmp_path / "out", "--json")
    assert any("the forecast's error is unknown" in sentence for sentence in done.json["verdict"])
    rows = statecast.well("forecast", tmp_path / "out", "--json").json["forecast"]
    assert len(rows) == 40
    assert all(abs(row["statecast"] - 5) < 1 for row in rows)


def test_unsorted_rows_are_sorted(statecast: Command, plain: Path, tmp_path: Path) -> None:
    head, *rows = read(passengers()).frame().write_csv().splitlines()
    (tmp_path / "sorted.csv").write_text("\n".join([head, *rows]))
    (tmp_path / "unsorted.csv").write_text("\n".join([head, *rows[70:], *rows[:70][::-1]]))
    one, other = (statecast.well("forecast", plain, tmp_path / f"{n}sorted.csv").out for n in ("", "un"))
    assert one == other


def test_an_unknown_category_is_missing_and_said(statecast: Command, rich: Path, loads: Path, tmp_path: Path) -> None:
    head, *rows = loads.read_text().splitlines()
    ends = {"site-0": "2024-01-03 12", "site-1": "2024-01-03 03", "site-2": "2024-01-04 06"}
    for name, word in (("strange", "maybe"), ("missing", "")):
        ahead = [
            f"{site},{np.datetime64(end, 'h') + k}:00:00,,9,{word},{10 * n + 10}"
            for n, (site, end) in enumerate(ends.items())
            for k in range(4)
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join([head, *rows, *ahead]))
    done = statecast.well("forecast", rich, tmp_path / "strange.csv")
    assert done.err.startswith("warning: ")
    assert "'maybe'" in done.err
    assert "'holiday'" in done.err
    assert len(done.err.splitlines()) == 1
    assert done.out == statecast.well("forecast", rich, tmp_path / "missing.csv").out


# --- forecasting


def test_wrong_horizons_levels_and_tables_of_a_forecast(
    statecast: Command, plain: Path, rich: Path, loads: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text(GOOD)
    for words, code, message in (
        ([plain, "--horizon", "0"], 2, "horizon"),
        ([plain, "--levels", "100"], 2, "level"),
        ([plain, "--levels", "0"], 2, "level"),
        ([plain, "--levels", "0.9"], 2, "write 90 for 90 %"),
        ([plain, "--out", tmp_path / "a.xlsx"], 2, "has no suffix of a table: give .csv"),
        ([plain, tmp_path / "other.csv"], 1, "other.csv has no column 'month'"),
        ([rich], 1, " on: pass --future, a table with a row for each step to forecast, with the value left"),
        ([rich, loads], 1, "'holiday' of series 'site-0' must be known ahead"),
        (["-"], 2, "MODEL: '-' is standard input, which cannot be a folder"),
        ([""], 2, "MODEL: '' is not the name of a folder"),
    ):
        done = statecast("forecast", *words)
        assert done.code == code, words
        assert message in done.error
        assert done.out == ""


def test_times_of_another_kind(statecast: Command, plain: Path, tmp_path: Path) -> None:
    (tmp_path / "zoned.csv").write_text("month,passengers\n1961-01-01T00:00:00Z,3\n1961-02-01T00:00:00Z,4\n")
    (tmp_path / "whole.csv").write_text("month,passengers\n1,3\n2,4\n")
    for name in ("zoned", "whole"):
        done = statecast("forecast", plain, tmp_path / f"{name}.csv")
        assert done.code == 1
        assert f"{name}.csv, column 'month'" in done.error


# --- model files


def damaged(content: bytes) -> dict[str, tuple[bytes, str]]:
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    newer = json.dumps({**header, "__metadata__": {**header["__metadata__"], "statecast_format": "99"}}).encode()
    foreign = json.dumps({**header, "__metadata__": {}}).encode()
    return {
        "empty": (b"", "is empty: give a model that statecast saved"),
        "truncated": (content[:-100], "is truncated"),
        "corrupted": (content[:-5] + bytes([content[-5] ^ 1]) + content[-4:], "is damaged"),
        "foreign": (b"not a model at all", "is not a file of statecast"),
        "of another program": (len(foreign).to_bytes(8, "little") + foreign + content[8 + size :], "another program"),
        "newer": (
            len(newer).to_bytes(8, "little") + newer + content[8 + size :],
            "in format 99, and this statecast",
        ),
    }


@pytest.mark.parametrize("command", ["forecast", "describe", "stream", "backtest"])
def test_model_files(statecast: Command, plain: Path, tmp_path: Path, command: str) -> None:
    path = tmp_path / "model.safetensors"
    more = [passengers()] if command == "backtest" else []
    for content, message in damaged((plain / "model.safetensors").read_bytes()).values():
        path.write_bytes(content)
        done = statecast(command, path, *more)
        assert done.code == 1
        assert message in done.error
        assert str(path) in done.error
    path.unlink()
    assert f"there is no file {path}" in statecast(command, path, *more).error
    assert f"{tmp_path} is a folder without model.safetensors" in statecast(command, tmp_path, *more).error


# --- killed


def killed(command: list[str], when: Callable[[], bool]) -> None:
    """Run a command and kill it without mercy as soon as something holds."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            end = time.monotonic() + 60
            while not when() and running.poll() is None and time.monotonic() < end:
                time.sleep(0.005)
        finally:
            running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL


def test_a_kill_leaves_nothing_half_written_and_is_no_obstacle(statecast: Command, tmp_path: Path, plain: Path) -> None:
    """Killed before there is anything to go on from, and again while results are being written."""
    out = tmp_path / "out"
    words = ["fit", str(passengers()), *PLAIN, "--out", str(out)]
    command = [sys.executable, "-m", "statecast", *words]
    killed(command, out.exists)
    assert whole(out) <= {"checkpoint", "statecast.trial"}
    (out / "statecast.trial").write_bytes(b"statecast")  # what a kill at the very start leaves
    killed(command, (out / "history.csv").exists)
    assert {"checkpoint.safetensors", "model.safetensors", "history.csv"} <= whole(out)
    assert "holds an unfinished fit" in statecast(*words).error
    assert statecast.well(*words, "--resume", "--json").json["steps"] == 3
    one, other = (read(path / "predicted.csv").frame() for path in (out, plain))
    assert one.equals(other)


def whole(folder: Path) -> set[str]:
    """What lies in a folder under its final name."""
    return {path.name for path in folder.rglob("*") if path.suffix != ".tmp"}
