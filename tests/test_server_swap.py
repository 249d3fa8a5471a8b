"""Another model beside the one that answers: what it knows when it takes over, and what a kill leaves behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import forecast_cases as cases
import http_cases
import numpy as np
import pytest
import server_cases as server

from statecast.errors import ModelFileError, SettingError
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.state import State
from statecast.model.trained import Model
from statecast.server.engine.engine import Engine
from statecast.server.http.instruments import Instruments
from statecast.server.rows import LiveRows
from statecast.server.states import past
from statecast.server.store.opening import fingerprint
from statecast.server.store.protocol import Piece, Transaction

OLD, NEW = cases.model(), cases.model(seed=7, hidden=(6,))


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def ready(engine: Engine) -> bool:
    status = engine.status().challenger
    assert status is not None
    assert status.failure is None, status.failure
    return status.ready


def require_of(engine: Engine, model: Model, batches: int) -> None:
    """An engine is what a stream of this model is that observed all batches."""
    assert fingerprint(engine.model) == fingerprint(model)
    server.require_same(engine, server.undying(model, [server.batch(n) for n in range(batches)]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    archive.save(OLD, tmp_path / "old.safetensors")
    archive.save(NEW, tmp_path / "new.safetensors")
    return tmp_path


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    engine = server.started(folder / "old.safetensors", folder / "state")
    yield engine
    engine.close()


def fill(engine: Engine, begin: int, end: int) -> None:
    for n in range(begin, end):
        assert set(engine.submit(server.batch(n)).result().statuses) == {"accepted"}


def test_a_model_takes_over_with_the_states_of_all_rows(engine: Engine, folder: Path) -> None:
    fill(engine, 0, 8)
    engine.checkpoint()
    fill(engine, 8, 12)
    engine.models.challenge(NEW, "new")
    fill(engine, 12, 14)
    require_of(engine, OLD, 14)
    until(lambda: ready(engine))
    fill(engine, 14, 16)
    engine.models.promote()
    require_of(engine, NEW, 16)
    fill(engine, 16, 18)
    require_of(engine, NEW, 18)
    until(lambda: engine.status().challenger.lag == 0)  # type: ignore[union-attr]  # it is there
    engine.models.promote()
    require_of(engine, OLD, 18)
    fill(engine, 18, 20)
    require_of(engine, OLD, 20)


def test_the_past_is_kept_when_another_model_takes_over(folder: Path) -> None:
    engine = server.started(folder / "old.safetensors", folder / "state", checkpoint=3600)
    for n in range(2):
        engine.submit(server.batch(n, server.SERIES)).result()
    engine.models.challenge(NEW, "new")
    until(lambda: ready(engine))
    for n in range(2, 4):  # rows that only the log holds when the new model has written them down
        engine.submit(server.batch(n, server.SERIES)).result()
    until(lambda: engine.status().challenger.lag == 0)  # type: ignore[union-attr]  # it is there
    challenger = engine.models._challenger
    assert challenger is not None
    challenger._written = -float("inf")
    until(lambda: not challenger.stepper.touched.any())
    engine.models.promote()
    engine.close()
    engine = server.started(folder / "new.safetensors", folder / "state")
    assert [len(engine.history(name).times) for name in ("s0", "s299")] == [4, 4]
    engine.close()


def test_who_starts_again_is_of_the_model_that_took_over(engine: Engine, folder: Path) -> None:
    fill(engine, 0, 6)
    engine.models.challenge(NEW, "new", promote=True)
    until(lambda: fingerprint(engine.model) == fingerprint(NEW))
    fill(engine, 6, 8)
    engine.close()
    for name in ("old", "new"):
        again = server.started(folder / f"{name}.safetensors", folder / "state")
        require_of(again, NEW, 8)
        again.close()
    archive.save(cases.model(seed=3), folder / "third.safetensors")
    with pytest.raises(ModelFileError, match="the store of another model than this one"):
        server.started(folder / "third.safetensors", folder / "state")
    third = server.started(folder / "third.safetensors", folder / "state", swap=True)
    until(lambda: fingerprint(third.model) == fingerprint(cases.model(seed=3)))
    require_of(third, cases.model(seed=3), 8)
    third.close()


def require_errors_side_by_side(engine: Engine) -> None:
    """Each series tells of the other model's errors, and the status how often they are smaller."""
    rival = engine.models.rival
    assert rival is not None
    pairs = [(each.error[0], each.challenger) for each in engine.series(limit=10**6)]
    assert all(other is not None for _, other in pairs)
    for summary in engine.series(limit=5):
        number = engine._stepper.directory.index[summary.id]
        record = rival.ledger.records[number]
        expected = record["error"] if record["weight"][0] > 0 else np.array([np.nan])
        np.testing.assert_allclose(summary.challenger, expected)
    status = engine.status().challenger
    assert status is not None
    assert status.better == sum(other is not None and other[0] < mine for mine, other in pairs) > 0
    text = Instruments(lambda: engine).text().decode()
    assert f"statecast_challenger_better_series {float(status.better)}" in text
    assert "statecast_challenger_ready 1.0" in text


