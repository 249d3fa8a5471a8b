"""What a forecast is made of, in words; `contributions` measures it.

It reads `evaluation_["sources"]` and nothing else, so the same can be said again later from a metrics.json. Files of
before do not say what a forecast is made of, and then nothing is said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statecast.forecast.scores.verdict import few, has_part, percent

PARTS = ("start", "map", "recurrence")


def sentences(evaluation: Mapping[str, Any]) -> list[str]:
    """What the forecast comes from; where it is several targets, how much of each; and what would help the network."""
    sources = evaluation.get("sources")
    if not sources:
        return []
    return [_overall(sources), *_by_target(sources), *_advice(sources)]


def _overall(sources: Mapping[str, Any]) -> str:
    start, trained, layers = (_share(sources, name) for name in PARTS)
    composition = _composition(sources)
    aside = f" ({composition})" if composition else ""
    fitted = "this linear map" if start else f"a linear map of the last {sources['values']:,} values"
    silent = ", and the recurrent layers have no part in it" if sources["recurrent"] and not layers else ""
    name = "the recurrent layers" if sources["recurrent"] else "the network's layers"
    if not start + trained + layers:
        return f"The forecast is simply the last known level{silent}."
    if not sources["values"]:
        return f"The forecast comes from {name}, which start from the last known level."
    if not trained + layers:
        return f"The forecast comes from the linear start alone{aside}{silent}."
    parts = [f"{percent(start)} from the linear start{aside}"] if start else []
    parts += [f"{percent(trained)} from what training changed in {fitted}"] if trained else []
    parts += [f"{percent(layers)} from {name}"] if layers else []
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"The forecast comes {listed}{silent}."


def _composition(sources: Mapping[str, Any]) -> str:
    """What the start is made of; files that do not say are of a time when it was always least squares."""
    return str(sources.get("composition", f"least squares on the last {sources['values']:,} values"))


def _by_target(sources: Mapping[str, Any]) -> list[str]:
    """The recurrent layers' part in each target, unless it is the same in all."""
    targets: Mapping[str, Any] = sources.get("targets", {})
    shares = {name: percent(_share(part, "recurrence")) for name, part in targets.items()}
    if not sources["recurrent"] or len(set(shares.values())) < 2:
        return []
    return [f"The recurrent layers' part by target: {few([f'{name} {share}' for name, share in shares.items()])}."]


def _advice(sources: Mapping[str, Any]) -> list[str]:
    if not sources["recurrent"] or has_part(sources) or not sources["values"]:
        return []
    return [
        "What the recurrent layers gain here could be chance. More rows, more series of the same kind, or covariates "
        "that say what the last values cannot may help; significance = 1 keeps the network as it was trained."
    ]


def _share(sources: Mapping[str, Any], name: str) -> float:
    return float(sources[name] or 0.0)
