"""Everything that a fit reports, as one value and as words.

`Report` holds only numbers and strings, so that the code that fills it (estimators, the command line) and the code
that shows it (plot, page, a terminal) need to know nothing about each other. The words are written once, here, so that
the terminal and the report page say the same. Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from statecast.display import html
from statecast.display.chart import Chart
from statecast.forecast import attribution
from statecast.forecast.breakdown import Breakdown
from statecast.forecast.explain import Explanation
from statecast.forecast.residuals import Residuals
from statecast.forecast.scores.verdict import NAMES, number, percent, spoken, subject, verdict
from statecast.report.correlation import autocorrelation, lags_shown

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

__all__ = [
    "Facts", "Layer", "Report", "Rolling", "Section", "SettingChoice", "choices_html", "conclusions",
    "evaluation_html", "facts_table",
    "headline", "layers_table", "number", "percent", "plural", "residual_remark", "score_tables", "signed_percent",
    "spoken", "value_text", "verdict",
]  # fmt: skip


@dataclass(frozen=True)
class SettingChoice:
    """A setting as it was used.

    Attributes:
        name, value: the setting.
        origin: "given" by the user, "chosen" from the data, or "default": the same for every table.
        reason: why, or what came of it; empty where there is nothing to say.
    """

    name: str
    value: Any
    origin: Literal["given", "chosen", "default"] = "default"
    reason: str = ""


@dataclass(frozen=True)
class Layer:
    """A part of the network."""

    name: str
    kind: str
    shape: str
    """Of its output for one step, e.g. "64" or "24 x 7"."""
    parameters: int


@dataclass(frozen=True)
class Facts:
    """What the table holds. Sizes of the splits are in rows."""

    rows: int
    series: int = 1
    start: str = ""
    end: str = ""
    frequency: str = ""
    """In words, e.g. "hourly"."""
    step: str = "step"
    """One time step in the singular, e.g. "hour"; the plural takes an s."""
    missing: float = 0.0
    """Share of target values that are missing, 0 to 1."""
    targets: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    train: int = 0
    validation: int = 0
    test: int = 0


@dataclass(frozen=True, eq=False)
class Rolling:
    """Forecasts of one target through the test rows, from origins one horizon apart, end to end."""

    target: str
    time: Shaped[np.ndarray, " n"]
    actual: Float[np.ndarray, " n"]
    predicted: Float[np.ndarray, " n"]
    series: str = ""


@dataclass(frozen=True)
class Section:
    """What stands on the page beside what every fit has."""

    heading: str
    sentences: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    """A row of headings, then rows; none where it is empty."""


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that pictures, page and terminal show; what is empty is left out there.

    Attributes:
        title: of the page.
        facts: of the data.
        evaluation: as `statecast.forecast.scores.comparison.evaluate` gives it; empty where there were no test rows.
        settings: chosen and given ones.
        layers: of the network, in their order.
        history: columns of equal length: step, epoch, loss, val_loss (NaN where not measured), learning_rate, seconds.
        error_by_step: for each target, the mean absolute error at each step ahead of "statecast" and each baseline.
        examples: forecasts inside the test rows.
        rolling: forecasts through the test rows.
        residuals: of these.
        future: forecasts beyond the table's end.
        values: for each target (by name), the values of one series, for the autocorrelation.
        explanation: what the network used, from validation rows; None where there are none.
        breakdown: what the forecasts beyond the table's end come from; None where there are none.
        activity_time: times of the picture of its gates.
        horizon: steps ahead, H.
        season: rows in a season; 1 for none.
        notes: anything else that the reader must know, as sentences.
        sections: of its own, such as what came of tuning.
    """

    title: str
    facts: Facts
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[SettingChoice, ...] = ()
    layers: tuple[Layer, ...] = ()
    history: Mapping[str, Float[np.ndarray, " rows"]] = field(default_factory=dict)
    error_by_step: Mapping[str, Mapping[str, Float[np.ndarray, " H"]]] = field(default_factory=dict)
    examples: tuple[Chart, ...] = ()
    rolling: tuple[Rolling, ...] = ()
    residuals: tuple[Residuals, ...] = ()
    future: tuple[Chart, ...] = ()
    values: Mapping[str, Float[np.ndarray, " n"]] = field(default_factory=dict)
    explanation: Explanation | None = None
    breakdown: Breakdown | None = None
    activity_time: Shaped[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0))
    horizon: int = 1
    season: int = 1
    notes: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()

    def _repr_html_(self) -> str:
        return html.card(
            self.title,
            html.paragraphs([headline(self), *self.notes]),
            html.sketches(self.future or self.examples),
            evaluation_html(self.evaluation),
            choices_html(self.settings, self.layers),
            html.folded("the data", html.html_table([], facts_table(self.facts), "words")),
        )


