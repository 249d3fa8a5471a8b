"""A server over HTTP: what each call answers, what is refused, who may do what, and what is never told."""

from __future__ import annotations

import dataclasses
import json
import logging
import sqlite3
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forecast_cases as cases
import pytest
from http_cases import Served, row, serving

from statecast import Stream
from statecast.errors import OutputError
from statecast.forecast import wire
from statecast.server.client.listening import parsed
from statecast.server.client.remote import RowResult
from statecast.server.engine.engine import Engine
from statecast.server.http import app, tokens
from statecast.server.http.answers import STATUSES, ForecastTexts, RowAnswer
from statecast.server.http.calls import observations, series
from statecast.server.http.tokens import issue


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served"), window=0) as server:
        yield server


# --- rows


def test_each_row_is_answered_with_the_forecast_of_a_stream(served: Served) -> None:
    stream = Stream(cases.model())
    for hour, detail in enumerate(("full", "point", "none", "full")):
        expected = wire.documents(stream.observe_many(["obs"], [hour], row(hour)["hour"]))[0]
        result = served.post(row(hour, hour, "obs"), detail)["results"][0]
        assert result["status"] == "accepted"
        points = {name: value for name, value in expected.items() if "-" not in name}
        shown = result.get("forecast")
        assert shown == {"full": expected, "point": points, "none": None}[detail]
        assert result.get("score") == expected["score"] or result["score"] == pytest.approx(expected["score"], abs=1e-3)


def test_rows_may_be_written_in_four_ways(served: Served) -> None:
    bodies = {
        "application/json": [row(0, site="w"), row(1, site="w")],
        "application/json; charset=utf-8": {"site": "w", "hour": [row(2)["hour"], row(3)["hour"]], "load": [1, 2]},
        "": row(4, site="w"),
    }
    for kind, rows in bodies.items():
        headers = {"content-type": kind} if kind else {}
        answer = served.http.post("/v1/observations", content=json.dumps(rows), headers=headers)
        assert {result["status"] for result in answer.json()["results"]} == {"accepted"}
    lines = "\n".join(json.dumps(row(hour, site="w")) for hour in (5, 6))
    answer = served.http.post("/v1/observations", content=lines, headers={"content-type": "application/x-ndjson"})
    assert [result["status"] for result in answer.json()["results"]] == ["accepted"] * 2
    assert served.get("/v1/series/w")["count"] == 7


def test_server_client_and_document_say_the_same_of_a_row() -> None:
    """What the server writes of a row, what its document promises, and what the client reads have the same names."""
    fields = list(RowAnswer.__struct_fields__)
    assert [field.name for field in dataclasses.fields(RowResult)] == fields
    properties = observations.ROW_ANSWER["properties"]
    assert list(properties) == fields
    assert set(properties["reason"]["enum"]) == {*STATUSES, "invalid"}


def test_forecasts_of_one_step_are_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    documents = wire.documents
    monkeypatch.setattr(wire, "documents", lambda *a, bounds: calls.append(bounds) or documents(*a, bounds))
    stream, texts = Stream(cases.model()), ForecastTexts()
    forecast = stream.observe_many(["a", "b"], [1, 2], row()["hour"])
    for detail in ("point", "point", "full", "point"):
        both = [json.loads(bytes(text)) for text in texts.of(forecast, detail)]
        assert both == documents(forecast, bounds=detail == "full")
    assert calls == [False, True]
    for hour in range(1, 20):
        texts.of(stream.observe_many(["a"], [1], row(hour)["hour"]), "point")
    texts.of(forecast, "point")
    assert len(calls) == 22  # the oldest are forgotten


