"""Rows that come late: the state is bit for bit what it would be had they come in order, also after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import forecast_cases as cases
import numpy as np
import pytest
import server_cases as server

from statecast.errors import ModelFileError
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.state import State
from statecast.server.engine.engine import Engine
from statecast.server.engine.receipts import Happening
from statecast.server.rows import LiveRows

LATE = 4
Key = tuple[str, int]


def shuffled(rng: np.random.Generator, hours: int, late: int) -> list[int]:
    """Some of the hours, none more than `late` steps before the latest one that came earlier."""
    hours_left = [hour for hour in range(hours) if rng.random() < 0.8]
    order: list[int] = []
    while hours_left:
        latest = max(order, default=hours_left[0])
        first = hours_left[0]
        some = [hour for hour in hours_left if hour <= max(latest, first + late) and hour - first <= late]
        order.append(int(rng.choice(some)))
        hours_left.remove(order[-1])
    return order


def in_order(engine: Engine, rows: dict[Key, LiveRows]) -> Stream:
    """The stream that observed the same rows in the order of time."""
    stream = Stream(engine.model, State.empty(engine.model.layout, engine.model.dtype))
    for _, row in sorted(rows.items(), key=lambda item: item[0][1]):
        columns = (row.past, row.known, row.static)
        stream.observe_many(row.ids, row.values, row.times, *columns)
    return stream


def require_same_states(engine: Engine, stream: Stream) -> None:
    names = sorted(stream.ids)
    mine, others = (of.state_of(names) for of in (engine._stepper.stream, stream))
    assert mine.time.tolist() == others.time.tolist()
    cases.same_bits(mine.data, others.data)


def row_of(model: Any, name: str, hour: int, rng: np.random.Generator, first: bool) -> LiveRows:
    schema = model.schema
    columns: dict[str, Any] = {}
    if schema.past:
        known = cases.features(rng, model.config.horizon + 1, len(schema.known_features))
        columns = {"past": [rng.standard_normal(1)], "known": [cases.known_rows(known)]}
        columns["static"] = [[0.25 * len(name)]] if first else None
    value = np.array([[6 + rng.standard_normal()]])
    return LiveRows([name], np.array([cases.START + hour * cases.HOUR]), value, **columns)


@pytest.mark.parametrize("covariates", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_late_rows_end_in_the_bits_of_rows_in_order(tmp_path: Path, covariates: bool, seed: int) -> None:
    model, rng = server.saved(tmp_path, covariates=covariates), np.random.default_rng(seed)
    engine = server.started(model, tmp_path / "state", late=LATE, checkpoint=3600)
    orders = {name: shuffled(rng, 14, LATE) for name in ("a", "bb", "ccc")}
    rows: dict[Key, LiveRows] = {}
    turns = sorted(((n, name) for name, order in orders.items() for n in range(len(order))))
    for n, name in turns:
        hour = orders[name][n]
        # Static covariates come with the row that comes first, whatever its time.
        row = rows[name, hour] = row_of(engine.model, name, hour, rng, n == 0)
        receipt = engine.submit(row).result()
        assert receipt.errors == [None]
        assert receipt.forecast is not None
        if (n, name) == turns[len(turns) // 2]:
            engine.checkpoint()
        again = engine.submit(row).result()
        assert again.statuses == ["duplicate"]
    statics = {name: rows[name, orders[name][0]].static for name in orders}
    ordered = {key: _stated(row, key, rows, statics) for key, row in rows.items()}
    require_same_states(engine, in_order(engine, ordered))
    engine._store.close()  # as a kill leaves it
    after = server.started(model, tmp_path / "state", late=LATE)
    assert after.status().replayed
    require_same_states(after, in_order(after, ordered))
    history = after.history("a")
    assert history.times.tolist() == [cases.START + hour * cases.HOUR for hour in sorted(orders["a"])]
    after.close()


def _stated(row: LiveRows, key: Key, rows: dict[Key, LiveRows], statics: dict[str, Any]) -> LiveRows:
    """The row; its series' static covariates stand at the first one in time."""
    first = min(hour for name, hour in rows if name == key[0]) == key[1]
    return LiveRows(row.ids, row.times, row.values, row.past, row.known, statics[key[0]] if first else None)


