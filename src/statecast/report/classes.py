"""What is reported of a Classifier: its scores on rows kept for a test, as words, tables, pictures and one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statecast.config import Settings
from statecast.display import html
from statecast.display.html import html_section, html_table
from statecast.files import write_text
from statecast.report import page
from statecast.report.summary import (
    Layer,
    SettingChoice,
    choices_html,
    layers_table,
    number,
    percent,
    signed_percent,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

MOST = 20  # classes in a table
UNTESTED = "No rows were kept for a test (test_size = 0), so it is not known how good it is on others."
ABOUT = {
    "confusion": (
        "Which classes are taken for which",
        "Each row is a class, and each column what it was taken for; the darker, the larger the share of that class.",
    ),
    "reliability": (
        "Whether the probabilities are what they say",
        "Answers were put together by the probability that they were given, and the dots say how many of them were "
        "right. On the dashed line what is said to have 80 % comes true in 80 of 100 cases; below it the classifier is "
        "too sure of itself, above it not sure enough. The numbers are rows, and bars where few rows leave it open.",
    ),
    "loss": (
        "Training",
        "The loss on the rows that were trained on, and on those that each network held out to know when to stop.",
    ),
}
"""Heading and explanation of each picture."""


@dataclass(frozen=True, eq=False)
class ClassReport:
    """What is to say of a classifier.

    Attributes:
        title: of the page.
        rows: that it was trained on; 0 where that is not known.
        evaluation: see `classification.evaluation`; empty where no rows were kept for a test.
        settings: chosen and given ones.
        layers: of its networks.
        history: columns of the training history.
    """

    title: str
    rows: int
    evaluation: Mapping[str, Any]
    settings: tuple[SettingChoice, ...] = ()
    layers: tuple[Layer, ...] = ()
    history: Mapping[str, Float[ndarray, " n"]] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        tables = (html_table(rows[0], rows[1:]) for rows in tables_of(self.evaluation)[:2])
        return html.card(
            self.title, html.paragraphs(sentences(self.evaluation)), *tables, choices_html(self.settings, self.layers)
        )


def sentences(evaluation: Mapping[str, Any]) -> list[str]:
    """What the scores say, in plain words."""
    if not evaluation:
        return [UNTESTED]
    network, shares, skill = evaluation["statecast"], evaluation["class_shares"], evaluation["skill"]["log_loss"]
    words = [
        f"Of {evaluation['rows']:,} rows that neither training nor stopping used, {percent(network['accuracy'])} were "
        f"classified correctly; always choosing the commonest class would be right for {percent(shares['accuracy'])}."
    ]
    if skill is not None:
        better = "better" if skill > 0 else "worse"
        words.append(
            f"Its probabilities are {percent(abs(skill))} {better} in log loss than the shares of the classes: "
            f"{number(network['log_loss'])} against {number(shares['log_loss'])}."
        )
    error = network["calibration_error"]
    mean = sum(part["rows"] * part["probability"] for part in evaluation["reliability"]) / evaluation["rows"]
    manner = "too sure of itself" if mean > network["accuracy"] else "not sure enough"
    apart = any(not part["low"] <= part["probability"] <= part["high"] for part in evaluation["reliability"])
    words.append(
        f"They are {percent(error)} away from what came true, on average: it is {manner}."
        if apart
        else f"They are {percent(error)} away from what came true, on average, which may be chance."
    )
    return words


def tables_of(evaluation: Mapping[str, Any]) -> list[list[list[str]]]:
    """Tables of strings, each with a row of headings: scores, confusion, classes, reliability; none where untested."""
    if not evaluation:
        return []
    names = [str(name) for name in evaluation["classes"]]
    scores = [["", "accuracy", "log loss", "Brier score"]]
    for key, name in (("statecast", "statecast"), ("class_shares", "shares of the classes")):
        part = evaluation[key]
        scores.append([name, percent(part["accuracy"]), number(part["log_loss"]), number(part["brier"])])
    skill = evaluation["skill"]
    scores.append(["skill", "", *(signed_percent(skill[name]) for name in ("log_loss", "brier"))])
    counts = [["true, then predicted", *names[:MOST]]]
    lines = zip(names, evaluation["confusion"], strict=True)
    counts += [[name, *(f"{count:,}" for count in line[:MOST])] for name, line in list(lines)[:MOST]]
    classes = [["class", "rows", "precision", "recall", "F1"]]
    for name, part in list(zip(names, evaluation["by_class"], strict=True))[:MOST]:
        shares = ("—" if part[key] is None else percent(part[key]) for key in ("precision", "recall", "f1"))
        classes.append([name, f"{part['rows']:,}", *shares])
    reliability = [["probability of the answer", "rows", "mean", "came true", "95 % interval"]]
    reliability += [
        [
            f"{percent(part['from'])} to {percent(part['to'])}", f"{part['rows']:,}", percent(part["probability"]),
            percent(part["share"]), f"{percent(part['low'])} to {percent(part['high'])}",
        ]
        for part in evaluation["reliability"]
    ]  # fmt: skip
    return [scores, counts, classes, reliability]


def write_page(report: ClassReport, path: str | Path) -> Path:
    """Write the report as one HTML file, whole or not at all, and return its path.

    Raises:
        MissingDependency: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    return write_text(path, render(report))


def render(report: ClassReport) -> str:
    """The report as the text of one HTML page that needs no other file."""
    from statecast.report import plot

    pictures = {name: plot.png(figure) for name, figure in plot.class_figures(report.evaluation, report.history)}
    shown = {name: page.picture(*ABOUT[name], image) for name, image in pictures.items()}
    first, *others = sentences(report.evaluation)
    rest = "".join(f"<li>{escape(sentence)}</li>" for sentence in others)
    tables = [html_table(rows[0], rows[1:]) for rows in tables_of(report.evaluation)]
    scores, counts, classes, reliability = tables or [""] * 4
    layers = layers_table(report.layers)
    body = [
        f"<header><h1>{escape(report.title)}</h1><p class=lead>{escape(first)}</p></header>",
        html_section("How good is it?", f"<ul>{rest}</ul>{scores}{classes}", SKILL) if tables else "",
        shown.get("confusion", ""),
        html_section("The same as numbers", counts) if counts else "",
        shown.get("reliability", ""),
        html_section("The reliability table", reliability) if reliability else "",
        shown.get("loss", ""),
        html_section("The network", html_table(layers[0], layers[1:], "parts")) if layers else "",
        page.settings_section(report.settings),
        html_section("The data", html_table([], [["rows that were trained on", f"{report.rows:,}"]], "words"))
        if report.rows
        else "",
    ]
    return page.document(report.title, body)


SKILL = "Skill is 1 - score / score of the shares of the classes: above zero the probabilities are better than these."


def choices(
    settings: Mapping[str, Any],
    user_settings: Mapping[str, Any],
    reasons: Mapping[str, str],
    names: Sequence[str],
    of: type[Settings],
) -> tuple[SettingChoice, ...]:
    """Every setting of a classifier with where its value comes from; see `collect.origin`."""
    from statecast.report.collect import origin

    return tuple(
        SettingChoice(name, settings[name], origin(name, user_settings, reasons, of), reasons.get(name, ""))
        for name in names
        if settings[name] is not None
    )
