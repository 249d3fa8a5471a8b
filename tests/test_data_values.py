"""One grammar of values: what a stream takes is what a table takes, with the same numbers, and the rest is refused."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from statecast.data import checks, values
from statecast.data.calendar import Frequency
from statecast.data.grid import covariates, keys
from statecast.data.grid.roles import Roles
from statecast.data.schema import Covariate, Schema
from statecast.data.tabular import frames, lines, table
from statecast.errors import DataError
from statecast.forecast.rowtext import RowReader

SCHEMAS = {
    "hours": Schema(("y",), time="t", time_kind="datetime", frequency=Frequency.parse("1h")),
    "days": Schema(("y",), time="t", time_kind="date", frequency=Frequency.parse("1d")),
    "months": Schema(("y",), time="t", time_kind="date", frequency=Frequency.parse("1mo")),
    "zone": Schema(("y",), time="t", time_kind="datetime", tz="Europe/Berlin", frequency=Frequency.parse("1h")),
    "zoned days": Schema(
        ("y",), time="t", time_kind="datetime", tz="America/Sao_Paulo", frequency=Frequency.parse("1d")
    ),
    "day first": Schema(("y",), time="t", time_kind="date", frequency=Frequency.parse("1d"), day_first=True),
    "month first": Schema(("y",), time="t", time_kind="date", frequency=Frequency.parse("1d"), day_first=False),
    "integers": Schema(("y",), time="t", time_kind="integer"),
}
NULLS = sorted(values.NULLS)


def outcome(read: Callable[[], Any]) -> Any:
    """What reading gives, or the error; only errors for people may come."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a category that is not known
            return read()
    except DataError:
        return DataError


def alike(one: Any, other: Any) -> bool:
    return one is other or (
        one is not DataError and other is not DataError and np.array_equal(one, other, equal_nan=True)
    )


# --- times

MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
FORMATS = [
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y%m%d",
    "%Y-%m",
    "%Y/%m/%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%Y.%m.%d",
    "%G-W%V-%u",
    "%G-W%V",
    "%Y-%j",
    "%Y-%m-%d %H:%M:%SZ",
    "%Y-%m-%dT%H:%M+02:00",
    "%Y-%m-%d %H",
    "%H:%M",
    "%Y",
    " %Y-%m-%d ",
    "%Y-%m-%d  %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S,%f",
    "%Y%m%dT%H%M%S",
    "%Y-%m-%d %H:%M UTC",
    "%Y-%m-%d %H:%M-0330",
]
# Years below 1000 are written with fewer digits on some platforms.
WRITTEN = st.tuples(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 30)), st.sampled_from(FORMATS)).map(
    lambda pair: pair[0].strftime(pair[1])
)
SHORT = WRITTEN.map(lambda text: re.sub(r"(?<=[-/.])0", "", text))
BROKEN = st.tuples(WRITTEN, st.integers(0, 20), st.characters()).map(lambda x: x[0][: x[1]] + x[2] + x[0][x[1] + 1 :])
ZONES = st.sampled_from(
    [UTC, timezone(timedelta(hours=-3, minutes=-30)), ZoneInfo("America/Sao_Paulo"), ZoneInfo("Asia/Tokyo")]
)
TIMES = st.one_of(
    WRITTEN,
    SHORT,
    BROKEN,
    MOMENTS,
    MOMENTS.map(datetime.date),
    st.none(),
    st.sampled_from(NULLS),
    st.datetimes(datetime(1800, 1, 1), datetime(2100, 1, 1), timezones=ZONES),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.integers().map(str),
    st.text(max_size=8),
    st.sampled_from(
        [np.int32(7), np.int64(-5), np.uint64(2**63), np.uint64(9), np.float32(2), np.float64(2.5), np.bool_(True)]
    ),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.just(pd.NaT),
    st.just(pd.NA),
    st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)).map(pd.Timestamp),
    st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)).map(lambda moment: pd.Period(moment, "M")),
    st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)).map(lambda moment: np.datetime64(moment, "s")),
)


