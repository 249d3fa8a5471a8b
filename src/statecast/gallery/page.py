"""What `--out` leaves: one page for all cases, their pictures, and for each recipe its test rows and its training.

The page is the report's: complete in itself, pictures inside as data, no script. What matters comes first: one table of
all figures, then the cases in the order of the tutorials, each with its recipes side by side.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from statecast.data import results
from statecast.display.html import html_section, html_table
from statecast.files import write_bytes, write_text
from statecast.gallery import cases
from statecast.gallery.result import Confusion, Measurement, RecipeResult
from statecast.gallery.run import Attempt, Skipped
from statecast.report.page import document
from statecast.report.summary import layers_table, number

TITLES = {
    "tutorial": "The tutorial's recipe",
    "statecast": "Statecast's recipe",
    "recurrence": "The recurrence without a skip",
}
HEADINGS = ("case", "recipe", "metric", "value", "published", "persistence", "seconds", "peak memory")
MORE = """
main{max-width:76rem}.figures{font-size:.78rem}.figures td,.figures th{padding:.3rem .35rem}
h3{font-size:1.05rem;margin:1.4rem 0 .5rem}section>ul{color:var(--soft);font-size:.93rem}
.source{font-size:.85rem;color:var(--soft)}.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,32rem),1fr));
gap:1rem}.two>div{min-width:0}.figures td:nth-child(-n+2),.figures th:nth-child(-n+2),.long td:nth-child(3),
.long th:nth-child(3){text-align:left}
figure{margin:0 0 1rem}figcaption{font-size:.85rem;color:var(--soft);margin-top:.3rem}nav{columns:14rem;
font-size:.95rem;margin:0 0 1.25rem}nav a,a{color:var(--mark)}
"""


def table(rows: Iterable[Measurement]) -> list[list[str]]:
    """The gallery's table as texts, with its headings."""
    lines = [list(HEADINGS)]
    for row in rows:
        figures = [number(value) if value is not None else "" for value in (row.value, row.published, row.persistence)]
        spent = [f"{row.seconds:.1f}" if row.seconds is not None else ""]
        peak = [f"{row.peak_mb:,.0f} MB" if row.peak_mb is not None else ""]
        lines.append([row.case, row.recipe, row.metric, *figures, *spent, *peak])
    return lines


def markdown(rows: Iterable[Measurement]) -> str:
    """The gallery's table for a document."""
    heading, *lines = table(rows)
    marks = ["---"] * 3 + ["---:"] * 5
    return "\n".join(f"| {' | '.join(line)} |" for line in (heading, marks, *lines)) + "\n"


