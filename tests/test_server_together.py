"""Client, `send`, connectors and server together: what one end does is what the other end has."""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import broker_cases
import forecast_cases as cases
import numpy as np
import pytest
from broker_cases import Broker, broker
from cli_cases import Command, statecast
from http_cases import Served, row, serving
from test_server_webhook import Pager, pager

import statecast as sc
from statecast.errors import AccessDenied, DataError, RowsRejected, TimeOrderError, UnknownSeries
from statecast.server.http.tokens import issue


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("together"), window=0) as server:
        yield server


@pytest.fixture
def client(served: Served) -> Iterator[sc.Client]:
    with sc.Client(str(served.http.base_url)) as client:
        yield client


def at(hour: int) -> np.datetime64:
    return np.datetime64("2024-01-02T00", "s") + np.timedelta64(hour, "h")


def alike(remote: Any, forecast: sc.Forecast) -> None:
    """What came over HTTP is the forecast of a stream, bit for bit."""
    assert remote.ids == forecast.ids
    cases.same_bits(remote.values, forecast.values)
    assert (remote.stamps == forecast.stamps).all()
    assert (remote.times == forecast.times).all()
    assert remote.lower.keys() == forecast.lower.keys()
    for level in remote.lower:
        cases.same_bits(remote.lower[level], forecast.lower[level])
        cases.same_bits(remote.upper[level], forecast.upper[level])


def test_a_client_is_a_stream_at_the_other_end(client: sc.Client) -> None:
    stream = sc.Stream(cases.model())
    for hour, value in enumerate((1.5, np.nan, 2.25)):
        alike(client.observe("one", value, at(hour)), stream.observe("one", value, at(hour)))
    ids, values = ["one", "two", "three"], np.array([3.0, 4.0, 5.0])
    answer, expected = client.observe_many(ids, values, at(3)), stream.observe_many(ids, values, at(3))
    alike(answer, expected)
    np.testing.assert_array_equal(answer.unusual, expected.unusual.any(axis=-1))
    alike(client.forecast(ids, horizon=5, levels=[80]), stream.forecast(ids, 5, [80]))
    assert {item["id"] for item in client.series("t")} >= {"two", "three"}


@pytest.mark.parametrize("settings", [{"covariates": True}, {"targets": 2, "tz": "Europe/Madrid"}], ids=["cov", "two"])
def test_covariates_targets_and_zones_go_along(tmp_path: Path, settings: dict[str, Any]) -> None:
    model = cases.model(**settings)
    table = cases.panel(model, (6, 6), gaps=False)
    stream = sc.Stream(model)
    with serving(tmp_path, model, window=0) as server, sc.Client(str(server.http.base_url)) as client:
        for row in range(2):
            arguments = cases.arguments(model, table, row)
            value = np.array(cases.value(table, row))
            expected = stream.observe("a", value, at(row), **arguments)
            alike(client.observe("a", value, at(row), **arguments), expected)


def test_what_the_server_refuses_is_the_error_of_a_stream(client: sc.Client) -> None:
    client.observe("late", 1.0, at(5))
    with pytest.raises(TimeOrderError):
        client.observe("late", 1.0, at(4))
    with pytest.raises(TimeOrderError):
        client.observe("late", 2.0, at(5))
    with pytest.raises(DataError):
        client.observe("late", "many", at(6))
    with pytest.raises(UnknownSeries):
        client.forecast(["nobody"])
    with pytest.raises(RowsRejected) as caught:
        client.observe_many(["late", "new"], [1.0, 1.0], at(1))
    assert list(caught.value.errors) == [0] and caught.value.forecast.ids == ("new",)


def test_events_go_on_where_a_reader_was_cut_off(client: sc.Client, served: Served) -> None:
    before = served.get("/v1/status")["seq"]
    for hour in range(3):
        client.observe("events", float(hour), at(hour))
    events = client.events(after=before, types=["observation"], id="events")
    first = next(events)
    assert first.kind == "observation" and first.data["value"] == 0
    events.close()
    rest = list(itertools.islice(client.events(after=first.seq, types=["observation"], id="events"), 2))
    assert [event.data["value"] for event in rest] == [1, 2]
    assert [event.seq for event in rest] == [before + 2, before + 3]


