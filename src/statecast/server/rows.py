"""The rows of a request, side by side: what the engine takes.

Who reads a request checks every row by itself. A row that cannot be used is an error text in `errors`, and the rows
beside it count all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64


@dataclass(frozen=True, eq=False)
class LiveRows:
    """N rows of a live stream, in columns; `Stream.observe` says what each value may be.

    Attributes:
        ids: N names of series, in the kind that the model was fitted with.
        times: [N] int64, as `Panel.time` has them; None where every row is its series' next step.
        values: [N, D] targets, NaN where missing.
        past: for each row its covariates known up to now, as `observation.covariates` reads them; None where there are
            none.
        known: for each row those known ahead, of this step and of the next H, as `observation.rows` reads them.
        static: for each row the covariates of its series, or None where the row has none; None where no row has any.
        errors: why a row cannot be used, by its number; whatever the columns hold there is passed over.
    """

    ids: list[Any]
    times: Int64[np.ndarray, " N"] | None
    values: Float64[np.ndarray, "N D"]
    past: Sequence[Any] | None = None
    known: Sequence[Any] | None = None
    static: Sequence[Any] | None = None
    errors: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sound(self) -> list[int]:
        """The numbers of the rows without an error, in order."""
        return [n for n in range(len(self.ids)) if n not in self.errors]
