"""Sample paths: whole futures of a series, whose steps hang together as they do in what happened.

Intervals tell how wrong each step may be by itself; a sum, a maximum or a first crossing needs to know which errors
come together. So a path takes the normal scores of a whole stretch of those that calibrate the intervals, all steps
(and the targets that one network sees together) from one origin, and puts them into today's distributions. This is the
error bootstrap with the rank order of real trajectories, as in the Schaake shuffle (Clark et al., Journal of
Hydrometeorology 5, 2004) and ensemble copula coupling (Schefzik, Thorarinsdottir & Gneiting, Statistical Science 28,
2013): each step keeps its calibrated distribution, and dependence needs no model of its own. Beyond the network's
horizon each path is fed back as if it had been observed, and goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.framed import TableResult
from statecast.data.schema import Schema
from statecast.errors import SettingError
from statecast.forecast import answer, calibrate, channels, features, predict
from statecast.forecast.runner import Runner
from statecast.model.adaptive import NORMAL
from statecast.model.heads import marginal
from statecast.model.heads.head import Head
from statecast.model.inputs import from_working
from statecast.model.state import State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Float64, Int64

NUMBERS, MOST, FEWEST = 200_000, 512, 20  # numbers and paths that a model keeps, and paths from which it draws at all


@dataclass(frozen=True, eq=False)
class Samples(TableResult):
    """Sample paths of some series.

    Attributes:
        schema: the columns of the table.
        ids: the series.
        times: [S, H] as in `Panel.time`.
        values: [S, N, H, D] in the units of the table.

    Example:
        >>> peaks = model.samples(100).values.max(axis=2)  # the greatest month of each possible year
        >>> bool(np.quantile(peaks, 0.9) > 600)
        True
    """

    schema: Schema
    ids: channels.Ids
    times: Int64[np.ndarray, "S H"]
    values: Float64[np.ndarray, "S N H D"]

    @property
    def tz(self) -> str | None:
        """The time zone; None if the times have none."""
        return self.schema.tz

    def columns(self) -> dict[str, np.ndarray]:
        """The columns id, time, sample_id (from 0 on) and statecast; a row for each (series, target, path, step).

        Example:
            >>> list(model.samples(5).columns())
            ['unique_id', 'month', 'sample_id', 'statecast']
        """
        from statecast.data.checks import columns_for

        series, count, horizon, size = self.values.shape
        names = answer.output_ids(self.schema, self.ids)
        time = np.repeat(self.times, size * count, axis=0).reshape(-1)
        extra = {"sample_id": np.tile(np.repeat(np.arange(count), horizon), series * size)}
        extra["statecast"] = np.moveaxis(self.values, -1, 1).reshape(-1)
        return columns_for(self.schema, [name for name in names for _ in range(count * horizon)], time, extra)


def paths(scores: Float[np.ndarray, "N H D"]) -> Float32[np.ndarray, "P H D"] | None:
    """The stretches of scores that a model keeps to draw from, evenly spaced among those that are mostly complete.

    A step without a value takes the score of the nearest earlier step with one, or of the first. None where there are
    too few stretches.
    """
    mask = ~np.isnan(scores)
    whole = np.flatnonzero((mask.mean(axis=1) >= 0.5).all(axis=-1))
    if len(whole) < FEWEST:
        return None
    most = int(np.clip(NUMBERS // max(scores[0].size, 1), FEWEST, MOST))
    kept = whole[np.linspace(0, len(whole) - 1, min(most, len(whole))).astype(np.int64)]
    stretches, mask = scores[kept], mask[kept]
    step = np.where(mask, np.arange(scores.shape[1])[:, None], -1)
    step = np.maximum.accumulate(step, axis=1)
    step = np.where(step < 0, mask.argmax(axis=1)[:, None], step)
    return np.take_along_axis(stretches, step, axis=1).astype(np.float32)


def sample(
    model: Model,
    n: int,
    state: State | None = None,
    horizon: int | None = None,
    future: predict.Future | None = None,
    seed: int = 0,
) -> Samples:
    """Sample paths of every series of a state; the state does not move.

    Args:
        model: the model.
        n: paths of each series.
        state: what it has observed; `model.state` if None.
        horizon: steps; the network's if None.
        future: as in `predict.forecast`.
        seed: the same seed gives the same paths.

    Raises:
        SettingError: n or the horizon is below 1.
        DataError: as in `predict.forecast`.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise SettingError(f"samples = {n!r}: expected a whole number of paths, at least 1")
    state = model.state if state is None else state
    rng, runner = np.random.default_rng(seed), Runner(model)
    origin = predict.forecast(model, state, horizon, (), future, runner)
    blocks = []
    for part in runner.batches(len(origin.ids), n):
        known = None if origin.known is None else origin.known[part]
        drawn = _drawn(runner, rng, state.data[runner.span(part)], origin.last[part], n, origin.horizon, known)
        blocks.append(from_working(model.constants, drawn[..., None])[..., 0])
    rows = np.concatenate(blocks)  # [N, n, H, Dn]
    values = channels.join(model, rows.reshape(len(rows), n * origin.horizon, -1))
    answer.require_finite(origin.ids, values)
    return Samples(model.schema, origin.ids, origin.times, values.reshape(-1, n, origin.horizon, values.shape[-1]))


