"""`statecast serve` as a process: what it says, how it ends, and why it does not begin."""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forecast_cases as cases
import numpy as np
import pytest
from http_cases import row, serving

from statecast.cli import main
from statecast.errors import MissingDependency, OutputError, SettingError
from statecast.model import archive
from statecast.server.engine.engine import Engine
from statecast.server.http import process, tokens
from statecast.server.http.service import Service
from statecast.server.options import Options
from statecast.server.rows import LiveRows
from statecast.server.store.protocol import Transaction
from statecast.server.store.sqlite import SqliteStore

if sys.platform == "win32":
    pytest.skip("signals of POSIX", allow_module_level=True)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return archive.save(cases.model(), tmp_path / "loads.safetensors")


LIMIT = """
import os, resource, sys
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
os.execv(sys.argv[2], sys.argv[2:])
"""  # no file of what follows grows beyond some bytes, as on a full disk


class Running:
    """A server in a process of its own.

    Attributes:
        lines: what it has said so far.
    """

    def __init__(self, model: Path, *words: str, largest: int | None = None) -> None:
        command = [sys.executable, "-m", "statecast", "serve", str(model), "--port", "0", *words]
        if largest is not None:
            command = [sys.executable, "-c", LIMIT, str(largest), *command]
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, **pipes)
        self.lines = [self.line(), self.line()]
        result = re.search(r"http://127\.0\.0\.1:\d+", self.lines[0])
        assert result, self.lines
        self.url = result[0]

    def line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline().strip()

    def post(self, rows: Any) -> Any:
        request = urllib.request.Request(f"{self.url}/v1/observations", json.dumps(rows).encode())
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        assert out == ""
        return self.process.returncode, err.strip()


@pytest.fixture
def begin(model: Path) -> Iterator[Any]:
    servers: list[Running] = []

    def start(*words: str, largest: int | None = None) -> Running:
        servers.append(Running(model, *words, largest=largest))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.communicate()


def test_a_server_says_where_it_is_and_ends_well(begin: Any, model: Path) -> None:
    first = begin()
    assert first.lines[0].endswith(f"with its store in {model.with_name('loads-state')}")
    assert re.fullmatch(r"ready after \d+\.\d s: 0 series, 0 rows replayed", first.lines[1])
    first.post([row(hour) for hour in range(3)])
    assert first.end(signal.SIGTERM) == (0, "ended: everything is written")
    second = begin()
    assert re.search(r": 1 series, 0 rows replayed$", second.lines[1])  # its state was written
    second.post(row(3))
    second.process.kill()
    second.process.communicate()
    third = begin()
    assert re.search(r": 1 series, 1 rows replayed$", third.lines[1])
    assert third.end(signal.SIGINT) == (0, "ended: everything is written")


