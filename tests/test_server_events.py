"""Server-sent events: order, numbers, filters, going on where a reader was cut off, and readers that are too slow."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forecast_cases as cases
import numpy as np
import pytest
from http_cases import Served, row, serving

from statecast.errors import Overloaded
from statecast.forecast import wire
from statecast.server.client.listening import Event, parsed
from statecast.server.engine.receipts import Alarm, Happening
from statecast.server.http import readers
from statecast.server.http.answers import Presenter
from statecast.server.http.readers import Reader


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, window=0) as server:
        yield server


@contextlib.contextmanager
def listening(server: Served, headers: dict[str, str] | None = None, **query: Any) -> Iterator[Iterator[Event]]:
    with server.http.stream("GET", "/v1/events", params=query, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield parsed(answer.iter_lines())


def some(events: Iterator[Event], count: int) -> list[Event]:
    return [next(events) for _ in range(count)]


def test_each_row_is_told_with_its_forecast(served: Served) -> None:
    with listening(served, types="observation,forecast") as events:
        shown = served.post([row(0, 1), row(0, 2, "b")], "full")
        happenings = some(events, 4)
    assert [(event.kind, event.seq) for event in happenings] == [
        ("observation", None), ("forecast", 1), ("observation", None), ("forecast", 2),
    ]  # fmt: skip
    assert happenings[0].data == {
        "seq": 1,
        "id": "a",
        "time": row()["hour"],
        "value": 1,
        "score": None,
        "unusual": False,
    }
    assert happenings[3].data == {"seq": 2, **shown["results"][1]["forecast"]}


def test_a_reader_goes_on_where_it_was_cut_off(served: Served) -> None:
    for hour in range(4):
        served.post(row(hour, hour))
    for hour, (headers, query) in enumerate((({"Last-Event-ID": "1"}, {}), (None, {"after": "1"})), 4):
        with listening(served, headers, types="observation", **query) as events:
            assert [event.seq for event in some(events, hour - 1)] == list(range(2, hour + 1))
            served.post(row(hour))
            assert next(events).seq == hour + 1


def test_a_reader_goes_on_from_the_log(tmp_path: Path) -> None:
    with serving(tmp_path, retention=3600) as server:
        server.post([row(hour, hour) for hour in range(4)])
    with serving(tmp_path, retention=3600) as server:  # whose memory holds nothing of them
        server.post(row(4, 4))
        with listening(server, types="observation", after="1") as events:
            happenings = some(events, 4)
    assert [(event.seq, event.data["value"]) for event in happenings] == [(2, 1), (3, 2), (4, 3), (5, 4)]


def test_a_reader_that_goes_on_from_the_log_has_the_alarms(tmp_path: Path) -> None:
    values = 6 + np.random.default_rng(0).standard_normal(130) + 3 * np.maximum(np.arange(130) - 50, 0)  # it climbs
    hours = (np.datetime64("2024-01-02T00:00:00") + np.arange(130) * np.timedelta64(1, "h")).tolist()
    with serving(tmp_path, cases.watching(cases.model(false_alarms=0.01)), retention=3600) as server:
        server.post([row(load=value) | {"hour": str(hour)} for hour, value in zip(hours, values.tolist(), strict=True)])
        raised = server.get("/v1/alarms")["alarms"][::-1]
    assert {alarm["kind"] for alarm in raised} == {"unusual", "drift"}
    with serving(tmp_path, retention=3600) as server:  # whose memory holds nothing of them
        assert server.get("/v1/alarms")["alarms"] == raised[::-1]
        with listening(server, {"Last-Event-ID": "1"}, types="alarm") as events:
            assert [event.data for event in some(events, len(raised))] == raised


def test_what_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.post([row(hour, hour) for hour in range(4)])
    with serving(tmp_path) as server:  # it has written all states, and cut the log
        assert "begin anew" in server.refused("GET", "/v1/events?after=1", 410)
        assert server.refused("GET", "/v1/events?after=99", 410)
        assert server.refused("GET", "/v1/events", 400, headers={"Last-Event-ID": "x"})
        assert server.refused("GET", "/v1/events?types=rows", 400)


def test_a_reader_hears_what_it_asked_for(served: Served) -> None:
    with listening(served, types="observation", id="b") as one, listening(served, types="status") as status:
        served.post([row(0, 1), row(0, 2, "b"), row(1, 3)])
        served.post(row(1, 4, "b"))
        served.http.delete("/v1/series/b")
        assert [(event.kind, event.data["id"]) for event in some(one, 2)] == [("observation", "b")] * 2
        assert next(status).data["seq"] >= 0
    with listening(served, types="observation") as events:
        served.http.delete("/v1/series/a")
        event = next(events)
        assert (event.kind, event.data["id"]) == ("removal", "a")
        assert event.seq == event.data["seq"] == served.service.engine.status().seq


def test_alarms_come_with_the_row_that_raised_them() -> None:
    model = cases.model()
    times = np.full(2, cases.START)
    alarm = Alarm(8, "b", cases.START, "unusual", 4.5, None, (2.0,))
    item = Happening(
        7, 8, ("a", "b"), times, np.ones((2, 1)), None, np.array([np.nan, 4.5]), np.array([False, True]), (alarm,)
    )
    text = b"".join(readers.events(Presenter(model.schema), item, ("alarm",))).decode()
    (event,) = parsed(text.splitlines())
    assert (event.kind, event.seq, event.data["score"], event.data["value"]) == ("alarm", 8, 4.5, 2)
    assert event.data["time"] == wire.times(times, model.schema)[0]


def test_a_silence_is_told_to_who_asks_for_that_series_alone() -> None:
    present = Presenter(cases.model().schema)
    silence = Alarm(6, "c", cases.START, "missing", 9.0, cases.START)  # no row raised it
    none = np.full(1, np.nan)
    item = Happening(7, 7, ("a",), np.full(1, cases.START), np.ones((1, 1)), None, none, none > 0, (silence,))
    kinds = ("observation", "alarm")
    told = {id: [e.kind for e in parsed(b"".join(readers.events(present, item, kinds, id)).decode().splitlines())]
            for id in ("a", "b", "c", None)}  # fmt: skip
    assert told == {"a": ["observation"], "b": [], "c": ["alarm"], None: ["observation", "alarm"]}


def test_what_came_at_once_is_told_in_parts(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "PART", 3)
    with listening(served, types="observation") as one, listening(served, types="observation", id="s5") as other:
        served.post([row(hour, site=f"s{n}") for hour in range(2) for n in range(8)])
        assert [event.seq for event in some(one, 16)] == list(range(1, 17))
        assert [event.seq for event in some(other, 2)] == [6, 14]


def test_readers_are_not_without_end(tmp_path: Path) -> None:
    with serving(tmp_path, reader_limit=1) as server, listening(server, types="status") as events:
        next(events)
        answer = server.http.get("/v1/events")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")


def test_a_silent_connection_is_told_that_it_stands(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "HEART", 0.05)
    with served.http.stream("GET", "/v1/events") as answer:
        lines = answer.iter_lines()
        assert [next(lines) for _ in range(4)] == [": still here", ""] * 2
        served.post(row())
        assert any(line == "id: 1" for line in lines)


def happening(first: int, rows: int, forecast: Any) -> Happening:
    none = np.zeros(rows)
    return Happening(first, first + rows - 1, ("a",) * rows, none, none, forecast, none, none)


def test_a_reader_that_is_too_slow_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "BEHIND", 10)

    async def run() -> None:
        reader = Reader()
        reader.hear(happening(1, 6, "live"))
        reader.hear(happening(7, 4, "live"))
        with pytest.raises(Overloaded):
            reader.hear(happening(11, 1, "live"))
        assert reader.dropped
        assert await reader.next(0) is None  # what it has not read it reads again when it comes back
        lone = Reader()
        lone.hear(happening(1, 50, "live"))  # one that is larger than all room is still taken
        item = await lone.next(0)
        assert item is not None
        assert len(item.ids) == 50

    asyncio.run(run())


def test_reading_the_log_waits_for_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "BEHIND", 10)

    async def run() -> None:
        reader = Reader()
        thread = threading.Thread(target=lambda: [reader.hear(happening(n, 8, None)) for n in range(5)])
        thread.start()
        firsts = []
        while len(firsts) < 5:
            item = await reader.next(5)
            assert item is not None
            firsts.append(item.first)
        thread.join()
        assert firsts == [0, 1, 2, 3, 4]
        assert not reader.dropped

    asyncio.run(run())


def test_readers_end_with_the_server(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        stream = server.http.stream("GET", "/v1/events", params={"types": "status"})
        answer = stream.__enter__()
        lines = answer.iter_lines()
        next(lines)
        server.service.audience.close()
        assert list(lines) is not None  # it ends
        stream.__exit__(None, None, None)
