"""The engine: what becomes of rows, what is answered, and that a start brings back the same bits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import forecast_cases as cases
import numpy as np
import pytest
import server_cases as server

from statecast.errors import DataError, OutputError, UnknownSeries
from statecast.model import archive
from statecast.server.engine.engine import Engine
from statecast.server.engine.receipts import Alarm, Happening
from statecast.server.rows import LiveRows


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return server.saved(tmp_path)


@pytest.fixture
def engine(model: Path, tmp_path: Path) -> Iterator[Engine]:
    engine = server.started(model, tmp_path / "state")
    yield engine
    engine.close()


def row(name: str, hour: int, value: float) -> LiveRows:
    return rows([name], [hour], [value])


def rows(names: list[str], hours: list[int], values: list[float]) -> LiveRows:
    return LiveRows(names, cases.START + np.array(hours) * cases.HOUR, np.array(values)[:, None])


def test_rows_are_answered_with_the_forecasts_of_a_stream(engine: Engine) -> None:
    stream = server.undying(engine.model, [])
    for n in range(4):
        batch = server.batch(n)
        receipt, expected = engine.submit(batch).result(), stream.observe_many(batch.ids, batch.values, batch.times)
        assert set(receipt.statuses) == {"accepted"}
        assert receipt.seq == 60 * (n + 1)
        assert receipt.forecast is not None
        order = np.argsort(receipt.index)
        assert [receipt.forecast.ids[k] for k in order] == batch.ids
        cases.same_bits(receipt.forecast.values[order], expected.values)
        cases.same_bits(receipt.forecast.lower[80][order], expected.lower[80])
    server.require_same(engine, stream)


def test_a_request_may_hold_several_rows_of_a_series(engine: Engine) -> None:
    receipt = engine.submit(rows(["a", "b", "a", "a"], [0, 0, 1, 3], [1.0, 2.0, 3.0, 4.0])).result()
    assert receipt.statuses == ["accepted"] * 4
    stream = server.undying(engine.model, [row("a", 0, 1.0), row("b", 0, 2.0), row("a", 1, 3.0), row("a", 3, 4.0)])
    server.require_same(engine, stream)
    assert engine.one("a").count == 3


def test_the_same_row_counts_once_and_another_value_is_refused(engine: Engine) -> None:
    first = engine.submit(rows(["a", "b"], [0, 0], [1.0, np.nan])).result()
    again = engine.submit(rows(["a", "b"], [0, 0], [1.0, np.nan])).result()
    assert again.statuses == ["duplicate", "duplicate"]
    assert again.seq == first.seq
    assert first.forecast is not None
    assert again.forecast is not None
    cases.same_bits(again.forecast.values, first.forecast.values)
    other = engine.submit(rows(["a", "b"], [0, 0], [1.5, 2.0])).result()
    assert other.statuses == ["rejected", "rejected"]
    assert "was observed as 1, and now as 1.5" in str(other.errors[0])
    engine.submit(row("a", 1, 2.0)).result()
    assert engine.submit(row("a", 0, 1.0)).result().statuses == ["duplicate"]
    assert engine.submit(row("a", -1, 1.0)).result().statuses == ["rejected"]
    assert engine.one("a").count == 2


def test_a_bad_row_is_refused_alone(engine: Engine) -> None:
    engine.submit(rows(["a", "b", "c"], [0, 0, 0], [1.0, 2.0, 3.0])).result()
    batch = rows(["a", "b", "c", "d"], [1, 1, 1, 1], [1.0, 1e17, 3.0, np.inf])
    batch.times[2] += 1  # off the grid
    batch = replace(batch, errors={0: "spelled wrongly"})
    receipt = engine.submit(batch).result()
    assert receipt.statuses == ["rejected"] * 4
    assert receipt.errors[0] == "spelled wrongly"
    assert "farther out" in str(receipt.errors[1])
    assert "not a whole number of steps" in str(receipt.errors[2])
    assert "inf cannot be used" in str(receipt.errors[3])
    mixed = engine.submit(rows(["a", "b", "e"], [1, 0, 1], [5.0, 9.0, 1.0])).result()
    assert mixed.statuses == ["accepted", "rejected", "accepted"]
    assert mixed.index.tolist() == [0, 2]


def test_a_row_that_the_stream_refuses_takes_no_other_with_it(tmp_path: Path) -> None:
    engine = server.started(server.saved(tmp_path, covariates=True), tmp_path / "state", checkpoint=3600)
    rng, schema, steps = np.random.default_rng(0), engine.model.schema, engine.model.config.horizon + 1

    def covered(names: list[str], hours: list[int], static: list[list[float] | None]) -> LiveRows:
        known = [cases.known_rows(cases.features(rng, steps, len(schema.known_features))) for _ in names]
        past = [rng.standard_normal(1) for _ in names]
        return replace(rows(names, hours, [6.0] * len(names)), past=past, known=known, static=static)

    engine.submit(covered(["a", "b"], [0, 0], [[0.2], [0.3]])).result()
    # A known series, a new one that has to state its covariates, and a new one that does.
    receipt = engine.submit(covered(["a", "c", "d"], [1, 0, 0], [None, None, [0.1]])).result()
    assert receipt.statuses == ["accepted", "rejected", "accepted"]
    assert "needs the static" in str(receipt.errors[1])
    off_grid = covered(["a", "b"], [2, 1], [None, [0.3]])
    off_grid.times[1] += 1
    assert engine.submit(off_grid).result().statuses == ["accepted", "rejected"]
    assert [summary.count for summary in engine.series()] == [3, 1, 1]
    engine.close()


def test_unknown_series_are_refused_where_the_engine_is_closed(model: Path, tmp_path: Path) -> None:
    engine = server.started(model, tmp_path / "closed", closed=True)
    receipt = engine.submit(row("a", 0, 1.0)).result()
    assert receipt.statuses == ["rejected"]
    assert "there is no series 'a' here" in str(receipt.errors[0])
    engine.close()


def test_a_request_with_a_key_counts_once(tmp_path: Path) -> None:
    model = server.saved(tmp_path, time_kind="row", freq="1")
    engine = server.started(model, tmp_path / "state")
    counted = LiveRows(["a", "b"], None, np.array([[1.0], [2.0]]))
    first = engine.submit(counted, key="one").result()
    again = engine.submit(counted, key="one").result()
    assert (again.seq, again.statuses) == (first.seq, first.statuses)
    assert first.forecast is not None
    assert again.forecast is not None
    cases.same_bits(again.forecast.values, first.forecast.values)
    with pytest.raises(DataError, match="came with other rows before"):
        engine.submit(LiveRows(["a"], None, np.array([[3.0]])), key="one").result()
    assert engine.submit(counted, key="two").result().statuses == ["accepted", "accepted"]
    engine.close()
    engine = server.started(model, tmp_path / "state")
    assert engine.submit(counted, key="one").result().seq == first.seq
    assert engine.one("a").count == 2
    engine.close()


def test_a_start_replays_what_no_block_holds(model: Path, tmp_path: Path) -> None:
    batches = [server.batch(n) for n in range(12)]
    engine = server.started(model, tmp_path / "state", checkpoint=3600)
    for n, batch in enumerate(batches):
        engine.submit(batch).result()
        if n == 5:
            engine.checkpoint()
    records = engine.series(limit=10**6)
    engine._store.close()  # as a kill leaves it: no states are written
    after = server.started(model, tmp_path / "state")
    assert after.status().replayed == 6 * 60
    server.require_same(after, server.undying(after.model, batches))
    assert repr(after.series(limit=10**6)) == repr(records)
    after.close()
    assert server.started(model, tmp_path / "state").status().replayed == 0


def test_who_wants_all_states_written_does_not_wait_for_a_round_that_takes_its_time(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("statecast.server.engine.rounds.MOST", 0)
    engine = server.started(model, tmp_path / "state", checkpoint=3600)
    engine.submit(server.batch(0, 300)).result()  # so many rows that a round begins, which has half an hour
    asking = threading.Thread(target=engine.checkpoint)
    asking.start()
    asking.join(20)
    assert not asking.is_alive()
    engine.close()


def test_removed_series_stay_removed(model: Path, tmp_path: Path) -> None:
    engine = server.started(model, tmp_path / "state")
    engine.submit(rows(["a", "b"], [0, 0], [1.0, 2.0])).result()
    assert engine.remove("a") == 3
    with pytest.raises(UnknownSeries, match="no series 'a'"):
        engine.one("a")
    engine.submit(row("a", 5, 7.0)).result()
    engine._store.close()
    after = server.started(model, tmp_path / "state")
    assert after.one("a").count == 1
    server.require_same(after, server.undying(after.model, [row("b", 0, 2.0), row("a", 5, 7.0)]))
    after.close()


def test_a_new_store_begins_with_what_the_model_remembers(tmp_path: Path) -> None:
    of = cases.model()
    remembering = cases.remembering(of, cases.panel(of))
    model = archive.save(remembering, tmp_path / "model.safetensors")
    for _ in range(2):
        engine = server.started(model, tmp_path / "state")
        expected = server.Stream(remembering).forecast(["s0", "s1"])
        cases.same_bits(engine.forecast(["s0", "s1"]).values, expected.values)
        engine.close()


def test_events_come_in_order_and_from_where_a_listener_was_cut_off(engine: Engine) -> None:
    for n in range(3):
        engine.submit(server.batch(n)).result()
    earlier: list[Happening] = []
    engine.subscribe(60, earlier.append)
    assert [item.first for item in earlier] == [61, 121]
    engine.submit(server.batch(3)).result()
    assert [item.first for item in earlier] == [61, 121, 181]
    assert sorted(earlier[-1].ids) == sorted(server.batch(3).ids)
    assert earlier[-1].forecast is not None
    rest: list[Happening] = []
    engine.subscribe(100, rest.append)
    assert [item.first for item in rest] == [101, 121, 181]
    assert rest[0].ids == earlier[0].ids[40:]
    assert rest[0].forecast is not None
    assert rest[0].forecast.ids == rest[0].ids


def test_events_that_memory_lost_come_from_the_log(model: Path, tmp_path: Path) -> None:
    first = server.started(model, tmp_path / "state", retention=3600)
    for n in range(3):
        first.submit(server.batch(n)).result()
    first.close()
    engine = server.started(model, tmp_path / "state", retention=3600)
    engine.submit(server.batch(3)).result()
    heard: list[Happening] = []
    subscription = engine.subscribe(0, heard.append)
    assert [item.first for item in heard] == [1, 61, 121, 181]
    assert sorted(heard[0].ids) == sorted(server.batch(0).ids)
    assert not subscription.missed
    rest: list[Happening] = []
    engine.subscribe(130, rest.append)
    assert [item.first for item in rest] == [131, 181]
    np.testing.assert_array_equal(rest[0].values, heard[2].values[10:])
    engine.close()


def test_a_listener_that_fails_hears_no_more(engine: Engine) -> None:
    def fails(item: Happening) -> None:
        raise ValueError("tired")

    subscription = engine.subscribe(None, fails)
    engine.submit(server.batch(0)).result()
    engine.submit(server.batch(1)).result()
    assert str(subscription.error) == "tired"


def test_series_are_listed_in_any_order(engine: Engine) -> None:
    engine.submit(rows(["b", "a", "c"], [0, 1, 2], [5.0, 7.0, 1.0])).result()
    assert [s.id for s in engine.series()] == ["a", "b", "c"]
    assert [s.id for s in engine.series(after="a", limit=1)] == ["b"]
    assert [s.id for s in engine.series(after="b", descending=True)] == ["a"]
    assert [s.id for s in engine.series(sort="value")] == ["c", "b", "a"]
    assert [s.id for s in engine.series(sort="time", descending=True, offset=1)] == ["a", "b"]
    engine.submit(rows(["aa"], [0], [0.0])).result()
    assert [s.id for s in engine.series(prefix="a")] == ["a", "aa"]
    assert engine.matches("a") == 2


def test_live_errors_stand_beside_naive_ones(engine: Engine) -> None:
    values = [1.0, 3.0, 2.0]
    forecasts = []
    for hour, value in enumerate(values):
        forecast = engine.submit(row("a", hour, value)).result().forecast
        assert forecast is not None
        forecasts.append(float(forecast.values[0, 0, 0]))
    errors = [abs(value - before) for value, before in zip(values[1:], forecasts, strict=False)]
    summary = engine.one("a")
    weight = 1 + 0.98
    assert summary.naive[0] == pytest.approx(2 + (1 - 2) / weight)
    assert summary.error[0] == pytest.approx(errors[0] + (errors[1] - errors[0]) / weight)


def test_a_closed_engine_takes_nothing(model: Path, tmp_path: Path) -> None:
    engine = server.started(model, tmp_path / "state")
    engine.close()
    with pytest.raises(OutputError, match="stopping"):
        engine.submit(row("a", 0, 1.0))


def test_covariates_come_back_with_the_log(tmp_path: Path) -> None:
    model = server.saved(tmp_path, covariates=True)
    engine = server.started(model, tmp_path / "state", checkpoint=3600)
    stream = server.undying(engine.model, [])
    table = cases.panel(engine.model)
    for index in range(table.rows):
        s = int(np.searchsorted(table.offsets, index, side="right")) - 1
        arguments = cases.arguments(engine.model, table, index)
        stream.observe(table.ids[s], cases.value(table, index), int(table.time[index]), **arguments)
        one = {name: [part] for name, part in arguments.items()}
        live = LiveRows([table.ids[s]], table.time[index : index + 1], table.y[index : index + 1], **one)
        assert engine.submit(live).result().errors == [None]
    engine._store.close()
    after = server.started(model, tmp_path / "state")
    assert after.status().replayed == table.rows
    states = [of.state_of(table.ids).data for of in (after._stepper.stream, stream)]
    cases.same_bits(*states)
    after.close()


def test_the_past_comes_with_what_was_forecast_of_it(model: Path, tmp_path: Path) -> None:
    engine = server.started(model, tmp_path / "state", checkpoint=3600)
    hours, values = [0, 1, 2, 5, 6], [1.0, 3.0, 2.0, 4.0, 5.0]
    forecasts = []
    for hour, value in zip(hours, values, strict=True):
        forecast = engine.submit(rows(["a", "b"], [hour, hour], [value, -value])).result().forecast
        assert forecast is not None
        forecasts.append(forecast)
        if hour == 1:
            engine.checkpoint()
    after_steps = np.array([np.nan, 1, 1, np.nan, 1])
    before = [forecasts[0], *forecasts[:-1]]
    predicted = after_steps * [forecast.values[0, 0, 0] for forecast in before]
    lower = after_steps * [forecast.lower[80][0, 0, 0] for forecast in before]

    def require(engine: Engine) -> None:
        history = engine.history("a")
        assert history.values[:, 0].tolist() == values
        assert history.times.tolist() == (cases.START + np.array(hours) * cases.HOUR).tolist()
        np.testing.assert_array_equal(history.predicted[:, 0], predicted.astype(np.float32))
        np.testing.assert_array_equal(history.lower[80][:, 0], lower.astype(np.float32))
        assert engine.history("a", limit=2).values[:, 0].tolist() == values[-2:]

    require(engine)
    engine._store.close()  # as a kill leaves it
    for _ in range(2):  # from the log, then from pieces alone
        engine = server.started(model, tmp_path / "state")
        require(engine)
        engine.close()


def test_alarms_tell_of_unusual_rows_and_of_silent_series(tmp_path: Path) -> None:
    watched = cases.watching(cases.model(false_alarms=0.01))
    model = archive.save(watched, tmp_path / "model.safetensors")
    engine = server.started(model, tmp_path / "state", silence=3, checkpoint=3600)
    heard: list[Happening] = []
    engine.subscribe(None, heard.append)
    stream, unusual = server.undying(watched, []), []
    for hour in range(9):
        some = rows(["a", "b"] if hour < 8 else ["a", "c"], [hour] * 2, [6.0 + hour % 2 if hour < 8 else 1e9, 6.0])
        receipt, expected = engine.submit(some).result(), stream.observe_many(some.ids, some.values, some.times)
        np.testing.assert_array_equal(receipt.scores, expected.score[:, 0])
        assert receipt.unusual.tolist() == expected.unusual[:, 0].tolist()
        unusual += [(2 * hour + 1 + n, some.ids[n], receipt.scores[n]) for n in np.flatnonzero(receipt.unusual)]
    for hour in range(9, 14):
        engine.submit(row("c", hour, 6.0)).result()
    alarms = [alarm for item in heard for alarm in item.alarms]
    assert [(a.seq, a.id, a.score) for a in alarms if a.kind == "unusual" and a.id != "c"] == unusual
    (last,) = [alarm for alarm in alarms if alarm.seq == 17 and alarm.kind == "unusual"]
    assert (last.id, last.value, last.time) == ("a", (1e9,), cases.START + 8 * cases.HOUR)
    missing = [(alarm.id, alarm.since, alarm.score) for alarm in alarms if alarm.kind == "missing"]
    assert missing == [("b", cases.START + 7 * cases.HOUR, 4), ("a", cases.START + 8 * cases.HOUR, 4)]
    assert (engine.one("a").unusual, engine.one("b").unusual) == (True, False)
    assert engine.one("b").alarms == 1 + sum(name == "b" for _, name, _ in unusual)
    assert engine.history("a").alarms == tuple(alarm for alarm in alarms if alarm.id == "a")
    assert {alarm.kind for alarm in engine.history("b").alarms} >= {"missing"}
    before = engine.one("b").alarms
    engine.submit(row("b", 14, 6.0)).result()  # and falls silent once more
    for hour in range(15, 19):
        engine.submit(row("c", hour, 6.0)).result()
    summary = engine.one("b")
    assert summary.alarms == before + 1 + summary.unusual
    engine.close()


def test_a_row_that_skips_too_many_steps_holds_nobody_up(model: Path, tmp_path: Path) -> None:
    engine = server.started(model, tmp_path / "state", gap_limit=10)
    engine.submit(rows(["a", "b"], [0, 0], [1.0, 2.0])).result()
    receipt = engine.submit(rows(["a", "b", "c"], [12, 11, 5000], [1.0, 2.0, 3.0])).result()
    assert receipt.statuses == ["rejected", "accepted", "accepted"]
    assert "skips more than 10 steps since 2024-01-02 09:00:00: see --gap-limit" in str(receipt.errors[0])
    engine.close()


CHANGE, END = 50, 130  # hours


def changing(path: Path) -> tuple[Engine, list[Happening]]:
    """An engine that has had a series that begins to climb, and then falls silent, and one that does neither."""
    saved = archive.save(cases.watching(cases.model(false_alarms=0.01)), path / "model.safetensors")
    engine, heard = server.started(saved, path / "state", silence=3, checkpoint=3600), list[Happening]()
    engine.subscribe(None, heard.append)
    noise = 6 + np.random.default_rng(0).standard_normal((END, 2))
    noise[:, 0] += 3.0 * np.maximum(np.arange(END) - CHANGE, 0)
    for hour in range(END):
        engine.submit(rows(["climbing", "quiet"], [hour] * 2, noise[hour].tolist())).result()
    for hour in range(END, END + 5):
        engine.submit(row("quiet", hour, 6.0)).result()
    return engine, heard


def marks(heard: list[Happening]) -> list[tuple[int, float]]:
    return [(item.first + n, item.scores[n]) for item in heard for n in np.flatnonzero(item.unusual).tolist()]


def test_a_series_that_changes_raises_an_alarm_and_a_quiet_one_none(tmp_path: Path) -> None:
    engine, heard = changing(tmp_path)
    alarms = [alarm for item in heard for alarm in item.alarms]
    drift = [alarm for alarm in alarms if alarm.kind == "drift"]
    assert {alarm.id for alarm in drift} == {"climbing"}
    assert drift[0].since is not None
    assert abs(drift[0].since - cases.START - CHANGE * cases.HOUR) <= 5 * cases.HOUR < drift[0].time - drift[0].since
    assert drift[0].value == tuple(engine.history("climbing").values[(drift[0].time - cases.START) // cases.HOUR])
    for name in ("climbing", "quiet"):
        assert engine.one(name).alarms == sum(alarm.id == name for alarm in alarms)
    engine.close()


def test_a_reader_has_the_alarms_of_the_log_and_a_start_raises_none_again(tmp_path: Path) -> None:
    engine, heard = changing(tmp_path)
    alarms = [alarm for item in heard for alarm in item.alarms]
    assert {alarm.kind for alarm in alarms} == {"unusual", "drift", "missing"}
    counts = {name: engine.one(name).alarms for name in ("climbing", "quiet")}
    engine._store.close()  # as a kill leaves it: the log alone tells of the rows
    again, late = server.started(tmp_path / "model.safetensors", tmp_path / "state", silence=3), list[Happening]()
    again.subscribe(0, late.append)
    assert all(item.forecast is None for item in late)
    assert [alarm for item in late for alarm in item.alarms] == alarms
    assert marks(late) == marks(heard)
    assert again.alarms(10**6) == tuple(reversed(alarms))
    assert {name: again.one(name).alarms for name in counts} == counts
    again.submit(row("quiet", END + 5, 6.0)).result()
    assert [alarm for alarm in late[-1].alarms if alarm.id == "climbing"] == []
    assert again.one("climbing").alarms == counts["climbing"]
    again.close()


CHANGED = 500  # hours


def test_series_that_change_together_raise_one_alarm_without_a_series_also_after_a_kill(tmp_path: Path) -> None:
    saved = archive.save(cases.watching(cases.model(false_alarms=1e-3)), tmp_path / "model.safetensors")
    names, rng, heard = [f"s{n}" for n in range(40)], np.random.default_rng(0), list[Happening]()
    levels = rng.normal(6, 0.1, 40)
    engine = server.started(saved, tmp_path / "state", checkpoint=3600)

    def observe(hours: range, scale: float) -> None:
        for hour in hours:
            engine.submit(rows(names, [hour] * 40, (levels + scale * rng.standard_normal(40)).tolist())).result()

    def common() -> list[Alarm]:
        return [alarm for alarm in engine.alarms(10**6) if alarm.id is None]

    observe(range(CHANGED), 0.3)
    before = common()  # while the intervals of a model without training grow used to the series
    engine._store.close()  # as a kill leaves it
    engine = server.started(saved, tmp_path / "state", checkpoint=3600)
    engine.subscribe(None, heard.append)
    observe(range(CHANGED, CHANGED + 70), 0.6)
    (alarm,) = (alarm for alarm in common() if alarm not in before)
    assert (alarm.kind, alarm.value) == ("drift", ()) and alarm.since is not None
    assert abs(alarm.since - cases.START - CHANGED * cases.HOUR) <= 10 * cases.HOUR
    assert alarm in [each for item in heard for each in item.alarms]
    assert all(each.id is not None for each in engine.history("s0").alarms)
    engine.close()
