from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statecast.data import checks, examples, results
from statecast.data.calendar import Frequency
from statecast.data.grid.roles import Roles
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.tabular import frames, table
from statecast.data.tabular.columns import Clock
from statecast.errors import DataError, SettingError, UnknownSeries

ROLES = Roles.of("load", "site", "hour", past="temperature", known="holiday", static="area")
HOUR = np.timedelta64(1, "h")
NATIVES = ["polars", "pandas", "pyarrow", "numpy"]


def hours(*steps: float, start: str = "2024-01-01") -> np.ndarray:
    return np.datetime64(start, "us") + np.array([round(60 * step) for step in steps]) * np.timedelta64(1, "m")


def fit(columns: Any, *args: Any, **roles: Any) -> tuple[Panel, Schema]:
    return checks.panel(table.read(columns), args[0] if args else Roles.of(**roles))


def same(a: Panel, b: Panel) -> None:
    assert a.ids == b.ids
    for name in ("y", "time", "offsets", "past", "known", "static", "ahead", "ahead_offsets"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


# --- every library, every kind -----------------------------------------------------------------------------------


@pytest.mark.parametrize("native", NATIVES)
@pytest.mark.parametrize("kind", ["datetime", "aware", "date", "integer", "row", "text"])
@pytest.mark.parametrize("ids", ["text", "integer", None])
def test_every_library_and_kind(native: Any, kind: str, ids: str | None) -> None:
    series = [0, 0, 0, 1, 1] if ids else [0] * 5
    steps = np.array([0, 1, 2, 0, 1] if ids else [0, 1, 2, 3, 4])
    columns: dict[str, np.ndarray] = {"v": np.array([1.0, np.nan, 3.0, 4.0, 5.0])}
    if ids:
        columns["id"] = np.array(["a", "b"], dtype=object)[series] if ids == "text" else np.array([30, 7])[series]
    day = np.datetime64("2024-03-30")
    times = {
        "datetime": day.astype("M8[us]") + steps * HOUR,
        "aware": day.astype("M8[us]") + steps * HOUR,
        "date": day + steps,
        "integer": 10 + 5 * steps,
        "text": np.array([str(day + step) for step in steps], dtype=object),
    }
    if kind in times:
        columns["t"] = times[kind]
    tz = "Europe/Berlin" if kind == "aware" and native != "numpy" else None
    frame = frames.to_native(columns, native, tz)
    roles = Roles.of("v", "id" if ids else None, "t" if kind in times else None)
    panel, schema = checks.panel(table.read(frame), roles)
    expected = [1, np.nan, 3, 4, 5] if ids != "integer" else [4, 5, 1, np.nan, 3]
    np.testing.assert_array_equal(panel.y[:, 0], expected)
    assert panel.ids == {"text": ("a", "b"), "integer": (7, 30), None: ("v",)}[ids]
    kinds = {"aware": "datetime", "text": "date"} | ({"date": "datetime"} if native == "pandas" else {})
    assert schema.time_kind == kinds.get(kind, kind)
    assert schema.tz == tz
    steps_text = {"date": "1d", "text": "1d", "integer": "5", "row": "1"}
    assert schema.frequency.text == steps_text.get(kind, "1h")
    same(checks.panel_like(table.read(frame), schema), panel)
    result = checks.columns_for(schema, np.repeat(panel.ids, panel.lengths).tolist(), panel.time, {"z": panel.y[:, 0]})
    again = frames.to_native(result, native, schema.tz)
    back, _ = checks.panel(table.read(again), Roles.of("z", schema.id_column, schema.time_column))
    np.testing.assert_array_equal(back.y, panel.y)
    assert tuple(result)[:2] == (("id" if ids else "unique_id"), ("t" if kind in times else "ds"))
    if kind in times and kind != "text":
        sorted_times = np.sort(table.read(frame).column("t", Clock()).values)
        np.testing.assert_array_equal(np.sort(table.read(again).column("t", Clock()).values), sorted_times)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files(tmp_path: Path, suffix: str) -> None:
    columns = examples.panel(missing=0.0)
    expected, schema = fit(columns, ROLES)
    path = tmp_path / f"t{suffix}"
    results.write(columns, path)
    same(fit(path, ROLES)[0], expected)
    same(checks.panel_like(table.read(path), schema), expected)


def test_array_of_several_targets() -> None:
    panel, schema = fit(examples.sin_cos(20), Roles())
    assert schema.target == ("y1", "y2")
    assert panel.y.shape == (20, 2)
    assert panel.ids == ("series",)
    assert schema.output_ids(panel.ids) == ("y1", "y2")
    assert panel.time.tolist() == list(range(20))


# --- properties --------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(NATIVES))
def test_order_of_rows_does_not_matter(seed: int, native: Any) -> None:
    columns = examples.panel(lengths=(9, 5, 14), missing=0.2, seed=seed % 7)
    order = np.random.default_rng(seed).permutation(28)
    frame = frames.to_native({name: values[order] for name, values in columns.items()}, native)
    expected, schema = fit(columns, ROLES)
    result, learned = fit(frame, ROLES)
    assert learned == schema
    same(result, expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=12, max_size=12), st.sampled_from(["1h", "1d", "1mo", "1me", "1q"]))
