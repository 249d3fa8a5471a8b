"""Holidays: from settings and the package into the schema, and what a network is told of them, wherever it runs."""

from __future__ import annotations

import datetime
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from forecast_cases import HEADS, close, model, panel
from hypothesis import given
from hypothesis import strategies as st
from lying_files import File

import statecast as sc
from statecast.cli import main
from statecast.cli.options import fit_request
from statecast.config import Config
from statecast.data import checks, cycles, holidays
from statecast.data.calendar import Frequency
from statecast.data.grid.roles import Roles
from statecast.data.holidays import NEAR, NEARNESS, RARE, Holidays
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.tabular import table
from statecast.data.zones import DAY, HOUR
from statecast.errors import MissingDependency, ModelFileError, SettingError
from statecast.forecast.explain import explain
from statecast.forecast.hindcast.backtest import backtest
from statecast.forecast.predict import forecast, from_table
from statecast.forecast.runner import Runner
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.trained import Model

DATES = ("2024-01-01 New Year's Day", "2024-01-06", "2024-01-11 Fair", "2024-01-29")
FIRST = int(np.datetime64("2024-01-01", "D").astype(np.int64))


def days_of(of: Any) -> list[str]:
    return [str(np.datetime64(day, "D")) for day in of.days]


# --- the setting


@pytest.mark.parametrize(
    "value",
    [
        list(DATES),
        {
            "2024-01-01": "New Year's Day",
            datetime.date(2024, 1, 6): "",
            datetime.datetime(2024, 1, 11): "Fair",
            "2024-01-29": "",
        },
        [
            ("2024-01-01", "New Year's Day"),
            datetime.date(2024, 1, 6),
            [pd.Timestamp("2024-01-11"), "Fair"],
            np.datetime64("2024-01-29"),
        ],
    ],
    ids=["strings", "mapping", "dates and pairs"],
)
def test_dates_and_names_have_many_spellings_and_one_form(value: Any) -> None:
    config = Config(holidays=value)
    assert config.holidays == DATES
    assert Config.of(_toml(config)) == config


def _toml(config: Config) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(config.to_toml())


@pytest.mark.parametrize(("value", "form"), [("de", "DE"), (" de-BY ", "DE-BY"), ("nyse", "NYSE"), ("de-by", "DE-by")])
def test_codes_are_of_a_region_and_a_part(value: str, form: str) -> None:
    assert Config(holidays=value).holidays == form


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Germany!",
        [],
        ["2024-13-01"],
        ["25.12.2024"],
        ["2024-12-25", "2024-12-25 Christmas"],
        {1: "one"},
        {"2024-12-25": 3},
        [datetime.datetime(2024, 1, 1, 12)],
        ["2024-12-25 " + 61 * "x"],
        ["2024-12-25 two\nlines"],
        [str(np.datetime64(day, "D")) for day in range(1001)],
        3,
    ],
    ids=str,
)
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(SettingError, match=r"holidays = .*expected the code of a country"):
        Config(holidays=value)


def test_holidays_are_told_with_the_calendar() -> None:
    with pytest.raises(SettingError, match="with calendar = false: holidays are inputs of the calendar"):
        Config(holidays="DE", calendar=False)


# --- dates of a country


def rows(first: str = "2023-06-01", count: int = 30, freq: str = "D") -> Any:
    return table.read(
        pd.DataFrame({"day": pd.date_range(first, periods=count, freq=freq), "y": np.arange(count) * 1.0})
    )


def schema_for(setting: Any, **kinds: Any) -> Schema:
    return checks.panel(rows(**kinds), Roles.of("y", time="day"), dates=Config(holidays=setting).holidays)[1]


def test_a_country_is_known_from_the_year_before_the_table_to_half_a_century_after_it() -> None:
    pytest.importorskip("holidays", reason="the extra `holidays` is not installed")
    source = rows()
    _, schema = checks.panel(source, Roles.of("y", time="day"), dates="DE")
    found = days_of(schema.holidays)
    assert (found[0], found[-1]) == ("2022-01-01", "2073-12-26")
    assert dict(zip(found, schema.holidays.names, strict=True))["2024-12-25"] != ""
    assert "from 2022-01-01 to 2073-12-26" in source.reasons["known holidays"]
    part = schema_for("DE-by").holidays
    assert set(part.days) > set(schema.holidays.days)
    assert "2023-07-04" in days_of(schema_for("NYSE").holidays)


