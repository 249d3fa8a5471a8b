"""Models with random weights and small panels, for the tests of what forecasts: nothing here is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from statecast.config import DISTRIBUTIONS, Config
from statecast.data import holidays as dates
from statecast.data.calendar import Frequency
from statecast.data.limits import Limits
from statecast.data.panel import Panel
from statecast.data.schema import Covariate, Schema
from statecast.forecast.calibrate import GRID
from statecast.model import tails
from statecast.model.initial import Start
from statecast.model.network import Network
from statecast.model.shapes import LIMITS
from statecast.model.state import Layout, State
from statecast.model.trained import Model

# A head by its name: the settings that make it.
HEADS: dict[str, dict[str, Any]] = {"point": {"loss": "mae"}}
HEADS |= {name: {"loss": name} for name in ("pinball", *DISTRIBUTIONS)}
HEADS |= {"decoder": {"decoder": "gru"}, "log": {"transform": "log"}}
HEADS |= {"logit": {"transform": "logit", "lower": -20, "upper": 30}}

HOUR = 3_600_000_000
START = 473_385 * HOUR  # 2024-01-02 09:00
PAST, KNOWN = (Covariate("wind"),), (Covariate("heat"), Covariate("open", "categorical", ("no", "yes")))
STATIC = (Covariate("area"),)


def mapped(function: Any, tree: Any) -> Any:
    return {k: mapped(function, v) for k, v in tree.items()} if isinstance(tree, dict) else function(tree)


def model(
    cell: str = "lstm",
    *,
    head: str = "point",
    targets: int = 1,
    independent: bool = False,
    precision: str = "float32",
    covariates: bool = False,
    horizon: int = 3,
    normalize: str = "last",
    freq: str = "1h",
    time_kind: Any = "datetime",
    id: str | None = "site",
    id_kind: Any = "text",
    tz: str | None = None,
    missing: bool = True,
    hidden: tuple[int, ...] = (4,),
    dense: tuple[int, ...] = (3,),
    lags: int = 2,
    skip: int = 3,
    use_calendar: bool = True,
    levels: tuple[float, ...] = (80, 95),
    series: tuple[str | int, ...] = (),
    seed: int = 0,
    **settings: Any,
) -> Model:
    """A model whose weights and constants are random numbers, and which remembers no series.

    `series` are told apart where further settings ask for it (embedding, local).
    """
    config = Config(
        cell=cell,
        hidden=hidden,
        dense=dense,
        horizon=horizon,
        lags=lags,
        skip=skip,
        normalize=normalize,
        decay=0.2,
        missing=missing,
        level_input=True,
        calendar=use_calendar,
        season=4,
        channels="independent" if independent else "joint",
        **HEADS[head],
        precision=precision,
        levels=levels,
        **settings,
    )
    groups = {"past": PAST, "known": KNOWN, "static": STATIC} if covariates else {}
    schema = Schema(
        tuple("load" if targets == 1 else f"y{d}" for d in range(targets)),
        id,
        None if time_kind == "row" else "hour",
        id_kind,
        time_kind,
        tz,
        Frequency.parse(freq),
        **groups,
        series=series,
        holidays=dates.of_setting(config.holidays, np.array([START])),
    )
    names = schema.calendar_features
    counts = {name: len(getattr(schema, f"{name}_features")) for name in ("past", "known", "static")}
    counts |= {"calendar": len(names) if use_calendar else 0, "series": len(series)}
    network = Network.of(config, 1 if independent else targets, **counts)
    rng = np.random.default_rng(seed)
    dtype = np.dtype(precision)
    weights = mapped(
        lambda w: (w + 0.2 * rng.standard_normal(w.shape)).astype(dtype), network.init(seed, Start.of(config))
    )
    drawn = {k: v for k, v in network.constants().items() if k not in LIMITS}
    constants = {k: (v + 0.1 * rng.random(v.shape)).astype(dtype) for k, v in drawn.items()}
    constants["least"] = np.full(network.front.targets, 0.0 if config.transform in (None, "none") else 0.5)
    constants |= {name: network.constants()[name] for name in ("floor", *LIMITS)}
    if config.lower is not None or config.upper is not None:
        limits = Limits.of(config, schema.target).of_channel(network.front.targets)
        constants |= {"floor": limits.lower, "ceiling": limits.upper}
        if config.transform == "logit":
            constants |= {"low": limits.lower, "high": limits.upper}
    constants["origin"] = np.linspace(5.0, 6.0, network.front.targets)
    constants["unit"] = np.full(network.front.targets, 2.0)
    residuals = (GRID - 0.45)[:, None, None] * (1 + rng.random((horizon, network.front.targets)))
    none = State.empty(Layout(()), dtype)
    made = Model(config, schema, network, weights, constants, none, residuals, {"mae": 1.5}, {"loss": [2.0, 1.0]})
    return replace(made, state=State.empty(made.layout, dtype))


def sized(of: Model) -> Model:
    """The model with intervals that are scaled by each series' own errors; it remembers no series."""
    horizon, targets = of.network.head.horizon, of.network.front.targets
    of = replace(of, typical=np.linspace(0.5, 2, horizon * targets).reshape(horizon, targets))
    return replace(of, state=State.empty(of.layout, of.dtype))


