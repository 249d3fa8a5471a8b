"""`statecast replay`: the rows of a table as a stream would have met them, on a terminal and elsewhere."""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from cli_cases import Command, loads, passengers, plain, rich, statecast

from statecast.cli import playing, screen
from statecast.data import checks, results
from statecast.data.tabular import table
from statecast.errors import DataError, UnknownSeries
from statecast.forecast.playback import Playback
from statecast.forecast.stream import Stream
from statecast.model import archive

LATER = [("1961-01-01", 450.0), ("1961-02-01", 430.0), ("1961-04-01", 470.0)]


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """Rows that go on where the passengers end; a month is missing."""
    path = tmp_path / "later.csv"
    path.write_text("month,passengers\n" + "".join(f"{month},{value}\n" for month, value in LATER))
    return path


def playback(folder: Path, source: Path, **arguments: object) -> Playback:
    model = archive.load(folder)
    return Playback.of(model, checks.panel_like(table.read(source), model.schema), **arguments)  # type: ignore[arg-type]


def test_later_rows_go_on_where_the_model_ends(plain: Path, later: Path) -> None:
    played, stream = playback(plain, later), Stream.load(plain)
    rows = list(played)
    assert played.learned == 0
    assert [row.value for row in rows if not math.isnan(row.value)] == [value for _, value in LATER]
    before = None
    for row, value in zip(rows, (450.0, 430.0, None, 470.0), strict=True):
        forecast = stream.observe("passengers", value)
        np.testing.assert_array_equal(row.ahead, forecast.values[:, 0])
        if before is None:
            assert math.isnan(row.expected)
        else:
            assert row.expected == before.values[0, 0]
            assert (row.lower, row.upper) == (before.lower[80][0, 0], before.upper[80][0, 0])
        before = forecast


def test_rows_of_the_fit_follow_the_rows_before_them(rich: Path, loads: Path) -> None:
    """All roles of covariates, and series of unequal length: the states are those of a stream that saw every row."""
    played, all_rows = playback(rich, loads, rows=2), playback(rich, loads, rows=1000)
    assert (played.learned, all_rows.learned) == (played.panel.rows, all_rows.panel.rows)
    last = {(row.id, row.time): row for row in all_rows}
    rows = list(played)
    assert {row.id for row in rows} == {"site-0", "site-1", "site-2"}
    assert len(rows) == 6
    for row in rows:
        np.testing.assert_array_equal(row.ahead, last[row.id, row.time].ahead)


def test_rows_are_chosen(rich: Path, loads: Path) -> None:
    whole = playback(rich, loads, rows=1000, series="site-1").panel
    begin = int(whole.time[10])
    part = playback(rich, loads, begin=begin, rows=5, series="site-1").panel
    assert (part.ids, part.time.tolist()) == (("site-1",), whole.time[10:15].tolist())
    with pytest.raises(UnknownSeries, match="no series 'site-9'; did you mean"):
        playback(rich, loads, series="site-9")
    with pytest.raises(DataError, match="nothing to play: the table has no row from that time on"):
        playback(rich, loads, begin=int(whole.time[-1]) + 10**12)


def test_the_test_rows_of_a_fit_without_refit_are_played(statecast: Command, tmp_path: Path) -> None:
    words = ("--time", "month", "--horizon", 3, "--test-size", 24, "--set", "max_steps=0", "skip=12", "refit=false")
    statecast.well("fit", passengers(), *words, "--out", tmp_path / "air")
    assert statecast.well("replay", tmp_path / "air", passengers(), "--json").json["values"] == 24
    assert playback(tmp_path / "air", passengers()).learned == 0


def test_where_nobody_watches_only_figures_are_printed(
    statecast: Command, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(playing.time, "sleep", pauses.append)
    done = statecast.well("replay", plain, passengers(), "--rows", 5)
    assert max(pauses) == 0
    assert done.out.splitlines()[0] == "5 values arrived: 0 unusual, 0 drifts."
    assert "One step ahead the mean absolute error was" in done.out
    assert "The 80 % interval contained" in done.out
    assert done.err.startswith("the network has learned from 5 of these 5 rows")
    figures = statecast.well("replay", plain, passengers(), "--rows", 5, "--json").json
    assert (figures["values"], figures["judged"], figures["level"]) == (5, 4, 80)


def test_alarms_are_lines(statecast: Command, plain: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd.csv"
    odd.write_text("month,passengers\n1961-01-01,450\n1961-02-01,9000\n")
    lines = statecast.well("replay", plain, odd).out.splitlines()
    assert lines[0].startswith("1961-02-01  unusual: 9,000, ")
    assert lines[1].startswith("2 values arrived: 1 unusual")


def test_a_terminal_gets_a_line_for_each_row_at_an_even_pace(
    statecast: Command, plain: Path, later: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(playing.time, "sleep", pauses.append)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    coloured = statecast.well("replay", plain, later, "--seconds", 40).out
    lines = re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines()
    assert [line[:10] for line in lines[:4]] == ["1961-01-01", "1961-02-01", "1961-03-01", "1961-04-01"]
    assert "│" in lines[0]
    assert all(len(line) <= 100 for line in lines)
    assert lines[1].split()[1] == "430.0"
    assert " to " in lines[1]
    assert pauses == pytest.approx([10, 20, 30, 40], abs=5)  # seconds since the start, as no pause was made


def test_ctrl_c_ends_it_with_the_figures(
    statecast: Command, plain: Path, later: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(playing.time, "sleep", interrupt)
    done = statecast("replay", plain, later)
    assert (done.code, done.err) == (130, "")
    assert done.out == "1 value arrived: 0 unusual, 0 drifts.\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seconds", "-1"), "--seconds -1: expected a number from 0 to 86,400"),
        (("--seconds", "nan"), "--seconds nan: expected"),
        (("--rows", "0"), "--rows 0: expected a whole number of at least 1"),
        (("--from", "soon"), "'soon'"),
    ],
)
def test_wrong_calls(statecast: Command, plain: Path, words: tuple[str, ...], message: str) -> None:
    done = statecast("replay", plain, passengers(), *words)
    assert message in done.error
    assert done.code in (1, 2)


def test_a_sketch_has_one_scale() -> None:
    assert screen.sketch([0.0, 7.0, math.nan], [3.5, 14.0]) == ("▁▅·", "▃█")
    assert screen.sketch([5.0, 5.0], [5.0]) == ("▁▁", "▁")
    assert screen.sketch([math.nan], []) == ("·", "")
    assert screen.binned(np.arange(6.0), 3) == [0.5, 2.5, 4.5]
    assert screen.binned(np.arange(2.0), 3) == [0.0, 1.0]
