"""A classifier's test rows drawn on axes: how they were told apart, and whether its probabilities are what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from statecast.display import palette, style
from statecast.report.summary import percent

MOST = 12  # classes whose counts are written into the picture


def confusion(axes: Any, evaluation: Mapping[str, Any]) -> None:
    """Rows by their class and by the predicted one: the more colour, the larger the share of the row."""
    counts, names = np.asarray(evaluation["confusion"]), [str(name) for name in evaluation["classes"]]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    look = palette.of(axes)
    axes.imshow(shares, cmap=palette.shades(look), vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts if len(names) <= MOST else np.zeros((0, 0))):
        colour = look.ground if shares[row, column] > 0.55 else look.ink
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=9)
    shown = names if len(names) <= 2 * MOST else [""] * len(names)
    style.dress(axes)
    style.row_names(axes, shown)
    style.column_names(axes, shown)
    axes.grid(visible=False)
    axes.set(xlabel="predicted class", ylabel="true class")


def reliability(axes: Any, evaluation: Mapping[str, Any]) -> None:
    """The share of answers that were right by the probability that they were given, with intervals of 95 %."""
    table = evaluation["reliability"]
    probability, share, low, high = (np.array([part[name] for part in table]) for name in COLUMNS)
    look = palette.of(axes)
    axes.plot([0, 1], [0, 1], color=look.soft, lw=1, ls=(0, (4, 2)), label="as often as it says")
    axes.vlines(probability, low, high, color=look.bands[0], lw=3, label="95 % interval")
    dots: dict[str, Any] = {"color": look.main, "marker": "o", "ms": 5, "lw": 1.4, "label": "what came true"}
    axes.plot(probability, share, **dots)
    for part in table:
        axes.annotate(f"{part['rows']:,}", (part["probability"], part["low"]), xytext=(0, -10), fontsize=7.5,
                      textcoords="offset points", ha="center", color=look.soft)  # fmt: skip
    style.dress(axes)
    ticks = np.linspace(0, 1, 6)
    for places in (axes.set_xticks, axes.set_yticks):
        places(ticks, [percent(float(tick)) for tick in ticks])
    axes.set(xlim=(0, 1.02), ylim=(-0.06, 1.04), xlabel="probability of the answer", ylabel="share that was right")


COLUMNS = ("probability", "share", "low", "high")
