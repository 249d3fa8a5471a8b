"""Rows from a broker: what topics and messages mean, and that a message is acknowledged after its rows are kept.

The tests that need a broker start mosquitto, on a port of its own.
"""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from broker_cases import Broker, broker, until

from statecast.data.calendar import Frequency
from statecast.data.schema import Covariate, Schema
from statecast.errors import DataError, Overloaded, SettingError, StatecastError
from statecast.server import connectors
from statecast.server.connectors import Inlet
from statecast.server.mqtt import MessageReader, MqttAddress, MqttConnector, TopicPattern

HOURLY = Frequency.parse("1h")
SCHEMA = Schema(("load",), "site", "hour", time_kind="datetime", frequency=HOURLY, static=(Covariate("area"),))


# --- topics


def test_a_pattern_names_the_levels_of_topics() -> None:
    pattern = TopicPattern("plant/{id}/load")
    assert pattern.subscription == "plant/+/load"
    assert pattern.read("plant/a b.c/load") == {"id": "a b.c"}
    for topic in ("plant/a/b/load", "plant//load", "plant/a/load/x", "plantXa/load"):
        with pytest.raises(DataError, match="does not match"):
            pattern.read(topic)
    wide = TopicPattern("+/{area}/s-{id}/#")
    assert wide.subscription == "+/+/+/#"
    assert wide.read("x/north/s-7/a/b") == {"area": "north", "id": "7"}


@pytest.mark.parametrize("text", ["a/#/b", "a/b#", "a/b+/c", "a/{id", "a/{}", "{id}/{id}", "a/{x-y}"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(SettingError, match="is not a pattern of topics"):
        TopicPattern(text)


def test_an_address_names_broker_and_topics() -> None:
    address = MqttAddress.parse("mqtts://me:p%40ss@broker.example/plant/{id}/#?client=here")
    assert (address.host, address.port, address.secure) == ("broker.example", 8883, True)
    assert (address.user, address.password, address.session) == ("me", "p@ss", "here")
    assert address.pattern.text == "plant/{id}/#"
    assert "p@ss" not in repr(address)
    plain = MqttAddress.parse("mqtt://[::1]:77//{id}")
    assert (plain.host, plain.port, plain.user, plain.pattern.text) == ("::1", 77, None, "/{id}")
    assert (
        plain.session.startswith("statecast-") and plain.session == MqttAddress.parse("mqtt://[::1]:77//{id}").session
    )
    assert plain.session != MqttAddress.parse("mqtt://[::1]:77//x/{id}").session
    for text in ("http://a/b", "mqtt://a", "mqtt://a:b/c", "a/b"):
        with pytest.raises(SettingError, match="is not an address of topics"):
            MqttAddress.parse(text)
    with pytest.raises(SettingError, match="no option 'clint'; did you mean 'client'"):
        MqttAddress.parse("mqtt://a/b?clint=x")
    with pytest.raises(SettingError, match="99999 is not a port"):
        MqttAddress.parse("mqtt://a:99999/b")


# --- messages


def read(payload: bytes, topic: str = "plant/a/load", schema: Schema = SCHEMA, **options: Any) -> list[Any]:
    reader = MessageReader(TopicPattern("plant/{id}/load"), schema, lambda: 1704070799.5)  # 00:59:59 UTC
    return reader.read(topic, payload, **options)


def test_a_message_is_a_row_several_or_a_number() -> None:
    assert read(b'{"hour": "2024-01-01", "load": 2}') == [{"hour": "2024-01-01", "load": 2, "site": "a"}]
    assert read(b'[{"hour": 1, "load": 2}, 3]')[0] == {"hour": 1, "load": 2, "site": "a"}
    assert read(b"2.5") == [{"load": 2.5, "site": "a", "hour": "2024-01-01T00:00:00.000000"}]
    assert read(b"null")[0]["load"] is None
    assert read(b'{"site": "other", "load": 1}')[0]["site"] == "a"  # a device speaks for its own topic alone


def test_a_row_without_a_time_has_that_of_its_step() -> None:
    zoned = Schema(("load",), "site", "day", time_kind="date", frequency=Frequency.parse("1d"), tz="Asia/Tokyo")
    assert read(b"1", schema=zoned)[0]["day"] == "2023-12-31T15:00:00.000000Z"  # where it is the 1st already
    counted = Schema(("load",), "site")
    assert read(b"1", schema=counted) == [{"load": 1, "site": "a"}]
    (error,) = read(b"1", retained=True)
    assert isinstance(error, DataError) and "nobody knows when" in str(error)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff", "not JSON"),
        (b"on", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"true", "is not a row"),
        (b'"5"', "is not a row"),
        (b"[[1]]", "is not a row"),
    ],
)
def test_what_is_no_row_is_an_error_in_its_place(payload: bytes, reason: str) -> None:
    (error,) = read(payload)
    assert isinstance(error, DataError) and reason in str(error)
    (error,) = read(b"1", topic="plant/load")
    assert "does not match" in str(error)
    (error,) = read(b"1", schema=Schema(("load", "heat"), "site"))
    assert "2 targets" in str(error)


