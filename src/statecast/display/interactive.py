"""Charts drawn by plotly: to zoom, to point at, and with a menu that chooses among many series.

Ground and text are those of plotly's current template (`plotly.io.templates.default`), so a figure is dark where the
user's others are; the colours of lines can be told from a light and from a dark ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from statecast.display import style
from statecast.display.chart import Chart, Curve
from statecast.errors import MissingDependency

MOST = 200  # charts in a figure: each is carried in full
ACTUAL, FORECAST = "#8a96a3", "#2b8fd0"


def figure(charts: Sequence[Chart], title: str) -> Any:
    """A plotly figure of the charts, of which the first is shown until another is chosen.

    Raises:
        MissingDependency: plotly is not installed.
    """
    objects = library()
    pictures = [(chart.title, _traces(objects, chart)) for chart in charts[:MOST]]
    return assembled(pictures, title, len(charts))


def library() -> Any:
    """plotly's `graph_objects`.

    Raises:
        MissingDependency: plotly is not installed.
    """
    try:
        from plotly import graph_objects
    except ImportError as error:
        raise MissingDependency.of("plotly", "plotly", 'backend="plotly"') from error
    return graph_objects


def assembled(pictures: Sequence[tuple[str, Sequence[Any]]], title: str, count: int) -> Any:
    """A figure of several pictures, of which the first is shown until another is chosen.

    Args:
        pictures: name and traces of each.
        title: of the figure, as plain text.
        count: how many pictures there would be, were not the others left out.
    """
    names = [escape(name, quote=False) for name, _ in pictures]
    for n, (_, traces) in enumerate(pictures):
        for trace in traces:
            trace.visible = n == 0
    result = library().Figure([trace for _, traces in pictures for trace in traces])
    left_out = f" ({len(pictures)} of {count:,})" if count > len(pictures) else ""
    result.update_layout(
        title={"text": escape(f"{title}{left_out}", quote=False)}, hovermode="x unified", margin={"t": 70, "b": 40},
        yaxis_title=names[0], legend={"orientation": "h", "y": -0.15},
    )  # fmt: skip
    if len(pictures) > 1:
        result.update_layout(updatemenus=[_menu(names, [len(traces) for _, traces in pictures])])
    return result


def _menu(names: Sequence[str], sizes: Sequence[int]) -> dict[str, Any]:
    """A menu with an entry for each picture, which shows its traces and hides all others."""
    buttons = []
    for n, name in enumerate(names):
        visible = [n == m for m, size in enumerate(sizes) for _ in range(size)]
        choice = [{"visible": visible}, {"yaxis.title.text": name}]
        buttons.append({"label": name, "method": "update", "args": choice})
    return {"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}


def _traces(objects: Any, chart: Chart) -> list[Any]:
    compared = len(chart.names) > 1
    colours = style.colours(chart.names) if compared else dict.fromkeys(chart.names, FORECAST)
    traces = []
    legend: set[str] = set()
    for curve in chart.curves:
        for level in sorted(curve.lower, reverse=True)[-1 if compared else 0 :]:
            traces += _band(objects, curve, level, colours[curve.name], compared)
    traces.append(_line(objects, chart.time, chart.actual, "actual", ACTUAL, True))
    for curve in chart.curves:
        traces.append(
            _line(objects, curve.time, curve.values, curve.name, colours[curve.name], curve.name not in legend)
        )
        legend.add(curve.name)
    return traces


def _line(objects: Any, time: Any, values: Any, name: str, colour: str, in_legend: bool) -> Any:
    text = escape(name, quote=False)
    return objects.Scatter(
        x=time, y=np.asarray(values, np.float64), name=text, mode="lines+markers" if len(time) < 25 else "lines",
        line={"color": colour}, showlegend=in_legend, legendgroup=text,
        hovertemplate="%{y:.6g}",
    )  # fmt: skip


def _band(objects: Any, curve: Curve, level: float, colour: str, compared: bool) -> list[Any]:
    """Two lines without width and the ground between them; the same as bars of error cannot be filled."""
    prefix = f"{escape(curve.name, quote=False)}, " if compared else ""
    look = {"x": curve.time, "mode": "lines", "line": {"width": 0, "color": colour}, "showlegend": False}
    look |= {"legendgroup": escape(curve.name, quote=False), "hovertemplate": "%{y:.6g}"}
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    fill = f"rgba({red},{green},{blue},0.18)"
    low = objects.Scatter(y=curve.lower[level], name=f"{prefix}{level:g} % low", **look)
    high = objects.Scatter(
        y=curve.upper[level], name=f"{prefix}{level:g} % high", fill="tonexty", fillcolor=fill, **look
    )
    return [low, high]
