"""The colours of pictures: one palette for a light ground and one for a dark one.

A picture takes the one that can be read on the ground of its figure, so a user who draws on black
(`plt.style.use("dark_background")`) gets light letters and lines. matplotlib is imported when it is asked.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

MIDDLE = 0.5  # luminance of a ground or of letters: what is above it is light


class Palette(NamedTuple):
    """The colours of a picture.

    Attributes:
        ink: of titles and of actual values.
        soft: of labels and of what is less important.
        grid: of lines behind everything.
        ground: behind it all.
        main: of what statecast forecasts.
        far: of what stands out against it.
        bands: of intervals, the narrowest first; opaque, so that the legend shows the same.
        compared: of curves that are compared, in their order; from the seventh on they repeat.
    """

    ink: str
    soft: str
    grid: str
    ground: str
    main: str
    far: str
    bands: tuple[str, ...]
    compared: tuple[str, ...]


LIGHT = Palette(
    ink="#22303c",
    soft="#5b6b79",
    grid="#e6eaee",
    ground="#ffffff",
    main="#0072b2",
    far="#d55e00",
    bands=("#8fc0de", "#cfe3f1", "#e6f1f8"),
    compared=("#0072b2", "#d55e00", "#009e73", "#b8568f", "#b87a00", "#5b6b79"),
)
DARK = Palette(
    ink="#e4eaef",
    soft="#9babb8",
    grid="#2b3741",
    ground="#11171c",
    main="#63b3e4",
    far="#ff9d5c",
    bands=("#2b5876", "#1e3d52", "#172c3a"),
    compared=("#63b3e4", "#ff9d5c", "#4cc9a4", "#e08cc0", "#e0b04c", "#9babb8"),
)


def of(picture: Any) -> Palette:
    """The colours that can be read on a figure, or on the figure of some axes; their ground is that of the figure."""
    figure = picture if hasattr(picture, "canvas") else picture.figure
    return _on(figure.canvas.figure.get_facecolor())  # a subfigure has the canvas of the whole


def preferred() -> Palette:
    """The colours for a new figure on the ground that the user's style of matplotlib gives to figures."""
    from matplotlib import rcParams

    return _on(rcParams["figure.facecolor"])


def _on(ground: Any) -> Palette:
    """The colours for a ground; the user's letters tell what lies behind one that can be seen through."""
    from matplotlib import rcParams
    from matplotlib.colors import to_hex, to_rgba

    opaque = to_rgba(ground)[3] > MIDDLE
    light = _luminance(ground) > MIDDLE if opaque else _luminance(rcParams["text.color"]) <= MIDDLE
    colours = LIGHT if light else DARK
    return colours._replace(ground=to_hex(ground)) if opaque else colours


def _luminance(colour: Any) -> float:
    """From 0, black, to 1, white (ITU-R BT.709)."""
    from matplotlib.colors import to_rgb

    return float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)))


def shades(colours: Palette) -> Any:
    """A map of colours from the ground, for 0, to the main colour, for 1."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", (colours.ground, colours.main))