def test_a_pattern_names_columns_of_the_model() -> None:
    with pytest.raises(SettingError, match="no column 'aria'; did you mean 'area'"):
        MessageReader(TopicPattern("{aria}/{id}"), SCHEMA)
    assert MessageReader(TopicPattern("{area}/{site}"), SCHEMA).read("n/7", b'{"hour": 0, "load": 1}') == [
        {"hour": 0, "load": 1, "area": "n", "site": "7"}
    ]


# --- the inlet


class Disk:
    """Takes rows as an engine does, and keeps them when it is told to."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []
        self.rows: list[Any] = []
        self.busy = 0
        self.at_once = False

    def submit(self, rows: Any, key: str | None = None, forecast: bool = True) -> Future[Any]:
        if self.busy:
            self.busy -= 1
            raise Overloaded("later", 0.001)
        future: Future[Any] = Future()
        self.futures.append(future)
        self.rows.append(rows)
        if self.at_once:
            self.keep(len(self.futures) - 1)
        return future

    def keep(self, number: int) -> None:
        rows = self.rows[number]
        errors = [str(row) if isinstance(row, DataError) else None for row in rows]
        statuses = ["accepted" if error is None else "rejected" for error in errors]
        self.futures[number].set_result(SimpleNamespace(statuses=statuses, errors=errors))

    @property
    def all(self) -> list[Any]:
        return [row for rows in self.rows for row in rows]


def inlet_of(disk: Disk, **options: Any) -> Inlet:
    return Inlet(lambda records: list(records), disk.submit, "a source", **options)  # type: ignore[arg-type]


def test_what_was_put_is_acknowledged_in_order_and_once_it_is_kept() -> None:
    disk, acknowledged = Disk(), []
    inlet = inlet_of(disk)
    for n in range(4):
        inlet.put([n], lambda n=n: acknowledged.append(n))
    disk.keep(1)
    disk.keep(2)
    assert acknowledged == []
    disk.keep(0)
    assert acknowledged == [0, 1, 2]
    assert not inlet.drain(0.001)
    disk.keep(3)
    assert inlet.drain(0) and inlet.counts == {"accepted": 4}


def test_nothing_is_acknowledged_after_a_failure() -> None:
    disk, acknowledged = Disk(), []
    inlet = inlet_of(disk)
    for n in range(3):
        inlet.put([n], lambda n=n: acknowledged.append(n))
    disk.futures[0].set_exception(OSError("the disk is full"))
    disk.keep(1)
    disk.keep(2)
    assert acknowledged == []
    with pytest.raises(StatecastError, match="keeps no more rows"):
        inlet.put([9], lambda: None)


def test_a_source_waits_while_too_much_is_on_its_way() -> None:
    disk = Disk()
    inlet, put = inlet_of(disk, most=3), threading.Event()

    def feed() -> None:
        for n in range(4):
            inlet.put([n], lambda: None)
        put.set()

    thread = threading.Thread(target=feed)
    thread.start()
    assert not put.wait(0.05) and len(disk.futures) == 3
    disk.busy = 3
    disk.keep(0)
    thread.join(10)
    assert put.is_set() and len(disk.futures) == 4
    inlet.close()
    with pytest.raises(StatecastError, match="is stopping"):
        inlet.put([5], lambda: None)


def test_rejected_rows_are_counted_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    disk.at_once = True
    with caplog.at_level(logging.WARNING):
        inlet = inlet_of(disk)
        for _ in range(3):
            inlet.put([DataError("site-7 is not a number")], lambda: None)
    assert inlet.counts == {"rejected": 3}
    assert caplog.messages == ["a source: 1 row was rejected"]
    caplog.clear()
    inlet_of(disk, log_ids=True).put([DataError("site-7 is not a number")], lambda: None)
    assert "site-7 is not a number" in caplog.text


def test_connectors_run_until_they_are_stopped(caplog: pytest.LogCaptureFixture) -> None:
    disk, stopped = Disk(), threading.Event()
    disk.at_once = True

    class Counting:
        name = "counting"

        def run(self, inlet: Inlet) -> None:
            inlet.put([1], lambda: None)
            stopped.wait()

        def stop(self) -> None:
            stopped.set()

    class Broken(Counting):
        name = "broken"

        def run(self, inlet: Inlet) -> None:
            raise RuntimeError("no source")

    with connectors.running([(Counting(), inlet_of(disk)), (Broken(), inlet_of(disk))]):
        end = time.monotonic() + 10
        while not (disk.all and caplog.text) and time.monotonic() < end:
            time.sleep(0.001)
    assert disk.all == [1] and stopped.is_set()
    assert "broken ends" in caplog.text and "no source" in caplog.text


def test_a_connector_of_ones_own_is_named_by_its_module() -> None:
    assert connectors.load("statecast.server.mqtt:MqttConnector") is MqttConnector
    for text, reason in (("mqtt", "expected MODULE:NAME"), ("no.such:X", "cannot be imported")):
        with pytest.raises(SettingError, match=reason):
            connectors.load(text)
    with pytest.raises(SettingError, match="has no MqttConector; did you mean 'MqttConnector'"):
        connectors.load("statecast.server.mqtt:MqttConector")


# --- a broker


@contextmanager
def connected(broker: Broker, disk: Disk, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A connector that hands the broker's messages to a disk."""
    caplog.clear()
    address = MqttAddress.parse(f"mqtt://127.0.0.1:{broker.port}/plant/{{id}}/load?client=test")
    with connectors.running([(MqttConnector(address, SCHEMA), inlet_of(disk))], patience=0.2):
        until(lambda: "is subscribed" in caplog.text)
        yield


