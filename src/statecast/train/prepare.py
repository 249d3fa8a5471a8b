"""Before the first step: constants of the training rows, the front's statistics at every row, and the skip's start.

The statistics depend on the data alone, so they are worked out once, by the front's own recurrence; segments then start
anywhere with the right level and scale. Constants condition the network: inputs, outputs and losses are all of order one
whatever the table's units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from statecast.config import Config
from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.model.front import STATISTICS, Front
from statecast.data.schema import Schema
from statecast.model.inputs import Rows, rows_of
from statecast.model.network import Network
from statecast.train import warmstart

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

COLUMNS = 64  # columns that the series are packed into for the front's pass
SAMPLE = 8192  # training rows from which typical sizes are taken


def unit_constants(network: Network, config: Config, panel: Panel, parts: Split) -> dict[str, np.ndarray]:
    """Origin and unit of the working units, means and scales of the covariates; from training rows alone."""
    rows = training_rows(panel.offsets, parts.train)
    c = network.constants()
    if config.normalize != "none":
        y = panel.y[rows]
        c["origin"] = np.array([np.median(col[~np.isnan(col)]) if (~np.isnan(col)).any() else 0.0 for col in y.T])
        spread = np.array([_deviation(col) for col in y.T])
        # A power of two changes no digit of the values.
        c["unit"] = 2.0 ** np.round(np.log2(spread))
    for name in ("past", "known"):
        values = getattr(panel, name)[rows]
        c[f"{name}_mean"], c[f"{name}_scale"] = _moments(values)
    c["static_mean"], c["static_scale"] = _moments(panel.static)
    return c


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = np.array([np.mean(col[~np.isnan(col)]) if (~np.isnan(col)).any() else 0.0 for col in values.T])
    return mean, np.array([_deviation(col) for col in values.T])


def _deviation(column: np.ndarray) -> float:
    """Standard deviation of what is there; 1 where there is none."""
    there = column[~np.isnan(column)]
    deviation = float(np.std(there)) if len(there) > 1 else 0.0
    return deviation if deviation > 1e-12 * max(float(np.max(np.abs(there))) if len(there) else 0.0, 1e-300) else 1.0


def training_rows(offsets: Int64[np.ndarray, " S+1"], stop: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " N"]:
    """Row numbers of the first `stop[s]` rows of every series."""
    begin = np.repeat(offsets[:-1], stop)
    starts = np.repeat(np.concatenate([[0], np.cumsum(stop)])[:-1], stop)
    return np.asarray(begin + np.arange(int(stop.sum())) - starts)


def level_constants(config: Config, rows: Rows, train: Int64[np.ndarray, " N"]) -> dict[str, np.ndarray]:
    """Level and spread of a series that has seen nothing, and the deviation of the level, in working units."""
    if config.normalize == "none":
        return {}
    y, m = rows.y[train].astype(np.float64), rows.m[train] > 0
    columns = [values[there] for values, there in zip(y.T, m.T, strict=True)]
    deviation = np.array([_deviation(col) for col in columns])
    level = np.array([col.mean() if len(col) else 0.0 for col in columns])
    if config.normalize in ("global", "window"):
        return {"level": level, "spread": deviation, "deviation": deviation}
    steps = [np.abs(np.diff(col)).mean() if len(col) > 1 else 0.0 for col in columns]
    spread = np.where(np.array(steps) > 0, steps, deviation)
    return {"level": level, "spread": spread, "deviation": deviation}


def statistics(front: Front, constants: dict[str, np.ndarray], rows: Rows) -> dict[str, np.ndarray]:
    """The front's statistics after every row, each [R, D]: `front.scan` over all series, packed into columns."""
    place = _pack(rows.offsets)
    at = np.maximum(place, 0)
    reset = (rows.age[at] == 0) | (place < 0)
    y, m = rows.y[at], rows.m[at] * (place >= 0)[..., None]
    like = jnp.asarray(rows.y[:0])
    c = {name: jnp.asarray(value, like.dtype) for name, value in constants.items()}
    start = front.start(c, like, (place.shape[1],))
    found, _ = jax.jit(front.scan)(c, jnp.asarray(y), jnp.asarray(m), jnp.asarray(reset), start)
    result = {}
    for name in STATISTICS:
        result[name] = np.empty_like(rows.y)
        result[name][place[place >= 0]] = np.asarray(found[name])[place >= 0]
    return result


