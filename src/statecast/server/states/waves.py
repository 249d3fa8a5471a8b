"""Rows of many series in waves: of each series the next row in each, so that a wave is stepped side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from statecast.model.trained import Model
from statecast.server.states.batch import Batch
from statecast.server.states.intake import Intake

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64


def columns_of(batches: Sequence[Batch], model: Model) -> Intake:
    """The rows of batches, as they came."""
    steps, counts = model.network.head.horizon + 1, [len(batch.numbers) for batch in batches]
    static, stated = None, None
    if model.schema.static:
        static = np.full((sum(counts), len(model.schema.static_features)), np.nan)
        stated = np.zeros(len(static), bool)
        for begin, batch in zip(np.cumsum([0, *counts]).tolist(), batches, strict=False):
            if batch.restated is not None and batch.static is not None:
                static[begin + batch.restated], stated[begin + batch.restated] = batch.static, True
    past = [batch.past for batch in batches if batch.past is not None]
    known = [batch.known for batch in batches if batch.known is not None]
    return Intake(
        [],
        np.concatenate([batch.times for batch in batches]),
        np.concatenate([batch.values for batch in batches]),
        np.concatenate(past) if past else None,
        np.concatenate(known).reshape(sum(counts), steps, -1) if known else None,
        static,
        stated,
        {},
    )


def waves(numbers: Int64[np.ndarray, " N"], usable: Bool[np.ndarray, " N"]) -> list[Int64[np.ndarray, " S"]]:
    """Rows in waves, of each series the next one in each; within a wave in their order."""
    rows = np.flatnonzero(usable)
    order = np.argsort(numbers[rows], kind="stable")
    ordered = numbers[rows][order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(rows) else np.zeros(0, bool)
    if begins.all():
        return [rows] if len(rows) else []
    starts = np.flatnonzero(begins)
    ranks = np.empty(len(rows), np.int64)
    ranks[order] = np.arange(len(rows)) - np.repeat(starts, np.diff([*starts, len(rows)]))
    return [rows[ranks == rank] for rank in range(int(ranks.max()) + 1)]