@pytest.mark.parametrize(
    ("code", "reason"),
    [("XX", "knows no 'XX'"), ("DE-ZZ", "DE has no part 'ZZ'"), ("QQQQ", "knows no 'QQQQ'")],
)
def test_a_code_that_the_package_does_not_know(code: str, reason: str) -> None:
    pytest.importorskip("holidays", reason="the extra `holidays` is not installed")
    with pytest.raises(SettingError, match=reason):
        schema_for(code)


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(MissingDependency, match=r"holidays = 'DE'.*statecast\[holidays\]"):
        schema_for("DE")
    assert len(schema_for(DATES).holidays.days) == 4  # a list needs none


def test_holidays_need_dates() -> None:
    for columns in ({"y": np.arange(30.0)}, {"y": np.arange(30.0), "t": np.arange(30)}):
        with pytest.raises(SettingError, match="they need a column of dates"):
            checks.panel(table.read(columns), Roles.of("y", time="t" if "t" in columns else ""), dates=DATES)


def test_a_list_that_ends_with_the_table_is_pointed_out() -> None:
    source = rows("2024-01-01", 40)
    checks.panel(source, Roles.of("y", time="day"), dates=DATES)
    assert "none after the table's end" in source.reasons["known holidays"]


# --- what a network is told


def test_the_days_to_the_next_and_since_the_last_one() -> None:
    of = holidays.of_setting(DATES, np.zeros(1, np.int64))
    day = FIRST + np.arange(12)
    on, to, since = of.features(day).T
    np.testing.assert_allclose(on / RARE, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0])
    np.testing.assert_allclose((1 - to / NEARNESS) * NEAR, [0, 4, 3, 2, 1, 0, 4, 3, 2, 1, 0, 5])
    np.testing.assert_allclose((1 - since / NEARNESS) * NEAR, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1])


@given(st.lists(st.integers(-3_000_000, 3_000_000), max_size=20, unique=True), st.integers(-3_000_100, 3_000_100))
def test_one_day_is_told_as_a_column_is(days: list[int], day: int) -> None:
    of = Holidays(tuple(sorted(days)), ("",) * len(days))
    assert of.features_at(day) == of.features(np.array([day]))[0].tolist()
    near = [other for other in days if abs(other - day) < NEAR]
    assert (of.features_at(day)[0] > 0) == (day in days)
    assert any(of.features_at(day)) == bool(near)


@pytest.mark.parametrize("freq", ["6h", "1d", "B", "2d", "1w", "1mo", "1q"])
@pytest.mark.parametrize("tz", [None, "Asia/Tokyo"])
def test_a_stream_and_a_table_are_told_the_same(freq: str, tz: str | None) -> None:
    schema = Schema(("y",), None, "t", "text", "datetime", tz, Frequency.parse(freq))
    schema = replace(schema, holidays=holidays.of_setting(DATES, np.zeros(1, np.int64)))
    names = schema.calendar_features
    step = {"6h": 3, "1d": 3, "B": 3}.get(freq, 1)
    assert [name.rpartition("_")[0] for name in names[-step:]] == ["holiday"] * step
    time = np.asarray(schema.frequency.advance(FIRST * DAY, np.arange(60)), np.int64)
    every = cycles.features(time, schema.frequency, tz, names, schema.holidays)
    one = [cycles.features_at(int(t), schema.frequency, tz, names, schema.holidays) for t in time]
    np.testing.assert_array_equal(every[:, -step:], np.array(one)[:, -step:])
    if step == 1:
        assert every[:, -1].sum() == 4  # each date is in one step
        assert every[0, -1] == {"2d": 1, "1w": 2, "1mo": 4, "1q": 4}[freq]


