from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecast.data import calendar, cycles, rhythm, values, zones
from statecast.data.calendar import Frequency
from statecast.data.schema import Schema
from statecast.errors import DataError, SettingError


def us(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


def stamps(*texts: str) -> np.ndarray:
    return np.array([us(text) for text in texts], np.int64)


TEXTS = ["1us", "5ms", "1s", "15m", "1h", "6h", "1d", "2d", "1w", "1mo", "1q", "1y", "1me", "1qe", "1ye", "1", "7"]
TEXTS += ["B", "5B", "B:Sun-Thu", "B:Mon,Wed,Fri", "B:Mon", "C:Mon-Sun"]


@pytest.mark.parametrize("text", TEXTS)
def test_frequency_text_both_ways(text: str) -> None:
    assert Frequency.parse(text).text == text
    assert str(Frequency.parse(text)) == text


@pytest.mark.parametrize(
    ("alias", "text"),
    [
        ("h", "1h"),
        ("H", "1h"),
        ("D", "1d"),
        ("W", "1w"),
        ("W-SUN", "1w"),
        ("MS", "1mo"),
        ("ME", "1me"),
        ("M", "1me"),
        ("QS", "1q"),
        ("QS-OCT", "1q"),
        ("YS", "1y"),
        ("min", "1m"),
        ("30min", "30m"),
        ("15T", "15m"),
        ("60m", "1h"),
        ("12mo", "1y"),
        ("7d", "1w"),
        (" 2 h ", "2h"),
        ("QE", "1qe"),
        ("YE", "1ye"),
        ("1B", "B"),
        ("B:Mon-Fri", "B"),
        (" 2B : sunday - thu ", "2B:Sun-Thu"),
        ("C:fri-mon,wed", "C:Mon,Wed,Fri,Sat,Sun"),
    ],
)
def test_frequency_aliases(alias: str, text: str) -> None:
    assert Frequency.parse(alias).text == text


@pytest.mark.parametrize("text", ["", "0h", "-1h", "1x", "hourly!", "1.5h", "0B", "b", "h1"])
def test_frequency_invalid(text: str) -> None:
    with pytest.raises(SettingError, match="is not a frequency: give a count and a unit"):
        Frequency.parse(text)


@given(
    st.sampled_from(TEXTS),
    st.integers(-3_000_000_000_000_000, 3_000_000_000_000_000),
    st.integers(0, 2000),
)
def test_steps_between_inverts_advance(text: str, time: int, k: int) -> None:
    frequency = Frequency.parse(text)
    then = frequency.advance(time, k)
    assert isinstance(then, int)
    assert frequency.steps_between(time, then) == k
    assert bool(frequency.on_grid(time, then))
    many = frequency.advance(np.full(3, time), np.array([0, k, k + 1]))
    assert many[1] == then
    assert (np.diff(many)[1:] > 0).all()
    assert frequency.steps_between(np.full(3, time), many).tolist() == [0, k, k + 1]


def test_months_clamp_or_keep_their_end() -> None:
    start = us("2023-01-31")
    clamped = Frequency.parse("1mo").advance(start, np.arange(4))
    assert clamped.tolist() == stamps("2023-01-31", "2023-02-28", "2023-03-31", "2023-04-30").tolist()
    ends = Frequency.parse("1me").advance(us("2023-02-28"), np.arange(3))
    assert ends.tolist() == stamps("2023-02-28", "2023-03-31", "2023-04-30").tolist()
    assert Frequency.parse("1mo").steps_between(us("2023-01-15"), us("2023-03-14")) == 1
    assert not Frequency.parse("1mo").on_grid(us("2023-01-15"), us("2023-03-14"))


@pytest.mark.parametrize(
    ("first", "text"),
    [
        ("2023-01-31", "1me"),
        ("2023-01-01", "1mo"),
        ("2023-01-15T06", "1q"),
        ("2020-02-29", "1ye"),
        ("2023-05-05", "1d"),
        ("2023-05-05", "1w"),
        ("2023-05-05", "15m"),
        ("2023-01-01", "1y"),
    ],
)
def test_infer_finds_the_frequency_in_spite_of_gaps(first: str, text: str) -> None:
    frequency = Frequency.parse(text)
    steps = np.array([0, 1, 2, 3, 5, 6, 7, 11])
    time = frequency.advance(us(first), steps)
    two = np.concatenate([time, time[2:]])
    offsets = np.array([0, len(time), len(two)])
    assert rhythm.regular(two, offsets, "datetime")[0] == frequency


def test_infer_integers_and_rows() -> None:
    assert rhythm.regular(np.array([0, 5, 10, 20]), np.array([0, 4]), "integer")[0].text == "5"
    assert rhythm.regular(np.array([0, 1, 2]), np.array([0, 3]), "row")[0].text == "1"


def test_infer_irregular_names_step_share_and_row() -> None:
    time = us("2024-01-01") + np.array([0, 1, 2, 3, 3.5, 5]).astype(np.float64) * zones.HOUR
    with pytest.raises(DataError, match=r"most common one is 1h \(60% of all\), but row 4 comes 30m after .* freq="):
        rhythm.regular(time.astype(np.int64), np.array([0, 6]), "datetime")
    with pytest.raises(DataError, match=r"written YYYYMMDD \(20240130\): write them YYYY-MM-DD"):
        rhythm.regular(np.array([20240130, 20240131, 20240201, 20240202]), np.array([0, 4]), "integer")
    with pytest.raises(DataError, match="no series has two rows: pass freq"):
        rhythm.regular(np.array([0, 1]), np.array([0, 1, 2]), "datetime")


@pytest.mark.parametrize(
    ("text", "season"),
    [
        ("1h", 24),
        ("30m", 48),
        ("15m", 96),
        ("10m", 144),
        ("5m", 288),
        ("1m", 1440),
        ("1d", 7),
        ("1w", 52),
        ("1mo", 12),
        ("1q", 4),
        ("1y", 1),
        ("1", 1),
        ("2h", 12),
        ("1s", 60),
        ("7h", 1),
        ("5mo", 1),
        ("2d", 1),
        ("1ye", 1),
    ],
)
def test_season(text: str, season: int) -> None:
    assert calendar.season(Frequency.parse(text)) == season


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h", ["hour", "weekday", "yearday"]),
        ("1d", ["weekday", "yearday"]),
        ("1w", ["yearday"]),
        ("1mo", ["month"]),
        ("1q", ["month"]),
        ("1y", []),
        ("1ye", []),
    ],
)
def test_feature_names(text: str, expected: list[str]) -> None:
    names = cycles.feature_names(Frequency.parse(text), "datetime")
    assert names == tuple(f"{cycle}_{wave}" for cycle in expected for wave in ("sin", "cos"))
    assert cycles.feature_names(Frequency.parse("1"), "integer") == ()
    assert cycles.feature_names(Frequency.parse("1"), "row") == ()


