"""What stands around a running engine: rows that connectors bring are kept, alarms go out, mistakes are said first."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import forecast_cases as cases
import pytest

from statecast.errors import SettingError
from statecast.server import attachments
from statecast.server.attachments import Attachments
from statecast.server.connectors import Inlet
from statecast.server.engine.engine import Engine
from statecast.server.engine.receipts import Alarm
from statecast.server.http import process
from statecast.server.http.bodies import BodyReader
from statecast.server.options import Options
from statecast.server.store.opening import meta_of, open_store


class Readings:
    """Brings three hours of two series, the second of them twice, and a row that is none."""

    name = "readings"
    done: list[int]

    def __init__(self) -> None:
        self.stopped = threading.Event()
        Readings.done = []

    def run(self, inlet: Inlet) -> None:
        for n, hour in enumerate((0, 1, 1, 2)):
            time = f"2024-01-02 {hour:02d}:00:00"
            records = [{"site": name, "hour": time, "load": float(hour)} for name in "ab"]
            inlet.put(records, lambda n=n: Readings.done.append(n))
        inlet.put([{"site": "a", "hour": "never", "load": 1.0}], lambda: Readings.done.append(9))
        self.stopped.wait()

    def stop(self) -> None:
        self.stopped.set()


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("plant_of_a_test")
    module.Readings = Readings  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plant_of_a_test", module)
    yield


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_rows_that_a_connector_brings_are_kept_before_they_are_acknowledged(tmp_path: Path, plant: None) -> None:
    options = Options(connector="plant_of_a_test:Readings", window=0.0)
    model = cases.model()
    engine = Engine(model, open_store(tmp_path, meta_of(model)), options)
    around = Attachments(options)
    around.start(engine, BodyReader(model, options).records, lambda alarm: {})
    until(lambda: len(Readings.done) == 5)
    around.close()
    assert Readings.done == [0, 1, 2, 3, 9]
    status = engine.status()
    assert (status.series, status.accepted, status.duplicates, status.rejected) == (2, 6, 2, 1)
    engine.close()


def test_alarms_go_to_the_webhook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    posted: list[Any] = []

    class Hook:
        def __init__(self, url: str, secret: str | None) -> None:
            posted.append((url, secret))

        def __enter__(self) -> Hook:
            return self

        def __exit__(self, *_: object) -> None:
            posted.append("closed")

        def put(self, name: str, alarm: Any, settled: Any) -> None:
            posted.append((name, alarm))
            if settled is not None:
                settled()

    monkeypatch.setattr(attachments, "Webhook", Hook)
    (tmp_path / "secret").write_text("word\n")
    around = Attachments(Options(webhook="http://pager/", webhook_secret=str(tmp_path / "secret")))
    listeners: list[Any] = []

    def subscribe(after: int | None, listener: Any) -> Any:
        listeners.append(listener)
        return SimpleNamespace(close=lambda: posted.append("left"))

    posting = SimpleNamespace(
        waiting=lambda since, limit: (6, (Alarm(5, "b", 2, "missing", 4.0),)),
        advance=lambda seq: posted.append(seq),
    )
    engine: Any = SimpleNamespace(model=cases.model(), subscribe=subscribe, submit=None, posting=posting)
    around.start(engine, lambda records: None, lambda alarm: {"id": alarm.id})  # type: ignore[arg-type, return-value]
    alarms = (Alarm(7, "a", 3, "unusual", 5.0), Alarm(7, "a", 3, "drift", 5.0))
    listeners[0](SimpleNamespace(alarms=alarms, last=9))
    around.close()
    assert posted[0] == ("http://pager/", "word")
    assert posted[1:3] == [("5-missing-b", {"id": "b"}), 6]  # what a server before this one left
    assert posted[3:] == [("7-unusual-a", {"id": "a"}), ("7-drift-a", {"id": "a"}), 9, "left", "closed"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mqtt": "mqtt://host"}, "is not an address of topics"),
        ({"connector": "plant"}, "expected MODULE:NAME"),
        ({"webhook": "pager"}, "is not an address for alarms"),
        ({"webhook_secret": "x"}, "no use without --webhook"),
        ({"webhook": "http://a/", "webhook_secret": "/none/such"}, "cannot be read"),
    ],
)
def test_a_mistake_is_said_before_anything_is_opened(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        Attachments(Options(**options))


@pytest.mark.parametrize("options", [{"mqtt": "mqtt://host/{id}"}, {"connector": "plant:Feed"}])
def test_connectors_and_a_database_that_is_shared_exclude_each_other(options: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="need a store of this server alone"):
        process.run("model", "postgresql://host/base", Options(**options), print)
