"""What a forecast is made of: the start, what training made of its linear map, and the recurrent layers.

Every forecast begins from the level, which is the last value as a rule. Three things move it from there: the linear
map of the last values as it was before the first step of training, what training changed of it, and the layers. How
far each moves it is measured on rows that were held out, by taking one after the other away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.forecast.attribution import PARTS
from statecast.forecast.explain import pieces
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.origins import origin_rows
from statecast.forecast.scores import evaluate
from statecast.model.heads.head import LINEAR, hears
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

Shares = dict[str, float | None]


def contributions(
    model: Model, start: Mapping[str, Any], panel: Panel, split: Split, composition: str = ""
) -> dict[str, Any]:
    """How much of a model's forecasts comes from where, as plain values: what `evaluation_["sources"]` holds.

    Args:
        model: the model, whose intervals have been calibrated.
        start: the weights that training began from.
        panel: the table that it was fitted on.
        split: of the table; the validation rows are looked at, or the second half of the training rows without any.
        composition: what the linear map of the start is made of, in words; empty where it is zero.

    Returns:
        "start", "map" and "recurrence": the mean distance by which each moves the forecast from the level, as a share
        of the sum of the three; None where none does. "targets": the same for each of several. "values": last values
        that the linear map takes. "composition": as given. "recurrent": whether there are recurrent layers.
    """
    stop, begin = (split.val, split.train) if (split.val > split.train).any() else (split.train, split.train // 2)
    targets = model.schema.target
    sizes = _sizes(model, start, panel.cut(stop), begin) if panel.rows else np.zeros((len(PARTS), len(targets)))
    each = {name: _shares(sizes[:, d]) for d, name in enumerate(targets)}
    size, stack = model.network.front.skip, model.network.stack
    overall = _shares(np.mean([_as_array(shares) for shares in each.values()], axis=0))
    several = {"targets": each} if len(targets) > 1 else {}
    return {**overall, **several, "values": size, "composition": composition, "recurrent": bool(stack.hidden)}


def _as_array(shares: Shares) -> Float[np.ndarray, " 3"]:
    return np.array([shares[name] or 0.0 for name in PARTS])


def _shares(sizes: Float[np.ndarray, " 3"]) -> Shares:
    total = float(sizes.sum())
    return {name: float(size) / total if total > 0 else None for name, size in zip(PARTS, sizes, strict=True)}


def _sizes(
    model: Model, start: Mapping[str, Any], panel: Panel, begin: Int64[np.ndarray, " S"]
) -> Float[np.ndarray, "3 D"]:
    """How far start, training of the map and layers move the forecasts of each target, in shares of each series."""
    part, first = pieces(model, panel, begin, np.random.default_rng(0))
    mask = origin_rows(part, first, model.config.horizon)
    sizes = np.zeros((len(PARTS), len(model.schema.target)))
    if not mask.any():
        return sizes
    feed = Feed.of(model, part)
    bare = {name: np.zeros_like(array) if name == "maps" else array for name, array in model.constants.items()}
    stages = [(_level(model.weights), bare), *((w, model.constants) for w in (_map(start), _map(model.weights)))]
    stages.append((model.weights, model.constants))
    points: list[list[np.ndarray]] = []
    for n, (weights, constants) in enumerate(stages):
        if n > 1 and _alike(stages[n - 1][0], weights):
            points.append(points[-1])
            continue
        staged = replace(model, weights=weights, constants=constants)
        origins = feed.forecasts(staged, mask)
        points.append([bounded.point for _, _, bounded in evaluate.by_series(staged, part, origins)])
    for series in zip(*points, strict=True):
        moves = np.array([np.abs(b - a).mean(axis=(0, 1)) for a, b in pairwise(series)])
        total = moves.sum(axis=0)
        sizes += len(series[0]) * np.divide(moves, total, out=np.zeros_like(moves), where=total > 0)
    return sizes


def _map(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights whose head takes nothing from the layers: the linear map is left."""
    head = {name: _zeros(part, ("W",)) if name in LINEAR else part for name, part in weights["head"].items()}
    return {**weights, "head": head}


def _level(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights that forecast the level alone."""
    bare = _map(weights)
    head = bare["head"] | {"out": _zeros(bare["head"]["out"], ("W", "b"))}
    return {**bare, "head": head, "skip": _zeros(weights["skip"], ("W",))}


def _zeros(weights: Mapping[str, np.ndarray], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: np.zeros_like(part) if name in names else part for name, part in weights.items()}


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two sets of weights forecast the same because neither hears the layers."""
    first, second = ((w["head"]["out"]["b"], *w["skip"].values()) for w in (one, other))
    equal = all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    return equal and not hears(one) and not hears(other)
