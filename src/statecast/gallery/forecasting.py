"""A forecasting case by one recipe: train, forecast the test rows, measure beside persistence and linear extrapolation.

Statecast's recipe carries its state through the table. A tutorial's network that was trained on windows from a fresh
state is asked in the same way: every test row from a fresh state over the window before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import Config
from statecast.data import calendar, checks, table
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split
from statecast.forecast import channels, windowed
from statecast.forecast import evaluate as scoring
from statecast.forecast.baselines import linear_extrapolation, persistence
from statecast.forecast.roll import Origins
from statecast.gallery import demonstrations, series
from statecast.gallery.cases import Case, Metric
from statecast.gallery.outcome import Outcome, Row, Track
from statecast.model.archive import Model
from statecast.model.inputs import rows_of
from statecast.model.state import Layout, State
from statecast.report import collect

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64


@dataclass(frozen=True, eq=False)
class Trained:
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


@dataclass(frozen=True, eq=False)
class Tested:
    """Forecasts of the test rows, [n, H, D] each, made at the rows `at`."""

    at: Int64[np.ndarray, " n"]
    actual: Float64[np.ndarray, "n H D"]
    guesses: Mapping[str, Float64[np.ndarray, "n H D"]]


def run(case: Case, recipe: str, folder: Path | None = None, slow: bool = False) -> Outcome:
    """Train and measure.

    Args:
        case: what.
        recipe: "tutorial" or "statecast".
        folder: where files lie that are not shipped.
        slow: the tutorial's recipe with nothing cut.

    Raises:
        DataError: a file is missing.
        TrainingError: the loss is not finite.
    """
    trained = train(case, case.recipe(recipe, slow), folder)
    found = test(trained)
    rows = [row for metric in case.metrics for row in rows_for(case, recipe, metric, trained.model.schema, found)]
    shown = demonstrations.of(case, recipe, trained)
    return Outcome(
        case=case.name,
        recipe=recipe,
        rows=(*rows, *shown.rows),
        settings={name: value for name, value in trained.model.config.to_dict().items() if value is not None},
        layers=collect.layers(trained.model),
        history={name: np.array(values, float) for name, values in trained.model.history.items()},
        tracks=tracks(case, trained, found),
        season=trained.model.config.season or 1,
        sentences=shown.sentences,
        tables=shown.tables,
        series={name: trained.panel.y[:, d] for d, name in enumerate(trained.model.schema.target)},
    )


def train(case: Case, settings: Mapping[str, Any], folder: Path | None) -> Trained:
    """Fit on the table of a case. The gallery shows no intervals, so none are calibrated."""
    from statecast.train import fit

    read = table.read(series.make(case.example, folder), case.example)
    panel, schema = checks.panel(read, roles(case.roles))
    outcome = fit.fit(Config.of({"levels": (), **settings}), schema, panel)
    model, fresh = (_model(outcome, schema, weights) for weights in (outcome.fitted.weights, outcome.prepared.weights))
    return Trained(model, fresh, panel, outcome.base_parts, window_of(outcome.config))


def roles(given: Mapping[str, Any]) -> checks.Roles:
    """The columns' roles as `[data]` gives them."""
    names = ("target", "id", "time", "past", "known", "static", "freq")
    return checks.Roles.of(*(given.get(name) for name in names))


def window_of(config: Config) -> int:
    """Rows that a network saw at most before a loss, where it was trained on windows; 0 where it carries its state."""
    whole = config.carry == "zero" and isinstance(config.segment, int)
    windows = whole and config.burn_in in (0, int(config.segment or 1) - 1) and config.normalize in ("none", "global")
    return int(config.segment or 0) if windows else 0


def _model(outcome: Any, schema: Schema, weights: dict[str, Any]) -> Model:
    layout = Layout.of(outcome.network.parts())
    state = State.empty(layout, np.dtype(outcome.config.precision))
    history = outcome.fitted.history
    return Model(outcome.config, schema, outcome.network, weights, outcome.prepared.constants, state, None, {}, history)


def test(trained: Trained, model: Model | None = None) -> Tested:
    """Forecast every test row that has all its steps, with the network and the baselines."""
    model, panel = model or trained.model, trained.panel
    horizon, season = model.config.horizon, model.config.season or 1
    wanted = scoring.test_origins(panel, trained.parts.val, horizon)
    _, at, found = next(scoring.by_series(model, panel, origins(model, panel, wanted, trained.window)))
    actual = panel.y[at[:, None] + np.arange(1, horizon + 1)]
    guesses = {"network": found["point"]}
    for name, baseline in (("persistence", persistence), ("linear", linear_extrapolation)):
        guesses[name] = baseline(panel.y, at, horizon, season)
    return Tested(at, actual, guesses)


def origins(model: Model, panel: Panel, wanted: np.ndarray, window: int) -> Origins:
    """The network's forecasts at the wanted rows: with its state carried, or from a fresh one over a window."""
    folded = channels.fold(model, panel)
    rows = rows_of(model.network, model.constants, model.schema, folded, model.dtype)
    asked = np.tile(wanted, channels.rows_each(model))  # a table of the gallery is one series
    if window:
        return windowed.tested(model.network, model.p, rows, asked, window)
    return scoring.tested(model.network, model.p, rows, asked)


def rows_for(case: Case, recipe: str, metric: Metric, schema: Schema, found: Tested) -> list[Row]:
    """The lines of one metric: the recipe's, and once for each case linear extrapolation's."""
    places = [schema.target.index(name) for name in metric.targets or schema.target]
    steps = slice(None) if case.step == 0 else slice(case.step - 1, case.step)

    def of(name: str) -> float:
        error, plain = (
            (found.guesses[which] - found.actual)[:, steps, places] for which in (name, "persistence")
        )
        return measured(metric.measure, error, plain)

    base = of("persistence")
    lines = [Row(case.name, recipe, metric.name, of("network"), metric.published, base, None, None)]
    if recipe == "statecast":
        lines.append(Row(case.name, "linear extrapolation", metric.name, of("linear"), None, base, None, None))
    return lines


def measured(measure: str, error: np.ndarray, persistence: np.ndarray) -> float:
    """One number for errors of any shape, beside those of persistence."""
    if measure in ("mse", "rmse"):
        square = float(np.nanmean(error**2))
        return square if measure == "mse" else float(np.sqrt(square))
    own = float(np.nanmean(np.abs(error)))
    if measure == "mae":
        return own
    share = own / float(np.nanmean(np.abs(persistence)))
    return share if measure == "ratio" else 1 - share


def tracks(case: Case, trained: Trained, found: Tested) -> tuple[Track, ...]:
    """Each target through the test rows, at the step that is measured."""
    step, schema = case.step or 1, trained.model.schema
    rows = found.at + step
    time = calendar.to_datetime64(trained.panel.time[rows], schema.time_kind, schema.frequency, schema.tz)
    before = test(trained, trained.fresh).guesses["network"] if "before" in case.show else None
    return tuple(
        Track(
            name,
            np.asarray(time),
            found.actual[:, step - 1, d],
            found.guesses["network"][:, step - 1, d],
            None if before is None else before[:, step - 1, d],
        )
        for d, name in enumerate(schema.target)
    )
