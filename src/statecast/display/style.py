"""How the pictures look: the colours, and the common style of axes and lines.

It only works on axes that are passed in and imports no drawing library at its top, so that the words and colours
are known without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from statecast.display import palette
from statecast.display.lettering import drawable, families, fitting, letter
from statecast.display.units import with_unit

WIDTH = 7.6  # of a figure, in inches
NAME = 2.2  # inches of a name beside a row
CHARACTERS = 130  # of a legend that it has room for in a row


def colours(names: Sequence[str], compared: Sequence[str] = palette.LIGHT.compared) -> dict[str, str]:
    """A colour for each name."""
    return {name: compared[n % len(compared)] for n, name in enumerate(names)}


def title(figure: Any, text: str) -> None:
    """The title of a figure; dollar signs are dollar signs."""
    look: dict[str, Any] = {
        "ha": "left",
        "fontsize": 10,
        "color": palette.of(figure).ink,
        "fontweight": "bold",
        "parse_math": False,
    }
    letter(figure.suptitle(text, x=0.01, **look))


def dress(axes: Any) -> None:
    """Quiet axes: a light grid across, no frame, small labels, and numbers as people write them."""
    from statecast.display.ticks import write_numbers  # there are axes, so matplotlib is loaded

    write_numbers(axes)
    look = palette.of(axes)
    axes.set_facecolor(look.ground)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(look.grid)
    axes.tick_params(which="both", colors=look.soft, labelsize=8, length=0)
    axes.grid(axis="y", color=look.grid, lw=0.8)
    axes.set_axisbelow(True)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set(color=look.soft, fontsize=8.5)


def name(axes: Any, target: str, series: str) -> None:
    """Dresses a panel and puts the target above it, with its unit where the name says one."""
    dress(axes)
    inches = axes.get_window_extent().width / axes.figure.dpi
    text = fitting(" · ".join(filter(None, (with_unit(target), series))), inches)
    letter(axes.set_title(text, loc="left", fontsize=9, color=palette.of(axes).ink, parse_math=False))


def legend(figure: Any, panels: Sequence[Any], columns: int = 6, markerscale: float = 1) -> None:
    """One legend for all panels, below them, each label once."""
    pairs = [pair for axes in panels for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    longest = max((len(label) for _, label in pairs), default=0)
    fitting = max(min(columns, CHARACTERS // (longest + 6)), 1)
    _legend(figure, pairs, loc="outside lower left", ncols=fitting, markerscale=markerscale)


def key(axes: Any) -> None:
    """A legend inside of axes that are the user's."""
    _legend(axes, list(zip(*axes.get_legend_handles_labels(), strict=True)), loc="best", frameon=True, framealpha=0.8,
            facecolor=palette.of(axes).ground, edgecolor=palette.of(axes).grid)  # fmt: skip


def _legend(place: Any, pairs: Sequence[tuple[Any, str]], **look: Any) -> None:
    handles = {key: handle for handle, key in reversed(pairs)}
    if handles:
        order = list(dict.fromkeys(key for _, key in pairs))
        look = {"frameon": False, "fontsize": 8.5, "labelcolor": palette.of(place).ink} | look
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
