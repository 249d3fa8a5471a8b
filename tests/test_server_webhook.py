"""Alarms that are posted: signed, again and again until they are taken, and never in anybody's way."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from statecast.errors import SettingError
from statecast.server import webhook
from statecast.server.webhook import Webhook, key_of, signature


class Pager:
    """Takes alarms, or answers what it is told to."""

    def __init__(self) -> None:
        self.statuses: deque[int] = deque()
        self.alarms: list[tuple[dict[str, str], bytes]] = []
        self.attempts = 0
        self.url = ""
        self.gate = threading.Event()
        self.gate.set()


class Handler(BaseHTTPRequestHandler):
    server: Any

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        pager: Pager = self.server.pager
        body = self.rfile.read(int(self.headers["Content-Length"]))
        pager.gate.wait()
        pager.attempts += 1
        status = pager.statuses.popleft() if pager.statuses else 204
        if status < 300:
            pager.alarms.append((dict(self.headers), body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def pager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pager]:
    monkeypatch.setattr(webhook, "FIRST_PAUSE", 0.001)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.pager = Pager()
        server.pager.url = f"http://127.0.0.1:{server.server_port}/secret"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.pager
        finally:
            server.pager.gate.set()
            server.shutdown()
            thread.join()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_alarms_come_in_order_and_signed(pager: Pager) -> None:
    key = base64.b64encode(b"0123456789").decode()
    with Webhook(pager.url, f"whsec_{key}") as hook:
        for n in range(5):
            hook.put(f"alarm-{n}", {"id": "a", "score": n})
    assert [json.loads(body)["data"]["score"] for _, body in pager.alarms] == [0, 1, 2, 3, 4]
    headers, body = pager.alarms[3]
    sent = int(headers["webhook-timestamp"])
    assert headers["webhook-id"] == "alarm-3" and abs(sent - time.time()) < 60
    assert headers["webhook-signature"] == signature("alarm-3", body, sent, b"0123456789")


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification's own libraries."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    name, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
    assert signature(name, body, 1614265330, key) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_alarm_is_posted_until_it_is_taken(pager: Pager) -> None:
    pager.statuses.extend([500, 503, 429, 200])
    with Webhook(pager.url) as hook:
        hook.put("one", {"score": 1})
        until(lambda: hook.delivered == 1)
    assert pager.attempts == 4 and hook.dropped == 0
    assert "webhook-signature" not in pager.alarms[0][0]


def test_what_is_refused_or_too_old_is_dropped_and_the_next_one_comes(pager: Pager) -> None:
    pager.statuses.extend([404, 200])
    with Webhook(pager.url) as hook:
        hook.put("one", {})
        hook.put("two", {})
        until(lambda: hook.delivered == 1)
    assert pager.alarms[0][0]["webhook-id"] == "two" and hook.dropped == 1
    pager.statuses.extend([500] * 1000)
    with Webhook(pager.url, patience=0.02) as hook:
        hook.put("three", {})
        until(lambda: hook.dropped == 1)


def test_who_puts_an_alarm_is_told_when_it_need_not_come_again(pager: Pager) -> None:
    settled: list[str] = []
    pager.statuses.extend([500, 200, 404])
    with Webhook(pager.url) as hook:
        for name in ("one", "two"):
            hook.put(name, {}, lambda name=name: settled.append(f"{name} {pager.attempts}"))
        until(lambda: len(settled) == 2)
    assert settled == ["one 2", "two 3"]


def test_nobody_waits_for_the_other_end(pager: Pager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "MOST", 3)
    pager.gate.clear()
    hook = Webhook(pager.url)
    for n in range(10):
        hook.put(str(n), {})
    assert hook.waiting == 3 and hook.dropped == 7
    pager.gate.set()
    until(lambda: hook.waiting == 0)
    hook.close()
    assert [headers["webhook-id"] for headers, _ in pager.alarms][-3:] == ["7", "8", "9"]


def test_a_close_does_not_wait_for_a_server_that_is_away() -> None:
    hook = Webhook("http://127.0.0.1:9")
    hook.put("one", {})
    hook.close(patience=0.01)
    assert hook.waiting == 1


def test_what_cannot_be_an_address_or_a_secret() -> None:
    with pytest.raises(SettingError, match="is not an address for alarms"):
        Webhook("example.org")
    with pytest.raises(SettingError, match="not base64"):
        key_of("whsec_ü")
    with pytest.raises(SettingError, match="is empty"):
        key_of(" ")
    assert key_of("plain") == b"plain"
