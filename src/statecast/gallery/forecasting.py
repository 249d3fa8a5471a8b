"""A forecasting case by one recipe: train, forecast the test rows, measure beside persistence and linear extrapolation.

The baselines forecast the same rows from the same origins, and their errors are measured by the same lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from statecast.data import calendar
from statecast.data.schema import Schema
from statecast.forecast.hindcast.origins import origin_rows
from statecast.forecast.scores import evaluate as scoring
from statecast.forecast.scores.baselines import linear_extrapolation, persistence
from statecast.gallery import demonstrations
from statecast.gallery.cases import Case, Metric
from statecast.gallery.result import Measurement, RecipeResult, Track
from statecast.gallery.training import TrainedCase, origins, train
from statecast.model.trained import Model
from statecast.report import collect

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64


@dataclass(frozen=True, eq=False)
class Comparison:
    """Forecasts of the test rows, [n, H, D] each, made at the rows `at`."""

    at: Int64[np.ndarray, " n"]
    actual: Float64[np.ndarray, "n H D"]
    guesses: Mapping[str, Float64[np.ndarray, "n H D"]]


def run(case: Case, recipe: str, folder: Path | None = None) -> RecipeResult:
    """Train and measure.

    Args:
        case: what.
        recipe: one of the case's.
        folder: where files lie that are not shipped.

    Raises:
        DataError: a file is missing.
        TrainingError: the loss is not finite.
    """
    trained = train(case, case.recipe(recipe), folder)
    comparison = test(trained)
    rows = [row for metric in case.metrics for row in rows_for(case, recipe, metric, trained.model.schema, comparison)]
    demonstration = demonstrations.of(case, recipe, trained)
    return RecipeResult(
        case=case.name,
        recipe=recipe,
        rows=(*rows, *demonstration.rows),
        settings={name: value for name, value in trained.model.config.to_dict().items() if value is not None},
        layers=collect.layers(trained.model),
        history={name: np.array(values, float) for name, values in trained.model.history.items()},
        tracks=tracks(case, trained, comparison),
        season=trained.model.config.season or 1,
        sentences=demonstration.sentences,
        tables=demonstration.tables,
        series={name: trained.panel.y[:, d] for d, name in enumerate(trained.model.schema.target)},
    )


def test(trained: TrainedCase, model: Model | None = None) -> Comparison:
    """Forecast every test row that has all its steps, with the network and the baselines."""
    model, panel = model or trained.model, trained.panel
    horizon, season = model.config.horizon, model.config.season or 1
    mask = origin_rows(panel, trained.parts.val, horizon)
    _, at, forecasts = next(scoring.by_series(model, panel, origins(model, panel, mask, trained.window)))
    actual = panel.y[at[:, None] + np.arange(1, horizon + 1)]
    guesses = {"network": forecasts.point}
    for name, baseline in (("persistence", persistence), ("linear", linear_extrapolation)):
        guesses[name] = baseline(panel.y, at, horizon, season)
    return Comparison(at, actual, guesses)


def rows_for(case: Case, recipe: str, metric: Metric, schema: Schema, comparison: Comparison) -> list[Measurement]:
    """The lines of one metric: the recipe's, and once for each case linear extrapolation's."""
    places = [schema.target.index(name) for name in metric.targets or schema.target]
    steps = slice(None) if case.step == 0 else slice(case.step - 1, case.step)

    def of(name: str) -> float:
        error, plain = (
            (comparison.guesses[which] - comparison.actual)[:, steps, places] for which in (name, "persistence")
        )
        return measured(metric.measure, error, plain)

    base = of("persistence")
    lines = [Measurement(case.name, recipe, metric.name, of("network"), metric.published, base, None, None)]
    if recipe == "statecast":
        lines.append(Measurement(case.name, "linear extrapolation", metric.name, of("linear"), None, base, None, None))
    return lines


def measured(measure: str, error: np.ndarray, persistence: np.ndarray) -> float:
    """One number for errors of any shape, beside those of persistence."""
    if measure in ("mse", "rmse"):
        square = float(np.nanmean(error**2))
        return square if measure == "mse" else float(np.sqrt(square))
    mae = float(np.nanmean(np.abs(error)))
    if measure == "mae":
        return mae
    share = mae / float(np.nanmean(np.abs(persistence)))
    return share if measure == "ratio" else 1 - share


def tracks(case: Case, trained: TrainedCase, comparison: Comparison) -> tuple[Track, ...]:
    """Each target through the test rows, at the step that is measured."""
    step, schema = case.step or 1, trained.model.schema
    rows = comparison.at + step
    time = calendar.to_datetime64(trained.panel.time[rows], schema.time_kind, schema.frequency, schema.tz)
    before = test(trained, trained.fresh).guesses["network"] if "before" in case.show else None
    return tuple(
        Track(
            name,
            np.asarray(time),
            comparison.actual[:, step - 1, d],
            comparison.guesses["network"][:, step - 1, d],
            None if before is None else before[:, step - 1, d],
        )
        for d, name in enumerate(schema.target)
    )
