"""docs/accuracy.md, from what `accuracy.py` recorded: nothing on that page is written by hand.

A table for each protocol: statecast's mean over the seeds with its smallest and largest value, the peers, the naive
forecasts, and what others published; then the aims, and which of them are not met.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import nab_page
from others import MEAN, MODELS
from protocols import NAMES
from protocols.protocol import LEVELS
from protocols.published import AIMS, AIMS_BESIDE, COVERAGE_AIM, COVERAGE_SCATTER, NEXT, PUBLISHED
from record import Record

PEERS = (*MODELS, MEAN)
LIBRARIES = {
    "statecast": "**statecast**",
    "seasonal_naive": "seasonal naive",
    **{model: f"{model} (statsforecast)" for model in MODELS if model.startswith("Auto")},
    **{model: f"{model} (neuralforecast)" for model in MODELS if not model.startswith("Auto")},
}
CLOCKS = {"seconds": "seconds", "cpu_s": "CPU seconds"}
NONE: Mapping[str, Any] = {}
WORDS = {
    "mse": "MSE", "mae": "MAE", "smape": "sMAPE", "mase": "MASE", "owa": "OWA", "seconds": "seconds",
    "relative": "relative MASE", "worst": "the largest", "behind": "series above 1",
    "fit_s": "seconds a fit", "longest_s": "the longest fit",
    "msis/80": "interval score 80 %", "msis/95": "interval score 95 %", "scaled_crps": "CRPS",
}  # fmt: skip
INTERVALS = ("msis/80", "msis/95", "scaled_crps")
MOST = 8  # short series that are named, of those that are forecast worse than by the seasonal naive
INTRODUCTION = """# Accuracy

Statecast with its defaults on real tables: `fit` is given a table, its columns, a horizon and a seed, and nothing
else. `make accuracy` runs the benchmark and writes this page.

- **Test rows are withheld.** The table that `fit` gets ends before them; `backtest` then forecasts every window of the
  test rows from everything before it, without retraining. Competitions have a single window, the test file.
- **statecast** is the mean over {seeds}, with the smallest and the largest in brackets where they differ. Seconds cover
  everything after the table has been read: importing JAX, compiling, fitting and forecasting. CPU seconds are summed
  over all cores.
- A fit makes two networks: one learns from the training rows alone and is selected on the validation rows; the other
  learns from every row before the test rows. Published figures for ETT and exchange rates are of the first kind, so
  there the first is scored and the row **every row learned** is the second; elsewhere it is the other way round.
- Where a row names a setting, that setting was given as well. Aims apply to the defaults unless they name a setting.
  **The start alone** is the forecast as it is before the first training step; no training step is kept.
- **Peers** run with their libraries' defaults for the horizon and the season, and are scored by the same code. Networks
  are trained once, on training and validation rows, and forecast every window. AutoETS, AutoTheta and AutoARIMA are
  fitted anew at each window; where there are many, they forecast only a few windows of each series, and a second table
  shows statecast at the same ones. A peer that is missing from a table was not run there because of its time or its
  memory. Peers were recorded once, with other work on the machine, so their CPU seconds are more reliable than their
  seconds. The machines are listed at the end; where statecast ran on a different one, only scores can be compared (an
  AMD EPYC took half as long as an Intel Xeon). Networks for which two cores were too slow were trained on a GPU, all at
  the same time, so their seconds would mean nothing and are left out. DeepAR does not scale series by default, and
  hardly learns those with large values in its thousand steps.