def test_live_scores_stand_side_by_side(engine: Engine) -> None:
    for n in range(6):
        engine.submit(server.batch(n, server.SERIES)).result()
    engine.models.challenge(NEW, "new")
    until(lambda: ready(engine))
    for n in range(6, 12):
        engine.submit(server.batch(n, server.SERIES)).result()
    until(lambda: engine.status().challenger.lag == 0)  # type: ignore[union-attr]  # it is there
    status = engine.status()
    assert status.challenger is not None
    assert (status.challenger.name, status.challenger.series, status.challenger.former) == ("new", server.SERIES, False)
    assert status.challenger.error > 0
    assert status.challenger.error != status.error
    require_errors_side_by_side(engine)
    before = status.challenger.error
    engine.models.promote()
    after = engine.status()
    assert after.challenger is not None
    assert (after.challenger.former, after.challenger.name) == (True, "the model before")
    assert (after.error, after.challenger.error) == (before, status.error)


@pytest.mark.parametrize("at_once", [1, past.STATED])
def test_covariates_of_past_rows_are_observed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(past, "STATED", at_once)
    old, new = (cases.model(covariates=True, seed=seed) for seed in (0, 7))
    archive.save(old, tmp_path / "old.safetensors")
    engine = server.started(tmp_path / "old.safetensors", tmp_path / "state", checkpoint=3600)
    table = cases.panel(old, (30, 20), gaps=False)
    stream = server.undying(new, [])
    for row in range(table.rows):
        name, more = table.ids[int(table.series_of_row()[row])], cases.arguments(old, table, row)
        stream.observe(name, cases.value(table, row), int(table.time[row]), **more)
        one = {kind: [part] for kind, part in more.items()}
        engine.submit(LiveRows([name], table.time[row : row + 1], table.y[row : row + 1], **one)).result()
    engine.checkpoint()  # the log is cut: the rows are in the past alone
    engine.models.challenge(new, "new", promote=True)
    until(lambda: fingerprint(engine.model) == fingerprint(new))
    mine, others = (
        of.layout.unpack(of.data) for of in (one.state_of(table.ids) for one in (engine._stepper.stream, stream))
    )
    for name in mine.keys() - {"waiting"}:  # forecasts of rows to come: nobody kept what was known ahead of these
        np.testing.assert_allclose(mine[name], others[name], atol=1e-5, err_msg=name)
    engine.close()


def test_a_past_without_covariates_builds_no_states(tmp_path: Path) -> None:
    old, new = (cases.model(covariates=True, seed=seed) for seed in (0, 7))
    archive.save(old, tmp_path / "old.safetensors")
    engine = server.started(tmp_path / "old.safetensors", tmp_path / "state", checkpoint=3600)
    table = cases.panel(old, (3,), gaps=False)
    one = {kind: [part] for kind, part in cases.arguments(old, table, 0).items()}
    engine.submit(LiveRows(table.ids, table.time[:1], table.y[:1], **one)).result()
    bare = np.zeros(1, past.past_row(1))
    engine._committer.commit(Transaction(pieces=[Piece(0, 0, 0, past.encoded(0, bare))]))
    engine.models.challenge(new, "new")
    until(lambda: (status := engine.status().challenger) is not None and bool(status.failure))
    status = engine.status().challenger
    assert status is not None and "kept no covariates" in str(status.failure)
    engine.close()


def test_removed_and_new_series_are_followed(engine: Engine) -> None:
    fill(engine, 0, 4)
    engine.models.challenge(NEW, "new")
    until(lambda: ready(engine))
    gone = server.batch(0).ids[0]
    engine.remove(gone)
    some = LiveRows(["young", gone], np.full(2, cases.START + 90 * cases.HOUR), np.array([[1.0], [2.0]]))
    engine.submit(some).result()
    engine.models.promote()
    names = [summary.id for summary in engine.series(limit=1000)]
    assert {"young", gone} <= set(names)
    stream = Stream(NEW, State.empty(NEW.layout, NEW.dtype))
    stream.observe_many(some.ids, some.values, some.times)
    cases.same_bits(engine.forecast(["young", gone]).values, stream.forecast(["young", gone]).values)
    more = LiveRows(["younger"], np.full(1, cases.START + 91 * cases.HOUR), np.array([[1.0]]))
    assert engine.submit(more).result().statuses == ["accepted"]
    assert len(engine.series(limit=1000)) == len(names) + 1


