"""A network of a forecasting case, trained on its table, and how it is asked for forecasts.

Statecast's recipe carries its state through the table. A tutorial's network that was trained on windows from a fresh
state is asked in the same way: every row from a fresh state over the window before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from statecast.config import Config
from statecast.data import checks
from statecast.data.grid.roles import Roles
from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.data.tabular import table
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.origins import Origins
from statecast.forecast.hindcast.roll import forecasts_at
from statecast.gallery import series, windowed
from statecast.gallery.cases import Case
from statecast.model.state import Layout, State
from statecast.model.trained import Model


@dataclass(frozen=True, eq=False)
class TrainedCase:
    """A network with the table that it was trained on.

    Attributes:
        model: the network after training, which remembers nothing.
        fresh: the same before training.
        panel: the table.
        parts: its split.
        window: rows of the fresh-state window that it forecasts from; 0 where it carries its state.
    """

    model: Model
    fresh: Model
    panel: Panel
    parts: Split
    window: int


def train(case: Case, settings: Mapping[str, Any], folder: Path | None) -> TrainedCase:
    """Fit on the table of a case. The gallery forecasts its test rows, without intervals: no network is for later."""
    from statecast.train import fit

    read = table.read(series.make(case.example, folder), case.example)
    panel, schema = checks.panel(read, roles(case.roles))
    outcome = fit.fit(Config.of({"levels": (), "refit": False, **settings}), schema, panel)
    model, fresh = (_model(outcome, weights) for weights in (outcome.training.weights, outcome.prepared.weights))
    return TrainedCase(model, fresh, panel, outcome.base_parts, window_of(outcome.config))


def roles(data: Mapping[str, Any]) -> Roles:
    """The columns' roles as `[data]` gives them."""
    names = ("target", "id", "time", "past", "known", "static", "freq", "weight")
    return Roles.of(*(data.get(name) for name in names))


def window_of(config: Config) -> int:
    """Rows that a network saw at most before a loss, where it was trained on windows; 0 where it carries its state."""
    whole = config.carry == "zero" and isinstance(config.segment, int)
    windows = whole and config.burn_in in (0, int(config.segment or 1) - 1) and config.normalize in ("none", "global")
    return int(config.segment or 0) if windows else 0


def _model(outcome: Any, weights: dict[str, Any]) -> Model:
    state = State.empty(Layout(()), np.dtype(outcome.config.dtype))
    constants, history = outcome.prepared.constants, outcome.training.history
    model = Model(outcome.config, outcome.schema, outcome.network, weights, constants, state, None, {}, history)
    return replace(model, state=State.empty(model.layout, model.dtype))


def origins(model: Model, panel: Panel, mask: np.ndarray, window: int) -> Origins:
    """The network's forecasts at some of the rows: with its state carried, or from a fresh one over a window."""
    feed = Feed.of(model, panel)
    if window:
        return windowed.tested(model.network, model.p, feed.rows, feed.mask(mask), window)
    return forecasts_at(model.network, model.p, feed.rows, feed.mask(mask))
