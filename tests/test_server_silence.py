"""Series that fall silent: the same alarms as a look at all of them would give, at the cost of those that moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from statecast.data.calendar import Frequency
from statecast.server.engine.alarms import Silence
from statecast.server.states.batch import Batch
from statecast.server.states.directory import Directory
from statecast.server.states.ledger import Ledger

STEPS = 3


class Records:
    """A directory and a ledger that rows go into as a stepper puts them there."""

    def __init__(self, series: int) -> None:
        self.directory, self.ledger, self.seq = Directory(), Ledger(1), 0
        self.directory.allocate([f"s{n}" for n in range(series)])
        self.ledger.reserve(series)

    def batch(self, numbers: np.ndarray, times: np.ndarray) -> Batch:
        records = self.ledger.records
        records["count"][numbers] += 1
        records["time"][numbers], records["silent"][numbers] = times, 0
        batch = Batch(self.seq + 1, 0.0, numbers.astype(np.int32), times, np.ones((len(numbers), 1)))
        self.seq = batch.last
        return batch


class CountedSteps:
    """Steps of whole numbers, and between how many times they were asked for."""

    def __init__(self) -> None:
        self.frequency, self.count = Frequency.parse("1"), 0

    def steps_between(self, first: Any, second: Any) -> Any:
        self.count += np.size(first)
        return self.frequency.steps_between(first, second)


@pytest.mark.parametrize("seed", range(4))
def test_the_alarms_are_those_of_a_look_at_all_series(seed: int) -> None:
    rng, records, latest = np.random.default_rng(seed), Records(50), -1
    silence, frequency = Silence(Frequency.parse("1"), STEPS), Frequency.parse("1")
    for hour in range(80):
        numbers = np.flatnonzero(rng.random(50) < 0.3)
        if hour == 40:
            silence.begin_anew()
        if not len(numbers):
            continue
        times = hour - rng.integers(0, 2, len(numbers))
        times = np.maximum(
            times,
            np.where(records.ledger.records["count"][numbers] > 0, records.ledger.records["time"][numbers] + 1, 0),
        )
        batch = records.batch(numbers, times)
        entries = records.ledger.records[:50]
        over = frequency.steps_between(entries["time"], max(latest, int(times.max()))) > STEPS
        expected = np.flatnonzero(over & (entries["count"] > 0) & (entries["silent"] == 0))
        if times.max() <= latest:
            expected = expected[:0]
        latest = max(latest, int(times.max()))
        alarms = silence.heard(batch, records.directory, records.ledger)
        assert alarms["number"].tolist() == expected.tolist()


def test_series_that_have_not_moved_cost_nothing_before_their_time_has_come() -> None:
    records, counted = Records(1000), CountedSteps()
    silence: Any = Silence(counted, 100)  # type: ignore[arg-type]  # as far as it is used
    silence.heard(records.batch(np.arange(1000), np.zeros(1000, np.int64)), records.directory, records.ledger)
    before = counted.count
    for hour in range(1, 100):
        silence.heard(records.batch(np.arange(5), np.full(5, hour)), records.directory, records.ledger)
    assert counted.count - before < 10 * 99  # a look at all would be 99,000
    for hour in (100, 101):
        alarms = silence.heard(records.batch(np.arange(5), np.full(5, hour)), records.directory, records.ledger)
    assert alarms["number"].tolist() == list(range(5, 1000))
