"""The pictures of a report: the only place that draws.

Each function takes numbers from a `Report` and returns a matplotlib Figure, made without pyplot, so that nothing
global is touched and several threads may draw at once. All share one style: a light ground, dark ink for actual values,
blue for the network, and for the baselines the colours of Okabe and Ito, which colour-blind people can tell apart, each
with its own dash pattern. Missing values are gaps. Where something is left out, the picture says so.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.display import style
from statecast.display.axes import MOST, draw, layout, time_axis
from statecast.display.chart import Chart
from statecast.errors import MissingDependency
from statecast.files import write_bytes
from statecast.report import breakdown as parts
from statecast.report import errors_ahead, explanation
from statecast.report.correlation import autocorrelation, lags_shown
from statecast.report.summary import (
    Report,
    Residuals,
    Rolling,
    number,
    plural,
)

try:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator
except ImportError as error:
    raise MissingDependency.of("matplotlib", "plot", "drawing pictures") from error

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes

    from statecast.forecast.breakdown import Breakdown

TAIL = 500  # points of a line that can be told apart at the width of a page
DOTS = 6000  # points of a scatter plot; more would only make it darker


def forecast(examples: Sequence[Chart], title: str = "Forecast and actual values", step: str = "step") -> Figure:
    """Forecasts with their intervals, each beside the values before it and, where known, those that came.

    Args:
        examples: the forecasts; one panel for each, up to six.
        title: of the picture.
        step: one step of time in the singular, e.g. "hour".
    """
    figure, panels = new_panels(len(examples), title, _left_out(len(examples), "forecasts"))
    for axes, example in zip(panels, examples, strict=False):
        draw(axes, example, 1.6 if len(panels) < 3 else 1.0, step)
    style.legend(figure, panels)
    return figure


def rolling(parts: Sequence[Rolling], horizon: int, step: str = "step") -> Figure:
    """Actual values of the test rows and the forecasts for them, from origins one horizon apart."""
    longest = max((len(part.time) for part in parts), default=0)
    tail = max(TAIL, 2 * horizon)
    notes = [f"the last {tail:,} of {longest:,} {step}s" if longest > tail else "", _left_out(len(parts), "targets")]
    figure, panels = new_panels(len(parts), f"Through the test rows, {plural(horizon, step)} at a time", *notes)
    thick = 1.2 if len(panels) < 3 else 0.8
    for axes, part in zip(panels, parts, strict=False):
        style.line(axes, part.time[-tail:], part.actual[-tail:], style.INK, "actual", thick)
        style.line(axes, part.time[-tail:], part.predicted[-tail:], style.STATECAST, "forecast", thick)
        style.name(axes, part.target, part.series)
        time_axis(axes, part.time[-tail:], step)
    style.legend(figure, panels)
    return figure


def loss(history: Mapping[str, Float[np.ndarray, " rows"]], what: str = "loss") -> Figure:
    """Training and validation loss by step, the best validation loss, and the learning rate where it changed.

    Args:
        history: columns of the training history.
        what: the loss, with its unit.
    """
    rate = np.asarray(history.get("learning_rate", ()), np.float64)
    changing = len(np.unique(rate[np.isfinite(rate)])) > 1
    heights = [3, 1] if changing else [1]
    figure = new_figure(3.8 if changing else 3.0, "Loss while training")
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    step, name = _clock(history)
    for key, colour, label in (("loss", style.INK, "training"), ("val_loss", style.STATECAST, "validation")):
        _curve(grid[0], step, np.asarray(history.get(key, ()), np.float64), colour, label)
    _best(grid[0], step, np.asarray(history.get("val_loss", ()), np.float64))
    _loss_scale(grid[0])
    grid[0].set_ylabel(what)
    if changing:
        grid[1].plot(step, rate, color=style.SOFT, lw=1.2, drawstyle="steps-post")
        grid[1].set_ylabel("learning rate")
        grid[1].set_ylim(bottom=0)
    for axes in grid:
        style.dress(axes)
    grid[-1].set_xlabel(name)
    grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    style.legend(figure, [grid[0]])
    return figure


def residuals(parts: Sequence[Residuals], horizon: int, step: str = "step") -> Figure:
    """Residuals, actual minus forecast, over time and as a histogram: one step ahead and `horizon` steps ahead."""
    thin = max((math.ceil(len(part.time) / DOTS) for part in parts), default=1)
    notes = [f"on the left one point in {thin}" if thin > 1 else "", _left_out(len(parts), "targets")]
    figure, grid = _rows(len(parts), "Residuals: actual minus forecast", [2.6, 1], *notes)
    for (left, right), part in zip(grid, parts, strict=False):
        _residuals_of(left, right, part, horizon, thin, step)
        style.name(left, part.target, part.series)
        style.dress(right)
    time_axis(grid[-1, 0], np.concatenate([part.time for part in parts[:MOST]]), step)
    grid[0, 1].set_title("how many of each size", loc="left", fontsize=9, color=style.SOFT)
    grid[-1, 1].set_xlabel("residual")
    style.legend(figure, [grid[0, 0]], markerscale=3)
    return figure


def correlations(
    values: Mapping[str, Float[np.ndarray, " n"]],
    parts: Sequence[Residuals],
    season: int = 1,
    max_lag: int | None = None,
    step: str = "step",
) -> Figure:
    """Autocorrelation of each target's values, and of its one-step residuals.

    Args:
        values: of each target.
        parts: the residuals of these targets.
        season: rows in a season; its multiples are marked.
        max_lag: the last lag; three seasons or 40 where left out.
        step: one step of time in the singular, e.g. "hour".
    """
    rest = {part.target: part.one_step for part in reversed(parts)}
    names = list(dict.fromkeys([*values, *(part.target for part in parts)]))
    notes = ["band: where 95 % of white noise would stay", _left_out(len(names), "targets")]
    figure, grid = _rows(len(names), "Autocorrelation", [1, 1], *notes)
    for row, name in zip(grid, names, strict=False):
        for axes, source, what in zip(row, (values, rest), ("the series", "one-step residuals"), strict=True):
            _correlogram(axes, source.get(name, np.zeros(0)), max_lag or lags_shown(season), season)
            style.name(axes, name, what)
    for axes in grid[-1]:
        axes.set_xlabel(f"lag in {step}s")
    return figure


def error_by_step(
    errors: Mapping[str, Mapping[str, Float[np.ndarray, " H"]]], step: str = "step", targets: int = 1
) -> Figure:
    """Mean absolute error for each step ahead, of the network and of the baselines; a panel for each target.

    Axes begin at 0. A baseline whose error grows out of all proportion leaves the picture, which says so.

    Args:
        errors: by target and forecast.
        step: one step of time in the singular, e.g. "hour".
        targets: how many there are, where not all of them are in `errors`.
    """
    horizon = max((len(value) for part in errors.values() for value in part.values()), default=0)
    count = min(len(errors), MOST)
    left_out = f"{count} of {targets} targets" if targets > count else ""
    figure, panels = new_panels(len(errors), "Mean absolute error by step ahead", left_out)
    for axes, (target, part) in zip(panels, errors.items(), strict=False):
        style.name(axes, target, "")
        if horizon <= 1:
            errors_ahead.bars(axes, {name: float(value[0]) for name, value in part.items()})
        else:
            errors_ahead.lines(axes, part, step)
    if horizon > 1:
        # What leaves a picture is said in its own legend; where there are several, one legend serves all.
        style.legend(figure, panels, columns=2 if len(panels) == 1 else 4)
    return figure


def breakdown(what: Breakdown, step: str = "step") -> Figure:
    """What forecasts come from, in their first panels; see `report.breakdown`."""
    figure: Figure = parts.picture(new_panels, what, functools.partial(time_axis, step=step))
    return figure


def figures(report: Report) -> Iterator[tuple[str, Figure]]:
    """The name and the picture of everything that the report has numbers for, one after the other."""
    step, targets = report.facts.step, report.facts.targets
    if report.examples:
        yield "forecast", forecast(report.examples, step=step)
    if report.future:
        yield "future", forecast(report.future, "Forecast beyond the end of the table", step)
    if report.breakdown:
        yield "breakdown", breakdown(report.breakdown, step)
    if report.rolling:
        yield "rolling", rolling(report.rolling, report.horizon, step)
    if report.error_by_step:
        yield "error_by_step", error_by_step(report.error_by_step, step, len(targets))
    losses = [report.history.get(name, ()) for name in ("loss", "val_loss")]
    if any(np.isfinite(np.asarray(values, np.float64)).any() for values in losses):  # none where no step was made
        yield "loss", loss(report.history)
    if report.residuals:
        yield "residuals", residuals(report.residuals, report.horizon, step)
    if report.values or report.residuals:
        yield "autocorrelation", correlations(report.values, report.residuals, report.season, step=step)
    if report.explanation:
        yield "importance", explanation.importance(new_figure, report.explanation)
    if report.explanation and report.explanation.activity:
        activity, axis = report.explanation.activity, functools.partial(time_axis, step=step)
        series = activity.series if report.facts.series > 1 else ""
        yield "gates", explanation.gates(new_figure, activity, report.activity_time, axis, series)


def images(report: Report) -> dict[str, bytes]:
    """Every picture of the report by name, as PNG."""
    return {name: png(figure) for name, figure in figures(report)}


def save_all(report: Report, folder: str | Path, pictures: Mapping[str, bytes] | None = None) -> list[Path]:
    """Writes each picture as `plots/<name>.png` in `folder` and returns their paths; each appears whole or not at all.

    Args:
        report: what to draw.
        folder: where the folder `plots` goes.
        pictures: the report's `images`, where they exist already.

    Raises:
        OutputError: a file cannot be written.
    """
    pictures = images(report) if pictures is None else pictures
    return [write_bytes(Path(folder) / "plots" / f"{name}.png", image) for name, image in pictures.items()]


def png(figure: Figure, dpi: int = 160) -> bytes:
    """A figure as a PNG image."""
    buffer = io.BytesIO()
    # Without the version of matplotlib in the file, the same numbers make the same bytes.
    figure.savefig(buffer, format="png", dpi=dpi, facecolor=style.GROUND, metadata={"Software": None})
    return buffer.getvalue()


def new_figure(height: float, title: str, *notes: str) -> Figure:
    """A figure of the report's width with its title, and notes in brackets; the height in inches."""
    figure = Figure(figsize=(style.WIDTH, height), layout="constrained", facecolor=style.GROUND)
    note = "; ".join(filter(None, notes))
    text = f"{title} ({note})" if note else title
    style.title(figure, text)
    return figure