def test_an_outbox_and_counted_rows(tmp_path: Path) -> None:
    model = cases.model(time_kind="row", freq="1", use_calendar=False)
    with serving(tmp_path, model, window=0) as server, sc.Client(str(server.http.base_url), batch=7) as client:
        with client.outbox(seconds=0) as rows:
            for n in range(50):
                rows.add("ab"[n % 2], float(n))
        assert server.get("/v1/series/a")["count"] == 25
        rows = [{"site": "a", "load": 1.0}] * 5
        assert client.send(rows, key="once")[0].status == "accepted"
        client.send(rows, key="once")
        assert server.get("/v1/series/a")["count"] == 30


def test_a_table_is_sent_and_sent_again(tmp_path: Path, statecast: Command) -> None:
    model = cases.model(covariates=True)
    schema = model.schema
    names = [item.name for item in (*schema.past, *schema.known, *schema.static)]
    labels = {item.name: item.categories[0] if item.categories else 0.5 for item in (*schema.past, *schema.known)}
    labels |= {item.name: item.categories[0] if item.categories else 0.5 for item in schema.static}
    lines = [",".join(["site", "hour", "load", *names])]
    for site in ("x", "y"):
        lines += [",".join(map(str, [site, at(n), n, *(labels[name] for name in names)])) for n in range(40)]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    horizon = model.network.head.horizon
    with serving(tmp_path, model, window=0) as server:
        url = str(server.http.base_url)
        done = statecast.well("send", url, tmp_path / "table.csv", "--json").json
        assert (done["accepted"], done["withheld"]) == (2 * (40 - horizon), 2 * horizon)
        assert server.get("/v1/series/y")["count"] == 40 - horizon
        again = statecast.well("send", url, tmp_path / "table.csv", "--json").json
        assert again["accepted"] == 0 and again["duplicate"] + again["late"] == done["accepted"]


