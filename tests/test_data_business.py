"""Business days: beside pandas' custom business days, through tables, streams and merged rows."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from forecast_cases import model
from hypothesis import given
from hypothesis import strategies as st

from statecast.data import calendar, checks, rhythm
from statecast.data.calendar import Frequency
from statecast.data.grid.merging import Merging
from statecast.data.grid.roles import Roles
from statecast.data.schema import Schema
from statecast.data.tabular import table
from statecast.data.zones import DAY, HOUR
from statecast.errors import DataError, SettingError
from statecast.forecast import incoming
from statecast.forecast.stream import Stream
from statecast.model.state import UNSEEN

CLOSED = ("2024-01-01", "2024-03-29", "2024-04-01", "2024-12-25", "2024-12-26")
DAYS = tuple(int(day) for day in np.array(CLOSED, "M8[D]").astype(np.int64))
MONDAY = int(np.datetime64("2024-01-08", "D").astype(np.int64)) * DAY
WEEKS = {"B": "1111100", "B:Sun-Thu": "1111001", "B:Mon-Thu": "1111000", "B:Mon,Wed,Fri": "1010100", "C": "1111100"}


def frequency(text: str) -> Frequency:
    return Frequency.parse(text).closing(DAYS)


def pandas_days(text: str) -> Any:
    return pd.offsets.CustomBusinessDay(weekmask=WEEKS[text], holidays=list(CLOSED) if text == "C" else [])


@pytest.mark.parametrize("text", WEEKS)
def test_steps_are_those_of_pandas(text: str) -> None:
    days = pd.date_range("2024-01-02 17:00", periods=300, freq=pandas_days(text))
    time = days.to_numpy().astype("M8[us]").astype(np.int64)
    step = frequency(text)
    np.testing.assert_array_equal(step.advance(time[0], np.arange(300)), time)
    np.testing.assert_array_equal(step.advance(time[299], -np.arange(300)), time[::-1])
    np.testing.assert_array_equal(step.steps_between(time[100], time), np.arange(300) - 100)
    assert step.begins(time).all()
    every = np.arange(int(time[0]), int(time[-1]), DAY)
    np.testing.assert_array_equal(step.begins(every), np.isin(every, time))
    np.testing.assert_array_equal(step.on_grid(time[0], every), np.isin(every, time))


@given(
    st.sampled_from(["B", "C", "2B", "3C:Sun-Thu", "B:Mon"]),
    st.integers(-200_000 * HOUR, 700_000 * HOUR),
    st.integers(-200_000 * HOUR, 700_000 * HOUR),
)
def test_whole_steps_between_two_times_end_up_to_the_second(text: str, a: int, b: int) -> None:
    step = frequency(text)
    start = step.advance(a, 0)
    steps = step.steps_between(start, b)
    assert step.advance(start, steps) <= b < step.advance(start, steps + 1)


def test_a_time_that_no_row_has_stays_what_it_is_good_for() -> None:
    """Series without a row have the least of all numbers as their time, and arrays of them are worked with."""
    step = frequency("C")
    assert np.asarray(step.advance(np.array([UNSEEN, MONDAY]), 1))[1] == MONDAY + DAY
    assert np.asarray(step.steps_between(np.array([UNSEEN, MONDAY]), MONDAY + 3 * DAY))[1] == 3


def test_a_frequency_is_copied_and_compared_by_what_it_says() -> None:
    step = frequency("C:Sun-Thu")
    step.advance(MONDAY, 1)  # NumPy's own calendar, which this makes, cannot be copied
    assert copy.deepcopy(step) == pickle.loads(pickle.dumps(step)) == step
    assert hash(step) == hash(frequency("C:Sun-Thu"))
    assert step != Frequency.parse("C:Sun-Thu")
    assert frequency("B").days == Frequency.parse("B").days  # no dates are passed over unless that is asked for


@pytest.mark.parametrize(("text", "season"), [("B", 5), ("B:Sun-Thu", 5), ("B:Mon-Thu", 4), ("5B", 52), ("B:Mon", 52)])
def test_season_of_business_days(text: str, season: int) -> None:
    assert calendar.season(Frequency.parse(text)) == season


@pytest.mark.parametrize("text", ["B:Funday", "B:Mon-Tue-Wed"])
def test_a_week_of_other_days_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="expected"):
        Frequency.parse(text)


# --- frequencies that tables show


def of_days(text: str, rows: int, first: str = "2024-01-08") -> np.ndarray:
    start = int(np.datetime64(first, "D").astype(np.int64)) * DAY
    return np.asarray(Frequency.parse(text).advance(start, np.arange(rows)), np.int64)


def inferred(time: np.ndarray, *lengths: int) -> str:
    offsets = np.concatenate([[0], np.cumsum(lengths)]) if lengths else np.array([0, len(time)])
    return rhythm.regular(time, offsets, "date")[0].text


@pytest.mark.parametrize("text", ["B", "B:Sun-Thu", "B:Mon-Thu", "B:Mon-Sat"])
def test_a_week_is_read_off_a_table_in_which_some_days_never_come(text: str) -> None:
    time = of_days(text, 60)
    assert inferred(time) == text
    assert inferred(np.delete(time, [7, 8, 23])) == text  # in spite of gaps
    assert inferred(np.concatenate([time[:30], time[5:50]]), 30, 45) == text


def test_a_day_off_by_chance_is_a_gap() -> None:
    daily = MONDAY + DAY * np.arange(14)
    assert inferred(daily) == "1d"
    assert inferred(np.delete(daily, [5, 6])) == "1d"  # one weekend
    assert inferred(np.delete(MONDAY + DAY * np.arange(21), [2, 9])) == "1d"  # two Wednesdays of three
    assert inferred(of_days("B", 5)) == "1d"
    assert inferred(np.append(of_days("B", 60), of_days("B", 60)[-1] + DAY)) == "B:Mon-Sat"  # one row on a Saturday


def test_hours_of_business_days_stay_hours() -> None:
    time = (of_days("B", 30)[:, None] + np.arange(24) * HOUR).ravel()
    assert inferred(time) == "1h"


# --- tables, streams and merged rows


def read(time: np.ndarray, freq: str | None = None, merging: Merging | None = None, **columns: Any) -> Any:
    frame = pd.DataFrame({"day": time.astype("M8[us]"), "y": np.arange(len(time), dtype=float)} | columns)
    return checks.panel(table.read(frame), Roles.of("y", time="day", freq=freq), merging or Merging(), CLOSED)


def test_gaps_are_counted_in_business_days_and_holidays_are_none() -> None:
    time = of_days("B", 80, "2024-02-01")
    panel, schema = read(np.delete(time, 10), "B")
    assert panel.rows == 80 and np.isnan(panel.y).sum() == 1
    closed = np.delete(time, np.flatnonzero(~frequency("C").begins(time)))
    assert len(closed) == 78  # Good Friday and Easter Monday
    panel, schema = read(closed, "C")
    assert panel.rows == 78 and not np.isnan(panel.y).any()
    assert Schema.from_json(schema.to_json()) == schema
    assert schema.frequency.advance(int(closed[0]), 77) == closed[-1]


def test_a_row_on_a_day_off_is_refused_with_its_weekday() -> None:
    time = of_days("B", 20)
    with pytest.raises(DataError, match=r"2024-01-13 is a Saturday, which steps of B skip: leave"):
        read(np.sort(np.append(time, MONDAY + 5 * DAY)), "B")
    with pytest.raises(DataError, match="column 'day', row 0: 2024-01-07 is a Sunday, which steps of B skip"):
        read(np.append(MONDAY - DAY, time), "B")
    with pytest.raises(DataError, match="2024-03-29 is a Friday, which steps of C skip"):
        read(of_days("B", 80, "2024-02-01"), "C")


def test_holidays_must_be_said_where_they_are_passed_over() -> None:
    frame = pd.DataFrame({"day": of_days("B", 20).astype("M8[us]"), "y": 1.0})
    with pytest.raises(SettingError, match="'C' skips holidays: say which with the setting holidays"):
        checks.panel(table.read(frame), Roles.of("y", time="day", freq="C"))


def test_events_of_a_weekend_belong_to_the_business_day_before() -> None:
    time = of_days("B", 15)
    events = np.sort(np.concatenate([time + 9 * HOUR, MONDAY + 5 * DAY + np.array([HOUR, 30 * HOUR])]))
    panel, _ = read(events, "B", Merging(aggregate="sum"), y=np.ones(17))
    np.testing.assert_array_equal(panel.time, time)
    np.testing.assert_array_equal(panel.y[:, 0], np.where(np.arange(15) == 4, 3, 1))


def test_a_stream_goes_on_after_the_weekend() -> None:
    stream = Stream(model(freq="B", time_kind="date", id=None, horizon=3))
    friday = np.datetime64("2024-01-12")
    stream.observe("y", 1.0, friday)
    forecast = stream.observe("y", 2.0)
    days = np.asarray(forecast.times).reshape(-1).astype("M8[us]").astype("M8[D]").astype(str).tolist()
    assert days == ["2024-01-16", "2024-01-17", "2024-01-18"]
    with pytest.raises(DataError, match=r"2024-01-20 is not a whole number of steps of B after 2024-01-15"):
        stream.observe("y", 3.0, np.datetime64("2024-01-20"))
    with pytest.raises(DataError, match="series 'new': 2024-01-20 is a Saturday, which steps of B skip"):
        stream.observe("new", 3.0, np.datetime64("2024-01-20"))
    with pytest.raises(DataError, match="series 'b': 2024-01-20 is a Saturday"):
        stream.observe_many(["a", "b"], [1.0, 2.0], np.array([MONDAY, MONDAY + 12 * DAY]))


@pytest.mark.parametrize(("day", "gap"), [("2024-01-15", 0), ("2024-01-16", 1), ("2024-01-22", 5)])
def test_a_gap_of_a_stream_has_as_many_steps_as_it_has_business_days(day: str, gap: int) -> None:
    schema, friday = model(freq="B", time_kind="date", id=None).schema, MONDAY + 4 * DAY
    assert incoming.when(schema, "y", friday, np.datetime64(day))[1] == gap
    many = incoming.when_many(schema, ["y", "z"], np.array([friday, friday]), np.datetime64(day))
    assert many[1].tolist() == [gap, gap]