- **Published** figures are what others reported for the same protocol.
- `in 80 %` and `in 95 %` give the share of test values that lie inside the intervals of these levels. The **interval
  score** (Winkler's) is the width of the interval, plus 10 or 40 times the distance to a value outside it. CRPS is
  twice the integral of the pinball loss over the quantiles, computed from the five that the point and the intervals
  give. Both are in units of MASE, so the 95 % interval score is the MSIS of the M4 competition. Lower is better.
"""


def page(results: Record, peers: Record, nab: Record | None = None) -> str:
    """The whole page; `nab` is what was recorded of unusual values."""
    counts = sorted({len(entry["runs"]) for entry in results.tables.values()})
    seeds = " or ".join(map(str, counts)) + (" seed" if counts == [1] else " seeds")
    parts = [INTRODUCTION.format(seeds=seeds)]
    entries = {name: results.tables[name] for name in NAMES if name in results.tables}
    beside = {name: peers.tables.get(name, {}) for name in entries}
    parts += [section(name, entry, beside[name]) for name, entry in entries.items()]
    parts += [nab_page.section(entry) for entry in (nab.tables.values() if nab else ())]
    parts += [shortfalls(entries, beside), machines(entries, beside)]
    return "\n".join(parts)


def section(name: str, entry: Mapping[str, Any], peers: Mapping[str, Any]) -> str:
    """One protocol: its split, its table, and the few windows at which statistical models were fitted."""
    published = PUBLISHED.get(name, {})
    text = f"## {entry['title']}\n\n{capital(entry['split'])}.\n\n{table(entry, peers, 'scores', published)}"
    if any("sparse" in result for result in peers.values()):
        few = table(entry, peers, "sparse", NONE)
        text += f"\nAt a few windows of each series, the ones at which these peers were fitted:\n\n{few}"
    return f"{text}\n{skills(entry)}{behind(entry)}{aims(name)}"


def table(
    entry: Mapping[str, Any], peers: Mapping[str, Any], part: str, published: Mapping[str, Mapping[str, float]]
) -> str:
    """Statecast, the peers that forecast the same windows, the naive forecasts, and what was published."""
    forecasters = list(statecast_rows(entry, part))
    forecasters += [(model + remarks(result), result[part], [result]) for model, result in beside(peers, part)]
    forecasters += [(model, result[part], []) for model, result in entry["naive"].items()]
    forecasters = [(who, scores if isinstance(scores, list) else [scores], runs) for who, scores, runs in forecasters]
    keys = {key for _, scores, _ in forecasters for score in scores for key in score}
    columns = [*entry["shown"], *(f"coverage/{level}" for level in LEVELS), *(k for k in INTERVALS if k in keys)]
    rows = [["", *map(heading, columns), *CLOCKS.values()]]
    rows += [["---"] * len(rows[0])]
    rows += [[named(who), *cells(scores, columns), *times(runs)] for who, scores, runs in forecasters]
    rows += [[f"published: {who}", *cells([scores], columns), *times([])] for who, scores in published.items()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def statecast_rows(entry: Mapping[str, Any], part: str) -> Iterator[tuple[str, Any, Any]]:
    """The defaults, and what was measured beside them."""
    yield "statecast", [run[part] for run in entry["runs"]], entry["runs"]
    for label, runs in variants(entry).items():
        yield f"statecast, {label}", [run[part] for run in runs], runs


def variants(entry: Mapping[str, Any]) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Runs beside the defaults by their label: of the other network of each fit, and with other settings."""
    others = [run["beside"] for run in entry["runs"] if run.get("beside")]
    named = {others[0]["label"]: others} if others else {}
    return named | {label: variant["runs"] for label, variant in entry.get("variants", {}).items()}


def beside(peers: Mapping[str, Any], part: str) -> list[tuple[str, Any]]:
    """The peers that forecast these windows, in their order."""
    return [(model, peers[model]) for model in PEERS if part in peers.get(model, {})]


def named(who: str) -> str:
    """A forecaster as the page calls it; a setting stands as code."""
    name, comma, note = who.partition(", ")
    return LIBRARIES.get(name, name) + comma + (f"`{note}`" if " = " in note else note)


def heading(column: str) -> str:
    return f"in {column.removeprefix('coverage/')} %" if column.startswith("coverage") else WORDS[column]


def cells(scores: Sequence[Mapping[str, float]], columns: Sequence[str]) -> list[str]:
    """Mean, smallest and largest of each column over the seeds; empty where a number is not known."""
    return [
        spread([score[column] for score in scores], form(column)) if all(column in score for score in scores) else ""
        for column in columns
    ]


def form(column: str) -> Callable[[float], str]:
    """How a column's numbers are written."""
    if column == "behind":
        return "{:.3g}".format
    return share if column.startswith("coverage") else number


def remarks(result: Mapping[str, Any]) -> str:
    """That a network was stopped before its default number of steps, or trained on a GPU."""
    stopped = f", stopped after {result['steps']} steps" if result.get("steps", 1000) < 1000 else ""
    return stopped + (", on a GPU" if "device" in result else "")


def times(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [spread([run[key] for run in runs if key in run], "{:.0f}".format) for key in CLOCKS]


def spread(values: Sequence[float], shown: Callable[[float], str]) -> str:
    if not values:
        return ""
    middle = shown(mean(values))
    least, most = shown(min(values)), shown(max(values))
    return middle if least == most else f"{middle} ({least}–{most})"


def skills(entry: Mapping[str, Any]) -> str:
    """How much smaller statecast's error is than that of the naive forecasts."""
    metric = entry["shown"][0]
    mine = over_runs(entry["runs"], metric)
    skill = {who: 1 - mine / result["scores"][metric] for who, result in entry["naive"].items()}
    parts = [f"{share(value)} over {LIBRARIES.get(who, who)}" for who, value in skill.items()]
    return f"Skill of statecast, in {WORDS[metric]}: {' and '.join(parts)}.\n"


def behind(entry: Mapping[str, Any]) -> str:
    """The short series that the seasonal naive forecasts better, the worst first; nothing for other tables."""
    runs = [run["ratios"] for run in entry["runs"] if "ratios" in run]
    ratios = {name: mean([run[name] for run in runs]) for name in (runs[0] if runs else {})}
    worse = sorted((ratio, name) for name, ratio in ratios.items() if ratio > 1)[::-1]
    if not worse:
        return ""
    return f"Largest relative MASE: {', '.join(f'{name} {number(ratio)}' for ratio, name in worse[:MOST])}.\n"


def aims(name: str) -> str:
    """What is aimed at."""
    defaults = [at_most(key, limit) for key, limit in AIMS.get(name, {}).items()]
    lines = [f"Aim: {', '.join(defaults)}.\n"] if defaults else []
    for label, limits in AIMS_BESIDE.get(name, {}).items():
        parts = [at_most(key, limit) for key, limit in limits.items()]
        lines.append(f"Aim of {named(label)}: {', '.join(parts)}.\n")
    return "".join(lines)


def at_most(key: str, limit: float) -> str:
    """An aim in words."""
    metric, other = parts_of(key)
    if not other:
        return f"{WORDS[metric]} at most {limit:g}"
    return f"{WORDS[metric]} at most {'' if limit == 1 else f'{limit:g} times '}that of {other}"


def phrase(key: str) -> str:
    """A metric, or the ratio of two forecasters' metric."""
    metric, other = parts_of(key)
    return f"{WORDS[metric]} over that of {other}" if other else WORDS[metric]


def parts_of(key: str) -> tuple[str, str]:
    """The metric and the forecaster that an aim names, if any; the level of an interval is none."""
    metric, _, other = key.partition("/")
    return (key, "") if other in map(str, LEVELS) else (metric, other)


def over_runs(runs: Sequence[Mapping[str, Any]], metric: str) -> float:
    """The mean of a metric, or of the seconds, over the seeds; NaN where it was not recorded."""
    return mean([run["seconds"] if metric == "seconds" else run["scores"].get(metric, math.nan) for run in runs])


def reached(
    key: str, runs: Sequence[Mapping[str, Any]], entry: Mapping[str, Any], peers: Mapping[str, Any]
) -> float | None:
    """What an aim is compared with: the mean over the seeds; nothing where it is not known."""
    metric, other = parts_of(key)
    value = over_runs(runs, metric)
    if other:
        scores = {**entry["naive"], **peers}.get(other, {}).get("scores", {})
        value /= scores.get(metric, math.nan)
    return None if math.isnan(value) else value


def missed(name: str, entry: Mapping[str, Any], peers: Mapping[str, Any] = NONE) -> Iterator[str]:
    """The aims of a table that are not met, each with what was measured."""
    yield from beyond(AIMS.get(name, {}), entry["runs"], entry, peers)
    for label, runs in variants(entry).items():
        limits = AIMS_BESIDE.get(name, {}).get(label, {})
        yield from (f"{named(label)}: {line}" for line in beyond(limits, runs, entry, peers))
    yield from outside(name, entry)
    metric = entry["shown"][0]
    mine = over_runs(entry["runs"], metric)
    for baseline, result in entry["naive"].items():
        theirs = result["scores"][metric]
        if mine > theirs and f"{metric}/{baseline}" not in AIMS.get(name, {}):
            yield f"{WORDS[metric]} {number(mine)}, and {number(theirs)} of {LIBRARIES.get(baseline, baseline)}"


def beyond(
    limits: Mapping[str, float], runs: Sequence[Mapping[str, Any]], entry: Mapping[str, Any], peers: Mapping[str, Any]
) -> Iterator[str]:
    """The limits that were passed."""
    for key, limit in limits.items():
        value = reached(key, runs, entry, peers)
        if value is not None and value > limit:
            yield f"{phrase(key)} {number(value) if key != 'seconds' else f'{value:.0f}'} against {limit:g}"


def outside(name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """The levels whose coverage is further from them than is aimed at."""
    for level in LEVELS:
        inside = over_runs(entry["runs"], f"coverage/{level}")
        if abs(inside - level / 100) > COVERAGE_SCATTER.get(name, {}).get(level, COVERAGE_AIM):
            yield f"{share(inside)} in the intervals of {level} %"


def shortfalls(entries: Mapping[str, Any], peers: Mapping[str, Any]) -> str:
    """What falls short, and what to try next."""
    lines = []
    for name, entry in entries.items():
        short = list(missed(name, entry, peers[name]))
        if short:
            then = f" Next: {NEXT[name]}." if name in NEXT else ""
            lines.append(f"- **{entry['title']}**: {'; '.join(short)}.{then}")
    said = "\n".join(lines) if lines else "Every aim is met."
    return (
        "## What falls short\n\nResults are held against the aims above, against coverage within "
        f"{100 * COVERAGE_AIM:.0f} points of each level, and against the naive forecasts. Where few horizons are "
        "tested, even exact quantiles miss their level by more; there, twice their own deviation is allowed.\n\n"
        f"{said}\n"
    )


def machines(entries: Mapping[str, Any], peers: Mapping[str, Any]) -> str:
    """Where and when the numbers were made."""
    lines = dict.fromkeys(
        f"- {who}: {m['cpu']}, {m['cores']} cores, {m['memory_gb']:.0f} GB, Python {m['python']}, "
        f"{listed(m['packages'])}, {m['when'][:10]}"
        for who, tables in (("statecast", entries), ("peers", peers))
        for m in (entry["machine"] for entry in tables.values() if "machine" in entry)
    )
    lines |= dict.fromkeys(
        f"- peers on a GPU: {result['device']}, {listed(result['packages'])}"
        for entry in peers.values()
        for result in entry.values()
        if "device" in result and "packages" in result
    )
    busy = [entry["title"] for entry in entries.values() if entry.get("machine", {}).get("busy")]
    if busy:
        lines["- with other work on the machine, so that seconds are up to twice those at rest: " + "; ".join(busy)] = (
            None
        )
    return "## Where it was measured\n\n" + "\n".join(lines) + "\n"


def listed(packages: Mapping[str, str]) -> str:
    """Packages with their versions."""
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def number(value: float) -> str:
    """Three decimals, fewer for large numbers."""
    return f"{value:.3f}" if value < 100 else f"{value:,.0f}"


def share(value: float) -> str:
    return f"{100 * value:.1f} %"
