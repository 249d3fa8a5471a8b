"""What a trained network used: how much its error grows when one input is shuffled, and its gates over time.

Permutation importance (Breiman 2001; Fisher et al. 2019): values of one input are shuffled among the rows, so
that they keep their distribution and lose their meaning; what the error gains is what the input was worth. Covariates
are shuffled over the time of each series, static ones over the series. Lags are shuffled as the network sees them,
relative to level and scale, so the level itself is not among them: every forecast starts from it. All forecasts come
from the usual run over a panel, whatever the cell, the head or the number of members, over a bounded number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.framed import TableResult
from statecast.data.panel import Panel
from statecast.forecast import channels
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.origins import origin_rows
from statecast.forecast.inside import runs
from statecast.forecast.scores import evaluate
from statecast.model.front import Front
from statecast.model.heads.head import hears
from statecast.model.inputs import Rows
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

ROWS = 4096  # rows that are run over, context included
ORIGINS = 512  # forecasts that are looked at
REPEATS = 2  # shuffles of each input; twice as many where there are few forecasts
FEW = 128
PIECE = 128  # rows that are forecast without a break
STEPS = 168  # steps of the picture of the gates at most


@dataclass(frozen=True)
class Input:
    """One input, or several that belong together.

    Attributes:
        name: a column, a cycle of the calendar, or lags such as "lags 5–8".
        kind: "past", "known", "static", "calendar" or "lags".
        importance: growth of the mean absolute error when it is shuffled, as a share of that error.
        spread: standard deviation of that over the shuffles.
    """

    name: str
    kind: str
    importance: float
    spread: float


@dataclass(frozen=True, eq=False)
class Activity:
    """The recurrent layers over a stretch of one series.

    Attributes:
        series: its name.
        time: [T] times as the panel has them.
        gates: for each layer and gate, such as "0.forget", [T, H]; "0.h" is the layer's output.
        heard: whether any forecast depends on the layers; where training kept its start, none does.
    """

    series: str
    time: Int64[np.ndarray, " T"]
    gates: dict[str, Float[np.ndarray, "T H"]]
    heard: bool = True


@dataclass(frozen=True, eq=False)
class Explanation(TableResult):
    """What a network used.

    Attributes:
        origins: forecasts that were looked at.
        inputs: every input, most important first.
        activity: the gates; None where the network has no recurrent layer.
    """

    origins: int
    inputs: tuple[Input, ...]
    activity: Activity | None

    @property
    def tz(self) -> None:
        """Inputs have no times."""

    def columns(self) -> dict[str, np.ndarray]:
        """The inputs as columns: input, kind, importance, spread."""
        return {
            "input": np.array([item.name for item in self.inputs], object),
            "kind": np.array([item.kind for item in self.inputs], object),
            "importance": np.array([item.importance for item in self.inputs], float),
            "spread": np.array([item.spread for item in self.inputs], float),
        }


def explain(model: Model, panel: Panel, begin: Int64[np.ndarray, " S"], seed: int = 0) -> Explanation | None:
    """What the network uses to forecast the rows after `begin[s]` of each series; None where there are none.

    Args:
        model: the model.
        panel: the table, without any row that must not be looked at.
        begin: rows of each series that are not forecast.
        seed: of the shuffles, and of the choice of series where there are many.
    """
    rng = np.random.default_rng(seed)
    part, first = pieces(model, panel, begin, rng)
    scored = origin_rows(part, first, model.config.horizon)
    if not scored.any():
        return None
    scored[np.flatnonzero(scored)[np.arange(scored.sum()) % -(-int(scored.sum()) // ORIGINS) > 0]] = False
    feed = Feed.of(model, part)
    # Lags are shuffled among the rows that are forecast, so there must be many even where few of them are scored.
    few = scored.sum() < FEW
    origins, repeats = (np.ones_like(scored), 2 * REPEATS) if few else (scored, REPEATS)
    base = _error(model, feed, origins, scored)
    inputs = []
    for name, kind, shuffled in _shuffles(model, feed.rows, rng):
        pairs = [shuffled() for _ in range(repeats)]
        errors = np.array([_error(other, replace(feed, rows=rows), origins, scored) for other, rows in pairs])
        growth = errors / max(base, 1e-30) - 1
        inputs.append(Input(name, kind, float(growth.mean()), float(growth.std())))
    inputs.sort(key=lambda item: -item.importance)
    return Explanation(int(scored.sum()), tuple(inputs), activity(model, panel))


def pieces(
    model: Model, panel: Panel, begin: Int64[np.ndarray, " S"], rng: np.random.Generator
) -> tuple[Panel, Int64[np.ndarray, " n"]]:
    """Pieces of the series, each after as many rows as a state needs, and where in them the forecasts begin.

    A piece is a series of its own, so that all of them run side by side: a long series takes no longer than many short.
    """
    segment = model.config.segment if isinstance(model.config.segment, int) else 0
    context, size = max(segment, model.network.front.ring), max(2 * model.config.horizon, PIECE)
    places = [
        (s, first, min(first + size, int(end)))
        for s, (start, end) in enumerate(zip(begin, panel.lengths, strict=True))
        for first in range(int(start), int(end), size)
        if first > 0
    ]
    budget = ROWS // max(len(model.schema.target) // model.network.front.targets, 1)
    count = max(1, budget // (context + size))
    sample = [places[n] for n in sorted(rng.permutation(len(places))[:count])]
    series, first, stop = np.array(sample, np.int64).reshape(-1, 3).T
    before = np.minimum(context, first)
    return panel.pieces(series, first - before, stop), before


def _error(model: Model, feed: Feed, origins: np.ndarray, scored: np.ndarray) -> float:
    """The mean absolute error, each target's in units of its mean absolute deviation in each series.

    Forecasts are made at the rows of one mask, `origins`, and count at those of the other.
    """
    panel, errors = feed.panel, []
    for s, at, part in evaluate.by_series(model, panel, feed.forecasts(model, origins)):
        y, counts = panel.y[panel.span(s)], scored[panel.offsets[s] + at]
        at, point = at[counts], part.point[counts]
        ahead = at[:, None] + np.arange(1, model.config.horizon + 1)
        actual = np.where((ahead < len(y))[..., None], y[np.minimum(ahead, len(y) - 1)], np.nan)
        mask = ~np.isnan(y)
        mean = np.where(mask, y, 0).sum(axis=0) / np.maximum(mask.sum(axis=0), 1)
        size = np.where(mask, np.abs(y - mean), 0).sum(axis=0) / np.maximum(mask.sum(axis=0), 1)
        errors.append((np.abs(actual - point) / np.where(size > 0, size, np.nan)).ravel())
    error = np.concatenate(errors)
    return float(error[~np.isnan(error)].mean()) if not np.isnan(error).all() else float("nan")


def _shuffles(model: Model, rows: Rows, rng: np.random.Generator) -> Iterator[tuple[str, str, Any]]:
    """Name and kind of every input, and a function that gives a model and rows in which it is shuffled."""
    network = model.network
    for first, last in lag_groups(network.front.ring, model.config.season or 1):
        front = ShuffledFront(**vars(network.front), group=(first, last), rng=rng)
        other = replace(model, network=replace(network, front=front))
        yield f"lag {first}" if first == last else f"lags {first}–{last}", "lags", lambda m=other: (m, rows)
    for name, kind, columns, ahead in features_of(model):
        if kind != "static" or len(rows.offsets) > 2:
            yield name, kind, lambda k=kind, c=columns, a=ahead: (model, _shuffled(rows, k, c, a, rng))


def lag_groups(ring: int, season: int) -> list[tuple[int, int]]:
    """First and last lag of each group: twice as wide each time, and whole seasons from the first season on."""
    ends = [4 << n for n in range(32) if season <= 4 or 4 << n < season]
    ends += [season << n for n in range(32) if season > 4]
    ends = [*(end for end in ends if end < ring), ring]
    return [(before + 1, end) for before, end in zip([0, *ends], ends, strict=False)]


@dataclass(frozen=True)
class ShuffledFront(Front):
    """A front that shuffles the lags of a group among the steps at which any of them is held."""

    group: tuple[int, int] = (1, 1)
    rng: np.random.Generator = field(default_factory=np.random.default_rng, compare=False)

    def skip_of(self, c: Any, w: Any, rings: Any, level: Any, scale: Any, numbers: Any = None, threads: int = 0) -> Any:
        """See `Front.skip_of`."""
        return self.product(c, w, rings, level, scale, numbers)  # all rings at once, to shuffle

    def relative(self, ring: Any, held: Any, level: Any, scale: Any) -> Any:
        """See `Front.relative`."""
        values = np.array(super().relative(ring, held, level, scale), order="C")  # so that a reshape is a view
        size = values.shape[-2]
        slots = np.arange(max(size - self.group[1], 0), size - self.group[0] + 1)
        if len(slots):
            steps, mask = values.reshape(-1, *values.shape[-2:]), np.reshape(held, (-1, *held.shape[-2:]))
            some = np.flatnonzero((mask[:, slots] > 0).any(axis=(1, 2)))
            steps[some[:, None], slots] = steps[self.rng.permutation(some)[:, None], slots]
        return values


def features_of(model: Model) -> Iterator[tuple[str, str, list[int], list[int]]]:
    """Each covariate: its name, kind, its columns there and among what is known of a step ahead."""
    front, schema = model.network.front, model.schema
    for kind in ("past", "known", "static"):
        at, count = 0, getattr(front, kind)
        for item in getattr(schema, kind):
            columns = list(range(at, at + len(item.features)))
            columns += [column + count for column in columns] if front.missing else []
            at += len(item.features)
            yield item.name, kind, columns, columns if kind == "known" else []
    names = schema.calendar_features if front.calendar else ()
    for cycle in dict.fromkeys(name.rpartition("_")[0] for name in names):
        columns = [column for column, name in enumerate(names) if name.rpartition("_")[0] == cycle]
        ahead = [column + front.future - front.calendar for column in columns] if front.future else []
        yield cycle, "calendar", columns, ahead


def _shuffled(rows: Rows, kind: str, columns: list[int], ahead: list[int], rng: np.random.Generator) -> Rows:
    """Rows in which the columns of a covariate are shuffled: in time within each series, or among the series."""
    if kind == "static":
        spans = [np.arange(len(rows.offsets) - 1)]
    else:
        spans = [np.arange(*rows.offsets[s : s + 2]) for s in range(len(rows.offsets) - 1)]
    other = replace(rows, covariates=rows.covariates | {kind: _permuted(rows.covariates[kind], spans, columns, rng)})
    if ahead and rows.future is not None:
        horizon = (len(rows.future) - len(rows.y)) // max(len(rows.offsets) - 1, 1)
        ends = enumerate(pairwise(rows.offsets))
        steps = [np.arange(begin + s * horizon, end + (s + 1) * horizon) for s, (begin, end) in ends]
        other = replace(other, future=_permuted(rows.future, steps, ahead, rng))
    return other


def _permuted(values: np.ndarray, spans: list[np.ndarray], columns: list[int], rng: np.random.Generator) -> np.ndarray:
    values = values.copy()
    for span in spans:
        values[span[:, None], columns] = values[rng.permutation(span)[:, None], columns]
    return values


def activity(model: Model, panel: Panel, most: int = STEPS) -> Activity | None:
    """The gates of the first network over the last steps of the longest series, for its first target.

    None where the network has no recurrent layer. Twice as many steps are run over as are shown, `most` at most.
    """
    if not model.network.stack.hidden:
        return None
    longest = int(np.argmax(panel.lengths))
    stop = panel.lengths[[longest]]
    one = panel.pieces(np.array([longest]), np.maximum(stop - 2 * most, 0), stop)
    steps, cell = min(most, one.rows), model.network.stack.equations
    states = {part for part in cell.states if part != "h"}
    parts = next(runs(model, channels.fold(model, one)))
    gates = {name: values[-steps:] for name, values in parts.items() if name.partition(".")[2] not in states}
    return Activity(str(one.ids[0]), one.time[-steps:], gates, hears(model.weights))
