"""Pieces of HTML: tables and sections of a page, and the cards by which a notebook shows an object.

A card takes the colours of text from the notebook around it and has no ground of its own, so it looks right in a light
and in a dark one, whatever program shows it. It is a few kilobytes and runs no script. All text is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from statecast.display.chart import Chart
from statecast.display.numbers import number
from statecast.display.sketch import sketch
from statecast.display.units import with_unit

SKETCHES = 4  # charts in a card
ROWS = 8  # of a table in a card
CARD = (
    ".statecast{font-size:13px;line-height:1.45;max-width:56em;overflow-x:auto}"
    ".statecast b.title{font-size:15px}"
    ".statecast table{color:inherit;font-size:inherit;border-collapse:collapse;margin:.4em 0;"
    "font-variant-numeric:tabular-nums}"
    ".statecast tr{background:transparent!important}"
    ".statecast th,.statecast td{color:inherit;border:0;border-bottom:1px solid rgba(128,128,128,.35);"
    "padding:.15em .7em .15em 0;text-align:right;white-space:nowrap}"
    ".statecast th{font-weight:600}"
    ".statecast .words td,.statecast .words th{text-align:left;white-space:normal;vertical-align:top;"
    "overflow-wrap:break-word}"
    ".statecast td:first-child,.statecast th:first-child{text-align:left}"
    ".statecast .words td:first-child{white-space:nowrap;opacity:.75}"
    ".statecast summary{cursor:pointer}.statecast p{margin:.3em 0}"
    ".statecast .sketches{display:flex;flex-wrap:wrap;gap:.3em 1.2em}"
)


def html_section(heading: str, content: str, text: str = "") -> str:
    """A section of a page.

    Args:
        heading: as plain text, which is escaped here.
        content: HTML, taken as it is.
        text: a paragraph before the content, as plain text.
    """
    words = f"<p>{escape(text)}</p>" if text else ""
    return f"<section><h2>{escape(heading)}</h2>{words}{content}</section>"


def html_table(heading: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "", marks: Sequence[str] = ()) -> str:
    """A table of plain texts, which are escaped here.

    Args:
        heading: the texts of the first row; no such row where empty.
        rows: the texts of each further row.
        kind: the CSS class of the table.
        marks: the CSS class of each row.
    """
    head = f"<thead>{_row(heading, 'th')}</thead>" if heading else ""
    marks = marks or [""] * len(rows)
    body = "".join(_row(row, "td", mark) for row, mark in zip(rows, marks, strict=True))
    return f"<div class=wide><table class='{kind}'>{head}<tbody>{body}</tbody></table></div>"


def _row(cells: Sequence[str], tag: str, mark: str = "") -> str:
    return f"<tr class='{mark}'>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def card(title: str, *parts: str) -> str:
    """A card of a notebook: a title as plain text, and parts that are HTML."""
    return f"<div class=statecast><style>{CARD}</style><b class=title>{escape(title)}</b>{''.join(parts)}</div>"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what they are, without those that are empty."""
    return html_table([], [[name, text] for name, text in rows if text], "words")


def folded(summary: str, content: str) -> str:
    """HTML that opens when its summary, a plain text, is clicked; nothing where there is no content."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>" if content else ""


def paragraphs(sentences: Iterable[str]) -> str:
    """Plain sentences, a paragraph each."""
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def sketches(charts: Sequence[Chart]) -> str:
    """Small pictures of the first charts."""
    return (
        f"<div class=sketches>{''.join(f'<div>{sketch(chart)}</div>' for chart in charts[:SKETCHES])}</div>"
        if charts
        else ""
    )


def forecast_table(charts: Sequence[Chart], count: int) -> str:
    """The numbers of forecasts: step by step where there is one chart in all, otherwise the ends of each.

    Args:
        charts: the first of them; with a single curve each.
        count: charts in all.
    """
    if count == 1 and charts:
        curve = charts[0].curves[0]
        levels = sorted(curve.lower)
        heading = ["", with_unit(charts[0].target), *(f"{level:g} % interval" for level in levels)]
        rows = [
            [_time(curve.time[n]), number(curve.values[n])]
            + [f"{number(curve.lower[level][n])} to {number(curve.upper[level][n])}" for level in levels]
            for n in _ends(len(curve.values))
        ]
        return html_table(heading, rows) + _more(len(curve.values) - len(rows), "step")
    rows = []
    for chart in charts[:ROWS]:
        curve = chart.curves[0]
        rows.append([chart.title, *(number(value) for value in (curve.values[0], curve.values[-1]))])
    return html_table(["", "next step", "last step"], rows) + _more(count - len(rows), "series or target")


def _ends(count: int) -> list[int]:
    """The first steps and the last one."""
    return list(range(count)) if count <= ROWS else [*range(ROWS - 1), count - 1]


def _more(count: int, what: str) -> str:
    plural = {"step": "steps", "series or target": "series or targets"}[what]
    return f"<p>and {count:,} {what if count == 1 else plural} more</p>" if count > 0 else ""


def _time(value: object) -> str:
    return str(value).replace("T", " ").removesuffix(".000000")
