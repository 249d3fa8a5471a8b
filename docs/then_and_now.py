"""Draws the pictures of the five tutorials: the tutorial's network beside statecast's, on the same test rows.

    python docs/then_and_now.py x-sin bell walk           a few seconds each
    python docs/then_and_now.py saw                        minutes: an LSTM of 300 units
    python docs/then_and_now.py ibex --data tables         a table that may not be shipped

The recipes are those of the gallery; `pictures.py` says how a drawing follows the colours of the page.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import dates
from matplotlib.figure import Figure
from pictures import BLUE, ORANGE, PALE, STYLE, figure, save

from statecast.gallery import cases, forecasting
from statecast.gallery.result import Track

ROWS = {"x-sin": None, "saw": 54, "bell": None, "walk": None, "ibex": 120}
"""Test rows that are shown, from the first one; all of them where None."""


def drawn(name: str, data: Path | None) -> Figure:
    """What each recipe forecast of the first target's test rows, over what happened."""
    case = cases.load(name)
    drawing, panels = figure(1, 2, 2.6, sharey=True)
    titles = {"tutorial": "then: the tutorial's network", "statecast": "now: statecast"}
    for axes, (recipe, title), colour in zip(panels, titles.items(), (ORANGE, BLUE), strict=True):
        track = forecasting.run(case, recipe, data).tracks[0]
        both(axes, track, ROWS[name], colour)
        axes.set_title(title)
    panels[0].legend(loc="upper left", fontsize=8)
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(low, high + 0.18 * (high - low))  # room for the legend
    return drawing


def both(axes: mpl.axes.Axes, track: Track, rows: int | None, colour: str) -> None:
    """A broad line for what happened, and a thin one for what was forecast."""
    axes.plot(track.time[:rows], track.actual[:rows], color=PALE, lw=4, label="what happened")
    axes.plot(track.time[:rows], track.predicted[:rows], color=colour, lw=1.1, label="forecast")
    if np.issubdtype(track.time.dtype, np.datetime64):
        axes.xaxis.set_major_locator(locator := dates.AutoDateLocator(maxticks=5))
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))


def main() -> None:
    """Draw those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", choices=ROWS)
    parser.add_argument("--data", type=Path, help="the folder of tables that are not shipped")
    options = parser.parse_args()
    with mpl.rc_context(STYLE):
        for name in options.cases:
            save(drawn(name, options.data), f"then-{name}")


if __name__ == "__main__":
    main()
