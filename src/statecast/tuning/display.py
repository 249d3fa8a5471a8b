"""The progress of tuning, for people who wait: a bar on a terminal, and elsewhere a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from statecast.report.progress import LINE_SECONDS, bar, duration
from statecast.tuning.progress import FITTING, TuningProgress
from statecast.tuning.verdict import AUTOMATIC, share_text


class TuningDisplay:
    """Shows a study while it runs; a context manager that is called with each `TuningProgress`.

    Args:
        stream: where to write; standard error if None.
        seconds: the time between two plain lines.
        clock: returns the time in seconds.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        seconds: float = LINE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream = sys.stderr if stream is None else stream
        self._seconds, self._clock, self._line_time = seconds, clock, clock()
        self._bar, self._task = bar(self.stream, "preparing")

    def __enter__(self) -> TuningDisplay:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: TuningProgress) -> None:
        """Show which trial runs, the best so far, and how long is left."""
        what, figures = _what(progress), _figures(progress)
        if self._bar is not None:
            fields: dict[str, Any] = {"total": progress.trials, "completed": progress.ended}
            self._bar.update(self._task, description=what, figures=figures, **fields)
        elif self._clock() - self._line_time >= self._seconds:
            self.stream.write(f"{what}  {figures}\n")
            self.stream.flush()
            self._line_time = self._clock()


def _what(progress: TuningProgress) -> str:
    """What runs: a trial in a window, or a fit at the end."""
    name = f"trial {progress.trial}" if progress.trial else AUTOMATIC
    report = progress.report
    step = f" step {report.step:,} of {report.steps:,}" if report and report.steps else ""
    if progress.phase == FITTING:
        return f"fitting {name}{step}"
    many = f" of {progress.trials - 1}" if progress.trials and progress.trial else ""
    window = f", window {progress.window} of {progress.windows}" if progress.window else ""
    return f"{name}{many}{window}{step}"


def _figures(progress: TuningProgress) -> str:
    parts = []
    if progress.best:
        parts.append(f"best: trial {progress.best}, {share_text(progress.gain)} less error than {AUTOMATIC}")
    elif progress.ended:
        parts.append(f"best: {AUTOMATIC}")
    if progress.seconds_left is not None and progress.seconds_left < float("inf"):
        parts.append(f"{duration(progress.seconds_left)} left")
    return "  ".join(parts)
