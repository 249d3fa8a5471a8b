"""Scores of forecasts made at many origins, always beside the baselines at the same origins.

`tested` runs a network once over a panel and keeps its forecasts at the wanted rows; `evaluate` compares them, series
by series, with what happened and with persistence, seasonal naive and linear extrapolation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.forecast import calibrate, channels, metrics
from statecast.forecast.baselines import BASELINES
from statecast.forecast.metrics import Scores
from statecast.forecast.roll import Origins, Scan, roll
from statecast.model.inputs import Rows, from_working
from statecast.model.network import Network
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

BLOCK = 65_536  # numbers that are scored at once where series are short
MOST = 20_000_000  # numbers that are kept of all origins; above it, they are thinned out evenly


def test_origins(
    panel: Panel, begin: Int64[np.ndarray, " S"], horizon: int, stop: Int64[np.ndarray, " S"] | None = None
) -> Bool[np.ndarray, " rows"]:
    """Rows from which the rows `begin[s]` to `stop[s]` − 1 of each series are forecast, all H steps at once.

    Where there are fewer than H of them, the one origin right before them counts with the steps that there are.

    Args:
        panel: the table.
        begin: for each series, the first row that is forecast; a series that begins there has no origin before it.
        horizon: steps ahead, H.
        stop: for each series, the row after the last that is forecast; its length where None.
    """
    mask = np.zeros(panel.rows, bool)
    for span, first, end in zip(panel.spans(), begin, panel.lengths if stop is None else stop, strict=True):
        if 0 < first < end:
            mask[span.start + first - 1 : span.start + max(int(end) - horizon, int(first))] = True
    return mask


def tested(
    network: Network,
    p: Any,
    rows: Rows,
    wanted: Bool[np.ndarray, " R"],
    ends: Float64[np.ndarray, "S size"] | None = None,
    scan: Scan | None = None,
    ahead: Int64[np.ndarray, " H"] | None = None,
) -> Origins:
    """All forecasts at the wanted rows, in order of the rows, in one run; see `roll` for the arguments."""
    parts = list(roll(network, p, rows, wanted, ends=ends, scan=scan, ahead=ahead))
    if not parts:
        return Origins.none(network.head)
    at = np.concatenate([part.rows for part in parts])
    order = np.argsort(at, kind="stable")
    values, scale = (np.concatenate([getattr(part, name) for part in parts])[order] for name in ("values", "scale"))
    return Origins(at[order], values, scale)


def evaluate(model: Model, panel: Panel, origins: Origins, train: Int64[np.ndarray, " S"]) -> dict[str, Any]:
    """Scores of the network and of every baseline: what `metrics.json` holds.

    Args:
        model: the model.
        panel: the table, one series a series.
        origins: its forecasts, at rows of the folded panel (see `channels.fold`).
        train: training rows of each series, from which the scale of mase comes.

    Returns:
        See `metrics.evaluation`; besides, "error_by_step": the mean absolute error of each step, and "origins".
    """
    horizon, season, d = model.config.horizon, model.config.season or 1, len(model.schema.target)
    scores = {name: Scores.empty(d) for name in ("statecast", *BASELINES)}
    by_step = {name: np.zeros((2, horizon)) for name in scores}
    for block in _blocks(_judged(model, panel, origins, train, season)):
        for name, guess in block["guesses"].items():
            bounds = (block["lower"], block["upper"]) if name == "statecast" else ({}, {})
            scores[name] = scores[name].add(block["actual"], guess, block["scale"], *bounds)
            error = np.abs(block["actual"] - guess)
            by_step[name] += np.array([np.nansum(error, axis=(0, 2)), np.sum(~np.isnan(error), axis=(0, 2))])
    targets = model.schema.target if d > 1 else None
    own = scores.pop("statecast")
    # Errors in the table's units cannot be pooled over targets and series of different size; mase has no unit.
    scaled = (d > 1 or panel.series > 1) and not np.isnan(own.result()["mase"])
    result = metrics.evaluation(own, scores, targets, "mase" if scaled else "mae")
    result["error_by_step"] = {
        name: [float(total / count) if count else None for total, count in sums.T] for name, sums in by_step.items()
    }
    return result | {"origins": len(origins.rows) // channels.rows_each(model)}


def _judged(
    model: Model, panel: Panel, origins: Origins, train: Int64[np.ndarray, " S"], season: int
) -> Iterator[dict[str, Any]]:
    """For each series with origins: what happened, the guesses of the network and of every baseline, and its scale."""
    horizon = model.config.horizon
    most = max(BLOCK // (horizon * len(model.schema.target)), 1)
    for s, at, found in by_series(model, panel, origins, most):
        y = panel.y[panel.span(s)]
        ahead = at[:, None] + np.arange(1, horizon + 1)
        scale = metrics.seasonal_scale(y[: int(train[s])], season)
        guesses = {"statecast": found["point"]}
        guesses |= {name: baseline(y, at, horizon, season) for name, baseline in BASELINES.items()}
        yield {
            "actual": np.where((ahead < len(y))[..., None], y[np.minimum(ahead, len(y) - 1)], np.nan),
            "scale": np.broadcast_to(scale, (len(at), 1, len(scale))),
            "guesses": guesses,
            "lower": found["lower"],
            "upper": found["upper"],
        }


def _blocks(parts: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same with short series joined: a call for each of thousands of them would take longer than its numbers."""
    held: list[dict[str, Any]] = []
    size = 0
    for part in parts:
        held.append(part)
        size += part["actual"].size
        if size >= BLOCK:
            yield _joined(held)
            held, size = [], 0
    if held:
        yield _joined(held)


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], dict):
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def by_series(
    model: Model, panel: Panel, origins: Origins, most: int | None = None
) -> Iterator[tuple[int, Int64[np.ndarray, " n"], dict[str, Any]]]:
    """For each series with origins: its number, the origins' rows within it, point forecasts and bounds [n, H, D].

    A series of more than `most` origins comes in several parts, which bounds memory.
    """
    width = channels.rows_each(model)
    begins = channels.fold(model, panel).offsets
    cuts = np.searchsorted(origins.rows, begins)
    for s in range(panel.series):
        first, count = cuts[s * width : (s + 1) * width], int(cuts[s * width + 1] - cuts[s * width])
        size = most or max(count, 1)
        for begin in range(0, count, size):
            pieces = [slice(int(at) + begin, int(at) + min(begin + size, count)) for at in first]
            yield s, origins.rows[pieces[0]] - begins[s * width], _forecast(model, [origins.at(p) for p in pieces])


def _forecast(model: Model, parts: Sequence[Origins]) -> dict[str, Any]:
    """Point forecasts and bounds of a series in the table's units, the targets side by side."""
    points, lower, upper = [], {}, {}  # type: list[Any], dict[float, list[Any]], dict[float, list[Any]]
    for here in parts:
        point = here.values[..., model.network.head.middle, None]
        points.append(from_working(model.constants, point)[..., 0])
        for level in model.config.levels:
            low, high = calibrate.interval(model, here, level)
            lower.setdefault(level, []).append(low)
            upper.setdefault(level, []).append(high)
    joined = [{k: np.concatenate(v, axis=-1) for k, v in part.items()} for part in (lower, upper)]
    return {"point": np.concatenate(points, axis=-1), "lower": joined[0], "upper": joined[1]}