def test_a_row_counts_once_and_bad_rows_are_refused_alone(served: Served) -> None:
    first = served.post([row(5, site="once")], "full")["results"][0]
    again = served.post([row(5, site="once")], "full")["results"][0]
    assert again == first | {"status": "duplicate"}
    rows = [row(5, site="once"), row(5, 2, "once"), row(4, site="once"), row(6, "x", "once"), row(6, 3, "once")]
    results = served.post(rows)["results"]
    assert [result["status"] for result in results] == ["duplicate", "rejected", "rejected", "rejected", "accepted"]
    assert [result.get("reason") for result in results] == [None, "conflict", "late", "invalid", None]
    assert "was observed as 1.5, and now as 2" in results[1]["error"]
    assert served.get("/v1/series/once")["count"] == 2


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"load": 9}, 409, "conflict"),
        ({"hour": "2024-01-02 01:00:00"}, 409, "late"),
        ({"load": "x"}, 422, "invalid"),
        ({"hour": "2024-01-02 03:30:00"}, 422, "invalid"),
    ],
)
def test_a_lone_row_that_is_refused_is_an_error(served: Served, changes: Any, code: int, reason: str) -> None:
    served.post([row(2, site="lone")])
    result = served.post(row(2, site="lone") | changes, code=code)["results"]
    assert (len(result), result[0]["status"], result[0]["reason"]) == (1, "rejected", reason)
    assert result[0]["error"]


def test_a_key_names_a_request(served: Served) -> None:
    first = served.post([row(1, site="key")], **{"Idempotency-Key": "k-1"})
    assert served.post([row(1, site="key")], **{"Idempotency-Key": "k-1"}) == first
    served.post([row(2, site="key")], code=400, **{"Idempotency-Key": "k-1"})
    served.post([row(2, site="key")], code=400, **{"Idempotency-Key": "k 2"})


@pytest.mark.parametrize(
    ("body", "kind", "code", "message"),
    [
        ("{", "application/json", 400, "not JSON"),
        ("5", "application/json", 400, "5 is not a row"),
        ("a=1", "application/x-www-form-urlencoded", 415, "expected application/json"),
        ("[" + " " * 5000 + "]", "application/json", 413, "more than 4,096 bytes"),
        (json.dumps([row()] * 9), "application/json", 413, "9 rows in one request, and it may have 8"),
    ],
)
def test_a_request_that_is_none_is_refused(tmp_path: Path, body: str, kind: str, code: int, message: str) -> None:
    with serving(tmp_path, body_limit=4096, row_limit=8) as server:
        headers = {"content-type": kind}
        assert message in server.refused("POST", "/v1/observations", code, content=body, headers=headers)
        pieces = (part.encode() for part in (body[:3], body[3:]))  # without a length
        assert message in server.refused("POST", "/v1/observations", code, content=pieces, headers=headers)


def test_who_sends_too_much_learns_why(tmp_path: Path) -> None:
    with serving(tmp_path, body_limit=4096) as server:
        request = urllib.request.Request(f"{server.http.base_url}/v1/observations", b" " * (1 << 25))
        request.add_header("Content-Type", "application/json")
        with pytest.raises(urllib.error.HTTPError, match="413"):  # not a connection that was reset
            urllib.request.urlopen(request, timeout=20)


def test_unknown_series_are_refused_where_the_server_is_closed_or_full(tmp_path: Path) -> None:
    with serving(tmp_path, series_limit=1) as server:
        results = server.post([row(site="a"), row(site="b"), row(1, site="a")])["results"]
        assert [result.get("reason") for result in results] == [None, "limit", None]
        assert server.post(row(site="b"), code=413)["results"][0]["reason"] == "limit"
    with serving(tmp_path, closed=True) as server:
        assert server.post(row(site="c"), code=404)["results"][0]["reason"] == "unknown"
        assert server.post(row(2, site="a"))["results"][0]["status"] == "accepted"


def test_a_server_that_has_enough_to_do_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, queue_limit=2, window=0.5) as server:
        answers: list[int] = []
        first = threading.Thread(
            target=lambda: answers.append(server.http.post("/v1/observations", json=[row()] * 2).status_code)
        )
        first.start()
        while server.service.engine.status().queue < 2:
            pass
        answer = server.http.post("/v1/observations", json=row(1))
        first.join()
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert answers == [200]


# --- what is known


