"""What a recipe of a case gave: the rows of the table, and all that pictures, CSV files and the page show.

Plain numbers and texts only: recipes run in separate processes, and their results travel back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.report.summary import Layer

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


@dataclass(frozen=True)
class Measurement:
    """One line of the gallery's table."""

    case: str
    recipe: str
    metric: str
    value: float | None
    published: float | None
    persistence: float | None
    seconds: float | None
    peak_mb: float | None

    def plain(self) -> dict[str, Any]:
        """As a mapping, its keys in the order of the table."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Track:
    """One target through the test rows: what happened and what was forecast for it, row by row."""

    target: str
    time: Shaped[np.ndarray, " n"]
    actual: Float[np.ndarray, " n"]
    predicted: Float[np.ndarray, " n"]
    before: Float[np.ndarray, " n"] | None = None
    """The forecasts of the network before it was trained, if they are shown."""


@dataclass(frozen=True, eq=False)
class Confusion:
    """Counts of the test rows, by their class (rows) and by the predicted class (columns)."""

    classes: tuple[str, ...]
    counts: Shaped[np.ndarray, "C C"]


@dataclass(frozen=True, eq=False)
class RecipeResult:
    """What one recipe of a case gave.

    Attributes:
        case, recipe: their names.
        rows: of the gallery's table; seconds and memory are filled in by whoever ran it.
        settings: as they were used, those chosen from the data included.
        layers: parts of the network.
        history: columns of the training history.
        tracks: each target through the test rows.
        season: rows in a season, for pictures.
        sentences: further results, in words.
        tables: further tables by their headings.
        series: whole series by name, for pictures of the data.
        confusion: of a classifier.
        accuracy: of a classifier as it trains: columns epoch, training and test.
    """

    case: str
    recipe: str
    rows: tuple[Measurement, ...]
    settings: Mapping[str, Any]
    layers: tuple[Layer, ...] = ()
    history: Mapping[str, Float[np.ndarray, " n"]] = field(default_factory=dict)
    tracks: tuple[Track, ...] = ()
    season: int = 1
    sentences: tuple[str, ...] = ()
    tables: Mapping[str, list[list[str]]] = field(default_factory=dict)
    series: Mapping[str, Float[np.ndarray, " n"]] = field(default_factory=dict)
    confusion: Confusion | None = None
    accuracy: Mapping[str, Float[np.ndarray, " n"]] = field(default_factory=dict)
