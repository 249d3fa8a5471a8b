"""The pictures of a report: the only place that draws.

Each function takes numbers from a `Report` and returns a matplotlib Figure, made without pyplot, so that nothing
global is touched and several threads may draw at once. All share one style: a light ground, dark ink for actual values,
blue for the network, and for the baselines the colours of Okabe and Ito, which colour-blind people can tell apart, each
with its own dash pattern. Missing values are gaps. Where something is left out, the picture says so.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.display import palette, style, units
from statecast.display.axes import MOST, draw, layout, time_axis
from statecast.display.chart import Chart
from statecast.display.palette import LIGHT
from statecast.errors import MissingDependency
from statecast.files import write_bytes
from statecast.forecast.residuals import Residuals
from statecast.report import breakdown as parts
from statecast.report import class_axes, errors_ahead, explanation, loss_axes, residual_axes
from statecast.report.correlation import lags_shown
from statecast.report.summary import (
    Report,
    Rolling,
    plural,
)

try:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise MissingDependency.of("matplotlib", "plot", "drawing pictures") from error

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes

    from statecast.forecast.breakdown import Breakdown

TAIL = 500  # points of a line that can be told apart at the width of a page


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
        style.line(axes, part.time[-tail:], part.actual[-tail:], LIGHT.ink, "actual", thick)
        style.line(axes, part.time[-tail:], part.predicted[-tail:], LIGHT.main, "forecast", thick)
        style.name(axes, part.target, part.series)
        time_axis(axes, part.time[-tail:], step)
    style.legend(figure, panels)
    return figure


def loss(
    history: Mapping[str, Float[np.ndarray, " rows"]],
    what: str = "loss",
    size: tuple[float, float] = (style.WIDTH, 3.0),
) -> Figure:
    """Training and validation loss by step, the best validation loss, and the learning rate where it changed.

    Args:
        history: columns of the training history.
        what: the loss, with its unit.
        size: of the picture in inches, without the learning rate.
    """
    rate = np.asarray(history.get("learning_rate", ()), np.float64)
    changing = len(np.unique(rate[np.isfinite(rate)])) > 1
    heights = [3, 1] if changing else [1]
    figure = new_figure(size[1] + (0.8 if changing else 0), "Loss while training")
    figure.set_figwidth(size[0])
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    loss_axes.losses(grid[0], history)
    grid[0].set_ylabel(what)
    if changing:
        loss_axes.rates(grid[1], history)
        grid[1].set_ylabel("learning rate")
    grid[-1].set_xlabel(loss_axes.clock_of(history))
    grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in grid:
        style.dress(axes)
    style.legend(figure, [grid[0]])
    return figure


def residuals(parts: Sequence[Residuals], horizon: int, step: str = "step") -> Figure:
    """Residuals, actual minus forecast, over time and as a histogram: one step ahead and `horizon` steps ahead."""
    thin = residual_axes.thinning(parts)
    notes = [f"on the left one point in {thin}" if thin > 1 else "", _left_out(len(parts), "targets")]
    figure, grid = _rows(len(parts), "Residuals: actual minus forecast", [2.6, 1], *notes)
    for (left, right), part in zip(grid, parts, strict=False):
        residual_axes.over_time(left, part, horizon, step, thin)
        residual_axes.sizes(right, part, horizon, step)
        style.name(left, part.target, part.series)
        style.dress(right)
    time_axis(grid[-1, 0], np.concatenate([part.time for part in parts[:MOST]]), step)
    grid[0, 1].set_title("how many of each size", loc="left", fontsize=9, color=LIGHT.soft)
    grid[-1, 1].set_xlabel(_residual(parts))
    style.legend(figure, [grid[0, 0]], markerscale=3)
    return figure


def _residual(parts: Sequence[Residuals]) -> str:
    unit = units.common(part.target for part in parts)
    return f"residual, {unit}" if unit else "residual"


def residual_panels(
    parts: Sequence[Residuals], horizon: int, season: int = 1, step: str = "step", shown: bool = False
) -> Any:
    """Residuals over time, by size, and the autocorrelation of those one step ahead; a row for each target.

    Args:
        parts: the residuals of at least one target.
        horizon: steps ahead of the farther ones.
        season: rows in a season.
        step: one step of time in the singular, e.g. "hour".
        shown: whether the figure is one of pyplot, which a notebook shows by itself.

    Returns:
        The axes [rows, 3].
    """
    thin, rows = residual_axes.thinning(parts), min(len(parts), MOST)
    notes = [f"on the left one point in {thin}" if thin > 1 else "", _left_out(len(parts), "targets")]
    height = 1.0 + (2.2 if rows == 1 else 1.6) * rows
    figure = new_figure(height, "Residuals: actual minus forecast", *notes, shown=shown)
    grid = figure.subplots(rows, 3, squeeze=False, width_ratios=[1.8, 1, 1.2])
    for (left, middle, right), part in zip(grid, parts, strict=False):
        residual_axes.over_time(left, part, horizon, step, thin)
        residual_axes.sizes(middle, part, horizon, step)
        residual_axes.correlogram(right, part.one_step, lags_shown(season), season)
        style.name(left, part.target, part.series)
        for axes, title in ((middle, "how many of each size"), (right, "autocorrelation")):
            style.dress(axes)
            axes.set_title(title, loc="left", fontsize=9, color=palette.of(axes).soft)
        time_axis(left, part.time, step)
    grid[-1, 1].set_xlabel(_residual(parts))
    grid[-1, 2].set_xlabel(f"lag in {step}s, one {step} ahead")
    style.legend(figure, [grid[0, 0]], markerscale=3)
    return grid


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
            residual_axes.correlogram(axes, source.get(name, np.zeros(0)), max_lag or lags_shown(season), season)
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


def breakdown(what: Breakdown, step: str = "step", ground: str = LIGHT.ground) -> Figure:
    """What forecasts come from, in their first panels, on the given ground; see `report.breakdown`."""
    panels_of = functools.partial(new_panels, ground=ground)
    figure: Figure = parts.picture(panels_of, what, functools.partial(time_axis, step=step))
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


def confusion(evaluation: Mapping[str, Any], shown: bool = False) -> Figure:
    """Which classes of a classifier's test rows were taken for which; `shown` as in `residual_panels`."""
    size = len(evaluation["classes"])
    figure = new_figure(1.2 + min(0.4 * max(size, 4), 5.5), "Test rows by class", shown=shown)
    figure.set_figwidth(min(2.6 + 0.75 * max(size, 4), style.WIDTH))
    class_axes.confusion(figure.subplots(), evaluation)
    return figure


