"""Requests → rows: every way of writing them gives the same, odd rows are refused alone, and limits hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import forecast_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statecast.errors import DataError, TooLarge
from statecast.server.http.bodies import BodyReader
from statecast.server.options import Options
from statecast.server.rows import LiveRows
from statecast.server.states.intake import Intake

MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "covariates": {"covariates": True},
    "numbered": {"id_kind": "integer", "time_kind": "integer", "freq": "1", "targets": 2},
    "lone": {"id": None, "time_kind": "row", "freq": "1"},
    "zoned": {"tz": "Europe/Madrid"},
}
READERS = {
    name: BodyReader(cases.model(**settings), Options(row_limit=50, id_limit=20)) for name, settings in MODELS.items()
}
NOON = "2024-01-02 12:00:00"


def row(name: str = "plain", **changes: Any) -> dict[str, Any]:
    """A sound row for one of the models."""
    schema = READERS[name].schema
    record: dict[str, Any] = {schema.id: "a", schema.time: NOON + ("Z" if schema.tz else "")}
    if schema.id_kind == "integer":
        record = {schema.id: 7, schema.time: 3}
    record.pop(None, None)
    record |= {target: 1.5 for target in schema.target}
    if schema.past:
        record |= {"wind": 2, "heat": [1, 2, None, 4], "open": ["no", "yes", None, "no"]}
    return record | changes


def alike(one: LiveRows, other: LiveRows) -> None:
    assert one.errors == other.errors
    sound = one.sound
    assert [one.ids[n] for n in sound] == [other.ids[n] for n in sound]
    np.testing.assert_array_equal(one.values[sound], other.values[sound])
    for name in ("times", "past"):
        parts = [getattr(rows, name) for rows in (one, other)]
        assert (parts[0] is None) == (parts[1] is None)
        if parts[0] is not None:
            np.testing.assert_array_equal(parts[0][sound], parts[1][sound])
    assert (one.known, one.static) == (other.known, other.static)


# --- every way of writing them

NUMBERS = st.one_of(
    st.none(),
    st.floats(-1e18, 1e18),
    st.integers(-(10**18), 10**18),
    st.sampled_from(
        [1e17, -1e18, 2e18, 10**30, "5", "1,5", "many", True, [1], {"a": 1}, float("inf"), float("nan"), ""]
    ),
)
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.lists(st.integers(), max_size=2)
)
TIMES = st.one_of(st.sampled_from([NOON, "2024-01-02", "2024-01-02T12:00:00Z", "", "x", "3", 3, 2**62]), ODD)
IDS = st.one_of(st.sampled_from(["a", "b c", " a", "NaN", "", "x" * 21, "\ud800", "load", "ä", 7, "7", "a\\b"]), ODD)


@st.composite
def records(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    name = draw(st.sampled_from(["plain", "numbered", "lone", "zoned"]))
    schema = READERS[name].schema
    sound = draw(st.booleans())
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        record = row(name)
        for target in schema.target:
            record[target] = draw(st.floats(-1e6, 1e6) if sound else NUMBERS)
        if schema.id and (not sound or schema.id_kind == "text"):
            record[schema.id] = draw(st.sampled_from(["a", "b", "c"]) if sound else IDS)
        if schema.time and not sound:
            record[schema.time] = draw(TIMES)
        rows.append(record)
    return name, rows


@settings(max_examples=300, deadline=None)
@given(case=records())
def test_every_way_of_writing_rows_gives_the_same(case: tuple[str, list[dict[str, Any]]]) -> None:
    name, rows = case
    reader = READERS[name]
    expected = reader.records(json.loads(json.dumps(rows)))
    alike(reader.read(json.dumps(rows).encode()), expected)
    alike(reader.read("\n".join(map(json.dumps, rows)).encode(), lines=True), expected)
    if not any(isinstance(value, list) for record in rows for value in record.values()):  # else they may be columns
        for n, record in enumerate(rows):
            alone = reader.read(json.dumps(record).encode())
            assert alone.errors.get(0) == expected.errors.get(n)
        columns = {key: [record[key] for record in rows] for key in rows[0]}
        alike(reader.read(json.dumps(columns).encode()), expected)


class ByColumn(BodyReader):
    """Reads by the column alone: the way by the row would hide in equal results."""

    def records(self, records: Any) -> LiveRows:
        raise AssertionError("read by the row")


def test_plain_rows_are_read_by_the_column() -> None:
    reader = ByColumn(READERS["plain"].model, Options())
    for body in (json.dumps(row()), json.dumps({"site": ["a"], "hour": NOON, "load": [1.5]})):
        assert reader.read(body.encode()).values.tolist() == [[1.5]]
    assert reader.read(f"{json.dumps(row())}\n{json.dumps(row())}".encode(), lines=True).ids == ["a", "a"]
    read = reader.read(json.dumps([row(), row(site="b", load=None), row(load=3, more="x")]).encode())
    assert (read.ids, read.errors) == (["a", "b", "a"], {})
    np.testing.assert_array_equal(read.values[:, 0], [1.5, np.nan, 3])
    assert read.times is not None and len(set(read.times.tolist())) == 1


def test_static_columns_are_read_by_the_row_where_they_are_stated() -> None:
    model = cases.model(covariates=True)
    schema = replace(model.schema, known=())
    reader = ByColumn(replace(model, schema=schema), Options())
    record = row() | {"wind": 2}
    np.testing.assert_array_equal(reader.read(json.dumps([record]).encode()).past, [[2]])
    read = BodyReader(reader.model, Options()).read(json.dumps([record, record | {"area": 3}]).encode())
    assert (read.static, read.errors) == ([None, {"area": 3}], {})


def test_a_single_value_stands_for_all_rows() -> None:
    for extra in ({}, {"more": "\\u0020"}):  # by the column and by the row
        read = READERS["plain"].read(json.dumps({"site": ["a", "b"], "hour": NOON, "load": [1, 2], **extra}).encode())
        assert (read.ids, read.values[:, 0].tolist(), read.errors) == (["a", "b"], [1, 2], {})


def test_covariates_are_left_to_the_engine() -> None:
    reader = READERS["covariates"]
    read = reader.read(json.dumps([row("covariates", area=3), row("covariates", site="b")]).encode())
    assert read.errors == {}
    assert (list(read.past or ()), read.static) == ([{"wind": 2}] * 2, [{"area": 3}, None])
    intake = Intake.read(reader.model, read)
    assert intake.errors == {}
    np.testing.assert_array_equal(intake.past, [[2], [2]])
    assert intake.known is not None
    np.testing.assert_array_equal(intake.known[0, :, 0], [1, 2, np.nan, 4])
    assert reader.read(json.dumps([row("covariates")]).encode()).static is None


# --- odd rows


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("plain", {"load": "many"}, "'many' is not a number"),
        ("plain", {"load": 1e300}, "values beyond 1e\\+18 need rescaling"),
        ("plain", {"load": 9e17}, "times farther out than the training rows"),
        ("plain", {"hour": "2024-13-01 00:00:00"}, "no such day or time"),
        ("plain", {"hour": 5}, "is not a date"),
        ("plain", {"hour": None}, "a time is missing"),
        ("plain", {"site": None}, "names no series"),
        ("plain", {"site": "x" * 21}, "more than 20 characters"),
        ("plain", {"site": "\ud800"}, "not sound Unicode"),
        ("covariates", {"wind": "strong"}, "wind: 'strong' is not a number"),
        ("covariates", {"heat": [1, 2, 3]}, "known: its columns have 3, 4 values"),
        ("covariates", {"heat": [1] * 3, "open": ["no"] * 3}, "known: got 3 rows of 'heat', 'open', expected 4"),
        ("covariates", {"heat": [1, "x", 3, 4]}, "heat: 'x' is not a number"),
        ("covariates", {"area": "large"}, "area: 'large' is not a number"),
        ("numbered", {"hour": 2**62}, "lie between"),
        ("numbered", {"hour": -(2**63)}, "lie between"),
        ("numbered", {"site": 2**63}, "names no series"),
        ("zoned", {"hour": NOON}, "without a time zone"),
    ],
)  # fmt: skip
def test_an_odd_row_is_refused_alone(name: str, changes: dict[str, Any], message: str) -> None:
    reader, odd = READERS[name], row(name, **changes)
    read = Intake.read(reader.model, reader.read(json.dumps([row(name), odd, row(name)]).encode()))
    assert list(read.errors) == [1]
    with pytest.raises(DataError, match=message):
        raise DataError(read.errors[1])
    assert Intake.read(reader.model, reader.read(json.dumps(odd).encode())).errors == {0: read.errors[1]}


def test_a_key_that_comes_twice_is_refused_however_it_is_hidden() -> None:
    reader, good = READERS["plain"], json.dumps(row())
    for key in ('"load"', '"lo\\u0061d"', '"load" '):
        twice = good[:-1] + f", {key}: 9}}"
        for body, lines in ((f"[{good}, {twice}]", False), (f"{good}\n{twice}", True)):
            assert list(reader.read(body.encode(), lines).errors) == [1]
        assert list(reader.read(twice.encode()).errors) == [0]
    read = reader.read(b'{"site": ["a"], "hour": ["' + NOON.encode() + b'"], "load": [1], "load": [2]}')
    assert "the key 'load' comes twice" in read.errors[0]


def test_a_value_may_be_called_like_a_column() -> None:
    read = READERS["plain"].read(json.dumps([row(site="load"), row(site="hour")]).encode())
    assert (read.ids, read.errors) == (["load", "hour"], {})


def test_lines_that_are_no_rows_are_refused_alone() -> None:
    good = json.dumps(row()).encode()
    body = b"\r\n".join(
        [good, b"{", b"", b'"x"', b"\xff", b"[" * 100_000, b"1" * 5000, good[:-1] + b', "m": "\xe2\x80\xa8"}']
    )
    read = READERS["plain"].read(body, lines=True)
    assert (list(read.errors), read.sound) == ([1, 2, 3, 4, 5], [0, 6])
    assert "not UTF-8" in read.errors[3]
    assert "nested too deeply" in read.errors[4]
    assert max(map(len, read.errors.values())) < 300


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"5", "5 is not a row"),
        (b'"text"', "is not a row"),
        (b"null", "None is not a row"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"site": ["a", "b"], "hour": ["x"], "load": [1]}', "'site' 2, 'hour' 1, 'load' 1"),
    ],
)
def test_a_body_that_is_no_rows_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        READERS["plain"].read(body)


@settings(max_examples=300, deadline=None)
@given(body=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)), lines=st.booleans())
def test_any_bytes_are_rows_or_an_error(body: bytes, lines: bool) -> None:
    try:
        read = READERS["plain"].read(body, lines)
    except DataError:
        return
    assert len(read.errors) == len(read)


def test_requests_have_a_limit_of_rows() -> None:
    reader = READERS["plain"]
    assert len(reader.read(json.dumps([row()] * 50).encode())) == 50
    columns = {"site": ["a"] * 51, "hour": NOON, "load": 1}
    odd = [row(load="x")] * 51
    for body in (json.dumps([row()] * 51), json.dumps(columns), json.dumps(odd), json.dumps(columns | {"load": "x"})):
        with pytest.raises(TooLarge, match="51 rows in one request, and it may have 50"):
            reader.read(body.encode())
    with pytest.raises(TooLarge):
        reader.read("\n".join([json.dumps(row())] * 51).encode(), lines=True)


def test_no_rows_are_no_error() -> None:
    for body, lines in ((b"[]", False), (b"", True), (b'{"site": [], "hour": [], "load": []}', False)):
        assert len(READERS["plain"].read(body, lines)) == 0
