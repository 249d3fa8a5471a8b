"""The progress of a fit, for people who wait: a bar on a terminal, and elsewhere a plain line every few seconds.

A `ProgressDisplay` can be passed to `fit` as `watch`, which calls it with each `train.progress.Progress`. Everything
goes to standard error, or to the stream that it is given, so that results can be piped. It never affects the fit.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from statecast.forecast.scores.verdict import number

if TYPE_CHECKING:
    from statecast.train.progress import Progress

LINE_SECONDS = 5.0  # between two plain lines


class ProgressDisplay:
    """Shows a fit while it runs; a context manager that is called with each report.

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
        self._seconds, self._clock = seconds, clock
        self._line_time = clock()
        self._report: Progress | None = None
        self._line_report: Progress | None = None
        self._phase = ""
        self._bar, self._task = bar(self.stream, "preparing")

    def __enter__(self) -> ProgressDisplay:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description="done" if error is None else "stopped")
            self._bar.stop()
        elif self._report is not None and self._report is not self._line_report:
            self._line(self._report)

    def __call__(self, report: Progress) -> None:
        """Show the state of the fit: its phase, and the steps of a phase that takes steps."""
        if report.steps:
            self._report = report
        if self._bar is not None:
            fields: dict[str, Any] = {"description": report.phase, "refresh": report.phase != self._phase}
            if report.steps:
                fields |= {"total": report.steps, "completed": report.step, "figures": _figures(report)}
            self._bar.update(self._task, **fields)
            self._phase = report.phase
        elif self._clock() - self._line_time >= self._seconds:
            self._line(report)

    def done(self) -> None:
        """Say that results are being written; the bar is then full, even if training stopped early."""
        if self._bar is not None and self._report is not None:
            self._bar.update(self._task, description="writing", total=self._report.step, completed=self._report.step)

    def _line(self, report: Progress) -> None:
        if report.steps:
            what = "" if report.phase == "training" else f"{report.phase}: "
            text = f"{what}step {report.step:,} of {report.steps:,}  {_figures(report)}"
        else:
            text = f"{report.phase} …"
        self.stream.write(f"{text}\n")
        self.stream.flush()
        self._line_time, self._line_report = self._clock(), report


def _figures(report: Progress) -> str:
    parts = [f"loss {number(report.loss)}"]
    if report.val_loss is not None and not math.isnan(report.val_loss):
        parts.append(f"validation {number(report.val_loss)}")
    if report.rate:  # unknown until the first call, which compiles, has returned
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


def bar(stream: TextIO, what: str) -> tuple[Any, Any]:
    """A bar of rich and its task, if the stream is a terminal and rich is installed; else None and None."""
    if not stream.isatty():
        return None, None
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    except ImportError:
        return None, None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
    )
    drawn = Progress(*columns, console=Console(file=stream), refresh_per_second=4, expand=True)
    return drawn, drawn.add_task(what, total=None, figures="")
