"""Rows of one time and rows of one step: what becomes of them, beside what pandas makes of the same table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import statecast as sc
from statecast.data import checks
from statecast.data.calendar import Frequency
from statecast.data.grid.merging import Merging
from statecast.data.grid.roles import Roles
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.tabular import table
from statecast.errors import DataError, SettingError

TRAFFIC = Path(__file__).resolve().parents[2] / "shared/data/traffic/Metro_Interstate_Traffic_Volume.csv"
RULES = ["first", "last", "mean", "sum", "min", "max"]
NAN = np.nan


def fit(frame: Any, merging: Merging, target: Any = "y", **roles: Any) -> tuple[Panel, Schema]:
    return checks.panel(table.read(frame), Roles.of(target, **roles), merging)


def events(seed: int = 0, rows: int = 300) -> pd.DataFrame:
    """Irregular events of two series over ten days, with missing values, in no order."""
    random = np.random.default_rng(seed)
    seconds = random.integers(0, 86_400 * 10, rows)
    y = np.where(random.random(rows) < 0.2, NAN, random.integers(1, 9, rows))
    return pd.DataFrame(
        {
            "id": random.choice(["a", "b"], rows),
            "t": pd.Timestamp("2024-03-25 00:00:01") + pd.to_timedelta(seconds, unit="s"),
            "y": y,
            "x": random.standard_normal(rows),
        }
    )


@pytest.mark.parametrize(
    ("rule", "y"),
    [
        ("first", [1, 2, 5]),
        ("last", [3, 2, 6]),
        ("mean", [2, 2, 5.5]),
        ("sum", [4, 2, 11]),
        ("min", [1, 2, 5]),
        ("max", [3, 2, 6]),
    ],
)
def test_rows_of_one_time_become_one_by_the_rule(rule: str, y: list[float]) -> None:
    frame = {
        "t": np.array([3, 1, 1, 2, 3, 2, 1]),
        "y": np.array([5.0, 1, NAN, NAN, 6, 2, 3]),
        "x": np.array([1.0, 2, 4, 3, 3, 3, 6]),
        "c": np.array(["u", "v", "w", None, "w", "u", None], object),
    }
    panel, schema = fit(frame, Merging(rule), time="t", past=["x", "c"])
    np.testing.assert_array_equal(panel.y[:, 0], y)
    assert panel.time.tolist() == [1, 2, 3]
    x = {"first": [2, 3, 1], "last": [6, 3, 3]}.get(rule, [4, 3, 2])  # covariates have no sum: they are averaged
    np.testing.assert_array_equal(panel.past[:, 0], x)
    category = schema.past[1].categories.index("v" if rule == "first" else "w")
    assert panel.past[0, 1 + category] == 1


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("freq", "pandas"), [("1h", "1h"), ("1d", "1D"), ("1w", "W-SUN"), ("1mo", "MS"), ("15m", "15min")]
)
def test_events_become_steps_as_pandas_resamples_them(rule: str, freq: str, pandas: str) -> None:
    frame = events()
    panel, schema = fit(frame, Merging(aggregate=rule), id="id", time="t", freq=freq)
    assert schema.frequency == Frequency.parse(freq)
    for s, name in enumerate(["a", "b"]):
        expected = frame[frame.id == name].sort_values("t", kind="stable").set_index("t").y.resample(pandas).agg(rule)
        mine = panel.y[panel.span(s), 0]
        if rule == "sum":  # pandas adds up what is missing to 0 as well
            counts = frame[frame.id == name].set_index("t").y.resample(pandas).size().to_numpy()
            assert np.isnan(mine[(expected == 0) & (counts > 0)]).all()
            mine = np.nan_to_num(mine)
        np.testing.assert_allclose(mine, expected.to_numpy(), atol=1e-12)


@pytest.mark.parametrize(("freq", "pandas"), [("1d", "1D"), ("6h", "6h")])
def test_steps_of_a_zone_begin_by_its_clock(freq: str, pandas: str) -> None:
    frame = events().drop(columns="id")
    frame["t"] = (frame.t - pd.Timedelta(days=60)).dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    panel, schema = fit(frame, Merging(aggregate="sum"), time="t", freq=freq)
    expected = frame.set_index("t").y.resample(pandas).sum()
    np.testing.assert_allclose(np.nan_to_num(panel.y[:, 0]), expected.to_numpy())
    assert schema.tz == "America/New_York"


def test_a_step_without_events_is_missing_unless_they_are_summed() -> None:
    frame = {"t": np.array([10, 11, 38]), "y": np.array([1.0, 2, 4])}
    for rule, y in (("sum", [3, 0, 4]), ("mean", [1.5, NAN, 4])):
        panel, _ = fit(frame, Merging(aggregate=rule), time="t", freq="10")
        assert panel.time.tolist() == [10, 20, 30]
        np.testing.assert_array_equal(panel.y[:, 0], y)
    regular, _ = fit({"t": np.array([1, 2, 2, 4]), "y": np.ones(4)}, Merging("sum"), time="t")
    np.testing.assert_array_equal(regular.y[:, 0], [1, 2, NAN, 1])  # a missing row is no event that did not happen


def test_doubles_can_go_before_events_are_summed() -> None:
    frame = {"t": np.array([10, 10, 11, 12]), "y": np.array([1.0, 1, 2, 4])}
    panel, _ = fit(frame, Merging("first", "sum"), time="t", freq="10")
    assert panel.y.tolist() == [[7]]
    panel, _ = fit(frame, Merging(aggregate="sum"), time="t", freq="10")
    assert panel.y.tolist() == [[8]]


def test_later_tables_are_read_alike() -> None:
    frame = events()
    panel, schema = fit(frame, Merging(aggregate="mean"), id="id", time="t", freq="1h", past="x")
    again = checks.panel_like(table.read(frame), schema, merging=Merging(aggregate="mean"))
    np.testing.assert_array_equal(again.y, panel.y)
    np.testing.assert_array_equal(again.past, panel.past)
    with pytest.raises(DataError, match="is not a whole number of steps of 1h"):
        checks.panel_like(table.read(frame), schema)


def test_rows_known_ahead_are_merged_alike() -> None:
    frame = {"t": [1, 2], "y": [1.0, 2], "x": [1.0, 2]}
    panel, schema = fit(frame, Merging(), time="t", known="x")
    future = table.read({"t": [4, 3, 4, 4], "x": [5.0, 4, 6, NAN]})
    with pytest.raises(DataError, match="row 0 and row 2 are of one series and time: keep one of them"):
        checks.ahead_like(future, schema, panel.ids, panel.time[-1:])
    for rule, x in (("first", 5), ("last", 6), ("mean", 5.5), ("sum", 5.5)):
        ahead, offsets = checks.ahead_like(future, schema, panel.ids, panel.time[-1:], Merging(rule))
        assert (ahead.tolist(), offsets.tolist()) == ([[4], [x]], [0, 2])
    _, steps = fit(
        {"t": [10, 21], "y": [1.0, 2], "x": [1.0, 2]}, Merging(aggregate="sum"), time="t", known="x", freq="10"
    )
    later = table.read({"t": [35, 38], "x": [1.0, 3]})
    ahead, _ = checks.ahead_like(later, steps, panel.ids, np.array([20]), Merging(aggregate="sum"))
    assert ahead.tolist() == [[2]]


def test_static_values_stay_what_they_are() -> None:
    frame = {"i": ["a"] * 3, "t": [1, 1, 2], "y": [1.0, 2, 3], "q": [0.1, 0.1, 0.1]}
    panel, _ = fit(frame, Merging("mean"), id="i", time="t", static="q")
    assert panel.static.tolist() == [[0.1]]


def test_what_is_refused() -> None:
    frame = {"t": np.array([1, 2, 2]), "y": np.ones(3)}
    with pytest.raises(DataError, match=r"two rows for 2, row 1 and row 2: keep one .* with the setting duplicates"):
        fit(frame, Merging(), time="t")
    with pytest.raises(SettingError, match="aggregate = 'sum' gathers the rows of a step, which needs freq"):
        fit(frame, Merging(aggregate="sum"), time="t")
    with pytest.raises(SettingError, match="which needs a time column"):
        fit({"y": np.ones(3)}, Merging(aggregate="sum"), freq="1")


def test_two_rows_at_one_time_of_a_clock_that_was_set_back_are_doubles() -> None:
    """02:00 came twice on that night: a daily series has room for one of them, and loses none without a word."""
    stamps = ["10-25T00", "10-26T00", "10-27T00", "10-27T01", "10-28T01"]
    times = pd.DatetimeIndex([f"2024-{text}:00Z" for text in stamps]).tz_convert("Europe/Berlin")
    frame = pd.DataFrame({"t": times, "y": np.arange(5.0)})
    for freq in ("1d", None):
        with pytest.raises(DataError, match="two rows for 2024-10-27 02:00:00, row 2 and row 3: keep one"):
            fit(frame, Merging(), time="t", freq=freq)
    panel, schema = fit(frame, Merging("sum"), time="t")
    assert panel.y[:, 0].tolist() == [0, 1, 5, 4]
    again = checks.panel_like(table.read(frame), schema, merging=Merging("first"))
    assert again.y[:, 0].tolist() == [0, 1, 2, 4]
    with pytest.raises(DataError, match="two rows for"):
        checks.panel_like(table.read(frame), schema)


def test_errors_name_the_rows_of_the_table() -> None:
    frame = {"t": [1, 1, 2, 3, 10_000_000], "y": np.ones(5)}
    with pytest.raises(DataError, match=r"the widest gap is before row 4 \(3 to 10000000\)"):
        fit(frame, Merging("first"), time="t")
    with pytest.raises(DataError, match=r"row 4: .* is not a whole number of steps of 2"):
        fit({"t": [1, 1, 3, 5, 8], "y": np.ones(5)}, Merging("first"), time="t", freq="2")


@pytest.mark.skipif(not TRAFFIC.exists(), reason="needs ../shared/data/traffic")
def test_a_real_table_with_doubles_and_gaps() -> None:
    panel, schema = checks.panel(table.read(TRAFFIC), Roles.of("traffic_volume", past="temp"), Merging("first"))
    frame = pd.read_csv(TRAFFIC).groupby("date_time").traffic_volume.first()
    expected = frame.set_axis(pd.to_datetime(frame.index)).asfreq("1h")
    np.testing.assert_array_equal(panel.y[:, 0], expected.to_numpy())
    assert (schema.time, schema.frequency.text) == ("date_time", "1h")


def test_a_fit_and_all_that_follows_it_read_by_the_settings() -> None:
    frame = events(rows=600).drop(columns="id")
    settings = {"max_steps": 1, "hidden": (), "skip": 4, "season": 1, "test_size": 20, "refit": False}
    model = sc.Forecaster(aggregate="sum", horizon=2, **settings).fit(frame, "y", freq="1h")
    assert model.reasons_["time"] == "the column 't' alone holds dates, so it is the time of the rows"
    hours = frame.set_index("t").y.resample("1h").sum(min_count=0)
    assert model.predict().t.tolist() == [hours.index[-1] + pd.Timedelta(hours=n) for n in (1, 2)]
    pd.testing.assert_frame_equal(model.predict(frame), model.predict())
    assert model.backtest(frame, windows=2).y.isna().sum() < 4
    with pytest.raises(DataError, match="two rows for"):
        sc.Forecaster(**settings).fit(pd.concat([frame, frame]), "y")