@pytest.mark.heavy
def test_what_was_not_kept_comes_again(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """The whole promise: messages that came while the server was away, or whose rows were lost with it, come again."""
    caplog.set_level(logging.INFO, logger="statecast.server")
    first = Disk()
    with connected(broker, first, caplog):
        broker.publish([("plant/a/load", f'{{"hour": {n}, "load": {n}}}') for n in range(20)])
        until(lambda: len(first.all) == 20)
        first.at_once = True
        first.keep(0)
        kept = len(first.rows[0])
    broker.publish([("plant/b/load", f'{{"hour": {n}, "load": {n}}}') for n in range(20)])
    second = Disk()
    second.at_once = True
    with connected(broker, second, caplog):
        until(lambda: len(second.all) == 40 - kept)
    again = [(row["site"], row["hour"]) for row in second.all]
    assert again == [("a", n) for n in range(kept, 20)] + [("b", n) for n in range(20)]
    third = Disk()
    third.at_once = True
    with connected(broker, third, caplog):
        broker.publish([("plant/c/load", "1")])
        until(lambda: len(third.all) > 0)
    assert [row["site"] for row in third.all] == ["c"]  # the others are acknowledged


@pytest.mark.heavy
def test_a_broker_that_comes_back_is_connected_again(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="statecast.server")
    disk = Disk()
    disk.at_once = True
    with connected(broker, disk, caplog):
        broker.publish([("plant/a/load", '{"hour": 1, "load": 1}'), ("elsewhere", "5")])
        until(lambda: len(disk.all) == 1)
        broker.stop()
        until(lambda: "lost its connection" in caplog.text)
        broker.start()
        until(lambda: caplog.text.count("is subscribed") == 2)
        broker.publish([("plant/a/load", '{"hour": 2, "load": 2}'), ("plant/a/load", "what")])
        until(lambda: len(disk.all) == 3)
    assert [row["hour"] for row in disk.all[:2]] == [1, 2] and isinstance(disk.all[2], DataError)


@pytest.mark.heavy
def test_many_messages_come_once_each(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="statecast.server")
    disk = Disk()
    disk.at_once = True
    with connected(broker, disk, caplog):
        broker.publish([(f"plant/{n % 10}/load", f'{{"hour": {n}, "load": 0}}') for n in range(3000)])
        until(lambda: len(disk.all) >= 3000)
    assert [row["hour"] for row in disk.all] == list(range(3000))
