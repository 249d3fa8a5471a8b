"""A chart as a small picture of lines in HTML (SVG): a few kilobytes, without a drawing library.

Its text and the line of actual values have the colour of the text around it; the forecast and its intervals have
colours that can be told from a light and from a dark ground.
"""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.display.chart import Chart, Curve
from statecast.display.numbers import amount, number

if TYPE_CHECKING:
    from jaxtyping import Float

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 380, 134, 52, 18, 22  # in pixels; the picture lies inside of these margins
MOST = 160  # points of a line; of more, the least and the greatest of each stretch are drawn
COLOURS = ("#2b8fd0", "#d9732a", "#2f9e6e", "#c06aa8", "#a8862a", "#808c98")  # 3 : 1 at least on white and on black


def sketch(chart: Chart) -> str:
    """A chart as SVG; its names are escaped."""
    place = _Frame(chart)
    parts = [_grid(place)]
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(chart.names)}
    for curve in chart.curves if len(colours) == 1 else ():  # of several, the intervals would hide one another
        parts += [_band(place, curve, level) for level in sorted(curve.lower, reverse=True)[:2]]
    parts.append(_line(place, chart.time, chart.actual, "currentColor"))
    parts += [_line(place, curve.time, curve.values, colours[curve.name]) for curve in chart.curves]
    key = _key(colours) if len(colours) > 1 else ""
    label = f"{chart.title}: {', '.join(chart.names) or 'values'}"
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" style="max-width:100%" font-size="10">'
        f"{_text(0, 10, _short(chart.title), 'start')}{''.join(parts)}</svg>{key}"
    )


def _key(colours: dict[str, str]) -> str:
    """The names of lines below a picture, each after a piece of its line."""
    look = "white-space:nowrap;margin-right:1em"
    marks = (
        f'<span style="{look}"><b style="color:{colour}">―</b> {escape(_short(name))}</span>'
        for name, colour in colours.items()
    )
    return f"<div>{' '.join(marks)}</div>"


class _Frame:
    """Where on the picture a time and a value lie."""

    def __init__(self, chart: Chart) -> None:
        times = chart.span
        values = [chart.actual]
        for curve in chart.curves:
            values += [curve.values, *list(curve.lower.values())[:2], *list(curve.upper.values())[:2]]
        finite = np.concatenate([part[np.isfinite(part)] for part in values] or [np.zeros(0)])
        self.first, self.last = times.min(), times.max()
        self.low, self.high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        self.ends = _time(self.first), _time(self.last)

    def x(self, time: Any) -> Float[np.ndarray, " n"]:
        """Pixels from the left."""
        length = (self.last - self.first) / np.timedelta64(1, "us") if _dated(self.first) else self.last - self.first
        size = (time - self.first) / np.timedelta64(1, "us") if _dated(self.first) else time - self.first
        return np.asarray(LEFT + (WIDTH - LEFT - 8) * (size / (float(length) or 1.0)), np.float64)

    def y(self, value: Any) -> Float[np.ndarray, " n"]:
        """Pixels from the top."""
        half = self.high / 2 - self.low / 2  # halves, as the whole may be beyond the largest number
        share = (np.asarray(value) / 2 - self.low / 2) / half if half > 0 else np.full(np.shape(value), 0.5)
        return np.asarray(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share, np.float64)


def _dated(time: Any) -> bool:
    return bool(np.issubdtype(np.asarray(time).dtype, np.datetime64))


def _grid(place: _Frame) -> str:
    ends = list(dict.fromkeys((place.low, place.high)))
    texts = [amount(value) for value in ends]
    texts = texts if len(set(texts)) == len(ends) else list(map(number, ends))  # near each other: with more digits
    lines = [_rule(float(place.y(value))) + _text(LEFT - 6, float(place.y(value)) + 3, text, "end")
             for value, text in zip(ends, texts, strict=True)]  # fmt: skip
    below = _text(LEFT, HEIGHT - 4, place.ends[0], "start") + _text(WIDTH - 8, HEIGHT - 4, place.ends[1], "end")
    return "".join(lines) + below


def _rule(y: float) -> str:
    ends = f'x1="{LEFT}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"'
    return f'<line {ends} stroke="currentColor" stroke-opacity=".2"></line>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    look = f'fill="currentColor" fill-opacity=".75" text-anchor="{anchor}"'
    return f'<text x="{x:.0f}" y="{y:.0f}" {look}>{escape(text)}</text>'


def _line(place: _Frame, time: Any, values: Any, colour: str) -> str:
    """A line with gaps where values are missing; a value alone is a dot."""
    at = _thinned(values)
    known = np.isfinite(values[at])
    points = list(zip(place.x(time[at]).tolist(), place.y(values[at]).tolist(), known.tolist(), strict=True))
    path, pen = "", "M"
    for x, y, is_known in points:
        path += f"{pen}{x:.1f} {y:.1f}" if is_known else ""
        pen = "L" if is_known else "M"
    look = f'stroke="{colour}" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" fill="none"'
    dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y, is_known in points if is_known) if known.sum() < 3 else ""
    wide = f'<path d="{dots}" {look.replace("1.5", "4")}></path>' if dots else ""
    return (f'<path d="{path}" {look}></path>' if path else "") + wide


def _band(place: _Frame, curve: Curve, level: float) -> str:
    upper, lower = curve.upper[level], curve.lower[level]
    at = _thinned(upper)
    x = place.x(curve.time[at])
    edge = [*zip(x, place.y(upper[at]), strict=True), *reversed(list(zip(x, place.y(lower[at]), strict=True)))]
    if len(x) == 1:  # a bar, as a point has no width
        (left, top), (_, bottom) = edge
        edge = [(left - 2, top), (left + 2, top), (left + 2, bottom), (left - 2, bottom)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in edge)
    return f'<polygon points="{points}" fill="{COLOURS[0]}" fill-opacity=".2"></polygon>'


def _thinned(values: Float[np.ndarray, " n"]) -> Any:
    """The places of the values to draw, in order: of each of many stretches the least and the greatest."""
    if len(values) <= MOST:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), MOST // 2 + 1).astype(np.int64)
    places = [0, len(values) - 1]
    for begin, end in pairwise(edges):
        part = values[begin:end]
        if np.isfinite(part).any():
            places += [int(begin + np.nanargmin(part)), int(begin + np.nanargmax(part))]
        if not np.isfinite(part).all():
            places.append(int(begin + np.argmin(np.isfinite(part))))
    return np.unique(places)


def _time(value: Any) -> str:
    text = str(value).replace("T", " ").removesuffix(".000000").removesuffix(":00")
    return text.removesuffix(" 00:00")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