def write(folder: Path, attempts: Sequence[Attempt]) -> list[Path]:
    """Write everything, and return the paths, the page last.

    Raises:
        MissingDependency: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    outcomes = [item for item in attempts if isinstance(item, RecipeResult)]
    paths: list[Path] = []
    images: dict[tuple[str, str], list[tuple[str, str, bytes]]] = {}
    for outcome in outcomes:
        place = folder / outcome.case / outcome.recipe
        made = _draw(outcome)
        images[outcome.case, outcome.recipe] = made
        paths += [write_bytes(place / f"{name}.png", image) for name, _, image in made]
        paths += _tables(place, outcome)
    paths.append(write_text(folder / "table.md", markdown(row for outcome in outcomes for row in outcome.rows)))
    paths.append(write_text(folder / "gallery.html", render(attempts, images)))
    return paths


def _draw(outcome: RecipeResult) -> list[tuple[str, str, bytes]]:
    # Here and not at the top: matplotlib takes half a second, and pictures are not always asked for.
    from statecast.gallery import pictures
    from statecast.report import plot

    case = cases.load(outcome.case)
    return [(name, caption, plot.png(figure, 120)) for name, caption, figure in pictures.of(case, outcome)]


def _tables(place: Path, outcome: RecipeResult) -> list[Path]:
    columns: dict[str, Mapping[str, np.ndarray]] = {}
    if outcome.tracks:
        time = {"time": outcome.tracks[0].time}
        columns["predicted.csv"] = time | {track.target: track.predicted for track in outcome.tracks}
        columns["test_data.csv"] = time | {track.target: track.actual for track in outcome.tracks}
    if outcome.history:
        columns["history.csv"] = outcome.history
    for name, values in columns.items():
        place.mkdir(parents=True, exist_ok=True)
        results.write(values, place / name)
    return [place / name for name in columns]


Images = Mapping[tuple[str, str], Sequence[tuple[str, str, bytes]]]


def render(attempts: Sequence[Attempt], images: Images) -> str:
    """The page as the text of one HTML file."""
    names = list(dict.fromkeys(item.case for item in attempts))
    rows = [row for item in attempts if isinstance(item, RecipeResult) for row in item.rows]
    links = "".join(f'<div><a href="#{escape(n)}">{escape(cases.load(n).title)}</a></div>' for n in names)
    text = (
        "Each experiment of the five tutorials by the tutorial's own recipe, by statecast's, and, where a series is "
        "free of noise, by a recurrence without a skip, beside what the tutorial published and what the last value "
        "(persistence) or a straight line would have given."
    )
    body = [
        f"<header><h1>statecast: the gallery</h1><p class=lead>{escape(_lead(rows))}</p></header>",
        f"<nav>{links}</nav>",
        html_section("All figures", _figures(table(rows), rows), text),
        *(_case(name, [item for item in attempts if item.case == name], images) for name in names),
        "<footer>Seconds are training and testing alone, without imports; the peak of memory is that of the whole "
        "process, about 0.3 GB of which are Python and JAX. This page is complete in itself.</footer>",
    ]
    return document("statecast: the gallery", body, MORE)


def _lead(rows: Sequence[Measurement]) -> str:
    metrics = {(name, m.name): m for name in {row.case for row in rows} for m in cases.load(name).metrics}
    sentences = []
    for recipe, who in (("statecast", "statecast's own recipe"), ("recurrence", "the recurrence without a skip")):
        measured = [(metrics.get((row.case, row.metric)), row.value) for row in rows if row.recipe == recipe]
        aimed = [(metric, value) for metric, value in measured if metric and recipe in metric.goals]
        reached = [metric for metric, value in aimed if value is not None and metric.reached(recipe, value)]
        if aimed:
            sentences.append(f"{who} reaches {len(reached)} of the {len(aimed)} figures that were set for it")
    return f"{'; '.join(sentences)}." if sentences else "The tutorials' experiments, reproduced and measured."


def _case(name: str, attempts: Sequence[Attempt], images: Images) -> str:
    case = cases.load(name)
    outcomes = [item for item in attempts if isinstance(item, RecipeResult)]
    content = [f"<p class=source>{escape(case.source)}.</p>"]
    content += [f"<p>{escape(_why(item))}</p>" for item in attempts if isinstance(item, Skipped)]
    if outcomes:
        rows = [row for outcome in outcomes for row in outcome.rows]
        content.append(_figures([line[1:] for line in table(rows)], rows))
    notes = [*case.notes] if any(item.recipe == "tutorial" for item in outcomes) else []
    notes += [f"{_recipe(item)}: {sentence}" for item in outcomes for sentence in item.sentences]
    content.append("".join(["<ul>", *(f"<li>{escape(note)}</li>" for note in notes), "</ul>"]) if notes else "")
    content.append(f"<div class=two>{''.join(_recipe_shown(item, images) for item in outcomes)}</div>")
    section = html_section(case.title, "".join(content), case.text)
    return section.replace("<section>", f'<section id="{escape(name)}">', 1)


def _figures(lines: Sequence[Sequence[str]], rows: Sequence[Measurement]) -> str:
    """The table of figures, statecast's own lines marked."""
    kind = "figures long" if lines[0][0] == HEADINGS[0] else "figures"
    return html_table(*_split(lines), kind, ["own" if row.recipe == "statecast" else "" for row in rows])


def _why(item: Skipped) -> str:
    return f"{'Failed' if item.failed else 'Not run'}{f' ({item.recipe})' if item.recipe else ''}: {item.reason}"


def _recipe(outcome: RecipeResult) -> str:
    return TITLES[outcome.recipe]


def _recipe_shown(outcome: RecipeResult, images: Images) -> str:
    parts = [f"<h3>{_recipe(outcome)}</h3>"]
    for name, caption, image in images.get((outcome.case, outcome.recipe), ()):
        data = base64.b64encode(image).decode()
        alt = escape(f"{outcome.case}, {outcome.recipe}: {name}")
        picture = f'<img alt="{alt}" src="data:image/png;base64,{data}">'
        parts.append(f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>")
    for title, rows in outcome.tables.items():
        parts.append(f"<h3>{escape(title)}</h3>{html_table(*_split(rows))}")
    if outcome.confusion is not None:
        parts.append(f"<h3>Confusion table</h3>{html_table(*_split(confusion(outcome.confusion)))}")
    if outcome.layers:
        parts.append(f"<h3>Model summary</h3>{html_table(*_split(layers_table(outcome.layers)), 'parts')}")
    return f"<div>{''.join(parts)}</div>"


def confusion(table: Confusion) -> list[list[str]]:
    """Test rows by their class and by the predicted class."""
    rows = [["true, then predicted", *table.classes]]
    return rows + [[name, *(f"{n:,}" for n in line)] for name, line in zip(table.classes, table.counts, strict=True)]


def _split(rows: Sequence[Sequence[str]]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    return rows[0], rows[1:]