def evaluation_html(evaluation: Mapping[str, Any]) -> str:
    """The first table of the scores; nothing where there are none."""
    tables = score_tables(evaluation)
    return html.html_table(tables[0][0], tables[0][1:]) if tables else ""


def choices_html(settings: Sequence[SettingChoice], layers: Sequence[Layer]) -> str:
    """The settings that were given or chosen, and the parts of the network, each behind a line to click on."""
    notable = [item for item in settings if item.origin != "default" or item.reason]
    choices = [[item.name, value_text(item.value), item.origin, item.reason] for item in notable]
    rows = layers_table(layers)
    network = html.html_table(rows[0], rows[1:], "words") if rows else ""
    chosen = html.html_table(["setting", "value", "from", "reason"], choices, "words") if choices else ""
    return html.folded("settings", chosen) + html.folded("the network", network)


def residual_remark(report: Report) -> str:
    """What the autocorrelation of the one-step residuals says, in a sentence; empty where it says nothing."""
    if not report.residuals:
        return ""
    part = report.residuals[0]
    correlation = autocorrelation(part.one_step, lags_shown(report.season))
    lags = correlation.values[1:][np.isfinite(correlation.values[1:])]
    if not len(lags):
        return ""
    outside = int(np.sum(np.abs(lags) > correlation.band))
    expected = max(1, round(0.05 * len(lags)))
    # Neighbouring lags are not independent, so up to twice the expected number is still chance.
    chance = "about as many as chance gives" if outside <= 2 * expected + 1 else f"chance gives about {expected}"
    return f"For {part.target}, {outside} of {len(lags)} lags of the residuals lie outside the band; {chance}."


COLUMNS: Mapping[str, str] = {
    "mae": "MAE",
    "rmse": "RMSE",
    "smape": "sMAPE %",
    "mase": "MASE",
    "crps": "CRPS",
    "r2": "R²",
}
"""The metrics of the score tables, and their headings."""
UNITS = ("mae", "rmse", "crps")  # metrics in the units of a target, which are no use averaged over several
MOST_TARGETS = 20  # rows of the table of targets


def score_tables(evaluation: Mapping[str, Any]) -> list[list[list[str]]]:
    """The scores as tables of strings, each with a row of headings; metrics without a value are left out.

    First the network and the baselines, a row each; the last column is the network's skill against that baseline,
    1 - error / its error. Where there are several targets follows a table with a row for each target: the network's
    scores and its skill against each baseline. The last one has a row for each level of the intervals. None where
    nothing could be scored.
    """
    if not evaluation or all(skill is None for skill in evaluation["skill"].values()):
        return []
    names = ["statecast", *evaluation["skill"]]
    targets: Mapping[str, Any] = evaluation.get("targets", {})
    columns = [key for key in _scored([evaluation[name] for name in names]) if not targets or key not in UNITS]
    heading = ["", *(COLUMNS[key] for key in columns), "skill against it"]
    rows = [
        [spoken(name) if name != "statecast" else name]
        + [number(evaluation[name].get(key)) for key in columns]
        + ["" if name == "statecast" else signed_percent(evaluation["skill"][name])]
        for name in names
    ]
    intervals = _intervals_table(evaluation["statecast"], units=not targets)
    return [[heading, *rows], *([_targets_table(targets)] if targets else []), *([intervals] if intervals else [])]


def _intervals_table(scores: Mapping[str, Any], units: bool) -> list[list[str]]:
    """The network's intervals, a row for each level; what is in the units of a target only where `units` says so."""
    levels = [key.removeprefix("coverage/") for key, share in scores.items() if _is_share(key, share)]
    columns = {"width": "mean width", "winkler": "interval score"} if units else {}
    columns |= {"msis": "scaled interval score"}
    rows = [
        [f"{level} %", percent(scores[f"coverage/{level}"])] + [number(scores.get(f"{key}/{level}")) for key in columns]
        for level in levels
    ]
    return [["interval", "values inside", *columns.values()], *rows] if rows else []


def _is_share(key: str, share: Any) -> bool:
    return key.startswith("coverage/") and share is not None


def _targets_table(targets: Mapping[str, Any]) -> list[list[str]]:
    columns = _scored([part["statecast"] for part in targets.values()])
    baselines = list(next(iter(targets.values()))["skill"])
    heading = ["target", *(COLUMNS[key] for key in columns), *(f"vs {spoken(name)}" for name in baselines)]
    rows = [
        [target]
        + [number(part["statecast"].get(key)) for key in columns]
        + [signed_percent(part["skill"][name]) for name in baselines]
        for target, part in list(targets.items())[:MOST_TARGETS]
    ]
    if len(targets) > MOST_TARGETS:
        rows.append([f"{len(targets) - MOST_TARGETS:,} more in metrics.json", *[""] * (len(heading) - 1)])
    return [heading, *rows]


