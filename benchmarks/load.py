"""A load on a server, in a process of its own, and how long every answer took.

There are so many connections, each of which sends its next request when the last one is answered. Requests are put
together from pieces that were encoded beforehand, over bare sockets, so that what is measured is the server and not
this. It prints one JSON document: rows, seconds, and the quantiles of the answers' times.

    python benchmarks/load.py --port 8000 --connections 8 --rows 500 --series 10000 --seconds 10
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time

import numpy as np

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2030-01-01T00", "s")
VARIANTS = 97  # lists of values that take turns


class Rows:
    """Requests of rows, one after another: every series once, then the next hour.

    Args:
        series: how many.
        rows: of a request; it divides `series`.
        first: the hour to begin with, counted from the start.
        lone: a request is one row object, not columns.
    """

    def __init__(self, series: int, rows: int, first: int, lone: bool) -> None:
        rng = np.random.default_rng(0)
        self.rows, self.hour, self._part, self._lone = rows, first, 0, lone
        names = [f"series-{n}" for n in range(series)]
        self._ids = [json.dumps(names[begin : begin + rows]).encode() for begin in range(0, series, rows)]
        self._values = [json.dumps(rng.normal(10, 1, rows).round(3).tolist()).encode() for _ in range(VARIANTS)]
        self._count, self._stamp, self._times = 0, b"", b""
        self._turn()

    def _turn(self) -> None:
        """Go on to the next hour."""
        self._stamp = str(START + self.hour * HOUR).replace("T", " ").encode()
        self._times = json.dumps([self._stamp.decode()] * self.rows).encode()

    def next(self) -> bytes:
        """The body of the next request."""
        if self._part == len(self._ids):
            self._part, self.hour = 0, self.hour + 1
            self._turn()
        part, values = self._part, self._values[self._count % VARIANTS]
        self._count += 1
        self._part += 1
        if self._lone:
            return b'{"unique_id":%s,"ds":"%s","y":%s}' % (self._ids[part][1:-1], self._stamp, values[1:-1])
        return b'{"unique_id":%s,"ds":%s,"y":%s}' % (self._ids[part], self._times, values)


class Connection(asyncio.Protocol):
    """Sends a request, waits for the answer, and sends the next."""

    def __init__(self, load: Load) -> None:
        self._load, self._buffer, self._begin = load, b"", 0.0
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        body = self._load.next()
        if body is None or self.transport is None:
            self._load.idle(self)
            return
        self._begin = time.perf_counter()
        self.transport.write(self._load.head % len(body) + body)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.index(b"content-length:") + 15
        size = int(head[at:].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + size:
            return
        self._load.answered(time.perf_counter() - self._begin, head[9:12], self._buffer[end + 4 :])
        self._buffer = b""
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(self, error)


class Load:
    """What all connections share.

    Args:
        rows: makes the bodies.
        seconds: after which no more requests are sent.
        total: rows after which none are; None where time alone counts.
        path: where they go.
    """

    def __init__(self, rows: Rows, seconds: float, total: int | None, path: str) -> None:
        self._rows, self._end, self._total = rows, time.perf_counter() + seconds, total
        kind = "Content-Type: application/json"
        self.head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{kind}\r\nContent-Length: %d\r\n\r\n".encode()
        self.times: list[float] = []
        self.sent = 0
        self.failures: list[str] = []
        self._open: set[Connection] = set()
        self.done = asyncio.Event()

    def next(self) -> bytes | None:
        over = time.perf_counter() > self._end or (self._total is not None and self.sent >= self._total)
        if over or self.failures:
            return None
        self.sent += self._rows.rows
        return self._rows.next()

    def answered(self, seconds: float, status: bytes, body: bytes) -> None:
        self.times.append(seconds)
        if status != b"200" or b'"rejected"' in body:
            self.failures.append(f"{status.decode()}: {body[:300].decode()}")

    def idle(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._open:
            self.done.set()

    def lost(self, connection: Connection, error: Exception | None) -> None:
        if connection in self._open:
            self.failures.append(f"a connection was lost: {error}")
            self.done.set()

    def add(self, connection: Connection) -> Connection:
        self._open.add(connection)
        return connection


async def run(options: argparse.Namespace) -> dict[str, float]:
    rows = Rows(options.series, options.rows, options.first, options.rows == 1)
    load = Load(rows, options.seconds, options.total, f"/v1/observations?forecast={options.forecast}")
    loop, begin = asyncio.get_running_loop(), time.perf_counter()
    for _ in range(options.connections):
        await loop.create_connection(lambda: load.add(Connection(load)), options.host, options.port)
    await load.done.wait()
    took = time.perf_counter() - begin
    if load.failures:
        sys.exit("\n".join(load.failures[:5]))
    times = np.array(load.times) * 1000
    quantiles = dict(zip(("p50_ms", "p99_ms", "max_ms"), np.quantile(times, [0.5, 0.99, 1]).tolist(), strict=True))
    count = len(times) * options.rows
    numbers = {"rows": count, "requests": len(times), "seconds": took, "rows_per_s": count / took, **quantiles}
    return numbers | {"hour": rows.hour + 1}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rows", type=int, default=500, help="rows of a request")
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--total", type=int, help="rows after which to stop, whatever the time")
    parser.add_argument("--first", type=int, default=0, help="the hour to begin with")
    parser.add_argument("--forecast", default="none", choices=("none", "point", "full"))
    return parser.parse_args()


def fast_loop() -> None:
    """Let asyncio run on uvloop, where it is installed."""
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


if __name__ == "__main__":
    fast_loop()
    print(json.dumps(asyncio.run(run(arguments()))))
