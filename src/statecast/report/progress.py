"""How a fit goes on, for people who wait: a bar on a terminal, and elsewhere one plain line every few seconds.

A `Progress` is what `fit` takes as `watch`: it is told of each `train.loop.Report`. Everything goes to standard error
or the stream that it is given, so that results can be piped; what it shows changes nothing of the fit.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from statecast.forecast.verdict import number

if TYPE_CHECKING:
    from statecast.train.loop import Report

LINE_SECONDS = 5.0  # between two plain lines


class Progress:
    """Shows a fit while it runs; a context manager that can be called with each report.

    Args:
        stream: where to; standard error where None.
        seconds: between two plain lines.
        clock: tells the time in seconds.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        seconds: float = LINE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream = sys.stderr if stream is None else stream
        self._seconds, self._clock = seconds, clock
        self._said, self._begin = clock(), 0
        self._last: Report | None = None
        self._told: Report | None = None
        self._bar, self._task = _bar(self.stream)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description="done" if error is None else "stopped")
            self._bar.stop()
        elif self._last is not None and self._last is not self._told:
            self._line(self._last)

    def __call__(self, report: Report) -> None:
        """Show where the fit stands."""
        self._last = report
        if self._bar is not None:
            what = "training" if report.step < report.steps else "scoring"
            self._bar.update(
                self._task, description=what, total=report.steps, completed=report.step, told=_told(report)
            )
        elif self._clock() - self._said >= self._seconds:
            self._line(report)

    def done(self) -> None:
        """Results are being written; the bar is full then, also where training stopped early."""
        if self._bar is not None and self._last is not None:
            self._bar.update(self._task, description="writing", total=self._last.step, completed=self._last.step)

    def _line(self, report: Report) -> None:
        self.stream.write(f"step {report.step:,} of {report.steps:,}  {_told(report)}\n")
        self.stream.flush()
        self._said, self._told = self._clock(), report


def _told(report: Report) -> str:
    parts = [f"loss {number(report.loss)}"]
    if report.val_loss is not None and not math.isnan(report.val_loss):
        parts.append(f"validation {number(report.val_loss)}")
    if report.rate:  # not known before the first call, which compiles
        rate = f"{report.rate:,.0f}" if report.rate >= 10 else f"{report.rate:.2g}"
        parts.append(f"{rate} steps/s")
        parts.append(f"{duration((report.steps - report.step) / report.rate)} left")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """`0:42`, `3:05`, `2:10:00`."""
    whole = round(max(seconds, 0))
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _bar(stream: TextIO) -> tuple[Any, Any]:
    """A bar of rich where the stream is a terminal and rich is installed; else none."""
    if not stream.isatty():
        return None, None
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar
    except ImportError:
        return None, None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}", markup=False),
    )
    bar = Bar(*columns, console=Console(file=stream), refresh_per_second=4, expand=True)
    return bar, bar.add_task("preparing", total=None, told="")
