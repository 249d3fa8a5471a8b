"""What a newcomer meets: no arguments, a call that says too little, words that are nearly right, a cell of his own."""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_cases import Command, loads, passengers, plain, statecast

from statecast import config
from statecast.data import examples
from statecast.data.grid.guess import guess
from statecast.data.grid.roles import Roles
from statecast.data.tabular import table
from statecast.errors import DataError
from statecast.model.cells import CELLS

CELL = """
from statecast.model.cells import cell, sigmoid


@cell("newcomers_gru", gates=2, recurrent=2)
def gated(w, z, s):
    width = s["h"].shape[-1]
    a = z + s["h"] @ w["U"]
    u, n = sigmoid(a[..., :width]), a[..., width:]
    return {"h": u * s["h"] + (1 - u) * n * (n > 0)}, {"update": u, "candidate": n}
"""
FEW = ("--horizon", 3, "--set", "max_steps=2", "hidden=[3]", "skip=12", "lags=4", "eval_every=1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- no arguments


def test_without_arguments_it_says_what_to_type(statecast: Command, here: Path, plain: Path) -> None:
    out = statecast.well().out
    assert "statecast fit TABLE" in out
    assert 'statecast fit "$(statecast example air_passengers)" --horizon 12 --out air' in out
    (here / "my loads.csv").write_text("a\n1\n")
    (here / "model").symlink_to(plain)
    out = statecast.well().out
    assert "  statecast fit 'my loads.csv'\n" in out
    assert "  statecast forecast model\n" in out


# --- a call that says too little


def test_the_proposed_call_fits(statecast: Command, here: Path, loads: Path) -> None:
    done = statecast("fit", loads)
    assert done.code == 2
    assert done.err.splitlines()[-1] == (
        "error: --out DIR is missing; --target COL is missing. Nothing was fitted: check the command above, then run it"
    )
    words = shlex.split(done.out)
    assert words[:3] == ["statecast", "fit", str(loads)]
    roles = dict(zip(words[3::2], words[4::2], strict=True))
    assert roles == {
        "--target": "load",
        "--id": "site",
        "--time": "hour",
        "--past": "temperature",
        "--known": "holiday",
        "--static": "area",
        "--horizon": "6",
        "--out": "loads",
    }
    assert not (here / "loads").exists()
    statecast.well(*words[1:], *FEW[2:])
    assert (here / "loads" / "model.safetensors").exists()


def test_what_was_typed_stays(statecast: Command, here: Path, loads: Path) -> None:
    done = statecast("fit", loads, "--past", "area", "--set", "cell=gru", "--out", "x")
    assert done.out.startswith(f"statecast fit {loads} --past area --set cell=gru --out x --target load --id site")
    assert "--past temperature" in done.out
    assert done.err.endswith(
        "error: --target COL is missing. Nothing was fitted: check the command above, then run it\n"
    )


def test_a_call_that_says_enough_is_not_held_up(statecast: Command, here: Path) -> None:
    statecast.well("fit", passengers(), *FEW, "--out", "air")  # one column of numbers is the target


def test_a_table_from_standard_input_is_read_once(
    statecast: Command, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = examples.load("air_passengers").write_csv()
    (here / "in.csv").write_text(text)
    with (here / "in.csv").open() as file, monkeypatch.context() as patched:
        patched.setattr("sys.stdin", file)
        statecast.well("fit", "-", *FEW, "--out", "air")


def of(columns: dict[str, object], **roles: str) -> tuple[Roles, dict[str, object], str]:
    result = guess(table.read({name: np.asarray(values) for name, values in columns.items()}), Roles.of(**roles))
    return result.roles, dict(result.settings), " ".join(f"{name}: {why}" for name, why in result.reasons.items())


def days(count: int) -> np.ndarray:
    return np.datetime64("2024-01-01") + np.arange(count)


def test_rows_of_one_time_are_series_or_are_merged() -> None:
    random = np.random.default_rng(0)
    time = np.repeat(days(40), 2)
    roles, settings, _ = of({"when": time, "shop": np.tile([7, 9], 40), "till": random.normal(size=80)})
    assert (roles.id, roles.target, settings) == ("shop", ("till",), {})
    roles, settings, reasons = of({"when": time, "till": random.normal(size=80)})
    assert (roles.id, settings) == (None, {"duplicates": "first"})
    assert "40 rows repeat a time" in reasons


def test_a_covariate_that_happens_to_tell_rows_apart_is_no_series() -> None:
    roles, settings, _ = of(
        {
            "when": np.sort(np.concatenate([days(60), days(60)[:3]])),
            "load": np.arange(63.0),
            "weather": np.array([f"kind {n % 40}" for n in range(63)]),
        }
    )
    assert (roles.id, settings) == (None, {"duplicates": "first"})


def test_weather_stands_beside_what_is_to_be_forecast() -> None:
    values = np.sin(np.arange(50.0)) + 10
    columns = {"Datum": days(50), "Temperatur": values, "wind_speed": values + 1, "Stromverbrauch_kWh": 90 * values}
    roles, _, reasons = of(columns)
    assert (roles.target, roles.past) == (("Stromverbrauch_kWh",), ("Temperatur", "wind_speed"))
    assert "a guess, as the names of the other columns of numbers are of weather" in reasons


@pytest.mark.parametrize(("rows", "horizon"), [(4000, 360), (20_000, 1440), (60, 6)])
def test_a_proposed_horizon_is_a_season_or_a_round_part_of_one(rows: int, horizon: int) -> None:
    minutes = np.datetime64("2024-01-01T00:00") + np.arange(rows).astype("m8[m]")
    assert guess(table.read({"minute": minutes, "load": np.arange(float(rows))}), Roles()).horizon == horizon


def test_the_calendar_is_left_out_and_the_future_is_known() -> None:
    time = days(50)
    load = np.where(np.arange(50) < 45, np.sin(np.arange(50.0)), np.nan)
    roles, _, reasons = of(
        {
            "date": time,
            "month": time.astype("M8[M]").astype(int) % 12 + 1,
            "weekday": (time.astype(int) + 3) % 7,
            "load": load,
            "temperature": np.cos(np.arange(50.0)),
            "constant": np.ones(50),
        }
    )
    assert (roles.target, roles.known, roles.past) == (("load",), ("temperature",), ())
    assert "month: left out: it is the month of the time" in reasons
    assert "constant: left out: it never changes" in reasons


def test_columns_of_one_size_are_targets_side_by_side() -> None:
    random = np.random.default_rng(1)
    wide = {f"pump {n}": 5 + random.normal(size=30) for n in range(3)}
    assert of({"day": days(30), **wide})[0].target == tuple(wide)
    assert of({"day": days(30), **wide, "pressure": 1000 + random.normal(size=30)})[0].target == ("pump 0",)
    assert of({"day": days(30), "rain": np.zeros(30), "sales": 5 + random.normal(size=30)})[0].target == ("sales",)


def test_of_several_dates_one_is_the_time_and_the_guess_says_so() -> None:
    roles, _, reasons = of({"booked": days(30), "date": days(30) + 2, "orders": np.arange(30.0)})
    assert (roles.time, roles.past) == ("date", ())
    assert "as do 'booked'" in reasons


def test_whole_numbers_that_ascend_are_a_time_by_name() -> None:
    assert of({"year": np.arange(1900, 1950), "spots": np.arange(50.0) % 11})[0].time == "year"
    assert of({"amount": np.arange(50), "spots": np.arange(50.0) % 11})[0].time == ""


def test_times_of_day_are_no_series_and_irregular_times_are_brought_onto_a_grid() -> None:
    clock = np.array([f"{n % 24:02}:00" for n in range(72)])
    roles, _, reasons = of({"date": np.repeat(days(3), 24), "time": clock, "load": np.arange(72.0) % 24})
    assert (roles.id, roles.target) == (None, ("load",))
    assert "time: left out: it holds times of day: join it with the dates" in reasons
    gaps = np.random.default_rng(2).integers(200, 500, 90)
    stamps = np.datetime64("2024-01-01T00:00:00") + np.cumsum(gaps)
    roles, settings, _ = of({"stamp": stamps, "value": np.arange(90.0) % 7})
    assert (roles.freq, settings) == ("10min", {"aggregate": "mean"})


def test_a_table_without_numbers() -> None:
    with pytest.raises(DataError, match="no column holds numbers, so there is nothing to forecast"):
        of({"day": days(9), "word": np.array(list("abcabcabc"))})
    with pytest.raises(DataError, match="'price' holds '€ 1': write numbers without units"):
        of({"day": days(3), "price": np.array(["€ 1", "€ 2", "€ 3"])})


def test_what_stands_in_the_way_is_said(statecast: Command, here: Path) -> None:
    (here / "odd.csv").write_text("day,load\n" + "".join(f"2024-01-{d:02},{d}\n" for d in (1, 2, 4, 9, 11, 30)))
    done = statecast("fit", "odd.csv")
    assert done.code == 2
    assert done.out.startswith("statecast fit odd.csv --target load --time day")


# --- words that are nearly right


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fti",), "there is no command 'fti'; did you mean 'fit'?"),
        (("fit", "t.csv", "--targt", "x"), "there is no option --targt; did you mean '--target'"),
        (("fit", "t.csv", "--learning-rate", "1"), "a setting is given as --set learning_rate=…"),
        (("fit", "t.csv", "--seed", "1"), "there is no option --seed; a setting is given as --set random_state=…"),
        (
            ("fit", "t.csv", "--preset", "fst"),
            "--preset 'fst': expected one of fast, balanced, best; did you",
        ),
    ],
)
def test_the_nearest_is_named(statecast: Command, words: tuple[str, ...], message: str) -> None:
    done = statecast(*words)
    assert (done.code, message in done.error) == (2, True), done.error