def test_series_are_listed_in_an_order(served: Served) -> None:
    served.post([row(hour, load, f"list/{site}") for site, load in (("x", 3), ("y", 1), ("z", 2)) for hour in (0, 1)])
    page = served.get("/v1/series", prefix="list/", limit=2, recent=1)
    assert ([item["id"] for item in page["series"]], page["total"], page["next"]) == (["list/x", "list/y"], 3, "list/y")
    assert page["series"][0]["recent"] == [3]
    among = served.get("/v1/series", prefix="list", contains="T/Y")
    assert ([item["id"] for item in among["series"]], among["total"]) == (["list/y"], 1)
    rest = served.get("/v1/series", prefix="list/", after=page["next"])
    assert ([item["id"] for item in rest["series"]], rest["next"]) == (["list/z"], None)
    by_value = served.get("/v1/series", prefix="list/", sort="value", descending="true", offset=1)
    assert [item["id"] for item in by_value["series"]] == ["list/z", "list/y"]
    summary = served.get("/v1/series/list%2Fx")
    assert (summary["count"], summary["value"], summary["time"]) == (2, 3, row(1)["hour"])
    assert summary["error"]["naive"] == 0
    history = served.get("/v1/series/list%2Fx/history", limit=1)
    assert (history["times"], history["values"]) == ([row(1)["hour"]], [3])
    gates = served.get("/v1/series/list%2Fx/gates", limit=2)
    assert gates["times"] == [row(hour)["hour"] for hour in (0, 1)]
    assert {(len(layer["values"]), len(layer["values"][0])) for layer in gates["layers"]} == {(2, 4)}


def test_forecasts_come_from_the_state_and_move_nothing(served: Served) -> None:
    served.post([row(hour, hour, site) for site in ("f1", "f2") for hour in range(3)])
    stream = Stream(cases.model())
    for hour in range(3):
        stream.observe_many(["f1", "f2"], [hour, hour], row(hour)["hour"])
    one = served.get("/v1/series/f1/forecast", horizon=5, levels="80")
    assert one == wire.documents(stream.forecast(["f1"], 5, [80]))[0]
    query = {"ids": ["f2", "f1"], "horizon": 2, "levels": [95]}
    many = served.http.post("/v1/forecast", json=query).json()["forecasts"]
    assert many == wire.documents(stream.forecast(["f2", "f1"], 2, [95]))
    assert served.get("/v1/series/f1/forecast", horizon=5, levels="80") == one


def test_covariates_known_ahead_come_with_the_question(tmp_path: Path) -> None:
    model = cases.model(covariates=True)
    ahead = {"heat": [1, 2, 3, 4], "open": ["no", "yes", "no", "no"]}
    with serving(tmp_path, model) as server:
        sent = row(0, wind=2, area=3, **ahead)
        assert server.post(sent, "full")["results"][0]["status"] == "accepted"
        stream = Stream(model)
        stream.observe("a", 1.5, sent["hour"], {"wind": 2}, ahead, {"area": 3})
        known = {"heat": [5, 6], "open": ["yes", None]}
        query = {"ids": ["a"], "horizon": 2, "known": {"a": known}}
        answer = server.http.post("/v1/forecast", json=query).json()["forecasts"]
        assert answer == wire.documents(stream.forecast(["a"], 2, known={"a": known}))
        assert "must be known ahead" in server.refused("POST", "/v1/forecast", 400, json={"ids": ["a"]})


