"""The report as one HTML file that a person can read, mail and print.

Nothing is loaded from elsewhere and nothing runs: pictures are embedded as data, the style is a few lines, and the
page's own security policy forbids everything else. What matters comes first: one sentence on how good the network is, a
picture of a forecast, the scores beside the baselines. How it was made comes last. All text is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from statecast.display.html import folded, html_section, html_table
from statecast.files import write_text
from statecast.forecast import attribution
from statecast.report.summary import (
    Report,
    Section,
    SettingChoice,
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
        "One forecast, and what happened",
        "The line that begins before the dotted line is what happened. The blue one is what the network forecast at "
        "the dotted line, knowing nothing to the right of it. Each shaded band should contain the share of values that "
        "it is named for.",
    ),
    "future": ("What comes next", "The forecast that starts where the table ends."),
    "rolling": (
        "The whole test, forecast by forecast",
        "Forecasts laid end to end: each starts where the one before it ends, and knows every value up to that point.",
    ),
    "breakdown": (
        "Where this forecast comes from",
        "The forecast beyond the end of the table, taken apart: every step begins at the level, parts above that line "
        "raise it and parts below lower it, and together they add up to the forecast. The season is the values a whole "
        "number of seasons before the step; the recurrence is what the layers remember of all rows before the last.",
    ),
    "error_by_step": (
        "How far ahead it can see",
        "The mean absolute error at each step ahead. Wherever the network's line is not the lowest, a simpler forecast "
        "is better at that distance.",
    ),
    "loss": (
        "Training",
        "The loss on the training rows and, if any were held out, on the validation rows. The weights with the best "
        "validation loss were kept.",
    ),
    "residuals": (
        "What it missed",
        "Residuals are actual values minus forecasts. Good ones show no trend and no pattern, and scatter evenly "
        "around zero.",
    ),
    "autocorrelation": (
        "What is left to learn",
        "Autocorrelation is how much a value says about the value some steps later: on the left for the series itself, "
        "on the right for the residuals. Bars far outside the band on the right are structure that the network has "
        "not learned.",
    ),
    "importance": (
        "What the network used",
        "Permutation importance: the values of one input were shuffled among the validation rows, and the bar shows "
        "how much the error grew. The network can do without an input near zero. Lags count back from the "
        "last value and are taken relative to it; that value itself, from which every forecast starts, is not "
        "included.",
    ),
    "gates": (
        "Inside the network",
        "The gates of the first recurrent layer over the last validation rows, one line for each unit. Where a forget "
        "gate is near 1, or the update gate of a GRU, the unit keeps its state; where an input gate is near 1, it "
        "takes something new in.",
    ),
}
"""Heading and explanation of each picture."""

STYLE = """
:root{color-scheme:light dark;--ground:#f5f7f8;--card:#fff;--ink:#22303c;--soft:#5b6b79;--line:#e1e6ea;--mark:#0072b2;
--good:#00715a;--bad:#a94400}
@media(prefers-color-scheme:dark){:root{--ground:#151b20;--card:#1e262d;--ink:#e3e9ee;--soft:#9aa9b5;--line:#33404a;
--mark:#63b3e4;--good:#4cc9a4;--bad:#f0985a}img{filter:invert(1) hue-rotate(180deg);mix-blend-mode:screen}}
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
img{display:block;max-width:100%;height:auto;background:#fff;border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:.93rem}
th,td{text-align:right;padding:.4rem .7rem;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:600}tr:last-child td{border-bottom:0}
td:first-child,th:first-child{text-align:left;padding-left:0}
.words td,.words th{text-align:left;white-space:normal;vertical-align:top;overflow-wrap:break-word}
.words td:first-child{white-space:nowrap;color:var(--soft);width:1%}
.targets th{white-space:normal;vertical-align:bottom}
.parts td:nth-child(-n+3),.parts th:nth-child(-n+3){text-align:left}
summary{cursor:pointer;color:var(--soft);margin-top:.8rem}
.own td{font-weight:700;color:var(--mark)}.sum td{font-weight:600}
ul{margin:0 0 1rem;padding-left:1.2rem}li{margin:.15rem 0}
footer{color:var(--soft);font-size:.85rem}
@media(max-width:40rem){main{padding:1.5rem .75rem 3rem}section{padding:1rem .9rem}.picture img{min-width:30rem}
.words td:first-child{white-space:normal;width:32%}
.reasons thead{display:none}.reasons tr{display:grid;grid-template-columns:1fr auto 5rem;gap:0 .7rem;
border-bottom:1px solid var(--line);padding:.4rem 0}.reasons td,.reasons td:first-child{border:0;padding:0;width:auto}
.reasons td:last-child{grid-column:1/-1}}
@media print{:root{--ground:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#ccc}body{font-size:11pt}main{padding:0;
max-width:none}section,.tile{break-inside:avoid;border-radius:0;padding:.6rem 0;border-width:0 0 1px}
img{filter:none;mix-blend-mode:normal}}
"""


def write_page(report: Report, path: str | Path, pictures: Mapping[str, bytes] | None = None) -> Path:
    """Writes the report as one HTML file, whole or not at all, and returns its path.

    Args:
        report: what to show.
        path: of the file.
        pictures: the report's `plot.images`, where they exist already.

    Raises:
        MissingDependency: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    return write_text(path, render(report, pictures))


def render(report: Report, pictures: Mapping[str, bytes] | None = None) -> str:
    """The report as the text of one HTML page that needs no other file.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    sections = _pictures(report, pictures)
    order = ("error_by_step", "importance", "gates", "loss", "residuals", "autocorrelation")
    body = [
        f"<header><h1>{escape(report.title)}</h1><p class=lead>{escape(headline(report))}</p></header>",
        _tiles(report),
        *(sections.get(name, "") for name in ("forecast", "future", "breakdown")),
        _scores(report),
        *map(_section, report.sections),
        *(sections.get(name, "") for name in ("rolling", *order)),
        _network(report),
        settings_section(report.settings),
        _data(report),
        "<footer>Made by statecast. This page is self-contained: it loads nothing and runs no scripts.</footer>",
    ]
    return document(report.title, body)


def document(title: str, body: Iterable[str], style: str = "") -> str:
    """A page that loads nothing and runs nothing.

    Args:
        title: as plain text.
        body: pieces of HTML; empty ones are left out.
        style: rules besides those of all pages.
    """
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv=Content-Security-Policy content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(filter(None, body))
        + "\n</main>\n</body>\n</html>\n"
    )


def _pictures(report: Report, pictures: Mapping[str, bytes] | None) -> dict[str, str]:
    if pictures is None:
        # Imported here and not at the top: matplotlib takes half a second, and a page is not always asked for.
        from statecast.report.plot import images

        pictures = images(report)
    return {name: _picture(report, name, image) for name, image in pictures.items()}


def _picture(report: Report, name: str, image: bytes) -> str:
    heading, caption = CAPTIONS[name]
    return picture(heading, f"{caption} {_remark(report, name)}".strip(), image)


def picture(heading: str, text: str, image: bytes) -> str:
    """A section with a picture, which scrolls on a narrow screen, from its left edge."""
    data = base64.b64encode(image).decode()
    content = f'<div class="wide picture"><img alt="{escape(heading)}" src="data:image/png;base64,{data}"></div>'
    return html_section(heading, content, text)


def _remark(report: Report, name: str) -> str:
    """What the numbers of this report add to the caption of a picture."""
    if name == "autocorrelation":
        return residual_remark(report)
    if name == "loss" and any(item.name == "significance" and item.reason for item in report.settings):
        return "The setting significance, below, says whether that gain is more than chance."
    activity = report.explanation.activity if report.explanation else None
    if name == "gates" and activity and not activity.heard:
        return "No forecast uses this layer: the recurrent layers have no part in it."
    return ""


def _tiles(report: Report) -> str:
    """The few numbers that a reader looks for first."""
    tiles = []
    scores = report.evaluation.get("statecast", {})
    targets = report.facts.targets
    if scores.get("mae") is not None and len(targets) == 1:
        tiles.append((number(scores["mae"]), f"mean absolute error, {targets[0]}", ""))
    for name, skill in report.evaluation.get("skill", {}).items():
        if skill is not None:
            tiles.append((signed_percent(skill), f"skill against {spoken(name)}", "good" if skill > 0 else "bad"))
    for key, share in scores.items():
        if key.startswith("coverage/") and share is not None:
            tiles.append((percent(share), f"of values in the {key.removeprefix('coverage/')} % interval", ""))
    if not tiles:
        return ""
    cells = (f"<div class=tile><b class='{kind}'>{escape(b)}</b><span>{escape(s)}</span></div>" for b, s, kind in tiles)
    return f"<div class=tiles>{''.join(cells)}</div>"


def _scores(report: Report) -> str:
    origin = attribution.sentences(report.evaluation)[1:]  # the first of them stands on top of the page
    sentences = [*origin, *(verdict(report.evaluation) if report.evaluation else ()), *report.notes]
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    tables = score_tables(report.evaluation)
    if not (items or tables):
        return ""
    content = f"<ul>{items}</ul>"
    for lines in tables:
        kind = "targets" if lines[0][0] == "target" else ""
        marks = ["own" if line[0] == "statecast" else "" for line in lines[1:]]
        content += html_table(lines[0], lines[1:], kind, marks)
    text = "Skill is 1 - error / error of the simple forecast: above zero the network is better, below zero worse."
    return html_section("How good is it?", content, text if tables else "")


def _section(section: Section) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in section.sentences)
    first, *rest = section.table or ((),)
    return html_section(section.heading, f"<ul>{items}</ul>" + (html_table(first, rest) if rest else ""))


def _network(report: Report) -> str:
    table = layers_table(report.layers)
    if not table:
        return ""
    marks = [*[""] * (len(table) - 2), "sum"]
    return html_section("The network", html_table(table[0], table[1:], "parts", marks))


def settings_section(settings: Sequence[SettingChoice]) -> str:
    """Every setting with where its value comes from; plain defaults stand behind a line to click on."""
    rows = {item.name: [item.name, value_text(item.value), item.origin, item.reason] for item in settings}
    if not rows:
        return ""
    text = (
        "Settings that you gave were used as they are; those that were chosen follow from the data, for the reason "
        "next to them. A default is the same for every table; the remark next to it says what came of it here."
    )
    notable = [rows[item.name] for item in settings if item.origin != "default" or item.reason]
    others = [rows[item.name][:2] for item in settings if item.origin == "default" and not item.reason]
    content = html_table(["setting", "value", "from", "reason"], notable, "words reasons") if notable else ""
    return html_section("Settings", content + _defaults(others), text)


def _defaults(rows: Sequence[Sequence[str]]) -> str:
    return folded(f"{len(rows)} settings that have their defaults", html_table([], rows, "words")) if rows else ""


def _data(report: Report) -> str:
    return html_section("The data", html_table([], facts_table(report.facts), "words"))