def test_gaps_become_missing_rows(kept: list[bool], text: str) -> None:
    keep = np.array([True, True, *kept, True])
    frequency = Frequency.parse(text)
    start = int(np.datetime64("2023-01-31", "us").astype(np.int64))
    time = frequency.advance(start, np.arange(len(keep)))
    columns = {"t": time.astype("M8[us]"), "y": np.arange(15.0), "x": np.arange(15.0), "s": np.full(15, 4.0)}
    kept_columns = {name: values[keep] for name, values in columns.items()}
    panel, schema = fit(kept_columns, target="y", time="t", known="x", static="s", freq=text)
    assert panel.time.tolist() == time.tolist()
    np.testing.assert_array_equal(panel.y[:, 0], np.where(keep, np.arange(15.0), np.nan))
    np.testing.assert_array_equal(panel.known[:, 0], np.where(keep, np.arange(15.0), np.nan))
    assert panel.static.tolist() == [[4.0]]
    same(checks.panel_like(table.read(kept_columns), schema), panel)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(NATIVES), st.sampled_from([None, "Europe/Berlin", "Asia/Kolkata"]))
def test_frame_to_panel_to_frame(seed: int, native: Any, tz: str | None) -> None:
    columns = examples.panel(lengths=(9, 5, 14), missing=0.2, seed=seed)
    tz = None if native == "numpy" else tz
    panel, schema = fit(frames.to_native(columns, native, tz), ROLES)
    all_rows = checks.panel_like(table.read(frames.to_native(columns, native, tz)), schema, future_allowed=False)
    frame = frames.to_native(checks.columns_of(all_rows, schema), native, tz)
    again = checks.panel_like(table.read(frame), schema)
    same(again, panel)
    assert all_rows.rows == 28


