"""What a model makes of a table that it is examined on: its scores there, and which of its inputs it uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import checks
from statecast.data.grid.merging import Merging
from statecast.data.limits import Limits
from statecast.data.panel import Panel
from statecast.data.tabular import table
from statecast.errors import DataError, NotFitted
from statecast.estimators.training import FitRecord
from statecast.forecast.hindcast import follow
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.origins import Origins, origin_rows
from statecast.forecast.scores import evaluate
from statecast.forecast.scores.comparison import ScoreSums
from statecast.model.trained import Model

if TYPE_CHECKING:
    from statecast.forecast.explain import Explanation


def scores(model: Model, source: Any) -> dict[str, Any]:
    """Those on a table, from all origins that have seen as many rows as the network looks back."""
    panel, origins, begin = forecasts(model, source)
    return summary(evaluate.evaluate(model, panel, origins, begin))


def score_sums(model: Model, source: Any) -> dict[str | int, ScoreSums]:
    """The sums from which `scores` follow, of each series for itself, see `evaluate.score_sums`."""
    return evaluate.score_sums(model, *forecasts(model, source))


def summary(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The network's own part of an evaluation, and its skill."""
    parts = evaluation.get("targets", {}).items()
    targets = {name: {**part["statecast"], "skill": part["skill"]} for name, part in parts}
    return {**evaluation["statecast"], "skill": evaluation["skill"], **({"targets": targets} if targets else {})}


def forecasts(model: Model, source: Any) -> tuple[Panel, Origins, np.ndarray]:
    """A table, the forecasts from all of its rows that are judged, and for each series the first row that is."""
    panel = examined(model, source)
    begin = _first_rows(model, panel)
    origins = follow.forecasts(model, Feed.of(model, panel), origin_rows(panel, begin, model.config.horizon))
    return panel, origins, begin


def explanation(model: Model, source: Any, record: FitRecord | None, seed: int) -> Explanation:
    """What the network uses, judged on a table, or on the validation rows of the fit where `source` is None.

    Raises:
        NotFitted: there is no table at all.
        DataError: there are no rows to judge.
    """
    from statecast.forecast.explain import explain

    if source is not None:
        panel = examined(model, source)
        begin = _first_rows(model, panel)
    elif record is not None:
        model, (panel, begin) = record.tested, record.validation
    else:
        raise NotFitted("a loaded model has no table at hand: call explain(table)")
    result = explain(model, panel, begin, seed)
    if result is None:
        what = "no validation rows (val_size)" if source is None else "too few rows"
        raise DataError(f"there is nothing to judge: the table has {what}; give explain a table with more rows")
    return result


def examined(model: Model, source: Any) -> Panel:
    """A table with the columns of the training table, whose rows are all known."""
    panel = checks.panel_like(table.read(source), model.schema, False, Merging.of(model.config))
    Limits.of(model.config, model.schema.target).require_table(panel)
    return panel


def _first_rows(model: Model, panel: Panel) -> np.ndarray:
    """Rows of each series before the first that is judged: as many as the network looks back, half at most."""
    least = max(model.network.front.ring, 2)
    return np.asarray(np.minimum(least, np.maximum(panel.lengths // 2, 1)))
