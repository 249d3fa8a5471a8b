"""How the pictures look: the colours, and the common style of axes and lines.

It only works on axes that are passed in and imports no drawing library at its top, so that the words and colours
are known without one. There are two palettes, and a picture takes the one that can be read on the ground of its
figure: a user who draws on black (`plt.style.use("dark_background")`) gets light letters and lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from statecast.display.lettering import drawable, families, fitting, letter

WIDTH = 7.6  # of a figure, in inches
NAME = 2.2  # inches of a name beside a row
CHARACTERS = 130  # of a legend that it has room for in a row
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


def palette(picture: Any) -> Palette:
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


def colours(names: Sequence[str], compared: Sequence[str] = LIGHT.compared) -> dict[str, str]:
    """A colour for each name."""
    return {name: compared[n % len(compared)] for n, name in enumerate(names)}


def title(figure: Any, text: str) -> None:
    """The title of a figure; dollar signs are dollar signs."""
    look: dict[str, Any] = {
        "ha": "left",
        "fontsize": 10,
        "color": palette(figure).ink,
        "fontweight": "bold",
        "parse_math": False,
    }
    letter(figure.suptitle(text, x=0.01, **look))


def dress(axes: Any) -> None:
    """Quiet axes: a light grid across, no frame, small labels, and numbers as people write them."""
    from statecast.display.ticks import write_numbers  # there are axes, so matplotlib is loaded

    write_numbers(axes)
    look = palette(axes)
    axes.set_facecolor(look.ground)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(look.grid)
    axes.tick_params(which="both", colors=look.soft, labelsize=8, length=0)
    axes.grid(axis="y", color=look.grid, lw=0.8)
    axes.set_axisbelow(True)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set(color=look.soft, fontsize=8.5)


def name(axes: Any, target: str, series: str) -> None:
    """Dresses a panel and puts the target above it; the target's name is also its unit."""
    dress(axes)
    inches = axes.get_window_extent().width / axes.figure.dpi
    text = fitting(f"{target} · {series}" if series else target, inches)
    letter(axes.set_title(text, loc="left", fontsize=9, color=palette(axes).ink, parse_math=False))


def legend(figure: Any, panels: Sequence[Any], columns: int = 6, markerscale: float = 1) -> None:
    """One legend for all panels, below them, each label once."""
    pairs = [pair for axes in panels for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    longest = max((len(label) for _, label in pairs), default=0)
    fitting = max(min(columns, CHARACTERS // (longest + 6)), 1)
    _legend(figure, pairs, loc="outside lower left", ncols=fitting, markerscale=markerscale)


def key(axes: Any) -> None:
    """A legend inside of axes that are the user's."""
    _legend(axes, list(zip(*axes.get_legend_handles_labels(), strict=True)), loc="best", frameon=True, framealpha=0.8,
            facecolor=palette(axes).ground, edgecolor=palette(axes).grid)  # fmt: skip


def _legend(place: Any, pairs: Sequence[tuple[Any, str]], **look: Any) -> None:
    handles = {key: handle for handle, key in reversed(pairs)}
    if handles:
        order = list(dict.fromkeys(key for _, key in pairs))
        look = {"frameon": False, "fontsize": 8.5, "labelcolor": palette(place).ink} | look
        for text in place.legend([handles[key] for key in order], order, **look).get_texts():
            text.set_parse_math(False)
            letter(text)


def row_names(axes: Any, names: Sequence[str]) -> None:
    """Names beside the rows of a picture, from 0 on."""
    axes.set_yticks(range(len(names)), [drawable(fitting(name, NAME)) for name in names], parse_math=False)
    if not all(name.isascii() for name in names):
        axes.tick_params(axis="y", labelfontfamily=list(families()))


def column_names(axes: Any, names: Sequence[str]) -> None:
    """Names below the columns of a picture, from 0 on; slanted where there are many letters."""
    slant = {"rotation": 30, "ha": "right"} if sum(map(len, names)) > 60 else {}
    axes.set_xticks(range(len(names)), [drawable(fitting(name, NAME)) for name in names], parse_math=False, **slant)
    if not all(name.isascii() for name in names):
        axes.tick_params(axis="x", labelfontfamily=list(families()))


def line(axes: Any, time: Any, value: Any, colour: str, label: str, width: float, marker: str = "") -> None:
    """A line with gaps where values are missing; a value between two gaps is a dot, or it would not be visible."""
    value = np.asarray(value, np.float64)
    finite = np.pad(np.isfinite(value), 1)
    alone = finite[1:-1] & ~finite[:-2] & ~finite[2:]
    axes.plot(time, np.where(finite[1:-1], value, np.nan), color=colour, lw=width, label=label, marker=marker, ms=3)
    if alone.any() and not marker:
        axes.plot(np.asarray(time)[alone], value[alone], color=colour, ls="", marker="o", ms=2 * width)