def test_days_are_those_of_the_local_clock() -> None:
    of = holidays.of_setting(("2024-01-06",), np.zeros(1, np.int64))
    midnight = (FIRST + 5) * DAY - 9 * HOUR  # in Tokyo
    time = midnight + HOUR * np.arange(-1, 25)
    on = cycles.features(time, Frequency.parse("1h"), "Asia/Tokyo", holidays.BY_DAY, of)[:, 0] > 0
    assert on.tolist() == [False, *[True] * 24, False]


# --- wherever a network runs


def told(head: str = "point", **settings: Any) -> Model:
    return model(targets=2, head=head, freq="1d", holidays=DATES, precision="float64", **settings)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("covariates", [False, True])
def test_a_stream_knows_the_holidays_to_come(head: str, covariates: bool) -> None:
    of = told(head, independent=True, covariates=covariates)
    if covariates:
        assert of.network.front.future == 2 * of.network.front.known + of.network.front.calendar
        return  # other tests stream with known covariates
    of_table, stream = panel(of, (9, 5)), Stream(of)
    for s, span in enumerate(of_table.spans()):
        for row in range(span.start, span.stop):
            stream.observe(of_table.ids[s], of_table.y[row], int(of_table.time[row]))
    for horizon in (3, 8):
        close(stream.forecast(horizon=horizon).values, from_table(of, of_table, horizon).values, "float64")
    many = Stream(of)
    for row in range(5):
        both = [int(span.start) + row for span in of_table.spans()]
        many.observe_many(of_table.ids, of_table.y[both], of_table.time[both])
    cut = of_table.cut(np.array([5, 5]))
    close(many.forecast(horizon=8).values, from_table(of, cut, 8).values, "float64")


def without(of: Model) -> Model:
    return replace(of, schema=replace(of.schema, holidays=Holidays((FIRST + 400,), ("",))))


def test_a_forecast_depends_on_the_holidays_of_its_own_days() -> None:
    of = told()
    of_table = panel(of, (9,))  # to 2024-01-10, so that the Fair is the first step ahead
    ordinary, special = (from_table(each, of_table, 6).values[0, :, 0] for each in (without(of), of))
    assert abs(ordinary - special).min() > 1e-4
    later = replace(of, schema=replace(of.schema, holidays=Holidays((FIRST + 12,), ("",))))
    before = replace(of, schema=replace(of.schema, holidays=Holidays((FIRST + 300,), ("",))))
    first, second = (from_table(each, of_table.cut(np.array([3])), 3).values[0, :, 0] for each in (later, before))
    np.testing.assert_array_equal(first, second)  # the rows and the days ahead are farther than NEAR from both


def test_kernel_and_numpy_agree() -> None:
    of = told(hidden=(4, 3))
    of_table = panel(of, (9, 6))
    runner = Runner(of)
    assert runner.native
    slow = Runner(of)
    slow._native = slow._follower = None  # type: ignore[assignment]
    slow._in_place = False
    state = replace(of, state=of.state)
    fast, plain = (from_table_with(each, state, of_table) for each in (runner, slow))
    close(fast, plain, "float64")


def from_table_with(runner: Runner, of: Model, of_table: Panel) -> np.ndarray:
    stream = Stream(of)
    stream._runner = runner
    stream._roster._runner = runner
    for s, span in enumerate(of_table.spans()):
        for row in range(span.start, span.stop):
            stream.observe(of_table.ids[s], of_table.y[row], int(of_table.time[row]))
    return forecast(of, stream.state, 7, runner=runner).values


def test_a_backtest_and_an_explanation_know_them() -> None:
    of = told(independent=True)
    of_table = panel(of, (30, 25), gaps=False)
    of_table = replace(of_table, y=np.nan_to_num(of_table.y, nan=1.0))
    columns = backtest(of, of_table, windows=3, step=2).columns()
    cut = of_table.cut(np.array([30 - 3, 1]))
    last = columns["statecast"].reshape(2, 2, 3, 3)[0, :, -1]
    close(last.T, from_table(of, cut).values[0], "float64")
    result = explain(of, of_table, np.array([5, 5]))
    assert result is not None
    importance = {item.name: (item.kind, item.importance) for item in result.inputs}
    assert importance["holiday"][0] == "calendar" and importance["holiday"][1] != 0


