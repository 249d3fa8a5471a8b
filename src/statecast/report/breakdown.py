"""The picture of what a forecast comes from: bars that lead from its level to it, step by step.

Figures of matplotlib are made by `plot`, the only place that knows it; `display.interactive` makes those of plotly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.display import interactive, palette, style
from statecast.forecast.breakdown import Breakdown
from statecast.forecast.moves import LEVEL, Part
from statecast.report.summary import number

if TYPE_CHECKING:
    from jaxtyping import Float64

MOST_PARTS = 8  # in one picture; what moves the forecast least is drawn together
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a200", "#5b6b79")
REST = Part("everything else", "rest")


def shown(breakdown: Breakdown) -> tuple[list[Part], Float64[np.ndarray, "S P H D"]]:
    """The level and the parts that move forecasts most, the rest of them as one, and their amounts."""
    others = [n for n, part in enumerate(breakdown.parts) if part != LEVEL]
    sizes = np.abs(breakdown.amounts).mean(axis=(0, 2, 3))
    used = [n for n in others if sizes[n] > 0]
    most = used if len(used) <= MOST_PARTS else sorted(used, key=lambda n: -sizes[n])[: MOST_PARTS - 1]
    rest = [n for n in used if n not in most]
    kept = [breakdown.parts.index(LEVEL), *sorted(most)]
    parts, amounts = [breakdown.parts[n] for n in kept], breakdown.amounts[:, kept]
    if rest:
        parts.append(REST)
        amounts = np.concatenate([amounts, breakdown.amounts[:, rest].sum(axis=1, keepdims=True)], axis=1)
    return parts, amounts


def picture(
    panels_of: Callable[..., tuple[Any, list[Any]]], breakdown: Breakdown, time_axis: Callable[[Any, Any], None]
) -> Any:
    """One panel for each series and target, up to six.

    Args:
        panels_of: makes a figure with panels, see `plot.new_panels`.
        breakdown: what to draw.
        time_axis: dresses the axis of time.
    """
    parts, amounts = shown(breakdown)
    pairs = [(s, d) for s in range(len(breakdown.ids)) for d in range(len(breakdown.targets))]
    note = f"the first of {len(pairs)} forecasts" if len(pairs) > 6 else ""
    figure, panels = panels_of(len(pairs), "What the forecast comes from", note)
    for axes, (s, d) in zip(panels, pairs, strict=False):
        name = str(breakdown.ids[s]) if len(breakdown.ids) > 1 else ""
        style.name(axes, breakdown.targets[d], name)
        if breakdown.values.shape[1] == 1:
            _bridge(axes, parts, amounts[s, :, 0, d], float(breakdown.values[s, 0, d]))
        else:
            _bars(axes, breakdown.stamps[s], parts, amounts[s, :, :, d], breakdown.values[s, :, d])
            time_axis(axes, breakdown.stamps[s])
    style.legend(figure, panels)
    return figure


def zoomable(breakdown: Breakdown) -> Any:
    """The same as a figure of plotly, in which a menu chooses among series and targets.

    Raises:
        MissingDependency: plotly is not installed.
    """
    objects = interactive.library()
    parts, amounts = shown(breakdown)
    pairs = [(s, d) for s in range(len(breakdown.ids)) for d in range(len(breakdown.targets))]
    pictures = []
    for s, d in pairs[: interactive.MOST]:
        title = breakdown.targets[d] + (f" of {breakdown.ids[s]}" if len(breakdown.ids) > 1 else "")
        values = breakdown.values[s, :, d]
        if len(values) == 1:
            traces = [_waterfall(objects, parts, amounts[s, :, 0, d], float(values[0]))]
        else:
            traces = [*_columns(objects, breakdown.stamps[s], parts, amounts[s, :, :, d], values)]
        pictures.append((title, traces))
    result = interactive.assembled(pictures, "What the forecast comes from", len(pairs))
    return result.update_layout(barmode="overlay")


def _columns(objects: Any, time: Any, parts: Sequence[Part], amounts: Any, values: Any) -> Iterator[Any]:
    """Traces of the bars of each step, which say their amounts when pointed at, and the lines before them."""
    for part, amount, begin, colour in zip(parts[1:], amounts[1:], _begins(amounts), COLOURS, strict=False):
        name = escape(part.name, quote=False)
        yield objects.Bar(
            x=time, y=amount, base=begin, name=name, marker={"color": colour, "line": {"width": 0}},
            customdata=amount, hovertemplate="%{customdata:+.6g}",
        )  # fmt: skip
    look = {"x": time, "mode": "lines", "hovertemplate": "%{y:.6g}"}
    yield objects.Scatter(y=amounts[0], name="level", line={"color": interactive.ACTUAL, "dash": "dash"}, **look)
    yield objects.Scatter(y=values, name="forecast", line={"color": interactive.FORECAST, "width": 3}, **look)


def _waterfall(objects: Any, parts: Sequence[Part], amounts: Any, value: float) -> Any:
    """Of one step alone: from the level to the forecast, one part after the other."""
    names = [*(escape(part.name, quote=False) for part in parts), "forecast"]
    measures = ["absolute", *["relative"] * (len(parts) - 1), "total"]
    return objects.Waterfall(x=names, y=[*amounts, value], measure=measures, showlegend=False)


def _begins(amounts: Any) -> Float64[np.ndarray, "P H"]:
    """Where the bar of each part begins at each step: what lifts stands on the level, what lowers hangs below."""
    level, rest = amounts[:1], amounts[1:]
    lifts, lowers = np.maximum(rest, 0), np.minimum(rest, 0)
    ends = [level + np.cumsum(side, axis=0) - side for side in (lifts, lowers)]
    begins: Float64[np.ndarray, "P H"] = np.where(rest >= 0, *ends)
    return begins


def _bars(axes: Any, time: Any, parts: Sequence[Part], amounts: Any, values: Any) -> None:
    """At each step the parts that lift the forecast stand on the level, and those that lower it hang below."""
    width = 0.9 * (time[1] - time[0]) if len(time) > 1 else 0.9
    for part, amount, begin, colour in zip(parts[1:], amounts[1:], _begins(amounts), COLOURS, strict=False):
        axes.bar(time, amount, width, begin, color=colour, label=part.name, lw=0)
    look = palette.of(axes)
    axes.plot(time, amounts[0], color=look.soft, lw=1, ls=(0, (4, 2)), label="level")
    dot = "o" if len(time) < 25 else ""
    axes.plot(time, values, color=look.ink, lw=1.6, marker=dot, ms=3, label="forecast")
    axes.margins(x=0.02)


def _bridge(axes: Any, parts: Sequence[Part], amounts: Any, value: float) -> None:
    """Of one step alone: from the level to the forecast, one part after the other."""
    ends, look = np.cumsum(amounts), palette.of(axes)
    for row, (amount, end) in enumerate(zip(amounts[1:], ends[1:], strict=True), start=1):
        colour = look.main if amount >= 0 else look.far
        axes.barh(row, amount, left=end - amount, color=colour, height=0.62)
        axes.annotate(f"{amount:+.3g}", (max(end, end - amount), row), xytext=(4, 0), textcoords="offset points",
                      va="center", fontsize=8, color=look.soft)  # fmt: skip
    axes.plot(amounts[0], 0, marker="D", ms=5, color=look.soft, ls="")
    axes.plot(value, len(parts), marker="D", ms=5, color=look.ink, ls="")
    for x, row in ((float(amounts[0]), 0), (value, len(parts))):
        axes.annotate(number(x), (x, row), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8.5,
                      color=look.ink)  # fmt: skip
    style.row_names(axes, [*(part.name for part in parts), "forecast"])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=look.grid, lw=0.8)