@pytest.mark.parametrize(
    ("text", "tz"), [("1h", None), ("1h", "Europe/Berlin"), ("1d", "Europe/Berlin"), ("1mo", None)]
)
def test_features_of_one_time_are_those_of_many(text: str, tz: str | None) -> None:
    frequency = Frequency.parse(text)
    names = cycles.feature_names(frequency, "datetime")
    time = frequency.advance(us("1965-02-01"), np.arange(0, 40_000, 391) % (1200 if text == "1mo" else 10**9))
    many = cycles.features(time, frequency, tz, names)
    one = [cycles.features_at(int(moment), frequency, tz, names) for moment in time]
    np.testing.assert_allclose(many, one, atol=1e-12)
    assert many.shape == (len(time), len(names))


def test_features_follow_the_local_clock() -> None:
    frequency, names = Frequency.parse("1h"), ("hour_sin", "hour_cos", "weekday_cos")
    winter, summer = stamps("2024-01-15T11", "2024-07-15T10")  # noon in Berlin, both a Monday
    values = cycles.features(np.array([winter, summer]), frequency, "Europe/Berlin", names)
    np.testing.assert_allclose(values, [[0, -1, 1], [0, -1, 1]], atol=1e-12)


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca", "+05:30"]
)
def test_offsets_are_those_of_zoneinfo(name: str) -> None:
    instants = np.arange(us("1999-12-01"), us("2019-12-01"), 7 * zones.HOUR + 1_800_000_000)
    clock = zones.zone(name)
    start = datetime(1970, 1, 1, tzinfo=UTC)
    expected = [
        (start + timedelta(microseconds=int(moment))).astimezone(clock).utcoffset() // timedelta(microseconds=1)
        for moment in instants
    ]
    assert zones.offsets_at(instants, name).tolist() == expected
    assert [zones.offset_at(int(moment), name) for moment in instants] == expected


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Sao_Paulo", "Asia/Beirut"])
def test_days_stay_regular_over_clock_changes(name: str) -> None:
    """Local midnights are whole days apart on the wall, also where a clock jumps over midnight, and come back."""
    days = [datetime(2015, 1, 1, tzinfo=ZoneInfo(name)) + timedelta(days=n) for n in range(1500)]
    instants = np.array([round(day.timestamp()) * 1_000_000 for day in days], np.int64)
    wall = zones.to_wall(instants, name)
    assert (np.diff(wall) == zones.DAY).all()
    assert zones.to_instants(wall, name).tolist() == instants.tolist()
    assert rhythm.regular(instants, np.array([0, len(instants)]), "datetime", name)[0].text == "1d"


