"""`statecast replay`: the rows of a table through a model's stream, a line each, as if they came in now.

On a terminal the rows scroll by at an even pace. Elsewhere nobody watches: there is no pause, and only alarms and the
figures at the end are printed.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from statecast.cli import output
from statecast.cli.options import require_count
from statecast.cli.screen import Screen
from statecast.data import checks
from statecast.data import values as data
from statecast.data.grid.merging import Merging
from statecast.data.schema import Schema
from statecast.data.tabular import table
from statecast.errors import SettingError
from statecast.forecast.observation import shown
from statecast.forecast.playback import Playback, PlayedRow
from statecast.forecast.scores.verdict import number
from statecast.forecast.watch import Notice
from statecast.model import archive

SECONDS, LONGEST = 60.0, 86_400.0  # that a replay takes on a terminal, and that it may take
INTERRUPTED = 130
CHANGES = {"higher": "is higher", "lower": "is lower", "louder": "varies more", "calmer": "varies less"}


@dataclass(frozen=True)
class ReplayRequest:
    """What is to be played, as typed.

    Attributes:
        begin: time of the first row.
        rows: how many of each series.
        series: the only one.
        seconds: that it takes; None for `SECONDS` on a terminal, and elsewhere none.
    """

    begin: str | None = None
    rows: int | None = None
    series: str | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        require_count("--rows", self.rows)
        if self.seconds is not None and not 0 <= self.seconds <= LONGEST:
            raise SettingError(
                f"--seconds {self.seconds:g}: expected a number from 0 to {LONGEST:,.0f}, which is a day"
            )


def run(path: str, source: str, request: ReplayRequest, as_json: bool) -> int:
    """Play a table; see the command.

    Returns:
        0; 130 if Ctrl-C ended it, after the figures of the rows so far.
    """
    model = archive.load(path)
    panel = checks.panel_like(table.read(source), model.schema, merging=Merging.of(model.config))
    begin = None if request.begin is None else data.time(request.begin, model.schema)
    playback = Playback.of(model, panel, request.rows, begin, request.series)
    if playback.learned:
        output.note(
            f"the network has learned from {playback.learned:,} of these {playback.panel.rows:,} rows, so its "
            "forecasts of them flatter it: replay later rows, or the test rows of a fit with --set refit=false"
        )
    watched = sys.stdout.isatty() and not as_json
    seconds = request.seconds if request.seconds is not None else SECONDS if watched else 0.0
    tally, code = ReplayTally(), 0
    try:
        _play(playback, tally, Screen(playback) if watched else None, seconds, as_json)
    except KeyboardInterrupt:
        code = INTERRUPTED
    if as_json:
        output.document(tally.document(model.config.levels))
    else:
        tally.report(model.config.levels)
    return code


def _play(playback: Playback, tally: ReplayTally, screen: Screen | None, seconds: float, quiet: bool) -> None:
    """Row after row, at an even pace."""
    count, start = playback.panel.rows * playback.panel.targets, time.monotonic()
    for place, row in enumerate(playback, 1):
        tally.add(row)
        if screen is not None:
            screen.show(row)
        for notice in () if quiet else row.notices:
            output.styled((_sentence(playback.stream.model.schema, row, notice), "bold red"))
        time.sleep(max(start + seconds * place / count - time.monotonic(), 0))


def _sentence(schema: Schema, row: PlayedRow, notice: Notice) -> str:
    """What an alarm says."""
    when = shown(row.time, schema)
    names = [str(row.id)] if schema.id else []
    names += [row.target] if len(schema.target) > 1 else []
    name = f"{', '.join(names)}: " if names else ""
    if notice.kind == "drift":
        return f"{when}  drift: {name}since {shown(notice.since, schema)} it {CHANGES[notice.change]} than before"
    expected = "" if math.isnan(row.expected) else f", {number(row.expected)} was expected"
    return f"{when}  unusual: {name}{number(row.value)}{expected}; score {notice.score:+.1f}"


@dataclass
class ReplayTally:
    """What came of the values so far.

    Attributes:
        values: that came; missing ones do not count.
        judged: of these that had been forecast by the row before.
        inside: of these that lay in the interval.
        error: the sum of the absolute errors of these forecasts.
        change: the sum of the absolute differences to the value before, the error of a forecast that nothing changes.
        alarms: by kind.
    """

    values: int = 0
    judged: int = 0
    inside: int = 0
    error: float = 0.0
    change: float = 0.0
    alarms: dict[str, int] = field(default_factory=lambda: {"unusual": 0, "drift": 0})
    last: dict[tuple[str | int, str], float] = field(default_factory=dict)

    def add(self, row: PlayedRow) -> None:
        """Count one value."""
        for notice in row.notices:
            self.alarms[notice.kind] += 1
        if math.isnan(row.value):
            return
        before = self.last.get((row.id, row.target), math.nan)
        self.last[row.id, row.target] = row.value
        self.values += 1
        if not math.isnan(row.expected + before):
            self.judged += 1
            self.inside += row.lower <= row.value <= row.upper
            self.error += abs(row.value - row.expected)
            self.change += abs(row.value - before)

    def document(self, levels: tuple[float, ...]) -> dict[str, Any]:
        """The figures as JSON has them."""
        of = max(self.judged, 1)
        inside = {"level": levels[0], "inside": self.inside / of} if levels and self.judged else {}
        mae = {"mae": self.error / of, "mae_persistence": self.change / of} if self.judged else {}
        return {"values": self.values, "judged": self.judged, **mae, **inside, **self.alarms}

    def report(self, levels: tuple[float, ...]) -> None:
        """Say them."""
        unusual, drift = self.alarms["unusual"], self.alarms["drift"]
        counts = f"{unusual:,} unusual, {drift:,} {'drift' if drift == 1 else 'drifts'}"
        output.prose(f"{self.values:,} {'value' if self.values == 1 else 'values'} arrived: {counts}.")
        if not self.judged:
            return
        error, change = number(self.error / self.judged), number(self.change / self.judged)
        output.prose(f"One step ahead the mean absolute error was {error}; repeating the last value gives {change}.")
        if levels:
            share = f"{self.inside / self.judged:.0%}".replace("%", " %")
            output.prose(f"The {levels[0]:g} % interval contained {share} of the values.")