def test_tokens(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    words = {scope: issue(path, scope, scope) for scope in ("read", "write")}
    with serving(tmp_path, window=0, tokens=str(path), wait=True) as server:
        url = str(server.http.base_url)
        with sc.Client(url, words["write"]) as client:
            client.observe("a", 1.0, at(1))
        with sc.Client(url, words["read"]) as client:
            assert client.forecast(["a"]).values.shape == (1, 3, 1)
            with pytest.raises(AccessDenied, match="read"):
                client.observe("a", 2.0, at(2))
        with sc.Client(url) as client, pytest.raises(AccessDenied, match="a token is needed"):
            client.forecast(["a"])


@pytest.mark.heavy
def test_rows_from_a_broker_are_a_streams(tmp_path: Path, broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """The promise with a real broker and a real engine, which is opened twice."""
    caplog.set_level(logging.INFO, logger="statecast.server")
    messages = [(f"plant/{site}/load", f'{{"hour": "{at(n)}", "load": {n}}}') for n in range(30) for site in "ab"]
    address = f"mqtt://127.0.0.1:{broker.port}/plant/{{id}}/load?client=engine"
    with serving(tmp_path, window=0, mqtt=address) as server:
        broker_cases.until(lambda: "is subscribed" in caplog.text)
        broker.publish(messages[:20])
        broker_cases.until(lambda: server.get("/v1/status")["observations"] == 20)
    broker.publish(messages[10:])  # for whom the broker keeps them; some for the second time
    with serving(tmp_path, window=0, mqtt=address) as server:
        broker_cases.until(lambda: server.get("/v1/status")["observations"] == 60)
    stream = sc.Stream(cases.model())
    for n in range(30):
        expected = stream.observe_many(["a", "b"], [float(n), float(n)], at(n))
    with serving(tmp_path, window=0) as server, sc.Client(str(server.http.base_url)) as client:
        assert server.get("/v1/status")["observations"] == 60
        alike(client.forecast(["a", "b"]), replace(expected, ids=("a", "b")))


def test_an_unusual_value_is_an_alarm_at_the_webhook(tmp_path: Path, pager: Pager) -> None:
    model, rng = cases.watching(cases.model()), np.random.default_rng(0)
    with (
        serving(tmp_path, model, window=0, webhook=pager.url) as server,
        sc.Client(str(server.http.base_url)) as client,
    ):
        for hour, value in enumerate(6 + 0.1 * rng.standard_normal(60)):
            client.observe("a", value, at(hour))
        usual = len(pager.alarms)
        answer = client.observe("a", 1e4, at(60))
        assert answer.unusual is not None and answer.unusual.all() and answer.scores is not None
        broker_cases.until(lambda: len(pager.alarms) > usual)
    alarm = json.loads(pager.alarms[-1][1])["data"]
    assert (alarm["id"], alarm["kind"], alarm["value"]) == ("a", "unusual", 1e4)
    assert alarm["score"] == pytest.approx(answer.scores[0])


def test_the_next_server_posts_the_alarms_that_nobody_took(tmp_path: Path, pager: Pager) -> None:
    model, rng = cases.watching(cases.model()), np.random.default_rng(0)
    with serving(tmp_path, model, window=0, webhook=pager.url) as server:
        rows = [{"site": "a", "hour": str(at(n)), "load": 6 + 0.1 * rng.standard_normal()} for n in range(60)]
        server.post(rows)
        broker_cases.until(lambda: server.service.engine._store.note("posted 0") is not None)
        pager.statuses.extend([503] * 1000)  # from now on it takes none
        server.post({"site": "a", "hour": str(at(60)), "load": 1e4})
        (alarm,) = (alarm for alarm in server.get("/v1/alarms")["alarms"] if alarm["value"] == 1e4)
    usual = [headers["webhook-id"] for headers, _ in pager.alarms]
    pager.statuses.clear()
    for _ in range(2):  # the second has nothing left to post
        with serving(tmp_path, window=0, webhook=pager.url) as server:
            assert alarm in server.get("/v1/alarms")["alarms"]
            broker_cases.until(lambda: len(pager.alarms) > len(usual))
            broker_cases.until(lambda: int(server.service.engine._store.note("posted 0") or 0) >= alarm["seq"])
    names = [headers["webhook-id"] for headers, _ in pager.alarms]
    assert names.count(f"{alarm['seq']}-unusual-a") == 1 and len(names) == len({*names})


def test_who_gets_a_webhook_later_posts_no_old_alarms(tmp_path: Path, pager: Pager) -> None:
    model, rng = cases.watching(cases.model()), np.random.default_rng(0)
    with serving(tmp_path, model, window=0) as server:
        server.post([{"site": "a", "hour": str(at(n)), "load": 6 + 0.1 * rng.standard_normal()} for n in range(60)])
        server.post({"site": "a", "hour": str(at(60)), "load": 1e4})
        assert server.get("/v1/alarms")["alarms"]
    with serving(tmp_path, window=0, webhook=pager.url) as server:
        broker_cases.until(lambda: server.service.engine._store.note("posted 0") is not None)
    assert pager.alarms == []


def test_a_client_has_series_forgotten(tmp_path: Path) -> None:
    with serving(tmp_path, window=0) as server, sc.Client(str(server.http.base_url)) as client:
        server.post([row(hour, 1.0, site) for site in ("a", "b/c") for hour in range(3)])
        client.remove(["b/c"])
        assert [part["id"] for part in client.series()] == ["a"]
        with pytest.raises(UnknownSeries, match="b/c"):
            client.remove(["b/c"])
        assert server.refused("GET", "/v1/series/b%2Fc/history", 404)
        assert client.observe("b/c", 1.0, row(0)["hour"]).single  # earlier than its rows were: it starts anew
