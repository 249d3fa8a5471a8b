"""The client against a server that breaks down.

Connections end before and after a row was taken, pauses are asked for, answers are none.
"""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)
from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from broken_server import Shelf, served, shelf

import statecast as sc
from statecast.errors import (
    AccessDenied,
    DataError,
    RowsRejected,
    ServerError,
    SettingError,
    TimeOrderError,
    TooLarge,
    Unreachable,
)
from statecast.server.client import link, outbox
from statecast.server.client.listening import Event, parsed


@pytest.fixture
def client(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[sc.Client]:
    monkeypatch.setattr(link, "FIRST_PAUSE", 0.001)
    with sc.Client(shelf.url, "secret", patience=5.0, batch=3) as client:
        yield client


def at(hour: int) -> str:
    return f"2024-01-01 {hour:02d}:00:00"


# --- rows


def test_a_row_is_answered_by_a_forecast(client: sc.Client, shelf: Shelf) -> None:
    answer = client.observe("a", np.float32(2.5), np.datetime64("2024-01-01T03"))
    assert answer.ids == ("a",) and answer.single
    assert answer.values.tolist() == [[2.5], [3.5]]
    assert answer.lower[80.0].tolist() == [[1.5], [1.5]] and answer.upper[80.0].shape == (2, 1)
    assert answer.stamps[0] == np.datetime64("2024-01-01T01:00:00")
    assert answer.times[1] - answer.times[0] == 3600 * 10**6
    assert answer.scores is not None and answer.scores.tolist() == [1.5]
    assert shelf.requests[-1][1]["Authorization"] == "Bearer secret"
    assert "<RemoteForecast: load of 'a', 2 steps; levels 80>" == repr(answer)


def test_many_series_go_in_batches(client: sc.Client, shelf: Shelf) -> None:
    names = [f"s{n}" for n in range(8)]
    answer = client.observe_many(names, np.arange(8.0), at(1))
    assert answer.ids == tuple(names) and answer.values.shape == (8, 2, 1)
    assert answer.values[:, 0, 0].tolist() == list(range(8))
    assert sum(path.startswith("/v1/observations") for path, *_ in shelf.requests) == 3


@pytest.mark.parametrize("fault", ["cut before", "cut after", "status 503 0", "status 429 0", "status 502 0"])
def test_a_request_is_sent_until_it_is_answered(client: sc.Client, shelf: Shelf, fault: str) -> None:
    shelf.faults.extend([fault] * 3)
    assert client.observe("a", 1.0, at(1)).values[0] == 1.0
    assert client.observe("a", 2.0, at(2)).values[0] == 2.0
    assert shelf.rows == {"a": [(at(1), 1.0), (at(2), 2.0)]}
    assert not shelf.faults


def test_rows_that_are_counted_carry_a_key(client: sc.Client, shelf: Shelf) -> None:
    shelf.model["time_kind"] = "row"
    shelf.faults.append("cut after")
    client.observe("a", 1.0)
    client.observe("a", 1.0)
    assert shelf.rows == {"a": [(None, 1.0), (None, 1.0)]}
    keys = [headers["Idempotency-Key"] for path, headers, _ in shelf.requests if path.startswith("/v1/obs")]
    assert keys[0] == keys[1] != keys[2]


def test_more_rows_of_a_series_than_the_server_looks_back_on_carry_a_key(shelf: Any, client: sc.Client) -> None:
    rows = [{"site": "a", "hour": at(n), "load": float(n)} for n in range(9)]
    with sc.Client(shelf.url, patience=5.0) as wide:
        shelf.faults.append("cut after")
        assert {result.status for result in wide.send(rows)} == {"accepted"}
    assert [value for _, value in shelf.rows["a"]] == list(range(9))
    client.send(rows[:2])
    assert "Idempotency-Key" not in shelf.requests[-1][1]


def test_a_request_that_is_too_large_is_halved(client: sc.Client, shelf: Shelf) -> None:
    shelf.most = 1
    client.observe_many(["a", "b", "c"], [1.0, 2.0, 3.0], at(1))
    assert sorted(shelf.rows) == ["a", "b", "c"]
    shelf.most = 0
    with pytest.raises(TooLarge, match="too many rows"):
        client.observe("a", 1.0, at(2))


def test_refused_rows_are_named_and_the_others_count(client: sc.Client, shelf: Shelf) -> None:
    client.observe("a", 1.0, at(5))
    with pytest.raises(
        RowsRejected, match=r"2 of 4 rows were rejected, the first of them row 0: hour: .* late"
    ) as info:
        client.observe_many(["a", "b", "c", "d"], [1.0, 2.0, "bad", 4.0], at(1))
    assert sorted(info.value.errors) == [0, 2]
    assert info.value.forecast.ids == ("b", "d")
    assert shelf.rows["d"] == [(at(1), 4.0)]


def test_a_duplicate_before_the_last_row_has_the_forecast_of_now(client: sc.Client, shelf: Shelf) -> None:
    client.observe("a", 1.0, at(1))
    client.observe("a", 2.0, at(2))
    assert client.observe("a", 1.0, at(1)).values[0] == 2.0
    both = client.observe_many(["a", "b"], [1.0, 7.0], at(1))
    assert both.values[:, 0, 0].tolist() == [2.0, 7.0]


@pytest.mark.parametrize(("value", "hour"), [(9.0, 5), (1.0, 1)])
def test_a_late_row_and_another_value_for_the_last_are_refused(client: sc.Client, value: float, hour: int) -> None:
    client.observe("a", 1.0, at(5))
    client.observe("a", 1.0, at(5))
    with pytest.raises(TimeOrderError, match=r"late|conflict"):
        client.observe("a", value, at(hour))


def test_what_cannot_be_sent_is_refused_before(client: sc.Client, shelf: Shelf) -> None:
    with pytest.raises(DataError, match="give the time of a row"):
        client.observe("a", 1.0)
    with pytest.raises(DataError, match="got 2 values, expected 1: load"):
        client.observe("a", [1.0, 2.0], at(1))
    with pytest.raises(DataError, match="no column 'lod'; did you mean 'load'"):
        client.observe("a", {"lod": 1.0}, at(1))
    with pytest.raises(DataError, match="values: got 1 for 2 series"):
        client.observe_many(["a", "b"], [1.0], at(1))
    with pytest.raises(DataError, match="object is neither a number, a string nor a time"):
        client.observe("a", object(), at(1))
    with pytest.raises(SettingError, match="is not the address of a server"):
        sc.Client("localhost:8000")
    with pytest.raises(SettingError, match="give a token"):
        sc.Client("http://me:word@localhost:8000")
    assert not shelf.rows


def test_rows_of_series_that_another_server_has_go_there(client: sc.Client, shelf: Shelf) -> None:
    with served() as other:
        shelf.elsewhere = {"b": other.url, "c": None}
        answer = client.observe_many(["a", "b", "c"], [1.0, 2.0, 3.0], at(1))
        assert answer.values[:, 0, 0].tolist() == [1, 2, 3]
        assert sorted(shelf.rows) == ["a", "c"] and sorted(other.rows) == ["b"]
        assert other.requests[-1][1]["Authorization"] == "Bearer secret"
        assert client.forecast(["c", "b", "a"]).values[:, 0, 0].tolist() == [3, 2, 1]
        other.elsewhere = {"b": shelf.url}
        with sc.Client(shelf.url, patience=0.2) as soon, pytest.raises(Unreachable, match="it is elsewhere"):
            soon.forecast(["b"])


# --- a server that is of no use


def test_patience_ends(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "FIRST_PAUSE", 0.001)
    with sc.Client("http://127.0.0.1:9", patience=0.2) as client, pytest.raises(Unreachable, match="see whether the"):
        client.observe("a", 1.0, at(1))
    shelf.faults.append("status 503 60")
    with sc.Client(shelf.url, patience=0.2) as client, pytest.raises(Unreachable, match="it answers 503: not now"):
        client.observe("a", 1.0, at(1))


def test_what_is_no_answer_is_an_error(client: sc.Client, shelf: Shelf) -> None:
    shelf.faults.extend(["status 401 0", "status 500 0", "no json", "status 302 0"])
    with pytest.raises(AccessDenied, match="not now; give a token"):
        client.observe("a", 1.0, at(1))
    with pytest.raises(ServerError, match="answered 500"):
        client.observe("a", 1.0, at(1))
    with pytest.raises(ServerError, match="is this a statecast server"):
        client.observe("a", 1.0, at(1))
    with pytest.raises(ServerError, match="answered 302"):
        client.observe("a", 1.0, at(1))


def test_the_pause_that_a_server_names_is_read() -> None:
    import httpx

    assert link.named_pause(httpx.Response(503, headers={"Retry-After": "7"})) == 7
    assert link.named_pause(httpx.Response(503, headers={"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"})) > 1e6
    assert link.named_pause(httpx.Response(503, headers={"Retry-After": "soon"})) == 0
    assert link.named_pause(httpx.Response(503)) == 0


# --- forecasts and events


def test_forecasts_of_some_and_of_all(client: sc.Client) -> None:
    client.observe_many(["a", "b"], [1.0, 2.0], at(1))
    assert client.forecast(["b"]).values.tolist() == [[[2.0], [3.0]]]
    assert client.forecast().ids == ("a", "b")
    with pytest.raises(sc.StatecastError, match="there is no such series"):
        client.forecast(["z"])
    with pytest.raises(SettingError, match="expected a list of series"):
        client.forecast("b")


def test_events_are_read_line_by_line() -> None:
    text = ': hello\nretry: 10\n\nid: 4\nevent: alarm\ndata: {"id":\ndata:1}\n\ndata: 7\n\nid: 5\nevent: alarm\ndata: 8'
    assert list(parsed(text.split("\n"))) == [Event(4, "alarm", {"id": 1}), Event(None, "message", 7)]
    with pytest.raises(ServerError, match="not JSON"):
        list(parsed(["data: {", ""]))


# --- the outbox


def test_the_outbox_sends_every_row_once_whatever_breaks(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "FIRST_PAUSE", 0.001)
    shelf.faults.extend(["cut after", "status 503 0", "", "cut before", ""] * 5)
    with sc.Client(shelf.url, batch=40) as client, client.outbox(capacity=100, seconds=0.001) as box:

        def feed(name: str) -> None:
            for n in range(200):
                box.add(name, float(n), at(0)[:11] + f"{n // 60:02d}:{n % 60:02d}")

        threads = [threading.Thread(target=feed, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        box.flush()
        assert box.waiting == 0
    for name in "abcd":
        assert [value for _, value in shelf.rows[name]] == list(range(200))


def test_the_outbox_is_bounded_and_waits_while_the_server_is_away(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "ATTEMPT", 0.05)
    with sc.Client(shelf.url) as client:
        box = client.outbox(capacity=3, seconds=0)
        shelf.faults.extend(["status 503 1"] * 1000)
        for n in range(3):
            box.add("a", float(n), at(n))
        late = threading.Thread(target=box.add, args=("a", 3.0, at(3)))
        late.start()
        late.join(0.1)
        assert late.is_alive() and box.waiting == 3
        with pytest.raises(Unreachable, match="3 rows are still waiting"):
            box.flush(0.01)
        shelf.faults.clear()
        late.join()
        box.close()
        assert [value for _, value in shelf.rows["a"]] == [0, 1, 2, 3]
        with pytest.raises(SettingError, match="this box is closed"):
            box.add("a", 4.0, at(4))


def test_the_outbox_tells_what_was_refused_and_what_ended_it(shelf: Any) -> None:
    with sc.Client(shelf.url) as client:
        box = client.outbox(seconds=0)
        for n, value in enumerate([1.0, "bad", 3.0]):
            box.add("a", value, at(n))
        with pytest.raises(RowsRejected, match="1 of 3 rows were rejected, the first of them row 1: load: 'bad'"):
            box.flush()
        box.flush()
        shelf.faults.append("status 403 0")
        box.add("a", 9.0, at(9))
        with pytest.raises(AccessDenied):
            box.flush()
        with pytest.raises(AccessDenied):
            box.close()
        assert box.waiting == 1


def test_importing_statecast_brings_no_http() -> None:
    import subprocess
    import sys

    code = (
        "import sys, statecast; statecast.Client; sys.exit({'httpx', 'starlette', 'apsw'} & set(sys.modules) != set())"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