def reliability(evaluation: Mapping[str, Any], shown: bool = False) -> Figure:
    """Whether a classifier's probabilities are what they say; `shown` as in `residual_panels`."""
    figure = new_figure(4.4, "Reliability of the probabilities", shown=shown)
    figure.set_figwidth(5.2)
    axes = figure.subplots()
    class_axes.reliability(axes, evaluation)
    style.legend(figure, [axes], columns=3)
    return figure


def class_figures(
    evaluation: Mapping[str, Any], history: Mapping[str, Float[np.ndarray, " rows"]]
) -> Iterator[tuple[str, Figure]]:
    """The name and the picture of everything that is drawn of a classifier."""
    if evaluation:
        yield "confusion", confusion(evaluation)
        yield "reliability", reliability(evaluation)
    if len(history.get("loss", ())) and np.isfinite(history["loss"]).any():
        yield "loss", loss(history, "cross-entropy")


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
    figure.savefig(buffer, format="png", dpi=dpi, facecolor=LIGHT.ground, metadata={"Software": None})
    return buffer.getvalue()


def new_figure(height: float, title: str, *notes: str, ground: str = LIGHT.ground, shown: bool = False) -> Figure:
    """A figure of the report's width with its title, and notes in brackets.

    Args:
        height: in inches.
        title: as plain text.
        notes: as plain text; empty ones are left out.
        ground: the colour behind it.
        shown: whether it is one of pyplot, which a notebook shows by itself, on the ground of the user's style.
    """
    look: dict[str, Any] = {"figsize": (style.WIDTH, height), "layout": "constrained"}
    figure = _of_pyplot(look) if shown else Figure(facecolor=ground, **look)
    note = "; ".join(filter(None, notes))
    text = f"{title} ({note})" if note else title
    style.title(figure, text)
    return figure


def _of_pyplot(look: dict[str, Any]) -> Figure:
    from matplotlib import pyplot

    return pyplot.figure(facecolor=palette.preferred().ground, **look)


def new_panels(count: int, title: str, *notes: str, ground: str = LIGHT.ground) -> tuple[Figure, list[Axes]]:
    """Panels, at most `MOST`: up to two of them in one column, more in two."""
    panels, rows, columns, height = layout(count)
    figure = new_figure(height, title, *notes, ground=ground)
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