def new_panels(count: int, title: str, *notes: str) -> tuple[Figure, list[Axes]]:
    """Panels, at most `MOST`: up to two of them in one column, more in two."""
    panels, rows, columns, height = layout(count)
    figure = new_figure(height, title, *notes)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[panels:]:
        axes.remove()
    return figure, grid[:panels]


def _rows(count: int, title: str, widths: Sequence[float], *notes: str) -> tuple[Figure, Any]:
    """Rows of two panels, at most `MOST`; the axes [rows, 2]."""
    rows = max(1, min(count, MOST))
    figure = new_figure(1.0 + (2.0 if rows == 1 else 1.35) * rows, title, *notes)
    grid = figure.subplots(rows, 2, squeeze=False, width_ratios=widths)
    for axes in grid[:-1, 0]:
        axes.sharex(grid[-1, 0])
        axes.tick_params(labelbottom=False)
    return figure, grid


def _left_out(count: int, what: str) -> str:
    return f"{MOST} of {count} {what}" if count > MOST else ""


def _clock(history: Mapping[str, Any]) -> tuple[Any, str]:
    """The axis of a training history: steps, or epochs where there are no steps, or rows where there are neither."""
    for key in ("step", "epoch"):
        if len(history.get(key, ())):
            return np.asarray(history[key]), key
    return np.arange(1, len(history["loss"]) + 1), "row of the history"