def test_a_series_is_forgotten(served: Served) -> None:
    seq = served.post([row(site="gone")])["seq"]
    assert served.http.delete("/v1/series/gone").json()["seq"] > seq
    assert "there is no series 'gone'" in served.refused("GET", "/v1/series/gone", 404)
    assert served.refused("DELETE", "/v1/series/gone", 404)


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        ("GET", "/v1/nothing", 404, "there is nothing at '/v1/nothing'"),
        ("GET", "/v1/series/nobody", 404, "there is no series 'nobody'"),
        ("GET", "/v1/series/nobody/forecast", 404, "there is no series 'nobody'"),
        ("GET", "/v1/series/nobody/history", 404, "there is no series 'nobody'"),
        ("GET", "/v1/series?sort=size", 400, "sort='size': expected id, time"),
        ("GET", "/v1/series?limit=1001", 400, "limit='1001': expected a whole number from 1 to 1000"),
        ("GET", "/v1/series?limit=١", 400, "expected a whole number"),
        ("GET", "/v1/series?descending=yes", 400, "expected true or false"),
        ("GET", "/v1/series?pref=a", 400, "has no argument 'pref'; did you mean 'prefix'?"),
        ("GET", "/v1/series/a/forecast?horizon=0", 400, "expected a whole number from 1"),
        ("GET", "/v1/series/a/forecast?levels=80,x", 400, "expected numbers of at least 1 and below 100"),
        ("GET", "/v1/series/a/forecast?levels=nan", 400, "expected numbers"),
        ("POST", "/v1/observations?forecast=all", 400, "forecast='all': expected none, point, full"),
        ("PUT", "/v1/series", 405, "PUT is not done here: GET is"),
        ("OPTIONS", "/v1/observations", 405, "POST is"),
        ("HEAD", "/v1/events", 405, ""),
    ],
)
def test_what_is_asked_wrongly_is_refused(served: Served, method: str, path: str, code: int, message: str) -> None:
    answer = served.http.request(method, path)
    assert answer.status_code == code
    assert message in (answer.json()["error"] if answer.content else "")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"ids": ["nobody"]}, 404),
        ({"ids": [10**40]}, 404),
        ({"ids": [""]}, 404),
        ({"ids": "a"}, 400),
        ({"horizon": 1.5}, 400),
        ({"steps": 3}, 400),
        ({"levels": [101]}, 400),
        ({"horizon": -1}, 400),
        ({"horizon": 10**9}, 400),
        ({"known": {"nobody": {}}}, 404),
        ({"ids": ["a"] * 200_000}, 413),
        ({"known": {"a": {"heat": [1]}}, "ids": ["a"]}, 400),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(served: Served, query: Any, code: int) -> None:
    served.post([row(3, site="a")])
    assert served.refused("POST", "/v1/forecast", code, json=query)


def test_a_question_is_not_without_end(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "MOST_NUMBERS", 5)
    served.post([row(3, site="a"), row(3, site="b")])
    assert "2 series of 3 steps" in served.refused("POST", "/v1/forecast", 413, json={"ids": ["a", "b"]})


# --- health, measurements, the page


def test_a_server_answers_while_it_reads_its_store(tmp_path: Path) -> None:
    gate = threading.Event()
    with serving(tmp_path) as server:
        path = server.folder / "m.safetensors"

    def slow(failed: Any) -> Engine:
        gate.wait()
        return Engine.open(path, tmp_path / "m-state", failed=failed)

    with serving(tmp_path, opener=slow, wait=False) as server:
        assert server.get("/healthz") == {"status": "alive"}
        for method, place in (("GET", "/readyz"), ("GET", "/v1/series"), ("POST", "/v1/observations")):
            answer = server.http.request(method, place, json=row() if method == "POST" else None)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert server.http.get("/v2/health/ready").status_code == 503
        assert "statecast_ready 0.0" in server.http.get("/metrics").text
        assert server.http.get("/openapi.json").status_code == server.http.get("/").status_code == 200
        gate.set()
        while server.http.get("/readyz").status_code != 200:
            pass
        server.post(row())


def test_a_server_whose_engine_stopped_says_so(tmp_path: Path) -> None:
    stop: list[Any] = []

    def failing(failed: Any) -> Engine:
        stop.append(failed)
        return Engine.open(tmp_path / "m.safetensors", tmp_path / "m-state", failed=failed)

    with serving(tmp_path, opener=failing) as server:
        ended = threading.Event()
        server.service.ended = ended.set
        stop[0]("the disk is full")
        assert ended.is_set()
        assert isinstance(server.service.error, OutputError)
        assert server.refused("GET", "/healthz", 503) == "the disk is full"
        assert server.refused("POST", "/v1/observations", 503, json=row()) == "the disk is full"


def test_measurements_name_no_series(served: Served) -> None:
    served.post([row(site="secret-name")])
    served.http.get("/v1/series/secret-name")
    text = served.http.get("/metrics").text
    for line in (
        'call="/v1/series/{id}",status="200"',
        "statecast_rows_total",
        "statecast_acknowledgement_seconds_count",
    ):
        assert line in text
    assert "secret" not in text


def test_the_status_tells_what_is_served(served: Served) -> None:
    status = served.get("/v1/status")
    model = status["model"]
    assert (model["id"], model["time"], model["time_kind"], model["targets"]) == ("site", "hour", "datetime", ["load"])
    assert (model["name"], model["recent"], status["scope"], status["tokens"]) == ("m", 32, "admin", False)
    assert status["seq"] == served.service.engine.status().seq
    assert {"rate", "latency", "trace", "skill", "queue", "sizes", "checkpoint"} <= status.keys()


