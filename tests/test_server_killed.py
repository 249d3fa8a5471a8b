"""`statecast serve` as a process under load: each row counts once however often it is killed; its memory is flat."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import forecast_cases as cases
import httpx
import numpy as np
import pytest

import statecast as sc
from statecast.model import archive

SERIES, HOURS, KILLS = 7, 150, 6


def started(folder: Path, port: int, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "statecast", "serve", str(folder / "m.safetensors"), "--port", str(port)]
    words = ["--checkpoint", "0.2", "--window", "0", "--retention", "0"]
    return subprocess.Popen([*command, *words, *more], stderr=subprocess.DEVNULL)


@pytest.mark.heavy
def test_a_client_goes_on_whatever_happens_to_the_server(tmp_path: Path) -> None:
    model, rng = cases.model(), np.random.default_rng(0)
    archive.save(model, tmp_path / "m.safetensors")
    values = 6 + rng.standard_normal((HOURS, SERIES))
    names = [f"s{n}" for n in range(SERIES)]
    hours = np.datetime64("2024-01-02T00", "s") + np.arange(HOURS) * np.timedelta64(1, "h")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = started(tmp_path, port)
    try:
        with sc.Client(f"http://127.0.0.1:{port}", patience=60, batch=20) as client, client.outbox() as rows:

            def feed() -> None:
                for hour, row in zip(hours, values, strict=True):
                    for name, value in zip(names, row, strict=True):
                        rows.add(name, value, hour)
                    time.sleep(0.03)

            thread = threading.Thread(target=feed)
            thread.start()
            for _ in range(KILLS):
                time.sleep(rng.uniform(0.2, 1.0))
                process.kill()
                process.wait()
                process = started(tmp_path, port)
            thread.join()
            rows.flush()
            answer = client.forecast(names)
            counts = {item["id"]: item["count"] for item in client.series()}
    finally:
        process.kill()
        process.wait()
    stream = sc.Stream(model)
    for hour, row in zip(hours, values, strict=True):
        expected = stream.observe_many(names, row, hour)
    assert counts == dict.fromkeys(names, HOURS)
    cases.same_bits(answer.values, expected.values)
    cases.same_bits(answer.upper[80], expected.upper[80])


@pytest.mark.heavy
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_stays_what_it_was_under_load(tmp_path: Path) -> None:
    archive.save(cases.watching(cases.model()), tmp_path / "m.safetensors")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = started(tmp_path, port, "--history", "1", "--silence", "5")
    rng, names, sizes = np.random.default_rng(0), [f"s{n}" for n in range(500)], []
    hours = np.datetime64("2024-01-02T00", "s") + np.arange(4 * 200) * np.timedelta64(1, "h")
    try:
        with sc.Client(f"http://127.0.0.1:{port}", patience=60) as client:
            list(client.series())  # it is ready
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            for part in np.split(hours, 4):
                for hour in part:
                    load = (6 + rng.standard_normal(500)).round(3).tolist()
                    rows = {"site": names, "hour": str(hour).replace("T", " "), "load": load}
                    http.post("/v1/observations", params={"forecast": "none"}, json=rows).raise_for_status()
                status = Path(f"/proc/{process.pid}/status").read_text()
                sizes.append(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
    finally:
        process.kill()
        process.wait()
    # Of the first 100,000 rows all are remembered; what is kept of the 300,000 others would show.
    assert max(sizes[1:]) < sizes[0] + 20, sizes