def test_a_second_signal_ends_a_server_at_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is so slow that nobody would wait for all states."""
    entered, commit = threading.Event(), SqliteStore.commit

    def slow(self: SqliteStore, transaction: Transaction) -> None:
        if transaction.blocks:
            entered.set()
            time.sleep(0.3)
        commit(self, transaction)

    monkeypatch.setattr(SqliteStore, "commit", slow)
    monkeypatch.setattr("statecast.server.engine.rounds.TOGETHER", 1)
    engine = Engine.open(model, tmp_path / "state", Options(checkpoint=3600))
    names = [f"s{n}" for n in range(3000)]
    rows = LiveRows(names, np.full(3000, cases.START), np.ones((3000, 1)))
    assert set(engine.submit(rows).result().statuses) == {"accepted"}
    closing = threading.Thread(target=engine.close)
    closing.start()
    assert entered.wait(10)
    engine.hasten()
    closing.join(10)
    assert not closing.is_alive()
    monkeypatch.undo()
    again = Engine.open(model, tmp_path / "state")
    status = again.status()
    assert 0 < status.replayed < 3000  # some blocks were written, and the log has the rest
    assert status.observations == 3000
    again.hasten()
    again.close()
    third = Engine.open(model, tmp_path / "state")
    assert third.status().replayed == status.replayed
    third.close()


def test_a_second_signal_ends_a_server_that_still_reads_its_store() -> None:
    release = threading.Event()

    def open_late(failed: Any) -> Engine:
        release.wait(20)
        raise OutputError("it comes too late")

    async def live(service: Service) -> None:
        async with service:
            service.hasten()

    asyncio.run(asyncio.wait_for(live(Service(open_late, Options(), "m")), 10))
    release.set()


def test_a_reader_of_events_does_not_keep_a_server_from_ending(begin: Any) -> None:
    server = begin()
    with urllib.request.urlopen(f"{server.url}/v1/events?types=status", timeout=20) as events:
        assert events.readline()
        start = time.monotonic()
        assert server.end(signal.SIGTERM) == (0, "ended: everything is written")
        assert time.monotonic() - start < process.PATIENCE


def test_a_full_disk_ends_a_server_and_loses_nothing(begin: Any, model: Path) -> None:
    server, taken = begin("--window", "0", largest=120_000), 0
    with pytest.raises((OSError, http.client.HTTPException)):  # among them: it answers 503
        for n in range(200):
            rows = [row(n % 24, k, f"s{n // 24}-{k}") for k in range(50)]
            taken += sum(result["status"] == "accepted" for result in server.post(rows)["results"])
    _, err = server.process.communicate(timeout=30)
    assert server.process.returncode == 1
    assert re.search(r"error: .*(full|disk|large|write)", err)
    assert "Traceback" not in err
    again = begin()
    with urllib.request.urlopen(f"{again.url}/v1/status", timeout=20) as answer:
        assert json.load(answer)["observations"] >= taken > 0


def test_a_second_server_does_not_begin(begin: Any, model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    server = begin()
    assert main(["serve", str(model), "--port", "0"]) == 1
    assert "another server uses" in capfd.readouterr().err
    port = server.url.rsplit(":", 1)[1]
    assert main(["serve", str(model), "--port", port, "--state", str(model.with_name("other"))]) == 1
    assert f"cannot listen at 127.0.0.1, port {port}: Address already in use" in capfd.readouterr().err
    assert server.post(row())["seq"] == 1


def test_a_server_that_others_reach_needs_tokens(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        assert main(["serve", str(model), "--host", host]) == 2
        assert "can be reached from other machines: give --tokens" in capfd.readouterr().err
    assert main(["serve", str(model), "--tokens", str(model.with_name("none"))]) == 2
    assert "cannot be read" in capfd.readouterr().err


def test_a_certificate_that_cannot_be_used_is_refused(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = model.with_name("certificate.pem")
    assert main(["serve", str(model), "--certificate", str(path)]) == 2
    assert "cannot be used" in capfd.readouterr().err
    path.write_text("no certificate")
    assert main(["serve", str(model), "--certificate", str(path)]) == 2
    assert "cannot be used" in capfd.readouterr().err
    assert main(["serve", str(model), "--private-key", str(path)]) == 2
    assert "goes with --certificate" in capfd.readouterr().err


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_makes_it_https(tmp_path: Path) -> None:
    paths = {name: str(tmp_path / f"{name}.pem") for name in ("certificate", "private_key")}
    files = ["-out", paths["certificate"], "-keyout", paths["private_key"]]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *files, *names]
    subprocess.run(command, check=True, capture_output=True)
    token = tokens.issue(tmp_path / "tokens", "read", "page")
    options = {**paths, "tokens": str(tmp_path / "tokens")}
    with serving(tmp_path, trust=paths["certificate"], **options) as server:
        answer = server.http.post("/v1/session", json={"token": token})
        assert "Secure" in answer.headers["set-cookie"].split("; ")
        assert server.get("/v1/status")["scope"] == "read"


def test_what_cannot_be_served_is_named(tmp_path: Path, model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path / "none"), "--port", "0"]) == 1
    assert "none" in capfd.readouterr().err.splitlines()[-1]
    assert main(["serve", str(model), "--window", "5"]) == 2
    assert "window: got 5, expected a number from 0 to 1" in capfd.readouterr().err


def test_tokens_are_made_by_a_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tokens"
    assert main(["token", str(path), "write", "plant-7"]) == 0
    done = capfd.readouterr()
    assert done.out.startswith("sc-")
    assert done.out.strip() not in path.read_text()
    assert "the only time" in done.err
    assert main(["token", str(path), "all", "x"]) == 2


def test_addresses_that_are_this_machines_alone() -> None:
    local = {"127.0.0.1": True, "127.9.9.9": True, "::1": True, "[::1]": True, "localhost": True}
    for host, expected in {**local, "0.0.0.0": False, "::": False, "10.0.0.1": False, "name": False}.items():
        assert Options(host=host).local is expected
    with pytest.raises(SettingError, match="port: got 65536"):
        Options(port=65_536)


def served(model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> list[str]:
    """What a server says until so many lines have come; it ends then."""
    lines: list[str] = []

    async def live(service: Any) -> None:
        async with service:
            while len(lines) < count:
                await asyncio.sleep(0.01)

    monkeypatch.setattr(process, "_serve", lambda app, service, port: asyncio.run(live(service)))
    process.run(str(model), str(folder), Options(port=0), lines.append)
    return lines


def test_what_a_server_is_made_of_is_not_looked_through_for_garbage(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gc.unfreeze()
    served(model, tmp_path / "state", monkeypatch, 2)
    assert gc.get_freeze_count() > 10_000
    gc.unfreeze()


def test_a_server_without_the_native_kernel_says_so(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATECAST_KERNEL", "off")
    lines = served(model, tmp_path / "state", monkeypatch, 3)
    assert "recurrent layers run in NumPy or JAX: STATECAST_KERNEL=off" in lines
    gc.unfreeze()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LIBRARIES", ("starlette", "no_such_library"))
    with pytest.raises(MissingDependency, match=r"no-such-library.*pip install 'statecast\[server\]'"):
        process.require_libraries()


def test_a_store_is_beside_its_model(tmp_path: Path, model: Path) -> None:
    (tmp_path / "v1.5").mkdir()
    assert process.default_state(model) == tmp_path / "loads-state"
    assert process.default_state(f"{tmp_path}/v1.5{os.sep}") == tmp_path / "v1.5-state"