def test_the_page_is_served(served: Served) -> None:
    page = served.http.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_a_backup_is_a_store(served: Served, tmp_path: Path) -> None:
    served.post([row(7, 4, "kept")])
    answer = served.http.get("/v1/backup")
    assert answer.headers["content-disposition"] == 'attachment; filename="store.sqlite"'
    (tmp_path / "copy").write_bytes(answer.content)
    with sqlite3.connect(tmp_path / "copy") as copy:
        assert copy.execute("pragma integrity_check").fetchone() == ("ok",)


# --- who may do what


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[Served, dict[str, dict[str, str]]]]:
    path = tmp_path / "tokens"
    headers = {scope: {"authorization": f"Bearer {issue(path, scope, scope)}"} for scope in ("read", "write", "admin")}
    with serving(tmp_path, tokens=str(path)) as server:
        yield server, headers


def test_a_token_may_do_what_its_scope_says(guarded: tuple[Served, dict[str, dict[str, str]]]) -> None:
    server, headers = guarded
    calls = {
        "read": ("GET", "/v1/series", None),
        "write": ("POST", "/v1/observations", row()),
        "admin": ("DELETE", "/v1/series/a", None),
    }
    for place, (needed, (method, path, body)) in enumerate(calls.items()):
        answer = server.http.request(method, path, json=body)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        for scope in list(calls)[:place]:
            error = server.refused(method, path, 403, json=body, headers=headers[scope])
            assert error == f"the token is for {scope}, and this needs one for {needed}"
        assert server.http.request(method, path, json=body, headers=headers[needed]).status_code == 200
    assert server.refused("GET", "/metrics", 401)
    assert server.refused("GET", "/v1/series", 401, headers={"authorization": "Basic x"})
    assert server.refused("GET", "/v1/series?token=x", 401)
    for path in ("/healthz", "/readyz", "/openapi.json", "/", "/v2/health/live"):
        assert server.http.get(path).status_code == 200
    assert server.http.get("/v1/status", headers=headers["write"]).json()["scope"] == "write"


def test_a_reader_of_events_ends_with_its_token(
    guarded: tuple[Served, dict[str, dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, headers = guarded
    monkeypatch.setattr(tokens, "LOOK", 0.0)
    path = Path(str(server.service.options.tokens))
    with server.http.stream("GET", "/v1/events", headers=headers["read"]) as answer:
        server.post(row(0), **headers["write"])
        events = parsed(answer.iter_lines())
        assert next(event for event in events if event.seq).seq == 1
        path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("read ")))
        server.post(row(1), **headers["write"])
        assert not list(events)


def test_a_page_takes_a_cookie(guarded: tuple[Served, dict[str, dict[str, str]]]) -> None:
    server, headers = guarded
    token = headers["read"]["authorization"].removeprefix("Bearer ")
    assert "unknown" in server.refused("POST", "/v1/session", 401, json={"token": "sc-x"})
    answer = server.http.post("/v1/session", json={"token": token})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert token not in cookie
    assert server.get("/v1/status")["scope"] == "read"  # the client keeps the cookie
    assert server.http.delete("/v1/session").status_code == 204
    assert server.refused("GET", "/v1/status", 401)


def test_pages_of_other_origins_may_change_nothing(served: Served) -> None:
    home = str(served.http.base_url).rstrip("/")
    for origin, code in (("https://evil.example", 403), ("null", 403), (home, 200)):
        answer = served.http.post("/v1/observations", json=[row(site="csrf")], headers={"origin": origin})
        assert answer.status_code == code


def test_without_tokens_a_server_is_called_by_local_names_alone(served: Served) -> None:
    for name, code in (("evil.example", 403), ("localhost:1", 200), ("[::1]", 200), ("127.0.0.1.evil", 403)):
        assert served.http.get("/healthz", headers={"host": name}).status_code == code


def test_no_row_and_no_id_is_logged_unless_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for log_ids in (False, True):
        with serving(tmp_path / str(log_ids), log_ids=log_ids) as server:
            server.post([row(site="secret"), row(1, "x", "secret")])
            server.http.get("/v1/series/secret")
        texts = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("http"))
        assert ("secret" in texts) is log_ids
        assert ("GET /v1/series/secret 200" in texts) is log_ids