def watching(of: Model) -> Model:
    """The model with scores of the values that come; it remembers no series."""
    shape = tails.NUMBERS, 2, of.network.front.targets
    of = replace(of, tails=np.broadcast_to(tails.prior()[:, None, None], shape).copy())
    return replace(of, state=State.empty(of.layout, of.dtype))


def panel(of: Model, lengths: tuple[int, ...] = (9, 5), seed: int = 0, gaps: bool = True) -> Panel:
    """Series with missing values, whole rows missing (where `gaps`) but the first and last, and known rows ahead."""
    rng = np.random.default_rng(seed)
    schema, d = of.schema, len(of.schema.target)
    rows, ahead = sum(lengths), 4 * of.config.horizon
    y = 6 + rng.standard_normal((rows, d)).cumsum(axis=0)
    y[rng.random((rows, d)) < 0.2] = np.nan
    counts = [len(group) for group in (schema.past_features, schema.known_features, schema.static_features)]
    past, known = rng.standard_normal((rows, counts[0])), features(rng, rows, counts[1])
    past[rng.random(past.shape) < 0.2] = np.nan
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    first = START if schema.time_kind == "datetime" else 0
    time = np.concatenate([schema.frequency.advance(first, np.arange(n) + 2 * s) for s, n in enumerate(lengths)])
    if gaps:
        y[rng.random(rows) < 0.25] = np.nan
    y[offsets[:-1], 0], y[offsets[1:] - 1, 0] = 6.0, 7.0  # a stream begins with a value
    lost = np.isnan(y).all(axis=1)
    past[lost] = known[lost] = np.nan  # as in a gap
    ids: Any = tuple(f"s{n}" if schema.id_kind == "text" else n for n in range(len(lengths)))
    if schema.id is None:
        ids = (schema.target[0] if d == 1 else "series",)
    return Panel(
        y,
        time.astype(np.int64),
        offsets,
        ids,
        past,
        known,
        rng.standard_normal((len(lengths), counts[2])),
        features(rng, ahead * len(lengths), counts[1]),
        np.arange(len(lengths) + 1) * ahead,
    )


def features(rng: np.random.Generator, rows: int, count: int) -> np.ndarray:
    """Known covariates as a Panel has them: a number, and one of two categories."""
    if not count:
        return np.zeros((rows, 0))
    yes = rng.random(rows) < 0.5
    return np.column_stack([rng.standard_normal(rows), ~yes, yes]).astype(np.float64)


def known_rows(values: np.ndarray) -> list[dict[str, Any]]:
    """Known covariates as a person writes them."""
    label = {(1.0, 0.0): "no", (0.0, 1.0): "yes"}
    return [{"heat": row[0], "open": label.get((row[1], row[2]))} for row in values.tolist()]


def arguments(of: Model, table: Panel, row: int) -> dict[str, Any]:
    """What `Stream.observe` is told of a row beside its value and time."""
    if not of.schema.past:
        return {}
    s = int(np.searchsorted(table.offsets, row, side="right")) - 1
    span, extra = table.span(s), table.ahead[slice(*table.ahead_offsets[s : s + 2])]
    known = np.concatenate([table.known[row : span.stop], extra])[: of.config.horizon + 1]
    extras: dict[str, Any] = {"past": table.past[row], "known": known_rows(known)}
    return extras | ({"static": table.static[s]} if row == span.start else {})


def value(table: Panel, row: int) -> Any:
    result = table.y[row]
    return float(result[0]) if len(result) == 1 else result


def remembering(of: Model, table: Panel) -> Model:
    """The model as after a fit: it remembers the series of a table."""
    from statecast.forecast.predict import state_after

    return replace(of, state=state_after(of, table))


def close(result: np.ndarray, expected: np.ndarray, precision: str) -> None:
    assert result.shape == expected.shape
    assert np.isfinite(result).all()
    tolerance = {"float32": 1e-5, "float64": 1e-12}[precision]
    np.testing.assert_allclose(
        result, expected, rtol=tolerance, atol=tolerance * float(np.abs(expected).max(initial=1e-30))
    )


def same_bits(result: Any, expected: Any) -> None:
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    assert result.tobytes() == expected.tobytes()
