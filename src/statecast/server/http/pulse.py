"""How a server has done over the last minutes: rows a second, and how long acknowledgements took.

A sample every two seconds, 150 of them, so that whoever opens the page sees at once how the last five minutes went.
Times of acknowledgement are kept as they come, but no more of one span than `MOST`: beyond, each new one takes the
place of an old one by reservoir sampling (Vitter 1985), so that quantiles stay those of the whole span.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

STEP = 2.0  # seconds between two samples
SAMPLES = 150
RECENT = 5  # samples that make what is called now: ten seconds
MOST = 2000  # times of acknowledgement that are kept of one span


class Pulse:
    """The samples of one server.

    Args:
        accepted: gives the number of rows that were accepted so far.
        clock: gives seconds; does not run backwards.
    """

    def __init__(self, accepted: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._accepted, self._clock = accepted, clock
        self._count, self._moment = accepted(), clock()
        self._random = random.Random(0)
        self._span = _Span()
        self._spans: deque[_Span] = deque(maxlen=RECENT)
        self._rows: deque[tuple[int, float]] = deque(maxlen=RECENT)  # rows and seconds of each
        self._trace: dict[str, deque[float | None]] = {name: deque(maxlen=SAMPLES) for name in ("rate", "p50", "p99")}

    def acknowledge(self, seconds: float) -> None:
        """Note how long rows took from their arrival to their acknowledgement."""
        span = self._span
        span.count += 1
        if len(span.seconds) < MOST:
            span.seconds.append(seconds)
        elif (place := self._random.randrange(span.count)) < MOST:
            span.seconds[place] = seconds

    def beat(self) -> None:
        """End a sample, and begin the next."""
        count, moment = self._accepted(), self._clock()
        rows, seconds = count - self._count, moment - self._moment
        if seconds <= 0:
            return
        self._count, self._moment = count, moment
        self._rows.append((rows, seconds))
        self._spans.append(self._span)
        p50, p99 = _quantiles(self._span.seconds)
        self._span = _Span()
        for name, value in (("rate", rows / seconds), ("p50", p50), ("p99", p99)):
            self._trace[name].append(value)

    async def run(self) -> None:
        """Beat until it is cancelled. Asking the engine may wait for its turn, so that is done in a thread."""
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(STEP)
                await asyncio.to_thread(self.beat)

    def now(self) -> dict[str, Any]:
        """Rows a second, and seconds to acknowledge half of them and 99 % of them, over the last samples."""
        seconds = sum(length for _, length in self._rows)
        rate = sum(rows for rows, _ in self._rows) / seconds if seconds else 0.0
        p50, p99 = _quantiles([each for span in [*self._spans, self._span] for each in span.seconds])
        return {"rate": rate, "latency": {"p50": p50, "p99": p99}}

    def trace(self) -> dict[str, Any]:
        """All samples, oldest first: seconds between them, rows a second, seconds to acknowledge."""
        return {"step": STEP} | {name: list(column) for name, column in self._trace.items()}


class _Span:
    """Times of acknowledgement of one sample, some of them where they are many."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds: list[float] = []


def _quantiles(seconds: list[float]) -> tuple[float | None, float | None]:
    """The median and the 99th percentile; None of nothing."""
    if not seconds:
        return None, None
    ordered = sorted(seconds)
    return ordered[(len(ordered) - 1) // 2], ordered[-(-99 * (len(ordered) - 1) // 100)]