def _drawn(
    runner: Runner,
    rng: np.random.Generator,
    rows: Float[np.ndarray, "N size"],
    last: Int64[np.ndarray, " S"],
    n: int,
    horizon: int,
    known: Float64[np.ndarray, "S m K"] | None,
) -> Float64[np.ndarray, "N n H Dn"]:
    """Paths in working units: a block of the network's horizon, fed back, and the next."""
    model, head = runner.model, runner.model.network.head
    last, each = runner.per_row(last), 1
    known = None if known is None else runner.per_row(known)
    shifts, phase = runner.report(rows).get("shifts"), calibrate.phase_of(model, last)
    blocks: list[Any] = []
    for begin in range(0, horizon, head.horizon):
        time = features.after(model, np.repeat(last, each), begin + 1, head.horizon)
        part = None if known is None else np.repeat(known[:, begin : begin + head.horizon], each, axis=0)
        raw, scale = runner.emit(rows, None if part is None else features.ahead(model, part, time))
        draws = n // each  # n paths of each series at first, then one from each path
        score = _scores(model, rng, len(rows) * draws)
        raw, scale = (np.repeat(values, draws, axis=0) for values in (raw, scale))
        if shifts is not None:
            score = calibrate.moved_scores(model, score, np.repeat(shifts, n, axis=0), np.repeat(phase + begin, n))
        value = marginal.value(head, raw, scale[:, None], score)
        blocks.append(value.reshape(len(last), n, head.horizon, -1))
        if begin + head.horizon < horizon:
            time, rows = (np.repeat(values, draws, axis=0) for values in (time, rows))
            part = None if part is None else np.repeat(part, draws, axis=0)
            rows, each = runner.fed(rows, value.astype(model.dtype), time, part), n
    return np.concatenate(blocks, axis=2)[:, :, :horizon]


def _scores(model: Model, rng: np.random.Generator, count: int) -> Float64[np.ndarray, "count H D"]:
    """Normal scores of that many stretches: drawn from the model's, or a random walk's where it has none."""
    if model.paths is not None:
        return model.paths[rng.integers(len(model.paths), size=count)].astype(np.float64)
    return _random_walks(model.network.head, model.quantiles, rng, count)


def _random_walks(
    head: Head, quantiles: Float64[np.ndarray, "Q H D"], rng: np.random.Generator, count: int
) -> Float64[np.ndarray, "count H D"]:
    """Scores whose steps hang together as those of a random walk do, each step with its calibrated quantiles."""
    walk = rng.standard_normal((count, head.horizon, head.targets)).cumsum(axis=1)
    walk /= np.sqrt(np.arange(1, head.horizon + 1))[:, None]
    for k, d in np.ndindex(head.horizon, head.targets):
        walk[:, k, d] = np.interp(walk[:, k, d], NORMAL, quantiles[:, k, d])
    return walk
