"""docs/accuracy.md, from what `accuracy.py` recorded: nothing on that page is written by hand.

A table for each protocol: statecast's mean over the seeds with its smallest and largest value, the peers, the naive
forecasts, and what others published; then the aims, and which of them are not met.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from protocols import PROTOCOLS
from protocols.protocol import LEVELS
from protocols.published import AIMS, COVERAGE_AIM, NEXT, PUBLISHED
from record import Record

PEERS = ("AutoETS", "AutoTheta", "LSTM", "DeepAR")
NAMES = {
    "statecast": "**statecast**",
    "seasonal_naive": "seasonal naive",
    "LSTM": "LSTM (neuralforecast)",
    "DeepAR": "DeepAR (neuralforecast)",
    "AutoETS": "AutoETS (statsforecast)",
    "AutoTheta": "AutoTheta (statsforecast)",
}
CLOCKS = {"seconds": "seconds", "cpu_s": "CPU seconds"}
NONE: Mapping[str, Any] = {}
WORDS = {"mse": "MSE", "mae": "MAE", "smape": "sMAPE", "mase": "MASE", "owa": "OWA", "seconds": "seconds"}
INTRODUCTION = """# Accuracy

Statecast with its defaults on real tables: `fit` is given a table, its columns, a horizon and a seed, and nothing
else. `make accuracy` runs it, and wrote this page.

- **Test rows are withheld.** The table that `fit` gets ends before them; `backtest` then forecasts every window of the
  test rows from all that came before it, without training anew. In competitions there is one window, the test file.
- **statecast** is the mean over {seeds}, with the smallest and the largest in brackets. Seconds are everything after
  the table is read, with importing JAX, compiling, fitting and forecasting; CPU seconds are of all cores.
- Where a row says `ensemble`, that one setting was given as well; aims are held against the defaults.
- **Peers** are what their libraries give by default for a horizon and a season, scored by the same lines. Networks are
  trained once, on training and validation rows, and forecast every window. AutoETS and AutoTheta are fitted anew at
  each window, so where there are many they take a few of each series, and statecast is shown at the same ones beside
  them. A peer that is not in a table was not run there, for its time or its memory. Peers were recorded once, with
  other work on the machine: their CPU seconds tell more than their seconds. Machines are told at the end; where that of
  statecast is another one, only scores compare (an AMD EPYC took half the seconds of an Intel Xeon). Networks for which
  two cores were too slow were trained on a GPU, all at the same time, so that their seconds would tell nothing. DeepAR
  does not scale series by default, and learns those of large values hardly or not at all in its thousand steps.
- **Published** figures are what others reported for the same protocol.
- `in 80 %` and `in 95 %` tell how many of the test values lie in the intervals of these levels.
"""


def page(results: Record, peers: Record) -> str:
    """The whole page."""
    counts = sorted({len(entry["runs"]) for entry in results.tables.values()})
    seeds = " or ".join(map(str, counts)) + (" seed" if counts == [1] else " seeds")
    parts = [INTRODUCTION.format(seeds=seeds)]
    found = {name: results.tables[name] for name in PROTOCOLS if name in results.tables}
    parts += [section(name, entry, peers.tables.get(name, {})) for name, entry in found.items()]
    parts += [shortfalls(found), machines(results, peers)]
    return "\n".join(parts)


def section(name: str, entry: Mapping[str, Any], peers: Mapping[str, Any]) -> str:
    """One protocol: its split, its table, and the few windows at which statistical models were fitted."""
    published = [line(f"published: {who}", figures, entry["shown"]) for who, figures in PUBLISHED.get(name, {}).items()]
    text = f"## {entry['title']}\n\n{capital(entry['split'])}.\n\n{table(entry, peers, 'scores', published)}"
    if any("sparse" in told for told in peers.values()):
        few = table(entry, peers, "sparse", [])
        text += f"\nAt a few windows of each series, where these were fitted:\n\n{few}"
    return f"{text}\n{skills(entry)}{aims(name)}"


def table(entry: Mapping[str, Any], peers: Mapping[str, Any], part: str, published: list[list[str]]) -> str:
    """Statecast, the peers that forecast the same windows, the naive forecasts, and what was published."""
    shown, runs = entry["shown"], entry["runs"]
    header = [
        "",
        *(WORDS[metric] for metric in shown),
        *(f"in {level} %" for level in LEVELS),
        "seconds",
        "CPU seconds",
    ]
    rows = [header, ["---"] * len(header)]
    rows.append([NAMES["statecast"], *over_seeds([run[part] for run in runs], shown), *times(runs)])
    if several := entry.get("ensemble"):
        told = f"{NAMES['statecast']}, `ensemble = {several['networks']}`"
        rows.append([told, *over_seeds([run[part] for run in several["runs"]], shown), *times(several["runs"])])
    beside = [(model, peers[model]) for model in PEERS if part in peers.get(model, {})]
    rows += [line(model + remarks(told), told[part], shown, told) for model, told in beside]
    rows += [line(model, told[part], shown) for model, told in entry["naive"].items()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows + published)


def line(who: str, scores: Mapping[str, float], shown: Sequence[str], told: Mapping[str, Any] = NONE) -> list[str]:
    """One forecaster's row; empty where a number is not known."""
    name, _, note = who.partition(",")
    metrics = [number(scores[metric]) if metric in scores else "" for metric in shown]
    inside = [share(scores[f"coverage/{level}"]) if f"coverage/{level}" in scores else "" for level in LEVELS]
    clock = [f"{told[key]:.0f}" if key in told else "" for key in CLOCKS]
    return [NAMES.get(name, name) + ("," + note if note else ""), *metrics, *inside, *clock]