def _curve(axes: Axes, step: Any, value: Any, colour: str, label: str) -> None:
    finite = np.isfinite(value)
    if finite.any():
        axes.plot(
            step[finite],
            value[finite],
            color=colour,
            lw=1.4,
            label=label,
            marker="o" if finite.sum() < 30 else "",
            ms=3,
        )


def _best(axes: Axes, step: Any, value: Any) -> None:
    if np.isfinite(value).any():
        at = int(np.argmin(np.where(np.isfinite(value), value, np.inf)))
        look: dict[str, Any] = {"color": style.FAR, "marker": "D", "ms": 6, "ls": "", "zorder": 4}
        axes.plot(step[at], value[at], label=f"best: {number(float(value[at]))}", **look)


def _loss_scale(axes: Axes) -> None:
    """Logarithmic where the losses span more than a factor of 8, else from 0."""
    values = np.concatenate([np.asarray(line.get_ydata(), np.float64).ravel() for line in axes.lines] or [np.zeros(1)])
    if values.min() > 0 and values.max() > 8 * values.min():
        axes.set_yscale("log")
        for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            which(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "125" else ""))
    elif values.min() >= 0:
        axes.set_ylim(bottom=0)


def _residuals_of(left: Axes, right: Axes, part: Residuals, horizon: int, thin: int, step: str) -> None:
    kinds = [(part.last_step, style.FAR, f"{plural(horizon, step)} ahead")] if horizon > 1 else []
    kinds.append((part.one_step, style.STATECAST, f"one {step} ahead"))
    finite = [value[np.isfinite(value)] for value, _, _ in kinds]
    reach = float(max(np.abs(value).max(initial=0.0) for value in finite)) or 1.0
    # An odd number of bins, so that one of them is around zero.
    edges = np.linspace(-reach, reach, 2 * int(np.clip(math.sqrt(len(part.time)), 4, 24)) + 2).tolist()
    size = 5 if len(part.time) < 200 else 3
    for (value, colour, label), known in zip(kinds, finite, strict=True):
        dots: dict[str, Any] = {"ls": "", "marker": ".", "ms": size, "alpha": 0.6, "mew": 0}
        left.plot(part.time[::thin], value[::thin], color=colour, label=label, **dots)
        right.hist(known, bins=edges, color=colour, alpha=0.25, histtype="stepfilled")
        right.hist(known, bins=edges, color=colour, histtype="step", lw=1.2)
    left.axhline(0, color=style.INK, lw=0.8)
    right.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))


def _correlogram(axes: Axes, series: Any, lag: int, season: int) -> None:
    correlation = autocorrelation(series, lag)
    axes.set_ylim(-1.05, 1.05)
    if np.isnan(correlation.values).all():
        axes.text(0.5, 0.7, "constant or empty", transform=axes.transAxes, ha="center", color=style.SOFT, fontsize=9)
        return
    lags = np.arange(len(correlation.values))
    axes.axhspan(-correlation.band, correlation.band, color=style.BANDS[1], lw=0, zorder=1)
    axes.vlines(lags[1:], 0, correlation.values[1:], color=style.INK, lw=max(0.8, min(2.4, 100 / len(lags))), zorder=2)
    axes.axhline(0, color=style.INK, lw=0.8)
    axes.set_xlim(0, max(len(lags) - 0.5, 1))
    if 1 < season < len(lags):
        axes.xaxis.set_major_locator(MultipleLocator(season * math.ceil(len(lags) / season / 8)))
        axes.grid(axis="x", color=style.GRID, lw=1.2)