def _scored(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The metrics of which one of the results has a value."""
    return [key for key in COLUMNS if any(result.get(key) is not None for result in results)]


def layers_table(layers: Sequence[Layer]) -> list[list[str]]:
    """The parts of a network with their parameters: a row of headings, one for each part, and their sum."""
    if not layers:
        return []
    rows = [[part.name, part.kind, part.shape, f"{part.parameters:,}"] for part in layers]
    total = ["all", "", "", f"{sum(part.parameters for part in layers):,}"]
    return [["part", "kind", "output", "parameters"], *rows, total]


def value_text(value: Any) -> str:
    """A setting's value as a person writes it."""
    if isinstance(value, tuple | list):
        return ", ".join(value_text(part) for part in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)


def facts_table(facts: Facts) -> list[list[str]]:
    """The facts of the data as (name, text) rows, without those that are empty."""
    split = (("training", facts.train), ("validation", facts.validation), ("test", facts.test))
    rows = [
        ["rows", f"{facts.rows:,}"],
        ["series", f"{facts.series:,}"],
        ["time", f"{facts.start} to {facts.end}" if facts.start else ""],
        ["frequency", facts.frequency],
        ["missing", f"{percent(facts.missing)} of the target values" if facts.missing else "none"],
        ["targets", ", ".join(facts.targets)],
        ["past covariates", ", ".join(facts.past)],
        ["known covariates", ", ".join(facts.known)],
        ["static covariates", ", ".join(facts.static)],
        ["split by time", ", ".join(f"{size:,} {name}" for name, size in split if size)],
    ]
    return [row for row in rows if row[1]]


def conclusions(evaluation: Mapping[str, Any]) -> list[str]:
    """What the forecast comes from, and what its scores say; nothing where there are none."""
    return [*attribution.sentences(evaluation), *verdict(evaluation)] if evaluation else []


def headline(report: Report) -> str:
    """What everybody should read: what the forecast comes from, and how good it is, a sentence each in plain words."""
    origin = attribution.sentences(report.evaluation)[:1]
    return " ".join([*origin, _quality(report)])


def _quality(report: Report) -> str:
    evaluation, ahead = report.evaluation, f"{plural(report.horizon, report.facts.step)} ahead"
    who, network_error = subject(evaluation), evaluation["statecast"].get(evaluation["metric"]) if evaluation else None
    errors = {name: evaluation[name].get(evaluation["metric"]) for name in evaluation.get("skill", ())}
    baselines = {name: error for name, error in errors.items() if error is not None}
    if network_error is None or not baselines:
        verb = "forecasts" if who == "the network" else "reaches"
        return f"{who.capitalize()} {verb} {ahead}; it was not tested."
    best = min(baselines, key=baselines.__getitem__)
    where = f"{_test_rows(report.facts)}, forecasting {ahead}"
    return f"{where}, {_result(who, NAMES[evaluation['metric']], network_error, best, baselines)}"


def _test_rows(facts: Facts) -> str:
    if not facts.test:
        return "On the test rows"
    if facts.series > 1:
        return f"On the {facts.test:,} test rows of {facts.series:,} series"
    return f"On the last {plural(facts.test, facts.step)}"


def _result(who: str, label: str, network_error: float, best: str, baselines: Mapping[str, float]) -> str:
    error = baselines[best]
    among = f", the best of {len(baselines)} simple forecasts" if len(baselines) > 1 else ""
    if network_error == error:
        return f"{who} is exactly as good as {spoken(best)}{among}."
    if network_error < error:
        return f"{who}'s {label} is {percent(1 - network_error / error)} below that of {spoken(best)}{among}."
    if error == 0:
        return f"{who} does not beat {spoken(best)}, which makes no error at all."
    higher = _higher(network_error / error)
    return f"{who} does not beat {spoken(best)}: its {label} is {higher}."


def _higher(ratio: float) -> str:
    return f"{ratio:,.0f} times as high" if ratio > 10 else f"{percent(ratio - 1)} higher"


def plural(count: int, step: str) -> str:
    """`one hour`, `24 hours`."""
    return f"one {step}" if count == 1 else f"{count:,} {step}s"


def signed_percent(share: float | None) -> str:
    """A skill in percent with its sign; a dash where there is none."""
    return "—" if share is None else f"{100 * share:+.1f} %"