@pytest.mark.parametrize("native", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("tz", ["Europe/Berlin", "America/Sao_Paulo"])
@pytest.mark.parametrize("freq", ["1h", "1d"])
def test_zones_over_clock_changes(native: Any, tz: str, freq: str) -> None:
    """A year of rows is regular, and the instants that come out are those that went in."""
    days = pd.date_range("2017-01-01", "2018-01-01").tz_localize(tz, nonexistent="shift_forward")
    stamps = days if freq == "1d" else pd.date_range("2017-01-01", "2018-01-01", freq="h", tz="UTC")
    utc = stamps.tz_convert("UTC").tz_localize(None).to_numpy().astype("M8[us]")
    frame = frames.to_native({"t": utc, "y": np.arange(len(utc), dtype=float)}, native, tz)
    panel, schema = fit(frame, target="y", time="t")
    assert schema.frequency.text == freq
    assert panel.rows == len(utc)
    result = checks.columns_for(schema, ["y"] * panel.rows, panel.time, {})
    np.testing.assert_array_equal(result["t"], utc)
    shown = table.read(frames.to_native(result, native, schema.tz)).column("t", Clock())
    assert shown.tz == tz
    same(checks.panel_like(table.read(frames.to_native({"t": utc, "y": panel.y[:, 0]}, native, "UTC")), schema), panel)


# --- covariates --------------------------------------------------------------------------------------------------


def test_categories() -> None:
    columns = {
        "y": np.arange(5.0),
        "wind": np.array(["N", "S", None, "N", "N"], dtype=object),
        "open": np.array([True, False, True, True, False]),
        "level": np.array(["1", " 2", "NA", "4", "5"], dtype=object),
    }
    panel, schema = fit(columns, target="y", past=("wind", "open", "level"))
    assert schema.past_features == ("wind=N", "wind=S", "open=false", "open=true", "level")
    nan = np.nan
    expected = [[1, 0, 0, 1, 1], [0, 1, 1, 0, 2], [nan, nan, 0, 1, nan], [1, 0, 0, 1, 4], [1, 0, 1, 0, 5]]
    np.testing.assert_array_equal(panel.past, expected)
    later = columns | {"open": np.array(["TRUE", "false", "True", "true", "FALSE"])}
    same(checks.panel_like(table.read(later), schema), panel)
    later = columns | {"open": np.array([1, 0, 1, 1, 0])}
    same(checks.panel_like(table.read(later), schema), panel)


def test_unknown_categories_are_missing_and_said_once() -> None:
    _, schema = fit({"y": np.arange(3.0), "c": np.array(["a", "b", "a"])}, target="y", past="c")
    with pytest.warns(
        UserWarning, match=r"column 'c': categories that the model has not seen .* missing: 'x', 'z'"
    ) as said:
        panel = checks.panel_like(table.read({"y": np.arange(4.0), "c": np.array(["x", "b", "z", "x"])}), schema)
    assert len(said) == 1
    np.testing.assert_array_equal(panel.past, [[np.nan, np.nan], [0, 1], [np.nan, np.nan], [np.nan, np.nan]])


def test_categories_that_a_column_may_hold_but_does_not() -> None:
    frame = pl.DataFrame({"y": [1.0, 2.0], "c": ["b", "b"]}, schema_overrides={"c": pl.Enum(["a", "b"])})
    assert fit(frame, target="y", past="c")[1].past_features == ("c=b",)
    series = pd.Series(pd.Categorical(["b", "b"], categories=["a", "b"]))
    assert fit(pd.DataFrame({"y": [1.0, 2.0], "i": series}), target="y", id=None, past="i")[1].past_features == ("i=b",)
    result, _ = fit(pl.DataFrame({"y": [1.0, 2.0], "i": frame["c"]}), target="y", id="i")
    assert result.ids == ("b",)


def test_static_may_be_missing_in_some_rows() -> None:
    columns = {"i": [1, 1, 2, 2], "y": [1.0, 2, 3, 4], "s": [np.nan, 5, 6, 6], "k": [None, "p", "q", "q"]}
    panel, schema = fit(columns, target="y", id="i", static=("s", "k"))
    assert panel.static.tolist() == [[5, 1, 0], [6, 0, 1]]
    assert schema.static_features == ("s", "k=p", "k=q")


# --- known-ahead rows --------------------------------------------------------------------------------------------

AHEAD: Mapping[str, Any] = {
    "i": np.array(["a"] * 5 + ["b"] * 3),
    "t": np.array([1, 2, 3, 4, 6, 1, 2, 3]),
    "y": np.array([1, np.nan, 3, np.nan, np.nan, np.nan, np.nan, np.nan]),
    "x": np.arange(8.0),
}


def test_trailing_rows_are_ahead() -> None:
    panel, schema = fit(AHEAD, target="y", id="i", time="t", known="x")
    assert panel.lengths.tolist() == [3, 3]  # a series without any value keeps its rows
    np.testing.assert_array_equal(panel.ahead, [[3], [np.nan], [4]])
    assert panel.ahead_offsets.tolist() == [0, 3, 3]
    np.testing.assert_array_equal(panel.y[:3, 0], [1, np.nan, 3])
    same(checks.panel_like(table.read(dict(AHEAD)), schema), panel)
    rows = checks.panel_like(table.read(dict(AHEAD)), schema, future_allowed=False)
    assert rows.lengths.tolist() == [6, 3]
    assert len(rows.ahead) == 0
    without, _ = fit(AHEAD, target="y", id="i", time="t", past="x")
    assert without.lengths.tolist() == [6, 3]


def test_ahead_from_a_table_of_its_own() -> None:
    panel, schema = fit(AHEAD, target="y", id="i", time="t", known="x")
    last = panel.time[panel.offsets[1:] - 1]
    future = {"i": ["b", "a", "a", "b"], "t": [5, 4, 3, 4], "x": [50.0, 40, 30, 44]}
    ahead, offsets = checks.ahead_like(table.read(future), schema, panel.ids, last)
    assert offsets.tolist() == [0, 1, 3]
    assert ahead.tolist() == [[40], [44], [50]]
    with pytest.raises(UnknownSeries, match="the series 'c', which the model does not know: known: a, b"):
        checks.ahead_like(table.read(future | {"i": ["c", "a", "a", "b"]}), schema, panel.ids, last)
    with pytest.raises(DataError, match="has no column 'x'"):
        checks.ahead_like(table.read({"i": ["a"], "t": [4]}), schema, panel.ids, last)
    with pytest.raises(DataError, match="steps ahead: correct them"):
        checks.ahead_like(table.read(future | {"t": [5, 4, 3, 10**9]}), schema, panel.ids, last)


def test_ahead_without_id_and_time_and_by_months() -> None:
    panel, schema = fit({"y": np.arange(4.0), "x": np.arange(4.0)}, target="y", known="x")
    ahead, offsets = checks.ahead_like(table.read({"x": [7.0, 8.0]}), schema, panel.ids, panel.time[-1:])
    assert (ahead.tolist(), offsets.tolist()) == ([[7], [8]], [0, 2])
    months = np.array(["2024-01-31", "2024-02-29", "2024-03-31"], "M8[D]")
    panel, schema = fit({"t": months, "y": [1.0, 2, 3], "x": [1.0, 2, 3]}, target="y", time="t", known="x")
    assert schema.frequency.text == "1me"
    later = {"t": np.array(["2024-04-30", "2024-06-30"], "M8[D]"), "x": [4.0, 6.0]}
    ahead, _ = checks.ahead_like(table.read(later), schema, panel.ids, panel.time[-1:])
    np.testing.assert_array_equal(ahead, [[4], [np.nan], [6]])
    with pytest.raises(DataError, match="row 0: 2024-04-29 is not a whole number of steps of 1me after 2024-03-31"):
        checks.ahead_like(
            table.read({"t": months[:1] + np.timedelta64(89, "D"), "x": [1.0]}), schema, panel.ids, panel.time[-1:]
        )


# --- bad input ---------------------------------------------------------------------------------------------------

T = hours(0, 1, 2, 3)
GOOD: Mapping[str, Any] = {"t": T, "y": np.arange(4.0), "x": np.arange(4.0), "i": np.array(["a", "a", "b", "b"])}
BAD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"y": np.array([1, 2, "abc", 4], object)}, {}, "column 'y', row 2: 'abc' is not a number"),
    ({"y": np.array([1, np.inf, 3, 4])}, {}, "column 'y', row 1: inf cannot be used: leave it empty"),
    ({"y": np.array([1, 2, -np.inf, 4])}, {}, "column 'y', row 2: -inf cannot be used"),
    (
        {"y": np.array([1, 2, 3, 1e30])},
        {},
        "column 'y', row 3: 1e[+]30 cannot be used: values beyond 1e[+]18 need rescal",
    ),
    ({"x": np.array([1, 2, 3, 1e30])}, {"past": "x"}, "column 'x', row 3: 1e[+]30"),
    ({"x": np.array(["1", "2", "3", "oops"])}, {"past": "x"}, "column 'x', row 3: 'oops' is not a number"),
    ({"x": np.full(4, np.nan)}, {"past": "x"}, "column 'x': every value is missing: leave this column out"),
    ({"x": T}, {"past": "x"}, "column 'x' holds dates, but numbers were expected"),
    ({"x": np.arange(4.0)}, {"static": "x", "id": "i"}, "column 'x' changes within the series 'a'"),
    ({"y": np.full(4, np.nan)}, {}, "the mapping has no value of y: every one is missing"),
    ({"y": np.full(4, np.nan), "i": ["a"] * 4}, {"id": "i"}, "the only series, 'a', has no value of y"),
    ({"z": np.full(4, np.nan)}, {"target": ("y", "z")}, "column 'z': every value is missing: leave this target out"),
    ({"t": hours(0, 1, 1, 2)}, {}, "two rows for 2024-01-01 01:00:00, row 1 and row 2: keep one row .* time zone"),
    ({"t": hours(0, 0, 0, 1)}, {"id": "i"}, "series 'a' has two rows for 2024-01-01, row 0 and row 1"),
    ({"t": hours(0, 1, 2, 2.5)}, {}, r"column 't': the steps are irregular: .* 1h \(67% of all\), but row 3 comes 30m"),
    (
        {"t": hours(0, 1, 2, 2.5)},
        {"freq": "1h"},
        "row 3: 2024-01-01 02:30:00 is not a whole number of steps of 1h after",
    ),
    ({"t": np.array(["2024-01-01", "NaT", "2024-01-03", "2024-01-04"], "M8[D]")}, {}, "row 1: the time is missing"),
    ({"t": np.array([1, np.nan, 3, 4])}, {}, "row 1: a time is missing"),
    ({"t": np.array(["2024-01-01", "", "2024-01-03", "2024-01-04"])}, {}, "row 1: the time is missing"),
    (
        {"t": hours(0, 1, 2, 10**7)},
        {},
        "filling the gaps in steps of 1h would make .* before row 3 .*: correct that time",
    ),
    ({"i": np.array(["a", None, "b", "b"], object)}, {"id": "i"}, "column 'i', row 1: the id is missing"),
    ({"i": np.array([1, np.nan, 2, 2])}, {"id": "i"}, "column 'i', row 1: the id is missing"),
    ({"i": np.array([1, 1, 2, 2.5])}, {"id": "i"}, "column 'i' cannot name series: ids are strings or whole numbers"),
    ({}, {"target": "z"}, "has no column 'z': known: t, y, x, i"),
    ({}, {"past": "xx"}, "has no column 'xx': did you mean 'x'"),
    ({}, {"target": None}, "no target was named, and its numeric columns without a role are y, x .*: pass target="),
    ({}, {"target": None, "past": ("x", "y")}, "no target was named, and no numeric column is without a role"),
    ({"x": np.array([f"c{n}" for n in range(201)])}, {"past": "x"}, "holds 201 different strings, such as 'c0'"),
]


