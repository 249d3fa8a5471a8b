"""What the scores say, in words: the sentences that the terminal, the report and other programs share.

First whether the network beats each baseline, on the whole and for every target, then whether its intervals hold what
they promise. It reads the plain dict of `comparison.evaluate` and nothing else, so the same can be said again later
from a metrics.json.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

NAMES = {
    "mse": "mean squared error",
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
    "smape": "symmetric percentage error",
    "mase": "scaled error",
    "crps": "ranked probability score",
    "pinball": "pinball loss",
}
"""The metrics that are errors, in words."""


def verdict(evaluation: Mapping[str, Any]) -> list[str]:
    """What the scores say, in plain sentences; first whether the network beats each baseline.

    Args:
        evaluation: see `comparison.evaluation`; what the intervals rest on is said where it is there.
    """
    metric = evaluation["metric"]
    network = evaluation["statecast"]
    errors = {name: evaluation[name].get(metric) for name in evaluation["skill"]}
    if network.get(metric) is None or all(error is None for error in errors.values()):
        untested = f"No test values were observed, so {subject(evaluation)}'s error is unknown."
        return [untested, *_about_calibration(evaluation)]
    return [
        *_against_baselines(evaluation, errors),
        *_against_targets(evaluation),
        *_about_intervals(network),
        *_about_calibration(evaluation),
        *_about_missed(network),
    ]


def _against_baselines(evaluation: Mapping[str, Any], errors: Mapping[str, float | None]) -> list[str]:
    metric = evaluation["metric"]
    network_error = evaluation["statecast"][metric]
    label, who = NAMES[metric], subject(evaluation)
    better = [_compared(who, name, network_error, errors[name]) for name in evaluation["beaten_by"]]
    equal = [spoken(name) for name, error in errors.items() if error == network_error]
    worse = {name: error for name, error in errors.items() if error is not None and error > network_error}
    sentences = []
    if better:
        best = spoken(evaluation["beaten_by"][0])
        sentences.append(f"{who.capitalize()} does not beat {_listed(better, 'or')}.")
        sentences.append(f"Use {best} instead, or train the network longer or with other settings.")
    if equal:
        sentences.append(f"{who.capitalize()} is no better than {_listed(equal, 'or')}: the {label} is the same.")
    if worse:
        ranked = sorted(worse, key=lambda name: worse[name])
        shares = [f"{percent(1 - network_error / worse[name])} below that of {spoken(name)}" for name in ranked]
        sentences.append(f"{who.capitalize()}'s {label} of {number(network_error)} is {_listed(shares)}.")
    return sentences


def _compared(who: str, name: str, network_error: float, error: float | None) -> str:
    if not error:
        return f"{spoken(name)} (which makes no error; {who}'s is {number(network_error)})"
    return f"{spoken(name)} (whose error of {number(error)} is {percent(1 - error / network_error)} lower)"


def _against_targets(evaluation: Mapping[str, Any]) -> list[str]:
    """The targets that a baseline forecasts better, unless it is better for all of them and that was said."""
    targets: Mapping[str, Any] = evaluation.get("targets", {})
    sentences = []
    for name in evaluation["skill"]:
        lost = [target for target, part in targets.items() if name in part["beaten_by"]]
        if lost and (len(lost) < len(targets) or name not in evaluation["beaten_by"]):
            sentences.append(f"For {len(lost)} of {len(targets)} targets {spoken(name)} is better: {few(lost)}.")
    return sentences


def _about_intervals(network: Mapping[str, float | None]) -> list[str]:
    sentences = []
    for key, share in network.items():
        if not key.startswith("coverage/") or share is None:
            continue
        level = key.removeprefix("coverage/")
        gap = 100 * share - float(level)
        # Within five points is what a test of some hundred values can tell apart from the level itself.
        note = "" if abs(gap) < 5 else ": it is too narrow" if gap < 0 else ": it is wider than it needs to be"
        sentences.append(f"The {level} % interval contained {percent(share)} of the values{note}.")
    return sentences


CALIBRATION = {
    "fitted": (
        "no rows were held out: intervals are based on training rows, and may be too narrow",
        "No rows were held out to calibrate the intervals: they are based on errors on training rows, and may be too "
        "narrow.",
    ),
    "estimated": (
        "too few rows to calibrate intervals: their widths are an estimate, and grow with the step ahead",
        "There were too few rows to calibrate the intervals: their widths are estimated from how much the series "
        "moves and from the few errors there are, and grow with the step ahead.",
    ),
}
"""What the intervals rest on where that is less than rows held out: as a reason in a list, and as a sentence."""


def calibration_texts(evaluation: Mapping[str, Any]) -> tuple[str, str]:
    """The strings of `CALIBRATION` that apply; empty where rows were held out, or where it is not known."""
    origins = evaluation.get("calibration")
    if origins is None or (origins["enough"] and origins["validation"]):
        return "", ""
    return CALIBRATION["fitted" if origins["enough"] else "estimated"]


def _about_calibration(evaluation: Mapping[str, Any]) -> list[str]:
    return [sentence for sentence in calibration_texts(evaluation)[1:] if sentence]


def _about_missed(network: Mapping[str, float | None]) -> list[str]:
    missed = network.get("missed") or 0
    if not missed:
        return []
    what = "1 forecast was not a number and is" if missed == 1 else f"{missed:,.0f} forecasts were not numbers and are"
    return [f"{what} not in these scores; please report this."]


def subject(evaluation: Mapping[str, Any]) -> str:
    """Whose scores they are: the network's, or the forecast's where recurrent layers have no part in it."""
    sources = evaluation.get("sources")
    return "the network" if not sources or has_part(sources) else "the forecast"


def has_part(sources: Mapping[str, Any]) -> bool:
    """Whether the network's layers have a part in the forecast; see `contributions`."""
    return bool(sources["recurrence"])


def spoken(name: str) -> str:
    """The name of a forecast as it is spoken: `seasonal_naive` becomes "seasonal naive"."""
    return "the network" if name == "statecast" else name.replace("_", " ")


def percent(share: float) -> str:
    """A share in percent, with decimals only where rounding would wrongly give 0 or 100."""
    value = 100 * share
    return f"{value:.0f} %" if share in (0, 1) or 0.5 <= abs(value) < 99.5 or abs(value) > 100 else f"{value:.3g} %"


def number(value: float | None) -> str:
    """A score to four digits; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "—"
    if value != 0 and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.3e}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{decimals}f}"


def _listed(parts: Sequence[str], word: str = "and") -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def few(names: Sequence[str], most: int = 6) -> str:
    """Some names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