def _pack(offsets: Int64[np.ndarray, " S+1"]) -> Int64[np.ndarray, "T B"]:
    """Row numbers of the series stacked in columns of about equal height, longest first; −1 below a column's end."""
    lengths = np.diff(offsets)
    columns: list[list[np.ndarray]] = [[] for _ in range(min(COLUMNS, max(len(lengths), 1)))]
    heights = np.zeros(len(columns), np.int64)
    for s in np.argsort(-lengths, kind="stable"):
        lowest = int(np.argmin(heights))
        columns[lowest].append(np.arange(offsets[s], offsets[s + 1]))
        heights[lowest] += lengths[s]
    place = np.full((int(heights.max()), len(columns)), -1, np.int64)
    for b, column in enumerate(columns):
        if column:
            place[: heights[b], b] = np.concatenate(column)
    return place


def sample(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)] if len(rows) else rows


def relative_rows(
    network: Network,
    c: dict[str, np.ndarray],
    rows: Rows,
    found: dict[str, np.ndarray],
    at: np.ndarray,
    limit: np.ndarray,
) -> dict[str, Any]:
    """Ring and targets relative to level and scale at the rows `at` [n], in float64: what the network's parts see.

    Returns ring [n, R, D], target [n, H, D] with NaN where missing or not before `limit` [n], and scale [n, D].
    """
    front, size, horizon = network.front, network.front.ring, network.head.horizon
    back = at[:, None] - np.arange(size - 1, -1, -1)
    held = (rows.m[np.maximum(back, 0)] * (back >= rows.offsets[rows.series[at]][:, None])[..., None]).astype(
        np.float64
    )
    ring = rows.y[np.maximum(back, 0)].astype(np.float64) * held
    state = {name: found[name][at].astype(np.float64) for name in STATISTICS}
    level, scale = front.level_scale(c, state, ring, held)
    ahead = at[:, None] + np.arange(1, horizon + 1)
    inside = np.minimum(ahead, len(rows.y) - 1)
    there = (ahead < limit[:, None])[..., None] & (rows.m[inside] > 0)
    target = (rows.y[inside] - level[:, None, :]) / scale[:, None, :]
    return {
        "ring": front.relative(ring, held, level, scale),
        "held": held,
        "target": np.where(there, target, np.nan),
        "scale": scale,
    }