def in_table(value: Any, schema: Schema) -> int:
    return int(checks.panel_like(table.read({"t": [value], "y": [1.0]}), schema).time[0])


@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=300, deadline=None)
@given(value=TIMES)
@example("31/12/2024")
@example("2024-1-5")
@example("2024-01")
@example("2024-W01-1")
@example("1900-01")
@example("20240131")
@example("01/02/2024")
@example("2024-02-30")
@example("2024-01-01 24:00")
@example("0000-01-01")
@example(2**63 - 1)
@example(-(2**63))
@example(2**62)
@example(2**62 - 1)
@example(10**20)
@example(np.uint64(2**64 - 1))
@example(7.0)
@example(" 7 ")
@example("7.0")
@example("1" * 5000)
@example(datetime(2018, 11, 4, 3, tzinfo=UTC))
@example("2018-11-04T03:00Z")
@example(np.datetime64("20000-01-01"))
@example(np.datetime64(2**62, "s"))
@example(np.datetime64(2**62, "as"))
@example(timedelta(1))
@example(b"2024-01-01")
@example(bytearray(b"2024-01-01"))
@example(["2024-01-01"])
@example(b"7.0")
def test_a_time(name: str, value: Any) -> None:
    schema = SCHEMAS[name]
    assume(not (schema.tz and isinstance(value, np.datetime64)))  # a stream takes it as UTC, as it gives it
    read = outcome(lambda: in_table(value, schema))
    assert outcome(lambda: values.time(value, schema)) == read
    if read is not DataError and schema.time_kind != "integer":
        assert -62_135_596_800_000_000 <= read < 253_402_300_800_000_000


@pytest.mark.parametrize("name", ["hours", "zone", "integers"])
@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(WRITTEN, min_size=1, max_size=1)
    | st.lists(st.integers(-(10**6), 10**6).map(str), min_size=1, max_size=1)
)
def test_a_time_in_a_line_of_csv(tmp_path_factory: pytest.TempPathFactory, name: str, texts: list[str]) -> None:
    """A field of a live line is read as the same field of a file is."""
    assume("," not in texts[0])
    schema = SCHEMAS[name]
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_text(f"t,y\n{texts[0]},1\n")
    reader = RowReader(schema)
    reader.read(b"t,y")

    def live() -> int:
        row = reader.read(f"{texts[0]},1".encode())
        assert row is not None
        return values.time(row.time, schema)

    from_file = outcome(lambda: int(checks.panel_like(table.read(path), schema).time[0]))
    if re.fullmatch(r"\s*\d{8}\s*", texts[0]) and schema.time_kind == "datetime":
        return  # polars makes a number of it, and a number is not a date
    assert outcome(live) == from_file


def test_times_that_were_refused_live_or_in_tables_once() -> None:
    days, zone = SCHEMAS["days"], SCHEMAS["zone"]
    day = 86_400_000_000
    for text, number in (("31/12/2024", 20_088), ("2024-1-5", 19_727), ("2024-01", 19_723), ("1900-01", -25_567)):
        assert values.time(text, days) == number * day
    for value in ("2024-W01-1", "01/02/2024", "2024-01-01T00:00Z", 20240105, 5, 5.0, True, None, "", "NaT", "1" * 5000):
        with pytest.raises(DataError, match=r"t: .* cannot be used: "):
            values.time(value, days)
    with pytest.raises(DataError, match="it comes without a time zone, and this model's times are in Europe/Berlin"):
        values.time("2024-01-01", zone)
    assert values.time("2024-01-01 01:00+01:00", zone) == 19_723 * day