def test_what_a_model_remembers_itself_counts(engine: Engine) -> None:
    fill(engine, 0, 3)
    stream = server.undying(NEW, [server.batch(n) for n in range(5)])
    remembering = replace(NEW, state=stream.state)
    engine.models.challenge(remembering, "new")
    until(lambda: ready(engine))
    engine.models.promote()
    known = [summary.id for summary in engine.series(limit=1000)]
    cases.same_bits(engine.forecast(known).values, stream.forecast(known).values)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"targets": 2}, "target"),
        ({"id": "place"}, "id is 'place'"),
        ({"freq": "1d"}, "frequency"),
        ({"covariates": True}, "past"),
    ],
)
def test_a_model_of_other_columns_is_refused(engine: Engine, settings: dict[str, object], reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        engine.models.challenge(cases.model(**settings), "new")  # type: ignore[arg-type]  # some of its settings
    with pytest.raises(SettingError, match="there is no other model"):
        engine.models.promote()


def test_a_challenger_that_is_dismissed_leaves_nothing_behind(engine: Engine, folder: Path) -> None:
    fill(engine, 0, 4)
    engine.models.challenge(NEW, "new")
    until(lambda: ready(engine))
    blocks = engine.status().sizes["blocks"]
    engine.models.dismiss()
    assert engine.status().challenger is None
    assert engine.status().sizes["blocks"] < blocks
    with pytest.raises(SettingError, match="there is no other model"):
        engine.models.promote()
    fill(engine, 4, 6)
    engine.close()
    again = server.started(folder / "old.safetensors", folder / "state")
    require_of(again, OLD, 6)
    again.close()


def test_the_log_is_kept_until_a_challenger_has_read_it(engine: Engine, folder: Path) -> None:
    fill(engine, 0, 3)
    engine.models.challenge(NEW, "new")
    until(lambda: ready(engine))
    fill(engine, 3, 6)
    engine.checkpoint()
    engine.checkpoint()
    engine.models.promote()
    engine._committer.fail("as if it were killed")  # nothing is written at the end
    engine.close()
    again = server.started(folder / "old.safetensors", folder / "state")
    require_of(again, NEW, 6)
    again.close()


def test_models_are_changed_over_http(folder: Path) -> None:
    with http_cases.serving(folder, OLD) as served:
        for hour in range(6):
            served.post(http_cases.row(hour, float(np.sin(hour))))
        assert served.get("/v1/status")["challenger"] is None
        assert "there is no other model" in served.refused("POST", "/v1/model/promotion", 409)
        assert "not a file of statecast" in served.refused("POST", "/v1/model", 404, json={"path": "/etc/passwd"})
        answer = served.http.post("/v1/model", json={"path": str(folder / "new.safetensors")})
        assert answer.status_code == 202, answer.text
        until(lambda: bool(served.get("/v1/status")["challenger"]["ready"]))
        before = served.get("/v1/series/a/forecast")["statecast"]
        assert served.http.post("/v1/model/promotion").json()["challenger"]["former"] is True
        assert served.get("/v1/series/a/forecast")["statecast"] != before
        assert served.http.post("/v1/model/promotion").json()["challenger"]["former"] is False
        assert served.get("/v1/series/a/forecast")["statecast"] == before
        assert served.http.delete("/v1/model").json() == {"challenger": None}
        assert served.get("/v1/status")["challenger"] is None


@pytest.mark.parametrize("round", range(3))
def test_a_kill_in_the_middle_leaves_one_model_or_the_other(folder: Path, round: int) -> None:
    _killed(folder, 0.05 + 0.25 * round)


@pytest.mark.heavy
def test_kills_at_many_moments_leave_one_model_or_the_other(folder: Path) -> None:
    rng = np.random.default_rng(5)
    results: set[str] = set()
    for n in range(40):  # how soon models change depends on the machine, so go on until both have been met
        results.add(_killed(folder / str(n), float(rng.uniform(0, 1.2))))
        if n >= 7 and len(results) == 2:
            return
    pytest.fail("one of the models was never met")


def _killed(folder: Path, seconds: float) -> str:
    """Kill a server that changes models all the time; returns the fingerprint of the model that it is of then."""
    folder.mkdir(exist_ok=True)
    for model, name in ((OLD, "old"), (NEW, "new")):
        archive.save(model, folder / f"{name}.safetensors")
    command = [sys.executable, str(Path(__file__).with_name("swapping_server.py")), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(seconds)
    process.kill()
    acknowledged = [int(line) for line in process.communicate()[0].splitlines() if line.strip().isdigit()]
    engine = server.started(folder / "old.safetensors", folder / "state")
    try:
        steps = {summary.count for summary in engine.series(limit=1000)}
        assert len(steps) == 1
        (count,) = steps
        assert count >= max(acknowledged, default=0)
        model = next(model for model in (OLD, NEW) if fingerprint(model) == fingerprint(engine.model))
        batches = [server.batch(n, server.SERIES) for n in range(count)]
        server.require_same(engine, server.undying(model, batches))
        return fingerprint(engine.model)
    finally:
        engine.close()


def test_a_challenger_is_built_again_by_the_next_server_until_it_is_dismissed(folder: Path) -> None:
    engine = server.started(folder / "old.safetensors", folder / "state", checkpoint=3600)
    fill(engine, 0, 4)
    engine.models.challenge(NEW, "new")
    engine._store.close()  # as a kill leaves it
    engine = server.started(folder / "old.safetensors", folder / "state", checkpoint=3600)
    until(lambda: ready(engine))
    status = engine.status().challenger
    assert status is not None and (status.name, status.series) == ("new", len(engine.series(limit=10**6)))
    engine.models.promote()
    require_of(engine, NEW, 4)
    engine.models.promote()
    engine.models.dismiss()
    engine.close()
    engine = server.started(folder / "old.safetensors", folder / "state")
    assert engine.status().challenger is None
    engine.close()