def test_unknown_zone() -> None:
    with pytest.raises(DataError, match="there is no time zone 'Mars/Base'"):
        zones.canonical("Mars/Base")


@pytest.mark.parametrize(
    ("name", "known"),
    [("Z", "UTC"), ("+00:00", "UTC"), ("UTC+02:00", "Etc/GMT-2"), ("-0330", "-03:30"), ("Europe/Rome", "Europe/Rome")],
)
def test_canonical_zones(name: str, known: str) -> None:
    assert zones.canonical(name) == known
    zones.zone(known)


@pytest.mark.parametrize(
    ("name", "day", "clock"),
    [
        ("America/Sao_Paulo", "2018-11-04", "00:00"),  # 00:00 became 01:00
        ("America/Sao_Paulo", "2018-11-04", "00:30"),
        ("Asia/Beirut", "2022-03-27", "00:00"),
        ("America/Santiago", "2023-09-03", "00:00"),
        ("Europe/Berlin", "2024-03-31", "02:30"),  # 02:00 became 03:00
        ("Australia/Lord_Howe", "2023-10-01", "02:15"),  # 02:00 became 02:30
    ],
)
def test_a_day_whose_time_no_clock_showed_is_a_day_of_a_table_and_of_a_stream(name: str, day: str, clock: str) -> None:
    first = datetime.fromisoformat(f"{day}T{clock}") - timedelta(days=2)
    days = [(first + timedelta(days=n)).replace(tzinfo=ZoneInfo(name)).astimezone(UTC) for n in range(5)]
    instants = np.array([round(moment.timestamp()) * 1_000_000 for moment in days], np.int64)
    wall = zones.to_wall(instants, name)
    assert np.diff(wall).tolist() == [zones.DAY] * 4
    assert zones.to_instants(wall, name).tolist() == instants.tolist()
    schema = Schema(("y",), time="t", time_kind="datetime", tz=name, frequency=Frequency.parse("1d"))
    last: int | None = None
    for moment, expected in zip(days, wall.tolist(), strict=True):
        last = values.time(moment, schema, last)
        assert last == expected
    if clock == "00:00":  # a series may begin on that day: a midnight is taken for what it was meant to be
        assert values.time(days[2], schema) == wall[2]
        assert zones.to_wall(instants[2:3], name) == wall[2]


def test_an_hour_late_is_an_hour_late() -> None:
    """Only a row that follows the jump by less than its size can have lost its time of day to it."""
    jump = round(datetime(2018, 11, 4, 3, tzinfo=UTC).timestamp()) * 1_000_000
    for hours, shown in ((0, 0), (1, 2), (2, 3)):
        wall = zones.to_wall(np.array([jump + hours * zones.HOUR]), "America/Sao_Paulo", clock=0)
        assert wall % zones.DAY == shown * zones.HOUR
    assert zones.to_wall(np.array([jump]), "America/Sao_Paulo", clock=zones.HOUR) % zones.DAY == zones.HOUR


@pytest.mark.parametrize("time", [-(10**17), 2**61, 253_402_300_800_000_000])
def test_one_time_outside_of_python_s_dates_has_a_calendar(time: int) -> None:
    names = ("hour_sin", "weekday_cos", "month_sin", "yearday_cos")
    one = cycles.features_at(time, Frequency.parse("1h"), None, names)
    np.testing.assert_allclose(
        one, cycles.features(np.array([time]), Frequency.parse("1h"), None, names)[0], atol=1e-12
    )


def test_steps_that_are_nearly_a_day_stay_instants() -> None:
    """Every 23 hours, by the clock of a zone: only steps of days are readings of the clock."""
    instants = us("2024-01-10") + 23 * zones.HOUR * np.arange(6)
    frequency, time = rhythm.regular(instants, np.array([0, 6]), "datetime", "Europe/Berlin")
    assert frequency.text == "23h"
    assert time.tolist() == instants.tolist()