def test_a_model_remembers_whether_the_day_came_first() -> None:
    day = 86_400_000_000
    for texts, day_first in ((["30/1/2024", "31/1/2024"], True), (["1/30/2024", "1/31/2024"], False)):
        panel, schema = checks.panel(table.read({"t": texts, "y": [1.0, 2]}), Roles.of("y", time="t"))
        assert schema.day_first is day_first
        assert Schema.from_json(schema.to_json()) == schema
        later = "1/2/2024" if day_first else "2/1/2024"
        assert values.time(later, schema) == panel.time[-1] + day == in_table(later, schema)
        other = "2/25/2024" if day_first else "25/2/2024"
        with pytest.raises(DataError, match="day and month stand the other way round than in the table of the fit"):
            values.time(other, schema)
        with pytest.raises(DataError, match="day and month stand the other way round than in the table of the fit"):
            in_table(other, schema)
    _, schema = checks.panel(table.read({"t": ["2024-01-30", "2024-01-31"], "y": [1.0, 2]}), Roles.of("y", time="t"))
    assert schema.day_first is None


# --- numbers

NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from(NULLS),
    st.floats().map(str),
    st.integers().map(str),
    st.decimals(),
    st.fractions(),
    st.text(max_size=6),
    st.sampled_from(["true", "FALSE", " True ", "1e400", "-1e5", "1_000", "inf", "+.5", "5.", "0x1"]),
    st.floats(width=32).map(np.float32),
    st.integers(-100, 100).map(np.int8),
    st.integers(0, 2**64 - 1).map(np.uint64),
    st.sampled_from([np.bool_(True), pd.NA, pd.NaT, np.array(2.5), np.array([3]), np.array([1, 2]), 1j, b"1.5", b"x"]),
    st.dates(),
    st.timedeltas(),
    st.sampled_from([[1.0], {1.0}, {}, bytearray(b"1.5"), memoryview(b"-2"), bytearray(b"x")]),
    st.just(np.timedelta64(5, "D")),
    st.just(np.datetime64("NaT", "s")),
)


def number_in_table(value: Any) -> float:
    read = table.read({"y": [value]})
    return float(covariates.numbers(read, read.column("y"))[0])


@settings(max_examples=500, deadline=None)
@given(value=NUMBERS)
@example(10**400)
@example("1" + "0" * 400)
@example(1e18)
@example(np.nextafter(1e18, np.inf))
@example(Decimal("1e-400"))
@example(Fraction(1, 3))
@example(Decimal("sNaN"))
@example(np.complex128(1 + 2j))
@example(np.array(1j))
def test_a_number(value: Any) -> None:
    assert alike(outcome(lambda: values.number(value, "y")), outcome(lambda: number_in_table(value)))


FIELDS = st.one_of(
    st.floats().map(str),
    st.integers().map(str),
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.sampled_from(NULLS),
    st.sampled_from(
        ["true", "FALSE", "1e400", "-1e5", "+5", ".5", "5.", "1_000", "Infinity", "007", "9" * 25, "0x1", "-"]
    ),
)


@settings(max_examples=200, deadline=None)
@given(field=FIELDS)
def test_a_number_in_a_line_of_csv(field: str) -> None:
    """A field of a live line is the number that the same field of a file is."""
    assume(not set(field) & set(',"\n\r\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ufeff'))
    body = f"y,z\n{field},1\n".encode()

    def from_file() -> float:
        frame, _ = frames.read_csv(body, lines.check(body, "t"), "t")
        read = table.read(frame)
        return float(covariates.numbers(read, read.column("y"))[0])

    def live() -> float:
        reader = RowReader(Schema(("y",)))
        reader.read(b"y,z")
        row = reader.read(f"{field},1".encode())
        assert row is not None
        return values.number(row.value["y"], "y")

    assert alike(outcome(live), outcome(from_file))


# --- ids and categories

