"""`statecast serve` as a process that is killed again and again, under a client that goes on: each row counts once."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import forecast_cases as cases
import numpy as np
import pytest

import statecast as sc
from statecast.model import archive

SERIES, HOURS, KILLS = 7, 150, 6


def started(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "statecast", "serve", str(folder / "m.safetensors"), "--port", str(port)]
    words = ["--checkpoint", "0.2", "--window", "0", "--retention", "0"]
    return subprocess.Popen([*command, *words], stderr=subprocess.DEVNULL)


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
