"""Two servers on one PostgreSQL, as processes that are killed and put to sleep."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forecast_cases as cases
import httpx
import numpy as np
import pytest
import server_cases
from postgres_cases import running

from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.state import State

pytestmark = pytest.mark.heavy
SERIES = [f"s{n}" for n in range(64)]


class Server:
    """A process that serves."""

    def __init__(self, model: Path, state: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "statecast", "serve", str(model), "--state", state, "--port", str(port)]
        self.process = subprocess.Popen([*command, "--shards", "8", "--checkpoint", "1"], stderr=subprocess.DEVNULL)
        self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def ready(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if self.http.get("/readyz").status_code == 200:
                    return
            assert self.process.poll() is None, "it ended"
            time.sleep(0.05)
        raise AssertionError("it never was ready")

    def observe(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answer = self.http.post("/v1/observations?forecast=none", json=rows)
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def series(self) -> list[str]:
        return [item["id"] for item in self.http.get("/v1/series?limit=1000").json()["series"]]

    def forecast(self, id: str) -> list[float]:
        values: list[float] = self.http.get(f"/v1/series/{id}/forecast").json()["statecast"]
        return values

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def close(self) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    model, url = server_cases.saved(tmp_path), running().database()
    both = Server(model, url), Server(model, url)
    try:
        for server in both:
            server.ready()
        yield both
    finally:
        for server in both:
            server.close()


def rows(step: int, series: list[str] = SERIES) -> list[dict[str, Any]]:
    time = str(np.datetime64(cases.START + step * cases.HOUR, "us"))
    return [{"site": name, "hour": time, "load": float(np.sin(step + SERIES.index(name)))} for name in series]


def expected(tmp_path: Path, steps: int) -> Stream:
    """A stream that never died."""
    model = archive.load(tmp_path / "model.safetensors")
    stream = Stream(model, State.empty(model.layout, model.dtype))
    for step in range(steps):
        some = rows(step)
        stream.observe_many(SERIES, [row["load"] for row in some], [row["hour"] for row in some])
    return stream


def deliver(servers: list[Server], step: int, seconds: float = 30.0) -> set[str]:
    """Send the rows of a step until each was taken by somebody; returns which statuses there were."""
    left, statuses, until = list(SERIES), set(), time.monotonic() + seconds
    while left:
        assert time.monotonic() < until, f"nobody takes {left}"
        for server in servers:
            if left:
                results = server.observe(rows(step, left))
                statuses |= {result["status"] for result in results} - {"rejected"}
                assert {r.get("reason") for r in results} <= {None, "elsewhere"}, results
                left = [name for name, r in zip(left, results, strict=True) if r["status"] == "rejected"]
        time.sleep(0.02 if left else 0)
    return statuses


def require_same(servers: list[Server], stream: Stream) -> None:
    """All series are somewhere, and forecast what the stream does, bit for bit."""
    assert sorted(name for server in servers for name in server.series()) == sorted(SERIES)
    forecast = stream.forecast(SERIES)
    reference_of = dict(zip(forecast.ids, forecast.values[:, :, 0].tolist(), strict=True))
    for server in servers:
        for name in server.series():
            assert server.forecast(name) == reference_of[name]


def shared(servers: tuple[Server, Server]) -> None:
    until = time.monotonic() + 20
    while not all(0 < len(server.series()) < len(SERIES) for server in servers):
        assert time.monotonic() < until, "the series are not shared"
        time.sleep(0.1)


def test_a_killed_servers_series_are_with_the_other_in_ten_seconds(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    first, second = servers
    for step in range(10):
        assert deliver([first, second], step) == {"accepted"}
    shared(servers)
    first.send(signal.SIGKILL)
    killed = time.monotonic()
    deliver([second], 10)
    assert time.monotonic() - killed < 10
    for step in range(11, 15):
        deliver([second], step)
    require_same([second], expected(tmp_path, 15))


def test_a_server_that_wakes_up_says_that_its_series_are_anothers(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    first, second = servers
    for step in range(5):
        deliver([first, second], step)
    shared(servers)
    mine = first.series()
    first.send(signal.SIGSTOP)
    deliver([second], 5)
    with socket.create_connection(("127.0.0.1", int(first.url.rpartition(":")[2]))) as asking:
        asking.settimeout(30)
        asking.sendall(f"GET /v1/series/{mine[0]}/forecast HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        first.send(signal.SIGCONT)
        assert asking.recv(1 << 16).split(b" ")[1] in (b"421", b"503")
    results = first.observe(rows(6, mine))
    taken = [result for result in results if result["status"] != "rejected"]
    assert not taken or set(first.series()) & set(mine), "it took rows of series that it does not have"
    for step in range(6, 9):
        deliver([first, second], step)
    shared(servers)
    require_same([first, second], expected(tmp_path, 9))


def test_a_row_is_answered_with_the_address_of_its_server(servers: tuple[Server, Server]) -> None:
    first, second = servers
    deliver([first, second], 0)
    shared(servers)
    name = second.series()[0]
    until = time.monotonic() + 10
    while True:
        answer = first.http.post("/v1/observations", json=rows(1, [name])[0])
        (result,) = answer.json()["results"]
        if result.get("owner") or time.monotonic() > until:
            break
    assert (answer.status_code, result["reason"], result["owner"]) == (421, "elsewhere", second.url)
    response = first.http.get(f"/v1/series/{name}/forecast")
    assert (response.status_code, response.headers["location"]) == (421, second.url)


def test_a_client_finds_the_server_of_each_series(servers: tuple[Server, Server]) -> None:
    from statecast.server.client.client import Client

    first, second = servers
    deliver([first, second], 0)
    shared(servers)
    with Client(first.url) as client:
        some = rows(1)
        forecast = client.observe_many(SERIES, [row["load"] for row in some], [row["hour"] for row in some])
        assert list(forecast.ids) == SERIES
        for name, values in zip(SERIES, forecast.values[:, :, 0].tolist(), strict=True):
            owner = first if name in first.series() else second
            assert values == owner.forecast(name)
        assert client.forecast([second.series()[0]]).values.shape == (1, 3, 1)


def test_a_server_that_ends_gives_its_series_away_at_once(servers: tuple[Server, Server], tmp_path: Path) -> None:
    first, second = servers
    for step in range(3):
        deliver([first, second], step)
    shared(servers)
    first.send(signal.SIGTERM)
    assert first.process.wait(30) == 0
    began = time.monotonic()
    deliver([second], 3)
    assert time.monotonic() - began < 4, "it need not wait for a lease to end"
    require_same([second], expected(tmp_path, 4))
