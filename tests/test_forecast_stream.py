"""A stream says what a table says, whatever the order, the gaps and the company; and a wrong row changes nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from forecast_cases import (
    HEADS,
    HOUR,
    START,
    arguments,
    close,
    known_rows,
    model,
    panel,
    remembering,
    same_bits,
    value,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from statecast.config import CELLS, NORMALIZERS
from statecast.data.panel import Panel
from statecast.errors import DataError, ModelFileError, SettingError, TimeOrderError, UnknownSeries
from statecast.forecast.answer import Forecast
from statecast.forecast.predict import forecast, from_table, state_after
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.blocks import Blocks
from statecast.model.container import read_tensors
from statecast.model.trained import Model

FIRST = datetime(2024, 1, 2, 9)
LATER, EARLIER, BETWEEN = (FIRST + timedelta(hours=h) for h in (1, -1, 1.5))


def fed(of: Model, table: Panel, order: np.random.Generator | None = None, stream: Stream | None = None) -> Stream:
    """A stream that saw the rows of a table one by one, rows without any value left out, series interleaved."""
    stream = Stream(of) if stream is None else stream
    queues = [
        [row for row in range(span.start, span.stop) if not np.isnan(table.y[row]).all()] for span in table.spans()
    ]
    while any(queues):
        alive = [s for s, queue in enumerate(queues) if queue]
        s = alive[int(order.integers(len(alive)))] if order else alive[0]
        row = queues[s].pop(0)
        stream.observe(table.ids[s], value(table, row), int(table.time[row]), **arguments(of, table, row))
    return stream


def ahead(table: Panel) -> list[np.ndarray]:
    return [table.ahead[slice(*table.ahead_offsets[s : s + 2])] for s in range(table.series)]


def forecasts(stream: Stream, table: Panel, **more: Any) -> Forecast:
    known = [known_rows(rows) for rows in ahead(table)] if table.ahead.size else None
    return stream.forecast(table.ids, known=known, **more)


def agree(result: Forecast, expected: Forecast, precision: str) -> None:
    close(result.values, expected.values, precision)
    assert (result.times == expected.times).all()
    assert result.lower.keys() == expected.lower.keys()
    for level in expected.lower:
        close(result.lower[level], expected.lower[level], precision)
        close(result.upper[level], expected.upper[level], precision)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("independent", [False, True], ids=["joint", "independent"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_stream_says_what_the_table_says(cell: str, head: str, independent: bool, precision: str) -> None:
    of = model(cell, head=head, targets=2, independent=independent, precision=precision, covariates=True)
    table = panel(of, (9, 5, 1))
    stream = fed(of, table, np.random.default_rng(1))
    for horizon in (None, 8):
        agree(forecasts(stream, table, horizon=horizon), from_table(of, table, horizon), precision)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("independent", [False, True], ids=["joint", "independent"])
def test_every_answer_is_what_the_table_up_to_its_row_says(independent: bool, head: str) -> None:
    of = model(targets=2, independent=independent, head=head, precision="float64", covariates=True)
    table, stream = panel(of, (7,), gaps=False), Stream(of)
    for row in range(table.rows):
        result = stream.observe("s0", value(table, row), int(table.time[row]), **arguments(of, table, row))
        expected = from_table(of, table.cut(np.array([row + 1])))
        close(result.values, expected.values[0], "float64")
        close(result.lower[80], expected.lower[80][0], "float64")
        close(result.upper[95], expected.upper[95][0], "float64")
        assert (result.times == expected.times[0]).all()


@pytest.mark.parametrize("normalize", NORMALIZERS)
@pytest.mark.parametrize("structure", [((), ()), ((3, 3), ())], ids=str)
def test_every_normaliser_and_structure(normalize: str, structure: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    of = model("gru", normalize=normalize, hidden=structure[0], dense=structure[1], missing=False, precision="float64")
    table = panel(of, (12, 3))
    agree(forecasts(fed(of, table), table, horizon=7), from_table(of, table, 7), "float64")


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from(["float32", "float64"]))
def test_order_and_company_do_not_matter(seed: int, independent: bool, precision: str) -> None:
    rng = np.random.default_rng(seed)
    of = model(targets=2, independent=independent, precision=precision, covariates=True)
    table = panel(of, tuple(rng.integers(1, 8, 3).tolist()), seed)
    expected = from_table(of, table)
    together, alone = fed(of, table, rng), [fed(of, only(table, s)) for s in range(3)]
    agree(forecasts(together, table), expected, precision)
    same_bits(forecasts(together, table).values, forecasts(fed(of, table, rng), table).values)
    merged = alone[2].merge(alone[0]).merge(alone[1])
    same_bits(merged.take(table.ids).state.data, together.take(table.ids).state.data)
    agree(forecasts(merged, table), expected, precision)


def only(table: Panel, s: int) -> Panel:
    span, more = table.span(s), slice(*table.ahead_offsets[s : s + 2])
    size, rest = np.array([0, span.stop - span.start]), np.array([0, more.stop - more.start])
    parts = table.past[span], table.known[span], table.static[s : s + 1], table.ahead[more]
    return Panel(table.y[span], table.time[span], size, table.ids[s : s + 1], *parts, rest)


@pytest.mark.parametrize("independent", [False, True], ids=["joint", "independent"])
def test_many_at_once_are_one_after_the_other(independent: bool) -> None:
    of = model(targets=2, independent=independent, covariates=True, precision="float64")
    rng = np.random.default_rng(0)
    one, many = Stream(of), Stream(of)
    names, now = [f"s{n}" for n in range(5)], np.full(5, START)
    for _ in range(4):
        y, past = rng.standard_normal((5, 2)), rng.standard_normal((5, 1))
        y[rng.random(y.shape) < 0.3] = np.nan
        known = [known_rows(np.column_stack([rng.standard_normal(4), np.ones(4), np.zeros(4)])) for _ in names]
        static = None if one.ids else rng.standard_normal((5, 1))
        result = many.observe_many(names, y, now, past=past, known=known, static=static)
        for n, name in enumerate(names):
            more = {} if static is None else {"static": static[n]}
            single = one.observe(name, y[n], int(now[n]), past=past[n], known=known[n], **more)
            assert single.values.shape == (3, 2)
            close(result.values[n], single.values, "float64")
            close(result.upper[95][n], single.upper[95], "float64")
            assert (result.times[n] == single.times).all()
        now = now + rng.integers(1, 4, 5) * HOUR
    assert result.values.shape == (5, 3, 2)
    close(many.state.data, one.state.data, "float64")


def test_a_stream_goes_on_where_the_table_ended(tmp_path: Path) -> None:
    of = model(targets=2, independent=True, covariates=True, precision="float64")
    table = panel(of, (8, 6), gaps=False)
    begin = table.cut(np.array([5, 3]))
    fitted = remembering(of, begin)
    archive.save(fitted, tmp_path / "model.safetensors")
    rest = Stream.load(tmp_path)
    for s, span in enumerate(table.spans()):
        for row in range(span.start + (5, 3)[s], span.stop):
            rest.observe(table.ids[s], value(table, row), **arguments(of, table, row))
    agree(forecasts(rest, table), from_table(of, table), "float64")
    assert Stream.load(tmp_path / "model.safetensors").ids == table.ids
    assert Stream.load(tmp_path, empty=True).ids == ()


def test_a_snapshot_goes_on_in_the_same_bits(tmp_path: Path) -> None:
    of = model("gru", targets=2, independent=True)
    table = panel(of, (9, 5))
    stream = fed(of, table)
    before = stream.state
    stream.save(tmp_path / "live.safetensors")
    kept = before.data.copy()
    others = [Stream.load(tmp_path / "live.safetensors"), Stream(of, before)]
    expected = [stream.observe("s1", [4.0, None]), stream.observe("s0", [None, 5.0]), stream.observe("s1", [1.0, 2.0])]
    same_bits(before.data, kept)
    for other in others:
        assert other.ids == ("s0", "s1")
        result = [other.observe("s1", [4.0, None]), other.observe("s0", [None, 5.0]), other.observe("s1", [1.0, 2.0])]
        for one, two in zip(result, expected, strict=True):
            same_bits(one.values, two.values)
            same_bits(one.lower[80], two.lower[80])
            assert (one.times == two.times).all()
        same_bits(other.state.data, stream.state.data)
    with pytest.raises(ModelFileError, match=r"is a statecast stream: expected a checkpoint"):
        read_tensors(tmp_path / "live.safetensors", "checkpoint")


@pytest.mark.parametrize("independent", [False, True], ids=["joint", "independent"])
def test_a_snapshot_of_many_series_is_written_block_by_block(
    independent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = model(targets=2, independent=independent)
    stream, ids = Stream(of), [f"s{n}" for n in range(600)]
    stream.observe_many(ids, np.arange(1200.0).reshape(600, 2), FIRST)
    stream.remove(ids[100:300])
    stream.observe("late", [1.0, 2.0], LATER)
    whole = archive.to_bytes(replace(of, state=stream.state), "stream")
    sizes: list[int] = []
    take = Blocks.take
    monkeypatch.setattr(Blocks, "take", lambda table, index: sizes.append(len(index)) or take(table, index))
    assert stream.save(tmp_path / "s").read_bytes() == whole
    assert max(sizes) <= 512 < sum(sizes)
    same_bits(Stream.load(tmp_path / "s").state.data, stream.state.data)


@pytest.mark.parametrize("independent", [False, True], ids=["joint", "independent"])
def test_of_a_series_that_was_removed_nothing_is_left(independent: bool, tmp_path: Path) -> None:
    stream = Stream(model(targets=2, independent=independent))
    for hour in (5, 7):
        stream.observe_many(["a", "b"], [[float(hour), 1.0], [2.0, 3.0]], START + HOUR * hour)
    other = stream.state_of(["b"]).data.copy()
    stream.remove(["a"])
    loaded = Stream.load(stream.save(tmp_path / "s"))
    fresh = Stream(model(targets=2, independent=independent)).observe("a", [9.0, 9.0], START)
    for each in (stream, loaded):
        assert each.ids == ("b",)
        same_bits(each.state_of(["b"]).data, other)
        with pytest.raises(UnknownSeries, match="no series 'a'"):
            each.forecast(["a"])
        again = each.observe("a", [9.0, 9.0], START)  # neither its state nor its last values are remembered
        same_bits(again.values, fresh.values)
        same_bits(again.lower[80], fresh.lower[80])


def test_a_forecast_does_not_change_when_the_stream_goes_on() -> None:
    stream = Stream(model())
    first = stream.observe("a", 5.0, START)
    kept = first.values.copy()
    again = stream.forecast(["a"])
    stream.observe("a", 50.0)
    again_first = again.values
    same_bits(again_first[0], kept)
    same_bits(first.lower[80], again.lower[80][0])


def test_a_stream_does_not_change_its_model() -> None:
    of = remembering(model(), panel(model()))
    kept = of.state.data.copy()
    Stream(of).observe("s0", 50.0)
    same_bits(of.state.data, kept)


def test_one_series_is_single_and_many_are_not() -> None:
    stream = Stream(model(targets=2))
    result = stream.observe("a", {"y1": 3.0, "y0": 1.0}, START)
    assert (result.ids, result.values.shape, result.times.shape) == (("a",), (3, 2), (3,))
    assert result.lower[80].shape == result.upper[95].shape == (3, 2)
    assert stream.forecast().values.shape == (1, 3, 2)
    other = Stream(model(targets=2))
    same_bits(other.observe("a", [1.0, 3.0], START).values, result.values)
    assert list(result.columns()) == [
        "site", "hour", "statecast", "statecast-lo-80", "statecast-hi-80", "statecast-lo-95", "statecast-hi-95",
    ]  # fmt: skip
    assert result.columns()["site"].tolist() == ["a/y0"] * 3 + ["a/y1"] * 3
    assert result.columns()["statecast"].tolist() == result.values.T.reshape(-1).tolist()


def test_a_table_without_ids_names_its_targets() -> None:
    for independent in (False, True):
        of = model(targets=2, independent=independent, id=None)
        table = panel(of, (6,))
        fitted = remembering(of, table)
        stream = Stream(fitted)
        assert stream.ids == ("series",)
        assert stream.forecast().columns()["unique_id"].tolist() == ["y0"] * 3 + ["y1"] * 3
        stream.observe("another", [1.0, 2.0], START)
        names = stream.forecast().columns()["unique_id"].tolist()
        assert names[::3] == ["series/y0", "series/y1", "another/y0", "another/y1"]
        assert Stream(fitted, stream.state).ids == stream.ids


@pytest.mark.parametrize("independent", [False, True], ids=["joint", "independent"])
def test_ids_that_are_numbers(independent: bool) -> None:
    of = model(targets=2, independent=independent, id_kind="integer")
    stream = Stream(remembering(of, panel(of)))
    assert stream.ids == (0, 1)
    stream.observe("1", [1.0, 2.0])
    stream.observe(np.int64(7), [1.0, 2.0], START)
    assert stream.ids == (0, 1, 7)
    assert Stream(of, stream.state).ids == (0, 1, 7)
    with pytest.raises(DataError, match=r"the id 'x' is not a whole number"):
        stream.observe("x", [1.0, 2.0], START)


# --- times


@pytest.mark.parametrize(
    "time",
    [FIRST, np.datetime64("2024-01-02T09"), "2024-01-02 09:00", "2024-01-02T09:00:00", START, np.int64(START)],
    ids=str,
)
def test_ways_to_write_a_time(time: Any) -> None:
    result = Stream(model()).observe("a", 1.0, time)
    assert result.times.tolist() == [START + (k + 1) * HOUR for k in range(3)]
    assert result.stamps[0] == np.datetime64("2024-01-02T10:00")


def test_times_with_a_zone() -> None:
    of = model(tz="Europe/Berlin")
    east = timezone(timedelta(hours=1))
    for time in (
        FIRST.replace(tzinfo=UTC),
        FIRST.replace(hour=10, tzinfo=east),
        "2024-01-02T10:00+01:00",
        "2024-01-02T09:00Z",
    ):
        assert Stream(of).observe("a", 1.0, time).times[0] == START + HOUR
    with pytest.raises(DataError, match=r"it comes without a time zone, and this model's times are in Europe/Berlin"):
        Stream(of).observe("a", 1.0, FIRST)
    with pytest.raises(DataError, match=r"it comes with a time zone, and this model's times are without one"):
        Stream(model()).observe("a", 1.0, FIRST.replace(tzinfo=UTC))


def test_days_of_a_zone_are_readings_of_its_clock() -> None:
    of = model(tz="Europe/Berlin", freq="1d")
    stream = Stream(of)
    stream.observe("a", 1.0, datetime(2024, 3, 29, 23, tzinfo=UTC))  # midnight of 30 March in Berlin
    result = stream.observe("a", 1.0, datetime(2024, 3, 31, 22, tzinfo=UTC))  # of 1 April, after clocks changed
    assert result.stamps[0] == np.datetime64("2024-04-01T22:00")


def test_months_are_counted_by_the_calendar() -> None:
    stream = Stream(model(freq="1mo", time_kind="date"))
    stream.observe("a", 1.0, date(2024, 1, 1))
    result = stream.observe("a", 2.0, date(2024, 4, 1))
    assert result.stamps.astype(str).tolist() == ["2024-05-01", "2024-06-01", "2024-07-01"]
    with pytest.raises(DataError, match=r"2024-05-02 is not a whole number of steps of 1mo after 2024-04-01"):
        stream.observe("a", 2.0, date(2024, 5, 2))


def test_rows_are_counted_where_there_are_no_times() -> None:
    stream = Stream(model(time_kind="row", freq="1"))
    assert stream.observe("a", 1.0).times.tolist() == [1, 2, 3]
    assert stream.observe("a", 1.0).times.tolist() == [2, 3, 4]
    assert stream.observe("a", 1.0, 7).times.tolist() == [8, 9, 10]


def test_a_gap_is_missing_rows() -> None:
    skipped, stepped = Stream(model(precision="float64")), Stream(model(precision="float64"))
    for stream in (skipped, stepped):
        stream.observe("a", 5.0, START)
    for _ in range(599):
        stepped.observe("a", None)
    close(skipped.observe("a", 7.0, START + 600 * HOUR).values, stepped.observe("a", 7.0).values, "float64")


@pytest.mark.parametrize("freq", ["1d", "1mo"])
def test_no_forecast_goes_beyond_the_last_day_that_a_table_can_hold(freq: str) -> None:
    of = model(freq=freq, time_kind="date")
    stream, day = Stream(of), {"1d": "9999-12-28", "1mo": "9999-09-01"}[freq]
    assert str(stream.observe("a", 1.0, day).stamps[-1]) == {"1d": "9999-12-31", "1mo": "9999-12-01"}[freq]
    before = stream.state
    for observe in (stream.observe, lambda *row: stream.observe_many(*([item] for item in row))):
        with pytest.raises(DataError, match="times end with the year 9999, less than 3 steps later: correct the time"):
            observe("a", 1.0, {"1d": "9999-12-29", "1mo": "9999-10-01"}[freq])
    with pytest.raises(DataError, match="less than 4 steps later"):
        stream.forecast(horizon=4)
    same_bits(stream.state.data, before.data)
    whole = Stream(model(freq="1", time_kind="integer"))
    assert whole.observe("a", 1.0, 2**62 - 4).times[-1] == 2**62 - 1
    with pytest.raises(DataError, match=r"times end with 2\^62"):
        whole.observe("a", 1.0)


def test_a_stream_is_shown_in_one_line() -> None:
    stream = Stream(model())
    assert repr(stream) == "<Stream: load of 0 series; 3 steps ahead>"
    for n in range(4):
        stream.observe(f"s{n}", 1.0, FIRST)
    assert repr(stream) == "<Stream: load of 4 series: 's0', 's1', 's2', …; 3 steps ahead>"


# --- what is refused changes nothing


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "earlier": ({"time": EARLIER}, TimeOrderError, r"series 'a': 2024-01-02 08:00:00 is not after 2024-01-02 09:"),
    "same": ({"time": FIRST}, TimeOrderError, r"series 'a': .* is not after"),
    "off-grid": ({"time": BETWEEN}, DataError, r"10:30:00 is not a whole .* of 1h after .* expected 2024-01-02 10:00"),
    "far": ({"time": FIRST + timedelta(days=50_000)}, DataError, r"skips 1,199,999 steps .* more than 1,000,000"),
    "no-time": ({"time": "yesterday"}, DataError, r"hour: 'yesterday' cannot be used: not a time: write it"),
    "nat": ({"time": np.datetime64("NaT", "s")}, DataError, r"hour: .*NaT.* every row needs one"),
    "number": ({"time": 1.5}, DataError, r"hour: 1.5 cannot be used"),
    "set": ({"value": {2.0}}, DataError, r"the values of series 'a': \{2.0\} has no order"),
    "raw text": ({"value": bytearray(b"x")}, DataError, r"load of series 'a': bytearray\(b'x'\) is not a number"),
    "inf": ({"value": float("inf")}, DataError, r"load of series 'a': inf cannot be used: leave it empty if it is"),
    "large": ({"value": -1e30}, DataError, r"load of series 'a': -1e\+30 cannot be used: values beyond 1e\+18"),
    "far-out": ({"value": 1e17}, DataError, r"series 'a': 1e\+17 is more than 1e\+15 times farther out"),
    "text": ({"value": "four"}, DataError, r"load of series 'a': 'four' is not a number"),
    "two": ({"value": [1.0, 2.0]}, DataError, r"the values of series 'a': got 2 values, expected 1: load"),
    "named": ({"value": {"lod": 1.0}}, DataError, r"there is no column 'lod'; did you mean 'load'"),
    "past": ({"past": [1.0]}, DataError, r"past: this model has no such covariates: leave past= out"),
    "new": ({"id": "b"}, DataError, r"series 'b' is new, so its first row needs a time"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_row_changes_nothing(name: str) -> None:
    more, error, message = WRONG[name]
    stream = Stream(model())
    stream.observe("a", 1.0, FIRST)
    before, ids = stream.state, stream.ids
    with pytest.raises(error, match=message):
        stream.observe(**{"id": "a", "value": 2.0, **more})
    same_bits(stream.state.data, before.data)
    same_bits(stream.state.time, before.time)
    assert stream.ids == ids


MANY: dict[str, tuple[tuple[Any, ...], type[Exception], str]] = {
    "twice": ((["a", "b", "a"], [1.0, 2.0, 3.0]), DataError, r"series 'a' comes twice"),
    "count": ((["a", "b"], [1.0]), DataError, r"values: got 1, expected one for each of the 2 series"),
    "order": ((["a", "b"], [1.0, 2.0], [LATER, FIRST]), TimeOrderError, r"series 'b': .* is not after"),
    "inf": ((["a", "b"], np.array([1.0, np.inf])), DataError, r"values: inf cannot be used"),
    "text": ((["a", "b"], ["one", "2"]), DataError, r"load of series 'a': 'one' is not a number"),
    "far-out": ((["a", "b"], np.array([1.0, 1e17])), DataError, r"values: 1e\+17 is more than"),
    "new": ((["a", "c"], [1.0, 2.0]), DataError, r"series 'c' is new"),
    "set": ((["a", "b"], {1.0, 2.0}), DataError, r"values: got \{1.0, 2.0\}, expected a row for each"),
}  # fmt: skip


@pytest.mark.parametrize("name", MANY)
def test_one_wrong_row_of_many_changes_nothing(name: str) -> None:
    arguments, error, message = MANY[name]
    stream = Stream(model())
    stream.observe_many(["a", "b"], [1.0, 2.0], FIRST)
    before = stream.state
    with pytest.raises(error, match=message):
        stream.observe_many(*arguments)
    same_bits(stream.state.data, before.data)
    assert (stream.state.time == before.time).all()
    assert stream.ids == ("a", "b")


def test_no_rows_are_no_forecasts_and_change_nothing() -> None:
    stream = Stream(model())
    assert stream.observe_many([], []).values.shape == (0, 3, 1)
    stream.observe("a", 1.0, FIRST)
    before = stream.state
    assert stream.observe_many([], np.empty((0, 1)), FIRST).ids == ()
    same_bits(stream.state.data, before.data)


def test_masked_values_are_missing() -> None:
    masked, missing = Stream(model()), Stream(model())
    values = np.ma.masked_array([1.0, 900.0], [False, True])
    same_bits(
        masked.observe_many(["a", "b"], values, FIRST).values,
        missing.observe_many(["a", "b"], [1.0, None], FIRST).values,
    )


@pytest.mark.parametrize("column", [pd.Series, pd.to_datetime, pl.Series, lambda times: iter(list(times))])
def test_times_may_be_a_column_of_a_frame(column: Any) -> None:
    stream = Stream(model())
    stream.observe_many(["a", "b"], pd.Series([1.0, 2.0]), column([FIRST, LATER]))
    assert stream.state.time.tolist() == [START, START + HOUR]


def test_covariates_must_be_there_and_right() -> None:
    stream = Stream(model(covariates=True))
    known = [{"heat": 1.0, "open": "yes"}] * 4
    right: dict[str, Any] = {"past": {"wind": 1.0}, "known": known, "static": [3.0]}

    def refuse(message: str, **more: Any) -> None:
        with pytest.raises(DataError, match=message):
            stream.observe("a", 1.0, FIRST, **{**right, **more})
        assert stream.ids == ()

    refuse(r"series 'a' is new, so its first row needs the static 'area'", static=None)
    refuse(
        r"'heat', 'open' of series 'a' must be known ahead, but there is no value from 2024-01-02 11:00:00.* on",
        known=known[:2],
    )
    refuse(r"must be known ahead, but there is no value from 2024-01-02 12:00:00.* on", known=known[:3])
    refuse(r"must be known ahead, but there is no value from 2024-01-02 09:00:00.* on", known=None)
    refuse(r"past: there is no column 'wnd'; did you mean 'wind'", past={"wnd": 1.0})
    refuse(r"known: the column 'open' is not given", known=[{"heat": 1.0}] * 4)
    refuse(r"wind: 'calm' is not a number", past=["calm"])
    refuse(r"heat: inf cannot be used", known=[{"heat": np.inf, "open": "no"}] * 4)
    refuse(r"static: got 2 values, expected 1: area", static=[1.0, 2.0])
    with pytest.warns(UserWarning, match=r"open: the model has not seen the category 'ajar'; it is treated as missing"):
        result = stream.observe("a", 1.0, FIRST, **{**right, "known": [*known[:3], {"heat": 1.0, "open": "ajar"}]})
    other = Stream(model(covariates=True))
    expected = other.observe("a", 1.0, FIRST, **{**right, "known": [*known[:3], {"heat": 1.0, "open": None}]})
    same_bits(result.values, expected.values)
    with pytest.raises(DataError, match=r"must be known ahead, but there is no value from 2024-01-02 12:00:00.* on"):
        stream.forecast(horizon=4, known=[known[:2]])


def test_series_that_are_not_here() -> None:
    stream, of = Stream(model()), model()
    stream.observe("north", 1.0, FIRST)
    with pytest.raises(UnknownSeries, match=r"there is no series 'nroth' in this stream; did you mean 'north'"):
        stream.forecast(["nroth"])
    with pytest.raises(UnknownSeries, match=r"there is no series 'south'"):
        stream.take(["south"])
    with pytest.raises(SettingError, match=r"ids: got 'north', expected a list"):
        stream.forecast("north")
    with pytest.raises(DataError, match=r"series 'north' is in both streams"):
        stream.merge(stream)
    with pytest.raises(DataError, match=r"these streams have different models"):
        stream.merge(Stream(model(seed=1)))
    with pytest.raises(DataError, match=r"the state comes from another network"):
        Stream(model("gru"), stream.state)
    assert stream.merge(Stream(of)).ids == ("north",)
    assert Stream(of).forecast().values.shape == (0, 3, 1)


def test_a_forecast_of_nothing_seen() -> None:
    counted = model(time_kind="row", freq="1")
    stream = Stream(counted)
    result = stream.observe("a", None)
    assert np.isfinite(result.values).all()
    state = state_after(model(), panel(model(), (3,)))
    unseen = type(state)(state.layout, state.data, state.ids, np.array([np.iinfo(np.int64).min]))
    with pytest.raises(DataError, match=r"series 's0' has no row yet"):
        forecast(model(), unseen)


def test_loading_and_observing_needs_neither_jax_nor_frames(tmp_path: Path) -> None:
    of = model(targets=2, independent=True)
    archive.save(remembering(of, panel(of)), tmp_path / "model.safetensors")
    code = (
        "import sys; from statecast.forecast.stream import Stream\n"
        f"stream = Stream.load({str(tmp_path)!r}); found = stream.observe('s0', [1.0, 2.0]); found.values\n"
        "found.lower; stream.forecast(horizon=9).values\n"
        "heavy = {'jax', 'optax', 'polars', 'pandas', 'pyarrow', 'narwhals', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