def test_a_file_carries_the_dates_and_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    of = told()
    of_table = panel(of, (9,))
    expected = from_table(of, of_table, 8)
    monkeypatch.setitem(sys.modules, "holidays", None)
    again = archive.from_bytes(archive.to_bytes(of))
    assert again.schema.holidays == of.schema.holidays
    np.testing.assert_array_equal(from_table(again, of_table, 8).values, expected.values)
    assert json.loads(json.dumps(of.schema.to_json()))["holidays"]["Fair"] == [FIRST + 10]


def test_a_fit_learns_what_a_holiday_does() -> None:
    rng = np.random.default_rng(0)
    special = np.sort(rng.choice(900, 45, replace=False))
    y = 100 + rng.normal(0, 1, 900)
    y[special] -= 20
    frame = pd.DataFrame({"day": pd.date_range("2021-01-01", periods=900), "y": y})
    dates = [str(np.datetime64("2021-01-01") + np.timedelta64(n, "D")) for n in (*special, 903, 909)]
    forecaster = sc.Forecaster(horizon=7, holidays=dates, hidden=(8,), max_steps=300).fit(frame, "y", time="day")
    values = forecaster.forecast(horizon=14).values[0, :, 0]
    ordinary = np.delete(values, [3, 9])
    assert values[3] < ordinary.min() - 5  # within the horizon
    assert values[9] < ordinary.min() - 5  # beyond it


def test_a_description_says_which_are_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive.save(replace(told(), scores={}), tmp_path / "m")
    assert main(["describe", str(tmp_path / "m")]) == 0
    assert "4 dates from 2024-01-01 to 2024-01-29" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"holidays is \[\], not a mapping"),
        ({"Fair": 3}, "the holidays 'Fair' are 3, not a list of days"),
        ({"Fair": [True]}, "not a list of days"),
        ({"Fair": [1.5]}, "not a list of days"),
        ({"Fair": [FIRST, FIRST]}, "comes twice"),
        ({"Fair": [FIRST], "Other": [FIRST]}, "comes twice"),
        ({"Fair": [10**9]}, "lies outside the years 1 to 9999"),
        ({}, "and its columns make"),
    ],
    ids=str,
)
def test_a_file_that_lies_about_holidays(values: Any, message: str) -> None:
    file = File(archive.to_bytes(told()))
    file.texts["schema"] = json.dumps(json.loads(file.texts["schema"]) | {"holidays": values})
    with pytest.raises(ModelFileError, match=message):
        archive.from_bytes(file.bytes())


def test_settings_and_columns_agree_on_whether_there_are_holidays() -> None:
    file = File(archive.to_bytes(told()))
    file.texts["config"] = told().config.with_(holidays=None).to_toml()
    with pytest.raises(ModelFileError, match="settings and its columns disagree on whether there are holidays"):
        archive.from_bytes(file.bytes())


def test_the_longest_list_comes_back() -> None:
    name = 60 * "\\"  # which TOML writes twice as long
    dates = [f"{np.datetime64('1990-01-01') + np.timedelta64(7 * n, 'D')} {name}" for n in range(1000)]
    of = model(freq="1d", holidays=dates)
    assert archive.from_bytes(archive.to_bytes(of)).config.holidays == tuple(dates)


def test_a_toml_file_and_the_command_line_state_them(tmp_path: Path) -> None:
    (tmp_path / "fit.toml").write_text('[holidays]\n"2024-01-06" = ""\n"2024-01-11" = "Fair"\n')
    assert fit_request(None, str(tmp_path / "fit.toml"), ()).settings["holidays"]["2024-01-11"] == "Fair"
    for text, form in (("holidays=de-by", "DE-by"), ('holidays=["2024-01-06"]', ("2024-01-06",))):
        settings = fit_request(None, str(tmp_path / "fit.toml"), (text,)).settings
        assert Config.of(settings).holidays == form
