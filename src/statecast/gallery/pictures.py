"""The gallery's pictures, drawn with the report's own axes, colours and dates.

Besides the test rows and the training loss, which every case shows: the network as a graph, predicted against true, the
autocorrelation, and a network before and after its training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.display import style
from statecast.display.axes import time_axis
from statecast.display.palette import LIGHT
from statecast.forecast.residuals import Residuals
from statecast.gallery.cases import Case
from statecast.gallery.result import RecipeResult, Track
from statecast.report import plot
from statecast.report.summary import Layer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIRST = 100  # predictions in the picture of the first ones
CIRCLES = 9  # of a layer that are drawn; an ellipsis stands for the others
HAPPENED = "#b9c3cc"  # what happened, below the forecast
HALF = (5.2, 3.4)  # inches of a picture that stands beside another on the page, so that its text can be read there
LAGS = 3000  # of the autocorrelation, at most


def of(case: Case, outcome: RecipeResult) -> Iterator[tuple[str, str, Figure]]:
    """(name, caption, picture) of everything that a case shows of one recipe."""
    if outcome.tracks:
        whole = "whole" in case.show or "before" in case.show
        yield "test", *tracks(outcome.tracks, None if whole else FIRST, case.step, case.units)
    if "scatter" in case.show:
        yield "scatter", "On the line a forecast is exact.", scatter(outcome.tracks, case.units)
    if len(outcome.history.get("loss", ())) and np.isfinite(outcome.history["loss"]).any():
        caption = "The loss on the training rows, and on the validation rows if there are any."
        yield "loss", caption, plot.loss(outcome.history, loss_of(outcome), HALF)
    if outcome.accuracy:
        caption = "Share of the rows that are classified correctly. The test rows are only shown; they decide nothing."
        yield "accuracy", caption, accuracy(outcome.accuracy)
    if "correlation" in case.show:
        caption = "Autocorrelation of the whole series, and of the errors of the network."
        yield "correlation", caption, correlation(outcome)
    if "graph" in case.show:
        caption = "Inputs on the left, outputs on the right; a loop is a state that is carried to the next step."
        yield "graph", caption, graph(outcome.layers)


def titled(target: str, units: Mapping[str, str]) -> str:
    """A target with its unit, where it has one."""
    return f"{target}, {units[target]}" if target in units else target


def loss_of(outcome: RecipeResult) -> str:
    """What the loss is, with its unit: that of the table, or the deviation of the training rows."""
    name = {"mse": "mean squared error", "mae": "mean absolute error"}.get(str(outcome.settings.get("loss")))
    if name is None:
        return "cross-entropy"
    return name if outcome.settings["normalize"] == "none" else f"{name},\nin training deviations"


def accuracy(shares: Mapping[str, np.ndarray]) -> Figure:
    """Accuracy on training and test rows by epoch, on an axis from 0 to 1."""
    figure = plot.new_figure(HALF[1], "Accuracy while training, first split")
    figure.set_figwidth(HALF[0])
    axes = figure.subplots()
    for name, colour in (("training", LIGHT.ink), ("test", LIGHT.main)):
        style.line(axes, shares["epoch"], shares[name], colour, name, 1.4, "o")
    style.dress(axes)
    axes.set(ylim=(0, 1.02), xlabel="epoch", ylabel="accuracy")
    style.legend(figure, [axes])
    return figure


def tracks(parts: Sequence[Track], most: int | None, step: int, units: Mapping[str, str]) -> tuple[str, Figure]:
    """Forecasts for the test rows over what happened; the first ones, or all of them."""
    count = len(parts[0].time) if most is None else min(most, len(parts[0].time))
    far = f"{step} steps ahead" if step > 1 else "one step ahead"
    what = f"all {count:,} test rows" if most is None else f"the first {count:,} test rows"
    figure, panels = plot.new_panels(len(parts), f"Forecasts {far}, {what}")
    for axes, part in zip(panels, parts, strict=False):
        # Where a forecast is exact its line would hide what happened, so that is a broader, lighter one.
        time, thin = part.time[:count], 1.2 if count <= FIRST else 0.8
        if part.before is not None:
            style.line(axes, time, part.before[:count], LIGHT.far, "before training", 1.0)
        style.line(axes, time, part.actual[:count], HAPPENED, "actual", 3 * thin)
        style.line(axes, time, part.predicted[:count], LIGHT.main, "forecast", thin)
        style.name(axes, titled(part.target, units), "")
        time_axis(axes, time, "row")
    style.legend(figure, panels)
    return "The thin blue line is the forecast, the broad grey one what happened.", figure


def scatter(parts: Sequence[Track], units: Mapping[str, str]) -> Figure:
    """Predicted against true."""
    figure = plot.new_figure(4.6, "Predicted against true")
    for axes, part in zip(figure.subplots(1, len(parts), squeeze=False).flat, parts, strict=True):
        look: dict[str, Any] = {"ls": "", "marker": ".", "ms": 4, "alpha": 0.5, "mew": 0, "color": LIGHT.main}
        axes.plot(part.actual, part.predicted, **look)
        both = np.concatenate([part.actual, part.predicted])
        low, high = float(np.nanmin(both)), float(np.nanmax(both))
        edge = 0.03 * (high - low)
        axes.plot([low, high], [low, high], color=LIGHT.ink, lw=0.8)
        style.name(axes, titled(part.target, units), "")
        axes.set(xlabel="true", ylabel="predicted", aspect="equal")
        axes.set(xlim=(low - edge, high + edge), ylim=(low - edge, high + edge))
    return figure


def correlation(outcome: RecipeResult) -> Figure:
    """Autocorrelation of each series, as far as it goes, and of the residuals."""
    parts = [Residuals(t.target, t.time, t.actual - t.predicted, t.actual - t.predicted, "") for t in outcome.tracks]
    values = {name: series for name, series in outcome.series.items() if name in {t.target for t in outcome.tracks}}
    longest = max((len(series) for series in values.values()), default=1)
    return plot.correlations(values, parts, 1, min(LAGS, longest - 1))


def graph(layers: Sequence[Layer]) -> Figure:
    """The network as circles and lines: a column for each layer, at most nine circles of it."""
    figure = plot.new_figure(3.6, "The network as a graph")
    axes = figure.subplots()
    axes.set_axis_off()
    columns = [(layer, *_circles(layer)) for layer in layers if layer.name != "skip"]
    for n, (_, heights, _) in enumerate(columns[:-1]):
        for height in heights:
            for target in columns[n + 1][1]:
                axes.plot([n, n + 1], [height, target], color=LIGHT.bands[1], lw=0.6, zorder=1)
    for n, (layer, heights, units) in enumerate(columns):
        colour = LIGHT.far if n == len(columns) - 1 else LIGHT.main if n == 0 else LIGHT.bands[0]
        axes.plot([n] * len(heights), heights, ls="", marker="o", ms=11, color=colour, mec=LIGHT.ground, zorder=2)
        if units > len(heights):
            axes.text(n, 0, "⋮", ha="center", va="center", fontsize=14, color=LIGHT.ink, zorder=3)
        name = "inputs" if n == 0 else "outputs" if n == len(columns) - 1 else layer.name
        axes.text(n, -5.4, f"{name}\n{units}", ha="center", va="top", fontsize=8.5, color=LIGHT.ink)
        if layer.name.startswith("recurrent"):
            _loop(axes, n, max(heights))
    skip = next((layer for layer in layers if layer.name == "skip"), None)
    if skip is not None:
        _skip(axes, max(columns[0][1]) + 0.6, max(columns[-1][1]) + 0.6, len(columns) - 1, skip.kind)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-7.6, 9 if skip else 6.5))
    return figure


def _skip(axes: Axes, start: float, end: float, width: int, kind: str) -> None:
    """The linear map from the inputs straight to the outputs, as a bow above the layers."""
    t = np.linspace(0, 1, 60)
    x, y = width * t, (1 - t) ** 2 * start + 2 * t * (1 - t) * 12.5 + t**2 * end
    axes.plot(x, y, color=LIGHT.soft, lw=1.2, ls=(0, (4, 2)))
    top = int(np.argmax(y))
    axes.text(x[top], y[top] + 0.4, f"skip: {kind}", ha="center", va="bottom", fontsize=8.5, color=LIGHT.soft)


def _circles(layer: Layer) -> tuple[list[float], int]:
    """Heights of the circles of a layer, and how many units it has."""
    units = int(np.prod([int(part) for part in layer.shape.split(" x ")]))
    if units > CIRCLES:
        return [h for h in np.linspace(-4, 4, CIRCLES) if abs(h) > 0.5], units
    return list(np.linspace(-0.5, 0.5, units) * (units - 1) if units > 1 else [0.0]), units


def _loop(axes: Axes, at: float, top: float) -> None:
    """The state that a layer hands on, as a loop above its highest circle."""
    angle = np.linspace(-0.35 * np.pi, 1.35 * np.pi, 40)
    axes.plot(at + 0.09 * np.cos(angle), top + 1.15 + 0.65 * np.sin(angle), color=LIGHT.ink, lw=1.0)