def gains(parts: dict[str, Any]) -> dict[str, np.ndarray]:
    """Typical sizes of the relative ring [D] and of the relative targets [H, D], robust against a few large ones."""
    held, target = parts["held"], parts["target"]
    count = np.maximum(held.sum(axis=(0, 1)), 1)
    ring = 1.25 * np.abs(parts["ring"]).sum(axis=(0, 1)) / count
    there = ~np.isnan(target)
    output = 1.25 * np.where(there, np.abs(target), 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return {"ring_gain": np.where(ring > 0, ring, 1.0), "output_gain": np.where(output > 0, output, 1.0)}


def loss_scales(rows: Rows, parts: Split, config: Config) -> Float[np.ndarray, "S D"]:
    """Deviation of the training rows of every series and target, in working units; the panel's where there is none."""
    if config.normalize == "none":
        return np.ones((len(parts.train), rows.y.shape[1]))
    train = training_rows(rows.offsets, parts.train)
    series, m = rows.series[train], rows.m[train].astype(np.float64)
    y = rows.y[train].astype(np.float64)
    s = len(parts.train)
    result = np.empty((s, y.shape[1]))
    for d in range(y.shape[1]):
        n = np.bincount(series, m[:, d], s)
        mean = np.bincount(series, y[:, d] * m[:, d], s) / np.maximum(n, 1)
        square = np.bincount(series, (y[:, d] - mean[series]) ** 2 * m[:, d], s) / np.maximum(n, 1)
        deviation = np.sqrt(square)
        typical = np.median(deviation[deviation > 0]) if (deviation > 0).any() else 1.0
        result[:, d] = np.where(deviation > 1e-6 * typical, deviation, typical)
    return result


def device_rows(network: Network, rows: Rows, found: dict[str, np.ndarray], scales: np.ndarray) -> dict[str, Any]:
    """The flat arrays that `loss.gather` reads; values carry blank rows before and after for slices to run into."""
    size, horizon = network.front.ring, network.head.horizon
    blank = ((size, horizon), (0, 0))
    data = {"y": np.pad(rows.y, blank), "m": np.pad(rows.m, blank), "age": rows.age, "series": rows.series}
    data |= found | {"loss_scale": scales.astype(rows.y.dtype)} | rows.covariates
    if rows.future is not None:
        data |= {"future": rows.future, "place": rows.place}
    return {name: jnp.asarray(value) for name, value in data.items()}


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the loop starts from.

    Attributes:
        rows: the panel in the network's terms.
        data: its flat arrays on the device.
        constants: of the training rows.
        weights: the first ones, in the precision of the settings.
        offsets: [S + 1].
        parts: the split.
    """

    rows: Rows
    data: dict[str, Any]
    constants: dict[str, np.ndarray]
    weights: Any
    offsets: Int64[np.ndarray, " S+1"]
    parts: Split


def prepare(config: Config, network: Network, schema: Schema, panel: Panel, parts: Split) -> Prepared:
    """Everything before the first step; `panel` is folded already where channels are independent."""
    dtype = np.dtype(config.precision)
    c = unit_constants(network, config, panel, parts)
    rows = rows_of(network, c, schema, panel, dtype)
    train = training_rows(panel.offsets, parts.train)
    c |= level_constants(config, rows, train)
    found = statistics(network.front, c, rows)
    scales = loss_scales(rows, parts, config)
    weights = network.init(config.random_state, config.recurrent_init, config.forget_bias)
    seen = _seen(network, c, rows, found, scales, parts, train)
    c |= gains(seen)
    if network.front.skip and config.skip_init == "ridge":
        _start_skip(network, c, weights, seen, _seen(network, c, rows, found, scales, parts, _validation_rows(panel.offsets, parts), val=True))
    cast = {name: value.astype(dtype) if name not in ("origin", "unit") else value for name, value in c.items()}
    return Prepared(rows, device_rows(network, rows, found, scales), cast, _cast(weights, dtype), panel.offsets, parts)


def _validation_rows(offsets: np.ndarray, parts: Split) -> np.ndarray:
    inside = [np.arange(o + t, o + v) for o, t, v in zip(offsets[:-1], parts.train, parts.val, strict=True)]
    return np.concatenate(inside) if inside else np.zeros(0, np.int64)


def _seen(
    network: Network, c: dict[str, np.ndarray], rows: Rows, found: dict[str, np.ndarray], scales: np.ndarray, parts: Split, at: np.ndarray, val: bool = False
) -> dict[str, Any]:
    at = sample(at, SAMPLE * 2)
    stop = (rows.offsets[:-1] + (parts.val if val else parts.train))[rows.series[at]]
    seen = relative_rows(network, c, rows, found, at, stop)
    return seen | {"loss_scale": scales[rows.series[at]]}


def _start_skip(network: Network, c: dict[str, np.ndarray], weights: Any, train: dict[str, Any], val: dict[str, Any]) -> None:
    w, b = warmstart.ridge(network, c, train, val)
    weights["skip"]["W"] = w
    bias = weights["head"]["out"]["b"].reshape(network.head.horizon, network.front.targets, network.head.width)
    bias[..., network.head.width // 2] = b


def _cast(tree: Any, dtype: Any) -> Any:
    return {name: _cast(value, dtype) for name, value in tree.items()} if isinstance(tree, dict) else tree.astype(dtype)
