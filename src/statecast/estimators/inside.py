"""The part of `Forecaster` that looks inside: which inputs count, what the layers do, and the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.data.tabular import table
from statecast.errors import NotFitted
from statecast.estimators import examination
from statecast.estimators.fitted import Fitted
from statecast.forecast import charts
from statecast.forecast.inside import Activations, activations
from statecast.model.shapes import leaves

if TYPE_CHECKING:
    from statecast.forecast.explain import Explanation

Ids = str | int | Sequence[str | int]


class Inside(Fitted):
    """What a fitted network uses and does."""

    def explain(self, source: Any = None, *, seed: int = 0) -> Any:
        """How much the error grows when one input is shuffled: permutation importance, see `forecast.explain`.

        Args:
            source: a table like that of `fit`, judged on all rows that `score` would judge; the validation rows of the
                training table where None.
            seed: of the shuffles.

        Returns:
            A frame: input, kind ("past", "known", "static", "calendar" or "lags"), importance (growth of the mean
            absolute error as a share of it) and its spread over the shuffles; the most important input first.

        Raises:
            NotFitted: a loaded model without a table.
            DataError: there are no rows to judge.
        """
        rows = None if source is None else table.read(source)
        return self._frame(self.explanation(rows, seed=seed).columns(), rows)

    def explanation(self, source: Any = None, *, seed: int = 0) -> Explanation:
        """What `explain` puts into a frame, and the gates of the recurrent layers over time."""
        return examination.explanation(self.model_, source, self._record, seed)

    def states(self, source: Any = None, *, series: Ids | None = None, last: int | None = None, member: int = 0) -> Any:
        """States and gates of the recurrent layers, row by row of a table.

        Args:
            source: a table like that of `fit`; the training table where None.
            series: which series, one or several of its ids; all where None.
            last: rows at the end of each series that are kept; all where None. Every series is run through from its
                first row.
            member: which network of an ensemble.

        Returns:
            A frame, or a mapping for an array: id, time, and a column for each number, such as "0.forget.3" for the
            forget gate of the fourth unit of the first layer. "0.h.3" is its output; other parts of its state are
            called like those of its cell, such as "0.c.3". See `activations` for arrays.

        Raises:
            NotFitted: a loaded model without a table.
            UnknownSeries: there is no such series.
            SettingError: the network has no recurrent layer, or no such member.
            DataError: the table cannot be used, or there would be too many numbers.
        """
        rows = None if source is None else table.read(source)
        return self._frame(self.activations(rows, series=series, last=last, member=member).columns(), rows)

    def activations(
        self, source: Any = None, *, series: Ids | None = None, last: int | None = None, member: int = 0
    ) -> Activations:
        """`states` as arrays: `parts["0.forget"]` is [rows, units]."""
        if source is None and self._record is None:
            raise NotFitted("a loaded model has no table at hand: call states(table)")
        panel = self._record.panel if source is None and self._record else examination.examined(self.model_, source)
        return activations(self.model_, _some(panel, series), last, member)

    def weights(self) -> dict[str, np.ndarray]:
        """What training learned, by names such as "stack/cells/0/W": the inputs of the first layer's gates.

        "stack" is the recurrent and dense layers, "head" what makes a forecast of them, "skip" the linear map beside
        them. A cell's columns are a block of units for each gate, of an LSTM input, forget, candidate and output.
        Where there are several networks, they are the first axis. The arrays are copies.
        """
        arrays = leaves(self.model_.weights)
        return {name: np.array(array) for name, array in arrays.items() if not isinstance(array, dict)}


def _some(panel: Panel, series: Ids | None) -> Panel:
    """Some of the series of a table, in the order in which they are named."""
    if series is None:
        return panel
    some = np.array(charts.chosen(panel.ids, series), np.int64)
    return panel.pieces(some, np.zeros(len(some), np.int64), panel.lengths[some])