# --- the Open Inference Protocol


def test_the_open_inference_protocol_forecasts_series(served: Served) -> None:
    served.post([row(hour, hour, site) for site in ("i1", "i2") for hour in range(3)])
    assert served.get("/v2/health/ready")["ready"] is served.get("/v2/models/m/ready")["ready"] is True
    assert served.get("/v2")["name"] == "statecast"
    about = served.get("/v2/models/m/versions/1")
    assert about["inputs"] == [{"name": "site", "datatype": "BYTES", "shape": [-1]}]
    request = {
        "id": "42",
        "inputs": [{"name": "site", "shape": [2], "datatype": "BYTES", "data": ["i2", "i1"]}],
        "parameters": {"horizon": 2, "levels": "80"},
    }
    answer = served.http.post("/v2/models/m/infer", json=request).json()
    assert (answer["id"], answer["model_name"]) == ("42", "m")
    outputs = {output["name"]: output for output in answer["outputs"]}
    documents = served.http.post("/v1/forecast", json={"ids": ["i2", "i1"], "horizon": 2, "levels": [80]}).json()
    for name in ("times", "statecast", "statecast-lo-80", "statecast-hi-80"):
        assert outputs[name]["data"] == [value for item in documents["forecasts"] for value in item[name]]
    assert (outputs["statecast"]["shape"], outputs["statecast"]["datatype"]) == ([2, 2, 1], "FP64")
    few = served.http.post("/v2/models/m/infer", json=request | {"outputs": [{"name": "times"}]}).json()
    assert few["outputs"] == [outputs["times"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": []}, "the inputs are none"),
        ({"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}, "expected one, 'site'"),
        (
            {"inputs": [{"name": "site", "shape": [2], "datatype": "BYTES", "data": ["a"]}]},
            "shape \\[2\\] with 1 values",
        ),
        ({"inputs": [{"name": "site", "shape": [1], "datatype": "FP32", "data": [1.5]}]}, "expected BYTES or INT64"),
        ({"inputs": [{"name": "site", "shape": [1], "datatype": "BYTES", "data": [[1]]}]}, "names of series"),
        ({"outputs": [{"name": "y"}]}, "there is no output 'y'"),
        ({"parameters": {"steps": 3}}, "there is no parameter 'steps'"),
        ({"parameters": {"horizon": "3"}}, "horizon: '3' is not a whole number"),
        ({"parameters": {"levels": ["x"]}}, "levels"),
        ({"inputs": 5}, "cannot be used"),
    ],
)
def test_a_wrong_inference_is_refused(served: Served, changes: Any, message: str) -> None:
    served.post([row(3, site="a")])
    sound = {"inputs": [{"name": "site", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}
    error = served.refused("POST", "/v2/models/m/infer", 400, json=sound | changes)
    with pytest.raises(ValueError, match=message):
        raise ValueError(error)
    assert "there is no model 'n'" in served.refused("POST", "/v2/models/n/infer", 404, json=sound)
    assert served.refused("GET", "/v2/models/m/versions/2", 404)


# --- the description


def test_the_description_has_every_call_and_only_what_is_named(served: Served) -> None:
    document = served.get("/openapi.json")
    calls = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert calls == {(operation.method, operation.path) for operation in app.OPERATIONS}
    names = document["components"]["schemas"]
    text = json.dumps(document)
    used = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used == set(names)
    assert names["Rows"]["anyOf"][0]["required"] == ["site", "hour", "load"]


def test_what_a_server_holds_outlives_it(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.post([row(hour, hour) for hour in range(5)])
        before = server.get("/v1/series/a/forecast")
    with serving(tmp_path) as server:
        assert server.get("/v1/series/a/forecast") == before
        assert server.post(row(4, 4))["results"][0]["status"] == "duplicate"


def test_an_engine_that_cannot_be_opened_ends_the_service(tmp_path: Path) -> None:
    def closed(failed: Any) -> Engine:
        raise OutputError("the folder has an owner")

    with serving(tmp_path, opener=closed, wait=False) as server:
        while server.service.error is None:
            pass
        assert server.refused("GET", "/v1/series", 503) == "the folder has an owner"
