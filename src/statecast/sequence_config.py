"""Settings of Classifier and Regressor: those that a Forecaster has too, some with other defaults, and further ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from statecast.allowed import BOOLEAN, DROPPED, WEIGHTS, either, many, one_of, setting, whole
from statecast.config import FIRST_ORDER, Settings, restated

READINGS = ("recurrence", "convolutions", "table")
POOLINGS = ("last", "mean", "max", "all")


@dataclass(frozen=True, kw_only=True)
class SequenceConfig(Settings):
    """The settings that Classifier and Regressor share, with the defaults in which they differ from a Forecaster's."""

    hidden: tuple[int, ...] = restated(
        "hidden", (32,), help="units of each recurrent layer for sequences, of each dense layer for a table"
    )
    cell: str = restated("cell", "gru")
    dropout: float = restated("dropout", 0.2, DROPPED, "share of a layer's outputs that is dropped in training")
    optimizer: str = restated("optimizer", "adamw", one_of(FIRST_ORDER), "optimizer")
    weight_decay: float = restated("weight_decay", 0.01)
    patience: int = restated("patience", 8)
    val_size: int | float = restated(
        "val_size", 0.2, help="rows that each network keeps for validation, the same share of every class"
    )
    readings: tuple[str, ...] | None = setting(
        None,
        "how sequences are read: by the recurrent layers, by convolutions with fixed weights and a linear map, or, "
        "where all have one length, as rows of a table; several are weighed by rows that they have not learned from",
        many(one_of(READINGS), 1, len(READINGS)),
    )
    bidirectional: bool = setting(True, "read a sequence from both ends", BOOLEAN)
    pooling: str = setting(
        "all",
        "how the outputs over a sequence are pooled: the last, their mean, their maximum, or all three",
        one_of(POOLINGS),
    )
    differences: bool = setting(True, "the changes since the previous step as inputs, for sequences", BOOLEAN)
    patch: int | None = setting(None, "steps of a sequence that the recurrent layers take at once", whole(1, 100_000))
    ensemble: int = restated(
        "ensemble", 5, help="networks whose predictions are averaged; each keeps different rows for validation"
    )


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig(SequenceConfig):
    """All settings of a Classifier."""

    class_weight: str | Mapping[Any, float] | None = setting(
        None,
        'weight of each class in the loss: "balanced" for the inverse of its share, or a mapping; if left out, rows '
        "count the same",
        either(one_of(("balanced",)), WEIGHTS),
    )
    test_size: int | float = restated(
        "test_size", 0, help="rows kept for the test scores alone, the same share of every class"
    )


@dataclass(frozen=True, kw_only=True)
class RegressorConfig(SequenceConfig):
    """All settings of a Regressor."""

    loss: str = restated("loss", "mse", one_of(("mse", "mae", "huber")), "loss of each value, in standard deviations")
    huber_delta: float = restated("huber_delta", 1.0)
