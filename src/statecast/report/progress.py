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
from statecast.report.remaining import Remaining

if TYPE_CHECKING:
    from statecast.train.progress import Progress

LINE_SECONDS = 5.0  # between two plain lines


class ProgressDisplay:
    """Shows a fit while it runs; a context manager that is called with each report.

    Args:
        stream: where to write; standard error if None.
        seconds: the time between two plain lines.
        clock: returns the time in seconds.
        writing: seconds that the caller needs after the fit, for pictures and files.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        seconds: float = LINE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        writing: float = 0.0,
    ) -> None:
        self.stream = sys.stderr if stream is None else stream
        self._seconds, self._clock = seconds, clock
        self._line_time = clock()
        self._remaining = Remaining(clock, writing)
        self._report: Progress | None = None
        self._line_report: Progress | None = None
        self._phase = ""
        self._bar, self._task = bar(self.stream, "preparing", self._left)

    def __enter__(self) -> ProgressDisplay:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description="done" if error is None else "stopped")
            self._bar.stop()

    def __call__(self, report: Progress) -> None:
        """Show the state of the fit: its phase, the steps of a phase that takes steps, and the time left in all."""
        self._remaining.take(report)
        if report.steps:
            self._report = report
        if self._bar is not None:
            fields: dict[str, Any] = {"description": report.phase, "refresh": report.phase != self._phase}
            if report.steps:
                fields |= {"total": report.steps, "completed": report.step, "figures": _figures(report)}
            self._bar.update(self._task, **fields)
        elif self._begins(report) or self._clock() - self._line_time >= self._seconds:
            self._line(report)
        self._phase = report.phase

    def done(self) -> None:
        """Say that results are being written; the bar is then full, even if training stopped early."""
        if self._bar is not None and self._report is not None:
            self._bar.update(self._task, description="writing", total=self._report.step, completed=self._report.step)

    def _begins(self, report: Progress) -> bool:
        """Whether a phase begins that takes no steps and may be silent for long; the last step is shown before."""
        if report.steps or report.phase == self._phase or self._report is None:
            return False
        if self._report is not self._line_report and self._line_report is not None and self._line_report.steps:
            self._line(self._report)
        return True

    def _line(self, report: Progress) -> None:
        if report.steps:
            text = f"{report.phase}: step {report.step:,} of {report.steps:,}  {_figures(report)}"
        else:
            text = f"{report.phase} …"
        self.stream.write(f"{text}  {self._left()}".rstrip() + "\n")
        self.stream.flush()
        self._line_time, self._line_report = self._clock(), report

    def _left(self) -> str:
        """The time left in all, in words; empty where it is not known, or where it has run out before the fit has."""
        seconds = self._remaining.seconds
        return f"about {duration(seconds)} left in all" if seconds and round(seconds) else ""


def _figures(report: Progress) -> str:
    parts = [f"loss {number(report.loss)}"]
    if report.val_loss is not None and not math.isnan(report.val_loss):
        parts.append(f"validation {number(report.val_loss)}")
    if report.rate:  # unknown until the first call, which compiles, has returned
        rate = f"{report.rate:,.0f}" if report.rate >= 10 else f"{report.rate:.2g}"
        parts.append(f"{rate} steps/s")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """`0:42`, `3:05`, `2:10:00`."""
    whole = round(max(seconds, 0))
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def bar(stream: TextIO, what: str, left: Callable[[], str] = str) -> tuple[Any, Any]:
    """A bar of rich and its task, if the stream is a terminal and rich is installed; else None and None.

    Args:
        stream: where to draw.
        what: is done.
        left: asked at each drawing for words about the time left.
    """
    if not stream.isatty():
        return None, None
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn
        from rich.text import Text
    except ImportError:
        return None, None

    class TimeLeft(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(left())

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeLeft(),
    )
    drawn = Progress(*columns, console=Console(file=stream), refresh_per_second=4, expand=True)
    return drawn, drawn.add_task(what, total=None, figures="")
