"""`statecast send`: a table's rows to a server, in the order of time.

The server knows a row by its series and time, so the same table sent again changes nothing, and what was interrupted
is finished by typing the same again. Where rows are counted each request has a key that follows from all rows up to it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from statecast.cli import output
from statecast.data.tabular import table as tables
from statecast.errors import SettingError
from statecast.report import progress
from statecast.server.client.client import BATCH, Client
from statecast.server.client.remote import RowResult
from statecast.server.client.replay import Replay

TOKEN = "STATECAST_TOKEN"  # of the environment, for those who do not want it among the processes
FIRST_PATIENCE, PATIENCE = 5.0, 900.0  # seconds for the first answer, and for each once the server has been there
LINE_SECONDS = 5.0  # between two lines of progress, where there is no terminal
SHOWN = 5  # rejected rows that are named


def run(url: str, source: str, speed: float | None, token: str | None, as_json: bool) -> int:
    """Send a table; see the command.

    Returns:
        0; 1 if the server refused a row that it does not hold.
    """
    if speed is not None and not speed > 0:
        raise SettingError(f"--speed {speed:g}: expected a number above 0, such as 60 for an hour in a minute")
    with _remarks(), Client(url, token or os.environ.get(TOKEN), patience=FIRST_PATIENCE) as client:
        replay = Replay.of(tables.read(source), client.model)
        start, tally = time.monotonic(), Tally(len(replay))
        with _display(len(replay)) as display:
            for results in _answers(client, replay, speed):
                tally.add(results)
                display(tally.rows)
    tally.report(time.monotonic() - start, replay.withheld, as_json)
    return 1 if tally.refused else 0


def _answers(client: Client, replay: Replay, speed: float | None) -> Iterator[list[RowResult]]:
    """What came of the rows, request by request."""
    position, start, digest = 0, time.monotonic(), b""
    while position < len(replay):
        end = min(position + BATCH, len(replay))
        if speed is not None:
            time.sleep(max(replay.seconds(position) / speed - (time.monotonic() - start), 0))
            end = _due(replay, position, end, (time.monotonic() - start) * speed)
        records, key = replay.records(position, end), None
        if client.model.counted:
            content = json.dumps(records, sort_keys=True).encode()
            digest = hashlib.blake2b(digest + content, digest_size=16).digest()
            key = digest.hex()
        yield client.send(records, key=key, patience=PATIENCE)
        position = end


def _due(replay: Replay, begin: int, end: int, seconds: float) -> int:
    """The first of some rows that is not due yet; one is."""
    due = begin + 1
    while due < end and replay.seconds(due) <= seconds:
        due += 1
    return due


class Tally:
    """What came of the rows so far.

    Args:
        total: how many rows there are to send.
    """

    def __init__(self, total: int) -> None:
        self.total, self.rows, self.counts = total, 0, Counter[str]()
        self.errors: list[str] = []

    @property
    def refused(self) -> int:
        """Rows that the server does not hold, and did not take."""
        return self.counts["rejected"]

    def add(self, results: Sequence[RowResult]) -> None:
        """Count what came of some rows; a row before its series' last one was passed over, as one that is there."""
        for number, result in enumerate(results, self.rows):
            late = result.reason == "late"
            self.counts["late" if late else result.status] += 1
            if result.error is not None and not late and len(self.errors) < SHOWN:
                self.errors.append(f"row {number + 1:,} in the order of time: {result.error}")
        self.rows += len(results)

    def report(self, seconds: float, withheld: int, as_json: bool) -> None:
        """Say it: rejected rows on standard error, the counts as the result."""
        for error in self.errors:
            output.error(error)
        if self.refused > len(self.errors):
            more = self.refused - len(self.errors)
            output.note(f"{more:,} more {'row was' if more == 1 else 'rows were'} rejected")
        names = ("accepted", "duplicate", "late", "rejected")
        counts = {name: self.counts[name] for name in names} | {"withheld": withheld}
        if as_json:
            output.document({"rows": self.rows, **counts, "seconds": seconds})
            return
        rate = f"{self.rows / max(seconds, 1e-9):,.0f} a second"
        output.say(f"{self.rows:,} rows sent in {progress.duration(seconds)}, {rate}: {counts['accepted']:,} taken")
        remarks = {
            "duplicate": ("was there already", "were there already"),
            "late": (
                "came before the last row of its series, and was passed over",
                "came before the last row of their series, and were passed over",
            ),
            "rejected": ("was rejected", "were rejected"),
            "withheld": (
                "at the end of its series was not sent: it tells what is known ahead",
                "at the ends of the series were not sent: they tell what is known ahead",
            ),
        }
        for name, (one, several) in remarks.items():
            if counts[name]:
                output.say(f"{counts[name]:,} {one if counts[name] == 1 else several}")


@contextmanager
def _remarks() -> Iterator[None]:
    """Say when the server is waited for."""
    log, handler = logging.getLogger("statecast.client"), logging.Handler(logging.INFO)
    handler.emit = lambda record: output.note(record.getMessage())  # type: ignore[method-assign]
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


@contextmanager
def _display(total: int) -> Iterator[Any]:
    """A function that shows how many rows are through: a bar on a terminal, and elsewhere a line now and then."""
    bar, task = progress.bar(sys.stderr, "rows")
    if bar is None:
        yield _Lines(total)
        return
    with bar:
        yield lambda rows: bar.update(task, total=total, completed=rows)


class _Lines:
    """Lines of progress, one every few seconds."""

    def __init__(self, total: int) -> None:
        self._total, self._time = total, time.monotonic()

    def __call__(self, rows: int) -> None:
        if time.monotonic() - self._time >= LINE_SECONDS:
            self._time = time.monotonic()
            output.note(f"{rows:,} of {self._total:,} rows")