IDS = st.one_of(
    st.integers(),
    st.integers(-(2**66), 2**66),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from(NULLS),
    st.dates(),
    st.text(max_size=5),
    st.integers().map(str),
    st.integers().map(float),
    st.floats().map(str),
    st.just("\ud800"),
    st.integers(-100, 100).map(np.int64),
    st.integers(0, 2**64 - 1).map(np.uint64),
    st.just(pd.NA),
    st.just(Decimal("7")),
    st.sampled_from([bytearray(b"a"), bytearray(b"7"), memoryview(b"7.0"), ["a"], {7}]),
)


def id_in_table(value: Any, kind: Any) -> str | int:
    read = table.read({"i": [value]})
    _, ids, id_kind = keys.series_ids(read, read.column("i"), "alone")
    return keys.like_ids(ids, id_kind, kind)[0][0]


@pytest.mark.parametrize("kind", ["text", "integer"])
@settings(max_examples=300, deadline=None)
@given(value=IDS)
@example(7.9)
@example(2**63 - 1)
@example(-(2**63))
@example(2**63)
@example(" a ")
@example("7.0")
@example("+7")
@example("7_0")
@example(b"a")
@example(b"7.0")
def test_an_id(kind: Any, value: Any) -> None:
    assert outcome(lambda: values.series_id(value, kind)) == outcome(lambda: id_in_table(value, kind))


COVARIATES = (
    Covariate("c", "categorical", ("1", "2.5", "a", "true")),
    Covariate("c", "categorical", values.FLAG),
    Covariate("c", "categorical", ("False", "True", "maybe")),
)
LABELS = st.one_of(
    st.integers(-2, 3),
    st.floats(-3, 3),
    st.booleans(),
    st.none(),
    st.sampled_from(NULLS),
    st.text(max_size=3),
    st.dates(),
    st.sampled_from(
        ["a", " a ", "A", "true", "True", "1", "1.0", "0", "false", 1.0, 2.5, "2.5", np.float64(1), np.bool_(True)]
    ),
    st.just(pd.NA),
    st.just(np.int8(1)),
    st.just(Decimal("2.5")),
    st.sampled_from([["a"], ("a",), {"a"}, {"a": 1}, np.array(["a"]), bytearray(b" a "), b"1"]),
)


def test_several_values_are_no_category_and_no_bar_to_a_table_whose_columns_have_other_roles() -> None:
    with pytest.raises(DataError, match=r"c: \['a'\] is not a category: give one value"):
        values.features(COVARIATES[0], ["a"])
    source = {"y": [1.0, 2.0, 3.0], "c": ["a", ["a"], "b"]}
    with pytest.raises(DataError, match=r"column 'c', row 1: \['a'\] is not a single value"):
        table.read(source).column("c")
    assert checks.panel(table.read(source), Roles.of())[1].target == ("y",)


@pytest.mark.parametrize("covariate", COVARIATES)
@settings(max_examples=200, deadline=None)
@given(value=LABELS)
def test_a_category(covariate: Covariate, value: Any) -> None:
    def from_table() -> np.ndarray:
        read = table.read({"c": [value]})
        indices = covariates.values_of(read, read.column("c"), covariate)
        return covariates.one_hot(indices, covariate)[0]

    assert alike(outcome(lambda: np.array(values.features(covariate, value))), outcome(from_table))


# --- columns

COLUMNS = st.lists(st.one_of(st.integers(-(2**40), 2**40), st.floats(-1e6, 1e6), st.none(), st.booleans()), min_size=1)


@settings(max_examples=100, deadline=None)
@given(column=COLUMNS)
def test_a_column_is_its_values(column: list[Any]) -> None:
    read = table.read({"y": column})
    result = covariates.numbers(read, read.column("y"))
    np.testing.assert_array_equal(result, [values.number(value, "y") for value in column])


def test_odd_values_are_shown_short() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    for value in (10**5000, nested, "x" * 10**6):
        text = values.described(value)
        assert len(text) < 100
        with pytest.raises(DataError):
            values.number(value, "y")
    while nested:  # taken apart by hand: Python's own way down would end in the same recursion
        nested = nested.pop()
