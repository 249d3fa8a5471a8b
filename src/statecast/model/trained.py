"""A trained model: the network, its arrays, and all that forecasting and streaming need beside them.

It is a plain value. What follows from it (the layout of its states, the bounds of its intervals) is
worked out once, when it is first asked for. How a model comes to disk and back is the business of `archive`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import Config
from statecast.data.limits import Limits
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split
from statecast.model import tails
from statecast.model.adaptive import Adaptive, Bounds, prior_quantiles
from statecast.model.network import Network
from statecast.model.shapes import leaves
from statecast.model.state import UNSEEN, Layout, State

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

FEWEST_MEASURED = 4  # values that a series has before its forecasts are measured, where a season is shorter


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Which rows a model was fitted on: of each of S series the times of some rows, `UNSEEN` for none.

    Attributes:
        ids: the series of the training table.
        first: [S] its first row.
        train: [S] the last row that weights were trained on.
        val: [S] the last row that was looked at while training, or that intervals were calibrated on.
    """

    ids: tuple[str | int, ...]
    first: Int64[np.ndarray, " S"]
    train: Int64[np.ndarray, " S"]
    val: Int64[np.ndarray, " S"]

    @classmethod
    def of(cls, panel: Panel, parts: Split) -> TrainingRows:
        """Those of a table and its split, series by series."""

        def last(counts: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " S"]:
            times = panel.time[np.maximum(panel.offsets[:-1] + counts - 1, 0)] if panel.rows else counts
            return np.where(counts > 0, times, UNSEEN)

        return cls(tuple(panel.ids), last(np.minimum(panel.lengths, 1)), last(parts.train), last(parts.val))

    @cached_property
    def index(self) -> dict[str | int, int]:
        """The number of each series."""
        return {name: s for s, name in enumerate(self.ids)}


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with all that forecasting and streaming need.

    Attributes:
        config: the settings, all chosen.
        schema: what the columns of its tables are.
        network: the network.
        weights, constants: its arrays, in the precision of `config`.
        state: what it remembers of each series after the last row of the training table.
        residuals: [Q, H, D] quantiles of the normal scores of what happened in the table, at the probabilities
            `adaptive.GRID`, see `marginal` and `assemble`; None where none have been worked out.
        scores: what `metrics.json` holds.
        history: columns of the training history.
        paths: [P, H, D] normal scores of whole stretches among these, from which `sample` draws; None where
            there were too few.
        reasons: for each setting that was chosen from the data, why; None where a file of before did not say.
        training: which rows it was fitted on; None likewise.
        typical: [H, D] mean size of normal scores in the table, in units of which each series' own errors scale its
            intervals (see `Adaptive`), and `residuals` and `paths` are relative to these; None where they do not.
        phases: [P, D] how large errors are at each phase of the season of P steps, in units of their mean size, to
            which `residuals` and `paths` are relative as well; None where phases do not differ enough.
        tails: [P, 2, D] how values lie among the forecasts made for them, by the latest and by all together (see
            `tails.learned`), from which they are scored; None where they are not.
    """

    config: Config
    schema: Schema
    network: Network
    weights: dict[str, Any]
    constants: dict[str, np.ndarray]
    state: State
    residuals: Float[np.ndarray, "Q H D"] | None
    scores: dict[str, Any]
    history: dict[str, list[float]]
    paths: Float[np.ndarray, "P H D"] | None = None
    reasons: dict[str, str] | None = None
    training: TrainingRows | None = None
    typical: Float[np.ndarray, "H D"] | None = None
    phases: Float[np.ndarray, "P D"] | None = None
    tails: Float[np.ndarray, "P 2 D"] | None = None

    def __repr__(self) -> str:
        config, targets, series = self.config, self.schema.target, len(self.state.ids)
        names = f"{', '.join(targets[:5])}{', …' if len(targets) > 5 else ''}"
        return f"<Model: {names}, {config.horizon} ahead; {config.cell} {list(config.hidden or ())}, {series:,} series>"

    @cached_property
    def limits(self) -> Limits:
        """Beyond which no value of a target may lie, as the network takes targets."""
        return Limits.of(self.config, self.schema.target).of_channel(self.network.front.targets)

    @property
    def p(self) -> dict[str, Any]:
        """Weights and constants as `Network` takes them."""
        return {"weights": self.weights, "constants": self.constants}

    @property
    def dtype(self) -> Any:
        """The floating-point format that the network runs in."""
        return np.dtype(self.config.dtype)

    @cached_property
    def adaptive(self) -> Adaptive | None:
        """What its intervals remember of each series; None where they stay as they were calibrated."""
        levels = tuple(sorted(self.config.levels))
        if not self.config.adaptive or not levels:
            return None
        return Adaptive(self.network.head, levels, self.typical is not None, self.tails is not None)

    @cached_property
    def measured_from(self) -> int:
        """The number of values of a series from which on its forecasts are a measure of those to come.

        From less than a season they are worse. The network may look back much further, but where all series are shorter
        than that, intervals would never learn which of them are easy.
        """
        return min(self.network.front.ring, max(self.config.season or 1, FEWEST_MEASURED))

    @cached_property
    def quantiles(self) -> Float[np.ndarray, "Q H D"]:
        """`residuals`, or what stands for them where none have been worked out."""
        return prior_quantiles(self.network.head) if self.residuals is None else self.residuals

    @cached_property
    def bounds(self) -> Bounds:
        """What the intervals are adapted from; only where they are."""
        assert self.adaptive is not None
        watching = None
        if self.tails is not None:
            watching = tails.watching(self.tails, self.config.false_alarms)
        return Bounds.of(self.adaptive, self.quantiles, self.typical, watching)

    @cached_property
    def layout(self) -> Layout:
        """What the numbers of a state are: those of the network, then those of the intervals."""
        return Layout.of(self.network.parts() | (self.adaptive.parts() if self.adaptive else {}))

    @cached_property
    def adaptive_layout(self) -> Layout:
        """Of the part of a state that intervals take."""
        return Layout.of(self.adaptive.parts() if self.adaptive else {})

    @cached_property
    def adaptive_span(self) -> slice:
        """Where in a row of a state the intervals' part lies."""
        return slice(self.layout.size - self.adaptive_layout.size, self.layout.size)

    def shares_states(self, other: Model) -> bool:
        """Whether two models are the same network with the same numbers: states of one mean the same to the other."""
        if self is other:
            return True
        mine, theirs = leaves(self.p), leaves(other.p)
        return (
            (self.network, self.schema, self.layout) == (other.network, other.schema, other.layout)
            and mine.keys() == theirs.keys()
            and all(np.array_equal(array, theirs[path]) for path, array in mine.items())
        )