def remarks(told: Mapping[str, Any]) -> str:
    """That a network was stopped before its default number of steps, or trained on a GPU."""
    stopped = f", stopped after {told['steps']} steps" if told.get("steps", 1000) < 1000 else ""
    return stopped + (", on a GPU" if "device" in told else "")


def over_seeds(scores: Sequence[Mapping[str, float]], shown: Sequence[str]) -> list[str]:
    """Mean, smallest and largest of each metric, and of the coverages."""
    found = [spread([score[metric] for score in scores], number) for metric in shown]
    return found + [spread([score[f"coverage/{level}"] for score in scores], share) for level in LEVELS]


def times(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [spread([run[key] for run in runs], lambda value: f"{value:.0f}") for key in CLOCKS]


def spread(values: Sequence[float], shown: Any) -> str:
    middle = shown(mean(values))
    return middle if len(values) == 1 else f"{middle} ({shown(min(values))}–{shown(max(values))})"


def skills(entry: Mapping[str, Any]) -> str:
    """How much smaller statecast's error is than that of the naive forecasts."""
    metric = entry["shown"][0]
    mine = mean([run["scores"][metric] for run in entry["runs"]])
    skill = {who: 1 - mine / told["scores"][metric] for who, told in entry["naive"].items()}
    parts = [f"{share(value)} over {NAMES.get(who, who)}" for who, value in skill.items()]
    return f"Skill of statecast, in {WORDS[metric]}: {' and '.join(parts)}.\n"


def aims(name: str) -> str:
    """What is aimed at."""
    wanted = [f"{phrase(key)} at most {limit:g}" for key, limit in AIMS.get(name, {}).items()]
    return f"Aim: {', '.join(wanted)}.\n" if wanted else ""


def phrase(key: str) -> str:
    metric, _, baseline = key.partition("/")
    return f"{WORDS[metric]} over that of {baseline}" if baseline else WORDS[metric]


def reached(key: str, entry: Mapping[str, Any]) -> float:
    """What an aim is compared with: the mean over the seeds."""
    metric, _, baseline = key.partition("/")
    found = mean([run["seconds"] if metric == "seconds" else run["scores"][metric] for run in entry["runs"]])
    return found / entry["naive"][baseline]["scores"][metric] if baseline else found


def missed(name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """The aims of a table that are not met, each with what was seen."""
    for key, limit in AIMS.get(name, {}).items():
        found = reached(key, entry)
        if found > limit:
            yield f"{phrase(key)} {number(found) if key != 'seconds' else f'{found:.0f}'} against {limit:g}"
    for level in LEVELS:
        inside = mean([run["scores"][f"coverage/{level}"] for run in entry["runs"]])
        if abs(inside - level / 100) > COVERAGE_AIM:
            yield f"{share(inside)} in the intervals of {level} %"
    for baseline, told in entry["naive"].items():
        metric = entry["shown"][0]
        found, theirs = mean([run["scores"][metric] for run in entry["runs"]]), told["scores"][metric]
        if found > theirs and f"{metric}/{baseline}" not in AIMS.get(name, {}):
            yield f"{WORDS[metric]} {number(found)}, and {number(theirs)} of {NAMES.get(baseline, baseline)}"


def shortfalls(results: Mapping[str, Any]) -> str:
    """What falls short, and what to try next."""
    lines = []
    for name, entry in results.items():
        found = list(missed(name, entry))
        if found:
            then = f" Next: {NEXT[name]}" if name in NEXT else ""
            lines.append(f"- **{entry['title']}**: {'; '.join(found)}.{then}")
    said = "\n".join(lines) if lines else "Every aim is met."
    return (
        "## What falls short\n\nCompared are the aims above, intervals within "
        f"{100 * COVERAGE_AIM:.0f} points of their level, and the naive forecasts.\n\n{said}\n"
    )


def machines(results: Record, peers: Record) -> str:
    """Where and when the numbers were made."""
    lines = dict.fromkeys(
        f"- {who}: {m['cpu']}, {m['cores']} cores, {m['memory_gb']:.0f} GB, Python {m['python']}, "
        f"{listed(m['packages'])}, {m['when'][:10]}"
        for who, record in (("statecast", results), ("peers", peers))
        for m in (entry["machine"] for entry in record.tables.values() if "machine" in entry)
    )
    lines |= dict.fromkeys(
        f"- peers on a GPU: {told['device']}, {listed(told['packages'])}"
        for entry in peers.tables.values()
        for told in entry.values()
        if "device" in told and "packages" in told
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
