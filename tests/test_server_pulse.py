"""What the page shows of the last minutes."""

from __future__ import annotations

import numpy as np
import pytest

from statecast.server.http.pulse import MOST, RECENT, SAMPLES, STEP, Pulse


class Clock:
    """A clock and a count of rows that are set by hand."""

    def __init__(self) -> None:
        self.seconds, self.rows = 100.0, 7
        self.pulse = Pulse(lambda: self.rows, lambda: self.seconds)

    def beat(self, rows: int, seconds: float = STEP) -> None:
        self.rows += rows
        self.seconds += seconds
        self.pulse.beat()


def test_nothing_is_known_at_first() -> None:
    clock = Clock()
    assert clock.pulse.now() == {"rate": 0.0, "latency": {"p50": None, "p99": None}}
    assert clock.pulse.trace() == {"step": STEP, "rate": [], "p50": [], "p99": []}


def test_rates_are_those_of_the_time_that_passed() -> None:
    clock = Clock()
    clock.beat(100)
    clock.beat(400, 4.0)
    clock.beat(0)
    assert clock.pulse.trace()["rate"] == [50.0, 100.0, 0.0]
    assert clock.pulse.now()["rate"] == 500 / 8


def test_now_is_the_last_samples_and_the_trace_the_last_minutes() -> None:
    clock = Clock()
    for rows in range(SAMPLES + 10):
        clock.beat(2 * rows)
    assert clock.pulse.trace()["rate"] == [float(rows) for rows in range(10, SAMPLES + 10)]
    assert clock.pulse.now()["rate"] == np.mean(range(SAMPLES + 10 - RECENT, SAMPLES + 10))


def test_latencies_are_quantiles_of_their_span() -> None:
    clock = Clock()
    for milliseconds in range(101):
        clock.pulse.acknowledge(milliseconds / 1000)
    assert clock.pulse.now()["latency"] == {"p50": 0.05, "p99": 0.099}
    clock.beat(1)
    clock.beat(1)
    assert clock.pulse.trace()["p99"] == [0.099, None]


def test_many_acknowledgements_keep_their_quantiles() -> None:
    clock, seconds = Clock(), np.random.default_rng(0).permutation(20 * MOST) / 1000
    for each in seconds.tolist():
        clock.pulse.acknowledge(each)
    latency = clock.pulse.now()["latency"]
    assert latency["p50"] == pytest.approx(np.quantile(seconds, 0.5), rel=0.06)
    assert latency["p99"] == pytest.approx(np.quantile(seconds, 0.99), rel=0.02)


def test_a_beat_in_no_time_says_nothing() -> None:
    clock = Clock()
    clock.beat(5, 0.0)
    assert clock.pulse.trace()["rate"] == []
    clock.beat(5)
    assert clock.pulse.trace()["rate"] == [5.0]