# --- a cell of one's own


def test_a_cell_of_ones_own_is_named_with_its_module(statecast: Command, here: Path) -> None:
    (here / "newcomers.py").write_text(CELL)
    try:
        words = ("fit", passengers(), *FEW, "cell=newcomers:newcomers_gru", "--out", "air")
        done = statecast.well(*words)
        assert done.out.splitlines()[-1] == "next: statecast forecast air --cells newcomers"
        assert 'cell = "newcomers_gru"' in (here / "air" / "config.toml").read_text()  # no module in a file
        forget("newcomers_gru")
        done = statecast("forecast", "air")
        assert "its cell is 'newcomers_gru'" in done.error
        assert done.error.endswith("here: add --cells MODULE")
        assert "newcomers_gru" not in CELLS  # nothing was imported on behalf of a file
        sys.modules.pop("newcomers")
        statecast.well("forecast", "air", "--cells", "newcomers")
        done = statecast("fit", passengers(), "--set", "cell=newcomers:gated", "--out", "other")
        assert "newcomers registers no cell 'gated'" in done.error
        assert "known: newcomers_gru" in done.error
        done = statecast(
            "fit", passengers(), "--by", "month", "--set", "cell=newcomers:newcomers_gru", "--out", "other"
        )
        assert "workers know only the built-in cells" in done.error
    finally:
        forget("newcomers_gru")


