"""The pictures of what a network used: bars of importance, and its gates over time as maps of colour.

Figures are made by `plot`, the only place that knows the drawing library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.display import style
from statecast.display.palette import LIGHT
from statecast.forecast.explain import Activity, Explanation

if TYPE_CHECKING:
    from jaxtyping import Shaped

MOST_BARS, MOST_MAPS = 16, 6
KINDS = {"lags": "#0072b2", "past": "#009e73", "known": "#b87a00", "calendar": "#b8568f", "static": "#5b6b79"}


def importance(figure_of: Callable[..., Any], explanation: Explanation) -> Any:
    """Bars of how much the error grows when an input is shuffled, in percent; the most important input first."""
    inputs = explanation.inputs[:MOST_BARS]
    left_out = f"{MOST_BARS} of {len(explanation.inputs)} inputs" if len(explanation.inputs) > MOST_BARS else ""
    notes = f"over {explanation.origins:,} forecasts" if explanation.origins > 1 else "over one forecast", left_out
    figure = figure_of(1.1 + 0.26 * len(inputs), "Growth of the error when an input is shuffled", *notes)
    axes = figure.subplots()
    for row, item in enumerate(inputs):
        error = {"elinewidth": 1, "ecolor": LIGHT.soft}
        axes.barh(row, 100 * item.importance, xerr=100 * item.spread, error_kw=error, color=KINDS[item.kind],
                  height=0.66, label=item.kind)  # fmt: skip
    style.row_names(axes, [item.name for item in inputs])
    axes.invert_yaxis()
    style.dress(axes)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=LIGHT.grid, lw=0.8)
    axes.axvline(0, color=LIGHT.soft, lw=0.8)
    axes.set_xlabel("growth of the mean absolute error on validation rows, %")
    style.legend(figure, [axes])
    return figure


def gates(
    figure_of: Callable[..., Any],
    activity: Activity,
    time: Shaped[np.ndarray, " T"],
    time_axis: Callable[[Any, Any], None],
    series: str = "",
) -> Any:
    """A map for each gate of the first recurrent layer and for its output: units by time, the units in order of mean.

    Args:
        figure_of: makes a figure, see `plot`.
        activity: the gates.
        time: of each step.
        time_axis: dresses the axis of time.
        series: whose gates these are, where there are several series.
    """
    maps = {name.partition(".")[2]: values for name, values in activity.gates.items() if name.startswith("0.")}
    maps = dict(list(maps.items())[-MOST_MAPS:])
    figure = figure_of(0.9 + 1.15 * len(maps), "Gates over time", "first layer", f"series {series}" if series else "")
    grid = figure.subplots(len(maps), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, values) in zip(grid, maps.items(), strict=True):
        signed = bool(values.min() < 0)
        top = max(float(np.abs(values).max()), 1e-12) if signed or name == "h" else 1.0
        order = np.argsort(values.mean(axis=0))
        image = axes.pcolormesh(
            time, np.arange(values.shape[1]), values[:, order].T, shading="nearest", rasterized=True,
            cmap="RdBu_r" if signed else "Blues", vmin=-top if signed else 0, vmax=top,
        )  # fmt: skip
        bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=8)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=7, colors=LIGHT.soft, length=0)
        style.dress(axes)
        axes.grid(visible=False)
        axes.set_yticks([])
        axes.set_ylabel("units")
        axes.set_title("output" if name == "h" else f"{name} gate" if name != "candidate" else name,
                       loc="left", fontsize=9, color=LIGHT.ink)  # fmt: skip
    time_axis(grid[-1], time)
    return figure
