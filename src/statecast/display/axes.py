"""Charts drawn by matplotlib: on new axes of pyplot, as a user expects of a method `plot`, or on axes passed in.

`report.plot` draws its figures without pyplot, and the forecasts in them with the lines of this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.display import palette, style
from statecast.display.chart import Chart, Curve
from statecast.errors import MissingDependency, SettingError

try:
    from matplotlib.dates import AutoDateLocator
    from matplotlib.ticker import MaxNLocator

    from statecast.display.ticks import DateFormatter
except ImportError as error:
    raise MissingDependency.of("matplotlib", "plot", "drawing pictures") from error

if TYPE_CHECKING:
    from jaxtyping import Shaped
    from matplotlib.axes import Axes

MOST = 6  # panels in one picture
ROOM = 0.45  # inches that a tick of time needs
ORIGINS = 12  # that are marked at most


def figure(charts: Sequence[Chart], title: str, ax: Any = None) -> Any:
    """Charts with a title above and one legend below; see `drawing.draw`."""
    panels = _of_user(charts, ax) if ax is not None else _new(charts, title)
    for axes, chart in zip(panels, charts, strict=False):
        draw(axes, chart, 1.6 if len(panels) < 3 else 1.0)
    if ax is None:
        style.legend(panels[0].figure, panels)
    else:
        for axes in panels:
            style.key(axes)
    return panels[0] if len(panels) == 1 else np.array(panels, object)


def _new(charts: Sequence[Chart], title: str) -> list[Axes]:
    from matplotlib import pyplot

    count, rows, columns, height = layout(len(charts))
    look = {"figsize": (style.WIDTH, height), "layout": "constrained", "facecolor": palette.preferred().ground}
    picture = pyplot.figure(**look)  # type: ignore[arg-type]
    notes = [f"{count} of {len(charts):,}"] if len(charts) > count else []
    notes += [f"with {level:g} % intervals" for level in _compared(charts[0])]
    style.title(picture, f"{title} ({'; '.join(notes)})" if notes else title)
    grid = list(picture.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[count:]:
        axes.remove()
    return grid[:count]


def _of_user(charts: Sequence[Chart], ax: Any) -> list[Axes]:
    panels = list(np.ravel(np.array(ax, object)))
    if len(panels) != len(charts):
        raise SettingError(
            f"ax: got {len(panels)} axes, expected {len(charts)}, one for each series and target; choose series=…"
        )
    return panels


def layout(count: int) -> tuple[int, int, int, float]:
    """Panels, rows and columns, and the height in inches: at most `MOST`, up to two in one column, more in two."""
    panels = max(1, min(count, MOST))
    columns = 1 if panels <= 2 else 2
    rows = math.ceil(panels / columns)
    return panels, rows, columns, 0.8 + (2.4 if rows == 1 else 2.0) * rows


def draw(axes: Axes, chart: Chart, thick: float, step: str = "step") -> None:
    """A chart on axes.

    Args:
        axes: to draw on.
        chart: what to draw.
        thick: width of a line in points.
        step: one step of time in the singular, e.g. "hour", for times that are counted.
    """
    look = palette.of(axes)
    colours = style.colours(chart.names, look.compared)
    for curve in chart.curves:
        _bands(axes, curve, look.bands if len(colours) == 1 else (colours[curve.name],))
    style.line(axes, chart.time, chart.actual, look.ink, "actual", thick)
    for curve in chart.curves:
        dot = "o" if len(curve.time) < 25 else ""
        style.line(axes, curve.time, curve.values, colours[curve.name], _label(curve.name), 1.2 * thick, dot)
    for origin in chart.origins[:ORIGINS] if len(chart.origins) <= ORIGINS else ():
        axes.axvline(origin, color=look.soft, lw=0.8, ls=(0, (2, 2)))  # type: ignore[arg-type]
    axes.margins(x=0.01)
    style.name(axes, chart.target, chart.series)
    time_axis(axes, chart.span, step)


def _bands(axes: Axes, curve: Curve, colours: Sequence[str]) -> None:
    """The intervals; of curves that are compared the narrowest alone, and lighter, so that all can be seen."""
    compared = len(colours) == 1
    levels = sorted(curve.lower)[: 1 if compared else None]
    for rank, level in reversed(list(enumerate(levels))):
        look: dict[str, Any] = {"color": colours[min(rank, len(colours) - 1)], "zorder": 1}
        look |= {"alpha": 0.18} if compared else {}
        look["label"] = "" if compared else f"{level:g} % interval"  # the title names the level of those compared
        if len(curve.time) == 1:
            axes.vlines(curve.time, curve.lower[level], curve.upper[level], lw=6, **look)
        else:
            axes.fill_between(curve.time, curve.lower[level], curve.upper[level], lw=0, **look)


def _compared(chart: Chart) -> list[float]:
    """The level whose intervals are drawn where curves are compared."""
    levels = sorted(level for curve in chart.curves for level in curve.lower)
    return levels[:1] if len(chart.names) > 1 else []


def _label(name: str) -> str:
    """A name for the legend, which leaves out those that begin with an underscore."""
    return f" {name}" if name.startswith("_") else name


def time_axis(axes: Axes, time: Shaped[np.ndarray, " n"], step: str) -> None:
    """As many readable ticks as there is room for: dates, or numbers with what they count below them."""
    room = int(np.clip(axes.get_position().width * style.WIDTH / ROOM, 3, 9))
    dated = np.issubdtype(np.asarray(time).dtype, np.datetime64) and len(time) > 0
    if dated:
        # With less than twice the least there would be no interval for some ranges, such as three days by halves.
        locator = AutoDateLocator(minticks=(room - 1) // 2, maxticks=room)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(DateFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=min(room + 1, 8)))
        axes.set_xlabel(f"time in {step}s")
    if len(time) and (time == time[0]).all():  # an axis of one time alone would run over years
        edge = np.timedelta64(1, "D") if dated else 1
        axes.set_xlim(time[0] - edge, time[0] + edge)
        axes.set_xticks([time[0]])
