"""A table as a model's network runs over it: its targets folded into channels, its rows in working units.

Whatever looks back over a table lays it out once in this way: scores, backtests and explanations, which ask for the
forecasts at some of its rows, and what is remembered of each series after its last one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from statecast.data.panel import Panel, rows_of_spans
from statecast.forecast import channels
from statecast.forecast.hindcast.origins import OriginRows, Origins, thin
from statecast.forecast.hindcast.roll import forecasts_at
from statecast.model.inputs import Rows, rows_of
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Bool

MOST = 20_000_000  # numbers that are kept of all origins; above it, they are thinned out evenly


@dataclass(frozen=True, eq=False)
class Feed:
    """What a network is fed of a table.

    Attributes:
        panel: the table, one series a series.
        folded: the table as the network takes it, see `channels.fold`.
        rows: those of `folded`, prepared.
    """

    panel: Panel
    folded: Panel
    rows: Rows

    @classmethod
    def of(cls, model: Model, panel: Panel) -> Feed:
        """What the network of a model is fed."""
        folded = channels.fold(model, panel)
        return cls(panel, folded, rows_of(model.network, model.constants, model.schema, folded, model.dtype))

    def mask(self, mask: Bool[np.ndarray, " rows"]) -> Bool[np.ndarray, " R"]:
        """A mask of the panel's rows as one of the folded panel's."""
        width = self.folded.series // max(self.panel.series, 1)
        return np.asarray(mask[rows_of_spans(np.repeat(self.panel.offsets[:-1], width), self.folded.lengths)])

    def forecasts(self, model: Model, mask: Bool[np.ndarray, " rows"]) -> Origins:
        """What a model forecasts at the rows of a mask, thinned out where they are very many."""
        thinned, _ = thin(mask, numbers(model), MOST)
        return forecasts_at(model.network, model.p, self.rows, self.mask(thinned))

    def chosen_forecasts(self, model: Model, chosen: OriginRows) -> tuple[Origins, OriginRows]:
        """What a model forecasts at all of the chosen rows, in one run, and which of these forecasts are of which."""
        origins = self.forecasts(model, chosen.all)
        masks = (chosen.validation, chosen.training, chosen.test)
        validation, training, test = (self.mask(mask)[origins.rows] for mask in masks)
        return origins, OriginRows(validation, training, test, chosen.enough)


def numbers(model: Model) -> int:
    """How many numbers are forecast at one row of a table."""
    head = model.network.head
    return head.horizon * len(model.schema.target) * head.width
