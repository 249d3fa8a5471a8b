"""How the pictures look: the colours, and the common style of axes and lines.

It only works on axes that are passed in and imports no drawing library, so that `plot` stays the one place that does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from statecast.report.summary import spoken

INK, SOFT, GRID, GROUND = "#22303c", "#5b6b79", "#e6eaee", "#ffffff"
STATECAST, FAR = "#0072b2", "#d55e00"
BANDS = ("#8fc0de", "#cfe3f1", "#e6f1f8")
"""Of intervals, the narrowest first; opaque, so that the legend shows the same."""
LINES: Mapping[str, tuple[str, Any]] = {
    "statecast": (STATECAST, "-"),
    "persistence": ("#b87a00", (0, (5, 2))),
    "seasonal_naive": ("#009e73", (0, (1, 1.5))),
    "linear_extrapolation": ("#b8568f", (0, (5, 1.5, 1, 1.5))),
}
"""Colour and dash pattern of each forecaster."""


def label(name: str) -> str:
    """A forecaster's name in a legend."""
    return name if name == "statecast" else spoken(name)


def dress(axes: Any) -> None:
    """Quiet axes: a light grid across, no frame, small labels."""
    axes.set_facecolor(GROUND)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(which="both", colors=SOFT, labelsize=8, length=0)
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.xaxis.get_offset_text(), axes.yaxis.get_offset_text()):
        text.set(color=SOFT, fontsize=8.5)


def name(axes: Any, target: str, series: str) -> None:
    """Dresses a panel and puts the target above it; the target's name is also its unit."""
    dress(axes)
    axes.set_title(f"{target} · {series}" if series else target, loc="left", fontsize=9, color=INK)


def legend(figure: Any, panels: Sequence[Any], columns: int = 6, markerscale: float = 1) -> None:
    """One legend for all panels, below them, each label once."""
    pairs = [pair for axes in panels for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    handles = {key: handle for handle, key in reversed(pairs)}
    if handles:
        order = list(dict.fromkeys(key for _, key in pairs))
        style: dict[str, Any] = {"frameon": False, "fontsize": 8.5, "labelcolor": INK, "markerscale": markerscale}
        figure.legend([handles[key] for key in order], order, loc="outside lower left", ncols=columns, **style)


def line(axes: Any, time: Any, value: Any, colour: str, label: str, width: float, marker: str = "") -> None:
    """A line with gaps where values are missing; a value between two gaps is a dot, or it would not be visible."""
    value = np.asarray(value, np.float64)
    finite = np.pad(np.isfinite(value), 1)
    alone = finite[1:-1] & ~finite[:-2] & ~finite[2:]
    axes.plot(time, np.where(finite[1:-1], value, np.nan), color=colour, lw=width, label=label, marker=marker, ms=3)
    if alone.any() and not marker:
        axes.plot(np.asarray(time)[alone], value[alone], color=colour, ls="", marker="o", ms=2 * width)
