"""Rows on their way through a step: what is known of each so far, and what became of them in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import NotOwner
from statecast.forecast.answer import Forecast
from statecast.server.states.batch import Batch, Id
from statecast.server.states.intake import Intake

if TYPE_CHECKING:
    from jaxtyping import Int8, Int64

ACCEPTED, DUPLICATE, INVALID, CONFLICT, LATE, UNKNOWN, EXCESS, ELSEWHERE = range(8)  # from INVALID on: rejected


@dataclass(frozen=True, eq=False)
class Taken:
    """What became of N rows, M of which were accepted.

    Attributes:
        statuses: [N] ACCEPTED, DUPLICATE, or why it was rejected: one of those that follow.
        errors: why rows were rejected, by their numbers.
        batch: the accepted rows, in their order.
        rows: [M] which of the N rows they are.
        forecast: from after each of them; None where there are none.
        repeats: duplicates of their series' last rows, and the series' numbers.
        elsewhere: of the rejected rows those whose series are another server's.
    """

    statuses: Int8[np.ndarray, " N"]
    errors: dict[int, str]
    batch: Batch
    rows: Int64[np.ndarray, " M"]
    forecast: Forecast | None
    repeats: dict[int, int]
    elsewhere: dict[int, NotOwner]


@dataclass(frozen=True, eq=False)
class Alike:
    """Rows of different series that a stream takes in one call.

    Attributes:
        rows: which rows of the group.
        numbers: of their series; below 0 where the row is a series' first.
        new: whether the stream does not hold their series yet.
        stated: whether the rows state static covariates.
    """

    rows: Int64[np.ndarray, " S"]
    numbers: Int64[np.ndarray, " S"]
    new: bool
    stated: bool


@dataclass(frozen=True, eq=False)
class Observed:
    """Rows of different series that were stepped together."""

    rows: Int64[np.ndarray, " S"]
    numbers: Int64[np.ndarray, " S"]
    forecast: Forecast


@dataclass(eq=False)
class Group:
    """N rows on their way: what is known of each so far.

    Attributes:
        rows: as they came.
        numbers: of their series; those that are new have numbers below −1, and `names`.
        times: of the rows.
        statuses: ACCEPTED as long as nothing speaks against a row.
        errors: why rows are rejected.
        received: when they came, one moment for all or one for each.
        seq: the last sequence number that was given.
        seqs: the rows' sequence numbers, where they have some already.
        observed: what was stepped.
        repeats, elsewhere: see `Taken`.
        names: of new series.
    """

    rows: Intake
    numbers: Int64[np.ndarray, " N"]
    times: Int64[np.ndarray, " N"]
    statuses: Int8[np.ndarray, " N"]
    errors: dict[int, str]
    received: Any
    seq: int
    seqs: Int64[np.ndarray, " N"] | None = None
    observed: list[Observed] = field(default_factory=list)
    repeats: dict[int, int] = field(default_factory=dict)
    names: dict[int, Id] = field(default_factory=dict)
    elsewhere: dict[int, NotOwner] = field(default_factory=dict)

    def reject(self, row: int, text: str, status: int = INVALID) -> None:
        """Refuse a row."""
        self.statuses[row], self.errors[row] = status, text

    def when(self, rows: Int64[np.ndarray, " S"]) -> Any:
        """When rows came: one moment for all, or one for each."""
        return self.received[rows] if isinstance(self.received, np.ndarray) else self.received