@pytest.mark.parametrize(("change", "roles", "message"), BAD, ids=[message[:40] for _, _, message in BAD])
def test_bad_tables(change: dict[str, Any], roles: dict[str, Any], message: str) -> None:
    columns: dict[str, Any] = dict(GOOD) | change
    rows = len(columns["x"])
    if rows != 4:
        columns = {"t": hours(*range(rows)), "y": np.arange(float(rows)), "x": columns["x"]}
    with pytest.raises(DataError, match=message):
        fit(columns, **({"target": "y", "time": "t"} | roles))


@pytest.mark.parametrize("native", ["polars", "pandas", "pyarrow"])
def test_rows_are_named_in_frames_and_lines_in_files(tmp_path: Path, native: Any) -> None:
    columns = {"y": np.array(["1", "x", "2"], dtype=object)}
    with pytest.raises(DataError, match="the frame, column 'y', row 1: 'x' is not a number"):
        fit(frames.to_native(columns, native), target="y")
    path = tmp_path / "t.csv"
    path.write_text("y,z\n1,1\n\n2,2\nx,3\n")
    with pytest.raises(DataError, match=r"t\.csv, column 'y', line 5: 'x' is not a number"):
        fit(path, target="y")


def test_roles_that_contradict() -> None:
    with pytest.raises(SettingError, match="the column 'x' has two roles"):
        fit(dict(GOOD), target="y", past="x", known="x")
    with pytest.raises(SettingError, match="freq='1h' needs a time column"):
        fit(dict(GOOD), target="y", time="", freq="1h")
    with pytest.raises(SettingError, match="freq='2' does not suit the times of column 't', which are dates"):
        fit(dict(GOOD), target="y", time="t", freq="2")
    with pytest.raises(SettingError, match=r"freq='1h' does not suit .* which are integers: give a number"):
        fit(dict(GOOD) | {"t": np.arange(4)}, target="y", time="t", freq="1h")


