"""An update: a model takes the rows that have come since it was fitted, and its weights learn from them if asked.

States move on by `forecast.arrivals`, without JAX. Weights learn in `train.update`, which is imported only then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from statecast.data import checks
from statecast.data.grid.merging import Merging
from statecast.data.panel import Panel
from statecast.data.tabular.table import Table
from statecast.errors import SettingError
from statecast.estimators import training
from statecast.forecast.arrivals import Arrivals, advanced
from statecast.model.state import State
from statecast.model.trained import Model


@dataclass(frozen=True)
class Learning:
    """Whether weights learn from the rows of an update, and how: the arguments of `train.update.learn`.

    Raises:
        SettingError: an argument of learning is given where nothing is learned.
    """

    enabled: bool = False
    steps: int | None = None
    learning_rate: float | None = None
    watch: Callable[[Any], None] | None = None
    folder: Path | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        values = {"steps": self.steps, "learning_rate": self.learning_rate}
        name = next((name for name, value in values.items() if value is not None), None)
        if name and not self.enabled:
            raise SettingError(f"{name} is only for learning: give learn=True, or leave it out")

    def of(self, model: Model, panel: Panel) -> Any:
        """What the weights learn from a table, a `train.update.Lesson`."""
        arguments = model, panel, self.steps, self.learning_rate, self.watch, self.folder, self.resume
        return training.room("update").learn(*arguments)


@dataclass(frozen=True)
class Update:
    """What came of an update.

    Attributes:
        rows: that the series took.
        known: of the table that were passed over: rows up to the last one that a series had observed.
        series: that took rows.
        new_series: of these that the model had not known.
        learned: whether the weights have learned from the table; None where that was not asked for.
        verdict: why, in words; empty likewise.
    """

    rows: int
    known: int
    series: int
    new_series: int
    learned: bool | None = None
    verdict: str = ""

    @classmethod
    def of(cls, arrivals: Arrivals) -> Update:
        """That these rows were taken."""
        return cls(arrivals.panel.rows, arrivals.known, arrivals.panel.series, arrivals.new_series)

    @property
    def text(self) -> str:
        """In words."""
        new = f", {self.new_series:,} of them new," if self.new_series else ""
        known = f"; {self.known:,} rows up to the last ones that were observed are passed over" if self.known else ""
        if not self.rows:
            return f"no row is later than those that were observed, so nothing has changed{known}"
        return f"{_counted(self.series, 'series', 'series')}{new} moved on by {_counted(self.rows, 'row')}{known}"


def updated(model: Model, rows: Table, learning: Learning) -> tuple[Model, Update]:
    """The model after the rows of a table, and what came of them.

    Args:
        model: the model.
        rows: a table like that of the fit, with later rows; it may begin with rows that are known.
        learning: whether the weights learn from them, and how.

    Raises:
        DataError: the table cannot be used, or its rows do not go on where a series ended.
    """
    panel = checks.panel_like(rows, model.schema, merging=Merging.of(model.config))
    arrivals = Arrivals.of(model, panel)
    moved = replace(model, state=advanced(model, arrivals) if arrivals.panel.rows else model.state)
    update = Update.of(arrivals)
    if not learning.enabled:
        return moved, update
    lesson = learning.of(model, panel)
    update = replace(update, learned=lesson.learned, verdict=lesson.verdict)
    if not lesson.learned:
        return moved, update
    reasons = {**(model.reasons or {}), "update": lesson.verdict}
    after = replace(model, weights=lesson.weights, training=lesson.rows, reasons=reasons)
    return replace(after, state=_state(after, moved, arrivals)), update


def _state(after: Model, moved: Model, arrivals: Arrivals) -> State:
    """The new weights' memory of the rows that came, and the intervals' memory of the old ones' errors.

    Errors of the new weights on rows that taught them are too small, so it is the weights before that moved intervals.
    """
    if not arrivals.panel.rows:
        return moved.state
    data = advanced(after, arrivals).data
    data[:, moved.adaptive_span] = moved.state.data[:, moved.adaptive_span]
    return replace(moved.state, data=data)


def _counted(count: int, name: str, names: str = "") -> str:
    return f"{count:,} {name if count == 1 else names or f'{name}s'}"
