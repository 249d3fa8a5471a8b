"""The report as one HTML file that a person can read, mail and print.

Nothing in it is loaded from elsewhere and nothing runs: pictures are inside as data, the style is a few lines, and the
page's own security policy forbids the rest. What matters comes first: one sentence on how good the network is, a
picture of a forecast, the scores beside the baselines; how it was made comes last. All text is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from statecast.files import write_text
from statecast.report.summary import (
    Report,
    facts_table,
    headline,
    layers_table,
    number,
    percent,
    residual_remark,
    score_tables,
    signed_percent,
    spoken,
    value_text,
    verdict,
)

CAPTIONS = {
    "forecast": (
        "One forecast, and what came",
        "Dark is what happened, blue is what the network said at the dotted line, when it knew nothing to the right of "
        "it. Of the values that came, the shaded bands should hold the share in their name.",
    ),
    "future": ("What comes next", "The forecast that begins where the table ends."),
    "rolling": (
        "The whole test, forecast by forecast",
        "Forecasts laid end to end: each begins where the last one ended, knowing all values up to there.",
    ),
    "error_by_step": (
        "How far ahead it can see",
        "The mean absolute error for each step ahead. Where the network's line is not the lowest, the simpler forecast "
        "is the better one at that distance.",
    ),
    "loss": (
        "Training",
        "The loss on the rows that the network learned from, and on later ones that it did not. The weights with the "
        "best validation loss were kept, unless the gain since the start may be luck: then those of the start were, as "
        "the setting significance says below.",
    ),
    "residuals": (
        "What it missed",
        "Residuals: what happened minus what was forecast. Good ones have no trend and no pattern, and lie evenly "
        "around zero.",
    ),
    "autocorrelation": (
        "What is left to learn",
        "Autocorrelation: how much a value tells of the one some steps later, left in the series, right in what the "
        "network left over. Bars far outside the band on the right are structure that it has not learned.",
    ),
    "importance": (
        "What the network used",
        "Permutation importance: the values of one input were shuffled among the validation rows, and this is by how "
        "much the error grew. Around zero the network does without it. Lags are counted from the last value, relative "
        "to it; that value itself, from which every forecast starts, is not among them.",
    ),
    "gates": (
        "How it moved",
        "The gates of the first recurrent layer through the last validation rows, a line for each unit: where a forget "
        "gate is dark the unit keeps its state, where an update or input gate is dark it takes in something new.",
    ),
}
"""Heading and explanation of each picture."""

STYLE = """
:root{color-scheme:light dark;--ground:#f5f7f8;--card:#fff;--ink:#22303c;--soft:#5b6b79;--line:#e1e6ea;--mark:#0072b2;
--good:#00715a;--bad:#a94400}
@media(prefers-color-scheme:dark){:root{--ground:#151b20;--card:#1e262d;--ink:#e3e9ee;--soft:#9aa9b5;--line:#33404a;
--mark:#63b3e4;--good:#4cc9a4;--bad:#f0985a}img{filter:brightness(.92)}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Liberation Sans",sans-serif;font-variant-numeric:tabular-nums}
main{max-width:62rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1rem;font-weight:600;color:var(--soft);margin:0 0 .6rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;line-height:1.3;margin:0 0 .35rem}
.lead{font-size:clamp(1.35rem,3.6vw,1.9rem);line-height:1.3;font-weight:600;margin:0 0 1.5rem;text-wrap:pretty}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.25rem 1.4rem;
margin:0 0 1.25rem}
section>p{color:var(--soft);margin:0 0 1rem;max-width:46rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.75rem,1fr));gap:.75rem;margin:0 0 1.25rem}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:.8rem 1rem}
.tile b{display:block;font-size:1.5rem;line-height:1.3}.tile span{display:block;line-height:1.35;text-wrap:balance;
font-size:.85rem;color:var(--soft)}
.good{color:var(--good)}.bad{color:var(--bad)}
.wide{overflow-x:auto;margin:0}.wide+.wide{margin-top:1.25rem}
img{display:block;width:100%;height:auto;background:#fff;border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:.93rem}
th,td{text-align:right;padding:.4rem .7rem;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:600}tr:last-child td{border-bottom:0}
td:first-child,th:first-child{text-align:left;padding-left:0}
.words td,.words th{text-align:left;white-space:normal;vertical-align:top;overflow-wrap:break-word}
.words td:first-child{white-space:nowrap;color:var(--soft);width:1%}
.parts td:nth-child(-n+3),.parts th:nth-child(-n+3){text-align:left}
.own td{font-weight:700;color:var(--mark)}.sum td{font-weight:600}
ul{margin:0 0 1rem;padding-left:1.2rem}li{margin:.15rem 0}
footer{color:var(--soft);font-size:.85rem}
@media(max-width:40rem){main{padding:1.5rem .75rem 3rem}section{padding:1rem .9rem}.picture img{min-width:30rem}
.late{direction:rtl}
.words td:first-child{white-space:normal;width:32%}}
@media print{:root{--ground:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#ccc}body{font-size:11pt}main{padding:0;
max-width:none}section,.tile{break-inside:avoid;border-radius:0;padding:.6rem 0;border-width:0 0 1px}img{filter:none}}
"""


def write_page(report: Report, path: str | Path, made: Mapping[str, bytes] | None = None) -> Path:
    """Writes the report as one HTML file, whole or not at all, and returns its path.

    Args:
        report: what to show.
        path: of the file.
        made: the report's pictures, where `plot.images` made them already.

    Raises:
        MissingDependency: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    return write_text(path, render(report, made))


def render(report: Report, made: Mapping[str, bytes] | None = None) -> str:
    """The report as the text of one HTML page that needs no other file.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    pictures = _pictures(report, made)
    order = ("error_by_step", "importance", "gates", "loss", "residuals", "autocorrelation")
    body = [
        f"<header><h1>{escape(report.title)}</h1><p class=lead>{escape(headline(report))}</p></header>",
        _tiles(report),
        *(pictures.get(name, "") for name in ("forecast", "future")),
        _scores(report),
        *(pictures.get(name, "") for name in ("rolling", *order)),
        _network(report),
        _settings(report),
        _data(report),
        "<footer>Made by statecast. This page is complete in itself: it loads nothing and runs no script.</footer>",
    ]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv=Content-Security-Policy content="{policy}">\n'
        f"<title>{escape(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(filter(None, body))
        + "\n</main>\n</body>\n</html>\n"
    )


def _pictures(report: Report, made: Mapping[str, bytes] | None) -> dict[str, str]:
    if made is None:
        # Here and not at the top: matplotlib takes half a second, and a page is not always asked for.
        from statecast.report.plot import images

        made = images(report)
    return {name: _picture(report, name, image) for name, image in made.items()}


def _picture(report: Report, name: str, image: bytes) -> str:
    heading, caption = CAPTIONS[name]
    remark = residual_remark(report) if name == "autocorrelation" else ""
    data = base64.b64encode(image).decode()
    # On a narrow screen a picture scrolls; one of a forecast begins at its right end, where the forecast is.
    late = " late" if name in ("forecast", "future", "rolling") else ""
    return html_section(
        heading,
        f'<div class="wide picture{late}"><img alt="{escape(heading)}" src="data:image/png;base64,{data}"></div>',
        f"{caption} {remark}".strip(),
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


def _tiles(report: Report) -> str:
    """The few numbers that a reader looks for first."""
    tiles = []
    own = report.evaluation.get("statecast", {})
    targets = report.facts.targets
    if own.get("mae") is not None and len(targets) == 1:
        tiles.append((number(own["mae"]), f"mean absolute error, {targets[0]}", ""))
    for name, skill in report.evaluation.get("skill", {}).items():
        if skill is not None:
            tiles.append((signed_percent(skill), f"skill against {spoken(name)}", "good" if skill > 0 else "bad"))
    for key, share in own.items():
        if key.startswith("coverage/") and share is not None:
            tiles.append((percent(share), f"of values in the {key.removeprefix('coverage/')} % interval", ""))
    if not tiles:
        return ""
    cells = (f"<div class=tile><b class='{kind}'>{escape(b)}</b><span>{escape(s)}</span></div>" for b, s, kind in tiles)
    return f"<div class=tiles>{''.join(cells)}</div>"


def _scores(report: Report) -> str:
    sentences = [*(verdict(report.evaluation) if report.evaluation else ()), *report.notes]
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    tables = score_tables(report.evaluation)
    if not (items or tables):
        return ""
    content = f"<ul>{items}</ul>"
    for lines in tables:
        marks = ["own" if line[0] == "statecast" else "" for line in lines[1:]]
        content += html_table(lines[0], lines[1:], marks=marks)
    text = "Skill is 1 - error / error of the simple forecast: above zero the network is better, below it is worse."
    return html_section("Is it any good?", content, text if tables else "")


def _network(report: Report) -> str:
    table = layers_table(report.layers)
    if not table:
        return ""
    marks = [*[""] * (len(table) - 2), "sum"]
    return html_section("The network", html_table(table[0], table[1:], "parts", marks))


def _settings(report: Report) -> str:
    who = {True: "given", False: "chosen"}
    rows = [[item.name, value_text(item.value), who[item.given], item.reason] for item in report.settings]
    if not rows:
        return ""
    text = "What was given was taken as it is; the rest was chosen, for the reason beside it."
    return html_section("Settings", html_table(["setting", "value", "by", "reason"], rows, "words"), text)


def _data(report: Report) -> str:
    return html_section("The data", html_table([], facts_table(report.facts), "words"))


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