def test_safe_treatments() -> None:
    """What is bad but can be understood: unsorted times, constant and empty series, one row, numbers as text."""
    panel, _ = fit({"t": hours(3, 1, 0), "y": np.array([3.0, 1, 0])}, target="y", time="t")
    np.testing.assert_array_equal(panel.y[:, 0], [0, 1, np.nan, 3])
    assert fit({"y": np.full(5, 2.0)}, target="y")[0].y.tolist() == [[2.0]] * 5
    panel, _ = fit({"i": ["a", "a", "b"], "y": np.array([np.nan, np.nan, 1.0])}, target="y", id="i")
    assert panel.ids == ("a", "b")
    assert np.isnan(panel.y[:2]).all()
    assert fit({"t": T[:1], "y": np.ones(1)}, target="y", time="t", freq="1h")[0].rows == 1
    assert fit({"y": np.array([" 1", "2 ", "NA"], object)}, target="y")[0].y[:2, 0].tolist() == [1, 2]
    with pytest.raises(DataError, match="no series has two rows: pass freq"):
        fit({"t": T[:1], "y": np.ones(1)}, target="y", time="t")


def test_months_on_request_follow_the_data() -> None:
    ends = np.array(["2024-01-31", "2024-02-29", "2024-03-31"], "M8[D]")
    assert fit({"t": ends, "y": np.ones(3)}, target="y", time="t", freq="1mo")[1].frequency.text == "1me"
    starts = np.array(["2024-01-01", "2024-02-01", "2024-03-01"], "M8[D]")
    assert fit({"t": starts, "y": np.ones(3)}, target="y", time="t", freq="ME")[1].frequency.text == "1mo"


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ({"t": np.arange(4)}, "column 't' holds integers, but the model was fitted with dates"),
        ({"t": hours(0, 1, 2, 2.5)}, "is not a whole number of steps of 1h"),
        ({"x": np.array(["1", "u", "v", "w"])}, "column 'x', row 1: 'u' is not a number"),
        ({"i": np.array([1.5, 2, 2, 2])}, "cannot name series"),
    ],
)
def test_later_tables_of_another_kind(later: dict[str, Any], message: str) -> None:
    _, schema = fit(dict(GOOD), target="y", id="i", time="t", past="x")
    with pytest.raises(DataError, match=message):
        checks.panel_like(table.read(dict(GOOD) | later), schema)
    with pytest.raises(DataError, match="has no column 'x'"):
        checks.panel_like(table.read({"t": T, "y": np.ones(4), "i": GOOD["i"]}), schema)


