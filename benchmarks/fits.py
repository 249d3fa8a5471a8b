"""What statecast forecasts of a protocol, and what it scores: the fit is given a table, its columns and a seed.

Where a model is fitted once, `backtest` forecasts all origins from it. Short series are fitted at each origin anew, all
in one process, so that after the first fit JAX is warm, as it is for a person who fits one series after another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from protocols import Protocol, Suite
from protocols.competitions import owa
from protocols.protocol import LEVELS, NAIVE, Forecasts, Scores, arrange

NUMBERS = 12_000_000  # forecast values that one backtest gives; more are asked for in several, to bound memory
# What a network has learned from.
EVERY_ROW, TRAINING_ROWS = "every row learned", "training rows alone"
START: Mapping[str, Any] = {"max_steps": 0}  # nothing but what is known before the first step


class Clock:
    """Seconds since it was made, of the wall and of all cores."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> dict[str, float]:
        return {"seconds": time.perf_counter() - self._wall, "cpu_s": time.process_time() - self._cpu}


# --- one fit, all origins


def measure(protocol: Protocol, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Fit with the defaults, but for `settings`; forecast all origins, score.

    A fit makes two networks: one that has learned from the training rows alone, and one that has learned from every row
    of the table. The protocol says which of them is scored; the scores of the other stand beside.
    """
    clock = Clock()
    model = fitted(protocol, protocol.learnable, seed, settings)
    fit_s = clock.seconds()["seconds"]
    networks = {EVERY_ROW: model, TRAINING_ROWS: model.tested()}
    scored_one, other = (TRAINING_ROWS, EVERY_ROW) if protocol.training_alone else (EVERY_ROW, TRAINING_ROWS)
    scores = judged(protocol, networks[scored_one])
    seconds = clock.seconds()
    beside = {"label": other} | judged(protocol, networks[other]) if model.model_.config.refit else None
    return {
        "seed": seed,
        **seconds,
        "fit_s": fit_s,
        "forecast_s": seconds["seconds"] - fit_s,
        **scores,
        "beside": beside,
        "chosen": {name: plain(model.model_.config.to_dict()[name]) for name in sorted(model.reasons_)},
    }


def judged(protocol: Protocol, model: Any) -> dict[str, Any]:
    """The scores of a model's forecasts of all origins, and of the sparse ones."""
    made = predicted(protocol, model) if protocol.windows == 1 else backtested(protocol, model)
    rows = protocol.sparse_rows
    return {
        "scores": scored(protocol, made),
        "sparse": scored(protocol, made.at(rows), rows) if protocol.sparse else None,
    }


def fitted(protocol: Protocol, table: Any, seed: int, settings: Mapping[str, Any]) -> Any:
    """A model that has learned from a table."""
    import statecast as sc

    settings = {**protocol.settings, **settings}
    model = sc.Forecaster(horizon=protocol.horizon, random_state=seed, test_size=0, **settings)
    return model.fit(table, **protocol.roles)


def predicted(protocol: Protocol, model: Any) -> Forecasts:
    """One forecast of each series, from where the table of the fit ended."""
    return arrange(protocol, *columns(model.predict(), protocol), windows=1)


def backtested(protocol: Protocol, model: Any) -> Forecasts:
    """Forecasts of all origins without refit: one run over the table, or a few where all of them fill the memory."""
    most = max(NUMBERS // (len(protocol.series) * protocol.horizon), 1)
    parts = []
    for left in range(protocol.windows, 0, -most):
        windows = min(most, left)
        drop = (left - windows) * protocol.step
        part = model.backtest(shortened(protocol, drop), windows=windows, step=protocol.step)
        parts.append(arrange(protocol, *columns(part, protocol), windows=windows))
    return together(protocol, parts)


def shortened(protocol: Protocol, rows: int) -> Any:
    """The table without the last rows; only wide tables of one series have so many origins that this is asked for."""
    if rows and protocol.roles.get("id"):
        raise ValueError(f"{protocol.name}: too many forecasts for one backtest")
    return protocol.table.head(len(protocol.table) - rows)


def columns(frame: Any, protocol: Protocol) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The ids of a frame of forecasts, and its points and bounds."""
    names = {"point": "statecast"}
    names |= {f"{side}-{level}": f"statecast-{side}-{level}" for side in ("lo", "hi") for level in LEVELS}
    ids = frame[protocol.roles.get("id", "unique_id")] if len(protocol.series) > 1 else [protocol.series[0].name]
    repeated = np.asarray(ids) if len(protocol.series) > 1 else np.repeat(ids, len(frame))
    return repeated, {short: frame[name].to_numpy() for short, name in names.items()}


def together(protocol: Protocol, parts: Sequence[Forecasts]) -> Forecasts:
    """Blocks of origins, one after another in time, as the forecasts of all."""

    def joined(arrays: list[np.ndarray]) -> np.ndarray:
        blocks = [array.reshape(len(protocol.series), -1, protocol.horizon) for array in arrays]
        return np.concatenate(blocks, axis=1).reshape(-1, protocol.horizon)

    return combined(parts, joined)


def combined(parts: Sequence[Forecasts], how: Callable[[list[np.ndarray]], np.ndarray]) -> Forecasts:
    """One set of forecasts from several, points and bounds alike."""
    lower, upper = (
        {level: how([getattr(part, side)[level] for part in parts]) for level in getattr(parts[0], side)}
        for side in ("lower", "upper")
    )
    return Forecasts(how([part.point for part in parts]), lower, upper)


# --- a fit at each origin


def measure_alone(suite: Suite, seed: int, settings: Mapping[str, Any], watch: Callable[[str], None]) -> dict[str, Any]:
    """Fit each series alone at each origin; `watch` gets a line for each series."""
    fitted(suite.members[0], suite.members[0].learnable, seed, settings)  # nobody's: it warms JAX
    clock = Clock()
    made: list[Forecasts] = []
    fits: dict[str, list[float]] = {}
    for member, unit in zip(suite.members, suite.units, strict=True):
        parts = list(refitted(member, seed, settings))
        made.append(together(member, [part for part, _ in parts]))
        fits[member.name] = [seconds for _, seconds in parts]
        ratio = member.scores(made[-1])["mase"] / unit
        watch(f"{member.name:14} {ratio:6.3f}  {' '.join(f'{seconds:5.2f}' for seconds in fits[member.name])} s")
    flat = [seconds for each in fits.values() for seconds in each]
    return {
        "seed": seed,
        **clock.seconds(),
        "scores": suite.scores(made) | {"fit_s": median(flat), "longest_s": max(flat)},
        "ratios": suite.ratios(made),
        "fits": fits,
    }


def refitted(member: Protocol, seed: int, settings: Mapping[str, Any]) -> Iterator[tuple[Forecasts, float]]:
    """The forecast of each origin from a model that was fitted on the rows up to it, and the seconds of that fit."""
    for origin in member.origins(member.series[0]):
        clock = Clock()
        model = fitted(member, member.table.head(int(origin) + 1), seed, settings)
        seconds = clock.seconds()["seconds"]
        yield predicted(member, model), seconds


# --- scores


def scored(protocol: Protocol, made: Forecasts, rows: np.ndarray | None = None) -> Scores:
    """The protocol's scores, and OWA where the competition has it."""
    scores = protocol.scores(made, rows)
    return scores | ({"owa": owa(scores["smape"], scores["mase"])} if "owa" in protocol.shown else {})


def naive(protocol: Protocol | Suite) -> dict[str, dict[str, Any]]:
    """The scores of the naive forecasts at all origins, and at the sparse ones."""
    entries = {}
    for name in NAIVE:
        clock = Clock()
        if isinstance(protocol, Suite):
            scores, sparse = protocol.scores(protocol.naive(name)), None
        else:
            made, rows = protocol.naive(name), protocol.sparse_rows
            scores = scored(protocol, made)
            sparse = scored(protocol, made.at(rows), rows) if protocol.sparse else None
        entries[name] = {"seconds": clock.seconds()["seconds"], "scores": scores, "sparse": sparse}
    return entries


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
