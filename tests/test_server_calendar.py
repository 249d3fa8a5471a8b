"""A server whose model knows business days, holidays and limits: it says what a stream says, also after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import forecast_cases as cases
import numpy as np
import pytest
import server_cases as server

from statecast.forecast.stream import Stream
from statecast.server.engine.engine import Engine
from statecast.server.rows import LiveRows

MONDAY = int(np.datetime64("2024-01-08", "us").astype(np.int64))
DAY = 24 * cases.HOUR
SETTINGS: dict[str, Any] = {
    "freq": "B",
    "time_kind": "date",
    "holidays": ("2024-01-11 Fair", "2024-01-17"),
    "lower": 0.0,
    "upper": 10.0,
    "transform": "logit",
}


def rows(day: int, values: list[float], names: list[str] | None = None) -> LiveRows:
    names = names or [f"s{n}" for n in range(len(values))]
    return LiveRows(names, np.full(len(values), MONDAY + day * DAY), np.array(values)[:, None])


BATCHES = [rows(day, [5.0 + day / 10, 6.0 - day / 20]) for day in (0, 1, 2, 4, 7, 8, 10)]


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    started = server.started(server.saved(tmp_path, **SETTINGS), tmp_path / "state", checkpoint=3600)
    yield started
    started.close()


def observed(engine: Engine) -> Stream:
    for batch in BATCHES:
        assert engine.submit(batch).result().errors == [None, None]
    return server.undying(engine.model, BATCHES)


def test_a_server_says_what_a_stream_says(engine: Engine) -> None:
    stream = observed(engine)
    server.require_same(engine, stream)
    ahead = engine.forecast(["s0", "s1"])
    np.testing.assert_array_equal(ahead.values, stream.forecast(["s0", "s1"]).values)
    assert (ahead.values > 0).all() and (ahead.values < 10).all()
    days = np.asarray(ahead.times[0]).astype("M8[us]").astype("M8[D]").astype(str).tolist()
    assert days == ["2024-01-19", "2024-01-22", "2024-01-23"]


def test_rows_on_days_off_and_beyond_limits_are_refused_and_others_are_not(engine: Engine) -> None:
    stream = observed(engine)
    saturday = engine.submit(rows(12, [5.0, 5.0])).result().errors
    assert all("2024-01-20 is not a whole number of steps of B" in str(error) for error in saturday)
    mixed = engine.submit(rows(11, [5.0, 12.0])).result().errors
    assert mixed[0] is None and "load is 12, above the limit upper = 10" in str(mixed[1])
    new = engine.submit(rows(13, [5.0], ["new"])).result().errors
    assert "2024-01-21 is a Sunday, which steps of B skip" in str(new[0])
    stream.observe("s0", 5.0, MONDAY + 11 * DAY)
    server.require_same(engine, stream)


def test_a_server_that_was_killed_knows_them_again(tmp_path: Path) -> None:
    model = server.saved(tmp_path, **SETTINGS)
    first = server.started(model, tmp_path / "state", checkpoint=3600)
    stream = observed(first)
    first._store.close()
    after = server.started(model, tmp_path / "state")
    server.require_same(after, stream)
    after.close()


def test_rows_that_come_late_are_put_in_their_place_among_business_days(tmp_path: Path) -> None:
    engine = server.started(server.saved(tmp_path, **SETTINGS), tmp_path / "state", late=3)
    order = [BATCHES[n] for n in (0, 2, 1, 3, 5, 4, 6)]
    for batch in order:
        assert engine.submit(batch).result().errors == [None, None]
    server.require_same(engine, server.undying(engine.model, BATCHES))
    engine.close()