def forget(name: str) -> None:
    CELLS.pop(name, None)
    if name in config.CELLS:
        config.CELLS.remove(name)


def test_a_file_imports_nothing(statecast: Command, here: Path) -> None:
    (here / "newcomers2.py").write_text("raise SystemExit(9)")
    (here / "fit.toml").write_text('cell = "newcomers2:x"\n')
    done = statecast("fit", passengers(), "--config", "fit.toml", "--out", "air")
    assert (done.code, "type --set cell=module:name" in done.error) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cells", "absent"), "--cells: there is no module 'absent' in "),
        (("--cells=../up"), "expected the name of a module"),
        (("--cells"), "--cells '': expected the name of a module"),
        (("--cells", "broken"), "--cells: the module 'broken' cannot be imported: ValueError: out of order"),
        (("--cells", "lacking"), "'lacking' cannot be imported: ModuleNotFoundError: No module named 'nothing_such'"),
    ],
)
def test_modules_that_cannot_be_imported(
    statecast: Command, here: Path, words: tuple[str, ...] | str, message: str
) -> None:
    (here / "broken.py").write_text("raise ValueError('out of order')")
    (here / "lacking.py").write_text("import nothing_such")
    done = statecast("settings", *([words] if isinstance(words, str) else words))
    assert (done.code, message in done.error) == (2, True), done.error
