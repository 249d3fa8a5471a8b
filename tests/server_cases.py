"""A model's folder, rows for a server, and what must hold of an engine, for the tests of the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import forecast_cases as cases
import numpy as np

from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.state import State
from statecast.model.trained import Model
from statecast.server.engine.engine import Engine
from statecast.server.options import Options
from statecast.server.rows import LiveRows

SERIES = 300  # more than one block


def saved(folder: Path, **settings: Any) -> Path:
    """A model without training, on disk."""
    return archive.save(cases.model(**settings), folder / "model.safetensors")


def ids(numbers: Iterable[int]) -> list[str]:
    return [f"s{number}" for number in numbers]


def batch(n: int, size: int = 60, series: int = SERIES) -> LiveRows:
    """The rows of hour n: of some series, by chance one value each; the same whenever it is asked for."""
    rng = np.random.default_rng(n)
    numbers = rng.permutation(series)[:size]
    values = 6 + rng.standard_normal((size, 1))
    values[rng.random(size) < 0.1] = np.nan
    return LiveRows(ids(numbers.tolist()), np.full(size, cases.START + n * cases.HOUR), values)


def undying(model: Model, batches: Sequence[LiveRows]) -> Stream:
    """The stream that observed these rows and never died."""
    stream = Stream(model, State.empty(model.layout, model.dtype))
    for rows in batches:
        stream.observe_many(rows.ids, rows.values, rows.times)
    return stream


def require_same(engine: Engine, stream: Stream) -> None:
    """An engine knows the same series as a stream, and forecasts the same bits of each."""
    names = sorted(stream.ids)
    assert [summary.id for summary in engine.series(limit=10**9)] == names
    mine, others = engine.forecast(names), stream.forecast(names)
    for name in ("last", "first", "scale", "shifts"):
        cases.same_bits(getattr(mine, name), getattr(others, name))


def started(model: Path, state: Path, **options: Any) -> Engine:
    return Engine.open(model, state, Options(window=0, **options))
