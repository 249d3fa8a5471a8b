"""From charts to a picture by the drawing library that the user names; neither is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from statecast.display.chart import Chart, require_backend
from statecast.errors import SettingError

NOTHING = "there is nothing to draw: no series has a forecast"


def draw(charts: Sequence[Chart], backend: str, title: str, ax: Any = None) -> Any:
    """Draw charts.

    Args:
        charts: at least one.
        backend: "matplotlib" or "plotly".
        title: of the picture, as plain text.
        ax: axes of matplotlib to draw on, one for each chart; a new figure of pyplot if None.

    Returns:
        The axes: one, or an array of them where there are several charts, of which the first six are drawn. From
        plotly a figure, in which a menu chooses among the charts.

    Raises:
        SettingError: another backend, nothing to draw, or other axes than expected.
        MissingDependency: the library is not installed.
    """
    require_backend(backend)
    if not charts:
        raise SettingError(NOTHING)
    if backend == "plotly":
        from statecast.display import interactive

        if ax is not None:
            raise SettingError(
                'ax: plotly cannot draw on axes of matplotlib: leave it out, or take backend="matplotlib"'
            )
        return interactive.figure(charts, title)
    from statecast.display import axes

    return axes.figure(charts, title, ax)
