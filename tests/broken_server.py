"""A server that keeps rows by the rules of the real one, in a few lines, and breaks down when it is told to."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

MODEL: dict[str, Any] = {
    "id": "site",
    "time": "hour",
    "time_kind": "datetime",
    "targets": ["load"],
    "past": [],
    "known": [],
    "static": [],
    "horizon": 2,
    "tz": None,
    "recent": 4,
}


class Shelf:
    """What the server holds, and what is to go wrong with its next requests."""

    def __init__(self) -> None:
        self.model = dict(MODEL)
        self.rows: dict[str, list[tuple[Any, float]]] = {}
        self.keys: dict[str, list[dict[str, Any]]] = {}
        self.faults: deque[str] = deque()  # each spoils one request
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.most = 1000  # rows of a request
        self.elsewhere: dict[str, str | None] = {}  # series that another server has, and which
        self.url = ""
        self.lock = threading.Lock()

    def take(self, body: Any, key: str | None, detail: str) -> list[dict[str, Any]]:
        if key in self.keys:
            return self.keys[key]
        results = [self.observe(row, detail) for row in rows_of(body)]
        if key is not None:
            self.keys[key] = results
        return results

    def observe(self, row: dict[str, Any], detail: str) -> dict[str, Any]:
        name, time, value = row["site"], row.get("hour"), row["load"]
        if name in self.elsewhere:
            owner = self.elsewhere[name]
            if owner is None:
                del self.elsewhere[name]
            return {"status": "rejected", "reason": "elsewhere", "owner": owner, "error": f"{name} is elsewhere"}
        rows = self.rows.setdefault(name, [])
        if value == "bad":
            return {"status": "rejected", "error": "load: 'bad' is not a number", "reason": "invalid"}
        if time is not None and rows and time <= rows[-1][0]:
            recent = dict(rows[-self.model["recent"] :])
            if recent.get(time, "none") == value:
                return {"status": "duplicate", **(self.forecast(name, detail) if time == rows[-1][0] else {})}
            reason = "conflict" if time in recent else "late"
            return {"status": "rejected", "error": f"hour: {time} is {reason}", "reason": reason}
        rows.append((time, value))
        return {"status": "accepted", "score": 1.5, "unusual": False, **self.forecast(name, detail)}

    def forecast(self, name: str, detail: str) -> dict[str, Any]:
        if detail == "none":
            return {}
        value = self.rows[name][-1][1]
        item = {"id": name, "time": "x", "times": ["2024-01-01 01:00:00", "2024-01-01 02:00:00"]}
        item |= {"statecast": [value, value + 1]}
        bounds = {"statecast-lo-80": [value - 1] * 2, "statecast-hi-80": [value + 1] * 2} if detail == "full" else {}
        return {"forecast": item | bounds}


def rows_of(body: Any) -> list[dict[str, Any]]:
    if isinstance(body, list):
        return body
    if any(isinstance(value, list) for value in body.values()):
        return [dict(zip(body, row, strict=True)) for row in zip(*body.values(), strict=True)]
    return [body]


class Handler(BaseHTTPRequestHandler):
    """Answers as the server does, unless a fault is due."""

    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(None)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(json.loads(content))

    def answer(self, body: Any) -> None:
        shelf: Shelf = self.server.shelf
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with shelf.lock:
            shelf.requests.append((self.path, dict(self.headers), body))
            fault = shelf.faults.popleft() if shelf.faults and parts.path != "/v1/status" else ""
            if fault == "cut before":
                return self.cut()
            if fault.startswith("status "):
                _, status, pause = fault.split()
                return self.reply(int(status), {"error": "not now"}, {"Retry-After": pause})
            if fault == "no json":
                return self.reply(200, None)
            status, value = self.result(shelf, parts.path, query, body)
            if fault == "cut after":
                return self.cut()
        self.reply(status, value, {"Location": value["Location"]} if status == 421 else {})

    def result(self, shelf: Shelf, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if path == "/v1/status":
            return 200, {"model": shelf.model}
        if path == "/v1/observations":
            if len(rows_of(body)) > shelf.most:
                return 413, {"error": "too many rows"}
            results = shelf.take(body, self.headers.get("Idempotency-Key"), query["forecast"])
            lone = len(results) == 1 and results[0]["status"] == "rejected"
            return 409 if lone else 200, {"seq": 1, "results": results}
        if path == "/v1/forecast":
            ids = body.get("ids") or list(shelf.rows)
            owner = next((shelf.elsewhere[name] for name in ids if name in shelf.elsewhere), None)
            if owner is not None:
                return 421, {"error": "it is elsewhere", "Location": owner}
            if any(name not in shelf.rows for name in ids):
                return 404, {"error": "there is no such series"}
            return 200, {"forecasts": [shelf.forecast(name, "full")["forecast"] for name in ids]}
        return 404, {"error": "there is no such page"}

    def cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def reply(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        content = b"<html>" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def served() -> Iterator[Shelf]:
    """A server, while it is needed."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.shelf = Shelf()
        server.shelf.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.shelf
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with served() as shelf:
        yield shelf