def test_a_row_that_is_too_late_is_refused(tmp_path: Path) -> None:
    engine = server.started(server.saved(tmp_path), tmp_path / "state", late=2)

    def status(hour: int, value: float = 1.0) -> tuple[str, Any]:
        row = LiveRows(["a"], np.array([cases.START + hour * cases.HOUR]), np.array([[value]]))
        receipt = engine.submit(row).result()
        return receipt.statuses[0], receipt.errors[0]

    for hour in (0, 1, 5):
        assert status(hour)[0] == "accepted"
    refused, text = status(2)
    assert refused == "rejected"
    assert "more than 2 steps before" in text
    assert status(3)[0] == "accepted"
    assert status(3)[0] == "duplicate"
    assert status(3, 2.0)[0] == "rejected"
    assert engine.one("a").count == 4
    assert engine.one("a").recent[:, 0].tolist() == [1.0] * 4
    assert (engine.one("a").times - cases.START).tolist() == [hour * cases.HOUR for hour in (0, 1, 3, 5)]
    half = LiveRows(["a"], np.array([cases.START + 4 * cases.HOUR + 1]), np.array([[1.0]]))
    assert engine.submit(half).result().statuses == ["rejected"]
    require_same_states(engine, _hours(engine, [0, 1, 3, 5]))
    engine.remove("a")
    assert status(0)[0] == "accepted"
    require_same_states(engine, _hours(engine, [0]))
    engine.close()


def _hours(engine: Engine, hours: list[int]) -> Stream:
    stream = Stream(engine.model, State.empty(engine.model.layout, engine.model.dtype))
    for hour in hours:
        stream.observe("a", 1.0, cases.START + hour * cases.HOUR)
    return stream


def test_rows_may_be_late_from_the_next_start_on(tmp_path: Path) -> None:
    model = server.saved(tmp_path)
    values = np.array([[1.0]])

    def row(hour: int) -> LiveRows:
        return LiveRows(["a"], np.array([cases.START + hour * cases.HOUR]), values)

    engine = server.started(model, tmp_path / "state")
    engine.submit(row(0)).result()
    engine.submit(row(5)).result()
    engine.close()
    engine = server.started(model, tmp_path / "state", late=3)
    assert engine.submit(row(4)).result().statuses == ["rejected"]  # nothing is known from before hour 5
    engine.submit(row(8)).result()
    assert engine.submit(row(7)).result().statuses == ["accepted"]
    require_same_states(engine, _hours(engine, [0, 5, 7, 8]))
    engine._store.close()
    with pytest.raises(ModelFileError, match="start it once with --late"):
        server.started(model, tmp_path / "state")
    server.started(model, tmp_path / "state", late=3).close()
    engine = server.started(model, tmp_path / "state")  # a clean end left no log
    require_same_states(engine, _hours(engine, [0, 5, 7, 8]))
    engine.close()


def test_more_or_fewer_rows_are_remembered_from_the_next_start_on(tmp_path: Path) -> None:
    model, batches = server.saved(tmp_path), [server.batch(n, 20, 20) for n in range(50)]
    depths = []
    for late, count in ((0, 10), (40, 45), (2, 50)):
        engine = server.started(model, tmp_path / "state", late=late)
        for rows in batches[:count]:  # those that are remembered are duplicates
            statuses = set(engine.submit(rows).result().statuses)
            assert statuses <= {"accepted", "duplicate", "rejected"}
        server.require_same(engine, server.undying(engine.model, batches[:count]))
        summary = engine.one("s3")
        assert summary.count == count
        assert (np.diff(summary.times) == cases.HOUR).all()
        depths.append(len(summary.times))
        engine.close()
    assert depths == [10, 41, 32]


def test_a_late_row_that_is_unusual_raises_an_alarm(tmp_path: Path) -> None:
    model = archive.save(cases.watching(cases.model()), tmp_path / "model.safetensors")
    engine = server.started(model, tmp_path / "state", late=LATE, checkpoint=3600)
    rng, heard = np.random.default_rng(0), list[Happening]()
    engine.subscribe(None, heard.append)

    def observe(hour: int, value: float) -> bool:
        rows = LiveRows(["a"], np.array([cases.START + hour * cases.HOUR]), np.array([[value]]))
        return bool(engine.submit(rows).result().unusual[0])

    for hour in [*range(60), 61]:
        observe(hour, 6 + 0.1 * rng.standard_normal())
    count = engine.one("a").alarms
    assert observe(60, 1e4) and engine.one("a").alarms == count + 1
    (alarm,) = heard[-1].alarms
    assert (alarm.kind, alarm.time, alarm.value) == ("unusual", cases.START + 60 * cases.HOUR, (1e4,))
    assert engine.history("a").alarms[-1] == alarm
    assert engine.history("a").scores[-2] == np.float32(alarm.score)
    engine._store.close()  # as a kill leaves it
    engine = server.started(model, tmp_path / "state", late=LATE)
    assert engine.one("a").alarms == count + 1 and engine.alarms(1) == (alarm,)
    engine.close()
