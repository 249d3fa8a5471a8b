"""What somebody who watches a replay sees: a line for each value, with a sketch of the last ones and the next ones."""

from __future__ import annotations

import math
import shutil
from collections import deque
from collections.abc import Sequence

import numpy as np

from statecast.cli import output
from statecast.forecast.observation import shown
from statecast.forecast.playback import Playback, PlayedRow
from statecast.forecast.scores.verdict import number

BLOCKS = "▁▂▃▄▅▆▇█"
MISSING = "·"
LEAST, MOST = 8, 24  # signs on each side of a sketch
NOW = "│"
BEYOND, AHEAD, QUIET = "yellow", "cyan", "dim"  # styles: a value outside of its interval, forecasts, what is aside


class Screen:
    """Lines for somebody who watches.

    Args:
        playback: what is going to be shown.
    """

    def __init__(self, playback: Playback) -> None:
        self._schema, panel = playback.stream.model.schema, playback.panel
        self._several = panel.targets > 1 or len(panel.ids) > 1
        names = self._schema.output_ids(panel.ids)
        self._names = max(len(name) if isinstance(name, str) else len(str(name)) for name in names)
        self._numbers = max(len(number(value)) for value in _extremes(panel.y))
        self._past: dict[tuple[str | int, str], deque[float]] = {}

    def show(self, row: PlayedRow) -> None:
        """One value."""
        past = self._past.setdefault((row.id, row.target), deque(maxlen=MOST))
        past.append(row.value)
        wide = self._numbers
        bounds = "" if math.isnan(row.lower) else f"{number(row.lower):>{wide}} to {number(row.upper):>{wide}}"
        head = f"{shown(row.time, self._schema)}  {self._name(row)}"
        value, expected = f"{number(row.value):>{wide}}", f"  {_expected(row):>{wide}}  {bounds:{2 * wide + 4}}  "
        room = (shutil.get_terminal_size().columns - len(head) - len(value) - len(expected) - 2) // 2
        signs = min(max(room, LEAST), MOST)
        before, after = sketch(list(past)[-signs:], binned(row.ahead, signs))
        beyond = row.value < row.lower or row.value > row.upper
        output.styled(
            (head, QUIET),
            (value, BEYOND if beyond else "bold"),
            (expected, QUIET),
            (f"{before:>{signs}}", ""),
            (NOW, QUIET),
            (after, AHEAD),
        )

    def _name(self, row: PlayedRow) -> str:
        if not self._several:
            return ""
        targets = self._schema.target
        name = self._schema.output_ids([row.id])[targets.index(row.target) if len(targets) > 1 else 0]
        return f"{name!s:{self._names}}  "


def _expected(row: PlayedRow) -> str:
    return "" if math.isnan(row.expected) else number(row.expected)


def _extremes(values: np.ndarray) -> list[float]:
    known = values[np.isfinite(values)]
    return [float(known.min()), float(known.max()), float(np.median(known))] if known.size else [0.0]


def sketch(past: Sequence[float], ahead: Sequence[float]) -> tuple[str, str]:
    """Values as blocks of one scale, past and ahead."""
    known = [value for value in (*past, *ahead) if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    width = (high - low) or 1.0
    last = len(BLOCKS) - 1

    def block(value: float) -> str:
        return BLOCKS[round((value - low) / width * last)] if math.isfinite(value) else MISSING

    return "".join(map(block, past)), "".join(map(block, ahead))


def binned(values: np.ndarray, most: int) -> list[float]:
    """At most so many values: means of neighbours where there are more."""
    parts = np.array_split(values, min(most, len(values)))
    return [float(part.mean()) for part in parts]
