"""The table in working units: constants of the training rows, and the front's statistics at every row.

The statistics depend on the data alone, so they are worked out once, by the front's own recurrence; segments then start
anywhere with the right level and scale. Constants condition the network: inputs, outputs and losses are all of order
one whatever the table's units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import Config
from statecast.data.encoding import deviation
from statecast.data.limits import Limits
from statecast.data.panel import Panel, rows_of_spans
from statecast.data.schema import Schema
from statecast.data.segments import Split
from statecast.errors import DataError
from statecast.model.front import STATISTICS, Front
from statecast.model.inputs import Rows, rows_of, transformed
from statecast.model.network import Network
from statecast.model.rings import Rings

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

NEAREST = 1e-4  # share of the room between two limits that a value is away from them at least
HEIGHT = 4096  # rows of a column of the front's pass
FORGOTTEN = 40.0  # steps, in units of 1 / decay, after which a running statistic has forgotten its start: e^-40 < 2^-53


@dataclass(frozen=True, eq=False)
class WorkingTable:
    """The targets of a panel in working units, with all that a forecast from one of its rows is relative to.

    Lags and skip change nothing of it, so what is chosen from the data, and the network in the end, share it.

    Attributes:
        constants: of the training rows.
        rows: the panel in working units and float64, without covariates.
        statistics: the front's, after every row.
        scales: what errors are divided by, for each series and target.
        parts: the split.
        threads: most threads that look at it, None for all; no result depends on it.
    """

    constants: dict[str, np.ndarray]
    rows: Rows
    statistics: dict[str, np.ndarray]
    scales: Float[np.ndarray, "S D"]
    parts: Split
    threads: int | None = None

    @classmethod
    def of(cls, config: Config, schema: Schema, panel: Panel, parts: Split) -> WorkingTable:
        """Work constants and statistics out, once for each transform of the values.

        Args:
            config: settings, of which `transform`, `normalize` and `missing` must be chosen.
            schema: what the columns are.
            panel: the table, with channels folded where they are independent.
            parts: its split.
        """
        network = linear(config, panel.targets, 0)
        limits = Limits.of(config, schema.target).of_channel(panel.targets)
        c = unit_constants(network, config, panel, parts, limits)
        rows = rows_of(network, c, schema, panel, np.float64)
        c |= level_constants(config, rows, training_rows(panel.offsets, parts.train))
        scales = loss_scales(rows, parts, config)
        return cls(c, rows, statistics(network.front, c, rows), scales, parts, config.threads or None)

    def train(self, network: Network, most: int, parts: Split | None = None) -> dict[str, Any]:
        """Evenly spaced training rows, `most` of them at most, as a network sees them; see `relative_rows`."""
        stop = (parts or self.parts).train
        return self._at(network, sample(training_rows(self.rows.offsets, stop), most), stop)

    def validation(self, network: Network, most: int, parts: Split | None = None) -> dict[str, Any]:
        """Evenly spaced origins that forecast validation rows, likewise."""
        parts = parts or self.parts
        return self._at(network, sample(validation_rows(self.rows.offsets, parts), most), parts.val)

    def _at(self, network: Network, at: Int64[np.ndarray, " n"], stop: Int64[np.ndarray, " S"]) -> dict[str, Any]:
        series = self.rows.series[at]
        limit = (self.rows.offsets[:-1] + stop)[series]
        level = (self.statistics["level"][at] - self.constants["level"]) / self.scales[series]
        relative = relative_rows(network, self.constants, self.rows, self.statistics, at, limit)
        return relative | {"loss_scale": self.scales[series], "level": level, "series": series}


def linear(config: Config, targets: int, skip: int, lags: int = 1) -> Network:
    """A network without layers and covariates that looks back so far: what least squares are made for."""
    plain = {"level_input": False, "hidden": (), "dense": (), "dropout": 0, "ensemble": 1}
    plain |= {"local": False, "local_skip": False}
    return Network.of(config.with_(**plain, skip=skip, lags=lags), targets)


def unit_constants(
    network: Network, config: Config, panel: Panel, parts: Split, limits: Limits | None = None
) -> dict[str, np.ndarray]:
    """Origin and unit of the working units, means and scales of the covariates; from training rows alone."""
    rows = training_rows(panel.offsets, parts.train)
    c = network.constants()
    if config.nonnegative:
        c["floor"] = np.zeros_like(c["floor"])
    if limits is not None:
        c["floor"] = np.where(np.isfinite(limits.lower), limits.lower, np.minimum(c["floor"], limits.upper))
        c["ceiling"] = limits.upper
    if config.transform == "log":
        c["least"] = _least(panel.y[rows])
    if config.transform == "logit" and limits is not None:
        c |= {"low": limits.lower, "high": limits.upper, "least": _nearest(panel.y[rows], limits)}
    if config.normalize != "none" and not _counts(network):
        y = transformed(c, panel.y[rows])
        c["origin"] = np.array([np.median(col[~np.isnan(col)]) if (~np.isnan(col)).any() else 0.0 for col in y.T])
        spread = np.array([deviation(col) for col in y.T])
        # A power of two changes no digit of the values.
        c["unit"] = 2.0 ** np.round(np.log2(spread))
    for name in ("past", "known"):
        values = getattr(panel, name)[rows]
        c[f"{name}_mean"], c[f"{name}_scale"] = _moments(values)
    c["static_mean"], c["static_scale"] = _moments(panel.static)
    return c


def _least(y: np.ndarray) -> np.ndarray:
    """Half the smallest positive value of each target: what zeros count as where logarithms are taken."""
    if (y < 0).any():
        raise DataError(
            f"the smallest training value is {np.nanmin(y):g}, and there is no logarithm below zero: "
            'choose transform = "none"'
        )
    smallest = np.min(np.where(y > 0, y, np.inf), axis=0, initial=np.inf)
    return np.where(np.isfinite(smallest), smallest / 2, 1.0)


def _nearest(y: np.ndarray, limits: Limits) -> np.ndarray:
    """What values at a limit count as away from it: half of the smallest distance of any other, 0 without limits.

    Between two limits it is at least a share of the room, so that a value beside a limit is no outlier.
    """
    room = limits.upper - limits.lower
    distances = np.fmin(*(np.where(np.isfinite(part), part, np.inf) for part in (y - limits.lower, limits.upper - y)))
    smallest = np.min(np.where(distances > 0, distances, np.inf), axis=0, initial=np.inf)
    least = np.where(np.isfinite(smallest), smallest / 2, 1.0)
    least = np.where(np.isfinite(room), np.clip(least, NEAREST * room, room / 4), least)
    return np.where(np.isfinite(limits.lower) | np.isfinite(limits.upper), least, 0.0)


def _counts(network: Network) -> bool:
    """Whether the network forecasts counts, which have a unit of their own."""
    return network.head.distribution is not None and network.head.distribution.counts


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = np.array([np.mean(col[~np.isnan(col)]) if (~np.isnan(col)).any() else 0.0 for col in values.T])
    return mean, np.array([deviation(col) for col in values.T])


def training_rows(offsets: Int64[np.ndarray, " S+1"], stop: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " N"]:
    """Row numbers of the first `stop[s]` rows of every series."""
    return rows_of_spans(offsets[:-1], stop)


def level_constants(config: Config, rows: Rows, train: Int64[np.ndarray, " N"]) -> dict[str, np.ndarray]:
    """Level and spread of a series that has seen nothing, and the deviation of the level, in working units."""
    if config.normalize == "none":
        return {}
    y, m = rows.y[train].astype(np.float64), rows.m[train] > 0
    columns = [values[mask] for values, mask in zip(y.T, m.T, strict=True)]
    deviations = np.array([deviation(col) for col in columns])
    level = np.array([col.mean() if len(col) else 0.0 for col in columns])
    if config.normalize in ("global", "window"):
        return {"level": level, "spread": deviations, "deviation": deviations}
    series = [rows.series[train][mask] for mask in m.T]
    steps = np.array([_typical_step(*pair) for pair in zip(columns, series, strict=True)])
    return {"level": level, "spread": np.where(steps > 0, steps, deviations), "deviation": deviations}


def _typical_step(values: np.ndarray, series: np.ndarray) -> float:
    """Mean |difference| of values that follow one another in the same series; 0 where there are none."""
    steps = np.abs(np.diff(values))[series[1:] == series[:-1]]
    return float(steps.mean()) if len(steps) else 0.0


def statistics(front: Front, constants: dict[str, np.ndarray], rows: Rows) -> dict[str, np.ndarray]:
    """The front's statistics after every row, each [R, D]: `front.scan` over all series, one after another.

    The rows are cut into columns that run side by side. Each column starts from what the column before it ended in,
    which is not known in the first pass; passes are made until the starts no longer change. As the statistics forget,
    two passes do for any table whose columns are long beside that memory.
    """
    count = len(rows.y)
    height = max(1, min(count, max(HEIGHT, math.ceil(FORGOTTEN / front.decay))))
    width = -(-count // height) or 1
    y, m, reset = (_columns(x, height, width) for x in (rows.y, rows.m, rows.age == 0))
    y, m = y.astype(np.float64), m.astype(np.float64)
    before = front.start(constants, y, (width,))
    # Counts never forget, but add up: they are right from the first pass on.
    before["count"] = _counts_before(rows.m, rows.age, height, width)
    for _ in range(width):
        after, last = front.scan(constants, y, m, reset, before)
        starts = {name: np.concatenate([before[name][:1], last[name][:-1]]) for name in STATISTICS}
        settled = all(np.allclose(starts[name], before[name], rtol=1e-9, atol=1e-12) for name in STATISTICS)
        before = starts
        if settled:
            break
    flat = {name: np.moveaxis(after[name], 0, 1).reshape(-1, rows.y.shape[1])[:count] for name in STATISTICS}
    return {name: values.astype(rows.y.dtype) for name, values in flat.items()}


def _columns(flat: np.ndarray, height: int, width: int) -> np.ndarray:
    """[R, …] → [height, width, …], one column after another, the last filled up with zeros."""
    padded = np.zeros((height * width, *flat.shape[1:]), flat.dtype)
    padded[: len(flat)] = flat
    return np.moveaxis(padded.reshape(width, height, *flat.shape[1:]), 0, 1)


def _counts_before(m: np.ndarray, age: np.ndarray, height: int, width: int) -> np.ndarray:
    """Values [width, D] of the same series before the first row of each column."""
    total = np.concatenate([np.zeros((1, m.shape[1])), np.cumsum(m, axis=0, dtype=np.float64)])
    first = np.arange(width) * height
    begin = first - age[np.minimum(first, len(age) - 1)] if len(age) else first
    return np.asarray(total[np.minimum(first, len(m))] - total[np.minimum(begin, len(m))])


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
        # What rounding makes of values that are all the same is no deviation.
        deviations = np.where(square > (1e-12 * mean) ** 2, np.sqrt(square), 0.0)
        typical = np.median(deviations[deviations > 0]) if (deviations > 0).any() else 1.0
        result[:, d] = np.where(deviations > 1e-6 * typical, deviations, typical)
    return result


def validation_rows(offsets: Int64[np.ndarray, " S+1"], parts: Split) -> Int64[np.ndarray, " N"]:
    """Row numbers of the origins that forecast the validation part of every series: the row before it is the first."""
    upto = training_rows(offsets, parts.val)
    first = np.where(parts.val > parts.train, np.maximum(parts.train - 1, 0), parts.val)
    return upto[upto >= np.repeat(offsets[:-1] + first, parts.val)]


def sample(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)] if len(rows) else rows


def relative_rows(
    network: Network,
    c: dict[str, np.ndarray],
    rows: Rows,
    statistics: dict[str, np.ndarray],
    at: np.ndarray,
    limit: np.ndarray,
) -> dict[str, Any]:
    """Ring and targets relative to level and scale at the rows `at` [n], in float64: what the network's parts see.

    Returns ring [n, R, D], target [n, H, D] with NaN where missing or not before `limit` [n], and scale [n, D].
    """
    front, horizon = network.front, network.head.horizon
    newest = rows.rings(at, front.ring).newest(front.ring)
    ring, held = (part.astype(np.float64) for part in newest.values())
    state = {name: statistics[name][at].astype(np.float64) for name in STATISTICS}
    level, scale = front.level_scale(state, Rings.of_state(ring, held))
    ahead = at[:, None] + np.arange(1, horizon + 1)
    inside = np.minimum(ahead, len(rows.y) - 1)
    mask = (ahead < limit[:, None])[..., None] & (rows.m[inside] > 0)
    if rows.weight is not None:
        mask &= rows.weight[inside] > 0
    target = (rows.y[inside] - level[:, None, :]) / scale[:, None, :]
    return {
        "ring": front.relative(ring, held, level, scale),
        "held": held,
        "target": np.where(mask, target, np.nan),
        "base": level,
        "scale": scale,
    }