def test_later_tables_with_and_without_a_zone() -> None:
    plain, aware = (frames.to_native({"t": T, "y": np.arange(4.0)}, "polars", tz) for tz in (None, "UTC"))
    _, schema = fit(plain, target="y", time="t")
    with pytest.raises(DataError, match="holds times in a zone, but the model was fitted with times without one"):
        checks.panel_like(table.read(aware), schema)
    _, schema = fit(aware, target="y", time="t")
    with pytest.raises(DataError, match="holds times without a time zone, but the model was fitted with times in UTC"):
        checks.panel_like(table.read(plain), schema)


def test_ids_keep_the_kind_of_the_model() -> None:
    _, schema = fit({"i": np.array(["1", "2"]), "y": np.ones(2)}, target="y", id="i")
    assert checks.panel_like(table.read({"i": [2, 3], "y": np.ones(2)}), schema).ids == ("2", "3")
    _, schema = fit({"i": [1, 2], "y": np.ones(2)}, target="y", id="i")
    assert checks.panel_like(table.read({"i": np.array(["2", "3"]), "y": np.ones(2)}), schema).ids == (2, 3)
    with pytest.raises(DataError, match="the id 'x' is not a whole number, as the ids of this model are"):
        checks.panel_like(table.read({"i": np.array(["x", "3"]), "y": np.ones(2)}), schema)


def test_thousands_of_series() -> None:
    ids = np.repeat(np.arange(5000), 4)
    panel, _ = fit({"i": ids, "t": np.tile([0, 1, 3, 4], 5000), "y": np.ones(20_000)}, target="y", id="i", time="t")
    assert panel.rows == 25_000
    assert int(np.isnan(panel.y).sum()) == 5000


def test_nothing_is_said_of_good_tables() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(examples.panel(), ROLES)
