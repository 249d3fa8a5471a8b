"""The error of each forecast by step ahead, drawn on axes: lines, or bars where there is one step alone.

It only works on axes that are passed in and imports no drawing library, so that `plot` stays the one place that does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.display.numbers import amount
from statecast.display.palette import LIGHT
from statecast.report.summary import number, spoken

if TYPE_CHECKING:
    from jaxtyping import Float


FEW = 13  # steps ahead below which each has a dot
ROOM = 3.0  # the greatest error that is drawn, as a multiple of the network's greatest

LINES: Mapping[str, tuple[str, Any]] = {
    "statecast": (LIGHT.main, "-"),
    "persistence": ("#b87a00", (0, (5, 2))),
    "seasonal_naive": ("#009e73", (0, (1, 1.5))),
    "linear_extrapolation": ("#b8568f", (0, (5, 1.5, 1, 1.5))),
}
"""Colour and dash pattern of each forecaster."""


def label(name: str) -> str:
    """A forecaster's name in a legend."""
    return name if name == "statecast" else spoken(name)


def lines(axes: Any, errors: Mapping[str, Float[np.ndarray, " H"]], step: str) -> None:
    """A line for each forecast through its errors [H] at each step ahead; what leaves the top is named."""
    top = _cap(errors)
    beyond = []
    for name, value in errors.items():
        colour, dashes = LINES.get(name, (LIGHT.soft, "-"))
        highest = float(np.nanmax(value, initial=0.0))
        if highest > top:
            beyond.append(f"{label(name)} up to {amount(highest)}")
        width = 2.2 if name == "statecast" else 1.5
        dot = "o" if len(value) < FEW else ""  # a line between two missing values would not be visible
        look = {"color": colour, "ls": dashes, "lw": width, "marker": dot, "ms": 3, "label": label(name)}
        axes.plot(np.arange(1, len(value) + 1), value, **look)
    if beyond:
        ground = {"facecolor": LIGHT.ground, "alpha": 0.8, "lw": 0, "pad": 1}
        look = {"ha": "right", "va": "top", "fontsize": 7.5, "color": LIGHT.soft, "bbox": ground}
        axes.text(0.995, 0.98, "\n".join(["beyond the top:", *beyond]), transform=axes.transAxes, **look)
    horizon = max(len(value) for value in errors.values())
    edge = 0.02 * (horizon - 1)  # a dot at the first step is whole
    axes.set(ylim=(0, top), xlim=(1 - edge, horizon + edge), xlabel=f"{step}s ahead", ylabel="mean absolute error")
    axes.xaxis.get_major_locator().set_params(integer=True)


def bars(axes: Any, errors: Mapping[str, float]) -> None:
    """A bar for each forecast as long as its error one step ahead."""
    colours = [LINES.get(name, (LIGHT.soft, "-"))[0] for name in errors]
    axes.barh(range(len(errors)), list(errors.values()), color=colours, height=0.6)
    axes.set_yticks(range(len(errors)), [label(name) for name in errors])
    for row, value in enumerate(errors.values()):
        axes.text(value, row, f" {number(value)}", va="center", color=LIGHT.ink, fontsize=9)
    axes.invert_yaxis()
    # Before the first complete forecast an error is not known, and NumPy's NaN would be no limit of an axis.
    axes.set_xlim(0, 1.15 * max((value for value in errors.values() if math.isfinite(value)), default=0.0) or 1.0)
    axes.set_xlabel("mean absolute error, one step ahead")
    axes.grid(visible=False)


def _cap(errors: Mapping[str, Any]) -> float:
    """The top of the axis: at most `ROOM` times the network's greatest error, whose line must not lie on the ground."""
    tops = {name: float(np.nanmax(value, initial=0.0)) for name, value in errors.items()}
    largest, network = max(tops.values()), tops.get("statecast", 0.0)
    return 1.05 * (min(largest, ROOM * network) if network > 0 else largest) or 1.0
