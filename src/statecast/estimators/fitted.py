"""What every part of `Forecaster` knows of a fit: the model, the record of the fit, and the form of its results.

`Forecaster` is put together from parts that each answer one kind of question (`inside`, `scenarios`, `notebook`), so
that none of them is a file of a thousand lines; this is what they have in common.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from statecast.data.results import Native, axes_of, to_native
from statecast.data.tabular import table
from statecast.errors import NotFitted
from statecast.estimators.start import origin_of
from statecast.estimators.training import FitRecord
from statecast.forecast.predict import Future
from statecast.model.state import State
from statecast.model.trained import Model


class Fitted:
    """A model, the record of its fit where that was in this process, and the form that its tables had."""

    _model: Model | None
    _record: FitRecord | None
    _native: Native
    _axes: int

    @property
    def model_(self) -> Model:
        """The trained model.

        Raises:
            NotFitted: before `fit` and `load`.
        """
        if self._model is None:
            raise NotFitted(
                "this Forecaster has not been fitted: call fit(table, target=…) first, or Forecaster.load(path)"
            )
        return self._model

    def _axes_of(self, source: Any) -> int:
        """Axes of the array that the results are to be like; 0 for results as a table."""
        lone = self.model_.schema.id is None
        return (self._axes if source is None else axes_of(source)) if lone else 0

    def _frame(self, columns: dict[str, np.ndarray], rows: table.Table | None) -> Any:
        """Columns in the form of a table, or of the training table."""
        return to_native(columns, self._native if rows is None else rows.native, self.model_.schema.tz)

    def _origin(self, source: Any, future: Any) -> tuple[State, Future | None]:
        """The state to forecast from, and the covariates known ahead of it; see `start.origin_of`."""
        return origin_of(self.model_, source, future, self._record.panel if self._record else None)
